//! A ticket's state, and the only places where its role changes: `become_*()`.
//!
//! Invariants: nothing is sent before what it promises has been handed to the journal
//! (`Ticket::send`); a leader's lease never outlasts its promise to itself; terms and votes never
//! go back (S1). What happens when is in `election`, `leader`, `follower`, `grant`, `manual`,
//! `recovery`; the arithmetic is in `lease`.

use crate::input::{ClientId, RequestNumber};
use crate::lease::{self, Promise};
use crate::member::{MemberIndex, MemberSet, SiteId};
use crate::notice::Event;
use crate::options::Word;
use crate::settings::{Mode, Name, TicketIndex, TicketSettings, Value};
use crate::sink::{Record, Sink};
use crate::store::{StoreState, Stored};
use crate::time::{Instant, Millis};
use crate::turn::{Draft, Turn};
use crate::view::{Holder, Role, TicketView};
use crate::wire::{Command, LeaderField, Reason};
use heapless::Vec;

/// The most clients that wait for one ticket's store or election.
pub(crate) const MAX_WAITING: usize = 4;

/// The votes of one term, as its candidate counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ballot {
    pub(crate) term: u32,
    pub(crate) reason: Reason,
    /// Votes count that answer this number (S5).
    pub(crate) number: u32,
    pub(crate) sent_at: Instant,
    pub(crate) ends_at: Instant,
    pub(crate) votes: MemberSet,
    /// Those of the voters that remember (S6).
    pub(crate) remembering: MemberSet,
    pub(crate) answered: MemberSet,
}

/// An election that will start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Planned {
    pub(crate) at: Instant,
    pub(crate) reason: Reason,
    /// The last attempt met nobody: its term can be asked for again.
    pub(crate) same_term: bool,
}

/// What a round of messages asks its receivers to acknowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RoundKind {
    Heartbeat,
    Update,
    Revoke,
    /// An administrator's revoke at a site that did not hold the ticket: nobody is to fight for it.
    CalledOff,
    /// The reference does not acknowledge it; it is repeated all the same.
    StepDown,
}

impl RoundKind {
    pub(crate) fn command(self) -> Command {
        match self {
            RoundKind::Heartbeat => Command::Heartbeat,
            RoundKind::Update => Command::Update,
            RoundKind::Revoke | RoundKind::CalledOff => Command::Revoke,
            RoundKind::StepDown => Command::Vote,
        }
    }

    /// Whether an acknowledgement of it is a promise.
    pub(crate) fn renews(self) -> bool {
        matches!(self, RoundKind::Heartbeat | RoundKind::Update)
    }
}

/// A message to all others, repeated to those that have not acknowledged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Round {
    pub(crate) kind: RoundKind,
    /// Which heartbeat it is, for those who have no word for its number.
    pub(crate) beat: u8,
    pub(crate) number: u32,
    pub(crate) reason: Reason,
    pub(crate) term: u32,
    pub(crate) first_sent: Instant,
    pub(crate) acked: MemberSet,
    /// Who knows of a newer term.
    pub(crate) refused: MemberSet,
    pub(crate) sendings: u8,
    pub(crate) resend_at: Instant,
}

/// A vote that waits for the end of a hold (S3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Deferred {
    pub(crate) candidate: MemberIndex,
    pub(crate) term: u32,
    pub(crate) reason: Reason,
    pub(crate) number: u32,
    pub(crate) at: Instant,
}

/// Why a leader gives its ticket away; it stays the leader until the store says revoked (S9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Leaving {
    Revoke,
    StepDown(Reason),
}

/// What a handler runs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    Acquire(Reason),
    Renew,
    /// The release-handler: are the resources stopped?
    Release,
}

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ask {
    Grant { until_commit: bool },
    Revoke { until_released: bool },
}

/// A client that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Waiting {
    pub(crate) client: ClientId,
    pub(crate) ask: Ask,
}

/// An attribute that is being written to the store; the table follows when that is done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AttributeJob {
    pub(crate) number: RequestNumber,
    pub(crate) client: ClientId,
    pub(crate) name: Name,
    /// `None`: it is deleted.
    pub(crate) value: Option<Value>,
}

