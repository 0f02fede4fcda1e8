//! What administrators type: the verbs of `pcs` and `crmsh` that make a geo cluster, against our programs.
//!
//! Verbs that need `pcsd` (`config NODE`), systemd (`start`, `stop`, `enable`, `disable`) or `ssh` (`geo_join`,
//! `geo_init_arbitrator`) are not run: the test copies the configuration as those would.

use crate::cluster::Service;
use crate::common::{Program, eventually, now};
use crate::lab::{CONFIGURATION, FLOATING, Lab, PROMPT, Plan, Ticket};
use crate::readme;
use crate::runs::span;
use std::fs;
use std::os::unix::fs::MetadataExt;

const A: usize = 0;
const B: usize = 1;
const SITE_A: &str = "10.90.0.101";
pub const SITE_B: &str = "10.90.0.102";

/// Clusters with a service behind a ticket, and nothing of booth yet.
fn bare(name: &str) -> Lab {
    let plan = Plan {
        daemons: false,
        members: false,
        our_agent: true,
        ..Plan::ours(&[Ticket::new("T", 10, 3)], &[Service::new("db", "T")])
    };
    let lab = Lab::start(name, plan);
    for number in [A, B, lab.arbitrator()] {
        for file in fs::read_dir(lab.host(number).path("/etc/booth")).unwrap().flatten() {
            fs::remove_file(file.path()).unwrap();
        }
    }
    lab
}

/// Brings the configuration and the key that a tool has written to the other hosts, owners and modes too.
fn copy(lab: &Lab, key: &str) {
    for file in [CONFIGURATION, key] {
        let from = lab.host(A).path(file);
        let metadata = fs::metadata(&from).unwrap();
        for number in [B, lab.arbitrator()] {
            let to = lab.host(number).path(file);
            fs::copy(&from, &to).unwrap();
            std::os::unix::fs::chown(&to, Some(metadata.uid()), Some(metadata.gid())).unwrap();
        }
    }
}

/// The command's words on a host.
#[track_caller]
fn must(lab: &Lab, number: usize, words: &str) -> String {
    let words: Vec<&str> = words.split(' ').collect();
    let begun = now();
    let printed = lab.host(number).must(words[0], &words[1..]);
    lab.tell(&format!("{}: {} ({})", lab.host(number).name(), words.join(" "), span(begun, now())));
    printed
}

/// After what the README says: the other verbs.
pub fn pcs(name: &str, _: Program) {
    let lab = readme::followed(name, "pcs");
    let (b, arbitrator) = (lab.other_site(), lab.arbitrator());
    must(&lab, A, "pcs booth ticket add superfluous");
    must(&lab, A, "pcs booth ticket remove superfluous");
    let configuration = must(&lab, A, "pcs booth config");
    assert!(
        configuration.contains("ticket = \"service\"") && !configuration.contains("superfluous"),
        "{configuration}"
    );
    let key = fs::metadata(lab.host(A).path("/etc/booth/booth.key")).unwrap();
    assert_eq!((key.len(), key.mode() & 0o777), (64, 0o600));
    let status = must(&lab, b, "pcs booth status");
    let leader = format!("ticket: service, leader: {SITE_B}");
    for part in ["TICKETS:", &leader, "PEERS:", FLOATING, "DAEMON STATUS:", "booth_state=started"] {
        assert!(status.contains(part), "no {part} in {status}");
    }
    let run = lab.wait_running(b, "db", PROMPT);
    must(&lab, b, "pcs booth restart");
    lab.wait_until_up(b);
    let after = lab.wait_running(b, "db", PROMPT);
    assert_eq!(run.process, after.process, "a restart of the daemon restarted the service");
    must(&lab, arbitrator, &format!("pcs booth ticket revoke service {SITE_B}"));
    let stopped = lab.wait_stopped(b, "db", PROMPT);
    must(&lab, b, &format!("pcs booth ticket grant service {FLOATING}"));
    let moved = lab.wait_running(A, "db", PROMPT);
    lab.tell(&format!("moved with pcs: the service ran at no site for {}", span(stopped.last, moved.first)));
    for number in [A, b] {
        must(&lab, number, "pcs booth remove");
    }
    for number in 0..arbitrator {
        eventually("the daemon has gone", PROMPT, || match lab.host(number).run("/bin/pidof", &["boothd"]) {
            outcome if outcome.status == Some(1) => Ok(()),
            outcome => Err(format!("{outcome:?}")),
        });
    }
    must(&lab, A, "pcs booth destroy");
}

pub fn crmsh(name: &str, _: Program) {
    let mut lab = bare(name);
    let arbitrator = lab.arbitrator();
    let clusters = format!("a={SITE_A} b={SITE_B}");
    let init = format!("--yes --arbitrator {} --tickets T --clusters", lab.address(arbitrator));
    let init: Vec<&str> = ["cluster", "geo_init"].into_iter().chain(init.split(' ')).chain([&*clusters]).collect();
    let printed = lab.host(A).run("crm", &init);
    assert_eq!(printed.status, Some(0), "{printed:?}");
    // Without csync2 the configuration stays on this node.
    let checked = must(&lab, A, "boothctl check booth");
    assert!(checked.contains(SITE_B), "{checked}");
    copy(&lab, "/etc/booth/authkey");
    lab.launch(arbitrator);
    must(&lab, A, "crm resource start g-booth");
    // What `crm cluster geo_join` does there, less what it copies over ssh.
    must(&lab, B, &format!("crm configure primitive booth-ip ocf:heartbeat:IPaddr2 params ip={SITE_B}"));
    must(
        &lab,
        B,
        "crm configure primitive booth-site ocf:pacemaker:booth-site params config=booth op monitor interval=10s",
    );
    must(&lab, B, "crm configure group g-booth booth-ip booth-site");
    for number in [A, B, arbitrator] {
        lab.wait_until_up(number);
    }
    must(&lab, A, "booth grant -w T");
    lab.wait_running(A, "db", PROMPT);
    assert_eq!(must(&lab, A, "crm site ticket show T").trim(), "ticket T is granted");
    assert!(must(&lab, A, "crm site ticket time T").contains("last time granted on"));
    must(&lab, A, "crm site ticket standby T");
    let stopped = lab.wait_stopped(A, "db", PROMPT);
    must(&lab, A, "crm site ticket activate T");
    let run = lab.wait_running(A, "db", PROMPT);
    lab.tell(&format!(
        "standby stopped the service, {} before activation started it again",
        span(stopped.last, run.first)
    ));
    must(&lab, A, "crm resource restart booth-site");
    lab.wait_until_up(A);
    let after = lab.wait_running(A, "db", PROMPT);
    assert_eq!(run.process, after.process, "a restart of the daemon restarted the service");
    must(&lab, A, "booth revoke -w T");
    lab.wait_stopped(A, "db", PROMPT);
    assert_eq!(must(&lab, A, "crm site ticket show T").trim(), "ticket T is revoked");
}
