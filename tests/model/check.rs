//! Walks through all worlds, and shows that a world that must break does.
//!
//! ```sh
//! cargo test --manifest-path tests/model/Cargo.toml            # each world to the depth that it names
//! BOOTH_MODEL_DEPTH=12 cargo test --manifest-path tests/model/Cargo.toml failover
//! ```
//! `BOOTH_MODEL_DEPTH=N` looks N actions deep into every world that is walked through: some three times
//! as many states for each action more. Printed for each world: depth, states, time, after how many
//! actions each goal was reached. A rule that is broken fails the test with a message that begins with
//! its name and tells the shortest way there.

use booth_model::cluster::{Cluster, State};
use booth_model::story;
use booth_model::worlds::{self, World};
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::io::Write;
use std::time::Instant;

/// Walks through a world, down to `depth`; tells each discovery and the way to it.
fn walk(world: World, depth: usize, until: HasDiscoveries) -> Vec<(&'static str, String)> {
    let (name, start) = (world.name, Instant::now());
    // The checker counts states, not actions, and does not look at those of the last level.
    let checker = Cluster::new(world).checker().target_max_depth(depth + 2).finish_when(until).spawn_bfs().join();
    let (states, visits) = (checker.unique_state_count(), checker.state_count());
    let mut reached = String::new();
    let mut told = Vec::new();
    for (what, path) in checker.discoveries() {
        let actions = path.into_actions();
        reached.push_str(&format!("; {what} after {}", actions.len()));
        told.push((what, story::tell(checker.model(), &actions)));
    }
    told.sort();
    let seconds = start.elapsed().as_secs_f64();
    // Not println: the figures are to be seen of tests that pass as well.
    let line =
        format!("{name}: within depth {depth}: {states} states, {visits} ways to them, {seconds:.1} s{reached}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    told
}

/// All rules hold in this world, and all that it must reach is reached.
fn explore(world: World) {
    let wanted = world.depth;
    let depth = std::env::var("BOOTH_MODEL_DEPTH").map_or(wanted, |depth| depth.parse().expect("BOOTH_MODEL_DEPTH"));
    let goals = Cluster::new(world.clone()).properties();
    let found = walk(world, depth, HasDiscoveries::AnyFailures);
    for property in goals {
        let story = found.iter().find(|(name, _)| *name == property.name).map(|(_, story)| story);
        match (property.expectation, story) {
            (Expectation::Always, Some(story)) => panic!("{}: broken, as follows.\n{story}\n", property.name),
            (Expectation::Sometimes, None) if depth >= wanted => panic!("never: {}", property.name),
            _ => {}
        }
    }
}

#[test]
fn two_grants() {
    explore(worlds::TWO_GRANTS);
}

#[test]
fn grant() {
    explore(worlds::GRANT);
}

#[test]
fn no_memory() {
    explore(worlds::NO_MEMORY);
}

#[test]
fn failover() {
    explore(worlds::FAILOVER);
}

#[test]
fn failover_late() {
    explore(worlds::FAILOVER_LATE);
}

#[test]
fn failover_held_back() {
    explore(worlds::FAILOVER_HELD_BACK);
}

#[test]
fn renewed_late() {
    explore(worlds::RENEWED_LATE);
}

#[test]
fn stale_answer() {
    explore(worlds::STALE_ANSWER);
}

#[test]
fn revoke_and_grant() {
    explore(worlds::MOVE);
}

#[test]
fn revoke_and_grant_late() {
    explore(worlds::MOVE_LATE);
}

#[test]
fn restart() {
    explore(worlds::RESTART);
}

#[test]
fn backer() {
    explore(worlds::BACKER);
}

#[test]
fn slow_store() {
    explore(worlds::SLOW_STORE);
}

#[test]
fn slow_store_killed() {
    explore(worlds::SLOW_STORE_KILLED);
}

/// The checker can fail: where a member's journal has forgotten its vote and its promise and claims to be
/// whole, that member votes twice in a term (S1), against its promise (S2), and two sites hold the ticket (S0).
#[test]
fn a_journal_that_has_forgotten_and_does_not_know_it_breaks_s0_and_s1() {
    let both = HasDiscoveries::AllOf(["S0", "S1", "S2"].into());
    let found = walk(worlds::FORGED, worlds::FORGED.depth, both);
    let story = |rule: &str| &found.iter().find(|(name, _)| *name == rule).unwrap_or_else(|| panic!("{rule}")).1;
    assert!(story("S0").contains("S0 is broken: site1 and site2 hold the ticket"), "{}", story("S0"));
    assert!(story("S1").contains("S1 is broken: a second vote in term 1"), "{}", story("S1"));
    assert!(story("S2").contains("in spite of the promise to site1"), "{}", story("S2"));
    println!("{}", story("S0"));
}

/// A state is what the checker says it is: the same actions lead to an equal state.
#[test]
fn the_same_way_leads_to_the_same_state() {
    let cluster = Cluster::new(worlds::RESTART);
    let mut state = cluster.init_states().remove(0);
    let again = Cluster::new(worlds::RESTART);
    let mut twin: State = again.init_states().remove(0);
    for turn in 0..40 {
        let mut actions = Vec::new();
        cluster.actions(&state, &mut actions);
        let Some(action) = actions.get(turn * 7 % actions.len().max(1)).copied() else { break };
        state = cluster.next_state(&state, action).unwrap();
        twin = again.next_state(&twin, action).unwrap();
        assert!(state == twin, "after {action:?}");
    }
}
