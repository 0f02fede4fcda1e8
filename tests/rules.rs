//! The safety rules, one by one: for each a story in which breaking it would be seen.
#![allow(clippy::unwrap_used)]

mod world;

use booth_core::wire::{self, Body, Command, Outcome};
use world::{Plan, StoreHabit, World, ticket};

const EXPIRE: u64 = 10_000;

fn plan(acquire_after: u64) -> Plan {
    let tickets = vec![ticket("T", EXPIRE, acquire_after)];
    Plan { sites: 2, arbitrators: 1, tickets, key: true, seed: 1, remember: true }
}

/// The first site holds the ticket; the network takes exactly a millisecond.
fn granted(acquire_after: u64) -> World {
    granted_by(plan(acquire_after))
}

fn granted_by(plan: Plan) -> World {
    let mut world = World::new(plan);
    (world.net.least_delay_ms, world.net.most_delay_ms) = (1, 1);
    world.run(2_000);
    world.grant(0, "T");
    assert!(world.run_until(1_000, |world| world.holder(0) == Some(0)).is_some(), "{}", world.transcript.join("\n"));
    world.run(50);
    world
}

/// What is left of the first site's lease.
fn left(world: &World) -> u64 {
    let now = world.now(0);
    let view = world.node(0).tickets(now).next().unwrap();
    view.expires.map_or(0, |end| end.since(now.boot).0)
}

fn is(bytes: &[u8], command: Command, request: Option<Command>) -> bool {
    let key = wire::Key::new(world::KEY);
    let header = wire::decode(bytes, Some(&key)).unwrap().header;
    header.command == command && header.request == request
}

fn is_ack(bytes: &[u8]) -> bool {
    is(bytes, Command::Ack, Some(Command::Heartbeat))
}

fn is_heartbeat(bytes: &[u8]) -> bool {
    is(bytes, Command::Heartbeat, None)
}

#[test]
fn s1_no_vote_leaves_that_is_not_on_disk() {
    let mut world = World::new(plan(0));
    world.run(2_000);
    world.kill(1);
    world.hosts[2].journal_fails = true;
    let client = world.grant(0, "T");
    world.run(20_000);
    assert_eq!(world.holder(0), None);
    assert_eq!(world.answer(client), Some(Outcome::SyncFail));
    world.hosts[2].journal_fails = false;
    world.grant(0, "T");
    // The other site is down: it cannot be asked whether it holds the ticket.
    world.run(EXPIRE + 2_000);
    assert_eq!(world.holder(0), Some(0), "{}", world.transcript.join("\n"));
}

#[test]
fn s2_a_renewal_that_says_less_than_expire_is_a_promise_for_expire() {
    // The reference's heartbeat carries what was left of the last lease, and its sender counts a full one.
    let mut world = granted(0);
    world.capture = true;
    world.run(5_500);
    let (_, _, heartbeat) =
        world.captured.iter().find(|(_, to, bytes)| *to == 2 && is(bytes, Command::Heartbeat, None)).cloned().unwrap();
    world.isolate(0);
    let key = wire::Key::new(world::KEY);
    let mut message = wire::decode(&heartbeat, Some(&key)).unwrap();
    message.header.options = 0;
    message.header.stamp = world.now(0).wall;
    let Body::Ticket(body) = &mut message.body else { panic!() };
    body.valid_for = 4_000;
    let mut out = [0; wire::MAX_MESSAGE];
    let length = wire::encode(&message, Some(&key), &mut out);
    world.inject(0, 2, &out[..length]);
    let now = world.now(2);
    let promised = world.node(2).tickets(now).next().unwrap().expires.unwrap();
    assert!(promised.since(now.boot).0 >= EXPIRE, "{promised:?}");
}

#[test]
fn s3_voters_keep_acquire_after_whoever_asks() {
    let mut world = granted(3_000);
    world.revoke(0, "T");
    world.run(50);
    let revoked_at = world.now_ms;
    world.kill(0);
    // A candidate that knows of no acquire-after: it has lost its memory and an administrator asks.
    world.kill_and_lose_journal(1);
    world.boot(1);
    world.run(200);
    world.grant(1, "T");
    world.run_until(2 * EXPIRE + 10_000, |world| world.holder(0) == Some(1)).unwrap();
    assert!(world.now_ms >= revoked_at + 2_900, "{}", world.transcript.join("\n"));
}

