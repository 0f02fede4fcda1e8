//! One member of three, what it hears and what it does about it, message by message: for what a rule asks of
//! a single member, and what a cluster comes by once in a million faults.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod crash;
#[path = "../fixture/mod.rs"]
mod fixture;
mod leases;
mod member;
mod release;
mod stamps;
mod stores;
mod votes;
