//! What happens to a mixed cluster, out of one seed.
//!
//! What is left out is left out by a claim (see `claim`): a reference daemon that comes back while it is bound, a
//! reference site that is stopped or whose store hangs, and a step-down where a reference site could hear of it.

use super::claim::{Claim, Shape};
use super::world::{Dice, Net, Plan, StoreHabit, World, ticket};
use booth_core::settings::{TicketSettings, ValidityUnit};
use booth_core::wire::Command;

/// How far a wall clock is set wrong.
const LARGEST_STEP_US: i64 = 250_000_000;
/// The longest that a datagram is under way.
pub const LATEST_MS: u64 = 50;
/// The longest that a call of `crm_ticket` takes at a reference site that must not be held up.
pub const SLOWEST_STORE_MS: u64 = 100;

/// Draws three to five members, a ticket, and who of them runs the reference.
pub fn draw(dice: &mut Dice, claim: Claim, seed: u64) -> Shape {
    let sites = 2 + dice.roll(2) as usize;
    let arbitrators = (3 - sites) + dice.roll(2) as usize + usize::from(dice.chance(200));
    let (ticket, unit) = any_ticket(dice);
    let plan = Plan { sites, arbitrators, tickets: vec![ticket], key: dice.chance(800), seed, remember: true };
    let references = claim.references(dice, &plan);
    let mut shape = Shape { plan, unit, references, claim };
    shape.plan.tickets[0].before_acquire = !shape.has_reference_site() && dice.chance(300);
    shape
}

fn any_ticket(dice: &mut Dice) -> (TicketSettings, ValidityUnit) {
    let expire = [4_000, 10_000, 60_000][dice.roll(3) as usize];
    let after = [0, 1_000, 7_000][dice.roll(3) as usize];
    let ticket = ticket("T", expire, after);
    let whole = ticket.timeout.0.is_multiple_of(1_000) && dice.chance(600);
    (ticket, if whole { ValidityUnit::Seconds } else { ValidityUnit::Milliseconds })
}

/// What has been done to the members.
pub struct Faults<'a> {
    shape: &'a Shape,
    killed_ms: Vec<u64>,
}

impl<'a> Faults<'a> {
    /// Faults for the members of `shape`, whatever they run.
    pub fn new(shape: &'a Shape) -> Faults<'a> {
        Faults { shape, killed_ms: vec![0; shape.members()] }
    }

    /// One fault, or the end of some, or an administrator.
    pub fn strike(&mut self, world: &mut World, dice: &mut Dice) {
        let (a, b) = (dice.roll(world.hosts.len() as u64) as usize, dice.roll(world.hosts.len() as u64) as usize);
        let site = dice.roll(world.plan.sites as u64) as usize;
        let (up, ours) = (world.is_up(a), !self.shape.is_reference(a));
        match dice.roll(30) {
            0 => world.isolate(a),
            1 | 2 if a != b => world.cut(a, b),
            3 if a != b => world.cut_one_way(a, b),
            4..=6 => world.heal(),
            7 if up && self.may_die(a) => self.kill(world, a, dice),
            8 | 9 if !up && self.may_boot(world, a) => world.boot(a),
            10 if up && self.may_be_held_up(a) => world.freeze(a),
            11 | 12 if up && world.hosts[a].frozen => world.thaw(a),
            13 | 14 => world.hosts[site].habit = habit(dice, self.may_be_held_up(site)),
            15 if ours && (!world.plan.key || dice.chance(500)) => {
                world.hosts[a].wall_step_us = dice.roll(2 * LARGEST_STEP_US as u64) as i64 - LARGEST_STEP_US;
            }
            16 => world.hosts[a].journal_fails = dice.chance(300),
            17 => self.ask(world, site, Command::ClientRevoke, 0),
            18..=24 => self.ask(world, site, Command::ClientGrant, [0, 2, 4][dice.roll(3) as usize]),
            25 if up && ours => {
                self.kill(world, a, dice);
                world.run(dice.roll(30));
                world.boot(a);
            }
            26 => world.hosts[site].handler_passes = dice.chance(600),
            27 | 28 => world.net = net(dice),
            _ => {}
        }
    }

    /// A reference leader that is dead leaves its ticket granted.
    fn may_die(&self, host: usize) -> bool {
        self.shape.claim == Claim::OursLeads || !self.shape.is_reference(host)
    }

    /// A reference site that is held up acts later on what has long run out.
    fn may_be_held_up(&self, host: usize) -> bool {
        !self.shape.is_reference(host) || (self.shape.claim == Claim::OursLeads && host >= self.shape.plan.sites)
    }

    /// A reference daemon comes back when nothing that it has forgotten binds it any more.
    fn may_boot(&self, world: &World, host: usize) -> bool {
        !self.shape.is_reference(host) || world.now_ms > self.killed_ms[host] + self.shape.longest_promise_ms()
    }

    fn kill(&mut self, world: &mut World, host: usize, dice: &mut Dice) {
        if !self.shape.is_reference(host) && dice.chance(200) {
            world.kill_and_lose_journal(host);
        } else {
            world.kill(host);
        }
        self.killed_ms[host] = world.now_ms;
    }

    fn ask(&self, world: &mut World, site: usize, command: Command, options: u32) {
        if world.is_up(site) && !world.hosts[site].frozen {
            world.ask(site, command, "T", options);
        }
    }

    /// No more faults, but for members that are dead.
    pub fn stop(&self, world: &mut World) {
        world.heal();
        world.net = Net::GOOD;
        for host in 0..world.hosts.len() {
            world.hosts[host].journal_fails = false;
            world.hosts[host].handler_passes = true;
            // A clock that was set back while the journal was lost cuts a member off until it has caught up.
            world.hosts[host].wall_step_us = LARGEST_STEP_US;
            world.hosts[host].habit = StoreHabit::WORKS;
            if world.hosts[host].frozen {
                world.thaw(host);
            }
        }
    }

    /// All that are dead are started.
    pub fn boot_all(&self, world: &mut World) {
        for host in 0..world.hosts.len() {
            if !world.is_up(host) {
                world.boot(host);
            }
        }
    }
}

fn net(dice: &mut Dice) -> Net {
    Net {
        loss_per_mille: [0, 50, 300][dice.roll(3) as usize],
        copies_per_mille: [0, 100][dice.roll(2) as usize],
        most_delay_ms: [1, 2, LATEST_MS][dice.roll(3) as usize],
        ..Net::GOOD
    }
}

fn habit(dice: &mut Dice, may_fail: bool) -> StoreHabit {
    if !may_fail {
        return StoreHabit { delay_ms: 1 + dice.roll(SLOWEST_STORE_MS), fails_per_mille: 0, hangs: false };
    }
    let fails_per_mille = if dice.chance(500) { dice.roll(900) } else { 0 };
    StoreHabit { delay_ms: 1 + dice.roll(400), fails_per_mille, hangs: dice.chance(200) }
}
