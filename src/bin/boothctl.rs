//! `boothctl`: argument parsing and a call, no more.

use booth::cli::{Command, FAILURE, Program, run};
use booth::{client, daemon, demo};
use std::process::ExitCode;

fn main() -> ExitCode {
    run::run(Program::Boothctl, daemon::run, |console, command| match command {
        Command::Check { config } => run::check(console, config),
        Command::Demo => demo::run(console),
        Command::Guard(options) => client::guard(Program::Boothctl, options),
        Command::Kdump(options) => client::kdump::kdump(Program::Boothctl, options),
        _ => FAILURE,
    })
}
