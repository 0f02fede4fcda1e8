//! What lies between `exec` and the event loop, in the order in which a daemon calls it:
//!
//! 1. [`descriptors`]: nothing inherited stays open.
//! 2. [`interfaces`]: which member am I.
//! 3. [`privileges::Account::resolve`]: names become numbers while the name service can be asked.
//! 4. [`detach`]: without `-S`, a child goes on and the parent waits for its word.
//! 5. [`lockfile`]: one daemon a configuration.
//! 6. [`memory`], [`privileges`]: memory, scheduling and the OOM killer; then root is given up.
//! 7. [`title`]: what `ps` shows.
//! 8. [`notify`]: the service manager learns that the sockets are bound.
//!
//! Steps 1 to 4 run while the process has one thread. Errors are worded for people and name the value,
//! what was expected and what to do.

mod account;
pub mod descriptors;
pub mod detach;
pub mod interfaces;
pub mod lockfile;
pub mod memory;
pub mod notify;
pub mod privileges;
pub mod title;

use std::{fmt, io};

/// Why the process cannot start, in words for people: the value, what was expected, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError(pub String);

impl StartError {
    /// What was tried, and what the system said.
    pub(crate) fn system(tried: &dyn fmt::Display, error: impl Into<io::Error>) -> StartError {
        let error: io::Error = error.into();
        StartError(format!("{tried}: {error}"))
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}
