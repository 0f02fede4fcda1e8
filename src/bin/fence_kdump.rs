//! `fence_kdump`: the STONITH agent.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(booth::fence::run())
}
