//! A site whose nodes crash into their crash kernels, and a ticket with `crash-release`: the other site takes over in
//! seconds, where the lease would last for ten minutes, and not before the last node has crashed.

use crate::cluster::Service;
use crate::common::{Program, eventually, now};
use crate::lab::{CONFIGURATION, Disk, FLOATING, Lab, PROMPT, Plan, Ticket, node_key};
use crate::nodes::group;
use crate::runs::span;
use crate::sender::sender;
use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

const A1: usize = 0;
const A2: usize = 1;
const B: usize = 2;
/// Seconds.
const EXPIRE: u32 = 600;
/// Seconds.
const ACQUIRE_AFTER: u32 = 60;
/// How long a crash kernel takes to its first message, at the two nodes, in seconds.
const BOOT: [u64; 2] = [3, 5];
/// How long nothing may move while one node dumps and the other one serves.
const STILL: Duration = Duration::from_secs(45);
/// How long the cluster that has started again is looked at, in seconds.
const WATCHED: f64 = 15.0;
/// By the sender's times (0, 1, 2, 5, 15 s) and the rule (10 s after the last one has begun), and the moment that
/// election, CIB and service take.
const TAKEOVER: f64 = 25.0;

/// Both services of the story are where the daemon is: that its node alone stays up is the harder case.
const SERVICE: Service = Service { node: Some("a1"), ..Service::new("db", "T") };

/// A crash kernel's sender, until it is dropped.
struct Dump(Child);

