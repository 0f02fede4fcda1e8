//! Fuzz target: any bytes as what a store has for a ticket. What must hold is said in `judge/`.
#![no_main]

#[path = "judge/store.rs"]
mod judge;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| judge::judge(bytes));
