//! A site over a `crm_ticket` that hangs or fails, and over a restart of its daemon.

use super::support::{Daemon, Place, request, wait_for};
use booth_core::wire::{Command as Code, Outcome};
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A site alone, whose `crm_ticket` is the stand-in.
fn place(name: &str) -> Place {
    let place = Place::new(name);
    stand_in_place(&place, "ticket = T\nexpire = 12\ntimeout = 500ms\nretries = 3\n");
    place
}

/// Gives a site alone the stand-in, and these further lines.
pub fn stand_in_place(place: &Place, lines: &str) {
    place.configure_alone(&format!("store = pacemaker\n{lines}"));
    let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand_in/crm_ticket");
    std::os::unix::fs::symlink(stand_in, place.directory.join("crm_ticket")).unwrap();
}

pub fn start(place: &Place) -> Daemon {
    start_by(place, place.command())
}

fn start_by(place: &Place, mut command: Command) -> Daemon {
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", place.directory.display()));
    place.start_by(command)
}

/// What the stand-in does, in shell, from the next call on.
pub fn behave(place: &Place, line: &str) {
    let new = place.directory.join("behaviour.new");
    fs::write(&new, line).unwrap();
    fs::rename(new, place.directory.join("behaviour.T")).unwrap();
}

/// The verbs that the stand-in was called with.
pub fn verbs(place: &Place) -> Vec<String> {
    let calls = fs::read_to_string(place.directory.join("calls")).unwrap_or_default();
    calls.lines().filter_map(|line| line.split_whitespace().nth(2)).map(str::to_owned).collect()
}

#[test]
fn a_crm_ticket_that_hangs_is_killed_and_holds_nobody_up_meanwhile() {
    let place = place("hang");
    behave(&place, "sleep 1000");
    let daemon = start(&place);
    // While the ticket is not loaded the site answers for itself, but not for the ticket.
    let asked = Instant::now();
    assert!(daemon.control("status\n").contains("role: loading"));
    assert_eq!(daemon.outcomes(Code::ClientRevoke, "T"), [Outcome::Busy]);
    daemon.text(Code::ClientList);
    // The child may run for a third of `expire`.
    assert!(asked.elapsed() < Duration::from_secs(4), "an answer took {:?}", asked.elapsed());
    wait_for("the child was killed and another started", || verbs(&place).len() > 1);
    assert!(daemon.log().contains("reading: took too long and was killed"), "{}", daemon.log());
    assert_eq!(
        daemon.outcomes(Code::ClientGrant, "T"),
        [Outcome::More, Outcome::SyncFail],
        "a grant waits, not for ever"
    );
    behave(&place, "");
    wait_for("the ticket is loaded", || daemon.control("status\n").contains("role: follower"));
    assert_eq!(daemon.outcomes(Code::ClientGrant, "T").last(), Some(&Outcome::Success));
}

/// S8: nobody hears that a revoke has succeeded before it has, and it is tried until then.
#[test]
fn a_revoke_that_fails_is_tried_again_until_it_succeeds() {
    let place = place("retry");
    let daemon = start(&place);
    wait_for("the ticket is loaded", || daemon.control("status\n").contains("role: follower"));
    assert_eq!(daemon.outcomes(Code::ClientGrant, "T").last(), Some(&Outcome::Success));
    // The third attempt is the first to succeed.
    behave(&place, "[ \"$verb\" != -r ] || [ \"$(grep -c -- ' -r ' \"$here/calls\")\" -ge 3 ] || exit 1");
    assert_eq!(daemon.outcomes(Code::ClientRevoke, "T"), [Outcome::More, Outcome::Success]);
    assert_eq!(verbs(&place).iter().filter(|verb| *verb == "-r").count(), 3);
    assert!(fs::read_to_string(place.directory.join("state.T")).unwrap().contains("granted=\"false\""));
    assert!(daemon.log().contains("error"), "a failed revoke is shouted about: {}", daemon.log());
}

#[test]
fn a_restart_within_the_lease_holds_the_ticket_again_without_a_revoke_in_between() {
    let place = place("restart");
    let mut daemon = start(&place);
    wait_for("the ticket is loaded", || daemon.control("status\n").contains("role: follower"));
    assert_eq!(daemon.outcomes(Code::ClientGrant, "T").last(), Some(&Outcome::Success));
    // Its journal is new: for one lease it does not trust it (S7), and after a restart neither.
    wait_for("the member trusts its memory", || !daemon.control("status\n").contains("no memory"));
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait_for_exit().success());
    let grants = |verbs: &[String]| verbs.iter().filter(|verb| *verb == "-g").count();
    let before = grants(&verbs(&place));
    let again = start(&place);
    wait_for("the ticket is held again", || again.control("status\n").contains("role: leader"));
    wait_for("the new lease is written", || grants(&verbs(&place)) > before);
    let verbs = verbs(&place);
    // Its memory is named at the first start, and not again.
    assert_eq!(verbs[..3], ["-q", "-S", "-q"]);
    assert!(verbs[3..].iter().all(|verb| verb == "-g" || verb == "-q"), "{verbs:?}");
    let log = again.log();
    assert!(log.contains("the store says that it is granted here") && log.contains("held here before the restart"));
}

#[test]
fn children_are_not_spared_by_the_oom_killer_with_their_daemon() {
    let place = place("oom");
    // The daemon sets it as soon as it has started the child.
    behave(&place, "until grep -qx 0 /proc/$$/oom_score_adj; do sleep 0.01; done");
    // To make a daemon that is killed less gladly needs privileges; one that is killed more gladly does as well.
    let daemon = start_by(&place, place.command_through("echo 500 >/proc/self/oom_score_adj"));
    wait_for("the child is an ordinary process", || daemon.control("status\n").contains("role: follower"));
    assert!(!daemon.log().contains("took too long"), "{}", daemon.log());
}

/// A `crm_ticket` that was on its way with a grant when its daemon was killed lived on. The next daemon found
/// nothing granted, took the ticket anew and was told to revoke it, with success; then the grant of old came, and
/// nobody knew of it (S0, S8).
#[test]
fn a_grant_on_its_way_dies_with_its_daemon() {
    let place = place("orphan");
    let mut daemon = start(&place);
    wait_for("the ticket is loaded", || daemon.control("status\n").contains("role: follower"));
    wait_for("the member trusts its memory", || !daemon.control("status\n").contains("no memory"));
    behave(&place, "[ \"$verb\" != -g ] || { echo $$ >\"$here/on_its_way\"; sleep 4; }");
    let _client = daemon.begin(&request(Code::ClientGrant, "T"));
    let on_its_way = || fs::read_to_string(place.directory.join("on_its_way")).unwrap_or_default();
    wait_for("a grant is on its way", || on_its_way().ends_with('\n'));
    daemon.signal(Signal::SIGKILL);
    daemon.wait_for_exit();
    behave(&place, "");
    let again = start(&place);
    wait_for("the ticket is held again", || again.control("status\n").contains("role: leader"));
    assert_eq!(again.outcomes(Code::ClientRevoke, "T").last(), Some(&Outcome::Success));
    wait_for("the grant of old has ended", || !is_alive(&on_its_way()));
    let state = fs::read_to_string(place.directory.join("state.T")).unwrap();
    assert!(state.contains("granted=\"false\""), "{state}\n{:?}", verbs(&place));
}

/// Whether a process runs code; a zombie does not.
fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
}
