//! What goes wrong in a run, what administrators do meanwhile, and how it all stops.

use crate::aimed;
use crate::world::{Dice, FORCE, NODES, Net, StoreHabit, Tear, World};
use booth_core::wire::Command;

/// Wall clocks are stepped by an hour at most.
const LARGEST_STEP_US: i64 = 3_600_000_000;
/// Two that are stepped by so much, one ahead and one back, differ by less than `maxtimeskew`.
const FAR_STEP_US: i64 = 250_000_000;
/// Both copies of a record.
const RECORD_LEN: u64 = 1024;
/// The bits of one copy.
const COPY_BITS: u64 = 4096;

/// A kind of fault: what it is called, how often it is tried, and what it does; that tells whether it could be done.
struct Kind {
    name: &'static str,
    weight: u64,
    strike: fn(&mut World, &mut Dice) -> bool,
}

const fn kind(name: &'static str, weight: u64, strike: fn(&mut World, &mut Dice) -> bool) -> Kind {
    Kind { name, weight, strike }
}

const KINDS: [Kind; 32] = [
    kind("isolated", 3, |world, dice| any(world, dice, |world, host| world.isolate(host))),
    kind("cut", 3, |world, dice| two(world, dice, World::cut)),
    kind("cut one way", 3, |world, dice| two(world, dice, World::cut_one_way)),
    kind("healed", 9, |world, _| {
        world.heal();
        true
    }),
    kind("network", 8, network),
    kind("replayed", 10, |world, _| world.replay()),
    kind("killed", 3, |world, dice| running(world, dice, |world, _, host| world.kill(host))),
    kind("killed in a write", 4, |world, dice| running(world, dice, stop_in_write)),
    kind("killed, journal damaged", 2, |world, dice| running(world, dice, kill_and_damage)),
    kind("killed, journal lost", 1, |world, dice| {
        running(world, dice, |world, _, host| world.kill_and_lose_journal(host))
    }),
    kind("killed and started", 3, |world, dice| running(world, dice, restart)),
    kind("started", 9, start),
    kind("all of a sort killed", 1, kill_a_sort),
    kind("crashed", 5, crash),
    kind("announcements replayed", 2, |world, _| world.replay_announcements()),
    kind("frozen", 2, |world, dice| running(world, dice, |world, _, host| world.freeze(host))),
    kind("suspended", 2, |world, dice| running(world, dice, |world, _, host| world.suspend(host))),
    kind("thawed", 7, thaw),
    kind("clock stepped", 3, step_clock),
    kind("journal full", 3, |world, dice| {
        let fails = dice.chance(400);
        any(world, dice, |world, host| world.hosts[host].journal_fails = fails)
    }),
    kind("store", 6, store),
    kind("handler", 4, handler),
    kind("grant", 10, |world, dice| ask(world, dice, Command::ClientGrant, [0, 2, 4])),
    kind("grant forced", 1, |world, dice| {
        // Rarely: afterwards S0 is no longer promised for that ticket.
        dice.chance(200) && ask(world, dice, Command::ClientGrant, [FORCE, FORCE | 2, FORCE | 4])
    }),
    kind("revoke", 4, |world, dice| ask(world, dice, Command::ClientRevoke, [0, 2, 0])),
    kind("client gone", 2, |world, dice| {
        let waiting = world.waiting();
        let Some(client) = waiting.get(dice.roll(waiting.len() as u64) as usize) else { return false };
        world.hang_up(*client);
        true
    }),
    kind("client's request repeated", 1, repeat_request),
    kind("answers late", 3, aimed::late_answers),
    kind("others forget", 1, aimed::others_forget),
    kind("nodes crash in turn", 2, aimed::nodes_crash_in_turn),
    kind("speaks as the reference", 1, |world, dice| {
        let host = one(world, dice);
        if world.mixed {
            world.change_language(host);
        }
        world.mixed
    }),
    kind("nothing", 3, |_, _| true),
];

/// How often each kind of fault has struck.
#[derive(Clone, Default)]
pub struct Tally([u64; KINDS.len()]);

