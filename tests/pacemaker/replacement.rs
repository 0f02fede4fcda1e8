//! Daemons that begin: in place of another one in a running cluster, one after another, by ours and back, where the
//! service notices nothing; and at a boot, before there is a cluster.

use crate::cluster::Service;
use crate::common::Program::{self, Ours, Reference};
use crate::common::{eventually, now};
use crate::lab::{Lab, PROMPT, Plan, Ticket};
use crate::runs::span;
use std::time::Duration;

const A: usize = 0;
const B: usize = 1;

/// Waits until all members say that the first site leads, and until its lease has been renewed.
fn settle(lab: &Lab) {
    let leader = format!("leader: {}", lab.address(A));
    for number in [A, B, lab.arbitrator()] {
        eventually("all members agree", PROMPT, || {
            let list = lab.client(number, &["list"]);
            if list.stdout.contains(&leader) { Ok(()) } else { Err(format!("{}: {list:?}", lab.host(number).name())) }
        });
    }
    lab.wait_renewed(A, "T", 1);
}

pub fn members_replaced(name: &str, _: Program) {
    let plan = Plan { program: Reference, ..Plan::ours(&[Ticket::new("T", 10, 3)], &[Service::new("db", "T")]) };
    let mut lab = Lab::start(name, plan);
    lab.grant(A, "T");
    let begun = lab.wait_running(A, "db", PROMPT);
    settle(&lab);
    let arbitrator = lab.arbitrator();
    // Least first: the member that holds the ticket is the last to be replaced, and the first to go back.
    let steps = [(arbitrator, Ours), (B, Ours), (A, Ours), (A, Reference), (B, Reference), (arbitrator, Reference)];
    for (number, program) in steps {
        let start = now();
        lab.replace(number, program);
        let answers = now();
        // The next one's turn comes when this one remembers.
        lab.wait_until_remembers(number);
        settle(&lab);
        let run = lab.wait_running(A, "db", Duration::from_secs(1));
        lab.tell(&format!(
            "{} now {program:?}, answers after {:.1} s, agreed after {:.1} s; process {} runs on, for {:.1} s",
            lab.host(number).name(),
            answers - start,
            now() - start,
            run.process,
            run.last - run.first
        ));
        assert_eq!((begun.process, begun.first), (run.process, run.first), "{:?}", lab.runs(A, "db"));
    }
    assert_eq!(lab.runs(B, "db"), []);
    // At its first start the reference may write down that the new ticket is not granted.
    let writes: Vec<_> = lab.changes(A, "T").into_iter().skip_while(|change| !change.granted).collect();
    assert!(writes.iter().all(|change| change.granted), "revoked in between: {writes:?}");
}

/// At a boot the daemon may be there before its cluster: it serves as a member, waits for the CIB, and then loads it.
pub fn daemons_before_clusters(name: &str, _: Program) {
    let plan = Plan { early: true, ..Plan::ours(&[Ticket::new("T", 10, 3)], &[Service::new("db", "T")]) };
    let lab = Lab::start(name, plan);
    let online = now();
    lab.grant(A, "T");
    let run = lab.wait_running(A, "db", PROMPT);
    lab.tell(&format!("granted, and the service runs, {} after the clusters were up", span(online, run.first)));
    assert_eq!(lab.runs(B, "db"), []);
}
