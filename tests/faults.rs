//! What goes wrong in real clusters, live: members that are killed, frozen or forget, links that fail, stores that
//! hang, disks that are full, clocks that are stepped. Ours, and where it can be shown the reference beside it.
//!
//! Each story prints for how long both sites held the ticket (S0), and how long after the end at the one the other
//! was granted it (S3: `acquire-after` at least), or that nobody else was. "End" is what the store says; a daemon
//! that was killed has ended with its host, one that is frozen has not. Of ours all of that is asserted; of the
//! reference only what it cannot escape: it is often lucky.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use common::{
    ARBITRATOR, Cluster, Extras, Family, HOSTS, Handover, Plan, Program, SECOND_TICKET, SITE_1, SITE_2, TICKET, Timing,
};
use common::{available, eventually, now, say};
use std::thread;
use std::time::{Duration, Instant};

use Program::{Ours, Reference};

const SECOND: Duration = Duration::from_secs(1);
const TIMING: Timing = Timing::SECONDS;
/// The longest that anything may take that nothing stands in the way of, on a busy machine.
const PROMPT: Duration = Duration::from_secs(10);

/// What is wrong where the reference gets away with what is known to double its tickets.
const PROVES_NOTHING: &str = "the peer's fault no longer shows, or the lab does not provoke it";

/// A story, told of three members that all run the same program.
type Story = fn(&str, Program);

