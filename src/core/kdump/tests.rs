//! Stories of dumping nodes, as the table sees them.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::time::WallTime;
use crate::wire::kdump::{Announcement, Key, NodeId};
use core::net::Ipv4Addr;

const INTERVAL: Millis = Millis(10_000);
/// When stories begin, in seconds since 1970: at 1,000 s of the boot clock.
pub(super) const CRASH: u32 = 1_795_000_000;

pub(super) struct Story {
    pub(super) table: Table,
    pub(super) now: Now,
}

pub(super) fn at(seconds: u64) -> Now {
    Now { boot: Instant(seconds * 1000), wall: WallTime((u64::from(CRASH) + seconds - 1000) * 1_000_000) }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn key() -> Key {
    Key::new(b"a key of alpha's own")
}

/// A node `alpha` with a key at 10.0.0.1, in a table with these settings.
fn story(settings: Settings) -> Story {
    let addresses = [ip("10.0.0.1"), ip("::ffff:10.0.1.1")].into_iter().collect();
    let alpha = Node { name: "alpha".try_into().unwrap(), key: key(), addresses };
    Story { table: Table::new(settings, [alpha]), now: at(1000) }
}

fn plain_settings() -> Settings {
    Settings { interval: INTERVAL, lookback: Millis(0), require_auth: false }
}

/// Nodes `alpha` and `beta`, each with this key, at 10.0.0.1 and 10.0.0.2.
pub(super) fn pair() -> Story {
    let node = |name: &str, address: &str| Node {
        name: name.try_into().unwrap(),
        key: key(),
        addresses: [ip(address)].into_iter().collect(),
    };
    Story { table: Table::new(plain_settings(), [node("alpha", "10.0.0.1"), node("beta", "10.0.0.2")]), now: at(1000) }
}

/// A wait for these nodes, written as in a request.
fn waited(nodes: &str) -> Wait {
    let mut wait = Wait::default();
    for node in nodes.split(' ') {
        wait.add_node().unwrap();
        for item in node.split(',') {
            match item.parse() {
                Ok(address) => wait.add_address(address).unwrap(),
                Err(_) => wait.add_name(item).unwrap(),
            }
        }
    }
    wait
}

/// A message of a crash kernel that was up for 3 s at `started`.
fn signed(started: u32, number: u32, uptime: u32) -> [u8; wire::SIGNED_LEN] {
    signed_by("alpha", started, number, uptime)
}

pub(super) fn signed_by(node: &str, started: u32, number: u32, uptime: u32) -> [u8; wire::SIGNED_LEN] {
    let sequence = wire::sequence(started + uptime - 3, number);
    wire::encode_signed(&Announcement { node: NodeId::of(node.as_bytes()), sequence, uptime }, &key())
}

impl Story {
    pub(super) fn later(&mut self, seconds: u64) -> &mut Story {
        self.now = at(self.now.boot.0 / 1000 + seconds);
        self
    }

    pub(super) fn hear(&mut self, from: &str, bytes: &[u8]) -> Result<Heard, DropReason> {
        self.table.receive(self.now, ip(from), bytes)
    }

    pub(super) fn plain(&mut self, from: &str) -> Result<Heard, DropReason> {
        self.hear(from, &wire::encode_plain())
    }

    /// Waits 60 s for nodes, a word of names and addresses each.
    fn wait(&mut self, client: u64, nodes: &str) {
        let wait = waited(nodes);
        let until = self.now.boot + Millis(60_000);
        assert!(self.table.wait(self.now.boot, ClientId(client), until, wait));
    }

    /// The next waiter that is done, and whether it heard all.
    fn done(&mut self) -> Option<(u64, bool)> {
        self.table.next_finished(self.now.boot).map(|finished| (finished.client.0, finished.all()))
    }

    fn listed(&self, from: &str) -> Option<&Source> {
        self.table.sources().find(|source| source.address == ip(from))
    }
}

#[test]
fn a_dump_lasts_from_the_first_message_to_three_intervals_of_silence() {
    let mut story = story(plain_settings());
    assert!(story.plain("10.0.0.9").unwrap().begins);
    assert!(!story.later(30).plain("10.0.0.9").unwrap().begins, "30 s are within it");
    let source = *story.listed("10.0.0.9").unwrap();
    assert_eq!((source.first, source.last, source.count), (at(1000).boot, at(1030).boot, 2));
    assert!(story.table.is_dumping(at(1060).boot, &source));
    assert!(!story.table.is_dumping(at(1061).boot, &source));
    assert!(story.later(31).plain("10.0.0.9").unwrap().begins, "another crash");
    assert_eq!(story.listed("10.0.0.9").unwrap().count, 1);
}

#[test]
fn what_is_no_message_is_dropped_with_its_reason() {
    let mut story = story(plain_settings());
    let message = wire::encode_plain();
    let malformed = |reason| Err(DropReason::Malformed(reason));
    assert_eq!(story.hear("10.0.0.9", &message[..7]), malformed(wire::DropReason::BadSize));
    assert_eq!(story.hear("10.0.0.9", &[0; 8]), malformed(wire::DropReason::BadMagic));
    assert!(story.hear("10.0.0.9", &[&message[..], b"what else"].concat()).is_ok());
    let mut other_order = message;
    other_order[..4].reverse();
    other_order[4..].reverse();
    assert!(story.hear("10.0.0.9", &other_order).is_ok());
    assert_eq!(story.table.sources().count(), 1);
}

#[test]
fn five_wait_and_each_hears_its_own_node_by_any_of_its_addresses() {
    let mut story = story(plain_settings());
    for node in 0..5 {
        story.wait(node, ["10.0.0.2,fd00::2", "10.0.0.3", "10.0.0.4", "::ffff:10.0.0.5", "fd00::6"][node as usize]);
    }
    for (from, client) in [("fd00::2", 0), ("10.0.0.4", 2), ("10.0.0.5", 3), ("::ffff:10.0.0.3", 1)] {
        story.plain(from).unwrap();
        assert_eq!(story.done(), Some((client, true)), "{from}");
    }
    assert_eq!(story.done(), None);
    assert_eq!(story.table.next_deadline(), Some(at(1060).boot));
    story.later(60);
    assert_eq!(story.done(), Some((4, false)), "its time is over");
    assert_eq!((story.table.waiters(), story.table.next_deadline()), (0, None));
}

#[test]
fn who_waits_for_several_nodes_waits_for_all() {
    let mut story = story(plain_settings());
    story.wait(1, "10.0.0.2 10.0.0.3,10.0.0.4");
    story.wait(2, "10.0.0.4");
    story.plain("10.0.0.4").unwrap();
    assert_eq!(story.done(), Some((2, true)), "one message serves all who wait for it");
    assert_eq!(story.done(), None);
    story.plain("10.0.0.2").unwrap();
    let finished = story.table.next_finished(story.now.boot).unwrap();
    assert_eq!(finished.heard, [Some(ip("10.0.0.2")), Some(ip("10.0.0.4"))]);
}

#[test]
fn who_leaves_is_not_waited_for() {
    let mut story = story(plain_settings());
    story.wait(1, "10.0.0.2");
    story.table.leave(ClientId(1));
    story.plain("10.0.0.2").unwrap();
    assert_eq!(story.done(), None);
}

/// A node wrote its dump, booted again, joined, and then its network failed. Its message of two minutes ago
/// must not pass for "it is down": it may well write to the shared disk.
#[test]
fn a_message_from_before_the_wait_counts_only_within_the_lookback() {
    let mut without = story(plain_settings());
    without.plain("10.0.0.2").unwrap();
    without.wait(1, "10.0.0.2");
    assert_eq!(without.done(), None, "not even one of this instant");
    let mut with = story(Settings { lookback: Millis(30_000), ..plain_settings() });
    with.plain("10.0.0.2").unwrap();
    with.later(30).wait(1, "10.0.0.2");
    assert_eq!(with.done(), Some((1, true)));
    with.later(1).wait(2, "10.0.0.2");
    assert_eq!(with.done(), None);
}

#[test]
fn a_node_that_has_a_key_is_heard_by_its_signature_alone_and_from_any_address() {
    let mut story = story(plain_settings());
    story.wait(1, "Alpha,10.0.0.1");
    story.wait(2, "10.0.1.1");
    assert_eq!(story.plain("10.0.0.1"), Err(DropReason::NotAuthenticated), "anybody can write that address");
    assert_eq!(story.plain("10.0.1.1"), Err(DropReason::NotAuthenticated));
    let mut forged = signed(CRASH, 1, 3);
    forged[63] ^= 1;
    assert_eq!(story.hear("10.0.0.1", &forged), Err(DropReason::BadSignature));
    assert_eq!(story.done(), None);
    let heard = story.hear("192.0.2.7", &signed(CRASH, 1, 3)).unwrap();
    assert_eq!((heard.node, heard.begins, heard.remember), (Some(NodeIndex(0)), true, true));
    assert_eq!(story.done(), Some((1, true)), "by name");
    assert_eq!(story.done(), None, "who knows the address alone hears that address");
    story.hear("10.0.1.1", &signed(CRASH, 2, 3)).unwrap();
    assert_eq!(story.done(), Some((2, true)));
    assert_eq!(story.table.name(NodeIndex(0)), "alpha");
}

/// The name of a node that has a key was not known to the resolver when the listener started; the one who
/// waits has found its address since. An unsigned message from there must not do.
#[test]
fn a_node_with_a_key_whose_addresses_are_unknown_still_needs_its_signature() {
    let alpha = Node { name: "alpha".try_into().unwrap(), key: key(), addresses: Vec::new() };
    let mut story = Story { table: Table::new(plain_settings(), [alpha]), now: at(1000) };
    story.wait(1, "alpha,10.0.0.1");
    story.plain("10.0.0.1").unwrap();
    assert_eq!(story.done(), None);
    story.hear("10.0.0.1", &signed(CRASH, 1, 3)).unwrap();
    assert_eq!(story.done(), Some((1, true)));
}

/// One node's key must not declare another one dead.
#[test]
fn a_signature_of_one_node_does_not_speak_for_the_address_of_another() {
    let node = |name: &str, address: &str| Node {
        name: name.try_into().unwrap(),
        key: if name == "alpha" { key() } else { Key::new(b"another key") },
        addresses: [ip(address)].into_iter().collect(),
    };
    let nodes = [node("alpha", "10.0.0.1"), node("beta", "10.0.0.2")];
    let mut story = Story { table: Table::new(plain_settings(), nodes), now: at(1000) };
    story.wait(1, "beta,10.0.0.2");
    story.wait(2, "10.0.0.2");
    story.hear("10.0.0.2", &signed(CRASH, 1, 3)).unwrap();
    assert_eq!(story.done(), None);
}

#[test]
fn where_signatures_are_required_nothing_else_counts() {
    let mut story = story(Settings { require_auth: true, ..plain_settings() });
    story.wait(1, "10.0.0.2");
    assert_eq!(story.plain("10.0.0.2"), Err(DropReason::NotAuthenticated));
    let stranger = Announcement { node: NodeId::of(b"beta"), sequence: 1, uptime: 1 };
    let stranger = wire::encode_signed(&stranger, &Key::new(b"beta's key"));
    assert_eq!(story.hear("10.0.0.2", &stranger), Err(DropReason::NotAuthenticated));
    assert_eq!((story.done(), story.table.sources().count()), (None, 0));
}

#[test]
fn a_message_of_an_earlier_dump_is_void() {
    let mut story = story(plain_settings());
    story.hear("10.0.0.1", &signed(CRASH, 1, 3)).unwrap();
    story.hear("10.0.0.1", &signed(CRASH, 3, 3)).unwrap();
    assert_eq!(story.hear("10.0.0.1", &signed(CRASH, 2, 3)), Err(DropReason::Replayed), "reordered, and no harm");
    story.later(600).hear("10.0.0.1", &signed(CRASH + 600, 1, 4)).unwrap();
    story.later(600).wait(1, "alpha");
    assert_eq!(story.hear("10.0.0.1", &signed(CRASH, 9, 80)), Err(DropReason::Replayed));
    assert_eq!(story.hear("10.0.0.1", &signed(CRASH + 600, 1, 4)), Err(DropReason::Replayed));
    assert_eq!(story.done(), None);
}

/// Somebody recorded a dump while this listener did not run, and played it when the node was cut off and alive. It
/// passed for a crash: the sequence numbers were new here.
#[test]
fn a_dump_that_nobody_heard_is_void_later() {
    let mut story = story(plain_settings());
    story.wait(1, "alpha");
    let other_time = |story: &Story, sent: u32| {
        let (now, sent) = (story.now.wall, WallTime(u64::from(sent) * 1_000_000));
        Err(DropReason::OtherTime { now, sent })
    };
    let kept = signed(CRASH, 1, 3);
    story.later(31);
    assert_eq!(story.hear("10.0.0.1", &kept), other_time(&story, CRASH));
    assert_eq!(story.done(), None);
    // Nor does a clock that is far ahead silence the node: what does not count is not remembered.
    assert_eq!(story.hear("10.0.0.1", &signed(CRASH + 62, 1, 3)), other_time(&story, CRASH + 62));
    assert_eq!(story.table.memories().count(), 0);
    assert!(story.hear("10.0.0.1", &signed(CRASH + 31, 1, 3)).unwrap().begins);
    assert_eq!(story.done(), Some((1, true)));
}

#[test]
fn a_clock_may_be_off_by_half_a_minute_and_no_more() {
    for (sent, counts) in [(CRASH - 31, false), (CRASH - 30, true), (CRASH + 30, true), (CRASH + 31, false)] {
        assert_eq!(story(plain_settings()).hear("10.0.0.1", &signed(sent, 1, 3)).is_ok(), counts, "{sent}");
    }
}

/// Somebody cut the node off for most of its dump, kept what it sent, and plays it when it has booted again.
#[test]
fn a_message_that_was_held_back_is_void_though_nobody_has_heard_it() {
    let mut story = story(plain_settings());
    story.hear("10.0.0.1", &signed(CRASH, 1, 3)).unwrap();
    story.later(70).hear("10.0.0.1", &signed(CRASH, 5, 43)).unwrap();
    assert!(story.later(6).hear("10.0.0.1", &signed(CRASH, 6, 48)).is_err(), "sent at 45, here at 76");
    assert!(story.hear("10.0.0.1", &signed(CRASH, 9, 79)).is_ok(), "the dump goes on");
}

/// An administrator tried the sender with the node's key on a running system: its ticket was given away and a fencing
/// of it believed, while all ran on.
#[test]
fn a_kernel_that_has_run_for_long_has_not_crashed() {
    let mut story = story(plain_settings());
    story.wait(1, "alpha");
    let trial = |uptime: u32| signed(CRASH + 3 - uptime, 1, uptime);
    assert_eq!(story.hear("10.0.0.1", &trial(601)), Err(DropReason::NotCrashed { uptime: 601 }));
    assert_eq!((story.done(), story.table.all_down_at(&[NodeIndex(0)])), (None, None));
    assert!(story.hear("10.0.0.1", &trial(600)).is_ok(), "large machines boot for minutes");
    assert_eq!(story.done(), Some((1, true)));
    // Dumps take hours.
    story.later(7200).wait(2, "alpha");
    story.hear("10.0.0.1", &signed(CRASH + 3 - 600, 9, 7800)).unwrap();
    assert_eq!(story.done(), Some((2, true)));
}

/// The listener is started again while a node dumps, and once more when the node has booted.
#[test]
fn what_is_remembered_over_a_restart_lets_a_dump_go_on_and_no_replay_pass() {
    let mut before = story(plain_settings());
    assert!(before.hear("10.0.0.1", &signed(CRASH, 1, 3)).unwrap().remember);
    assert!(!before.later(20).hear("10.0.0.1", &signed(CRASH, 2, 23)).unwrap().remember, "not each message");
    assert!(before.later(710).hear("10.0.0.1", &signed(CRASH, 3, 733)).unwrap().remember, "again after a while");
    let memory = before.table.memories().next().unwrap();
    assert_eq!(memory.sequence, wire::sequence(CRASH + 730, 3));

    // Another boot of the listener's host: its boot clock has begun anew, and its wall clock is behind.
    let mut during = story(plain_settings());
    let now = Now { boot: Instant(5_000), ..at(1700) };
    during.table.restore(&memory);
    assert_eq!(during.table.receive(now, ip("10.0.0.1"), &signed(CRASH, 2, 700)), Err(DropReason::Replayed));
    let now = Now { boot: Instant(9_000), ..at(1740) };
    let heard = during.table.receive(now, ip("10.0.0.1"), &signed(CRASH, 4, 743)).unwrap();
    assert!(heard.begins && !heard.remember, "the first that this process hears");

    // What is known here is not forgotten for what another process has written down before.
    during.table.restore(&memory);
    assert_eq!(during.table.receive(now, ip("10.0.0.1"), &signed(CRASH, 4, 743)), Err(DropReason::Replayed));
}

fn source_of(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0A01_0000 + number).into()
}

