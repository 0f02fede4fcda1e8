//! Bad datagrams are dropped, counted by reason, and change nothing.

use super::support::{Daemon, KEY, Place, message, signed, wait_for, wall};
use booth_core::member::SiteId;
use booth_core::time::WallTime;
use booth_core::wire::{Command as Code, TRAILER_LEN};
use hmac::{Hmac, KeyInit, Mac};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// Datagrams sent before the daemon must have counted them: the system's buffer holds more.
const WINDOW: usize = 50;

/// Sends to the daemon, and sees that it drops and counts each.
fn send_all<'d>(socket: &UdpSocket, daemon: &Daemon, place: &Place, datagrams: impl Iterator<Item = &'d [u8]>) -> u64 {
    let before = daemon.counters("datagrams dropped, ");
    let mut sent = 0;
    for datagram in datagrams {
        socket.send_to(datagram, place.socket(1)).unwrap();
        sent += 1;
        if sent % WINDOW as u64 == 0 {
            wait_for("the datagrams are counted", || daemon.counters("datagrams dropped, ") >= before + sent);
        }
    }
    wait_for("the datagrams are counted", || daemon.counters("datagrams dropped, ") >= before + sent);
    assert_eq!(daemon.counters("datagrams dropped, "), before + sent);
    sent
}

fn site(place: &Place) -> SiteId {
    SiteId::of_address(&place.address(2).octets())
}

#[test]
fn every_length_from_nothing_to_2000_is_dropped_and_changes_nothing() {
    let place = Place::new("lengths");
    place.configure("ticket = T\n");
    let daemon = place.start();
    let before = (daemon.text(Code::ClientList), daemon.state());
    let mut longest = message(site(&place), Code::MyIndex, "T");
    let length = longest.len();
    longest.resize(2000, 0);
    let datagrams = (0..=2000).filter(|len| *len != length).map(|len| &longest[..len]);
    let socket = UdpSocket::bind(place.socket(2)).unwrap();
    let sent = send_all(&socket, &daemon, &place, datagrams);
    assert_eq!(sent, 2000);
    let sizes = daemon.counter("datagrams dropped, too short or too long");
    let lengths = daemon.counter("datagrams dropped, wrong length");
    assert_eq!((sizes + lengths, sizes > 1600, lengths > 200), (2000, true, true), "{}", daemon.control("stats\n"));
    assert_eq!((daemon.text(Code::ClientList), daemon.state()), before);
    // Those with a header name their sender, the others come from its address.
    let peers = daemon.text(Code::ClientPeers);
    assert!(peers.contains("Recv pkts:2000 error:0 authfail:0 invalid:2000"), "{peers}");
}

#[test]
fn every_reason_is_counted_by_its_name() {
    let place = Place::new("reasons");
    place.configure("ticket = T\n");
    let daemon = place.start();
    let before = daemon.state();
    let good = message(site(&place), Code::MyIndex, "T");
    let with = |at: usize, bytes: &[u8]| {
        let mut message = good.clone();
        message[at..at + bytes.len()].copy_from_slice(bytes);
        message
    };
    let cases = [
        (with(12, &[0; 4]), "wrong magic"),
        (with(16, &[9; 4]), "wrong version"),
        (with(24, &[0, 0, 0, 1]), "wrong length"),
        (with(28, b"Oops"), "unknown command"),
        (message(SiteId(7), Code::MyIndex, "T"), "unknown sender"),
        (message(SiteId::of_address(&place.address(3).octets()), Code::MyIndex, "T"), "sent from a wrong address"),
        (with(48, &[b'x'; 64]), "malformed name or value"),
        (message(site(&place), Code::MyIndex, "other"), "unknown ticket"),
        (with(112, &[0, 0, 0, 9]), "unknown leader"),
        (with(116, &[0xFF; 4]), "absurd term"),
        (with(120, &[0xFF; 4]), "absurd validity"),
    ];
    let socket = UdpSocket::bind(place.socket(2)).unwrap();
    for (datagram, reason) in &cases {
        send_all(&socket, &daemon, &place, std::iter::once(datagram.as_slice()));
        assert_eq!(daemon.counter(&format!("datagrams dropped, {reason}")), 1, "{reason}");
    }
    assert_eq!(daemon.state(), before);
}

