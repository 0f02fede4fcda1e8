//! What the core wants done, until it is done: the daemon's [`Sink`].
//!
//! The sink only enqueues, into queues of fixed size. [`Outbox::flush`] does what is queued at the end
//! of each turn of the event loop, in this order: revokes and the last resort, which wait for no disk
//! (S0, S8); journal records with one fdatasync; datagrams, but not those of a ticket whose record has
//! failed (S1, S2); the other requests to stores, and handlers; answers to clients; log. A queue that is
//! full in the middle of a step is flushed on the spot, in the same order, so nothing is lost however
//! much one step does.

use crate::config::{Member, Ticket};
use crate::counters::Counters;
use crate::handler::Handlers;
use crate::journal::Journal;
use crate::log::{Level, Log, limit};
use crate::log_lines::{self, Names};
use crate::net::client::{Clients, Text};
use crate::net::peer::PeerSender;
use crate::store::Store;
use booth_core::input::{ClientId, RequestNumber};
use booth_core::member::{MAX_MEMBERS, MemberIndex};
use booth_core::notice::Notice;
use booth_core::settings::{MAX_TICKETS, Name, TicketIndex, Value};
use booth_core::sink::{HandlerKind, HandlerRequest, Record, Reply, Sink, StoreAction, StoreRequest, StoreTicket};
use booth_core::time::{Instant, Now};
use std::sync::Arc;

/// How many records, requests or notices are queued before they are seen to.
const QUEUE: usize = 64;
/// The longest log line that is kept at hand.
const LINE: usize = 512;

/// All that the daemon can do to the outside, with what is waiting to be done.
#[derive(Debug)]
pub struct Outbox {
    /// When the turn began.
    pub now: Now,
    /// Where datagrams to members go.
    pub peers: PeerSender,
    /// Clients over TCP.
    pub clients: Clients,
    /// Where tickets are written; arbitrators have none.
    pub store: Option<Store>,
    /// The tickets' programs, by the number of their kind: none waits behind those of another.
    pub handlers: [Handlers; HandlerKind::ALL.len()],
    /// The log.
    pub log: Log,
    /// What has been counted.
    pub counters: Counters,
    journal: Journal,
    members: Arc<[Member]>,
    tickets: Arc<[Ticket]>,
    records: Vec<(TicketIndex, Record)>,
    requests: Vec<(TicketIndex, Request)>,
    notices: Vec<Notice>,
    line: String,
    /// Tickets whose record has failed and whose node does not know yet.
    unrecorded: TicketSet,
    /// Datagrams that were not sent and that the node does not know of yet.
    unsent: [u32; MAX_MEMBERS],
}

/// A request to a store or a handler, kept until the end of the turn.
#[derive(Clone, Debug)]
enum Request {
    Load(RequestNumber),
    Write(RequestNumber, StoreTicket, Option<Instant>),
    SetAttribute(RequestNumber, Name, Value),
    DeleteAttribute(RequestNumber, Name),
    Handler(HandlerRequest),
}

impl Request {
    fn is_revoke(&self) -> bool {
        matches!(self, Request::Write(_, StoreTicket { granted: false, .. }, _))
    }

    /// Whether it ends a grant, which promises nothing that the journal must know first.
    fn waits_for_no_disk(&self) -> bool {
        self.is_revoke() || matches!(self, Request::Handler(HandlerRequest { kind: HandlerKind::StuckRevoke, .. }))
    }
}

/// A set of tickets.
#[derive(Debug)]
struct TicketSet {
    bits: Box<[u64; MAX_TICKETS / 64]>,
    count: usize,
}

impl TicketSet {
    fn contains(&self, ticket: TicketIndex) -> bool {
        self.count > 0 && self.bits[ticket.at() / 64] & 1 << (ticket.at() % 64) != 0
    }

    fn insert(&mut self, ticket: TicketIndex) {
        if !self.contains(ticket) {
            self.bits[ticket.at() / 64] |= 1 << (ticket.at() % 64);
            self.count += 1;
        }
    }