#[test]
fn s4_the_lease_runs_from_the_sending_and_not_from_the_answer() {
    let mut world = granted(0);
    (world.net.least_delay_ms, world.net.most_delay_ms) = (1_500, 1_500);
    // Renewed at half time; answered three seconds later.
    let before = world.now_ms;
    world.run_until(9_000, |world| left(world) > EXPIRE / 2 && world.now_ms > before + 5_000).unwrap();
    let left = left(&world);
    assert!(left <= EXPIRE - 3_000, "{left} ms are left of a lease that began 3 s ago");
    assert!(left > EXPIRE - 3_200, "{left}");
}

#[test]
fn s5_an_answer_to_an_earlier_heartbeat_renews_nothing() {
    for wordless in [false, true] {
        let mut plan = plan(0);
        plan.tickets[0].retries = 1;
        let mut world = granted_by(plan);
        for host in [1, 2] {
            world.hosts[host].wordless = wordless;
        }
        // The answers to one renewal do not arrive ...
        world.capture = true;
        world.cut_one_way(1, 0);
        world.cut_one_way(2, 0);
        world.run(5_400);
        let late: Vec<_> = world.captured.iter().filter(|(_, to, bytes)| *to == 0 && is_ack(bytes)).cloned().collect();
        assert!(late.len() >= 2, "{}", late.len());
        // ... until another renewal has begun that nobody can hear.
        world.cut(0, 1);
        world.cut(0, 2);
        world.run(3_200);
        let before = left(&world);
        for (from, to, bytes) in late {
            world.inject(from, to, &bytes);
        }
        assert!(left(&world) <= before, "wordless {wordless}: {} ms left, {before} before", left(&world));
    }
}

/// Nothing in a message says for whom it is: what a member has promised to one leader could be handed to another.
#[test]
fn s5_a_promise_to_another_leader_renews_nothing() {
    for (named, renewed) in [(1, false), (0, true)] {
        let mut world = granted(0);
        world.hosts[2].wordless = true;
        world.capture = true;
        world.run(5_500);
        let ack = world.captured.iter().find(|(from, to, bytes)| (*from, *to) == (2, 0) && is_ack(bytes));
        let (_, _, ack) = ack.unwrap().clone();
        let key = wire::Key::new(world::KEY);
        let mut message = wire::decode(&ack, Some(&key)).unwrap();
        world.cut_one_way(1, 0);
        world.cut_one_way(2, 0);
        world.run(4_800);
        message.header.stamp = world.now(2).wall;
        // The heartbeat that waits for an answer now.
        let asked = world.captured.iter().rev().find(|(from, to, bytes)| (*from, *to) == (0, 2) && is_heartbeat(bytes));
        let Body::Ticket(asked) = wire::decode(&asked.unwrap().2, Some(&key)).unwrap().body else { panic!() };
        let Body::Ticket(body) = &mut message.body else { panic!() };
        body.valid_for = asked.valid_for - 1;
        body.leader = wire::LeaderField::Member(booth_core::member::SiteId::of_address(&[10, 0, 0, named + 1]));
        let mut bytes = [0; wire::MAX_MESSAGE];
        let length = wire::encode(&message, Some(&key), &mut bytes);
        let before = left(&world);
        world.inject(2, 0, &bytes[..length]);
        assert_eq!(left(&world) > before, renewed, "{}", world.transcript.join("\n"));
    }
}

#[test]
fn s6_votes_that_vouch_for_nothing_delay_the_grant() {
    let took = |wordless: bool| {
        let mut world = granted(2_000);
        world.hosts[2].wordless = wordless;
        world.run(4_000);
        world.kill(0);
        let start = world.now_ms;
        world.run_until(30_000, |world| world.holder(0) == Some(1)).unwrap();
        world.now_ms - start
    };
    let (vouched, silent) = (took(false), took(true));
    assert!(silent >= vouched + 1_900, "{vouched} ms with words, {silent} ms without");
}

