//! Fuzz target: any bytes on a client's connection, cut anyhow. What must hold is said in `judge/`.
#![no_main]

#[path = "../fixture/mod.rs"]
mod fixture;
#[path = "judge/client.rs"]
mod judge;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| judge::judge(bytes));
