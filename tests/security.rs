//! What somebody without the key can do to a cluster, live: nothing. Who sees all traffic and sends it again, who
//! speaks in the name of a member, who floods. Ours, and where it can be shown the reference beside it (S11).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use booth_core::member::SiteId;
use common::{
    ARBITRATOR, Cluster, Extras, Family, HOSTS, Plan, Program, Recorded, SITE_1, SITE_2, TICKET, Tap, Timing, Transport,
};
use common::{available, eventually, now, put, say};
use std::net::{Ipv4Addr, UdpSocket};
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
    let stories: [(&str, Story); 6] = [
        ("replay of everything", replay),
        ("replay of each kind", replay_of_each_kind),
        ("replay to a leader that is cut off", replay_to_a_lonely_leader),
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

fn plan(program: Program, authenticated: bool) -> Plan {
    Plan {
        programs: [program; HOSTS],
        authenticated,
        family: Family::V4,
        acquire_after: Duration::ZERO,
        timing: Timing::SECONDS,
    }
}

fn cluster(program: Program, authenticated: bool) -> Cluster {
    let extras = Extras { handler: true, outsider: true, ..Extras::default() };
    Cluster::start_with(plan(program, authenticated), extras)
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
    if !program.is_ours() {
        return;
    }
    let cluster = cluster(program, true);
    let (tap, socket) = (Tap::new(&cluster), cluster.outside_socket());
    let recorded = history(&cluster, &tap);
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
        "replay of everything: Ours: {} messages, each twice, when free and when held: nothing has changed",
        recorded.len()
    ));
}

/// A recorded message is sent again, after what happens in between; `Ok`: it took effect.
type Again = fn(&mut Cluster, &UdpSocket, &[Recorded]) -> Result<(), String>;

/// What one recorded message of each kind would do, and whether it is certain to do it to members of the reference.
const REPLAYS: [(&str, Again, bool); 7] = [
    ("a client's grant grants again", grant_again, true),
    ("a client's revoke revokes again", revoke_by_client_again, true),
    ("a vote request gets another vote", vote_request_again, true),
    ("a vote makes a leader of a site that is alone", vote_again, true),
    ("a heartbeat of a site that has revoked makes a leader of it", heartbeat_again, true),
    ("a revoke takes the leader from those who follow it", revoke_again, true),
    // Of this one it looks at the term.
    ("a step-down takes the leader from those who follow it", step_down_again, false),
];

fn replay_of_each_kind(program: Program) {
    let replay = |what, again: Again, certain: bool| {
        let mut cluster = cluster(program, true);
        let (tap, socket) = (Tap::new(&cluster), cluster.outside_socket());
        let recorded = history(&cluster, &tap);
        let outcome = again(&mut cluster, &socket, &recorded);
        say(&format!("replay: {program:?}: {what}: {}", if outcome.is_ok() { "yes" } else { "no" }));
        match program.is_ours() {
            true => assert!(outcome.is_err(), "{what}"),
            false => assert!(outcome.is_ok() || !certain, "the peer's fault no longer shows: {what}: {outcome:?}"),
        }
    };
    thread::scope(|scope| {
        for (what, again, certain) in REPLAYS {
            let body = move || replay(what, again, certain);
            let name = format!("replay: {program:?}: {what}");
            thread::Builder::new().name(name).spawn_scoped(scope, body).expect("a thread");
        }
    });
}

fn grant_again(cluster: &mut Cluster, socket: &UdpSocket, recorded: &[Recorded]) -> Result<(), String> {
    cluster.replay(socket, &only(recorded, b"CGnt", &cluster.address(SITE_1)));
    soon(|| if cluster.held(SITE_1, TICKET) { Ok(()) } else { Err("not granted".into()) })
}

fn revoke_by_client_again(cluster: &mut Cluster, socket: &UdpSocket, recorded: &[Recorded]) -> Result<(), String> {
    ask(cluster, SITE_2, "grant");
    cluster.replay(socket, &only(recorded, b"CRvk", &cluster.address(SITE_2)));
    soon(|| if cluster.held(SITE_2, TICKET) { Err("still held".into()) } else { Ok(()) })
}

fn vote_request_again(cluster: &mut Cluster, socket: &UdpSocket, recorded: &[Recorded]) -> Result<(), String> {
    cluster.count_sent(ARBITRATOR, &[b"VtFr"]);
    cluster.replay(socket, &sent(cluster, recorded, b"RVot", SITE_2, ARBITRATOR));
    soon(|| if cluster.counted(ARBITRATOR) > 0 { Ok(()) } else { Err("no vote".into()) })
}

/// A site that is started within its lease asks for votes in the same term.
fn vote_again(cluster: &mut Cluster, socket: &UdpSocket, _: &[Recorded]) -> Result<(), String> {
    let tap = Tap::new(cluster);
    ask(cluster, SITE_1, "grant");
    cluster.renewed(SITE_1, TICKET, 1);
    cluster.kill(SITE_1);
    cluster.cut(SITE_2);
    cluster.cut(ARBITRATOR);
    cluster.count_sent(SITE_1, &[b"HrtB"]);
    cluster.launch_and_wait(SITE_1);
    let is_vote = |message: &&Recorded| message.command() == b"VtFr" && message.request() == b"RVot";
    let (recorded, to) = (tap.recorded(), cluster.address(SITE_1));
    let vote = recorded.iter().filter(is_vote).rfind(|vote| vote.to.to_string() == to).expect("it was elected");
    let leads = || if cluster.counted(SITE_1) > 0 { Ok(()) } else { Err("no heartbeat".into()) };
    assert!(soon(leads).is_err(), "it leads without a vote");
    soon(|| {
        cluster.replay(socket, vote);
        leads()
    })
}

