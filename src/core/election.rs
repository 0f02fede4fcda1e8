//! Elections: who may stand, how votes are given, asked for and counted.
//!
//! S1: one vote a term, recorded before it is sent. S2, S3: nobody is helped while a promise to
//! another, or its hold, runs. S7: who does not remember votes only when an administrator asks.
//! After Ongaro and Ousterhout, "In search of an understandable consensus algorithm" (2014),
//! section 5.2, with leases in place of a log.

use crate::lease::{self, Mandate};
use crate::member::{MemberIndex, MemberSet, is_majority};
use crate::notice::Event;
use crate::options::Word;
use crate::settings::PrerequisiteScope;
use crate::sink::{HandlerKind, HandlerRequest, Sink};
use crate::ticket::{Ask, Ballot, Deferred, Planned, Purpose, Ticket};
use crate::time::{Instant, Millis, WallTime};
use crate::turn::{Draft, FromPeer, Turn};
use crate::view::Role;
use crate::wire::{Command, DropReason, LeaderField, Outcome, Reason};

/// The longest distance between the starts of two sites of neighbouring rank.
const LONGEST_STEP: Millis = Millis(250);

impl Ballot {
    /// Whether a message answers it: by its number, or from the reference by its stamp (S5).
    fn is_answered_by<S: Sink>(&self, turn: &Turn<'_, S>, message: &FromPeer) -> bool {
        match message.word {
            Some(word) => word.number == self.number,
            None => turn.made_since(message, self.sent_at),
        }
    }
}

impl Ticket {
    // ---- standing ----------------------------------------------------------------------------

    /// How long this site waits before it stands, so that two sites rarely collide: by `weights`,
    /// then by the order of the configuration, plus a little that is random. `lost` stands last.
    fn election_delay<S: Sink>(&self, turn: &mut Turn<'_, S>, lost: Option<MemberIndex>) -> Millis {
        let me = turn.me();
        let weight = |member: MemberIndex| self.settings.weights[member.at()];
        let before = |other: MemberIndex| {
            Some(other) != lost
                && (Some(me) == lost || weight(other) > weight(me) || (weight(other) == weight(me) && other < me))
        };
        let rank = turn.sites().without(me).iter().filter(|other| before(*other)).count() as u64;
        let step = LONGEST_STEP.min(Millis(self.settings.timeout.0 / 4)).max(Millis(2));
        let jitter = turn.sequence.span_below(Millis(step.0 / 2));
        Millis(step.0 * rank) + jitter
    }

    /// Plans an election for when nobody is owed anything any more.
    pub(crate) fn plan_election<S: Sink>(
        &mut self,
        turn: &mut Turn<'_, S>,
        from: Instant,
        reason: Reason,
        lost: Option<MemberIndex>,
    ) {
        let me = turn.me();
        if !turn.is_site(me) || self.is_manual() {
            return;
        }
        let delay = self.election_delay(turn, lost);
        let mut at = from.max(turn.now.boot);
        if !self.promise.allows(me, at) {
            at = self.promise.free_at(me);
        }
        if let Some(until) = self.forgetful_until.filter(|_| self.too_forgetful(reason, me, turn.now.boot)) {
            at = at.max(until);
        }
        self.planned = Some(Planned { at: at + delay, reason, same_term: false });
    }

    /// The first thing before an election: may we, do the prerequisites hold, does the handler agree?
    pub(crate) fn begin_acquire<S: Sink>(&mut self, turn: &mut Turn<'_, S>, planned: Planned) {
        let now = turn.now.boot;
        let administrator = planned.reason == Reason::Administrator;
        let too_early = !self.promise.allows(turn.me(), now) || self.too_forgetful(planned.reason, turn.me(), now);
        if self.role == Role::Loading || self.catching_up.is_some() || too_early {
            let later = self.catching_up.unwrap_or(now + self.settings.timeout);
            return self.plan_election(turn, later, planned.reason, None);
        }
        let scope = if administrator { PrerequisiteScope::Manual } else { PrerequisiteScope::Auto };
        if !turn.attributes.satisfy(self.index, &self.settings.prerequisites, scope) {
            turn.event(self.index, Event::PrerequisiteFailed);
            return self.cannot_acquire(turn, planned.reason, Outcome::PrerequisiteFailed);
        }
        if self.settings.before_acquire {
            let number = turn.sequence.request();
            self.handler = Some((number, Purpose::Acquire(planned.reason)));
            let (kind, deadline) = (HandlerKind::BeforeAcquire, now + self.settings.expire);
            let request = HandlerRequest { kind, number, deadline, expires: WallTime(0) };
            turn.sink.run_handler(self.index, request);
            return;
        }
        self.start_election(turn, planned.reason, planned.same_term);
    }