    fn take_first(&mut self) -> Option<TicketIndex> {
        if self.count == 0 {
            return None;
        }
        let at = self.bits.iter().position(|word| *word != 0)?;
        let bit = self.bits[at].trailing_zeros() as usize;
        self.bits[at] &= !(1 << bit);
        self.count -= 1;
        Some(TicketIndex((at * 64 + bit) as u16))
    }
}

/// What an [`Outbox`] is made of.
#[derive(Debug)]
pub struct Parts {
    /// See [`Outbox::peers`].
    pub peers: PeerSender,
    /// See [`Outbox::clients`].
    pub clients: Clients,
    /// See [`Outbox::store`].
    pub store: Option<Store>,
    /// See [`Outbox::handlers`].
    pub handlers: [Handlers; HandlerKind::ALL.len()],
    /// See [`Outbox::log`].
    pub log: Log,
    /// Where votes and promises are written.
    pub journal: Journal,
    /// Of the configuration, for names in the log.
    pub members: Arc<[Member]>,
    /// Of the configuration, for names in the log.
    pub tickets: Arc<[Ticket]>,
}

impl Outbox {
    /// An outbox in which nothing waits.
    pub fn new(parts: Parts, now: Now) -> Outbox {
        let Parts { peers, clients, store, handlers, log, journal, members, tickets } = parts;
        Outbox {
            now,
            peers,
            clients,
            store,
            handlers,
            log,
            counters: Counters::default(),
            journal,
            members,
            tickets,
            records: Vec::with_capacity(QUEUE),
            requests: Vec::with_capacity(QUEUE),
            notices: Vec::with_capacity(QUEUE),
            line: String::with_capacity(LINE),
            unrecorded: TicketSet { bits: Box::new([0; MAX_TICKETS / 64]), count: 0 },
            unsent: [0; MAX_MEMBERS],
        }
    }

    /// Does all that is queued.
    pub fn flush(&mut self) {
        self.hand_over_requests(Request::waits_for_no_disk);
        self.write_records();
        let (unrecorded, unsent) = (&self.unrecorded, &mut self.unsent);
        self.peers.flush(|ticket| unrecorded.contains(ticket), |member| unsent[member.at()] += 1);
        self.hand_over_requests(|_| true);
        self.clients.flush(self.now.boot);
        self.write_log();
    }

    /// How many tickets [`Outbox::next_unrecorded`] would name.
    pub fn unrecorded(&self) -> usize {
        self.unrecorded.count
    }

    /// The next ticket whose record could not be written: the node is to be told.
    pub fn next_unrecorded(&mut self) -> Option<TicketIndex> {
        self.unrecorded.take_first()
    }

    /// The next member that a datagram could not be sent to: the node is to be told.
    pub fn next_unsent(&mut self) -> Option<MemberIndex> {
        let at = self.unsent.iter().position(|count| *count > 0)?;
        self.unsent[at] -= 1;
        Some(MemberIndex(at as u8))
    }

    fn write_records(&mut self) {
        if self.records.is_empty() {
            return;
        }
        let mut error = None;
        let mut staged = 0;
        for (ticket, record) in self.records.iter() {
            match self.journal.stage(*ticket, record) {
                Ok(()) => staged += 1,
                Err(failure) => {
                    self.unrecorded.insert(*ticket);
                    error = Some(failure);
                }
            }
        }
        if staged > 0
            && let Err(failure) = self.journal.sync()
        {
            // None of them may be relied on.
            self.records.iter().for_each(|(ticket, _)| self.unrecorded.insert(*ticket));
            (staged, error) = (0, Some(failure));
        }
        self.counters.records += staged as u64;
        self.counters.record_failures += (self.records.len() - staged) as u64;
        self.records.clear();
        if let Some(error) = error {
            self.log.provoked(self.now, Level::Error, "journal", format_args!("{error}"));
        }
    }

