//! The last resort where a store does not revoke (`on-stuck-revoke`): when it is run, when not, and
//! how often. Virtual time; S0 rests on it where nothing else at the site acts (S8, S12).
#![allow(clippy::unwrap_used)]

mod world;

use booth_core::lease;
use booth_core::settings::Mode;
use booth_core::time::Instant;
use booth_core::view::TicketView;
use world::{Plan, World, ticket};

const EXPIRE: u64 = 10_000;
const AFTER: u64 = 5_000;
const SITE1: usize = 0;
const SITE2: usize = 1;
const ALL: u64 = 1_000;

fn plan() -> Plan {
    let mut tickets = vec![ticket("T", EXPIRE, AFTER)];
    tickets[0].on_stuck_revoke = true;
    Plan { sites: 2, arbitrators: 1, tickets, key: true, seed: 1, remember: true }
}

/// How long after the lease's end.
fn grace(world: &World) -> u64 {
    lease::stuck_grace(&world.plan.tickets[0]).0
}

/// The first site holds the ticket.
fn granted(plan: Plan) -> World {
    let mut world = World::new(plan);
    world.run(2_000);
    grant(&mut world);
    world
}

fn grant(world: &mut World) {
    world.grant(SITE1, "T");
    assert!(world.run_until(30_000, |world| world.holder(0) == Some(SITE1)).is_some(), "{}", story(world));
    world.run(100);
}

fn story(world: &World) -> String {
    world.transcript.join("\n")
}

fn view(world: &World, host: usize) -> TicketView<'_> {
    world.node(host).tickets(world.now(host)).next().unwrap()
}

/// In world time.
fn at(world: &World, host: usize, instant: Instant) -> u64 {
    instant.0 + world.now_ms - world.now(host).boot.0
}

/// When the lease of the first site ends, in world time.
fn lease_end(world: &World) -> u64 {
    at(world, SITE1, view(world, SITE1).expires.unwrap())
}

/// When the command was run, in world time and thus in the order of the transcript.
fn runs(world: &World) -> Vec<u64> {
    let lines = world.transcript.iter().filter(|line| line.ends_with("ticket 0: LastResort"));
    lines
        .map(|line| (line.split_whitespace().next().unwrap().parse::<f64>().unwrap() * 1_000.0).round() as u64)
        .collect()
}

/// Cut off for good, with a store that does nothing any more.
fn cut_off_and_stuck(world: &mut World, hangs: bool) {
    world.isolate(SITE1);
    world.hosts[SITE1].habit.hangs = hangs;
    world.hosts[SITE1].habit.fails_per_mille = if hangs { 0 } else { ALL };
}

#[test]
fn it_is_run_once_when_the_lease_has_ended_and_the_grace_is_over() {
    for hangs in [false, true] {
        let mut world = granted(plan());
        cut_off_and_stuck(&mut world, hangs);
        let due = lease_end(&world) + grace(&world);
        world.run(due - 1 - world.now_ms);
        assert_eq!(runs(&world), [], "{}", story(&world));
        world.run(600_000);
        assert_eq!(runs(&world), [due], "{}", story(&world));
        let seen = view(&world, SITE1);
        assert_eq!(seen.last_resort.map(|run| at(&world, SITE1, run)), Some(due));
        assert!(seen.revoke_overdue.is_some());
    }
}

/// Another site may have the ticket from then on: a command that takes no longer than the rest of
/// `acquire-after` has ended the first grant by then.
#[test]
fn it_is_run_before_another_site_is_granted_the_ticket() {
    let mut world = granted(plan());
    cut_off_and_stuck(&mut world, true);
    let end = lease_end(&world);
    assert!(world.run_until(60_000, |world| world.holder(0) == Some(SITE2)).is_some(), "{}", story(&world));
    assert_eq!(runs(&world), [end + grace(&world)]);
    assert!(world.now_ms >= end + AFTER, "{}", story(&world));
}

#[test]
fn it_is_not_run_when_the_revoke_gets_through_in_the_grace() {
    let mut world = granted(plan());
    cut_off_and_stuck(&mut world, false);
    let end = lease_end(&world);
    world.run(end + grace(&world) / 4 - world.now_ms);
    assert!(view(&world, SITE1).revoke_overdue.is_some(), "{}", story(&world));
    world.hosts[SITE1].habit.fails_per_mille = 0;
    world.run(grace(&world) * 3 / 4 - 1);
    assert!(view(&world, SITE1).revoke_overdue.is_none(), "the store was asked too late: {}", story(&world));
    world.run(600_000);
    assert_eq!(runs(&world), [], "{}", story(&world));
}

#[test]
fn it_is_not_run_while_the_lease_is_renewed() {
    let mut world = granted(plan());
    world.hosts[SITE1].habit.fails_per_mille = ALL;
    world.revoke(SITE1, "T");
    world.run(600_000);
    assert_eq!(runs(&world), [], "{}", story(&world));
    world.isolate(SITE1);
    let due = lease_end(&world) + grace(&world);
    world.run(600_000);
    assert_eq!(runs(&world), [due], "{}", story(&world));
}

#[test]
fn it_is_armed_again_when_the_store_has_confirmed_a_write() {
    let mut world = granted(plan());
    for incident in 1..=2 {
        cut_off_and_stuck(&mut world, true);
        world.run(60_000);
        assert_eq!(runs(&world).len(), incident, "{}", story(&world));
        world.hosts[SITE1].habit.hangs = false;
        world.run(20_000);
        assert_eq!(view(&world, SITE1).last_resort, None);
        world.heal();
        world.run(1_000);
        if let Some(holder) = world.holder(0) {
            world.revoke(holder, "T");
            world.run(20_000);
        }
        grant(&mut world);
    }
}

