//! Every rule about promises and lease ends, and nothing else: S2, S3, S4, S6, S7 as arithmetic.
//!
//! A *promise* is what a member owes the leader it follows: no vote for another before its end (S2),
//! and none for `acquire-after` longer (S3). A *lease* is what the leader has: it ends before the
//! promises that it rests on, by an allowance for clocks that run apart (S4). Invariants: a promise
//! is never shortened but by the leader's own word; a lease never outlasts what was written in the
//! heartbeat that a majority has acknowledged, counted from that heartbeat's first sending.
//!
//! After Gray and Cheriton, "Leases: an efficient fault-tolerant mechanism for distributed file cache
//! consistency" (1989): the holder counts from the sending, the granter from the receipt.

use crate::member::MemberIndex;
use crate::settings::{TicketSettings, ValidityUnit};
use crate::stamp::IMPRECISION;
use crate::time::{Instant, Millis};
use crate::view::Margins;

/// How far two clocks may run apart, as one part in this many of the time that they measure:
/// ±2 ‰ each (S4).
const DRIFT_PARTS: u64 = 250;
/// The boot clock is read in whole milliseconds, rounded down, at both ends.
const READING: Millis = Millis(2);
/// How many heartbeats to the reference can be told apart by their validity.
pub const TOLD_APART: usize = 16;
/// The reference rounds what it says down to a whole second.
const ROUNDING: Millis = Millis(1_000);
/// The longest time that a revoke in the store is given before the lease's end.
const LONGEST_REVOKE_MARGIN: Millis = Millis(5_000);

/// The shortest time that a store gets to confirm a revoke before the last resort.
const LEAST_STUCK_GRACE: Millis = Millis(1_000);

/// What is taken off a ticket's lease, and when its holder starts to give it up (S4).
pub fn margins(settings: &TicketSettings) -> Margins {
    let drift = Millis(settings.expire.0 / DRIFT_PARTS) + READING;
    Margins { drift, revoke: LONGEST_REVOKE_MARGIN.min(Millis(settings.expire.0 / 10)) }
}

/// The end of the lease that rests on a heartbeat first sent at `first_sent` with a full `expire`
/// as its validity, acknowledged by a majority (S4). When the acknowledgements came does not count.
pub fn lease_end(settings: &TicketSettings, first_sent: Instant) -> Instant {
    first_sent + (settings.expire - margins(settings).drift)
}

/// The validity in the heartbeat number `beat` of ours to the reference, which has no word for a number but
/// says in its acknowledgement how long it has promised itself: so many seconds more than a full `expire`
/// (S4) that the acknowledgement names its heartbeat (S5). One second more at least: so far before the
/// heartbeat may an acknowledgement of it seem to be made (see [`crate::stamp::Window::made_since`]). The
/// update that follows says `expire` again.
pub fn validity_to_reference(settings: &TicketSettings, beat: u8) -> Millis {
    settings.expire + Millis(IMPRECISION.0 * (1 + u64::from(beat)))
}

/// A number for the next heartbeat to the reference, below [`TOLD_APART`]: the least that was not sent for
/// `expire`, so that an acknowledgement that comes less late than that names no other; where there is none,
/// the one that was sent longest ago. `sent` tells for each when that was.
pub fn next_beat(settings: &TicketSettings, sent: &[Instant; TOLD_APART], now: Instant) -> u8 {
    let is_free = |sent: &Instant| now >= *sent + settings.expire;
    let free = sent.iter().position(is_free).or_else(|| (0..TOLD_APART).min_by_key(|at| sent[*at]));
    free.unwrap_or_default() as u8
}

/// Whether an acknowledgement of the reference that says `echoed` answers the heartbeat number `beat` (S5).
/// Seen at the reference: of 15 s it says 14 s, the time left a moment later, rounded down.
pub fn is_echo(settings: &TicketSettings, beat: u8, echoed: Millis, unit: ValidityUnit) -> bool {
    let said = validity(valid_for(validity_to_reference(settings, beat), unit), unit);
    match unit {
        ValidityUnit::Seconds => said == echoed + ROUNDING,
        ValidityUnit::Milliseconds => echoed <= said && said < echoed + ROUNDING,
    }
}

/// What an acknowledgement of ours says to the reference: as its own would (see [`is_echo`]).
pub fn echo(said: Millis) -> Millis {
    said - READING
}

