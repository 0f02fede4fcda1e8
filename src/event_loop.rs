//! The event loop: one thread, one poll, no wake-up without a cause.
//!
//! A turn reads the clock once, hands the node what is due and what has come ([`Node::step`]), and
//! then does what the node wanted done ([`Outbox::flush`]). It is bounded: what is left over is
//! handled in the next turn, which then follows without sleep.
//!
//! Deadlines are kept by a timer of its own ([`BootTimer`]), not by the poll's time-out.

use crate::boot_timer::BootTimer;
use crate::clock;
use crate::config::{CrashRelease, Member, Ticket, handler_key};
use crate::control;
use crate::counters;
use crate::handler::{Finished, Handlers};
use crate::kdump::{self, Reaction};
use crate::log::Level;
use crate::net::client::{ClientCounters, Clients, Text};
use crate::net::connection::LONGEST_REQUEST;
use crate::net::kdump::KdumpReceiver;
use crate::net::peer::{BATCH, PeerReceiver};
use crate::outbox::Outbox;
use crate::process::notify::Watchdog;
use crate::{store::Store, text};
use booth_core::input::{ClientId, Input};
use booth_core::node::Node;
use booth_core::settings::TicketIndex;
use booth_core::sink::HandlerKind;
use booth_core::time::{Instant, Now};
use booth_core::wire::{self, Command, Header, MAX_MESSAGE, Outcome, Reason};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::signal;
use signal_hook_mio::v1_0::Signals;
use std::fmt::Write;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

/// How many clients are served over TCP at once.
pub const CLIENT_SLOTS: usize = 64;
/// How many clients are served over the control socket at once, beside those who wait for dumping nodes.
pub const CONTROL_SLOTS: usize = 8;

const PEERS: Token = Token(0);
const SIGNALS: Token = Token(1);
const TIMER: Token = Token(2);
/// The first of the tokens of the sockets for dumping nodes.
const KDUMP: Token = Token(3);
const _: () = assert!(KDUMP.0 + KdumpReceiver::TOKENS <= CLIENTS.0);
/// The first of the tokens of clients over TCP.
pub const CLIENTS: Token = Token(16);
/// The first of the tokens of the control socket.
pub const CONTROL: Token = Token(CLIENTS.0 + 1 + CLIENT_SLOTS);
/// The first of the tokens of stores.
pub const STORE: Token = Token(CONTROL.0 + 1 + CONTROL_SLOTS + kdump::SLOTS);
/// The first of the tokens of handlers of this kind.
pub const fn handlers(kind: HandlerKind) -> Token {
    Token(STORE.0 + Store::TOKENS + kind as usize * Handlers::TOKENS)
}
/// How many events a poll reports at most; the others come with the next one.
const EVENTS: usize = 128;
/// How often in a turn what has finished is asked for what it has set off.
const ROUNDS: usize = 16;
const _: () = assert!(handlers(HandlerKind::StuckRevoke).0 + Handlers::TOKENS < 1 << 20);

/// The daemon at work.
pub struct EventLoop<'s> {
    poll: Poll,
    timer: BootTimer,
    signals: Signals,
    node: Node<'s>,
    peers: PeerReceiver,
    outbox: Outbox,
    control: Option<Clients>,
    kdump: Option<kdump::Listener>,
    members: Arc<[Member]>,
    tickets: Arc<[Ticket]>,
    watchdog: Option<Watchdog>,
    text: String,
    more_datagrams: bool,
    unfinished: bool,
    leaving: Option<i32>,
}

/// What an [`EventLoop`] is made of.
pub struct Parts<'s> {
    /// Watches all that is in the outbox already.
    pub poll: Poll,
    /// The member's decisions.
    pub node: Node<'s>,
    /// Where datagrams come from.
    pub peers: PeerReceiver,
    /// What the node wants done.
    pub outbox: Outbox,
    /// The control socket, where there is one.
    pub control: Option<Clients>,
    /// Who listens for dumping nodes, if anybody.
    pub kdump: Option<kdump::Listener>,
    /// Of the configuration.
    pub members: Arc<[Member]>,
    /// Of the configuration, in the order of the node's.
    pub tickets: Arc<[Ticket]>,
    /// Who waits for signs of life, if anybody.
    pub watchdog: Option<Watchdog>,
}