/// A flood from forged addresses fills the table. Whoever was dumping before stays, and who waits hears its node.
#[test]
fn a_full_table_forgets_the_oldest_that_has_finished_and_nobody_who_is_dumping() {
    let mut story = story(plain_settings());
    for number in 0..MAX_SOURCES as u32 {
        let now = at(1000 + u64::from(number / 16));
        assert!(story.table.receive(now, source_of(number), &wire::encode_plain()).unwrap().listed);
    }
    story.later(10).wait(1, "10.0.0.2");
    assert!(!story.plain("10.0.0.2").unwrap().listed, "all are dumping");
    assert_eq!(story.done(), Some((1, true)));
    let heard = story.hear("10.0.0.1", &signed(CRASH, 1, 3)).unwrap();
    assert!(heard.listed, "the signature is worth more than an address");
    assert!(story.listed("10.1.0.0").is_none(), "the one that was heard longest ago");
    story.later(22);
    assert!(story.plain("10.0.0.2").unwrap().listed);
    assert!(story.listed("10.1.0.1").is_none(), "one that has finished");
    assert!(story.listed("10.1.0.63").is_some());
    assert_eq!(story.table.sources().count(), MAX_SOURCES);
}

#[test]
fn nobody_can_be_a_node_without_an_address_or_a_key() {
    let story = story(plain_settings());
    let nobody = |nodes| story.table.nobody(&waited(nodes)).is_some();
    assert!(!nobody("Alpha ghost,alpha ghost,10.0.0.9"));
    assert!(nobody("alpha,10.0.0.1 ghost,spook"));
    assert_eq!(story.table.nobody(&waited("10.0.0.9 ghost,spook")), Some("ghost"));
}

#[test]
fn so_many_may_wait_and_no_more() {
    let mut story = story(plain_settings());
    for client in 0..MAX_WAITERS as u64 {
        story.wait(client, "10.0.0.2");
    }
    let mut wait = Wait::default();
    wait.add_node().unwrap();
    assert!(!story.table.wait(story.now.boot, ClientId(99), Instant(u64::MAX), wait));
    let mut wait = Wait::default();
    assert_eq!(wait.add_address(ip("::1")), Err(wait::TooMany), "no node yet");
    (0..wait::MAX_WAITED).for_each(|_| wait.add_node().unwrap());
    assert_eq!(wait.add_node(), Err(wait::TooMany));
    (0..wait::MAX_WAITED_ADDRESSES).for_each(|_| wait.add_address(ip("::1")).unwrap());
    assert_eq!(wait.add_address(ip("::1")), Err(wait::TooMany));
    (0..wait::MAX_WAITED_NAMES).for_each(|_| wait.add_name("n").unwrap());
    assert_eq!(wait.add_name("n"), Err(wait::TooMany));
    story.plain("10.0.0.2").unwrap();
    assert_eq!(core::iter::from_fn(|| story.done()).count(), MAX_WAITERS);
}
