//! The demo from outside: it ends well and in time, and leaves nothing behind however it ends.
//!
//! Real daemons, real seconds. The tests share the demo's loopback addresses but not its port.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A demo with a temporary directory of its own, to see what it leaves there.
struct Demo {
    child: Child,
    temporary: PathBuf,
}

impl Demo {
    fn start(name: &str) -> Demo {
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("demo-{name}-{}", std::process::id()));
        fs::create_dir_all(&temporary).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_boothctl"));
        command.arg("demo").env("TMPDIR", &temporary);
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Demo { child, temporary }
    }

    /// The processes named in the line that says that the daemons have started.
    fn daemons(&mut self) -> (Vec<Pid>, BufReader<std::process::ChildStdout>) {
        let mut lines = BufReader::new(self.child.stdout.take().unwrap());
        loop {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0, "the demo has ended early: {}", self.errors());
            if let Some((_, processes)) = line.split_once("processes ") {
                let pid = |text: &str| Pid::from_raw(text.trim().parse().unwrap());
                return (processes.split(',').map(pid).collect(), lines);
            }
        }
    }

    fn errors(&mut self) -> String {
        let mut text = String::new();
        if let Some(errors) = &mut self.child.stderr {
            errors.read_to_string(&mut text).unwrap();
        }
        text
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.temporary);
    }
}

/// Waits until a process is gone, or only waits to be reaped by whoever adopted it.
fn await_end(pid: Pid) {
    let deadline = Instant::now() + Duration::from_secs(5);
    let runs = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, state)| !state.starts_with('Z'))
    };
    while runs() {
        assert!(Instant::now() < deadline, "daemon {pid} was left behind");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn it_ends_well_within_a_minute_and_leaves_nothing_behind() {
    let begun = Instant::now();
    let mut demo = Demo::start("whole");
    let (daemons, mut lines) = demo.daemons();
    let mut out = String::new();
    lines.read_to_string(&mut out).unwrap();
    let status = demo.child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{out}\n{}", demo.errors());
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let mut rest = out.as_str();
    for event in [
        "boothctl grant",
        "site A holds the ticket",
        "site A is killed",
        "the lease in site A's store is over",
        "site B holds the ticket",
        "site A is started again",
        "site A has found the stale grant in its store and revoked it",
        "are frozen",
        "site B gives the ticket up",
        "both go on",
        "holds the ticket",
        "Who held the ticket:",
        "No overlap",
    ] {
        let (_, after) =
            rest.split_once(event).unwrap_or_else(|| panic!("no {event:?} after what came before, in:\n{out}"));
        rest = after;
    }
    assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    assert!(!out.contains('\x1b'), "no colour where nobody looks");
    daemons.into_iter().for_each(await_end);
    assert_eq!(fs::read_dir(&demo.temporary).unwrap().count(), 0);
}

#[test]
fn an_interrupt_stops_the_daemons_and_removes_the_directory() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut demo = Demo::start(signal.as_str());
        let (daemons, _lines) = demo.daemons();
        assert_eq!(daemons.len(), 3);
        kill(Pid::from_raw(demo.child.id().cast_signed()), signal).unwrap();
        assert_eq!(demo.child.wait().unwrap().code(), Some(130), "{}", demo.errors());
        daemons.into_iter().for_each(await_end);
        assert_eq!(fs::read_dir(&demo.temporary).unwrap().count(), 0);
    }
}

#[test]
fn a_reader_that_has_gone_ends_it() {
    let mut demo = Demo::start("unread");
    let (daemons, lines) = demo.daemons();
    drop(lines);
    assert_eq!(demo.child.wait().unwrap().code(), Some(130), "{}", demo.errors());
    daemons.into_iter().for_each(await_end);
    assert_eq!(fs::read_dir(&demo.temporary).unwrap().count(), 0);
}

#[test]
fn a_killed_demo_takes_its_daemons_with_it() {
    let mut demo = Demo::start("killed");
    let (daemons, _lines) = demo.daemons();
    demo.child.kill().unwrap();
    daemons.into_iter().for_each(await_end);
}
