//! The live lab: real daemons, ours and Debian's, on hosts that are network namespaces of this test alone.
//!
//! Each [`Cluster`] has its own namespaces and directory, so clusters run side by side. All of it is removed when
//! the cluster is dropped, after a panic too. Every wait has a deadline. Needs root, `ip`, `nft`, `gcc` and Debian's
//! `booth` package; see [`available`].

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]
#![allow(dead_code, unused_imports, reason = "each test file uses a part of the lab")]

mod cluster;
mod faults;
mod network;
mod process;
#[path = "../scratch/mod.rs"]
pub mod scratch;
mod tap;
mod ticket_store;

pub use cluster::{
    ARBITRATOR, Cluster, Extras, HOSTS, KEY, Listed, MANUAL_TICKET, OUTSIDER, Plan, SECOND_TICKET, SITE_1, SITE_2,
    TICKET, Timing, now,
};
pub use faults::Handover;
pub use network::{Family, Network, PORT};
pub use process::{Outcome, Program, netlink_shim};
pub use tap::{Recorded, Tap, Transport, put};
pub use ticket_store::{Change, double_ownership};

use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Whether live tests can run here. Where not, says why on stderr; where `BOOTH_LIVE_TESTS=require` is set, panics.
pub fn available(test: &str) -> bool {
    // Asked once: the tests of a file begin side by side.
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    let Some(reason) = MISSING.get_or_init(missing) else { return true };
    assert!(
        std::env::var("BOOTH_LIVE_TESTS").as_deref() != Ok("require"),
        "{test}: BOOTH_LIVE_TESTS=require, but {reason}"
    );
    say(&format!("SKIPPED {test}: {reason}"));
    false
}

fn missing() -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("this user is not root, who alone can make network namespaces".into());
    }
    let tools = [
        (process::REFERENCE_DAEMON, "booth"),
        ("/usr/sbin/nft", "nftables"),
        ("/usr/sbin/ip", "iproute2"),
        ("/usr/bin/gcc", "gcc"),
    ];
    let absent = tools.iter().find(|(path, _)| !Path::new(path).exists());
    if let Some((path, package)) = absent {
        return Some(format!("{path} is missing: apt-get install --no-install-recommends {package}"));
    }
    network::probe().err().map(|error| format!("network namespaces cannot be made here: {error}"))
}

/// One line on stderr, past the capture of the test harness: skips and measured figures are always seen.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Polls `check` until it gives a value. Panics with `what` and the last complaint when `limit` has passed.
#[track_caller]
pub fn eventually<T>(what: &str, limit: Duration, mut check: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + limit;
    loop {
        match check() {
            Ok(value) => return value,
            Err(complaint) if Instant::now() >= end => panic!("{what}: not within {limit:?}: {complaint}"),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}
