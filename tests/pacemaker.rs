//! Sites that are real Pacemaker clusters, live: Debian's corosync and pacemaker on hosts that are namespaces of this
//! test, our daemon and the reference, and services behind tickets that write down themselves when they run.
//!
//! What counts is the service and not only the ticket. Each story prints the times that it saw.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

#[path = "pacemaker/cluster.rs"]
mod cluster;
mod common;
#[path = "pacemaker/crash.rs"]
mod crash;
#[path = "pacemaker/fencing.rs"]
mod fencing;
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
#[path = "pacemaker/places.rs"]
mod places;
#[path = "pacemaker/readme.rs"]
mod readme;
#[path = "pacemaker/replacement.rs"]
mod replacement;
#[path = "pacemaker/runs.rs"]
mod runs;
mod sender;
#[path = "pacemaker/tools.rs"]
mod tools;
#[path = "pacemaker/watch.rs"]
mod watch;

use common::{Program, scratch};
use std::path::Path;
use std::thread;

use Program::{Ours, Reference};

/// A story; of which program its members are is its own business where it is told of ours only.
type Story = fn(&str, Program);

const OURS: &[Program] = &[Ours];
/// The reference beside it, for comparison.
const BOTH: &[Program] = &[Ours, Reference];

/// What geo clusters were built for, and did not do well at first. The longest, and first by its name.
#[test]
fn a_service_runs_at_one_site_and_moves_when_it_must() {
    tell(
        "a_service_runs_at_one_site_and_moves_when_it_must",
        &[
            ("link between the sites flaps", links::link_flaps, OURS),
            ("active site cut off", links::active_site_cut_off, OURS),
            ("planned move", moves::planned_move, BOTH),
            ("both nodes of the active site killed", nodes::both_nodes_die, OURS),
        ],
    );
}

/// What Pacemaker and those who administrate it expect of a booth daemon.
#[test]
fn pacemaker_and_its_tools_are_at_home() {
    tell(
        "pacemaker_and_its_tools_are_at_home",
        &[
            ("loss-policy", losses::loss_policies, OURS),
            ("loss-policy fence", losses::loss_policy_fence, OURS),
            ("standby", losses::standby, OURS),
            ("handler and prerequisite", losses::handler_and_prerequisite, OURS),
            ("handler that asks Pacemaker", losses::service_runnable, OURS),
            ("crmsh", tools::crmsh, OURS),
        ],
    );
}

/// What the README tells a new administrator to type, and the other verbs of pcs.
#[test]
fn the_readme_leads_to_a_service_that_moves() {
    tell(
        "the_readme_leads_to_a_service_that_moves",
        &[("README and pcs", tools::pcs, OURS), ("README, with crmsh", readme::with_crmsh, OURS)],
    );
}

/// Daemons come and go, and the service runs where it ran or has stopped.
#[test]
fn daemons_come_and_go() {
    tell(
        "daemons_come_and_go",
        &[
            ("rolling replacement", replacement::members_replaced, OURS),
            ("daemons start before their clusters", replacement::daemons_before_clusters, OURS),
            ("node with the daemon killed", nodes::node_with_daemon_dies, OURS),
            ("daemon of the active site killed", guard::daemon_killed, BOTH),
            ("daemon of the active site frozen", guard::daemon_frozen, BOTH),
        ],
    );
}

/// A node that writes its dump counts as fenced, and one that says nothing is fenced by the next level.
#[test]
fn a_node_that_dumps_is_fenced_by_its_message() {
    tell(
        "a_node_that_dumps_is_fenced_by_its_message",
        &[
            ("fenced by a message", fencing::by_message, OURS),
            ("no message: the next level", fencing::without_message, OURS),
        ],
    );
}

/// A site whose nodes all write their dumps is dead before its lease ends; as long as one of them does not, it is not.
#[test]
fn a_crashed_site_is_replaced_before_its_lease_ends() {
    tell(
        "a_crashed_site_is_replaced_before_its_lease_ends",
        &[("nodes of the active site crash", crash::nodes_crash, OURS)],
    );
}

/// Tells stories side by side, each of both programs or of ours only.
fn tell(test: &str, stories: &[(&'static str, Story, &[Program])]) {
    if !available(test) {
        return;
    }
    thread::scope(|scope| {
        for (name, story, programs) in stories {
            for program in *programs {
                let name = if programs.len() > 1 { format!("{name}, {program:?}") } else { (*name).to_owned() };
                let body = {
                    let name = name.clone();
                    move || story(&name, *program)
                };
                thread::Builder::new().name(name).spawn_scoped(scope, body).expect("a thread");
            }
        }
    });
}

/// Whether these tests can run here.
fn available(test: &str) -> bool {
    let tools = [
        ("/usr/sbin/corosync", "corosync"),
        ("/usr/sbin/pacemakerd", "pacemaker"),
        ("/usr/sbin/crm_mon", "pacemaker-cli-utils"),
        ("/usr/lib/ocf/resource.d/heartbeat/IPaddr2", "resource-agents"),
        ("/usr/lib/ocf/resource.d/pacemaker/booth-site", "booth-pacemaker"),
        ("/usr/sbin/pcs", "pcs"),
        ("/usr/sbin/crm", "crmsh"),
    ];
    if let Some((path, package)) = tools.iter().find(|(path, _)| !Path::new(path).exists()) {
        let reason = format!("{path} is missing: apt-get install --no-install-recommends {package}");
        assert_ne!(std::env::var("BOOTH_LIVE_TESTS").as_deref(), Ok("require"), "{test}: {reason}");
        common::say(&format!("SKIPPED {test}: {reason}"));
        return false;
    }
    common::available(test)
}
