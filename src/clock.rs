//! The only reader of clocks.
//!
//! CLOCK_BOOTTIME runs on through a suspend, so a lease cannot outlive one unnoticed; CLOCK_REALTIME
//! is for stamps and people only (clock_gettime(2)).

use booth_core::time::{Instant, Now, WallTime};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_gettime};
use std::fmt;

/// A wall time as people of this time zone write it: `2026-11-23 09:14:13` by [`fmt::Display`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// The year, as 2026.
    pub year: i64,
    /// 1..=12.
    pub month: u8,
    /// 1..=31.
    pub day: u8,
    /// 0..=23.
    pub hour: u8,
    /// 0..=59.
    pub minute: u8,
    /// 0..=60, for a leap second.
    pub second: u8,
}

/// Both clocks at once: the boot clock in milliseconds, rounded down, and the wall clock in
/// microseconds.
pub fn read() -> Now {
    let boot = span_of(ClockId::CLOCK_BOOTTIME);
    let wall = span_of(ClockId::CLOCK_REALTIME);
    Now { boot: Instant(boot.0 * 1_000 + boot.1 / 1_000_000), wall: WallTime(wall.0 * 1_000_000 + wall.1 / 1_000) }
}

/// Seconds and nanoseconds that a clock says; a clock set before 1970 reads as 1970.
///
/// # Panics
/// Where the kernel lacks the clock: no lease can be kept without it. Both are older than Linux 2.6.40.
fn span_of(clock: ClockId) -> (u64, u64) {
    let time = match clock_gettime(clock) {
        Ok(time) => time,
        Err(error) => panic!("clock_gettime({clock:?}): {}", std::io::Error::from(error)),
    };
    if time < TimeSpec::new(0, 0) {
        return (0, 0);
    }
    (time.tv_sec().unsigned_abs(), time.tv_nsec().unsigned_abs())
}

/// `wall` in this machine's time zone (localtime_r(3); the zone is read once, at the first call, so
/// call it once at the start). Where it cannot be told, the epoch.
pub fn local_time(wall: WallTime) -> LocalTime {
    let seconds = libc::time_t::try_from(wall.seconds()).unwrap_or(libc::time_t::MAX);
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call; `tm` is plain numbers and one pointer, for which
    // zero is a value, so it is initialised even where the call fails.
    let parts = unsafe {
        libc::localtime_r(&seconds, parts.as_mut_ptr());
        parts.assume_init()
    };
    let small = |number: libc::c_int| u8::try_from(number).unwrap_or(0);
    LocalTime {
        year: i64::from(parts.tm_year) + 1900,
        month: small(parts.tm_mon) + 1,
        day: small(parts.tm_mday),
        hour: small(parts.tm_hour),
        minute: small(parts.tm_min),
        second: small(parts.tm_sec),
    }
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LocalTime { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::time::{SystemTime, UNIX_EPOCH};

    #[test]
    fn the_wall_clock_is_the_one_of_the_standard_library() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        let now = read();
        let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        assert!((before..=after).contains(&now.wall.0), "{before} <= {} <= {after}", now.wall.0);
    }

    #[test]
    fn the_boot_clock_is_what_the_kernel_calls_uptime() {
        let uptime = || -> f64 {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            text.split_whitespace().next().unwrap().parse().unwrap()
        };
        let before = uptime();
        let now = read().boot.0 as f64 / 1000.0;
        // /proc/uptime has two digits behind the point.
        assert!(now >= before - 0.011 && now <= uptime() + 0.011, "{before} {now}");
    }

    #[test]
    fn local_times_are_written_with_all_their_zeros() {
        let time = LocalTime { year: 2026, month: 1, day: 2, hour: 3, minute: 4, second: 5 };
        assert_eq!(time.to_string(), "2026-01-02 03:04:05");
        let date = std::process::Command::new("date").args(["-d", "@1795425253", "+%F %T"]).output().unwrap();
        let expected = String::from_utf8(date.stdout).unwrap();
        assert_eq!(local_time(WallTime(1_795_425_253_000_000)).to_string(), expected.trim());
    }
}
