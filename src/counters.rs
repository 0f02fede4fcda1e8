//! What has been counted since the start, for `boothctl stats`.

use booth_core::notice::{Event, Notice};
use booth_core::wire::DropReason;
use std::fmt::Write;

/// All reasons, in the order of their numbers.
pub const REASONS: [DropReason; DropReason::COUNT] = [
    DropReason::BadSize,
    DropReason::BadMagic,
    DropReason::BadVersion,
    DropReason::BadLength,
    DropReason::UnknownCommand,
    DropReason::UnknownSender,
    DropReason::WrongAddress,
    DropReason::BadOptions,
    DropReason::NotAuthenticated,
    DropReason::NoKey,
    DropReason::BadHashId,
    DropReason::BadMac,
    DropReason::BadStamp,
    DropReason::StaleStamp,
    DropReason::Replayed,
    DropReason::BadText,
    DropReason::UnknownTicket,
    DropReason::UnknownLeader,
    DropReason::AbsurdTerm,
    DropReason::AbsurdValidity,
    DropReason::Unexpected,
];

/// The counters of the process.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    datagrams: [u64; DropReason::COUNT],
    requests: [u64; DropReason::COUNT],
    renewals: u64,
    /// Records written to the journal.
    pub records: u64,
    /// Records that could not be written.
    pub record_failures: u64,
}

impl Counters {
    /// Counts a notice, whether or not it is logged.
    pub fn count(&mut self, notice: &Notice) {
        match notice {
            Notice::DatagramDropped { reason, .. } => self.datagrams[*reason as usize] += 1,
            Notice::RequestRefused { reason } => self.requests[*reason as usize] += 1,
            Notice::Ticket { event: Event::Renewed { .. }, .. } => self.renewals += 1,
            Notice::Ticket { .. } | Notice::HeardAgain { .. } => {}
        }
    }

    /// Appends a line `NAME: COUNT` for each counter that is not zero.
    pub fn describe(&self, out: &mut String) {
        for (counts, what) in [(&self.datagrams, "datagrams dropped"), (&self.requests, "requests refused")] {
            for (count, reason) in counts.iter().zip(REASONS).filter(|(count, _)| **count > 0) {
                line(out, format_args!("{what}, {}", words(reason)), *count);
            }
        }
        line(out, format_args!("leases renewed"), self.renewals);
        line(out, format_args!("journal records written"), self.records);
        line(out, format_args!("journal records failed"), self.record_failures);
    }
}

/// Appends `NAME: COUNT`.
pub fn line(out: &mut String, name: std::fmt::Arguments<'_>, count: u64) {
    // A `String` takes everything.
    let _ = writeln!(out, "{name}: {count}");
}

/// A reason in words, for people.
pub fn words(reason: DropReason) -> &'static str {
    match reason {
        DropReason::BadSize => "too short or too long",
        DropReason::BadMagic => "wrong magic",
        DropReason::BadVersion => "wrong version",
        DropReason::BadLength => "wrong length",
        DropReason::UnknownCommand => "unknown command",
        DropReason::UnknownSender => "unknown sender",
        DropReason::WrongAddress => "sent from a wrong address",
        DropReason::BadOptions => "unknown bits in opts",
        DropReason::NotAuthenticated => "not signed",
        DropReason::NoKey => "signed, but there is no key here",
        DropReason::BadHashId => "unknown hash",
        DropReason::BadMac => "wrong MAC",
        DropReason::BadStamp => "impossible time stamp",
        DropReason::StaleStamp => "time stamp outside maxtimeskew",
        DropReason::Replayed => "seen before or too late",
        DropReason::BadText => "malformed name or value",
        DropReason::UnknownTicket => "unknown ticket",
        DropReason::UnknownLeader => "unknown leader",
        DropReason::AbsurdTerm => "absurd term",
        DropReason::AbsurdValidity => "absurd validity",
        DropReason::Unexpected => "answers nothing that was asked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_stands_at_its_number_and_reads_differently() {
        for (at, reason) in REASONS.iter().enumerate() {
            assert_eq!(*reason as usize, at);
            assert_eq!(REASONS.iter().filter(|other| words(**other) == words(*reason)).count(), 1);
        }
    }

    #[test]
    fn what_was_counted_is_told_by_reason() {
        let mut counters = Counters::default();
        for _ in 0..3 {
            counters.count(&Notice::DatagramDropped { member: None, reason: DropReason::BadMac });
        }
        counters.count(&Notice::RequestRefused { reason: DropReason::BadLength });
        let mut out = String::new();
        counters.describe(&mut out);
        assert!(out.starts_with("datagrams dropped, wrong MAC: 3\nrequests refused, wrong length: 1\n"), "{out}");
    }
}
