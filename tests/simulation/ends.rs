//! What must come about when the faults have stopped: L1, L2, L3 within their bounds.
//!
//! A bound is stated in true time; what is waited for is measured by clocks that are up to 2 ‰ slow and allow for as
//! much. A ticket whose times leave no room for a working network and store is not held to them.

use crate::plan::is_livable;
use crate::world::{Dice, World};
use booth_core::settings::{Mode, TicketSettings};
use booth_core::wire::{Command, Outcome};

/// What a store may still wait before it tries again, or is waited for, when the faults stop.
const STORE_MS: u64 = 15_000;
/// How often an administrator asks for a grant.
const MOST_ASKED: u32 = 3;

/// A healed cluster serves again, keeps what it has, and survives a leader or a cut.
pub fn check(world: &mut World, dice: &mut Dice) {
    // What the stores were slow about comes to its end.
    let expire = tickets(world).map(|at| world.plan.tickets[at].expire.0).max().unwrap_or(0);
    world.run((expire / 3).clamp(1_000, 10_000));
    settle(world);
    grant_what_is_free(world);
    keep_what_is_held(world, dice);
    match dice.roll(2) {
        0 => lose_a_leader(world, dice),
        _ => heal_a_cut(world),
    }
}

fn tickets(world: &World) -> std::ops::Range<usize> {
    0..world.plan.tickets.len()
}

/// By clocks that are slow and allow for clocks that are fast.
fn drifted(span_ms: u64) -> u64 {
    span_ms + span_ms / 100
}

/// How long a ticket may stay unheld after all faults: what may have been promised or forgotten runs out, and the
/// grant is held back for as long again (S6, S7).
fn longest_wait(ticket: &TicketSettings) -> u64 {
    drifted(3 * ticket.expire.0 + 2 * ticket.acquire_after.0) + election(ticket) + STORE_MS
}

/// One election: the sites stand one after the other, 250 ms apart at most, and wait for answers; a second one where
/// two have collided; the first heartbeat, the store.
fn election(ticket: &TicketSettings) -> u64 {
    let answers = ticket.timeout.0 + 6 * 250;
    2 * answers + 200
}

fn is_lively(world: &World, ticket: usize) -> bool {
    let settings = &world.plan.tickets[ticket];
    settings.mode == Mode::Automatic && is_livable(settings) && !world.forced.contains(&ticket)
}

/// L1: a ticket that was granted and not revoked is held again; whoever has asked is answered.
fn settle(world: &mut World) {
    let longest = tickets(world).map(|at| longest_wait(&world.plan.tickets[at])).max().unwrap_or(0);
    let served = |world: &World| {
        tickets(world).all(|at| !world.wanted.contains(&at) || world.holder(at).is_some() || !is_lively(world, at))
            && (0..world.hosts.len()).all(|host| world.is_ready(host))
    };
    world.run_until(longest, served);
    for at in tickets(world).filter(|at| is_lively(world, *at)).collect::<Vec<_>>() {
        let lost = world.wanted.contains(&at) && world.holder(at).is_none();
        assert!(!lost, "L1: ticket {at} was lost and is not held after {longest} ms\n{}", world.story());
    }
    let unanswered = |world: &World| -> usize {
        tickets(world).filter(|at| is_lively(world, *at)).map(|at| world.waiting_for(at)).sum()
    };
    world.run_until(longest, |world| unanswered(world) == 0);
    assert!(unanswered(world) == 0, "L1: clients {:?} were never answered\n{}", world.waiting(), world.story());
}

fn grant_what_is_free(world: &mut World) {
    for at in tickets(world) {
        if world.holder(at).is_some() || !is_lively(world, at) {
            continue;
        }
        let name = world.plan.tickets[at].name.clone();
        let limit = longest_wait(&world.plan.tickets[at]);
        // A member that has missed a revoke says that the ticket is held, one that holds acquire-after says nothing,
        // and a store may still be busy with the revoke: the administrator asks again.
        let (mut took, mut answer) = (None, None);
        for _ in 0..MOST_ASKED {
            let client = world.ask(0, Command::ClientGrant, &name, 0);
            world.run_until(limit, |world| world.holder(at).is_some() || !world.waiting().contains(&client));
            answer = world.answer(client);
            let failed = world.holder(at).is_some() && answer == Some(Outcome::SyncFail);
            assert!(!failed, "L1: ticket {at}: granted, but told that it failed\n{}", world.story());
            // What could not be granted may yet be got, where it was lost: it is fought for again.
            took = world.run_until(limit, |world| world.holder(at).is_some());
            if took.is_some() {
                break;
            }
        }
        assert!(took.is_some(), "L1: ticket {at} cannot be granted ({answer:?})\n{}", world.story());
    }
    // A renewal that was asked for in vain while the network was cut may be asked for again too late.
    world.run(tickets(world).map(|at| world.plan.tickets[at].expire.0).max().unwrap_or(0));
    // A member may still owe a leader before this one.
    let longest = tickets(world).map(|at| longest_wait(&world.plan.tickets[at])).max().unwrap_or(0);
    world.run_until(longest, |world| tickets(world).all(|at| !is_lively(world, at) || world.all_follow(at)));
}

