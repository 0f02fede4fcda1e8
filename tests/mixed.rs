//! Mixed clusters: what can still be promised where some members run the reference.
//!
//! The reference is `world/reference`, a model that sends what the real one was recorded to send. Of a cluster that it
//! has a part in, two things are claimed and checked here, seed by seed, under random faults:
//!
//! - **Our leader among reference followers.** What one of our sites holds, nobody else gets while it is held, and one
//!   of ours gets it `acquire-after` later at the earliest (when a reference site does is up to the reference). This
//!   holds in spite of loss, repetition, cuts, refused and hanging stores, full disks, stopped daemons, stepped
//!   clocks, killed daemons of ours with or without their journals, and reference members that are killed. It does
//!   *not* hold where
//!   - a reference member comes back while what it had promised still runs: it remembers nothing;
//!   - a reference site has heard of a step-down: it stands "since a step-down" until it hears a leader, and to who
//!     does, the reference gives its vote whatever it has promised;
//!   - a step-down is so late that its sender leads again: the reference does not look at its term, and its stamp may
//!     be ten minutes old;
//!   - a reference site is stopped, or its store hangs, for as long as a lease: it then goes on with what it was at.
//! - **A reference leader, and a majority of ours.** What it holds by our acknowledgements nobody else gets because an
//!   update was lost, whoever cuts it off and when. Any two majorities must meet in one of ours (with three members:
//!   the leader is the only reference). It lets go by its own timer, which it sets when it looks at the answers: so
//!   all this is up to the time of an answer's way and of three calls of `crm_ticket`, which `acquire-after` should
//!   cover. One of ours keeps `acquire-after` behind it, but for an administrator's grant that all sites vote for: the
//!   old leader votes at once. It does *not* hold where the leader itself is killed, stopped, or cannot write its store.
//!
//! Scenes in `mixed/limits` show that such exceptions are needed. The sweep counts, beside the two claims, in how many seeds
//! the same cluster breaks S0 under the same faults when all members run the reference.
//!
//! `BOOTH_SIM_SEED=N` replays one seed with its transcripts, `BOOTH_SIM_SEEDS=N` sweeps the first N.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

#[path = "mixed/claim.rs"]
mod claim;
#[path = "mixed/faults.rs"]
mod faults;
#[path = "mixed/limits.rs"]
mod limits;

use booth_core::settings::ValidityUnit;
use booth_core::wire::Outcome;
use claim::{Claim, Shape};
use faults::Faults;
use world::ledger::Breach;
use world::{Dice, Plan, World, ticket};

const DEFAULT_SEEDS: u64 = 60;
const EXPIRE_MS: u64 = 10_000;

/// Two sites and an arbitrator, in every mix: a ticket is granted, renewed, taken over and moved.
#[test]
fn every_mix_grants_renews_fails_over_and_moves() {
    for references in 0..8 {
        for (after, key, unit) in [
            (0, true, ValidityUnit::Seconds),
            (2_000, true, ValidityUnit::Milliseconds),
            (2_000, false, ValidityUnit::Seconds),
        ] {
            println!("references {references:03b}, acquire-after {after} ms, key {key}, {unit:?}");
            serve(&mut three(references, EXPIRE_MS, after, key, unit).world(), after);
        }
    }
}

/// Two sites and an arbitrator.
fn three(references: u32, expire: u64, after: u64, key: bool, unit: ValidityUnit) -> Shape {
    let plan =
        Plan { sites: 2, arbitrators: 1, tickets: vec![ticket("T", expire, after)], key, seed: 7, remember: true };
    Shape { plan, unit, references, claim: Claim::OursLeads }
}

fn serve(world: &mut World, after: u64) {
    world.run(2_000);
    let client = world.grant(0, "T");
    wait(world, 5_000, Some(0), "granted");
    assert_eq!(world.answer(client), Some(Outcome::Success), "{}", tail(world));
    world.run(5 * EXPIRE_MS);
    assert_eq!(world.ledger.as_ref().unwrap().tenures.len(), 1, "never lost\n{}", tail(world));

    world.isolate(0);
    wait(world, 2 * EXPIRE_MS + after + 5_000, Some(1), "taken over");
    world.heal();
    world.run(3 * EXPIRE_MS);
    wait(world, 0, Some(1), "kept");

    world.revoke(1, "T");
    wait(world, 3_000, None, "revoked");
    world.run(after + 100);
    world.grant(0, "T");
    wait(world, 5_000 + after, Some(0), "moved");
    world.run(2 * EXPIRE_MS);
    wait(world, 0, Some(0), "kept");
}

/// Waits until one site holds the ticket, and no other does.
fn wait(world: &mut World, limit_ms: u64, holder: Option<usize>, what: &str) {
    let holders = |world: &World| (0..2).filter(|site| world.hosts[*site].store[0].granted).collect::<Vec<_>>();
    let expected: Vec<usize> = holder.into_iter().collect();
    let took = world.run_until(limit_ms, |world| holders(world) == expected);
    assert!(took.is_some(), "{what}: held by {:?}, not {holder:?}\n{}", holders(world), tail(world));
}

