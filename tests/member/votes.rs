//! Who gets a vote, who is followed, who stands, and what is on disk by then: S1, S2, S3, S7.

use super::fixture::{ACQUIRE_AFTER, EXPIRE, Words, id};
use super::member::{Done, Member, T, call, follower, heartbeat, leader, refusal, step_down, vote, wordless};
use booth_core::input::{StoreResult, StoredTicket};
use booth_core::member::SiteId;
use booth_core::options::Word;
use booth_core::sink::Record;
use booth_core::time::Millis;
use booth_core::view::Role;
use booth_core::wire::{Command, Outcome, Reason};

/// Longer than a promise and the hold behind it.
const LONG: u64 = EXPIRE.0 + ACQUIRE_AFTER.0 + 10_000;

fn position(member: &Member, what: impl Fn(&Done) -> bool) -> usize {
    member.done.iter().position(what).expect("it is done")
}

#[test]
fn s1_a_vote_is_recorded_before_it_leaves() {
    let mut member = Member::ready(2);
    member.hears(1, call(1, 3));
    let recorded = position(&member, |done| matches!(done, Done::Journal(record) if record.vote == Some(id(1))));
    let sent = position(&member, |done| matches!(done, Done::Send(said) if said.command == Command::Vote));
    assert!(recorded < sent, "{:?}", member.done);
}

#[test]
fn s2_a_promise_is_recorded_before_its_acknowledgement_leaves() {
    let mut member = Member::ready(2);
    member.hears(0, heartbeat(0, 3));
    let recorded = position(&member, |done| matches!(done, Done::Journal(record) if record.active));
    let sent = position(&member, |done| matches!(done, Done::Send(said) if said.command == Command::Ack));
    assert!(recorded < sent, "{:?}", member.done);
}

/// Where all had answered, but not enough for anybody, the same question went out again at once: ten times a second, in a
/// new term each time.
#[test]
fn l1_who_has_lost_by_all_answers_asks_again_when_the_time_for_them_is_over() {
    let mut member = Member::ready(1);
    member.hears(0, heartbeat(0, 3));
    member.pass(LONG);
    let lost = *member.calls().last().expect("it stands for a lost ticket");
    member.done.clear();
    for from in [0, 2] {
        member.hears(from, vote(0, lost.term, Word { remembers: true, ..lost.word }));
    }
    let left = (lost.at + Millis(5_000)).since(member.now.boot).0;
    member.pass(left - 1);
    assert!(member.calls().is_empty(), "{:?}", member.done);
    member.pass(1_000);
    assert!(member.calls().iter().all(|call| call.term == lost.term + 1) && !member.calls().is_empty());
}

/// An administrator revoked at a site that was cut off and fought for the ticket; it was held elsewhere. When the site was
/// heard again, a member that had been away took its word for the holder's, and never followed the holder any more.
#[test]
fn l3_a_revoke_where_the_ticket_was_not_held_ends_no_lease() {
    let mut site = Member::ready(1);
    site.hears(0, heartbeat(0, 5));
    site.hears(2, call(2, 1));
    site.pass(LONG);
    assert!(!site.calls().is_empty(), "it is cut off, and fights for the ticket");
    site.done.clear();
    site.asks(7, Command::ClientRevoke);
    let said = site.sent(Command::Revoke, None);
    assert_eq!(said.iter().map(|said| (said.to, said.word.lost)).collect::<Vec<_>>(), [(0, true), (2, true)]);
    for (lost, follows) in [(true, true), (false, false)] {
        let mut member = Member::ready(2);
        let word = Word { lost, ..Word::numbered(3) };
        let revoke =
            Words { term: 5, reason: Reason::Administrator, options: word.encode(), ..Words::new(Command::Revoke, T) };
        member.hears(1, revoke);
        assert!(!member.sent(Command::Ack, Some(Command::Revoke)).is_empty());
        member.hears(0, heartbeat(0, 5));
        assert_eq!(member.has_acknowledged(0), follows);
    }
}

