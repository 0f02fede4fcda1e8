//! Stories of clusters that were changed while they ran: another configuration, another clock, members
//! that were away meanwhile. Each begins with what went wrong once.
#![allow(clippy::unwrap_used)]

mod world;

use booth_core::member::SiteId;
use booth_core::sink::Record;
use booth_core::time::Millis;
use booth_core::view::Holder;
use booth_core::wire::{self, Command, Outcome};
use world::{Plan, World, ticket};

const EXPIRE: u64 = 10_000;
const SITE1: usize = 0;
const SITE2: usize = 1;
const ARBITRATOR: usize = 2;

fn plan(acquire_after: u64) -> Plan {
    let tickets = vec![ticket("T", EXPIRE, acquire_after)];
    Plan { sites: 2, arbitrators: 1, tickets, key: true, seed: 1, remember: true }
}

/// The first site holds the ticket.
fn granted(plan: Plan) -> World {
    let mut world = World::new(plan);
    world.run(2_000);
    world.grant(SITE1, "T");
    assert!(world.run_until(1_000, |world| world.holder(0) == Some(SITE1)).is_some(), "{}", story(&world));
    world.run(100);
    world
}

fn story(world: &World) -> String {
    world.transcript.join("\n")
}

/// `expire` was halved member by member, the leader last: restarted, the others remembered their
/// promise for the new time only, and helped another while the leader's lease of the old one ran.
#[test]
fn a_promise_lasts_as_long_as_it_was_made_for_whatever_expire_is_after_the_restart_s7() {
    for restarts in [1, 2] {
        let mut plan = plan(0);
        plan.tickets[0].expire = Millis(2 * EXPIRE);
        plan.tickets[0].renewal = Millis(EXPIRE);
        let mut world = granted(plan);
        world.isolate(SITE1);
        world.plan.tickets[0].expire = Millis(EXPIRE);
        world.plan.tickets[0].renewal = Millis(EXPIRE / 2);
        for _ in 0..restarts {
            for host in [SITE2, ARBITRATOR] {
                world.kill(host);
                world.boot(host);
            }
            world.run(100);
        }
        // The world sees two holders, and a vote in spite of a promise.
        world.run(60_000);
        assert_eq!(world.holder(0), Some(SITE2), "{}", story(&world));
    }
}

/// A holder's clock was an hour slow when its daemon started again: by it the lease in the store had an
/// hour left, so the ticket was kept for a whole `expire`, and had a second holder. (The guard would
/// have ended it; here nothing is left to the guard. A step shorter than what has passed since the last
/// journal record, and than `expire`, cannot be seen.)
#[test]
fn s10_a_wall_clock_that_was_set_back_does_not_prolong_the_lease_in_the_store() {
    let mut world = granted(plan(0));
    world.run(4_000);
    world.kill(SITE1);
    world.isolate(SITE1);
    world.run(3_000);
    world.hosts[SITE1].wall_step_us = -3_600_000_000;
    world.boot(SITE1);
    world.run(30_000);
    assert_eq!(world.holder(0), Some(SITE2), "{}", story(&world));
    assert!(!story(&world).contains("by the guard"), "{}", story(&world));
}

/// A site was down while the ticket was granted for the first time, or again after a revoke that it knew
/// of, and came up when the holder was gone: it did not know that there was anything to fight for, and
/// the arbitrator, who did, cannot stand.
#[test]
fn a_site_that_was_away_at_the_grant_fights_for_the_ticket_l1() {
    for revoked_before in [false, true] {
        let mut world = if revoked_before { granted(plan(0)) } else { World::new(plan(0)) };
        if revoked_before {
            world.revoke(SITE1, "T");
        }
        world.run(2_000);
        world.kill(SITE2);
        world.grant(SITE1, "T");
        world.run_until(2 * EXPIRE, |world| world.holder(0) == Some(SITE1)).unwrap();
        world.run(10_000);
        world.kill(SITE1);
        world.run(30_000);
        world.boot(SITE2);
        let took = world.run_until(5_000, |world| world.holder(0) == Some(SITE2));
        assert!(took.is_some(), "{}", story(&world));
    }
}

