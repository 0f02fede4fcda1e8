//! Links between sites that fail.

use crate::available;
use crate::cluster::{LossPolicy, Service};
use crate::common::{Program, eventually, now};
use crate::lab::{Lab, PROMPT, Plan, Ticket};
use crate::runs::overlap;
use std::thread;
use std::time::Duration;

const A: usize = 0;
const B: usize = 1;

fn plan(ticket: Ticket, services: Vec<Service>) -> Plan {
    Plan {
        nodes: 1,
        program: Program::Ours,
        daemons: true,
        tickets: vec![ticket],
        services,
        extra: Default::default(),
    }
}

/// The first problem: a cut between the sites could restart or move a service without need.
#[test]
fn the_link_between_the_sites_flaps() {
    if !available("the_link_between_the_sites_flaps") {
        return;
    }
    let lab = Lab::start("link between the sites flaps", plan(Ticket::new("T", 10, 3), vec![Service::new("db", "T")]));
    lab.must(A, &["grant", "-w", "T"]);
    let begun = lab.wait_running(A, "db", PROMPT);
    let end = now() + 120.0;
    let mut cuts = 0;
    // Cuts shorter than a renewal, between renewal and lease, and longer than lease and acquire-after.
    for (cut, whole) in [(1, 1), (4, 2), (7, 1), (16, 3)].iter().cycle() {
        if now() >= end {
            break;
        }
        lab.part(A, &[B]);
        thread::sleep(Duration::from_secs(*cut));
        lab.heal(A);
        thread::sleep(Duration::from_secs(*whole));
        cuts += 1;
    }
    let after = lab.wait_running(A, "db", PROMPT);
    let writes = lab.changes(A, "T");
    let (grants, revokes) =
        (writes.iter().filter(|change| change.granted).count(), writes.iter().filter(|change| !change.granted).count());
    lab.tell(&format!(
        "{cuts} cuts in {:.0} s: process {} at the first site all the while, for {:.1} s; {grants} grants and renewals \
         and {revokes} revokes in its CIB",
        120.0,
        after.process,
        after.last - after.first
    ));
    assert_eq!((begun.process, begun.first), (after.process, after.first), "{:?}", lab.runs(A, "db"));
    assert_eq!(lab.runs(B, "db"), []);
    assert_eq!(revokes, 0);
}
