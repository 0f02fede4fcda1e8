//! The fuzz targets without a fuzzer: the seeds of each, cut and mutated by a fixed sequence of random
//! numbers, go before the same judges as in `tests/fuzz/`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "fuzz/judge/client.rs"]
mod client;
#[path = "fuzz/judge/configuration.rs"]
mod configuration;
#[path = "fuzz/judge/control.rs"]
mod control;
#[path = "fuzz/judge/datagram.rs"]
mod datagram;
mod fixture;
#[path = "fuzz/judge/journal.rs"]
mod journal;
#[path = "fuzz/judge/kdump.rs"]
mod kdump;
#[path = "fuzz/seeds.rs"]
mod seeds;
#[path = "fuzz/judge/step.rs"]
mod step;
#[path = "fuzz/judge/store.rs"]
mod store;

use seeds::Random;
use std::path::Path;

/// All seeds of a target, the first of them cut everywhere, and so many mutations of any of them.
fn try_all(target: &str, judge: fn(&[u8]), mutations: usize) {
    let seeds = seeds::seeds(Path::new(env!("CARGO_MANIFEST_DIR")), target);
    for seed in &seeds {
        judge(seed);
    }
    let longest = seeds.iter().max_by_key(|seed| seed.len()).unwrap();
    for cut in (0..longest.len()).step_by(1 + longest.len() / 400) {
        judge(&longest[..cut]);
    }
    let mut random = Random(1);
    for _ in 0..mutations {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        mutate(&mut bytes, &seeds[random.below(seeds.len())], &mut random);
        judge(&bytes);
    }
}

/// Changes some bytes, or puts a piece of another seed in.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        match random.below(6) {
            0 => bytes.truncate(at),
            1 if !other.is_empty() => {
                let from = random.below(other.len());
                let to = from + random.below(other.len() - from);
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let value = [0, 1, 0x7F, 0x80, 0xFF, random.below(256) as u8][random.below(6)];
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
        }
    }
}

#[test]
fn no_mutation_of_recorded_traffic_breaks_the_parser() {
    try_all("datagram", datagram::judge, 20_000);
}

#[test]
fn no_script_of_inputs_breaks_the_node() {
    try_all("step", step::judge, 4_000);
}

#[test]
fn no_stream_of_a_client_is_taken_for_two_things() {
    try_all("client", client::judge, 3_000);
}

#[test]
fn no_clients_of_the_control_socket_hinder_each_other() {
    try_all("control", control::judge, 1_000);
}

#[test]
fn no_text_breaks_the_configuration() {
    try_all("configuration", configuration::judge, 3_000);
}

#[test]
fn no_damage_makes_a_journal_lie() {
    try_all("journal", journal::judge, 1_000);
}

#[test]
fn no_text_of_a_store_is_taken_for_a_grant() {
    try_all("store", store::judge, 5_000);
}

#[test]
fn no_datagram_passes_for_a_dump_that_is_none() {
    try_all("kdump", kdump::judge, 5_000);
}

/// `tests/fuzz/run` runs what is declared, and what is declared has seeds.
#[test]
fn every_target_is_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let text = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    assert!(text("run").contains(&format!("targets=({})", seeds::TARGETS.join(" "))));
    for target in seeds::TARGETS {
        assert!(text("Cargo.toml").contains(&format!("name = \"{target}\"")), "{target}");
        assert!(text(&format!("{target}.rs")).contains(&format!("judge/{target}.rs")), "{target}");
    }
    let declared = text("Cargo.toml").matches("[[bin]]").count();
    assert_eq!(declared, seeds::TARGETS.len(), "a target is not run");
}