/// ... but where the ticket was revoked again meanwhile, or never held, it stays where it is: nowhere.
#[test]
fn a_site_that_was_away_fights_for_nothing_that_was_revoked_since() {
    let mut world = granted(plan(0));
    world.revoke(SITE1, "T");
    world.run(2_000);
    world.kill(SITE2);
    world.grant(SITE1, "T");
    world.run_until(2 * EXPIRE, |world| world.holder(0) == Some(SITE1)).unwrap();
    world.revoke(SITE1, "T");
    world.run(10_000);
    world.kill(SITE1);
    world.run(30_000);
    world.boot(SITE2);
    world.run(60_000);
    assert_eq!(world.holder(0), None, "{}", story(&world));
}

/// A heartbeat overtaken by the revoke, at a member that had not heard of the leader before the revoke: it followed the late
/// heartbeat, named a holder for a whole `expire`, and then fought for what had been revoked.
#[test]
fn a_first_heartbeat_that_comes_after_the_revoke_is_not_followed() {
    let mut world = World::new(plan(0));
    world.run(2_000);
    world.capture = true;
    world.cut(SITE1, SITE2);
    world.grant(SITE1, "T");
    world.run(500);
    let key = wire::Key::new(world::KEY);
    let is_heartbeat = |bytes: &[u8]| wire::decode(bytes, Some(&key)).unwrap().header.command == Command::Heartbeat;
    let late = world.captured.iter().find(|(_, to, bytes)| *to == SITE2 && is_heartbeat(bytes)).cloned().unwrap();
    world.heal();
    world.revoke(SITE1, "T");
    world.run(500);
    world.inject(SITE1, SITE2, &late.2);
    let view = world.node(SITE2).tickets(world.now(SITE2)).next().unwrap();
    assert_eq!(view.holder, Holder::Nobody, "{}", story(&world));
}

/// Nobody held the ticket, several sites waited for acquire-after to fight for it: one of them was told
/// "revoked", and another had the ticket seconds later.
#[test]
fn a_revoke_between_two_holders_is_told_to_the_others() {
    let mut world = granted(Plan { sites: 3, arbitrators: 2, ..plan(5_000) });
    world.kill(SITE1);
    let is_lost = |world: &World| world.node(SITE2).tickets(world.now(SITE2)).all(|view| view.holder == Holder::Nobody);
    world.run_until(2 * EXPIRE, is_lost).unwrap();
    world.run(1_000);
    let client = world.revoke(SITE2, "T");
    world.run(100);
    assert_eq!(world.answer(client), Some(Outcome::Success), "{}", story(&world));
    world.run(60_000);
    assert_eq!(world.holder(0), None, "{}", story(&world));
}

/// A site was taken out of the configuration while it held the ticket, and went on with the old one:
/// what the others had promised it was forgotten at their restart, and another site had the ticket at once.
#[test]
fn a_promise_to_a_member_that_is_no_longer_configured_is_kept_s7() {
    for administrator in [false, true] {
        let mut world = World::new(plan(3_000));
        world.run(2_000);
        let removed = Some(SiteId(77));
        for host in 0..3 {
            world.kill(host);
            let last = world.journal(host, 0).unwrap();
            let owed = Record { term: 3, voted_term: 3, vote: removed, leader: removed, active: true, ..last };
            world.forge_journal(host, 0, Record { promised: Millis(EXPIRE), ..owed });
        }
        let start = world.now_ms;
        for host in 0..3 {
            world.boot(host);
            world.run(50);
            // Not even when it is restarted once more.
            world.kill(host);
            world.boot(host);
        }
        world.run(100);
        if administrator {
            world.grant(SITE2, "T");
        }
        let took = world.run_until(2 * EXPIRE, |world| world.holder(0).is_some());
        assert!(took.is_some() && world.now_ms >= start + EXPIRE + 3_000, "{}", story(&world));
    }
}

