//! What a test sees of a lab, and waits for: services, tickets, members.

use crate::cluster;
use crate::common::{eventually, now};
use crate::host::Host;
use crate::lab::{Lab, PROMPT};
use crate::runs::{Run, runs};
use std::fs;
use std::time::Duration;

/// A write of a ticket to a site's CIB, in seconds since the epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// When it was asked for.
    pub asked: f64,
    /// When `crm_ticket` had ended.
    pub done: f64,
    pub granted: bool,
    pub success: bool,
}

impl Lab {
    /// Grants at a site, and waits until its CIB says so: in a new cluster, whose members vouch for nothing yet, a grant
    /// may be held back for a lease and `acquire-after` (S6).
    #[track_caller]
    pub fn grant(&self, number: usize, ticket: &str) {
        self.must(number, &["grant", "-C", ticket]);
        eventually(&format!("{ticket} is granted"), PROMPT, || {
            if self.granted(number, ticket) { Ok(()) } else { Err(format!("{:?}", self.changes(number, ticket))) }
        });
    }

    /// The runs of a service at the site of this node.
    pub fn runs(&self, number: usize, service: &str) -> Vec<Run> {
        let home = if number < self.plan.nodes { "a1" } else { "b" };
        runs(&cluster::directory(&self.directory.join(home), service))
    }

    /// The run of a service at the site of this node that is not over.
    pub fn running(&self, number: usize, service: &str) -> Option<Run> {
        let first = number < self.plan.nodes;
        let nodes =
            self.hosts[..self.arbitrator()].iter().enumerate().filter(|(node, _)| (*node < self.plan.nodes) == first);
        let hosts: Vec<&Host> = nodes.filter_map(|(_, host)| host.as_ref()).collect();
        // A process that is starved writes nothing for a while, and runs all the same.
        let alive = |run: &Run| {
            let comm = |host: &&Host| fs::read_to_string(host.path(&format!("/proc/{}/comm", run.process)));
            hosts.iter().any(|host| comm(host).is_ok_and(|name| name.trim() == "service"))
        };
        self.runs(number, service).pop().filter(alive)
    }

    /// Waits until a service runs at the site of this node; gives that run.
    #[track_caller]
    pub fn wait_running(&self, number: usize, service: &str, limit: Duration) -> Run {
        eventually(&format!("{service} runs at the site of host {number}"), limit, || {
            self.running(number, service)
                .ok_or_else(|| format!("runs: {:?}, now {:.3}", self.runs(number, service), now()))
        })
    }

    /// Waits until a service that has run at the site of this node runs no longer; gives its last run.
    #[track_caller]
    pub fn wait_stopped(&self, number: usize, service: &str, limit: Duration) -> Run {
        eventually(&format!("{service} stops at the site of host {number}"), limit, || {
            match (self.running(number, service), self.runs(number, service).pop()) {
                (None, Some(run)) => Ok(run),
                other => Err(format!("{other:?}, now {:.3}", now())),
            }
        })
    }

    /// What was written about a ticket to the CIB by a daemon on this host.
    pub fn changes(&self, number: usize, ticket: &str) -> Vec<Change> {
        let text = fs::read_to_string(self.directory.join(self.host_name(number)).join("tickets")).unwrap_or_default();
        let change = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            let [asked, done, name, change, status] = words[..] else { panic!("line of the lab: {line}") };
            let change = Change {
                asked: asked.parse().unwrap(),
                done: done.parse().unwrap(),
                granted: change == "granted",
                success: status == "0",
            };
            (name == ticket).then_some(change)
        };
        text.lines().filter_map(change).collect()
    }

    /// The last grant or revoke of a ticket that a daemon on this host has written.
    #[track_caller]
    pub fn last_change(&self, number: usize, ticket: &str, granted: bool) -> Change {
        let mut changes = self.changes(number, ticket);
        changes.retain(|change| change.granted == granted && change.success);
        changes.pop().unwrap_or_else(|| panic!("nothing written: {:?}", self.changes(number, ticket)))
    }

    /// Waits for so many more renewals of a ticket by the daemon of this host.
    #[track_caller]
    pub fn wait_renewed(&self, number: usize, ticket: &str, count: usize) {
        let since = now();
        eventually(&format!("{count} renewals of {ticket}"), PROMPT * 2, || {
            let changes = self.changes(number, ticket);
            let renewed = changes.iter().filter(|change| change.granted && change.asked > since).count();
            if renewed >= count { Ok(()) } else { Err(format!("{changes:?}")) }
        });
    }

    /// Waits until every member can vote for whom it likes, see [`Lab::wait_until_remembers`].
    #[track_caller]
    pub fn wait_until_all_remember(&self) {
        for number in 0..self.hosts.len() {
            self.wait_until_remembers(number);
        }
    }

    /// Waits until a member can vote for whom it likes: one of ours, until the first lease and acquire-after of its
    /// first life are over (S7).
    #[track_caller]
    pub fn wait_until_remembers(&self, number: usize) {
        if !self.programs[number].is_ours() {
            return;
        }
        let spans = self.plan.tickets.iter().map(|ticket| u64::from(ticket.expire + ticket.acquire_after));
        let limit = Duration::from_secs(spans.max().unwrap_or(0)) + PROMPT;
        eventually(&format!("{} remembers", self.host(number).name()), limit, || {
            let status = self.must(number, &["status"]);
            if status.contains("no memory") { Err(status) } else { Ok(()) }
        });
    }

    /// Whether the CIB of a node's site says granted.
    pub fn granted(&self, number: usize, ticket: &str) -> bool {
        let outcome = self.host(number).run("/usr/sbin/crm_ticket", &["-t", ticket, "-G", "granted", "--quiet"]);
        outcome.status == Some(0) && outcome.stdout.trim() == "true"
    }
}
