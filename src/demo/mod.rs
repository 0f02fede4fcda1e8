//! `boothctl demo`: a ticket is granted, taken over, given up and held again, before your eyes.
//!
//! Two sites and an arbitrator run as real daemons on loopback addresses, with stores and journals in
//! a temporary directory. What is printed is what the stores say, read every few milliseconds, and the
//! end checks that no two sites ever held the ticket at once. Needs neither root nor packages, takes
//! less than a minute, and leaves nothing behind.

mod cluster;
mod leftovers;
mod observer;
mod screen;
mod store_file;
mod story;
mod timeline;

use crate::cli::console::Console;
use crate::cli::{FAILURE, SUCCESS};
use screen::Screen;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The ticket.
const TICKET: &str = "demo";
/// Its `expire`.
const EXPIRE: Duration = Duration::from_secs(5);
/// Its `acquire-after`.
const ACQUIRE_AFTER: Duration = Duration::from_secs(1);
/// Its `timeout`.
const TIMEOUT: Duration = Duration::from_millis(500);
/// Its `retries`.
const RETRIES: u32 = 3;
/// How long the whole may take; then something is wrong.
const LONGEST: Duration = Duration::from_secs(55);
/// Exit status after Ctrl-C, as a shell gives it.
const INTERRUPTED: u8 = 130;

/// Why the demo ended early.
#[derive(Debug)]
enum Failure {
    /// Ctrl-C, or whoever read the output has gone.
    Interrupted,
    /// Something could not be set up.
    Setup { what: String, error: io::Error },
    /// What was expected did not come in time.
    Overdue { what: String, limit: Duration },
    /// A daemon has ended by itself.
    DaemonEnded { label: &'static str, status: String },
    /// The client has failed.
    Client { command: String, words: String },
    /// A store could not be understood.
    Store { path: PathBuf, reason: String },
}

/// Runs the demo; exit status 0 when all went as told and no two sites held the ticket at once.
pub fn run(console: &Console) -> u8 {
    let mut screen = Screen::new(console.is_terminal());
    match leftovers::while_cleaning_up(|interrupted| story::tell(&mut screen, interrupted)) {
        Ok(verdict) if verdict.holds() => SUCCESS,
        Ok(_) => FAILURE,
        Err(Failure::Interrupted) => {
            console.plain("\ninterrupted; the daemons are stopped and nothing is left behind");
            INTERRUPTED
        }
        Err(failure) => {
            console.error(&failure.to_string());
            FAILURE
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Interrupted => f.write_str("interrupted"),
            Failure::Setup { what, error } => write!(f, "{what}: {error}"),
            Failure::Overdue { what, limit } => {
                write!(f, "expected within {:.1} s, and it did not come: {what}", limit.as_secs_f64())
            }
            Failure::DaemonEnded { label, status } => write!(f, "{label} has ended by itself ({status})"),
            Failure::Client { command, words } => write!(f, "{command}: {words}"),
            Failure::Store { path, reason } => write!(f, "{}: {reason}", path.display()),
        }
    }
}

fn setup(what: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
    let what = what.into();
    move |error| Failure::Setup { what, error }
}
