//! The reference daemon (ClusterLabs booth 1.0) as a state machine, for clusters in virtual time.
//!
//! Written from its documentation, its recorded traffic and its observed behaviour, with its faults:
//! it has no journal, votes whatever `acquire-after` says, takes a validity at face value, counts its
//! lease from the arrival of the acknowledgements, and does nothing else while `crm_ticket` runs.
//! Its stamps are the second of one clock and the microsecond of another. `tests/reference.rs` shows
//! that it sends what the recordings have.
//!
//! It takes the inputs of a node and gives its outputs to the same sink, so that a world can run
//! either. Not modelled: manual tickets, handlers, prerequisites, attributes, lists. Where nothing is
//! known, the reading that endangers a ticket less is taken for its own store, and the more dangerous
//! one for its votes.

mod follower;
mod leader;
mod ticket;

use super::Dice;
use super::daemon::{Daemon, Outputs, Start};
use booth_core::input::{ClientId, Input, RequestNumber, StoreResult};
use booth_core::member::{MemberIndex, MemberKind, SiteId};
use booth_core::settings::{Settings, TicketIndex, TicketSettings, ValidityUnit};
use booth_core::sink::{Reply, Sink, StoreAction, StoreRequest, StoreTicket};
use booth_core::time::{Instant, Millis, Now, WallTime};
use booth_core::wire::{self, Body, Command, Header, LeaderField, MAX_MESSAGE, Message, Outcome, Reason, TicketBody};
use std::collections::VecDeque;
use ticket::Ticket;

/// What arrives while the daemon is busy waits in the socket, and there is an end to that.
const MOST_WAITING: usize = 200;

/// One daemon of the reference.
pub struct Reference {
    settings: Settings,
    tickets: Vec<Ticket>,
    dice: Dice,
    /// Random delays are this long instead, where set.
    pub fixed_delay: Option<Millis>,
    /// The newest stamp of each member.
    newest: Vec<WallTime>,
    requests: u32,
    /// The call of `crm_ticket` that it waits for.
    busy: Option<(TicketIndex, RequestNumber)>,
    todo: VecDeque<Work>,
    inbox: VecDeque<Arrival>,
}

/// What is still to be done about the last thing that happened.
enum Work {
    Load(TicketIndex),
    Write(TicketIndex, StoreTicket),
    Send(TicketIndex, usize, Draft),
    Reply(TicketIndex, ClientId, Outcome, bool),
}

/// What has arrived and not been looked at.
enum Arrival {
    Datagram(Vec<u8>),
    Request(ClientId, Vec<u8>),
    Gone(ClientId),
}

/// A message to be sent; its validity is read when it leaves.
#[derive(Clone, Copy)]
struct Draft {
    command: Command,
    request: Option<Command>,
    reason: Reason,
    outcome: Outcome,
    leader: LeaderField,
    term: u32,
    /// Whether it carries the time that is left.
    timed: bool,
}

impl Draft {
    fn new(command: Command, leader: LeaderField, term: u32) -> Draft {
        Draft { command, request: None, reason: Reason::None, outcome: Outcome::Success, leader, term, timed: true }
    }
}

/// What a ticket is told from a peer.
#[derive(Clone, Copy)]
struct FromPeer {
    from: usize,
    header: Header,
    /// The member named as leader.
    leader: Option<usize>,
    term: u32,
    valid: Millis,
}

/// What a ticket needs of its daemon while it decides.
struct Turn<'a> {
    now: Instant,
    wall: WallTime,
    me: usize,
    index: TicketIndex,
    settings: &'a Settings,
    dice: &'a mut Dice,
    fixed_delay: Option<Millis>,
    todo: &'a mut VecDeque<Work>,
}

impl Turn<'_> {
    fn id(&self, member: usize) -> SiteId {
        self.settings.members[member].id
    }

    fn is_site(&self) -> bool {
        self.settings.members[self.me].kind == MemberKind::Site
    }

    fn members(&self) -> usize {
        self.settings.members.len()
    }

    fn sites(&self) -> impl Iterator<Item = usize> {
        (0..self.members()).filter(|member| self.settings.members[*member].kind == MemberKind::Site)
    }

    fn send(&mut self, to: usize, draft: Draft) {
        self.todo.push_back(Work::Send(self.index, to, draft));
    }

    fn broadcast(&mut self, draft: Draft) {
        for to in (0..self.members()).filter(|to| *to != self.me) {
            self.todo.push_back(Work::Send(self.index, to, draft));
        }
    }

    fn write(&mut self, write: StoreTicket) {
        self.todo.push_back(Work::Write(self.index, write));
    }

    fn reply(&mut self, client: ClientId, outcome: Outcome, last: bool) {
        self.todo.push_back(Work::Reply(self.index, client, outcome, last));
    }

    /// The random delay before an election: up to a second, or `timeout`.
    fn delay(&mut self, timeout: Millis) -> Millis {
        self.fixed_delay.unwrap_or_else(|| Millis(self.dice.roll(timeout.0.min(1_000) + 1)))
    }
}

