//! The port for messages of dumping nodes: having it, or waiting for it.
//!
//! A port has one owner, and a host may have several processes that want it: the daemon that serves tickets, which
//! comes and goes with its site's address; `boothd kdump`, which is always there; agents that found neither; and
//! programs that we do not know. Of ours the one with the higher [`Rank`] gets it: it asks the owner to leave, and
//! the owner closes its sockets before it says that it does. Whoever stays without tries again every
//! [`AGAIN`], so that the port is never without a listener for longer while one of them runs. None of them ends
//! because another one has the port: a ticket must not be lost for it.
//!
//! While one of them runs no agent stands in: what has no keys must not step into the moment in which the port
//! changes hands. Agents find the owner by a link ([`place`]), which is made with the sockets and goes with them. This file knows
//! no messages and nobody who waits for them.

use super::place::{self, Link, directory};
use crate::config::Listen;
use crate::control;
use crate::log::{Level, Log};
use crate::net::BindError;
use crate::net::kdump::KdumpReceiver;
use booth_core::time::{Instant, Millis, Now};
use mio::{Registry, Token};
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// From one try to the next.
const AGAIN: Millis = Millis(1_000);

/// Who has the port if several want it: the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The listener that an agent has started because there was none; it ends when it has to leave.
    StandIn,
    /// `boothd kdump`.
    Alone,
    /// A daemon that serves tickets.
    Member,
}

impl Rank {
    const ALL: [Rank; 3] = [Rank::StandIn, Rank::Alone, Rank::Member];

    /// Its word in requests.
    pub fn word(self) -> &'static str {
        match self {
            Rank::StandIn => "stand-in",
            Rank::Alone => "alone",
            Rank::Member => "member",
        }
    }

    /// The one with this word.
    pub fn of(word: &str) -> Option<Rank> {
        Rank::ALL.into_iter().find(|rank| rank.word() == word)
    }
}

/// The port.
pub struct Port {
    listen: Listen,
    rank: Rank,
    control: PathBuf,
    /// Keeps agents from standing in; none where it cannot be opened, which was said.
    lock: Option<File>,
    /// The poll that watches the sockets, and their first token.
    poll: Option<(Registry, Token)>,
    state: State,
}

enum State {
    Held {
        receiver: Box<KdumpReceiver>,
        _link: Option<Link>,
    },
    Wanted {
        next: Instant,
        why: String,
        /// Over this its owner was asked to leave; it is open until the next try, so that the question is read.
        _asked: Option<UnixStream>,
    },
}

impl Port {
    /// Takes the port for a listener whose control socket is `control`. One of a lower rank that has it leaves at
    /// once; where somebody else has it, it is wanted from now on. A stand-in has it or is none.
    ///
    /// # Errors
    /// Where it cannot be bound for another reason than that somebody has it.
    pub fn open(
        now: Instant,
        listen: Listen,
        control: &Path,
        rank: Rank,
        warn: &mut dyn FnMut(&dyn Display),
    ) -> Result<Port, BindError> {
        let mut lock = None;
        if rank > Rank::StandIn {
            let opened = place::lock_file(directory(control), listen.port);
            lock = opened
                .inspect_err(|error| warn(&format_args!("kdump: the lock of port {}: {error}", listen.port)))
                .ok();
            place::claim(directory(control), listen.port, rank, lock.as_ref());
        }
        let state = match KdumpReceiver::open(listen) {
            Ok(receiver) => State::Held { receiver: receiver.into(), _link: link(control, listen.port, rank, warn) },
            Err(error) if rank > Rank::StandIn && error.is_in_use() => {
                let why = error.to_string();
                warn(&format_args!("kdump: {why}; nobody is heard here until that port is free"));
                State::Wanted { next: now + AGAIN, why, _asked: None }
            }
            Err(error) => return Err(error),
        };
        Ok(Port { listen, rank, control: control.to_owned(), lock, poll: None, state })
    }