/// When a holder whose lease ends at `lease_end` tells its store to revoke (S4).
pub fn give_up_at(settings: &TicketSettings, lease_end: Instant) -> Instant {
    lease_end - margins(settings).revoke
}

/// How long after a round of heartbeats a holder begins the next: `renewal-freq`, but no later than leaves
/// time for the round and one repetition of it before the lease is given up. The configuration has `timeout`
/// * 4 below `renewal-freq` and that below `expire`, so more than a third of `expire` is left.
pub fn renewal(settings: &TicketSettings) -> Millis {
    let given_up_after = settings.expire - margins(settings).drift - margins(settings).revoke;
    settings.renewal.min(given_up_after - settings.timeout - settings.timeout).max(Millis(1))
}

/// How long after the end of its lease a holder waits for its store to confirm the revoke before it
/// turns to the last resort (`on-stuck-revoke`): as long again as the store was given before that end,
/// but time enough for one call of `crm_ticket`. Others may hold the ticket `acquire-after` after the
/// end, so it is no longer than need be.
pub fn stuck_grace(settings: &TicketSettings) -> Millis {
    margins(settings).revoke.max(LEAST_STUCK_GRACE)
}

/// `acquire-after` by a clock that may be fast, so that no less has really passed (S3).
pub fn hold(settings: &TicketSettings) -> Millis {
    match settings.acquire_after {
        Millis(0) => Millis(0),
        after => after + Millis(after.0 / (2 * DRIFT_PARTS)) + READING,
    }
}

/// Until when a member without memory votes in administrators' elections only (S7): no promise that
/// it may have forgotten can last longer.
pub fn memory_returns_at(settings: &TicketSettings, start: Instant) -> Instant {
    start + settings.expire + margins(settings).drift + hold(settings)
}

/// On what an election was won; decides how long the grant is held back (S6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mandate {
    /// A majority of the votes came from members that keep S3 and remember.
    pub safe_majority: bool,
    /// Every site has voted for us.
    pub all_sites: bool,
    /// An administrator has asked for it.
    pub administrator: bool,
    /// ... and has said not to wait (`-F`).
    pub immediate: bool,
    /// The store here says "granted" from a lease that has not ended: nothing new is granted.
    pub held: bool,
}

/// When a leader elected at `elected` may write its grant to the store (S6).
pub fn commit_at(settings: &TicketSettings, elected: Instant, mandate: Mandate) -> Instant {
    let by_consent = mandate.administrator && (mandate.all_sites || mandate.immediate);
    if mandate.safe_majority || mandate.held || by_consent {
        elected
    } else if mandate.administrator {
        elected + settings.expire + margins(settings).drift + hold(settings)
    } else {
        elected + hold(settings)
    }
}

/// The validity in a message as a span.
pub fn validity(valid_for: u32, unit: ValidityUnit) -> Millis {
    match unit {
        ValidityUnit::Seconds => Millis(u64::from(valid_for) * 1000),
        ValidityUnit::Milliseconds => Millis(u64::from(valid_for)),
    }
}

/// A span as the validity in a message, rounded down.
pub fn valid_for(span: Millis, unit: ValidityUnit) -> u32 {
    let count = match unit {
        ValidityUnit::Seconds => span.0 / 1000,
        ValidityUnit::Milliseconds => span.0,
    };
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The longest validity that is believed: a member whose `expire` is more than twice ours is misconfigured.
/// One that takes us for the reference says more than `expire` ([`validity_to_reference`]), and what is left of
/// the promise that is made of it is more again ([`Promise::make`]).
pub fn longest_validity(settings: &TicketSettings) -> Millis {
    let to_reference = validity_to_reference(settings, TOLD_APART as u8 - 1) + margins(settings).drift + READING;
    to_reference.max(settings.expire + settings.expire)
}

/// What this member owes to a leader, or as the leader to itself. Owed to nobody whom the configuration
/// still knows, it holds all the same: its leader may be at work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Promise {
    to: Option<MemberIndex>,
    end: Instant,
    hold: Instant,
    /// Until when `acquire-after` of the holder before that one runs, as far as its own hold has not passed:
    /// nobody at all is helped.
    earlier: Instant,
    /// When we made it last; `None`: before our start.
    made: Option<Instant>,
    /// The longest span that it was made for; what is remembered of it over a restart.
    span: Millis,
    /// Not made by us but heard of: a reason to wait, nothing that binds, and never passed on. (Two
    /// who pass on what they have from each other believe in a dead leader for ever.)
    hearsay: bool,
}

