//! What the timing wheel costs with 10, 1,000 and 100,000 timers armed over ten minutes.
//!
//! `cargo bench --bench wheel`; figures are for one operation.

use booth_core::time::{Instant, Millis};
use booth_core::wheel::{Timer, Wheel};
use divan::Bencher;
use divan::counter::ItemsCount;

const SIZES: [usize; 3] = [10, 1_000, 100_000];
/// Deadlines lie within this many milliseconds: the default `expire`.
const SPAN: u64 = 600_000;
/// Operations per measured call, so that reading the clock does not count.
const BATCH: u64 = 1_000;

fn main() {
    divan::main();
}

/// Spans below [`SPAN`] and ids, the same in each run (a linear congruential generator; Knuth, MMIX).
struct Spans(u64);

impl Spans {
    fn next(&mut self) -> Millis {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Millis((self.0 >> 32) % SPAN)
    }

    fn id_below(&mut self, timers: usize) -> u32 {
        (self.next().0 % timers as u64) as u32
    }
}

fn armed(timers: &mut [Timer]) -> Wheel<'_> {
    let count = timers.len() as u32;
    let (mut wheel, mut spans) = (Wheel::new(timers, Instant(0)), Spans(1));
    for id in 0..count {
        wheel.arm(id, Instant(0) + spans.next());
    }
    wheel
}

/// A timer that is armed already is moved, as at each heartbeat.
#[divan::bench(args = SIZES)]
fn move_timer(bencher: Bencher<'_, '_>, timers: usize) {
    let mut storage = vec![Timer::UNARMED; timers];
    let (mut wheel, mut spans) = (armed(&mut storage), Spans(2));
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            wheel.arm(spans.id_below(timers), Instant(0) + spans.next());
        }
    });
}

/// A timer is cancelled and armed again.
#[divan::bench(args = SIZES)]
fn cancel_and_arm(bencher: Bencher<'_, '_>, timers: usize) {
    let mut storage = vec![Timer::UNARMED; timers];
    let (mut wheel, mut spans) = (armed(&mut storage), Spans(3));
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            let id = spans.id_below(timers);
            wheel.cancel(id);
            wheel.arm(id, Instant(0) + spans.next());
        }
    });
}

/// What a turn of the daemon does: asks for the next deadline, sleeps until then, fires, arms again.
#[divan::bench(args = SIZES)]
fn fire_and_arm(bencher: Bencher<'_, '_>, timers: usize) {
    let mut storage = vec![Timer::UNARMED; timers];
    let (mut wheel, mut spans) = (armed(&mut storage), Spans(4));
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            let now = wheel.next_deadline().unwrap_or_default();
            if let Some(id) = wheel.pop_due(now) {
                wheel.arm(id, now + Millis(1) + spans.next());
            }
        }
    });
}

/// The next deadline where it is known.
#[divan::bench(args = SIZES)]
fn next_deadline(bencher: Bencher<'_, '_>, timers: usize) {
    let mut storage = vec![Timer::UNARMED; timers];
    let wheel = armed(&mut storage);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        for _ in 0..BATCH {
            divan::black_box(divan::black_box(&wheel).next_deadline());
        }
    });
}
