//! A site whose `crm_ticket` does not revoke any more, and the last resort that it is given for that.

use super::store::{behave, stand_in_place, start, verbs};
use super::support::{Daemon, Place, wait_for};
use booth_core::wire::{Command as Code, Outcome};
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// A site alone, with a command that writes a line each time that it is run. It holds the ticket when an
/// administrator asks, and does not take it again by itself.
fn place(name: &str) -> Place {
    let place = Place::new(name);
    let command = place.directory.join("last-resort");
    let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand_in/handler");
    std::os::unix::fs::symlink(stand_in, &command).unwrap();
    let line = "echo \"$BOOTH_TICKET $1\" >>runs; echo \"$BOOTH_TICKET_EXPIRES\" >expires";
    fs::write(place.directory.join(".last-resort"), line).unwrap();
    stand_in_place(
        &place,
        &format!(
            "ticket = T\nexpire = 2\ntimeout = 200ms\nretries = 3\nrenewal-freq = 1\nacquire-after = 2\n\
             attr-prereq = auto nothing eq given\non-stuck-revoke = {} now\n",
            command.display()
        ),
    );
    place
}

fn runs(place: &Place) -> String {
    fs::read_to_string(place.directory.join("runs")).unwrap_or_default()
}

fn revokes(place: &Place) -> usize {
    verbs(place).iter().filter(|verb| *verb == "-r").count()
}

fn now_seconds() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// When the lease ends, as the CIB has it.
fn recorded_end(place: &Place) -> u64 {
    let state = fs::read_to_string(place.directory.join("state.T")).unwrap();
    let end = state.lines().find_map(|line| line.strip_prefix("expires=\"")?.strip_suffix('"'));
    end.unwrap().parse().unwrap()
}

/// Stops the daemon until its lease has ended, and lets it go on over a store that does this.
fn sleep_through_the_lease(place: &Place, daemon: &Daemon, behaviour: &str) {
    wait_for("the ticket is granted", || daemon.control("status\n").contains("granted here"));
    daemon.signal(Signal::SIGSTOP);
    wait_for("the lease has ended", || now_seconds() > recorded_end(place) + 1);
    behave(place, behaviour);
    daemon.signal(Signal::SIGCONT);
}

/// S8: nothing but this command ends what the store cannot end.
#[test]
fn the_last_resort_is_run_once_for_each_revoke_that_is_stuck() {
    let place = place("last-resort");
    let daemon = start(&place);
    wait_for("the ticket is loaded", || daemon.control("status\n").contains("role: follower"));
    for (incident, fault) in [(1, "sleep 1000"), (2, "exit 1")] {
        wait_for("the ticket can be granted", || {
            daemon.outcomes(Code::ClientGrant, "T").last() == Some(&Outcome::Success)
        });
        let before = revokes(&place);
        sleep_through_the_lease(&place, &daemon, &format!("[ \"$verb\" != -r ] || {fault}"));
        wait_for("the command was run", || runs(&place).lines().count() == incident);
        assert!(revokes(&place) > before, "the store is asked first");
        let run = revokes(&place);
        wait_for("the store is asked on and on", || revokes(&place) >= run + 2);
        assert_eq!(runs(&place), "T now\n".repeat(incident));
        let status = daemon.control("status\n");
        let at = [", REVOKE OVERDUE since ", ", on-stuck-revoke was run at "].map(|words| status.find(words));
        assert!(at[0].is_some() && at[0] < at[1], "{status}");
        behave(&place, "");
        wait_for("the revoke gets through", || !daemon.control("status\n").contains("on-stuck-revoke was run"));
    }
    let expires: u64 = fs::read_to_string(place.directory.join("expires")).unwrap().trim().parse().unwrap();
    assert!(expires.abs_diff(now_seconds()) < 60, "{expires}");
    let log = daemon.log();
    assert_eq!(log.matches("T: THE STORE HAS NOT CONFIRMED THE REVOKE IN TIME: on-stuck-revoke is run").count(), 2);
    assert_eq!(log.matches("on-stuck-revoke: ticket T: exit status 0").count(), 2, "{log}");
}

/// Started over a grant whose lease is long over, on a store that can be read but not written; the
/// command fails, which changes nothing.
#[test]
fn a_stale_grant_that_cannot_be_revoked_is_a_case_for_the_last_resort() {
    let place = place("last-resort-stale");
    fs::write(place.directory.join(".last-resort"), "echo once >>runs; echo no power switch >&2; exit 7").unwrap();
    fs::write(place.directory.join("state.T"), "granted=\"true\"\nexpires=\"1\"\nterm=\"3\"\n").unwrap();
    behave(&place, "[ \"$verb\" != -r ] || exit 1");
    let daemon = start(&place);
    wait_for("the command has failed", || daemon.log().contains("exit status 7: no power switch"));
    let run = revokes(&place);
    wait_for("the store is asked on and on", || revokes(&place) >= run + 2);
    assert_eq!(runs(&place), "once\n");
    behave(&place, "");
    wait_for("the revoke gets through", || !daemon.control("status\n").contains("REVOKE OVERDUE"));
}
