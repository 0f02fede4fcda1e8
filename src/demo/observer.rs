//! Watches the stores: who holds the ticket, and since when.
//!
//! A site holds the ticket while its store says granted; a site whose daemon is dead, at most until
//! the end of the lease that stands beside it, when the guard at the site would revoke it.

use super::Failure;
use super::cluster::{Cluster, SITES};
use super::store_file::{self, Stored};
use super::timeline::Held;
use std::time::{Duration, Instant, SystemTime};

/// A change at one site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It holds the ticket.
    Granted,
    /// The lease was renewed.
    Renewed,
    /// Its store no longer says granted.
    Revoked,
    /// Its daemon is dead, and the lease in its store has run out.
    RanOut,
    /// Its daemon is back and has revoked what had run out.
    Cleared,
}

/// One site's store, as it was read last.
struct Site {
    stored: Stored,
    /// Whether a daemon that lives answers for what is written.
    vouched: bool,
    /// Since when it holds the ticket, at the earliest.
    since: Option<Duration>,
}

/// What was seen so far.
pub(super) struct Observer {
    start: Instant,
    sites: Vec<Site>,
    history: Vec<Held>,
    last_look: Duration,
}

impl Observer {
    /// Starts the clock; nobody holds the ticket yet.
    pub(super) fn new() -> Observer {
        let nothing = Stored { granted: false, expires: SystemTime::UNIX_EPOCH };
        let site = || Site { stored: nothing, vouched: true, since: None };
        Observer {
            start: Instant::now(),
            sites: SITES.iter().map(|_| site()).collect(),
            history: Vec::new(),
            last_look: Duration::ZERO,
        }
    }

    /// The time since the start.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Looks at all stores; what has changed since the last look.
    pub(super) fn look(&mut self, cluster: &Cluster) -> Result<Vec<(usize, Change)>, Failure> {
        let before = self.last_look;
        let mut changes = Vec::new();
        for place in SITES {
            let stored = store_file::read(&cluster.store_file(place))?;
            let now = self.now();
            let site = &mut self.sites[place];
            let since = site.since;
            let Some(change) = site.take(stored, SystemTime::now(), before) else { continue };
            if let (Change::Revoked | Change::RanOut, Some(from)) = (change, since) {
                self.history.push(Held { site: place, from, until: now });
            }
            changes.push((place, change));
        }
        self.last_look = self.now();
        Ok(changes)
    }

    /// A site's daemon was killed: nobody answers for what its store says.
    pub(super) fn killed(&mut self, place: usize) {
        self.sites[place].vouched = false;
    }

    /// The site that holds the ticket.
    pub(super) fn holder(&self) -> Option<usize> {
        SITES.into_iter().find(|place| self.sites[*place].since.is_some())
    }

    /// What a site's store says.
    pub(super) fn stored(&self, place: usize) -> Stored {
        self.sites[place].stored
    }

    /// All intervals, those that still run included.
    pub(super) fn history(&self) -> Vec<Held> {
        let now = self.now();
        let running = SITES.into_iter().filter_map(|site| {
            let from = self.sites[site].since?;
            Some(Held { site, from, until: now })
        });
        self.history.iter().copied().chain(running).collect()
    }
}

impl Site {
    /// Takes what was read; tells what has changed since `before`, the time of the last look.
    fn take(&mut self, stored: Stored, wall: SystemTime, before: Duration) -> Option<Change> {
        let old = std::mem::replace(&mut self.stored, stored);
        let written = old != stored;
        self.vouched |= written;
        let holds = stored.granted && (self.vouched || wall < stored.expires);
        match (self.since.is_some(), holds) {
            (false, true) => {
                self.since = Some(before);
                Some(Change::Granted)
            }
            (true, true) => written.then_some(Change::Renewed),
            (true, false) => {
                self.since = None;
                Some(if written { Change::Revoked } else { Change::RanOut })
            }
            (false, false) => (old.granted && !stored.granted).then_some(Change::Cleared),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn site() -> Site {
        Site { stored: Stored { granted: false, expires: at(0) }, vouched: true, since: None }
    }

    fn stored(granted: bool, expires: u64) -> Stored {
        Stored { granted, expires: at(expires) }
    }

    #[test]
    fn a_living_daemon_answers_for_its_store_even_when_the_lease_is_over() {
        let mut site = site();
        assert_eq!(site.take(stored(true, 10), at(5), Duration::ZERO), Some(Change::Granted));
        assert_eq!(site.take(stored(true, 12), at(7), Duration::ZERO), Some(Change::Renewed));
        assert_eq!(site.take(stored(true, 12), at(99), Duration::ZERO), None);
        assert!(site.since.is_some(), "granted beyond the lease is held, and would show as an overlap");
        assert_eq!(site.take(stored(false, 0), at(99), Duration::ZERO), Some(Change::Revoked));
    }

    #[test]
    fn a_dead_daemon_s_grant_ends_with_its_lease_and_is_cleared_later() {
        let mut site = site();
        site.take(stored(true, 10), at(5), Duration::ZERO);
        site.vouched = false;
        assert_eq!(site.take(stored(true, 10), at(9), Duration::ZERO), None);
        assert_eq!(site.take(stored(true, 10), at(10), Duration::ZERO), Some(Change::RanOut));
        assert_eq!(site.take(stored(true, 10), at(20), Duration::ZERO), None);
        assert_eq!(site.take(stored(false, 0), at(21), Duration::ZERO), Some(Change::Cleared));
        assert!(site.vouched);
    }
}
