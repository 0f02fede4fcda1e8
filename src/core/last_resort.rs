//! The last resort: what is done when the store cannot be made to revoke (`on-stuck-revoke`).
//!
//! S0 rests on the store: another site may be granted the ticket `acquire-after` after the end of our
//! lease, whatever the store here says. Invariants: the command runs only while no lease of ours runs
//! and a revoke is not confirmed; not before the end of the lease + [`lease::stuck_grace`]; not before
//! the store was given that grace by a daemon that was awake; and once, until the store has confirmed
//! a write.

use crate::lease;
use crate::notice::Event;
use crate::sink::{HandlerKind, HandlerRequest, Sink};
use crate::ticket::Ticket;
use crate::time::{Instant, Millis};
use crate::turn::Turn;

/// The command is killed after this: nothing runs for ever, but a fencing that takes minutes is not cut short.
const LIMIT: Millis = Millis(600_000);
/// A deadline that is found later than this was slept through (a stopped process, a suspended machine):
/// the store may have answered meanwhile, and is heard first.
const SLEPT: Millis = Millis(500);

impl Ticket {
    /// The process has started and remembers a lease of its own that no store has said to be over: until
    /// the store can be read, it may say granted for as long as that lease could have run (S7).
    pub(crate) fn suspect_store<S: Sink>(&mut self, turn: &Turn<'_, S>) {
        if self.promise.owed_leader(turn.now.boot) == Some(turn.me()) {
            self.store.revoke_since = Some(self.promise.end());
        }
    }

    /// When the command is to be run, if nothing happens before.
    pub(crate) fn last_resort_at(&self) -> Option<Instant> {
        if !self.settings.on_stuck_revoke || self.is_manual() || self.store.last_resort.is_some() {
            return None;
        }
        let since = self.store.revoke_since?;
        // While a lease runs `stuck_from` is its end, which each renewal moves.
        Some(since.max(self.store.stuck_from) + lease::stuck_grace(&self.settings))
    }

    /// Runs the command if the store has had its time.
    pub(crate) fn last_resort_if_due<S: Sink>(&mut self, turn: &mut Turn<'_, S>) {
        let now = turn.now.boot;
        let Some(at) = self.last_resort_at().filter(|at| now >= *at) else { return };
        if now.since(at) > SLEPT {
            self.store.stuck_from = now;
            return;
        }
        turn.event(self.index, Event::LastResort);
        self.store.last_resort = Some(now);
        // The number is nobody's: how the command ends changes nothing here.
        let number = turn.sequence.request();
        let ended = at - lease::stuck_grace(&self.settings);
        let (kind, expires) = (HandlerKind::StuckRevoke, turn.now.wall_at(ended));
        turn.sink.run_handler(self.index, HandlerRequest { kind, number, deadline: now + LIMIT, expires });
    }
}
