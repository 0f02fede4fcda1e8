//! A member of the cluster: the one door to its decisions.
//!
//! [`Node::step`] first does what is due, then takes the input: no late heartbeat revives a lease
//! that has ended. A bad datagram is a counted notice and changes nothing.

use crate::attribute::{Attribute, Attributes, is_free};
use crate::input::{Input, RequestNumber, StoreResult};
use crate::lease;
use crate::member::{MAX_MEMBERS, MemberIndex, MemberSet, SiteId};
use crate::notice::{Event, Notice};
use crate::options::Word;
use crate::peer::Peer;
use crate::settings::{Settings, TicketIndex, TicketSettings};
use crate::sink::Sink;
use crate::stamp::{Lateness, Precision, StampClock, Terms};
use crate::ticket::{Purpose, Ticket};
use crate::time::{Instant, Millis, Now, WallTime};
pub use crate::turn::Carried;
use crate::turn::{FromPeer, Sequence, Turn};
use crate::view::{AttributeView, Margins, PeerView, Role, TicketView};
use crate::wheel::{Timer, Wheel};
use crate::wire::{self, Body, Command, DropReason, LeaderField, Message, Outcome, Reason};

/// Terms from here on cannot be meant: one election a millisecond would need 24 days to get there.
pub(crate) const ABSURD_TERM: u32 = 1 << 31;

/// Nobody gets further ahead than this: an election a second for half a year.
const LONGEST_LEAP: u32 = 1 << 24;

/// The memory of a node, lent by the caller for its whole life.
pub struct Storage<'s> {
    /// One for each ticket of the configuration, in its order.
    pub tickets: &'s mut [Ticket],
    /// As many timers as tickets.
    pub timers: &'s mut [Timer],
    /// Room for geo attributes, over all tickets.
    pub attributes: &'s mut [Attribute],
}

/// A member.
pub struct Node<'s> {
    pub(crate) settings: Settings,
    pub(crate) tickets: &'s mut [Ticket],
    pub(crate) attributes: Attributes<'s>,
    pub(crate) peers: [Peer; MAX_MEMBERS],
    wheel: Wheel<'s>,
    pub(crate) stamps: StampClock,
    pub(crate) sequence: Sequence,
    /// What our wall clock said when we started: what a client asked for before that may have been done (S11).
    pub(crate) started: WallTime,
    /// For how long a member must have been silent before a wrong clock of its is forgiven (S11).
    reanchor: Millis,
}

