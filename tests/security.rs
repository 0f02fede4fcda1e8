//! What somebody without the key can do to a cluster, live: nothing. Who sees all traffic and sends it again, who
//! speaks in the name of a member, who floods. Ours, and where it can be shown the reference beside it (S11).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use common::{
    ARBITRATOR, Cluster, Extras, Family, HOSTS, Plan, Program, Recorded, SITE_1, SITE_2, TICKET, Tap, Timing, Transport,
};
use common::{available, eventually, put, say};
use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use Program::{Ours, Reference};

const SECOND: Duration = Duration::from_secs(1);
/// The longest that anything may take that nothing stands in the way of, on a busy machine.
const PROMPT: Duration = Duration::from_secs(10);

/// Offsets in a message: command, answered command, reason, and the body's leader and validity.
const COMMAND: usize = 28;
const REQUEST: usize = 32;
const REASON: usize = 40;
const LEADER: usize = 112;
const VALIDITY: usize = 120;
/// Length of a ticket message without its MAC.
const UNSIGNED: usize = 124;

/// A story, told of three members that all run the same program.
type Story = fn(Program);

#[test]
fn nobody_without_the_key_changes_anything() {
    let test = "nobody_without_the_key_changes_anything";
    if !available(test) {
        return;
    }
    let stories: [(&str, Story); 4] = [
        ("replay", replay),
        ("replay after a restart", replay_after_restart),
        ("spoofed sender", spoofed_sender),
        ("flood", flood),
    ];
    thread::scope(|scope| {
        for (name, story) in stories {
            for program in [Ours, Reference] {
                let body = move || story(program);
                thread::Builder::new()
                    .name(format!("{name}: {program:?}"))
                    .spawn_scoped(scope, body)
                    .expect("a thread");
            }
        }
    });
}

fn cluster(program: Program, authenticated: bool) -> Cluster {
    let plan = Plan {
        programs: [program; HOSTS],
        authenticated,
        family: Family::V4,
        acquire_after: Duration::ZERO,
        timing: Timing::SECONDS,
    };
    Cluster::start_with(plan, Extras { handler: true, outsider: true, ..Extras::default() })
}

/// A client on the other site asks `site`, over the network that the attacker sees.
#[track_caller]
fn ask(cluster: &Cluster, site: usize, verb: &str) {
    let (other, address) = (SITE_1 + SITE_2 - site, cluster.address(site));
    let outcome = cluster.client(other, cluster.plan().programs[other], &[verb, "-w", "-s", &address, TICKET]);
    assert_eq!(outcome.status, Some(0), "{verb} at host {site}: {outcome:?}");
    cluster.wait_for_store(site, verb == "grant", PROMPT);
}

/// One message of each kind: grant, renewals, step-down, takeover, revoke. The ticket is free afterwards.
fn history(cluster: &Cluster, tap: &Tap) -> Vec<Recorded> {
    ask(cluster, SITE_1, "grant");
    cluster.renewed(SITE_1, TICKET, 1);
    cluster.fail_handler(SITE_1);
    cluster.wait_for_store(SITE_1, false, PROMPT);
    cluster.wait_for_store(SITE_2, true, PROMPT);
    cluster.mend_handler(SITE_1);
    cluster.renewed(SITE_2, TICKET, 1);
    ask(cluster, SITE_2, "revoke");
    cluster.agree(None, PROMPT);
    for command in [b"CGnt", b"CRvk", b"RVot", b"VtFr", b"HrtB", b"UpdE", b"Revk"] {
        assert!(!tap.requests(command).is_empty(), "no {} was seen", String::from_utf8_lossy(command));
    }
    let recorded = tap.recorded();
    assert!(recorded.iter().any(|message| message.command() == b"VtFr" && message.request() == b"RVot"));
    recorded
}

fn only(recorded: &[Recorded], command: &[u8; 4], to: &str) -> Recorded {
    let sent = |message: &&Recorded| message.command() == command && message.to.to_string() == to;
    recorded.iter().rfind(sent).unwrap_or_else(|| panic!("no such message to {to}")).clone()
}

