//! Mixed clusters.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;

use booth_core::settings::ValidityUnit;
use booth_core::wire::Outcome;
use world::daemon::{Ours, Program};
use world::ledger::Ledger;
use world::reference::Reference;
use world::{Plan, World, ticket};

const EXPIRE_MS: u64 = 10_000;

fn program(reference: bool) -> Program {
    if reference { Reference::start } else { Ours::start }
}

/// A cluster in which the members whose bit is set run the reference.
fn cluster(plan: Plan, unit: ValidityUnit, references: u32) -> World {
    let is_reference = |host: usize| references & 1 << host != 0;
    let mut world = World::in_unit(plan, unit, |host| program(is_reference(host)));
    for host in 0..world.hosts.len() {
        world.hosts[host].guarded = !is_reference(host);
    }
    world.ledger = Some(Ledger::default());
    world
}

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
            serve(&mut cluster(plan, unit, references), after);
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

fn tail(world: &World) -> String {
    world.transcript[world.transcript.len().saturating_sub(60)..].join("\n")
}