fn tail(world: &World) -> String {
    world.transcript[world.transcript.len().saturating_sub(60)..].join("\n")
}

// ---- random faults ---------------------------------------------------------------------------

/// Lives through faults, and then none; `running` is who runs what. Gives the breaches of S0.
fn live(shape: &Shape, running: &Shape, dice: &mut Dice, verbose: bool) -> (World, Vec<Breach>) {
    let mut world = running.world();
    world.verbose = verbose;
    for host in 0..world.hosts.len() {
        world.set_drift(host, [-2_000, 2_000, dice.roll(4_000) as i64 - 2_000][dice.roll(3) as usize]);
    }
    world.run(2_000);
    let mut faults = Faults::new(shape);
    for _ in 0..40 + dice.roll(60) {
        faults.strike(&mut world, dice);
        world.run(1 + dice.roll(shape.expire_ms()));
    }
    faults.stop(&mut world);
    world.run(shape.longest_promise_ms());
    faults.boot_all(&mut world);
    world.run(2 * shape.longest_promise_ms() + 20_000);
    let breaches = world.ledger.as_ref().unwrap().breaches(0, shape.acquire_after_ms(), world.now_ms);
    (world, breaches)
}

/// The dice of a seed, and what they have drawn first.
fn draw(seed: u64, claim: Claim) -> (Shape, Dice) {
    let mut dice = Dice::new(seed ^ 0x3_17ED);
    (faults::draw(&mut dice, claim, seed), dice)
}

/// One seed under a claim: it holds, and the healed cluster serves.
fn check(seed: u64, claim: Claim, verbose: bool) -> World {
    let (shape, mut dice) = draw(seed, claim);
    let (mut world, breaches) = live(&shape, &shape, &mut dice, verbose);
    if verbose {
        println!("{claim:?}, references {:b}, {breaches:?}\n{}", shape.references, world.transcript.join("\n"));
    }
    let broken = shape.broken_promises(&breaches);
    assert!(broken.is_empty(), "S0, {claim:?}, references {:b}: {broken:?}, seed {seed}", shape.references);
    check_alive(&shape, &mut world);
    world
}

/// A healed cluster has the ticket, or can be asked for it.
fn check_alive(shape: &Shape, world: &mut World) {
    let limit = 2 * shape.longest_promise_ms() + 10_000;
    let has = |world: &World| world.holder(0).is_some();
    let served = has(world)
        || (0..shape.plan.sites).any(|site| {
            world.grant(site, "T");
            world.run_until(limit, has).is_some()
        });
    assert!(served, "L1: nobody can have the ticket, seed {}\n{}", shape.plan.seed, tail(world));
}

/// What a sweep has seen of a claim.
#[derive(Default)]
struct Count {
    /// How often one of ours, or a reference site, had the ticket.
    ours: u64,
    reference: u64,
    /// How often another site had it next.
    moved: u64,
    /// In how many seeds the reference alone broke S0, and had two holders at once.
    alone: u64,
    alone_both: u64,
}

impl Count {
    fn seed(&mut self, seed: u64, claim: Claim) {
        let Ok(world) = std::panic::catch_unwind(|| check(seed, claim, false)) else {
            println!("seed {seed} failed; once more, with its transcript");
            check(seed, claim, true);
            panic!("seed {seed} failed once and passed once: it does not replay");
        };
        let (shape, mut dice) = draw(seed, claim);
        let tenures = world.ledger.unwrap().tenures;
        self.moved += tenures.windows(2).filter(|pair| pair[0].site != pair[1].site).count() as u64;
        for tenure in &tenures {
            *(if shape.is_reference(tenure.site) { &mut self.reference } else { &mut self.ours }) += 1;
        }
        let (_, breaches) = live(&shape, &shape.reference_alone(), &mut dice, false);
        self.alone += u64::from(!breaches.is_empty());
        self.alone_both += u64::from(breaches.iter().any(|breach| breach.both_ms > 0));
    }
}

#[test]
fn no_fault_breaks_what_is_claimed_of_a_mixed_cluster_s0() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let claims = [Claim::OursLeads, Claim::ReferenceLeads];
    if let Some(seed) = number("BOOTH_SIM_SEED") {
        return claims.iter().for_each(|claim| drop(check(seed, *claim, true)));
    }
    let seeds = number("BOOTH_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS);
    for claim in claims {
        let mut count = Count::default();
        (0..seeds).for_each(|seed| count.seed(seed, claim));
        let Count { ours, reference, moved, alone, alone_both } = count;
        println!(
            "{claim:?}: broken in 0 of {seeds} seeds (held {ours} times by ours, {reference} times by the reference, \
             moved {moved} times); reference alone: S0 broken in {alone} of {seeds} seeds, two holders at once in {alone_both}"
        );
        assert!(alone_both > 0, "who sees nothing where the reference is alone sees nothing at all");
        let held = if claim == Claim::OursLeads { ours } else { reference };
        assert!(held > seeds / 2, "a claim about leaders needs some");
    }
}
