//! One ticket of the reference: its state, its timers, how it starts, and the elections it stands in.

use super::{Draft, FromPeer, Turn};
use booth_core::input::{ClientId, StoredTicket};
use booth_core::member::SiteId;
use booth_core::settings::TicketSettings;
use booth_core::sink::StoreTicket;
use booth_core::time::{Instant, Millis, WallTime};
use booth_core::wire::{Command, LeaderField, Outcome, Reason};

/// What it takes itself for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Role {
    Follower,
    Candidate,
    Leader,
}

/// A message that is sent again to those who have not acknowledged it.
pub(super) struct Round {
    pub command: Command,
    pub acked: Vec<bool>,
    pub sendings: u32,
    pub resend_at: Instant,
}

/// A client that waits for a grant.
#[derive(Clone, Copy)]
pub(super) struct Ask {
    pub client: ClientId,
    /// Waits for the commit as well (`-C`).
    pub for_commit: bool,
}

/// One ticket of one daemon.
pub(super) struct Ticket {
    pub settings: TicketSettings,
    pub role: Role,
    pub leader: Option<usize>,
    pub term: u32,
    /// The term of the last lease that it knows to have run: an election goes beyond it.
    pub last_valid: Option<u32>,
    pub expires: Instant,
    /// Revoked by an administrator, and not granted since.
    pub revoked: bool,
    /// What it has last told its store.
    pub granted: bool,
    /// Whom it has voted for in `term`.
    pub vote: Option<usize>,
    /// It has voted and not heard yet what came of it: until then it does not say what it knows.
    pub polled: bool,
    /// Whom the others have voted for, as far as they have answered.
    pub votes: Vec<Option<Option<usize>>>,
    pub tie: bool,
    pub reason: Reason,
    pub election_ends: Option<Instant>,
    pub election_at: Option<Instant>,
    /// It has asked the others what they know, and who has answered.
    pub starting_until: Option<Instant>,
    pub answered: Vec<bool>,
    pub round: Option<Round>,
    pub renew_at: Option<Instant>,
    /// The grant is to be written then.
    pub commit_at: Option<Instant>,
    /// A majority has acknowledged since the election.
    pub confirmed: bool,
    pub immediate: bool,
    pub asks: Vec<Ask>,
    pub revoking: Option<ClientId>,
}

impl Ticket {
    pub fn new(settings: TicketSettings, members: usize) -> Ticket {
        Ticket {
            settings,
            role: Role::Follower,
            leader: None,
            term: 0,
            last_valid: None,
            expires: Instant(0),
            revoked: false,
            granted: false,
            vote: None,
            polled: false,
            votes: vec![None; members],
            tie: false,
            reason: Reason::None,
            election_ends: None,
            election_at: None,
            starting_until: None,
            answered: vec![false; members],
            round: None,
            renew_at: None,
            commit_at: None,
            confirmed: false,
            immediate: false,
            asks: Vec::new(),
            revoking: None,
        }
    }

    /// Whom a message names: the leader, else the one that it voted for.
    pub fn named(&self) -> Option<usize> {
        self.leader.or(self.vote)
    }

    pub fn is_valid(&self, now: Instant) -> bool {
        self.leader.is_some() && self.expires > now
    }

    pub fn leads(&self, now: Instant) -> bool {
        self.role == Role::Leader && self.expires > now
    }

    pub fn field(&self, turn: &Turn<'_>, member: Option<usize>) -> LeaderField {
        member.map_or(LeaderField::Nobody, |member| LeaderField::Member(turn.id(member)))
    }

    pub fn draft(&self, turn: &Turn<'_>, command: Command) -> Draft {
        Draft::new(command, self.field(turn, self.named()), self.term)
    }

    /// Sends a message and keeps at it until all have acknowledged it, or it has tried often enough.
    pub fn start_round(&mut self, turn: &mut Turn<'_>, draft: Draft) {
        let mut acked = vec![false; turn.members()];
        acked[turn.me] = true;
        let resend_at = turn.now + self.settings.timeout;
        self.round = Some(Round { command: draft.command, acked, sendings: 1, resend_at });
        turn.broadcast(draft);
    }

