//! Random faults under one seed: the world checks the safety rules after every event; when the faults stop, a healed
//! cluster must serve again (L1), keep what it has (L3) and survive a leader (L2).
//!
//! Everything follows from the seed. What a run is made of is in `plan`, what goes wrong in `faults`, what must come
//! about afterwards in `ends`; the members, clocks, network, stores and disks are those of `world`.
//!
//! | variable | |
//! | --- | --- |
//! | `BOOTH_SIM_SEED=N` | replays seed N and prints its transcript |
//! | `BOOTH_SIM_SEEDS=N` | sweeps N seeds and stops at the first that fails, which is replayed with its transcript |
//! | `BOOTH_SIM_FIRST=N` | the first seed of a sweep, so that it can be split over cores |
//! | `BOOTH_SIM_COUNT=1` | does not stop: counts the seeds that fail, by the rule that was broken first |
//!
//! A million seeds, two cores:
//!
//! ```text
//! cargo test --profile sweep --test simulation --no-run
//! for first in 0 500000; do
//!   BOOTH_SIM_FIRST=$first BOOTH_SIM_SEEDS=500000 cargo test --profile sweep --test simulation sweep -- --nocapture &
//! done; wait
//! ```
#![allow(clippy::unwrap_used)]

mod world;

#[path = "simulation/aimed.rs"]
mod aimed;
#[path = "simulation/ends.rs"]
mod ends;
#[path = "simulation/faults.rs"]
mod faults;
#[path = "simulation/plan.rs"]
mod plan;

use faults::Tally;
use nix::time::ClockId;
use plan::Told;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::time::Duration;
use world::{Dice, World};

/// What a plain `cargo test` sweeps: some seconds without optimisation.
const DEFAULT_SEEDS: u64 = 100;
/// A sweep of so many seeds has met every kind of fault.
const THOROUGH: u64 = 100;
/// A run has so many events before the faults stop, and so many faults at most.
const EVENTS: (u64, u64) = (400, 1_600);
const MOST_FAULTS: u64 = 100;
/// A store that fails is asked again every few seconds: not for days.
const LONG_PAUSE_MS: u64 = 300_000;

fn run(seed: u64, told: Told, tally: &mut Tally) -> World {
    let mut dice = Dice::new(seed ^ 0x5EED);
    let mut world = plan::world(&mut dice, seed, told);
    // Without a key there are no stamps, and an answer of a peer that speaks as the reference passes for one to what
    // was said more than `expire` later (S5): a limit that `booth::safety` names.
    world.mixed = dice.chance(300) && world.plan.key;
    for host in 0..world.hosts.len() {
        world.hosts[host].wordless = world.mixed && dice.chance(500);
    }
    plan::describe(&mut world);
    world.run(2_000);
    let enough = dice.between(EVENTS.0, EVENTS.1);
    let longest = world.plan.tickets.iter().map(|ticket| ticket.expire.0).max().unwrap();
    for _ in 0..MOST_FAULTS {
        faults::strike(&mut world, &mut dice, tally);
        let most = if dice.chance(800) { longest.min(9_000) } else { longest };
        let pause = dice.roll(most);
        if pause > LONG_PAUSE_MS {
            faults::mend_stores(&mut world);
        }
        world.run(1 + pause);
        if world.events >= enough {
            break;
        }
    }
    faults::stop(&mut world);
    ends::check(&mut world, &mut dice);
    world
}

/// What a sweep adds up.
#[derive(Default)]
struct Sum {
    seeds: u64,
    events: u64,
    grants: u64,
    busiest: (u64, u64),
    tally: Tally,
    /// Seeds that failed, by the rule that their panic names first.
    failed: BTreeMap<String, u64>,
}

impl Sum {
    /// Runs a seed; gives what it died of.
    fn add(&mut self, seed: u64) -> Option<String> {
        self.seeds += 1;
        let tally = &mut self.tally;
        match quietly(|| run(seed, Told::Nothing, tally)) {
            Ok(world) => {
                self.events += world.events;
                self.grants += world.grants;
                self.busiest = self.busiest.max((world.events, seed));
                None
            }
            Err(cause) => Some(cause),
        }
    }

