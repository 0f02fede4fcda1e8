//! Every mix of Debian's booth and ours on two sites and an arbitrator, live.
//!
//! Eight tests, one for each of the eight combinations; in each, clusters run side by side, one for each of
//! [`STORIES`]. Authentication, address family, acquire-after and the unit of times are spread over them so that each
//! combination and each story meets both values of each.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;

use common::{
    ARBITRATOR, Cluster, Family, HOSTS, MANUAL_TICKET, Outcome, Plan, Program, SITE_1, SITE_2, TICKET, Timing,
};
use common::{available, eventually, say};
use std::thread;
use std::time::{Duration, Instant};

use Program::{Ours, Reference};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn reference_reference_reference() {
    combination("reference_reference_reference", 0, [Reference, Reference, Reference]);
}

#[test]
fn reference_reference_ours() {
    combination("reference_reference_ours", 1, [Reference, Reference, Ours]);
}

#[test]
fn reference_ours_reference() {
    combination("reference_ours_reference", 2, [Reference, Ours, Reference]);
}

#[test]
fn reference_ours_ours() {
    combination("reference_ours_ours", 3, [Reference, Ours, Ours]);
}

#[test]
fn ours_reference_reference() {
    combination("ours_reference_reference", 4, [Ours, Reference, Reference]);
}

#[test]
fn ours_reference_ours() {
    combination("ours_reference_ours", 5, [Ours, Reference, Ours]);
}

#[test]
fn ours_ours_reference() {
    combination("ours_ours_reference", 6, [Ours, Ours, Reference]);
}

#[test]
fn ours_ours_ours() {
    combination("ours_ours_ours", 7, [Ours, Ours, Ours]);
}

/// A story: what is done to a cluster, and what must hold.
type Story = fn(Plan);

const STORIES: [(&str, Story); 6] = [
    ("grants and refusals", grants_and_refusals),
    ("takeover and return", takeover_and_return),
    ("restarts", restarts),
    ("packet loss", packet_loss),
    ("isolated leader", isolated_leader),
    ("manual ticket and attributes", manual_ticket_and_attributes),
];

/// The stories of one combination, side by side.
fn combination(test: &str, number: usize, programs: [Program; HOSTS]) {
    if !available(test) {
        return;
    }
    thread::scope(|scope| {
        for (story_number, (story, run)) in STORIES.into_iter().enumerate() {
            let plan = plan(number, story_number, programs);
            let name = format!("{test}: {story}");
            let body = move || {
                let begun = Instant::now();
                run(plan);
                say(&format!("{test}: {story}: passed in {:.0} s", begun.elapsed().as_secs_f64()));
            };
            thread::Builder::new().name(name).spawn_scoped(scope, body).expect("a thread");
        }
    });
}

/// Each setting is a parity of bits of both numbers: no two settings go together, and along either axis each takes
/// both values.
fn plan(combination: usize, story: usize, programs: [Program; HOSTS]) -> Plan {
    let parity = |combination_bits: usize, story_bits: usize| {
        ((combination & combination_bits).count_ones() + (story & story_bits).count_ones()) % 2 == 1
    };
    Plan {
        programs,
        authenticated: !parity(0b111, 0b01),
        family: if parity(0b001, 0b10) { Family::V6 } else { Family::V4 },
        acquire_after: if parity(0b010, 0b11) { 3 * SECOND } else { Duration::ZERO },
        timing: if parity(0b100, 0b01) { Timing::MILLISECONDS } else { Timing::SECONDS },
    }
}

/// The longest that a healthy cluster may take to grant, list or revoke what nothing stands in the way of.
const PROMPT: Duration = Duration::from_secs(10);

fn grants_and_refusals(plan: Plan) {
    let cluster = Cluster::start(plan);
    cluster.agree(None, PROMPT);
    peers_are_known(&cluster);

    for (round, (site, client)) in
        [(SITE_1, Reference), (SITE_2, Ours), (SITE_1, Ours), (SITE_2, Reference)].into_iter().enumerate()
    {
        let other = SITE_1 + SITE_2 - site;
        grant(&cluster, site, client);
        cluster.agree(Some(site), PROMPT);
        refusals(&cluster, site);
        if round == 0 {
            renewals(&cluster, site, 3);
        }
        // In every second round the other site is asked, which names the holder for the client to turn to.
        let asked = if round % 2 == 0 { other } else { site };
        let outcome = cluster.client(asked, client, &["revoke", "-w", TICKET]);
        assert_eq!(
            outcome.status,
            Some(0),
            "revoke of host {site}'s ticket by {client:?} at host {asked}: {outcome:?}"
        );
        cluster.wait_for_store(site, false, PROMPT);
        cluster.agree(None, PROMPT);
    }
    let outcome = cluster.client(SITE_1, Ours, &["revoke", TICKET]);
    assert!(outcome.stderr.contains("ticket is not owned"), "revoke of a free ticket: {outcome:?}");
    never_doubled(&cluster);
}

