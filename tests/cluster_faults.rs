//! Stories of clusters in which something was lost, held twice or forgotten: each begins with what
//! went wrong once, and shows that it does not any more.
#![allow(clippy::unwrap_used)]

mod world;

use booth_core::member::SiteId;
use booth_core::sink::Record;
use booth_core::view::{Holder, Role};
use booth_core::wire::{self, Body, Command, Outcome};
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

fn term(world: &World, host: usize) -> u32 {
    world.node(host).tickets(world.now(host)).next().unwrap().term
}

/// A site without memory, whose store names a lease that runs, has no vote of its own. Where the others' were not enough
/// it asked them again at once, ten times a second for as long as its memory may be missing, and used up a term each time.
#[test]
fn who_cannot_win_with_all_votes_does_not_ask_for_them_all_the_time() {
    for arbitrators in [0, 1] {
        let plan = Plan { sites: 1, arbitrators, ..plan(0) };
        let mut world = granted(plan);
        world.kill_and_lose_journal(SITE1);
        world.boot(SITE1);
        world.transcript.clear();
        world.run(9_000);
        let elections = world.transcript.iter().filter(|line| line.contains("ElectionStarted")).count();
        assert!((1..=10).contains(&elections), "{elections} elections in 9 s\n{}", story(&world));
    }
}

/// The administrator's grant fails for want of a majority, or because the handler says no; that
/// ended the election that ran for the lost ticket, and nobody stood for it when it could be won.
#[test]
fn a_failed_grant_does_not_end_the_fight_for_a_lost_ticket_l1() {
    for handler in [false, true] {
        let mut plan = plan(0);
        plan.tickets[0].before_acquire = handler;
        let mut world = granted(plan);
        world.kill(SITE1);
        world.kill(ARBITRATOR);
        world.run(15_000);
        world.hosts[SITE2].handler_passes = false;
        let client = world.grant(SITE2, "T");
        world.run(10_000);
        assert_eq!(world.answer(client), Some(if handler { Outcome::HandlerFailed } else { Outcome::SyncFail }));
        world.hosts[SITE2].handler_passes = true;
        world.boot(ARBITRATOR);
        let took = world.run_until(EXPIRE + 2_000, |world| world.holder(0) == Some(SITE2));
        assert!(took.is_some(), "{}", story(&world));
    }
}

/// A site stood for a lost ticket and was restarted: nobody stood for it any more.
#[test]
fn a_site_fights_for_a_lost_ticket_after_its_restart_l1() {
    let mut world = granted(plan(0));
    world.kill(SITE1);
    world.kill(ARBITRATOR);
    world.run(15_000);
    world.kill(SITE2);
    world.boot(SITE2);
    world.run(5_000);
    world.boot(ARBITRATOR);
    let took = world.run_until(EXPIRE + 2_000, |world| world.holder(0) == Some(SITE2));
    assert!(took.is_some(), "{}", story(&world));
}

/// ... but what was revoked while it was down is not brought back by its start.
#[test]
fn a_site_that_missed_the_revoke_does_not_bring_the_ticket_back() {
    let mut world = granted(plan(0));
    world.kill(SITE2);
    let client = world.revoke(SITE1, "T");
    world.run(1_000);
    assert_eq!(world.answer(client), Some(Outcome::Success));
    world.kill(ARBITRATOR);
    world.boot(ARBITRATOR);
    world.run(30_000);
    world.boot(SITE2);
    world.run(60_000);
    assert_eq!(world.holder(0), None, "{}", story(&world));
    world.grant(SITE2, "T");
    assert!(world.run_until(1_000, |world| world.holder(0) == Some(SITE2)).is_some(), "{}", story(&world));
}

