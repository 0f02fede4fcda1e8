//! The reference as a follower: what it answers, what it votes, when it gives its leader up.

use super::ticket::{Role, Ticket};
use super::{Draft, FromPeer, Turn};
use booth_core::member::SiteId;
use booth_core::sink::StoreTicket;
use booth_core::wire::{Command, Outcome, Reason};

/// A sleeper that something else has woken does not look at `acquire-after`: one time in this many.
const WAKES_EARLY: u64 = 4;

impl Ticket {
    /// A message of a peer.
    pub fn receive(&mut self, turn: &mut Turn<'_>, message: &FromPeer) {
        self.wake_early(turn);
        match message.header.command {
            Command::Status if self.role != Role::Candidate && !self.polled => {
                self.answer(turn, message, Command::MyIndex)
            }
            Command::MyIndex => self.on_my_index(turn, message),
            Command::VoteRequest => self.on_vote_request(turn, message),
            Command::Vote => self.on_vote(turn, message),
            Command::Heartbeat | Command::Update => self.on_renewal(turn, message),
            Command::Revoke => self.on_revoke(turn, message),
            Command::Ack => self.on_ack(turn, message),
            Command::Reject => self.on_reject(turn, message),
            _ => {}
        }
    }

    fn wake_early(&mut self, turn: &mut Turn<'_>) {
        let sleeps = self.role == Role::Follower && self.leader.is_some_and(|leader| leader != turn.me);
        if sleeps && self.expires <= turn.now && turn.is_site() && turn.dice.roll(WAKES_EARLY) == 0 {
            self.lost_as_follower(turn);
        }
    }

    fn answer(&mut self, turn: &mut Turn<'_>, message: &FromPeer, command: Command) {
        let draft = Draft { request: Some(message.header.command), ..self.draft(turn, command) };
        turn.send(message.from, draft);
    }

    fn reject(&mut self, turn: &mut Turn<'_>, message: &FromPeer, outcome: Outcome) {
        let request = Some(message.header.command);
        let draft = Draft { request, outcome, ..self.draft(turn, Command::Reject) };
        turn.send(message.from, draft);
    }

    // ---- renewals ----------------------------------------------------------------------------

    /// A heartbeat or an update: its expiry is what the message says, longer or shorter.
    fn on_renewal(&mut self, turn: &mut Turn<'_>, message: &FromPeer) {
        let update = message.header.command == Command::Update;
        if self.leads(turn.now) {
            // An older leader hears nothing.
            if message.term >= self.term {
                self.reject(turn, message, Outcome::TermStillValid);
            }
            return;
        }
        let another = self.leader != Some(message.from);
        if update {
            // Taken from the leader and where nobody is known to hold the ticket, however old its term.
            if another && self.leader.is_some() {
                return self.reject(turn, message, Outcome::TermStillValid);
            }
        } else if another && message.term < self.term {
            return self.reject(turn, message, Outcome::TermOutdated);
        }
        self.follow(turn, Some(message.from), message);
        if update {
            self.granted = false;
            if turn.is_site() {
                let owner = Some(turn.id(message.from));
                let expires = turn.wall.after(message.valid);
                turn.write(StoreTicket { granted: false, owner, expires, term: self.term });
            }
        }
        self.answer(turn, message, Command::Ack);
    }

    pub fn follow(&mut self, turn: &mut Turn<'_>, leader: Option<usize>, message: &FromPeer) {
        self.stop_standing(turn);
        (self.leader, self.term, self.revoked, self.polled) = (leader, message.term, false, false);
        self.last_valid = Some(message.term);
        self.expires = turn.now + message.valid;
        if self.granted && message.header.command != Command::Update {
            self.write_lost(turn, Some(SiteId(0)));
        }
        self.fail_clients(turn, Outcome::SyncFail);
    }

    /// The lease is over, and `acquire-after` behind it.
    pub fn lost_as_follower(&mut self, turn: &mut Turn<'_>) {
        self.leader = None;
        self.last_valid = Some(self.term);
        self.write_lost(turn, Some(SiteId(0)));
        self.plan(turn, turn.now, Reason::TicketLost);
    }

    /// Its leader no longer holds the ticket; in which term it did is not looked at.
    pub fn on_step_down(&mut self, turn: &mut Turn<'_>, message: &FromPeer) {
        if self.role != Role::Follower || self.leader != Some(message.from) {
            return;
        }
        (self.leader, self.vote, self.polled) = (None, None, false);
        self.expires = turn.now;
        self.last_valid = Some(self.term);
        self.write_lost(turn, Some(SiteId(0)));
        self.plan(turn, turn.now, Reason::StepDown);
    }