/// The leader's virtual machine was paused, and with it all its clocks: when it went on, its lease had
/// long ended but for itself. It refused the new leader until its own clock had caught up, and both held
/// the ticket for what had been left of the lease. (No clock of a paused machine can tell it more.)
#[test]
fn s4_a_leader_whose_clock_has_stood_still_believes_its_successor() {
    let mut world = granted(plan(0));
    // The world need not be told that the pause itself makes two holders: no guard's clock runs either.
    world.forced.insert(0);
    world.freeze(SITE1);
    world.set_drift(SITE1, -999_999);
    world.run_until(2 * EXPIRE, |world| world.hosts[SITE2].store[0].granted).unwrap();
    world.set_drift(SITE1, 0);
    world.thaw(SITE1);
    let took = world.run_until(2 * EXPIRE, |world| !world.hosts[SITE1].store[0].granted);
    // The successor repeats its heartbeat to who does not answer.
    assert!(took.is_some_and(|ms| ms <= 1_100), "{took:?} ms\n{}", story(&world));
    assert_eq!(world.holder(0), Some(SITE2));
}

/// A site was cut off from before the grant until the holder was gone: nothing ever told it that there
/// was a ticket to fight for.
#[test]
fn a_site_that_was_cut_off_at_the_grant_is_told_that_the_ticket_is_lost_l1() {
    let mut world = World::new(plan(0));
    world.run(2_000);
    world.isolate(SITE2);
    world.grant(SITE1, "T");
    world.run_until(2 * EXPIRE, |world| world.holder(0) == Some(SITE1)).unwrap();
    world.run(10_000);
    world.kill(SITE1);
    world.run(30_000);
    world.heal();
    let took = world.run_until(EXPIRE / 2 + 1_000, |world| world.holder(0) == Some(SITE2));
    assert!(took.is_some(), "{}", story(&world));
}

/// ... and is told no more when it has the ticket, or an administrator has revoked it.
#[test]
fn an_arbitrator_says_that_a_ticket_is_lost_until_it_is_found() {
    let mut world = granted(plan(0));
    world.kill(SITE1);
    world.hosts[SITE2].habit.fails_per_mille = 1_000;
    world.cut_one_way(SITE2, ARBITRATOR);
    world.capture = true;
    world.run(60_000);
    let key = wire::Key::new(world::KEY);
    let reminders = |world: &World| {
        let from_arbitrator = world.captured.iter().filter(|(from, _, _)| *from == ARBITRATOR);
        let command = |bytes: &[u8]| wire::decode(bytes, Some(&key)).unwrap().header.command;
        from_arbitrator.filter(|(_, _, bytes)| command(bytes) == Command::MyIndex).count()
    };
    assert!((10..=25).contains(&reminders(&world)), "{} reminders to two sites in 50 s", reminders(&world));
    world.heal();
    world.hosts[SITE2].habit.fails_per_mille = 0;
    world.run_until(2 * EXPIRE, |world| world.holder(0) == Some(SITE2)).unwrap();
    let before = reminders(&world);
    world.run(30_000);
    world.revoke(SITE2, "T");
    world.run(30_000);
    assert_eq!(reminders(&world), before, "{}", story(&world));
}

