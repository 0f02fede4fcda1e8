//! The log: to stderr in the foreground, else to syslog. A sink that is full or gone never holds the
//! process up: the line is dropped and counted, and the count is written as soon as a line goes
//! through again. A line is one datagram or one write of at most [`line::MAX_LINE`] bytes, put
//! together in a fixed buffer: writing allocates nothing.
//!
//! - [`mod@line`] puts a line together: bounded, control characters escaped.
//! - [`destination`] hands it to stderr or syslogd without ever waiting.
//! - [`limit`] bounds what others can provoke.
//!
//! Whatever a peer, a client or a child can cause goes through [`Log::provoked`]; [`Log::write`] is
//! for what this process does of its own accord.

pub mod destination;
pub mod limit;
pub mod line;

use booth_core::time::{Instant, Now};
use destination::Destination;
use limit::Limiter;
use line::Line;
use std::fmt::Arguments;

/// How much a line matters; the numbers are syslog's (RFC 5424, section 6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed that somebody must look at.
    Error = 3,
    /// Something is not as it should be; the process lives with it.
    Warning = 4,
    /// What has happened to tickets and to the process.
    Info = 6,
    /// What a developer wants to see (`-D`, `debug = 1`).
    Debug = 7,
}

/// The log of this process. It has one owner, which hands it on by `&mut`.
#[derive(Debug)]
pub struct Log {
    destination: Destination,
    /// Lines beyond this level are not written.
    verbosity: Level,
    limiter: Limiter,
    line: Line,
    /// Lines that no sink has taken since that was last said.
    lost_untold: u64,
    /// The same since the start.
    lost_since_start: u64,
}

impl Level {
    /// The word that stands in a line.
    pub fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

impl Log {
    /// A log that writes lines up to `verbosity` to `destination`.
    pub fn new(destination: Destination, verbosity: Level) -> Log {
        Log { destination, verbosity, limiter: Limiter::new(), line: Line::new(), lost_untold: 0, lost_since_start: 0 }
    }

    /// Changes what is written from now on.
    pub fn set_verbosity(&mut self, verbosity: Level) {
        self.verbosity = verbosity;
    }

    /// Whether lines of this level are written: for a caller whose text costs something.
    pub fn writes(&self, level: Level) -> bool {
        level <= self.verbosity
    }

    /// Writes a line that nobody outside can provoke.
    pub fn write(&mut self, now: Now, level: Level, text: Arguments<'_>) {
        if self.writes(level) {
            self.summarize(now);
            self.put(now, level, text);
        }
    }

    /// Writes a line that somebody outside can provoke, or counts it where its kind comes too often.
    /// `reason` names the kind in a few words and stands in the summary.
    pub fn provoked(&mut self, now: Now, level: Level, reason: &'static str, text: Arguments<'_>) {
        self.provoked_burst(now, level, reason, limit::BURST, text);
    }

    /// As [`Log::provoked`], for a kind of which more than [`limit::BURST`] lines at once are nothing
    /// unusual: one for each ticket, say.
    pub fn provoked_burst(&mut self, now: Now, level: Level, reason: &'static str, burst: u16, text: Arguments<'_>) {
        if !self.writes(level) {
            return;
        }
        self.summarize(now);
        if self.limiter.admit_burst(now.boot, level, reason, burst) {
            self.put(now, level, text);
        }
    }

    /// Writes the summaries that are due; to be called at [`Log::next_deadline`].
    pub fn summarize(&mut self, now: Now) {
        while let Some(summary) = self.limiter.due(now.boot) {
            self.put_summary(now, summary);
        }
    }

    /// When the next summary is due; `None` while no line is suppressed, so that nobody is woken.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.limiter.next_deadline()
    }

    /// Writes every count that has not been told yet; for the end of the process.
    pub fn finish(&mut self, now: Now) {
        while let Some(summary) = self.limiter.drain(now.boot) {
            self.put_summary(now, summary);
        }
        self.tell_lost(now);
    }

    /// How many lines were lost since the start because the sink was full or gone.
    pub fn lines_lost(&self) -> u64 {
        self.lost_since_start
    }

    fn put_summary(&mut self, now: Now, summary: limit::Summary) {
        let limit::Summary { reason, level, suppressed, over } = summary;
        self.put(now, level, format_args!("{reason}: and {suppressed} more in {} s", over.0 / 1000));
    }

    fn put(&mut self, now: Now, level: Level, text: Arguments<'_>) {
        if !self.tell_lost(now) {
            self.count_lost();
            return;
        }
        if !self.hand_over(now, level, text) {
            self.count_lost();
        }
    }

    /// Says how many lines were lost; false where even that does not go through.
    fn tell_lost(&mut self, now: Now) -> bool {
        let lost = self.lost_untold;
        if lost > 0 && self.hand_over(now, Level::Warning, format_args!("{lost} log lines were lost: nobody took them"))
        {
            self.lost_untold = 0;
        }
        self.lost_untold == 0
    }

    fn count_lost(&mut self) {
        self.lost_untold = self.lost_untold.saturating_add(1);
        self.lost_since_start = self.lost_since_start.saturating_add(1);
    }

    fn hand_over(&mut self, now: Now, level: Level, text: Arguments<'_>) -> bool {
        self.destination.start_line(&mut self.line, now.wall, level);
        self.line.append(text);
        self.destination.take(&mut self.line)
    }
}
