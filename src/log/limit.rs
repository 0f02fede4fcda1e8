//! Limits how many lines others can provoke in the log.
//!
//! Lines are counted by reason: of each, [`BURST`] are written, then one summary a [`PERIOD`] with the
//! number of those that were not. A flood that goes on gets no new burst; a quiet period earns one.
//! So [`REASONS`] reasons cost at most `REASONS * BURST` lines at once and `REASONS` a minute, whatever
//! arrives. Nothing wakes the process unless something is suppressed. No clock, no allocation.

use super::Level;
use booth_core::time::{Instant, Millis};
use heapless::Vec;

/// How many lines of one reason are written before they are only counted.
pub const BURST: u16 = 5;
/// How long lines of one reason are counted before the count is written.
pub const PERIOD: Millis = Millis(60_000);
/// The most reasons that are told apart; what comes beyond shares the last place.
pub const REASONS: usize = 48;

/// What the limiter knows of one reason.
#[derive(Debug)]
struct Account {
    reason: &'static str,
    level: Level,
    since: Instant,
    written: u16,
    suppressed: u64,
}

/// Lines that were not written, for one line that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What they were about.
    pub reason: &'static str,
    /// The level of the last of them.
    pub level: Level,
    /// How many there were.
    pub suppressed: u64,
    /// In how long.
    pub over: Millis,
}

/// The limiter; one for the process.
#[derive(Debug, Default)]
pub struct Limiter {
    accounts: Vec<Account, REASONS>,
}

impl Limiter {
    /// A limiter that has seen nothing.
    pub const fn new() -> Limiter {
        Limiter { accounts: Vec::new() }
    }

    /// Whether a line may be written now; where not, it is counted. `reason` stands in the summary:
    /// a few words, the same for all lines of a kind.
    ///
    /// Write the summaries that are [`due`](Limiter::due) first: asking closes no period.
    pub fn admit(&mut self, now: Instant, level: Level, reason: &'static str) -> bool {
        self.admit_burst(now, level, reason, BURST)
    }

    /// As [`admit`](Limiter::admit), with another burst than [`BURST`]; the same for all lines of a
    /// kind.
    pub fn admit_burst(&mut self, now: Instant, level: Level, reason: &'static str, burst: u16) -> bool {
        let account = self.account(now, level, reason);
        if account.suppressed == 0 && now.since(account.since) >= PERIOD {
            account.since = now;
            account.written = 0;
        }
        if account.written < burst {
            account.written += 1;
            return true;
        }
        account.level = level;
        account.suppressed = account.suppressed.saturating_add(1);
        false
    }

    /// The next summary that is due, until there is none.
    pub fn due(&mut self, now: Instant) -> Option<Summary> {
        let due = |account: &&mut Account| account.suppressed > 0 && now.since(account.since) >= PERIOD;
        self.accounts.iter_mut().find(due).map(|account| account.close(now))
    }

    /// What is still suppressed, due or not, until there is nothing: for the end of the process.
    pub fn drain(&mut self, now: Instant) -> Option<Summary> {
        self.accounts.iter_mut().find(|account| account.suppressed > 0).map(|account| account.close(now))
    }

    /// When the next summary is due; `None` while nothing is suppressed.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.accounts.iter().filter(|account| account.suppressed > 0).map(|account| account.since + PERIOD).min()
    }

    fn account(&mut self, now: Instant, level: Level, reason: &'static str) -> &mut Account {
        let known = self.accounts.iter().position(|account| account.reason == reason);
        let at = known.unwrap_or_else(|| {
            let fresh = Account { reason, level, since: now, written: 0, suppressed: 0 };
            // Full: the newcomer shares the last place, and its name stands there no less truly.
            let _ = self.accounts.push(fresh);
            self.accounts.len() - 1
        });
        &mut self.accounts[at]
    }
}

