//! `boothctl guard` from outside (S12): what a daemon that is dead or frozen has left granted is revoked at the
//! end of its lease, and nothing else is touched. With the file store, with a stand-in for `crm_ticket`, and
//! with the real one on a CIB in a file.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod live;
mod patience;
mod scratch;
#[path = "daemon/support.rs"]
#[allow(dead_code)]
mod support;

use booth::store::{Ticket, file};
use booth_core::time::WallTime;
use booth_core::wire::{Command as Code, Outcome};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};
use support::{PATIENCE, Place, wait_for};

const ANSWERS: i32 = 0;
const SILENT: i32 = 3;
const NOT_REVOKED: i32 = 4;
const NOT_RUNNING: i32 = 7;

/// A lease of 4 s, given up 0.4 s before its end.
const SHORT: &str = "ticket = T\nexpire = 4\ntimeout = 300ms\nretries = 3\n";
const LONG: &str = "ticket = T\nexpire = 600\n";

fn guard(place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_boothctl"));
    command.args(["guard", "-c"]).arg(place.directory.join("test.conf")).arg("-l").arg(place.lock_file());
    // Where a stand-in of crm_ticket lies, if there is one.
    let path = format!("{}:{}", place.directory.display(), std::env::var("PATH").unwrap());
    command.args(arguments).env("PATH", path).stdin(Stdio::null());
    command
}

/// One pass: its exit status, and what it said.
fn pass(place: &Place) -> (i32, String) {
    let output = guard(place, &[]).output().unwrap();
    (output.status.code().unwrap(), words(&output))
}

