//! Time stamps of messages: none takes effect twice (S11), and what they tell about when an answer
//! was made (S5).
//!
//! A window remembers the newest stamp of a sender and the older ones that were let through. Its
//! invariant: whatever lies at or below the floor, or is remembered, has been seen.
//!
//! The reference stamps a message with the second of the wall clock and the microsecond of the
//! *monotonic* clock: its stamps are off by less than a second, and go back by most of one once in
//! each second ([`Precision::Second`]). Among those only the second tells new from old; within the
//! newest second a message is refused when it is remembered.

use crate::time::{Instant, Millis, Now, WallTime};
use crate::wire::DropReason;
use heapless::Vec;

/// How many late messages of one sender are told apart before the oldest can no longer be taken.
const REMEMBERED: usize = 32;
/// How fast the estimate of a peer's clock is let go, as one part in this many.
const DRIFT_PARTS: u64 = 250;

/// How far the microseconds of a stamp of the reference may be off.
pub const IMPRECISION: Millis = Millis(1_000);
/// The boot clock is read in whole milliseconds, rounded down.
const READING: Millis = Millis(1);

/// How much a message that comes late can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lateness {
    /// It may be taken when older than the newest, once, within `maxtimeskew`.
    Harmless,
    /// It must be newer than all before it.
    MustBeNewest,
}

/// How far a stamp can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Our own daemons: each stamp is later than the one before.
    Exact,
    /// The reference: the second is right, the microseconds are another clock's.
    Second,
}

/// What a window is asked with.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// What the message can do when it is late.
    pub late: Lateness,
    /// How far its stamp can be trusted.
    pub precision: Precision,
    /// `maxtimeskew`.
    pub skew: Millis,
    /// For how long the sender must have been silent before a wrong clock of its is forgiven.
    pub reanchor: Millis,
}

/// Which stamps of one sender have been seen.
#[derive(Clone, Debug, Default)]
pub struct Window {
    newest: Option<WallTime>,
    newest_at: Instant,
    floor: WallTime,
    seen: Vec<(WallTime, u32), REMEMBERED>,
    offset: Option<Offset>,
}

/// The smallest difference seen between the boot clock at arrival and the stamp, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Offset {
    smallest: i128,
    at: Instant,
    /// When the sender was heard first.
    first: Instant,
}

impl Window {
    /// Tests a stamp and remembers it. `tag` tells messages of one microsecond apart (a part of the
    /// MAC). A sender whose newest stamp lies more than the skew ahead of our clock had a wrong clock:
    /// once nothing newer has come for `reanchor`, a stamp within the skew of our clock is taken for
    /// the newest. Nothing else goes back, for a clock set back looks like a replay.
    ///
    /// # Errors
    /// [`DropReason::StaleStamp`] where it is older than the skew allows, [`DropReason::Replayed`]
    /// where it was seen, or is late and must not be.
    pub fn admit(&mut self, stamp: WallTime, tag: u32, now: Now, terms: Terms) -> Result<(), DropReason> {
        let Terms { late, precision, skew, reanchor } = terms;
        let within = stamp.after(skew) >= now.wall;
        let Some(newest) = self.newest else {
            if !within {
                return Err(DropReason::StaleStamp);
            }
            self.advance(stamp, tag, now);
            return Ok(());
        };
        let seen = self.seen.contains(&(stamp, tag));
        if stamp > newest {
            if seen {
                // From before its clock was put right.
                return Err(DropReason::Replayed);
            }
            self.advance(stamp, tag, now);
            return Ok(());
        }
        if !within {
            return Err(DropReason::StaleStamp);
        }
        let same_second = precision == Precision::Second && stamp.seconds() == newest.seconds();
        let forgotten = stamp <= self.floor && !same_second;
        if forgotten || seen {
            return Err(DropReason::Replayed);
        }
        let right = stamp <= now.wall.after(skew);
        if right && newest > now.wall.after(skew) && now.boot.since(self.newest_at) >= reanchor {
            self.offset = None;
            self.advance(stamp, tag, now);
            return Ok(());
        }
        if late == Lateness::MustBeNewest && !same_second {
            return Err(DropReason::Replayed);
        }
        self.remember(stamp, tag);
        Ok(())
    }