#[test]
fn s6_an_administrators_grant_waits_for_a_site_that_does_not_answer() {
    let took = |wordless: bool, options: u32| {
        let mut world = World::new(plan(2_000));
        world.hosts[2].wordless = wordless;
        world.run(2_000);
        world.kill(1);
        let start = world.now_ms;
        let client = world.ask(0, Command::ClientGrant, "T", options);
        world.run_until(30_000, |world| world.holder(0) == Some(0)).unwrap();
        world.run(50);
        (world.now_ms - start, world.answer(client))
    };
    let (vouched, _) = took(false, 0);
    assert!(vouched < 500, "{vouched}");
    let (silent, answer) = took(true, 0);
    assert!(silent >= EXPIRE + 2_000, "{silent}");
    assert_eq!(answer, Some(Outcome::CommitPending));
    let (forced, answer) = took(true, 1);
    assert!(forced < 1_500, "{forced}");
    assert_eq!(answer, Some(Outcome::Success));
}

/// The first grant in a new cluster waited for `expire` + `acquire-after`, since the other site, busy with its start, had
/// voted a moment after `timeout`: its vote did not count any more.
#[test]
fn s6_votes_that_come_late_end_the_wait_for_the_grant() {
    let took = |sites: usize, late: u64, gone: Option<usize>| {
        let mut world = World::new(Plan { sites, arbitrators: 2, remember: false, ..plan(2_000) });
        world.run(2_000);
        world.network.late = Some((1, late));
        if let Some(gone) = gone {
            world.kill(gone);
        }
        let start = world.now_ms;
        let client = world.ask(0, Command::ClientGrant, "T", 0);
        world.run_until(30_000, |world| world.holder(0) == Some(0)).unwrap();
        world.run(50);
        assert_eq!(world.answer(client), Some(if late > 1_000 { Outcome::CommitPending } else { Outcome::Success }));
        world.now_ms - start
    };
    assert!(took(2, 100, None) < 500, "in time");
    for sites in [2, 3] {
        let took = took(sites, 1_500, None);
        assert!((1_500..2_000).contains(&took), "{sites} sites: {took} ms");
    }
    let took = took(3, 1_500, Some(2));
    assert!(took >= EXPIRE + 2_000, "all but one have voted: {took} ms");
}

/// A site that has not voted may still be told by its store that the ticket is granted there, whatever it acknowledges.
#[test]
fn s6_an_acknowledgement_is_no_vote() {
    let mut world = World::new(Plan { remember: false, ..plan(2_000) });
    world.run(2_000);
    world.cut_one_way(1, 0);
    let start = world.now_ms;
    world.ask(0, Command::ClientGrant, "T", 0);
    world.run(1_500);
    world.heal();
    world.capture = true;
    world.run_until(30_000, |world| world.holder(0) == Some(0)).unwrap();
    assert!(world.captured.iter().any(|(from, _, bytes)| *from == 1 && is_ack(bytes)));
    assert!(world.now_ms - start >= EXPIRE + 2_000, "{} ms", world.now_ms - start);
}

#[test]
fn s7_a_restarted_arbitrator_knows_whose_lease_it_respects() {
    let mut world = granted(0);
    world.cut(0, 1);
    // The other site stands as soon as its own promise has ended; the arbitrator alone backs the leader.
    for _ in 0..60 {
        world.run(487);
        world.kill(2);
        world.boot(2);
    }
    assert_eq!(world.holder(0), Some(0), "{}", world.transcript.join("\n"));
    assert_eq!(world.grants, 1);
}

/// A leader killed in the first minutes of its first life let its lease run out, though its journal says that it leads.
#[test]
fn s7_a_leader_without_older_memory_stands_for_its_own_lease() {
    let mut world = World::new(plan(3_000));
    world.kill_and_lose_journal(0);
    world.boot(0);
    world.run(2_000);
    world.grant(0, "T");
    world.run(2_000);
    assert_eq!(world.holder(0), Some(0));
    world.kill(0);
    world.boot(0);
    let revoked = world.run_until(2 * EXPIRE, |world| world.holder(0) != Some(0));
    assert_eq!(revoked, None, "{}", world.transcript.join("\n"));
}