/// Sends everything again, in its order and against it.
fn replay_all(cluster: &Cluster, socket: &UdpSocket, recorded: &[Recorded]) {
    for message in recorded.iter().chain(recorded.iter().rev()) {
        let answer = cluster.replay(socket, message);
        if message.transport == Transport::Tcp && (message.command() == b"CGnt" || message.command() == b"CRvk") {
            assert_eq!(&answer[COMMAND..COMMAND + 4], b"Rslt");
            assert_eq!(&answer[44..48], b"Auth", "a client's request was taken twice");
        }
        // No faster than members can read.
        thread::sleep(Duration::from_millis(2));
    }
}

/// What a replay must not change: all votes, terms and promises, as the journals have them, and what was written to
/// the stores except for renewals.
fn memory(cluster: &Cluster) -> Vec<Vec<u8>> {
    (0..HOSTS).map(|host| cluster.journal_bytes(host)).collect()
}

fn replay(program: Program) {
    let cluster = cluster(program, true);
    let (tap, socket) = (Tap::new(&cluster), cluster.outside_socket());
    let recorded = history(&cluster, &tap);
    let [first, second] = [SITE_1, SITE_2].map(|site| cluster.address(site));
    if !program.is_ours() {
        cluster.replay(&socket, &only(&recorded, b"CGnt", &first));
        cluster.wait_for_store(SITE_1, true, PROMPT);
        ask(&cluster, SITE_1, "revoke");
        ask(&cluster, SITE_2, "grant");
        cluster.replay(&socket, &only(&recorded, b"CRvk", &second));
        cluster.wait_for_store(SITE_2, false, PROMPT);
        return say("replay: Reference: a recorded grant grants again, a recorded revoke revokes again");
    }
    eventually("nothing is under way", PROMPT, || {
        let before = memory(&cluster);
        thread::sleep(2 * SECOND);
        if memory(&cluster) == before { Ok(()) } else { Err("the journals still change".into()) }
    });
    let (votes, writes) = (memory(&cluster), [SITE_1, SITE_2].map(|site| cluster.writes(site)));
    replay_all(&cluster, &socket, &recorded);
    // Longer than any election would take.
    thread::sleep(3 * SECOND);
    assert!(memory(&cluster) == votes, "votes or promises have changed");
    assert_eq!([SITE_1, SITE_2].map(|site| cluster.writes(site)), writes);
    cluster.agree(None, PROMPT);

    ask(&cluster, SITE_2, "grant");
    cluster.renewed(SITE_2, TICKET, 1);
    let (votes, count) = (memory(&cluster), cluster.writes(SITE_2).len());
    // What was recorded of the running term is sent again as well.
    replay_all(&cluster, &socket, &tap.recorded());
    cluster.renewed(SITE_2, TICKET, 3);
    assert!(memory(&cluster) == votes, "votes or promises have changed");
    assert!(cluster.writes(SITE_2)[count..].iter().all(|change| change.granted), "{:?}", cluster.writes(SITE_2));
    assert_eq!(
        cluster.writes(SITE_1).iter().filter(|change| change.granted).count(),
        writes[0].iter().filter(|c| c.granted).count()
    );
    cluster.agree(Some(SITE_2), PROMPT);
    say(&format!(
        "replay: Ours: {} messages, each twice, when free and when held: nothing has changed",
        recorded.len()
    ));
}

/// A member that has just started does not know which messages it has taken before: a recorded revoke by a client was
/// taken again by a site that had been restarted since.
fn replay_after_restart(program: Program) {
    if !program.is_ours() {
        return;
    }
    let mut cluster = cluster(program, true);
    let (tap, socket) = (Tap::new(&cluster), cluster.outside_socket());
    let recorded = history(&cluster, &tap);
    ask(&cluster, SITE_2, "grant");
    cluster.renewed(SITE_2, TICKET, 1);
    for host in [ARBITRATOR, SITE_2] {
        cluster.kill(host);
        // What was done before a start is told from what comes after it by the second.
        thread::sleep(SECOND);
        cluster.launch_and_wait(host);
        if host == SITE_2 {
            cluster.renewed(SITE_2, TICKET, 1);
        }
        let count = cluster.writes(SITE_2).len();
        replay_all(&cluster, &socket, &recorded);
        cluster.renewed(SITE_2, TICKET, 2);
        assert!(cluster.writes(SITE_2)[count..].iter().all(|change| change.granted), "{:?}", cluster.writes(SITE_2));
        cluster.agree(Some(SITE_2), PROMPT);
    }
    say("replay after a restart of the arbitrator and of the leader: Ours: nothing has changed");
}