    /// Tells its store that the ticket is not granted here.
    pub fn write_lost(&mut self, turn: &mut Turn<'_>, owner: Option<SiteId>) {
        self.granted = false;
        if turn.is_site() {
            let left = self.expires.since(turn.now);
            let expires = turn.wall.after(left);
            turn.write(StoreTicket { granted: false, owner, expires, term: self.term });
        }
    }

    /// Nothing comes of what the clients have asked for.
    pub fn fail_clients(&mut self, turn: &mut Turn<'_>, outcome: Outcome) {
        for ask in std::mem::take(&mut self.asks) {
            turn.reply(ask.client, outcome, true);
        }
    }

    pub fn forget(&mut self, client: ClientId) {
        self.asks.retain(|ask| ask.client != client);
        self.revoking = self.revoking.filter(|revoking| *revoking != client);
    }

    // ---- time --------------------------------------------------------------------------------

    /// When it wakes.
    pub fn wake(&self, me: usize) -> Option<Instant> {
        let round = self.round.as_ref().map(|round| round.resend_at);
        let expiry = (self.role == Role::Leader).then_some(self.expires);
        let timers = [self.starting_until, self.election_ends, self.election_at, round, self.renew_at, self.commit_at];
        timers.into_iter().chain([expiry, self.lost_at(me)]).flatten().min()
    }

    /// When a follower gives its leader up.
    fn lost_at(&self, me: usize) -> Option<Instant> {
        let follows = self.role == Role::Follower && self.leader.is_some_and(|leader| leader != me);
        follows.then(|| self.expires + self.settings.acquire_after)
    }

    /// Does the one thing that is due first.
    pub fn fire(&mut self, turn: &mut Turn<'_>) {
        let due = self.wake(turn.me);
        if self.starting_until == due {
            self.started(turn);
        } else if self.renew_at == due {
            self.heartbeat(turn);
        } else if self.role == Role::Leader && Some(self.expires) == due {
            self.lost_as_leader(turn);
        } else if self.commit_at == due {
            self.commit(turn);
        } else if self.election_ends == due {
            self.decide(turn);
        } else if self.election_at == due {
            self.stand(turn, self.reason);
        } else if self.lost_at(turn.me) == due {
            self.lost_as_follower(turn);
        } else {
            self.resend(turn);
        }
    }

    // ---- start -------------------------------------------------------------------------------

    /// What its store knows; nothing at an arbitrator.
    pub fn loaded(&mut self, turn: &mut Turn<'_>, held: Option<StoredTicket<'_>>) {
        if let Some(held) = held {
            let owner = held.owner.unwrap_or(0);
            self.term = held.term.unwrap_or(0);
            self.leader = (0..turn.members()).find(|member| owner > 0 && turn.id(*member).0 == owner as u32);
            self.revoked = owner == -1;
            self.granted = held.granted;
            let left = held.expires.unwrap_or(WallTime(0)).0.saturating_sub(turn.wall.0) / 1000;
            self.expires = turn.now + Millis(left);
        }
        self.answered[turn.me] = true;
        self.starting_until = Some(turn.now + self.settings.timeout);
        // Here the vote does not count: there is none yet.
        turn.broadcast(self.draft(turn, Command::Status));
    }

    /// All have answered what they know, or had the time to: the owner tries to get its ticket back.
    fn started(&mut self, turn: &mut Turn<'_>) {
        self.starting_until = None;
        if self.role == Role::Follower && self.leader == Some(turn.me) {
            self.stand(turn, Reason::Reacquire);
        }
    }

    /// One has said what it knows.
    pub fn note_answer(&mut self, turn: &Turn<'_>, from: usize) {
        self.answered[from] = true;
        if self.starting_until.is_some() && self.answered.iter().all(|answered| *answered) {
            self.starting_until = Some(turn.now);
        }
    }

    // ---- elections ---------------------------------------------------------------------------

    /// An election as soon as its random delay is over.
    pub fn plan(&mut self, turn: &mut Turn<'_>, from: Instant, reason: Reason) {
        if turn.is_site() {
            let delay = turn.delay(self.settings.timeout);
            (self.reason, self.election_at) = (reason, Some(from + delay));
        }
    }

