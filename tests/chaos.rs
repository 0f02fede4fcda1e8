//! Random faults under one seed: S0 and S1 are checked after every event by the world itself; when
//! the faults stop, a healed cluster must serve again (L1), keep what it has (L3) and survive a leader (L2).
//!
//! `BOOTH_SIM_SEED=N` replays one seed with its transcript, `BOOTH_SIM_SEEDS=N` sweeps the first N.
#![allow(clippy::unwrap_used)]

mod world;

use booth_core::settings::{Mode, TicketSettings};
use booth_core::time::Millis;
use booth_core::wire::{Command, Outcome};
use world::{Dice, Net, Plan, StoreHabit, World, ticket};

const DEFAULT_SEEDS: u64 = 150;
const LARGEST_STEP_US: i64 = 250_000_000;

/// One to seven members, one to three tickets.
fn plan(dice: &mut Dice, seed: u64) -> Plan {
    let sites = [1, 2, 2, 2, 3, 3, 4, 5][dice.roll(8) as usize];
    let arbitrators = dice.roll(4).min(7 - sites as u64) as usize;
    let tickets = (0..1 + dice.roll(3)).map(|at| any_ticket(dice, ["T", "U", "V"][at as usize])).collect();
    Plan { sites, arbitrators, tickets, key: dice.chance(700), seed, remember: dice.chance(500) }
}

fn any_ticket(dice: &mut Dice, name: &str) -> TicketSettings {
    let expire = [4_000, 10_000, 60_000][dice.roll(3) as usize];
    let after = [0, 1_000, 7_000, 40_000][dice.roll(4) as usize];
    let mut ticket = ticket(name, expire, after);
    ticket.before_acquire = dice.chance(200);
    ticket.retries = [3, 3, 5, 10][dice.roll(4) as usize];
    ticket.timeout = Millis((ticket.renewal.0 / (u64::from(ticket.retries) + 2)).min(1_000));
    if dice.chance(300) {
        ticket.weights = std::array::from_fn(|_| dice.roll(3) as i32);
    }
    if dice.chance(100) {
        ticket.mode = Mode::Manual;
    }
    ticket
}

fn fault(world: &mut World, dice: &mut Dice) {
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

fn stop_faults(world: &mut World) {
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

fn run(seed: u64, verbose: bool) -> World {
    let mut dice = Dice::new(seed ^ 0x5EED);
    let plan = plan(&mut dice, seed);
    let mut world = World::new(plan);
    world.verbose = verbose;
    let mixed = dice.chance(300);
    for host in 0..world.hosts.len() {
        world.set_drift(host, [-2_000, 2_000, dice.roll(4_000) as i64 - 2_000][dice.roll(3) as usize]);
        world.hosts[host].wordless = mixed && dice.chance(500);
    }
    world.run(2_000);
    for _ in 0..40 + dice.roll(60) {
        fault(&mut world, &mut dice);
        world.run(1 + dice.roll(9_000));
    }
    stop_faults(&mut world);
    // Forgetful members remember, stuck revokes are through, old messages are gone.
    let longest = world.plan.tickets.iter().map(|ticket| ticket.expire.0 + ticket.acquire_after.0).max().unwrap();
    world.run(3 * longest + 30_000);
    for at in 0..world.plan.tickets.len() {
        let name = world.plan.tickets[at].name.clone();
        if world.holder(at).is_none() && world.plan.tickets[at].mode == Mode::Automatic {
            let lost = world.wanted.contains(&at);
            assert!(!lost, "L1: ticket {at} was lost and nobody fights for it\nseed {seed}\n{}", tail(&world));
            let client = world.ask(0, Command::ClientGrant, &name, 0);
            let took = world.run_until(longest + 10_000, |world| world.holder(at).is_some());
            let answer = world.answer(client);
            assert!(took.is_some(), "L1: ticket {at} cannot be granted ({answer:?})\nseed {seed}\n{}", tail(&world));
            assert_ne!(answer, Some(Outcome::SyncFail), "seed {seed}");
        }
    }
    world.run(longest + 10_000);
    let waiting = world.waiting();
    assert!(waiting.is_empty(), "clients {waiting:?} were never answered\nseed {seed}\n{}", tail(&world));
    let holders: Vec<_> = (0..world.plan.tickets.len()).map(|at| world.holder(at)).collect();
    let grants = world.grants;
    world.run(3 * longest);
    let after: Vec<_> = (0..world.plan.tickets.len()).map(|at| world.holder(at)).collect();
    assert_eq!(holders, after, "L3: the ticket moved without a fault\nseed {seed}\n{}", tail(&world));
    assert_eq!(world.grants, grants, "L3: revoked without a fault\nseed {seed}\n{}", tail(&world));
    kill_a_leader(&mut world, &mut dice);
    world
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

#[test]
fn no_fault_gives_a_ticket_to_two_sites_s0() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    if let Some(seed) = number("BOOTH_SIM_SEED") {
        let world = run(seed, true);
        println!("{}", world.transcript.join("\n"));
        return;
    }
    let seeds = number("BOOTH_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS);
    let (mut events, mut grants) = (0, 0);
    for seed in 0..seeds {
        match std::panic::catch_unwind(|| run(seed, false)) {
            Ok(world) => {
                events += world.events;
                grants += world.grants;
            }
            Err(_) => {
                println!("seed {seed} failed; once more, with its transcript");
                run(seed, true);
                panic!("seed {seed} failed once and passed once: it does not replay");
            }
        }
    }
    println!("{seeds} seeds, {events} events, {grants} grants");
    assert!(grants > seeds, "a run in which nothing is granted shows nothing");
}
