//! `boothd`, `booth`, `geostore`: argument parsing and a call, no more.

use booth::cli::{FAILURE, Program, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let no_daemon = |_: &_| FAILURE;
    run::run(Program::Booth, no_daemon, |console, _| {
        console.error("boothctl is another executable, not this one under another name");
        FAILURE
    })
}
