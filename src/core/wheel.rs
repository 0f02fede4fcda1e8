//! A hierarchical timing wheel (Varghese & Lauck, "Hashed and Hierarchical Timing Wheels", SOSP
//! 1987, scheme 7) on the caller's storage: exact to the millisecond, never early, without ticks.
//!
//! Eleven levels of 64 slots cover every 64-bit millisecond. A timer lies at the level of the
//! highest base-64 digit in which its deadline differs from the wheel's time, in the slot of that
//! digit. Where it lies is thus a function of its deadline and the wheel's time alone, which is the
//! invariant behind all the rest:
//! - a slot of level 0 holds one millisecond; the lowest slot in use of the lowest level in use holds
//!   the earliest timers, so a bit map a level finds them;
//! - timers of one deadline are always in one list, so they stay in the order in which they were armed;
//! - a slot is dealt out to lower levels when time reaches its start, at most ten times for a timer,
//!   however long time has jumped.
//!
//! Lists are doubly linked rings through the timers, by index.

use crate::time::Instant;
use core::cell::Cell;

/// Bits of a digit.
const DIGIT_BITS: u32 = 6;
/// Slots of a level.
const SLOTS: usize = 1 << DIGIT_BITS;
/// Digits of a 64-bit number.
const LEVELS: usize = 64_usize.div_ceil(DIGIT_BITS as usize);
/// No timer; no slot.
const NONE: u32 = u32::MAX;

/// One timer's place in the caller's storage.
#[derive(Clone, Copy, Debug)]
pub struct Timer {
    /// When it is due; means something while it is armed.
    deadline: u64,
    /// The neighbours in its ring; itself when alone.
    next: u32,
    previous: u32,
    /// The slot whose ring it is in, [`NONE`] when it is not armed.
    slot: u32,
}

/// Timers by their deadline. A timer is known by its place in the storage, its id.
#[derive(Debug)]
pub struct Wheel<'s> {
    timers: &'s mut [Timer],
    /// The wheel's time: no armed timer is due before it.
    time: u64,
    /// The first timer of each slot's ring, [`NONE`] for an empty one; level by level.
    heads: [u32; LEVELS * SLOTS],
    /// Which slots are in use, one bit each.
    used: [u64; LEVELS],
    /// Which levels are in use, one bit each.
    used_levels: u16,
    /// The earliest deadline, where it has been looked for since it last changed.
    earliest: Cell<Earliest>,
}

#[derive(Clone, Copy, Debug)]
enum Earliest {
    Known(Option<Instant>),
    Unknown,
}

impl Timer {
    /// A timer that is not armed.
    pub const UNARMED: Timer = Timer { deadline: 0, next: NONE, previous: NONE, slot: NONE };
}

impl Default for Timer {
    fn default() -> Timer {
        Timer::UNARMED
    }
}

