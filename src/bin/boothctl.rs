//! `boothctl`: argument parsing and a call, no more.

fn main() {}
