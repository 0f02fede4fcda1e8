//! What a site does with its resources where it loses a ticket, or may not use it, and who may get it then.

use crate::cluster::{LossPolicy, Service};
use crate::common::{Program, eventually, now};
use crate::lab::{Lab, PROMPT, Plan, Ticket};
use crate::nodes;
use crate::runs::{overlap, span};
use std::fs;
use std::thread;
use std::time::Duration;

const A: usize = 0;
const B: usize = 1;

/// Each policy as it is configured: Pacemaker's part, from our write of the revoke on.
pub fn loss_policies(name: &str, _: Program) {
    let service = |id, loss_policy| Service { loss_policy, ..Service::new(id, id) };
    let services = [
        service("stopped", LossPolicy::Stop),
        service("demoted", LossPolicy::Demote),
        service("frozen", LossPolicy::Freeze),
    ];
    let tickets = services.map(|service| Ticket::new(service.ticket, 10, 3));
    let lab = Lab::start(name, Plan::ours(&tickets, &services));
    for Service { id, ticket, .. } in services {
        lab.grant(A, ticket);
        lab.wait_running(A, id, PROMPT);
    }
    eventually("the promotable one is promoted", PROMPT, || {
        promoted(&lab, A).then_some(()).ok_or("not yet".to_owned())
    });
    let begun = services.map(|service| lab.wait_running(A, service.id, PROMPT));
    let revoked = now();
    for Service { ticket, .. } in services {
        lab.must(A, &["revoke", "-w", ticket]);
    }
    let stopped = lab.wait_stopped(A, "stopped", PROMPT);
    lab.tell(&format!("stop: stopped {} after the revoke", span(revoked, stopped.last)));
    eventually("the promotable one is demoted", PROMPT, || {
        (!promoted(&lab, A)).then_some(()).ok_or("not yet".to_owned())
    });
    lab.tell(&format!("demote: demoted within {}", span(revoked, now())));
    // What is to run on does so for longer than Pacemaker needed to stop the other.
    thread::sleep(Duration::from_secs(5));
    for (id, begun) in [("demoted", begun[1]), ("frozen", begun[2])] {
        let run = lab.wait_running(A, id, Duration::from_secs(1));
        lab.tell(&format!("{id}: process {} runs on, for {:.1} s", run.process, run.last - run.first));
        assert_eq!((begun.process, begun.first), (run.process, run.first));
    }
}

/// Fencing is asked for as soon as the ticket is gone, and the service has ended with its node.
pub fn loss_policy_fence(name: &str, _: Program) {
    const A2: usize = 1;
    let service = Service { loss_policy: LossPolicy::Fence, ..nodes::APART };
    let mut lab = nodes::two_nodes(name, "booth", 10, service, true);
    let revoked = now();
    lab.must(A, &["revoke", "-w", "T"]);
    let home = lab.host(A).home().to_owned();
    let asked_for = eventually("fencing is asked for", PROMPT, || {
        fs::read_to_string(home.join("fence")).map_err(|error| error.to_string())
    });
    let asked = now();
    assert_eq!(asked_for.trim(), "a2");
    let killed = lab.kill(A2);
    fs::write(home.join("fenced"), "").unwrap();
    eventually("the other node knows", PROMPT, || {
        let mon = lab.host(A).must("/usr/sbin/crm_mon", &["--one-shot", "--output-as=xml"]);
        let offline = mon.lines().any(|line| line.contains("<node name=\"a2\"") && line.contains("online=\"false\""));
        if offline && mon.contains("unclean=\"false\"") { Ok(()) } else { Err(mon) }
    });
    let run = lab.wait_stopped(A2, "db", PROMPT);
    lab.tell(&format!(
        "fencing of {} was asked for {} after the revoke; the service ended with it after {}",
        asked_for.trim(),
        span(revoked, asked),
        span(revoked, run.last)
    ));
    assert!(run.last <= killed + 0.1, "it ran on");
    assert_eq!(lab.runs(A, "db").len(), 1, "it was started again without the ticket");
}

fn promoted(lab: &Lab, number: usize) -> bool {
    fs::read_dir(lab.host(number).path("/run/lab"))
        .unwrap()
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().ends_with(".promoted"))
}

