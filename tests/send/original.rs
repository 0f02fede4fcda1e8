//! Debian's `fence_kdump`, the agent of package fence-agents: what it makes of our sender's messages.

use super::fence_agents::original;
use super::host::{Running, enter_new_host, send};
use super::{live, patience, scratch};
use std::process::Command;

/// Whether somebody has the port of the original; what the agent says stays in its buffer.
fn is_bound() -> bool {
    let tables = ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"];
    tables.iter().any(|table| std::fs::read_to_string(table).is_ok_and(|text| text.contains(":1CF2 ")))
}

#[test]
fn the_original_agent_hears_our_sender_plain_and_signed() {
    let test = "the_original_agent_hears_our_sender_plain_and_signed";
    let Some(original) = original(test) else { return };
    if !live::is_root(test) {
        return;
    }
    enter_new_host();
    let directory = scratch::directory("send-original");
    let key = directory.join("key");
    std::fs::write(&key, "a secret of eight or more").unwrap();
    let signed = ["-k", key.to_str().unwrap(), "-n", "alpha"];
    for node in ["127.0.0.1", "::1"] {
        for more in [&[][..], &signed] {
            let mut agent = Command::new(&original.agent);
            let agent = Running::start(agent.args(["-o", "off", "-t", "15", "-n", node]));
            patience::wait_for("the agent listens", is_bound);
            let sender = send(&[&["-c", "1", node], more].concat());
            assert_eq!(sender.end().0, Some(0));
            assert_eq!(agent.end().0, Some(0), "{node} {more:?}");
        }
    }
    std::fs::remove_dir_all(directory).unwrap();
}

/// A crashed node that says nothing since ours is stricter than what it replaces is cut off its power.
#[test]
fn options_are_taken_and_refused_as_by_the_original() {
    let test = "options_are_taken_and_refused_as_by_the_original";
    let Some(original) = original(test) else { return };
    let listener = super::host::Listener::new("127.0.0.1:0");
    let port = listener.port();
    let written = |before: &str, behind: &str| format!("{before}{port}{behind}");
    for (options, expected) in [
        (["-p", &written("", "x"), "-i", "1s", "-c", "1x", "-f", "IPV4"], 0),
        (["-p", &written(" ", ""), "-i", "+1", "-c", "01", "-f", "Auto"], 0),
        (["-p", &port, "-i", "1", "-c", "1", "-f", "ipv4x"], 1),
        (["-p", &port, "-i", "s", "-c", "1", "-f", "auto"], 1),
        (["-p", &port, "-i", "1", "-c", "-1", "-f", "auto"], 1),
        (["-p", &written("x", ""), "-i", "1", "-c", "1", "-f", "auto"], 1),
    ] {
        for sender in [&original.sender, super::host::sender()] {
            let status = Running::start(Command::new(sender).args(options).arg("127.0.0.1")).end().0;
            assert_eq!(status, Some(expected), "{} {options:?}", sender.display());
            let heard = listener.hear_within(std::time::Duration::from_millis(100)).is_some();
            assert_eq!(heard, expected == 0, "{} {options:?}", sender.display());
        }
    }
}

/// The same bytes for the same listener.
#[test]
fn a_plain_message_is_the_original_s() {
    let test = "a_plain_message_is_the_original_s";
    let Some(original) = original(test) else { return };
    let listener = super::host::Listener::new("127.0.0.1:0");
    let arguments = ["-p", &listener.port(), "-c", "1", "-i", "1", "127.0.0.1"];
    let theirs = Running::start(Command::new(&original.sender).args(arguments));
    let theirs = (listener.hear(1).remove(0).bytes, theirs.end());
    let ours = send(&arguments);
    let ours = (listener.hear(1).remove(0).bytes, ours.end());
    assert_eq!(ours, theirs);
}
