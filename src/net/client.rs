//! Clients: a fixed number of slots for connections, over TCP or the control socket.
//!
//! A slow or silent client hurts nobody: each connection has its time (see [`super::connection`]),
//! and where all slots are taken, a newcomer takes the place of one that has asked nothing yet or has
//! its answer: the oldest of the address that has most of them, so that whoever opens thousands of
//! connections closes his own. A connection whose request is in the node's hands is never closed for
//! another; if all are, the newcomer is refused.

use super::connection::{Connection, Framing, LONGEST_REQUEST, Requests, State};
use super::stream::Listener;
use booth_core::input::ClientId;
use booth_core::settings::TicketIndex;
use booth_core::time::{Instant, Millis};
use booth_core::wire;
use mio::{Registry, Token};
use std::io;

/// How many connections are accepted in one turn of the event loop.
const ACCEPTS_PER_TURN: usize = 32;
/// How long no connection is accepted after the system has run out of file descriptors or memory.
const ACCEPT_PAUSE: Millis = Millis(1_000);
/// How much an answer may hold without a further allocation.
const OUTPUT_KEPT: usize = 1024;
/// The most that is kept of all answers together, beyond what the system takes.
pub const OUTPUT_LIMIT: usize = 4 << 20;

/// A text that the shell has yet to write for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// The list of tickets.
    Tickets,
    /// The list of peers.
    Peers,
    /// A ticket's attributes.
    Attributes(TicketIndex),
}

/// What has become of connections since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientCounters {
    /// Accepted.
    pub accepted: u64,
    /// Refused, for all slots had requests in the node's hands.
    pub refused: u64,
    /// Closed to make room for another.
    pub displaced: u64,
    /// Closed for taking too long.
    pub timed_out: u64,
    /// Closed because all answers together were too long.
    pub too_long: u64,
}

/// The slots behind one listener.
#[derive(Debug)]
pub struct Clients {
    listener: Listener,
    registry: Registry,
    first: Token,
    requests: Requests,
    /// How long a request may be in the node's hands.
    patience: Millis,
    slots: Box<[Slot]>,
    open: usize,
    serial: u64,
    /// The listener may have more.
    more: bool,
    /// Not before this is accepted again.
    paused: Option<Instant>,
    /// What has been counted.
    pub counters: ClientCounters,
}

#[derive(Debug, Default)]
struct Slot {
    connection: Option<Connection>,
    /// What its next connection keeps its request in.
    memory: Vec<u8>,
    output: Vec<u8>,
    text: Option<Text>,
    gone: Option<ClientId>,
}

/// The requests of booth's clients.
pub const BOOTH: Requests = Requests { framing: booth_framing, longest: LONGEST_REQUEST };

/// How booth's clients frame their requests.
pub fn booth_framing(bytes: &[u8]) -> Framing {
    if bytes.len() < wire::HEADER_LEN {
        return Framing::Partial;
    }
    match wire::frame_length(bytes) {
        Ok(frame) if frame.message <= bytes.len() => Framing::Whole(frame.message),
        Ok(_) => Framing::Partial,
        Err(_) => Framing::Bad(wire::HEADER_LEN),
    }
}

impl Clients {
    /// `count` slots behind a listener, with the token `first` for it and one each for the slots
    /// behind that.
    ///
    /// # Errors
    /// Where the poll cannot watch the listener.
    pub fn new(
        mut listener: Listener,
        registry: Registry,
        first: Token,
        count: usize,
        requests: Requests,
        patience: Millis,
    ) -> io::Result<Clients> {
        listener.register(&registry, first)?;
        let memory = || Vec::with_capacity(LONGEST_REQUEST);
        let slot = || Slot { memory: memory(), output: Vec::with_capacity(OUTPUT_KEPT), ..Slot::default() };
        let slots = std::iter::repeat_with(slot).take(count.max(1)).collect();
        let counters = ClientCounters::default();
        let (open, serial, more, paused) = (0, 0, false, None);
        Ok(Clients { listener, registry, first, requests, patience, slots, open, serial, more, paused, counters })
    }

