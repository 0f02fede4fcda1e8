//! Start and store: what a member finds when it starts, and what its store does meanwhile.
//!
//! S7, S10: what the store says is never taken for a lease. A ticket found granted here is asked for
//! again (a majority must answer) and revoked when its recorded lease is about to end, or as soon as
//! somebody else is known to lead. S8: a revoke is asked for until it is confirmed.

use crate::attribute::MEMORY;
use crate::input::{RequestNumber, StoreResult, StoredTicket};
use crate::lease::{self, Promise};
use crate::member::MemberSet;
use crate::node::ABSURD_TERM;
use crate::notice::Event;
use crate::settings::Value;
use crate::sink::{Sink, StoreAction, StoreRequest};
use crate::store::{Job, Stored};
use crate::ticket::{Ask, Ticket};
use crate::time::Millis;
use crate::turn::{Draft, Turn};
use crate::view::Role;
use crate::wire::{Command, Outcome, Reason};
use core::fmt::Write;

/// How far the recorded end of a lease may be rounded.
const WHOLE_SECOND: Millis = Millis(1_000);

impl Ticket {
    /// The process has started.
    pub(crate) fn start<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        if let Some(until) = self.forgetful_until.filter(|_| !self.is_manual()) {
            turn.event(self.index, Event::WithoutMemory { until });
        }
        if turn.is_site(turn.me()) {
            self.suspect_store(turn);
            self.drive_store(turn);
        } else {
            self.store.loaded = true;
            self.store.stored = Stored::NotGranted;
            self.loaded(turn);
        }
    }

    /// The store has been read, or there is none: the others are asked what they know.
    fn loaded<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        self.role = Role::Follower;
        let now = turn.now.boot;
        self.catching_up = Some(now + self.settings.timeout);
        self.answered = MemberSet::EMPTY;
        let claim = self.stale_until.map(|_| turn.me());
        let query = Draft { leader: self.leader_field(turn, claim), term: self.term, ..Draft::new(Command::Status) };
        self.broadcast(turn, turn.others(), &query);
        if turn.others().is_empty() {
            self.caught_up(turn);
        }
    }

    /// All others have said what they know, or have had the time to.
    pub(crate) fn caught_up<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        self.catching_up = None;
        let now = turn.now.boot;
        self.plan_reminder(turn, self.promise.hold());
        if let Some(planned) = self.planned.as_mut().filter(|planned| planned.reason == Reason::Administrator) {
            // An administrator has asked in the meantime.
            planned.at = now;
        } else if self.stale_until.is_some() {
            self.plan_election(turn, now, Reason::Reacquire, None);
        } else if self.following.is_some() || self.planned.is_some() || self.is_manual() {
            // Somebody holds it, or it is fought for already.
        } else if let Some(leader) = self.promise.to().filter(|leader| *leader != turn.me()) {
            // A promise from before the restart: noticed when it runs out, as any other.
            self.following = Some(leader);
        } else if self.is_lost() {
            self.plan_election(turn, now, Reason::TicketLost, None);
        }
    }

    /// What the store had to say.
    pub(crate) fn on_loaded<S: Sink>(&mut self, turn: &mut Turn<'_, S>, stored: Option<StoredTicket<'_>>) {
        let stored = stored.unwrap_or_default();
        if !self.is_manual() && !self.has_newest_memory(&stored) {
            return self.claim_memory(turn);
        }
        self.store.loaded = true;
        self.store.attempts = 0;
        self.store.revoke_since = None;
        let me = turn.id(turn.me());
        turn.event(self.index, Event::Loaded { granted: stored.granted });
        self.store.stored = if stored.granted { Stored::Granted } else { Stored::NotGranted };
        self.ever_held |= stored.owner.is_some_and(|owner| owner != 0) || stored.term.is_some_and(|term| term > 0);
        // "No one" is written after an administrator's revoke only: nothing to be fought for. Where we
        // remember a newer term, it was granted again since.
        let newest_known = stored.term.is_none_or(|term| term >= self.term);
        // The journal may know of a revoke that never reached this store, unless the store is the newer of the two: as
        // it is where we have held the ticket since. (Our own revoke it would know of first.)
        let ours = stored.owner == Some(me.0 as i32);
        let newer = stored.term.is_some_and(|term| term > self.term || (term == self.term && ours));
        let remembered = self.revoked && !newer;
        self.revoked = !stored.granted && (remembered || (stored.owner == Some(-1) && newest_known));
        if self.is_manual() {
            self.loaded(turn);
            if stored.granted {
                self.hold_manual(turn);
            }
            return;
        }
        self.term = self.term.max(stored.term.filter(|term| *term < ABSURD_TERM).unwrap_or(0));
        if stored.granted {
            let left = stored.expires.map_or(0, |expires| expires.0.saturating_sub(turn.now.wall.0) / 1000);
            let credible = self.may_have_left(turn, Millis(left));
            let left = Millis(left.min(self.settings.expire.0));
            let end = lease::give_up_at(&self.settings, turn.now.boot + left);
            if ours && credible && end > turn.now.boot {
                self.stale_until = Some(end);
                self.store.stuck_from = turn.now.boot + left;
            } else {
                turn.event(self.index, Event::StaleGrant);
                self.want_revoked(turn, None);
                self.plan_election(turn, turn.now.boot, Reason::TicketLost, Some(turn.me()));
            }
        } else if self.promise.owed_leader(turn.now.boot) == Some(turn.me()) {
            // S8: a grant of ours may still be on its way to the store. A revoke comes behind it, and
            // what we owe ourselves is held from its confirmation on (S3).
            self.store.stored = Stored::Unknown;
            self.store.stuck_from = self.promise.end();
            self.want_revoked(turn, None);
        } else if self.promise.to() == Some(turn.me()) {
            self.promise.give_back(&self.settings, turn.me(), turn.now.boot);
        } else if self.forgetful() && stored.term.is_some_and(|term| term > 0) && self.promise.can_learn(turn.now.boot)
        {
            // S3: it was held once, and who held it until when is forgotten: somebody may have a moment ago.
            self.promise = Promise::remembered(&self.settings, None, None, turn.now.boot);
        }
        self.loaded(turn);
    }

    /// Whether our memory was the last that this site used. The site may have served from another of its nodes
    /// since, whose votes and promises are in a journal there.
    fn has_newest_memory(&self, stored: &StoredTicket<'_>) -> bool {
        let mark = stored.attributes.iter().find(|(name, _)| *name == MEMORY).map(|(_, value)| *value);
        self.mark != 0 && mark.and_then(|mark| u32::from_str_radix(mark, 16).ok()) == Some(self.mark)
    }

    /// S7: what we remember may have been overtaken, so we have no memory. Nothing is answered before the
    /// store names our new one as the last that was used here: a third node must not take its own for that.
    fn claim_memory<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        if self.store.claimed {
            // It was written, and is not there: not again without a pause.
            self.store.claimed = false;
            return self.on_store_failed(turn, Job::Claim);
        }
        if self.mark == 0 || !self.forgetful() {
            self.mark = turn.sequence.mark();
        }
        if !self.forgetful() {
            let until = lease::memory_returns_at(&self.settings, turn.now.boot);
            self.forgetful_until = Some(until);
            turn.event(self.index, Event::WithoutMemory { until });
        }
        self.record(turn);
        let mut value = Value::new();
        // Eight digits find room.
        let _ = write!(value, "{:08x}", self.mark);
        let number = turn.sequence.request();
        self.store.start(number, Job::Claim);
        let action = StoreAction::SetAttribute { name: MEMORY, value: &value };
        turn.sink.store(self.index, StoreRequest { number, action, before: None });
    }

    /// Whether so much can be left of a lease of ours that the store recorded by the wall clock. Not where
    /// that clock was set back meanwhile, as far as it shows: the journal is younger, or more is left than
    /// any lease has (stores have whole seconds, and the reference rounds up). And not where we have promised
    /// ourselves to another since.
    fn may_have_left<S: Sink>(&self, turn: &Turn<'_, S>, left: Millis) -> bool {
        let left = left - WHOLE_SECOND;
        let set_back = self.remembered_stamp().is_some_and(|stamp| turn.now.wall < stamp);
        let owed_elsewhere = self.promise.owed_leader(turn.now.boot).is_some_and(|leader| leader != turn.me());
        !set_back && !owed_elsewhere && left <= self.settings.expire.max(self.promise.span())
    }

    /// The lease recorded in the store is about to end, and we have not been confirmed.
    pub(crate) fn revoke_stale_if_due<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        if self.stale_until.is_some_and(|until| turn.now.boot >= until) {
            self.drop_stale(turn);
            if self.planned.is_none() && self.ballot.is_none() {
                self.plan_election(turn, turn.now.boot, Reason::TicketLost, Some(turn.me()));
            }
        }
    }

    /// Revokes what the store says from before our start.
    pub(crate) fn drop_stale<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        if self.stale_until.take().is_some() {
            turn.event(self.index, Event::StaleGrant);
            self.want_revoked(turn, None);
        }
    }

    // ---- the store ---------------------------------------------------------------------------

    /// Starts what is to be done and can be.
    pub(crate) fn drive_store<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        let now = turn.now.boot;
        if !turn.is_site(turn.me()) {
            return;
        }
        if !self.store.loaded {
            if self.store.running.is_none() && self.store.retry_at.is_none_or(|at| now >= at) {
                let number = turn.sequence.request();
                self.store.start(number, Job::Load);
                turn.sink.store(self.index, StoreRequest { number, action: StoreAction::Load, before: None });
            }
            return;
        }
        if let Some(ticket) = self.store.startable(now) {
            let number = turn.sequence.request();
            self.store.start(number, Job::Write(ticket));
            // Only a lease lets an automatic ticket be granted (S10), and only while it runs (S8).
            let leased = ticket.granted && !self.is_manual();
            let before = leased.then_some(self.lease.unwrap_or(now));
            turn.sink.store(
                self.index,
                StoreRequest { number, action: StoreAction::Write(ticket.worded(turn.now)), before },
            );
        }
    }

    /// A store request has ended.
    pub(crate) fn on_store<S: Sink>(&mut self, turn: &mut Turn<'_, S>, number: RequestNumber, result: StoreResult<'_>) {
        if let Some(job) = self.attribute_job.take_if(|job| job.number == number) {
            let written = matches!(result, StoreResult::Written);
            turn.reply_plain(job.client, if written { Outcome::Success } else { Outcome::SyncFail });
        }
        let Some(job) = self.store.finish(number) else { return };
        match (job, result) {
            (Job::Load, StoreResult::Loaded(stored)) => self.on_loaded(turn, stored),
            (Job::Write(ticket), StoreResult::Written) => {
                let changed = self.store.written(ticket);
                if changed && !ticket.granted && self.role != Role::Leader {
                    self.promise.give_back(&self.settings, turn.me(), turn.now.boot);
                }
                if changed {
                    turn.event(self.index, if ticket.granted { Event::Granted } else { Event::Revoked });
                }
                if ticket.granted { self.on_granted(turn) } else { self.on_revoked(turn) }
            }
            (Job::Claim, StoreResult::Written) => self.store.claimed = true,
            (Job::Attribute, _) => {}
            (job, _) => self.on_store_failed(turn, job),
        }
        self.drive_store(turn);
    }

    fn on_granted<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        let revoke_wanted = self.store.wanted.is_some_and(|wanted| !wanted.granted);
        if self.is_manual() || (self.leads(turn.now.boot) && !revoke_wanted) {
            self.granted(turn);
        } else if !revoke_wanted {
            // S8: the lease is over, and nobody has asked for a revoke yet.
            turn.event(self.index, Event::GrantTooLate);
            self.want_revoked(turn, None);
        }
    }

    fn on_revoked<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        if self.is_manual() { self.manual_revoked(turn) } else { self.finish_leaving(turn) }
    }

    fn on_store_failed<S: Sink>(&mut self, turn: &mut Turn<'_, S>, job: Job) {
        let now = turn.now.boot;
        self.store.failed(now);
        let revoke = matches!(job, Job::Write(ticket) if !ticket.granted);
        turn.event(self.index, Event::StoreFailed { revoke, attempts: self.store.attempts });
        if let Some(since) = self.store.revoke_since.filter(|_| revoke && !self.leads(now) && !self.is_manual()) {
            turn.event(self.index, Event::RevokeOverdue { by: now.since(since) });
        }
        let grants_wait = match job {
            Job::Write(ticket) => ticket.granted,
            Job::Load | Job::Claim => true,
            Job::Attribute => false,
        };
        if grants_wait && self.store.attempts > u32::from(self.settings.retries) {
            // The lease is kept and the store is tried on; whoever waits at a terminal should know.
            self.answer_waiting(turn, |ask| matches!(ask, Ask::Grant { .. }), Outcome::SyncFail);
            if self.role == Role::Loading {
                // Nothing but that request can be planned yet.
                self.planned = None;
            }
        }
    }
}
