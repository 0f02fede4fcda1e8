//! `fence_kdump`, the STONITH agent: a node that says that it writes its dump counts as fenced.
//!
//! It takes the place of fence-agents' program of this name: the same parameters, on stdin or as options, the
//! same actions and exit statuses. Two things are better. It asks the listener that is there ([`crate::kdump`]),
//! so that any number of fencings go on at once; where there is none, the first one starts one that stays until
//! nobody waits any more ([`standby`]). And `monitor` tells whether a message could be received here.
//!
//! What Pacemaker knows of it stands in [`metadata`], what may be said to it in [`parameters`].

mod metadata;
mod parameters;
mod standby;

use crate::client::kdump::{Found, find};
use crate::control;
use crate::kdump::ask::{self, Begun};
use crate::kdump::place;
use crate::kdump::request::{Answer, REFUSED, Waited};
use crate::process::descriptors;
use parameters::{Action, Family, Parameters, Wish};
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

const SUCCESS: u8 = 0;
const FAILURE: u8 = 1;
/// How long to wait before a listener is looked for again: another agent may just be starting one.
const PAUSE: Duration = Duration::from_millis(100);
/// ... and where none could be started: somebody else has the port.
const LONG_PAUSE: Duration = Duration::from_secs(1);
/// How long `monitor` may take to find out whether the port can be had.
const MONITOR_PATIENCE: Duration = Duration::from_secs(3);

/// Does what arguments or stdin say; tells the exit status: 0 done, 1 not.
pub fn run() -> u8 {
    // What Pacemaker has open would be kept open by a listener that outlives us.
    let _ = descriptors::close_inherited();
    let parameters = match parameters::read() {
        Ok(Wish::Do(parameters)) => parameters,
        Ok(Wish::Help) => return print(parameters::USAGE),
        Ok(Wish::Version) => return print(concat!("fence_kdump ", env!("CARGO_PKG_VERSION"), " (boothd)\n")),
        Err(error) => return fail(&error),
    };
    match &parameters.action {
        Action::Metadata => print(metadata::XML),
        Action::ValidateAll => SUCCESS,
        Action::List => print(&parameters.nodes.iter().fold(String::new(), |list, node| list + node + "\n")),
        Action::Monitor => monitor(&parameters),
        Action::Off => off(&parameters),
    }
}

fn print(text: &str) -> u8 {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => SUCCESS,
        Err(_) => FAILURE,
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "[debug]: {text}");
}

fn fail(text: &str) -> u8 {
    let _ = writeln!(std::io::stderr(), "[error]: {text}");
    FAILURE
}

/// Waits until the node says that it is dumping.
fn off(parameters: &Parameters) -> u8 {
    let deadline = Instant::now() + parameters.timeout;
    if parameters.nodes.is_empty() {
        return fail("action 'off' requires nodename");
    }
    let node = match one_node(parameters) {
        Ok(node) => node,
        Err(error) => return fail(&error),
    };
    let socket = parameters.socket();
    let mut why = String::from("nobody listens");
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            say(&format!("timeout after {} seconds", parameters.timeout.as_secs()));
            return FAILURE;
        }
        let pause = match wait(parameters, &socket, left, &node) {
            Outcome::Heard(address) => {
                say(&format!("received valid message from '{address}'"));
                return SUCCESS;
            }
            Outcome::TimedOut => {
                say(&format!("timeout after {} seconds", parameters.timeout.as_secs()));
                return FAILURE;
            }
            Outcome::Failed(error) => return fail(&error),
            Outcome::Again => PAUSE,
            Outcome::NobodyListens => {
                match standby::start(parameters.port, &parameters.directory, &parameters.config) {
                    Ok(true) => Duration::ZERO,
                    Ok(false) => PAUSE,
                    Err(error) => {
                        if error.0 != why {
                            let _ = fail(&error.0);
                            why = error.0;
                        }
                        LONG_PAUSE
                    }
                }
            }
        };
        thread::sleep(pause.min(left));
    }
}

