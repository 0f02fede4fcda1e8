//! The examples of `packaging/stuck-revoke`, with files in the place of the kernel's.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod patience;

use patience::wait_for;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/stuck-revoke").join(name)
}

/// An empty directory.
fn scratch(test: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("stuck-revoke-{test}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// Runs `reboot-node` on a node that was booted so long ago.
fn reboot(test: &str, uptime: &str) -> (Output, Option<String>, String) {
    let root = scratch(test);
    fs::create_dir(root.join("proc")).unwrap();
    fs::create_dir(root.join("dev")).unwrap();
    fs::write(root.join("proc/uptime"), format!("{uptime} 1.00\n")).unwrap();
    let output = Command::new(script("reboot-node")).arg("db").env("STUCK_REVOKE_ROOT", &root).output().unwrap();
    let pulled = fs::read_to_string(root.join("proc/sysrq-trigger")).ok();
    let said = fs::read_to_string(root.join("dev/kmsg")).unwrap();
    fs::remove_dir_all(root).unwrap();
    (output, pulled, said)
}

#[test]
fn reboot_node_pulls_the_trigger_and_fails_if_it_lives_on() {
    let (output, pulled, _) = reboot("old", "86400.17");
    assert_eq!(pulled.as_deref(), Some("b\n"));
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "booth: ticket db: the lease has ended and the store does not revoke: this node is rebooted",
            "booth: ticket db: the kernel has not rebooted"
        ]
    );
}

#[test]
fn reboot_node_leaves_a_node_alone_that_was_booted_a_moment_ago() {
    for (uptime, spared) in [("0.50", true), ("599.99", true), ("600.00", false), ("", true)] {
        let (output, pulled, said) = reboot("young", uptime);
        assert_eq!(pulled.is_none(), spared, "{uptime}: {pulled:?}");
        assert_eq!(output.status.code(), Some(1));
        assert!(!spared || said.contains("<2>booth: ticket db: ") && said.contains("not rebooted again"), "{said}");
    }
}

/// A feeder at work, with a file for its device.
struct Feeder {
    child: Child,
    device: PathBuf,
    file: PathBuf,
}

impl Feeder {
    fn start(test: &str) -> Feeder {
        let directory = scratch(test);
        let (device, file) = (directory.join("watchdog"), directory.join("stuck"));
        fs::write(&device, "").unwrap();
        // With the `sleep` that it waits for, all of it goes when the test is over.
        let child = feed(&device, &file).process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let feeder = Feeder { child, device, file };
        wait_for("the watchdog is fed", || feeder.fed().starts_with('.'));
        feeder
    }

    /// What the watchdog has got.
    fn fed(&self) -> String {
        fs::read_to_string(&self.device).unwrap()
    }

    fn terminate(&self) {
        let child = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGTERM).unwrap();
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(self.child.id() as i32);
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.wait();
        let _ = self.device.parent().map(fs::remove_dir_all);
    }
}

fn feed(device: &Path, file: &Path) -> Command {
    let mut command = Command::new(script("feed-watchdog"));
    command.args([device, file]);
    command
}

#[test]
fn feed_watchdog_feeds_until_the_file_appears_and_then_holds_the_device() {
    let mut feeder = Feeder::start("feed");
    let first = feeder.fed().len();
    wait_for("it is fed again", || feeder.fed().len() > first);
    fs::write(&feeder.file, "").unwrap();
    // It says so by doing nothing: what ignores SIGTERM has seen the file.
    let ignores = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap().to_owned();
        u64::from_str_radix(&mask, 16).unwrap() & 1 << (libc::SIGTERM - 1) != 0
    };
    wait_for("it has seen the file", || ignores(feeder.child.id()));
    let fed = feeder.fed();
    feeder.terminate();
    assert!(feeder.child.try_wait().unwrap().is_none(), "it would have closed the device");
    assert_eq!(feeder.fed(), fed);
    assert!(fed.bytes().all(|byte| byte == b'.'), "{fed}: V would switch the watchdog off");
}

#[test]
fn feed_watchdog_switches_the_watchdog_off_when_it_is_stopped_in_order() {
    let mut feeder = Feeder::start("stop");
    feeder.terminate();
    wait_for("it has ended", || feeder.child.try_wait().unwrap().is_some_and(|status| status.success()));
    assert!(feeder.fed().ends_with(".V"), "{}", feeder.fed());
}

#[test]
fn feed_watchdog_does_not_start_what_would_reset_the_node_at_once_and_makes_no_device() {
    let directory = scratch("refuse");
    let (device, file) = (directory.join("watchdog"), directory.join("stuck"));
    let refused = |expected: &str| {
        let output = feed(&device, &file).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(expected), "{said}");
    };
    refused("there is no ");
    assert!(!device.exists());
    fs::write(&device, "").unwrap();
    fs::write(&file, "").unwrap();
    refused("is there already");
    assert_eq!(fs::read_to_string(&device).unwrap(), "");
    fs::remove_dir_all(directory).unwrap();
}
