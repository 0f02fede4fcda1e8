//! What counts for a lease and for an election, and what is asked for: S4, S5, S6.

use super::fixture::{self, EXPIRE, Words, id};
use super::member::{
    Member, T, ack, call, follower, heartbeat, leader, reference_ack, refusal, seconds, step_down, vote, wordless,
};
use booth_core::lease;
use booth_core::options::Word;
use booth_core::settings::TicketSettings;
use booth_core::sink::Record;
use booth_core::time::Millis;
use booth_core::view::Role;
use booth_core::wire::{Command, Outcome, Reason};
use std::collections::BTreeSet;

/// The word of a vote that answers this.
fn remembers(number: u32) -> Word {
    Word { remembers: true, ..Word::numbered(number) }
}

/// A candidate by an administrator's word, and the number and term of its call.
fn candidate(memory: Option<Record>) -> (Member, Word, u32) {
    let mut member = Member::start(0, memory);
    member.catch_up();
    member.asks(1, Command::ClientGrant);
    let call = *member.calls().last().unwrap();
    (member, call.word, call.term)
}

fn has_won(member: &Member) -> bool {
    !member.sent(Command::Heartbeat, None).is_empty()
}

#[test]
fn s4_a_heartbeat_asks_for_a_whole_lease_and_of_the_reference_for_some_seconds_more() {
    let mut member = Member::ready(0);
    member.hears(2, Words::new(Command::Status, T));
    member.is_elected();
    let asked: Vec<_> = member.sent(Command::Heartbeat, None).iter().map(|said| (said.to, said.valid_for)).collect();
    // The arbitrator has spoken with a word since.
    assert_eq!(asked, [(1, seconds(EXPIRE)), (2, seconds(EXPIRE))]);
    member.hears(2, Words::new(Command::Status, T));
    let mut more = Vec::new();
    for _ in 0..5 {
        member.done.clear();
        member.pass(EXPIRE.0 / 2);
        let asked = member.sent(Command::Heartbeat, None);
        assert_eq!((asked[0].to, asked[0].valid_for), (1, seconds(EXPIRE)));
        assert_eq!(asked[1].to, 2);
        more.push(asked[1].valid_for - seconds(EXPIRE));
        member.hears(2, reference_ack(0, &asked[1]));
        let updates = member.sent(Command::Update, None);
        assert_eq!((updates[1].to, updates[1].valid_for), (2, seconds(EXPIRE)));
    }
    assert_eq!(more, [1, 2, 1, 2, 1], "none is like another of the last `expire`");
}

/// Suspended between a renewal's heartbeat and its acknowledgement, which waits in the socket.
#[test]
fn s4_a_late_acknowledgement_does_not_revive_a_lease_that_has_ended() {
    let mut member = leader();
    let end = member.view().expires.unwrap();
    member.pass(EXPIRE.0 / 2 + 100);
    let renewal = *member.sent(Command::Heartbeat, None).last().unwrap();
    let held = member.says(2, ack(0, &renewal));
    member.leap(end.since(member.now.boot).0 + 1);
    member.arrives(&held);
    assert_ne!(member.view().role, Role::Leader);
    assert!(member.writes().iter().any(|(_, ticket)| !ticket.granted), "{:?}", member.done);
}

/// The clock of a virtual machine that was paused has stood still: by it, the lease still runs.
#[test]
fn s4_a_leader_gives_up_for_a_successor_that_was_elected_by_right_and_for_no_other() {
    for settled in [false, true] {
        let mut member = leader();
        let word = Word { settled, ..Word::numbered(9) };
        member.hears(1, Words { options: word.encode(), ..heartbeat(1, 7) });
        assert_eq!(member.view().role != Role::Leader, settled);
        assert_eq!(member.writes().iter().any(|(_, ticket)| !ticket.granted), settled);
    }
}