/// What became of one try to wait.
enum Outcome {
    /// The node is dumping.
    Heard(IpAddr),
    TimedOut,
    /// There is no listener.
    NobodyListens,
    /// The listener has gone, and there may be another one; or it cannot now.
    Again,
    /// Trying again is of no use.
    Failed(String),
}

fn wait(parameters: &Parameters, socket: &Path, left: Duration, node: &Waited) -> Outcome {
    let begun = match ask::begin(socket, left, std::slice::from_ref(node)) {
        Ok(begun) => begun,
        Err(error) => {
            return match error.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => Outcome::NobodyListens,
                ErrorKind::PermissionDenied => Outcome::Failed(format!("{}: {error}", socket.display())),
                // Its slots are all taken, or it is about to go, or stopped.
                _ => Outcome::Again,
            };
        }
    };
    match begun {
        Begun::Refused(why) => Outcome::Failed(format!("the listener refuses: {why}")),
        // Others wait, and some of them end; or its port has just gone to another listener.
        Begun::NotNow(why) => {
            if parameters.verbose {
                say(&format!("the listener cannot now: {why}"));
            }
            Outcome::Again
        }
        Begun::Waiting(waiting) => {
            for name in &parameters.nodes {
                say(&format!("waiting for message from '{name}'"));
            }
            match waiting.end() {
                Answer::Heard(heard) => heard.first().copied().flatten().map_or(Outcome::TimedOut, Outcome::Heard),
                Answer::Refused(why) => Outcome::Failed(format!("the listener answers: {why}")),
                Answer::NotNow(_) | Answer::Gone => Outcome::Again,
            }
        }
    }
}

/// All names that were given are names of one node: whichever is heard, it is dumping. One that cannot be
/// resolved does not hinder the others, and goes to the listener all the same: where it is the name of a node with a
/// key, no unsigned message counts, whatever the other names are.
fn one_node(parameters: &Parameters) -> Result<Waited, String> {
    let mut node = Waited::default();
    for name in &parameters.nodes {
        let Found { waited, missing } = match find(name) {
            Ok(found) => found,
            Err(error) => {
                let _ = fail(&format!("failed to get node '{name}': {error}"));
                continue;
            }
        };
        let fits = |address: &IpAddr| match parameters.family {
            Family::Auto => true,
            Family::Ipv4 => address.is_ipv4(),
            Family::Ipv6 => address.is_ipv6(),
        };
        let before = node.addresses.len();
        node.addresses.extend(waited.addresses.into_iter().filter(fits));
        node.names.extend(waited.names);
        if node.addresses.len() == before {
            let why = missing.unwrap_or_else(|| "it has no address of this family".to_owned());
            let _ = fail(&format!("failed to get node '{name}': {why}"));
        }
    }
    if parameters.verbose {
        say(&format!("node {{ names = {:?}, addresses = {:?} }}", node.names, node.addresses));
    }
    if node.names.is_empty() && node.addresses.is_empty() {
        return Err("no node is left to wait for".to_owned());
    }
    Ok(node)
}

/// Tells whether a message could be received here: a listener answers, or the port can be had.
fn monitor(parameters: &Parameters) -> u8 {
    let socket = parameters.socket();
    let deadline = Instant::now() + MONITOR_PATIENCE;
    loop {
        let error = match control::ask(&socket, "kdump listening", MONITOR_PATIENCE) {
            Ok(place) if !place.is_empty() && !place.starts_with("unknown request") && !place.starts_with(REFUSED) => {
                if parameters.verbose {
                    say(&format!("a listener is at {}", place.trim_end()));
                }
                return SUCCESS;
            }
            Ok(_) => "the listener does not answer".to_owned(),
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                format!("{}: {error}", socket.display())
            }
            Err(_) => match standby::could_start(parameters.port, &parameters.directory, &parameters.config) {
                Ok(()) => return SUCCESS,
                Err(error) => error.0,
            },
        };
        // Another agent may just be starting a listener, or one may be leaving.
        if Instant::now() >= deadline {
            return fail(&format!("no message could be received: {error}"));
        }
        thread::sleep(PAUSE);
    }
}

impl Parameters {
    fn socket(&self) -> PathBuf {
        place::socket(&self.directory, self.port)
    }
}
