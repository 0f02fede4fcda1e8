//! A leader's site that has crashed as a whole: nothing runs there any more, so nobody waits for its lease to end.
//!
//! S13, and why S0 holds all the same. A node that sends from its crash kernel has stopped whatever ran on it, at
//! once and for good. Three things must come together before a follower counts its leader's lease as given up, with
//! all resources stopped:
//! - All nodes that `crash-release` names for the site are known to have been down at one instant
//!   ([`crate::kdump::Table::all_down_at`]), and with them the only copies of the cluster's ticket: Pacemaker keeps it
//!   in memory alone (the `status` of the CIB), and a cluster that starts afterwards has none.
//! - The leader itself has said, in the heartbeat that our promise answers, that its node is among those named: a
//!   daemon on a node that was forgotten in the configuration is not taken for dead.
//! - That heartbeat came before that instant. Who was heard since has started again, or never died.
//!
//! Everything else is as with a step-down: the promise ends here and in no other member, an election needs a
//! majority of members that have no promise left, and what the dead leader had sent before is overtaken. Who has not
//! heard the announcements, and every reference member, waits for the end of the lease.

use crate::member::MemberIndex;
use crate::notice::Event;
use crate::sink::Sink;
use crate::ticket::Ticket;
use crate::time::Instant;
use crate::turn::Turn;
use crate::wire::Reason;

impl Ticket {
    /// All that could hold the ticket at `site` was down at `at`.
    pub(crate) fn on_site_crashed<S: Sink>(&mut self, turn: &mut Turn<'_, S>, site: MemberIndex, at: Instant) {
        let now = turn.now.boot;
        let follows = self.following == Some(site) && self.promise.owed_leader(now) == Some(site);
        let spoke_since = self.promise.made().is_none_or(|made| made >= at);
        if self.is_manual() || !follows || !self.crash_release || spoke_since {
            return;
        }
        turn.event(self.index, Event::SiteCrashed { leader: site });
        if self.term_leader == Some(site) {
            self.released_term = Some(self.term);
        }
        self.promise.release(&self.settings, now, true);
        self.become_follower(turn, None);
        self.plan_election(turn, now, Reason::TicketLost, Some(site));
        self.plan_reminder(turn, now);
        self.conclude(turn);
    }
}
