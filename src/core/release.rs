//! Giving the ticket away: by an administrator's revoke, or because this site cannot hold it any longer.
//!
//! S8, S9: nobody hears of the release before the store has confirmed the revoke and, where the ticket has a
//! `release-handler`, before that has said that its resources are stopped; at the latest at the lease's own
//! end. The lease is renewed until the store has confirmed, and for a whole `expire` once more when the
//! handler is started, so that nobody else can take what may still run here; then never again, so that a
//! handler which hangs does not hold the ticket for ever.

use crate::lease;
use crate::notice::Event;
use crate::sink::{HandlerKind, HandlerRequest, Sink};
use crate::ticket::{Ask, Leaving, Purpose, RoundKind, Ticket};
use crate::turn::Turn;
use crate::wire::{Outcome, Reason};

impl Ticket {
    /// Gives the ticket away: the store first, then the resources, then the others (S9).
    pub(crate) fn leave<S: Sink>(&mut self, turn: &mut Turn<'_, S>, leaving: Leaving) {
        self.leaving = Some(leaving);
        if !self.releasing {
            self.commit_due = false;
            self.handler = None;
            self.renewal_at.get_or_insert(turn.now.boot + lease::renewal(&self.settings));
            self.want_revoked(turn, None);
        }
        self.finish_leaving(turn);
    }

    /// Where the store says that nothing is granted here, has the resources stopped or tells the others (S9).
    pub(crate) fn finish_leaving<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        if self.store.may_be_granted() {
            return;
        }
        let Some(leaving) = self.leaving else {
            return self.answer_waiting(turn, |ask| matches!(ask, Ask::Revoke { .. }), Outcome::Success);
        };
        if !self.settings.release_handler || !self.leads(turn.now.boot) {
            return self.release(turn, leaving);
        }
        self.answer_waiting(turn, |ask| ask == Ask::Revoke { until_released: false }, Outcome::Success);
        if !self.releasing {
            self.run_release_handler(turn);
        }
    }

    fn run_release_handler<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        self.releasing = true;
        let (now, number) = (turn.now.boot, turn.sequence.request());
        self.handler = Some((number, Purpose::Release));
        let end = lease::lease_end(&self.settings, now);
        let (kind, expires) = (HandlerKind::Release, turn.now.wall_at(end));
        turn.event(self.index, Event::Releasing { until: end });
        turn.sink.run_handler(self.index, HandlerRequest { kind, number, deadline: end, expires });
        self.heartbeat(turn);
    }

    /// The release-handler has ended: what it says of the resources goes with the release, and frees the others from
    /// `acquire-after` (S3).
    pub(crate) fn on_release_handler<S: Sink>(&mut self, turn: &mut Turn<'_, S>, stopped: bool) {
        let Some(leaving) = self.leaving else { return };
        if stopped {
            self.stopped = true;
            self.release(turn, leaving);
        } else {
            // Something may still run here: nobody is told before the lease is over.
            turn.event(self.index, Event::ReleaseFailed { until: self.lease });
        }
    }

    /// The lease is over, and nobody has said that the resources are stopped.
    pub(crate) fn release_at_last<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        if self.handler.is_some() {
            turn.event(self.index, Event::ReleaseFailed { until: None });
        }
        if let Some(leaving) = self.leaving {
            self.release(turn, leaving);
        }
    }

    /// Tells the others.
    fn release<S: Sink>(&mut self, turn: &mut Turn<'_, S>, leaving: Leaving) {
        let (now, term) = (turn.now.boot, self.term);
        self.promise.release(&self.settings, now, self.stopped);
        self.answer_waiting(turn, |ask| matches!(ask, Ask::Revoke { .. }), Outcome::Success);
        self.answer_waiting(turn, |ask| matches!(ask, Ask::Grant { .. }), Outcome::SyncFail);
        self.become_follower(turn, None);
        match leaving {
            Leaving::Revoke => {
                self.revoked = true;
                self.start_round(turn, RoundKind::Revoke, Reason::Administrator, term);
            }
            Leaving::StepDown(reason) => {
                self.start_round(turn, RoundKind::StepDown, reason, term);
                let later = self.promise.hold() + self.settings.renewal;
                self.plan_election(turn, later, Reason::Again, Some(turn.me()));
            }
        }
    }
}
