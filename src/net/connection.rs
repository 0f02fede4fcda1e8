//! One client's connection, from its request to the close behind the answer.
//!
//! Invariants: at most one request is read and never more than [`Requests::longest`] bytes are kept;
//! every state but [`State::Asked`] ends by [`Connection::deadline`] at the latest; what comes behind
//! the request is read and dropped, so that the close does not become a reset that eats the answer.

use super::stream::Stream;
use booth_core::time::{Instant, Millis};
use booth_core::wire::MAX_MESSAGE;
use std::io::{ErrorKind, Read, Write};
use std::net::IpAddr;

/// The longest request of booth's clients, in bytes; so much is kept for each connection, and more on demand.
pub const LONGEST_REQUEST: usize = MAX_MESSAGE;
/// How long a client may take to send its request.
pub const REQUEST_LIMIT: Millis = Millis(5_000);
/// How long a client may take to read its answer.
pub const ANSWER_LIMIT: Millis = Millis(30_000);
/// How long its close is waited for behind the answer.
pub const LINGER_LIMIT: Millis = Millis(2_000);
/// How much surplus is read and dropped before a client is cut off.
pub const SURPLUS_LIMIT: usize = 64 << 10;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its request is not whole yet.
    Reading,
    /// Its request is whole, or will never be good: it waits to be taken.
    Ready,
    /// Its request was taken; the answer is not complete yet.
    Asked,
    /// Its last answer is being written.
    Answering,
    /// All is written; the other end has not closed yet.
    Lingering,
    /// To be dropped.
    Closed,
}

/// What the bytes at the start of a stream are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Not a whole request yet.
    Partial,
    /// A request of this length.
    Whole(usize),
    /// Nothing that will ever be a request, as so many bytes show; to be answered at once, if at all.
    Bad(usize),
}

/// The requests that a listener takes.
#[derive(Clone, Copy, Debug)]
pub struct Requests {
    /// How they are told apart.
    pub framing: fn(&[u8]) -> Framing,
    /// The longest, in bytes.
    pub longest: usize,
}

/// A client's connection.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    /// Its number among all connections of the process.
    pub serial: u64,
    /// Where it comes from; `None` for the control socket.
    pub source: Option<IpAddr>,
    /// Where it stands.
    pub state: State,
    /// When it is given up.
    pub deadline: Instant,
    /// Whether its request is in the node's hands.
    pub asked: bool,
    request: Vec<u8>,
    bad: bool,
    /// Behind a request that was taken there may be more, or the close: no event will tell again.
    unread: bool,
    surplus: usize,
    written: usize,
}

impl Connection {
    /// A connection that has just been accepted.
    pub fn new(stream: Stream, serial: u64, source: Option<IpAddr>, now: Instant) -> Connection {
        Connection {
            stream,
            serial,
            source,
            state: State::Reading,
            deadline: now + REQUEST_LIMIT,
            asked: false,
            request: Vec::new(),
            bad: false,
            unread: false,
            surplus: 0,
            written: 0,
        }
    }

    /// Keeps its request in this memory.
    pub fn lend(&mut self, memory: Vec<u8>) {
        self.request = memory;
    }

    /// Gives the memory back for another connection: no more of it than most requests need.
    pub fn give_back(&mut self) -> Vec<u8> {
        let mut memory = std::mem::take(&mut self.request);
        memory.clear();
        memory.shrink_to(LONGEST_REQUEST);
        memory
    }

    /// The stream, to be watched.
    pub fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// Reads what has come, up to the end of the request, or drops what follows it.
    pub fn read(&mut self, requests: Requests) {
        while self.state == State::Reading {
            let mut buffer = [0; LONGEST_REQUEST];
            let room = requests.longest - self.request.len();
            match self.stream.read(&mut buffer[..room.min(LONGEST_REQUEST)]) {
                Ok(0) => self.state = State::Closed,
                Ok(count) => {
                    // No more was read than there is room for.
                    self.request.extend_from_slice(&buffer[..count]);
                    self.frame(requests);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.state = State::Closed,
            }
        }
        if self.state != State::Ready {
            self.drop_surplus();
        }
    }

    fn frame(&mut self, requests: Requests) {
        match (requests.framing)(&self.request) {
            Framing::Whole(length) if length <= self.request.len() => {
                self.request.truncate(length);
                self.state = State::Ready;
            }
            Framing::Partial | Framing::Whole(_) if self.request.len() < requests.longest => {}
            framing => {
                // The answer must not depend on how much more has come by chance.
                if let Framing::Bad(length) = framing {
                    self.request.truncate(length);
                }
                self.bad = true;
                self.state = State::Ready;
            }
        }
    }

    /// Reads and drops what follows the request, and notices the other end's close.
    fn drop_surplus(&mut self) {
        let mut buffer = [0; 1024];
        while self.state != State::Closed {
            match self.stream.read(&mut buffer) {
                // Still to be written to, perhaps; a close on both sides shows at the next write.
                Ok(0) if self.state == State::Answering => return,
                Ok(0) => self.state = State::Closed,
                Ok(count) => {
                    self.surplus += count;
                    if self.surplus > SURPLUS_LIMIT {
                        self.state = State::Closed;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.state = State::Closed,
            }
        }
    }

    /// The request, once; `false` beside it: it can never be a good one.
    pub fn take_request(&mut self, deadline: Instant) -> Option<(&[u8], bool)> {
        if self.state != State::Ready {
            return None;
        }
        self.state = State::Asked;
        self.asked = true;
        self.unread = true;
        self.deadline = deadline;
        Some((&self.request, !self.bad))
    }

    /// No answer but what is in `output` will come.
    pub fn finish(&mut self, now: Instant) {
        if self.state == State::Asked {
            self.asked = false;
            self.state = State::Answering;
            self.deadline = now + ANSWER_LIMIT;
        }
    }

    /// Writes what the other end takes of `output`, and closes behind the last of it.
    pub fn write(&mut self, output: &mut Vec<u8>, now: Instant) {
        while self.written < output.len() && matches!(self.state, State::Asked | State::Answering) {
            match self.stream.write(&output[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.state = State::Closed,
            }
        }
        output.clear();
        self.written = 0;
        if self.state == State::Answering {
            self.state = if self.stream.finish().is_ok() { State::Lingering } else { State::Closed };
            self.deadline = now + LINGER_LIMIT;
            self.unread = true;
        }
        if self.unread && matches!(self.state, State::Asked | State::Lingering) {
            self.unread = false;
            self.drop_surplus();
        }
    }
}