impl Tally {
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Each kind and how often, in words.
    pub fn words(&self) -> String {
        let words: Vec<String> =
            KINDS.iter().zip(self.0).map(|(kind, count)| format!("{} {count}", kind.name)).collect();
        words.join(", ")
    }

    /// Kinds that have never struck: what a sweep has not tried it has not shown.
    pub fn missing(&self) -> Vec<&'static str> {
        KINDS.iter().zip(self.0).filter(|(_, count)| *count == 0).map(|(kind, _)| kind.name).collect()
    }
}

/// One fault, or nothing where it cannot be done.
pub fn strike(world: &mut World, dice: &mut Dice, tally: &mut Tally) {
    let mut lot = dice.roll(KINDS.iter().map(|kind| kind.weight).sum());
    for (kind, count) in KINDS.iter().zip(&mut tally.0) {
        if lot < kind.weight {
            world.write_down("fault", format_args!("{}", kind.name));
            if (kind.strike)(world, dice) {
                *count += 1;
                world.events += 1;
            }
            return;
        }
        lot -= kind.weight;
    }
}

// ---- whom it strikes -----------------------------------------------------------------------------

fn one(world: &World, dice: &mut Dice) -> usize {
    dice.roll(world.hosts.len() as u64) as usize
}

fn any_site(world: &World, dice: &mut Dice) -> usize {
    dice.roll(world.plan.sites as u64) as usize
}

fn any(world: &mut World, dice: &mut Dice, act: impl Fn(&mut World, usize)) -> bool {
    let host = one(world, dice);
    act(world, host);
    true
}

fn two(world: &mut World, dice: &mut Dice, act: fn(&mut World, usize, usize)) -> bool {
    let (a, b) = (one(world, dice), one(world, dice));
    if a != b {
        act(world, a, b);
    }
    a != b
}

fn running(world: &mut World, dice: &mut Dice, act: fn(&mut World, &mut Dice, usize)) -> bool {
    let host = one(world, dice);
    let runs = world.hosts[host].runs();
    if runs {
        act(world, dice, host);
    }
    runs
}

// ---- members and their disks ---------------------------------------------------------------------

/// The next write to the journal is the last thing that happens on this machine.
fn stop_in_write(world: &mut World, dice: &mut Dice, host: usize) {
    let any = dice.roll(RECORD_LEN + 1) as usize;
    let written = dice.one_of(&[0, any, any, RECORD_LEN as usize]);
    world.stop_in_write(host, Tear { written, backwards: dice.chance(300) });
}

/// One slot is damaged, and sometimes its copy as well.
fn kill_and_damage(world: &mut World, dice: &mut Dice, host: usize) {
    world.kill(host);
    let ticket = dice.roll(world.plan.tickets.len() as u64) as usize;
    let copy = dice.roll(2) as usize;
    world.damage_journal(host, ticket, copy, dice.roll(COPY_BITS) as usize);
    if dice.chance(250) {
        world.damage_journal(host, ticket, 1 - copy, dice.roll(COPY_BITS) as usize);
    }
}

/// At any moment, in the middle of whatever goes on.
fn restart(world: &mut World, dice: &mut Dice, host: usize) {
    world.kill(host);
    world.run(dice.roll(30));
    world.boot(host);
}

fn start(world: &mut World, dice: &mut Dice) -> bool {
    let host = one(world, dice);
    let down = !world.is_up(host);
    if down {
        world.boot(host);
    }
    down
}

/// A node of a site crashes, or all of them do.
fn crash(world: &mut World, dice: &mut Dice) -> bool {
    let site = any_site(world, dice);
    let only = dice.chance(400).then_some(dice.roll(NODES as u64) as usize);
    for node in (0..NODES).filter(|node| only.is_none_or(|only| only == *node)) {
        world.crash(site, node);
    }
    true
}

/// Only arbitrators are left, or only sites.
fn kill_a_sort(world: &mut World, dice: &mut Dice) -> bool {
    let sites = dice.chance(500);
    for host in 0..world.hosts.len() {
        if (host < world.plan.sites) == sites && world.is_up(host) {
            world.kill(host);
        }
    }
    true
}