impl Reference {
    /// A daemon that has not started yet and remembers nothing: what there was is in its store.
    pub fn new(settings: Settings, tickets: &[TicketSettings]) -> Reference {
        Reference {
            dice: Dice::new(settings.seed),
            fixed_delay: None,
            newest: vec![WallTime(0); settings.members.len()],
            tickets: tickets.iter().map(|ticket| Ticket::new(ticket.clone(), settings.members.len())).collect(),
            settings,
            requests: 0,
            busy: None,
            todo: VecDeque::new(),
            inbox: VecDeque::new(),
        }
    }

    /// When it wakes by itself; never while it waits for its store.
    pub fn wakes_at(&self) -> Option<Instant> {
        if self.busy.is_some() {
            return None;
        }
        self.tickets.iter().filter_map(|ticket| ticket.wake(self.me())).min()
    }

    /// One input, and all that comes of it.
    pub fn take<S: Sink>(&mut self, now: Now, input: Input<'_>, sink: &mut S) {
        match input {
            Input::Started => self.started(now),
            Input::Datagram { bytes, .. } if self.inbox.len() < MOST_WAITING => {
                self.inbox.push_back(Arrival::Datagram(bytes.to_vec()));
            }
            Input::Request { client, bytes } => self.inbox.push_back(Arrival::Request(client, bytes.to_vec())),
            Input::ClientGone { client } => self.inbox.push_back(Arrival::Gone(client)),
            Input::StoreFinished { ticket, number, result } if self.busy == Some((ticket, number)) => {
                self.busy = None;
                if let StoreResult::Loaded(held) = result {
                    self.with(now, ticket, |ticket, turn| ticket.loaded(turn, held));
                }
                // A failure is logged, and that is all.
            }
            _ => {}
        }
        self.work(now, sink);
    }

    /// The program of the reference.
    pub fn start(start: Start<'_>) -> Box<dyn Daemon> {
        Box::new(Reference::new(start.settings, start.tickets))
    }

    fn me(&self) -> usize {
        self.settings.me.at()
    }

    fn started(&mut self, now: Now) {
        for at in 0..self.tickets.len() {
            let index = TicketIndex(at as u16);
            if self.settings.members[self.me()].kind == MemberKind::Site {
                self.todo.push_back(Work::Load(index));
            } else {
                self.with(now, index, |ticket, turn| ticket.loaded(turn, None));
            }
        }
    }