/// All that was known at the only site was lost, and it could reach nobody when it started again: its journal could not
/// be written, or it was cut off. The arbitrators had been restarted meanwhile: they had not heard it since, so they took
/// it for a member of the reference perhaps, and did not tell it that there was a ticket to fight for.
#[test]
fn a_site_that_has_forgotten_all_is_told_by_those_who_have_not_heard_it_yet_l1() {
    for journal_full in [true, false] {
        let mut world = granted(Plan { sites: 1, arbitrators: 2, ..plan(0) });
        (0..world::NODES).for_each(|node| _ = world.crash(SITE1, node));
        world.kill_and_lose_journal(SITE1);
        world.run(2 * EXPIRE);
        for arbitrator in [1, 2] {
            world.kill(arbitrator);
            world.boot(arbitrator);
        }
        if journal_full {
            world.hosts[SITE1].journal_fails = true;
        } else {
            world.isolate(SITE1);
        }
        world.boot(SITE1);
        world.run(5 * EXPIRE);
        assert_eq!(world.holder(0), None, "{}", story(&world));
        world.hosts[SITE1].journal_fails = false;
        world.heal();
        // It is asked first whether it understands what it is to be told.
        let took = world.run_until(EXPIRE + 1_000, |world| world.holder(0) == Some(SITE1));
        assert!(took.is_some(), "journal full: {journal_full}\n{}", story(&world));
    }
}

/// The first site gave its ticket up, cut off from the others, who forgot it: they elected the second one on an
/// administrator's word, its grant is held back, and the first one follows it. Tells when the first one gave up.
fn elected_by_those_who_forgot(acquire_after: u64) -> (World, u64) {
    let mut world = granted(plan(acquire_after));
    world.isolate(SITE1);
    for host in [SITE2, ARBITRATOR] {
        world.kill_and_lose_journal(host);
        world.boot(host);
    }
    let forgotten = world.now_ms;
    world.run_until(EXPIRE, |world| world.holder(0).is_none()).unwrap();
    let ended = world.now_ms;
    world.heal();
    // A site without memory keeps as much from its start.
    world.run(acquire_after + 500 - (ended - forgotten));
    let client = world.grant(SITE2, "T");
    world.run(2_000);
    assert_eq!(world.answer(client), Some(Outcome::CommitPending), "{}", story(&world));
    (world, ended)
}

/// The last holder followed the other meanwhile, which made it forget its own `acquire-after`. When the administrator
/// revoked and granted once more, all sites agreed, and the grant was written at once.
#[test]
fn s3_a_holder_remembers_acquire_after_whoever_leads_in_between() {
    const AFTER: u64 = 60_000;
    let (mut world, ended) = elected_by_those_who_forgot(AFTER);
    world.revoke(SITE2, "T");
    world.run(500);
    world.grant(SITE2, "T");
    assert!(world.now_ms - ended < AFTER);
    world.run_until(3 * AFTER, |world| world.holder(0) == Some(SITE2)).unwrap();
    assert!(world.now_ms - ended >= AFTER, "after {} ms\n{}", world.now_ms - ended, story(&world));
}

/// Restarted, the last holder remembered its promise to the other, and not its own `acquire-after`: it voted for the
/// other when that asked once more, and the grant was written at once.
#[test]
fn s3_a_holder_remembers_acquire_after_over_a_restart_whoever_leads_in_between() {
    const AFTER: u64 = 60_000;
    for revoked_before in [false, true] {
        let (mut world, ended) = elected_by_those_who_forgot(AFTER);
        if revoked_before {
            world.revoke(SITE2, "T");
            world.run(500);
        }
        // More than once: what it has read of its journal it writes again.
        for _ in 0..2 {
            world.kill(SITE1);
            world.boot(SITE1);
            world.run(100);
        }
        if !revoked_before {
            world.revoke(SITE2, "T");
            world.run(500);
        }
        world.grant(SITE2, "T");
        assert!(world.now_ms - ended < AFTER);
        world.run_until(4 * AFTER, |world| world.holder(0) == Some(SITE2)).unwrap();
        assert!(world.now_ms - ended >= AFTER, "after {} ms\n{}", world.now_ms - ended, story(&world));
    }
}

