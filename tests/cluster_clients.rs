//! Stories of administrators who were told something that was not so, or nothing at all: each begins with what went
//! wrong once, and shows that it does not any more.
#![allow(clippy::unwrap_used)]

mod world;

use booth_core::member::SiteId;
use booth_core::settings::Mode;
use booth_core::wire::{self, Body, Command, Header, LeaderField, Message, Outcome, Reason, TicketBody};
use world::{Plan, World, ticket};

const EXPIRE: u64 = 10_000;
const SITE1: usize = 0;
const SITE2: usize = 1;
const ARBITRATOR: usize = 2;

fn plan() -> Plan {
    let tickets = vec![ticket("T", EXPIRE, 0)];
    Plan { sites: 2, arbitrators: 1, tickets, key: true, seed: 1, remember: true }
}

fn story(world: &World) -> String {
    world.transcript.join("\n")
}

/// The newest captured datagram of this kind between these two.
fn captured(world: &World, from: usize, to: usize, command: Command) -> Option<Vec<u8>> {
    let key = wire::Key::new(world::KEY);
    let is_it = |bytes: &[u8]| wire::decode(bytes, Some(&key)).is_ok_and(|message| message.header.command == command);
    let found = world.captured.iter().rev().find(|(of, at, bytes)| (*of, *at) == (from, to) && is_it(bytes));
    found.map(|(_, _, bytes)| bytes.clone())
}

/// The handler before the second attempt at a grant was still running when another site asked for a vote: with the
/// vote, the grant was forgotten, and its client waited for ever.
#[test]
fn a_vote_for_another_does_not_end_a_grant_that_still_asks_its_handler() {
    let mut plan = plan();
    plan.tickets[0].before_acquire = true;
    let mut world = World::new(plan);
    world.run(2_000);
    world.isolate(SITE2);
    let client = world.grant(SITE2, "T");
    world.run(100);
    world.hosts[SITE2].handler_hangs = true;
    world.grant(SITE1, "T");
    world.run(1_500);
    world.revoke(SITE1, "T");
    world.run(100);
    world.capture = true;
    world.isolate(SITE1);
    world.grant(SITE1, "T");
    world.run(100);
    let request = captured(&world, SITE1, SITE2, Command::VoteRequest).unwrap();
    world.kill(SITE1);
    world.inject(SITE1, SITE2, &request);
    world.hosts[SITE2].handler_hangs = false;
    world.heal();
    let took = world.run_until(EXPIRE, |world| world.holder(0) == Some(SITE2));
    assert!(took.is_some(), "{}", story(&world));
    world.run(100);
    assert_eq!(world.answer(client), Some(Outcome::Success), "{}", story(&world));
}

/// A member that speaks as the reference, whose answers name no request, had refused to help with a ticket that was
/// revoked and not lost. That came late, when an administrator had asked for a grant: the grant was given up in silence.
#[test]
fn a_late_word_of_a_revoke_does_not_end_an_administrators_election() {
    let mut world = World::new(plan());
    for host in 0..3 {
        world.hosts[host].wordless = true;
    }
    world.run(2_000);
    world.grant(SITE1, "T");
    world.run_until(3 * EXPIRE, |world| world.holder(0) == Some(SITE1)).unwrap();
    world.run(100);
    world.isolate(SITE2);
    world.revoke(SITE1, "T");
    world.run(100);
    world.kill(SITE1);
    world.heal();
    world.cut_one_way(ARBITRATOR, SITE2);
    world.capture = true;
    let refused = |world: &World| captured(world, ARBITRATOR, SITE2, Command::Reject).is_some();
    world.run_until(3 * EXPIRE, refused).unwrap();
    let late = captured(&world, ARBITRATOR, SITE2, Command::Reject).unwrap();
    world.run(100);
    world.heal();
    let client = world.grant(SITE2, "T");
    world.inject(ARBITRATOR, SITE2, &late);
    let took = world.run_until(3 * EXPIRE, |world| world.holder(0) == Some(SITE2));
    assert!(took.is_some(), "{}", story(&world));
    assert!(!world.waiting().contains(&client), "{}", story(&world));
}

/// A site that had just started was asked for a grant and then for a revoke, before anybody had told it who held the
/// ticket: it said that it was revoked, while another site held it.
#[test]
fn who_knows_nothing_yet_does_not_say_revoked() {
    let mut world = World::new(plan());
    world.run(2_000);
    world.grant(SITE1, "T");
    world.run_until(1_000, |world| world.holder(0) == Some(SITE1)).unwrap();
    world.run(100);
    world.kill_and_lose_journal(SITE2);
    world.isolate(SITE2);
    world.boot(SITE2);
    world.run(200);
    let grant = world.grant(SITE2, "T");
    let revoke = world.revoke(SITE2, "T");
    world.heal();
    world.run(3_000);
    assert_eq!(world.answer(revoke), Some(Outcome::Busy), "{}", story(&world));
    assert_eq!(world.answer(grant), Some(Outcome::Overgrant), "{}", story(&world));
    assert_eq!(world.holder(0), Some(SITE1), "{}", story(&world));
}