/// A ticket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    pub(crate) index: TicketIndex,
    pub(crate) settings: TicketSettings,
    pub(crate) role: Role,
    /// The term of the newest leader known, and who it was.
    pub(crate) term: u32,
    pub(crate) term_leader: Option<MemberIndex>,
    /// The newest term in which we have voted, and for whom (S1).
    pub(crate) voted: Option<(u32, MemberIndex)>,
    /// The newest term that a refusal has named.
    pub(crate) heard_term: u32,
    pub(crate) promise: Promise,
    /// Whose lease's end has not been noted yet.
    pub(crate) following: Option<MemberIndex>,
    /// When the heartbeat of each number was sent last to somebody who has no word for it.
    pub(crate) beats: [Instant; lease::TOLD_APART],
    pub(crate) ever_held: bool,
    /// The leader has revoked it on an administrator's word: not lost, not to be fought for.
    pub(crate) revoked: bool,
    /// The leader that is followed has said with its newest heartbeat that its node is one of those that
    /// `crash-release` names (S13).
    pub(crate) crash_release: bool,
    /// The newest term whose leader has said that it no longer holds the ticket: what comes of it
    /// afterwards was overtaken.
    pub(crate) released_term: Option<u32>,
    /// The end of our lease.
    pub(crate) lease: Option<Instant>,
    /// From when our grant may be written (S6), and whether a write is due.
    pub(crate) commit_at: Instant,
    pub(crate) commit_due: bool,
    /// Elected by members who owe nothing to anybody else and know it (S3, S7): no other lease can run.
    pub(crate) settled: bool,
    pub(crate) ballot: Option<Ballot>,
    /// By what an administrator's election was won, while the grant waits for the sites whose votes are missing (S6).
    pub(crate) missing_votes: Option<Ballot>,
    pub(crate) attempts: u8,
    pub(crate) immediate: bool,
    pub(crate) planned: Option<Planned>,
    /// When an arbitrator says again that the ticket is lost.
    pub(crate) reminder_at: Option<Instant>,
    pub(crate) round: Option<Round>,
    pub(crate) renewal_at: Option<Instant>,
    pub(crate) deferred: Option<Deferred>,
    pub(crate) leaving: Option<Leaving>,
    /// The store has confirmed the revoke, the release-handler was started; the lease is not renewed any more.
    pub(crate) releasing: bool,
    /// The release-handler has said that the resources are stopped; nothing was granted here since.
    pub(crate) stopped: bool,
    pub(crate) handler: Option<(RequestNumber, Purpose)>,
    /// Until when we have no memory of our votes and promises (S7).
    pub(crate) forgetful_until: Option<Instant>,
    pub(crate) catching_up: Option<Instant>,
    pub(crate) answered: MemberSet,
    /// The store says granted from before our start; to be revoked at this time unless we lead again.
    pub(crate) stale_until: Option<Instant>,
    pub(crate) store: StoreState,
    pub(crate) attribute_job: Option<AttributeJob>,
    pub(crate) waiting: Vec<Waiting, MAX_WAITING>,
    /// Who holds a manual ticket.
    pub(crate) holders: MemberSet,
    /// The mark of the memory that is written to ([`Record::mark`]).
    pub(crate) mark: u32,
    memory: Option<Record>,
    recorded: Option<Record>,
}

impl Ticket {
    /// A ticket with what the journal remembers of it; `None`: no memory (S7).
    pub fn new(settings: TicketSettings, memory: Option<Record>) -> Ticket {
        Ticket {
            index: TicketIndex(0),
            settings,
            role: Role::Loading,
            term: 0,
            term_leader: None,
            voted: None,
            heard_term: 0,
            promise: Promise::default(),
            following: None,
            beats: [Instant(0); lease::TOLD_APART],
            ever_held: false,
            revoked: false,
            crash_release: false,
            released_term: None,
            lease: None,
            commit_at: Instant(0),
            commit_due: false,
            settled: false,
            ballot: None,
            missing_votes: None,
            attempts: 0,
            immediate: false,
            planned: None,
            reminder_at: None,
            round: None,
            renewal_at: None,
            deferred: None,
            leaving: None,
            releasing: false,
            stopped: false,
            handler: None,
            forgetful_until: None,
            catching_up: None,
            answered: MemberSet::EMPTY,
            stale_until: None,
            store: StoreState::new(),
            attribute_job: None,
            waiting: Vec::new(),
            holders: MemberSet::EMPTY,
            mark: 0,
            memory,
            recorded: None,
        }
    }

