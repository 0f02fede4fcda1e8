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
