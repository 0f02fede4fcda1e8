//! What goes wrong in a run, and how it stops.

use crate::world::{Dice, Net, StoreHabit, World};
use booth_core::wire::Command;

const LARGEST_STEP_US: i64 = 250_000_000;

pub fn fault(world: &mut World, dice: &mut Dice) {
    let hosts = world.hosts.len() as u64;
    let (a, b) = (dice.roll(hosts) as usize, dice.roll(hosts) as usize);
    let up = world.is_up(a);
    let name = world.plan.tickets[dice.roll(world.plan.tickets.len() as u64) as usize].name.clone();
    let site = dice.roll(world.plan.sites as u64) as usize;
    match dice.roll(24) {
        0 => world.isolate(a),
        1 if a != b => world.cut(a, b),
        2 if a != b => world.cut_one_way(a, b),
        3..=5 => world.heal(),
        6 if up => world.kill(a),
        7 if up && dice.chance(300) => world.kill_and_lose_journal(a),
        8 | 9 if !up => world.boot(a),
        10 if up => world.freeze(a),
        11 | 12 if up && world.hosts[a].frozen => world.thaw(a),
        13 => {
            let fails = if dice.chance(500) { dice.roll(900) } else { 0 };
            let habit = StoreHabit { delay_ms: 1 + dice.roll(400), fails_per_mille: fails, hangs: dice.chance(200) };
            world.hosts[site].habit = habit;
        }
        14 => {
            world.hosts[site].handler_passes = dice.chance(700);
            world.hosts[site].handler_hangs = dice.chance(300);
        }
        15 if !world.plan.key || dice.chance(500) => {
            world.hosts[a].wall_step_us = dice.roll(2 * LARGEST_STEP_US as u64) as i64 - LARGEST_STEP_US
        }
        16 => world.hosts[a].journal_fails = dice.chance(300),
        17 if world.is_up(site) && !world.hosts[site].frozen => {
            world.ask(site, Command::ClientRevoke, &name, 0);
        }
        18 | 19 if world.is_up(site) && !world.hosts[site].frozen => {
            let options = [0, 2, 4][dice.roll(3) as usize] + u32::from(dice.chance(50));
            world.ask(site, Command::ClientGrant, &name, options);
        }
        20 => {
            if let Some(client) = world.waiting().first() {
                world.hang_up(*client);
            }
        }
        21 if up => {
            // At any moment, in the middle of whatever goes on.
            world.kill(a);
            world.run(dice.roll(30));
            world.boot(a);
        }
        22 => {
            // Only arbitrators are left, or only sites.
            let arbitrators = dice.chance(500);
            for host in 0..world.hosts.len() {
                if (host >= world.plan.sites) != arbitrators && world.is_up(host) {
                    world.kill(host);
                }
            }
        }
        23 => world.hosts[a].wordless = !world.hosts[a].wordless && world.plan.key && dice.chance(300),
        _ => {
            world.net = Net {
                loss_per_mille: [0, 50, 300][dice.roll(3) as usize],
                copies_per_mille: [0, 100][dice.roll(2) as usize],
                least_delay_ms: 1,
                most_delay_ms: [1, 2, 50, 3_000][dice.roll(4) as usize],
            };
        }
    }
}

pub fn stop_faults(world: &mut World) {
    world.heal();
    world.net = Net { loss_per_mille: 0, copies_per_mille: 0, least_delay_ms: 1, most_delay_ms: 3 };
    for host in 0..world.hosts.len() {
        world.hosts[host].journal_fails = false;
        // A clock that was set back while the journal was lost cuts a member off until it has caught up.
        world.hosts[host].wall_step_us = LARGEST_STEP_US;
        world.hosts[host].handler_passes = true;
        world.hosts[host].handler_hangs = false;
        world.hosts[host].habit = StoreHabit { delay_ms: 20, fails_per_mille: 0, hangs: false };
        if !world.is_up(host) {
            world.boot(host);
        } else if world.hosts[host].frozen {
            world.thaw(host);
        }
    }
}
