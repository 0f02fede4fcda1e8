//! What runs on a host: a node of ours, or a model of another daemon. The world sees no difference: inputs go in,
//! what is to be done comes out.

use booth_core::attribute::{Attribute, MEMORY};
use booth_core::input::{ClientId, Input, RequestNumber};
use booth_core::member::MemberIndex;
use booth_core::node::{Node, Storage};
use booth_core::notice::Notice;
use booth_core::settings::{Settings, TicketIndex, TicketSettings};
use booth_core::sink::{HandlerRequest, Record, Reply, Sink, StoreAction, StoreRequest};
use booth_core::ticket::Ticket;
use booth_core::time::{Instant, Now};
use booth_core::wheel::Timer;
use std::ops::Range;

use super::stores::Action;

/// A daemon, as the world drives it. `Input::Started` comes first, once; then everything else, each with the time.
pub trait Daemon {
    /// Takes an input (`Input::Tick` at its deadline) and puts out what comes of it, through [`Sink`].
    fn step(&mut self, now: Now, input: Input<'_>, out: &mut Outputs);

    /// When it must be called at the latest, by its boot clock.
    fn next_deadline(&self) -> Option<Instant>;

    /// The node inside, where it is one of ours: the checks look into it, and hold it to the rules of ours.
    fn node(&self) -> Option<&Node<'static>> {
        None
    }
}

/// What a daemon is started with.
pub struct Start<'a> {
    pub settings: Settings,
    pub tickets: &'a [TicketSettings],
    /// What its journal remembers of each ticket; a daemon without one does not look at it.
    pub memories: &'a [Option<Record>],
    pub now: Now,
}

/// Makes a daemon for a host. It is called at each start.
pub type Program = fn(Start<'_>) -> Box<dyn Daemon>;

/// A node of ours with the storage that it borrows.
pub struct Ours {
    // In this order: the node goes first.
    node: Node<'static>,
    _storage: Owned,
}

/// Storage that a node borrows for as long as it lives.
struct Owned {
    tickets: *mut [Ticket],
    timers: *mut [Timer],
    attributes: *mut [Attribute],
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: made by Box::into_raw in `Ours::start`, and the node that borrowed them was dropped before.
        unsafe {
            drop(Box::from_raw(self.tickets));
            drop(Box::from_raw(self.timers));
            drop(Box::from_raw(self.attributes));
        }
    }
}

impl Ours {
    /// The [`Program`] of our own daemon.
    pub fn start(start: Start<'_>) -> Box<dyn Daemon> {
        let with_memory = start.tickets.iter().zip(start.memories);
        let tickets: Box<[Ticket]> =
            with_memory.map(|(settings, memory)| Ticket::new(settings.clone(), *memory)).collect();
        let count = tickets.len();
        let owned = Owned {
            tickets: Box::into_raw(tickets),
            timers: Box::into_raw(vec![Timer::default(); count].into_boxed_slice()),
            attributes: Box::into_raw(vec![Attribute::default(); 4].into_boxed_slice()),
        };
        // SAFETY: freed in Owned::drop only, after the node; nobody else has these pointers.
        let storage = unsafe {
            Storage { tickets: &mut *owned.tickets, timers: &mut *owned.timers, attributes: &mut *owned.attributes }
        };
        Box::new(Ours { node: Node::new(start.settings, storage, start.now), _storage: owned })
    }
}

impl Daemon for Ours {
    fn step(&mut self, now: Now, input: Input<'_>, out: &mut Outputs) {
        self.node.step(now, input, out);
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.node.next_deadline()
    }

    fn node(&self) -> Option<&Node<'static>> {
        Some(&self.node)
    }
}

/// What a step has put out. Used again for the next one, lest each allocate.
#[derive(Default)]
pub struct Outputs {
    pub records: Vec<(TicketIndex, Record)>,
    pub sends: Vec<(TicketIndex, MemberIndex, Range<usize>)>,
    pub stores: Vec<(TicketIndex, RequestNumber, Action)>,
    pub handlers: Vec<(TicketIndex, HandlerRequest)>,
    pub replies: Vec<(ClientId, Range<usize>, bool)>,
    pub notices: Vec<Notice>,
    bytes: Vec<u8>,
}

impl Outputs {
    /// The bytes of a datagram or a reply.
    pub fn bytes(&self, range: &Range<usize>) -> &[u8] {
        &self.bytes[range.clone()]
    }

    /// Whether nothing is to be done. Notices are only told.
    pub fn is_silent(&self) -> bool {
        self.records.is_empty()
            && self.sends.is_empty()
            && self.stores.is_empty()
            && self.handlers.is_empty()
            && self.replies.is_empty()
    }

    pub fn clear(&mut self) {
        self.records.clear();
        self.sends.clear();
        self.stores.clear();
        self.handlers.clear();
        self.replies.clear();
        self.notices.clear();
        self.bytes.clear();
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }
}

impl Sink for Outputs {
    fn journal(&mut self, ticket: TicketIndex, record: &Record) {
        self.records.push((ticket, *record));
    }

    fn send(&mut self, ticket: TicketIndex, to: MemberIndex, bytes: &[u8]) {
        let bytes = self.keep(bytes);
        self.sends.push((ticket, to, bytes));
    }

    fn store(&mut self, ticket: TicketIndex, request: StoreRequest<'_>) {
        let action = match request.action {
            StoreAction::Load => Action::Load,
            StoreAction::Write(ticket) => Action::Write(ticket),
            StoreAction::SetAttribute { name: MEMORY, value } => Action::Mark(u32::from_str_radix(value, 16).unwrap()),
            StoreAction::SetAttribute { .. } | StoreAction::DeleteAttribute { .. } => Action::Attribute,
        };
        if action.is_revoke() {
            // As the shell does: it replaces a write that has not started.
            self.stores.retain(|(of, _, queued)| *of != ticket || !matches!(queued, Action::Write(_)));
        }
        self.stores.push((ticket, request.number, action));
    }

    fn run_handler(&mut self, ticket: TicketIndex, request: HandlerRequest) {
        self.handlers.push((ticket, request));
    }

    fn reply(&mut self, client: ClientId, reply: Reply<'_>) {
        if let Reply::Message { bytes, last } = reply {
            let bytes = self.keep(bytes);
            self.replies.push((client, bytes, last));
        }
    }

    fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }
}
