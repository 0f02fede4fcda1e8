//! The shell around [`booth_core`]: everything that touches the outside.

pub mod config;