impl Promise {
    /// What is assumed after a restart of a promise found in the journal (S7): it was made at the
    /// latest just before the start, for `span` or for today's `expire`, whichever is longer: the
    /// configuration may have changed meanwhile, here or at the leader. `None`: one that had ended by
    /// the leader's word; it still holds for `acquire-after`. `to` is `None` where the leader is no
    /// longer configured.
    pub fn remembered(
        settings: &TicketSettings,
        to: Option<MemberIndex>,
        span: Option<Millis>,
        start: Instant,
    ) -> Promise {
        let end = span.map_or(start, |span| start + span.max(settings.expire) + margins(settings).drift);
        let span = span.unwrap_or_default();
        Promise { to, end, hold: end + hold(settings), earlier: Instant(0), made: None, span, hearsay: false }
    }

    /// Adds to one found in the journal that `acquire-after` of an earlier holder ran as well (S3), for as long as
    /// any may: that holder's own promise may have run as long as this one, where it had left the configuration.
    pub fn remember_earlier(&mut self, settings: &TicketSettings, start: Instant) {
        self.earlier = self.hold.max(memory_returns_at(settings, start));
    }

    /// Makes or lengthens the promise to `leader`: until now + the larger of `validity` and
    /// `expire` (S2). `slack` is for a leader that counts from the arrival of the answer.
    pub fn make(
        &mut self,
        settings: &TicketSettings,
        leader: MemberIndex,
        now: Instant,
        validity: Millis,
        slack: Millis,
    ) {
        let span = validity.max(settings.expire) + slack;
        self.extend(settings, leader, now + READING + span, span);
        self.made = Some(now);
    }

    /// Notes that `leader` is said to hold the ticket for `validity`, by one who has promised it.
    /// What we have promised ourselves, or hold still, is worth more.
    pub fn learn(&mut self, settings: &TicketSettings, leader: MemberIndex, now: Instant, validity: Millis) {
        if self.can_learn(now) {
            let end = now + READING + validity;
            let hold = end + hold(settings);
            let (to, earlier, span) = (Some(leader), Instant(0), Millis(0));
            *self = Promise { to, end, hold, earlier, made: Some(now), span, hearsay: true };
        }
    }

    /// Whether there is no promise, nor a hold behind one, that is worth more than hearsay.
    pub fn can_learn(&self, now: Instant) -> bool {
        self.owed_to().is_none() && !self.runs(now) && !self.owes_a_stranger(now)
    }

    /// The leader's promise to itself: until its lease's end.
    pub fn lead(&mut self, settings: &TicketSettings, me: MemberIndex, lease_end: Instant) {
        self.extend(settings, me, lease_end, settings.expire);
        self.made = Some(lease_end - settings.expire);
    }

    fn extend(&mut self, settings: &TicketSettings, leader: MemberIndex, end: Instant, span: Millis) {
        let same = self.owed_to() == Some(leader);
        let (end, span) = if same { (end.max(self.end), span.max(self.span)) } else { (end, span) };
        let earlier = match same || self.hearsay {
            true => self.earlier,
            false => self.hold.max(self.earlier),
        };
        let (to, hold, made) = (Some(leader), end + hold(settings), self.made);
        *self = Promise { to, end, hold, earlier, made, span, hearsay: false };
    }

    /// The leader vouches for it that no other lease can run, nor `acquire-after` behind one.
    pub fn settle(&mut self) {
        self.earlier = Instant(0);
    }

    /// The leader has said that it no longer holds the ticket (S3): nobody else is helped for
    /// `acquire-after`, unless its resources are stopped.
    pub fn release(&mut self, settings: &TicketSettings, now: Instant, stopped: bool) {
        self.end = self.end.min(now);
        let hold = if stopped { now } else { now + hold(settings) };
        self.hold = self.hold.min(hold).max(self.end);
    }

    /// The store here says since `now` that the ticket is not granted here: what we owed ourselves
    /// is over, and nobody else is helped for `acquire-after` (S3). What we owe others stays.
    pub fn give_back(&mut self, settings: &TicketSettings, me: MemberIndex, now: Instant) {
        if self.owed_to().is_none_or(|to| to == me) {
            let held = if self.owes_a_stranger(now) { self.hold } else { now };
            let (end, hold) = (self.end.min(now), held.max(now + hold(settings)));
            *self = Promise { to: Some(me), end, hold, span: Millis(0), hearsay: false, ..*self };
        }
    }

