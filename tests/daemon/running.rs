//! Signals, idleness, and what remains when the daemon leaves.

use super::support::{Daemon, Place, request, wait_for};
use booth_core::wire::{Command as Code, Outcome};
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

/// The armed timers of a process: what /proc/PID/fdinfo says of each timerfd (proc_pid_fdinfo(5)).
fn armed_timers(daemon: &Daemon) -> usize {
    let infos = fs::read_dir(format!("/proc/{}/fdinfo", daemon.child.id())).unwrap();
    let infos = infos.filter_map(|info| fs::read_to_string(info.unwrap().path()).ok());
    let timers: Vec<String> = infos.filter(|info| info.contains("it_value:")).collect();
    assert_eq!(timers.len(), 1, "{timers:?}");
    timers.iter().filter(|info| !info.contains("it_value: (0, 0)")).count()
}

/// Whether a process waits for something (proc_pid_stat(5)); one that could run and does not, waits for nothing.
fn sleeps(daemon: &Daemon) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.child.id())).unwrap();
    stat.rsplit_once(") ").unwrap().1.starts_with('S')
}

/// How often it has gone to sleep or was interrupted.
fn switches(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.child.id())).unwrap();
    let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
    lines.map(|line| line.rsplit('\t').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Waits until the daemon sleeps without a timer, and sees that nothing wakes it then.
fn expect_sleep(daemon: &Daemon) {
    let mut before = 0;
    wait_for("it sleeps without a timer", || {
        before = switches(daemon);
        // A timer that has just fired is not armed either: it must not have run in between, to arm the next.
        armed_timers(daemon) == 0 && sleeps(daemon) && switches(daemon) == before
    });
    // Not a wait for a condition: the time is what is measured over.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(switches(daemon) - before, 0, "wake-ups in 5 s");
    assert_eq!(armed_timers(daemon), 0);
}

/// At the start, peers are asked until they answer or the retries are over.
#[test]
fn a_member_that_holds_nothing_is_never_woken() {
    let place = Place::new("idle");
    place.configure("ticket = T\nexpire = 5\ntimeout = 500ms\nretries = 3\n");
    expect_sleep(&place.start());
}

#[test]
fn a_member_whose_ticket_was_revoked_is_never_woken_again() {
    let place = Place::new("revoked");
    place.configure_alone("ticket = T\nexpire = 2\ntimeout = 100ms\nretries = 3\nacquire-after = 1\n");
    let daemon = place.start();
    grant(&daemon);
    assert_eq!(armed_timers(&daemon), 1, "a lease has an end");
    assert_eq!(daemon.outcomes(Code::ClientRevoke, "T").last(), Some(&Outcome::Success));
    expect_sleep(&daemon);
}