/// A reference leader is replaced by ours: the store knows of its lease, no journal does.
#[test]
fn s7_a_leader_without_memory_keeps_its_ticket_if_all_the_others_say_so() {
    for other_is_up in [true, false] {
        let mut world = granted(0);
        world.run(1_000);
        world.kill_and_lose_journal(0);
        if !other_is_up {
            world.kill(1);
        }
        world.run(500);
        world.boot(0);
        world.run(9_000);
        // Its own vote does not count: with one of two others it has no majority.
        assert_eq!(world.holder(0), other_is_up.then_some(0), "{}", world.transcript.join("\n"));
        assert_eq!(world.grants, 1, "{}", world.transcript.join("\n"));
    }
}

#[test]
fn s8_a_grant_that_the_store_finishes_too_late_is_revoked() {
    let mut world = World::new(plan(0));
    world.run(2_000);
    world.hosts[0].habit = StoreHabit { delay_ms: 8_500, fails_per_mille: 0, hangs: false };
    world.grant(0, "T");
    world.run(500);
    world.isolate(0);
    world.hosts[0].habit.delay_ms = 20;
    world.run(30_000);
    assert!(!world.hosts[0].store[0].granted, "{}", world.transcript.join("\n"));
    assert_eq!(world.holder(0), Some(1), "{}", world.transcript.join("\n"));
}

/// A revoke that had failed waited for its pause; an attribute set meanwhile was written first, and the
/// revoke was only tried again when that was done: with a slow store, after the end of the lease.
#[test]
fn s8_a_change_of_an_attribute_does_not_go_before_a_revoke() {
    let mut plan = plan(0);
    plan.tickets[0].before_acquire = true;
    let mut world = granted_by(plan);
    world.isolate(0);
    world.hosts[0].habit.fails_per_mille = 1_000;
    let overdue = |world: &World| world.node(0).tickets(world.now(0)).next().unwrap().revoke_overdue.is_some();
    world.run_until(EXPIRE, overdue).unwrap();
    // Some tries have failed, the next is still to come; and there is no other reason to look at the
    // ticket, for the handler does not want it back.
    world.hosts[0].handler_passes = false;
    world.run(500);
    let end = world.hosts[0].store[0].expires;
    world.hosts[0].habit = StoreHabit { delay_ms: 3_000, fails_per_mille: 0, hangs: false };
    let header = wire::Header {
        stamp: world.now(0).wall,
        sender: booth_core::member::SiteId::of_address(&[10, 0, 0, 1]),
        command: Command::AttributeSet,
        request: None,
        options: 0,
        reason: wire::Reason::None,
        outcome: Outcome::Success,
    };
    let body = Body::Attribute(wire::AttributeBody { ticket: "T", name: "load", value: "high" });
    let mut bytes = [0; wire::MAX_MESSAGE];
    let length = wire::encode(&wire::Message { header, body }, Some(&wire::Key::new(world::KEY)), &mut bytes);
    let client = world.hand_over(0, &bytes[..length]);
    world.hosts[0].habit.delay_ms = 20;
    world.run_until(5_000, |world| !world.hosts[0].store[0].granted).unwrap();
    assert!(world.now(0).wall < end, "{}", world.transcript.join("\n"));
    assert_eq!(world.answer(client), Some(Outcome::Busy), "{}", world.transcript.join("\n"));
}

#[test]
fn s9_nobody_hears_of_a_release_before_the_store_has_confirmed_it() {
    let mut world = granted(0);
    world.capture = true;
    world.hosts[0].habit.delay_ms = 700;
    world.revoke(0, "T");
    world.run(600);
    let told = |world: &World| world.captured.iter().any(|(_, _, bytes)| is(bytes, Command::Revoke, None));
    assert!(!told(&world));
    world.run(200);
    assert!(told(&world));
}

#[test]
fn s10_a_store_that_says_granted_makes_no_leader() {
    let mut world = granted(0);
    world.run(1_000);
    world.kill(0);
    world.kill(1);
    world.kill(2);
    world.boot(0);
    world.run(12_000);
    assert!(!world.hosts[0].store[0].granted, "revoked when its recorded lease had run out");
    let now = world.now(0);
    assert_ne!(world.node(0).tickets(now).next().unwrap().role, booth_core::view::Role::Leader);
}

