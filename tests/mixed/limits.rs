//! Scenes: the lost update, which a majority of ours makes harmless; and what is not claimed, each with the two
//! holders that come of it.

use super::claim::Shape;
use super::world::World;
use super::{tail, three};
use booth_core::settings::ValidityUnit;
use booth_core::wire::{self, Command, Key};

const EXPIRE_MS: u64 = 12_000;
/// Bits of `Shape::references`.
const SITE_1: u32 = 1;
const SITE_2: u32 = 2;
const ARBITRATOR: u32 = 4;

fn shape(references: u32) -> Shape {
    three(references, EXPIRE_MS, 0, true, ValidityUnit::Seconds)
}

/// Site 1 holds the ticket, and has renewed it.
fn held(shape: &Shape) -> World {
    let mut world = shape.world();
    world.run(2_000);
    world.grant(0, "T");
    world.run(10_000);
    assert_eq!(world.holder(0), Some(0), "{}", tail(&world));
    world
}

/// For how long two sites had the ticket.
fn both_ms(world: &World) -> u64 {
    world.ledger.as_ref().unwrap().breaches(0, 0, world.now_ms).iter().map(|breach| breach.both_ms).sum()
}

/// The leader is cut off when its heartbeat has been answered and its update not yet sent.
fn lose_the_update(references: u32) -> u64 {
    let mut world = held(&shape(references));
    world.net.least_delay_ms = 10;
    world.net.most_delay_ms = 10;
    world.capture = true;
    let asked = |world: &World| {
        let key = Key::new(super::world::KEY);
        let is_heartbeat = |bytes: &[u8]| wire::decode(bytes, Some(&key)).unwrap().header.command == Command::Heartbeat;
        world.captured.iter().any(|(from, _, bytes)| *from == 0 && is_heartbeat(bytes))
    };
    world.run_until(2 * EXPIRE_MS, asked).unwrap();
    // The heartbeats arrive, the answers are under way.
    world.run(15);
    world.cut_one_way(0, 1);
    world.cut_one_way(0, 2);
    world.run(10);
    world.isolate(0);
    world.run(3 * EXPIRE_MS);
    assert_eq!(world.holder(0), Some(1), "taken over\n{}", tail(&world));
    both_ms(&world)
}

#[test]
fn a_lost_update_gives_two_holders_to_the_reference_and_none_where_the_followers_are_ours() {
    let alone = lose_the_update(SITE_1 | SITE_2 | ARBITRATOR);
    let among_ours = lose_the_update(SITE_1);
    let ours = lose_the_update(SITE_2 | ARBITRATOR);
    println!(
        "both held it: reference alone {alone} ms, reference among ours {among_ours} ms, ours among references {ours} ms"
    );
    assert!(alone > 4_000, "{alone} ms");
    assert_eq!((among_ours, ours), (0, 0));
}

/// The arbitrator alone backs our leader, and comes back without memory.
#[test]
fn a_reference_arbitrator_that_forgets_is_a_limit() {
    let mut world = held(&shape(ARBITRATOR));
    world.cut(0, 1);
    world.run(2 * EXPIRE_MS);
    assert_eq!((world.holder(0), both_ms(&world)), (Some(0), 0), "{}", tail(&world));
    world.cut(0, 2);
    world.kill(2);
    world.boot(2);
    world.run(EXPIRE_MS);
    assert!(both_ms(&world) > 0, "{}", tail(&world));
}

/// A reference site has heard of our step-down, and of nothing since.
#[test]
fn a_reference_site_that_stands_since_a_step_down_is_a_limit() {
    let mut shape = shape(SITE_2 | ARBITRATOR);
    shape.plan.tickets[0].before_acquire = true;
    let mut world = held(&shape);
    world.hosts[0].handler_passes = false;
    world.run_until(EXPIRE_MS, |world| !world.hosts[0].store[0].granted).unwrap();
    world.run(10);
    world.isolate(1);
    world.hosts[0].handler_passes = true;
    // It waits until site 2 can no longer have it.
    world.grant(0, "T");
    world.run_until(2 * EXPIRE_MS, |world| world.hosts[0].store[0].granted).expect("granted again");
    world.run(1_000);
    world.heal();
    world.cut(0, 1);
    world.run(EXPIRE_MS);
    assert!(both_ms(&world) > 0, "{}", tail(&world));
}

/// Our step-down reaches the arbitrator again when its sender leads again.
#[test]
fn a_late_step_down_is_a_limit() {
    let mut shape = shape(ARBITRATOR);
    shape.plan.tickets[0].before_acquire = true;
    let mut world = held(&shape);
    world.capture = true;
    world.hosts[0].handler_passes = false;
    world.run_until(EXPIRE_MS, |world| !world.hosts[0].store[0].granted).unwrap();
    world.run(10);
    let key = Key::new(super::world::KEY);
    let is_step_down = |bytes: &[u8]| wire::decode(bytes, Some(&key)).unwrap().header.command == Command::Vote;
    let late = world.captured.iter().find(|(from, to, bytes)| (*from, *to) == (0, 2) && is_step_down(bytes));
    let late = late.unwrap().2.clone();
    world.isolate(1);
    world.hosts[0].handler_passes = true;
    // It waits until site 2 can no longer have it.
    world.grant(0, "T");
    world.run_until(2 * EXPIRE_MS, |world| world.hosts[0].store[0].granted).expect("granted again");
    world.run(2 * EXPIRE_MS);
    world.heal();
    world.isolate(0);
    world.inject(0, 2, &late);
    world.run(EXPIRE_MS);
    assert!(both_ms(&world) > 0, "{}", tail(&world));
}

/// An old leader of the reference votes for the next as soon as it has given up; with the votes of all sites an
/// administrator's grant is written at once.
#[test]
fn acquire_after_behind_a_reference_leader_is_a_limit_where_an_administrator_asks() {
    const AFTER_MS: u64 = 7_000;
    let mut shape = shape(SITE_1);
    shape.plan.tickets[0].acquire_after.0 = AFTER_MS;
    let mut world = shape.world();
    world.run(2_000);
    world.isolate(1);
    world.grant(0, "T");
    world.run(2 * EXPIRE_MS + AFTER_MS);
    assert_eq!(world.holder(0), Some(0), "{}", tail(&world));
    world.kill(2);
    world.run_until(2 * EXPIRE_MS, |world| world.holder(0).is_none()).unwrap();
    world.heal();
    world.grant(1, "T");
    world.run_until(EXPIRE_MS, |world| world.holder(0) == Some(1)).unwrap();
    let breaches = world.ledger.as_ref().unwrap().breaches(0, AFTER_MS, world.now_ms);
    assert_eq!(breaches.len(), 1, "{}", tail(&world));
    assert_eq!((breaches[0].both_ms, breaches[0].asked_for), (0, true));
}

/// A reference leader that is stopped keeps its ticket granted, and nothing at its site takes it away.
#[test]
fn a_reference_leader_that_is_stopped_is_a_limit() {
    let mut world = held(&shape(SITE_1));
    world.freeze(0);
    world.run(3 * EXPIRE_MS);
    assert!(both_ms(&world) > 0, "{}", tail(&world));
}
