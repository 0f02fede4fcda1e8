//! Notices in words: what stands in the log, how loud, and which lines share a limit.
//!
//! A peer or a client can provoke nearly every line by sending something, so nearly every line has a
//! [`Line::limit`]: lines with the same one are counted together, and only so many of them written
//! (see [`crate::log::limit`]).

use crate::clock::local_time;
use crate::config::{Member, Ticket};
use crate::counters::words;
use crate::log::Level;
use booth_core::member::{MemberIndex, MemberSet};
use booth_core::notice::{Event, Notice};
use booth_core::settings::TicketIndex;
use booth_core::time::{Instant, Millis, Now};
use booth_core::wire::{DropReason, Outcome, Reason};
use std::fmt::{self, Write};

/// How a line is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// How loud.
    pub level: Level,
    /// Which limit it counts against: a few words for the summary of those left out.
    pub limit: &'static str,
}

/// What a line needs to name things.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// In the order of the configuration.
    pub members: &'a [Member],
    /// In the order of the configuration.
    pub tickets: &'a [Ticket],
    /// When it happened.
    pub now: Now,
}

/// Writes a notice into `out`; `None`: it is only counted.
pub fn describe(out: &mut String, names: &Names<'_>, notice: &Notice) -> Option<Line> {
    match *notice {
        Notice::DatagramDropped { member, reason } => {
            let from = MemberName(names, member);
            // A `String` takes everything.
            let _ = write!(out, "datagram from {from} dropped: {}{}", words(reason), advice(reason));
            // A late answer is the ordinary case of these: the majority had come before it.
            let level = if reason == DropReason::Unexpected { Level::Debug } else { Level::Warning };
            Some(Line { level, limit: words(reason) })
        }
        Notice::HeardAgain { member, after } => {
            let _ = write!(out, "{} is heard again after {} s", MemberName(names, Some(member)), after.0 / 1000);
            Some(Line { level: Level::Info, limit: "heard again" })
        }
        Notice::RequestRefused { reason } => {
            let _ = write!(out, "client's request refused: {}", words(reason));
            Some(Line { level: Level::Warning, limit: "client's request refused" })
        }
        Notice::Ticket { ticket, event } => {
            let (level, limit) = loudness(&event)?;
            let _ = write!(out, "{}: {}", TicketName(names, ticket), Words(names, &event));
            Some(Line { level, limit })
        }
    }
}

/// What to look at when a member's datagrams are dropped.
fn advice(reason: DropReason) -> &'static str {
    match reason {
        DropReason::NotAuthenticated | DropReason::NoKey | DropReason::BadMac => {
            "; is the authfile the same there and here?"
        }
        DropReason::StaleStamp => "; are the clocks right?",
        DropReason::UnknownSender | DropReason::UnknownTicket | DropReason::UnknownLeader => {
            "; is the configuration the same there and here?"
        }
        _ => "",
    }
}

/// Level and limit of an event; `None`: it is only counted.
fn loudness(event: &Event) -> Option<(Level, &'static str)> {
    use Level::{Debug, Error, Info, Warning};
    Some(match event {
        Event::Renewed { .. } => return None,
        Event::Loaded { .. } => (Info, "ticket loaded"),
        Event::WithoutMemory { .. } => (Warning, "no memory"),
        Event::ElectionStarted { .. } => (Info, "election started"),
        Event::Voted { .. } => (Debug, "voted"),
        Event::Refused { .. } => (Info, "refused a peer"),
        Event::RefusedBy { .. } => (Info, "refused by a peer"),
        Event::Won { .. } => (Info, "election won"),
        Event::ElectionFailed { retry: Some(_), .. } => (Warning, "election failed"),
        // Not to be lost among those: an administrator was told to look for it.
        Event::ElectionFailed { retry: None, .. } => (Warning, "grant failed"),
        Event::Following { .. } => (Info, "following"),
        Event::CommitPending { .. } => (Info, "commit pending"),
        Event::Granted => (Info, "granted"),
        Event::Revoked => (Info, "revoked"),
        Event::LeaseEnding { .. } => (Warning, "lease ending"),
        Event::Succeeded { .. } => (Error, "clock stood still"),
        Event::LeaderLost { .. } => (Warning, "leader lost"),
        Event::SteppedDown { .. } => (Info, "leader stepped down"),
        Event::SiteCrashed { .. } => (Warning, "site crashed"),
        Event::RevokedByLeader { .. } => (Info, "revoked by its leader"),
        Event::NoAnswer { .. } => (Warning, "no answer"),
        Event::StoreFailed { .. } => (Error, "store failed"),
        Event::RevokeOverdue { .. } => (Error, "revoke overdue"),
        Event::LastResort => (Error, "last resort"),
        Event::GrantTooLate => (Error, "grant too late"),
        Event::StaleGrant => (Warning, "stale grant"),
        Event::HandlerFailed => (Warning, "handler failed"),
        Event::Releasing { .. } => (Info, "releasing"),
        Event::ReleaseFailed { .. } => (Error, "release failed"),
        Event::PrerequisiteFailed => (Warning, "attr-prereq failed"),
        Event::JournalFailed => (Error, "journal failed"),
        Event::SeveralHolders => (Warning, "several holders"),
        Event::GrantRequested => (Info, "grant requested"),
        Event::RevokeRequested => (Info, "revoke requested"),
    })
}