    /// Whether an answer of the reference was made at or after `instant` of our boot clock, as far as
    /// the fastest message so far can tell (S5). Late answers to an earlier request fail, but for
    /// those made in the last second before it: the stamps are no better than that, and the validity of
    /// the heartbeat makes up for it (see [`crate::lease::validity_to_reference`]).
    pub fn made_since(&self, stamp: WallTime, instant: Instant) -> bool {
        match self.offset {
            Some(offset) => {
                let latest = i128::from(stamp.after(IMPRECISION + READING).0) + offset.smallest;
                latest >= i128::from(instant.0) * 1000
            }
            None => true,
        }
    }

    /// Whether a message of ours was made after `instant` of our boot clock, as far as the fastest message so far can
    /// tell; not if its sender was first heard since then.
    pub fn made_after(&self, stamp: WallTime, instant: Instant) -> bool {
        self.offset.is_some_and(|offset| {
            offset.first < instant && i128::from(stamp.0) + offset.smallest > i128::from(instant.0) * 1000
        })
    }

    fn advance(&mut self, stamp: WallTime, tag: u32, now: Now) {
        self.newest = Some(stamp);
        self.newest_at = now.boot;
        self.remember(stamp, tag);
        let seen = i128::from(now.boot.0) * 1000 - i128::from(stamp.0);
        let smallest = match self.offset {
            Some(old) => {
                let aged = old.smallest + i128::from(now.boot.since(old.at).0) * 1000 / i128::from(DRIFT_PARTS);
                aged.min(seen)
            }
            None => seen,
        };
        let first = self.offset.map_or(now.boot, |old| old.first);
        self.offset = Some(Offset { smallest, at: now.boot, first });
    }

    fn remember(&mut self, stamp: WallTime, tag: u32) {
        if self.seen.is_full()
            && let Some(oldest) = (0..self.seen.len()).min_by_key(|at| self.seen[*at])
        {
            let (gone, _) = self.seen.swap_remove(oldest);
            self.floor = self.floor.max(gone);
        }
        // There is room now: one was taken out if the window was full.
        let _ = self.seen.push((stamp, tag));
    }
}

/// Our own stamps: they never go back, whatever the wall clock does (S11).
#[derive(Clone, Copy, Debug, Default)]
pub struct StampClock {
    last: WallTime,
}

impl StampClock {
    /// Nothing older than `floor` is given out.
    pub fn raise(&mut self, floor: WallTime) {
        self.last = self.last.max(floor);
    }

    /// The next stamp: the wall clock, or a microsecond more than the last one.
    pub fn next(&mut self, now: Now) -> WallTime {
        self.last = now.wall.max(WallTime(self.last.0.saturating_add(1)));
        self.last
    }

