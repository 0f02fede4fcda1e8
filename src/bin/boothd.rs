//! `boothd`, `booth`, `geostore`: argument parsing and a call, no more.

use booth::cli::{FAILURE, Program, run};
use booth::daemon;
use std::process::ExitCode;

fn main() -> ExitCode {
    run::run(Program::Booth, daemon::run, |console, _| {
        console.error("boothctl is another executable, not this one under another name");
        FAILURE
    })
}