impl<'s> Node<'s> {
    /// A member with these settings; its tickets are in `storage`.
    ///
    /// # Panics
    /// Where `storage` has fewer timers than tickets, or `settings.me` is no member.
    pub fn new(settings: Settings, storage: Storage<'s>, now: Now) -> Node<'s> {
        assert!(settings.me.at() < settings.members.len(), "the member that we are is not in the configuration");
        assert!(storage.timers.len() >= storage.tickets.len(), "a timer for each ticket");
        let mut stamps = StampClock::default();
        let find = |id: SiteId| member_of(&settings, id);
        for (index, ticket) in (0u16..).zip(storage.tickets.iter_mut()) {
            if let Some(stamp) = ticket.remembered_stamp() {
                stamps.raise(stamp);
            }
            ticket.remember(TicketIndex(index), now.boot, find);
        }
        let renewals = storage.tickets.iter().map(|ticket| ticket.settings.renewal);
        let reanchor = renewals.min().unwrap_or(Millis(0));
        Node {
            sequence: Sequence::new(settings.seed),
            settings,
            tickets: storage.tickets,
            attributes: Attributes::new(storage.attributes),
            peers: core::array::from_fn(|_| Peer::default()),
            wheel: Wheel::new(storage.timers, now.boot),
            stamps,
            started: now.wall,
            reanchor,
        }
    }

    /// A member that goes on where another node left off, of these settings and tickets and with what that had
    /// [`Node::carried`]. For a model checker, which goes back and forth between states. What else there is
    /// begins anew: the stamps of peers, so the settings should have no key; their counters; the geo
    /// attributes. All peers are taken for our own daemons.
    ///
    /// # Panics
    /// Where `storage` has fewer timers than tickets.
    pub fn resume(settings: Settings, storage: Storage<'s>, carried: Carried, now: Now) -> Node<'s> {
        let mut wheel = Wheel::new(storage.timers, now.boot);
        for (index, ticket) in (0u32..).zip(storage.tickets.iter()) {
            if let Some(at) = ticket.next_deadline() {
                wheel.arm(index, at);
            }
        }
        let renewals = storage.tickets.iter().map(|ticket| ticket.settings.renewal);
        let mut peers: [Peer; MAX_MEMBERS] = core::array::from_fn(|_| Peer::default());
        for member in carried.heard.iter() {
            peers[member.at()].last_received = Some(now.wall);
        }
        Node {
            sequence: Sequence::resume(carried),
            reanchor: renewals.min().unwrap_or(Millis(0)),
            settings,
            tickets: storage.tickets,
            attributes: Attributes::new(storage.attributes),
            peers,
            wheel,
            stamps: StampClock::default(),
            started: now.wall,
        }
    }

    /// What its next steps depend on beside its tickets; for [`Node::resume`].
    pub fn carried(&self) -> Carried {
        let members = (0u8..).map(MemberIndex).zip(&self.peers);
        let heard = members.filter(|(_, peer)| peer.last_received.is_some()).map(|(member, _)| member);
        self.sequence.carry(heard.fold(MemberSet::EMPTY, MemberSet::with))
    }

    /// Does what is due at `now`, then takes `input`.
    pub fn step<S: Sink>(&mut self, now: Now, input: Input<'_>, sink: &mut S) {
        while let Some(due) = self.wheel.pop_due(now.boot) {
            self.with(now, sink, TicketIndex(due as u16), |ticket, turn| ticket.fire(turn));
        }
        match input {
            Input::Started => self.for_each(now, sink, Ticket::start),
            Input::Tick => {}
            Input::Datagram { source, bytes } => self.on_datagram(now, source, bytes, sink),
            Input::SendFailed { to } => {
                let counters = &mut self.peers[to.at()].counters;
                counters.send_errors = counters.send_errors.wrapping_add(1);
            }
            Input::Request { client, bytes } => self.on_request(now, client, bytes, sink),
            Input::ClientGone { client } => self.for_each(now, sink, |ticket, _| ticket.client_gone(client)),
            Input::StoreFinished { ticket, number, result } => self.on_store(now, ticket, number, result, sink),
            Input::HandlerExited { ticket, number, success } => {
                self.with(now, sink, ticket, |ticket, turn| ticket.on_handler(turn, number, success));
            }
            Input::SiteCrashed { ticket, site, at } => {
                self.with(now, sink, ticket, |ticket, turn| ticket.on_site_crashed(turn, site, at));
            }
            Input::JournalFailed { ticket } => {
                self.with(now, sink, ticket, |ticket, turn| {
                    turn.event(ticket.index, Event::JournalFailed);
                    ticket.record_failed();
                });
            }
        }
    }

    /// When [`Node::step`] must be called at the latest; `None`: there is nothing to wait for.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.wheel.next_deadline()
    }

    /// Calls `act` for a ticket with the surroundings that it needs, and arms its timer anew.
    pub(crate) fn with<S: Sink>(
        &mut self,
        now: Now,
        sink: &mut S,
        index: TicketIndex,
        act: impl FnOnce(&mut Ticket, &mut Turn<'_, S>),
    ) {
        let Some(ticket) = self.tickets.get_mut(index.at()) else { return };
        let mut turn = Turn {
            now,
            settings: &self.settings,
            peers: &mut self.peers,
            stamps: &mut self.stamps,
            sequence: &mut self.sequence,
            attributes: &self.attributes,
            sink,
        };
        act(ticket, &mut turn);
        match ticket.next_deadline() {
            Some(at) => self.wheel.arm(u32::from(index.0), at),
            None => self.wheel.cancel(u32::from(index.0)),
        }
    }

    fn for_each<S: Sink>(&mut self, now: Now, sink: &mut S, act: impl Fn(&mut Ticket, &mut Turn<'_, S>)) {
        for index in 0..self.tickets.len() as u16 {
            self.with(now, sink, TicketIndex(index), |ticket, turn| act(ticket, turn));
        }
    }

    // ---- datagrams ---------------------------------------------------------------------------

    fn on_datagram<S: Sink>(&mut self, now: Now, source: Option<MemberIndex>, bytes: &[u8], sink: &mut S) {
        let claimed = wire::claimed_sender(bytes).and_then(|id| member_of(&self.settings, id));
        let member = claimed.or(source).filter(|member| *member != self.settings.me);
        if let Some(member) = member {
            let counters = &mut self.peers[member.at()].counters;
            counters.received = counters.received.wrapping_add(1);
        }
        let result = match self.admit(now, source, bytes) {
            Ok((ticket, message)) => {
                if let Some(since) = self.peers[message.from.at()].silent_since.take() {
                    sink.notice(Notice::HeardAgain { member: message.from, after: now.boot.since(since) });
                }
                self.dispatch(now, ticket, &message, sink)
            }
            Err(reason) => Err(reason),
        };
        if let Err(reason) = result {
            if let Some(member) = member {
                self.peers[member.at()].count_drop(reason);
            }
            sink.notice(Notice::DatagramDropped { member, reason });
        }
    }

    /// Tests a datagram in all ways that need no ticket's state.
    fn admit(
        &mut self,
        now: Now,
        source: Option<MemberIndex>,
        bytes: &[u8],
    ) -> Result<(TicketIndex, FromPeer), DropReason> {
        let Message { header, body } = wire::decode(bytes, self.settings.key.as_ref())?;
        let from = member_of(&self.settings, header.sender).filter(|from| *from != self.settings.me);
        let from = from.ok_or(DropReason::UnknownSender)?;
        if self.settings.key.is_none() && !self.settings.any_source && source != Some(from) {
            return Err(DropReason::WrongAddress);
        }
        let late = lateness(header.command).ok_or(DropReason::UnknownCommand)?;
        let word = Word::parse(header.options);
        let Body::Ticket(body) = body else { return Err(DropReason::BadLength) };
        let index = self.ticket_named(body.name).ok_or(DropReason::UnknownTicket)?;
        let leader = match body.leader {
            LeaderField::Nobody | LeaderField::Unknown => None,
            LeaderField::Member(id) => Some(member_of(&self.settings, id).ok_or(DropReason::UnknownLeader)?),
        };
        if body.term >= ABSURD_TERM || body.term > self.tickets[index.at()].newest_term().saturating_add(LONGEST_LEAP) {
            return Err(DropReason::AbsurdTerm);
        }
        let validity = lease::validity(body.valid_for, self.settings.unit);
        if validity > lease::longest_validity(&self.tickets[index.at()].settings) {
            return Err(DropReason::AbsurdValidity);
        }
        let peer = &mut self.peers[from.at()];
        if self.settings.key.is_some() {
            let precision = if word.is_some() { Precision::Exact } else { Precision::Second };
            let terms = Terms { late, precision, skew: self.settings.max_time_skew, reanchor: self.reanchor };
            peer.window.admit(header.stamp, tag(bytes), now, terms)?;
        }
        peer.last_received = Some(now.wall);
        peer.wordless = word.is_none();
        Ok((index, FromPeer { from, header, leader, term: body.term, validity, word }))
    }

    fn dispatch<S: Sink>(
        &mut self,
        now: Now,
        index: TicketIndex,
        message: &FromPeer,
        sink: &mut S,
    ) -> Result<(), DropReason> {
        let mut result = Ok(());
        self.with(now, sink, index, |ticket, turn| {
            if ticket.role == Role::Loading {
                return;
            }
            result = ticket.on_message(turn, message);
            ticket.conclude(turn);
        });
        result
    }

    fn ticket_named(&self, name: &str) -> Option<TicketIndex> {
        let at = self.tickets.iter().position(|ticket| ticket.settings.name == name)?;
        Some(TicketIndex(at as u16))
    }

    /// Finds the ticket that a client names.
    pub(crate) fn find_ticket(&self, name: &str) -> Option<TicketIndex> {
        self.ticket_named(name)
    }

    fn on_store<S: Sink>(
        &mut self,
        now: Now,
        index: TicketIndex,
        number: RequestNumber,
        result: StoreResult<'_>,
        sink: &mut S,
    ) {
        if let StoreResult::Loaded(Some(stored)) = result {
            for (name, value) in stored.attributes.iter().filter(|(name, _)| is_free(name)) {
                self.attributes.set(index, name, value, None);
            }
        }
        let job = self.tickets.get(index.at()).and_then(|ticket| ticket.attribute_job.as_ref());
        if let Some(job) = job.filter(|job| job.number == number && matches!(result, StoreResult::Written)) {
            match &job.value {
                Some(value) => self.attributes.set(index, &job.name, value, Some(now.wall)),
                None => self.attributes.remove(index, &job.name),
            };
        }
        self.with(now, sink, index, |ticket, turn| {
            ticket.on_store(turn, number, result);
            ticket.conclude(turn);
        });
    }

    // ---- what may be seen --------------------------------------------------------------------

    /// The settings of the whole process.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The settings of a ticket.
    ///
    /// # Panics
    /// Where there is no such ticket.
    pub fn ticket_settings(&self, ticket: TicketIndex) -> &TicketSettings {
        &self.tickets[ticket.at()].settings
    }

    /// All tickets, as this member sees them at `now`.
    pub fn tickets(&self, now: Now) -> impl Iterator<Item = TicketView<'_>> {
        let me = self.settings.me;
        self.tickets.iter().map(move |ticket| ticket.view(now.boot, me))
    }

    /// All peers.
    pub fn peers(&self) -> impl Iterator<Item = PeerView> {
        let me = self.settings.me;
        let known = self.peers.iter().take(self.settings.members.len());
        (0u8..).map(MemberIndex).zip(known).filter(move |(member, _)| *member != me).map(|(member, peer)| PeerView {
            member,
            last_received: peer.last_received,
            counters: peer.counters,
        })
    }

    /// A ticket's geo attributes.
    pub fn attributes(&self, ticket: TicketIndex) -> impl Iterator<Item = AttributeView<'_>> {
        self.attributes.of(ticket)
    }

    /// The margins of a ticket's lease.
    ///
    /// # Panics
    /// Where there is no such ticket.
    pub fn margins(&self, ticket: TicketIndex) -> Margins {
        lease::margins(self.ticket_settings(ticket))
    }

    /// A stamp for a reply that the shell words itself.
    pub fn stamp(&mut self, now: Now) -> WallTime {
        self.stamps.next(now)
    }
}

impl Ticket {
    fn on_message<S: Sink>(&mut self, turn: &mut Turn<'_, S>, message: &FromPeer) -> Result<(), DropReason> {
        if self.is_manual() {
            return self.on_manual(turn, message);
        }
        match message.header.command {
            Command::Status => self.on_status(turn, message),
            Command::MyIndex => self.on_index(turn, message),
            Command::VoteRequest => self.on_vote_request(turn, message),
            Command::Vote => self.on_vote(turn, message),
            Command::Heartbeat | Command::Update => self.on_renewal(turn, message),
            Command::Revoke => self.on_revoke(turn, message),
            Command::Ack => self.on_ack(turn, message),
            Command::Reject => self.on_reject(turn, message),
            _ => Err(DropReason::UnknownCommand),
        }
    }

