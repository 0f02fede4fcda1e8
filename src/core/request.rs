//! Requests of clients: authenticated, tested for repetition, handed to the ticket that they name.

use crate::attribute::is_free;
use crate::input::ClientId;
use crate::node::{Node, member_of, tag};
use crate::notice::Notice;
use crate::settings::{Name, TicketIndex, Value};
use crate::sink::{Reply, Sink, StoreAction, StoreRequest};
use crate::stamp::{Lateness, Precision, Terms};
use crate::store::Job;
use crate::ticket::AttributeJob;
use crate::time::{Millis, Now};
use crate::turn::Turn;
use crate::wire::{
    self, AttributeBody, Body, Command, DropReason, Header, LeaderField, MAX_MESSAGE, Message, Outcome, TicketBody,
};

impl Node<'_> {
    /// A client has sent a whole message.
    pub(crate) fn on_request<S: Sink>(&mut self, now: Now, client: ClientId, bytes: &[u8], sink: &mut S) {
        let refused = match wire::decode(bytes, self.settings.key.as_ref()) {
            Ok(message) => match self.admit_request(now, &message.header, bytes) {
                Ok(()) => return self.serve(now, client, &message, sink),
                Err(reason) => reason,
            },
            Err(reason) => reason,
        };
        sink.notice(Notice::RequestRefused { reason: refused });
        let mut turn = self.turn(now, sink);
        match refused.is_authentication() {
            true => turn.reply_plain(client, Outcome::AuthenticationFailed),
            false => turn.reply_no_ticket(client),
        }
    }

    /// What changes something may not be repeated (S11); all must be of our time.
    fn admit_request(&mut self, now: Now, header: &Header, bytes: &[u8]) -> Result<(), DropReason> {
        if self.settings.key.is_none() {
            return Ok(());
        }
        let skew = self.settings.max_time_skew;
        if header.stamp.after(skew) < now.wall {
            return Err(DropReason::StaleStamp);
        }
        if !changes_something(header.command) {
            return Ok(());
        }
        // No window outlives a restart. A clock that has been set back since then tells nothing.
        if header.stamp.seconds() < self.started.seconds() && now.wall >= self.started {
            return Err(DropReason::Replayed);
        }
        let member = member_of(&self.settings, header.sender).ok_or(DropReason::UnknownSender)?;
        let window = &mut self.peers[member.at()].client_window;
        let terms = Terms { late: Lateness::Harmless, precision: Precision::Second, skew, reanchor: Millis(0) };
        window.admit(header.stamp, tag(bytes), now, terms)
    }

    fn serve<S: Sink>(&mut self, now: Now, client: ClientId, message: &Message<'_>, sink: &mut S) {
        match (message.header.command, message.body) {
            (Command::ClientList, _) => sink.reply(client, Reply::TicketList),
            (Command::ClientPeers, _) => sink.reply(client, Reply::PeerList),
            (command @ (Command::ClientGrant | Command::ClientRevoke), Body::Ticket(body)) => {
                let Some(index) = self.find_ticket(body.name) else {
                    return self.turn(now, sink).reply_no_ticket(client);
                };
                let options = message.header.options;
                self.with(now, sink, index, |ticket, turn| {
                    match command {
                        Command::ClientGrant => ticket.on_grant(turn, client, options),
                        _ => ticket.on_revoke_request(turn, client, options),
                    }
                    ticket.conclude(turn);
                });
            }
            (command, Body::Attribute(body)) => {
                let Some(index) = self.find_ticket(body.ticket) else {
                    return self.turn(now, sink).reply_plain(client, Outcome::InvalidArgument);
                };
                self.serve_attribute(now, client, command, index, &body, sink);
            }
            _ => self.turn(now, sink).reply_no_ticket(client),
        }
    }

    fn serve_attribute<S: Sink>(
        &mut self,
        now: Now,
        client: ClientId,
        command: Command,
        index: TicketIndex,
        body: &AttributeBody<'_>,
        sink: &mut S,
    ) {
        let value = self.attributes.value(index, body.name).and_then(|value| Value::try_from(value).ok());
        match (command, value) {
            (Command::AttributeList, _) => sink.reply(client, Reply::AttributeList(index)),
            (Command::AttributeGet, Some(value)) => self.turn(now, sink).reply_value(client, &value),
            (Command::AttributeGet | Command::AttributeDelete, None) => {
                self.turn(now, sink).reply_plain(client, Outcome::NoSuchAttribute);
            }
            (Command::AttributeDelete, Some(_)) => self.change_attribute(now, client, index, body.name, None, sink),
            (Command::AttributeSet, _) if !is_free(body.name) => {
                self.turn(now, sink).reply_plain(client, Outcome::InvalidArgument);
            }
            (Command::AttributeSet, _) => {
                self.change_attribute(now, client, index, body.name, Some(body.value), sink);
            }
            _ => self.turn(now, sink).reply_plain(client, Outcome::InvalidArgument),
        }
    }

    /// Has the store changed first; one change of a ticket at a time.
    fn change_attribute<S: Sink>(
        &mut self,
        now: Now,
        client: ClientId,
        index: TicketIndex,
        name: &str,
        value: Option<&str>,
        sink: &mut S,
    ) {
        let text = Name::try_from(name).ok().zip(value.map(Value::try_from).transpose().ok());
        let room = value.is_none() || self.attributes.has_room(index, name);
        self.with(now, sink, index, |ticket, turn| {
            let Some((owned, kept)) = text.filter(|_| room && turn.is_site(turn.me())) else {
                return turn.reply_plain(client, Outcome::SyncFail);
            };
            // S8: what the store is to say of the ticket goes first, also where it waits to be tried again.
            let busy = ticket.store.running.is_some() || ticket.store.wanted.is_some();
            if !ticket.store.loaded || busy || ticket.attribute_job.is_some() {
                return turn.reply_plain(client, Outcome::Busy);
            }
            let number = turn.sequence.request();
            ticket.store.start(number, Job::Attribute);
            ticket.attribute_job = Some(AttributeJob { number, client, name: owned, value: kept });
            let action = match value {
                Some(value) => StoreAction::SetAttribute { name, value },
                None => StoreAction::DeleteAttribute { name },
            };
            turn.sink.store(index, StoreRequest { number, action, before: None });
        });
    }

    fn turn<'t, S>(&'t mut self, now: Now, sink: &'t mut S) -> Turn<'t, S> {
        Turn {
            now,
            settings: &self.settings,
            peers: &mut self.peers,
            stamps: &mut self.stamps,
            sequence: &mut self.sequence,
            attributes: &self.attributes,
            sink,
        }
    }
}