#[test]
fn s5_a_vote_counts_for_the_call_that_it_answers() {
    let (mut member, word, term) = candidate(Some(Record::default()));
    for from in [1, 2] {
        member.hears(from, vote(0, term, remembers(word.number + 1)));
    }
    assert!(!has_won(&member), "another call's number");
    for from in [1, 2] {
        member.hears(from, vote(0, term + 1, remembers(word.number)));
    }
    assert!(!has_won(&member), "another term");
    member.hears(2, vote(1, term, remembers(word.number)));
    assert!(!has_won(&member), "for another candidate");
    member.hears(1, vote(0, term, remembers(word.number)));
    assert!(has_won(&member));
}

#[test]
fn s5_a_vote_of_the_reference_counts_if_it_was_given_since_the_call() {
    let mut member = Member::ready(0);
    for from in [1, 2] {
        // So that it is known how the peers' clocks stand.
        member.hears(from, Words::new(Command::Status, T));
    }
    member.pass(1_000);
    let old: Vec<_> = [1, 2].map(|from| member.says(from, wordless(vote(0, 1, Word::default())))).into();
    member.pass(9_000);
    member.asks(1, Command::ClientGrant);
    assert_eq!(member.calls().last().unwrap().term, 1);
    for held in &old {
        member.arrives(held);
    }
    assert!(!has_won(&member));
    for from in [1, 2] {
        member.hears(from, wordless(vote(0, 1, Word::default())));
    }
    assert!(has_won(&member));
}

/// Nothing in a message says for whom it is: somebody on the path can hand on what was said to another.
#[test]
fn s5_an_acknowledgement_counts_for_the_leader_that_it_names() {
    let mut member = leader();
    member.hears(2, Words::new(Command::Status, T));
    let end = member.view().expires;
    member.pass(EXPIRE.0 / 2);
    let renewal = *member.sent(Command::Heartbeat, None).last().unwrap();
    member.hears(2, reference_ack(1, &renewal));
    assert_eq!(member.view().expires, end, "promised to another");
    member.hears(2, reference_ack(0, &renewal));
    assert!(member.view().expires > end);
}

/// What a member of the reference said had been late all the time, so that its clock was taken to be behind by as much.
/// When nothing of the leader's reached it any more, what it had said before still came, seemed to be new, and renewed a
/// lease that nobody had promised.
#[test]
fn s5_an_acknowledgement_of_the_reference_counts_for_the_heartbeat_that_it_echoes() {
    const LATE: u64 = 255_000;
    let mut member = Member::ready(0);
    let first = member.says(2, Words::new(Command::Status, T));
    member.pass(LATE);
    member.arrives(&first);
    member.asks(1, Command::ClientGrant);
    member.gets_vote(1);
    let heartbeat = *member.sent(Command::Heartbeat, None).last().unwrap();
    let to_another = *member.sent(Command::Heartbeat, None).first().unwrap();
    assert_eq!((to_another.to, heartbeat.to), (1, 2));
    member.hears(1, ack(0, &to_another));
    let end = member.view().expires.unwrap();
    // It was sent again and again, and is acknowledged at last.
    member.pass(50_000);
    let late = member.says(2, reference_ack(0, &heartbeat));
    member.pass(LATE);
    let renewal = *member.sent(Command::Heartbeat, None).last().unwrap();
    assert!(renewal.to == 2 && renewal.word.number != heartbeat.word.number, "the next round");
    member.arrives(&late);
    assert_eq!(member.view().expires, Some(end), "an answer to what was asked before");
    member.hears(2, reference_ack(0, &renewal));
    assert!(member.view().expires > Some(end));
}

/// Two sites stood at the same moment. The first was elected, followed by some, and then helped the second; those who had
/// followed it helped nobody for as long as they had promised it.
#[test]
fn l1_who_is_elected_and_helps_another_frees_those_who_have_followed() {
    let (mut member, word, term) = candidate(Some(Record::default()));
    member.hears(2, vote(0, term, remembers(word.number)));
    member.hears(1, vote(0, term, remembers(word.number)));
    assert!(member.view().role == Role::Leader && member.view().expires.is_none());
    member.done.clear();
    member.hears(1, call(1, term + 1));
    assert!(member.has_voted_for(1));
    let freed = member.sent(Command::Vote, None);
    assert_eq!(freed.iter().map(|said| said.to).collect::<Vec<_>>(), [1, 2]);
    assert!(freed.iter().all(|said| said.leader.is_none() && said.term == term && said.word.stopped));
    // Without memory it does not know whether something of an earlier lease still runs.
    let (mut member, word, term) = candidate(None);
    for from in [2, 1] {
        member.hears(from, vote(0, term, remembers(word.number)));
    }
    member.done.clear();
    member.hears(1, Words { reason: Reason::Administrator, ..call(1, term + 1) });
    let freed = member.sent(Command::Vote, None);
    assert!(freed.len() == 2 && freed.iter().all(|said| !said.word.stopped), "{:?}", member.done);
    // One that followed.
    let mut follower = follower(5);
    let word = Word { stopped: true, ..Word::numbered(11) };
    follower.hears(0, Words { options: word.encode(), ..step_down(5) });
    follower.hears(1, call(1, 6));
    assert!(follower.has_voted_for(1));
}

