//! The before-acquire-handler: programs that may forbid this site to acquire or keep a ticket.
#![allow(missing_docs, unused)] // skeleton

use booth_core::input::RequestNumber;
use booth_core::settings::TicketIndex;
use booth_core::sink::HandlerRequest;
use booth_core::time::Instant;
use mio::{Registry, Token};
use std::ffi::OsString;
use std::path::PathBuf;

/// What the handlers are told at the start.
pub struct Settings {
    /// `BOOTH_LOCAL`: our own address.
    pub local: String,
    /// `BOOTH_CONF_PATH`.
    pub configuration_path: PathBuf,
    /// `BOOTH_CONF_NAME`.
    pub configuration_name: String,
    /// In the order of the configuration.
    pub tickets: Vec<TicketHandler>,
}

/// A ticket and its handler.
pub struct TicketHandler {
    /// `BOOTH_TICKET`.
    pub ticket: String,
    /// Program (or directory of programs) and its arguments; empty: none.
    pub command: Vec<OsString>,
}

pub struct Handlers {}

/// A run that has ended.
pub struct Finished {
    pub ticket: TicketIndex,
    pub number: RequestNumber,
    /// Whether every program exited with 0.
    pub success: bool,
    /// A line for the log: which program failed, how, and the last line that it wrote to stderr.
    pub log: Option<String>,
}

impl Handlers {
    /// How many mio tokens it uses, from the first one on.
    pub const TOKENS: usize = 64;

    pub fn new(settings: Settings, registry: Registry, first_token: Token) -> Handlers {
        unimplemented!()
    }
    /// Starts the ticket's handler; its result comes out of [`Handlers::next_finished`].
    pub fn run(&mut self, now: Instant, ticket: TicketIndex, request: HandlerRequest) {
        unimplemented!()
    }
    /// Something has happened to one of the file descriptors; `false`: the token is not ours.
    pub fn on_event(&mut self, now: Instant, token: Token) -> bool {
        unimplemented!()
    }
    /// When [`Handlers::expire`] must be called at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        unimplemented!()
    }
    /// Kills what has run for too long.
    pub fn expire(&mut self, now: Instant) {
        unimplemented!()
    }
    /// The next run that has ended.
    pub fn next_finished(&mut self) -> Option<Finished> {
        unimplemented!()
    }
}
