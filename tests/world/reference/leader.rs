//! The reference as a leader: heartbeats, its lease, its store, and what administrators ask for.

use super::ticket::{Ask, Role, Ticket};
use super::{Draft, FromPeer, Turn};
use booth_core::input::ClientId;
use booth_core::member::SiteId;
use booth_core::sink::StoreTicket;
use booth_core::wire::{Command, LeaderField, Outcome, Reason};

/// Client flags: do not wait for those who do not answer; tell me when it is written.
const IMMEDIATE: u32 = 1;
const WAIT_FOR_COMMIT: u32 = 4;

impl Ticket {
    /// Asks the others to follow on, with the time that is left of the old lease.
    pub fn heartbeat(&mut self, turn: &mut Turn<'_>) {
        self.renew_at = None;
        let draft = Draft::new(Command::Heartbeat, self.field(turn, Some(turn.me)), self.term);
        self.start_round(turn, draft);
        self.count(turn);
    }

    /// Sends the round again to those who have not answered. A heartbeat is never given up.
    pub fn resend(&mut self, turn: &mut Turn<'_>) {
        if let Some(client) = self.revoking.take() {
            return self.do_revoke(turn, client);
        }
        let (me, field) = (turn.me, self.field(turn, Some(turn.me)));
        let Some(round) = self.round.as_mut() else { return };
        if round.sendings > u32::from(self.settings.retries) {
            if round.command != Command::Heartbeat {
                self.round = None;
                return;
            }
            round.sendings = 0;
        }
        round.sendings += 1;
        round.resend_at = turn.now + self.settings.timeout;
        let renews = matches!(round.command, Command::Heartbeat | Command::Update);
        let leader = if renews { field } else { LeaderField::Nobody };
        let draft = Draft { timed: renews, ..Draft::new(round.command, leader, self.term) };
        for to in (0..round.acked.len()).filter(|to| *to != me && !round.acked[*to]) {
            turn.send(to, draft);
        }
    }

    /// An acknowledgement counts for the round that runs, whichever it was made for.
    pub fn on_ack(&mut self, turn: &mut Turn<'_>, message: &FromPeer) {
        if message.term < self.term || self.revoking.is_some() {
            return;
        }
        if let Some(round) = self.round.as_mut().filter(|round| message.header.request == Some(round.command)) {
            round.acked[message.from] = true;
            self.count(turn);
        }
    }

    fn count(&mut self, turn: &mut Turn<'_>) {
        let Some(round) = self.round.as_ref() else { return };
        let acked = round.acked.iter().filter(|acked| **acked).count();
        if round.command == Command::Heartbeat && acked * 2 > turn.members() {
            self.renewed(turn);
        } else if acked == turn.members() {
            self.round = None;
        }
    }

    /// A majority has acknowledged: a full term from this moment, which the others are yet to hear of.
    fn renewed(&mut self, turn: &mut Turn<'_>) {
        self.expires = turn.now + self.settings.expire;
        self.renew_at = Some(turn.now + self.settings.renewal);
        self.last_valid = Some(self.term);
        self.confirmed = true;
        let draft = Draft::new(Command::Update, self.field(turn, Some(turn.me)), self.term);
        self.start_round(turn, draft);
        self.count(turn);
        if self.commit_at.is_none() {
            self.write_granted(turn);
            return self.answer_granted(turn);
        }
        for ask in self.asks.iter().filter(|ask| !ask.for_commit) {
            turn.reply(ask.client, Outcome::CommitPending, true);
        }
        self.asks.retain(|ask| ask.for_commit);
    }

    /// The time is over in which another site might still hold the ticket.
    pub fn commit(&mut self, turn: &mut Turn<'_>) {
        self.commit_at = None;
        if self.confirmed {
            self.write_granted(turn);
            self.answer_granted(turn);
        }
    }

    fn write_granted(&mut self, turn: &mut Turn<'_>) {
        self.granted = true;
        let expires = turn.wall.after(self.expires.since(turn.now));
        turn.write(StoreTicket { granted: true, owner: Some(turn.id(turn.me)), expires, term: self.term });
    }

    fn answer_granted(&mut self, turn: &mut Turn<'_>) {
        for ask in std::mem::take(&mut self.asks) {
            turn.reply(ask.client, Outcome::Success, true);
        }
    }

    /// Its lease has run out: it gives the ticket up here, and asks again with the reason of its last election.
    pub fn lost_as_leader(&mut self, turn: &mut Turn<'_>) {
        self.last_valid = Some(self.term);
        self.stop_standing(turn);
        self.write_lost(turn, Some(SiteId(0)));
        self.plan(turn, turn.now + self.settings.acquire_after, self.reason);
    }

    // ---- administrators ----------------------------------------------------------------------

    /// A client wants the ticket granted here.
    pub fn grant(&mut self, turn: &mut Turn<'_>, client: ClientId, options: u32) {
        if self.is_valid(turn.now) {
            return turn.reply(client, Outcome::Overgrant, true);
        }
        if self.role == Role::Candidate {
            return turn.reply(client, Outcome::SyncFail, true);
        }
        self.immediate = options & IMMEDIATE != 0;
        self.asks.push(Ask { client, for_commit: options & WAIT_FOR_COMMIT != 0 });
        self.starting_until = None;
        self.stand(turn, Reason::Administrator);
    }

    /// A client wants it revoked.
    pub fn revoke(&mut self, turn: &mut Turn<'_>, client: ClientId) {
        if self.role != Role::Leader {
            let outcome = if self.is_valid(turn.now) { Outcome::Redirect } else { Outcome::TicketIdle };
            return turn.reply(client, outcome, true);
        }
        if self.round.is_some() && self.revoking.is_none() {
            turn.reply(client, Outcome::More, false);
            self.revoking = Some(client);
            return;
        }
        self.do_revoke(turn, client);
    }

    fn do_revoke(&mut self, turn: &mut Turn<'_>, client: ClientId) {
        self.revoking = None;
        self.stop_standing(turn);
        (self.vote, self.revoked) = (None, true);
        self.expires = turn.now;
        self.last_valid = Some(self.term);
        self.write_lost(turn, None);
        let draft = Draft::new(Command::Revoke, LeaderField::Nobody, self.term);
        self.start_round(turn, Draft { reason: Reason::Administrator, ..draft });
        turn.reply(client, Outcome::Success, true);
        self.fail_clients(turn, Outcome::SyncFail);
    }
}