/// A site's daemon is a resource that Pacemaker moves: from one node to another and back. The first node's
/// journal knew nothing of what the second had voted and promised, and was believed.
#[test]
fn a_journal_is_not_believed_that_was_not_the_last_to_be_used_at_its_site_s7() {
    let remembers = |world: &World, host: usize| {
        world.node(host).tickets(world.now(host)).next().unwrap().forgetful_until.is_none()
    };
    let mut world = granted(plan(0));
    let blank = world.new_disk(SITE2);
    world.kill(SITE2);
    let first = world.move_to_node(SITE2, blank);
    world.boot(SITE2);
    world.run(100);
    assert!(!remembers(&world, SITE2), "a new journal");
    world.run(2 * EXPIRE);
    assert!(remembers(&world, SITE2), "and it follows: {}", story(&world));
    world.kill(SITE2);
    world.boot(SITE2);
    world.run(100);
    assert!(remembers(&world, SITE2), "the same node, again");
    world.kill(SITE2);
    world.move_to_node(SITE2, first);
    world.boot(SITE2);
    world.run(100);
    assert!(!remembers(&world, SITE2), "{}", story(&world));
}

/// ... and nothing is answered before the store names the journal that is used now: else a third node could
/// take its own for that.
#[test]
fn a_member_is_silent_until_its_store_names_its_memory_s7() {
    let mut world = granted(plan(0));
    world.kill_and_lose_journal(SITE2);
    world.hosts[SITE2].habit.fails_per_mille = 1_000;
    world.boot(SITE2);
    world.capture = true;
    world.run(3 * EXPIRE);
    assert!(!world.captured.iter().any(|(from, _, _)| *from == SITE2), "{}", story(&world));
    world.hosts[SITE2].habit.fails_per_mille = 0;
    world.run(EXPIRE);
    assert!(world.captured.iter().any(|(from, _, _)| *from == SITE2), "{}", story(&world));
}

/// ... nor while the store is at it.
#[test]
fn a_member_is_silent_while_its_store_takes_the_name_of_its_memory_s7() {
    const STORE_MS: u64 = 1_000;
    let mut world = granted(plan(0));
    world.kill_and_lose_journal(SITE2);
    world.hosts[SITE2].habit.delay_ms = STORE_MS;
    world.boot(SITE2);
    world.capture = true;
    // Read, named, read again.
    world.run(3 * STORE_MS - 10);
    assert!(!world.captured.iter().any(|(from, _, _)| *from == SITE2), "{}", story(&world));
    world.run(STORE_MS);
    assert!(world.captured.iter().any(|(from, _, _)| *from == SITE2), "{}", story(&world));
}

/// The node to which a site has come back cannot write to its journal that it has no memory: the name that is in it
/// must not be in the store again, or the journal is believed by the next start.
#[test]
fn a_journal_that_was_overtaken_is_not_believed_though_nothing_can_be_written_to_it_s7() {
    let mut world = granted(plan(0));
    let blank = world.new_disk(SITE2);
    world.kill(SITE2);
    let first = world.move_to_node(SITE2, blank);
    world.boot(SITE2);
    world.run(2 * EXPIRE);
    world.kill(SITE2);
    world.move_to_node(SITE2, first);
    world.hosts[SITE2].journal_fails = true;
    world.boot(SITE2);
    world.run(1_000);
    world.kill(SITE2);
    world.hosts[SITE2].journal_fails = false;
    world.boot(SITE2);
    world.run(100);
    let remembers = world.node(SITE2).tickets(world.now(SITE2)).next().unwrap().forgetful_until.is_none();
    assert!(!remembers, "{}", story(&world));
}

