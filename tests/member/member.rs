//! A member that is driven by hand: its peers, its store, its clients and its clock are the test.

use super::fixture::{self, EXPIRE, KEY, MEMBERS, Peer, Words, id};
use booth_core::attribute::MEMORY;
use booth_core::input::{ClientId, Input, RequestNumber, StoreResult, StoredTicket};
use booth_core::member::{MemberIndex, SiteId};
use booth_core::node::{Node, Storage};
use booth_core::notice::Notice;
use booth_core::options::Word;
use booth_core::settings::{TicketIndex, TicketSettings};
use booth_core::sink::{HandlerRequest, Record, Reply, Sink, StoreAction, StoreRequest, StoreTicket};
use booth_core::ticket::Ticket;
use booth_core::time::{Instant, Millis, Now, WallTime};
use booth_core::view::TicketView;
use booth_core::wire::{self, Body, Command, Key, LeaderField, Outcome, Reason};

/// The mark of the memory that a member starts with: its store names the same (S7).
const MARK: u32 = 1;

/// The ticket's name.
pub const T: &str = "T";

/// What a member does, in its order.
#[derive(Clone, Debug)]
pub enum Done {
    Journal(Record),
    Send(Said),
    Load(RequestNumber),
    /// The store is to name this memory as the last that was used.
    Claim(RequestNumber, u32),
    /// With the instant by which it must have begun.
    Write(RequestNumber, StoreTicket, Option<Instant>),
    Answer(ClientId, Outcome),
    Handler(HandlerRequest),
}

/// A datagram that a member has sent.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub at: Instant,
    pub to: u8,
    pub stamp: WallTime,
    pub command: Command,
    pub request: Option<Command>,
    pub reason: Reason,
    pub word: Word,
    pub leader: Option<SiteId>,
    pub term: u32,
    pub valid_for: u32,
}

struct Outputs<'d> {
    at: Instant,
    done: &'d mut Vec<Done>,
}

impl Sink for Outputs<'_> {
    fn journal(&mut self, _: TicketIndex, record: &Record) {
        self.done.push(Done::Journal(*record));
    }

    fn send(&mut self, _: TicketIndex, to: MemberIndex, bytes: &[u8]) {
        let message = wire::decode(bytes, Some(&Key::new(KEY))).unwrap();
        let Body::Ticket(body) = message.body else { panic!("{message:?}") };
        let header = message.header;
        self.done.push(Done::Send(Said {
            at: self.at,
            to: to.0,
            stamp: header.stamp,
            command: header.command,
            request: header.request,
            reason: header.reason,
            word: Word::parse(header.options).expect("a word of ours"),
            leader: if let LeaderField::Member(leader) = body.leader { Some(leader) } else { None },
            term: body.term,
            valid_for: body.valid_for,
        }));
    }

    fn store(&mut self, _: TicketIndex, request: StoreRequest<'_>) {
        self.done.push(match request.action {
            StoreAction::Load => Done::Load(request.number),
            StoreAction::Write(ticket) => Done::Write(request.number, ticket, request.before),
            StoreAction::SetAttribute { name: MEMORY, value } => {
                Done::Claim(request.number, u32::from_str_radix(value, 16).unwrap())
            }
            other => panic!("{other:?}"),
        });
    }

    fn run_handler(&mut self, _: TicketIndex, request: HandlerRequest) {
        self.done.push(Done::Handler(request));
    }

    fn reply(&mut self, client: ClientId, reply: Reply<'_>) {
        let Reply::Message { bytes, .. } = reply else { return };
        let outcome = wire::decode(bytes, Some(&Key::new(KEY))).unwrap().header.outcome;
        self.done.push(Done::Answer(client, outcome));
    }

    fn notice(&mut self, _: Notice) {}
}

/// A datagram that is on its way.
pub struct Held {
    from: u8,
    bytes: Vec<u8>,
}

pub struct Member {
    pub me: u8,
    pub now: Now,
    node: Node<'static>,
    peers: Vec<Peer>,
    /// What it has done since somebody looked.
    pub done: Vec<Done>,
}

impl Member {
    /// Starts with this in its journal (and says so to its peers); a site's store is still to be read.
    pub fn start(me: u8, memory: Option<Record>) -> Member {
        Member::start_with(me, memory, fixture::ticket(T))
    }

    pub fn start_with(me: u8, memory: Option<Record>, ticket: TicketSettings) -> Member {
        let now = Now { boot: Instant(10_000_000), wall: WallTime(1_800_000_000_000_000) };
        let memory = memory.map(|record| Record { mark: MARK, ..record });
        let tickets = vec![Ticket::new(ticket, memory)];
        let timers = vec![Default::default()].leak();
        let storage = Storage { timers, tickets: tickets.leak(), attributes: Vec::new().leak() };
        let node = Node::new(fixture::settings(me), storage, now);
        let peers = (0..MEMBERS).map(|member| Peer::new(member, now.wall)).collect();
        let mut member = Member { me, now, node, peers, done: Vec::new() };
        member.input(Input::Started);
        member
    }

