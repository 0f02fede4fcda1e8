//! What a ticket's store has, is to have, and is doing about it (S8).
//!
//! One request runs at a time. Invariants: the store *may* say granted from the moment that a grant
//! is asked for until a later revoke has been confirmed; a revoke is asked for again until it is; a
//! result with an old number changes nothing.

use crate::input::RequestNumber;
use crate::member::SiteId;
use crate::sink::StoreTicket;
use crate::time::{Instant, Millis, Now, WallTime};

/// The first pause after a failure; doubled each time up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Millis = Millis(200);
/// The longest pause before a failed request is tried again.
const LONGEST_PAUSE: Millis = Millis(5_000);

/// What a running request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Job {
    Load,
    /// Writing the mark of our memory (S7); the ticket is loaded anew behind it.
    Claim,
    Write(Wanted),
    Attribute,
}

/// What the store is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    pub(crate) granted: bool,
    pub(crate) owner: Option<SiteId>,
    pub(crate) until: Option<Instant>,
    pub(crate) term: u32,
}

impl Wanted {
    /// In the store's words. The end is worded anew for each attempt: the wall clock may have been stepped (S12).
    pub(crate) fn worded(self, now: Now) -> StoreTicket {
        let expires = self.until.map_or(WallTime(0), |until| now.wall_at(until));
        StoreTicket { granted: self.granted, owner: self.owner, expires, term: self.term }
    }
}

/// What the store is known to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stored {
    /// Not read, or a write of unknown outcome.
    Unknown,
    /// Not granted here.
    NotGranted,
    /// Granted here.
    Granted,
}

/// The state of one ticket's store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StoreState {
    pub(crate) running: Option<(RequestNumber, Job)>,
    /// What the store is to have, until it has.
    pub(crate) wanted: Option<Wanted>,
    pub(crate) stored: Stored,
    pub(crate) loaded: bool,
    /// Our mark was written, and is to be found when the ticket is loaded.
    pub(crate) claimed: bool,
    pub(crate) retry_at: Option<Instant>,
    pub(crate) attempts: u32,
    /// Since when a revoke is wanted, or would be if the store could be read.
    pub(crate) revoke_since: Option<Instant>,
    /// From when a revoke may be taken for stuck: the end of our newest lease, or when we woke up since.
    pub(crate) stuck_from: Instant,
    /// When `on-stuck-revoke` was run; the store has confirmed nothing since.
    pub(crate) last_resort: Option<Instant>,
}

impl StoreState {
    pub(crate) fn new() -> StoreState {
        StoreState {
            running: None,
            wanted: None,
            stored: Stored::Unknown,
            loaded: false,
            claimed: false,
            retry_at: None,
            attempts: 0,
            revoke_since: None,
            stuck_from: Instant(0),
            last_resort: None,
        }
    }

    /// Whether the store may say that the ticket is granted here.
    pub(crate) fn may_be_granted(&self) -> bool {
        self.stored != Stored::NotGranted
    }

    /// Asks for a state of the store; a failed attempt at another is forgotten.
    pub(crate) fn want(&mut self, ticket: Wanted, now: Instant) {
        if self.wanted.is_some_and(|wanted| wanted.granted != ticket.granted) || self.wanted.is_none() {
            self.retry_at = None;
            self.attempts = 0;
        }
        self.wanted = Some(ticket);
        if ticket.granted {
            self.revoke_since = None;
        } else if self.may_be_granted() {
            self.revoke_since.get_or_insert(now);
        }
    }

    /// The write that can be started now. A revoke does not wait for a running grant or attribute.
    pub(crate) fn startable(&self, now: Instant) -> Option<Wanted> {
        let wanted = self.wanted?;
        let free = match self.running {
            None => true,
            Some((_, Job::Write(running))) => running.granted && !wanted.granted,
            Some((_, Job::Attribute)) => !wanted.granted,
            Some((_, Job::Load | Job::Claim)) => false,
        };
        let rested = self.retry_at.is_none_or(|at| now >= at);
        (free && rested).then_some(wanted)
    }

    /// Notes that a request was started.
    pub(crate) fn start(&mut self, number: RequestNumber, job: Job) {
        self.running = Some((number, job));
        self.retry_at = None;
        if let Job::Write(ticket) = job
            && ticket.granted
            && self.stored == Stored::NotGranted
        {
            self.stored = Stored::Unknown;
        }
    }

    /// Takes the job that ended; `None`: the number is an old one.
    pub(crate) fn finish(&mut self, number: RequestNumber) -> Option<Job> {
        match self.running {
            Some((running, job)) if running == number => {
                self.running = None;
                Some(job)
            }
            _ => None,
        }
    }

    /// Notes that a write has succeeded; tells whether it changed what the store says.
    pub(crate) fn written(&mut self, ticket: Wanted) -> bool {
        let before = self.stored;
        self.stored = if ticket.granted { Stored::Granted } else { Stored::NotGranted };
        self.attempts = 0;
        self.last_resort = None;
        if self.wanted == Some(ticket) {
            self.wanted = None;
        }
        if !ticket.granted {
            self.revoke_since = None;
        }
        before != self.stored
    }

    /// Notes a failure; the request is tried again after a pause.
    pub(crate) fn failed(&mut self, now: Instant) {
        let pause = FIRST_PAUSE.0.saturating_mul(1 << self.attempts.min(8)).min(LONGEST_PAUSE.0);
        self.attempts = self.attempts.saturating_add(1);
        self.retry_at = Some(now + Millis(pause));
    }

    /// When it wants to be called again.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if self.wanted.is_some() || !self.loaded { self.retry_at } else { None }
    }
}
