//! Mixed clusters.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

#[path = "mixed/claim.rs"]
mod claim;
#[path = "mixed/faults.rs"]
mod faults;

use booth_core::settings::ValidityUnit;
use booth_core::wire::Outcome;
use claim::{Claim, Shape};
use faults::Faults;
use world::ledger::Breach;
use world::{Dice, Plan, World, ticket};

const DEFAULT_SEEDS: u64 = 100;
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
            let tickets = vec![ticket("T", EXPIRE_MS, after)];
            let plan = Plan { sites: 2, arbitrators: 1, tickets, key, seed: 7, remember: true };
            println!("references {references:03b}, acquire-after {after} ms, key {key}, {unit:?}");
            serve(&mut Shape { plan, unit, references, claim: Claim::OursLeads }.world(), after);
        }
    }
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

fn wait(world: &mut World, limit_ms: u64, holder: Option<usize>, what: &str) {
    let only = |world: &World| (0..2).filter(|site| world.hosts[*site].store[0].granted).collect::<Vec<_>>();
    let expected: Vec<usize> = holder.into_iter().collect();
    let took = world.run_until(limit_ms, |world| only(world) == expected);
    assert!(took.is_some(), "{what}: held by {:?}, not {holder:?}\n{}", only(world), tail(world));
}

/// What came of one seed.
struct Life {
    world: World,
    breaches: Vec<Breach>,
}

/// Lives through one seed: faults, and then none.
fn live(shape: &Shape, running: &Shape, dice: &mut Dice, verbose: bool) -> Life {
    let mut world = running.world();
    world.verbose = verbose;
    for host in 0..world.hosts.len() {
        world.set_drift(host, [-2_000, 2_000, dice.roll(4_000) as i64 - 2_000][dice.roll(3) as usize]);
    }
    world.run(2_000);
    let mut faults = Faults::new(world.hosts.len());
    for _ in 0..40 + dice.roll(60) {
        faults.fault(&mut world, shape, dice);
        world.run(1 + dice.roll(shape.expire_ms()));
    }
    faults.stop(&mut world);
    world.run(shape.longest_promise_ms());
    faults.boot_all(&mut world);
    world.run(2 * shape.longest_promise_ms() + 20_000);
    let breaches = world.ledger.as_ref().unwrap().breaches(0, shape.acquire_after_ms(), world.now_ms);
    Life { world, breaches }
}

/// A healed cluster can be asked for the ticket, and has it.
fn check_alive(shape: &Shape, world: &mut World) {
    if world.holder(0).is_some() {
        return;
    }
    let limit = 2 * shape.longest_promise_ms() + 10_000;
    for site in 0..shape.plan.sites {
        world.grant(site, "T");
        if world.run_until(limit, |world| world.holder(0).is_some()).is_some() {
            return;
        }
    }
    panic!("L1: nobody can have the ticket\nseed {}\n{}", shape.plan.seed, tail(world));
}

fn draw(seed: u64, claim: Claim) -> (Shape, Dice) {
    let mut dice = Dice::new(seed ^ 0x3_17ED);
    (faults::shape(&mut dice, claim, seed), dice)
}

fn check(seed: u64, claim: Claim, verbose: bool) -> Life {
    let (shape, mut dice) = draw(seed, claim);
    let mut life = live(&shape, &shape, &mut dice, verbose);
    let broken = shape.broken_promises(&life.breaches);
    assert!(
        broken.is_empty(),
        "{claim:?}: {broken:?}\nseed {seed}, references {:b}\n{}",
        shape.references,
        tail(&life.world)
    );
    check_alive(&shape, &mut life.world);
    life
}

#[test]
fn claims() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let seeds = number("BOOTH_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS);
    for claim in [Claim::OursLeads, Claim::ReferenceLeads] {
        let (mut broken, mut alone, mut grants, mut alone_both, mut other) = (0, 0, 0, 0, 0);
        for seed in 0..seeds {
            let (shape, mut dice) = draw(seed, claim);
            let life = live(&shape, &shape.reference_alone(), &mut dice, false);
            alone += u64::from(!life.breaches.is_empty());
            alone_both += u64::from(life.breaches.iter().any(|breach| breach.both_ms > 0));
            match std::panic::catch_unwind(|| check(seed, claim, false)) {
                Ok(life) => {
                    grants += life.world.grants;
                    other += u64::from(!life.breaches.is_empty());
                }
                Err(e) => {
                    broken += 1;
                    let e = e.downcast_ref::<String>().unwrap();
                    println!("SEED {seed} {claim:?} {}", e.lines().take(2).collect::<Vec<_>>().join(" "));
                }
            }
        }
        println!(
            "{claim:?}: broken {broken}, other breaches {other} of {seeds}; reference alone {alone} ({alone_both} both); grants {grants}"
        );
    }
}

#[test]
fn one() {
    let seed: u64 = std::env::var("SEED").unwrap().parse().unwrap();
    let claim = if std::env::var("CLAIM").as_deref() == Ok("ref") { Claim::ReferenceLeads } else { Claim::OursLeads };
    let (shape, mut dice) = draw(seed, claim);
    println!("refs {:b} sites {} {:?}", shape.references, shape.plan.sites, shape.plan.tickets[0]);
    let mut life = live(&shape, &shape, &mut dice, true);
    let broken = shape.broken_promises(&life.breaches);
    if broken.is_empty() {
        check_alive(&shape, &mut life.world);
    }
    println!("{}", life.world.transcript.join("\n"));
    println!("{broken:?}");
}

fn tail(world: &World) -> String {
    world.transcript[world.transcript.len().saturating_sub(60)..].join("\n")
}