    /// An arbitrator, or a site whose store knows nothing, that remembers and has caught up.
    pub fn ready(me: u8) -> Member {
        let mut member = Member::start(me, Some(Record::default()));
        member.catch_up();
        member
    }

    /// Lets an empty store be read, and the time pass in which peers say what they know.
    pub fn catch_up(&mut self) {
        if self.load_asked_for().is_some() {
            self.load(StoredTicket::default());
        }
        self.pass(6_000);
        self.done.clear();
    }

    /// The number of the newest request to read the store, where there is one.
    fn load_asked_for(&self) -> Option<RequestNumber> {
        self.done.iter().rev().find_map(|done| if let Done::Load(number) = done { Some(*number) } else { None })
    }

    /// Reads a store that says this, and names the memory that was last used here.
    pub fn load(&mut self, stored: StoredTicket<'_>) {
        self.load_with_mark(stored, MARK);
        // Without a memory of its own it has the store name a new one, and reads again.
        let claim = |done: &Done| if let Done::Claim(number, mark) = done { Some((*number, *mark)) } else { None };
        if let Some((number, mark)) = self.done.iter().find_map(claim) {
            self.store(number, StoreResult::Written);
            self.load_with_mark(stored, mark);
        }
    }

    fn load_with_mark(&mut self, stored: StoredTicket<'_>, mark: u32) {
        let mark = format!("{mark:08x}");
        let number = self.load_asked_for().unwrap();
        let stored = StoredTicket { attributes: &[(MEMORY, &mark)], ..stored };
        self.store(number, StoreResult::Loaded(Some(stored)));
    }

    pub fn store(&mut self, number: RequestNumber, result: StoreResult<'_>) {
        self.input(Input::StoreFinished { ticket: TicketIndex(0), number, result });
    }

    fn input(&mut self, input: Input<'_>) {
        let mut outputs = Outputs { at: self.now.boot, done: &mut self.done };
        self.node.step(self.now, input, &mut outputs);
    }

    /// Lets time pass; timers fire when they are due.
    pub fn pass(&mut self, ms: u64) {
        let end = self.now.boot + Millis(ms);
        while let Some(at) = self.node.next_deadline().filter(|at| *at <= end) {
            self.leap(at.since(self.now.boot).0);
            self.input(Input::Tick);
        }
        self.leap(end.since(self.now.boot).0);
    }

    /// Lets time pass that the member does not see, as in a suspend.
    pub fn leap(&mut self, ms: u64) {
        self.now = Now { boot: self.now.boot + Millis(ms), wall: self.now.wall.after(Millis(ms)) };
    }

    /// A peer says something now; it is still to arrive.
    pub fn says(&mut self, from: u8, words: Words<'_>) -> Held {
        let peer = &mut self.peers[usize::from(from)];
        peer.stamp = peer.stamp.max(self.now.wall);
        let (bytes, length) = peer.say(words);
        Held { from, bytes: bytes[..length].to_vec() }
    }

    pub fn arrives(&mut self, held: &Held) {
        self.input(Input::Datagram { source: Some(MemberIndex(held.from)), bytes: &held.bytes });
    }

    /// A peer says something, and it arrives at once.
    pub fn hears(&mut self, from: u8, words: Words<'_>) {
        let held = self.says(from, words);
        self.arrives(&held);
    }

    /// A client on the member's host asks for something.
    pub fn asks(&mut self, client: u64, command: Command) {
        self.asks_with(client, command, 0);
    }

    /// ... with these options.
    pub fn asks_with(&mut self, client: u64, command: Command, options: u32) {
        let held = self.says(self.me, Words { leader: LeaderField::Unknown, options, ..Words::new(command, T) });
        self.input(Input::Request { client: ClientId(client), bytes: &held.bytes });
    }