    /// This site cannot hold the ticket now: an administrator is told, an election is tried later.
    pub(crate) fn cannot_acquire<S: Sink>(&mut self, turn: &mut Turn<'_, S>, reason: Reason, outcome: Outcome) {
        if reason == Reason::Administrator {
            return self.grant_failed(turn, outcome);
        }
        self.become_follower(turn, None);
        let later = turn.now.boot + self.settings.renewal;
        self.plan_election(turn, later, reason, None);
    }

    /// Nothing comes of an administrator's grant. A ticket that was lost is fought for as before.
    fn grant_failed<S: Sink>(&mut self, turn: &mut Turn<'_, S>, outcome: Outcome) {
        self.attempts = 0;
        self.become_follower(turn, None);
        self.answer_waiting(turn, |ask| matches!(ask, Ask::Grant { .. }), outcome);
        if self.is_lost() {
            let later = turn.now.boot + self.settings.timeout;
            self.plan_election(turn, later, Reason::TicketLost, None);
        }
    }

    /// Asks all others for their votes; in office where we lead already.
    pub(crate) fn start_election<S: Sink>(&mut self, turn: &mut Turn<'_, S>, reason: Reason, same_term: bool) {
        let (now, me) = (turn.now.boot, turn.me());
        let own = self.voted.filter(|(term, vote)| *vote == me && same_term && *term == self.newest_term());
        let term = own.map_or_else(|| self.newest_term().saturating_add(1), |(term, _)| term);
        self.voted = Some((term, me));
        let votes = self.vote_of_its_own(reason, me, now);
        let ballot = Ballot {
            term,
            reason,
            number: turn.sequence.number(),
            sent_at: now,
            ends_at: now + self.settings.timeout,
            votes,
            remembering: if self.forgetful() { MemberSet::EMPTY } else { votes },
            answered: MemberSet::EMPTY.with(me),
        };
        self.attempts = self.attempts.saturating_add(1);
        if self.role == Role::Leader {
            self.ballot = Some(ballot);
        } else {
            self.become_candidate(ballot);
            turn.event(self.index, Event::ElectionStarted { term, reason });
        }
        let request = Draft {
            word: Word::numbered(ballot.number),
            reason,
            leader: self.leader_field(turn, Some(me)),
            term,
            ..Draft::new(Command::VoteRequest)
        };
        self.broadcast(turn, turn.others(), &request);
        self.decide(turn, false);
    }

    // ---- counting ----------------------------------------------------------------------------