    /// Has the poll watch the sockets, now or when there are some, with `first` and the tokens behind it.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn register(&mut self, registry: &Registry, first: Token) -> io::Result<()> {
        self.poll = Some((registry.try_clone()?, first));
        match &mut self.state {
            State::Held { receiver, .. } => receiver.register(registry, first),
            State::Wanted { .. } => Ok(()),
        }
    }

    /// The sockets, where the port is ours.
    pub fn receiver(&mut self) -> Option<&mut KdumpReceiver> {
        match &mut self.state {
            State::Held { receiver, .. } => Some(receiver),
            State::Wanted { .. } => None,
        }
    }

    /// Whether the port is ours.
    pub fn is_held(&self) -> bool {
        matches!(self.state, State::Held { .. })
    }

    /// Whether there is work that no event will announce.
    pub fn has_more(&self) -> bool {
        matches!(&self.state, State::Held { receiver, .. } if receiver.has_more())
    }

    /// When [`Port::try_again`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Held { .. } => None,
            State::Wanted { next, .. } => Some(next),
        }
    }

    /// Leaves the port to one of this rank; `false`: not to such a one.
    pub fn leave(&mut self, now: Now, to: Rank, log: &mut Log) -> bool {
        if to <= self.rank {
            return false;
        }
        if self.is_held() {
            let text = format_args!("kdump: leaves port {} to a daemon that wants it", self.listen.port);
            log.write(now, Level::Info, text);
        }
        let why = format!("port {} belongs to another listener of this host", self.listen.port);
        // Whoever asked takes it within that time, or need not have it.
        self.state = State::Wanted { next: now.boot + AGAIN, why, _asked: None };
        true
    }

    /// Tries to get the port, if it is time for that; `true`: it has become ours.
    pub fn try_again(&mut self, now: Now, log: &mut Log) -> bool {
        let State::Wanted { next, why, .. } = &mut self.state else { return false };
        if now.boot < *next {
            return false;
        }
        if let Some(lock) = &self.lock {
            // Where a stand-in has it, that one is asked to leave; see below.
            let _ = lock.try_lock_shared();
        }
        match take(self.listen, self.poll.as_ref()) {
            Ok(receiver) => {
                log.write(now, Level::Info, format_args!("kdump: listens for dumping nodes at {receiver}"));
                let mut warn = |text: &dyn Display| log.write(now, Level::Warning, format_args!("{text}"));
                let link = link(&self.control, self.listen.port, self.rank, &mut warn);
                self.state = State::Held { receiver: receiver.into(), _link: link };
                true
            }
            Err(error) => {
                let still = error.to_string();
                if *why != still {
                    log.write(now, Level::Info, format_args!("kdump: waits for its port: {still}"));
                }
                let socket = place::socket(directory(&self.control), self.listen.port);
                let asked = ask_to_leave(&socket, self.rank).ok();
                self.state = State::Wanted { next: now.boot + AGAIN, why: still, _asked: asked };
                false
            }
        }
    }
}

/// Where it listens, or why it does not.
impl Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            State::Held { receiver, .. } => receiver.fmt(f),
            State::Wanted { why, .. } => write!(f, "no port yet: {why}"),
        }
    }
}

fn take(listen: Listen, poll: Option<&(Registry, Token)>) -> io::Result<KdumpReceiver> {
    let mut receiver = KdumpReceiver::open(listen).map_err(io::Error::other)?;
    if let Some((registry, first)) = poll {
        receiver.register(registry, *first)?;
    }
    Ok(receiver)
}

/// Asks whoever is found there to leave. It never waits, neither for room in a queue nor for an answer: the next try
/// shows whether the port is free.
fn ask_to_leave(socket: &Path, rank: Rank) -> io::Result<UnixStream> {
    // Connecting does not wait for room in its queue, and there is room for a line in a new socket.
    let mut stream = control::connect(socket)?;
    stream.write_all(place::leave_line(rank).as_bytes())?;
    Ok(stream)
}

/// Lets agents find the listener whose control socket this is. That of a stand-in has the name that they look for.
fn link(control: &Path, port: u16, rank: Rank, warn: &mut dyn FnMut(&dyn Display)) -> Option<Link> {
    if rank == Rank::StandIn {
        return None;
    }
    let made = Link::make(control, port).inspect_err(|error| {
        let path = place::socket(directory(control), port);
        warn(&format_args!("{}: {error}; fence_kdump will not find this listener", path.display()));
    });
    made.ok()
}
