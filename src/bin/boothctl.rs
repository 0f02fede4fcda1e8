//! `boothctl`: argument parsing and a call, no more.

use booth::cli::{Command, FAILURE, Program, run};
use booth::demo;
use std::process::ExitCode;

fn main() -> ExitCode {
    let no_daemon = |_: &_| FAILURE;
    run::run(Program::Boothctl, no_daemon, |console, command| match command {
        Command::Check { config } => run::check(console, config),
        Command::Demo => demo::run(console),
        _ => FAILURE,
    })
}