    /// A before-acquire-handler has ended.
    fn on_handler<S: Sink>(&mut self, turn: &mut Turn<'_, S>, number: RequestNumber, success: bool) {
        let Some((_, purpose)) = self.handler.filter(|(running, _)| *running == number) else { return };
        self.handler = None;
        if !success && purpose != Purpose::Release {
            turn.event(self.index, Event::HandlerFailed);
        }
        match purpose {
            Purpose::Acquire(reason) if success => self.start_election(turn, reason, false),
            Purpose::Acquire(reason) => self.cannot_acquire(turn, reason, Outcome::HandlerFailed),
            Purpose::Renew if success => self.heartbeat(turn),
            Purpose::Release => self.on_release_handler(turn, success),
            Purpose::Renew => self.leave(turn, crate::ticket::Leaving::StepDown(Reason::LocalFailure)),
        }
        self.conclude(turn);
    }
}

/// What a late message of this kind can do; `None`: peers do not send it.
fn lateness(command: Command) -> Option<Lateness> {
    match command {
        Command::Status | Command::Heartbeat | Command::Update | Command::Ack => Some(Lateness::Harmless),
        Command::MyIndex | Command::VoteRequest | Command::Vote | Command::Revoke | Command::Reject => {
            Some(Lateness::MustBeNewest)
        }
        _ => None,
    }
}

/// A part of the MAC: tells messages of one microsecond apart.
pub(crate) fn tag(bytes: &[u8]) -> u32 {
    let mac = bytes.len().checked_sub(wire::TRAILER_LEN).map(|at| &bytes[at + 4..at + 8]);
    mac.and_then(|mac| mac.try_into().ok()).map_or(0, u32::from_be_bytes)
}

pub(crate) fn member_of(settings: &Settings, id: SiteId) -> Option<MemberIndex> {
    let at = settings.members.iter().position(|member| member.id == id)?;
    Some(MemberIndex(at as u8))
}
