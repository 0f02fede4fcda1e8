//! The timing wheel against a naive scan: long random runs, edges of levels, far deadlines, jumps.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use booth_core::time::Instant;
use booth_core::wheel::{Timer, Wheel};

/// What the wheel should do, by looking at every timer each time.
struct Naive {
    /// Deadline and order of arming.
    armed: Vec<Option<(u64, u64)>>,
    time: u64,
    armings: u64,
}

impl Naive {
    fn new(timers: usize, now: u64) -> Naive {
        Naive { armed: vec![None; timers], time: now, armings: 0 }
    }

    fn arm(&mut self, id: u32, at: u64) {
        self.armings += 1;
        self.armed[id as usize] = Some((at.max(self.time), self.armings));
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.armed.iter().flatten().min().map(|(deadline, _)| Instant(*deadline))
    }

    fn pop_due(&mut self, now: u64) -> Option<u32> {
        let first = (0..self.armed.len()).filter(|id| self.armed[*id].is_some()).min_by_key(|id| self.armed[*id]);
        if let Some(id) = first
            && let Some((deadline, _)) = self.armed[id]
            && deadline <= now
        {
            self.time = deadline;
            self.armed[id] = None;
            return Some(id as u32);
        }
        self.time = self.time.max(now);
        None
    }
}

/// splitmix64 (Steele, Lea & Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A span with any number of bits below `bits`: as many short ones as long ones.
    fn span(&mut self, bits: u64) -> u64 {
        let width = self.below(bits + 1);
        if width == 0 { 0 } else { self.next() >> (64 - width) }
    }
}

/// Runs both on the same random operations and compares all that can be seen.
fn compare(seed: u64, timers: usize, span_bits: u64, jump_bits: u64, start: u64, operations: usize) {
    let mut random = Random(seed);
    let mut storage = vec![Timer::default(); timers];
    let mut wheel = Wheel::new(&mut storage, Instant(start));
    let mut naive = Naive::new(timers, start);
    let mut now = start;
    for operation in 0..operations {
        let place = format!("seed {seed}, operation {operation}");
        let id = random.below(timers as u64) as u32;
        match random.below(8) {
            0..4 => {
                // Now and then in the past, or at the same time as another.
                let at = (now.saturating_add(random.span(span_bits))).saturating_sub(random.below(3));
                wheel.arm(id, Instant(at));
                naive.arm(id, at);
            }
            4 => {
                wheel.cancel(id);
                naive.armed[id as usize] = None;
            }
            5 => {
                // Sleeps to the next deadline, as the event loop does.
                now = naive.next_deadline().map_or(now, |next| next.0.max(now));
            }
            _ => now = now.saturating_add(random.span(jump_bits)),
        }
        // Sometimes not asked, so that the kept deadline gets old.
        if random.below(3) != 0 {
            assert_eq!(wheel.next_deadline(), naive.next_deadline(), "{place}");
        }
        // Sometimes not emptied, so that timers are armed while others are due.
        for _ in 0..random.below(6) {
            assert_eq!(wheel.pop_due(Instant(now)), naive.pop_due(now), "{place}");
        }
        assert_eq!(wheel.is_armed(id), naive.armed[id as usize].is_some(), "{place}");
    }
    loop {
        let due = wheel.pop_due(Instant(u64::MAX));
        assert_eq!(due, naive.pop_due(u64::MAX), "seed {seed}, at the end");
        if due.is_none() {
            break;
        }
    }
    assert_eq!(wheel.next_deadline(), None);
}

#[test]
fn random_operations_agree_with_a_naive_scan() {
    for seed in 0..8 {
        compare(seed, 40, 12, 10, 0, 20_000);
        compare(seed + 100, 40, 24, 22, 1_000_000_007, 20_000);
        compare(seed + 200, 3, 7, 6, 4096 - 20, 20_000);
        compare(seed + 300, 200, 64, 55, seed, 5_000);
    }
    compare(1000, 40, 16, 12, u64::MAX - (1 << 22), 50_000);
}