/// A grant that came while the store was still being read was refused as busy, which the reference's client calls
/// "error code 0". It waits, but not for a store that cannot be read; and what was refused is not done later.
#[test]
fn a_grant_at_a_site_that_reads_its_store_waits_for_it() {
    for works in [true, false] {
        let mut world = World::new(plan(0));
        world.run(2_000);
        world.kill(SITE1);
        world.hosts[SITE1].habit.delay_ms = 300;
        world.hosts[SITE1].habit.fails_per_mille = if works { 0 } else { 1_000 };
        world.boot(SITE1);
        world.run(50);
        let client = world.grant(SITE1, "T");
        world.run(EXPIRE);
        let expected = if works { Outcome::Success } else { Outcome::SyncFail };
        assert_eq!(world.answer(client), Some(expected), "{}", story(&world));
        world.hosts[SITE1].habit.fails_per_mille = 0;
        world.run(2 * EXPIRE);
        assert_eq!(world.holder(0), works.then_some(SITE1), "{}", story(&world));
    }
}

/// With a `renewal-freq` close to `expire` the lease was given up just before each renewal: the ticket was revoked and
/// granted anew for ever, by a configuration that the reference takes.
#[test]
fn a_lease_is_renewed_before_it_is_given_up_l3() {
    for (per_cent, timeout) in [(90, 1_000), (99, 1_000), (99, 2_400)] {
        let mut plan = plan(0);
        plan.tickets[0].renewal = Millis(EXPIRE * per_cent / 100);
        plan.tickets[0].timeout = Millis(timeout);
        let mut world = granted(plan);
        world.run(10 * EXPIRE);
        assert_eq!((world.holder(0), world.grants), (Some(SITE1), 1), "{}", story(&world));
    }
}

/// A heartbeat to the reference says a second more than `expire`. A member of ours that was sent one, where `expire`
/// was less than that second, took it for absurd: with the first member replaced, nobody could hold the ticket.
#[test]
fn a_heartbeat_for_the_reference_is_believed_whatever_expire_is() {
    let mut plan = plan(0);
    plan.tickets[0] = ticket("T", 600, 0);
    let mut world = World::new(plan);
    for host in 0..3 {
        world.hosts[host].wordless = true;
    }
    world.run(2_000);
    world.grant(SITE1, "T");
    let took = world.run_until(3_000, |world| world.holder(0) == Some(SITE1));
    assert!(took.is_some(), "{}", story(&world));
    world.run(6_000);
    assert_eq!((world.holder(0), world.grants), (Some(SITE1), 1), "{}", story(&world));
}

/// The store failed, the clock was put forward by an hour, the store was asked again: what it wrote had run out by
/// then, and a guard that goes by it would have revoked a ticket that was held.
#[test]
fn a_write_that_is_repeated_carries_the_end_of_the_lease_by_todays_clock_s12() {
    let mut world = granted(plan(0));
    world.hosts[SITE1].habit.fails_per_mille = 1_000;
    world.run(5_500);
    world.hosts[SITE1].wall_step_us = 3_600_000_000;
    world.hosts[SITE1].habit.fails_per_mille = 0;
    world.run(1_500);
    let now = world.now(SITE1);
    let lease = world.node(SITE1).tickets(now).next().unwrap().expires.unwrap();
    assert_eq!(world.hosts[SITE1].store[0].expires, now.wall_at(lease), "{}", story(&world));
}

/// All members lost their journals at once, and an administrator granted the ticket elsewhere: all sites agreed, none
/// knew any more that it had been held a moment ago, and `acquire-after` was not kept. The store knew.
#[test]
fn a_site_without_memory_keeps_acquire_after_for_what_its_store_knows_s3() {
    let mut world = granted(plan(30_000));
    world.revoke(SITE1, "T");
    world.run(1_000);
    for host in [SITE1, SITE2, ARBITRATOR] {
        world.kill_and_lose_journal(host);
        world.boot(host);
    }
    world.run(1_000);
    world.grant(SITE2, "T");
    // The world sees that `acquire-after` is kept.
    let took = world.run_until(40_000, |world| world.holder(0) == Some(SITE2));
    assert!(took.is_some(), "{}", story(&world));
}