/// A site without memory was elected in a term that it had led before. When its lease was contested, a revoke of that
/// earlier lease, by which a member had kept away, passed for one of the new, and the ticket was given up.
#[test]
fn l3_who_has_led_in_a_term_leads_in_it_no_second_time() {
    let mut member = follower(5);
    member.pass(LONG);
    member.hears(0, call(0, 5));
    assert!(!member.has_voted_for(0));
    let refused = *member.sent(Command::Reject, Some(Command::VoteRequest)).last().expect("it is told");
    assert_eq!((refused.to, refused.term), (0, 5));
    member.hears(0, call(0, 6));
    assert!(member.has_voted_for(0));
    // The reference asks in an old term where that has ended without a tie.
    let mut member = follower(5);
    member.pass(LONG);
    member.hears(0, wordless(call(0, 5)));
    assert!(member.has_voted_for(0));
}

#[test]
fn s1_nobody_gets_a_vote_in_a_term_that_is_behind_us_or_led_by_another() {
    let mut member = follower(5);
    member.hears(0, call(0, 3));
    assert!(!member.has_voted_for(0), "an older term, though it is our leader");
    member.pass(LONG);
    member.hears(1, call(1, 5));
    assert!(!member.has_voted_for(1), "a term that another has led");
    member.hears(1, call(1, 6));
    assert!(member.has_voted_for(1));
}

#[test]
fn s1_nobody_is_followed_in_a_term_that_is_behind_us_or_led_by_another() {
    let mut member = follower(5);
    member.pass(LONG);
    for term in [4, 5] {
        member.hears(1, heartbeat(1, term));
        assert!(!member.has_acknowledged(1), "term {term}");
    }
    member.hears(1, heartbeat(1, 6));
    assert!(member.has_acknowledged(1));
}

#[test]
fn s1_there_is_one_vote_a_term_and_none_below_the_newest() {
    let mut member = Member::ready(2);
    member.hears(1, call(1, 6));
    assert!(member.has_voted_for(1));
    member.hears(0, call(0, 6));
    member.hears(0, call(0, 5));
    assert!(!member.has_voted_for(0));

    let mut member = Member::ready(0);
    member.asks(1, Command::ClientGrant);
    let own = *member.calls().last().unwrap();
    member.hears(1, call(1, own.term));
    assert!(!member.has_voted_for(1), "a candidate has voted for itself");
}

/// A leader that has stepped down may be voted for at once, another after the hold: by then in an older term.
#[test]
fn s1_a_vote_that_was_put_off_is_not_given_below_a_newer_one() {
    let mut member = follower(1);
    member.hears(0, step_down(1));
    member.hears(1, call(1, 2));
    assert!(!member.has_voted_for(1), "acquire-after");
    member.hears(0, call(0, 5));
    assert!(member.has_voted_for(0));
    member.pass(ACQUIRE_AFTER.0 + 1_000);
    assert!(!member.has_voted_for(1));
}

/// A member was taken out of the configuration: its name in the journal says nothing any more.
#[test]
fn s1_a_vote_for_a_member_that_is_gone_is_still_a_vote() {
    let record = Record { term: 1, voted_term: 5, vote: Some(SiteId(77)), ..Record::default() };
    let mut member = Member::start(2, Some(record));
    member.catch_up();
    member.hears(1, call(1, 5));
    assert!(!member.has_voted_for(1));
    member.hears(1, call(1, 6));
    assert!(member.has_voted_for(1));
}

/// Its leader was taken out of the configuration, and may be at work all the same.
#[test]
fn s7_a_promise_to_a_member_that_is_gone_is_kept() {
    let owed = Record { term: 5, leader: Some(SiteId(77)), active: true, promised: EXPIRE, ..Record::default() };
    let mut member = Member::start(2, Some(owed));
    member.catch_up();
    member.hears(1, call(1, 6));
    assert!(!member.has_voted_for(1));
    member.pass(LONG);
    member.hears(1, call(1, 6));
    assert!(member.has_voted_for(1));
}

#[test]
fn s1_who_has_voted_for_another_does_not_win_its_own_older_election() {
    let mut member = Member::ready(0);
    member.asks(1, Command::ClientGrant);
    let own = *member.calls().last().unwrap();
    member.hears(1, call(1, own.term + 1));
    assert!(member.has_voted_for(1));
    member.hears(2, vote(0, own.term, Word { remembers: true, ..own.word }));
    assert_eq!(member.sent(Command::Heartbeat, None).len(), 0);
    assert_ne!(member.view().role, Role::Candidate);
}

