//! The packages, as administrators meet them: built, looked into, installed over the reference and beside Debian's
//! fencing agents, upgraded under a granted ticket, removed and purged, on hosts with systemd ([`host`]).
//!
//! Needs root, `cargo deb`, `cargo generate-rpm`, and Debian's mmdebstrap, rpm, lintian and iproute2. The other
//! members of the clusters run this build's daemon, beside the hosts.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;
mod contents;
mod host;
mod kdump;
mod life;

use common::scratch;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The packages of one revision.
pub struct Built {
    directory: PathBuf,
    revision: &'static str,
}

impl Built {
    /// The package of this name.
    fn deb(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}_{}-{}_amd64.deb", env!("CARGO_PKG_VERSION"), self.revision))
    }

    fn rpm(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}-{}-{}.x86_64.rpm", env!("CARGO_PKG_VERSION"), self.revision))
    }
}

/// Builds the packages once for each revision.
fn built(revision: &'static str) -> Built {
    static BUILT: [OnceLock<()>; 2] = [OnceLock::new(), OnceLock::new()];
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages");
    let once = if revision == "1" { &BUILT[0] } else { &BUILT[1] };
    once.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/build-packages");
        let output = Command::new(script).arg(&directory).arg(revision).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
    Built { directory, revision }
}

/// Whether this machine has what the tests need; skips the test where it has not.
#[track_caller]
fn equipped(test: &str) -> bool {
    let tools = [
        (&["cargo", "deb", "--version"][..], "cargo install cargo-deb"),
        (&["cargo", "generate-rpm", "--version"], "cargo install cargo-generate-rpm"),
        (&["rpm", "--version"], "apt-get install rpm"),
        (&["lintian", "--version"], "apt-get install lintian"),
        (&["mmdebstrap", "--version"], "apt-get install mmdebstrap"),
    ];
    for (command, remedy) in tools {
        let output = Command::new(command[0]).args(&command[1..]).output();
        if !output.is_ok_and(|output| output.status.success()) {
            let reason = format!("no {}: {remedy}", command.join(" "));
            assert_ne!(std::env::var("BOOTH_LIVE_TESTS").as_deref(), Ok("require"), "{test}: {reason}");
            common::say(&format!("SKIPPED {test}: {reason}"));
            return false;
        }
    }
    common::available(test)
}