impl<'s> Wheel<'s> {
    /// A wheel over `timers`, none of them armed, whose time is `now`.
    ///
    /// # Panics
    /// When there are 2^32 - 1 timers or more.
    pub fn new(timers: &'s mut [Timer], now: Instant) -> Wheel<'s> {
        assert!(timers.len() < NONE as usize, "ids are 32 bits");
        timers.fill(Timer::UNARMED);
        Wheel {
            timers,
            time: now.0,
            heads: [NONE; LEVELS * SLOTS],
            used: [0; LEVELS],
            used_levels: 0,
            earliest: Cell::new(Earliest::Known(None)),
        }
    }

    /// Arms the timer `id` for `at`; one that is armed already is moved. O(1).
    ///
    /// A deadline that the wheel's time (see [`Wheel::pop_due`]) has passed counts as that time.
    ///
    /// # Panics
    /// When there is no such timer.
    pub fn arm(&mut self, id: u32, at: Instant) {
        self.cancel(id);
        let deadline = at.0.max(self.time);
        self.timers[id as usize].deadline = deadline;
        self.link(id);
        if let Earliest::Known(earliest) = self.earliest.get() {
            let new = earliest.map_or(deadline, |earliest| earliest.0.min(deadline));
            self.earliest.set(Earliest::Known(Some(Instant(new))));
        }
    }

    /// Disarms the timer `id`, if it is armed. O(1).
    ///
    /// # Panics
    /// When there is no such timer.
    pub fn cancel(&mut self, id: u32) {
        let Timer { deadline, slot, .. } = self.timers[id as usize];
        if slot == NONE {
            return;
        }
        self.unlink(id);
        if matches!(self.earliest.get(), Earliest::Known(Some(earliest)) if earliest.0 == deadline) {
            self.earliest.set(Earliest::Unknown);
        }
    }

    /// Whether the timer `id` is armed.
    ///
    /// # Panics
    /// When there is no such timer.
    pub fn is_armed(&self, id: u32) -> bool {
        self.timers[id as usize].slot != NONE
    }

    /// The earliest deadline; `None` when no timer is armed.
    ///
    /// O(1) while it is known. Once its timer has fired or been cancelled it is looked for when next
    /// asked: O(1) among deadlines less than 64 ms away, else a walk over the timers of one slot.
    pub fn next_deadline(&self) -> Option<Instant> {
        if let Earliest::Known(earliest) = self.earliest.get() {
            return earliest;
        }
        let earliest = self.earliest_slot().map(|slot| Instant(self.earliest_in(slot)));
        self.earliest.set(Earliest::Known(earliest));
        earliest
    }

    /// Disarms and gives the timer with the earliest deadline, if that is `now` or before. Timers of
    /// one deadline come in the order in which they were armed.
    ///
    /// Moves the wheel's time: to the deadline of the timer given, or to `now` when none is left
    /// that is due. It never goes back.
    pub fn pop_due(&mut self, now: Instant) -> Option<u32> {
        while let Some(slot) = self.earliest_slot() {
            let first = self.heads[slot];
            let shift = level_of(slot) * DIGIT_BITS;
            let start = self.timers[first as usize].deadline >> shift << shift;
            if start > now.0 {
                break;
            }
            debug_assert!(self.time <= start, "a timer was passed over");
            self.time = start;
            if shift == 0 {
                self.cancel(first);
                return Some(first);
            }
            self.deal_out(slot);
        }
        // No slot in use starts by now, so nothing lies elsewhere than it should.
        self.time = self.time.max(now.0);
        None
    }

    /// The slot whose timers are the earliest: at every level the slots in use lie ahead of the
    /// wheel's time, and every deadline at a level lies before all those at higher ones.
    fn earliest_slot(&self) -> Option<usize> {
        let level = self.used_levels.trailing_zeros() as usize;
        self.used.get(level).map(|used| level * SLOTS + used.trailing_zeros() as usize)
    }

    fn earliest_in(&self, slot: usize) -> u64 {
        let first = self.heads[slot];
        let mut earliest = self.timers[first as usize].deadline;
        // All timers of a slot of level 0 have one deadline.
        if level_of(slot) > 0 {
            let mut id = self.timers[first as usize].next;
            while id != first {
                earliest = earliest.min(self.timers[id as usize].deadline);
                id = self.timers[id as usize].next;
            }
        }
        earliest
    }

    /// Moves the timers of a slot, whose start the wheel's time has reached, to lower levels.
    fn deal_out(&mut self, slot: usize) {
        while self.heads[slot] != NONE {
            let id = self.heads[slot];
            self.unlink(id);
            self.link(id);
            debug_assert!(level_of(self.timers[id as usize].slot as usize) < level_of(slot));
        }
    }

    /// Appends a timer to the ring of the slot where it belongs now.
    fn link(&mut self, id: u32) {
        let slot = self.slot_for(self.timers[id as usize].deadline);
        let head = self.heads[slot];
        let (next, previous) = if head == NONE { (id, id) } else { (head, self.timers[head as usize].previous) };
        let timer = &mut self.timers[id as usize];
        (timer.next, timer.previous, timer.slot) = (next, previous, slot as u32);
        if head == NONE {
            self.heads[slot] = id;
            self.used[slot / SLOTS] |= 1 << (slot % SLOTS);
            self.used_levels |= 1 << (slot / SLOTS);
        } else {
            self.timers[previous as usize].next = id;
            self.timers[head as usize].previous = id;
        }
    }

    /// Takes an armed timer out of its ring.
    fn unlink(&mut self, id: u32) {
        let Timer { next, previous, slot, .. } = self.timers[id as usize];
        let slot = slot as usize;
        self.timers[id as usize].slot = NONE;
        if next == id {
            self.heads[slot] = NONE;
            self.used[slot / SLOTS] &= !(1 << (slot % SLOTS));
            if self.used[slot / SLOTS] == 0 {
                self.used_levels &= !(1 << (slot / SLOTS));
            }
            return;
        }
        self.timers[previous as usize].next = next;
        self.timers[next as usize].previous = previous;
        if self.heads[slot] == id {
            self.heads[slot] = next;
        }
    }

    /// Where a deadline, not before the wheel's time, belongs.
    fn slot_for(&self, deadline: u64) -> usize {
        debug_assert!(deadline >= self.time);
        let level = (deadline ^ self.time).checked_ilog2().unwrap_or(0) / DIGIT_BITS;
        let digit = (deadline >> (level * DIGIT_BITS)) as usize % SLOTS;
        level as usize * SLOTS + digit
    }
}

/// The level of a slot.
fn level_of(slot: usize) -> u32 {
    (slot / SLOTS) as u32
}