    /// Forgets a promise that has run out, hold and all.
    pub fn forget_if_over(&mut self, now: Instant) {
        if now >= self.over_at() {
            *self = Promise::default();
        }
    }

    /// Whether it holds for a leader that is no longer configured.
    pub fn owes_a_stranger(&self, now: Instant) -> bool {
        self.to.is_none() && now < self.over_at()
    }

    /// Whether `acquire-after` of a holder before that leader runs as well.
    pub fn holds_for_earlier(&self, now: Instant) -> bool {
        now < self.earlier
    }

    /// When it was made last, if that was since our start.
    pub fn made(&self) -> Option<Instant> {
        self.made
    }

    /// To whom, whether or not it still runs.
    pub fn to(&self) -> Option<MemberIndex> {
        self.to
    }

    /// To whom, where we have made it ourselves: it binds us.
    pub fn owed_to(&self) -> Option<MemberIndex> {
        self.to.filter(|_| !self.hearsay)
    }

    /// The leader whose lease we have promised to respect now.
    pub fn owed_leader(&self, now: Instant) -> Option<MemberIndex> {
        self.leader(now).filter(|_| !self.hearsay)
    }

    /// Whether our promise lets us vote for `candidate` now (S2, S3).
    pub fn allows_vote(&self, candidate: MemberIndex, now: Instant) -> bool {
        self.hearsay || self.allows(candidate, now)
    }

    /// The longest span that it was made for, as the journal keeps it.
    pub fn span(&self) -> Millis {
        self.span
    }

    /// Its end.
    pub fn end(&self) -> Instant {
        self.end
    }

    /// From when anybody may be helped.
    pub fn over_at(&self) -> Instant {
        self.hold.max(self.earlier)
    }

    /// From when `candidate` may be helped (S3).
    pub fn free_at(&self, candidate: MemberIndex) -> Instant {
        if self.to == Some(candidate) { self.earlier } else { self.over_at() }
    }

    /// From when another may be helped: the end + `acquire-after` (S3).
    pub fn hold(&self) -> Instant {
        self.hold
    }

    /// Whether it runs.
    pub fn runs(&self, now: Instant) -> bool {
        self.to.is_some() && now < self.end
    }

    /// The leader whose lease it respects now.
    pub fn leader(&self, now: Instant) -> Option<MemberIndex> {
        if self.runs(now) { self.to } else { None }
    }

    /// Whether `candidate` may have the ticket now as far as we know, made promises and hearsay alike.
    pub fn allows(&self, candidate: MemberIndex, now: Instant) -> bool {
        now >= self.free_at(candidate)
    }