/// An arbitrator forgot with its restart that the ticket had been revoked, and helped a site that had missed it too:
/// the ticket came back against the administrator's word.
#[test]
fn a_revoke_outlasts_the_restart_of_those_who_have_heard_it() {
    let mut world = granted(plan(0));
    world.kill(SITE2);
    world.revoke(SITE1, "T");
    world.run(2_000);
    world.kill(SITE1);
    world.kill(ARBITRATOR);
    world.boot(ARBITRATOR);
    world.boot(SITE2);
    world.run(3 * EXPIRE);
    assert_eq!(world.holder(0), None, "{}", story(&world));
    world.grant(SITE2, "T");
    assert!(world.run_until(EXPIRE + 2_000, |world| world.holder(0) == Some(SITE2)).is_some(), "{}", story(&world));
}

/// The revoke was repeated, since its acknowledgement was lost, and took the grant that waited for
/// acquire-after with it: the client waited for ever.
#[test]
fn a_repeated_revoke_does_not_eat_the_next_grant() {
    let mut world = granted(plan(3_000));
    world.cut_one_way(SITE2, SITE1);
    world.revoke(SITE1, "T");
    world.run(100);
    let client = world.grant(SITE2, "T");
    let took = world.run_until(5_000, |world| world.holder(0) == Some(SITE2));
    assert!(took.is_some(), "{}", story(&world));
    world.run(100);
    assert_eq!(world.answer(client), Some(Outcome::Success));
}

/// Revoked at a restarted site before it led again: it heard "success", and another site took the ticket.
#[test]
fn a_revoke_at_a_restarted_holder_is_told_to_the_others() {
    let mut world = granted(plan(0));
    world.kill(SITE1);
    world.isolate(SITE1);
    world.boot(SITE1);
    world.run(100);
    let client = world.revoke(SITE1, "T");
    world.run(100);
    assert_eq!(world.answer(client), Some(Outcome::Success));
    world.heal();
    world.run(60_000);
    assert_eq!(world.holder(0), None, "{}", story(&world));
}

/// The store could not revoke until the lease had ended, the majority was gone: the same.
#[test]
fn a_revoke_that_outlasts_the_lease_is_told_to_the_others() {
    let mut world = granted(plan(5_000));
    world.hosts[SITE1].habit.fails_per_mille = 1_000;
    let client = world.revoke(SITE1, "T");
    world.run(100);
    world.isolate(SITE1);
    world.run(10_500);
    world.hosts[SITE1].habit.fails_per_mille = 0;
    world.heal();
    world.run(60_000);
    assert_eq!(world.answer(client), Some(Outcome::Success));
    assert_eq!(world.holder(0), None, "{}", story(&world));
}

/// A site that knew only of an old revoke said "revoked" to who stood for the ticket that had been
/// granted again since and lost: nobody stood for it any more.
#[test]
fn an_old_revoke_does_not_keep_a_ticket_from_being_fought_for_l1() {
    let mut world = granted(Plan { sites: 3, arbitrators: 0, ..plan(0) });
    world.revoke(SITE1, "T");
    world.run(1_000);
    world.isolate(SITE1);
    world.grant(SITE2, "T");
    assert!(world.run_until(2_000, |world| world.holder(0) == Some(SITE2)).is_some(), "{}", story(&world));
    world.run(2_000);
    world.kill(SITE2);
    world.heal();
    let took = world.run_until(EXPIRE + 2_000, |world| world.holder(0) == Some(2));
    assert!(took.is_some(), "{}", story(&world));
}

/// A restarted holder felt bound by what it had promised itself: it asked for votes ten times a second
/// for a whole lease, and did not follow a new leader that cannot say how it was elected.
#[test]
fn a_holder_whose_store_is_revoked_owes_itself_nothing() {
    let mut world = granted(plan(0));
    world.kill(SITE1);
    world.run_until(30_000, |world| world.holder(0) == Some(SITE2)).unwrap();
    for host in 0..3 {
        world.hosts[host].wordless = true;
    }
    let before = term(&world, SITE2);
    world.boot(SITE1);
    world.run(6_000);
    let view = world.node(SITE1).tickets(world.now(SITE1)).next().unwrap();
    assert_eq!(view.holder, Holder::Member(booth_core::member::MemberIndex(1)), "{}", story(&world));
    assert!(view.term <= before + 2, "{} terms in 6 s\n{}", view.term - before, story(&world));
}

