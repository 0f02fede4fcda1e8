//! How a ticket is given away where it has a release-handler: S9, S3.

use super::fixture::{self, EXPIRE};
use super::member::{Member, T};
use booth_core::input::StoreResult;
use booth_core::settings::TicketSettings;
use booth_core::sink::{HandlerKind, HandlerRequest, Record};
use booth_core::time::Instant;
use booth_core::view::Role;
use booth_core::wire::{Command, Outcome};
use std::collections::BTreeSet;

/// The client's flag `-w`.
const WAIT: u32 = 2;

/// A site that holds a ticket with a release-handler.
fn leader() -> Member {
    let ticket = TicketSettings { release_handler: true, before_acquire: true, ..fixture::ticket(T) };
    let mut member = Member::start_with(0, Some(Record::default()), ticket);
    member.catch_up();
    member.asks(1, Command::ClientGrant);
    member.handler_exits(member.handlers()[0].number, true);
    for from in [2, 1] {
        member.gets_vote(from);
    }
    member.gets_ack(2);
    let (number, ticket) = *member.writes().last().expect("a write to the store");
    assert!(ticket.granted);
    member.store(number, StoreResult::Written);
    member.done.clear();
    member
}

/// An administrator has revoked, the store has confirmed it: the release-handler that runs.
fn releasing(member: &mut Member) -> HandlerRequest {
    let (revoke, ticket) = *member.writes().last().expect("a revoke");
    assert!(!ticket.granted && member.handlers().is_empty(), "the store first: {:?}", member.done);
    member.store(revoke, StoreResult::Written);
    let handler = *member.handlers().last().expect("then the resources");
    assert_eq!(handler.kind, HandlerKind::Release);
    handler
}

fn told(member: &Member) -> usize {
    member.sent(Command::Revoke, None).len() + member.sent(Command::Vote, None).len()
}

#[test]
fn s9_the_others_hear_of_a_revoke_when_the_resources_are_stopped() {
    let mut member = leader();
    member.asks(2, Command::ClientRevoke);
    member.asks_with(3, Command::ClientRevoke, WAIT);
    let handler = releasing(&mut member);
    assert_eq!(member.answers(2), [Outcome::More, Outcome::Success], "the store says so");
    assert_eq!(member.answers(3), [Outcome::More], "it waits for the release");
    member.pass(60_000);
    assert!(told(&member) == 0 && member.view().role == Role::Leader, "{:?}", member.done);
    member.handler_exits(handler.number, true);
    assert_eq!(member.answers(3).last(), Some(&Outcome::Success));
    let revokes = member.sent(Command::Revoke, None);
    assert_eq!(revokes.iter().map(|said| said.to).collect::<Vec<_>>(), [1, 2]);
    assert!(revokes.iter().all(|said| said.word.stopped));
    // Also when it is said again.
    member.done.clear();
    member.pass(6_000);
    assert!(member.sent(Command::Revoke, None).iter().all(|said| said.word.stopped) && told(&member) > 0);
}

#[test]
fn s9_who_cannot_say_that_its_resources_are_stopped_says_nothing_before_its_leases_end() {
    for fails in [true, false] {
        let mut member = leader();
        member.asks_with(3, Command::ClientRevoke, WAIT);
        let handler = releasing(&mut member);
        member.gets_ack(2);
        let end = member.view().expires.expect("a lease");
        assert!(end + fixture::ACQUIRE_AFTER > member.now.boot + EXPIRE, "renewed for a whole lease once more");
        if fails {
            member.handler_exits(handler.number, false);
        }
        member.pass(end.since(member.now.boot).0 - 1);
        assert!(told(&member) == 0 && member.answers(3) == [Outcome::More], "{:?}", member.done);
        let renewals =
            member.sent(Command::Heartbeat, None).iter().map(|said| said.word.number).collect::<BTreeSet<_>>();
        assert_eq!((member.view().expires, renewals.len()), (Some(end), 1), "it is not renewed any more");
        member.pass(1);
        let revokes = member.sent(Command::Revoke, None);
        assert!(revokes.len() == 2 && revokes.iter().all(|said| !said.word.stopped), "{:?}", member.done);
        assert_eq!(member.answers(3).last(), Some(&Outcome::Success));
        assert!(handler.deadline <= end + fixture::ACQUIRE_AFTER && handler.deadline > Instant(0));
        // Nobody asks any more.
        member.handler_exits(handler.number, true);
        assert_eq!(member.sent(Command::Revoke, None).len(), 2);
    }
}

#[test]
fn s9_a_step_down_waits_for_the_resources_as_well() {
    let mut member = leader();
    member.pass(EXPIRE.0 / 2);
    let renewal = *member.handlers().last().expect("the before-acquire-handler");
    assert_eq!(renewal.kind, HandlerKind::BeforeAcquire);
    member.done.clear();
    member.handler_exits(renewal.number, false);
    let handler = releasing(&mut member);
    assert_eq!(told(&member), 0);
    member.handler_exits(handler.number, true);
    let votes = member.sent(Command::Vote, None);
    assert!(votes.len() == 2 && votes.iter().all(|said| said.leader.is_none() && said.word.stopped));
}

/// The handler was started anew by each client that asked, and an earlier one's word was lost.
#[test]
fn a_second_revoke_waits_for_the_handler_that_runs() {
    let mut member = leader();
    member.asks(2, Command::ClientRevoke);
    let handler = releasing(&mut member);
    member.asks(4, Command::ClientRevoke);
    member.asks_with(5, Command::ClientRevoke, WAIT);
    assert_eq!((member.handlers().len(), member.writes().len()), (1, 1));
    assert_eq!((member.answers(4), member.answers(5)), (vec![Outcome::Success], vec![Outcome::More]));
    member.handler_exits(handler.number, true);
    assert_eq!(member.answers(5).last(), Some(&Outcome::Success));
}
