//! Listening for nodes that write their dump: what a daemon that serves tickets does beside, and what
//! `boothd kdump` and, where neither runs, `fence_kdump` do alone.
//!
//! A [`Listener`] is a guest in an event loop: it is handed events, the time, the log and the requests of the
//! control socket that are its own, and names its next deadline. What counts is decided in
//! [`booth_core::kdump`]; here are the sockets ([`crate::net::kdump`]), the file that remembers ([`memory`]), the
//! words of requests and answers ([`request`]), who of several has the port ([`port`]) and where others find it
//! ([`place`]), what is said in the log ([`log_lines`]), and the loop of one that is alone ([`alone`]). It knows nothing
//! of tickets. On the path of a datagram nothing is allocated.

pub mod alone;
pub mod ask;
pub mod daemon;
mod log_lines;
pub mod memory;
pub mod place;
pub mod port;
pub mod request;

use crate::clock;
use crate::config::{self, Configuration, Kdump, KeyFileError, NodeKey};
use crate::counters;
use crate::log::{Level, Log};
use crate::net::client::Clients;
use crate::process::StartError;
use booth_core::input::ClientId;
use booth_core::kdump::{Memory, Node, NodeIndex, Table};
use booth_core::time::{Instant, Millis, Now, WallTime};
use booth_core::wire::kdump::Key;
use log_lines::{REASONS, number, say_dropped, say_heard};
use memory::MemoryFile;
use mio::{Registry, Token};
use port::{Port, Rank};
use std::fmt::{self, Write};
use std::io;
use std::path::Path;

/// How many slots a control socket needs beyond those for other requests: one for each waiter.
pub const SLOTS: usize = booth_core::kdump::MAX_WAITERS;

/// The listener.
pub struct Listener {
    port: Port,
    table: Box<Table>,
    memory: MemoryFile,
    /// What is to be remembered is not on disk yet.
    unsaved: bool,
    /// A node with a key was heard since [`Listener::has_news`] was asked.
    news: bool,
    counters: Counters,
}

/// What has been counted since the start.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    heard: u64,
    unlisted: u64,
    dropped: [u64; REASONS.len()],
    save_failures: u64,
}

/// What is to be done about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It is not about dumping nodes.
    NotMine,
    /// The answer is written.
    Answered,
    /// [`Listener::answer`] will have the rest of the answer.
    Later,
}

impl Listener {
    /// A listener as configured, at this port.
    pub fn new(configuration: &Kdump, keys: Vec<Key>, memory: (MemoryFile, Vec<Memory>), port: Port) -> Listener {
        let node =
            |(known, key): (&NodeKey, Key)| Node { name: known.node.clone(), key, addresses: known.addresses.clone() };
        let mut table = Box::new(Table::new(configuration.settings, configuration.keys.iter().zip(keys).map(node)));
        let (memory, memories) = memory;
        memories.iter().for_each(|memory| table.restore(memory));
        Listener { port, table, memory, unsaved: false, news: false, counters: Counters::default() }
    }

