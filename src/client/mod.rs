//! What `booth`, `boothctl` and `geostore` do: ask a daemon over TCP, and say what it answered.
//!
//! A daemon answers one request on one connection. Nothing is left behind when a client is stopped,
//! however that happens: the daemon sees the connection close. No wait is without an end unless the
//! user asked for one (`-w`).

mod attributes;
mod connection;
mod guard;
pub mod kdump;
mod listing;
mod liveness;
mod request;
mod site;
mod status;
mod table;
mod tickets;

pub use guard::guard;
pub use status::{stats, status};

use crate::cli::console::Console;
use crate::cli::{Action, FAILURE, Program, Request};
use crate::config::{self, Configuration, Member, Ticket};
use crate::process::StartError;
use booth_core::time::Millis;
use booth_core::wire::mac::Key;
use connection::Fault;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// How long an answer is waited for when the configuration has no ticket that says it.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a request was not done; prints as the message to the user.
#[derive(Debug)]
enum Failure {
    /// The daemon could not be asked, or has not answered.
    Fault { site: String, fault: Fault },
    /// The daemon has said no, or the request makes no sense.
    Refused(String),
}

/// What every request needs.
struct Client<'a> {
    config: &'a Configuration,
    key: Option<Key>,
    /// The member at this place, or why there is none.
    me: Result<&'a Member, StartError>,
    console: Console,
    program: Program,
}

/// Does what was asked; gives the exit status.
pub fn run(program: Program, request: &Request) -> u8 {
    let console = Console::new(program);
    let Some(config) = configuration(&console, &request.config) else {
        console.error("cannot read config");
        return FAILURE;
    };
    let key = match config.authfile.as_ref().map(|authfile| config::read_key(&authfile.path)).transpose() {
        Ok(secret) => secret.map(|secret| Key::new(secret.bytes())),
        Err(error) => {
            console.error(&error.to_string());
            return FAILURE;
        }
    };
    let me = site::own_member(&config);
    let client = Client { config: &config, key, me, console, program };
    let site = request.site.as_deref();
    let done = match &request.action {
        Action::List => client.list(site),
        Action::Peers => client.peers(site),
        Action::Grant { .. } | Action::Revoke { .. } => client.move_ticket(site, &request.action),
        Action::Attribute { ticket, change } => client.attribute(site, ticket.as_deref(), change),
    };
    done.unwrap_or_else(|failure| {
        console.error(&failure.to_string());
        FAILURE
    })
}

/// The configuration, or all that is wrong with it on stderr. Warnings are for `daemon` and `check`.
fn configuration(console: &Console, path: &Path) -> Option<Configuration> {
    let (config, diagnostics) = config::load(path);
    for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.is_error()) {
        console.plain(&diagnostic.to_string());
    }
    config
}

impl<'a> Client<'a> {
    /// The ticket that is meant: the one named, or the only one there is. A ticket that our
    /// configuration does not know is asked for all the same: the daemon's word counts.
    fn ticket<'t>(&self, named: Option<&'t str>) -> Result<&'t str, Failure>
    where
        'a: 't,
    {
        match (named, &self.config.tickets[..]) {
            (Some(name), _) if booth_core::wire::is_ticket_name(name) => Ok(name),
            (Some(name), _) => Err(unknown_ticket(name)),
            (None, [only]) => Ok(&only.settings.name),
            (None, []) => Err(Failure::Refused("No ticket given, and none is configured here.".into())),
            (None, tickets) => {
                Err(Failure::Refused(format!("No ticket given: name one of the {} configured.", tickets.len())))
            }
        }
    }

    fn settings(&self, ticket: &str) -> Option<&'a Ticket> {
        self.config.tickets.iter().find(|known| known.settings.name == ticket)
    }

    /// `timeout` of the ticket; of the ticket with the longest one when it is about all or unknown.
    fn timeout(&self, ticket: Option<&str>) -> Duration {
        match ticket.and_then(|name| self.settings(name)) {
            Some(ticket) => span(ticket.settings.timeout),
            None => {
                let longest = self.config.tickets.iter().map(|ticket| ticket.settings.timeout).max();
                longest.map_or(DEFAULT_TIMEOUT, span)
            }
        }
    }
}

fn span(millis: Millis) -> Duration {
    Duration::from_millis(millis.0)
}

fn unknown_ticket(name: &str) -> Failure {
    Failure::Refused(format!("ticket {name:?} does not exist; see \"booth list\""))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Fault { site, fault } => fault.describe(site, f),
            Failure::Refused(message) => f.write_str(message),
        }
    }
}