#[test]
fn s2_a_member_bound_by_its_promise_does_not_stand() {
    let mut member = Member::ready(1);
    member.hears(0, heartbeat(0, 1));
    let promised = member.now.boot;
    member.pass(LONG);
    let first = member.calls().first().expect("the leader is gone").at;
    assert!(first.since(promised) >= EXPIRE + ACQUIRE_AFTER, "{first:?}");

    // By a step-down the promise ends, but not the hold behind it.
    let mut member = Member::ready(1);
    member.hears(0, heartbeat(0, 1));
    member.hears(0, step_down(1));
    let released = member.now.boot;
    member.pass(LONG);
    let first = member.calls().first().expect("the leader has stepped down").at;
    assert!(first.since(released) >= ACQUIRE_AFTER, "{first:?}");
}

#[test]
fn s2_a_leader_that_counts_from_the_answer_is_promised_more() {
    let promised = |words| {
        let mut member = Member::ready(2);
        member.hears(0, words);
        member.view().expires.unwrap().since(member.now.boot)
    };
    let (ours, theirs) = (promised(heartbeat(0, 1)), promised(wordless(heartbeat(0, 1))));
    // 2 ‰ of each of the two clocks.
    assert!(theirs.0 >= ours.0 + EXPIRE.0 / 250, "{ours:?} {theirs:?}");
}

/// The leader is cut off and gives up; what it owes itself ends with its lease, and acquire-after is counted from
/// there. Its store confirms the revoke late, and acquire-after is counted from then.
#[test]
fn s3_a_vote_that_was_put_off_waits_for_the_newest_hold() {
    let mut member = leader();
    let end = member.view().expires.unwrap();
    member.pass(end.since(member.now.boot).0 - 2_000);
    let (number, ticket) = *member.writes().last().expect("it gives up");
    assert!(!ticket.granted);
    member.pass(3_000);
    member.hears(1, call(1, 9));
    member.store(number, StoreResult::Written);
    let revoked = member.now.boot;
    member.pass(30_000);
    let votes = member.sent(Command::Vote, Some(Command::VoteRequest));
    let given = votes.first().map(|vote| vote.at.since(revoked));
    assert!(given.is_none_or(|after| after >= ACQUIRE_AFTER), "{given:?}");
}

/// It is killed between the store's revoke and its own knowledge of it.
#[test]
fn s3_a_restarted_leader_whose_store_was_revoked_holds_acquire_after() {
    let mut member = Member::ready(0);
    member.leads();
    let record = member.record().unwrap();
    let mut member = Member::start(0, Some(record));
    member.load(StoredTicket { granted: false, owner: Some(0), expires: None, term: Some(1), attributes: &[] });
    let started = member.now.boot;
    member.hears(1, call(1, 9));
    member.pass(30_000);
    let given = member.sent(Command::Vote, Some(Command::VoteRequest)).first().map(|vote| vote.at.since(started));
    assert!(given.is_none_or(|after| after >= ACQUIRE_AFTER), "{given:?}");
}

#[test]
fn s7_a_member_that_was_without_memory_is_so_after_another_restart() {
    let mut member = Member::start(2, Some(Record { forgetful: true, ..Record::default() }));
    member.catch_up();
    assert!(member.view().forgetful_until.is_some());
    member.hears(1, call(1, 3));
    assert!(!member.has_voted_for(1));
    member.pass(LONG);
    assert!(member.view().forgetful_until.is_none());
}

#[test]
fn s7_a_member_without_memory_does_not_stand() {
    let mut member = Member::start(1, None);
    let started = member.now.boot;
    member.catch_up();
    member.hears(0, heartbeat(0, 1));
    assert!(member.has_acknowledged(0));
    member.hears(0, step_down(1));
    member.pass(LONG);
    let first = member.calls().first().expect("at last").at;
    assert!(first.since(started) >= EXPIRE + ACQUIRE_AFTER, "{first:?}");
}