    pub fn view(&self) -> TicketView<'_> {
        self.node.tickets(self.now).next().unwrap()
    }

    /// What it has sent of one kind since somebody looked.
    pub fn sent(&self, command: Command, request: Option<Command>) -> Vec<Said> {
        let said = |done: &Done| match done {
            Done::Send(said) if said.command == command && said.request == request => Some(*said),
            _ => None,
        };
        self.done.iter().filter_map(said).collect()
    }

    /// Whether it has voted for a peer since somebody looked.
    pub fn has_voted_for(&self, candidate: u8) -> bool {
        self.sent(Command::Vote, Some(Command::VoteRequest)).iter().any(|vote| vote.leader == Some(id(candidate)))
    }

    pub fn has_acknowledged(&self, leader: u8) -> bool {
        self.sent(Command::Ack, Some(Command::Heartbeat)).iter().any(|ack| ack.to == leader)
    }

    /// Its calls for votes since somebody looked.
    pub fn calls(&self) -> Vec<Said> {
        self.sent(Command::VoteRequest, None)
    }

    pub fn writes(&self) -> Vec<(RequestNumber, StoreTicket)> {
        let write =
            |done: &Done| if let Done::Write(number, ticket, _) = done { Some((*number, *ticket)) } else { None };
        self.done.iter().filter_map(write).collect()
    }

    /// The handlers that it has had started since somebody looked.
    pub fn handlers(&self) -> Vec<HandlerRequest> {
        let handler = |done: &Done| if let Done::Handler(request) = done { Some(*request) } else { None };
        self.done.iter().filter_map(handler).collect()
    }

    /// A handler ends.
    pub fn handler_exits(&mut self, number: RequestNumber, success: bool) {
        self.input(Input::HandlerExited { ticket: TicketIndex(0), number, success });
    }

    /// All nodes of a site are known to have been down.
    pub fn site_crashes(&mut self, site: u8, at: Instant) {
        self.input(Input::SiteCrashed { ticket: TicketIndex(0), site: MemberIndex(site), at });
    }

    pub fn answers(&self, client: u64) -> Vec<Outcome> {
        let answer = |done: &Done| match done {
            Done::Answer(to, outcome) if *to == ClientId(client) => Some(*outcome),
            _ => None,
        };
        self.done.iter().filter_map(answer).collect()
    }

    /// The newest record of its journal since somebody looked.
    pub fn record(&self) -> Option<Record> {
        self.done.iter().rev().find_map(|done| if let Done::Journal(record) = done { Some(*record) } else { None })
    }

    /// Answers its newest call for votes, as one that remembers.
    pub fn gets_vote(&mut self, from: u8) {
        let call = *self.calls().last().expect("a call for votes");
        self.hears(from, vote(self.me, call.term, Word { remembers: true, ..call.word }));
    }

    /// Acknowledges its newest heartbeat.
    pub fn gets_ack(&mut self, from: u8) {
        let heartbeat = *self.sent(Command::Heartbeat, None).last().expect("a heartbeat");
        self.hears(from, ack(self.me, &heartbeat));
    }

    /// A client is granted the ticket with both peers' votes and acknowledgements; the store is not told yet.
    pub fn is_elected(&mut self) {
        self.asks(1, Command::ClientGrant);
        for from in (0..MEMBERS).rev() {
            if from != self.me {
                self.gets_vote(from);
            }
        }
        self.gets_ack(2);
    }

    /// ... and the store has confirmed it.
    pub fn leads(&mut self) {
        self.is_elected();
        let (number, ticket) = *self.writes().last().expect("a write to the store");
        assert!(ticket.granted);
        self.store(number, StoreResult::Written);
    }
}

/// A site with an empty store that holds the ticket.
pub fn leader() -> Member {
    let mut member = Member::ready(0);
    member.leads();
    member.done.clear();
    member
}

/// An arbitrator that has acknowledged the first site's heartbeat in this term.
pub fn follower(term: u32) -> Member {
    let mut member = Member::ready(2);
    member.hears(0, heartbeat(0, term));
    assert!(member.has_acknowledged(0));
    member.done.clear();
    member
}

pub fn seconds(span: Millis) -> u32 {
    (span.0 / 1000) as u32
}

/// A call for votes of ours, because the ticket was lost.
pub fn call(from: u8, term: u32) -> Words<'static> {
    let word = Word::numbered(7);
    Words {
        leader: LeaderField::Member(id(from)),
        term,
        reason: Reason::TicketLost,
        options: word.encode(),
        ..Words::new(Command::VoteRequest, T)
    }
}

pub fn vote(candidate: u8, term: u32, word: Word) -> Words<'static> {
    Words {
        request: Some(Command::VoteRequest),
        leader: LeaderField::Member(id(candidate)),
        term,
        options: word.encode(),
        ..Words::new(Command::Vote, T)
    }
}

/// A heartbeat of ours, of a leader whose lease runs.
pub fn heartbeat(from: u8, term: u32) -> Words<'static> {
    let word = Word { running: true, ..Word::numbered(9) };
    Words {
        leader: LeaderField::Member(id(from)),
        term,
        valid_for: seconds(EXPIRE),
        options: word.encode(),
        ..Words::new(Command::Heartbeat, T)
    }
}

pub fn ack(leader: u8, heartbeat: &Said) -> Words<'static> {
    Words {
        request: Some(Command::Heartbeat),
        leader: LeaderField::Member(id(leader)),
        term: heartbeat.term,
        valid_for: heartbeat.valid_for,
        options: heartbeat.word.encode(),
        ..Words::new(Command::Ack, T)
    }
}

pub fn step_down(term: u32) -> Words<'static> {
    let reason = Reason::StepDown;
    Words { term, reason, options: Word::numbered(11).encode(), ..Words::new(Command::Vote, T) }
}

pub fn refusal(of: Command, outcome: Outcome, said: &Said, term: u32) -> Words<'static> {
    let options = Word::numbered(said.word.number).encode();
    Words { request: Some(of), outcome, term, options, ..Words::new(Command::Reject, T) }
}

/// The reference acknowledges a heartbeat with the time left of it, a moment later and rounded down.
pub fn reference_ack(leader: u8, heartbeat: &Said) -> Words<'static> {
    Words { valid_for: heartbeat.valid_for - 1, ..wordless(ack(leader, heartbeat)) }
}

/// The same as the reference says it.
pub fn wordless(words: Words<'_>) -> Words<'_> {
    Words { options: 0, ..words }
}
