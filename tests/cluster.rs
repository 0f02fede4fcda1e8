//! Clusters of real nodes in virtual time: what administrators see, and what must never happen.
#![allow(clippy::unwrap_used)]

mod world;

use booth_core::wire::Outcome;
use world::{Plan, World, ticket};

fn plan(acquire_after: u64) -> Plan {
    Plan {
        sites: 2,
        arbitrators: 1,
        tickets: vec![ticket("T", 10_000, acquire_after)],
        key: true,
        seed: 1,
        remember: true,
    }
}

/// A cluster in which the first site holds the ticket.
fn granted(acquire_after: u64) -> World {
    let mut world = World::new(plan(acquire_after));
    world.run(2_000);
    let client = world.grant(0, "T");
    let took = world.run_until(1_000, |world| world.holder(0) == Some(0));
    assert!(took.is_some(), "{}", world.transcript.join("\n"));
    world.run(100);
    assert_eq!(world.answer(client), Some(Outcome::Success));
    world
}

#[test]
fn a_new_cluster_can_be_granted_its_first_ticket_at_once_s7() {
    let mut world = World::new(Plan { remember: false, ..plan(3_000) });
    world.run(2_000);
    world.grant(0, "T");
    let took = world.run_until(1_000, |world| world.holder(0) == Some(0));
    assert!(took.is_some(), "{}", world.transcript.join("\n"));
}

#[test]
fn the_ticket_stays_as_long_as_a_majority_answers_l3() {
    let mut world = granted(3_000);
    let grants = world.grants;
    world.kill(1);
    world.run(120_000);
    assert_eq!(world.holder(0), Some(0));
    assert_eq!(world.grants, grants, "{}", world.transcript.join("\n"));
}

#[test]
fn a_dead_leader_is_followed_within_its_lease_and_acquire_after_l2() {
    for acquire_after in [0, 3_000] {
        let mut world = granted(acquire_after);
        world.run(7_000);
        world.kill(0);
        let took = world.run_until(30_000, |world| world.holder(0) == Some(1));
        let limit = 10_000 + acquire_after + 1_000;
        assert!(took.is_some_and(|ms| ms <= limit), "{took:?}\n{}", world.transcript.join("\n"));
    }
}

#[test]
fn a_leader_alone_gives_up_before_its_lease_ends_s4() {
    let mut world = granted(0);
    world.isolate(0);
    let took = world.run_until(20_000, |world| world.holder(0).is_none());
    assert!(took.is_some_and(|ms| ms < 10_000), "{took:?}\n{}", world.transcript.join("\n"));
    let took = world.run_until(20_000, |world| world.holder(0) == Some(1));
    assert!(took.is_some(), "{}", world.transcript.join("\n"));
    world.heal();
    world.run(30_000);
    assert_eq!(world.holder(0), Some(1), "{}", world.transcript.join("\n"));
}

#[test]
fn a_healed_majority_elects_again_l1() {
    let mut world = granted(0);
    world.isolate(0);
    world.isolate(1);
    world.run(40_000);
    assert_eq!(world.holder(0), None);
    world.heal();
    let took = world.run_until(5_000, |world| world.holder(0).is_some());
    assert!(took.is_some_and(|ms| ms <= 2_500), "{took:?}\n{}", world.transcript.join("\n"));
}

#[test]
fn a_restarted_leader_keeps_its_ticket_s10() {
    let mut world = granted(0);
    world.run(1_000);
    world.kill(0);
    world.run(500);
    world.boot(0);
    world.run(60_000);
    assert_eq!(world.holder(0), Some(0), "{}", world.transcript.join("\n"));
    assert_eq!(world.grants, 1, "never revoked:\n{}", world.transcript.join("\n"));
}

#[test]
fn a_leader_that_comes_back_after_its_lease_revokes_at_once() {
    let mut world = granted(0);
    world.kill(0);
    world.run_until(30_000, |world| world.holder(0) == Some(1)).unwrap();
    world.boot(0);
    let took = world.run_until(5_000, |world| !world.hosts[0].store[0].granted);
    assert!(took.is_some_and(|ms| ms < 200), "{took:?}\n{}", world.transcript.join("\n"));
    world.run(30_000);
    assert_eq!(world.holder(0), Some(1));
}