    /// Hands over those that are `due`, in their order.
    fn hand_over_requests(&mut self, due: fn(&Request) -> bool) {
        let now = self.now.boot;
        for (ticket, request) in self.requests.extract_if(.., |(_, request)| due(request)) {
            let mut before = None;
            let (number, action) = match &request {
                Request::Handler(request) => {
                    self.handlers[request.kind as usize].run(now, ticket, *request);
                    continue;
                }
                Request::Load(number) => (*number, StoreAction::Load),
                Request::Write(number, state, latest) => {
                    before = *latest;
                    (*number, StoreAction::Write(*state))
                }
                Request::SetAttribute(number, name, value) => (*number, StoreAction::SetAttribute { name, value }),
                Request::DeleteAttribute(number, name) => (*number, StoreAction::DeleteAttribute { name }),
            };
            if let Some(store) = &mut self.store {
                store.request(now, ticket, StoreRequest { number, action, before });
            }
        }
    }

    fn write_log(&mut self) {
        let names = Names { members: &self.members, tickets: &self.tickets, now: self.now };
        // All tickets may change at once, and nobody need have meant harm.
        let every_ticket = limit::BURST.saturating_add(self.tickets.len() as u16);
        for notice in self.notices.iter() {
            self.line.clear();
            if let Some(line) = log_lines::describe(&mut self.line, &names, notice) {
                let burst = if matches!(notice, Notice::Ticket { .. }) { every_ticket } else { limit::BURST };
                self.log.provoked_burst(self.now, line.level, line.limit, burst, format_args!("{}", self.line));
            }
        }
        self.notices.clear();
    }

    fn enqueue(&mut self, ticket: TicketIndex, request: Request) {
        if self.requests.len() == QUEUE {
            self.flush();
        }
        // There is room now, without an allocation.
        self.requests.push((ticket, request));
    }
}

impl Sink for Outbox {
    fn journal(&mut self, ticket: TicketIndex, record: &Record) {
        // The newest record of a ticket says all that an older one says.
        if let Some(queued) = self.records.iter_mut().find(|queued| queued.0 == ticket) {
            queued.1 = *record;
            return;
        }
        if self.records.len() == QUEUE {
            self.flush();
        }
        // There is room now, without an allocation.
        self.records.push((ticket, *record));
    }

    fn send(&mut self, ticket: TicketIndex, to: MemberIndex, bytes: &[u8]) {
        if self.peers.is_full() {
            self.flush();
        }
        if !self.unrecorded.contains(ticket) && !self.peers.queue(ticket, to, bytes) {
            self.unsent[to.at()] += 1;
        }
    }

    fn store(&mut self, ticket: TicketIndex, request: StoreRequest<'_>) {
        let number = request.number;
        let request = match request.action {
            StoreAction::Load => Request::Load(number),
            StoreAction::Write(ticket) => Request::Write(number, ticket, request.before),
            // Names and values that are too long for these were refused when they were read.
            StoreAction::SetAttribute { name, value } => {
                let (name, value) = (Name::try_from(name), Value::try_from(value));
                Request::SetAttribute(number, name.unwrap_or_default(), value.unwrap_or_default())
            }
            StoreAction::DeleteAttribute { name } => {
                Request::DeleteAttribute(number, Name::try_from(name).unwrap_or_default())
            }
        };
        if request.is_revoke() {
            // It replaces a write that has not started, which would now come behind it.
            self.requests.retain(|(of, queued)| *of != ticket || !matches!(queued, Request::Write(..)));
        }
        self.enqueue(ticket, request);
    }

    fn run_handler(&mut self, ticket: TicketIndex, request: HandlerRequest) {
        self.enqueue(ticket, Request::Handler(request));
    }

    fn reply(&mut self, client: ClientId, reply: Reply<'_>) {
        match reply {
            Reply::Message { bytes, last } => self.clients.reply(self.now.boot, client, bytes, last),
            Reply::TicketList => self.clients.want_text(client, Text::Tickets),
            Reply::PeerList => self.clients.want_text(client, Text::Peers),
            Reply::AttributeList(ticket) => self.clients.want_text(client, Text::Attributes(ticket)),
        }
    }

    fn notice(&mut self, notice: Notice) {
        self.counters.count(&notice);
        if self.notices.len() == QUEUE {
            self.flush();
        }
        // There is room now, without an allocation.
        self.notices.push(notice);
    }
}