    /// A vote has come, or the leader's word that it steps down.
    pub(crate) fn on_vote<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer) -> Result<(), DropReason> {
        if message.leader.is_none() && message.header.request.is_none() {
            return self.on_step_down(turn, message);
        }
        let (candidate, me) = (message.leader, turn.me());
        let counts = self.answers_ballot(turn, message);
        let Some(ballot) = self.ballot.as_mut().filter(|ballot| counts && ballot.term == message.term) else {
            // The election is over, or another one runs.
            self.on_late_vote(turn, message);
            return Ok(());
        };
        ballot.answered.insert(message.from);
        if candidate == Some(me) {
            ballot.votes.insert(message.from);
            if message.word.is_some_and(|word| word.remembers) {
                ballot.remembering.insert(message.from);
            }
        }
        self.decide(turn, false);
        Ok(())
    }

    /// A site's vote that comes when an administrator's election is over. It says what it would have said in time: the
    /// ticket is not granted there, nor was it `acquire-after` ago. From the last of them on nothing is waited for (S6).
    /// (The word of a majority that remembers has to come in time: while the last of it is on its way, the first
    /// may lose its memory, and help an older leader whose lease still runs.)
    fn on_late_vote<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer) {
        let (now, me) = (turn.now.boot, turn.me());
        let late = |ballot: &Ballot| ballot.term == self.term && ballot.term == message.term;
        let missed = self.missing_votes.filter(|ballot| late(ballot) && ballot.is_answered_by(turn, message));
        let Some(mut ballot) = missed.filter(|_| message.leader == Some(me)) else { return };
        ballot.votes.insert(message.from);
        self.missing_votes = Some(ballot);
        if ballot.votes.contains_all(turn.sites()) {
            self.missing_votes = None;
            self.commit_at = self.commit_at.min(now);
            self.commit_if_due(turn);
        }
    }

    /// Whether a message answers the ballot that runs.
    pub(crate) fn answers_ballot<S: Sink>(&self, turn: &Turn<'_, S>, message: &FromPeer) -> bool {
        self.ballot.is_some_and(|ballot| ballot.is_answered_by(turn, message))
    }

    /// Counts. A majority of all members wins; an administrator's election waits for the sites
    /// unless the voters vouch for it, since that decides how long the grant is held back (S6).
    pub(crate) fn decide<S: Sink>(&mut self, turn: &mut Turn<'_, S>, ended: bool) {
        let Some(ballot) = self.ballot else { return };
        let members = turn.settings.members.len();
        let administrator = ballot.reason == Reason::Administrator;
        let mandate = Mandate {
            safe_majority: is_majority(ballot.remembering.len(), members),
            all_sites: ballot.votes.contains_all(turn.sites()),
            administrator,
            immediate: self.immediate && administrator,
            held: self.stale_until.is_some() || self.leads(turn.now.boot),
        };
        let all = ballot.answered.contains_all(turn.everybody());
        let enough = mandate.safe_majority || mandate.all_sites || mandate.held || all || ended;
        if is_majority(ballot.votes.len(), members) && (!administrator || enough) {
            self.win(turn, ballot, mandate);
        } else if all || ended {
            // Asked at once, they would all say the same again.
            let from = if administrator { turn.now.boot } else { ballot.ends_at };
            self.lose(turn, ballot, from);
        }
    }

    fn win<S: Sink>(&mut self, turn: &mut Turn<'_, S>, ballot: Ballot, mandate: Mandate) {
        let now = turn.now.boot;
        let commit_at = lease::commit_at(&self.settings, now, mandate);
        if self.role == Role::Leader {
            // Re-elected in office, to catch up with a member that knows a newer term.
            self.ballot = None;
            self.term = ballot.term;
            self.attempts = 0;
        } else {
            let settled = mandate.safe_majority || mandate.all_sites;
            self.become_leader(turn.me(), ballot.term, commit_at, settled);
            self.missing_votes = (mandate.administrator && commit_at > now).then_some(ballot);
            turn.event(self.index, Event::Won { term: ballot.term });
        }
        self.heartbeat(turn);
    }

    /// Lost, or hopeless: once more, from then on.
    fn lose<S: Sink>(&mut self, turn: &mut Turn<'_, S>, ballot: Ballot, from: Instant) {
        self.ballot = None;
        if self.role == Role::Leader {
            return;
        }
        let missing = turn.everybody().minus(ballot.votes);
        if ballot.reason == Reason::Administrator && self.attempts > self.settings.retries {
            turn.event(self.index, Event::ElectionFailed { retry: None, missing });
            return self.grant_failed(turn, Outcome::SyncFail);
        }
        self.plan_election(turn, from, ballot.reason, None);
        if let Some(planned) = self.planned.as_mut() {
            planned.same_term = ballot.answered.len() == 1;
            let retry = Some(planned.at);
            turn.event(self.index, Event::ElectionFailed { retry, missing });
        }
        self.answer_more(turn);
    }

    /// A refusal of what we asked for.
    pub(crate) fn on_reject<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer) -> Result<(), DropReason> {
        match message.header.request {
            Some(Command::VoteRequest) => self.on_vote_refused(turn, message),
            Some(Command::Heartbeat | Command::Update) => self.on_renewal_refused(turn, message),
            _ => Err(DropReason::Unexpected),
        }
    }

    fn on_vote_refused<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer) -> Result<(), DropReason> {
        if !self.answers_ballot(turn, message) {
            return Ok(());
        }
        let (now, me, outcome) = (turn.now.boot, turn.me(), message.header.outcome);
        turn.event(self.index, Event::RefusedBy { member: message.from, outcome });
        self.heard_term = self.heard_term.max(message.term);
        if self.role == Role::Leader {
            self.ballot = None;
            return Ok(());
        }
        let administrator = self.ballot.is_some_and(|ballot| ballot.reason == Reason::Administrator);
        let holder = message.leader.filter(|leader| *leader != me && message.validity > Millis(0));
        if let Some(holder) = holder.filter(|_| self.promise.can_learn(now)) {
            self.adopt(turn, holder, message.term, message.validity);
        } else if outcome == Outcome::YouAreOutdated && administrator {
            // That is for who fights for a lost ticket, as we did before: it answers an earlier request of ours.
        } else if outcome == Outcome::YouAreOutdated && message.term >= self.term {
            self.become_follower(turn, None);
            self.know_revoked_term(message.term);
            self.revoked = true;
            self.drop_stale(turn);
        } else if outcome == Outcome::YouAreOutdated {
            // It knows of a revoke before the grant that we know of: ask in a way that does not hang on that.
            self.become_follower(turn, None);
            self.plan_election(turn, now, Reason::Again, None);
        } else if outcome == Outcome::TermStillValid {
            // Nobody to follow, nothing to win: once more when the time for answers is over.
        } else if let Some(ballot) = self.ballot.as_mut() {
            if outcome == Outcome::TermOutdated && message.term < ballot.term {
                // Who knows no newer term has refused an earlier ballot. One election for each such refusal would
                // bring forth as many more of them.
                return Ok(());
            }
            ballot.answered.insert(message.from);
            if outcome == Outcome::TermOutdated {
                // No vote can be had in this term from whom knows a newer one: ask again in that.
                let ballot = *ballot;
                self.lose(turn, ballot, now);
            } else {
                self.decide(turn, false);
            }
        }
        Ok(())
    }

    // ---- voting ------------------------------------------------------------------------------

    /// Somebody asks for our vote.
    pub(crate) fn on_vote_request<S: Sink>(
        &mut self,
        turn: &mut Turn<'_, S>,
        message: &FromPeer,
    ) -> Result<(), DropReason> {
        let (now, me, candidate) = (turn.now.boot, turn.me(), message.from);
        if message.leader != Some(candidate) {
            return Err(DropReason::Unexpected);
        }
        let holder = if self.leads(now) { Some(me) } else { self.promise.owed_leader(now) };
        if holder.is_some_and(|holder| holder != candidate && (holder != me || self.role == Role::Leader)) {
            self.refuse(turn, message, Outcome::TermStillValid);
            return Ok(());
        }
        // Nor in a term that the candidate has led itself: ours ask in the next one, unless they have no memory of it.
        // What was said about the old lease would be taken for the new one's.
        let led = message.term == self.term
            && self.term_leader.is_some_and(|leader| leader != candidate || message.word.is_some());
        let voted_later = self.voted.is_some_and(|(term, _)| term > message.term);
        if message.term < self.term || led || voted_later {
            self.refuse(turn, message, Outcome::TermOutdated);
            return Ok(());
        }
        if message.header.reason == Reason::TicketLost && self.revoked {
            self.refuse(turn, message, Outcome::YouAreOutdated);
            return Ok(());
        }
        if self.forgetful() && message.header.reason != Reason::Administrator {
            return Ok(());
        }
        let number = message.word.map_or(0, |word| word.number);
        let (reason, at) = (message.header.reason, self.promise.free_at(candidate));
        let deferred = Deferred { candidate, term: message.term, reason, number, at };
        if !self.promise.allows_vote(candidate, now) {
            // S3. Silence, and the vote as soon as it may be given, if the candidate can still be waiting.
            let soon = deferred.at.since(now) <= self.settings.timeout;
            self.deferred = soon.then_some(deferred).or(self.deferred);
            return Ok(());
        }
        self.vote(turn, deferred);
        Ok(())
    }

    /// The hold has ended for which a vote was put off.
    pub(crate) fn vote_deferred<S: Sink>(&mut self, turn: &mut Turn<'_, S>, deferred: Deferred) {
        let outdated = deferred.term < self.term || self.voted.is_some_and(|(term, _)| term > deferred.term);
        if !outdated && self.role != Role::Leader && self.promise.allows_vote(deferred.candidate, turn.now.boot) {
            self.vote(turn, deferred);
        }
    }

    fn vote<S: Sink>(&mut self, turn: &mut Turn<'_, S>, asked: Deferred) {
        if self.store.may_be_granted() && !self.is_following(asked.candidate) {
            // S8: our own store may still say granted. Whoever wins does so without our help.
            return;
        }
        let vote = match self.voted.filter(|(term, _)| *term == asked.term) {
            Some((_, vote)) => vote,
            None => {
                self.voted = Some((asked.term, asked.candidate));
                self.stand_back(turn, asked.reason);
                turn.event(self.index, Event::Voted { candidate: asked.candidate, term: asked.term });
                asked.candidate
            }
        };
        let answer = Draft {
            request: Some(Command::VoteRequest),
            word: Word { remembers: !self.forgetful(), ..Word::numbered(asked.number) },
            leader: self.leader_field(turn, Some(vote)),
            term: asked.term,
            ..Draft::new(Command::Vote)
        };
        self.send(turn, asked.candidate, &answer);
    }

    /// Leaves the ticket to the candidate that has our vote, unless nothing comes of it.
    fn stand_back<S: Sink>(&mut self, turn: &mut Turn<'_, S>, reason: Reason) {
        // A client may wait at any stage: planned, its handler at work, its votes counted, elected but not confirmed.
        let own = self.is_asked_for().then_some(Reason::Administrator);
        let own = own.or(self.planned.map(|planned| planned.reason)).or(self.ballot.map(|ballot| ballot.reason));
        let own = own.or(self.handler.and_then(|(_, purpose)| match purpose {
            Purpose::Acquire(reason) => Some(reason),
            Purpose::Renew | Purpose::Release => None,
        }));
        let fought_for = (reason != Reason::Administrator && !self.revoked).then_some(Reason::TicketLost);
        let elected = self.role == Role::Leader && self.lease.is_none();
        if self.role != Role::Follower {
            self.become_follower(turn, None);
        }
        if elected {
            self.release_followers(turn);
        }
        if let Some(reason) = own.or(fought_for) {
            let later = turn.now.boot + self.settings.timeout + self.settings.timeout;
            self.plan_election(turn, later, reason, None);
        }
    }

    /// Elected, we leave the ticket to another before a majority has followed us: those who have would help nobody for a
    /// whole lease. By this election nothing was granted here, and what was by one before it is over, hold and all, or
    /// we could not have voted for that other; if we remember. (The reference would stand for what it takes for a
    /// step-down.)
    fn release_followers<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        let word = Word { stopped: !self.forgetful(), ..Word::numbered(turn.sequence.number()) };
        let release = Draft { word, reason: Reason::Again, term: self.term, ..Draft::new(Command::Vote) };
        self.broadcast(turn, turn.worded(), &release);
    }

    fn is_following(&self, member: MemberIndex) -> bool {
        self.promise.to() == Some(member)
    }

    /// Refuses a request, and says who holds the ticket as far as we know. The term is the newest
    /// that we know of, so that the asker can go beyond it.
    pub(crate) fn refuse<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer, outcome: Outcome) {
        let mut answer = self.answer(turn, Command::Reject, message.header.command, message.word);
        answer.outcome = outcome;
        if outcome == Outcome::TermOutdated {
            answer.term = self.newest_term();
            if message.leader == Some(message.from) && self.known_leader(turn.now.boot) == Some(message.from) {
                // A reference candidate that hears its own name here repeats its old term for ever.
                answer.leader = LeaderField::Nobody;
                answer.validity = Millis(0);
            }
        }
        turn.event(self.index, Event::Refused { member: message.from, outcome });
        self.send(turn, message.from, &answer);
    }
}
