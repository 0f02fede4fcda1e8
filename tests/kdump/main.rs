//! Listening for dumping nodes, from outside: our listener, our agent and `boothctl kdump`, and Debian's
//! `fence_kdump_send` and `fence_kdump` with each of them in every pairing.
//!
//! Traffic stays on loopback: each node is an address of 127.0.0.0/8. A plain message is also sent by the test
//! itself, from the address that it is to come from, so that most of this runs as any user and without Debian's
//! programs.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

#[path = "../fence_agents/mod.rs"]
mod fence_agents;
#[path = "../live/mod.rs"]
mod live;
#[path = "../patience/mod.rs"]
mod patience;
#[path = "../scratch/mod.rs"]
mod scratch;
#[path = "../sender/mod.rs"]
mod sender;

mod agent;
mod handover;
mod listener;
mod pairings;
mod place;
mod signed;
