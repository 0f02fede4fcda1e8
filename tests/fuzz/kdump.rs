//! Fuzz target: datagrams of dumping nodes, and those who wait for them. What must hold is said in `judge/`.
#![no_main]

#[path = "judge/kdump.rs"]
mod judge;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| judge::judge(bytes));
