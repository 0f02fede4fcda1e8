//! Waiting for what must come: with an end, and without a guess at how long it takes.

use std::time::{Duration, Instant};

/// No wait in a test is longer.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Looks again and again until `condition` holds.
#[track_caller]
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
