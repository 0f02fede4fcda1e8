//! A leader's site that has crashed as a whole: S13.

use super::fixture::{self, ACQUIRE_AFTER, EXPIRE, Words};
use super::member::{Member, T, call, heartbeat, leader};
use booth_core::options::Word;
use booth_core::settings::TicketSettings;
use booth_core::sink::Record;
use booth_core::view::Role;
use booth_core::wire::Command;

/// The leader's heartbeat, which says that its node is among those that are named.
fn named(term: u32) -> Words<'static> {
    let word = Word { running: true, crash_release: true, ..Word::numbered(9) };
    Words { options: word.encode(), ..heartbeat(0, term) }
}

/// A member that has promised the first site its lease, and has waited since for a while.
fn follower(me: u8, renewal: Words<'_>) -> Member {
    let mut member = Member::ready(me);
    member.hears(0, renewal);
    assert!(member.has_acknowledged(0));
    member.pass(1_000);
    member.done.clear();
    member
}

/// Whether it helps another site now.
fn helps(member: &mut Member) -> bool {
    member.done.clear();
    member.hears(1, call(1, 7));
    member.has_voted_for(1)
}

#[test]
fn s13_a_crashed_leaders_lease_is_not_waited_for() {
    let mut arbitrator = follower(2, named(5));
    assert!(!helps(&mut arbitrator));
    arbitrator.site_crashes(0, arbitrator.now.boot);
    assert!(helps(&mut arbitrator));
    let mut site = follower(1, named(5));
    site.site_crashes(0, site.now.boot);
    site.pass(1_000);
    assert!(site.calls().iter().any(|call| call.term == 6 && call.leader.is_some()), "{:?}", site.done);
    // It is not the lease's end that it waits for.
    assert!(site.view().role == Role::Candidate && EXPIRE.0 > 2_000);
}

#[test]
fn s13_the_release_is_on_disk_before_it_helps_another() {
    let mut member = follower(2, named(5));
    member.site_crashes(0, member.now.boot);
    let record = member.record().expect("a record of the journal");
    let mut again = Member::start(2, Some(record));
    again.catch_up();
    again.pass(ACQUIRE_AFTER.0);
    assert!(helps(&mut again), "after a restart it owes the dead leader a lease again");
}

#[test]
fn s13_a_leader_that_has_not_named_its_own_node_is_not_taken_for_dead() {
    let mut member = follower(2, heartbeat(0, 5));
    member.site_crashes(0, member.now.boot);
    assert!(!helps(&mut member));
    // What counts is its newest heartbeat: the daemon has moved to another node.
    let mut member = follower(2, named(5));
    member.hears(0, Words { options: Word { running: true, ..Word::numbered(10) }.encode(), ..heartbeat(0, 5) });
    member.pass(1_000);
    member.site_crashes(0, member.now.boot);
    assert!(!helps(&mut member));
}

#[test]
fn s13_who_still_speaks_lives() {
    let mut member = follower(2, named(5));
    let at = member.now.boot;
    member.pass(10);
    member.hears(0, named(5));
    member.pass(1_000);
    member.site_crashes(0, at);
    assert!(!helps(&mut member));
}

#[test]
fn s13_only_the_leader_that_is_followed_is_concerned() {
    let mut member = follower(2, named(5));
    member.site_crashes(1, member.now.boot);
    assert!(!helps(&mut member));
    let mut leads = leader();
    leads.site_crashes(1, leads.now.boot);
    leads.site_crashes(0, leads.now.boot);
    assert_eq!(leads.view().role, Role::Leader);
}

#[test]
fn s13_what_the_dead_leader_had_sent_before_binds_nobody_again() {
    let mut member = follower(2, named(5));
    let late = member.says(0, named(5));
    member.pass(1_000);
    member.site_crashes(0, member.now.boot);
    member.arrives(&late);
    assert!(helps(&mut member));
}

#[test]
fn s13_a_leader_says_whether_its_node_is_named() {
    for crash_release in [false, true] {
        let ticket = TicketSettings { crash_release, ..fixture::ticket(T) };
        let mut member = Member::start_with(0, Some(Record::default()), ticket);
        member.catch_up();
        member.leads();
        let heartbeats = member.sent(Command::Heartbeat, None);
        assert!(!heartbeats.is_empty() && heartbeats.iter().all(|said| said.word.crash_release == crash_release));
    }
}