/// A daemon that was stopped asks its store first, and gives it as much time as any other.
#[test]
fn a_daemon_that_has_slept_asks_the_store_first() {
    for works in [true, false] {
        let mut world = granted(plan());
        let end = lease_end(&world);
        world.freeze(SITE1);
        world.run(end + 60_000 - world.now_ms);
        world.hosts[SITE1].habit.hangs = !works;
        world.thaw(SITE1);
        let woken = world.now_ms;
        world.run(60_000);
        let expected = if works { vec![] } else { vec![woken + grace(&world)] };
        assert_eq!(runs(&world), expected, "{}", story(&world));
    }
}

/// The daemon was stopped while the store revoked: on waking it found the grace over before it had read
/// the store's answer, which would have rebooted the node of a site that was in order.
#[test]
fn an_answer_that_came_while_the_daemon_slept_is_heard_first() {
    let mut world = granted(plan());
    world.isolate(SITE1);
    let end = lease_end(&world);
    assert!(world.run_until(EXPIRE, |world| view(world, SITE1).revoke_overdue.is_some()).is_some());
    assert!(world.now_ms < end);
    world.freeze(SITE1);
    world.run(60_000);
    world.thaw(SITE1);
    world.run(600_000);
    assert_eq!(runs(&world), [], "{}", story(&world));
}

/// By the clock of a machine that was paused the lease still runs; its successor knows better, and holds
/// the ticket already.
#[test]
fn a_leader_that_was_succeeded_does_not_wait_for_the_lease_of_its_own_clock() {
    let mut world = granted(plan());
    // The pause itself makes two holders: no guard's clock runs either.
    world.forced.insert(0);
    world.freeze(SITE1);
    world.set_drift(SITE1, -999_999);
    world.run_until(4 * EXPIRE, |world| world.hosts[SITE2].store[0].granted).unwrap();
    world.set_drift(SITE1, 0);
    world.hosts[SITE1].habit.hangs = true;
    let end = lease_end(&world);
    world.thaw(SITE1);
    world.run_until(2_000, |world| view(world, SITE1).revoke_overdue.is_some()).unwrap();
    let succeeded = world.now_ms;
    assert!(succeeded < end);
    world.run(60_000);
    assert_eq!(runs(&world), [succeeded + grace(&world)], "{}", story(&world));
}

/// The store can be read after a restart, and says granted; it cannot be written any more.
#[test]
fn a_restarted_daemon_runs_it_for_what_its_predecessor_left() {
    let mut world = granted(plan());
    world.isolate(SITE1);
    world.kill(SITE1);
    world.boot(SITE1);
    world.run(100);
    // The store keeps whole seconds.
    let recorded = world.hosts[SITE1].store[0].expires.seconds() * 1_000_000;
    let end = world.now_ms + recorded.saturating_sub(world.now(SITE1).wall.0).div_ceil(1_000);
    assert!(end > world.now_ms + EXPIRE / 2, "{}", story(&world));
    world.hosts[SITE1].habit.fails_per_mille = ALL;
    world.run(600_000);
    let runs = runs(&world);
    assert_eq!(runs.len(), 1, "{}", story(&world));
    // The lease was read from two clocks, each in whole milliseconds.
    assert!(runs[0].abs_diff(end + grace(&world)) <= 2, "{runs:?} {end}\n{}", story(&world));
}

/// The daemon was restarted while the CIB hung, could not even read it, and never ran the command: for
/// all that it knew nothing was granted here.
#[test]
fn a_store_that_cannot_be_read_is_suspected_where_the_journal_tells_of_a_lease() {
    let mut world = granted(plan());
    cut_off_and_stuck(&mut world, true);
    world.kill(SITE1);
    world.boot(SITE1);
    let latest = world.now_ms + EXPIRE + grace(&world) + lease::margins(&world.plan.tickets[0]).drift.0;
    world.run(latest - world.now_ms - 1);
    assert_eq!(runs(&world), [], "{}", story(&world));
    world.run(600_000);
    assert_eq!(runs(&world), [latest], "{}", story(&world));
}

#[test]
fn a_store_that_cannot_be_read_is_not_suspected_without_a_lease() {
    let mut world = granted(plan());
    let client = world.revoke(SITE1, "T");
    world.run(1_000);
    assert!(world.answer(client).is_some() && world.holder(0).is_none());
    for host in [SITE1, SITE2] {
        world.hosts[host].habit.hangs = true;
        world.kill(host);
        world.boot(host);
    }
    world.run(600_000);
    assert_eq!(runs(&world), [], "{}", story(&world));
}

#[test]
fn it_is_never_run_where_none_is_configured_or_no_lease_can_end() {
    let mut without = plan();
    without.tickets[0].on_stuck_revoke = false;
    let mut manual = plan();
    manual.tickets[0].mode = Mode::Manual;
    for plan in [without, manual] {
        let mut world = granted(plan);
        cut_off_and_stuck(&mut world, false);
        world.revoke(SITE1, "T");
        world.run(600_000);
        assert_eq!(runs(&world), [], "{}", story(&world));
        assert!(view(&world, SITE1).revoke_overdue.is_some() || view(&world, SITE1).manual);
    }
}
