//! The fuzz targets without a fuzzer: recorded traffic, cut and mutated by a fixed sequence of random
//! numbers, and random scripts of inputs go before the same judges as in `tests/fuzz/`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "fuzz/judge/datagram.rs"]
mod datagram;
#[path = "fuzz/judge/step.rs"]
mod step;

use std::fs;
use std::path::Path;

/// Random numbers that are the same in each run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

fn recorded() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut messages = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        for line in fs::read_to_string(file.unwrap().path()).unwrap().lines() {
            let packet: serde_json::Value = serde_json::from_str(line).unwrap();
            let Some(hex) = packet["hex"].as_str() else { continue };
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            messages.push((0..hex.len()).step_by(2).map(byte).collect());
        }
    }
    assert!(messages.len() > 100, "only {} recorded messages were found", messages.len());
    messages
}

#[test]
fn no_mutation_of_recorded_traffic_breaks_the_parser() {
    let messages = recorded();
    let mut random = Random(1);
    for message in &messages {
        datagram::judge(message);
    }
    for cut in 0..messages[0].len() {
        datagram::judge(&messages[0][..cut]);
    }
    for _ in 0..20_000 {
        let mut message = messages[random.below(messages.len())].clone();
        for _ in 0..=random.below(4) {
            let at = random.below(message.len());
            message[at] = [0, 1, 0x7F, 0x80, 0xFF, random.below(256) as u8][random.below(6)];
        }
        datagram::judge(&message);
    }
}

#[test]
fn no_script_of_inputs_breaks_the_node() {
    let mut random = Random(2);
    for _ in 0..3_000 {
        let script: Vec<u8> = (0..random.below(1_000)).map(|_| random.below(256) as u8).collect();
        step::judge(&script);
    }
}
