//! What must come about when the faults have stopped: L1, L2, L3.

use crate::world::{Dice, World};
use booth_core::settings::Mode;
use booth_core::wire::{Command, Outcome};

/// A healed cluster serves again, keeps what it has, and survives a leader.
pub fn check(world: &mut World, dice: &mut Dice) {
    let seed = world.plan.seed;
    // Forgetful members remember, stuck revokes are through, old messages are gone.
    let longest = world.plan.tickets.iter().map(|ticket| ticket.expire.0 + ticket.acquire_after.0).max().unwrap();
    world.run(3 * longest + 30_000);
    for at in 0..world.plan.tickets.len() {
        let name = world.plan.tickets[at].name.clone();
        if world.holder(at).is_none() && world.plan.tickets[at].mode == Mode::Automatic {
            let lost = world.wanted.contains(&at);
            assert!(!lost, "L1: ticket {at} was lost and nobody fights for it\nseed {seed}\n{}", tail(world));
            let client = world.ask(0, Command::ClientGrant, &name, 0);
            let took = world.run_until(longest + 10_000, |world| world.holder(at).is_some());
            let answer = world.answer(client);
            assert!(took.is_some(), "L1: ticket {at} cannot be granted ({answer:?})\nseed {seed}\n{}", tail(world));
            assert_ne!(answer, Some(Outcome::SyncFail), "seed {seed}");
        }
    }
    world.run(longest + 10_000);
    let waiting = world.waiting();
    assert!(waiting.is_empty(), "clients {waiting:?} were never answered\nseed {seed}\n{}", tail(world));
    let holders: Vec<_> = (0..world.plan.tickets.len()).map(|at| world.holder(at)).collect();
    let grants = world.grants;
    world.run(3 * longest);
    let after: Vec<_> = (0..world.plan.tickets.len()).map(|at| world.holder(at)).collect();
    assert_eq!(holders, after, "L3: the ticket moved without a fault\nseed {seed}\n{}", tail(world));
    assert_eq!(world.grants, grants, "L3: revoked without a fault\nseed {seed}\n{}", tail(world));
    kill_a_leader(world, dice);
}

/// L2: what a leader held that is gone is held elsewhere after `expire` + `acquire-after` + 1 s.
fn kill_a_leader(world: &mut World, dice: &mut Dice) {
    let automatic = |at: &usize| world.plan.tickets[*at].mode == Mode::Automatic && !world.forced.contains(at);
    let Some(at) = (0..world.plan.tickets.len()).find(automatic) else { return };
    let wordless = world.hosts.iter().any(|host| host.wordless);
    if world.plan.sites < 2 || world.hosts.len() < 3 || wordless {
        return;
    }
    let ticket = &world.plan.tickets[at];
    let (expire, after) = (ticket.expire.0, ticket.acquire_after.0);
    world.run(dice.roll(expire));
    let leader = world.holder(at).unwrap();
    world.kill(leader);
    // Spans are measured by clocks that are up to 2 ‰ slow or allow for as much.
    let limit = expire + after + 1_000 + (expire + 2 * after) / 500;
    let took = world.run_until(limit, |world| world.holder(at).is_some_and(|holder| holder != leader));
    let seed = world.plan.seed;
    assert!(took.is_some(), "L2: not held elsewhere after {limit} ms\nseed {seed}\n{}", tail(world));
}

fn tail(world: &World) -> String {
    world.transcript[world.transcript.len().saturating_sub(150)..].join("\n")
}