    fn with(&mut self, now: Now, index: TicketIndex, act: impl FnOnce(&mut Ticket, &mut Turn<'_>)) {
        let mut turn = Turn {
            now: now.boot,
            wall: now.wall,
            me: self.settings.me.at(),
            index,
            settings: &self.settings,
            dice: &mut self.dice,
            fixed_delay: self.fixed_delay,
            todo: &mut self.todo,
        };
        act(&mut self.tickets[index.at()], &mut turn);
    }

    /// Does one thing after the other until nothing is left or `crm_ticket` runs.
    fn work<S: Sink>(&mut self, now: Now, sink: &mut S) {
        while self.busy.is_none() {
            if let Some(work) = self.todo.pop_front() {
                self.perform(now, work, sink);
            } else if let Some(at) = (0..self.tickets.len()).find(|at| self.is_due(*at, now.boot)) {
                self.with(now, TicketIndex(at as u16), Ticket::fire);
            } else if let Some(arrival) = self.inbox.pop_front() {
                match arrival {
                    Arrival::Datagram(bytes) => self.datagram(now, &bytes),
                    Arrival::Request(client, bytes) => self.request(now, client, &bytes),
                    Arrival::Gone(client) => self.tickets.iter_mut().for_each(|ticket| ticket.forget(client)),
                }
            } else {
                break;
            }
        }
    }

    fn is_due(&self, at: usize, now: Instant) -> bool {
        self.tickets[at].wake(self.me()).is_some_and(|wake| wake <= now)
    }

    fn perform<S: Sink>(&mut self, now: Now, work: Work, sink: &mut S) {
        match work {
            Work::Load(ticket) => self.store(ticket, StoreAction::Load, sink),
            Work::Write(ticket, write) => self.store(ticket, StoreAction::Write(write), sink),
            Work::Send(ticket, to, draft) => {
                let bytes = self.encode(now, ticket, &draft);
                sink.send(ticket, MemberIndex(to as u8), &bytes);
            }
            Work::Reply(ticket, client, outcome, last) => {
                let of = &self.tickets[ticket.at()];
                let leader = self.leader_field(of.named());
                let draft = Draft { outcome, ..Draft::new(Command::Result, leader, of.term) };
                sink.reply(client, Reply::Message { bytes: &self.encode(now, ticket, &draft), last });
            }
        }
    }

    fn store<S: Sink>(&mut self, ticket: TicketIndex, action: StoreAction<'_>, sink: &mut S) {
        self.requests += 1;
        let number = RequestNumber(self.requests);
        self.busy = Some((ticket, number));
        sink.store(ticket, StoreRequest { number, action, before: None });
    }

    fn leader_field(&self, member: Option<usize>) -> LeaderField {
        member.map_or(LeaderField::Nobody, |member| LeaderField::Member(self.settings.members[member].id))
    }

    fn encode(&self, now: Now, ticket: TicketIndex, draft: &Draft) -> Vec<u8> {
        let of = &self.tickets[ticket.at()];
        let left = if draft.timed { of.expires.since(now.boot) } else { Millis(0) };
        // Some microseconds have always passed since it was set.
        let left = left.0.saturating_sub(1);
        let valid_for = match self.settings.unit {
            ValidityUnit::Seconds => left / 1000,
            ValidityUnit::Milliseconds => left,
        };
        let header = Header {
            stamp: WallTime(now.wall.seconds() * 1_000_000 + now.boot.0 % 1000 * 1000),
            sender: self.settings.members[self.me()].id,
            command: draft.command,
            request: draft.request,
            options: 0,
            reason: draft.reason,
            outcome: draft.outcome,
        };
        let name = of.settings.name.as_str();
        let body = TicketBody { name, leader: draft.leader, term: draft.term, valid_for: valid_for as u32 };
        let mut bytes = [0; MAX_MESSAGE];
        let message = Message { header, body: Body::Ticket(body) };
        let length = wire::encode(&message, self.settings.key.as_ref(), &mut bytes);
        bytes[..length].to_vec()
    }

    // ---- what arrives ------------------------------------------------------------------------

    fn find(&self, name: &str) -> Option<TicketIndex> {
        let at = self.tickets.iter().position(|ticket| ticket.settings.name == name)?;
        Some(TicketIndex(at as u16))
    }

    fn member(&self, id: SiteId) -> Option<usize> {
        self.settings.members.iter().position(|member| member.id == id)
    }

    fn datagram(&mut self, now: Now, bytes: &[u8]) {
        let Ok(message) = wire::decode(bytes, self.settings.key.as_ref()) else { return };
        let Body::Ticket(body) = message.body else { return };
        let header = message.header;
        let from = self.member(header.sender).filter(|from| *from != self.me());
        let (Some(from), Some(index)) = (from, self.find(body.name)) else { return };
        // Newer than the last one, or not too old: so whatever was recorded is taken for ten minutes.
        let fresh = header.stamp > self.newest[from] || header.stamp.after(self.settings.max_time_skew) >= now.wall;
        if self.settings.key.is_some() && !fresh {
            return;
        }
        self.newest[from] = header.stamp;
        let leader = match body.leader {
            LeaderField::Member(id) => match self.member(id) {
                None => return,
                known => known,
            },
            _ => None,
        };
        let valid = match self.settings.unit {
            ValidityUnit::Seconds => Millis(u64::from(body.valid_for) * 1000),
            ValidityUnit::Milliseconds => Millis(u64::from(body.valid_for)),
        };
        let message = FromPeer { from, header, leader, term: body.term, valid };
        self.with(now, index, |ticket, turn| ticket.receive(turn, &message));
    }

    fn request(&mut self, now: Now, client: ClientId, bytes: &[u8]) {
        let Ok(message) = wire::decode(bytes, self.settings.key.as_ref()) else { return };
        let Body::Ticket(body) = message.body else { return };
        let Some(index) = self.find(body.name) else { return };
        match message.header.command {
            Command::ClientGrant => {
                let options = message.header.options;
                self.with(now, index, |ticket, turn| ticket.grant(turn, client, options));
            }
            Command::ClientRevoke => self.with(now, index, |ticket, turn| ticket.revoke(turn, client)),
            _ => {}
        }
    }
}

impl Daemon for Reference {
    fn step(&mut self, now: Now, input: Input<'_>, out: &mut Outputs) {
        self.take(now, input, out);
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.wakes_at()
    }
}