#[test]
fn l1_a_revoke_that_is_older_than_the_newest_grant_ends_no_candidacy() {
    let record = Record { term: 5, leader: Some(id(1)), ..Record::default() };
    let mut member = Member::start(0, Some(record));
    member.catch_up();
    member.pass(LONG);
    let own = *member.calls().last().expect("it was lost");
    member.hears(2, refusal(Command::VoteRequest, Outcome::YouAreOutdated, &own, 3));
    member.done.clear();
    member.pass(10_000);
    assert!(!member.calls().is_empty(), "{:?}", member.done);
}

#[test]
fn l1_a_revoke_in_the_store_that_is_older_than_the_journal_is_not_the_last_word() {
    let calls = |term| {
        let record = Record { term: 5, leader: Some(id(1)), ..Record::default() };
        let mut member = Member::start(0, Some(record));
        let (granted, owner, expires) = (false, Some(-1), None);
        member.load(StoredTicket { granted, owner, expires, term: Some(term), attributes: &[] });
        member.pass(LONG);
        member.calls().len()
    };
    assert!(calls(3) > 0, "granted again since");
    assert_eq!(calls(5), 0, "revoked by an administrator: not to be fought for");
}

/// A site was granted a ticket that had been revoked, and its disk was full: its journal still said revoked when it was
/// started again, and nobody fought for the ticket.
#[test]
fn l1_who_has_held_a_ticket_since_the_revoke_knows_it_from_the_store() {
    let calls = |owner: SiteId| {
        let record = Record { term: 5, voted_term: 5, vote: Some(id(0)), revoked: true, ..Record::default() };
        let mut member = Member::start(0, Some(record));
        let (granted, owner, expires) = (false, Some(owner.0 as i32), None);
        member.load(StoredTicket { granted, owner, expires, term: Some(5), attributes: &[] });
        member.pass(LONG);
        member.calls().len()
    };
    assert!(calls(id(0)) > 0, "granted again since");
    assert_eq!(calls(id(1)), 0, "its holder's revoke has not reached the store");
}

/// An arbitrator that had forgotten an administrator's revoke helped a site that had missed it.
#[test]
fn l3_a_revoke_is_remembered_over_a_restart() {
    let mut member = Member::start(2, Some(Record { term: 5, revoked: true, ..Record::default() }));
    member.catch_up();
    member.hears(1, call(1, 6));
    assert!(!member.has_voted_for(1));
}

/// Two members that were bound still answered each call at once, and were called again at once.
#[test]
fn l1_refusals_of_members_that_are_bound_start_no_storm() {
    for by_administrator in [false, true] {
        let record = Record { term: 5, leader: Some(id(1)), ..Record::default() };
        let mut member = Member::start(0, Some(record));
        member.catch_up();
        member.pass(LONG);
        if by_administrator {
            member.asks(1, Command::ClientGrant);
        }
        let own = *member.calls().last().expect("it was lost");
        let started = own.at;
        member.pass(500);
        let number = member.calls().len();
        for from in [1, 2] {
            member.hears(from, refusal(Command::VoteRequest, Outcome::TermStillValid, &own, own.term));
        }
        member.pass(4_000 - member.now.boot.since(started).0.min(4_000));
        assert_eq!(member.calls().len(), number, "{:?}", member.done);
    }
}

#[test]
fn l3_a_member_that_knows_a_newer_term_does_not_end_a_lease() {
    let mut member = leader();
    member.pass(EXPIRE.0 / 2 + 1_000);
    let heartbeat = *member.sent(Command::Heartbeat, None).last().unwrap();
    member.hears(2, refusal(Command::Heartbeat, Outcome::TermOutdated, &heartbeat, 9));
    assert_eq!(member.view().role, Role::Leader);
    let again = *member.calls().last().expect("it asks in a term that is newer still");
    assert_eq!((again.term, again.reason), (10, Reason::Reacquire));
    assert_eq!(member.writes().len(), 0, "{:?}", member.done);
}

/// The only site that is left may have been cut off when the ticket was granted.
#[test]
fn l1_an_arbitrator_says_that_a_ticket_is_lost() {
    let mut member = follower(1);
    member.hears(1, Words { options: Word::numbered(3).encode(), ..call(1, 1) });
    member.pass(LONG + EXPIRE.0);
    let told = member.sent(Command::MyIndex, Some(Command::Status));
    assert!(told.iter().any(|said| said.to == 1 && said.word.lost && said.term == 1), "{told:?}");
}
