//! What must hold in every state, judged from outside: by the stores, the journals and the wire.
//!
//! S0: one holder, and `acquire-after` between two. S1: one vote a term on disk and on the wire, and
//! nothing that goes down. S2, S3: who has acknowledged a leader votes for no other until its promise and
//! the hold behind it are over. S9: nobody hears of a release that the store has not confirmed.

use crate::host::{EXPIRE, Host, MEMBERS, SITES, site_id};
use booth_core::member::SiteId;
use booth_core::sink::Record;
use booth_core::wire::{Body, Command, LeaderField, Message};
use std::sync::Arc;

/// A rule of the design that a world is tested for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// At most one holder, and `acquire-after` between two.
    S0,
    /// One vote a term; terms never go down.
    S1,
    /// An acknowledgement is a promise, and a hold lies behind it (S2, S3).
    S2,
    /// No release is announced before the store has confirmed it.
    S9,
}

/// What a member has done that later acts are measured by. A lost journal takes it along: S7 says what
/// a member without memory may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Past {
    /// Its votes, by term (S1).
    votes: Vec<(u32, SiteId)>,
    /// Whom its last acknowledgement promised to help no other, and until when (S2).
    owes: Option<(usize, u64)>,
    /// When it last said that it no longer holds the ticket, unless it has asked for a renewal since.
    released: Option<u64>,
}

/// Who holds the ticket by the stores, and who gave it up last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Holding {
    /// The holder.
    pub holder: Option<usize>,
    /// The last one that is no more, and since when; forgotten when `acquire-after` is over.
    ended: Option<(usize, u64)>,
}

/// S0, after everything that changes a store. Gives what is wrong.
pub fn judge_holders(holding: &mut Holding, granted: [bool; SITES], now: u64, acquire_after: u64) -> Option<String> {
    let mut holders = (0..SITES).filter(|site| granted[*site]);
    let (first, second) = (holders.next(), holders.next());
    if let (Some(first), Some(second)) = (first, second) {
        return Some(format!("site{} and site{} hold the ticket", first + 1, second + 1));
    }
    let before = holding.holder;
    holding.holder = first;
    if let Some(before) = before.filter(|before| first != Some(*before)) {
        holding.ended = Some((before, now));
    }
    let (old, ended) = holding.ended?;
    if now >= ended + acquire_after {
        holding.ended = None;
        return None;
    }
    let holder = first.filter(|holder| *holder != old)?;
    let gap = now - ended;
    Some(format!("{gap} ms between the end at site{} and the grant at site{}", old + 1, holder + 1))
}

/// S1, for a record that is to be written.
pub fn judge_record(host: &mut Host, record: &Record) -> Option<String> {
    let last = host.journal.unwrap_or_default();
    // A vote for a member that is gone may be forgotten where the term is behind us.
    let closed = record.term > last.voted_term;
    if record.term < last.term || (record.voted_term < last.voted_term && !closed) {
        return Some(format!("the journal goes down from {last:?} to {record:?}"));
    }
    let vote = record.vote?;
    match host.past.votes.iter().find(|(term, _)| *term == record.voted_term) {
        Some((_, first)) if *first == vote => None,
        Some((term, _)) => Some(format!("a second vote in term {term}")),
        None => {
            host.past.votes.push((record.voted_term, vote));
            None
        }
    }
}

