//! The daemon of the active site is gone or frozen for good, and its cluster lives on: the guard at the site revokes
//! what has run out (S12), so the service has stopped here before it starts elsewhere.

use crate::cluster::{Extra, Service};
use crate::common::Program;
use crate::common::now;
use crate::lab::{CONFIGURATION, Lab, PROMPT, Plan, Ticket};
use crate::runs::{overlap, span};
use std::thread;
use std::time::Duration;

const A: usize = 0;
const B: usize = 1;
const EXPIRE: u32 = 12;
const ACQUIRE_AFTER: u32 = 3;

/// It is killed, and does not come back.
pub fn daemon_killed(name: &str, program: Program) {
    daemon_is_gone(name, "-KILL", program);
}

/// It stands still: it has its lock and its ports, and does nothing.
pub fn daemon_frozen(name: &str, program: Program) {
    daemon_is_gone(name, "-STOP", program);
}

fn daemon_is_gone(name: &str, signal: &str, program: Program) {
    // Each with its own agent; where it has failed once it is not started again, as on a node whose disk is full.
    let provider = if program.is_ours() { "booth" } else { "pacemaker" };
    let daemon = Extra {
        resources: format!(
            "<primitive id='booth' class='ocf' provider='{provider}' type='booth-site'>\
             <instance_attributes id='booth-parameters'>\
             <nvpair id='booth-config' name='config' value='{CONFIGURATION}'/></instance_attributes>\
             <meta_attributes id='booth-meta'>\
             <nvpair id='booth-threshold' name='migration-threshold' value='1'/></meta_attributes>\
             <operations><op id='booth-monitor' name='monitor' interval='5s' timeout='20s'/>\
             <op id='booth-start' name='start' interval='0s' timeout='60s'/></operations></primitive>"
        ),
        ..Extra::default()
    };
    let plan = Plan {
        program,
        daemons: false,
        extra: [daemon.clone(), daemon],
        ..Plan::ours(&[Ticket::new("T", EXPIRE, ACQUIRE_AFTER)], &[Service::new("db", "T")])
    };
    let lab = Lab::start(name, plan);
    for site in [A, B] {
        lab.wait_until_up(site);
    }
    lab.grant(A, "T");
    lab.wait_running(A, "db", PROMPT);
    lab.wait_until_remembers(B);
    lab.wait_until_remembers(lab.arbitrator());
    // A fresh lease, so that what follows takes the longest.
    lab.wait_renewed(A, "T", 1);
    let gone = now();
    let process = lab.host(A).must("/bin/pidof", &["boothd"]);
    lab.host(A).must("/bin/kill", &[signal, process.trim()]);
    let takeover = Duration::from_secs((EXPIRE + ACQUIRE_AFTER).into()) + PROMPT;
    let begun = lab.wait_running(B, "db", takeover);
    // Whoever still runs shows it.
    thread::sleep(Duration::from_secs(5));
    let (here, there) = (lab.runs(A, "db"), lab.runs(B, "db"));
    let (ended, overlap) = (here[here.len() - 1].last, overlap(&here, &there));
    let stopped = match lab.running(A, "db") {
        None => format!("stopped {} after that", span(gone, ended)),
        Some(_) => format!("still runs {} after that", span(gone, now())),
    };
    lab.tell(&format!("the service {stopped}, starts elsewhere {}: overlap {overlap:.2} s", span(gone, begun.first)));
    if program.is_ours() {
        assert!(
            overlap == 0.0 && begun.first > ended && lab.running(A, "db").is_none(),
            "the service ran at both sites"
        );
        assert!(!lab.granted(A, "T"));
    } else {
        assert!(overlap > 1.0, "the peer's fault no longer shows, or the lab does not provoke it");
    }
}
