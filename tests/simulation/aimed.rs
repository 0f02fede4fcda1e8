//! Faults of several steps, each aimed at a rule that single faults at random hardly ever put to the test.

use crate::faults::mend_stores;
use crate::plan::is_livable;
use crate::world::{Dice, Net, World};
use booth_core::wire::Command;

/// Whoever is alone asks again all the time: longer leases than this, in milliseconds, would never end.
const LONGEST_LEASE: u64 = 600_000;

/// A ticket and the site that holds it, where that comes about while all members are at work and the network is whole.
fn holder(world: &mut World, dice: &mut Dice) -> Option<(usize, usize)> {
    let ticket = dice.roll(world.plan.tickets.len() as u64) as usize;
    let times = world.plan.tickets[ticket].clone();
    if world.is_exempt(ticket) || !is_livable(&times) || times.expire.0 > LONGEST_LEASE {
        return None;
    }
    world.heal();
    world.net = Net::GOOD;
    mend_stores(world);
    for host in 0..world.hosts.len() {
        if !world.is_up(host) {
            world.boot(host);
        } else if world.hosts[host].frozen {
            world.thaw(host);
        }
    }
    if world.holder(ticket).is_none() {
        let site = dice.roll(world.plan.sites as u64) as usize;
        // It may have stopped in the middle of a write that waited for it to be thawed.
        if world.hosts[site].runs() {
            world.ask(site, Command::ClientGrant, &times.name, 0);
        }
    }
    world.run_until(times.expire.0 + times.acquire_after.0.min(times.expire.0), |world| world.holder(ticket).is_some());
    Some((ticket, world.holder(ticket)?))
}

/// What the others answer to a leader comes late, and goes on coming when nothing of what it says reaches them any
/// more. What they have promised begins before that, and ends before it (S4); an answer to what they have heard is
/// none to what they have not (S5).
pub fn late_answers(world: &mut World, dice: &mut Dice) -> bool {
    let Some((ticket, leader)) = holder(world, dice) else { return false };
    let times = world.plan.tickets[ticket].clone();
    let late = dice.roll(times.expire.0 / 2);
    world.network.late = Some((leader, late));
    world.run(dice.roll(2 * times.renewal.0));
    for other in 0..world.hosts.len() {
        if other != leader {
            world.cut_one_way(leader, other);
        }
    }
    world.run(late + times.expire.0 + times.acquire_after.0.min(times.expire.0));
    world.network.late = None;
    true
}

/// All but the leader lose their memory while it is cut off, and an administrator asks one of them for the ticket:
/// they vote at once, and know of no lease; it is waited for (S6, S7).
pub fn others_forget(world: &mut World, dice: &mut Dice) -> bool {
    let Some((ticket, leader)) = holder(world, dice) else { return false };
    let (name, expire) = (world.plan.tickets[ticket].name.clone(), world.plan.tickets[ticket].expire.0);
    let asked = dice.roll(world.plan.sites as u64) as usize;
    world.isolate(leader);
    for host in 0..world.hosts.len() {
        if host != leader {
            world.kill_and_lose_journal(host);
            world.boot(host);
        }
    }
    world.run(dice.roll(expire / 4));
    if asked != leader && world.hosts[asked].runs() {
        world.ask(asked, Command::ClientGrant, &name, 0);
    }
    world.run(expire);
    true
}

/// One node of the leader's site dumps and boots again, then the other one crashes: that takes the daemon along, but
/// the first one runs all the while what the ticket guards (S13).
pub fn nodes_crash_in_turn(world: &mut World, dice: &mut Dice) -> bool {
    let Some((_, leader)) = holder(world, dice) else { return false };
    let ends_ms = world.crash(leader, 1);
    world.run(ends_ms.saturating_sub(world.now_ms) + 15_000);
    if world.is_up(leader) {
        world.crash(leader, 0);
    }
    world.run(30_000);
    true
}