    /// What is left of it.
    pub fn left(&self, now: Instant) -> Millis {
        self.end.since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::ticket;

    const D: u64 = 10_000;
    const A: u64 = 3_000;

    #[test]
    fn a_lease_ends_before_the_promises_that_it_rests_on_s4() {
        let settings = ticket("T", D, A);
        let mut promise = Promise::default();
        promise.make(&settings, MemberIndex(0), Instant(1_000), Millis(D), Millis(0));
        let lease = lease_end(&settings, Instant(1_000));
        let slowest = D * 1_000 / 1_002;
        assert!(lease.0 < 1_000 + slowest, "{lease:?}");
        assert!(promise.end() >= Instant(1_000 + D));
        assert!(give_up_at(&settings, lease) < lease);
    }

    #[test]
    fn a_promise_lasts_as_long_as_the_longer_of_validity_and_expire_s2() {
        let settings = ticket("T", D, A);
        let mut promise = Promise::default();
        promise.make(&settings, MemberIndex(0), Instant(0), Millis(4_000), Millis(0));
        assert_eq!(promise.end(), Instant(D + 2));
        promise.make(&settings, MemberIndex(0), Instant(0), Millis(2 * D), Millis(0));
        assert_eq!(promise.end(), Instant(2 * D + 2));
        promise.make(&settings, MemberIndex(0), Instant(1), Millis(0), Millis(0));
        assert_eq!(promise.end(), Instant(2 * D + 2), "never shortened");
    }

    #[test]
    fn nobody_else_is_helped_for_acquire_after_s3() {
        let settings = ticket("T", D, A);
        let mut promise = Promise::default();
        promise.make(&settings, MemberIndex(0), Instant(0), Millis(D), Millis(0));
        let over = Instant(D + 2) + hold(&settings);
        assert!(hold(&settings).0 * 1_000 / 1_002 >= A, "whichever clock it is measured by");
        assert!(!promise.allows(MemberIndex(1), over - Millis(1)));
        assert!(promise.allows(MemberIndex(1), over));
        assert!(promise.allows(MemberIndex(0), Instant(0)));

        promise.release(&settings, Instant(5_000), false);
        assert!(!promise.runs(Instant(5_000)));
        assert!(!promise.allows(MemberIndex(1), Instant(5_000 + A - 1)));
        assert!(promise.allows(MemberIndex(1), Instant(5_000) + hold(&settings)));
    }

    /// Four numbers in turn came round within seconds where nobody answered, and an acknowledgement of a heartbeat four
    /// rounds before counted for the newest.
    #[test]
    fn no_two_heartbeats_of_an_expire_ask_the_reference_for_the_same_time_s5() {
        let settings = ticket("T", D, A);
        let mut sent = [Instant(0); TOLD_APART];
        let mut next = |at: u64| {
            let beat = next_beat(&settings, &sent, Instant(at));
            sent[usize::from(beat)] = Instant(at);
            beat
        };
        let start = 10 * D;
        for round in 0..TOLD_APART as u64 {
            assert_eq!(u64::from(next(start + round)), round, "none again within an expire");
        }
        assert_eq!(next(start + 100), 0, "there is no other: the one that was sent longest ago");
        assert_eq!(next(start + D + 1), 1, "free again");
        assert_eq!(validity_to_reference(&settings, 1), Millis(D + 2_000));
        assert!(is_echo(&settings, 1, Millis(D + 1_000), ValidityUnit::Seconds));
        assert!(!is_echo(&settings, 1, Millis(D), ValidityUnit::Seconds));
        assert!(is_echo(&settings, 1, echo(Millis(D + 2_000)), ValidityUnit::Milliseconds));
    }

    #[test]
    fn acquire_after_outlasts_a_leader_in_between_who_does_not_vouch_for_it_s3() {
        let settings = ticket("T", D, A);
        let (first, second) = (MemberIndex(0), MemberIndex(1));
        let mut promise = Promise::default();
        promise.make(&settings, first, Instant(0), Millis(D), Millis(0));
        let (ended, over) = (promise.end(), promise.hold());
        promise.make(&settings, second, ended, Millis(D), Millis(0));
        promise.release(&settings, ended, true);
        assert!(!promise.allows(second, over - Millis(1)) && !promise.allows(first, over - Millis(1)));
        assert!(promise.allows(second, over) && promise.allows(first, over));
        promise.make(&settings, second, ended, Millis(D), Millis(0));
        promise.settle();
        assert!(promise.allows(second, ended), "the leader vouches for it");
    }

    #[test]
    fn what_was_owed_to_oneself_is_held_from_the_stores_word_on_s3() {
        let settings = ticket("T", D, A);
        let (me, other) = (MemberIndex(0), MemberIndex(1));
        let mut promise = Promise::default();
        promise.give_back(&settings, me, Instant(500));
        assert!(!promise.runs(Instant(500)) && !promise.allows(other, Instant(500 + A)));
        assert!(promise.allows(other, Instant(500) + hold(&settings)));
        promise.make(&settings, other, Instant(500), Millis(D), Millis(0));
        let owed = promise;
        promise.give_back(&settings, me, Instant(600));
        assert_eq!(promise, owed, "another's promise is not ours to shorten");
    }

    #[test]
    fn a_holder_whose_resources_are_stopped_frees_its_followers_at_once_s3() {
        let settings = ticket("T", D, A);
        let mut promise = Promise::default();
        promise.make(&settings, MemberIndex(0), Instant(0), Millis(D), Millis(0));
        promise.release(&settings, Instant(5_000), true);
        assert!(promise.allows(MemberIndex(1), Instant(5_000)));
    }

    #[test]
    fn hearsay_binds_nobody_and_does_not_touch_a_promise() {
        let settings = ticket("T", D, A);
        let (leader, other) = (MemberIndex(0), MemberIndex(1));
        let mut promise = Promise::default();
        promise.learn(&settings, leader, Instant(0), Millis(D));
        assert_eq!((promise.leader(Instant(1)), promise.owed_leader(Instant(1))), (Some(leader), None));
        assert!(!promise.allows(other, Instant(1)) && promise.allows_vote(other, Instant(1)));
        promise.make(&settings, leader, Instant(0), Millis(D), Millis(0));
        assert_eq!(promise.owed_leader(Instant(1)), Some(leader));
        let owed = promise;
        promise.learn(&settings, leader, Instant(D + 100), Millis(D));
        assert_eq!(promise, owed, "in the hold behind it");
    }

    #[test]
    fn a_release_repeated_does_not_lengthen_the_hold() {
        let settings = ticket("T", D, A);
        let mut promise = Promise::default();
        promise.make(&settings, MemberIndex(0), Instant(0), Millis(D), Millis(0));
        promise.release(&settings, Instant(1_000), false);
        promise.release(&settings, Instant(3_000), false);
        assert_eq!(promise.hold(), Instant(1_000) + hold(&settings));
    }

    #[test]
    fn the_grant_waits_unless_the_voters_vouch_for_it_s6() {
        let settings = ticket("T", D, A);
        let none =
            Mandate { safe_majority: false, all_sites: false, administrator: false, immediate: false, held: false };
        let at = |mandate| commit_at(&settings, Instant(100), mandate).0 - 100;
        assert_eq!(at(Mandate { safe_majority: true, ..none }), 0);
        assert_eq!(at(none), hold(&settings).0);
        assert_eq!(at(Mandate { all_sites: true, ..none }), hold(&settings).0);
        assert_eq!(at(Mandate { administrator: true, all_sites: true, ..none }), 0);
        assert_eq!(at(Mandate { administrator: true, immediate: true, ..none }), 0);
        assert!(at(Mandate { administrator: true, ..none }) >= D + A);
    }

    #[test]
    fn a_remembered_promise_is_taken_for_a_fresh_one_s7() {
        let settings = ticket("T", D, A);
        let promise = Promise::remembered(&settings, Some(MemberIndex(2)), Some(Millis(D)), Instant(500));
        assert!(promise.runs(Instant(500 + D)));
        let longer = Promise::remembered(&settings, Some(MemberIndex(2)), Some(Millis(2 * D)), Instant(500));
        assert!(longer.runs(Instant(500 + 2 * D)), "made when `expire` was longer");
        let shorter = Promise::remembered(&settings, Some(MemberIndex(2)), Some(Millis(0)), Instant(500));
        assert_eq!(shorter.end(), promise.end());
        let released = Promise::remembered(&settings, Some(MemberIndex(2)), None, Instant(500));
        assert!(!released.runs(Instant(500)));
        assert!(!released.allows(MemberIndex(1), Instant(500 + A - 1)));
        assert!(memory_returns_at(&settings, Instant(0)) >= Instant(D + A));
    }

    #[test]
    fn an_earlier_hold_found_in_the_journal_binds_whoever_asks_s3() {
        let settings = ticket("T", D, A);
        let (leader, other, start) = (MemberIndex(2), MemberIndex(1), Instant(500));
        for (to, span) in [(Some(leader), Some(Millis(2 * D))), (Some(leader), None), (None, None)] {
            let mut promise = Promise::remembered(&settings, to, span, start);
            assert!(!promise.holds_for_earlier(start));
            promise.remember_earlier(&settings, start);
            let over = promise.over_at();
            assert!(over >= memory_returns_at(&settings, start) && over >= promise.hold());
            for candidate in [leader, other] {
                assert!(!promise.allows(candidate, over - Millis(1)) && promise.allows(candidate, over));
            }
            assert!(promise.holds_for_earlier(over - Millis(1)) && !promise.can_learn(over - Millis(1)));
            assert_eq!(promise.owes_a_stranger(over - Millis(1)), to.is_none(), "for as long as it holds");
        }
    }

    #[test]
    fn validities_are_rounded_down_and_do_not_overflow() {
        assert_eq!(valid_for(Millis(9_999), ValidityUnit::Seconds), 9);
        assert_eq!(valid_for(Millis(9_999), ValidityUnit::Milliseconds), 9_999);
        assert_eq!(valid_for(Millis(u64::MAX), ValidityUnit::Milliseconds), u32::MAX);
        assert_eq!(validity(u32::MAX, ValidityUnit::Seconds), Millis(4_294_967_295_000));
    }
}