fn heartbeat_again(cluster: &mut Cluster, socket: &UdpSocket, recorded: &[Recorded]) -> Result<(), String> {
    cluster.replay(socket, &sent(cluster, recorded, b"HrtB", SITE_2, ARBITRATOR));
    soon(|| follows(cluster, ARBITRATOR, SITE_2))
}

fn revoke_again(cluster: &mut Cluster, socket: &UdpSocket, recorded: &[Recorded]) -> Result<(), String> {
    ask(cluster, SITE_2, "grant");
    cluster.renewed(SITE_2, TICKET, 1);
    cluster.replay(socket, &sent(cluster, recorded, b"Revk", SITE_2, ARBITRATOR));
    soon(|| follows(cluster, ARBITRATOR, SITE_2).map_or(Ok(()), |()| Err("it still follows".into())))
}

fn step_down_again(cluster: &mut Cluster, socket: &UdpSocket, recorded: &[Recorded]) -> Result<(), String> {
    ask(cluster, SITE_1, "grant");
    cluster.renewed(SITE_1, TICKET, 1);
    cluster.replay(socket, &sent(cluster, recorded, b"VtFr", SITE_1, ARBITRATOR));
    soon(|| follows(cluster, ARBITRATOR, SITE_1).map_or(Ok(()), |()| Err("it still follows".into())))
}

/// The last message of a command that one host sent to another and that answers nothing.
fn sent(cluster: &Cluster, recorded: &[Recorded], command: &[u8; 4], from: usize, to: usize) -> Recorded {
    let address: Ipv4Addr = cluster.address(from).parse().expect("IPv4");
    let id = SiteId::of_address(&address.octets()).0.to_be_bytes();
    let by = |message: &&Recorded| message.from() == id && message.request() == [0; 4];
    let by_host: Vec<Recorded> = recorded.iter().filter(by).cloned().collect();
    only(&by_host, command, &cluster.address(to))
}

/// Whether a member says that it follows this leader.
fn follows(cluster: &Cluster, host: usize, leader: usize) -> Result<(), String> {
    let listed = cluster.listed(host, Reference)?;
    if listed.leader == cluster.address(leader) { Ok(()) } else { Err(format!("{listed:?}")) }
}

/// Gives an attack three seconds to take effect.
fn soon(check: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let end = Instant::now() + 3 * SECOND;
    loop {
        match check() {
            Err(_) if Instant::now() < end => thread::sleep(SECOND / 10),
            outcome => return outcome,
        }
    }
}

/// The leader is cut off from the others, but not from the attacker, who sends it again and again what they once
/// acknowledged and voted. The reference stays leader for as long as somebody does that (S5, S11).
fn replay_to_a_lonely_leader(program: Program) {
    let cluster = Cluster::start_with(
        Plan { acquire_after: 3 * SECOND, ..plan(program, true) },
        Extras { outsider: true, ..Extras::default() },
    );
    let (tap, socket) = (Tap::new(&cluster), cluster.outside_socket());
    ask(&cluster, SITE_1, "grant");
    cluster.renewed(SITE_1, TICKET, 1);
    let (mut recorded, to) = (tap.recorded(), cluster.address(SITE_1));
    recorded.retain(|message| message.transport == Transport::Udp && message.to.to_string() == to);
    assert!(recorded.iter().any(|message| message.request() == b"HrtB"), "no acknowledgement was seen");
    let since = now();
    cluster.part(SITE_1, &[SITE_2, ARBITRATOR]);
    let limit = Timing::SECONDS.expire + cluster.plan().acquire_after + PROMPT;
    eventually("the other site has the ticket and has renewed it", limit, || {
        recorded.iter().for_each(|message| drop(cluster.replay(&socket, message)));
        let grants = cluster.grants_written(SITE_2);
        if grants >= 2 { Ok(()) } else { Err(format!("{grants} grants")) }
    });
    let handover = cluster.handover(SITE_1, SITE_2, since);
    let distance = handover.distance.expect("granted there");
    say(&format!(
        "replay to a leader that is cut off: {program:?}: {:.2} s of double ownership, granted {distance:.2} s after the \
         end (acquire-after = 3)",
        handover.doubled
    ));
    if program.is_ours() {
        assert!(handover.doubled == 0.0 && distance >= 3.0, "{handover:?}");
        let changes = cluster.writes(SITE_1);
        let back = changes.iter().skip_while(|change| change.granted || change.at < since).any(|change| change.granted);
        assert!(!back, "{changes:?}");
    } else {
        assert!(handover.doubled > 0.0, "the peer's fault no longer shows: {handover:?}");
    }
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
    const PER_TURN: usize = 200;
    let cluster = cluster(program, true);
    let (tap, socket) = (Tap::new(&cluster), cluster.outside_socket());
    ask(&cluster, SITE_1, "grant");
    cluster.renewed(SITE_1, TICKET, 1);
    let count = cluster.writes(SITE_1).len();
    let bad: Vec<Recorded> =
        [SITE_1, ARBITRATOR].into_iter().flat_map(|host| forgeries(&cluster, &tap, host)).collect();
    let logged = || [SITE_1, ARBITRATOR].map(|host| cluster.log(host).len());
    let (before, end, mut sent) = (logged(), Instant::now() + 10 * SECOND, 0_usize);
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
        "flood: {program:?}: {sent} datagrams in 10 s: the logs of leader and arbitrator grew by {grown:?} bytes, {:.1} \
         for each",
        (grown[0] + grown[1]) as f64 / sent as f64
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