#[test]
fn s11_a_replayed_history_has_no_effect() {
    let mut world = granted(0);
    world.capture = true;
    world.run(12_000);
    world.revoke(0, "T");
    world.run(2_000);
    world.grant(1, "T");
    world.run(12_000);
    world.capture = false;
    assert_eq!(world.holder(0), Some(1));
    let history = std::mem::take(&mut world.captured);
    assert!(history.len() > 30);
    let grants = world.grants;
    let terms = |world: &World| (0..3).map(|at| world.node(at).tickets(world.now(at)).next().unwrap().term).max();
    let before = terms(&world);
    for (from, to, bytes) in &history {
        world.inject(*from, *to, bytes);
        world.run(40);
    }
    assert_eq!(world.holder(0), Some(1), "{}", world.transcript.join("\n"));
    assert_eq!((world.grants, terms(&world)), (grants, before));
    // A dead leader's heartbeats do not keep its ticket for it.
    world.kill(1);
    let start = world.now_ms;
    while world.holder(0) != Some(0) && world.now_ms < start + 30_000 {
        for (from, to, bytes) in history.iter().filter(|(from, _, _)| *from == 1) {
            world.inject(*from, *to, bytes);
        }
        world.run(500);
    }
    assert!(world.now_ms - start <= EXPIRE + 1_500, "{}", world.transcript.join("\n"));
}

/// A recorded revoke by a client was taken again by a site that had been restarted since.
#[test]
fn s11_a_clients_request_is_not_taken_again_after_a_restart() {
    let mut world = granted(0);
    let request = world.request(0, Command::ClientRevoke, "T", 0);
    let client = world.hand_over(0, &request);
    world.run(1_000);
    assert_eq!((world.answer(client), world.holder(0)), (Some(Outcome::Success), None));
    world.grant(0, "T");
    world.run(1_000);
    for restarted in [false, true] {
        if restarted {
            world.kill(0);
            world.boot(0);
            world.run(2_000);
        }
        let client = world.hand_over(0, &request);
        world.run(2_000);
        assert_eq!((world.answer(client), world.holder(0)), (Some(Outcome::AuthenticationFailed), Some(0)));
    }
}

#[test]
fn s11_without_a_key_the_address_must_be_the_members() {
    let mut world = World::new(Plan { key: false, ..plan(0) });
    world.run(2_000);
    world.grant(0, "T");
    world.capture = true;
    world.run(6_000);
    let (_, to, heartbeat) = world
        .captured
        .iter()
        .find(|(from, to, bytes)| {
            let message = wire::decode(bytes, None).unwrap();
            *from == 0 && *to == 1 && message.header.command == Command::Heartbeat
        })
        .cloned()
        .unwrap();
    let count = |world: &World| world.node(1).peers().next().unwrap().counters.auth_failures;
    let before = count(&world);
    world.inject(2, to, &heartbeat);
    assert_eq!(count(&world), before + 1);
}

#[test]
fn s12_every_grant_in_the_store_carries_its_leases_end() {
    let mut world = granted(0);
    for _ in 0..40 {
        world.run(500);
        let held = world.hosts[0].store[0];
        let end = held.expires.0.saturating_sub(world.now(0).wall.0) / 1000;
        assert!(held.granted && end > 0 && end <= left(&world) + 1, "{end} ms recorded, {} ms left", left(&world));
    }
}

#[test]
fn s7_a_vote_without_memory_does_not_vouch_for_a_grant() {
    let mut world = World::new(plan(2_000));
    world.run(2_000);
    world.kill(1);
    world.kill_and_lose_journal(2);
    world.boot(2);
    world.run(100);
    let start = world.now_ms;
    world.grant(0, "T");
    world.run_until(30_000, |world| world.holder(0) == Some(0)).unwrap();
    assert!(world.now_ms - start >= EXPIRE + 2_000, "{}", world.transcript.join("\n"));
}