    /// Has the poll watch the sockets, with `first` and the tokens behind it.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn register(&mut self, registry: &Registry, first: Token) -> io::Result<()> {
        self.port.register(registry, first)
    }

    /// Something has happened to one of the sockets; `false`: the token is not one of ours.
    pub fn on_event(&mut self, token: Token) -> bool {
        self.port.receiver().is_some_and(|receiver| receiver.on_event(token))
    }

    /// Whether there is work that no event will announce.
    pub fn has_more(&self) -> bool {
        self.port.has_more()
    }

    /// Whether it has its port; else it waits for that.
    pub fn is_listening(&self) -> bool {
        self.port.is_held()
    }

    /// When somebody's time is over, or the port is to be tried again.
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.table.next_deadline(), self.port.next_deadline()].into_iter().flatten().min()
    }

    /// How many wait.
    pub fn waiters(&self) -> usize {
        self.table.waiters()
    }

    /// Takes what has come, up to a limit for one turn.
    pub fn receive(&mut self, now: Now, log: &mut Log) {
        if self.port.try_again(now, log) {
            self.remember_others(now, log);
        }
        let Listener { port, table, memory, unsaved, news, counters } = self;
        let Some(receiver) = port.receiver().filter(|receiver| receiver.has_more()) else { return };
        receiver.receive(|source, bytes, when| match table.receive(came(now, when), source, bytes) {
            Ok(heard) => {
                counters.heard += 1;
                *news |= heard.node.is_some();
                counters.unlisted += u64::from(!heard.listed);
                *unsaved |= heard.remember;
                if *unsaved {
                    save(memory, table, now, unsaved, counters, log);
                }
                say_heard(log, now, table, &heard);
            }
            Err(reason) => {
                counters.dropped[number(reason)] += 1;
                say_dropped(log, now, source.to_canonical(), reason);
            }
        });
    }

    /// Whether a node with a key was heard since this was asked.
    pub fn has_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// The latest instant at which all of these nodes are known to have been down: [`Table::all_down_at`].
    pub fn all_down_at(&self, nodes: &[NodeIndex]) -> Option<Instant> {
        self.table.all_down_at(nodes)
    }

    /// Looks at a request; `out` gets the answer, or the part of it that there is at once.
    pub fn request(&mut self, now: Now, client: ClientId, line: &[u8], out: &mut String, log: &mut Log) -> Reaction {
        let Some(parsed) = request::parse(line) else { return Reaction::NotMine };
        match parsed {
            Ok(request::Request::List) => self.list(now, out),
            Ok(request::Request::Listening) if !self.port.is_held() => request::refuse(out, &self.port),
            Ok(request::Request::Listening) => {
                // A `String` takes everything.
                let _ = writeln!(out, "{}", self.port);
            }
            Ok(request::Request::Leave(rank)) => match self.port.leave(now, rank, log) {
                true => out.push_str(place::LEAVING),
                false => request::refuse(out, &"this listener stays"),
            },
            Ok(request::Request::Wait(..)) if !self.port.is_held() => {
                request::postpone(out, &self.port);
            }
            Ok(request::Request::Wait(time, wait)) => {
                if let Some(name) = self.table.nobody(&wait) {
                    request::refuse(out, &format_args!("{name}: it has neither an address nor a kdump-key"));
                    return Reaction::Answered;
                }
                if self.table.wait(now.boot, client, now.boot + time, *wait) {
                    request::waiting(out);
                    return Reaction::Later;
                }
                request::postpone(out, &"too many wait already");
            }
            Err(why) => request::refuse(out, &why),
        }
        Reaction::Answered
    }

    /// The next waiter that is done; `out` gets its answer.
    fn next_answer(&mut self, now: Instant, out: &mut String) -> Option<ClientId> {
        let finished = self.table.next_finished(now)?;
        request::tell(out, &finished.heard);
        Some(finished.client)
    }

    /// Hands out all answers that are ready; `text` is where they are written. Those who wait where the port has been
    /// left get none: they notice, and ask the one that has it.
    pub fn answer(&mut self, now: Instant, control: &mut Clients, text: &mut String) {
        text.clear();
        while let Some(client) = self.next_answer(now, text) {
            control.reply(now, client, text.as_bytes(), true);
            text.clear();
        }
        while !self.port.is_held()
            && let Some(client) = self.table.give_up()
        {
            control.reply(now, client, b"", true);
        }
    }

    /// Takes over what another listener has written down while it had the port.
    fn remember_others(&mut self, now: Now, log: &mut Log) {
        match self.memory.read() {
            Ok(memories) => memories.iter().for_each(|memory| self.table.restore(memory)),
            Err(error) => {
                let text = format_args!("kdump: dumps that another listener has heard are not known here: {error}");
                log.write(now, Level::Error, text);
            }
        }
    }

    /// The client has gone.
    pub fn leave(&mut self, client: ClientId) {
        self.table.leave(client);
    }

    fn list(&self, now: Now, out: &mut String) {
        for source in self.table.sources() {
            let state = if self.table.is_dumping(now.boot, source) { "dumping" } else { "finished" };
            let (first, last) = (now.wall_at(source.first), now.wall_at(source.last));
            let (first, last) = (clock::local_time(first), clock::local_time(last));
            // A `String` takes everything.
            let _ = write!(out, "{}: {state}, first seen {first}, last seen {last}, ", source.address);
            let _ = match source.node {
                Some(node) => writeln!(out, "messages: {}, signed by {}", source.count, self.table.name(node)),
                None => writeln!(out, "messages: {}, not signed", source.count),
            };
        }
    }

    /// Appends a line for each counter that is not zero.
    pub fn describe(&self, out: &mut String) {
        let Counters { heard, unlisted, dropped, save_failures } = self.counters;
        counters::line(out, format_args!("messages of dumping nodes"), heard);
        if self.waiters() > 0 {
            counters::line(out, format_args!("waiting for dumping nodes"), self.waiters() as u64);
        }
        for (reason, count) in REASONS.iter().zip(dropped).filter(|(_, count)| *count > 0) {
            counters::line(out, format_args!("messages of dumping nodes dropped, {reason}"), count);
        }
        if unlisted > 0 {
            counters::line(out, format_args!("messages of dumping nodes that were not listed"), unlisted);
        }
        if save_failures > 0 {
            counters::line(out, format_args!("dumps that could not be remembered"), save_failures);
        }
    }
}