    /// An administrator has revoked the ticket.
    fn on_revoke(&mut self, turn: &mut Turn<'_>, message: &FromPeer) {
        let foreign = self.leader.is_some_and(|leader| leader != message.from);
        if foreign || message.term < self.term {
            return;
        }
        let news = !self.revoked;
        self.stop_standing(turn);
        (self.leader, self.vote, self.revoked, self.polled) = (None, None, true, false);
        self.term = message.term;
        self.last_valid = Some(self.term);
        self.expires = turn.now;
        if news {
            self.write_lost(turn, None);
        }
        self.answer(turn, message, Command::Ack);
    }

    // ---- votes -------------------------------------------------------------------------------

    /// Votes are given at once: `acquire-after` and what was before a restart do not count.
    fn on_vote_request(&mut self, turn: &mut Turn<'_>, message: &FromPeer) {
        let (from, reason) = (message.from, message.header.reason);
        let valid = self.is_valid(turn.now);
        if reason == Reason::TicketLost && self.revoked {
            return self.reject(turn, message, Outcome::YouAreOutdated);
        }
        let good = valid && self.expires.since(turn.now).0 >= self.settings.expire.0 / 3;
        if reason == Reason::TicketLost && good {
            return self.reject(turn, message, Outcome::TermStillValid);
        }
        // Who stands because its leader has stepped down gets its vote, whatever was promised.
        let excused = reason == Reason::StepDown && self.role != Role::Leader;
        if valid && self.leader != Some(from) && !excused {
            return self.reject(turn, message, Outcome::TermStillValid);
        }
        if message.term < self.term {
            return self.reject(turn, message, Outcome::TermOutdated);
        }
        if message.term > self.term {
            if self.role == Role::Candidate {
                let reason = self.reason;
                self.stop_standing(turn);
                // Unless the other comes to something.
                self.plan(turn, turn.now + self.settings.timeout + self.settings.timeout, reason);
            }
            (self.term, self.vote) = (message.term, Some(from));
        }
        let vote = *self.vote.get_or_insert(from);
        self.polled = true;
        let leader = self.field(turn, Some(vote));
        let request = Some(Command::VoteRequest);
        turn.send(from, Draft { request, ..Draft::new(Command::Vote, leader, self.term) });
    }

    // ---- what others know --------------------------------------------------------------------

    /// What another knows of the ticket: believed where its term is newer, or as new with time left.
    fn on_my_index(&mut self, turn: &mut Turn<'_>, message: &FromPeer) {
        let newer = message.term > self.term || (message.term == self.term && message.valid.0 > 0);
        match self.role {
            Role::Leader if message.term > self.term => {
                // It doubts its own lease, and its store goes on saying granted.
                (self.role, self.term) = (Role::Follower, message.term);
                (self.round, self.renew_at, self.commit_at, self.last_valid) = (None, None, None, None);
                self.plan(turn, turn.now, Reason::Reacquire);
            }
            Role::Candidate if message.term > self.term => {
                self.stop_standing(turn);
                (self.leader, self.term) = (message.leader.filter(|leader| *leader != turn.me), message.term);
                self.expires = turn.now + message.valid;
                self.fail_clients(turn, Outcome::SyncFail);
            }
            Role::Follower if newer => self.believe(turn, message),
            Role::Follower if message.term < self.term && !self.is_valid(turn.now) => {
                self.answer(turn, message, Command::MyIndex);
            }
            _ => {}
        }
        self.note_answer(turn, message.from);
    }

    fn believe(&mut self, turn: &mut Turn<'_>, message: &FromPeer) {
        if message.valid.0 > 0 {
            self.last_valid = Some(message.term);
        }
        let mine = message.leader == Some(turn.me);
        if mine && self.leader == message.leader && self.expires > turn.now {
            // Its store and the others agree: the shorter time counts.
            self.term = message.term;
            self.expires = self.expires.min(turn.now + message.valid);
            return;
        }
        (self.leader, self.term) = (message.leader, message.term);
        self.expires = turn.now + message.valid;
        (self.vote, self.polled) = (None, false);
        if mine && message.valid.0 > 0 {
            self.plan(turn, turn.now, Reason::Reacquire);
        } else if self.granted {
            self.write_lost(turn, Some(SiteId(0)));
        }
    }
}
