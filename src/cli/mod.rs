//! The command line: one table of verbs and options ([`table`]) behind the parser ([`parse`]) and
//! the help texts ([`help`]).
//!
//! One executable answers to several names. Which program it is says its own name (`argv[0]`), or
//! else the first argument (`boothd geostore list`); which verb, the next one. What comes out of the
//! parser is complete and within its limits; whether the ticket or the site exists is for the
//! configuration to say.

pub mod console;
pub mod help;
pub mod parse;
pub mod run;
pub mod table;

use std::path::PathBuf;
use std::time::Duration;

/// Exit status: done.
pub const SUCCESS: u8 = 0;
/// Exit status: not done, and the message says why.
pub const FAILURE: u8 = 1;
/// Exit status of `status`: the daemon does not run (as for an init script or an OCF monitor).
pub const NOT_RUNNING: u8 = 7;

/// Exit status of `guard`: the daemon is there, but does not answer.
pub const SILENT: u8 = 3;
/// Exit status of `guard`: something that has run out may still be granted here.
pub const NOT_REVOKED: u8 = 4;

/// Exit status of `kdump wait`: not all nodes have been heard in time.
pub const TIMED_OUT: u8 = 5;

/// What `--version` prints behind the program's name.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The names that the executable answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `booth` and `boothd`: the daemon and its client.
    Booth,
    /// `geostore`: geo attributes.
    Geostore,
    /// `boothctl`: the client and what is ours.
    Boothctl,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// As which program.
    pub program: Program,
    /// What to do.
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Print the help text.
    Help,
    /// `client` with no command behind it: print the help text, but fail.
    HelpWanted,
    /// Print the version.
    Version,
    /// Be a member.
    Daemon(DaemonOptions),
    /// Tell whether the daemon runs.
    Status(StatusOptions),
    /// Print the running daemon's counters.
    Stats(StatusOptions),
    /// Revoke what a dead daemon has left granted.
    Guard(GuardOptions),
    /// Listen for dumping nodes.
    KdumpDaemon(DaemonOptions),
    /// Ask who listens for dumping nodes.
    Kdump(KdumpOptions),
    /// Ask a daemon.
    Client(Request),
    /// Check a configuration and print what was understood.
    Check {
        /// The file.
        config: PathBuf,
    },
    /// Show a ticket being granted, taken over and given up.
    Demo,
}

/// What the daemon is told on its command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonOptions {
    /// The configuration file.
    pub config: PathBuf,
    /// `-l`: the lock file, where it is not the usual one.
    pub lock_file: Option<PathBuf>,
    /// `-S`: stay in the foreground and log to stderr.
    pub foreground: bool,
    /// `-D`: how often it was given.
    pub debug: u8,
    /// `-s` (only with `-D`): the member's address to take as one's own.
    pub own_address: Option<String>,
}

/// What `status` and `stats` are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusOptions {
    /// The configuration file.
    pub config: PathBuf,
    /// `-l`: the lock file, where it is not the usual one.
    pub lock_file: Option<PathBuf>,
    /// `-D`: say on stderr why the daemon does not run.
    pub debug: bool,
}

/// What `guard` is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardOptions {
    /// The configuration file.
    pub config: PathBuf,
    /// `-l`: the lock file, where it is not the usual one.
    pub lock_file: Option<PathBuf>,
    /// `-w`: until the daemon answers, or nothing is left to guard.
    pub wait: bool,
}

/// What `kdump` is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KdumpOptions {
    /// `-c`: the configuration file of the listener; `None`: it has the usual port.
    pub config: Option<PathBuf>,
    /// `-l`: the listener's lock file.
    pub lock_file: Option<PathBuf>,
    /// What to ask.
    pub action: KdumpAction,
}

/// What to ask a listener for dumping nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KdumpAction {
    /// Whom it has heard.
    List,
    /// To tell when all these have been heard.
    Wait {
        /// Their names or addresses.
        nodes: Vec<String>,
        /// `-T`: for how long at most.
        timeout: Duration,
    },
}

/// A question to a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The configuration file.
    pub config: PathBuf,
    /// `-s`: address, name or `other`; without it, the member at this place.
    pub site: Option<String>,
    /// What to ask.
    pub action: Action,
}

/// What to ask a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The tickets.
    List,
    /// The other members.
    Peers,
    /// Grant a ticket.
    Grant {
        /// Which; `None`: the only one there is.
        ticket: Option<String>,
        /// `-F`: although not all sites can be asked.
        immediate: bool,
        /// `-w`: as long as it takes.
        wait: bool,
        /// `-C`: until the store has it.
        commit: bool,
    },
    /// Revoke a ticket.
    Revoke {
        /// Which; `None`: the only one there is.
        ticket: Option<String>,
        /// `-w`: as long as it takes.
        wait: bool,
    },
    /// Something about geo attributes.
    Attribute {
        /// Of which ticket; `None`: the only one there is.
        ticket: Option<String>,
        /// What.
        change: AttributeAction,
    },
}

/// What to do with geo attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeAction {
    /// Print all.
    List,
    /// Print one.
    Get {
        /// Its name.
        name: String,
    },
    /// Set one.
    Set {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// Remove one.
    Delete {
        /// Its name.
        name: String,
    },
}

impl Program {
    /// The name in help texts and messages.
    pub fn name(self) -> &'static str {
        match self {
            Program::Booth => "booth",
            Program::Geostore => "geostore",
            Program::Boothctl => "boothctl",
        }
    }

    /// The program of this name.
    pub fn named(name: &str) -> Option<Program> {
        match name {
            "booth" | "boothd" => Some(Program::Booth),
            "geostore" => Some(Program::Geostore),
            "boothctl" => Some(Program::Boothctl),
            _ => None,
        }
    }
}