    /// Something has happened to one of the sockets; `false`: the token is not one of ours.
    pub fn on_event(&mut self, now: Instant, token: Token) -> bool {
        let Some(at) = token.0.checked_sub(self.first.0) else { return false };
        if at == 0 {
            self.more = true;
            return true;
        }
        let Some(slot) = self.slots.get_mut(at - 1) else { return false };
        if let Some(connection) = &mut slot.connection {
            connection.read(self.requests);
            connection.write(&mut slot.output, now);
            self.sweep(at - 1);
        }
        true
    }

    /// Whether there is work that no event will announce.
    pub fn has_more(&self) -> bool {
        self.more && self.paused.is_none()
    }

    /// Accepts who waits, up to a limit for one turn.
    pub fn accept(&mut self, now: Instant) {
        let mut accepted = 0;
        while self.has_more() && accepted < ACCEPTS_PER_TURN {
            accepted += 1;
            match self.listener.accept() {
                Ok((stream, source)) => {
                    self.serial += 1;
                    self.seat(Connection::new(stream, self.serial, source, now));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.more = false,
                // That connection has failed before it was accepted (accept(2)); the next may be good.
                Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) => {
                }
                // Out of descriptors, or of memory: a place of our own may help, a busy loop would not.
                Err(_) => {
                    if !self.displace() {
                        self.paused = Some(now + ACCEPT_PAUSE);
                    }
                }
            }
        }
    }

    fn seat(&mut self, mut connection: Connection) {
        if self.open == self.slots.len() && !self.displace() {
            self.counters.refused += 1;
            return;
        }
        // A slot whose client has gone is not used again before the node was told.
        let free = self.slots.iter().position(|slot| slot.connection.is_none() && slot.gone.is_none());
        let Some(at) = free else {
            self.counters.refused += 1;
            return;
        };
        if connection.stream().register(&self.registry, Token(self.first.0 + 1 + at)).is_err() {
            self.counters.refused += 1;
            return;
        }
        self.counters.accepted += 1;
        self.open += 1;
        // The request is usually there already: it is safe from being displaced once it was read.
        connection.lend(std::mem::take(&mut self.slots[at].memory));
        connection.read(self.requests);
        self.slots[at].connection = Some(connection);
        self.sweep(at);
    }

    /// Closes one connection to make room; `false`: there is none that may be closed.
    fn displace(&mut self) -> bool {
        let idle = |slot: &Slot| {
            let connection = slot.connection.as_ref()?;
            let idle = matches!(connection.state, State::Reading | State::Answering | State::Lingering);
            idle.then_some((connection.source, connection.serial))
        };
        let rank = |at: usize| {
            let (source, serial) = idle(&self.slots[at])?;
            let neighbours = self.slots.iter().filter_map(idle).filter(|(other, _)| *other == source).count();
            Some((neighbours, std::cmp::Reverse(serial), at))
        };
        let Some((_, _, at)) = (0..self.slots.len()).filter_map(rank).max() else { return false };
        self.counters.displaced += 1;
        self.close(at);
        true
    }

    /// The next whole request: its bytes are copied to `buffer`, which has room for the longest. `false` beside it: it can never be a
    /// good one, and only what is answered at once is sent before the connection is closed.
    pub fn next_request(&mut self, now: Instant, buffer: &mut [u8]) -> Option<(ClientId, usize, bool)> {
        if self.open == 0 {
            return None;
        }
        let first = self.id_base();
        for (at, slot) in self.slots.iter_mut().enumerate() {
            let Some(connection) = &mut slot.connection else { continue };
            let id = ClientId(connection.serial * first + at as u64);
            let Some((bytes, good)) = connection.take_request(now + self.patience) else { continue };
            buffer[..bytes.len()].copy_from_slice(bytes);
            return Some((id, bytes.len(), good));
        }
        None
    }

    /// The next client that has gone while its request was in the node's hands.
    pub fn next_gone(&mut self) -> Option<ClientId> {
        self.slots.iter_mut().find_map(|slot| slot.gone.take())
    }

    /// Queues an answer; the connection ends with it if it is the `last`.
    pub fn reply(&mut self, now: Instant, client: ClientId, bytes: &[u8], last: bool) {
        let queued = self.slots.iter().map(|slot| slot.output.len()).sum::<usize>();
        let Some(at) = self.slot_of(client) else { return };
        if queued + bytes.len() > OUTPUT_LIMIT {
            self.counters.too_long += 1;
            self.close(at);
            return;
        }
        self.slots[at].output.extend_from_slice(bytes);
        if last {
            self.finish(now, client);
        }
    }

