//! Limits of names given on the command line, with the reference's wording of what is wrong.
//!
//! Whoever parses arguments asks here, so that the daemon, the client and the configuration agree.

use super::diagnostic::Shown;
use std::fmt;

/// What a member says that finds none of its addresses in the configuration.
pub const CANNOT_FIND_MYSELF: &str = "Cannot find myself in the configuration";

/// An argument whose length is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Argument {
    /// `-s`.
    Site,
    /// `-t`, or the last argument.
    Ticket,
    /// `-c` without a slash.
    ConfigName,
    /// `-c` with a slash.
    ConfigFile,
    /// `-l`.
    LockFile,
    /// `name` in the configuration.
    ConfigurationName,
}

/// An argument is longer than the reference takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentTooLong {
    argument: Argument,
    value: String,
}

impl Argument {
    /// The greatest length in bytes. Texts name a limit one higher for short names, as the
    /// reference does, which counts a NUL there.
    pub fn max_length(self) -> usize {
        match self {
            Argument::Site | Argument::Ticket | Argument::ConfigurationName => 62,
            Argument::ConfigName => 4079,
            Argument::ConfigFile | Argument::LockFile => 4095,
        }
    }

    /// Whether the value is short enough.
    ///
    /// # Errors
    ///
    /// [`ArgumentTooLong`], which prints as the reference says it.
    pub fn check(self, value: &str) -> Result<(), ArgumentTooLong> {
        if value.len() <= self.max_length() {
            Ok(())
        } else {
            Err(ArgumentTooLong { argument: self, value: value.to_owned() })
        }
    }
}

impl std::error::Error for ArgumentTooLong {}

impl fmt::Display for ArgumentTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, named) = match self.argument {
            Argument::Site => ("site name", 63),
            Argument::Ticket => ("ticket name", 63),
            Argument::ConfigurationName => ("name", 63),
            Argument::ConfigName => ("config name", 4079),
            Argument::ConfigFile => ("config file", 4095),
            Argument::LockFile => ("lock file", 4095),
        };
        write!(f, "'{}' exceeds maximum {what} length of {named}", Shown(&self.value))
    }
}
