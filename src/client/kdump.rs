//! `kdump list` and `kdump wait`: what the listener for dumping nodes on this host has heard.
//!
//! It is found as agents find it, by its port, or by the lock file of the daemon that listens.

use crate::cli::console::Console;
use crate::cli::{FAILURE, KdumpAction, KdumpOptions, NOT_RUNNING, Program, SUCCESS, TIMED_OUT};
use crate::config;
use crate::control;
use crate::kdump::ask::{self, Begun};
use crate::kdump::place;
use crate::kdump::request::{Answer, Waited, is_name};
use booth_core::kdump::authenticity::MAX_NODE_NAME;
use booth_core::wire::kdump::PORT;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait before the port's next owner is looked for.
const PAUSE: Duration = Duration::from_millis(100);

/// Does what was asked. The exit status is one of
///
/// | status | meaning |
/// | --- | --- |
/// | 0 | `list`: printed; `wait`: all nodes have said that they are dumping |
/// | 5 | `wait`: the time is over, and a node has not been heard |
/// | 7 | there is no listener |
/// | 1 | anything else: a node with neither address nor key, a listener that does not answer |
pub fn kdump(program: Program, options: &KdumpOptions) -> u8 {
    let console = Console::new(program);
    let Some(socket) = socket(&console, options) else { return FAILURE };
    match &options.action {
        KdumpAction::List => match control::ask(&socket, "kdump list", ask::PATIENCE) {
            Ok(answer) => console.print(&answer),
            Err(error) => unreachable(&console, &socket, &error),
        },
        KdumpAction::Wait { nodes, timeout } => wait(&console, &socket, nodes, *timeout),
    }
}

/// Where the listener is asked; `None`: the configuration cannot be read, which was said.
fn socket(console: &Console, options: &KdumpOptions) -> Option<PathBuf> {
    if let Some(lock_file) = &options.lock_file {
        return Some(control::path_beside(lock_file));
    }
    let port = match &options.config {
        None => PORT,
        Some(path) => {
            let (config, diagnostics) = config::load_listener(path);
            for diagnostic in diagnostics.iter().filter(|diagnostic| diagnostic.is_error()) {
                console.plain(&diagnostic.to_string());
            }
            config?.kdump.listen.unwrap_or_default().port
        }
    };
    Some(place::socket(Path::new(place::DIRECTORY), port))
}

fn wait(console: &Console, socket: &Path, nodes: &[String], timeout: Duration) -> u8 {
    let mut waited = Vec::new();
    for node in nodes {
        match find(node) {
            Ok(Found { waited: found, missing }) => {
                missing.iter().for_each(|why| console.info(why));
                waited.push(found);
            }
            Err(error) => {
                console.error(&error);
                return FAILURE;
            }
        }
    }
    let deadline = Instant::now() + timeout;
    let mut lost = false;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = match ask::begin(socket, left, &waited) {
            Ok(Begun::Waiting(waiting)) => waiting.end(),
            Ok(Begun::Refused(why)) => Answer::Refused(why),
            // Its port changes hands.
            Ok(Begun::NotNow(_)) if lost && !left.is_zero() => Answer::Gone,
            Ok(Begun::NotNow(why)) => Answer::NotNow(why),
            Err(_) if lost && !left.is_zero() => Answer::Gone,
            Err(error) => return unreachable(console, socket, &error),
        };
        match answer {
            Answer::Heard(heard) => return report(console, nodes, &heard),
            Answer::Refused(why) | Answer::NotNow(why) => {
                console.error(&format!("the listener answers: {why}"));
                return FAILURE;
            }
            Answer::Gone if !lost => {
                console.error("the listener has ended or does not answer any more; asking whoever has its port now");
                lost = true;
            }
            Answer::Gone => {}
        }
        thread::sleep(PAUSE.min(left));
    }
}

/// Says which nodes were heard; tells the exit status.
fn report(console: &Console, nodes: &[String], heard: &[Option<IpAddr>]) -> u8 {
    let line = |(node, address): (&String, &Option<IpAddr>)| match address {
        Some(address) => format!("{node}: dumping, heard from {address}\n"),
        None => format!("{node}: not heard\n"),
    };
    let text: String = nodes.iter().zip(heard).map(line).collect();
    let printed = console.print(&text);
    match heard.iter().all(Option::is_some) {
        true if printed == SUCCESS => SUCCESS,
        true => printed,
        false => TIMED_OUT,
    }
}

/// A node as far as it was found.
pub struct Found {
    /// Its name and all its addresses, or its address alone.
    pub waited: Waited,
    /// Why it has no address, if it has none, in words that name it. The listener may have its key and need none.
    pub missing: Option<String>,
}

/// Looks a node up.
///
/// # Errors
/// Where it has no address and its name is none that a node with a key has, in words that name it.
pub fn find(node: &str) -> Result<Found, String> {
    if let Ok(address) = node.parse() {
        return Ok(Found { waited: Waited { names: Vec::new(), addresses: vec![address] }, missing: None });
    }
    if !is_name(node) {
        return Err(format!("{node:?} is no node's name, expected a host name or an address"));
    }
    let (addresses, missing) = match config::resolve(node) {
        Ok(addresses) if !addresses.is_empty() => (addresses, None),
        Ok(_) => (Vec::new(), Some(format!("{node}: no address; expected a host name or an address"))),
        Err(error) => (Vec::new(), Some(format!("{node}: {error}; expected a host name or an address"))),
    };
    match missing {
        Some(missing) if node.len() > MAX_NODE_NAME => Err(missing),
        missing => Ok(Found { waited: Waited { names: vec![node.to_owned()], addresses }, missing }),
    }
}

fn unreachable(console: &Console, socket: &Path, error: &io::Error) -> u8 {
    let path = socket.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            console.error(&format!(
                "no listener: nobody answers at {path}; is kdump-listen set, or boothd kdump started?"
            ));
            NOT_RUNNING
        }
        io::ErrorKind::PermissionDenied => {
            console.error(&format!("{path}: {error}; only root and the daemon's own user and group may ask there"));
            FAILURE
        }
        _ => {
            console.error(&format!("the listener cannot be asked: {path}: {error}"));
            FAILURE
        }
    }
}
