//! Administrators at their clients: what they ask for, what they are answered.

use super::daemon::Outputs;
use super::{Waiting, World, address};
use booth_core::input::{ClientId, Input};
use booth_core::member::SiteId;
use booth_core::time::WallTime;
use booth_core::wire::{self, Body, Command, Header, LeaderField, MAX_MESSAGE, Message, Outcome, Reason, TicketBody};

/// The client's flag `-F`: the grant does not wait for members that do not answer.
pub const FORCE: u32 = 1;

impl World {
    /// A client's request to a member: grant, revoke. Gives the client's number.
    pub fn ask(&mut self, host: usize, command: Command, ticket: &str, options: u32) -> u64 {
        if let Some(at) = self.plan.tickets.iter().position(|known| known.name == ticket) {
            if command == Command::ClientRevoke {
                self.wanted.remove(&at);
                let newest = self.newest_term(at);
                self.given_up.insert(at, newest);
            }
            if command == Command::ClientGrant && options & FORCE != 0 {
                self.forced.insert(at);
            }
        }
        let bytes = self.request(host, command, ticket, options);
        self.hand_over(host, &bytes)
    }

    /// What a client on a member's host would send now.
    pub fn request(&self, host: usize, command: Command, ticket: &str, options: u32) -> Vec<u8> {
        let header = Header {
            stamp: if self.plan.key { WallTime(self.clock(host).wall.0 + self.clients + 1) } else { WallTime(0) },
            sender: SiteId::of_address(&address(host)),
            command,
            request: None,
            options,
            reason: Reason::None,
            outcome: Outcome::Success,
        };
        let body = TicketBody { name: ticket, leader: LeaderField::Unknown, term: 0, valid_for: 0 };
        let mut bytes = [0; MAX_MESSAGE];
        let length = wire::encode(&Message { header, body: Body::Ticket(body) }, self.key.as_ref(), &mut bytes);
        bytes[..length].to_vec()
    }

    /// Hands a request to a member. Gives the client's number.
    pub fn hand_over(&mut self, host: usize, request: &[u8]) -> u64 {
        self.clients += 1;
        let client = self.clients;
        let message = wire::decode(request, self.key.as_ref()).unwrap();
        let ticket = match message.body {
            Body::Ticket(body) => self.ticket_named(body.name),
            Body::Empty | Body::Attribute(_) => None,
        };
        self.waiting.insert(client, Waiting { host, command: message.header.command, ticket });
        self.input(host, Input::Request { client: ClientId(client), bytes: request });
        client
    }

    pub fn grant(&mut self, host: usize, ticket: &str) -> u64 {
        self.ask(host, Command::ClientGrant, ticket, 0)
    }

    pub fn revoke(&mut self, host: usize, ticket: &str) -> u64 {
        self.ask(host, Command::ClientRevoke, ticket, 0)
    }

    /// A client closes its connection.
    pub fn hang_up(&mut self, client: u64) {
        let waiting = self.waiting.get(&client).copied();
        if let Some(waiting) = waiting.filter(|waiting| !self.hosts[waiting.host].frozen) {
            self.input(waiting.host, Input::ClientGone { client: ClientId(client) });
            self.waiting.remove(&client);
        }
    }

    /// Clients that wait for an answer.
    pub fn waiting(&self) -> Vec<u64> {
        self.waiting.keys().copied().collect()
    }

    /// Clients that wait for an answer about this ticket.
    pub fn waiting_for(&self, ticket: usize) -> usize {
        self.waiting.values().filter(|waiting| waiting.ticket == Some(ticket)).count()
    }

    /// The newest answer that a client has had.
    pub fn answer(&self, client: u64) -> Option<Outcome> {
        self.replies.iter().rev().find(|(to, _, _)| *to == client).map(|(_, outcome, _)| *outcome)
    }

    /// What a daemon answers its clients.
    pub(super) fn answer_clients(&mut self, host: usize, out: &Outputs) {
        for (client, bytes, last) in &out.replies {
            let message = wire::decode(out.bytes(bytes), self.key.as_ref()).unwrap();
            let outcome = message.header.outcome;
            let more = if *last { "" } else { " ..." };
            self.say(host, format_args!("answers client {}: {outcome:?}{more}", client.0));
            self.check_answer(host, client.0, &message, *last);
            if *last {
                self.waiting.remove(&client.0);
            }
            self.replies.push((client.0, outcome, *last));
        }
    }
}