/// A renewal fell due before the first heartbeat had been repeated as often as it may be, and was the first heartbeat of
/// another round: who had been elected, and then cut off, went on for ever. When it was heard again, those who had voted
/// for it had lost their memory and helped another, whose lease ended then and there (S0).
#[test]
fn s10_who_is_elected_and_not_confirmed_does_not_lead_for_ever() {
    let (expire, renewal) = (Millis(60_000), Millis(58_000));
    let ticket = TicketSettings { expire, renewal, ..fixture::ticket(T) };
    assert!(lease::renewal(&ticket) < Millis(55_000), "it is tried for 55 s");
    let elected = || {
        let mut member = Member::start_with(0, Some(Record::default()), ticket.clone());
        member.catch_up();
        member.asks(1, Command::ClientGrant);
        for from in [2, 1] {
            member.gets_vote(from);
        }
        member
    };
    let mut member = elected();
    let term = member.calls().last().unwrap().term;
    member.pass(56_000);
    let rounds: BTreeSet<_> = member.sent(Command::Heartbeat, None).iter().map(|said| said.word.number).collect();
    assert_eq!(rounds.len(), 1);
    assert!(member.calls().last().unwrap().term > term, "{:?}", member.done);
    // Confirmed late, it renews in time.
    let mut member = elected();
    member.pass(48_000);
    member.gets_ack(2);
    assert!(member.view().expires.is_some());
    member.pass(1);
    let rounds: BTreeSet<_> = member.sent(Command::Heartbeat, None).iter().map(|said| said.word.number).collect();
    assert_eq!(rounds.len(), 2);
}

/// The word of one that had been away and knew of a newer term came just before the acknowledgements of the others. The
/// leader withdrew, and they refused everybody else for as long as they had promised it.
#[test]
fn l1_who_is_elected_waits_for_a_majority_in_spite_of_one_refusal() {
    let refused = |by: &[u8]| {
        let (mut member, word, term) = candidate(Some(Record::default()));
        for from in [1, 2] {
            member.hears(from, vote(0, term, remembers(word.number)));
        }
        let heartbeat = *member.sent(Command::Heartbeat, None).last().unwrap();
        for from in by {
            member.hears(*from, refusal(Command::Heartbeat, Outcome::TermOutdated, &heartbeat, term + 3));
        }
        (member, heartbeat)
    };
    let (mut member, heartbeat) = refused(&[1]);
    member.hears(2, ack(0, &heartbeat));
    assert!(member.view().role == Role::Leader && member.view().expires.is_some());
    // It does not come.
    let (mut member, heartbeat) = refused(&[1]);
    member.done.clear();
    member.pass(6_000);
    assert!(member.calls().iter().any(|call| call.term > heartbeat.term + 3), "{:?}", member.done);
    // It cannot come.
    let (member, _) = refused(&[1, 2]);
    assert_ne!(member.view().role, Role::Leader);
}

/// Whether the winner of these votes says that no other lease can run.
fn is_settled(memory: Option<Record>, votes: &[(u8, bool)]) -> bool {
    let (mut member, word, term) = candidate(memory);
    for (from, with_word) in votes {
        let words = vote(0, term, remembers(word.number));
        member.hears(*from, if *with_word { words } else { wordless(words) });
    }
    member.pass(6_000);
    let heartbeat = *member.sent(Command::Heartbeat, None).first().expect("a majority has voted");
    heartbeat.word.settled
}

