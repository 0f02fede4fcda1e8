//! For each safety rule some deliberate breakages of the core, and that somebody notices them: a rule
//! whose removal nothing notices is not tested.
//!
//! The judges are built against a copy of the core that holds all mutants; the environment switches one
//! on. First all of them must pass with none. Costs minutes, so it is done where `BOOTH_LIVE_TESTS=require`
//! or `BOOTH_MUTANTS=all`; `BOOTH_MUTANTS=NAME,NAME` tries some. `BOOTH_MUTANTS=survey`, or `survey,NAME`, asks
//! every judge, whoever is known to notice (`BOOTH_SIM_SEEDS=N`: with so many seeds). That the table fits the
//! sources is always tested.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod crashes;
mod grants;
mod judge;
mod leases;
#[path = "../live/mod.rs"]
mod live;
mod liveness;
mod scratch;
mod stamps;
mod stores;
mod table;
mod votes;

use judge::{Judge, Verdict};
use scratch::Programs;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Mutex;
use std::time::Instant;
use table::{Edit, Mutant, edit, mutant};

/// Rules of which at least one mutant must be noticed by the simulator or the model checker.
const RULES: [&str; 13] = ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "S12", "S13"];
const LIVENESS: [&str; 3] = ["L1", "L2", "L3"];

fn all() -> Vec<&'static Mutant> {
    let tables = [
        votes::MUTANTS,
        leases::MUTANTS,
        grants::MUTANTS,
        stores::MUTANTS,
        stamps::MUTANTS,
        crashes::MUTANTS,
        liveness::MUTANTS,
    ];
    tables.into_iter().flatten().collect()
}

