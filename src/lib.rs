//! The shell around [`booth_core`]: everything that touches the outside.

pub mod clock;
pub mod config;
pub mod entropy;
pub mod log;
pub mod process;