/// L3: as long as the leaders reach a majority, no ticket moves and none is revoked, whoever else is gone.
fn keep_what_is_held(world: &mut World, dice: &mut Dice) {
    let longest = tickets(world).map(|at| world.plan.tickets[at].expire.0).max().unwrap_or(0);
    let held: Vec<_> =
        tickets(world).map(|at| (at, world.holder(at))).filter(|(at, _)| is_lively(world, *at)).collect();
    let grants = world.grants_of.clone();
    let spared = |host: usize| held.iter().any(|(_, holder)| *holder == Some(host));
    let mut gone: Vec<usize> = (0..world.hosts.len()).filter(|host| !spared(*host)).collect();
    gone.truncate((world.hosts.len() - 1) / 2);
    let cut_off = dice.chance(500);
    for host in &gone {
        if cut_off { world.isolate(*host) } else { world.kill(*host) }
    }
    world.run(2 * longest + dice.roll(longest));
    world.heal();
    for host in gone {
        if !world.is_up(host) {
            world.boot(host);
        }
    }
    world.run(longest);
    for (at, holder) in held {
        if holder.is_some_and(|holder| world.hosts[holder].wordless) {
            // Without memory it may lead in a term that it has led before, and not even be told so.
            continue;
        }
        let (before, after) = ((holder, grants[at]), (world.holder(at), world.grants_of[at]));
        assert!(before == after, "L3: ticket {at} had a majority, but {before:?} is {after:?}\n{}", world.story());
    }
}

/// L2: what a leader held that is gone is held elsewhere after `expire` + `acquire-after` + 1 s; one election more where
/// votes were split, since the promises do not end at the same moment.
fn lose_a_leader(world: &mut World, dice: &mut Dice) {
    // Who spoke as the reference a moment ago may have promised some seconds more.
    let mixed = world.mixed;
    let Some(at) = tickets(world).find(|at| is_lively(world, *at)) else { return };
    if world.plan.sites < 2 || world.hosts.len() < 3 || mixed {
        return;
    }
    let settings = world.plan.tickets[at].clone();
    let (expire, after) = (settings.expire.0, settings.acquire_after.0);
    world.run(dice.roll(expire));
    let leader = world.holder(at).unwrap();
    world.kill(leader);
    let limit = expire + after + 1_000 + (expire + 2 * after) / 250 + election(&settings);
    let took = world.run_until(limit, |world| world.holder(at).is_some_and(|holder| holder != leader));
    assert!(took.is_some(), "L2: ticket {at} is not held elsewhere after {limit} ms\n{}", world.story());
}

/// L1: when a cut is healed that has outlasted every lease, the ticket is held within one election.
fn heal_a_cut(world: &mut World) {
    let mixed = world.hosts.iter().any(|host| host.wordless);
    if world.hosts.len() < 2 || mixed {
        return;
    }
    for host in 0..world.hosts.len() {
        world.isolate(host);
    }
    let bound = |at: usize| world.plan.tickets[at].expire.0 + world.plan.tickets[at].acquire_after.0;
    let longest = tickets(world).map(bound).max().unwrap_or(0);
    world.run(drifted(longest) + 1_000);
    let lively: Vec<usize> = tickets(world).filter(|at| is_lively(world, *at)).collect();
    for at in &lively {
        assert_eq!(world.holder(*at), None, "S4: ticket {at} is held without a majority\n{}", world.story());
    }
    world.heal();
    let limit = lively.iter().map(|at| election(&world.plan.tickets[*at])).max().unwrap_or(0);
    let took = world.run_until(limit, |world| lively.iter().all(|at| world.holder(*at).is_some()));
    assert!(took.is_some(), "L1: {lively:?} are not all held {limit} ms after the cut was healed\n{}", world.story());
}
