//! The shell around [`booth_core`]: everything that touches the outside.

pub mod child;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod control;
pub mod counters;
pub mod daemon;
pub mod demo;
pub mod entropy;
pub mod event_loop;
pub mod handler;
pub mod journal;
pub mod log;
pub mod log_lines;
pub mod net;
pub mod outbox;
pub mod process;
pub mod store;
pub mod text;