    /// No further answer will come.
    pub fn finish(&mut self, now: Instant, client: ClientId) {
        let Some(at) = self.slot_of(client) else { return };
        if let Some(connection) = &mut self.slots[at].connection {
            connection.finish(now);
        }
    }

    /// Remembers that this client waits for a text.
    pub fn want_text(&mut self, client: ClientId, text: Text) {
        if let Some(at) = self.slot_of(client) {
            self.slots[at].text = Some(text);
        }
    }

    /// The next client that waits for a text.
    pub fn next_text(&mut self) -> Option<(ClientId, Text)> {
        if self.open == 0 {
            return None;
        }
        let base = self.id_base();
        self.slots.iter_mut().enumerate().find_map(|(at, slot)| {
            let serial = slot.connection.as_ref()?.serial;
            Some((ClientId(serial * base + at as u64), slot.text.take()?))
        })
    }

    /// Writes what the clients take, and closes what is done with.
    pub fn flush(&mut self, now: Instant) {
        if self.open == 0 {
            return;
        }
        for at in 0..self.slots.len() {
            let slot = &mut self.slots[at];
            if let Some(connection) = &mut slot.connection {
                connection.write(&mut slot.output, now);
                self.sweep(at);
            }
        }
    }

    /// When [`Clients::expire`] must be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        let connections = self.slots.iter().filter_map(|slot| slot.connection.as_ref());
        let first = if self.open == 0 { None } else { connections.map(|connection| connection.deadline).min() };
        [first, self.paused].into_iter().flatten().min()
    }

    /// Closes who has taken too long.
    pub fn expire(&mut self, now: Instant) {
        if self.paused.is_some_and(|until| until <= now) {
            self.paused = None;
            self.more = true;
        }
        if self.open == 0 {
            return;
        }
        for at in 0..self.slots.len() {
            if self.slots[at].connection.as_ref().is_some_and(|connection| connection.deadline <= now) {
                self.counters.timed_out += 1;
                self.close(at);
            }
        }
    }

    /// Frees the slot if its connection has come to its end.
    fn sweep(&mut self, at: usize) {
        if self.slots[at].connection.as_ref().is_some_and(|connection| connection.state == State::Closed) {
            self.close(at);
        }
    }

    fn close(&mut self, at: usize) {
        let base = self.id_base();
        let slot = &mut self.slots[at];
        let Some(mut connection) = slot.connection.take() else { return };
        slot.memory = connection.give_back();
        self.open -= 1;
        if connection.asked {
            slot.gone = Some(ClientId(connection.serial * base + at as u64));
        }
        slot.text = None;
        slot.output.clear();
        slot.output.shrink_to(OUTPUT_KEPT);
    }

    /// Client numbers are `serial * id_base + slot`: never used twice, and the slot is found at once.
    fn id_base(&self) -> u64 {
        self.slots.len() as u64
    }

    fn slot_of(&self, client: ClientId) -> Option<usize> {
        let (serial, at) = (client.0 / self.id_base(), (client.0 % self.id_base()) as usize);
        let connection = self.slots[at].connection.as_ref()?;
        (connection.serial == serial && connection.state == State::Asked).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::connection::{ANSWER_LIMIT, LINGER_LIMIT, REQUEST_LIMIT};
    use super::*;
    use booth_core::wire::MAX_MESSAGE;
    use mio::{Events, Poll};
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::time::Duration;

    const SLOTS: usize = 4;
    const PATIENCE: Millis = Millis(60_000);
    const START: Instant = Instant(1_000);

    struct World {
        poll: Poll,
        events: Events,
        clients: Clients,
        address: SocketAddr,
    }

    fn line(bytes: &[u8]) -> Framing {
        match bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) => Framing::Whole(end + 1),
            None => Framing::Partial,
        }
    }

    fn world() -> World {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let poll = Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let lines = Requests { framing: line, longest: LONGEST_REQUEST };
        let clients = Clients::new(Listener::tcp(free).unwrap(), registry, Token(5), SLOTS, lines, PATIENCE).unwrap();
        World { poll, events: Events::with_capacity(16), clients, address: free }
    }

    impl World {
        fn connect(&self, from: &str) -> TcpStream {
            use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, socket};
            use std::os::fd::AsRawFd;
            let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
            let from = SockaddrStorage::from(SocketAddr::new(from.parse().unwrap(), 0));
            bind(socket.as_raw_fd(), &from).unwrap();
            connect(socket.as_raw_fd(), &SockaddrStorage::from(self.address)).unwrap();
            let stream = TcpStream::from(socket);
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            stream
        }

        /// Handles events until the condition holds.
        fn until(&mut self, now: Instant, mut condition: impl FnMut(&mut Clients) -> bool) {
            let deadline = std::time::Instant::now() + Duration::from_secs(5);
            while !condition(&mut self.clients) {
                assert!(std::time::Instant::now() < deadline, "waited in vain");
                self.poll.poll(&mut self.events, Some(Duration::from_millis(20))).unwrap();
                for event in &self.events {
                    assert!(self.clients.on_event(now, event.token()));
                }
                self.clients.accept(now);
                self.clients.flush(now);
            }
        }

        fn accept(&mut self, from: &str, accepted: u64) -> TcpStream {
            let stream = self.connect(from);
            self.until(START, |clients| clients.counters.accepted == accepted);
            stream
        }

        fn ask(&mut self, stream: &mut TcpStream) -> ClientId {
            stream.write_all(b"hello\n").unwrap();
            let mut request = None;
            self.until(START, |clients| {
                request = clients.next_request(START, &mut [0; MAX_MESSAGE]);
                request.is_some()
            });
            let (client, length, good) = request.unwrap();
            assert_eq!((length, good), (6, true));
            client
        }
    }

    fn is_closed(stream: &mut TcpStream) -> bool {
        matches!(stream.read(&mut [0; 8]), Ok(0) | Err(_))
    }

    #[test]
    fn an_answer_in_two_parts_is_written_and_the_close_waited_for() {
        let mut world = world();
        let mut stream = world.accept("127.0.0.1", 1);
        let client = world.ask(&mut stream);
        world.clients.reply(START, client, b"one ", false);
        world.clients.flush(START);
        world.clients.reply(START, client, b"two", true);
        world.clients.reply(START, client, b"too late", true);
        world.clients.flush(START);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "one two");
        assert_eq!(world.clients.next_deadline(), Some(START + LINGER_LIMIT));
        drop(stream);
        world.until(START, |clients| clients.next_deadline().is_none());
        assert_eq!(world.clients.next_gone(), None, "it had its answer");
    }

    #[test]
    fn who_goes_while_the_node_has_its_request_is_reported_once() {
        let mut world = world();
        let mut stream = world.accept("127.0.0.1", 1);
        let client = world.ask(&mut stream);
        drop(stream);
        let mut gone = None;
        world.until(START, |clients| {
            gone = clients.next_gone();
            gone.is_some()
        });
        assert_eq!(gone, Some(client));
        assert_eq!(world.clients.next_gone(), None);
        // An answer that comes too late goes nowhere, not to whoever has the slot now.
        let _other = world.accept("127.0.0.1", 2);
        world.clients.reply(START, client, b"late", true);
        assert!(world.clients.slots.iter().all(|slot| slot.output.is_empty()));
    }

    /// A bad request was answered by as many of its bytes as had come with the one that showed it: "not
    /// authenticated" where they came in one piece, "no such ticket" where the header came first.
    #[test]
    fn what_shows_that_a_request_is_bad_is_all_that_is_looked_at() {
        let key = wire::Key::new(b"0123456789abcdef");
        let body = wire::TicketBody { name: "T", leader: wire::LeaderField::Unknown, term: 0, valid_for: 0 };
        let header = wire::Header {
            stamp: booth_core::time::WallTime(0),
            sender: booth_core::member::SiteId(1),
            // Nothing that a client asks.
            command: wire::Command::Heartbeat,
            request: None,
            options: 0,
            reason: wire::Reason::None,
            outcome: wire::Outcome::Success,
        };
        let mut bytes = [0; MAX_MESSAGE];
        let message = wire::Message { header, body: wire::Body::Ticket(body) };
        let length = wire::encode(&message, Some(&key), &mut bytes);
        for come in [wire::HEADER_LEN, wire::HEADER_LEN + 1, length] {
            assert_eq!(booth_framing(&bytes[..come]), Framing::Bad(wire::HEADER_LEN));
        }
        let bang = |bytes: &[u8]| if bytes.starts_with(b"!") { Framing::Bad(1) } else { Framing::Partial };
        for sent in ["!", "!and more"] {
            let mut world = world();
            world.clients.requests.framing = bang;
            world.accept("127.0.0.1", 1).write_all(sent.as_bytes()).unwrap();
            let (mut buffer, mut request) = ([0; MAX_MESSAGE], None);
            world.until(START, |clients| {
                request = clients.next_request(START, &mut buffer);
                request.is_some()
            });
            let (_, length, good) = request.unwrap();
            assert_eq!((&buffer[..length], good), (&b"!"[..], false));
        }
    }

    #[test]
    fn each_state_has_its_time() {
        let mut world = world();
        let mut silent = world.accept("127.0.0.1", 1);
        assert_eq!(world.clients.next_deadline(), Some(START + REQUEST_LIMIT));
        world.clients.expire(START + REQUEST_LIMIT - Millis(1));
        assert_eq!(world.clients.counters.timed_out, 0);
        world.clients.expire(START + REQUEST_LIMIT);
        assert_eq!(world.clients.counters.timed_out, 1);
        assert!(is_closed(&mut silent));

        let mut waiting = world.accept("127.0.0.1", 2);
        let client = world.ask(&mut waiting);
        assert_eq!(world.clients.next_deadline(), Some(START + PATIENCE));
        // More than the system's buffers hold, for one that does not read.
        world.clients.reply(START, client, &vec![b'x'; OUTPUT_LIMIT], true);
        world.clients.flush(START);
        assert_eq!(world.clients.next_deadline(), Some(START + ANSWER_LIMIT));
        world.clients.expire(START + ANSWER_LIMIT);
        assert_eq!((world.clients.counters.timed_out, world.clients.next_deadline()), (2, None));
    }

    #[test]
    fn all_answers_together_have_a_limit() {
        let mut world = world();
        let mut first = world.accept("127.0.0.1", 1);
        let first = world.ask(&mut first);
        let mut second = world.accept("127.0.0.1", 2);
        let second = world.ask(&mut second);
        world.clients.reply(START, first, &vec![b'x'; OUTPUT_LIMIT], true);
        world.clients.reply(START, second, b"y", true);
        assert_eq!(world.clients.counters.too_long, 1);
        assert_eq!(world.clients.next_gone(), Some(second));
    }

    #[test]
    fn a_newcomer_displaces_the_oldest_idle_one_of_the_address_that_has_most() {
        let mut world = world();
        let mut lone = world.accept("127.0.0.2", 1);
        let mut crowd: Vec<_> = (2..=4).map(|nth| world.accept("127.0.0.3", nth)).collect();
        let mut newcomer = world.accept("127.0.0.4", 5);
        assert_eq!(world.clients.counters.displaced, 1);
        assert!(is_closed(&mut crowd[0]), "the oldest of the crowd");
        for stream in crowd[1..].iter_mut().chain([&mut lone, &mut newcomer]) {
            world.ask(stream);
        }
    }

    #[test]
    fn a_request_in_the_nodes_hands_is_never_displaced() {
        let mut world = world();
        let mut asking: Vec<_> = (1..=SLOTS as u64).map(|nth| world.accept("127.0.0.2", nth)).collect();
        let clients: Vec<_> = asking.iter_mut().map(|stream| world.ask(stream)).collect();
        let mut refused = world.connect("127.0.0.3");
        world.until(START, |clients| clients.counters.refused == 1);
        assert!(is_closed(&mut refused));
        assert_eq!(world.clients.counters.displaced, 0);
        for (client, stream) in clients.into_iter().zip(&mut asking) {
            world.clients.reply(START, client, b"done", true);
            world.clients.flush(START);
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "done");
        }
    }

    #[test]
    fn client_numbers_are_never_used_twice() {
        let mut world = world();
        let mut seen = std::collections::HashSet::new();
        for nth in 1..=20 {
            let mut stream = world.accept("127.0.0.1", nth);
            let client = world.ask(&mut stream);
            assert!(seen.insert(client));
            world.clients.finish(START, client);
            world.clients.flush(START);
            assert!(is_closed(&mut stream));
        }
    }
}