/// Tells stories side by side, each of both programs or of ours only.
fn tell(test: &str, stories: &[(&'static str, Story, &[Program])]) {
    if !available(test) {
        return;
    }
    thread::scope(|scope| {
        for (name, story, programs) in stories {
            for program in *programs {
                let body = move || story(name, *program);
                let thread_name = format!("{name}: {program:?}");
                thread::Builder::new().name(thread_name).spawn_scoped(scope, body).expect("a thread");
            }
        }
    });
}

/// What only a leader sends.
const LEADING: &[&[u8; 4]] = &[b"HrtB", b"UpdE"];
const BOTH: &[Program] = &[Ours, Reference];

#[test]
fn members_fail() {
    tell(
        "members_fail",
        &[
            ("arbitrator restarted while it alone backs the leader", arbitrator_restarted, BOTH),
            ("the same, and its journal is gone", arbitrator_forgets, &[Ours]),
            ("leader restarted within its lease", leader_restarted, BOTH),
            ("leader gone for good", leader_gone, BOTH),
            ("leader steps down", leader_steps_down, BOTH),
            ("leader frozen until another holds the ticket", leader_frozen, BOTH),
            ("leader frozen for a little longer than its lease", leader_frozen_briefly, BOTH),
        ],
    );
}

#[test]
fn members_are_replaced() {
    tell("members_are_replaced", &[("reference leader replaced by ours within its lease", leader_replaced, &[Ours])]);
}

#[test]
fn links_and_clocks_fail() {
    tell(
        "links_and_clocks_fail",
        &[
            ("lost update", lost_update, BOTH),
            ("link between the sites flaps for a minute", link_flaps, BOTH),
            ("leader cut off", leader_cut_off, BOTH),
            ("clock of the leader stepped", clock_of_the_leader, BOTH),
            ("clock of the arbitrator stepped", clock_of_the_arbitrator, BOTH),
            ("clock of the other site an hour ahead", clock_ahead, BOTH),
            ("clock of the other site an hour behind", clock_behind, BOTH),
        ],
    );
}

#[test]
fn stores_and_disks_fail() {
    tell(
        "stores_and_disks_fail",
        &[
            ("store hangs", store_hangs, BOTH),
            ("revoke hangs", revoke_hangs, BOTH),
            ("every second write to the store fails", store_flaky, BOTH),
            ("disk of the arbitrator full", disk_full, BOTH),
        ],
    );
}

fn plan(program: Program, acquire_after: u32) -> Plan {
    Plan {
        programs: [program; HOSTS],
        authenticated: true,
        family: Family::V4,
        acquire_after: acquire_after * SECOND,
        timing: TIMING,
    }
}

/// A cluster whose ticket is at the first site and has been renewed there.
fn granted(program: Program, acquire_after: u32, extras: Extras) -> Cluster {
    let cluster = Cluster::start_with(plan(program, acquire_after), extras);
    cluster.grant(SITE_1, TICKET);
    cluster.renewed(SITE_1, TICKET, 1);
    cluster
}

/// Prints how the ticket went over to another site, or that it did not, and what else is to be told.
fn print(name: &str, cluster: &Cluster, program: Program, handover: Handover, remark: &str) {
    let Handover { doubled, distance } = handover;
    let acquire_after = cluster.plan().acquire_after.as_secs();
    let went = distance.map_or("granted nowhere else".into(), |distance| {
        format!("granted {distance:.2} s after the end (acquire-after = {acquire_after})")
    });
    let separator = if remark.is_empty() { "" } else { "; " };
    say(&format!("{name}: {program:?}: {doubled:.2} s of double ownership, {went}{separator}{remark}"));
}

/// As [`print`]; ours never doubles the ticket and leaves `acquire-after` between.
#[track_caller]
fn report(name: &str, cluster: &Cluster, program: Program, handover: Handover, remark: &str) {
    print(name, cluster, program, handover, remark);
    if program.is_ours() {
        let (Handover { doubled, distance }, acquire_after) = (handover, cluster.plan().acquire_after.as_secs_f64());
        assert!(doubled == 0.0, "both sites held the ticket for {doubled:.2} s");
        assert!(distance.is_some() || !cluster.held(SITE_2, TICKET), "granted there, and nobody saw when");
        let early = distance.is_some_and(|distance| distance < acquire_after);
        assert!(!early, "granted {distance:?} s after the end, not {acquire_after}");
    }
}

/// How long a takeover may take: the lease, acquire-after, and elections.
fn takeover(cluster: &Cluster) -> Duration {
    cluster.plan().timing.expire + cluster.plan().acquire_after + PROMPT
}

// Members.

fn arbitrator_restarted(name: &str, program: Program) {
    sole_backer_restarted(name, program, false);
}

fn arbitrator_forgets(name: &str, program: Program) {
    sole_backer_restarted(name, program, true);
}

/// The leader has a majority by the arbitrator alone; the arbitrator is restarted, and is then reached by the other
/// site only, which owes nobody anything any more.
fn sole_backer_restarted(name: &str, program: Program, journal_lost: bool) {
    let mut cluster = granted(program, 3, Extras::default());
    cluster.cut_and_count(SITE_2, &[b"RVot"]);
    eventually("the other site stands for election", takeover(&cluster), || match cluster.counted(SITE_2) {
        0 => Err("it asks nobody for a vote yet".into()),
        _ => Ok(()),
    });
    cluster.renewed(SITE_1, TICKET, 1);
    let since = now();
    cluster.cut(SITE_1);
    cluster.kill(ARBITRATOR);
    if journal_lost {
        cluster.lose_journal(ARBITRATOR);
    }
    cluster.launch_and_wait(ARBITRATOR);
    cluster.heal(SITE_2);
    cluster.wait_for_store(SITE_2, true, takeover(&cluster));
    cluster.wait_for_store(SITE_1, false, takeover(&cluster));
    let handover = cluster.handover(SITE_1, SITE_2, since);
    report(name, &cluster, program, handover, "");
    assert!(program.is_ours() || handover.doubled > 0.0, "{PROVES_NOTHING}");
}

/// Our leader was once restarted in the first minutes of its first life, when it does not know yet whom it may have
/// voted for before: it did not stand for its own lease, which its journal knew of, and lost the ticket.
fn leader_restarted(name: &str, program: Program) {
    // The others remember soon enough to vote for it.
    let mut cluster = granted(program, 0, Extras::default());
    let (writes, calls, since) = (cluster.writes(SITE_1).len(), cluster.calls(SITE_1).len(), now());
    cluster.kill(SITE_1);
    cluster.launch_and_wait(SITE_1);
    cluster.renewed(SITE_1, TICKET, 2);
    cluster.agree(Some(SITE_1), PROMPT);
    let calls = &cluster.calls(SITE_1)[calls..];
    let revokes = calls.iter().filter(|call| call.contains(" -r ")).count();
    let remark = format!("leads again, {revokes} revokes in between");
    report(name, &cluster, program, cluster.handover(SITE_1, SITE_2, since), &remark);
    if program.is_ours() {
        cluster.undisturbed(SITE_1, writes).unwrap();
        assert_eq!(revokes, 0, "{calls:?}");
    }
}

/// The reference leader is stopped, and ours takes its place within its lease, without a journal.
fn leader_replaced(name: &str, program: Program) {
    let mut cluster = granted(Reference, 3, Extras::default());
    let (writes, since) = (cluster.writes(SITE_1).len(), now());
    cluster.terminate(SITE_1);
    cluster.replace(SITE_1, program);
    cluster.launch_and_wait(SITE_1);
    cluster.renewed(SITE_1, TICKET, 2);
    cluster.agree(Some(SITE_1), PROMPT);
    cluster.undisturbed(SITE_1, writes).unwrap();
    report(name, &cluster, program, cluster.handover(SITE_1, SITE_2, since), "leads again");
}

fn leader_gone(name: &str, program: Program) {
    let mut cluster = granted(program, 3, Extras::default());
    // What runs there may run on until then: nobody can tell that the host is gone.
    let (since, lease_end) = (now(), cluster.lease_end(SITE_1));
    cluster.kill(SITE_1);
    cluster.wait_for_store(SITE_2, true, takeover(&cluster));
    let doubled = cluster.handover(SITE_1, SITE_2, since).doubled;
    let distance = cluster.granted_after(SITE_2, since, lease_end);
    report(name, &cluster, program, Handover { doubled, distance }, "");
    cluster.agree(Some(SITE_2), PROMPT);
}

/// The leader's before-acquire-handler fails at a renewal.
fn leader_steps_down(name: &str, program: Program) {
    let cluster = granted(program, 5, Extras { handler: true, ..Extras::default() });
    let since = now();
    cluster.fail_handler(SITE_1);
    cluster.wait_for_store(SITE_1, false, TIMING.renewal + PROMPT);
    cluster.wait_for_store(SITE_2, true, takeover(&cluster));
    report(name, &cluster, program, cluster.handover(SITE_1, SITE_2, since), "");
    cluster.agree(Some(SITE_2), PROMPT);
}

fn leader_frozen(name: &str, program: Program) {
    frozen(name, program, |cluster, _| {
        cluster.wait_for_store(SITE_2, true, takeover(cluster));
        cluster.renewed(SITE_2, TICKET, 1);
    });
}

/// It goes on while acquire-after runs, so its revoke comes before anybody else is granted the ticket. It is cut off
/// by then, or it might well win the election itself.
fn leader_frozen_briefly(name: &str, program: Program) {
    frozen(name, program, |cluster, lease_end| {
        eventually("the lease has run out", takeover(cluster), || {
            // The store holds whole seconds.
            if now() > lease_end + 1.0 { Ok(()) } else { Err(format!("until {lease_end}")) }
        });
        cluster.cut_and_count(SITE_1, LEADING);
    });
}

/// Nothing revokes a grant while the daemon that wrote it stands still: that is the work of the guard at the site
/// (S12). But it must be the first thing that the daemon does when it goes on.
fn frozen(name: &str, program: Program, until: impl Fn(&Cluster, f64)) {
    let cluster = granted(program, 5, Extras::default());
    cluster.count_sent(SITE_1, LEADING);
    let (since, lease_end) = (now(), cluster.lease_end(SITE_1));
    cluster.freeze(SITE_1);
    until(&cluster, lease_end);
    let (calls, sent) = (cluster.calls(SITE_1).len(), cluster.counted(SITE_1));
    let (thawed, taken) = (now(), cluster.held(SITE_2, TICKET));
    cluster.thaw(SITE_1);
    cluster.wait_for_store(SITE_1, false, PROMPT);
    let heartbeats = cluster.counted(SITE_1) - sent;
    let revoked = cluster.writes(SITE_1).iter().rfind(|change| !change.granted).unwrap().at;
    cluster.wait_for_store(SITE_2, true, takeover(&cluster));
    let handover = cluster.handover(SITE_1, SITE_2, since);
    let distance = cluster.granted_after(SITE_2, since, lease_end).unwrap();
    let remark = format!(
        "granted {distance:.2} s after the end of the lease, revoked {:.2} s after SIGCONT, {heartbeats} heartbeats or \
         updates before that",
        revoked - thawed
    );
    print(name, &cluster, program, handover, &remark);
    cluster.heal(SITE_1);
    cluster.agree(Some(SITE_2), PROMPT);
    if program.is_ours() {
        let calls = &cluster.calls(SITE_1)[calls..];
        assert!(calls[0].contains(" -r "), "the first thing it did was {:?}", calls[0]);
        assert!(calls.iter().all(|call| !call.contains(" -g ")), "{calls:?}");
        assert_eq!(heartbeats, 0, "it spoke as a leader whose lease had ended");
        assert!(revoked - thawed < 2.0, "{:.2} s until the revoke", revoked - thawed);
        assert!(distance >= cluster.plan().acquire_after.as_secs_f64(), "granted {distance} s after the lease's end");
        assert!(taken || handover.doubled == 0.0, "both sites held the ticket for {:.2} s", handover.doubled);
    }
}

// Links and clocks.

/// A leader is cut off right after the others have acknowledged its heartbeat, and before they hear its update. The
/// reference counts a full term from then on, of which the others know nothing.
fn lost_update(name: &str, program: Program) {
    let timing = Timing { expire: 12 * SECOND, renewal: 6 * SECOND, ..TIMING };
    let cluster = Cluster::start(Plan { timing, ..plan(program, 3) });
    cluster.grant(SITE_1, TICKET);
    cluster.renewed(SITE_1, TICKET, 1);
    let since = now();
    cluster.cut_before_update(SITE_1);
    cluster.wait_for_store(SITE_2, true, takeover(&cluster));
    cluster.wait_for_store(SITE_1, false, takeover(&cluster));
    let handover = cluster.handover(SITE_1, SITE_2, since);
    report(name, &cluster, program, handover, "");
    assert!(program.is_ours() || handover.doubled > 0.0, "{PROVES_NOTHING}");
}

fn link_flaps(name: &str, program: Program) {
    let cluster = granted(program, 3, Extras::default());
    let (writes, since) = (cluster.writes(SITE_1).len(), now());
    let end = Instant::now() + 60 * SECOND;
    let mut outcome = Ok(());
    // Shorter and longer than a time-out, a renewal, and all retries together.
    for (turn, tenths) in [13, 27, 4, 61, 9, 35, 48, 2].into_iter().cycle().enumerate() {
        cluster.part(SITE_2, if turn % 2 == 0 { &[SITE_1] } else { &[] });
        let next = end.min(Instant::now() + Duration::from_millis(tenths * 100));
        while Instant::now() < next && outcome.is_ok() {
            outcome = cluster.undisturbed(SITE_1, writes);
            thread::sleep(SECOND / 10);
        }
        if Instant::now() >= end || outcome.is_err() {
            break;
        }
    }
    cluster.heal(SITE_2);
    let word = if outcome.is_ok() { "the ticket stayed where it was" } else { "THE TICKET MOVED OR WAS REVOKED" };
    report(name, &cluster, program, cluster.handover(SITE_1, SITE_2, since), word);
    if program.is_ours() {
        outcome.unwrap();
        cluster.renewed(SITE_1, TICKET, 1);
        cluster.agree(Some(SITE_1), PROMPT);
        cluster.undisturbed(SITE_1, writes).unwrap();
    }
}

fn leader_cut_off(name: &str, program: Program) {
    let cluster = granted(program, 5, Extras::default());
    let since = now();
    cluster.cut(SITE_1);
    cluster.wait_for_store(SITE_1, false, takeover(&cluster));
    cluster.wait_for_store(SITE_2, true, takeover(&cluster));
    report(name, &cluster, program, cluster.handover(SITE_1, SITE_2, since), "");
    cluster.heal(SITE_1);
    cluster.agree(Some(SITE_2), TIMING.renewal + PROMPT);
}

fn clock_of_the_leader(name: &str, program: Program) {
    clock_stepped(name, program, SITE_1);
}

fn clock_of_the_arbitrator(name: &str, program: Program) {
    clock_stepped(name, program, ARBITRATOR);
}

const HOUR: i64 = 3600;

/// The leader and the arbitrator need each other's answers, and the wall clock of one of them is stepped to and fro.
fn clock_stepped(name: &str, program: Program, host: usize) {
    let cluster = granted(program, 3, Extras { clock: Some(host), ..Extras::default() });
    cluster.part(SITE_2, &[SITE_1]);
    let since = now();
    let mut lost = None;
    for (was, is) in [(0, HOUR), (HOUR, 0), (0, -HOUR), (-HOUR, 0)] {
        let outcome = keeps_through_step(&cluster, host, is);
        if program.is_ours() {
            outcome.unwrap();
            cluster.renewed(SITE_1, TICKET, 1);
        } else if outcome.is_err() {
            lost = Some(format!("LOST by the step from {was:+} s to {is:+} s"));
            // It may go over to the other site.
            cluster.watch_until_held_by(SITE_2, takeover(&cluster));
            break;
        }
    }
    let kept = || "kept through steps to +1 h, back, to -1 h, back".to_string();
    report(name, &cluster, program, cluster.handover(SITE_1, SITE_2, since), &lost.unwrap_or_else(kept));
}

/// Steps a host's clock and looks on for longer than a lease: what was acknowledged before no longer helps then.
fn keeps_through_step(cluster: &Cluster, host: usize, seconds: i64) -> Result<(), String> {
    let writes = cluster.writes(SITE_1).len();
    cluster.step_clock(host, seconds);
    let stepped = Instant::now();
    while stepped.elapsed() < TIMING.expire + 2 * SECOND {
        cluster.undisturbed(SITE_1, writes)?;
        thread::sleep(SECOND / 10);
    }
    Ok(())
}

fn clock_ahead(name: &str, program: Program) {
    clock_of_the_other_site(name, program, HOUR);
}

fn clock_behind(name: &str, program: Program) {
    clock_of_the_other_site(name, program, -HOUR);
}

/// The clock of the site that will take over: by its wall clock the lease has long run out, or will not for an hour.
fn clock_of_the_other_site(name: &str, program: Program, step: i64) {
    let mut cluster = granted(program, 3, Extras { clock: Some(SITE_2), ..Extras::default() });
    let kept = keeps_through_step(&cluster, SITE_2, step);
    let (since, lease_end) = (now(), cluster.lease_end(SITE_1));
    cluster.kill(SITE_1);
    cluster.watch_until_held_by(SITE_2, takeover(&cluster));
    let handover = Handover {
        distance: cluster.granted_after(SITE_2, since, lease_end),
        ..cluster.handover(SITE_1, SITE_2, since)
    };
    let word = if kept.is_ok() { "kept" } else { "LOST" };
    let taken = if handover.distance.is_some() { "taken over when the leader was gone" } else { "NOT TAKEN OVER" };
    report(name, &cluster, program, handover, &format!("{word} through the step, {taken}"));
    assert!(!program.is_ours() || (kept.is_ok() && handover.distance.is_some()), "{kept:?}");
}

// Stores and disks.

/// The store of the leader hangs for one ticket, for longer than a lease.
fn store_hangs(name: &str, program: Program) {
    let cluster = granted(program, 3, Extras { second_ticket: true, ..Extras::default() });
    cluster.grant(SITE_1, SECOND_TICKET);
    let writes = cluster.writes(SITE_1).len();
    cluster.hang_store(SITE_1);
    let since = now();
    if !program.is_ours() {
        return reference_hangs(name, &cluster, since);
    }
    let end = Instant::now() + takeover(&cluster);
    let others = |cluster: &Cluster| cluster.changes(SITE_1, SECOND_TICKET).len();
    let (renewals, mut longest) = (others(&cluster), Duration::ZERO);
    while Instant::now() < end {
        for client in [Ours, Reference] {
            let asked = Instant::now();
            assert_eq!(cluster.listed(SITE_1, client).unwrap().leader, cluster.address(SITE_1));
            longest = longest.max(asked.elapsed());
        }
        cluster.undisturbed(SITE_1, writes).unwrap();
        thread::sleep(SECOND / 4);
    }
    let renewals = others(&cluster) - renewals;
    cluster.agree(Some(SITE_1), PROMPT);
    let remark = format!(
        "the ticket stays; the other ticket renewed {renewals} times; the slowest answer to a client took {} ms",
        longest.as_millis()
    );
    report(name, &cluster, program, cluster.handover(SITE_1, SITE_2, since), &remark);
    assert!(renewals >= 3, "{:?}", cluster.changes(SITE_1, SECOND_TICKET));
    assert!(longest < 2 * SECOND, "a client waited for {longest:?}");
    assert!(cluster.changes(SITE_1, SECOND_TICKET).iter().skip(1).all(|change| change.granted));
    cluster.release_store(SITE_1);
    cluster.renewed(SITE_1, TICKET, 1);
    cluster.undisturbed(SITE_1, writes).unwrap();
}

/// The reference stands still as long as its store does: it answers nobody, and does not know that its lease ends.
fn reference_hangs(name: &str, cluster: &Cluster, since: f64) {
    thread::scope(|scope| {
        cluster.wait_for_store(SITE_2, true, takeover(cluster));
        // Until then it may have had nothing to write.
        let client = scope.spawn(|| {
            let asked = Instant::now();
            let outcome = cluster.client(SITE_1, Reference, &["list"]);
            (asked.elapsed(), outcome.status)
        });
        cluster.renewed(SITE_2, TICKET, 1);
        cluster.release_store(SITE_1);
        cluster.wait_for_store(SITE_1, false, PROMPT);
        let (waited, status) = client.join().unwrap();
        let handover = cluster.handover(SITE_1, SITE_2, since);
        let remark = format!("a client's list took {} ms, exit status {status:?}", waited.as_millis());
        report(name, cluster, Reference, handover, &remark);
        assert!(handover.doubled > 0.0, "{PROVES_NOTHING}");
    });
}

/// A revoke that hangs is tried again and again; nobody hears of a success, and nobody else gets the ticket. Then the
/// lease ends as well, and the daemon shouts.
fn revoke_hangs(name: &str, program: Program) {
    let cluster = granted(program, 3, Extras { second_ticket: true, ..Extras::default() });
    cluster.grant(SITE_1, SECOND_TICKET);
    let since = now();
    cluster.hang_store(SITE_1);
    if !program.is_ours() {
        return thread::scope(|scope| {
            let client = scope.spawn(|| cluster.client(SITE_1, program, &["revoke", "-w", TICKET]));
            reference_hangs(name, &cluster, since);
            client.join().unwrap();
        });
    }
    let tried = |cluster: &Cluster| cluster.calls(SITE_1).iter().filter(|call| call.contains(" -r ")).count();
    let before = tried(&cluster);
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let outcome = cluster.client(SITE_1, program, &["revoke", "-w", TICKET]);
            (outcome, cluster.held(SITE_1, TICKET))
        });
        eventually("the revoke is tried three times", takeover(&cluster) + PROMPT, || {
            let tries = tried(&cluster) - before;
            if tries >= 3 { Ok(()) } else { Err(format!("{tries} so far")) }
        });
        assert!(!client.is_finished(), "the client was told {:?}", client.join());
        cluster.agree(Some(SITE_1), PROMPT);
        assert!(cluster.log(SITE_1).contains("T: the revoke could not be written"), "{}", cluster.log(SITE_1));
        cluster.renewed(SITE_1, SECOND_TICKET, 1);

        // Nobody has a majority now: the lease ends, and the ticket is nobody's.
        cluster.cut(SITE_1);
        cluster.cut(SITE_2);
        eventually("status shows it", takeover(&cluster), || {
            let status = cluster.status(SITE_1)?;
            let line = status.lines().find(|line| line.starts_with("ticket: T,")).unwrap_or_default();
            if line.contains("REVOKE OVERDUE since") { Ok(()) } else { Err(status) }
        });
        eventually("the log shouts", takeover(&cluster), || {
            let log = cluster.log(SITE_1);
            if log.contains("T: THE LEASE HAS ENDED BUT THE STORE STILL SAYS GRANTED") { Ok(()) } else { Err(log) }
        });
        for client in [Ours, Reference] {
            let list = cluster.client(SITE_1, client, &["list"]).stdout;
            let line = list.lines().find(|line| line.starts_with("ticket: T,")).unwrap_or_default();
            assert!(line.to_lowercase().contains("leader: none, revoke overdue since 20"), "{client:?}: {list}");
        }
        assert!(!client.is_finished(), "the client was told {:?}", client.join());
        cluster.release_store(SITE_1);
        cluster.wait_for_store(SITE_1, false, 2 * PROMPT);
        let (outcome, held) = client.join().unwrap();
        assert_eq!((outcome.status, held), (Some(0), false), "{outcome:?}");
    });
    eventually("status is calm again", PROMPT, || {
        let status = cluster.status(SITE_1)?;
        if status.contains("OVERDUE") { Err(status) } else { Ok(()) }
    });
    let remark = format!("tried {} times", tried(&cluster) - before);
    report(name, &cluster, program, cluster.handover(SITE_1, SITE_2, since), &remark);
}

