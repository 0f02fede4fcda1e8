//! The daemon's sink: what an answer promises is on disk before the answer leaves, and nothing that a
//! step wants done is lost, however much it is.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod scratch;

use booth::handler::{Handlers, Settings as HandlerSettings};
use booth::journal::Journal;
use booth::log::destination::Destination;
use booth::log::{Level, Log};
use booth::net::client::{BOOTH, Clients};
use booth::net::peer::{self, BATCH, PeerReceiver};
use booth::net::stream::Listener;
use booth::outbox::{Outbox, Parts};
use booth::store::{Backend, Settings as StoreSettings, Store, StoreSettings as TicketStore};
use booth_core::input::RequestNumber;
use booth_core::member::{MemberIndex, SiteId};
use booth_core::notice::{Event, Notice};
use booth_core::settings::TicketIndex;
use booth_core::sink::{Record, Sink, StoreAction, StoreRequest, StoreTicket};
use booth_core::time::{Millis, Now, WallTime};
use booth_core::wire::MAX_MESSAGE;
use mio::{Poll, Token};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const PEER: MemberIndex = MemberIndex(1);
/// Nobody may send there without asking the system first (socket(7), SO_BROADCAST).
const UNREACHABLE: MemberIndex = MemberIndex(2);

struct World {
    outbox: Outbox,
    receiver: PeerReceiver,
    own: SocketAddr,
    peer: UdpSocket,
    directory: PathBuf,
    _poll: Poll,
}

