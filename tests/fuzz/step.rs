//! Fuzz target: the bytes are a script of inputs for a node. What must hold is said in `judge/`.
#![no_main]

#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "judge/step.rs"]
mod judge;

libfuzzer_sys::fuzz_target!(|script: &[u8]| judge::judge(script));
