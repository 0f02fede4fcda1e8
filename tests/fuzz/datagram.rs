//! Fuzz target: any bytes as a datagram. What must hold is said in `judge/`.
#![no_main]

#[path = "judge/datagram.rs"]
mod judge;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| judge::judge(bytes));