/// Says something past the test harness, which swallows what a passing test prints.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[test]
fn every_mutant_fits_the_sources() {
    let mutants = all();
    let mut complaints = Vec::new();
    let files: BTreeSet<_> = mutants.iter().flat_map(|mutant| mutant.edits).map(|edit| edit.file).collect();
    for file in files {
        let source = std::fs::read_to_string(scratch::core().join(file)).unwrap();
        complaints.extend(table::with_switches(&mutants, file, &source).err());
    }
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_rule_has_a_mutant_that_simulator_or_checker_finds() {
    let mutants = all();
    let names: BTreeSet<_> = mutants.iter().map(|mutant| mutant.name).collect();
    assert_eq!(names.len(), mutants.len(), "a name is used twice");
    for mutant in &mutants {
        assert!(RULES.contains(&mutant.rule) || LIVENESS.contains(&mutant.rule), "{}: {}", mutant.name, mutant.rule);
        assert!(!mutant.found_by.is_empty(), "{}: nobody is known to notice", mutant.name);
    }
    for rule in RULES {
        let shown = |mutant: &&Mutant| mutant.rule == rule && mutant.found_by.iter().any(|judge| judge.searches());
        assert!(mutants.iter().any(shown), "{rule} has no mutant that simulator or checker finds");
    }
}

/// The table of the rules in the documentation names the mutants of each in its last column.
#[test]
fn the_documentation_names_the_mutants_of_each_rule() {
    let text = std::fs::read_to_string(scratch::root().join("src/safety.rs")).unwrap();
    let mutants = all();
    let mut wrong = Vec::new();
    for rule in RULES.into_iter().chain(LIVENESS) {
        let row = text.lines().find(|line| line.starts_with(&format!("//! | **{rule}** ")));
        let row = row.unwrap_or_else(|| panic!("src/safety.rs has no row of {rule}"));
        let names: Vec<_> = mutants.iter().filter(|mutant| mutant.rule == rule).map(|mutant| mutant.name).collect();
        let (cells, _) = row.trim_end_matches(" |").rsplit_once(" | ").unwrap();
        let right = format!("{cells} | {} |", names.join(", "));
        if row != right {
            wrong.push(right);
        }
    }
    assert!(wrong.is_empty(), "src/safety.rs: these rows should be\n{}\n", wrong.join("\n"));
}

#[test]
fn a_text_is_replaced_behind_its_switch() {
    const MUTANTS: &[Mutant] = &[
        mutant("a", "S1", "", &[edit("x.rs", "b + c", "d")], &[]),
        mutant("b", "S1", "", &[edit("x.rs", "b + c", "e"), edit("x.rs", "if [[f()]] {", "g()")], &[]),
        mutant("c", "S1", "", &[edit("x.rs", "h();", "")], &[]),
    ];
    let mutants: Vec<_> = MUTANTS.iter().collect();
    let source = "let a = b + c;\nif f() {\n    h();\n}\n";
    let switched = "let a = (if crate::mutated(1) { d } else if crate::mutated(2) { e } else { b + c });\n\
                    if (if crate::mutated(2) { g() } else { f() }) {\n    if crate::mutated(3) {  } else { h(); }\n}\n";
    assert_eq!(table::with_switches(&mutants, "x.rs", source).unwrap(), switched);
    for stale in ["let a = b;", "b + c; b + c", ""] {
        assert!(table::with_switches(&mutants, "x.rs", stale).is_err(), "{stale}");
    }
    const OVERLAPPING: Edit = edit("x.rs", "let a = b + c;", "");
    const TWO: &[Mutant] =
        &[mutant("a", "S1", "", &[edit("x.rs", "b + c", "d")], &[]), mutant("b", "S1", "", &[OVERLAPPING], &[])];
    assert!(table::with_switches(&TWO.iter().collect::<Vec<_>>(), "x.rs", source).is_err());
}

#[test]
fn every_mutant_is_noticed() {
    let wanted = std::env::var("BOOTH_MUTANTS").unwrap_or_default();
    let required = std::env::var("BOOTH_LIVE_TESTS").as_deref() == Ok("require");
    let mutants = all();
    if wanted.is_empty() && !required {
        return say("SKIPPED every_mutant_is_noticed: it takes minutes; BOOTH_MUTANTS=all runs it");
    }
    let mut names: Vec<&str> = wanted.split(',').filter(|name| !["", "all"].contains(name)).collect();
    let survey = names.first() == Some(&"survey");
    names.retain(|name| *name != "survey");
    let named = names.iter().map(|name| (name, mutants.iter().position(|mutant| mutant.name == *name)));
    let named: Vec<usize> = named.map(|(name, at)| at.unwrap_or_else(|| panic!("there is no mutant {name}"))).collect();
    let chosen = if named.is_empty() { (0..mutants.len()).collect() } else { named };

    let start = Instant::now();
    let programs = scratch::build(&mutants).unwrap_or_else(|messages| panic!("does not build:\n{messages}"));
    say(&format!("built in {:.0} s", start.elapsed().as_secs_f64()));
    let asked: Vec<Judge> = match survey {
        true => surveyors(),
        false => chosen.iter().flat_map(|at| mutants[*at].found_by).copied().collect(),
    };
    for judge in distinct(&asked) {
        let Verdict { found, ended, output, .. } = judge.ask(&programs[judge.target()], &scratch::folder(), 0);
        assert!(found.is_none() && ended, "{judge:?} complains of the core as it is: {found:?}, {output:?}");
    }
    say(&format!("the core as it is passes after {:.0} s", start.elapsed().as_secs_f64()));

    let queue = Mutex::new(chosen.clone().into_iter());
    let survivors = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some(at) = queue.lock().unwrap().next() else { return };
            let (line, found) = try_one(mutants[at], at + 1, &programs, survey);
            say(&line);
            if !found {
                survivors.lock().unwrap().push(line);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let survivors = survivors.into_inner().unwrap();
    let (number, took) = (chosen.len(), start.elapsed().as_secs_f64());
    say(&format!("{number} mutants, {} not noticed by all who should, {took:.0} s", survivors.len()));
    assert!(survivors.is_empty(), "\n{}\n", survivors.join("\n"));
}

/// Each judge once.
fn distinct(judges: &[Judge]) -> Vec<Judge> {
    let first = |(at, judge): &(usize, &Judge)| !judges[..*at].contains(judge);
    judges.iter().enumerate().filter(first).map(|(_, judge)| *judge).collect()
}

/// All judges, the simulation with as many seeds as somebody wants.
fn surveyors() -> Vec<Judge> {
    let seeds = std::env::var("BOOTH_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    let wanted = |judge| match (judge, seeds) {
        (Judge::Simulation(_), Some(seeds)) => Judge::Simulation(seeds),
        (judge, _) => judge,
    };
    Judge::ALL.map(wanted).to_vec()
}

/// Asks about one mutant. Gives a line that tells of it, and whether all have noticed who should (in a
/// survey: whether anybody has).
fn try_one(mutant: &Mutant, number: usize, programs: &Programs, survey: bool) -> (String, bool) {
    let judges = if survey { surveyors() } else { mutant.found_by.to_vec() };
    let verdicts: Vec<Verdict> =
        judges.iter().map(|judge| judge.ask(&programs[judge.target()], &scratch::folder(), number)).collect();
    let told = |verdict: &Verdict| match (&verdict.found, verdict.reached) {
        (Some(found), _) => format!("{:?}: {found}", verdict.judge),
        (None, _) if !verdict.ended => format!("{:?}: NO END", verdict.judge),
        (None, true) => format!("{:?}: NOT NOTICED", verdict.judge),
        (None, false) => format!("{:?}: NEVER REACHED", verdict.judge),
    };
    let all: Vec<_> = verdicts.iter().map(told).collect();
    let noticed = verdicts.iter().filter(|verdict| verdict.found.is_some()).count();
    let enough = if survey { noticed > 0 } else { noticed == verdicts.len() };
    (format!("{} {} ({}): {}", mutant.rule, mutant.name, mutant.breaks, all.join("; ")), enough)
}
