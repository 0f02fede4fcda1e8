//! What must hold of any clients on the control socket: no panic; each gets the whole answer to its first
//! line, or nothing; all get theirs where nobody had to make room or took too long; and once they have
//! gone, all places are free.
//!
//! The bytes are read as a script: clients come, write pieces of requests and other bytes, read, hang up
//! one end or both, and time passes. The sockets and the poll are real.

use booth::control::{self, LONGEST_LINE, REQUESTS};
use booth::net::client::Clients;
use booth::net::stream::Listener;
use booth_core::time::{Instant, Millis};
use mio::net::UnixListener;
use mio::{Events, Poll, Token};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SLOTS: usize = 4;
/// The most clients of a script, and its most operations.
const MAX_CLIENTS: usize = 12;
const MAX_OPERATIONS: usize = 200;

/// Panics if something that must hold does not.
pub fn judge(script: &[u8]) {
    let mut world = World::new();
    let mut script = script.iter().copied();
    for _ in 0..MAX_OPERATIONS {
        let Some(operation) = script.next() else { break };
        let chosen = usize::from(script.next().unwrap_or_default());
        world.operate(operation, chosen, &mut script);
        world.turn();
    }
    world.end();
}

struct World {
    poll: Poll,
    events: Events,
    clients: Clients,
    address: SocketAddr,
    now: Instant,
    peers: Vec<Peer>,
}

/// The other end of a connection.
struct Peer {
    stream: Option<UnixStream>,
    sent: Vec<u8>,
    received: Vec<u8>,
    /// Whether it has closed its own end, so that nothing more is owed to it.
    gone: bool,
}

impl World {
    fn new() -> World {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let name = format!("booth-fuzz-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let address = SocketAddr::from_abstract_name(name).expect("a short name");
        let poll = Poll::new().expect("a poll");
        let registry = poll.registry().try_clone().expect("a registry");
        let listener = Listener::Unix(UnixListener::bind_addr(&address).expect("a name of our own"));
        let clients = Clients::new(listener, registry, Token(3), SLOTS, control::LINES, Millis(60_000));
        let (events, now) = (Events::with_capacity(64), Instant(1_000_000));
        World { poll, events, clients: clients.expect("a listener"), address, now, peers: Vec::new() }
    }

    fn operate(&mut self, operation: u8, chosen: usize, script: &mut impl Iterator<Item = u8>) {
        match operation % 8 {
            0 if self.peers.len() < MAX_CLIENTS => {
                let stream = UnixStream::connect_addr(&self.address).expect("room in the queue");
                stream.set_nonblocking(true).expect("a socket");
                self.peers.push(Peer { stream: Some(stream), sent: Vec::new(), received: Vec::new(), gone: false });
            }
            6 => {
                self.now = self.now + Millis(chosen as u64 * 40);
                self.clients.expire(self.now);
                assert!(self.clients.next_deadline().is_none_or(|at| at > self.now), "a deadline that stays");
            }
            _ => {}
        }
        let count = self.peers.len().max(1);
        let Some(peer) = self.peers.get_mut(chosen % count) else { return };
        match operation % 8 {
            1 => {
                let count = usize::from(script.next().unwrap_or_default());
                peer.send(&script.take(count).collect::<Vec<_>>());
            }
            2 => {
                let request = usize::from(script.next().unwrap_or_default());
                peer.send(format!("{}\n", REQUESTS[request % REQUESTS.len()].0).as_bytes());
            }
            3 => peer.send(&vec![b' '; usize::from(script.next().unwrap_or_default()) * 300]),
            4 => peer.hang_up(Shutdown::Write),
            5 => {
                peer.receive();
                (peer.stream, peer.gone) = (None, true);
            }
            7 => peer.receive(),
            _ => {}
        }
    }

    /// One turn of the event loop.
    fn turn(&mut self) {
        self.poll.poll(&mut self.events, Some(Duration::ZERO)).expect("a poll");
        for event in &self.events {
            assert!(self.clients.on_event(self.now, event.token()), "an event of nobody's");
        }
        self.clients.accept(self.now);
        let mut buffer = [0; LONGEST_LINE];
        while let Some((client, length, good)) = self.clients.next_request(self.now, &mut buffer) {
            let line = if good { &buffer[..length] } else { b"" };
            self.clients.reply(self.now, client, answer(line).as_bytes(), true);
        }
        while self.clients.next_gone().is_some() {}
        self.clients.flush(self.now);
        assert!(!self.clients.has_more(), "the queue is empty after a turn");
    }

    fn end(mut self) {
        self.turn();
        let counters = self.clients.counters;
        let all_served = counters.displaced + counters.refused + counters.timed_out + counters.too_long == 0;
        for peer in &mut self.peers {
            peer.receive();
            let expected = peer.expected();
            let complete = peer.received == expected;
            let nothing = peer.received.is_empty();
            assert!(complete || nothing, "{:?} got {:?}", peer.sent, String::from_utf8_lossy(&peer.received));
            assert!(complete || peer.gone || !all_served, "{:?} got nothing: {counters:?}", peer.sent);
            peer.stream = None;
        }
        self.turn();
        // All who have closed are let go: as many newcomers as there are places displace nobody.
        let displaced = self.clients.counters.displaced;
        self.peers.clear();
        for chosen in 0..SLOTS {
            self.operate(0, 0, &mut std::iter::empty());
            self.operate(2, chosen, &mut std::iter::once(3));
            self.turn();
        }
        for peer in &mut self.peers {
            peer.receive();
            assert_eq!(peer.received, peer.expected());
        }
        assert_eq!(self.clients.counters.displaced, displaced, "a place was not free");
    }
}

/// What the daemon answers: here, the request in words.
fn answer(line: &[u8]) -> String {
    match control::parse(line) {
        Some(request) => format!("{request:?} {}\n", "x".repeat(5_000)),
        None => {
            let mut text = String::new();
            control::complain(&mut text);
            text
        }
    }
}

impl Peer {
    fn send(&mut self, bytes: &[u8]) {
        let Some(stream) = &mut self.stream else { return };
        // What is not taken was cut off.
        let sent = stream.write(bytes).unwrap_or_default();
        self.sent.extend_from_slice(&bytes[..sent]);
    }

    fn receive(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            self.received.extend_from_slice(&buffer[..count]);
        }
    }

    fn hang_up(&mut self, how: Shutdown) {
        if let Some(stream) = &mut self.stream {
            let _ = stream.shutdown(how);
        }
    }

    /// The answer to what it has sent: to the first line, or to so much that is none.
    fn expected(&self) -> Vec<u8> {
        let first = &self.sent[..self.sent.len().min(LONGEST_LINE)];
        match first.iter().position(|byte| *byte == b'\n') {
            Some(end) => answer(&first[..=end]).into_bytes(),
            None if first.len() == LONGEST_LINE => answer(b"").into_bytes(),
            None => Vec::new(),
        }
    }
}