/// Where it listens.
impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.port.fmt(f)
    }
}

/// Opens the file that remembers, where there is something to remember, and the port, which others are to leave
/// that are less important than `rank`. The listener's control socket is `control`.
///
/// # Errors
/// Where the file cannot be opened, or the address is not one of this host.
pub fn open(
    configuration: &Configuration,
    keys: Vec<Key>,
    owner: Option<(u32, u32)>,
    control: &Path,
    rank: Rank,
    warn: &mut impl FnMut(&dyn fmt::Display),
) -> Result<Listener, StartError> {
    let listen = configuration.kdump.listen.unwrap_or_default();
    let port =
        Port::open(clock::read().boot, listen, control, rank, warn).map_err(|error| StartError(error.to_string()))?;
    // Behind the port: whoever had it has written down the last dump.
    let memory = match &configuration.journal {
        _ if keys.is_empty() => (MemoryFile::off(), Vec::new()),
        None => {
            warn(
                &"kdump: the journal is switched off: after a restart a replay of an earlier dump passes for a new one",
            );
            (MemoryFile::off(), Vec::new())
        }
        Some(journal) => {
            let path = journal.with_extension("kdump");
            MemoryFile::open(&path, owner).map_err(|error| StartError(format!("{}: {error}", path.display())))?
        }
    };
    Ok(Listener::new(&configuration.kdump, keys, memory, port))
}

/// Reads the keys of all nodes, in their order.
///
/// # Errors
/// The first one that is refused, with its line.
pub fn read_keys(configuration: &Kdump) -> Result<Vec<Key>, (u32, KeyFileError)> {
    let read = |node: &NodeKey| match config::read_key(&node.path) {
        Ok(secret) => Ok(Key::new(secret.bytes())),
        Err(error) => Err((node.line, error)),
    };
    configuration.keys.iter().map(read).collect()
}

/// When a datagram came that the system received at this time: before now, or now where it cannot be told.
fn came(now: Now, when: Option<WallTime>) -> Now {
    let age = when.map_or(0, |when| now.wall.0.saturating_sub(when.0));
    Now { boot: now.boot - Millis(age.div_ceil(1_000)), wall: WallTime(now.wall.0 - age) }
}

/// Writes down which dumps have begun. Where that fails they count all the same, since whoever waits may be
/// about to cut a node's power; it is tried again with the next message.
fn save(memory: &MemoryFile, table: &Table, now: Now, unsaved: &mut bool, counters: &mut Counters, log: &mut Log) {
    match memory.save(table.memories()) {
        Ok(()) => *unsaved = false,
        Err(error) => {
            counters.save_failures += 1;
            let text = format_args!(
                "kdump: the dump cannot be remembered over a restart, which a replay could then pass: {error}"
            );
            log.provoked(now, Level::Error, "kdump: not remembered", text);
        }
    }
}
