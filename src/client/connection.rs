//! One connection to a daemon: opened, written and read within a time limit.
//!
//! What comes out of it has a good MAC where there is a key, and comes from the member that was
//! asked; whatever a daemon sends, nothing is believed about its length before it is there.

use crate::counters;
use booth_core::member::SiteId;
use booth_core::wire::mac::Key;
use booth_core::wire::{self, Body, DropReason, HEADER_LEN, Header, LeaderField, MAX_MESSAGE, ReplyFrame};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Why a daemon could not be asked or was not understood.
#[derive(Debug)]
pub(super) enum Fault {
    /// No connection within this time.
    ConnectTimeout(Duration),
    /// No connection.
    Connect(io::Error),
    /// Connected, but no answer within this time.
    Silent(Duration),
    /// It closed the connection before it had answered.
    Closed,
    /// The connection broke.
    Broken(io::Error),
    /// It does not accept our key, or its answer is not signed with ours.
    NotAuthenticated,
    /// Its answer is none of the booth protocol.
    NotUnderstood(DropReason),
    /// Its answer is signed by another member.
    SomebodyElse,
}

/// How long to wait for the next answer; `None`: for ever.
pub(super) type Patience = Option<Duration>;

/// A daemon's answer.
#[derive(Debug)]
pub(super) enum Answer {
    /// A message with its outcome, and the `leader` of its body.
    Result { header: Header, leader: LeaderField },
    /// Text.
    Text(String),
}

/// A connection to the daemon of one member.
pub(super) struct Connection<'k> {
    stream: TcpStream,
    key: Option<&'k Key>,
    member: SiteId,
}

impl<'k> Connection<'k> {
    /// Connects to a member.
    pub(super) fn open(
        address: SocketAddr,
        member: SiteId,
        key: Option<&'k Key>,
        timeout: Duration,
    ) -> Result<Connection<'k>, Fault> {
        let stream = TcpStream::connect_timeout(&address, timeout).map_err(|error| match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Fault::ConnectTimeout(timeout),
            _ => Fault::Connect(error),
        })?;
        stream.set_write_timeout(Some(timeout)).map_err(Fault::Broken)?;
        Ok(Connection { stream, key, member })
    }

    /// Sends a request.
    pub(super) fn send(&mut self, request: &[u8]) -> Result<(), Fault> {
        self.stream.write_all(request).map_err(Fault::Broken)
    }

    /// Waits for the next answer.
    pub(super) fn receive(&mut self, patience: Patience) -> Result<Answer, Fault> {
        let limit = Limit { patience, since: Instant::now() };
        let mut bytes = [0; MAX_MESSAGE];
        self.read(&mut bytes[..HEADER_LEN], &limit)?;
        match wire::reply_frame(&bytes[..HEADER_LEN]).map_err(Fault::NotUnderstood)? {
            ReplyFrame::Message(length) => {
                let message = bytes.get_mut(..length).ok_or(Fault::NotUnderstood(DropReason::BadLength))?;
                self.read(&mut message[HEADER_LEN..], &limit)?;
                self.result(message)
            }
            ReplyFrame::Text { header, text } => {
                let head = bytes.get_mut(..header).ok_or(Fault::NotUnderstood(DropReason::BadLength))?;
                self.read(&mut head[HEADER_LEN..], &limit)?;
                let (verified, _) = wire::decode_text_header(head, self.key).map_err(Fault::of)?;
                self.check_sender(&verified)?;
                self.text(text, &limit).map(Answer::Text)
            }
        }
    }

    fn result(&self, bytes: &[u8]) -> Result<Answer, Fault> {
        let message = wire::decode(bytes, self.key).map_err(Fault::of)?;
        self.check_sender(&message.header)?;
        let leader = match message.body {
            Body::Ticket(body) => body.leader,
            _ => LeaderField::Unknown,
        };
        Ok(Answer::Result { header: message.header, leader })
    }

    /// A signed answer must be the asked member's own; one that another has signed was replayed.
    fn check_sender(&self, header: &Header) -> Result<(), Fault> {
        if self.key.is_some() && header.sender != self.member { Err(Fault::SomebodyElse) } else { Ok(()) }
    }

    /// Reads `length` bytes of text; memory grows with what arrives.
    fn text(&mut self, length: usize, limit: &Limit) -> Result<String, Fault> {
        const CHUNK: usize = 4096;
        let mut text = Vec::new();
        while text.len() < length {
            let start = text.len();
            text.resize(start + CHUNK.min(length - start), 0);
            self.read(&mut text[start..], limit)?;
        }
        while text.last() == Some(&0) {
            text.pop();
        }
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn read(&mut self, mut room: &mut [u8], limit: &Limit) -> Result<(), Fault> {
        while !room.is_empty() {
            self.stream.set_read_timeout(limit.left()?).map_err(Fault::Broken)?;
            match self.stream.read(room) {
                Ok(0) => return Err(Fault::Closed),
                Ok(count) => room = &mut room[count..],
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(error) => return Err(Fault::Broken(error)),
            }
        }
        Ok(())
    }
}

/// When an answer must be complete.
struct Limit {
    patience: Patience,
    since: Instant,
}

impl Limit {
    /// The time left, for a socket option: never zero, which would mean for ever.
    fn left(&self) -> Result<Option<Duration>, Fault> {
        let Some(patience) = self.patience else { return Ok(None) };
        match patience.checked_sub(self.since.elapsed()) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(Fault::Silent(patience)),
        }
    }
}

impl Fault {
    fn of(reason: DropReason) -> Fault {
        if reason.is_authentication() { Fault::NotAuthenticated } else { Fault::NotUnderstood(reason) }
    }

    /// The message to the user: who it was, and what to look at.
    pub(super) fn describe(&self, site: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::ConnectTimeout(limit) => {
                write!(f, "connect to {site} got a timeout: no answer within {}", Seconds(*limit))
            }
            Fault::Connect(error) => {
                write!(f, "connect to {site} got an error: {}", plain(error))?;
                let refused = error.kind() == ErrorKind::ConnectionRefused;
                f.write_str(if refused { "; does boothd run there, with this port?" } else { "" })
            }
            Fault::Silent(limit) => write!(f, "{site} has not answered within {}", Seconds(*limit)),
            Fault::Closed => write!(f, "{site} closed the connection without an answer"),
            Fault::Broken(error) => write!(f, "connection to {site} broke: {}", plain(error)),
            Fault::NotAuthenticated => {
                write!(f, "{site}: failed to authenticate; is the authfile the same there and here?")
            }
            Fault::NotUnderstood(reason) => {
                write!(f, "{site}: the answer is none of booth's ({})", counters::words(*reason))
            }
            Fault::SomebodyElse => write!(f, "{site}: the answer is signed by another member; who answers there?"),
        }
    }
}

/// A span in a message, `5s` or `1.200s`.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_secs(), self.0.subsec_millis()) {
            (seconds, 0) => write!(f, "{seconds}s"),
            (0, millis) => write!(f, "{millis}ms"),
            (seconds, millis) => write!(f, "{seconds}.{millis:03}s"),
        }
    }
}

/// An error's text as `strerror` has it, without Rust's "(os error N)".
fn plain(error: &io::Error) -> String {
    let mut text = error.to_string();
    if error.raw_os_error().is_some()
        && let Some(end) = text.rfind(" (os error ")
    {
        text.truncate(end);
    }
    text
}
