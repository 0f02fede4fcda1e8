//! A planned move of a service whose stop takes 8 s.

use crate::cluster::Service;
use crate::common::Program;
use crate::common::now;
use crate::lab::{Lab, PROMPT, Plan, Ticket};
use crate::runs::{overlap, span};
use std::time::Duration;

const A: usize = 0;
const B: usize = 1;
const STOP: u32 = 8;

/// The second problem, of a planned move: it is revoked here and granted there at once. What the reference leaves to
/// whoever waits long enough, `release-handler` makes certain.
pub fn planned_move(name: &str, program: Program) {
    let more = if program.is_ours() { " release-handler = /usr/sbin/resources-stopped\n" } else { "" };
    // Long enough for a service that stops while the lease runs.
    let tickets = [Ticket { more, ..Ticket::new("T", 30, 3) }];
    let services = [Service { stop_delay: STOP, ..Service::new("db", "T") }];
    let lab = Lab::start(name, Plan { program, ..Plan::ours(&tickets, &services) });
    lab.grant(A, "T");
    lab.wait_running(A, "db", PROMPT);
    assert_eq!(lab.runs(B, "db"), []);
    let asked = now();
    lab.must(A, &["revoke", "-w", "T"]);
    let revoked = now();
    lab.must(B, &["grant", "-w", "T"]);
    let granted = now();
    let begun = lab.wait_running(B, "db", Duration::from_secs(STOP.into()) + PROMPT);
    let ended = lab.wait_stopped(A, "db", Duration::from_secs(STOP.into()) + PROMPT);
    let overlap = overlap(&lab.runs(A, "db"), &lab.runs(B, "db"));
    lab.tell(&format!(
        "revoke -w returned after {}, grant -w elsewhere {} later; stopped {} after the revoke was asked for, started \
         elsewhere after {}: overlap {overlap:.2} s",
        span(asked, revoked),
        span(revoked, granted),
        span(asked, ended.last),
        span(asked, begun.first),
    ));
    if program.is_ours() {
        assert!(overlap == 0.0 && begun.first > ended.last, "the service ran at both sites");
        assert!(revoked >= ended.last, "revoke -w returned while the service still ran");
    } else {
        assert!(overlap > f64::from(STOP) / 2.0, "the peer's fault no longer shows, or the lab does not provoke it");
    }
}
