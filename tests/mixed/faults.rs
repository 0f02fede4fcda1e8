//! What happens to a mixed cluster, out of one seed.

use super::world::{Dice, Net, Plan, StoreHabit, World, ticket};
use super::{Claim, Shape};
use booth_core::settings::{TicketSettings, ValidityUnit};
use booth_core::time::Millis;
use booth_core::wire::Command;

/// What a daemon of the reference may not be told to take its clock for.
const LARGEST_STEP_US: i64 = 250_000_000;
/// The longest that a datagram is under way in a bad network.
pub const LATEST_MS: u64 = 50;
/// The longest that a call of `crm_ticket` takes where the store works.
pub const SLOWEST_STORE_MS: u64 = 100;

/// Three to five members, one ticket, and who of them runs the reference.
pub fn shape(dice: &mut Dice, claim: Claim, seed: u64) -> Shape {
    let sites = 2 + dice.roll(2) as usize;
    let arbitrators = (3 - sites as u64 + dice.roll(2)) as usize + usize::from(dice.chance(200));
    let (ticket, unit) = any_ticket(dice);
    let plan = Plan { sites, arbitrators, tickets: vec![ticket], key: dice.chance(800), seed, remember: true };
    let references = claim.references(dice, &plan);
    Shape { plan, unit, references, claim }
}

fn any_ticket(dice: &mut Dice) -> (TicketSettings, ValidityUnit) {
    let expire = [4_000, 10_000, 60_000][dice.roll(3) as usize];
    let after = [0, 1_000, 7_000][dice.roll(3) as usize];
    let mut ticket = ticket("T", expire, after);
    ticket.timeout = Millis(ticket.timeout.0.min(expire / 10));
    let whole = ticket.timeout.0 % 1_000 == 0 && dice.chance(600);
    (ticket, if whole { ValidityUnit::Seconds } else { ValidityUnit::Milliseconds })
}

/// What has been done to the members.
pub struct Faults {
    /// When each member was killed.
    killed_ms: Vec<u64>,
}

impl Faults {
    pub fn new(hosts: usize) -> Faults {
        Faults { killed_ms: vec![0; hosts] }
    }

    /// A reference daemon comes back when nothing that it has forgotten binds it any more.
    fn may_boot(&self, world: &World, shape: &Shape, host: usize) -> bool {
        !shape.is_reference(host) || world.now_ms > self.killed_ms[host] + shape.longest_promise_ms()
    }

    pub fn fault(&mut self, world: &mut World, shape: &Shape, dice: &mut Dice) {
        let hosts = world.hosts.len() as u64;
        let (a, b) = (dice.roll(hosts) as usize, dice.roll(hosts) as usize);
        let site = dice.roll(world.plan.sites as u64) as usize;
        let up = world.is_up(a);
        let may_stop = shape.claim == Claim::OursLeads || !shape.is_reference(a);
        match dice.roll(28) {
            0 => world.isolate(a),
            1 | 2 if a != b => world.cut(a, b),
            3 if a != b => world.cut_one_way(a, b),
            4..=6 => world.heal(),
            7 if up && may_stop => self.kill(world, a),
            8 | 9 if !up && self.may_boot(world, shape, a) => world.boot(a),
            10 if up && may_stop => world.freeze(a),
            11 | 12 if up && world.hosts[a].frozen => world.thaw(a),
            13 | 14 => {
                world.hosts[site].habit = habit(dice, shape.claim == Claim::OursLeads || !shape.is_reference(site))
            }
            15 if !shape.is_reference(a) && (!world.plan.key || dice.chance(500)) => {
                world.hosts[a].wall_step_us = dice.roll(2 * LARGEST_STEP_US as u64) as i64 - LARGEST_STEP_US;
            }
            16 => world.hosts[a].journal_fails = dice.chance(300),
            17 if world.is_up(site) && !world.hosts[site].frozen => {
                world.ask(site, Command::ClientRevoke, "T", 0);
            }
            18..=24 if world.is_up(site) && !world.hosts[site].frozen => {
                world.ask(site, Command::ClientGrant, "T", [0, 2, 4][dice.roll(3) as usize]);
            }
            21 if up && !shape.is_reference(a) => {
                world.kill(a);
                world.run(dice.roll(30));
                world.boot(a);
            }
            25 | 26 => {
                world.net = Net {
                    loss_per_mille: [0, 50, 300][dice.roll(3) as usize],
                    copies_per_mille: [0, 100][dice.roll(2) as usize],
                    least_delay_ms: 1,
                    most_delay_ms: [1, 2, LATEST_MS][dice.roll(3) as usize],
                };
            }
            _ => {}
        }
    }

    fn kill(&mut self, world: &mut World, host: usize) {
        world.kill(host);
        self.killed_ms[host] = world.now_ms;
    }

    pub fn boot_all(&self, world: &mut World) {
        for host in 0..world.hosts.len() {
            if !world.is_up(host) {
                world.boot(host);
            }
        }
    }

    pub fn stop(&self, world: &mut World) {
        world.heal();
        world.net = Net::GOOD;
        for host in 0..world.hosts.len() {
            world.hosts[host].journal_fails = false;
            world.hosts[host].wall_step_us = LARGEST_STEP_US;
            world.hosts[host].habit = StoreHabit::WORKS;
            if world.hosts[host].frozen {
                world.thaw(host);
            }
        }
    }
}

fn habit(dice: &mut Dice, may_fail: bool) -> StoreHabit {
    if !may_fail {
        return StoreHabit { delay_ms: 1 + dice.roll(SLOWEST_STORE_MS), fails_per_mille: 0, hangs: false };
    }
    let fails_per_mille = if dice.chance(500) { dice.roll(900) } else { 0 };
    StoreHabit { delay_ms: 1 + dice.roll(400), fails_per_mille, hangs: dice.chance(200) }
}
