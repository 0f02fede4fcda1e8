//! A one-shot timer on CLOCK_BOOTTIME, which keeps the deadlines of an event loop: the poll's own time-out
//! stands still while the machine is suspended, and a lease does not (timerfd_create(2)).

use booth_core::time::Instant;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

/// A one-shot timer on CLOCK_BOOTTIME.
#[derive(Debug)]
pub struct BootTimer {
    descriptor: TimerFd,
    armed: Option<Instant>,
}

impl BootTimer {
    /// A timer that is not armed.
    ///
    /// # Errors
    /// Where the system gives none.
    pub fn new() -> io::Result<BootTimer> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        Ok(BootTimer { descriptor: TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?, armed: None })
    }

    /// Fires at `deadline`, not a nanosecond before: an [`Instant`] is rounded down, so the clock then
    /// reads at least `deadline`. One in the past fires at once.
    ///
    /// # Errors
    /// As timerfd_settime(2), which has none that could happen.
    pub fn arm(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        if deadline == self.armed {
            return Ok(());
        }
        match deadline {
            // All zeros would switch it off.
            Some(at) => {
                let at = TimeSpec::from(Duration::from_millis(at.0.max(1)));
                self.descriptor.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
            None => self.descriptor.unset()?,
        }
        self.armed = deadline;
        Ok(())
    }

    /// It has fired: whatever comes next is to be armed anew, even the same instant.
    pub fn has_fired(&mut self) {
        self.armed = None;
    }
}

impl AsRawFd for BootTimer {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_fd().as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::clock;
    use booth_core::time::Millis;
    use mio::unix::SourceFd;
    use mio::{Events, Interest, Poll, Token};

    struct World {
        poll: Poll,
        events: Events,
        timer: BootTimer,
    }

    fn world() -> World {
        let (poll, timer) = (Poll::new().unwrap(), BootTimer::new().unwrap());
        let descriptor = timer.as_raw_fd();
        poll.registry().register(&mut SourceFd(&descriptor), Token(2), Interest::READABLE).unwrap();
        World { poll, events: Events::with_capacity(4), timer }
    }

    impl World {
        /// Sleeps until the timer fires; what the clock says then. `None`: it does not fire.
        fn sleep(&mut self, limit: Duration) -> Option<Instant> {
            self.poll.poll(&mut self.events, Some(limit)).unwrap();
            (!self.events.is_empty()).then(|| {
                self.timer.has_fired();
                clock::read().boot
            })
        }
    }

    #[test]
    fn the_timer_never_fires_early_and_an_instant_in_the_past_at_once() {
        let mut world = world();
        for span in [0, 1, 2, 7, 30] {
            let deadline = clock::read().boot + Millis(span);
            world.timer.arm(Some(deadline)).unwrap();
            let woken = world.sleep(Duration::from_secs(5)).unwrap();
            assert!(woken >= deadline, "{woken:?} is before {deadline:?}");
        }
        let past = Instant(1);
        for _ in 0..3 {
            world.timer.arm(Some(past)).unwrap();
            assert!(world.sleep(Duration::from_secs(5)).is_some(), "the same instant again");
        }
    }

    #[test]
    fn a_timer_that_is_not_armed_never_fires() {
        let mut world = world();
        assert_eq!(world.sleep(Duration::from_millis(20)), None);
        world.timer.arm(Some(clock::read().boot + Millis(10))).unwrap();
        world.timer.arm(None).unwrap();
        assert_eq!(world.sleep(Duration::from_millis(50)), None);
    }
}