struct MemberName<'a>(&'a Names<'a>, Option<MemberIndex>);

impl fmt::Display for MemberName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1.and_then(|member| self.0.members.get(member.at())) {
            Some(member) => member.address.fmt(f),
            None => f.write_str("no member"),
        }
    }
}

/// Members, with commas between them.
struct MemberNames<'a>(&'a Names<'a>, MemberSet);

impl fmt::Display for MemberNames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, member) in self.1.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{}", MemberName(self.0, Some(member)))?;
        }
        Ok(())
    }
}

struct TicketName<'a>(&'a Names<'a>, TicketIndex);

impl fmt::Display for TicketName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.tickets.get(self.1.at()).map_or("?", |ticket| &ticket.settings.name))
    }
}

/// An event in words.
struct Words<'a>(&'a Names<'a>, &'a Event);

impl fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |member: MemberIndex| MemberName(self.0, Some(member));
        let at = |instant: Instant| local_time(self.0.now.wall_at(instant));
        match *self.1 {
            Event::Loaded { granted: true } => f.write_str("loaded; the store says that it is granted here"),
            Event::Loaded { granted: false } => f.write_str("loaded; the store says that it is not granted here"),
            Event::WithoutMemory { until } => {
                write!(
                    f,
                    "earlier votes are not remembered; until {} it votes only if an administrator grants",
                    at(until)
                )
            }
            Event::ElectionStarted { term, reason } => {
                write!(f, "election started for term {term}{}", reason_words(reason))
            }
            Event::Voted { candidate, term } => write!(f, "voted for {} in term {term}", name(candidate)),
            Event::Refused { member, outcome } => write!(f, "refused {}: {}", name(member), outcome_words(outcome)),
            Event::RefusedBy { member, outcome } => {
                write!(f, "refused by {}: {}", name(member), outcome_words(outcome))
            }
            Event::Won { term } => write!(f, "election won for term {term}"),
            Event::ElectionFailed { retry, missing } => election_failed(f, MemberNames(self.0, missing), retry.map(at)),
            Event::Following { leader, term } => write!(f, "{} leads in term {term}", name(leader)),
            Event::Renewed { until } => write!(f, "lease renewed until {}", at(until)),
            Event::CommitPending { until } => {
                write!(f, "elected; granted here at {}, when no other site can hold it any more", at(until))
            }
            Event::Granted => f.write_str("granted here"),
            Event::Revoked => f.write_str("revoked here"),
            Event::LeaseEnding { at: end } => {
                write!(f, "no majority of the members answers: revoked here before the lease ends at {}", at(end))
            }
            Event::Succeeded { by } => write!(
                f,
                "{} has been elected while our lease still runs by our clock, which has stood still: revoked here, late",
                name(by)
            ),
            Event::LeaderLost { leader } => write!(f, "the lease of {} has run out", name(leader)),
            Event::SiteCrashed { leader } => site_crashed(f, name(leader)),
            Event::SteppedDown { leader } => write!(f, "{} has given it up", name(leader)),
            Event::RevokedByLeader { leader } => write!(f, "revoked at {}", name(leader)),
            Event::NoAnswer { member } => write!(f, "{} does not answer renewals", name(member)),
            Event::StoreFailed { revoke, attempts } => {
                let what = if revoke { "the revoke could not be written to the store" } else { "the store has failed" };
                write!(f, "{what}; failures in a row: {attempts}; it is tried again")
            }
            Event::RevokeOverdue { by } => revoke_overdue(f, by),
            Event::LastResort => f.write_str(
                "THE STORE HAS NOT CONFIRMED THE REVOKE IN TIME: on-stuck-revoke is run now, the last resort",
            ),
            Event::GrantTooLate => {
                f.write_str("the store wrote the grant after the lease's end; it is revoked at once")
            }
            Event::StaleGrant => f.write_str("found granted in the store without a lease; it is revoked there"),
            Event::HandlerFailed => {
                f.write_str("the before-acquire-handler has failed: the ticket is not for this site")
            }
            Event::Releasing { until } => releasing(f, at(until)),
            Event::ReleaseFailed { until } => release_failed(f, until.map(at)),
            Event::PrerequisiteFailed => f.write_str("an attr-prereq does not hold: the ticket is not for this site"),
            Event::JournalFailed => f.write_str(
                "the journal could not be written: this member votes for nobody until it can; is the disk full?",
            ),
            Event::SeveralHolders => f.write_str("granted at several sites (booth list); revoke it at the wrong ones"),
            Event::GrantRequested => f.write_str("an administrator asks for the ticket here"),
            Event::RevokeRequested => f.write_str("an administrator asks for the ticket to be revoked"),
        }
    }
}

