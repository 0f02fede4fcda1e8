//! Several that want one port: the daemon of a site, `boothd kdump`, and programs that are not ours.

use super::patience::wait_for;
use super::place::{Place, Running, run};
use super::signed::{KEY, message, wall};
use nix::sys::signal::Signal;
use std::net::UdpSocket;

const HEARD_ONE: &str = "messages of dumping nodes: 1\n";

fn has_the_port(place: &Place, socket: &str) {
    wait_for(socket, || place.owner().as_deref() == Some(socket));
}

/// A site's daemon comes to a node whose listener is always there, as Pacemaker moves it, and leaves again by itself or
/// by a crash. It did not start on such a node, and its ticket was lost; and where it ran instead of the listener,
/// nobody had the nodes' keys after it had moved on. Agents that wait throughout do not stand in between: each of them
/// took the port anew as soon as another one had left it.
#[test]
fn the_daemon_of_a_site_has_the_port_while_it_is_there_and_those_who_wait_notice_nothing() {
    for end in [Signal::SIGTERM, Signal::SIGKILL] {
        let place = Place::new("handover");
        let listener = place.listen("");
        has_the_port(&place, "test.ctl");
        let mut agent = Running::start(place.agent(&["-n", "127.0.8.1", "-t", "60"]));
        agent.until("waiting for message");
        let mut other = Running::start(place.agent(&["-n", "127.0.8.2", "-t", "60"]));
        other.until("waiting for message");

        let member = place.member("");
        has_the_port(&place, "member.ctl");
        agent.until("waiting for message");
        other.until("waiting for message");
        place.dump("127.0.8.1");
        assert_eq!(agent.end().status, Some(0));
        assert!(place.stats_of(&place.member_lock_file()).contains(HEARD_ONE));

        member.signal(end);
        member.end();
        has_the_port(&place, "test.ctl");
        other.until("waiting for message");
        place.dump("127.0.8.2");
        assert_eq!(other.end().status, Some(0));
        assert!(place.stats().contains(HEARD_ONE), "{}", place.stats());
        let log = place.log();
        assert_eq!(log.matches("kdump: leaves port").count(), 1, "{log}");
        listener.signal(Signal::SIGTERM);
        assert_eq!(listener.end().status, Some(0));
        assert_eq!(place.owner(), None);
    }
}

#[test]
fn a_listener_that_comes_second_waits_for_the_daemon_to_leave() {
    let place = Place::new("second");
    let member = place.member("");
    let listener = place.listen("");
    assert_eq!(place.owner().as_deref(), Some("member.ctl"));
    let ended = run(&mut place.boothctl(&["wait", "127.0.8.1", "-T", "60"]));
    assert!(ended.status == Some(1) && ended.stderr.contains("answers: no port yet: "), "{ended:?}");
    // It asks, and the daemon stays.
    let asked = "kdump: waits for its port";
    place.dump("127.0.8.1");
    wait_for("the daemon hears", || place.stats_of(&place.member_lock_file()).contains(HEARD_ONE));
    let mut agent = Running::start(place.agent(&["-n", "127.0.8.2", "-t", "60"]));
    agent.until("waiting for message");
    member.signal(Signal::SIGTERM);
    member.end();
    has_the_port(&place, "test.ctl");
    agent.until("waiting for message");
    place.dump("127.0.8.2");
    assert_eq!(agent.end().status, Some(0));
    assert!(!place.log().contains(asked), "the reason was told at the start and is the same: {}", place.log());
    drop(listener);
}

/// The original's agent, for as long as it waits, or anybody else.
#[test]
fn a_stranger_with_the_port_keeps_neither_from_its_work() {
    let place = Place::new("stranger");
    let stranger = UdpSocket::bind(("0.0.0.0", place.port)).unwrap();
    let member = place.member("");
    let mut status = std::process::Command::new(env!("CARGO_BIN_EXE_boothctl"));
    status.args(["status", "-c"]).arg(place.directory.join("kdump.conf")).arg("-l").arg(place.member_lock_file());
    let ended = run(status.stderr(std::process::Stdio::piped()));
    assert!(ended.status == Some(0) && ended.stdout.contains("ticket: T"), "{ended:?}");
    assert!(place.log().contains(&format!("port {} (UDP): Address", place.port)), "{}", place.log());
    assert_eq!(place.owner(), None);
    drop(stranger);
    has_the_port(&place, "member.ctl");
    place.dump("127.0.8.1");
    wait_for("it is heard", || place.stats_of(&place.member_lock_file()).contains(HEARD_ONE));
    drop(member);
}

/// One has heard a node's dump and leaves its port; the other one knows of that dump.
#[test]
fn what_one_has_heard_is_no_news_to_the_other() {
    let place = Place::new("no-news");
    let key = place.key("alpha.key", KEY);
    let lines = format!("kdump-key = localhost {}\nkdump-interval = 1\n", key.display());
    let listener = place.listen(&lines);
    let first = message(wall(), 1, 3);
    place.send("127.0.7.2", &first);
    wait_for("it is heard", || place.stats().contains(HEARD_ONE));
    let member = place.member(&lines);
    has_the_port(&place, "member.ctl");
    place.send("127.0.7.2", &first);
    let of_member = || place.stats_of(&place.member_lock_file());
    wait_for("it is dropped", || of_member().contains("dropped, sent before: 1\n"));
    // A later dump, of which the listener learns by the file.
    let later = message(wall() + 1, 1, 60);
    place.send("127.0.7.2", &later);
    wait_for("it is heard", || of_member().contains(HEARD_ONE));
    member.signal(Signal::SIGTERM);
    member.end();
    has_the_port(&place, "test.ctl");
    place.send("127.0.7.2", &later);
    wait_for("it is dropped", || place.stats().contains("dropped, sent before: 1\n"));
    drop(listener);
}

/// `boothctl kdump wait` says that its listener has gone, and asks the next one.
#[test]
fn who_waits_at_the_command_line_is_served_by_the_next_owner() {
    let place = Place::new("wait-on");
    let listener = place.listen("");
    let link = place.directory.join("fence_kdump-link.pid");
    // boothctl looks beside a lock file: this one's socket is the link that agents follow.
    let socket = place.directory.join("fence_kdump-link.ctl");
    std::os::unix::fs::symlink(format!("fence_kdump-{}.ctl", place.port), &socket).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_boothctl"));
    command.args(["kdump", "wait", "127.0.8.1", "-T", "60", "-l"]).arg(&link).stderr(std::process::Stdio::piped());
    let wait = Running::start(command);
    wait_for("it waits", || place.waiting(1));
    let member = place.member("");
    has_the_port(&place, "member.ctl");
    let ended = std::thread::scope(|scope| {
        let ended = scope.spawn(|| wait.end());
        wait_for("it is heard", || {
            place.dump("127.0.8.1");
            ended.is_finished()
        });
        ended.join().unwrap()
    });
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert_eq!(ended.stdout, "127.0.8.1: dumping, heard from 127.0.8.1\n");
    drop((member, listener));
}
