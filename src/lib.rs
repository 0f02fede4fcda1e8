//! The shell around [`booth_core`]: everything that touches the outside.

pub mod child;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod demo;
pub mod entropy;
pub mod handler;
pub mod journal;
pub mod log;
pub mod process;
pub mod store;
