//! `boothd` from outside: bad input of every kind leaves it serving, and a bad start leaves nothing.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_start;
mod clients;
mod datagrams;
mod disk;
mod dumping;
mod journal;
#[path = "../live/mod.rs"]
mod live;
#[path = "../patience/mod.rs"]
mod patience;
mod process;
mod running;
#[path = "../scratch/mod.rs"]
mod scratch;
mod store;
mod stuck_revoke;
mod support;
