//! Manual tickets: the administrator's word, no votes, no leases; several sites may hold one.
//!
//! As the reference does it: a holder announces itself with a heartbeat of term 0 and validity 0,
//! a revoke with `Revoke`; both are acknowledged and repeated.

use crate::input::ClientId;
use crate::member::MemberIndex;
use crate::notice::Event;
use crate::sink::Sink;
use crate::store::{Stored, Wanted};
use crate::ticket::{Ask, Leaving, RoundKind, Ticket, Waiting};
use crate::turn::{FromPeer, Turn};
use crate::view::Role;
use crate::wire::{Command, DropReason, Outcome, Reason};

impl Ticket {
    /// An administrator grants a manual ticket to this site; while another holds it only with `-F`.
    pub(crate) fn grant_manual<S: Sink>(&mut self, turn: &mut Turn<'_, S>, client: ClientId, immediate: bool) {
        let me = turn.me();
        if self.role == Role::Loading {
            return self.reply(turn, client, Outcome::Busy, true);
        }
        let held = self.holders.contains(me) && self.leaving.is_none();
        if held && self.store.stored == Stored::Granted {
            return self.reply(turn, client, Outcome::Success, true);
        }
        if !self.holders.without(me).is_empty() && !immediate {
            return self.reply(turn, client, Outcome::Overgrant, true);
        }
        let ask = Ask::Grant { until_commit: false };
        if self.leaving.is_some() || self.waiting.push(Waiting { client, ask }).is_err() {
            return self.reply(turn, client, Outcome::Busy, true);
        }
        turn.event(self.index, Event::GrantRequested);
        if !held {
            self.hold_manual(turn);
        }
        self.reply(turn, client, Outcome::More, false);
        self.store.want(
            Wanted { granted: true, owner: Some(turn.id(me)), until: Some(turn.now.boot), term: 0 },
            turn.now.boot,
        );
        self.drive_store(turn);
    }

    /// Holds the ticket and tells the others.
    pub(crate) fn hold_manual<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        let me = turn.me();
        self.role = Role::Leader;
        self.holders.insert(me);
        self.term_leader = Some(me);
        self.ever_held = true;
        self.start_round(turn, RoundKind::Heartbeat, Reason::None, 0);
        if self.holders.len() > 1 {
            turn.event(self.index, Event::SeveralHolders);
        }
    }

    /// An administrator revokes a manual ticket.
    pub(crate) fn revoke_manual<S: Sink>(&mut self, turn: &mut Turn<'_, S>, client: ClientId) {
        let me = turn.me();
        if !self.holders.contains(me) {
            let outcome = if self.term_leader.is_some() { Outcome::Redirect } else { Outcome::TicketIdle };
            return self.reply(turn, client, outcome, true);
        }
        if self.waiting.push(Waiting { client, ask: Ask::Revoke { until_released: false } }).is_err() {
            return self.reply(turn, client, Outcome::Busy, true);
        }
        turn.event(self.index, Event::RevokeRequested);
        self.leaving = Some(Leaving::Revoke);
        self.want_revoked(turn, None);
    }

    /// The store has confirmed the revoke of a manual ticket: the others are told.
    pub(crate) fn manual_revoked<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        if self.leaving.take().is_none() {
            return;
        }
        self.role = Role::Follower;
        self.holders = self.holders.without(turn.me());
        self.term_leader = self.holders.iter().next();
        self.revoked = true;
        self.answer_waiting(turn, |ask| matches!(ask, Ask::Revoke { .. }), Outcome::Success);
        self.answer_waiting(turn, |ask| matches!(ask, Ask::Grant { .. }), Outcome::SyncFail);
        self.start_round(turn, RoundKind::Revoke, Reason::Administrator, 0);
    }

    /// A peer's message about a manual ticket.
    pub(crate) fn on_manual<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer) -> Result<(), DropReason> {
        match message.header.command {
            Command::Status => self.on_status(turn, message),
            Command::MyIndex => {
                self.learn_holder(turn, message.leader);
                Ok(())
            }
            Command::Heartbeat if message.leader == Some(message.from) => {
                self.learn_holder(turn, Some(message.from));
                self.acknowledge_manual(turn, message);
                Ok(())
            }
            Command::Revoke => {
                self.holders = self.holders.without(message.from);
                if self.term_leader == Some(message.from) {
                    self.term_leader = self.holders.iter().next();
                }
                self.acknowledge_manual(turn, message);
                if self.holders.contains(turn.me()) {
                    // The reference then takes the ticket to be free everywhere: it is told again.
                    self.start_round(turn, RoundKind::Heartbeat, Reason::None, 0);
                }
                Ok(())
            }
            Command::Ack => self.on_ack(turn, message),
            _ => Err(DropReason::Unexpected),
        }
    }

    fn learn_holder<S: Sink>(&mut self, turn: &mut Turn<'_, S>, holder: Option<MemberIndex>) {
        let Some(holder) = holder.filter(|holder| *holder != turn.me()) else { return };
        let new = self.holders.insert(holder);
        self.ever_held = true;
        if self.role != Role::Leader {
            self.term_leader = Some(holder);
        }
        if new && self.holders.len() > 1 {
            turn.event(self.index, Event::SeveralHolders);
        }
    }

    fn acknowledge_manual<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer) {
        let ack = self.answer(turn, Command::Ack, message.header.command, message.word);
        self.send(turn, message.from, &ack);
    }
}
