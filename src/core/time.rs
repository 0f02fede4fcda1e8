//! Instants and spans. The core is told the time; it never asks for it.
//!
//! Two clocks, never mixed: [`Instant`] (CLOCK_BOOTTIME, which runs on through a suspend) for every
//! lease, promise and timer, and [`WallTime`] for stamps, the CIB and people.

use core::ops::{Add, Sub};

/// A point on the machine's boot clock, in milliseconds, rounded down when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(pub u64);

/// A span of time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

/// A point on the wall clock: microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WallTime(pub u64);

/// What both clocks said when a turn began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Now {
    /// The boot clock: what every decision is made by.
    pub boot: Instant,
    /// The wall clock: stamps and what people read.
    pub wall: WallTime,
}

impl Instant {
    /// The span from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Instant) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Millis> for Instant {
    type Output = Instant;

    fn add(self, span: Millis) -> Instant {
        Instant(self.0.saturating_add(span.0))
    }
}

impl Sub<Millis> for Instant {
    type Output = Instant;

    fn sub(self, span: Millis) -> Instant {
        Instant(self.0.saturating_sub(span.0))
    }
}

impl Add for Millis {
    type Output = Millis;

    fn add(self, other: Millis) -> Millis {
        Millis(self.0.saturating_add(other.0))
    }
}

impl Sub for Millis {
    type Output = Millis;

    fn sub(self, other: Millis) -> Millis {
        Millis(self.0.saturating_sub(other.0))
    }
}

impl WallTime {
    /// Whole seconds since the epoch, rounded down.
    pub fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The wall time `span` later.
    pub fn after(self, span: Millis) -> WallTime {
        WallTime(self.0.saturating_add(span.0.saturating_mul(1000)))
    }
}

impl Now {
    /// What the wall clock will say at `at`, if nobody steps it.
    pub fn wall_at(self, at: Instant) -> WallTime {
        if at >= self.boot {
            self.wall.after(at.since(self.boot))
        } else {
            WallTime(self.wall.0.saturating_sub(self.boot.since(at).0.saturating_mul(1000)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_of_an_instant_follows_the_boot_clock_both_ways() {
        let now = Now { boot: Instant(5_000), wall: WallTime(1_000_000_000) };
        assert_eq!(now.wall_at(Instant(6_500)), WallTime(1_001_500_000));
        assert_eq!(now.wall_at(Instant(4_000)), WallTime(999_000_000));
    }

    #[test]
    fn spans_do_not_wrap() {
        assert_eq!(Instant(3) - Millis(5), Instant(0));
        assert_eq!(Instant(u64::MAX) + Millis(5), Instant(u64::MAX));
        assert_eq!(Instant(3).since(Instant(7)), Millis(0));
    }
}
