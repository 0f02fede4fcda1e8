//! The journal under the real daemon: before the answer, at no renewal, refused, switched off.

use super::bad_start::nothing_is_left;
use super::live::preload;
use super::support::{KEY, Place, request, wait_for, wall};
use booth_core::member::SiteId;
use booth_core::wire::{
    self, Body, Command as Code, Header, Key, LeaderField, MAX_MESSAGE, Message, Outcome, Reason, TicketBody,
};
use std::fs;
use std::net::UdpSocket;
use std::process::Stdio;

/// A site's request for votes in an administrator's election.
fn vote_request(place: &Place, term: u32) -> Vec<u8> {
    let sender = SiteId::of_address(&place.address(2).octets());
    let (command, reason, outcome) = (Code::VoteRequest, Reason::Administrator, Outcome::Success);
    let header = Header { stamp: wall(), sender, command, request: None, options: 0, reason, outcome };
    let body = Body::Ticket(TicketBody { name: "T", leader: LeaderField::Member(sender), term, valid_for: 0 });
    let mut out = [0; MAX_MESSAGE];
    let length = wire::encode(&Message { header, body }, Some(&Key::new(KEY)), &mut out);
    out[..length].to_vec()
}

/// Whether a vote has come; all else that has is dropped.
fn vote_has_come(socket: &UdpSocket) -> bool {
    let mut bytes = [0; 2048];
    std::iter::from_fn(|| socket.recv(&mut bytes).ok().map(|length| bytes[..length].to_vec()))
        .any(|message| wire::decode(&message, Some(&Key::new(KEY))).unwrap().header.command == Code::Vote)
}

/// S1: what the disk has not confirmed is not sent.
#[test]
fn no_vote_leaves_before_the_disk_has_confirmed_it() {
    let place = Place::new("sync");
    let Some(library) = preload("no_vote_leaves_before_the_disk_has_confirmed_it", &place.directory, "failing_disk")
    else {
        return;
    };
    place.configure_signed("ticket = T\n");
    let failing = place.directory.join("failing");
    let mut command = place.command_as(3);
    command.env("LD_PRELOAD", library).env("FAILING_DISK", &failing);
    let daemon = place.start_by(command);
    let socket = UdpSocket::bind(place.socket(2)).unwrap();
    socket.set_nonblocking(true).unwrap();
    fs::write(&failing, "").unwrap();
    socket.send_to(&vote_request(&place, 1), place.socket(3)).unwrap();
    wait_for("the disk has failed", || daemon.counter("journal records failed") > 0);
    assert!(daemon.log().contains("error: cannot write to disk"), "{}", daemon.log());
    assert!(!vote_has_come(&socket));
    fs::remove_file(&failing).unwrap();
    wait_for("it votes", || {
        socket.send_to(&vote_request(&place, 1), place.socket(3)).unwrap();
        vote_has_come(&socket)
    });
}

/// A renewal changes nothing that would have to be remembered: the disk stays quiet.
#[test]
fn renewals_write_nothing_to_the_journal() {
    let place = Place::new("renewals");
    place.configure_alone("ticket = T\nexpire = 2\nrenewal-freq = 500ms\ntimeout = 100ms\nretries = 3\n");
    let daemon = place.start();
    daemon.ask(&request(Code::ClientGrant, "T"));
    // Its journal is new: once it is trusted (S7), that is written.
    wait_for("the member trusts its memory", || !daemon.control("status\n").contains("no memory"));
    let (renewals, records) = (daemon.counter("leases renewed"), daemon.counter("journal records written"));
    assert!(records > 0);
    wait_for("the lease is renewed five times", || daemon.counter("leases renewed") >= renewals + 5);
    assert_eq!(daemon.counter("journal records written"), records);
}

#[test]
fn a_journal_that_is_switched_off_is_warned_of() {
    let place = Place::new("no-journal");
    place.configure("journal = -\nticket = T\n");
    let daemon = place.start();
    assert!(daemon.log().contains("warning: the journal is switched off"), "{}", daemon.log());
    assert!(daemon.control("status\n").contains("no memory of its votes"));
}

#[test]
fn a_journal_of_another_member_is_refused_and_left_alone() {
    let place = Place::new("other-journal");
    place.configure("ticket = T\n");
    drop(place.start());
    let journal = place.directory.join("journal");
    let before = fs::read(&journal).unwrap();
    let output = place.command_as(2).arg("-S").stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(journal.to_str().unwrap()) && text.contains("member"), "{text}");
    assert_eq!(fs::read(&journal).unwrap(), before);
    nothing_is_left(&place);
}

/// S7: what is damaged is never read as truth, and kept for whoever wants to look at it.
#[test]
fn a_damaged_journal_means_no_memory_and_is_told() {
    let place = Place::new("damaged-journal");
    place.configure_alone("ticket = T\nexpire = 2\ntimeout = 100ms\nretries = 3\n");
    let mut daemon = place.start();
    daemon.ask(&request(Code::ClientGrant, "T"));
    wait_for("the member trusts its memory", || !daemon.control("status\n").contains("no memory"));
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    daemon.wait_for_exit();
    let journal = place.directory.join("journal");
    let mut bytes = fs::read(&journal).unwrap();
    // A byte of each of the ticket's two slots.
    let half = bytes.len() / 2;
    bytes[95] ^= 0x10;
    bytes[half + 95] ^= 0x10;
    fs::write(&journal, bytes).unwrap();
    let again = place.start();
    assert!(again.log().contains("warning: ") && again.log().contains("journal"), "{}", again.log());
    assert!(again.control("status\n").contains("no memory of its votes"), "{}", again.log());
}
