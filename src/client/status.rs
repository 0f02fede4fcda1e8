//! `status`: does the daemon run here? Init scripts and resource agents ask it. `stats`: what has it
//! counted?
//!
//! `booth` prints the reference's one line. `boothctl` adds what the daemon says of its tickets over
//! its control socket, to those who may ask there.

use super::configuration;
use crate::cli::console::Console;
use crate::cli::{FAILURE, NOT_RUNNING, Program, StatusOptions};
use crate::control;
use crate::process::lockfile::{self, Inspection};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long the daemon may take to answer; it is on this machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints one line when the daemon runs, and as `boothctl` the state of its tickets.
///
/// Exit status 0: it runs; 7: it does not; 1: the configuration or the lock file cannot be read.
pub fn status(program: Program, options: &StatusOptions) -> u8 {
    inspected(program, options, |console, pid, path, line| {
        let status = console.print(&format!("{}\n", lockfile::status_line(pid, path, line)));
        if program == Program::Boothctl {
            // Whether the daemon runs is known without this; that it cannot be had is told, but no failure.
            print_answer(console, "status", &control::path_beside(path));
        }
        status
    })
}

/// Prints the daemon's counters. Exit status as [`status`] has it; 1 also when it cannot be asked.
pub fn stats(program: Program, options: &StatusOptions) -> u8 {
    inspected(program, options, |console, _, path, _| print_answer(console, "stats", &control::path_beside(path)))
}

/// Goes on with who holds the lock file: its process, the file's path and what stands in it.
fn inspected(program: Program, options: &StatusOptions, then: impl FnOnce(&Console, i32, &Path, &str) -> u8) -> u8 {
    let console = Console::new(program);
    let Some(config) = configuration(&console, &options.config) else { return FAILURE };
    let path = options.lock_file.clone().unwrap_or_else(|| lockfile::default_path(&config.name));
    match lockfile::inspect(&path) {
        Ok(Inspection::Running { pid, line }) => then(&console, pid, &path, &line),
        Ok(Inspection::NotRunning) => {
            // Scripts that call `booth status` expect silence.
            if options.debug || program == Program::Boothctl {
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

fn print_answer(console: &Console, request: &str, socket: &Path) -> u8 {
    match control::ask(socket, request, PATIENCE) {
        Ok(answer) => console.print(&answer),
        Err(error) => {
            let why = match error.kind() {
                io::ErrorKind::PermissionDenied => "; only root and the daemon's own user and group may ask there",
                _ => "",
            };
            console.info(&format!("the daemon cannot be asked for more: {}: {error}{why}", socket.display()));
            FAILURE
        }
    }
}