    /// The last one given out.
    pub fn last(&self) -> WallTime {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SKEW: Millis = Millis(600_000);
    const RENEWAL: Millis = Millis(5_000);

    fn at(ms: u64) -> Now {
        Now { boot: Instant(ms), wall: WallTime(1_000_000_000_000 + ms * 1000) }
    }

    fn terms(late: Lateness, precision: Precision) -> Terms {
        Terms { late, precision, skew: SKEW, reanchor: RENEWAL }
    }

    fn admit(window: &mut Window, stamp_ms: u64, late: Lateness, now_ms: u64) -> Result<(), DropReason> {
        window.admit(at(stamp_ms).wall, stamp_ms as u32, at(now_ms), terms(late, Precision::Exact))
    }

    /// The reference's stamps were seen to go back once a second: good votes were taken for replays.
    #[test]
    fn stamps_of_the_reference_are_told_apart_by_their_second() {
        let mut window = Window::default();
        let mut admit = |stamp_ms: u64, now_ms: u64| {
            let terms = terms(Lateness::MustBeNewest, Precision::Second);
            window.admit(at(stamp_ms).wall, stamp_ms as u32, at(now_ms), terms)
        };
        assert_eq!(admit(5_935, 5_451), Ok(()));
        assert_eq!(admit(5_046, 5_562), Ok(()), "0.89 s back, in the same second");
        assert_eq!(admit(5_046, 5_563), Err(DropReason::Replayed));
        assert_eq!(admit(5_935, 5_563), Err(DropReason::Replayed));
        assert_eq!(admit(6_400, 6_000), Ok(()));
        assert_eq!(admit(5_100, 6_001), Err(DropReason::Replayed), "an older second");
    }

    #[test]
    fn a_message_is_taken_once() {
        let mut window = Window::default();
        assert_eq!(admit(&mut window, 1000, Lateness::MustBeNewest, 1001), Ok(()));
        assert_eq!(admit(&mut window, 1000, Lateness::Harmless, 1002), Err(DropReason::Replayed));
        assert_eq!(admit(&mut window, 2000, Lateness::MustBeNewest, 2001), Ok(()));
        assert_eq!(admit(&mut window, 1500, Lateness::MustBeNewest, 2002), Err(DropReason::Replayed));
        assert_eq!(admit(&mut window, 1500, Lateness::Harmless, 2002), Ok(()));
        assert_eq!(admit(&mut window, 1500, Lateness::Harmless, 2003), Err(DropReason::Replayed));
    }

    #[test]
    fn what_has_fallen_out_of_the_memory_is_never_taken_again() {
        let mut window = Window::default();
        for ms in 1..=100 {
            assert_eq!(admit(&mut window, ms, Lateness::MustBeNewest, 100), Ok(()));
        }
        for ms in 1..=100 {
            assert_eq!(admit(&mut window, ms, Lateness::Harmless, 100), Err(DropReason::Replayed), "{ms}");
        }
    }

    #[test]
    fn a_first_message_from_long_ago_is_stale() {
        let mut window = Window::default();
        assert_eq!(admit(&mut window, 0, Lateness::Harmless, 600_001), Err(DropReason::StaleStamp));
        assert_eq!(admit(&mut window, 1, Lateness::Harmless, 600_001), Ok(()));
    }

    #[test]
    fn a_clock_that_was_an_hour_ahead_and_is_put_right_is_believed_after_a_renewal() {
        let mut window = Window::default();
        assert_eq!(admit(&mut window, 3_600_000, Lateness::MustBeNewest, 1000), Ok(()));
        assert_eq!(admit(&mut window, 2_000, Lateness::MustBeNewest, 2_000), Err(DropReason::Replayed));
        assert_eq!(admit(&mut window, 6_000, Lateness::MustBeNewest, 6_000), Ok(()));
        assert_eq!(admit(&mut window, 6_001, Lateness::MustBeNewest, 6_001), Ok(()));
    }

    /// A member's clock was far ahead and is still: a late message of its was taken for the newest, and what had come
    /// before it could be replayed.
    #[test]
    fn a_late_message_of_a_clock_that_is_still_ahead_forgives_nothing() {
        let mut window = Window::default();
        assert_eq!(admit(&mut window, 3_602_000, Lateness::MustBeNewest, 2_000), Ok(()));
        assert_eq!(admit(&mut window, 3_601_000, Lateness::MustBeNewest, 60_000), Err(DropReason::Replayed));
        assert_eq!(admit(&mut window, 3_602_000, Lateness::MustBeNewest, 60_001), Err(DropReason::Replayed));
        // Its clock is put right.
        assert_eq!(admit(&mut window, 60_002, Lateness::MustBeNewest, 60_002), Ok(()));
        assert_eq!(admit(&mut window, 3_602_000, Lateness::MustBeNewest, 60_003), Err(DropReason::Replayed));
    }

    #[test]
    fn a_replayed_stream_of_a_silent_member_is_not_believed() {
        let mut window = Window::default();
        for ms in 1..=50 {
            assert_eq!(admit(&mut window, ms * 100, Lateness::MustBeNewest, ms * 100), Ok(()));
        }
        for ms in 1..=50 {
            let replayed = admit(&mut window, ms * 100, Lateness::Harmless, 60_000 + ms * 100);
            assert_eq!(replayed, Err(DropReason::Replayed));
        }
    }

    #[test]
    fn an_answer_made_before_the_request_is_told_apart_s5() {
        let mut window = Window::default();
        // The peer's wall clock is 7 s ahead; its messages need 2 ms.
        let stamp = |boot_ms: u64| at(boot_ms + 7_000).wall;
        let take = |window: &mut Window, made: u64, arrived: u64| {
            window.admit(stamp(made), 0, at(arrived), terms(Lateness::Harmless, Precision::Second))
        };
        assert_eq!(take(&mut window, 1_000, 1_002), Ok(()));
        // An answer made at 4,000 that arrives at 9,000, after a request sent at 8,000.
        assert_eq!(take(&mut window, 4_000, 9_000), Ok(()));
        assert!(!window.made_since(stamp(4_000), Instant(8_000)));
        assert!(window.made_since(stamp(8_001), Instant(8_000)));
        assert!(window.made_since(stamp(7_100), Instant(8_000)), "no better than a second");
    }

    #[test]
    fn our_stamps_never_go_back() {
        let mut clock = StampClock::default();
        let first = clock.next(at(5_000));
        let second = clock.next(at(1_000));
        assert!(second > first);
        clock.raise(at(60_000).wall);
        assert!(clock.next(at(6_000)) > at(60_000).wall);
    }
}
