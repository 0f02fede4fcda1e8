//! Where a site's tickets are written: Pacemaker's CIB or plain files, behind one interface.
#![allow(missing_docs, unused)] // skeleton

use booth_core::input::{RequestNumber, StoreResult};
use booth_core::member::SiteId;
use booth_core::settings::TicketIndex;
use booth_core::sink::StoreRequest;
use booth_core::time::{Instant, Millis};
use mio::{Registry, Token};
use std::path::PathBuf;

/// Which store.
pub enum Backend {
    /// Pacemaker's CIB through `crm_ticket`, found by `PATH`.
    Pacemaker,
    /// One file per ticket in this directory.
    File(PathBuf),
}

/// A ticket, as far as the store needs to know it.
pub struct StoredName {
    pub name: String,
    /// After how long a request is given up and its child killed; see [`deadline_for`].
    pub deadline: Millis,
}

/// What a store is told at the start.
pub struct Settings {
    pub backend: Backend,
    /// `booth-cfg-name`.
    pub configuration_name: String,
    /// In the order of the configuration.
    pub tickets: Vec<StoredName>,
}

/// How long a request may take for a ticket with this `expire`.
pub fn deadline_for(expire: Millis) -> Millis {
    unimplemented!()
}

pub struct Store {}

/// A request that has ended.
pub struct Finished {
    pub ticket: TicketIndex,
    pub number: RequestNumber,
    /// A line for the log: why it failed.
    pub log: Option<String>,
}

impl Finished {
    /// Calls `take` with the result, as the core wants it.
    pub fn with_result<T>(&self, take: impl FnOnce(StoreResult<'_>) -> T) -> T {
        unimplemented!()
    }
}

impl Store {
    /// How many mio tokens it uses, from the first one on.
    pub const TOKENS: usize = 64;

    pub fn new(settings: Settings, registry: Registry, first_token: Token) -> Store {
        unimplemented!()
    }
    /// Takes a request; its result comes out of [`Store::next_finished`].
    pub fn request(&mut self, now: Instant, ticket: TicketIndex, request: StoreRequest<'_>) {
        unimplemented!()
    }
    /// Something has happened to one of the file descriptors; `false`: the token is not ours.
    pub fn on_event(&mut self, now: Instant, token: Token) -> bool {
        unimplemented!()
    }
    /// When [`Store::expire`] must be called at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        unimplemented!()
    }
    /// Kills what has run for too long.
    pub fn expire(&mut self, now: Instant) {
        unimplemented!()
    }
    /// The next request that has ended.
    pub fn next_finished(&mut self) -> Option<Finished> {
        unimplemented!()
    }
}
