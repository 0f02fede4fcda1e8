//! A member that listens for dumping nodes beside its tickets.

use super::patience::wait_for;
use super::support::{PORT, Place};
use booth_core::wire::kdump;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;

#[test]
fn a_member_that_serves_tickets_hears_dumping_nodes_and_tells_who_waits() {
    let place = Place::new("dumping");
    let address = place.address(4);
    place.configure(&format!("kdump-listen = {address}:{PORT}\nticket = T\n"));
    let daemon = place.start();
    let link = place.directory.join(format!("fence_kdump-{PORT}.ctl"));
    let mut waiter = UnixStream::connect(&link).unwrap();
    waiter.write_all(format!("kdump wait 60000 {}\n", place.address(2)).as_bytes()).unwrap();
    let mut word = [0; 8];
    waiter.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"waiting\n");
    // One who waits holds nobody else up.
    assert!(daemon.control("status\n").starts_with("ticket: T"));
    assert_eq!(daemon.control("kdump listening\n"), format!("{address}:{PORT}\n"));
    let node = UdpSocket::bind((place.address(2), 0)).unwrap();
    node.send_to(&kdump::encode_plain(), (address, PORT)).unwrap();
    let mut answer = String::new();
    waiter.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, format!("heard {}\n", place.address(2)));
    node.send_to(b"nonsense", (address, PORT)).unwrap();
    wait_for("it is counted", || daemon.counter("messages of dumping nodes dropped, wrong magic") == 1);
    assert_eq!(daemon.counter("messages of dumping nodes"), 1);
    drop(daemon);
}

#[test]
fn a_member_that_does_not_listen_says_so() {
    let place = Place::new("not-dumping");
    place.configure("ticket = T\n");
    let daemon = place.start();
    assert!(daemon.control("kdump list\n").starts_with("unknown request"));
}