fn store_flaky(name: &str, program: Program) {
    let cluster = Cluster::start(plan(program, 3));
    cluster.make_store_flaky(SITE_1);
    cluster.make_store_flaky(SITE_2);
    let mut lies = 0;
    let mut since = now();
    for site in [SITE_1, SITE_2] {
        let outcome = cluster.client(site, program, &["grant", "-w", TICKET]);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        lies += usize::from(!cluster.held(site, TICKET));
        cluster.wait_for_store(site, true, takeover(&cluster));
        let writes = cluster.writes(site).len();
        // The reference tries again at the next renewal only.
        if program.is_ours() {
            cluster.renewed(site, TICKET, 2);
            assert!(cluster.writes(site)[writes..].iter().all(|change| change.granted), "{:?}", cluster.writes(site));
        }
        if site == SITE_2 {
            break;
        }
        since = now();
        let outcome = cluster.client(site, program, &["revoke", "-w", TICKET]);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        lies += usize::from(cluster.held(site, TICKET));
    }
    let remark = format!("the administrator was told of {lies} successes that were none");
    report(name, &cluster, program, cluster.handover(SITE_1, SITE_2, since), &remark);
    assert!(!program.is_ours() || lies == 0);
}

/// S1: no vote leaves that could not be recorded. What was recorded before stands.
fn disk_full(name: &str, program: Program) {
    let mut cluster = granted(program, 3, Extras { small_disk: Some(ARBITRATOR), ..Extras::default() });
    cluster.fill_disk(ARBITRATOR);
    if !program.is_ours() {
        return no_disk_needed(name, program, cluster);
    }
    cluster.renewed(SITE_1, TICKET, 2);
    cluster.count_sent(ARBITRATOR, &[b"VtFr"]);
    let since = now();
    cluster.kill(SITE_1);
    let elections = |cluster: &Cluster| cluster.log(SITE_2).matches("T: election started").count();
    let before = elections(&cluster);
    eventually("the other site has stood three times", takeover(&cluster), || {
        let stood = elections(&cluster) - before;
        if stood >= 3 { Ok(()) } else { Err(format!("{stood} times")) }
    });
    assert_eq!(cluster.counted(ARBITRATOR), 0, "votes without a record");
    let log = cluster.log(ARBITRATOR);
    assert!(log.contains("T: the journal could not be written") && log.contains("make room there"), "{log}");
    assert!(!cluster.held(SITE_2, TICKET));
    cluster.listed(ARBITRATOR, Ours).unwrap();
    cluster.empty_disk(ARBITRATOR);
    let emptied = now();
    cluster.wait_for_store(SITE_2, true, PROMPT);
    cluster.agree(Some(SITE_2), PROMPT);
    let taken = cluster.granted_after(SITE_2, since, emptied).unwrap();
    let remark = format!("no vote until there was room, taken over {taken:.2} s later");
    report(name, &cluster, program, cluster.handover(SITE_1, SITE_2, since), &remark);
}

/// The reference writes down no vote, so nothing keeps it from voting; what it pays for that is the first story.
fn no_disk_needed(name: &str, program: Program, mut cluster: Cluster) {
    let since = now();
    cluster.kill(SITE_1);
    cluster.wait_for_store(SITE_2, true, takeover(&cluster));
    report(name, &cluster, program, cluster.handover(SITE_1, SITE_2, since), "votes without a record");
}