/// A holder that has lost its journal gave its vote away as soon as it had revoked: acquire-after was
/// kept by nobody. The world sees it.
#[test]
fn s3_a_restarted_holder_keeps_acquire_after_from_its_revoke() {
    let mut world = granted(plan(3_000));
    world.cut(SITE1, SITE2);
    world.run(20_000);
    world.kill_and_lose_journal(SITE1);
    world.isolate(SITE1);
    world.isolate(ARBITRATOR);
    world.boot(SITE1);
    let revoked = world.run_until(EXPIRE, |world| !world.hosts[SITE1].store[0].granted);
    assert!(revoked.is_some(), "{}", story(&world));
    world.heal();
    world.isolate(ARBITRATOR);
    let client = world.grant(SITE2, "T");
    let took = world.run_until(2 * EXPIRE, |world| world.holder(0) == Some(SITE2));
    assert!(took.is_some_and(|ms| ms >= 3_000), "{took:?} ms\n{}", story(&world));
    assert_ne!(world.answer(client), Some(Outcome::SyncFail));
}

/// A vote for a member that is no longer configured was forgotten, and its term voted in once more.
#[test]
fn s1_a_vote_for_a_removed_member_is_still_a_vote() {
    let mut world = World::new(plan(0));
    world.run(2_000);
    world.kill(ARBITRATOR);
    world.kill(SITE2);
    let last = world.journal(ARBITRATOR, 0).unwrap();
    let removed = Some(SiteId(77));
    world.forge_journal(ARBITRATOR, 0, Record { term: 0, voted_term: 1, vote: removed, ..last });
    world.boot(ARBITRATOR);
    world.run(2_000);
    world.capture = true;
    world.grant(SITE1, "T");
    world.run_until(2 * EXPIRE, |world| world.holder(0) == Some(SITE1)).unwrap();
    let key = wire::Key::new(world::KEY);
    let terms = world.captured.iter().filter_map(|(from, _, bytes)| {
        let message = wire::decode(bytes, Some(&key)).unwrap();
        let Body::Ticket(body) = message.body else { return None };
        (*from == ARBITRATOR && message.header.command == Command::Vote).then_some(body.term)
    });
    assert!(terms.clone().count() > 0 && terms.clone().all(|term| term > 1), "{:?}", terms.collect::<Vec<_>>());
}

/// A step-down that came before a restarted member had caught up was acknowledged and forgotten.
#[test]
fn a_step_down_is_heard_by_a_member_that_has_just_started() {
    let mut plan = plan(0);
    plan.tickets[0].before_acquire = true;
    let mut world = granted(plan);
    world.run(4_500);
    world.cut(SITE2, ARBITRATOR);
    world.kill(SITE2);
    world.boot(SITE2);
    world.hosts[SITE1].handler_passes = false;
    world.run_until(2_000, |world| world.holder(0).is_none()).unwrap();
    world.run(500);
    world.heal();
    let took = world.run_until(3_000, |world| world.holder(0) == Some(SITE2));
    assert!(took.is_some(), "{}", story(&world));
}

/// A revoke while the handler ran before the election found nothing to revoke, and the grant went on.
#[test]
fn a_revoke_ends_a_grant_that_still_asks_its_handler() {
    let mut plan = plan(0);
    plan.tickets[0].before_acquire = true;
    let mut world = World::new(plan);
    world.run(2_000);
    let grant = world.grant(SITE1, "T");
    let revoke = world.revoke(SITE1, "T");
    world.run(20_000);
    assert_eq!(world.answer(revoke), Some(Outcome::Success));
    assert_eq!(world.answer(grant), Some(Outcome::SyncFail));
    assert_eq!(world.holder(0), None, "{}", story(&world));
}

