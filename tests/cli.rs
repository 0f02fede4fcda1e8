//! The command line from outside: verbs, options, texts, exit statuses, and what goes over TCP.
//!
//! Texts and statuses are those of the reference (observed at its release 1.0), except that what was
//! not done never exits with 0: no ticket named, no such site, a grant at an arbitrator.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "cli/arguments.rs"]
mod arguments;
#[path = "cli/daemon.rs"]
mod daemon;
#[path = "cli/geostore.rs"]
mod geostore;
#[path = "cli/lists.rs"]
mod lists;
#[path = "cli/local.rs"]
mod local;
#[path = "cli/place.rs"]
mod place;
#[path = "cli/responder.rs"]
mod responder;
#[path = "cli/silence.rs"]
mod silence;
#[path = "cli/tickets.rs"]
mod tickets;