/// All that a message promises, when it leaves. `hosts` are as they are then.
pub fn judge_message(
    hosts: &mut [Arc<Host>; MEMBERS],
    from: usize,
    to: usize,
    message: &Message<'_>,
    now: u64,
    acquire_after: u64,
) -> Vec<(Rule, String)> {
    let mut broken = Vec::new();
    let Body::Ticket(body) = message.body else { return broken };
    let host = &hosts[from];
    match (message.header.command, message.header.request) {
        (Command::Vote, Some(Command::VoteRequest)) => {
            let LeaderField::Member(vote) = body.leader else { return broken };
            if !host.past.votes.contains(&(body.term, vote)) {
                broken.push((Rule::S1, format!("a vote in term {} that is not the one on disk", body.term)));
            }
            let helps = vote == site_id(to);
            if let Some((owed, until)) = host.past.owes.filter(|(owed, _)| helps && *owed != to) {
                let freed = hosts[owed].past.released.is_some_and(|at| now >= at + acquire_after);
                if !freed && now < until + acquire_after {
                    broken.push((Rule::S2, format!("a vote in spite of the promise to site{}", owed + 1)));
                }
            }
        }
        (Command::Ack, Some(Command::Heartbeat | Command::Update)) => {
            if !host.journal.is_some_and(|record| record.leader == Some(site_id(to)) && record.active) {
                broken.push((Rule::S2, "an acknowledgement that is not on disk".to_owned()));
            }
            Arc::make_mut(&mut hosts[from]).past.owes = Some((to, now + EXPIRE));
        }
        (Command::Vote | Command::Revoke, None) => {
            if host.store.granted {
                broken.push((Rule::S9, "a release that the store does not know of".to_owned()));
            }
            Arc::make_mut(&mut hosts[from]).past.released.get_or_insert(now);
        }
        (Command::Heartbeat | Command::Update, None) => Arc::make_mut(&mut hosts[from]).past.released = None,
        _ => {}
    }
    broken
}

/// What does not matter any more is forgotten, so that states differ only where they behave differently.
pub fn forget(hosts: &mut [Arc<Host>; MEMBERS], now: u64, acquire_after: u64) {
    for host in hosts {
        if host.past.owes.is_some_and(|(_, until)| now >= until + acquire_after) {
            Arc::make_mut(host).past.owes = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use booth_core::wire::{Header, Outcome, Reason, TicketBody};

    fn message(command: Command, leader: Option<usize>) -> Message<'static> {
        let header = Header {
            stamp: Default::default(),
            sender: site_id(0),
            command,
            request: None,
            options: 0,
            reason: Reason::None,
            outcome: Outcome::Success,
        };
        let leader = leader.map_or(LeaderField::Nobody, |leader| LeaderField::Member(site_id(leader)));
        Message { header, body: Body::Ticket(TicketBody { name: "T", leader, term: 1, valid_for: 0 }) }
    }

    fn broken(hosts: &mut [Arc<Host>; MEMBERS], message: &Message<'_>, now: u64) -> Vec<Rule> {
        judge_message(hosts, 0, 1, message, now, 20).into_iter().map(|(rule, _)| rule).collect()
    }

    #[test]
    fn two_holders_and_a_short_gap_are_noticed_s0() {
        let mut holding = Holding::default();
        assert_eq!(judge_holders(&mut holding, [true, false], 10, 20), None);
        assert!(judge_holders(&mut holding, [true, true], 11, 20).is_some());
        assert_eq!(judge_holders(&mut holding, [false, false], 12, 20), None);
        assert!(judge_holders(&mut holding.clone(), [false, true], 31, 20).is_some());
        assert_eq!(judge_holders(&mut holding.clone(), [true, false], 31, 20), None, "the old holder need not wait");
        assert_eq!(judge_holders(&mut holding, [false, true], 32, 20), None);
    }

    #[test]
    fn a_second_vote_and_a_term_that_goes_down_are_noticed_s1() {
        let mut host = Host::default();
        let record =
            |term, vote: usize| Record { term, voted_term: term, vote: Some(site_id(vote)), ..Record::default() };
        assert_eq!(judge_record(&mut host, &record(3, 0)), None);
        host.journal = Some(record(3, 0));
        assert!(judge_record(&mut host, &record(3, 1)).is_some());
        assert!(judge_record(&mut host, &record(2, 0)).is_some());
        assert_eq!(judge_record(&mut host, &record(4, 1)), None);
    }

    #[test]
    fn a_release_before_the_store_s_word_and_a_promise_not_on_disk_are_noticed_s9_s2() {
        let mut hosts = [(); MEMBERS].map(|()| Arc::new(Host::default()));
        assert_eq!(broken(&mut hosts, &message(Command::Revoke, None), 10), []);
        Arc::make_mut(&mut hosts[0]).store.granted = true;
        assert_eq!(broken(&mut hosts, &message(Command::Revoke, None), 10), [Rule::S9]);
        let mut ack = message(Command::Ack, Some(1));
        ack.header.request = Some(Command::Heartbeat);
        assert_eq!(broken(&mut hosts, &ack, 10), [Rule::S2]);
    }
}
