//! From the arguments to the exit status: what `boothd` and `boothctl` have in common.

use super::console::Console;
use super::{Command, FAILURE, Program, SUCCESS, help, parse};
use crate::client;
use std::path::Path;
use std::process::ExitCode;

/// Does what the process's arguments ask for.
///
/// `fallback` is the program that this executable is when its name says nothing. `daemon` serves as a
/// member. What only `boothctl` can do goes to `ours`.
pub fn run(
    fallback: Program,
    daemon: impl FnOnce(&super::DaemonOptions) -> u8,
    ours: impl FnOnce(&Console, &Command) -> u8,
) -> ExitCode {
    crate::child::take_statuses();
    let mut arguments = std::env::args_os();
    let own_name = arguments.next();
    let invocation = match parse::parse(own_name.as_deref(), fallback, arguments) {
        Ok(invocation) => invocation,
        Err(error) => {
            Console::new(fallback).plain(&error.to_string());
            return ExitCode::from(FAILURE);
        }
    };
    let program = invocation.program;
    let console = Console::new(program);
    let status = match &invocation.command {
        Command::Help => console.print(&help::text(program)),
        Command::HelpWanted => {
            console.print(&help::text(program));
            FAILURE
        }
        Command::Version => console.print(&help::version(program)),
        Command::Daemon(options) => daemon(options),
        Command::Status(options) => client::status(program, options),
        Command::Stats(options) => client::stats(program, options),
        Command::Client(request) => client::run(program, request),
        Command::KdumpDaemon(options) => crate::kdump::daemon::run(options),
        Command::Check { .. } | Command::Demo | Command::Guard(_) | Command::Kdump(_) => {
            ours(&console, &invocation.command)
        }
    };
    ExitCode::from(status)
}

/// `check`: prints what is wrong with a configuration, and what was understood.
pub fn check(console: &Console, path: &Path) -> u8 {
    let check = crate::config::check(path);
    for diagnostic in &check.diagnostics {
        console.plain(&diagnostic.to_string());
    }
    let printed = check.understood.as_deref().map_or(SUCCESS, |text| console.print(text));
    if check.passed() { printed } else { FAILURE }
}