    /// Takes what the journal remembers, or notes that it does not (S7). Once, before the first step.
    pub(crate) fn remember(
        &mut self,
        index: TicketIndex,
        start: Instant,
        find: impl Fn(SiteId) -> Option<MemberIndex>,
    ) {
        self.index = index;
        let Some(record) = self.memory else {
            self.forgetful_until = Some(lease::memory_returns_at(&self.settings, start));
            return;
        };
        if record.forgetful {
            self.forgetful_until = Some(lease::memory_returns_at(&self.settings, start));
        }
        self.term = record.term;
        self.revoked = record.revoked;
        self.ever_held = record.held;
        self.mark = record.mark;
        self.heard_term = record.voted_term;
        self.voted = record.vote.and_then(&find).map(|vote| (record.voted_term, vote));
        if record.vote.is_some() && self.voted.is_none() {
            // S1: a vote for a member that is no longer configured. Nobody else gets one in that term.
            self.term = self.term.max(record.voted_term.saturating_add(1));
        }
        if let Some(leader) = record.leader {
            let leader = find(leader);
            self.term_leader = leader;
            self.ever_held = true;
            let span = record.active.then_some(record.promised);
            self.promise = Promise::remembered(&self.settings, leader, span, start);
            if record.earlier {
                self.promise.remember_earlier(&self.settings, start);
            }
        }
        self.recorded = self.memory;
    }

    /// The newest stamp in its memory.
    pub(crate) fn remembered_stamp(&self) -> Option<crate::time::WallTime> {
        self.memory.map(|record| record.stamp)
    }

    pub(crate) fn is_manual(&self) -> bool {
        self.settings.mode == Mode::Manual
    }

    /// Whether we hold a lease that runs.
    pub(crate) fn leads(&self, now: Instant) -> bool {
        self.role == Role::Leader && self.lease.is_some_and(|end| now < end)
    }

    /// The newest term that we know of, in whatever way.
    pub(crate) fn newest_term(&self) -> u32 {
        self.term.max(self.heard_term).max(self.voted.map_or(0, |(term, _)| term))
    }

    /// Whether somebody held it, and no administrator has taken it away: to be fought for.
    pub(crate) fn is_lost(&self) -> bool {
        self.ever_held && !self.revoked && !self.is_manual()
    }

