//! Bad datagrams are dropped, counted by reason, and change nothing.

use super::support::{Daemon, Place, message, wait_for};
use booth_core::member::SiteId;
use booth_core::wire::Command as Code;
use std::net::UdpSocket;

/// Datagrams sent before the daemon must have counted them: the system's buffer holds more.
const WINDOW: usize = 50;

fn send_all<'d>(daemon: &Daemon, place: &Place, datagrams: impl Iterator<Item = &'d [u8]>) -> u64 {
    let socket = UdpSocket::bind(place.socket(2)).unwrap();
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
    let before = (daemon.text(Code::ClientList), daemon.control("status\n"));
    let mut longest = message(site(&place), Code::MyIndex, "T");
    let length = longest.len();
    longest.resize(2000, 0);
    let datagrams = (0..=2000).filter(|len| *len != length).map(|len| &longest[..len]);
    let sent = send_all(&daemon, &place, datagrams);
    assert_eq!(sent, 2000);
    let sizes = daemon.counter("datagrams dropped, too short or too long");
    let lengths = daemon.counter("datagrams dropped, wrong length");
    assert_eq!((sizes + lengths, sizes > 1600, lengths > 200), (2000, true, true), "{}", daemon.control("stats\n"));
    assert_eq!((daemon.text(Code::ClientList), daemon.control("status\n")), before);
    // Those with a header name their sender, the others come from its address.
    let peers = daemon.text(Code::ClientPeers);
    assert!(peers.contains("Recv pkts:2000 error:0 authfail:0 invalid:2000"), "{peers}");
}

#[test]
fn every_reason_is_counted_by_its_name() {
    let place = Place::new("reasons");
    place.configure("ticket = T\n");
    let daemon = place.start();
    let before = daemon.control("status\n");
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
    for (datagram, reason) in &cases {
        send_all(&daemon, &place, std::iter::once(datagram.as_slice()));
        assert_eq!(daemon.counter(&format!("datagrams dropped, {reason}")), 1, "{reason}");
    }
    assert_eq!(daemon.control("status\n"), before);
}

#[test]
fn a_flood_does_not_fill_the_log() {
    let place = Place::new("flood-log");
    place.configure("ticket = T\n");
    let daemon = place.start();
    let bad = message(SiteId(7), Code::MyIndex, "T");
    send_all(&daemon, &place, std::iter::repeat_n(bad.as_slice(), 5_000));
    let lines = daemon.log().matches("unknown sender").count();
    assert!((1..=10).contains(&lines), "{lines} lines");
}