/// Grants by a client at the site itself and waits until the site's store says so.
#[track_caller]
fn grant(cluster: &Cluster, site: usize, client: Program) {
    let outcome = cluster.client(site, client, &["grant", "-w", TICKET]);
    assert_eq!(outcome.status, Some(0), "grant by {client:?} at host {site}: {outcome:?}");
    cluster.wait_for_store(site, true, cluster.plan().acquire_after + PROMPT);
}

fn peers_are_known(cluster: &Cluster) {
    for host in 0..HOSTS {
        for client in [Reference, Ours] {
            let outcome = cluster.client(host, client, &["peers"]);
            assert_eq!(outcome.status, Some(0), "peers by {client:?} at host {host}: {outcome:?}");
            for peer in (0..HOSTS).filter(|peer| *peer != host) {
                let kind = if peer == ARBITRATOR { "arbitrator" } else { "site" };
                let head = format!("{kind:<12} {}, last recv: 20", cluster.address(peer));
                assert!(outcome.stdout.contains(&head), "{head:?} is missing in {:?}", outcome.stdout);
            }
            let counted = outcome.stdout.matches("error:0 authfail:0 invalid:0").count();
            assert_eq!(counted, HOSTS - 1, "faultless peers in {:?}", outcome.stdout);
        }
    }
}

fn refusals(cluster: &Cluster, holder: usize) {
    let refused = |outcome: Outcome, text: &str| {
        assert_eq!(outcome.status, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains(text), "{text:?} is missing in {outcome:?}");
    };
    for client in [Reference, Ours] {
        for site in [SITE_1, SITE_2] {
            refused(cluster.client(site, client, &["grant", TICKET]), "granting a granted ticket");
            refused(cluster.client(site, client, &["grant", "unknown"]), "ticket \"unknown\" does not exist");
        }
        if cluster.plan().authenticated {
            refused(cluster.client_with_wrong_key(holder, client, &["revoke", TICKET]), "authenticat");
            refused(cluster.client_with_wrong_key(holder, client, &["list"]), "authenticat");
        }
    }
    cluster.agree(Some(holder), PROMPT);
}

/// Waits for so many renewals; the ticket stays where it is and its end moves on everywhere.
fn renewals(cluster: &Cluster, holder: usize, count: usize) {
    let end_at = |host| {
        let listed = cluster.listed(host, Reference)?;
        listed.expires.clone().ok_or(format!("host {host}: {listed:?}"))
    };
    let limit = cluster.plan().timing.renewal * u32::try_from(count + 1).unwrap() + 2 * SECOND;
    let first_ends: Vec<String> =
        (0..HOSTS).map(|host| eventually("the lease's end", PROMPT, || end_at(host))).collect();
    let (written, revoked) = (cluster.grants_written(holder), cluster.revokes_written(holder));
    eventually(&format!("{count} renewals by host {holder}"), limit, || {
        let renewed = cluster.grants_written(holder) - written;
        if renewed >= count { Ok(()) } else { Err(format!("{renewed} so far")) }
    });
    cluster.agree(Some(holder), PROMPT);
    for (host, first) in first_ends.iter().enumerate() {
        // Whole seconds are shown; a leader may renew sooner than it must.
        eventually(&format!("host {host}: the lease's end moves on from {first}"), limit, || {
            let end = end_at(host)?;
            if end > *first { Ok(()) } else { Err(end) }
        });
    }
    assert_eq!(cluster.revokes_written(holder), revoked, "{:?}", cluster.writes(holder));
}

fn takeover_and_return(plan: Plan) {
    let mut cluster = Cluster::start(plan);
    grant(&cluster, SITE_1, Ours);
    renewals(&cluster, SITE_1, 1);
    let lease_end: f64 = cluster.attribute(SITE_1, "expires").unwrap().parse().unwrap();

    cluster.kill(SITE_1);
    // Detection, a random second of the reference, one election.
    let limit = plan.timing.expire + plan.acquire_after + 2 * SECOND + 3 * plan.timing.timeout;
    cluster.wait_for_store(SITE_2, true, limit);
    cluster.agree(Some(SITE_2), PROMPT);
    if plan.programs == [Ours; HOSTS] && Ours.is_ours() {
        let taken = cluster.writes(SITE_2).iter().rfind(|change| change.granted).unwrap().at;
        // The store holds whole seconds.
        let earliest = lease_end - 1.0 + plan.acquire_after.as_secs_f64();
        assert!(taken >= earliest, "taken over {:.2} s too early", earliest - taken);
    }

    cluster.launch_and_wait(SITE_1);
    cluster.wait_for_store(SITE_1, false, 5 * SECOND);
    cluster.agree(Some(SITE_2), plan.timing.renewal + PROMPT);
    renewals(&cluster, SITE_2, 1);
    never_doubled(&cluster);
}