#[test]
fn every_edge_of_every_level_is_exact() {
    for level in 0..11 {
        let edge = 1_u64 << (6 * level);
        for start in [0, 1, edge - 1, edge, edge + 1, 63 * edge.min(u64::MAX / 64), u64::MAX - edge] {
            for after in [0, 1, edge - 1, edge, edge + 1, edge.saturating_mul(63), edge.saturating_mul(64)] {
                let at = Instant(start.saturating_add(after));
                let mut storage = [Timer::default()];
                let mut wheel = Wheel::new(&mut storage, Instant(start));
                wheel.arm(0, at);
                assert_eq!(wheel.next_deadline(), Some(at), "from {start}");
                if after > 0 && at.0 > start {
                    assert_eq!(wheel.pop_due(Instant(start)), None, "from {start} to {at:?}");
                    assert_eq!(wheel.pop_due(Instant(at.0 - 1)), None, "one early: from {start} to {at:?}");
                    assert_eq!(wheel.next_deadline(), Some(at));
                }
                assert_eq!(wheel.pop_due(at), Some(0), "from {start} to {at:?}");
                assert!(!wheel.is_armed(0));
                assert_eq!(wheel.pop_due(at), None);
            }
        }
    }
}

#[test]
fn the_end_of_time_can_be_waited_for() {
    let mut storage = [Timer::UNARMED; 2];
    let mut wheel = Wheel::new(&mut storage, Instant(5));
    wheel.arm(0, Instant(u64::MAX));
    wheel.arm(1, Instant(u64::MAX - 1));
    assert_eq!(wheel.pop_due(Instant(u64::MAX - 2)), None);
    assert_eq!(wheel.next_deadline(), Some(Instant(u64::MAX - 1)));
    assert_eq!(wheel.pop_due(Instant(u64::MAX)), Some(1));
    assert_eq!(wheel.pop_due(Instant(u64::MAX)), Some(0));
}

#[test]
fn no_timers_at_all() {
    let mut wheel = Wheel::new(&mut [], Instant(0));
    assert_eq!(wheel.next_deadline(), None);
    assert_eq!(wheel.pop_due(Instant(u64::MAX)), None);
}

#[test]
fn all_timers_in_one_slot_come_in_the_order_of_arming() {
    let mut storage = vec![Timer::default(); 1000];
    let mut wheel = Wheel::new(&mut storage, Instant(0));
    let at = Instant(10_000_000);
    for id in (0..1000).rev() {
        wheel.arm(id, at);
    }
    wheel.arm(999, at);
    for id in (0..999).rev() {
        assert_eq!(wheel.pop_due(at), Some(id));
    }
    assert_eq!(wheel.pop_due(at), Some(999), "armed again, it is last");
}

/// Armed at different times, and so at different levels, timers of one deadline keep their order.
#[test]
fn ties_do_not_depend_on_when_they_were_armed() {
    let mut storage = [Timer::default(); 3];
    let mut wheel = Wheel::new(&mut storage, Instant(0));
    wheel.arm(2, Instant(300_000));
    assert_eq!(wheel.pop_due(Instant(299_000)), None);
    wheel.arm(1, Instant(300_000));
    assert_eq!(wheel.pop_due(Instant(299_999)), None);
    wheel.arm(0, Instant(300_000));
    let order: Vec<_> = std::iter::from_fn(|| wheel.pop_due(Instant(400_000))).collect();
    assert_eq!(order, [2, 1, 0]);
}

#[test]
fn what_is_armed_for_the_past_is_due_at_once() {
    let mut storage = [Timer::default(); 2];
    let mut wheel = Wheel::new(&mut storage, Instant(1000));
    wheel.arm(0, Instant(3));
    assert_eq!(wheel.next_deadline(), Some(Instant(1000)));
    assert_eq!(wheel.pop_due(Instant(1000)), Some(0));
    // A clock that went back neither fires nor loses anything.
    wheel.arm(1, Instant(1500));
    assert_eq!(wheel.pop_due(Instant(10)), None);
    assert_eq!(wheel.pop_due(Instant(1500)), Some(1));
}

#[test]
fn storage_that_was_used_before_starts_afresh() {
    let mut storage = [Timer::default(); 2];
    Wheel::new(&mut storage, Instant(0)).arm(1, Instant(5));
    let mut wheel = Wheel::new(&mut storage, Instant(0));
    assert!(!wheel.is_armed(1));
    assert_eq!(wheel.pop_due(Instant(10)), None);
}

#[test]
#[should_panic(expected = "index out of bounds")]
fn a_timer_that_does_not_exist_cannot_be_armed() {
    Wheel::new(&mut [Timer::default()], Instant(0)).arm(1, Instant(1));
}