/// A heartbeat overtaken by the revoke was taken for a renewal: the ticket was fought for when it ran out.
#[test]
fn a_renewal_that_comes_after_the_revoke_renews_nothing() {
    let mut world = granted(plan(0));
    world.capture = true;
    world.cut(SITE1, ARBITRATOR);
    world.run(5_500);
    let late = world.captured.iter().rfind(|(_, to, _)| *to == ARBITRATOR).cloned().unwrap();
    world.heal();
    world.revoke(SITE1, "T");
    world.run(500);
    world.inject(late.0, late.1, &late.2);
    let view = world.node(ARBITRATOR).tickets(world.now(ARBITRATOR)).next().unwrap();
    assert_eq!(view.holder, Holder::Nobody, "{}", story(&world));
}

/// Two sites told each other of the dead leader's lease, each a little longer than it had heard:
/// neither was ever elected.
#[test]
fn two_followers_do_not_keep_a_dead_leaders_lease_alive_l2() {
    let mut world = granted(Plan { sites: 3, arbitrators: 0, ..plan(0) });
    world.run(4_500);
    world.cut_one_way(SITE1, 2);
    world.run(900);
    world.heal();
    // The last renewal has reached the third site half a second later than the second.
    world.run(700);
    world.kill(SITE1);
    let took =
        world.run_until(EXPIRE + 1_000, |world| world.hosts[1].store[0].granted || world.hosts[2].store[0].granted);
    assert!(took.is_some(), "{}", story(&world));
}

/// The log said at each renewal that a dead arbitrator did not answer, and never that it was back.
#[test]
fn a_silent_member_is_named_once_and_again_when_it_is_heard() {
    let mut world = granted(plan(0));
    world.kill(ARBITRATOR);
    world.run(5 * EXPIRE);
    let said = |world: &World, what: &str| world.transcript.iter().filter(|line| line.contains(what)).count();
    assert_eq!((said(&world, "NoAnswer"), said(&world, "HeardAgain")), (1, 0), "{}", story(&world));
    world.boot(ARBITRATOR);
    world.run(EXPIRE);
    assert_eq!((said(&world, "NoAnswer"), said(&world, "HeardAgain")), (1, 1), "{}", story(&world));
}

/// A leader that had just been elected, and not been confirmed yet, told a member that asked what it knew of the revoke
/// before its election: the member took back the promise that the leader counted on, and followed it no more.
#[test]
fn a_new_leader_does_not_announce_the_revoke_before_its_election() {
    let mut world = granted(plan(0));
    (world.net.least_delay_ms, world.net.most_delay_ms) = (1, 1);
    world.revoke(SITE1, "T");
    world.run(1_000);
    world.kill(ARBITRATOR);
    world.isolate(ARBITRATOR);
    world.capture = true;
    world.boot(ARBITRATOR);
    let status = world.captured.iter().find(|(from, to, _)| (*from, *to) == (ARBITRATOR, SITE1)).cloned().unwrap();
    world.capture = false;
    world.run(2_000);
    world.heal();
    world.grant(SITE1, "T");
    let elected = |world: &World| world.node(SITE1).tickets(world.now(SITE1)).next().unwrap().role == Role::Leader;
    world.run_until(1_000, elected).unwrap();
    world.inject(ARBITRATOR, SITE1, &status.2);
    world.run(1_000);
    world.kill(SITE2);
    world.run(3 * EXPIRE);
    assert_eq!(world.holder(0), Some(SITE1), "{}", story(&world));
    assert_eq!(world.grants, 2, "{}", story(&world));
}