#[test]
fn s7_a_member_without_memory_does_not_follow_a_lease_that_does_not_run_yet() {
    let mut world = World::new(plan(0));
    world.run(2_000);
    world.capture = true;
    world.grant(0, "T");
    world.run(100);
    let first = |(_, to, bytes): &&(usize, usize, Vec<u8>)| *to == 2 && is(bytes, Command::Heartbeat, None);
    let (from, to, heartbeat) = world.captured.iter().find(first).cloned().unwrap();
    world.isolate(2);
    world.kill_and_lose_journal(2);
    world.boot(2);
    world.run(100);
    world.inject(from, to, &heartbeat);
    let now = world.now(2);
    assert_eq!(world.node(2).tickets(now).next().unwrap().expires, None, "{}", world.transcript.join("\n"));
}

/// The newest message of this kind from the first site to a member, changed and signed anew.
fn forged(world: &World, to: usize, command: Command, change: impl Fn(&mut wire::Message<'_>)) -> Vec<u8> {
    let found = world.captured.iter().rfind(|(from, at, bytes)| *from == 0 && *at == to && is(bytes, command, None));
    let key = wire::Key::new(world::KEY);
    let mut message = wire::decode(&found.unwrap().2, Some(&key)).unwrap();
    message.header.stamp = world.now(0).wall.after(booth_core::time::Millis(2_000));
    change(&mut message);
    let mut out = [0; wire::MAX_MESSAGE];
    let length = wire::encode(&message, Some(&key), &mut out);
    out[..length].to_vec()
}

/// Whether a member acknowledges a heartbeat of the second site in this term.
fn follows_second(world: &mut World, to: usize, term: u32) -> bool {
    let id = booth_core::member::SiteId::of_address(&[10, 0, 0, 2]);
    let bytes = forged(world, to, Command::Heartbeat, |message| {
        message.header.sender = id;
        message.header.options = 0;
        let Body::Ticket(body) = &mut message.body else { panic!() };
        (body.leader, body.term) = (wire::LeaderField::Member(id), term);
    });
    world.captured.clear();
    world.inject(1, to, &bytes);
    world.captured.iter().any(|(from, at, bytes)| *from == to && *at == 1 && is_ack(bytes))
}

#[test]
fn s2_a_member_bound_by_its_promise_follows_no_other_leader() {
    let mut world = granted(0);
    world.capture = true;
    world.run(5_500);
    world.isolate(2);
    let held = world.captured.clone();
    assert!(!follows_second(&mut world, 2, 2), "another leader of a newer term, while the promise runs");
    world.captured = held;
    world.run(EXPIRE);
    assert!(follows_second(&mut world, 2, 2), "and when it is over");
}

#[test]
fn s1_a_heartbeat_of_an_older_term_than_a_vote_is_refused() {
    let mut world = granted(0);
    world.capture = true;
    world.run(5_500);
    world.isolate(0);
    let held = world.captured.clone();
    // The arbitrator votes for the second site in term 2, and does not hear its heartbeats.
    world.cut_one_way(2, 1);
    world.run_until(20_000, |world| world.node(2).tickets(world.now(2)).next().unwrap().expires.is_none()).unwrap();
    world.run(1_500);
    world.captured = held;
    let old = forged(&world, 2, Command::Heartbeat, |_| {});
    world.captured.clear();
    world.inject(0, 2, &old);
    let acked = world.captured.iter().any(|(from, to, bytes)| *from == 2 && *to == 0 && is_ack(bytes));
    assert!(!acked, "{}", world.transcript.join("\n"));
}

#[test]
fn s8_a_site_whose_store_may_say_granted_helps_nobody_else() {
    let mut world = granted(0);
    world.hosts[0].habit.fails_per_mille = 1_000;
    world.isolate(0);
    world.kill(2);
    world.run(15_000);
    world.heal();
    world.capture = true;
    world.run(5_000);
    let votes = world
        .captured
        .iter()
        .filter(|(from, to, bytes)| *from == 0 && *to == 1 && is(bytes, Command::Vote, Some(Command::VoteRequest)));
    assert_eq!(votes.count(), 0, "{}", world.transcript.join("\n"));
}
