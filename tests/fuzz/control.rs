//! Fuzz target: a script of clients on the control socket. What must hold is said in `judge/`.
#![no_main]

#[path = "judge/control.rs"]
mod judge;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| judge::judge(bytes));