fn site_crashed(f: &mut fmt::Formatter<'_>, site: impl fmt::Display) -> fmt::Result {
    write!(f, "all nodes of {site} write their dumps: nothing runs there any more, its lease is not waited for")
}

fn releasing(f: &mut fmt::Formatter<'_>, until: impl fmt::Display) -> fmt::Result {
    write!(f, "revoked in the store; the release-handler is to say that the resources are stopped, by {until}")
}

fn release_failed(f: &mut fmt::Formatter<'_>, until: Option<impl fmt::Display>) -> fmt::Result {
    match until {
        Some(until) => write!(
            f,
            "the release-handler has failed: the resources may still run here; the others are told when the lease ends, \
             {until}"
        ),
        None => f.write_str(
            "the release-handler has not said that the resources are stopped: the lease is over, the others are told all \
             the same",
        ),
    }
}

fn election_failed(
    f: &mut fmt::Formatter<'_>,
    missing: MemberNames<'_>,
    retry: Option<impl fmt::Display>,
) -> fmt::Result {
    match retry {
        Some(at) => write!(f, "no majority, without the votes of {missing}; the next try is at {at}"),
        None => {
            write!(f, "not granted: no majority, without the votes of {missing}; can they be reached (booth peers)?")
        }
    }
}

fn revoke_overdue(f: &mut fmt::Formatter<'_>, by: Millis) -> fmt::Result {
    write!(
        f,
        "THE LEASE HAS ENDED BUT THE STORE STILL SAYS GRANTED, for {} ms now: another site may take the ticket; revoke \
         it here by hand (Pacemaker: crm_ticket --ticket NAME --revoke --force)",
        by.0
    )
}

fn reason_words(reason: Reason) -> &'static str {
    match reason {
        Reason::None | Reason::Other(_) => "",
        Reason::Again => ": the last one had no winner",
        Reason::TicketLost => ": the leader's lease has run out",
        Reason::Reacquire => ": held here before the restart",
        Reason::Administrator => ": an administrator asks",
        Reason::LocalFailure => ": the holder could not keep it",
        Reason::StepDown => ": its holder has given it up",
        Reason::Split => ": the votes were split",
    }
}

fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::TermOutdated => "the term is outdated",
        Outcome::TermStillValid => "the lease still runs",
        Outcome::YouAreOutdated => "the ticket has been revoked since",
        Outcome::Busy => "busy",
        Outcome::AuthenticationFailed => "not authenticated",
        _ => "no reason that is known",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::parse;
    use std::path::Path;

    fn said(notice: Notice) -> (String, Option<Line>) {
        let text = b"site = 10.77.0.1\nsite = 10.77.0.2\narbitrator = 10.77.0.3\nticket = T\n";
        let (configuration, _) = parse(text, Path::new("test"), &mut |host: &str| Err(host.to_owned()));
        let configuration = configuration.unwrap();
        let (members, tickets) = (&configuration.members[..], &configuration.tickets[..]);
        let mut out = String::new();
        let line = describe(&mut out, &Names { members, tickets, now: Now::default() }, &notice);
        (out, line)
    }

    #[test]
    fn a_dropped_datagram_names_the_member_and_the_reason_and_shares_the_reasons_limit() {
        let (text, line) = said(Notice::DatagramDropped { member: Some(MemberIndex(1)), reason: DropReason::BadMac });
        assert_eq!(text, "datagram from 10.77.0.2 dropped: wrong MAC; is the authfile the same there and here?");
        assert_eq!(line, Some(Line { level: Level::Warning, limit: "wrong MAC" }));
        let (text, _) = said(Notice::DatagramDropped { member: None, reason: DropReason::BadSize });
        assert_eq!(text, "datagram from no member dropped: too short or too long");
    }

    #[test]
    fn a_renewal_is_counted_and_not_logged() {
        let (text, line) = said(Notice::Ticket { ticket: TicketIndex(0), event: Event::Renewed { until: Instant(1) } });
        assert_eq!((text.as_str(), line), ("", None));
    }

    #[test]
    fn an_event_names_its_ticket() {
        let event = Event::Voted { candidate: MemberIndex(0), term: 7 };
        let (text, _) = said(Notice::Ticket { ticket: TicketIndex(0), event });
        assert_eq!(text, "T: voted for 10.77.0.1 in term 7");
    }

    #[test]
    fn a_failed_election_names_those_whose_votes_were_missing() {
        let missing = MemberSet::first(3).without(MemberIndex(1));
        let event = Event::ElectionFailed { retry: None, missing };
        let (text, _) = said(Notice::Ticket { ticket: TicketIndex(0), event });
        assert!(text.contains("without the votes of 10.77.0.1, 10.77.0.3; can"), "{text}");
    }

    #[test]
    fn indices_from_nowhere_do_not_panic() {
        let event = Event::Voted { candidate: MemberIndex(15), term: 7 };
        let (text, _) = said(Notice::Ticket { ticket: TicketIndex(9), event });
        assert_eq!(text, "?: voted for no member in term 7");
    }
}