/// A grant had been handed to Pacemaker when the daemon was killed. The next daemon read the store before the
/// grant was carried out, believed that nothing was granted, and told an administrator that the ticket was
/// revoked; then the grant came, and only the guard knew of it. A revoke comes behind such a grant; a query
/// does not.
#[test]
fn a_grant_that_comes_behind_a_restarts_first_look_is_revoked_all_the_same_s8() {
    let acquire_after = 5_000;
    let mut world = World::new(plan(acquire_after));
    world.run(2_000);
    world.hosts[SITE1].habit.delay_ms = 1_000;
    world.grant(SITE1, "T");
    world.run(100);
    assert_eq!((world.holder(0), world.journal(SITE1, 0).unwrap().active), (None, true));
    world.kill(SITE1);
    world.isolate(SITE1);
    world.hosts[SITE1].habit.delay_ms = 20;
    world.boot(SITE1);
    world.run(10);
    // All that is written from here on waits its turn.
    world.hosts[SITE1].habit.delay_ms = 2_000;
    world.run(100);
    let client = world.revoke(SITE1, "T");
    world.run(3_000);
    assert_eq!(world.holder(0), None, "{}", story(&world));
    assert_eq!(world.answer(client), Some(Outcome::Success));
    assert!(world.transcript.iter().any(|line| line.ends_with("site1  store 0: granted")), "{}", story(&world));
    assert!(!story(&world).contains("by the guard"), "{}", story(&world));
    // The world sees that `acquire-after` is counted from the end of that grant.
    world.heal();
    world.run(2_000);
    world.grant(SITE2, "T");
    let took = world.run_until(EXPIRE, |world| world.holder(0) == Some(SITE2));
    assert!(took.is_some(), "{}", story(&world));
}

/// The last resort is not for a grant that may never come: not while its lease could have run.
#[test]
fn a_restarts_revoke_to_be_sure_is_not_taken_for_stuck_before_the_lease_has_ended() {
    let mut plan = plan(0);
    plan.tickets[0].on_stuck_revoke = true;
    let mut world = World::new(plan);
    world.run(2_000);
    world.hosts[SITE1].habit.delay_ms = 1_000;
    world.grant(SITE1, "T");
    world.run(100);
    world.kill(SITE1);
    world.isolate(SITE1);
    world.hosts[SITE1].habit.delay_ms = 20;
    world.boot(SITE1);
    world.run(10);
    world.hosts[SITE1].habit.hangs = true;
    world.run(EXPIRE);
    assert!(story(&world).contains("StoreFailed { revoke: true"), "{}", story(&world));
    assert!(!story(&world).contains("LastResort"), "{}", story(&world));
    world.run(EXPIRE);
    assert!(story(&world).contains("LastResort"), "{}", story(&world));
}

/// A site was down when the ticket was granted and revoked, and an arbitrator lost its journal: they elected that site
/// in the term of that first grant once more. The arbitrator, which had been told again of the revoke, took all that
/// came of that term for late and said nothing: with the other site gone there was no majority, and the lease ended.
#[test]
fn a_term_that_is_used_again_is_left_for_a_newer_one_l3() {
    let mut world = World::new(plan(0));
    world.run(2_000);
    world.kill(SITE1);
    world.grant(SITE2, "T");
    world.run_until(1_000, |world| world.holder(0) == Some(SITE2)).unwrap();
    world.run(100);
    world.revoke(SITE2, "T");
    world.run(100);
    world.kill(SITE2);
    world.kill_and_lose_journal(ARBITRATOR);
    for host in [SITE1, SITE2, ARBITRATOR] {
        world.boot(host);
        world.run(2_000);
    }
    world.grant(SITE1, "T");
    let took = world.run_until(EXPIRE + 1_000, |world| world.holder(0) == Some(SITE1));
    assert!(took.is_some(), "{}", story(&world));
    let grants = world.grants;
    world.run(1_000);
    world.kill(SITE2);
    world.run(3 * EXPIRE);
    assert_eq!((world.holder(0), world.grants), (Some(SITE1), grants), "{}", story(&world));
}
