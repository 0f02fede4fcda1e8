//! Links between sites that fail.

use crate::cluster::Service;
use crate::common::{Program, now};
use crate::lab::{Lab, PROMPT, Plan, Ticket};
use crate::runs::{overlap, span};
use std::thread;
use std::time::Duration;

const A: usize = 0;
const B: usize = 1;
/// Seconds for which the link goes up and down.
const FLAPPING: f64 = 120.0;

/// The first problem: a cut between the sites could restart or move a service without need.
pub fn link_flaps(name: &str, _: Program) {
    let lab = Lab::start(name, Plan::ours(&[Ticket::new("T", 10, 3)], &[Service::new("db", "T")]));
    lab.grant(A, "T");
    let begun = lab.wait_running(A, "db", PROMPT);
    let (mut cuts, start) = (0, now());
    // Cuts shorter than a renewal, between renewal and lease, and longer than lease and acquire-after.
    for (cut, whole) in [(1, 1), (4, 2), (7, 1), (16, 3)].iter().cycle().take_while(|_| now() < start + FLAPPING) {
        lab.part(A, &[B]);
        thread::sleep(Duration::from_secs(*cut));
        lab.heal(A);
        thread::sleep(Duration::from_secs(*whole));
        cuts += 1;
    }
    let after = lab.wait_running(A, "db", PROMPT);
    let writes = lab.changes(A, "T");
    let grants = writes.iter().filter(|change| change.granted).count();
    lab.tell(&format!(
        "{cuts} cuts in {:.0} s: process {} runs all the while, for {:.1} s; the CIB was written {grants} grants and \
         renewals, {} revokes",
        now() - start,
        after.process,
        after.last - after.first,
        writes.len() - grants,
    ));
    assert_eq!((begun.process, begun.first), (after.process, after.first), "{:?}", lab.runs(A, "db"));
    assert_eq!(lab.runs(B, "db"), []);
    assert_eq!(writes.len(), grants, "{writes:?}");
}

/// The second problem: on a cut the standby could start before the active had stopped. `acquire-after` leaves room for
/// a stop of 8 s; who needs none starts as soon as the ticket comes.
pub fn active_site_cut_off(name: &str, _: Program) {
    let (expire, acquire_after) = (10, 10);
    let services = [Service::new("quick", "T"), Service { stop_delay: 8, ..Service::new("slow", "T") }];
    let lab = Lab::start(name, Plan::ours(&[Ticket::new("T", expire, acquire_after)], &services));
    lab.grant(A, "T");
    for service in &services {
        lab.wait_running(A, service.id, PROMPT);
    }
    lab.wait_until_all_remember();
    let cut = lab.cut(A);
    let lost = Duration::from_secs((expire + acquire_after).into()) + PROMPT;
    for service in &services {
        lab.wait_running(B, service.id, lost);
        let (here, there) = (lab.runs(A, service.id), lab.runs(B, service.id));
        let (end, begin) = (here[here.len() - 1].last, there[0].first);
        lab.tell(&format!(
            "{} (stop takes {} s): stopped {} after the cut, started elsewhere {}, so {:.2} s later; overlap {:.2} s",
            service.id,
            service.stop_delay,
            span(cut, end),
            span(cut, begin),
            begin - end,
            overlap(&here, &there),
        ));
        assert!(begin > end, "{here:?} {there:?}");
    }
    let (revoked, granted) = (lab.last_change(A, "T", false).done, lab.last_change(B, "T", true));
    let distance = granted.asked - revoked;
    lab.tell(&format!(
        "revoked {} after the cut, granted elsewhere {distance:.2} s later (acquire-after = {acquire_after})",
        span(cut, revoked),
    ));
    assert!(distance >= f64::from(acquire_after), "{distance}");
    // L2, and the moment that the first write took.
    let first = lab.changes(B, "T").iter().find(|change| change.granted).unwrap().asked;
    assert!(first - cut <= f64::from(expire + acquire_after) + 1.0, "taken over {} after the cut", span(cut, first));
}
