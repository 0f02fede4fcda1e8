//! What a member remembers of its votes and promises over a restart (S1, S7).
#![allow(missing_docs, unused)] // skeleton

use booth_core::member::SiteId;
use booth_core::settings::TicketIndex;
use booth_core::sink::Record;
use std::path::Path;

/// The open journal, or none where it is switched off.
pub struct Journal {}

/// What [`Journal::open`] has found.
pub struct Opened {
    pub journal: Journal,
    /// What is remembered of each ticket, in the order of the names given.
    pub memories: Vec<Option<Record>>,
    /// Lines for the log.
    pub warnings: Vec<Warning>,
}

/// Implements Display.
pub enum Warning {}
/// Implements Display and Error.
pub enum JournalError {}

impl Journal {
    /// Before privileges are dropped; `owner` (uid, gid) gets the file.
    pub fn open(
        path: &Path,
        me: SiteId,
        tickets: &[&str],
        owner: Option<(u32, u32)>,
    ) -> Result<Opened, JournalError> {
        unimplemented!()
    }
    /// No journal: nothing is remembered over a restart.
    pub fn off() -> Journal {
        unimplemented!()
    }
    /// Writes a record without making it durable; [`Journal::sync`] must follow before an answer leaves.
    pub fn stage(&mut self, ticket: TicketIndex, record: &Record) -> Result<(), JournalError> {
        unimplemented!()
    }
    /// Makes what was staged durable. On an error no record staged since the last good call counts.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        unimplemented!()
    }
    /// `stage` and `sync`.
    pub fn write(&mut self, ticket: TicketIndex, record: &Record) -> Result<(), JournalError> {
        unimplemented!()
    }
}
