//! `boothd`: the place of the event loop, which is not in this tree yet. It refuses to start.

use crate::cli::{DaemonOptions, FAILURE};
use std::io::Write;

/// Is a member until a signal ends it; tells the exit status.
pub fn run(_: &DaemonOptions) -> u8 {
    let _ = writeln!(std::io::stderr(), "this build has no daemon");
    FAILURE
}
