//! What a member has its store do, and what it believes of it: S8, S10.

use super::fixture::{EXPIRE, Words, id};
use super::member::{Done, Member, T, leader};
use booth_core::input::{StoreResult, StoredTicket};
use booth_core::options::Word;
use booth_core::sink::Record;
use booth_core::time::Millis;
use booth_core::wire::{Command, Outcome, Reason};

/// A site that leads, whose store is still being told of it.
fn granting() -> Member {
    let mut member = Member::ready(0);
    member.is_elected();
    assert!(member.writes().last().unwrap().1.granted);
    member
}

#[test]
fn s8_a_revoke_does_not_wait_for_a_grant_that_hangs() {
    let mut member = granting();
    member.pass(EXPIRE.0);
    let (_, ticket) = *member.writes().last().unwrap();
    assert!(!ticket.granted, "{:?}", member.done);
}

/// The grant hangs and the client thinks better of it.
#[test]
fn s8_a_revoke_is_done_when_the_store_says_so_of_the_revoke() {
    let mut member = granting();
    let (grant, _) = *member.writes().last().unwrap();
    member.asks(2, Command::ClientRevoke);
    assert_eq!(member.answers(2), [Outcome::More], "while a grant may still be written");
    let (revoke, ticket) = *member.writes().last().unwrap();
    assert!(!ticket.granted && revoke != grant);
    member.store(grant, StoreResult::Written);
    assert_eq!(member.answers(2), [Outcome::More], "that was the grant");
    member.store(revoke, StoreResult::Failed);
    assert_eq!(member.answers(2), [Outcome::More], "that was a failure");
    member.pass(1_000);
    let (again, ticket) = *member.writes().last().unwrap();
    assert!(!ticket.granted && again != revoke, "it is tried again");
    member.store(again, StoreResult::Written);
    assert_eq!(member.answers(2), [Outcome::More, Outcome::Success]);
}

/// A site whose store did not revoke was elected anew, and an administrator asked it to revoke; when nobody confirmed the
/// election the revoke was forgotten: it fought for the ticket, and the client was never answered.
#[test]
fn an_administrators_revoke_outlasts_an_election_that_comes_to_nothing() {
    let mut member = leader();
    member.pass(EXPIRE.0 + 5_000);
    let (revoke, ticket) = *member.writes().last().unwrap();
    assert!(!ticket.granted, "it has no answer yet");
    for from in [1, 2] {
        member.gets_vote(from);
    }
    assert!(member.sent(Command::Heartbeat, None).len() > 1 && member.view().expires.is_none(), "elected");
    member.asks(2, Command::ClientRevoke);
    member.done.clear();
    member.pass(EXPIRE.0);
    assert!(member.calls().is_empty(), "{:?}", member.done);
    member.store(revoke, StoreResult::Written);
    assert_eq!(member.answers(2), [Outcome::Success]);
    assert!(member.sent(Command::Revoke, None).iter().any(|said| said.to == 2));
}

/// While a store did not confirm a revoke, the ticket was revoked elsewhere as well, and then granted here: the store was
/// asked for the grant, and who waited for the revoke was never answered.
#[test]
fn who_waits_for_a_revoke_hears_that_a_grant_has_overtaken_it() {
    let mut member = leader();
    member.pass(EXPIRE.0 + 5_000);
    member.asks(2, Command::ClientRevoke);
    assert_eq!(member.answers(2), [Outcome::More]);
    let word = Word::numbered(3).encode();
    member.hears(1, Words { term: 9, reason: Reason::Administrator, options: word, ..Words::new(Command::Revoke, T) });
    assert_eq!(member.answers(2), [Outcome::More], "the store has not said so");
    member.asks(3, Command::ClientGrant);
    assert_eq!(member.answers(2), [Outcome::More, Outcome::SyncFail]);
    assert_eq!(member.answers(3), [Outcome::More]);
}

#[test]
fn s8_a_leader_that_gives_up_tells_its_store_before_the_lease_ends() {
    let mut member = leader();
    let end = member.view().expires.unwrap();
    member.pass(end.since(member.now.boot).0 - 1);
    assert!(!member.writes().last().expect("a revoke").1.granted);
}

#[test]
fn s8_a_grant_must_have_begun_by_the_leases_end() {
    let member = granting();
    let last = member.done.iter().rev().find_map(|done| match done {
        Done::Write(_, _, before) => Some(*before),
        _ => None,
    });
    assert_eq!(last, Some(member.view().expires));
}

fn started_with_grant(owner: u8, left: Millis) -> Member {
    restarted_with_grant(Record::default(), owner, left)
}

fn restarted_with_grant(record: Record, owner: u8, left: Millis) -> Member {
    let mut member = Member::start(0, Some(record));
    let expires = Some(member.now.wall.after(left));
    let owner = Some(id(owner).0 as i32);
    member.done.retain(|done| matches!(done, Done::Load(_)));
    member.load(StoredTicket { granted: true, owner, expires, term: Some(4), attributes: &[] });
    member
}

#[test]
fn s10_what_the_store_says_of_an_earlier_life_is_revoked_when_that_lease_ends() {
    let left = Millis(100_000);
    let mut member = started_with_grant(0, left);
    assert_eq!(member.writes().len(), 0, "a majority may still confirm it");
    member.pass(left.0);
    assert!(!member.writes().last().expect("a revoke").1.granted);
}

#[test]
fn s10_what_the_store_says_of_another_owner_is_revoked_at_once() {
    let member = started_with_grant(1, Millis(100_000));
    assert!(!member.writes().last().expect("a revoke").1.granted);
}

/// The wall clock was set back while the machine was down: by it, the lease that the store recorded still runs.
#[test]
fn s10_what_the_store_says_by_a_clock_that_was_set_back_is_revoked_at_once() {
    let ours = Record { term: 4, leader: Some(id(0)), active: true, promised: EXPIRE, ..Record::default() };
    let later = Member::start(0, None).now.wall.after(Millis(3_600_000));
    let elsewhere = Record { leader: Some(id(1)), ..ours };
    for (record, left, kept) in [
        (ours, 100_000, true),
        (Record { stamp: later, ..ours }, 100_000, false),
        (elsewhere, 100_000, false),
        // The reference rounds a lease's end up to a whole second.
        (ours, EXPIRE.0 + 900, true),
        (ours, EXPIRE.0 + 2_000, false),
    ] {
        let member = restarted_with_grant(record, 0, Millis(left));
        assert_eq!(member.writes().is_empty(), kept, "{record:?} {left}");
    }
}
