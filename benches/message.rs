//! What a message costs: to decode and verify it, to encode and sign it, and a whole step of the node
//! from a datagram to its signed answer.
//!
//! `cargo bench --bench message`

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use booth_core::input::{ClientId, Input};
use booth_core::member::MemberIndex;
use booth_core::node::{Node, Storage};
use booth_core::notice::Notice;
use booth_core::settings::TicketIndex;
use booth_core::sink::{HandlerRequest, Record, Reply, Sink, StoreRequest};
use booth_core::ticket::Ticket;
use booth_core::time::{Instant, Millis, Now, WallTime};
use booth_core::wheel::Timer;
use booth_core::wire::{self, Command, Key, LeaderField, MAX_MESSAGE};
use divan::{Bencher, black_box};
use fixture::{KEY, Peer, Words};

fn main() {
    divan::main();
}

/// All kinds of ticket message have one layout, so one stands for all.
#[divan::bench(args = [true, false])]
fn decode_and_verify(bencher: Bencher<'_, '_>, signed: bool) {
    let key = signed.then(|| Key::new(KEY));
    let message = Words::new(Command::Heartbeat, "T").message(fixture::id(0), WallTime(1));
    let mut bytes = [0; MAX_MESSAGE];
    let length = wire::encode(&message, key.as_ref(), &mut bytes);
    bencher.bench_local(|| {
        let message = wire::decode(black_box(&bytes[..length]), key.as_ref());
        assert!(black_box(message).is_ok());
    });
}

#[divan::bench(args = [true, false])]
fn encode_and_sign(bencher: Bencher<'_, '_>, signed: bool) {
    let key = signed.then(|| Key::new(KEY));
    let message = Words::new(Command::Heartbeat, "T").message(fixture::id(0), WallTime(1));
    let mut bytes = [0; MAX_MESSAGE];
    bencher.bench_local(|| black_box(wire::encode(black_box(&message), key.as_ref(), &mut bytes)));
}

/// A message with a wrong MAC is the cheapest way to make a daemon work.
#[divan::bench]
fn refuse_a_wrong_mac(bencher: Bencher<'_, '_>) {
    let (bytes, length) = Peer::new(0, WallTime(0)).say(Words::new(Command::Heartbeat, "T"));
    let other = Key::new(b"another key than that");
    bencher.bench_local(|| assert!(black_box(wire::decode(black_box(&bytes[..length]), Some(&other))).is_err()));
}

/// Counts answers; what it is given is looked at as a queue would have to.
#[derive(Default)]
struct Answers(u64);

impl Sink for Answers {
    fn journal(&mut self, _: TicketIndex, record: &Record) {
        black_box(record);
    }
    fn send(&mut self, _: TicketIndex, _: MemberIndex, bytes: &[u8]) {
        let mut queued = [0; MAX_MESSAGE];
        queued[..bytes.len()].copy_from_slice(bytes);
        black_box(&queued);
        self.0 += 1;
    }
    fn store(&mut self, _: TicketIndex, _: StoreRequest<'_>) {}
    fn run_handler(&mut self, _: TicketIndex, _: HandlerRequest) {}
    fn reply(&mut self, _: ClientId, _: Reply<'_>) {}
    fn notice(&mut self, notice: Notice) {
        black_box(notice);
    }
}

/// What a site says to an arbitrator, and how many answers each message has.
const KINDS: [(&str, Command, u64); 5] = [
    ("Stat -> MIdx", Command::Status, 1),
    ("HrtB -> Ack", Command::Heartbeat, 1),
    ("UpdE -> Ack", Command::Update, 1),
    ("RVot -> VtFr, with a record", Command::VoteRequest, 1),
    ("MIdx, nothing new", Command::MyIndex, 0),
];

/// Verify, decode, decide, encode, sign: one message of each kind at an arbitrator with one ticket.
#[divan::bench(args = KINDS.map(|kind| kind.0))]
fn step(bencher: Bencher<'_, '_>, kind: &str) {
    let Some((_, command, answers)) = KINDS.into_iter().find(|known| known.0 == kind) else { return };
    let now = Now { boot: Instant(1_000_000), wall: WallTime(1_800_000_000_000_000) };
    let mut tickets = [Ticket::new(fixture::ticket("T"), Some(fixture::memory()))];
    let (mut timers, mut attributes) = ([Timer::UNARMED], []);
    let storage = Storage { tickets: &mut tickets, timers: &mut timers, attributes: &mut attributes };
    let mut node = Node::new(fixture::settings(fixture::ARBITRATOR), storage, now);
    let mut sink = Answers::default();
    node.step(now, Input::Started, &mut sink);
    // It waits for all to say what they know before it answers anybody.
    let now = Now { boot: now.boot + Millis(60_000), wall: now.wall.after(Millis(60_000)) };
    node.step(now, Input::Tick, &mut sink);

    let (mut peer, mut term, mut sent) = (Peer::new(0, now.wall), 1, 0);
    sink.0 = 0;
    bencher
        .with_inputs(|| {
            sent += 1;
            term += u32::from(command == Command::VoteRequest);
            let leader = LeaderField::Member(fixture::id(0));
            peer.say(Words { leader, term, valid_for: 600, ..Words::new(command, "T") })
        })
        .bench_local_values(|(bytes, length)| {
            let input = Input::Datagram { source: Some(MemberIndex(0)), bytes: &bytes[..length] };
            node.step(now, black_box(input), &mut sink);
        });
    assert_eq!(sink.0, sent * answers, "{kind}: not every message was answered as it should be");
}
