//! What will happen, in the order of its time; what is due at one moment, in the order in which it was put in.

use super::stores::{Asked, Told};
use booth_core::input::RequestNumber;
use booth_core::settings::TicketIndex;
use booth_core::sink::HandlerKind;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Something that the network, a store or a handler will deliver.
pub enum Pending {
    Datagram {
        from: usize,
        to: usize,
        bytes: Vec<u8>,
    },
    /// The store does what it was asked for.
    Stored(Asked),
    /// The daemon hears of it.
    StoreTold {
        host: usize,
        life: u32,
        ticket: TicketIndex,
        number: RequestNumber,
        told: Told,
    },
    /// The crash kernel of a node is to send its next message, if this dump still goes on.
    Announce {
        site: usize,
        node: usize,
        dump: u64,
    },
    /// Such a message arrives.
    Announcement {
        to: usize,
        bytes: Vec<u8>,
    },
    Handler {
        kind: HandlerKind,
        host: usize,
        life: u32,
        ticket: TicketIndex,
        number: RequestNumber,
        success: bool,
    },
}

struct Entry {
    at_ms: u64,
    serial: u64,
    pending: Pending,
}

impl Ord for Entry {
    /// The earliest is the greatest, since a heap gives out the greatest.
    fn cmp(&self, other: &Entry) -> Ordering {
        (other.at_ms, other.serial).cmp(&(self.at_ms, self.serial))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

#[derive(Default)]
pub struct Queue {
    entries: BinaryHeap<Entry>,
    serial: u64,
}

impl Queue {
    pub fn push(&mut self, at_ms: u64, pending: Pending) {
        self.serial += 1;
        self.entries.push(Entry { at_ms, serial: self.serial, pending });
    }

    pub fn next_at(&self) -> Option<u64> {
        self.entries.peek().map(|entry| entry.at_ms)
    }

    /// Keeps only what this wants kept: the time of each, and what it is.
    pub fn retain(&mut self, keep: impl Fn(u64, &Pending) -> bool) {
        self.entries.retain(|entry| keep(entry.at_ms, &entry.pending));
    }

    /// Takes out all handlers that run.
    pub fn take_handlers(&mut self) -> Vec<Pending> {
        let is_handler = |entry: &Entry| matches!(entry.pending, Pending::Handler { .. });
        let mut entries = std::mem::take(&mut self.entries).into_sorted_vec();
        let handlers = entries.extract_if(.., |entry| is_handler(entry)).map(|entry| entry.pending).collect();
        self.entries = entries.into();
        handlers
    }

    pub fn pop_due(&mut self, now_ms: u64) -> Option<Pending> {
        self.next_at().filter(|at| *at <= now_ms)?;
        self.entries.pop().map(|entry| entry.pending)
    }
}
