//! Signals, idleness, and what remains when the daemon leaves.

use super::support::{Daemon, Place, request, wait_for};
use booth_core::wire::Command as Code;
use nix::sys::signal::Signal;
use std::fs;
use std::time::Duration;

/// Grants the only ticket to the only member.
fn grant(daemon: &Daemon) {
    daemon.ask(&request(Code::ClientGrant, "T"));
    wait_for("the ticket is granted", || daemon.control("status\n").contains("granted here"));
}

fn store(place: &Place) -> String {
    let files = fs::read_dir(place.directory.join("store")).unwrap();
    files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

#[test]
fn usr1_logs_every_ticket_and_reserved_signals_do_nothing() {
    let place = Place::new("signals");
    place.configure("ticket = T\nticket = U\n");
    let daemon = place.start();
    daemon.signal(Signal::SIGUSR1);
    wait_for("both tickets are logged", || {
        daemon.log().contains("ticket: T, role: follower") && daemon.log().contains("ticket: U, role: follower")
    });
    for (signal, name) in [(Signal::SIGHUP, "SIGHUP is reserved"), (Signal::SIGUSR2, "SIGUSR2 is reserved")] {
        daemon.signal(signal);
        wait_for("the signal is logged", || daemon.log().contains(name));
    }
    daemon.signal(Signal::SIGPIPE);
    assert!(daemon.control("version\n").starts_with("boothd "));
}

#[test]
fn term_and_int_leave_the_ticket_in_the_store_and_nothing_else() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let place = Place::new(&format!("leave-{signal}"));
        place.configure_alone("ticket = T\nexpire = 60\ntimeout = 2\nretries = 3\n");
        let mut daemon = place.start();
        grant(&daemon);
        let before = store(&place);
        assert!(!before.is_empty());
        daemon.signal(signal);
        assert!(daemon.wait_for_exit().success());
        assert_eq!(store(&place), before);
        assert!(!place.lock_file().exists() && !place.control_socket().exists());
    }
}

#[test]
fn a_member_that_holds_nothing_is_never_woken() {
    let place = Place::new("idle");
    place.configure("ticket = T\nexpire = 12\ntimeout = 1\nretries = 3\n");
    let daemon = place.start();
    let switches = || {
        let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
        let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
        lines.map(|line| line.rsplit('\t').next().unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    // At the start, peers are asked until they answer or the retries are over.
    let quiet = Duration::from_secs(3);
    let mut before = switches();
    wait_for("three seconds pass without a wake-up", || {
        std::thread::sleep(quiet);
        let was = std::mem::replace(&mut before, switches());
        was == before
    });
}

#[test]
fn a_restart_within_the_lease_finds_the_ticket_again() {
    let place = Place::new("restart");
    place.configure_alone("ticket = T\nexpire = 6\ntimeout = 500ms\nretries = 3\n");
    let mut daemon = place.start();
    grant(&daemon);
    // Its journal is new: for one lease it does not trust it (S7), and after a restart neither.
    wait_for("the member trusts its memory", || !daemon.control("status\n").contains("no memory"));
    wait_for("the ticket is held", || daemon.control("status\n").contains("role: leader"));
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_exit();
    drop(daemon);
    let again = place.start();
    let log = || again.log();
    wait_for("the ticket is held again", || again.control("status\n").contains("role: leader"));
    assert!(log().contains("the store says that it is granted here"), "{}", log());
    assert!(log().contains("held here before the restart"), "{}", log());
}
