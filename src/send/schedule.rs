//! When the next message goes to an address.
//!
//! The first ones are close together, at 0, 1, 2 and 5 s: somebody may be waiting, and a switch that has
//! just seen the link come up, or an address that is not resolved yet, swallows the first. Then there is
//! one each interval. A message that did not go out is tried again at once.
//!
//! Times are milliseconds since the kernel's start.

/// The pause after a message that could not go out yet, in milliseconds.
pub const RETRY_MS: u64 = 100;

/// How many intervals more than it counts messages a sender waits for what cannot go out.
const PATIENCE: u64 = 6;

/// When to give up: `count` messages and [`PATIENCE`] have had their intervals of `interval` seconds each. Never where
/// the count is 0, for ever.
///
/// Somebody may wait for the end before the machine reboots: an address that cannot be reached must not keep it.
pub fn end(start: u64, count: u32, interval: u32) -> u64 {
    if count == 0 {
        return u64::MAX;
    }
    let intervals = u64::from(count) + PATIENCE;
    start.saturating_add(intervals.saturating_mul(u64::from(interval) * 1000))
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The kernel took it, and the link was up.
    Sent,
    /// The way to the address is not there yet.
    NotYet,
    /// The kernel will not have it, now or later: it has had its turn.
    Refused,
}

/// One address's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// How many had their turn.
    turns: u32,
    /// When the next one is due.
    due: u64,
}

impl Schedule {
    /// The first message is due now.
    pub fn new(now: u64) -> Schedule {
        Schedule { turns: 0, due: now }
    }

    /// When the next message is due; `None` when all `count` have had their turn. 0 is for ever.
    pub fn due(&self, count: u32) -> Option<u64> {
        (count == 0 || self.turns < count).then_some(self.due)
    }

    /// Takes note of what became of a message; `interval` in seconds.
    pub fn tried(&mut self, fate: Fate, now: u64, interval: u32) {
        if fate == Fate::NotYet {
            self.due = now + RETRY_MS;
            return;
        }
        self.turns = self.turns.saturating_add(1);
        let gap = match self.turns {
            1 | 2 => interval.min(1),
            3 => interval.min(3),
            _ => interval,
        };
        self.due = now + u64::from(gap) * 1000;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times of the first six messages of those that all go out.
    fn times(interval: u32, count: u32) -> heapless::Vec<u64, 6> {
        let mut schedule = Schedule::new(0);
        let mut times = heapless::Vec::new();
        while let Some(due) = schedule.due(count)
            && times.push(due).is_ok()
        {
            schedule.tried(Fate::Sent, due, interval);
        }
        times
    }

    #[test]
    fn the_first_messages_are_close_together() {
        assert_eq!(times(10, 0), [0, 1000, 2000, 5000, 15_000, 25_000]);
    }

    #[test]
    fn a_short_interval_is_kept_from_the_start() {
        assert_eq!(times(1, 0), [0, 1000, 2000, 3000, 4000, 5000]);
        assert_eq!(times(2, 0), [0, 1000, 2000, 4000, 6000, 8000]);
    }

    #[test]
    fn a_count_ends_it() {
        assert_eq!(times(10, 1), [0]);
        assert_eq!(times(10, 3), [0, 1000, 2000]);
    }

    #[test]
    fn what_did_not_go_out_does_not_count_and_is_tried_again_fast() {
        let mut schedule = Schedule::new(0);
        for turn in 0..30 {
            assert_eq!(schedule.due(1), Some(turn * RETRY_MS));
            schedule.tried(Fate::NotYet, turn * RETRY_MS, 10);
        }
        schedule.tried(Fate::Sent, 3000, 10);
        assert_eq!(schedule.due(1), None);
        assert_eq!(schedule.due(2), Some(4000));
    }

    #[test]
    fn what_is_refused_has_had_its_turn() {
        let mut schedule = Schedule::new(0);
        schedule.tried(Fate::Refused, 0, 10);
        assert_eq!((schedule.due(1), schedule.due(2)), (None, Some(1000)));
    }

    #[test]
    fn a_count_ends_it_though_nothing_goes_out() {
        assert_eq!(end(5, 1, 10), 70_005);
        assert_eq!(end(0, 5, 10), 110_000);
        assert_eq!(end(0, 1, 1), 7000);
        assert_eq!(end(0, 0, 1), u64::MAX);
        assert_eq!(end(1 << 50, u32::MAX, u32::MAX), u64::MAX);
    }

    #[test]
    fn what_goes_out_goes_out_before_the_end() {
        for interval in [1, 2, 3, 10, 1000] {
            for count in 1..=6 {
                let last = times(interval, count).last().copied();
                assert!(last.is_some_and(|last| last < end(0, count, interval)), "{count} x {interval}");
            }
        }
    }

    #[test]
    fn the_longest_interval_and_the_longest_run_do_not_wrap() {
        let mut schedule = Schedule { turns: u32::MAX, due: 0 };
        schedule.tried(Fate::Sent, 1 << 50, u32::MAX);
        assert_eq!(schedule.due(0), Some((1 << 50) + u64::from(u32::MAX) * 1000));
        assert_eq!(schedule.due(u32::MAX), None);
    }
}
