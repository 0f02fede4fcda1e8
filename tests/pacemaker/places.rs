//! How many labs there are at a time, whatever the number of threads: each takes memory, and processors at its start.

use std::sync::{Condvar, Mutex, PoisonError};

/// How many labs there may be at a time: each node takes some 150 MB, and time to start.
const LABS: usize = 7;
/// How many may start at a time: those that run have deadlines.
const STARTING: usize = 3;

/// So many places; who finds none waits.
pub struct Places(Mutex<usize>, Condvar);

impl Places {
    /// Waits for a place.
    fn enter(&'static self, limit: usize) -> Place {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.1.wait_while(taken, |taken| *taken >= limit).unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Place(self)
    }
}

/// One of them, until it is dropped.
pub struct Place(&'static Places);

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.1.notify_one();
    }
}

/// A place for a lab, until it is dropped.
pub fn running() -> Place {
    static PLACES: Places = Places(Mutex::new(0), Condvar::new());
    PLACES.enter(LABS)
}

/// A place for the start of a lab.
pub fn starting() -> Place {
    static PLACES: Places = Places(Mutex::new(0), Condvar::new());
    PLACES.enter(STARTING)
}