/// An outbox whose journal knows so many tickets: a record of any other cannot be written.
fn world(name: &str, tickets: usize) -> World {
    let directory = scratch::directory(name);
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    // A port that was free a moment ago.
    let own = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let broadcast = SocketAddr::new(IpAddr::V4(Ipv4Addr::BROADCAST), own.port());
    let members = [own, peer.local_addr().unwrap(), broadcast];
    let (receiver, sender) = peer::open(&members, MemberIndex(0), tickets).unwrap();
    let poll = Poll::new().unwrap();
    let registry = || poll.registry().try_clone().unwrap();
    let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let names: Vec<String> = (0..tickets).map(|at| format!("T{at}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let store = StoreSettings {
        backend: Backend::File(directory.join("store")),
        configuration_name: String::new(),
        tickets: names.iter().map(|name| TicketStore { name: (*name).to_owned(), deadline: Millis(1_000) }).collect(),
    };
    let settings = HandlerSettings {
        key: "before-acquire-handler",
        local: String::new(),
        configuration_path: PathBuf::new(),
        configuration_name: String::new(),
        tickets: Vec::new(),
    };
    let parts = Parts {
        peers: sender,
        clients: Clients::new(listener, registry(), Token(1), 4, BOOTH, Millis(1_000)).unwrap(),
        store: Some(Store::new(store, registry(), Token(1_000))),
        handlers: [100, 200, 300].map(|token| Handlers::new(settings.clone(), registry(), Token(token))),
        log: Log::new(
            Destination::stream(std::fs::File::create(directory.join("log")).unwrap().into(), "test").unwrap(),
            Level::Debug,
        ),
        journal: Journal::open(&directory.join("journal"), SiteId(7), &names, None).unwrap().journal,
        members: Arc::new([]),
        tickets: Arc::new([]),
    };
    let outbox = Outbox::new(parts, Now { wall: WallTime(1), ..Now::default() });
    World { outbox, receiver, own, peer, directory, _poll: poll }
}

impl World {
    fn write(&mut self, ticket: TicketIndex, number: u32, granted: bool) {
        let state = StoreTicket { granted, owner: None, expires: WallTime(0), term: 5 };
        let (number, action) = (RequestNumber(number), StoreAction::Write(state));
        self.outbox.store(ticket, StoreRequest { number, action, before: None });
    }

    /// What the journal says of two tickets when the store is first asked for this one: its file is a FIFO,
    /// before which the store waits.
    fn journal_when_asked(&self, ticket: TicketIndex) -> mpsc::Receiver<Vec<Option<Record>>> {
        let directory = self.directory.clone();
        let name = format!("T{}", ticket.0);
        let file = directory.join(format!("store/{name}.ticket"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut fifo = std::fs::File::options().write(true).open(file).unwrap();
            sender.send(on_disk(&directory, &["T0", "T1"])).unwrap();
            write!(fifo, "ticket = {name}\ngranted = false\n").unwrap();
        });
        receiver
    }

    /// The first bytes of all datagrams up to one that starts with `last`.
    fn received_up_to(&self, last: u8) -> Vec<u8> {
        let mut first_bytes = Vec::new();
        let mut buffer = [0; MAX_MESSAGE];
        while first_bytes.last() != Some(&last) {
            self.peer.recv(&mut buffer).unwrap();
            first_bytes.push(buffer[0]);
        }
        first_bytes
    }
}

/// What the journal says, read by another.
fn on_disk(directory: &Path, tickets: &[&str]) -> Vec<Option<Record>> {
    let copy = directory.join(format!("copy-{:?}", std::thread::current().id()));
    std::fs::copy(directory.join("journal"), &copy).unwrap();
    Journal::open(&copy, SiteId(7), tickets, None).unwrap().memories
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn record(term: u32) -> Record {
    let (vote, leader, stamp) = (None, None, WallTime(0));
    Record {
        term,
        voted_term: term,
        vote,
        leader,
        active: false,
        promised: Millis(0),
        earlier: false,
        revoked: false,
        held: false,
        mark: 0,
        forgetful: false,
        stamp,
    }
}

#[test]
fn s1_no_datagram_leaves_whose_record_could_not_be_written() {
    let mut world = world("s1", 1);
    let (good, bad) = (TicketIndex(0), TicketIndex(9));
    world.outbox.journal(good, &record(1));
    world.outbox.send(good, PEER, &[1]);
    // Queued before the record or behind it: both rest on it.
    world.outbox.send(bad, PEER, &[2]);
    world.outbox.journal(bad, &record(1));
    world.outbox.send(bad, PEER, &[3]);
    world.outbox.send(good, PEER, &[4]);
    world.outbox.flush();
    // Until the node has been told, it still believes in its record.
    world.outbox.send(bad, PEER, &[5]);
    world.outbox.flush();
    assert_eq!(world.outbox.next_unrecorded(), Some(bad));
    assert_eq!(world.outbox.next_unrecorded(), None);
    world.outbox.send(bad, PEER, &[6]);
    world.outbox.flush();
    assert_eq!(world.received_up_to(6), [1, 4, 6]);
    assert_eq!((world.outbox.counters.records, world.outbox.counters.record_failures), (1, 1));
}

#[test]
fn a_record_is_on_disk_when_its_datagram_arrives_even_from_the_middle_of_a_step() {
    let mut world = world("order", 1);
    world.outbox.journal(TicketIndex(0), &record(77));
    // One more than the queue holds: the first ones leave before the step has ended.
    for _ in 0..=BATCH {
        world.outbox.send(TicketIndex(0), PEER, &[9]);
    }
    assert_eq!(world.received_up_to(9), [9]);
    assert_eq!(on_disk(&world.directory, &["T0"]), [Some(record(77))]);
}

/// A disk that hung under the journal held up the revokes of the same turn, for as long as it liked.
#[test]
fn s8_a_revoke_does_not_wait_for_the_journal_and_a_grant_does() {
    let mut world = world("revoke", 2);
    let (granted, revoked) = (TicketIndex(0), TicketIndex(1));
    let seen = [granted, revoked].map(|ticket| world.journal_when_asked(ticket));
    world.outbox.journal(granted, &record(5));
    world.outbox.journal(revoked, &record(5));
    world.write(granted, 1, true);
    // Not begun yet, so it never is.
    world.write(revoked, 2, true);
    world.write(revoked, 3, false);
    world.outbox.flush();
    let seen = seen.map(|journal| journal.recv_timeout(Duration::from_secs(5)).unwrap());
    assert_eq!(seen, [vec![Some(record(5)); 2], vec![None; 2]]);
    let store = world.outbox.store.as_mut().unwrap();
    let finished: Vec<_> = std::iter::from_fn(|| store.next_finished()).map(|finished| finished.number).collect();
    assert_eq!(finished, [RequestNumber(3), RequestNumber(1)]);
    let text = std::fs::read_to_string(world.directory.join("store/T1.ticket")).unwrap();
    assert!(text.contains("granted = false"), "{text}");
}

#[test]
fn more_than_any_queue_holds_is_done_all_the_same() {
    let mut world = world("many", 200);
    // As many as the peer's socket buffer surely holds.
    for at in 0..200 {
        world.outbox.journal(TicketIndex(at), &record(1));
        world.outbox.journal(TicketIndex(at), &record(2));
        world.outbox.send(TicketIndex(at), PEER, &[1]);
        world.outbox.notice(Notice::Ticket { ticket: TicketIndex(at), event: Event::Granted });
    }
    world.outbox.send(TicketIndex(0), PEER, &[2]);
    world.outbox.flush();
    assert_eq!(world.received_up_to(2).len(), 201);
    assert_eq!(world.outbox.next_unrecorded(), None);
    let (records, log) = (world.outbox.counters.records, std::fs::read_to_string(world.directory.join("log")).unwrap());
    assert!((200..=400).contains(&records), "{records}");
    assert!(log.contains("granted here"), "{log}");
}

#[test]
fn what_the_kernel_does_not_take_is_told_of_and_the_rest_still_leaves() {
    let mut world = world("unsent", 1);
    for to in [PEER, UNREACHABLE, UNREACHABLE, PEER] {
        world.outbox.send(TicketIndex(0), to, &[to.0]);
    }
    world.outbox.send(TicketIndex(0), PEER, &[9]);
    world.outbox.flush();
    assert_eq!(world.received_up_to(9), [1, 1, 9]);
    let told: Vec<_> = std::iter::from_fn(|| world.outbox.next_unsent()).collect();
    assert_eq!(told, [UNREACHABLE, UNREACHABLE]);
}

/// Receives until so many datagrams have come: sizes and sources.
fn receive(world: &mut World, count: usize) -> Vec<(Option<MemberIndex>, usize)> {
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    let mut all = Vec::new();
    while all.len() < count && std::time::Instant::now() < deadline {
        let received = world.receiver.receive();
        assert!(received <= BATCH);
        all.extend((0..received).map(|at| {
            let (source, bytes) = world.receiver.datagram(at).unwrap();
            (source, bytes.len())
        }));
    }
    all
}

#[test]
fn datagrams_are_known_by_their_source_and_no_longer_than_one_byte_too_long() {
    let mut world = world("sources", 1);
    // A member is known by its address, whatever the port; here all have the same one.
    for length in [0, 1, MAX_MESSAGE, MAX_MESSAGE + 1, 9_000] {
        world.peer.send_to(&vec![7; length], world.own).unwrap();
    }
    let lengths: Vec<usize> = receive(&mut world, 5).iter().map(|(_, length)| *length).collect();
    assert_eq!(lengths, [0, 1, MAX_MESSAGE, MAX_MESSAGE + 1, MAX_MESSAGE + 1]);
    let stranger = UdpSocket::bind("127.0.0.9:0").unwrap();
    stranger.send_to(&[1], world.own).unwrap();
    assert_eq!(receive(&mut world, 1), [(None, 1)]);
    world.peer.send_to(&[1], world.own).unwrap();
    assert_eq!(receive(&mut world, 1), [(Some(MemberIndex(0)), 1)]);
}

#[test]
fn more_than_a_batch_comes_in_several() {
    let mut world = world("batches", 1);
    for _ in 0..BATCH * 2 + 3 {
        world.peer.send_to(&[1], world.own).unwrap();
    }
    assert_eq!(world.receiver.receive(), BATCH);
    assert_eq!(world.receiver.receive(), BATCH);
    assert_eq!(world.receiver.receive(), 3);
    assert_eq!(world.receiver.receive(), 0);
    assert_eq!(world.receiver.datagram(0), None);
}