fn thaw(world: &mut World, dice: &mut Dice) -> bool {
    let host = one(world, dice);
    let frozen = world.is_up(host) && world.hosts[host].frozen;
    if frozen {
        world.thaw(host);
    }
    frozen
}

fn step_clock(world: &mut World, dice: &mut Dice) -> bool {
    let host = one(world, dice);
    let largest = dice.one_of(&[2_000_000, FAR_STEP_US, LARGEST_STEP_US]);
    world.clocks_far_off |= largest > FAR_STEP_US;
    world.hosts[host].wall_step_us = dice.roll(2 * largest as u64 + 1) as i64 - largest;
    true
}

// ---- network, stores, handlers -------------------------------------------------------------------

fn network(world: &mut World, dice: &mut Dice) -> bool {
    world.net = Net {
        loss_per_mille: dice.one_of(&[0, 0, 50, 300]),
        copies_per_mille: dice.one_of(&[0, 100]),
        least_delay_ms: 1,
        most_delay_ms: dice.one_of(&[1, 2, 50, 3_000]),
        astray_per_mille: dice.one_of(&[0, 0, 30]),
        damaged_per_mille: dice.one_of(&[0, 0, 20]),
    };
    true
}

fn store(world: &mut World, dice: &mut Dice) -> bool {
    let site = any_site(world, dice);
    let fails_per_mille = if dice.chance(400) { dice.roll(1_001) } else { 0 };
    let delay_ms = dice.one_of(&[1, 20, 400, 2_500]) + dice.roll(400);
    world.hosts[site].habit = StoreHabit { delay_ms, fails_per_mille, hangs: dice.chance(200) };
    true
}

fn handler(world: &mut World, dice: &mut Dice) -> bool {
    let site = any_site(world, dice);
    world.hosts[site].handler_passes = dice.chance(700);
    world.hosts[site].handler_hangs = dice.chance(300);
    true
}

// ---- administrators ------------------------------------------------------------------------------

fn ask(world: &mut World, dice: &mut Dice, command: Command, options: [u32; 3]) -> bool {
    let host = if dice.chance(950) { any_site(world, dice) } else { one(world, dice) };
    let ticket = dice.roll(world.plan.tickets.len() as u64) as usize;
    let options = dice.one_of(&options);
    let runs = world.hosts[host].runs();
    if runs {
        let name = world.plan.tickets[ticket].name.clone();
        world.ask(host, command, &name, options);
    }
    runs
}

/// Somebody has recorded a client's request, and sends it again at once and later: it is done at most once (S11).
fn repeat_request(world: &mut World, dice: &mut Dice) -> bool {
    let host = any_site(world, dice);
    if !world.plan.key || !world.hosts[host].runs() {
        return false;
    }
    let name = world.plan.tickets[0].name.clone();
    let request = world.request(host, Command::ClientGrant, &name, 0);
    let first = world.hand_over(host, &request);
    world.run(dice.roll(200));
    if !world.hosts[host].runs() {
        return true;
    }
    let again = world.hand_over(host, &request);
    let answers = (world.answer(first), world.answer(again));
    let refused = matches!(answers.1, Some(booth_core::wire::Outcome::AuthenticationFailed));
    assert!(refused, "S11: a client's request is taken twice: {answers:?}\n{}", world.story());
    true
}

/// All stores work again.
pub fn mend_stores(world: &mut World) {
    for host in &mut world.hosts {
        host.habit = StoreHabit::WORKS;
    }
}

/// Faults stop: the network is whole, what was astray is lost, all machines run, stores and handlers work.
pub fn stop(world: &mut World) {
    world.heal();
    world.net = Net::GOOD;
    world.forget_stragglers();
    mend_stores(world);
    world.end_handlers();
    for host in 0..world.hosts.len() {
        world.forget_tear(host);
        world.hosts[host].journal_fails = false;
        // A clock that was set back while the journal was lost cuts a member off until it has caught up.
        world.hosts[host].wall_step_us = LARGEST_STEP_US;
        world.hosts[host].handler_passes = true;
        world.hosts[host].handler_hangs = false;
        if !world.is_up(host) {
            world.boot(host);
        } else if world.hosts[host].frozen {
            world.thaw(host);
        }
    }
}
