//! The leader: renewals, its lease, and how it ends.
//!
//! S4: the lease runs from the first sending of the heartbeat that a majority has acknowledged, and
//! is given up before its end. S5: an acknowledgement counts for the request that it answers. S10: no
//! lease without a majority's fresh answer. How a ticket is given away: `release.rs`.

use crate::lease;
use crate::member::{MemberIndex, MemberSet, SiteId, is_majority};
use crate::notice::Event;
use crate::options::Word;
use crate::sink::{HandlerKind, HandlerRequest, Sink};
use crate::store::Wanted;
use crate::ticket::{Ask, Leaving, Purpose, Round, RoundKind, Ticket};
use crate::time::{Instant, Millis};
use crate::turn::{Draft, FromPeer, Turn};
use crate::view::Role;
use crate::wire::{Command, DropReason, Outcome, Reason};

/// The owner in the store of a ticket that was lost.
const UNKNOWN_OWNER: SiteId = SiteId(0);

impl Ticket {
    // ---- renewing ----------------------------------------------------------------------------

    /// Time to renew: the handler first, where there is one.
    pub(crate) fn renew<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        self.renewal_at = None;
        let Some(lease) = self.lease else {
            // Not confirmed yet: the first round decides. Votes grow old: a voter may have lost its memory since, and
            // helped another.
            return;
        };
        if !self.settings.before_acquire || self.leaving.is_some() {
            return self.heartbeat(turn);
        }
        let number = turn.sequence.request();
        self.handler = Some((number, Purpose::Renew));
        let deadline = lease::give_up_at(&self.settings, lease);
        let (kind, expires) = (HandlerKind::BeforeAcquire, turn.now.wall_at(lease));
        turn.sink.run_handler(self.index, HandlerRequest { kind, number, deadline, expires });
    }

    /// Starts a round of heartbeats: the lease is counted from here (S4).
    pub(crate) fn heartbeat<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        self.renewal_at = (!self.releasing).then(|| turn.now.boot + lease::renewal(&self.settings));
        self.start_round(turn, RoundKind::Heartbeat, Reason::None, self.term);
        self.count_acks(turn);
    }

    /// Sends a message to all others and keeps at it until they have acknowledged it.
    pub(crate) fn start_round<S: Sink>(&mut self, turn: &mut Turn<'_, S>, kind: RoundKind, reason: Reason, term: u32) {
        let now = turn.now.boot;
        // The reference takes a revoke from its leader only.
        let me = MemberSet::EMPTY.with(turn.me());
        let round = Round {
            kind,
            beat: lease::next_beat(&self.settings, &self.beats, now),
            number: turn.sequence.number(),
            reason,
            term,
            first_sent: now,
            acked: if kind == RoundKind::CalledOff { turn.everybody().minus(turn.worded()) } else { me },
            refused: MemberSet::EMPTY,
            sendings: 1,
            resend_at: now + self.settings.timeout,
        };
        self.round = Some(round);
        self.send_round(turn, &round, turn.others().minus(round.acked));
    }

    fn send_round<S: Sink>(&mut self, turn: &mut Turn<'_, S>, round: &Round, to: MemberSet) {
        let renews = round.kind.renews();
        let draft = Draft {
            word: Word {
                settled: renews && self.settled,
                running: self.leads(turn.now.boot),
                lost: round.kind == RoundKind::CalledOff,
                stopped: !renews && self.stopped,
                crash_release: renews && self.settings.crash_release,
                ..Word::numbered(round.number)
            },
            reason: round.reason,
            leader: self.leader_field(turn, renews.then_some(turn.me())),
            term: round.term,
            ..Draft::new(round.kind.command())
        };
        for member in to.iter() {
            let validity = match round.kind {
                _ if self.is_manual() => Millis(0),
                RoundKind::Heartbeat if turn.peers[member.at()].wordless => {
                    self.beats[usize::from(round.beat)] = turn.now.boot;
                    lease::validity_to_reference(&self.settings, round.beat)
                }
                RoundKind::Heartbeat | RoundKind::Update => self.settings.expire,
                RoundKind::Revoke | RoundKind::CalledOff | RoundKind::StepDown => Millis(0),
            };
            self.send(turn, member, &Draft { validity, ..draft });
        }
    }

    /// Sends the round again to those who have not answered; a heartbeat that nobody has answered
    /// after all retries starts afresh, so that a late majority gives a lease worth having.
    pub(crate) fn resend<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        let Some(mut round) = self.round else { return };
        let missing = turn.others().minus(round.acked);
        if missing.is_empty() {
            self.round = None;
            return;
        }
        if !round.refused.is_empty() && self.lease.is_none() {
            return self.stand_again(turn, Reason::Again);
        }
        if round.sendings > self.settings.retries {
            for member in missing.iter() {
                let silent_since = &mut turn.peers[member.at()].silent_since;
                if silent_since.is_none() {
                    *silent_since = Some(turn.now.boot);
                    turn.event(self.index, Event::NoAnswer { member });
                }
            }
            self.round = None;
            if round.kind != RoundKind::Heartbeat || self.is_manual() {
                return;
            }
            if self.lease.is_some() {
                return self.heartbeat(turn);
            }
            // Elected, but never confirmed: the votes grow old, and nobody is bound by them.
            return self.stand_again(turn, Reason::TicketLost);
        }
        round.sendings += 1;
        round.resend_at = turn.now.boot + self.settings.timeout;
        self.round = Some(round);
        for member in missing.iter() {
            turn.count_resend(member);
        }
        self.send_round(turn, &round, missing);
    }

    /// An acknowledgement of the round that runs (S5).
    pub(crate) fn on_ack<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer) -> Result<(), DropReason> {
        let Some(Command::Heartbeat | Command::Update | Command::Revoke | Command::Vote) = message.header.request
        else {
            return Err(DropReason::Unexpected);
        };
        let asked = |round: &Round| Some(round.kind.command()) == message.header.request;
        let Some(mut round) = self.round.filter(asked) else {
            // The majority was there before it.
            return Ok(());
        };
        let answers = match message.word {
            Some(word) => word.number == round.number,
            None => message.term == round.term && self.echoes(turn, &round, message),
        };
        // What was promised to another is no promise to us, whoever hands it on: nothing in a message says for whom it is.
        let promised = round.kind.renews() && !self.is_manual();
        if !answers || (promised && message.leader != Some(turn.me())) {
            return Ok(());
        }
        round.acked.insert(message.from);
        self.round = Some(round);
        self.count_acks(turn);
        Ok(())
    }

    /// Whether an acknowledgement of the reference was made for this round, as far as what it says of the time
    /// can tell (S5).
    fn echoes<S: Sink>(&self, turn: &Turn<'_, S>, round: &Round, message: &FromPeer) -> bool {
        let counts = round.kind == RoundKind::Heartbeat && !self.is_manual();
        let named = !counts || lease::is_echo(&self.settings, round.beat, message.validity, turn.settings.unit);
        named && turn.made_since(message, round.first_sent)
    }

    fn count_acks<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        let Some(round) = self.round else { return };
        let majority = is_majority(round.acked.len(), turn.settings.members.len());
        if round.kind == RoundKind::Heartbeat && majority && !self.is_manual() {
            self.renewed(turn, round.first_sent);
        } else if round.acked.contains_all(turn.everybody()) {
            self.round = None;
        }
    }

    /// A majority has acknowledged the heartbeat first sent at `first_sent`.
    fn renewed<S: Sink>(&mut self, turn: &mut Turn<'_, S>, first_sent: Instant) {
        self.round = None;
        let (now, me) = (turn.now.boot, turn.me());
        let end = lease::lease_end(&self.settings, first_sent).max(self.lease.unwrap_or_default());
        if now >= lease::give_up_at(&self.settings, end) {
            // The answers came too late to be of use: ask again.
            return self.heartbeat(turn);
        }
        let first = self.lease.is_none();
        if !self.releasing {
            self.renewal_at.get_or_insert(first_sent + lease::renewal(&self.settings));
        }
        self.lease = Some(end);
        self.store.stuck_from = end;
        self.promise.lead(&self.settings, me, end);
        self.revoked = false;
        self.ever_held = true;
        self.stale_until = None;
        self.commit_due = true;
        turn.event(self.index, Event::Renewed { until: end });
        if first && self.commit_at > now {
            turn.event(self.index, Event::CommitPending { until: self.commit_at });
            self.answer_pending(turn);
        }
        self.start_round(turn, RoundKind::Update, Reason::None, self.term);
        self.count_acks(turn);
        self.commit_if_due(turn);
    }

    /// Writes the grant, or the renewed lease, to the store once that may be done (S6, S12).
    pub(crate) fn commit_if_due<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        let Some(end) = self.lease.filter(|_| self.commit_due && turn.now.boot >= self.commit_at) else { return };
        self.commit_due = false;
        if self.leaving.is_some() {
            return;
        }
        let owner = Some(turn.id(turn.me()));
        self.store.want(Wanted { granted: true, owner, until: Some(end), term: self.term }, turn.now.boot);
        self.drive_store(turn);
    }

    /// A follower refuses our heartbeat or update.
    pub(crate) fn on_renewal_refused<S: Sink>(
        &mut self,
        turn: &mut Turn<'_, S>,
        message: &FromPeer,
    ) -> Result<(), DropReason> {
        let running = self.round.filter(|round| round.kind.renews());
        let Some(round) = running.filter(|_| self.role == Role::Leader) else {
            return Ok(());
        };
        let answers = match message.word {
            Some(word) => word.number == round.number,
            None => turn.made_since(message, round.first_sent),
        };
        if !answers {
            return Ok(());
        }
        let now = turn.now.boot;
        turn.event(self.index, Event::RefusedBy { member: message.from, outcome: message.header.outcome });
        if message.term > self.newest_term() {
            self.heard_term = message.term;
        }
        if self.leads(now) {
            // L3: a member that knows a newer term, or another leader of ours, follows us again once we lead in one that
            // is newer still.
            if message.header.outcome == Outcome::TermOutdated && message.term >= self.term && self.ballot.is_none() {
                self.start_election(turn, Reason::Reacquire, false);
            }
            return Ok(());
        }
        let holder = message.leader.filter(|leader| *leader != turn.me() && message.validity > Millis(0));
        match holder.filter(|_| self.promise.can_learn(now)) {
            Some(holder) => self.adopt(turn, holder, message.term, message.validity),
            None if message.header.outcome == Outcome::TermOutdated => {
                // A majority may be following us already, and would not help another: it is waited for.
                let refused = round.refused.with(message.from);
                self.round = Some(Round { refused, ..round });
                let members = turn.settings.members.len();
                if !is_majority(turn.everybody().minus(refused).len(), members) {
                    self.stand_again(turn, Reason::Again);
                }
            }
            None => {}
        }
        Ok(())
    }

    /// Elected, but not confirmed: asks for votes once more.
    fn stand_again<S: Sink>(&mut self, turn: &mut Turn<'_, S>, reason: Reason) {
        if !self.withdraw(turn) {
            let reason = if self.is_asked_for() { Reason::Administrator } else { reason };
            self.plan_election(turn, turn.now.boot, reason, None);
        }
    }

    /// Leads no longer, or not yet. Whether an administrator's revoke goes on all the same: whoever can be reached is
    /// told when the store has confirmed it, and nobody fights for the ticket here.
    fn withdraw<S: Sink>(&mut self, turn: &mut Turn<'_, S>) -> bool {
        let revoking = self.leaving.filter(|leaving| *leaving == Leaving::Revoke);
        self.become_follower(turn, None);
        self.leaving = revoking;
        revoking.is_some()
    }

    // ---- ending ------------------------------------------------------------------------------

    /// When what is held is given up, unless it is renewed before (S4); where the store has confirmed that already, when
    /// the others are told (S9).
    pub(crate) fn gives_up_at(&self) -> Option<Instant> {
        self.lease.map(|end| if self.releasing { end } else { lease::give_up_at(&self.settings, end) })
    }

    /// No majority has answered in time: the store is told to revoke while the lease still runs (S4).
    pub(crate) fn give_up_if_due<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        let now = turn.now.boot;
        let Some(end) = self.lease.filter(|_| self.gives_up_at().is_some_and(|at| now >= at)) else { return };
        if self.releasing {
            return self.release_at_last(turn);
        }
        turn.event(self.index, Event::LeaseEnding { at: end });
        let revoking = self.withdraw(turn);
        self.want_revoked(turn, None);
        self.answer_waiting(turn, |ask| matches!(ask, Ask::Grant { .. }), Outcome::SyncFail);
        if !revoking {
            self.plan_election(turn, now, Reason::TicketLost, Some(turn.me()));
        }
    }

    /// Another leads in a newer term, elected by members who no longer owed us anything and know it. So our
    /// lease is over, though not by our clock: that has stood still, as those of a virtual machine do that
    /// is paused. What we hold is given up at once.
    pub(crate) fn succeeded_by<S: Sink>(&mut self, turn: &mut Turn<'_, S>, leader: MemberIndex) {
        turn.event(self.index, Event::Succeeded { by: leader });
        self.become_follower(turn, None);
        self.store.stuck_from = turn.now.boot;
        self.want_revoked(turn, None);
    }

    /// Asks the store for "not granted here". As the reference: the owner is the leader that is
    /// followed, no one after an administrator's revoke, unknown where the ticket was lost.
    pub(crate) fn want_revoked<S: Sink>(&mut self, turn: &mut Turn<'_, S>, leader: Option<MemberIndex>) {
        if !turn.is_site(turn.me()) {
            return;
        }
        let administrator = self.revoked || self.leaving == Some(Leaving::Revoke);
        let owner = match leader {
            Some(leader) => Some(turn.id(leader)),
            None => (!administrator).then_some(UNKNOWN_OWNER),
        };
        let until = leader.map(|_| self.promise.end());
        self.store.want(Wanted { granted: false, owner, until, term: self.term }, turn.now.boot);
        self.drive_store(turn);
    }
}