impl<S: Sink> Turn<'_, S> {
    /// There is no such ticket, or no such command.
    fn reply_no_ticket(&mut self, client: ClientId) {
        let header = self.plain_header(Command::Result, Outcome::InvalidArgument);
        let body = TicketBody { name: "", leader: LeaderField::Unknown, term: 0, valid_for: 0 };
        let mut bytes = [0; MAX_MESSAGE];
        let message = Message { header, body: Body::Ticket(body) };
        let length = wire::encode(&message, self.settings.key.as_ref(), &mut bytes);
        self.sink.reply(client, Reply::Message { bytes: &bytes[..length], last: true });
    }

    /// An attribute's value, as text behind a header.
    fn reply_value(&mut self, client: ClientId, value: &str) {
        let header = self.plain_header(Command::AttributeGet, Outcome::Success);
        let mut bytes = [0; MAX_MESSAGE];
        let text = value.len() + 1;
        let head = wire::encode_text_header(&header, text, self.settings.key.as_ref(), &mut bytes);
        bytes[head..head + value.len()].copy_from_slice(value.as_bytes());
        bytes[head + value.len()] = b'\n';
        self.sink.reply(client, Reply::Message { bytes: &bytes[..head + text], last: true });
    }
}

fn changes_something(command: Command) -> bool {
    matches!(command, Command::ClientGrant | Command::ClientRevoke | Command::AttributeSet | Command::AttributeDelete)
}