fn restarts(plan: Plan) {
    let mut cluster = Cluster::start(plan);
    grant(&cluster, SITE_1, Reference);
    let revoked = cluster.revokes_written(SITE_1);
    for host in [ARBITRATOR, SITE_2, SITE_1] {
        for killed in [true, false] {
            if killed {
                cluster.kill(host)
            } else {
                cluster.terminate(host)
            }
            cluster.launch_and_wait(host);
            cluster.agree(Some(SITE_1), plan.timing.renewal + PROMPT);
            renewals(&cluster, SITE_1, 1);
        }
    }
    assert_eq!(cluster.revokes_written(SITE_1), revoked, "{:?}", cluster.writes(SITE_1));
    assert_eq!(cluster.grants_written(SITE_2), 0, "{:?}", cluster.writes(SITE_2));
}

fn packet_loss(plan: Plan) {
    // So many tries within a lease that the loss of all of them is no matter of chance.
    let timing = match plan.timing.timeout.subsec_millis() {
        0 => Timing { expire: 24 * SECOND, renewal: 8 * SECOND, timeout: SECOND, retries: 6 },
        _ => Timing { expire: 9 * SECOND, renewal: 3 * SECOND, timeout: Duration::from_millis(300), retries: 8 },
    };
    let cluster = Cluster::start(Plan { timing, ..plan });
    grant(&cluster, SITE_1, Reference);
    let revoked = cluster.revokes_written(SITE_1);
    cluster.lose(30);
    let end = Instant::now() + 60 * SECOND;
    while Instant::now() < end {
        assert_eq!(cluster.revokes_written(SITE_1), revoked, "{:?}", cluster.writes(SITE_1));
        assert_eq!(cluster.grants_written(SITE_2), 0, "{:?}", cluster.writes(SITE_2));
        thread::sleep(SECOND);
    }
    cluster.lose(0);
    cluster.agree(Some(SITE_1), timing.renewal + PROMPT);
    renewals(&cluster, SITE_1, 1);
    assert_eq!(cluster.revokes_written(SITE_1), revoked, "{:?}", cluster.writes(SITE_1));
    assert_eq!(cluster.grants_written(SITE_2), 0, "{:?}", cluster.writes(SITE_2));
}

fn isolated_leader(plan: Plan) {
    let cluster = Cluster::start(plan);
    grant(&cluster, SITE_1, Ours);
    renewals(&cluster, SITE_1, 1);
    cluster.cut(SITE_1);
    let limit = plan.timing.expire + plan.acquire_after + 2 * SECOND + 3 * plan.timing.timeout;
    cluster.wait_for_store(SITE_1, false, limit);
    cluster.wait_for_store(SITE_2, true, limit);
    cluster.heal(SITE_1);
    cluster.agree(Some(SITE_2), plan.timing.renewal + PROMPT);
    renewals(&cluster, SITE_2, 1);
    // The reference tells the others less time than it takes for itself.
    if plan.programs[SITE_1].is_ours() {
        never_doubled(&cluster);
    }
}

fn manual_ticket_and_attributes(plan: Plan) {
    let cluster = Cluster::start(plan);
    let [first, second] = [SITE_1, SITE_2].map(|site| cluster.address(site));
    let held = |address: &str| format!("ticket: {MANUAL_TICKET}, leader: {address}, expires: INF [manual mode]");
    let warning = format!(
        "WARNING: The ticket {MANUAL_TICKET} is granted to multiple sites: {first}, {second}. \
         Revoke the ticket from the faulty sites."
    );
    let done = |site, client, arguments: &[&str]| {
        let outcome = cluster.client(site, client, arguments);
        assert_eq!(outcome.status, Some(0), "{arguments:?} by {client:?} at host {site}: {outcome:?}");
    };

    done(SITE_1, Ours, &["grant", MANUAL_TICKET]);
    all_list(&cluster, |_, text| text.contains(&held(&first)) && !text.contains("WARNING"));
    let refused = cluster.client(SITE_2, Reference, &["grant", MANUAL_TICKET]);
    assert_eq!(refused.status, Some(1), "{refused:?}");

    done(SITE_2, Reference, &["grant", "-F", MANUAL_TICKET]);
    all_list(&cluster, |host, text| {
        text.contains(&warning) && text.contains(&held(if host == SITE_1 { &first } else { &second }))
    });
    done(SITE_2, Ours, &["revoke", MANUAL_TICKET]);
    all_list(&cluster, |_, text| text.contains(&held(&first)) && !text.contains("WARNING"));
    done(SITE_1, Reference, &["revoke", MANUAL_TICKET]);
    all_list(&cluster, |_, text| text.contains(&format!("ticket: {MANUAL_TICKET}, leader: none [manual mode]")));
    attributes(&cluster);
}

