//! A member's journal as bytes, in the daemon's own format: two copies of each ticket's slot, written one after
//! the other, and what a crash or a bad disk does to them.
//!
//! Invariant: as long as a member's journal has not been damaged in both copies of a ticket, what it says is the
//! last record that was written in full, or one that was torn and of which nobody has heard (S7).

use booth::journal::slot::{self, Entry, SLOT_LEN, Slot};
use booth_core::member::SiteId;
use booth_core::sink::Record;

/// The bytes of both copies.
const PAIR_LEN: usize = 2 * SLOT_LEN;

#[derive(Clone)]
pub struct Disk {
    member: SiteId,
    places: Vec<Place>,
}

#[derive(Clone)]
struct Place {
    ticket: String,
    copies: [Slot; 2],
    /// The number of the next write, as the running daemon counts.
    sequence: u64,
    /// What was written in full last; `None`: nothing, or both copies are damaged.
    whole: Option<Record>,
    /// What a crash has torn: it may have been read since, or not.
    torn: Option<Record>,
}

impl Disk {
    /// A journal that has just been made: `first` is what it says of each ticket.
    pub fn new(member: SiteId, tickets: impl Iterator<Item = String>, first: Option<Record>) -> Disk {
        let place = |ticket: String| {
            let copies = [slot::encode(&Entry { member, ticket: &ticket, sequence: 0, record: first }); 2];
            Place { ticket, copies, sequence: 0, whole: first, torn: None }
        };
        Disk { member, places: tickets.map(place).collect() }
    }

    /// What it says of a ticket: what a daemon that started now would remember.
    pub fn read(&self, ticket: usize) -> Option<Record> {
        let [first, second] = &self.places[ticket].copies;
        slot::newest(first, second).and_then(|entry| entry.record)
    }

    /// What the running daemon has written last.
    pub fn written(&self, ticket: usize) -> Option<Record> {
        self.places[ticket].whole
    }

    /// Opens it as the daemon does at its start, and gives what it remembers. Where a copy is damaged or
    /// older than the other, the file is made anew.
    pub fn open(&mut self) -> Vec<Option<Record>> {
        (0..self.places.len()).map(|ticket| self.open_place(ticket)).collect()
    }

    fn open_place(&mut self, ticket: usize) -> Option<Record> {
        let member = self.member;
        let place = &mut self.places[ticket];
        let [first, second] = &place.copies;
        let found = slot::newest(first, second).map(|entry| (entry.sequence, entry.record));
        let (sequence, record) = found.unwrap_or((0, None));
        let expected = record == place.whole || (place.torn.is_some() && record == place.torn);
        assert!(expected, "S7: the journal says {record:?}, but {:?} was written, {:?} torn", place.whole, place.torn);
        let [first, second] = &place.copies;
        if first != second || slot::decode(first).is_err() {
            place.copies = [slot::encode(&Entry { member, ticket: &place.ticket, sequence, record }); 2];
        }
        (place.sequence, place.whole, place.torn) = (sequence, record, None);
        record
    }

    /// Writes a record to both copies; it is on the disk when this returns.
    pub fn write(&mut self, ticket: usize, record: &Record) {
        self.write_torn(ticket, record, PAIR_LEN, false);
        let place = &mut self.places[ticket];
        (place.whole, place.torn) = (Some(*record), None);
    }

    /// The machine stops when `written` bytes of a write have reached the disk, the second copy first where
    /// `backwards`: a disk may order two sectors as it likes.
    pub fn write_torn(&mut self, ticket: usize, record: &Record, written: usize, backwards: bool) {
        let member = self.member;
        let place = &mut self.places[ticket];
        place.sequence += 1;
        let entry = Entry { member, ticket: &place.ticket, sequence: place.sequence, record: Some(*record) };
        let slot = slot::encode(&entry);
        let first = written.min(SLOT_LEN);
        let second = written.min(PAIR_LEN) - first;
        let [a, b] = &mut place.copies;
        let (a, b) = if backwards { (b, a) } else { (a, b) };
        a[..first].copy_from_slice(&slot[..first]);
        b[..second].copy_from_slice(&slot[..second]);
        place.torn = Some(*record);
    }

    /// The disk was full: the number of the write is spent, nothing is on the disk.
    pub fn write_failed(&mut self, ticket: usize) {
        self.places[ticket].sequence += 1;
    }

    /// A bit of one copy turns over.
    pub fn damage(&mut self, ticket: usize, copy: usize, bit: usize) {
        let place = &mut self.places[ticket];
        if slot::decode(&place.copies[copy]).is_err() {
            return;
        }
        place.copies[copy][bit / 8 % SLOT_LEN] ^= 1 << (bit % 8);
        if place.copies.iter().all(|copy| slot::decode(copy).is_err()) {
            (place.whole, place.torn) = (None, None);
        }
    }

    /// The file is gone.
    pub fn lose(&mut self) {
        let member = self.member;
        for place in &mut self.places {
            let blank = Entry { member, ticket: &place.ticket, sequence: 0, record: None };
            (place.copies, place.sequence) = ([slot::encode(&blank); 2], 0);
            (place.whole, place.torn) = (None, None);
        }
    }

    /// A good journal that says this, for scenes.
    pub fn forge(&mut self, ticket: usize, record: Record) {
        self.write(ticket, &record);
    }
}