    fn note_failure(&mut self, cause: &str) {
        let rule = cause.split(':').next().filter(|rule| rule.len() <= 3).unwrap_or("other");
        *self.failed.entry(rule.to_owned()).or_default() += 1;
    }

    fn print(&self, seconds: f64) {
        let Sum { seeds, events, grants, busiest: (most, busiest), .. } = self;
        let rate = *events as f64 / seconds;
        println!(
            "{seeds} seeds, {events} events in {seconds:.1} s: {rate:.0} a second, at most {most} (seed {busiest})"
        );
        println!("{grants} grants, {} faults: {}", self.tally.total(), self.tally.words());
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Does something that may panic, and prints nothing about it. Gives the first line of the panic's message.
fn quietly<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                loud(info);
            }
        }));
    });
    QUIET.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(act));
    QUIET.set(false);
    result.map_err(|cause| {
        let text = cause.downcast_ref::<String>().map(String::as_str).or(cause.downcast_ref::<&str>().copied());
        text.and_then(|text| text.lines().next()).unwrap_or_default().to_owned()
    })
}

/// What this thread has had of a processor: others may need them too.
fn processor_time() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().unwrap().into()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number")))
}

#[test]
fn sweep_no_fault_breaks_a_rule() {
    if let Some(seed) = number("BOOTH_SIM_SEED") {
        run(seed, Told::AtOnce, &mut Tally::default());
        return;
    }
    let first = number("BOOTH_SIM_FIRST").unwrap_or(0);
    let seeds = number("BOOTH_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS);
    let count = number("BOOTH_SIM_COUNT").is_some_and(|count| count > 0);
    let mut sum = Sum::default();
    let start = processor_time();
    for seed in first..first + seeds {
        let Some(cause) = sum.add(seed) else { continue };
        if !count {
            println!("seed {seed} failed ({cause}); once more, with its transcript");
            run(seed, Told::AtOnce, &mut Tally::default());
            panic!("seed {seed} failed once and passed once: it does not replay");
        }
        println!("seed {seed}: {cause}");
        sum.note_failure(&cause);
    }
    sum.print((processor_time() - start).as_secs_f64());
    if count {
        let rules: Vec<String> = sum.failed.iter().map(|(rule, count)| format!("{rule} {count}")).collect();
        println!("failed {} of {seeds}: {}", sum.failed.values().sum::<u64>(), rules.join(", "));
        return;
    }
    assert!(sum.grants > seeds, "a run in which nothing is granted shows nothing");
    let missing = sum.tally.missing();
    assert!(seeds < THOROUGH || missing.is_empty(), "in all of {seeds} runs none was ever {missing:?}");
}

#[test]
fn a_seed_replays_exactly() {
    let mut lines = 0;
    for seed in [1, 7, 23] {
        let transcript = || run(seed, Told::Transcript, &mut Tally::default()).transcript;
        let (first, second) = (transcript(), transcript());
        lines += first.len();
        assert!(first == second, "seed {seed}: {:?}", first.iter().zip(&second).find(|(a, b)| a != b));
    }
    assert!(lines > 200, "{lines} lines");
}

/// The simulator would see a ticket at two sites: a store that says "granted" without having been asked.
#[test]
fn a_store_that_lies_is_seen_s0() {
    let mut seen = 0;
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let mut world = plan::world(&mut dice, seed, Told::Transcript);
        if world.plan.sites < 2 || !plan::is_livable(&world.plan.tickets[0]) {
            continue;
        }
        let name = world.plan.tickets[0].name.clone();
        world.run(2_000);
        world.grant(0, &name);
        let limit = 4 * world.plan.tickets[0].expire.0 + 4 * world.plan.tickets[0].acquire_after.0 + 10_000;
        let held = world.run_until(limit, |world| world.holder(0) == Some(0));
        if held.is_none() || world.is_exempt(0) {
            continue;
        }
        world.run(100);
        let cause = quietly(|| world.lie(1, 0)).unwrap_err();
        assert!(cause.starts_with("S0: ticket 0 is held by Some(0) and Some(1)"), "{cause}");
        seen += 1;
    }
    assert!(seen >= 5, "{seen}");
}
