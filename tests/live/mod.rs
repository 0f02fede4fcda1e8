//! Tests that need more than a user has: root, or a program of the system. Where that is missing they are
//! skipped so that it is seen, and with `BOOTH_LIVE_TESTS=require` they fail instead.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Says that a test is skipped, past the harness, which swallows what a passing test prints.
#[track_caller]
pub fn skip(test: &str, reason: &str) {
    assert_ne!(std::env::var("BOOTH_LIVE_TESTS").as_deref(), Ok("require"), "{test}: {reason}");
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
}

/// Whether this process is root; skips the test where it is not.
#[track_caller]
pub fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skip(test, "it needs root");
    }
    root
}

/// Builds a library for LD_PRELOAD from `tests/fixture/NAME.c`; skips the test where there is no C compiler.
#[track_caller]
pub fn preload(test: &str, directory: &Path, name: &str) -> Option<PathBuf> {
    let library = directory.join(name).with_extension("so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture").join(name).with_extension("c");
    let built = Command::new("gcc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(source).status();
    if built.is_ok_and(|status| status.success()) {
        return Some(library);
    }
    skip(test, "gcc is needed for a library that is preloaded");
    None
}

/// A tmpfs that only one thread and the processes that it starts see; gone with this value.
#[must_use]
pub struct Mount(PathBuf);

/// Mounts a tmpfs for this thread. Needs root.
pub fn mount_here(directory: &Path, options: &str) -> Mount {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    let run = |arguments: &[&str]| assert!(Command::new("mount").args(arguments).status().unwrap().success());
    run(&["--make-rprivate", "/"]);
    run(&["-t", "tmpfs", "-o", options, "tmpfs", directory.to_str().unwrap()]);
    Mount(directory.to_owned())
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
