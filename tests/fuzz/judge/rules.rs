//! The safety rules as the inputs and outputs of one member show them, whatever its peers say. Each check
//! is a necessary condition, reckoned anew from what was sent and received: the member's own books are
//! not asked.

use booth_core::input::{RequestNumber, StoreResult};
use booth_core::settings::TicketSettings;
use booth_core::sink::{Record, StoreAction, StoreRequest, StoreTicket};
use booth_core::time::{Instant, Millis, Now};
use booth_core::wire::{Body, Command, LeaderField, Message, Reason, TicketBody};

/// The low bits of an `options` word of ours: the number of a request.
const NUMBER: u32 = 0x00FF_FFFF;
/// Flags of an `options` word of ours.
const OURS: u32 = 1 << 31;
const REMEMBERS: u32 = 1 << 30;
const SETTLED: u32 = 1 << 29;
const STOPPED: u32 = 1 << 28;
/// How many heartbeats are told apart.
const HEARTBEATS: usize = 16;
/// The longest pause before a revoke that has failed is tried again.
const LONGEST_PAUSE: Millis = Millis(5_000);

/// What one member has shown about one ticket.
pub struct Rules {
    expire: Millis,
    acquire_after: Millis,
    /// Whom it owes by its last acknowledgement, and until when (S2); it outlives a restart.
    owed: Option<Owed>,
    /// Until when it has no memory (S7).
    forgetful_until: Option<Instant>,
    /// Who has asked for votes on an administrator's word, and in which term.
    administrators: Vec<(u8, u32)>,
    /// In which term it has asked for votes, and whether a peer gave it one.
    ballot: Option<(u32, bool)>,
    /// In which terms it may lead; a vote that it does not count takes none of them away.
    elected: Vec<u32>,
    /// Heartbeats by number, with their first sending.
    heartbeats: Vec<(u32, Instant)>,
    /// The first sending of the newest heartbeat that a peer has acknowledged (S4).
    backed: Option<Instant>,
    /// The newest request to the store.
    running: Option<(RequestNumber, Job)>,
    /// The newest write that was asked for.
    asked: Option<StoreTicket>,
    may_be_granted: bool,
    revoke_failed: bool,
    /// The wall clock has been stepped in this life: a write that is repeated since tells a time of before.
    stepped: bool,
}

#[derive(Clone, Copy)]
struct Owed {
    to: u8,
    until: Instant,
}

/// What the store was asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Job {
    Load,
    Write(bool),
    Attribute,
}

impl Rules {
    /// For a ticket with these times.
    pub fn new(settings: &TicketSettings) -> Rules {
        Rules::blank(settings.expire, settings.acquire_after)
    }

    fn blank(expire: Millis, acquire_after: Millis) -> Rules {
        Rules {
            expire,
            acquire_after,
            owed: None,
            forgetful_until: None,
            administrators: Vec::new(),
            ballot: None,
            elected: Vec::new(),
            heartbeats: Vec::new(),
            backed: None,
            running: None,
            asked: None,
            may_be_granted: true,
            revoke_failed: false,
            stepped: false,
        }
    }

    /// The process starts with this memory; what it has promised holds if it remembers (S7).
    pub fn start(&mut self, me: u8, now: Instant, memory: Option<Record>) {
        let owed = self.owed.filter(|_| memory.is_some());
        let forgets = memory.is_none_or(|record| record.forgetful);
        let forgetful_until = forgets.then(|| now + self.expire + self.acquire_after);
        // An arbitrator has no store; a site's is not known before it is read.
        let may_be_granted = me != super::fixture::ARBITRATOR;
        *self = Rules { owed, forgetful_until, may_be_granted, ..Rules::blank(self.expire, self.acquire_after) };
    }

    /// The wall clock is stepped.
    pub fn wall_stepped(&mut self) {
        self.stepped = true;
    }

    /// What the store is doing for this ticket.
    pub fn job(&self) -> Option<(RequestNumber, Job)> {
        self.running
    }

    /// A member with the key says this. Whether it is believed is not ours to say: what allows
    /// something is noted, nothing is demanded.
    pub fn heard(&mut self, me: u8, from: u8, now: Instant, message: &Message<'_>) {
        let Body::Ticket(body) = message.body else { return };
        let header = &message.header;
        let for_me = body.leader == LeaderField::Member(super::fixture::id(me));
        match (header.command, header.request) {
            (Command::VoteRequest, _) if header.reason == Reason::Administrator => {
                self.administrators.push((from, body.term));
            }
            (Command::Vote, _) if for_me => {
                if let Some((term, won)) = &mut self.ballot
                    && *term == body.term
                {
                    *won = true;
                    self.elected.push(*term);
                }
            }
            (Command::Ack, Some(Command::Heartbeat)) => self.acknowledged(header.options),
            (Command::Heartbeat | Command::Update, _)
                if body.leader == LeaderField::Member(super::fixture::id(from)) =>
            {
                // Who leads already may be followed, and then helped, in the hold behind another's promise;
                // while that runs, only if it says that no other lease can.
                let settled = header.options & (OURS | SETTLED) == OURS | SETTLED;
                self.owed = self.owed.filter(|owed| owed.to == from || (now < owed.until && !settled));
            }
            (Command::Vote, None) | (Command::Revoke, _) => {
                if let Some(owed) = self.owed.as_mut().filter(|owed| owed.to == from) {
                    let stopped = header.options & OURS != 0 && header.options & STOPPED != 0;
                    let after = if stopped { Millis(0) } else { self.acquire_after };
                    // `until` is the promise's end: acquire-after is added where it is asked for.
                    let end = Instant((now + after).0.saturating_sub(self.acquire_after.0));
                    owed.until = owed.until.min(end);
                }
            }
            _ => {}
        }
    }