/// Signs a message anew whose bytes were changed.
fn sign(message: &mut [u8]) {
    let (content, trailer) = message.split_last_chunk_mut::<TRAILER_LEN>().unwrap();
    let mac = Hmac::<sha1::Sha1>::new_from_slice(KEY).unwrap().chain_update(content).finalize().into_bytes();
    trailer[4..24].copy_from_slice(&mac);
}

#[test]
fn what_is_signed_badly_comes_late_or_comes_twice_counts_as_an_authentication_failure() {
    let place = Place::new("authentication");
    place.configure_signed("ticket = T\n");
    let daemon = place.start();
    let before = daemon.state();
    let query = |stamp| signed(site(&place), Code::Status, "T", stamp);
    let with = |at: usize, bytes: &[u8]| {
        let mut message = query(wall());
        message[at..at + bytes.len()].copy_from_slice(bytes);
        message
    };
    let end = query(wall()).len();
    let mut impossible = with(8, &1_000_000_u32.to_be_bytes());
    sign(&mut impossible);
    let hour_ago = WallTime(wall().0 - 3_600_000_000);
    let good = signed(site(&place), Code::MyIndex, "T", wall());
    let cases = [
        (with(end - TRAILER_LEN, &[0, 0, 0, 3]), "unknown hash", 1),
        (with(end - TRAILER_LEN + 4, &[0; 20]), "wrong MAC", 1),
        (with(end - 1, &[1]), "wrong MAC", 1),
        (with(48, b"U"), "wrong MAC", 1),
        (message(site(&place), Code::Status, "T"), "not signed", 1),
        (query(hour_ago), "time stamp outside maxtimeskew", 1),
        (with(0, &[0, 0, 0, 9]), "unknown bits in opts", 0),
        (impossible, "impossible time stamp", 0),
        (signed(site(&place), Code::Ack, "T", wall()), "answers nothing that was asked", 0),
        (good.clone(), "seen before or too late", 1),
    ];
    let socket = UdpSocket::bind(place.socket(2)).unwrap();
    socket.send_to(&good, place.socket(1)).unwrap();
    for (datagram, reason, _) in &cases {
        let counter = format!("datagrams dropped, {reason}");
        let was = daemon.counter(&counter);
        send_all(&socket, &daemon, &place, std::iter::once(datagram.as_slice()));
        assert_eq!(daemon.counter(&counter), was + 1, "{reason}");
    }
    assert_eq!(daemon.state(), before);
    let failures = cases.iter().map(|(_, _, authentication)| authentication).sum::<usize>();
    let expected =
        format!("Recv pkts:{} error:0 authfail:{failures} invalid:{}", cases.len() + 1, cases.len() - failures);
    let peers = daemon.text_signed(Code::ClientPeers);
    assert!(peers.contains(&expected), "expected {expected}: {peers}");
}

#[test]
fn where_there_is_no_key_nothing_signed_is_taken() {
    let place = Place::new("no-key");
    place.configure("ticket = T\n");
    let daemon = place.start();
    let datagram = signed(site(&place), Code::Status, "T", wall());
    let socket = UdpSocket::bind(place.socket(2)).unwrap();
    send_all(&socket, &daemon, &place, std::iter::once(datagram.as_slice()));
    assert_eq!(daemon.counter("datagrams dropped, signed, but there is no key here"), 1);
}

/// The reference wrote 13 MB/s here.
#[test]
fn ten_seconds_of_wrong_macs_grow_the_log_by_less_than_10_kb() {
    let place = Place::new("flood-log");
    place.configure_signed("ticket = T\n");
    let daemon = place.start();
    let before = daemon.log().len();
    let mut bad = signed(site(&place), Code::Status, "T", wall());
    *bad.last_mut().unwrap() ^= 1;
    let socket = UdpSocket::bind(place.socket(2)).unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    let mut sent = 0;
    while Instant::now() < end {
        sent += send_all(&socket, &daemon, &place, std::iter::repeat_n(bad.as_slice(), WINDOW));
    }
    assert!(sent > 1_000, "{sent} datagrams are no flood");
    let log = daemon.log();
    assert!(log[before..].contains("dropped: wrong MAC"), "{log}");
    assert!(log.len() - before < 10_000, "{} bytes for {sent} datagrams", log.len() - before);
}
