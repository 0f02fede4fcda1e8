//! The crash kernel's sender, `fence_kdump_send`, looked at from outside: an ordinary process whose messages
//! reach a socket of the test or Debian's agent.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod command_line;
#[path = "../fence_agents/mod.rs"]
mod fence_agents;
mod host;
#[path = "../live/mod.rs"]
mod live;
mod messages;
mod names;
mod network;
mod original;
#[path = "../patience/mod.rs"]
mod patience;
#[path = "../scratch/mod.rs"]
mod scratch;
#[path = "../sender/mod.rs"]
mod sender;
mod size;