impl Account {
    fn close(&mut self, now: Instant) -> Summary {
        let Account { reason, level, suppressed, .. } = *self;
        let over = now.since(self.since);
        self.since = now;
        self.suppressed = 0;
        // Whatever its burst was.
        self.written = u16::MAX;
        Summary { reason, level, suppressed, over }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn admitted(limiter: &mut Limiter, at: u64, count: usize) -> usize {
        (0..count).filter(|_| limiter.admit(Instant(at), Level::Warning, "bad MAC")).count()
    }

    #[test]
    fn a_burst_passes_and_the_rest_is_counted_for_one_summary() {
        let mut limiter = Limiter::new();
        assert_eq!(admitted(&mut limiter, 1_000, 5), 5);
        assert_eq!(limiter.next_deadline(), None, "nothing is suppressed: nobody is woken");
        assert_eq!(admitted(&mut limiter, 2_000, 1_234), 0);
        assert_eq!(limiter.next_deadline(), Some(Instant(61_000)));
        assert_eq!(limiter.due(Instant(60_999)), None);
        let summary = Summary { reason: "bad MAC", level: Level::Warning, suppressed: 1_234, over: Millis(60_000) };
        assert_eq!(limiter.due(Instant(61_000)), Some(summary));
        assert_eq!(limiter.due(Instant(61_000)), None);
        assert_eq!(limiter.next_deadline(), None);
    }

    #[test]
    fn a_flood_that_goes_on_gets_no_new_burst_and_a_quiet_minute_earns_one() {
        let mut limiter = Limiter::new();
        admitted(&mut limiter, 0, 6);
        assert!(limiter.due(Instant(60_000)).is_some());
        assert_eq!(admitted(&mut limiter, 61_000, 10), 0);
        assert!(limiter.due(Instant(120_000)).is_some());
        assert_eq!(admitted(&mut limiter, 180_000, 10), 5);
    }

    #[test]
    fn a_greater_burst_is_a_burst_too() {
        let mut limiter = Limiter::new();
        let admitted = |limiter: &mut Limiter, at| {
            (0..100).filter(|_| limiter.admit_burst(Instant(at), Level::Info, "granted", 30)).count()
        };
        assert_eq!(admitted(&mut limiter, 0), 30);
        assert_eq!(limiter.due(PERIOD_LATER).map(|summary| summary.suppressed), Some(70));
        assert_eq!(admitted(&mut limiter, 61_000), 0, "no new burst while the flood goes on");
    }

    const PERIOD_LATER: Instant = Instant(60_000);

    #[test]
    fn reasons_do_not_hide_each_other() {
        let mut limiter = Limiter::new();
        admitted(&mut limiter, 0, 100);
        assert!(limiter.admit(Instant(0), Level::Info, "unknown ticket"));
    }

    #[test]
    fn more_reasons_than_places_share_the_last_one() {
        let mut limiter = Limiter::new();
        let names: std::vec::Vec<&'static str> =
            (0..REASONS + 20).map(|at| &*Box::leak(format!("reason {at}").into_boxed_str())).collect();
        let written: usize =
            names.iter().map(|reason| (0..50).filter(|_| limiter.admit(Instant(0), Level::Info, reason)).count()).sum();
        assert_eq!(written, REASONS * usize::from(BURST));
        let mut suppressed = 0;
        while let Some(summary) = limiter.due(Instant(60_000)) {
            suppressed += summary.suppressed;
        }
        assert_eq!(suppressed as usize + written, names.len() * 50, "every line is written or counted");
    }

    #[test]
    fn an_hour_of_flood_is_a_burst_and_a_line_a_minute() {
        let mut limiter = Limiter::new();
        let mut lines = 0;
        for now in (0..3_600_000).step_by(10).map(Instant) {
            while limiter.due(now).is_some() {
                lines += 1;
            }
            lines += usize::from(limiter.admit(now, Level::Warning, "bad MAC"));
        }
        assert!(lines <= 5 + 60, "{lines} lines");
        assert!(lines >= 60);
    }
}