/// Waits until each client on each host prints a list that `says` accepts; it is also given the host.
#[track_caller]
fn all_list(cluster: &Cluster, says: impl Fn(usize, &str) -> bool) {
    for host in 0..HOSTS {
        for client in [Reference, Ours] {
            eventually(&format!("the list by {client:?} at host {host}"), PROMPT, || {
                let outcome = cluster.client(host, client, &["list"]);
                if says(host, &outcome.stdout) { Ok(()) } else { Err(format!("{outcome:?}")) }
            });
        }
    }
}

/// Each client sets what the other reads, at each site; sites keep their attributes to themselves.
fn attributes(cluster: &Cluster) {
    for (site, setter, getter) in [(SITE_1, Reference, Ours), (SITE_2, Ours, Reference)] {
        let done = |client, arguments: &[&str]| {
            let outcome = cluster.geostore(site, client, arguments);
            assert_eq!(outcome.status, Some(0), "{arguments:?} by {client:?} at host {site}: {outcome:?}");
            outcome.stdout
        };
        let value = format!("value-{site}");
        assert_eq!(done(getter, &["list", "-t", TICKET]), "");
        done(setter, &["set", "-t", TICKET, "name", &value]);
        assert_eq!(done(getter, &["get", "-t", TICKET, "name"]), format!("{value}\n"));
        assert!(done(getter, &["list", "-t", TICKET]).starts_with(&format!("name {value} 20")));
        assert_eq!(cluster.attribute(site, "name").as_deref(), Some(&*value), "in the store");
        done(setter, &["delete", "-t", TICKET, "name"]);
        let unset = cluster.geostore(site, getter, &["get", "-t", TICKET, "name"]);
        assert_eq!(unset.status, Some(1), "{unset:?}");
        assert!(unset.stderr.contains("attribute \"name\" not set"), "{unset:?}");
    }
}

#[track_caller]
fn never_doubled(cluster: &Cluster) {
    let doubled = cluster.double_ownership();
    assert!(doubled == 0.0, "both sites held the ticket for {doubled:.2} s");
}

/// The reference stamps a message with the second of the wall clock and the microsecond of the monotonic clock: its
/// stamps go back by most of a second, once a second, at a moment that each boot of a machine has for its own.
#[test]
fn votes_and_acks_of_the_reference_count_at_every_moment_of_a_second() {
    if !available("votes_and_acks_of_the_reference_count_at_every_moment_of_a_second") {
        return;
    }
    let cluster = Cluster::start(Plan {
        programs: [Ours, Reference, Reference],
        authenticated: true,
        family: Family::V4,
        acquire_after: Duration::ZERO,
        timing: Timing::SECONDS,
    });
    let end = Instant::now() + 5 * SECOND;
    while Instant::now() < end {
        grant(&cluster, SITE_1, Reference);
        let outcome = cluster.client(SITE_1, Reference, &["revoke", "-w", TICKET]);
        assert_eq!(outcome.status, Some(0), "{outcome:?}");
        cluster.wait_for_store(SITE_1, false, PROMPT);
    }
    let grants = cluster.writes(SITE_1).iter().filter(|change| change.granted).count();
    assert!(grants >= 5, "only {grants} grants in five seconds: some waited for a second try");
}

/// A leader is cut off right after the others have acknowledged its heartbeat, and before they hear its update. The
/// reference counts a full term from then on, of which the others know nothing.
fn lost_update(programs: [Program; HOSTS]) -> f64 {
    let timing = Timing { expire: 12 * SECOND, renewal: 6 * SECOND, timeout: SECOND, retries: 3 };
    let cluster = Cluster::start(Plan {
        programs,
        authenticated: true,
        family: Family::V4,
        acquire_after: Duration::ZERO,
        timing,
    });
    grant(&cluster, SITE_1, Reference);
    renewals(&cluster, SITE_1, 1);
    cluster.cut_before_update(SITE_1);
    cluster.wait_for_store(SITE_2, true, timing.expire + 5 * SECOND);
    cluster.wait_for_store(SITE_1, false, timing.expire + 5 * SECOND);
    cluster.double_ownership()
}

#[test]
fn lost_update_with_ours_as_leader_does_not_double_the_ticket() {
    if available("lost_update_with_ours_as_leader_does_not_double_the_ticket") {
        let doubled = lost_update([Ours, Reference, Reference]);
        say(&format!("lost update, ours as leader of the reference: {doubled:.2} s of double ownership"));
        assert!(doubled == 0.0, "both sites held the ticket for {doubled:.2} s");
    }
}
