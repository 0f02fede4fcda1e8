//! `status`: does the daemon run here? Init scripts and resource agents ask it.
//!
//! `booth` prints the reference's one line. `boothctl` adds what the daemon says of its tickets over
//! its control socket, to those who may ask there.

use super::configuration;
use crate::cli::console::Console;
use crate::cli::{FAILURE, NOT_RUNNING, Program, StatusOptions};
use crate::control;
use crate::process::lockfile::{self, Inspection};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long the daemon may take to answer; it is on this machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes: some hundred for each of the most tickets.
const MAX_ANSWER: u64 = 4 * 1024 * 1024;

/// Prints one line when the daemon runs, and as `boothctl` the state of its tickets.
///
/// Exit status 0: it runs; 7: it does not; 1: the configuration or the lock file cannot be read.
pub fn status(program: Program, options: &StatusOptions) -> u8 {
    let console = Console::new(program);
    let Some(config) = configuration(&console, &options.config) else { return FAILURE };
    let path = options.lock_file.clone().unwrap_or_else(|| lockfile::default_path(&config.name));
    match lockfile::inspect(&path) {
        Ok(Inspection::Running { pid, line }) => {
            let status = console.print(&format!("{}\n", lockfile::status_line(pid, &path, &line)));
            if program == Program::Boothctl {
                print_tickets(&console, &control::path_beside(&path));
            }
            status
        }
        Ok(Inspection::NotRunning) => {
            if options.debug {
                console.info(&format!("not running: nobody holds the lock file {}", path.display()));
            }
            NOT_RUNNING
        }
        Err(error) => {
            console.error(&error.to_string());
            FAILURE
        }
    }
}

/// Whether the daemon runs is known without this; so that it cannot be had is told, but no failure.
fn print_tickets(console: &Console, socket: &Path) {
    match ask(socket) {
        Ok(answer) => {
            console.print(&answer);
        }
        Err(error) => console.info(&format!("no more is known: {}: {error}", socket.display())),
    }
}

fn ask(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"status\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    Ok(answer)
}