/// Without a key: a host that is no member says in the leader's name that it has revoked, or stepped down.
fn spoofed_sender(program: Program) {
    let cluster = cluster(program, false);
    let (tap, socket) = (Tap::new(&cluster), cluster.outside_socket());
    ask(&cluster, SITE_1, "grant");
    cluster.renewed(SITE_1, TICKET, 1);
    let count = cluster.writes(SITE_1).len();
    for host in [SITE_2, ARBITRATOR] {
        for (command, reason) in [(b"Revk", b"Admn"), (b"VtFr", b"Spdn")] {
            let mut forged = only(&tap.recorded(), b"HrtB", &cluster.address(host));
            put(&mut forged, COMMAND, command);
            put(&mut forged, REQUEST, &[0; 4]);
            put(&mut forged, REASON, reason);
            put(&mut forged, LEADER, &[255; 4]);
            put(&mut forged, VALIDITY, &[0; 4]);
            cluster.replay(&socket, &forged);
        }
    }
    if !program.is_ours() {
        eventually("the leader is forgotten", 3 * SECOND, || {
            let listed = cluster.listed(SITE_2, program)?;
            if listed.leader == cluster.address(SITE_1) { Err(format!("{listed:?}")) } else { Ok(()) }
        });
        return say("spoofed sender: Reference: its followers give up the leader that they follow");
    }
    eventually("both messages are dropped", PROMPT, || {
        let peers = cluster.client(SITE_2, program, &["peers"]).stdout;
        if peers.contains("authfail:2") { Ok(()) } else { Err(peers) }
    });
    cluster.agree(Some(SITE_1), PROMPT);
    cluster.renewed(SITE_1, TICKET, 3);
    cluster.undisturbed(SITE_1, count).unwrap();
    say("spoofed sender: Ours: dropped, nothing has changed");
}

/// Ten seconds of datagrams with a wrong MAC, without one, and cut short.
fn flood(program: Program) {
    const PER_TURN: usize = 40;
    let cluster = cluster(program, true);
    let (tap, socket) = (Tap::new(&cluster), cluster.outside_socket());
    ask(&cluster, SITE_1, "grant");
    cluster.renewed(SITE_1, TICKET, 1);
    let count = cluster.writes(SITE_1).len();
    let bad: Vec<Recorded> =
        [SITE_1, ARBITRATOR].into_iter().flat_map(|host| forgeries(&cluster, &tap, host)).collect();
    let logged = || [SITE_1, ARBITRATOR].map(|host| cluster.log(host).len());
    let (before, end, mut sent) = (logged(), Instant::now() + 10 * SECOND, 0);
    while Instant::now() < end {
        for message in bad.iter().cycle().take(PER_TURN) {
            cluster.replay(&socket, message);
            sent += 1;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let after = logged();
    let grown = [after[0] - before[0], after[1] - before[1]];
    say(&format!(
        "flood: {program:?}: {sent} datagrams in 10 s: the logs of leader and arbitrator grew by {grown:?} bytes"
    ));
    if program.is_ours() {
        assert!(grown.iter().all(|bytes| *bytes < 10_000), "{}", cluster.log(SITE_1));
        cluster.renewed(SITE_1, TICKET, 1);
        let renewals = cluster.writes(SITE_1).len() - count;
        assert!(renewals >= 2, "{renewals} renewals");
        cluster.undisturbed(SITE_1, count).unwrap();
        cluster.agree(Some(SITE_1), PROMPT);
    }
}

/// What a host might be flooded with.
fn forgeries(cluster: &Cluster, tap: &Tap, host: usize) -> Vec<Recorded> {
    let to = cluster.address(host);
    let recorded = tap.recorded();
    let sent = recorded.iter().rfind(|message| message.transport == Transport::Udp && message.to.to_string() == to);
    let good = sent.expect("a message").clone();
    let [mut wrong, mut unsigned, mut cut] = [good.clone(), good.clone(), good];
    let last = UNSIGNED + 8;
    wrong.bytes[last] ^= 1;
    unsigned.bytes.truncate(UNSIGNED);
    put(&mut unsigned, 0, &[0; 4]);
    put(&mut unsigned, 24, &(UNSIGNED as u32).to_be_bytes());
    cut.bytes.truncate(60);
    vec![wrong, unsigned, cut]
}
