//! `status`: does the daemon run here? Init scripts and resource agents ask it.

use super::configuration;
use crate::cli::console::Console;
use crate::cli::{FAILURE, NOT_RUNNING, StatusOptions};
use crate::process::lockfile::{self, Inspection};

/// Prints one line when the daemon runs.
///
/// Exit status 0: it runs; 7: it does not; 1: the configuration or the lock file cannot be read.
pub fn status(console: &Console, options: &StatusOptions) -> u8 {
    let Some(config) = configuration(console, &options.config) else { return FAILURE };
    let path = options.lock_file.clone().unwrap_or_else(|| lockfile::default_path(&config.name));
    match lockfile::inspect(&path) {
        Ok(Inspection::Running { pid, line }) => {
            console.print(&format!("{}\n", lockfile::status_line(pid, &path, &line)))
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
