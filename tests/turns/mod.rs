//! The event loop as small as it can be, for tests of what it drives. A test that hangs fails.
#![allow(dead_code)]

use booth_core::time::Instant;
use mio::{Events, Poll, Registry, Token};
use std::time::{Duration, Instant as Clock};

/// No test takes longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// No turn takes longer, in milliseconds: a test may wait for something that is no event.
const LONGEST_TURN: u64 = 100;

/// A poll, and the time since its beginning.
pub struct Turns {
    poll: Poll,
    start: Clock,
}

impl Turns {
    pub fn new() -> Turns {
        Turns { poll: Poll::new().unwrap(), start: Clock::now() }
    }

    pub fn registry(&self) -> Registry {
        self.poll.registry().try_clone().unwrap()
    }

    pub fn now(&self) -> Instant {
        Instant(self.start.elapsed().as_millis() as u64)
    }

    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Sleeps until an event or the deadline and hands over the events, each of which must be known.
    /// Tells what the time is then.
    #[track_caller]
    pub fn turn(&mut self, deadline: Option<Instant>, mut on_event: impl FnMut(Instant, Token) -> bool) -> Instant {
        assert!(self.start.elapsed() < PATIENCE, "nothing happens");
        let mut events = Events::with_capacity(8);
        let wait = deadline.map_or(LONGEST_TURN, |at| at.since(self.now()).0 + 1).min(LONGEST_TURN);
        match self.poll.poll(&mut events, Some(Duration::from_millis(wait))) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            polled => polled.unwrap(),
        }
        let now = self.now();
        for event in &events {
            assert!(on_event(now, event.token()), "{:?} is nobody's", event.token());
        }
        now
    }
}