/// A ticket in standby stays granted and is renewed, and its resources do not run; writes of the daemon do not end it.
pub fn standby(name: &str, _: Program) {
    let lab = Lab::start(name, Plan::ours(&[Ticket::new("T", 10, 3)], &[Service::new("db", "T")]));
    lab.grant(A, "T");
    lab.wait_running(A, "db", PROMPT);
    let asked = now();
    lab.host(A).must("/usr/sbin/crm_ticket", &["-t", "T", "--standby", "--force"]);
    let stopped = lab.wait_stopped(A, "db", PROMPT);
    lab.wait_renewed(A, "T", 2);
    assert!(lab.granted(A, "T"));
    assert_eq!(lab.runs(A, "db").len(), 1, "it was started in standby");
    let activated = now();
    lab.host(A).must("/usr/sbin/crm_ticket", &["-t", "T", "--activate", "--force"]);
    let run = lab.wait_running(A, "db", PROMPT);
    lab.tell(&format!(
        "stopped {} after standby, stayed so through two renewals, started {} after activation",
        span(asked, stopped.last),
        span(activated, run.first)
    ));
    assert!(lab.changes(A, "T").iter().all(|change| change.granted));
}

/// The handler that we ship asks Pacemaker: where the service may not run any more, the ticket goes on.
pub fn service_runnable(name: &str, _: Program) {
    const HANDLER: &str = " before-acquire-handler = /usr/sbin/service-runnable db\n";
    let tickets = [Ticket { more: HANDLER, ..Ticket::new("T", 10, 3) }];
    let lab = Lab::start(name, Plan::ours(&tickets, &[Service::new("db", "T")]));
    lab.grant(A, "T");
    lab.wait_running(A, "db", PROMPT);
    lab.wait_until_all_remember();
    lab.wait_renewed(A, "T", 2);
    assert!(lab.changes(A, "T").iter().all(|change| change.granted), "it is not left in peace");
    let banned = now();
    lab.host(A).must("/usr/sbin/crm_resource", &["--ban", "--resource", "db", "--node", "a1"]);
    let ended = lab.wait_stopped(A, "db", PROMPT);
    let moved = lab.wait_running(B, "db", Duration::from_secs(10 + 3) + PROMPT);
    lab.tell(&format!(
        "stopped {} after it was banned, started elsewhere {} later",
        span(banned, ended.last),
        span(ended.last, moved.first)
    ));
    assert_eq!(overlap(&lab.runs(A, "db"), &lab.runs(B, "db")), 0.0);
}

/// Where the service cannot run, the ticket goes on to a site where it can; where it may not, it stays away.
pub fn handler_and_prerequisite(name: &str, _: Program) {
    // Asked before each renewal too. It runs as hacluster.
    const HANDLER: &str = " before-acquire-handler = /usr/bin/test ! -e /run/lab/home/unfit\n";
    const PREREQUISITE: &str =
        " before-acquire-handler = /usr/bin/test ! -e /run/lab/home/unfit\n attr-prereq = auto ready eq yes\n";
    let tickets = [
        Ticket { more: HANDLER, ..Ticket::new("free", 10, 3) },
        Ticket { more: PREREQUISITE, ..Ticket::new("bound", 10, 3) },
    ];
    let services = tickets.map(|ticket| Service::new(ticket.name, ticket.name));
    let lab = Lab::start(name, Plan::ours(&tickets, &services));
    for ticket in tickets {
        lab.grant(A, ticket.name);
        lab.wait_running(A, ticket.name, PROMPT);
    }
    lab.wait_until_all_remember();
    let failed = now();
    fs::write(lab.host(A).home().join("unfit"), "").unwrap();
    let moved = lab.wait_running(B, "free", Duration::from_secs(10 + 3) + PROMPT);
    let ended = lab.wait_stopped(A, "free", PROMPT);
    lab.wait_stopped(A, "bound", Duration::from_secs(10) + PROMPT);
    lab.tell(&format!(
        "handler fails: stopped {} after, started elsewhere {} later",
        span(failed, ended.last),
        span(ended.last, moved.first)
    ));
    assert_eq!(overlap(&lab.runs(A, "free"), &lab.runs(B, "free")), 0.0);
    // Longer than any takeover without the prerequisite.
    thread::sleep(Duration::from_secs(10 + 3 + 2));
    assert_eq!(lab.runs(B, "bound"), [], "taken over although its prerequisite is not met");
    let met = now();
    let set = lab.geostore(B, &["set", "-t", "bound", "ready", "yes"]);
    assert_eq!(set.status, Some(0), "{set:?}");
    let query = lab.host(B).must("/usr/sbin/crm_ticket", &["-t", "bound", "-G", "ready", "--quiet"]);
    assert_eq!(query.trim(), "yes", "the CIB has the attribute");
    let taken = lab.wait_running(B, "bound", PROMPT);
    lab.tell(&format!("prerequisite: not taken over for 15 s, started {} after it was met", span(met, taken.first)));
    assert_eq!(overlap(&lab.runs(A, "bound"), &lab.runs(B, "bound")), 0.0);
}