    /// Whether a client waits for a grant.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.waiting.iter().any(|waiting| matches!(waiting.ask, Ask::Grant { .. }))
    }

    pub(crate) fn forgetful(&self) -> bool {
        self.forgetful_until.is_some()
    }

    /// Whether having no memory keeps it from standing for election (S7). Not where an administrator asks; not for
    /// a lease of its own that it remembers, for nobody else was helped since that began; and not for one that only
    /// its store remembers, but then its own vote does not count ([`Ticket::vote_of_its_own`]).
    pub(crate) fn too_forgetful(&self, reason: Reason, me: MemberIndex, now: Instant) -> bool {
        let own = self.promise.leader(now) == Some(me) || (reason == Reason::Reacquire && self.stale_until.is_some());
        self.forgetful() && reason != Reason::Administrator && !own
    }

    /// The votes that a candidacy of ours begins with: our own, unless we may have forgotten another (S7).
    pub(crate) fn vote_of_its_own(&self, reason: Reason, me: MemberIndex, now: Instant) -> MemberSet {
        let forgotten = self.forgetful() && reason == Reason::Reacquire && self.promise.leader(now) != Some(me);
        if forgotten { MemberSet::EMPTY } else { MemberSet::EMPTY.with(me) }
    }

    /// Who holds the ticket as far as we know: us, or the leader that we follow.
    pub(crate) fn known_leader(&self, now: Instant) -> Option<MemberIndex> {
        if self.is_manual() { self.term_leader } else { self.promise.leader(now) }
    }

    pub(crate) fn leader_field<S: Sink>(&self, turn: &Turn<'_, S>, leader: Option<MemberIndex>) -> LeaderField {
        leader.map_or(LeaderField::Nobody, |leader| LeaderField::Member(turn.id(leader)))
    }

    // ---- roles -------------------------------------------------------------------------------

    /// Follows `leader`, or waits where there is none. Nothing of a candidacy or a lease is left.
    pub(crate) fn become_follower<S: Sink>(&mut self, turn: &mut Turn<'_, S>, leader: Option<MemberIndex>) {
        if leader.is_some() && self.following != leader {
            let (leader, term) = (leader.unwrap_or(turn.me()), self.term);
            turn.event(self.index, Event::Following { leader, term });
        }
        self.role = Role::Follower;
        self.following = leader;
        if leader.is_some() {
            self.ever_held = true;
            self.planned = None;
            self.reminder_at = None;
            self.deferred = None;
            self.attempts = 0;
        }
        self.ballot = None;
        self.missing_votes = None;
        self.round = None;
        self.renewal_at = None;
        self.lease = None;
        self.commit_due = false;
        self.settled = false;
        self.leaving = None;
        self.releasing = false;
        self.handler = None;
    }

    /// Asks for votes.
    pub(crate) fn become_candidate(&mut self, ballot: Ballot) {
        self.role = Role::Candidate;
        self.following = None;
        self.planned = None;
        self.deferred = None;
        self.round = None;
        self.ballot = Some(ballot);
    }

    /// Leads in `term`; the lease begins with a majority's answer to the first heartbeat (S10).
    pub(crate) fn become_leader(&mut self, me: MemberIndex, term: u32, commit_at: Instant, settled: bool) {
        self.role = Role::Leader;
        self.term = term;
        self.term_leader = Some(me);
        self.following = None;
        self.ballot = None;
        self.planned = None;
        self.deferred = None;
        self.attempts = 0;
        self.lease = None;
        self.commit_at = commit_at;
        self.commit_due = false;
        self.stopped = false;
        self.settled = settled;
    }

    // ---- what leaves -------------------------------------------------------------------------

    /// What must be remembered over a restart (S1, S2).
    fn record_now<S: Sink>(&self, turn: &Turn<'_, S>) -> Record {
        let now = turn.now.boot;
        // What is owed to a leader that is no longer configured stays as it was.
        let stranger = self.memory.filter(|_| self.promise.owes_a_stranger(now));
        let owed = self.promise.owed_leader(now).map(|_| self.promise.span());
        let promised = owed.or(stranger.filter(|last| last.active).map(|last| last.promised));
        let leader = self.promise.owed_to().map(|leader| turn.id(leader));
        Record {
            term: self.term,
            voted_term: self.voted.map_or(0, |(term, _)| term),
            vote: self.voted.map(|(_, vote)| turn.id(vote)),
            leader: leader.or(stranger.and_then(|last| last.leader)),
            active: promised.is_some(),
            promised: promised.unwrap_or_default(),
            earlier: self.promise.holds_for_earlier(now),
            revoked: self.revoked,
            held: self.ever_held,
            mark: self.mark,
            forgetful: self.forgetful_until.is_some(),
            stamp: turn.stamps.last().max(turn.now.wall),
        }
    }

    /// Hands the journal what has changed since the last record; a renewal changes nothing.
    pub(crate) fn record<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        if self.is_manual() {
            return;
        }
        let record = self.record_now(turn);
        let same = self.recorded.is_some_and(|last| Record { stamp: record.stamp, ..last } == record);
        // What an empty slot of the journal says as well.
        let nothing = Record { forgetful: true, stamp: record.stamp, ..Record::default() };
        let nothing_yet = self.recorded.is_none() && record == nothing;
        if !same && !nothing_yet {
            turn.sink.journal(self.index, &record);
            self.recorded = Some(record);
        }
    }

    /// The journal could not take the last record: it is offered again before anything else leaves.
    pub(crate) fn record_failed(&mut self) {
        self.recorded = None;
    }

    /// Sends to one peer, after recording what the message may promise.
    pub(crate) fn send<S: Sink>(&mut self, turn: &mut Turn<'_, S>, to: MemberIndex, draft: &Draft) {
        self.record(turn);
        turn.transmit(self.index, &self.settings.name, to, draft);
    }

    /// Sends to several peers.
    pub(crate) fn broadcast<S: Sink>(&mut self, turn: &mut Turn<'_, S>, to: MemberSet, draft: &Draft) {
        for member in to.iter() {
            self.send(turn, member, draft);
        }
    }

    /// An answer to `request` that names the leader known and what is left of its lease.
    pub(crate) fn answer<S: Sink>(
        &self,
        turn: &Turn<'_, S>,
        command: Command,
        request: Command,
        word: Option<Word>,
    ) -> Draft {
        let now = turn.now.boot;
        let leader = self.known_leader(now);
        Draft {
            request: Some(request),
            word: Word::numbered(word.map_or(0, |word| word.number)),
            leader: self.leader_field(turn, leader),
            term: self.term,
            validity: if self.promise.owed_leader(now).is_some() { self.promise.left(now) } else { Millis(0) },
            ..Draft::new(command)
        }
    }

    // ---- time --------------------------------------------------------------------------------

    /// Does all that is due. What ends comes before what begins: a lease first of all.
    pub(crate) fn fire<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        let now = turn.now.boot;
        self.give_up_if_due(turn);
        self.revoke_stale_if_due(turn);
        self.last_resort_if_due(turn);
        self.forget_leader_if_lost(turn);
        if self.forgetful_until.is_some_and(|until| now >= until) {
            self.forgetful_until = None;
        }
        if self.catching_up.is_some_and(|until| now >= until) {
            self.caught_up(turn);
        }
        if let Some(deferred) = self.deferred.filter(|deferred| now >= deferred.at) {
            self.deferred = None;
            self.vote_deferred(turn, deferred);
        }
        if self.ballot.is_some_and(|ballot| now >= ballot.ends_at) {
            self.decide(turn, true);
        }
        if let Some(planned) = self.planned.filter(|planned| now >= planned.at) {
            self.planned = None;
            self.begin_acquire(turn, planned);
        }
        if self.reminder_at.is_some_and(|at| now >= at) {
            self.remind(turn);
        }
        if self.renewal_at.is_some_and(|at| now >= at) {
            self.renew(turn);
        }
        if self.round.is_some_and(|round| now >= round.resend_at) {
            self.resend(turn);
        }
        self.commit_if_due(turn);
        self.conclude(turn);
    }

    /// What every step about this ticket ends with: the store is driven, changes are recorded.
    pub(crate) fn conclude<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        self.promise.forget_if_over(turn.now.boot);
        self.drive_store(turn);
        self.record(turn);
    }

    /// When it wants to be fired next.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let promised = self.promise.to().is_some();
        [
            self.gives_up_at(),
            self.stale_until,
            (promised && self.following.is_some()).then_some(self.promise.end()),
            promised.then_some(self.promise.over_at()),
            self.forgetful_until,
            self.catching_up,
            self.deferred.map(|deferred| deferred.at),
            self.ballot.map(|ballot| ballot.ends_at),
            self.planned.map(|planned| planned.at),
            self.reminder_at,
            self.renewal_at,
            self.round.map(|round| round.resend_at),
            self.commit_due.then_some(self.commit_at),
            self.store.next_deadline(),
            self.last_resort_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    // ---- what may be seen --------------------------------------------------------------------

    /// The ticket as `list` and the tests see it.
    pub(crate) fn view(&self, now: Instant, me: MemberIndex) -> TicketView<'_> {
        let leading = self.role == Role::Leader && self.lease.is_some();
        let holder =
            if leading { Some(me) } else { self.known_leader(now).filter(|leader| self.is_manual() || *leader != me) };
        let expires = if leading { self.lease } else { holder.map(|_| self.promise.end()) };
        TicketView {
            index: self.index,
            name: &self.settings.name,
            manual: self.is_manual(),
            role: self.role,
            holder: match holder {
                Some(member) => Holder::Member(member),
                None if self.ever_held => Holder::Nobody,
                None => Holder::Never,
            },
            holders: self.holders,
            expires: expires.filter(|_| !self.is_manual()),
            commit_pending: (leading && now < self.commit_at).then_some(self.commit_at),
            term: self.newest_term(),
            granted_here: self.store.stored == Stored::Granted,
            revoke_overdue: self.store.revoke_since.filter(|since| !leading && *since <= now),
            last_resort: self.store.last_resort,
            forgetful_until: self.forgetful_until,
        }
    }
}