impl Dump {
    /// The crash kernel of a node that is down has its network up, and its clock counts from its own start.
    fn begin(lab: &Lab, node: usize) -> Dump {
        let name = lab.host_name(node);
        let key = lab.directory.join(format!("{name}.key"));
        fs::write(&key, node_key(&name)).unwrap();
        let uptime = fs::read_to_string("/proc/uptime").unwrap();
        let uptime: u64 = uptime.split('.').next().unwrap().parse().unwrap();
        let offset = format!("-{}", uptime.saturating_sub(BOOT[node]));
        let mut command = lab.network_command(node, Path::new("/usr/bin/unshare"));
        command.args(["--time", "--boottime", &offset, "--fork", "--kill-child"]).arg(sender());
        command.arg("-k").arg(key).args(["-n", &name, &lab.address(B), &lab.address(lab.arbitrator())]);
        Dump(command.stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Dump {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The site's cluster runs; the two members that are to decide remember (S7), which would take a lease and
/// `acquire-after`: so they begin with short ones.
fn start(name: &str) -> Lab {
    let plan = Plan {
        nodes: 2,
        daemons: false,
        members: false,
        crash_release: true,
        extra: [group("booth", "a1", true), Default::default()],
        ..Plan::ours(&[Ticket::new("T", EXPIRE, ACQUIRE_AFTER)], &[SERVICE])
    };
    let mut lab = Lab::start(name, plan);
    let deciding = [B, lab.arbitrator()];
    for member in deciding {
        let path = lab.host(member).path(CONFIGURATION);
        let text = fs::read_to_string(&path).unwrap();
        let short = text.replace(&format!("expire = {EXPIRE}\n"), "expire = 10\n");
        let short = short.replace(&format!("acquire-after = {ACQUIRE_AFTER}\n"), "acquire-after = 1\n");
        assert_eq!(short.matches("= 10\n").count() + short.matches("= 1\n").count(), 3, "{short}");
        fs::write(&path, short).unwrap();
        lab.launch(member);
    }
    for member in deciding {
        lab.wait_until_up(member);
        lab.wait_until_remembers(member);
        lab.write_configuration(member);
        lab.replace(member, Program::Ours);
        let status = lab.must(member, &["status"]);
        assert!(!status.contains("no memory"), "{status}");
    }
    lab.wait_until_up(A1);
    lab.grant(A1, "T");
    lab.wait_running(A1, "db", PROMPT);
    lab
}

/// Waits until a member has heard that a node dumps.
fn wait_heard(lab: &Lab, member: usize, node: usize) {
    let name = lab.host_name(node);
    eventually(&format!("host {member} hears {name}"), PROMPT, || {
        let list = lab.host(member).must("/usr/sbin/boothctl", &["kdump", "list"]);
        match list.lines().any(|line| line.contains(": dumping") && line.contains(&name)) {
            true => Ok(()),
            false => Err(list),
        }
    });
}

/// One node dumps while the other one has daemon, ticket and service; it boots again; then both crash at once.
pub fn nodes_crash(name: &str, _: Program) {
    sender();
    let mut lab = start(name);
    one_of_two(&mut lab);
    let (disks, killed) = both(&mut lab);
    booted_again(&mut lab, &disks, killed);
}

fn one_of_two(lab: &mut Lab) {
    let begun = lab.wait_running(A1, "db", PROMPT);
    let writes = lab.changes(B, "T");
    let disk = lab.disk(A2);
    lab.kill(A2);
    thread::sleep(Duration::from_secs(BOOT[A2]));
    let dump = Dump::begin(lab, A2);
    wait_heard(lab, B, A2);
    wait_heard(lab, lab.arbitrator(), A2);
    thread::sleep(STILL);
    wait_heard(lab, B, A2);
    let after = lab.wait_running(A1, "db", PROMPT);
    assert_eq!((begun.process, begun.first), (after.process, after.first), "{:?}", lab.runs(A1, "db"));
    assert_eq!(lab.runs(B, "db"), []);
    assert_eq!(lab.changes(B, "T"), writes);
    for node in [A1, A2] {
        assert!(lab.changes(node, "T").iter().all(|change| change.granted), "{:?}", lab.changes(node, "T"));
    }
    let list = lab.must(B, &["list"]);
    assert!(list.contains(&format!("leader: {FLOATING}")), "{list}");
    lab.tell(&format!(
        "a2 has dumped for {} s, a1 has the daemon and the service: process {} runs on, nothing has moved",
        STILL.as_secs(),
        after.process
    ));
    drop(dump);
    lab.boot(&[(A2, &disk)]);
    crate::cluster::wait_until_online(lab.host(A2));
}

/// Both crash; what was on their disks, and when that was.
fn both(lab: &mut Lab) -> ([Disk; 2], f64) {
    assert!(lab.granted(A1, "T"));
    let disks = [A1, A2].map(|node| lab.disk(node));
    let killed = lab.kill(A1);
    lab.kill(A2);
    thread::sleep(Duration::from_secs(BOOT[A1]));
    let _first = Dump::begin(lab, A1);
    thread::sleep(Duration::from_secs(BOOT[A2] - BOOT[A1]));
    let last_begins = now();
    let _second = Dump::begin(lab, A2);
    let run = lab.wait_running(B, "db", Duration::from_secs_f64(TAKEOVER) + PROMPT);
    let granted = lab.changes(B, "T").iter().find(|change| change.granted).unwrap().asked;
    lab.tell(&format!(
        "both nodes killed, last first message {} later: granted elsewhere {} after the kill, the service runs there {} \
         after the kill, {} after that message (without crash-release: {} s after the last heartbeat, at the earliest)",
        span(killed, last_begins),
        span(killed, granted),
        span(killed, run.first),
        span(last_begins, run.first),
        EXPIRE + ACQUIRE_AFTER
    ));
    assert!(run.first - last_begins <= TAKEOVER);
    assert!(granted - last_begins >= 10.0, "before the rule could know");
    assert!(lab.runs(A1, "db").iter().all(|run| run.last < killed + 0.1), "it ran on: {:?}", lab.runs(A1, "db"));
    (disks, killed)
}

/// What S13 rests on: Pacemaker has kept the ticket in memory only, and the cluster knows of none when it starts again.
fn booted_again(lab: &mut Lab, disks: &[Disk; 2], killed: f64) {
    for [pacemaker, _] in disks {
        let kept = format!("/proc/self/fd/{}/cib/cib.xml", pacemaker.as_raw_fd());
        let kept = fs::read_to_string(kept).unwrap();
        assert!(kept.contains("rsc_ticket") && !kept.contains("ticket_state") && !kept.contains("granted"), "{kept}");
    }
    lab.boot(&[(A1, &disks[0]), (A2, &disks[1])]);
    let mut serves_since = None;
    eventually("the cluster serves again, and its daemon, for a while", PROMPT * 4, || {
        for node in [A1, A2] {
            assert!(!lab.granted(node, "T"), "granted at {}", lab.host_name(node));
        }
        let list = lab.client(A1, &["list"]);
        if list.status == Some(0) && now() - *serves_since.get_or_insert(now()) > WATCHED {
            return Ok(());
        }
        Err(format!("{list:?}"))
    });
    for node in [A1, A2] {
        crate::cluster::wait_until_online(lab.host(node));
        assert!(!lab.granted(node, "T"), "granted at {}", lab.host_name(node));
        let again: Vec<_> = lab.changes(node, "T").into_iter().filter(|change| change.asked > killed).collect();
        assert!(again.iter().all(|change| !change.granted), "{again:?}");
    }
    let runs = lab.runs(A1, "db");
    assert!(runs.iter().all(|run| run.last < killed + 0.1), "it runs again: {runs:?}");
    assert!(lab.granted(B, "T"));
    lab.wait_running(B, "db", PROMPT);
    let ticket = lab.host(A1).run("/usr/sbin/crm_ticket", &["-t", "T", "-G", "granted"]);
    lab.tell(&format!("a's cluster has started again and has no granted ticket: crm_ticket says {ticket:?}"));
}