fn words(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A guard that waits; killed with this value.
struct Waiting(Child);

impl Waiting {
    fn begin(place: &Place) -> Waiting {
        let log = fs::File::create(place.directory.join("guard.log")).unwrap();
        Waiting(guard(place, &["--wait"]).stderr(log).spawn().unwrap())
    }

    fn said(&self, place: &Place, text: &str) {
        wait_for(text, || words_of(place).contains(text));
    }

    fn status(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code().unwrap();
            }
            assert!(Instant::now() < deadline, "the guard waits on");
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn words_of(place: &Place) -> String {
    fs::read_to_string(place.directory.join("guard.log")).unwrap()
}

fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
}

fn seconds(from_now: i64) -> WallTime {
    WallTime((now() as i64 + from_now) as u64 * 1_000_000)
}

fn file_of(place: &Place, ticket: &str) -> PathBuf {
    place.directory.join(format!("store/{ticket}.ticket"))
}

fn stored(place: &Place, ticket: &str) -> Ticket {
    file::parse(&fs::read_to_string(file_of(place, ticket)).unwrap(), ticket).unwrap()
}

/// What a daemon of owner 7 would have written.
fn granted(expires: Option<WallTime>) -> Ticket {
    Ticket { granted: true, owner: Some(7), expires, term: Some(3), attributes: vec![("geo".into(), "x".into())] }
}

/// What is left of it when it is lost.
fn lost() -> Ticket {
    Ticket { granted: false, owner: Some(0), expires: Some(WallTime(0)), ..granted(None) }
}

fn write(place: &Place, ticket: &str, state: &Ticket) {
    let path = file_of(place, ticket);
    fs::write(&path, file::print(ticket, state)).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
}

#[test]
fn what_has_run_out_is_revoked_and_nothing_else_is_touched_s12() {
    let place = Place::new("guard-pass");
    place.configure_alone(
        "ticket = out\nticket = runs\nticket = bare\nticket = far\nticket = free\nticket = hand\nmode = manual\n",
    );
    let runs = granted(Some(seconds(300)));
    let tickets = [
        ("out", granted(Some(seconds(-1))), lost()),
        ("runs", runs.clone(), runs),
        // An administrator's crm_ticket: no daemon grants without an end.
        ("bare", granted(None), granted(None)),
        // A lease is no longer than `expire`: the clock has been set back since.
        ("far", granted(Some(seconds(700))), lost()),
        (
            "free",
            Ticket { granted: false, ..granted(Some(seconds(-1))) },
            Ticket { granted: false, ..granted(Some(seconds(-1))) },
        ),
        ("hand", granted(Some(seconds(-1))), granted(Some(seconds(-1)))),
    ];
    for (name, state, _) in &tickets {
        write(&place, name, state);
    }
    let (status, said) = pass(&place);
    assert_eq!(status, NOT_RUNNING, "{said}");
    for (name, _, expected) in &tickets {
        let found = stored(&place, name);
        // The two that are taken a moment later may be another second's.
        assert_eq!(
            (found.granted, found.owner, found.term),
            (expected.granted, expected.owner, expected.term),
            "{name}"
        );
        assert_eq!(found.attributes, expected.attributes, "{name}");
    }
    assert_eq!(stored(&place, "out"), lost());
    for line in [
        "boothctl: info: guard: ticket out: granted here until 20",
        "its daemon does not run: it is revoked",
        "ticket out: revoked here at 20",
        "ticket runs: granted here until 20",
        "ticket bare: granted here without the end of a lease",
        "ticket far: revoked here",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(!said.contains("hand") && !said.contains("free"), "{said}");
    let (status, again) = pass(&place);
    assert!(status == NOT_RUNNING && !again.contains("revoked here"), "{again}");
}

#[test]
fn a_daemon_that_answers_is_not_interfered_with() {
    let place = Place::new("guard-alive");
    place.configure_alone(LONG);
    let mut daemon = place.start();
    // Whatever the store says: it is the daemon's.
    let state = granted(Some(seconds(-100)));
    write(&place, "T", &state);
    assert_eq!(pass(&place), (ANSWERS, String::new()));
    let mut waiting = Waiting::begin(&place);
    assert_eq!(waiting.status(), ANSWERS);
    assert_eq!(stored(&place, "T"), state);
    daemon.signal(Signal::SIGTERM);
    daemon.wait_for_exit();
    assert_eq!(pass(&place).0, NOT_RUNNING);
    assert_eq!(stored(&place, "T"), lost());
}

/// The daemon is killed or frozen, and its lease has time left: the guard waits for its end, and is done by then.
#[test]
fn a_grant_ends_with_its_lease_when_its_daemon_is_dead_or_frozen_s12() {
    for (signal, status) in [(Signal::SIGKILL, NOT_RUNNING), (Signal::SIGSTOP, SILENT)] {
        let place = Place::new(&format!("guard-{signal}"));
        place.configure_alone(SHORT);
        let daemon = place.start();
        assert_eq!(daemon.outcomes(Code::ClientGrant, "T").last(), Some(&Outcome::Success));
        daemon.signal(signal);
        let left = stored(&place, "T");
        let end = left.expires.unwrap().seconds() as f64;
        if signal == Signal::SIGKILL {
            wait_for("it is dead", || !is_locked(&place));
            // With another node's guard, one cannot say; here nothing has run out yet.
            let (found, said) = pass(&place);
            assert_eq!((found, stored(&place, "T").granted), (status, true), "{said}");
        }
        let mut waiting = Waiting::begin(&place);
        assert_eq!(waiting.status(), status, "{}", words_of(&place));
        let ended = now();
        let revoked = stored(&place, "T");
        assert_eq!((revoked.granted, revoked.owner, revoked.term), (false, Some(0), left.term), "{}", words_of(&place));
        println!("{signal}: revoked {:.2} s before the lease's end", end - ended);
        // A test must not fail because its machine was busy for the margin of 0.4 s; 2 s are a fault.
        assert!(ended < end + 2.0, "{:.2} s after the lease's end", ended - end);
        if signal == Signal::SIGSTOP {
            // It goes on, and finds that its lease has ended.
            daemon.signal(Signal::SIGCONT);
            wait_for("it has its ticket again", || stored(&place, "T").granted);
            assert_eq!(pass(&place).0, ANSWERS);
        }
    }
}

fn is_locked(place: &Place) -> bool {
    matches!(
        booth::process::lockfile::inspect(&place.lock_file()),
        Ok(booth::process::lockfile::Inspection::Running { .. })
    )
}

#[test]
fn a_guard_that_waits_leaves_when_the_daemon_is_back_and_its_ticket_stays() {
    let place = Place::new("guard-back");
    place.configure_alone(LONG);
    let daemon = place.start();
    assert_eq!(daemon.outcomes(Code::ClientGrant, "T").last(), Some(&Outcome::Success));
    drop(daemon);
    let mut waiting = Waiting::begin(&place);
    waiting.said(&place, "unless it answers");
    let daemon = place.start();
    assert_eq!(waiting.status(), ANSWERS);
    assert!(stored(&place, "T").granted);
    drop(daemon);
}

/// The site's daemon has moved to another node, and a guard was left behind where it was.
#[test]
fn a_guard_that_waits_leaves_a_ticket_to_whoever_renews_it() {
    let place = Place::new("guard-moved");
    place.configure_alone(LONG);
    write(&place, "T", &granted(Some(seconds(100))));
    let mut waiting = Waiting::begin(&place);
    waiting.said(&place, "unless it answers");
    // What was on its way when the daemon died comes once.
    write(&place, "T", &granted(Some(seconds(200))));
    wait_for("the second record is seen", || words_of(&place).matches("unless it answers").count() == 2);
    write(&place, "T", &granted(Some(seconds(300))));
    assert_eq!(waiting.status(), NOT_RUNNING);
    assert!(stored(&place, "T").granted && words_of(&place).contains("left alone"), "{}", words_of(&place));
}

/// The configuration's store, a link to this program as `crm_ticket`.
fn with_crm_ticket(place: &Place, lines: &str, program: &Path) {
    place.configure_alone(&format!("store = pacemaker\n{lines}"));
    std::os::unix::fs::symlink(program, place.directory.join("crm_ticket")).unwrap();
}

/// What the stand-in does about a ticket, in shell.
fn behave(place: &Place, ticket: &str, line: &str) {
    let new = place.directory.join("behaviour.new");
    fs::write(&new, line).unwrap();
    fs::rename(new, place.directory.join(format!("behaviour.{ticket}"))).unwrap();
}

fn stand_in(name: &str) -> Place {
    let place = Place::new(name);
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand_in/crm_ticket");
    with_crm_ticket(&place, "ticket = A\nticket = B\n", &program);
    for ticket in ["A", "B"] {
        let text = format!("granted=\"true\"\nowner=\"7\"\nexpires=\"{}\"\nterm=\"3\"\n", now() as u64 - 5);
        fs::write(state_of(&place, ticket), text).unwrap();
    }
    place
}

fn state_of(place: &Place, ticket: &str) -> PathBuf {
    place.directory.join(format!("state.{ticket}"))
}

fn is_granted(place: &Place, ticket: &str) -> bool {
    fs::read_to_string(state_of(place, ticket)).unwrap().contains("granted=\"true\"")
}

#[test]
fn a_store_that_hangs_or_fails_holds_up_nobody_else_and_is_told_of() {
    for (behaviour, reason) in [("sleep 1000", "took too long"), ("exit 1", "exit status 1")] {
        let place = stand_in("guard-hang");
        behave(&place, "A", behaviour);
        let begun = Instant::now();
        let (status, said) = pass(&place);
        // 3 s for the call, 1 s for it to die, and a busy machine.
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        assert_eq!(status, NOT_REVOKED, "{said}");
        assert!(said.contains("ticket A: it may be granted here") && said.contains(reason), "{said}");
        assert!(!is_granted(&place, "B"), "{said}");
        // One that waits tries again.
        let mut waiting = Waiting::begin(&place);
        waiting.said(&place, reason);
        behave(&place, "A", "");
        assert_eq!(waiting.status(), NOT_RUNNING);
        assert!(!is_granted(&place, "A"), "{}", words_of(&place));
    }
}

/// A revoke of which `crm_ticket` says that it has succeeded, and which is not there, is none.
#[test]
fn a_revoke_is_believed_when_it_is_read_back() {
    let place = stand_in("guard-lie");
    behave(&place, "A", "[ $verb != -r ] || exit 0");
    let (status, said) = pass(&place);
    assert_eq!(status, NOT_REVOKED, "{said}");
    assert!(said.contains("ticket A: it may be granted here") && said.contains("is granted again"), "{said}");
    assert!(!is_granted(&place, "B"));
}

/// A daemon is back and has renewed its grant while the guard was at work: its grant stays.
#[test]
fn a_fresh_grant_that_comes_behind_the_revoke_stays() {
    let place = stand_in("guard-fresh");
    let fresh = format!("granted=\"true\"\\nowner=\"7\"\\nexpires=\"{}\"\\nterm=\"4\"\\n", now() as u64 + 500);
    behave(&place, "A", &format!("[ $verb != -r ] || {{ printf '{fresh}' >\"$state\"; exit 0; }}"));
    let (status, said) = pass(&place);
    assert_eq!(status, NOT_RUNNING, "{said}");
    assert!(is_granted(&place, "A") && !said.contains("ticket A: revoked here"), "{said}");
}

#[test]
fn the_real_crm_ticket_revokes_and_keeps_term_and_attributes() {
    let place = Place::new("guard-cib");
    let Some(empty) = Command::new("cibadmin").arg("--empty").output().ok().filter(|output| output.status.success())
    else {
        return live::skip("guard", "crm_ticket and cibadmin are not installed (Debian: pacemaker-cli-utils)");
    };
    fs::write(place.directory.join("cib.xml"), empty.stdout).unwrap();
    let script = place.directory.join("on_file");
    let cib = place.directory.join("cib.xml");
    let path = std::env::var("PATH").unwrap();
    let text = format!("#!/bin/sh\nPATH='{path}' CIB_file='{}' exec crm_ticket \"$@\"\n", cib.display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    with_crm_ticket(&place, SHORT, &script);
    let crm_ticket = |arguments: &[&str]| {
        let output = Command::new(&script).args(["-t", "T"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let end = now() as u64 + 3;
    let expires = format!("--attr-value={end}");
    crm_ticket(&[
        "-g",
        "--force",
        "-S",
        "owner",
        "--attr-value=7",
        "-S",
        "expires",
        &expires,
        "-S",
        "term",
        "--attr-value=5",
    ]);
    crm_ticket(&["-S", "geo", "--attr-value=x"]);
    let (status, said) = pass(&place);
    assert!(status == NOT_RUNNING && crm_ticket(&["-q"]).contains("granted=\"true\""), "{said}");
    let mut waiting = Waiting::begin(&place);
    assert_eq!(waiting.status(), NOT_RUNNING);
    let late = now() - end as f64;
    println!("crm_ticket on a file: revoked {:.2} s before the lease's end", -late);
    let state = crm_ticket(&["-q"]);
    for attribute in ["granted=\"false\"", "owner=\"0\"", "expires=\"0\"", "term=\"5\"", "geo=\"x\""] {
        assert!(state.contains(attribute), "{attribute}: {state}");
    }
    assert!(late < 2.0, "{late} s after the lease's end");
}

/// As root it becomes the site's account before it touches the store: the daemon finds what it can write.
#[test]
fn root_is_given_up_before_the_store_is_touched() {
    if !live::is_root("root_is_given_up_before_the_store_is_touched") {
        return;
    }
    let place = Place::new("guard-account");
    place.configure_alone(&format!("site-user = nobody\nsite-group = nogroup\n{LONG}"));
    write(&place, "T", &granted(Some(seconds(-1))));
    let (status, said) = pass(&place);
    assert!(status == NOT_RUNNING && !stored(&place, "T").granted, "{said}");
    assert_ne!(fs::metadata(file_of(&place, "T")).unwrap().uid(), 0);
    place.configure_alone(&format!("site-user = no-such-user\nsite-group = nogroup\n{LONG}"));
    let (status, said) = pass(&place);
    assert!(status == 1 && said.contains("no-such-user"), "{status} {said}");
}
