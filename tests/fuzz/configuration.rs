//! Fuzz target: any bytes as a configuration. What must hold is said in `judge/`.
#![no_main]

#[path = "judge/configuration.rs"]
mod judge;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| judge::judge(bytes));
