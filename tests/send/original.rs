//! Debian's `fence_kdump`, the agent of package fence-agents: what it makes of our sender's messages.

use super::host::{Running, enter_new_host, send};
use super::{live, patience, scratch};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Debian's programs below a folder, unpacked from the package and not installed: it needs half of Python.
#[track_caller]
pub fn unpacked(test: &str) -> Option<&'static Path> {
    static UNPACKED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match UNPACKED.get_or_init(unpack) {
        Ok(folder) => Some(folder),
        Err(why) => {
            live::skip(test, why);
            None
        }
    }
}

fn unpack() -> Result<PathBuf, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fence-agents");
    if folder.join("usr/sbin/fence_kdump").exists() {
        return Ok(folder);
    }
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let script = "apt-get -qq download fence-agents && dpkg -x fence-agents_*.deb .";
    let done = Command::new("sh").args(["-c", script]).current_dir(&folder).stdin(Stdio::null()).output();
    let done = done.map_err(|error| error.to_string())?;
    let errors = String::from_utf8_lossy(&done.stderr);
    if done.status.success() { Ok(folder) } else { Err(format!("Debian's fence-agents cannot be had: {errors}")) }
}

/// Debian's sender.
#[track_caller]
pub fn sender(test: &str) -> Option<PathBuf> {
    unpacked(test).map(|folder| folder.join("usr/libexec/fence-agents/fence_kdump_send"))
}

/// Whether somebody has the port of the original; what the agent says stays in its buffer.
fn is_bound() -> bool {
    let tables = ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"];
    tables.iter().any(|table| std::fs::read_to_string(table).is_ok_and(|text| text.contains(":1CF2 ")))
}

#[test]
fn the_original_agent_hears_our_sender_plain_and_signed() {
    let test = "the_original_agent_hears_our_sender_plain_and_signed";
    let Some(folder) = unpacked(test) else { return };
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
            let mut agent = Command::new(folder.join("usr/sbin/fence_kdump"));
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
    let Some(original) = sender(test) else { return };
    let listener = super::host::Listener::new("127.0.0.1:0");
    let arguments = ["-p", &listener.port(), "-c", "1", "-i", "1", "127.0.0.1"];
    let theirs = Running::start(Command::new(original).args(arguments));
    let theirs = (listener.hear(1).remove(0).bytes, theirs.end());
    let ours = send(&arguments);
    let ours = (listener.hear(1).remove(0).bytes, ours.end());
    assert_eq!(ours, theirs);
}