    /// S5: it backs the heartbeat with this number; without a number perhaps the newest.
    fn acknowledged(&mut self, options: u32) {
        let numbered = |(number, _): &&(u32, Instant)| *number == options & NUMBER;
        let found = match options & OURS {
            0 => self.heartbeats.last(),
            _ => self.heartbeats.iter().find(numbered),
        };
        self.backed = self.backed.max(found.map(|(_, at)| *at));
    }

    /// The member sends this; its newest record is on disk.
    pub fn sent(&mut self, to: u8, now: Instant, message: &Message<'_>, record: Option<Record>) {
        let Body::Ticket(body) = message.body else { return };
        let header = &message.header;
        match (header.command, header.request) {
            (Command::Ack, Some(Command::Heartbeat | Command::Update)) => self.promised(to, now, record),
            (Command::Vote, Some(_)) => self.voted(to, now, message, &body),
            (Command::VoteRequest, _) => {
                assert!(self.free(now, None), "S2: a candidacy in spite of a promise: {message:?}");
                if self.ballot.is_none_or(|(term, _)| term != body.term) {
                    self.ballot = Some((body.term, false));
                }
            }
            (Command::Heartbeat, None) => {
                assert!(self.elected.contains(&body.term), "S10: nobody has voted for it: {message:?}");
                let number = header.options & NUMBER;
                if !self.heartbeats.iter().any(|(known, _)| *known == number) {
                    self.heartbeats.push((number, now));
                    let surplus = self.heartbeats.len().saturating_sub(HEARTBEATS);
                    self.heartbeats.drain(..surplus);
                }
            }
            (Command::Vote | Command::Revoke, None) => {
                assert!(!self.may_be_granted, "S9: the store has not said so: {message:?}");
            }
            _ => {}
        }
    }

    fn promised(&mut self, to: u8, now: Instant, record: Option<Record>) {
        let recorded = record.is_some_and(|record| record.active && record.leader == Some(super::fixture::id(to)));
        assert!(recorded, "S2: a promise to {to} that is not recorded: {record:?}");
        let until = now + self.expire;
        let before = self.owed.filter(|owed| owed.to == to).map_or(until, |owed| owed.until);
        self.owed = Some(Owed { to, until: until.max(before) });
    }

    fn voted(&mut self, to: u8, now: Instant, message: &Message<'_>, body: &TicketBody<'_>) {
        if body.leader != LeaderField::Member(super::fixture::id(to)) {
            return;
        }
        assert!(self.free(now, Some(to)), "S2, S3: a vote in spite of a promise: {message:?}");
        if self.forgetful_until.is_some_and(|until| now < until) {
            let asked = self.administrators.contains(&(to, body.term));
            assert!(asked, "S7: a vote without memory, and no administrator asks: {message:?}");
            assert!(message.header.options & REMEMBERS == 0, "S7: it says that it remembers");
        }
    }

    /// Whether nothing is owed to anybody but `candidate` (S2, S3).
    fn free(&self, now: Instant, candidate: Option<u8>) -> bool {
        self.owed.is_none_or(|owed| Some(owed.to) == candidate || now >= owed.until + self.acquire_after)
    }

    /// The store is asked for something.
    pub fn stores(&mut self, now: Now, request: &StoreRequest<'_>, manual: bool) {
        let job = match request.action {
            StoreAction::Load => Job::Load,
            StoreAction::Write(ticket) => {
                if !manual {
                    self.writes(now, ticket);
                }
                Job::Write(ticket.granted)
            }
            StoreAction::SetAttribute { .. } | StoreAction::DeleteAttribute { .. } => Job::Attribute,
        };
        self.running = Some((request.number, job));
    }

    fn writes(&mut self, now: Now, ticket: StoreTicket) {
        self.asked = Some(ticket);
        if !ticket.granted {
            self.revoke_failed = false;
            return;
        }
        self.may_be_granted = true;
        assert!(self.elected.contains(&ticket.term), "S10: nobody has voted for it: {ticket:?}");
        let end = self.backed.expect("S4: nobody has acknowledged a heartbeat") + self.expire;
        let left = ticket.expires.0.saturating_sub(now.wall.0) / 1000;
        assert!(self.stepped || left > 0, "S12: a grant that has run out: {ticket:?}");
        assert!(
            self.stepped || now.boot + Millis(left) <= end,
            "S4: a lease beyond its backing: {left} ms left of {ticket:?}"
        );
    }

    /// The store has done this.
    pub fn stored(&mut self, number: RequestNumber, result: &StoreResult<'_>) {
        let Some((_, job)) = self.running.take_if(|(running, _)| *running == number) else { return };
        match (job, result) {
            (Job::Load, StoreResult::Loaded(found)) => {
                self.may_be_granted = found.is_some_and(|ticket| ticket.granted);
            }
            (Job::Write(false), StoreResult::Written) => self.may_be_granted = false,
            (Job::Write(false), StoreResult::Failed) => self.revoke_failed = true,
            _ => {}
        }
    }

    /// All is done that an input makes the member do.
    pub fn settled(&self, now: Instant, deadline: Option<Instant>) {
        if self.asked.is_some_and(|asked| asked.granted) {
            let end = self.backed.map_or(Instant(0), |backed| backed + self.expire);
            assert!(now < end, "S4: the lease is over and nothing has been revoked");
        }
        if self.revoke_failed && self.asked.is_some_and(|asked| !asked.granted) {
            let soon = deadline.is_some_and(|at| at <= now + LONGEST_PAUSE);
            assert!(soon, "S8: a revoke that has failed is not tried again: {deadline:?}");
        }
    }
}
