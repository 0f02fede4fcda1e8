//! A request: encoded, sent to a member, answered.

use super::connection::{Answer, Connection, Fault, Patience};
use super::{Client, Failure};
use crate::clock;
use crate::config::Member;
use booth_core::settings::{MAX_NAME, MAX_VALUE};
use booth_core::wire::{
    self, AttributeBody, Body, Command, Header, LeaderField, MAX_MESSAGE, Message, Outcome, Reason, TRAILER_LEN,
    TicketBody,
};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// `options` of a request: grant although not all sites can be asked (`-F`).
pub(super) const IMMEDIATE: u32 = 1;
/// `options` of a request: the client waits for the outcome (`-w`).
pub(super) const WAIT: u32 = 2;
/// `options` of a request: the client waits until the store has it (`-C`).
pub(super) const WAIT_FOR_COMMIT: u32 = 4;

/// How long to wait before a busy daemon is asked again.
const BUSY_PAUSE: Duration = Duration::from_millis(100);

/// A daemon that is busy with a ticket is asked again for a while: after its start it is until all
/// members have told what they know, which takes a `timeout` at most.
pub(super) struct Busy {
    since: Instant,
    patience: Patience,
}

impl Busy {
    /// Gives a daemon two such spans; `None`: as long as it takes.
    pub(super) fn until(timeout: Patience) -> Busy {
        Busy { since: Instant::now(), patience: timeout.map(|timeout| timeout * 2) }
    }

    /// Waits a little, or fails when it has taken too long.
    pub(super) fn pause(&mut self, member: &Member, ticket: &str) -> Result<(), Failure> {
        if self.patience.is_some_and(|patience| self.since.elapsed() >= patience) {
            let text = format!("{} is busy with ticket \"{ticket}\"; try again", member.address);
            return Err(Failure::Refused(text));
        }
        std::thread::sleep(BUSY_PAUSE);
        Ok(())
    }
}

/// A question to a daemon.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) command: Command,
    pub(super) options: u32,
    pub(super) body: Body<'a>,
}

impl<'a> Question<'a> {
    /// A question about a ticket, or, with an empty name, about all.
    pub(super) fn about_ticket(command: Command, ticket: &'a str, options: u32) -> Question<'a> {
        let body = TicketBody { name: ticket, leader: LeaderField::Unknown, term: 0, valid_for: 0 };
        Question { command, options, body: Body::Ticket(body) }
    }

    /// A question about an attribute.
    pub(super) fn about_attribute(command: Command, ticket: &'a str, name: &'a str, value: &'a str) -> Question<'a> {
        Question { command, options: 0, body: Body::Attribute(AttributeBody { ticket, name, value }) }
    }

    /// Whether the answer is text. Even without a key the reference sends a trailer then, and its
    /// daemon reads one.
    fn is_answered_with_text(&self) -> bool {
        matches!(
            self.command,
            Command::ClientList | Command::ClientPeers | Command::AttributeGet | Command::AttributeList
        )
    }

    /// Whether every text fits its field; the encoder relies on it.
    fn fits(&self) -> bool {
        match &self.body {
            Body::Empty => true,
            Body::Ticket(body) => body.name.len() <= MAX_NAME,
            Body::Attribute(body) => {
                body.ticket.len() <= MAX_NAME && body.name.len() <= MAX_NAME && body.value.len() <= MAX_VALUE
            }
        }
    }
}

impl<'a> Client<'a> {
    /// Sends a question to a member; the connection brings the answers.
    pub(super) fn ask(
        &self,
        member: &Member,
        question: &Question<'_>,
        timeout: Duration,
    ) -> Result<Connection<'_>, Failure> {
        if !question.fits() {
            return Err(Failure::Refused("the request has a name or a value that is too long".into()));
        }
        let mut bytes = [0; MAX_MESSAGE];
        let mut length = wire::encode(&self.message(member, question), self.key.as_ref(), &mut bytes);
        if self.key.is_none() && question.is_answered_with_text() {
            length += TRAILER_LEN;
        }
        let address = SocketAddr::new(member.address, self.config.port);
        Connection::open(address, member.id, self.key.as_ref(), timeout)
            .and_then(|mut connection| connection.send(&bytes[..length]).map(|()| connection))
            .map_err(|fault| failure(member, fault))
    }

    /// Asks a member for the one answer that there will be.
    pub(super) fn answer(
        &self,
        member: &Member,
        question: &Question<'_>,
        timeout: Duration,
    ) -> Result<Answer, Failure> {
        let mut connection = self.ask(member, question, timeout)?;
        connection.receive(Some(timeout)).map_err(|fault| failure(member, fault))
    }

    fn message<'q>(&self, member: &Member, question: &Question<'q>) -> Message<'q> {
        // A daemon takes requests from members only. Far from all of them, we speak for the one asked.
        let sender = self.me.as_ref().map_or(member.id, |me| me.id);
        let header = Header {
            stamp: clock::read().wall,
            sender,
            command: question.command,
            request: None,
            options: question.options,
            reason: Reason::None,
            outcome: Outcome::Success,
        };
        Message { header, body: question.body }
    }
}

/// The failure of a member to answer.
pub(super) fn failure(member: &Member, fault: Fault) -> Failure {
    Failure::Fault { site: member.address.to_string(), fault }
}