#[test]
fn a_revoked_ticket_stays_revoked_and_can_be_granted_elsewhere() {
    for acquire_after in [0, 3_000] {
        let mut world = granted(acquire_after);
        let client = world.revoke(0, "T");
        world.run(100);
        assert_eq!(world.answer(client), Some(Outcome::Success));
        assert_eq!(world.holder(0), None);
        let client = world.grant(1, "T");
        let took = world.run_until(10_000, |world| world.holder(0) == Some(1));
        assert!(took.is_some_and(|ms| ms <= acquire_after + 1_000), "{took:?}\n{}", world.transcript.join("\n"));
        world.run(100);
        assert_eq!(world.answer(client), Some(Outcome::Success));
    }
    let mut world = granted(0);
    world.revoke(0, "T");
    world.run(60_000);
    assert_eq!(world.holder(0), None, "{}", world.transcript.join("\n"));
}

#[test]
fn a_revoke_elsewhere_is_redirected_and_a_second_grant_refused() {
    let mut world = granted(0);
    let revoke = world.revoke(1, "T");
    let grant = world.grant(1, "T");
    let again = world.grant(0, "T");
    let unknown = world.grant(0, "U");
    world.run(100);
    assert_eq!(world.answer(revoke), Some(Outcome::Redirect));
    assert_eq!(world.answer(grant), Some(Outcome::Overgrant));
    assert_eq!(world.answer(again), Some(Outcome::Overgrant));
    assert_eq!(world.answer(unknown), Some(Outcome::InvalidArgument));
}

#[test]
fn an_isolated_follower_does_not_unseat_the_leader_when_it_returns_l3() {
    let mut world = granted(0);
    world.isolate(1);
    world.run(60_000);
    world.heal();
    world.run(20_000);
    // Now it is needed for the majority.
    world.kill(2);
    world.run(60_000);
    assert_eq!(world.holder(0), Some(0), "{}", world.transcript.join("\n"));
    assert_eq!(world.grants, 1, "{}", world.transcript.join("\n"));
}

#[test]
fn an_arbitrator_that_lost_its_journal_votes_again_after_a_lease_s7() {
    let mut world = granted(0);
    world.run(6_000);
    world.isolate(1);
    world.kill_and_lose_journal(2);
    world.kill(0);
    world.boot(2);
    world.heal();
    let took = world.run_until(40_000, |world| world.holder(0) == Some(1));
    assert!(took.is_some_and(|ms| ms > 9_000), "{took:?}\n{}", world.transcript.join("\n"));
}

#[test]
fn a_handler_that_fails_at_renewal_moves_the_ticket() {
    let mut plan = plan(2_000);
    plan.tickets[0].before_acquire = true;
    let mut world = World::new(plan);
    world.run(2_000);
    world.grant(0, "T");
    world.run_until(1_000, |world| world.holder(0) == Some(0)).unwrap();
    world.hosts[0].handler_passes = false;
    let took = world.run_until(12_000, |world| world.holder(0) == Some(1));
    assert!(took.is_some(), "{}", world.transcript.join("\n"));
    assert!(took.unwrap() <= 5_000 + 2_000 + 1_500, "{took:?}");
}

#[test]
fn a_store_that_cannot_revoke_keeps_the_lease_and_says_nothing_s8() {
    let mut world = granted(0);
    world.hosts[0].habit.fails_per_mille = 1000;
    let client = world.revoke(0, "T");
    world.run(40_000);
    assert_eq!(world.answer(client), Some(Outcome::More), "{}", world.transcript.join("\n"));
    assert!(!world.hosts[1].store[0].granted, "the lease is kept while the store may say granted");
    world.hosts[0].habit.fails_per_mille = 0;
    world.run(10_000);
    assert_eq!(world.answer(client), Some(Outcome::Success), "{}", world.transcript.join("\n"));
    assert_eq!(world.holder(0), None);
}