    /// Asks for votes: in a newer term only after a tie, or where this one has had its leader.
    pub fn stand(&mut self, turn: &mut Turn<'_>, reason: Reason) {
        if self.tie || self.last_valid.is_some_and(|last| last >= self.term) {
            self.term = self.term.saturating_add(1);
        }
        self.tie = false;
        (self.reason, self.role) = (reason, Role::Candidate);
        (self.election_at, self.renew_at, self.round) = (None, None, None);
        self.election_ends = Some(turn.now + self.settings.timeout);
        self.vote = Some(turn.me);
        self.votes.fill(None);
        self.votes[turn.me] = Some(self.vote);
        let draft = Draft { reason, ..Draft::new(Command::VoteRequest, self.field(turn, self.vote), self.term) };
        turn.broadcast(draft);
        for ask in self.asks.clone() {
            turn.reply(ask.client, Outcome::More, false);
        }
        self.decide_if_all_have_answered(turn);
    }

    fn decide_if_all_have_answered(&mut self, turn: &mut Turn<'_>) {
        if self.votes.iter().all(|vote| vote.is_some()) {
            self.decide(turn);
        }
    }

    /// Counts the votes: all have answered, or the time is over.
    fn decide(&mut self, turn: &mut Turn<'_>) {
        self.election_ends = None;
        let mine = self.votes.iter().filter(|vote| **vote == Some(Some(turn.me))).count();
        if mine * 2 > turn.members() {
            return self.win(turn);
        }
        self.tie = self.votes.iter().flatten().any(|vote| *vote != Some(turn.me));
        if self.granted && self.expires <= turn.now {
            self.leader = None;
            self.last_valid = Some(self.term);
            self.write_lost(turn, Some(SiteId(0)));
        }
        self.plan(turn, turn.now, self.reason);
    }

    fn win(&mut self, turn: &mut Turn<'_>) {
        (self.role, self.leader, self.revoked) = (Role::Leader, Some(turn.me), false);
        self.expires = turn.now + self.settings.expire;
        self.confirmed = false;
        let all_sites = turn.sites().all(|site| self.votes[site] == Some(Some(turn.me)));
        let waits = self.reason == Reason::Administrator && !all_sites && !self.immediate;
        let wait = if waits { self.settings.expire + self.settings.acquire_after } else { Millis(0) };
        self.commit_at = waits.then(|| turn.now + wait);
        self.heartbeat(turn);
    }

    /// A vote, or its leader's word that it steps down.
    pub fn on_vote(&mut self, turn: &mut Turn<'_>, message: &FromPeer) {
        if message.leader.is_none() && message.header.request.is_none() {
            return self.on_step_down(turn, message);
        }
        if self.role == Role::Candidate && message.term == self.term {
            self.votes[message.from] = Some(message.leader);
            self.decide_if_all_have_answered(turn);
        }
    }

    /// A candidate that is refused follows the leader named. Where that is itself, it takes it for a
    /// mistake and asks again in the same term. A leader takes no notice.
    pub fn on_reject(&mut self, turn: &mut Turn<'_>, message: &FromPeer) {
        if self.role != Role::Candidate || message.leader == Some(turn.me) {
            return;
        }
        let reason = self.reason;
        if message.leader.is_some() {
            self.follow(turn, message.leader, message);
        } else {
            self.term = self.term.max(message.term);
            self.last_valid = Some(self.term);
            self.stop_standing(turn);
            if message.header.outcome == Outcome::YouAreOutdated {
                self.revoked = true;
                self.fail_clients(turn, Outcome::SyncFail);
            } else {
                self.plan(turn, turn.now, reason);
            }
        }
    }

    pub fn stop_standing(&mut self, turn: &mut Turn<'_>) {
        self.role = Role::Follower;
        self.leader = self.leader.filter(|leader| *leader != turn.me);
        (self.election_ends, self.election_at, self.renew_at, self.commit_at) = (None, None, None, None);
        self.round = None;
        if let Some(client) = self.revoking.take() {
            turn.reply(client, Outcome::SyncFail, true);
        }
    }
}
