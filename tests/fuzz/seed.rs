//! Writes the seeds of a fuzz target into a folder: `cargo run --example seed -- TARGET FOLDER`. An example
//! of the program's own package, for whatever is built with the fuzz targets is built for libFuzzer.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

#[path = "judge/journal.rs"]
mod journal;
mod seeds;

use std::path::Path;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [target, folder] = &arguments[..] else { panic!("expected TARGET FOLDER") };
    for (at, seed) in seeds::seeds(Path::new(env!("CARGO_MANIFEST_DIR")), target).iter().enumerate() {
        std::fs::write(Path::new(folder).join(format!("seed-{at}")), seed).expect("a folder to write to");
    }
}
