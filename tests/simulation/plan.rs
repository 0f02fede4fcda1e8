//! What a run of the simulation is made of: members, tickets, times and clocks, spread over all that a configuration
//! may say.

use crate::world::daemon::Ours;
use crate::world::{Dice, Plan, World, ticket};
use booth_core::lease;
use booth_core::settings::{Mode, TicketSettings, ValidityUnit};
use booth_core::time::Millis;

/// Leases of one run are about this long, in milliseconds: from the useless to the longest that can be configured.
const SCALES: [u64; 12] =
    [60, 400, 1_000, 2_000, 4_000, 4_000, 10_000, 10_000, 60_000, 600_000, 86_400_000, 2_147_483_647];
/// What the clocks may run apart (S4), in parts per million.
const LARGEST_DRIFT: i64 = 2_000;
const NAMES: [&str; 8] = ["A", "B", "C", "D", "E", "F", "G", "H"];
/// No round trip and no store takes longer while all is well, in milliseconds.
const GOOD_ROUND_TRIP: u64 = 10;
const GOOD_STORE: u64 = 50;

/// What a run tells of what happens in it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Nothing,
    /// In its transcript.
    Transcript,
    /// On the standard output, as it happens.
    AtOnce,
}

/// Three to seven members, rarely fewer; one to eight tickets, mostly few.
pub fn world(dice: &mut Dice, seed: u64, told: Told) -> World {
    let sites = dice.one_of(&[1, 2, 2, 2, 2, 2, 3, 3, 3, 4, 5, 7]);
    let least = if dice.chance(100) { 0 } else { 3_usize.saturating_sub(sites) };
    let most = (7 - sites).min(4);
    let arbitrators = dice.between(least as u64, most.max(least) as u64) as usize;
    let scale = dice.one_of(&SCALES);
    let whole_seconds = scale >= 4_000 && dice.chance(300);
    let count = dice.one_of(&[1, 1, 1, 1, 1, 2, 2, 2, 3, 8]);
    let tickets = NAMES[..count].iter().map(|name| any_ticket(dice, name, scale, whole_seconds)).collect();
    let plan = Plan { sites, arbitrators, tickets, key: dice.chance(700), seed, remember: dice.chance(500) };
    let unit = if whole_seconds { ValidityUnit::Seconds } else { ValidityUnit::Milliseconds };
    let mut world = World::with_unit(plan, unit, |_| Ours::start);
    (world.verbose, world.live) = (told != Told::Nothing, told == Told::AtOnce);
    world.network.recording = true;
    set_clocks(&mut world, dice);
    world
}

/// The first lines of a transcript: what the world is made of.
pub fn describe(world: &mut World) {
    let keyed = if world.plan.key { "with a key" } else { "without a key" };
    let remember = if world.plan.remember { "with their journals" } else { "without journals" };
    world.write_down("plan", format_args!("{keyed}, started {remember}"));
    for host in 0..world.hosts.len() {
        let speaks = if world.hosts[host].wordless { "as the reference" } else { "in our words" };
        let drift = world.hosts[host].drift_ppm;
        world.say(host, format_args!("clock {drift:+} ppm, speaks {speaks}"));
    }
    for at in 0..world.plan.tickets.len() {
        let ticket = world.plan.tickets[at].clone();
        let (expire, after, renewal) = (ticket.expire.0, ticket.acquire_after.0, ticket.renewal.0);
        let tries = format!("timeout {}, retries {}", ticket.timeout.0, ticket.retries);
        let mode = ticket.mode;
        world.write_down(
            "plan",
            format_args!(
                "ticket {at}: {mode:?}, expire {expire} ms, acquire-after {after}, renewal {renewal}, {tries}"
            ),
        );
    }
}

fn any_ticket(dice: &mut Dice, name: &str, scale: u64, whole_seconds: bool) -> TicketSettings {
    const LONGEST: u64 = 2_147_483_647;
    let unit = if whole_seconds { 1_000 } else { 1 };
    let whole = |span: u64| (span / unit).max(1) * unit;
    let expire = whole((scale * dice.one_of(&[1, 1, 1, 2, 3])).min(LONGEST) - dice.roll(scale / 10));
    let after = dice.one_of(&[0, 0, 1, 1_000, expire / 10, expire / 2, expire, 3 * expire]).min(LONGEST);
    let mut ticket = ticket(name, expire, if whole_seconds { after / unit * unit } else { after });
    ticket.renewal = Millis(whole(expire * dice.one_of(&[50, 50, 50, 25, 33, 75, 99]) / 100));
    ticket.retries = dice.one_of(&[3, 3, 3, 5, 10, 100]);
    // `timeout` * (`retries` + 1) must be less than `renewal-freq`.
    let edge = ticket.renewal.0.saturating_sub(1) / (u64::from(ticket.retries) + 1);
    // Whoever has no majority asks once in `timeout`: a run of days would never end with one of a second.
    let timeout = if dice.chance(300) { edge } else { (edge / 2).min((expire / 100).max(1_000)) };
    ticket.timeout = Millis(if whole_seconds && timeout >= unit { timeout / unit * unit } else { timeout.max(1) });
    ticket.before_acquire = dice.chance(200);
    ticket.release_handler = dice.chance(250);
    ticket.crash_release = dice.chance(500);
    if dice.chance(300) {
        ticket.weights = std::array::from_fn(|_| dice.roll(3) as i32);
    }
    if dice.chance(60) {
        ticket.mode = Mode::Manual;
    }
    ticket
}

/// Clocks run apart as far as they may, in one direction or another, or anything in between.
fn set_clocks(world: &mut World, dice: &mut Dice) {
    let edges = dice.chance(500);
    for host in 0..world.hosts.len() {
        let any = dice.roll(2 * LARGEST_DRIFT as u64 + 1) as i64 - LARGEST_DRIFT;
        let edge = if dice.chance(500) { LARGEST_DRIFT } else { -LARGEST_DRIFT };
        world.set_drift(host, if edges { edge } else { any });
    }
}

/// Whether a ticket's times leave room for a network and stores that work: renewals are asked for again in time, and
/// the store can write a grant while the lease runs. Only such a ticket can be held for long.
pub fn is_livable(ticket: &TicketSettings) -> bool {
    let lease = ticket.expire.0 - ticket.expire.0 / 250 - 2;
    let give_up = lease - (ticket.expire.0 / 10).min(5_000);
    ticket.timeout.0 > GOOD_ROUND_TRIP && lease::renewal(ticket).0 + ticket.timeout.0 + GOOD_STORE < give_up
}