impl<'s> EventLoop<'s> {
    /// A loop that has not begun.
    ///
    /// # Errors
    /// Where the system gives no timer, or cannot watch what it is to watch.
    pub fn new(parts: Parts<'s>) -> io::Result<EventLoop<'s>> {
        let Parts { poll, node, peers, outbox, control, mut kdump, members, tickets, watchdog } = parts;
        let registry = poll.registry();
        let timer = BootTimer::new()?;
        let numbers = [signal::SIGTERM, signal::SIGINT, signal::SIGUSR1, signal::SIGUSR2, signal::SIGHUP];
        let mut signals = Signals::new(numbers)?;
        registry.register(&mut signals, SIGNALS, Interest::READABLE)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        registry.register(&mut SourceFd(&peers.as_raw_fd()), PEERS, Interest::READABLE)?;
        if let Some(kdump) = &mut kdump {
            kdump.register(registry, KDUMP)?;
        }
        let text = String::with_capacity(text::capacity(
            members.len(),
            node.tickets(Now::default()).map(|ticket| ticket.name),
        ));
        Ok(EventLoop {
            poll,
            timer,
            signals,
            node,
            peers,
            outbox,
            control,
            kdump,
            members,
            tickets,
            watchdog,
            text,
            more_datagrams: true,
            unfinished: false,
            leaving: None,
        })
    }

    /// Serves until a signal ends it; tells which. What the member holds it keeps.
    ///
    /// # Errors
    /// Where the poll or the timer fails, which they do not.
    pub fn run(&mut self) -> io::Result<i32> {
        let mut events = Events::with_capacity(EVENTS);
        self.outbox.now = clock::read();
        self.step(Input::Started);
        self.settle();
        while self.leaving.is_none() {
            self.wait(&mut events)?;
            self.outbox.now = clock::read();
            self.turn(&events);
        }
        self.outbox.now = clock::read();
        Ok(self.leaving.unwrap_or(signal::SIGTERM))
    }

    /// The log, for those who come after the loop.
    pub fn outbox(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let control = self.control.as_ref();
        let busy = self.more_datagrams
            || self.unfinished
            || self.outbox.clients.has_more()
            || control.is_some_and(Clients::has_more)
            || self.kdump.as_ref().is_some_and(kdump::Listener::has_more);
        self.timer.arm(self.next_deadline())?;
        match self.poll.poll(events, busy.then_some(Duration::ZERO)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let outbox = &self.outbox;
        [
            self.node.next_deadline(),
            outbox.store.as_ref().and_then(Store::next_deadline),
            outbox.handlers.iter().filter_map(Handlers::next_deadline).min(),
            outbox.clients.next_deadline(),
            outbox.log.next_deadline(),
            self.control.as_ref().and_then(Clients::next_deadline),
            self.kdump.as_ref().and_then(kdump::Listener::next_deadline),
            self.watchdog.as_ref().map(Watchdog::next_deadline),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn step(&mut self, input: Input<'_>) {
        self.node.step(self.outbox.now, input, &mut self.outbox);
    }

    fn turn(&mut self, events: &Events) {
        self.tell_failures();
        if self.node.next_deadline().is_some_and(|deadline| deadline <= self.outbox.now.boot) {
            self.step(Input::Tick);
        }
        for event in events {
            self.on_event(event.token());
        }
        self.expire();
        self.receive();
        self.serve_clients();
        self.hear_dumping_nodes();
        self.serve_control();
        self.settle();
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.feed(self.outbox.now.boot);
        }
    }

    /// Takes what dumping nodes send. A ticket whose leader's site has crashed as a whole is told (S13).
    fn hear_dumping_nodes(&mut self) {
        let Some(kdump) = &mut self.kdump else { return };
        kdump.receive(self.outbox.now, &mut self.outbox.log);
        if !kdump.has_news() {
            return;
        }
        let tickets = Arc::clone(&self.tickets);
        for (ticket, configured) in (0..).map(TicketIndex).zip(tickets.iter()) {
            for CrashRelease { site, nodes } in &configured.crash_releases {
                if let Some(at) = self.kdump.as_ref().and_then(|kdump| kdump.all_down_at(nodes)) {
                    self.step(Input::SiteCrashed { ticket, site: *site, at });
                }
            }
        }
    }

    fn on_event(&mut self, token: Token) {
        let now = self.outbox.now.boot;
        match token {
            PEERS => self.more_datagrams = true,
            // It has fired: whatever comes next is to be armed anew, even the same instant.
            TIMER => self.timer.has_fired(),
            SIGNALS => self.on_signals(),
            token => {
                let Outbox { clients, store, handlers, .. } = &mut self.outbox;
                let _ = clients.on_event(now, token)
                    || self.control.as_mut().is_some_and(|control| control.on_event(now, token))
                    || self.kdump.as_mut().is_some_and(|kdump| kdump.on_event(token))
                    || store.as_mut().is_some_and(|store| store.on_event(now, token))
                    || handlers.iter_mut().any(|handlers| handlers.on_event(now, token));
            }
        }
    }

    /// Gives up what has run for too long.
    fn expire(&mut self) {
        let now = self.outbox.now;
        let Outbox { clients, store, handlers, log, .. } = &mut self.outbox;
        if let Some(store) = store {
            store.expire(now.boot);
        }
        handlers.iter_mut().for_each(|handlers| handlers.expire(now.boot));
        clients.expire(now.boot);
        log.summarize(now);
        if let Some(control) = &mut self.control {
            control.expire(now.boot);
        }
    }

    fn receive(&mut self) {
        if !self.more_datagrams {
            return;
        }
        let count = self.peers.receive();
        // A promise runs from now, not from the beginning of a turn that may have waited for a disk.
        self.outbox.now = clock::read();
        // Where the batch is not full the socket was empty, and the poll tells when it no longer is.
        self.more_datagrams = count == BATCH;
        for at in 0..count {
            if let Some((source, bytes)) = self.peers.datagram(at) {
                self.node.step(self.outbox.now, Input::Datagram { source, bytes }, &mut self.outbox);
            }
        }
    }

    fn serve_clients(&mut self) {
        let now = self.outbox.now.boot;
        self.outbox.clients.accept(now);
        let mut buffer = [0; LONGEST_REQUEST];
        while let Some((client, length, good)) = self.outbox.clients.next_request(now, &mut buffer) {
            self.step(Input::Request { client, bytes: &buffer[..length] });
            if !good {
                // The rest of what it sends cannot be told apart: it gets what was answered at once.
                self.outbox.clients.finish(now, client);
            }
        }
        while let Some(client) = self.outbox.clients.next_gone() {
            self.step(Input::ClientGone { client });
        }
        while let Some((client, wanted)) = self.outbox.clients.next_text() {
            self.answer_with_text(client, wanted);
        }
    }

    /// Words a text from the node's state and queues it for a client.
    fn answer_with_text(&mut self, client: ClientId, wanted: Text) {
        let now = self.outbox.now;
        self.text.clear();
        match wanted {
            Text::Tickets => text::tickets(&mut self.text, now, &self.members, || self.node.tickets(now)),
            Text::Peers => text::peers(&mut self.text, &self.members, self.node.peers()),
            Text::Attributes(ticket) => text::attributes(&mut self.text, self.node.attributes(ticket)),
        }
        let stamp = self.node.stamp(now);
        let settings = self.node.settings();
        let command = match wanted {
            Text::Tickets | Text::Peers => Command::ListReply,
            Text::Attributes(_) => Command::AttributeList,
        };
        let sender = settings.members[settings.me.at()].id;
        let (reason, outcome) = (Reason::None, Outcome::Success);
        let header = Header { stamp, sender, command, request: None, options: 0, reason, outcome };
        let mut message = [0; MAX_MESSAGE];
        let length = wire::encode_text_header(&header, self.text.len(), settings.key.as_ref(), &mut message);
        self.outbox.clients.reply(now.boot, client, &message[..length], false);
        self.outbox.clients.reply(now.boot, client, self.text.as_bytes(), true);
    }

    fn serve_control(&mut self) {
        let now = self.outbox.now.boot;
        let Some(mut control) = self.control.take() else { return };
        control.accept(now);
        let mut buffer = [0; control::LONGEST_LINE];
        while let Some((client, length, good)) = control.next_request(now, &mut buffer) {
            self.text.clear();
            let line = &buffer[..length];
            let reaction = match &mut self.kdump {
                Some(kdump) if good => {
                    kdump.request(self.outbox.now, client, line, &mut self.text, &mut self.outbox.log)
                }
                _ => Reaction::NotMine,
            };
            match control::parse(line).filter(|_| good) {
                _ if reaction == Reaction::Later => {
                    control.reply(now, client, self.text.as_bytes(), false);
                    continue;
                }
                _ if reaction != Reaction::NotMine => {}
                Some(control::Request::Status) => self.describe_tickets(),
                Some(control::Request::Stats) => self.describe_counters(&control.counters),
                Some(control::Request::Peers) => {
                    text::peers(&mut self.text, &self.members, self.node.peers());
                }
                Some(control::Request::Version) => self.text.push_str(control::VERSION_LINE),
                None => control::complain(&mut self.text),
            }
            control.reply(now, client, self.text.as_bytes(), true);
        }
        if let Some(kdump) = &mut self.kdump {
            kdump.answer(now, &mut control, &mut self.text);
        }
        while let Some(client) = control.next_gone() {
            // Nobody else knows of these clients.
            if let Some(kdump) = &mut self.kdump {
                kdump.leave(client);
            }
        }
        control.flush(now);
        self.control = Some(control);
    }

    fn describe_tickets(&mut self) {
        let now = self.outbox.now;
        for ticket in self.node.tickets(now) {
            text::status(&mut self.text, now, &self.members, &ticket, self.node.margins(ticket.index));
        }
    }

    fn describe_counters(&mut self, control: &ClientCounters) {
        self.outbox.counters.describe(&mut self.text);
        for (counters, what) in [(&self.outbox.clients.counters, "clients"), (control, "control clients")] {
            let ClientCounters { accepted, refused, displaced, timed_out, too_long } = *counters;
            // A `String` takes everything.
            let _ = writeln!(
                self.text,
                "{what} accepted: {accepted}\n{what} refused: {refused}\n{what} displaced: {displaced}\n\
                 {what} timed out: {timed_out}\n{what} with too long answers: {too_long}"
            );
        }
        if let Some(kdump) = &self.kdump {
            kdump.describe(&mut self.text);
        }
        counters::line(&mut self.text, format_args!("log lines lost"), self.outbox.log.lines_lost());
    }

    fn on_signals(&mut self) {
        let now = self.outbox.now;
        // A handful at most: each signal is pending once.
        let pending: heapless::Vec<i32, 8> = self.signals.pending().take(8).collect();
        for number in pending {
            match number {
                signal::SIGTERM | signal::SIGINT => self.leaving = Some(number),
                signal::SIGUSR1 => self.log_state(),
                _ => {
                    let name = if number == signal::SIGHUP { "SIGHUP" } else { "SIGUSR2" };
                    self.outbox.log.write(now, Level::Info, format_args!("{name} is reserved and was ignored"));
                }
            }
        }
    }

    /// Logs the state of all tickets.
    fn log_state(&mut self) {
        self.text.clear();
        self.describe_tickets();
        let now = self.outbox.now;
        for line in self.text.lines() {
            self.outbox.log.write(now, Level::Info, format_args!("{line}"));
        }
    }

    /// Does what the turn has set off, and what that sets off.
    fn settle(&mut self) {
        self.outbox.flush();
        self.unfinished = false;
        for round in 1..=ROUNDS {
            if !self.take_finished() {
                break;
            }
            self.outbox.flush();
            self.unfinished = round == ROUNDS;
        }
        self.tell_failures();
        self.outbox.flush();
    }

    /// Hands the node what stores and handlers have finished; whether there was anything.
    fn take_finished(&mut self) -> bool {
        let mut any = false;
        while let Some(finished) = self.outbox.store.as_mut().and_then(Store::next_finished) {
            any = true;
            self.log_failure("store", finished.log.as_deref());
            let (now, ticket, number) = (self.outbox.now, finished.ticket, finished.number);
            finished.with_result(|result| {
                self.node.step(now, Input::StoreFinished { ticket, number, result }, &mut self.outbox);
            });
        }
        for kind in [HandlerKind::BeforeAcquire, HandlerKind::Release] {
            while let Some(finished) = self.outbox.handlers[kind as usize].next_finished() {
                any = true;
                self.log_failure(handler_key(kind), finished.log.as_deref());
                let (ticket, number, success) = (finished.ticket, finished.number, finished.success);
                self.step(Input::HandlerExited { ticket, number, success });
            }
        }
        while let Some(finished) = self.outbox.handlers[HandlerKind::StuckRevoke as usize].next_finished() {
            self.log_last_resort(&finished);
        }
        any
    }

    /// How the last resort has ended is for people alone: the store is still asked to revoke.
    fn log_last_resort(&mut self, finished: &Finished) {
        let (now, name) = (self.outbox.now, &self.node.ticket_settings(finished.ticket).name);
        match &finished.log {
            Some(text) => self.outbox.log.write(now, Level::Error, format_args!("{text}")),
            None => self.outbox.log.write(
                now,
                Level::Error,
                format_args!(
                    "on-stuck-revoke: ticket {name}: exit status 0; the store is asked to revoke all the same"
                ),
            ),
        }
    }

    fn log_failure(&mut self, what: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            let now = self.outbox.now;
            self.outbox.log.provoked(now, Level::Warning, what, format_args!("{text}"));
        }
    }

    /// Tells the node which of its wishes could not be done.
    fn tell_failures(&mut self) {
        // Once each: a record that fails again meanwhile is told of in the next turn.
        for _ in 0..self.outbox.unrecorded() {
            if let Some(ticket) = self.outbox.next_unrecorded() {
                self.step(Input::JournalFailed { ticket });
            }
        }
        while let Some(to) = self.outbox.next_unsent() {
            self.step(Input::SendFailed { to });
        }
    }
}