/// The store could not write the grant of a manual ticket yet: who asked for it once more heard that it was done.
#[test]
fn a_manual_grant_is_done_when_the_store_says_so_s8() {
    let mut plan = plan();
    plan.tickets[0].mode = Mode::Manual;
    let mut world = World::new(plan);
    world.run(2_000);
    world.hosts[SITE1].habit.fails_per_mille = 1_000;
    let first = world.grant(SITE1, "T");
    world.run(100);
    let second = world.grant(SITE1, "T");
    assert_eq!(world.answer(second), Some(Outcome::More), "{}", story(&world));
    world.hosts[SITE1].habit.fails_per_mille = 0;
    world.run(1_000);
    assert_eq!(world.holder(0), Some(SITE1), "{}", story(&world));
    assert_eq!([first, second].map(|client| world.answer(client)), [Some(Outcome::Success); 2], "{}", story(&world));
}

/// Members that speak as the reference had refused many elections, their refusals came late, and each was taken for the
/// end of the election that ran by then: each brought forth another election, and that as many more refusals. Nothing
/// else was done any more, and nobody who had asked for a grant was answered.
#[test]
fn a_refusal_of_an_earlier_election_does_not_end_this_one() {
    let mut world = World::new(plan());
    world.run(2_000);
    world.hosts[ARBITRATOR].wordless = true;
    world.isolate(SITE2);
    world.grant(SITE2, "T");
    world.run(500);
    let started = |world: &World| world.transcript.iter().filter(|line| line.contains("ElectionStarted")).count();
    assert_eq!(started(&world), 1, "{}", story(&world));
    let header = Header {
        stamp: world.now(ARBITRATOR).wall,
        sender: SiteId::of_address(&[10, 0, 0, ARBITRATOR as u8 + 1]),
        command: Command::Reject,
        request: Some(Command::VoteRequest),
        options: 0,
        reason: Reason::None,
        outcome: Outcome::TermOutdated,
    };
    let body = TicketBody { name: "T", leader: LeaderField::Nobody, term: 0, valid_for: 0 };
    let mut bytes = [0; wire::MAX_MESSAGE];
    let key = wire::Key::new(world::KEY);
    let length = wire::encode(&Message { header, body: Body::Ticket(body) }, Some(&key), &mut bytes);
    world.inject(ARBITRATOR, SITE2, &bytes[..length]);
    assert!(story(&world).contains("RefusedBy"), "{}", story(&world));
    world.run(400);
    assert_eq!(started(&world), 1, "{}", story(&world));
}

/// A site had won the election for an administrator's grant, nobody had confirmed it yet, and it voted for another
/// that asked in a newer term: the grant was forgotten, and the client never answered.
#[test]
fn a_vote_before_the_first_confirmation_does_not_end_a_grant_in_silence() {
    let mut world = World::new(plan());
    world.run(2_000);
    let client = world.grant(SITE1, "T");
    world.run_until(1_000, |world| world.transcript.iter().any(|line| line.contains("Won"))).unwrap();
    // Its heartbeats are lost, and another asks for votes.
    for other in [SITE2, ARBITRATOR] {
        world.cut(SITE1, other);
    }
    world.run(50);
    world.heal();
    world.cut(SITE1, ARBITRATOR);
    world.grant(SITE2, "T");
    let voted = |world: &World| world.transcript.iter().any(|line| line.contains("site1  ticket 0: Voted"));
    world.run_until(1_000, voted).unwrap();
    // Nothing comes of that.
    world.kill(SITE2);
    world.heal();
    world.run(2 * EXPIRE);
    assert_eq!(world.answer(client), Some(Outcome::Success), "{}", story(&world));
}

/// A revoke was asked for at a site whose store failed until another held the ticket: its client was told of success
/// when that store was revoked at last, though the ticket was held; or never told anything, where a grant overtook it.
#[test]
fn who_waits_for_a_revoke_while_another_takes_the_ticket_is_sent_there() {
    let mut world = World::new(plan());
    world.run(2_000);
    world.grant(SITE1, "T");
    world.run_until(1_000, |world| world.holder(0) == Some(SITE1)).unwrap();
    world.hosts[SITE1].habit.fails_per_mille = 1_000;
    let client = world.revoke(SITE1, "T");
    world.run(100);
    world.isolate(SITE1);
    // The guard ends the grant there, and the lease has run out.
    world.run_until(2 * EXPIRE, |world| world.holder(0) == Some(SITE2)).unwrap();
    world.heal();
    world.run(EXPIRE);
    assert_eq!(world.answer(client), Some(Outcome::Redirect), "{}", story(&world));
}