#[test]
fn s6_a_leader_says_that_no_other_lease_can_run_only_where_its_voters_vouch_for_it() {
    let memory = Some(Record::default());
    assert!(is_settled(memory, &[(2, true)]), "with our own, a majority that remembers");
    assert!(!is_settled(memory, &[(2, false)]), "a majority, but not all sites");
    assert!(is_settled(memory, &[(1, false), (2, false)]), "all sites");
    assert!(!is_settled(None, &[(2, true)]), "our own vote vouches for nothing");
}

#[test]
fn s6_a_late_vote_counts_for_whom_and_for_what_it_is_given() {
    let granted = |candidate_of: u8, later: u32, another: u32| {
        let (mut member, word, term) = candidate(None);
        member.hears(2, vote(0, term, remembers(word.number)));
        member.pass(6_000);
        member.gets_ack(2);
        let held_back = member.writes().iter().all(|(_, write)| !write.granted);
        assert!(held_back && member.view().commit_pending.is_some());
        member.hears(1, vote(candidate_of, term + later, remembers(word.number + another)));
        member.writes().iter().any(|(_, write)| write.granted)
    };
    assert!(granted(0, 0, 0));
    assert!(!granted(1, 0, 0), "for itself");
    assert!(!granted(0, 1, 0), "in another term");
    assert!(!granted(0, 0, 1), "to another request");
}

/// A lease that the arbitrator has promised to respect cannot run any more, if it is the winner that says so.
#[test]
fn l1_a_bound_member_follows_a_leader_who_knows_that_no_other_lease_can_run() {
    for settled in [false, true] {
        let mut member = bound();
        let word = Word { settled, ..Word::numbered(9) };
        member.hears(1, Words { options: word.encode(), ..heartbeat(1, 2) });
        assert_eq!(member.has_acknowledged(1), settled);
    }
}

/// An arbitrator that has heard the second site, and follows the first.
fn bound() -> Member {
    let mut member = Member::ready(2);
    member.hears(1, Words::new(Command::Status, T));
    member.pass(1_000);
    member.hears(0, heartbeat(0, 1));
    member.pass(1_000);
    member.done.clear();
    member
}

/// Two members had lost their memory; one of them was elected, with the other's promise. A heartbeat of the leader before
/// came late to that other, who took its word for it that no other lease could run, and voted for it: both held the
/// ticket.
#[test]
fn s2_what_a_leader_vouches_for_frees_nobody_from_a_promise_made_since() {
    let word = Word { settled: true, ..Word::numbered(9) };
    let vouching = Words { options: word.encode(), ..heartbeat(1, 2) };
    let mut member = bound();
    let late = member.says(1, vouching);
    member.pass(1_000);
    member.hears(0, heartbeat(0, 1));
    member.pass(4_000);
    member.arrives(&late);
    assert!(!member.has_acknowledged(1), "{:?}", member.done);
    // Nor if there is nothing to compare it with.
    let mut member = follower(1);
    member.pass(1_000);
    member.hears(1, vouching);
    assert!(!member.has_acknowledged(1), "{:?}", member.done);
}

#[test]
fn s9_a_heartbeat_that_was_overtaken_by_the_step_down_binds_nobody() {
    let mut member = follower(1);
    let late = member.says(0, heartbeat(0, 1));
    member.hears(0, step_down(1));
    member.done.clear();
    member.arrives(&late);
    assert!(!member.has_acknowledged(0));
    assert_eq!(member.view().expires, None);
}

#[test]
fn l3_who_has_not_answered_is_asked_again() {
    let mut member = leader();
    member.pass(EXPIRE.0 / 2);
    member.done.clear();
    member.pass(6_000);
    let asked: Vec<_> = member.sent(Command::Heartbeat, None).iter().map(|said| said.to).collect();
    assert_eq!(asked, [1, 2]);
    assert_eq!(member.view().holder, booth_core::view::Holder::Member(booth_core::member::MemberIndex(0)));
    assert_eq!(id(0), member.sent(Command::Heartbeat, None)[0].leader.unwrap());
}
