//! Sites that are real Pacemaker clusters, live: Debian's corosync and pacemaker on hosts that are namespaces of this
//! test, our daemon and the reference, and services behind tickets that write down themselves when they run.
//!
//! What counts is the service and not only the ticket. Each story prints the times that it saw.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

#[path = "pacemaker/cluster.rs"]
mod cluster;
mod common;
#[path = "pacemaker/guard.rs"]
mod guard;
#[path = "pacemaker/host.rs"]
mod host;
#[path = "pacemaker/lab.rs"]
mod lab;
#[path = "pacemaker/links.rs"]
mod links;
#[path = "pacemaker/losses.rs"]
mod losses;
#[path = "pacemaker/moves.rs"]
mod moves;
#[path = "pacemaker/nodes.rs"]
mod nodes;
#[path = "pacemaker/replacement.rs"]
mod replacement;
#[path = "pacemaker/runs.rs"]
mod runs;
#[path = "pacemaker/tools.rs"]
mod tools;

use common::scratch;

/// Whether these tests can run here.
fn available(test: &str) -> bool {
    let tools = [
        ("/usr/sbin/corosync", "corosync"),
        ("/usr/sbin/pacemakerd", "pacemaker"),
        ("/usr/sbin/crm_mon", "pacemaker-cli-utils"),
    ];
    let absent = tools.iter().find(|(path, _)| !std::path::Path::new(path).exists());
    if let Some((path, package)) = absent {
        let reason = format!("{path} is missing: apt-get install --no-install-recommends {package}");
        assert_ne!(std::env::var("BOOTH_LIVE_TESTS").as_deref(), Ok("require"), "{test}: {reason}");
        common::say(&format!("SKIPPED {test}: {reason}"));
        return false;
    }
    common::available(test)
}
