//! What administrators ask for: grants and revokes, and the clients that wait for them.
//!
//! S8: nobody is told that a revoke has succeeded before the store has confirmed it.

use crate::input::ClientId;
use crate::notice::Event;
use crate::sink::{Reply, Sink};
use crate::ticket::{Ask, Leaving, Planned, RoundKind, Ticket, Waiting};
use crate::turn::{Draft, Turn};
use crate::view::Role;
use crate::wire::{Command, MAX_MESSAGE, Outcome, Reason};

/// Client flags in the header's `options`.
const IMMEDIATE: u32 = 1;
const WAIT: u32 = 2;
const UNTIL_COMMIT: u32 = 4;

impl Ticket {
    /// An administrator wants the ticket granted to this site.
    pub(crate) fn on_grant<S: Sink>(&mut self, turn: &mut Turn<'_, S>, client: ClientId, options: u32) {
        let (now, me) = (turn.now.boot, turn.me());
        if !turn.is_site(me) {
            return self.reply(turn, client, Outcome::SyncFail, true);
        }
        let immediate = options & IMMEDIATE != 0;
        if self.is_manual() {
            return self.grant_manual(turn, client, immediate);
        }
        if self.leaving.is_some() {
            return self.reply(turn, client, Outcome::Busy, true);
        }
        // While the store is still being read the request waits with the client, as at the reference.
        let held = self.role == Role::Leader || (self.promise.runs(now) && self.promise.to() != Some(me));
        if held {
            return self.reply(turn, client, Outcome::Overgrant, true);
        }
        let ask = Ask::Grant { until_commit: options & UNTIL_COMMIT != 0 };
        if self.waiting.push(Waiting { client, ask }).is_err() {
            return self.reply(turn, client, Outcome::Busy, true);
        }
        turn.event(self.index, Event::GrantRequested);
        // A revoke that the store has not confirmed yet is overtaken.
        self.answer_waiting(turn, |ask| matches!(ask, Ask::Revoke { .. }), Outcome::SyncFail);
        self.immediate = immediate;
        self.attempts = 0;
        if self.role == Role::Candidate {
            self.become_follower(turn, None);
        }
        if !self.promise.allows(me, now) {
            // acquire-after of the last holder still runs (S3): the election starts when it has ended.
            self.reply(turn, client, Outcome::More, false);
            return self.plan_election(turn, now, Reason::Administrator, None);
        }
        self.planned = None;
        self.begin_acquire(turn, Planned { at: now, reason: Reason::Administrator, same_term: false });
        if self.waiting.iter().any(|waiting| waiting.client == client) {
            self.reply(turn, client, Outcome::More, false);
        }
    }

    /// An administrator wants the ticket revoked; with `-w` the answer waits for the release.
    pub(crate) fn on_revoke_request<S: Sink>(&mut self, turn: &mut Turn<'_, S>, client: ClientId, options: u32) {
        let (now, me) = (turn.now.boot, turn.me());
        if self.is_manual() {
            return self.revoke_manual(turn, client);
        }
        if self.role == Role::Loading {
            return self.reply(turn, client, Outcome::Busy, true);
        }
        if self.promise.leader(now).is_some_and(|leader| leader != me) && self.role != Role::Leader {
            return self.reply(turn, client, Outcome::Redirect, true);
        }
        let ours = self.role == Role::Leader || self.store.may_be_granted();
        if !ours && self.catching_up.is_some() {
            // Another may hold it: nobody has told us yet, and "revoked" would be passed on to the others.
            return self.reply(turn, client, Outcome::Busy, true);
        }
        if !ours {
            if self.planned.is_some() || self.ballot.is_some() || self.handler.is_some() {
                // Not held by anybody, but this site was about to ask for it, and perhaps not alone.
                self.become_follower(turn, None);
                self.planned = None;
                self.revoked = true;
                self.start_round(turn, RoundKind::CalledOff, Reason::Administrator, self.term);
                self.answer_waiting(turn, |ask| matches!(ask, Ask::Grant { .. }), Outcome::SyncFail);
                return self.reply(turn, client, Outcome::Success, true);
            }
            return self.reply(turn, client, Outcome::TicketIdle, true);
        }
        let ask = Ask::Revoke { until_released: options & WAIT != 0 };
        if self.waiting.push(Waiting { client, ask }).is_err() {
            return self.reply(turn, client, Outcome::Busy, true);
        }
        turn.event(self.index, Event::RevokeRequested);
        self.planned = None;
        self.stale_until = None;
        if self.role == Role::Leader {
            self.leave(turn, Leaving::Revoke);
        } else {
            // Not led any more, or not yet again; the others are to know that it is not lost but revoked.
            self.become_follower(turn, None);
            self.leaving = Some(Leaving::Revoke);
            self.want_revoked(turn, None);
            self.finish_leaving(turn);
        }
        if self.waiting.iter().any(|waiting| waiting.client == client) {
            self.reply(turn, client, Outcome::More, false);
        }
    }

    /// The store says that the ticket is granted here.
    pub(crate) fn granted<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        self.answer_waiting(turn, |ask| matches!(ask, Ask::Grant { .. }), Outcome::Success);
    }

    /// The lease is ours, but the grant is held back (S6): clients that do not wait for it may go.
    pub(crate) fn answer_pending<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        for waiting in self.waiting.clone() {
            if matches!(waiting.ask, Ask::Grant { until_commit: true }) {
                self.reply(turn, waiting.client, Outcome::CommitPending, false);
            }
        }
        self.answer_waiting(turn, |ask| matches!(ask, Ask::Grant { until_commit: false }), Outcome::CommitPending);
    }

    /// Tells all who wait for a grant that it is still being tried for.
    pub(crate) fn answer_more<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        for waiting in self.waiting.clone() {
            if matches!(waiting.ask, Ask::Grant { .. }) {
                self.reply(turn, waiting.client, Outcome::More, false);
            }
        }
    }

    /// Answers for good all clients that wait for this.
    pub(crate) fn answer_waiting<S: Sink>(
        &mut self,
        turn: &mut Turn<'_, S>,
        which: impl Fn(Ask) -> bool,
        outcome: Outcome,
    ) {
        for waiting in self.waiting.clone() {
            if which(waiting.ask) {
                self.reply(turn, waiting.client, outcome, true);
            }
        }
        self.waiting.retain(|waiting| !which(waiting.ask));
    }

    /// Answers a client with a result that shows who holds the ticket.
    pub(crate) fn reply<S: Sink>(&self, turn: &mut Turn<'_, S>, client: ClientId, outcome: Outcome, last: bool) {
        let mut draft = self.answer(turn, Command::Result, Command::Result, None);
        if self.role == Role::Candidate || (self.role == Role::Leader && self.lease.is_none()) {
            draft.leader = self.leader_field(turn, Some(turn.me()));
        }
        let draft = Draft { request: None, outcome, term: self.newest_term(), ..draft };
        let mut bytes = [0; MAX_MESSAGE];
        let length = turn.encode(&self.settings.name, &draft, 0, &mut bytes);
        turn.sink.reply(client, Reply::Message { bytes: &bytes[..length], last });
    }

    /// A client has hung up: what it asked for goes on, nobody is told. (An attribute's answer goes nowhere.)
    pub(crate) fn client_gone(&mut self, client: ClientId) {
        self.waiting.retain(|waiting| waiting.client != client);
    }
}
