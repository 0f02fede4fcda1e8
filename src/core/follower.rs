//! The follower: what it owes a leader, and how it notices that there is none any more.
//!
//! S2: an acknowledgement is a promise, recorded before it leaves. A heartbeat of an older term than
//! one in which we have voted for somebody else is refused: that somebody may lead by our vote. One
//! in which we only voted for ourselves does not count: we know that we do not lead.

use crate::lease;
use crate::member::MemberIndex;
use crate::notice::Event;
use crate::sink::Sink;
use crate::ticket::{Ask, Ticket};
use crate::time::{Instant, Millis};
use crate::turn::{Draft, FromPeer, Turn};
use crate::view::Role;
use crate::wire::{Command, DropReason, Outcome, Reason};

impl Ticket {
    /// A heartbeat or an update of a leader.
    pub(crate) fn on_renewal<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer) -> Result<(), DropReason> {
        let (now, leader) = (turn.now.boot, message.from);
        if message.leader != Some(leader) {
            return Err(DropReason::Unexpected);
        }
        let settled = message.word.is_some_and(|word| word.settled) && message.term > self.term;
        if self.leads(now) && settled {
            self.succeeded_by(turn, leader);
        } else if self.leads(now) {
            self.refuse(turn, message, Outcome::TermStillValid);
            return Ok(());
        }
        if self.released_term == Some(message.term) {
            // It is late; or the term was used again, by one who did not know of it: that one is to go on in another.
            // (The reference makes too much of it.)
            if message.word.is_some() {
                self.refuse(turn, message, Outcome::TermOutdated);
            }
            return Ok(());
        }
        if self.is_outdated(turn, message) {
            self.refuse(turn, message, Outcome::TermOutdated);
            return Ok(());
        }
        let bound = self.promise.owed_leader(now).is_some_and(|other| other != leader);
        // What it vouches for was true when it said so: no promise that we have made since is touched by that.
        let frees = settled && self.promise.made().is_none_or(|made| turn.made_after(message, made));
        if bound && !frees {
            // We owe this to another. Silence: the asker tries again, and may by then be right.
            turn.event(self.index, Event::Refused { member: leader, outcome: Outcome::TermStillValid });
            return Ok(());
        }
        if self.forgetful() && !self.may_trust(message) {
            // S7: we may have promised another, or voted for another, and not know it any more.
            return Ok(());
        }
        self.follow(turn, message);
        let mut ack = self.answer(turn, Command::Ack, message.header.command, message.word);
        ack.term = message.term;
        if message.word.is_none() {
            ack.validity = lease::echo(message.validity);
        }
        self.send(turn, leader, &ack);
        if message.header.command == Command::Update {
            self.want_revoked(turn, Some(leader));
        }
        Ok(())
    }

    fn is_outdated<S: Sink>(&self, turn: &Turn<'_, S>, message: &FromPeer) -> bool {
        let from = message.from;
        let older = message.term < self.term && self.promise.leader(turn.now.boot) != Some(from);
        let usurped = message.term == self.term && self.term_leader.is_some_and(|leader| leader != from);
        let voted_for_another =
            self.voted.is_some_and(|(term, vote)| term > message.term && vote != from && vote != turn.me());
        older || usurped || voted_for_another
    }

    /// Whether a member without memory may follow: a lease that runs already excludes any other, and
    /// what we have seen since our start we do remember. The reference does not say which it is.
    fn may_trust(&self, message: &FromPeer) -> bool {
        let seen = self.promise.to() == Some(message.from) || self.voted == Some((message.term, message.from));
        message.word.is_none_or(|word| word.running || seen)
    }

    /// Makes the promise (S2) and follows.
    fn follow<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer) {
        let (now, leader) = (turn.now.boot, message.from);
        // The reference counts its lease from the arrival of our answer (and its clock drifts as well).
        let slack = if message.word.is_some() { Millis(0) } else { lease::margins(&self.settings).drift };
        self.promise.make(&self.settings, leader, now, message.validity, slack);
        if message.word.is_some_and(|word| word.settled) {
            self.promise.settle();
        }
        if message.term > self.term || self.term_leader.is_none() {
            self.term = message.term.max(self.term);
            self.term_leader = Some(leader);
        }
        self.crash_release = message.word.is_some_and(|word| word.crash_release);
        self.revoked = false;
        self.planned = None;
        if self.following != Some(leader) || self.role != Role::Follower {
            self.drop_stale(turn);
            self.become_follower(turn, Some(leader));
            self.answer_waiting(turn, |ask| matches!(ask, Ask::Grant { .. }), Outcome::Overgrant);
            // Who still waits for our store to confirm a revoke is to ask where the ticket is now.
            self.answer_waiting(turn, |ask| matches!(ask, Ask::Revoke { .. }), Outcome::Redirect);
        }
    }

    /// Believes that `leader` holds the ticket for `validity`, though it has not asked us for a promise.
    pub(crate) fn adopt<S: Sink>(&mut self, turn: &mut Turn<'_, S>, leader: MemberIndex, term: u32, validity: Millis) {
        self.promise.learn(&self.settings, leader, turn.now.boot, validity);
        self.crash_release = false;
        if term > self.term {
            self.term = term;
            self.term_leader = Some(leader);
        }
        self.revoked = false;
        self.drop_stale(turn);
        self.become_follower(turn, Some(leader));
        self.answer_waiting(turn, |ask| matches!(ask, Ask::Grant { .. }), Outcome::Overgrant);
    }

    /// The leader steps down (S3).
    pub(crate) fn on_step_down<S: Sink>(
        &mut self,
        turn: &mut Turn<'_, S>,
        message: &FromPeer,
    ) -> Result<(), DropReason> {
        let leader = message.from;
        if self.promise.to() != Some(leader) || message.term < self.term || self.role == Role::Leader {
            return Err(DropReason::Unexpected);
        }
        if self.following == Some(leader) || self.promise.runs(turn.now.boot) {
            turn.event(self.index, Event::SteppedDown { leader });
            self.released(turn, message);
            self.want_revoked(turn, None);
            // Not with the reason "step-down": to that the reference gives its vote whatever it has promised.
            self.plan_election(turn, turn.now.boot, Reason::Again, Some(leader));
        }
        if message.word.is_some() {
            self.acknowledge_release(turn, message);
        }
        Ok(())
    }

    /// The leader has revoked the ticket on an administrator's word.
    pub(crate) fn on_revoke<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer) -> Result<(), DropReason> {
        let (leader, now) = (message.from, turn.now.boot);
        let another = self.promise.leader(now).is_some_and(|other| other != leader);
        if another || message.leader.is_some() || message.term < self.term || self.role == Role::Leader {
            return Err(DropReason::Unexpected);
        }
        self.know_revoked_term(message.term);
        // Said by one that did not hold it: somebody else may, whom neither of us can hear now.
        if !message.word.is_some_and(|word| word.lost) {
            self.released_term = Some(message.term);
        }
        if !self.revoked {
            turn.event(self.index, Event::RevokedByLeader { leader });
            if self.promise.to() == Some(leader) {
                self.released(turn, message);
            }
            self.become_follower(turn, None);
            self.planned = None;
            self.ever_held = true;
            self.revoked = true;
            self.want_revoked(turn, None);
            if self.is_asked_for() {
                self.plan_election(turn, now, Reason::Administrator, None);
            }
        }
        self.acknowledge_release(turn, message);
        Ok(())
    }

    /// A revoke concerns all terms up to its own: what we know of it is no older than that.
    pub(crate) fn know_revoked_term(&mut self, term: u32) {
        if term > self.term {
            (self.term, self.term_leader) = (term, None);
        }
    }

    fn released<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer) {
        self.released_term = Some(message.term);
        let stopped = message.word.is_some_and(|word| word.stopped);
        self.promise.release(&self.settings, turn.now.boot, stopped);
        self.become_follower(turn, None);
    }

    fn acknowledge_release<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer) {
        let mut ack = self.answer(turn, Command::Ack, message.header.command, message.word);
        ack.term = message.term;
        self.send(turn, message.from, &ack);
    }

    /// Notices that the lease of the leader that was followed has run out.
    pub(crate) fn forget_leader_if_lost<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        let Some(leader) = self.following.filter(|_| !self.promise.runs(turn.now.boot)) else { return };
        turn.event(self.index, Event::LeaderLost { leader });
        self.become_follower(turn, None);
        self.plan_election(turn, self.promise.hold(), Reason::TicketLost, Some(leader));
        self.plan_reminder(turn, self.promise.hold());
    }

    /// An arbitrator cannot stand for a ticket that is lost. Until somebody has it, it tells the sites, lest
    /// the only one that is left was cut off when the ticket was granted and knows of nothing to fight for (L1).
    pub(crate) fn plan_reminder<S: Sink>(&mut self, turn: &Turn<'_, S>, from: Instant) {
        let due = !turn.is_site(turn.me()) && self.following.is_none() && self.is_lost();
        self.reminder_at = due.then_some(from.max(turn.now.boot) + self.settings.renewal);
    }

    pub(crate) fn remind<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        self.plan_reminder(turn, turn.now.boot);
        if self.reminder_at.is_none() || self.known_leader(turn.now.boot).is_some() {
            return;
        }
        let mut reminder = self.answer(turn, Command::MyIndex, Command::Status, None);
        reminder.word.lost = true;
        // The reference would take its own lease for revoked (and would not revoke it).
        self.broadcast(turn, turn.worded(), &reminder);
        // Whose language is not known is asked something first: it may have had no way to speak since our start.
        let question = Draft { term: self.term, ..Draft::new(Command::Status) };
        self.broadcast(turn, turn.unheard(), &question);
    }

    /// Somebody asks what we know of the ticket.
    pub(crate) fn on_status<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer) -> Result<(), DropReason> {
        let known = self.known_leader(turn.now.boot);
        // To a reference member that still claims the ticket, "nobody, in a newer term" is poison:
        // it would never revoke what its store says. It learns the truth by asking for votes.
        let claims = message.leader == Some(message.from) && message.word.is_none() && !self.is_manual();
        if self.role == Role::Candidate || (claims && known.is_none() && self.term > message.term) {
            return Ok(());
        }
        // Not as the leader, to whom the revoke is history as soon as a majority answers.
        let told = self.revoked && self.role == Role::Follower && !self.store.may_be_granted() && !self.is_manual();
        if told && message.word.is_some() && message.term <= self.term {
            // It may have been down when the ticket was revoked, and is not to fight for it now.
            let revoke = Draft { reason: Reason::Administrator, term: self.term, ..Draft::new(Command::Revoke) };
            self.send(turn, message.from, &revoke);
        }
        let mut answer = self.answer(turn, Command::MyIndex, Command::Status, message.word);
        answer.word.lost = known.is_none() && self.is_lost();
        self.send(turn, message.from, &answer);
        Ok(())
    }

    /// The ticket was held in `term`, and nobody holds it any more. Where that is news, we were away when it was
    /// granted, and what we know of an earlier revoke does not concern it.
    fn hear_of_loss<S: Sink>(&mut self, turn: &mut Turn<'_, S>, term: u32) {
        if term <= self.term || self.role != Role::Follower || self.following.is_some() || self.leaving.is_some() {
            return;
        }
        (self.term, self.term_leader) = (term, None);
        (self.ever_held, self.revoked) = (true, false);
        if self.catching_up.is_none() && self.planned.is_none() && self.handler.is_none() {
            self.plan_election(turn, turn.now.boot, Reason::TicketLost, None);
        }
    }

    /// Somebody says what it knows of the ticket.
    pub(crate) fn on_index<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer) -> Result<(), DropReason> {
        let (now, me) = (turn.now.boot, turn.me());
        if let Some(leader) = message.leader.filter(|leader| *leader != me && !self.leads(now)) {
            let known = message.term >= self.term && message.validity > Millis(0);
            if known && self.promise.can_learn(now) {
                self.adopt(turn, leader, message.term, message.validity);
            }
        } else if message.word.is_some_and(|word| word.lost) {
            self.hear_of_loss(turn, message.term);
        }
        if self.catching_up.is_some() {
            self.answered.insert(message.from);
            if self.answered.contains_all(turn.others()) {
                self.caught_up(turn);
            }
        }
        Ok(())
    }
}
