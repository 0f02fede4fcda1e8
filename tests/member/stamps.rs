//! What comes late, and our own stamps: S11.

use super::fixture::{EXPIRE, Words};
use super::member::{Member, T, call};
use booth_core::sink::Record;
use booth_core::time::Millis;
use booth_core::wire::Command;

/// Held back by somebody on the path, not seen before: the window of stamps is all that there is against it.
#[test]
fn s11_a_call_for_votes_that_was_overtaken_gets_none() {
    for silence in [0, EXPIRE.0 / 2 + 1_000] {
        let mut member = Member::ready(2);
        let late = member.says(1, call(1, 3));
        member.hears(1, Words::new(Command::Status, T));
        member.pass(silence);
        member.arrives(&late);
        assert!(!member.has_voted_for(1), "after {silence} ms");
        member.hears(1, call(1, 3));
        assert!(member.has_voted_for(1));
    }
}

#[test]
fn s11_stamps_do_not_go_back_by_a_restart() {
    let mut member = Member::ready(2);
    let stamp = member.now.wall.after(Millis(3_600_000));
    member = Member::start(2, Some(Record { stamp, ..Record::default() }));
    member.hears(1, call(1, 3));
    let vote = member.sent(Command::Vote, Some(Command::VoteRequest))[0];
    assert!(vote.stamp > stamp, "the wall clock was set back");
}
