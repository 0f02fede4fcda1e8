//! What must hold of the node whatever its inputs: no panic; terms, votes and stamps never go back, over
//! restarts as well (S1, S11); no vote leaves before its record (S1); the rules that `rules.rs` checks
//! (S2 to S5, S7 to S10, S12); no datagram takes effect twice (S11); all that leaves can be read by a peer;
//! one input has a limited number of consequences; and the next deadline lies ahead.
//!
//! The bytes are read as a script: first who the member is and how its tickets are configured; then time
//! passes, peers that have the key say anything at all, stores and handlers end in every way and order,
//! disks are full, clients come and go, clocks jump, the process restarts, with its journal or without.

#[path = "rules.rs"]
mod rules;

use super::fixture::{self, KEY, MEMBERS, Words, id};
use booth_core::attribute::{Attribute, MEMORY};
use booth_core::input::{ClientId, Input, RequestNumber, StoreResult, StoredTicket};
use booth_core::member::MemberIndex;
use booth_core::node::{Node, Storage};
use booth_core::notice::Notice;
use booth_core::settings::{Mode, Prerequisite, PrerequisiteScope, TicketIndex, TicketSettings, ValidityUnit};
use booth_core::sink::{HandlerRequest, Record, Reply, Sink, StoreAction, StoreRequest};
use booth_core::ticket::Ticket;
use booth_core::time::{Instant, Millis, Now, WallTime};
use booth_core::wire::{
    self, AttributeBody, Body, Command, Key, LeaderField, MAX_MESSAGE, Message, Outcome, Reason, TicketBody,
};
use rules::{Job, Rules};

const TICKETS: [&str; 2] = ["A", "B"];
/// The most datagrams, jobs and records that one input may cause.
const MAX_CONSEQUENCES: usize = 64;
/// The most inputs of a script, and the most restarts.
const MAX_INPUTS: usize = 400;
const MAX_LIVES: usize = 4;

/// Panics if something that must hold does not.
pub fn judge(script: &[u8]) {
    let mut script = Script(script);
    let me = script.below(MEMBERS);
    let plan = Plan::read(&mut script);
    let now = Now { boot: Instant(1_000_000), wall: WallTime(1_800_000_000_000_000) };
    let settings = [0, 1].map(|at| plan.ticket(at));
    let mut world = World {
        me,
        now,
        seen: Seen {
            me,
            now,
            key: plan.key.then(|| Key::new(KEY)),
            records: [plan.remember.then(fixture::memory); TICKETS.len()],
            rules: settings.iter().map(Rules::new).collect(),
            marks: [0, 1].map(|_| fixture::MARK.1.to_owned()),
            manual: [0, 1].map(|at: usize| settings[at].mode == Mode::Manual),
            ..Seen::default()
        },
        stamps: [now.wall; MEMBERS as usize],
        last: ([0; MAX_MESSAGE], 0),
        taken: None,
        term: 1,
        expire: plan.expire,
    };
    for _ in 0..MAX_LIVES {
        let mut tickets = [0, 1].map(|at: usize| Ticket::new(settings[at].clone(), world.seen.records[at]));
        let (mut timers, mut attributes) = ([Default::default(); TICKETS.len()], [0, 1].map(|_| Attribute::default()));
        let storage = Storage { tickets: &mut tickets, timers: &mut timers, attributes: &mut attributes };
        let (key, unit) = (world.seen.key.clone(), plan.unit);
        let node = Node::new(booth_core::settings::Settings { key, unit, ..fixture::settings(me) }, storage, world.now);
        // Of its stamps a process remembers those in its records.
        world.seen.stamp = world.seen.records.iter().flatten().map(|record| record.stamp).max().unwrap_or_default();
        for (rules, record) in world.seen.rules.iter_mut().zip(world.seen.records) {
            rules.start(me, world.now.boot, record);
        }
        world.taken = None;
        world.live(node, &mut script);
        if script.0.is_empty() {
            break;
        }
    }
}

/// The bytes of the script, taken from the front; zeros when there are no more.
struct Script<'b>(&'b [u8]);

impl<'b> Script<'b> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or_default()
    }

    fn word(&mut self) -> u32 {
        u32::from_be_bytes(core::array::from_fn(|_| self.byte()))
    }

    fn below(&mut self, limit: u8) -> u8 {
        self.byte() % limit
    }

    fn take(&mut self, length: usize) -> &'b [u8] {
        self.0.split_off(..length.min(self.0.len())).unwrap_or_default()
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    fn ticket(&mut self) -> TicketIndex {
        TicketIndex(self.below(TICKETS.len() as u8).into())
    }
}

/// How the member and its tickets are configured.
struct Plan {
    key: bool,
    remember: bool,
    manual: bool,
    handler: bool,
    prerequisite: bool,
    expire: Millis,
    acquire_after: Millis,
    unit: ValidityUnit,
}

impl Plan {
    fn read(script: &mut Script<'_>) -> Plan {
        let flags = script.byte();
        let flag = |bit: u8| flags & 1 << bit != 0;
        Plan {
            key: !flag(0),
            remember: flag(1),
            manual: flag(2),
            handler: flag(3),
            prerequisite: flag(4),
            expire: if flag(5) { Millis(10_000) } else { fixture::EXPIRE },
            acquire_after: if flag(6) { Millis(0) } else { fixture::ACQUIRE_AFTER },
            unit: if flag(7) { ValidityUnit::Milliseconds } else { ValidityUnit::Seconds },
        }
    }

    /// The first ticket is always automatic.
    fn ticket(&self, at: usize) -> TicketSettings {
        let mut ticket = fixture::ticket(TICKETS[at]);
        (ticket.expire, ticket.acquire_after) = (self.expire, self.acquire_after);
        (ticket.renewal, ticket.timeout) = (Millis(self.expire.0 / 2), Millis(self.expire.0 / 50));
        ticket.before_acquire = self.handler;
        if self.manual && at > 0 {
            ticket.mode = Mode::Manual;
        }
        if self.prerequisite {
            let scope = [PrerequisiteScope::Auto, PrerequisiteScope::Manual][at];
            let (name, value) = ("load".try_into().expect("short"), "low".try_into().expect("short"));
            ticket.prerequisites.push(Prerequisite { scope, name, equal: true, value }).expect("the first");
        }
        ticket
    }
}

/// What the node has put out; the sink.
#[derive(Default)]
struct Seen {
    me: u8,
    now: Now,
    key: Option<Key>,
    rules: Vec<Rules>,
    manual: [bool; TICKETS.len()],
    dropped: bool,
    records: [Option<Record>; TICKETS.len()],
    /// Whose memory was used here last, by the store (S7).
    marks: [String; TICKETS.len()],
    /// The newest requests to the handler.
    handler: [RequestNumber; TICKETS.len()],
    /// The newest stamp sent, and the newest `options` word, for peers to answer.
    stamp: WallTime,
    options: u32,
    consequences: usize,
    /// The disk is full: the next record of this ticket is lost, and what is queued behind it with it.
    failing: Option<TicketIndex>,
    failed: bool,
}

impl Seen {
    fn count(&mut self) {
        self.consequences += 1;
        assert!(self.consequences <= MAX_CONSEQUENCES, "one input has too many consequences");
    }
}

impl Sink for Seen {
    fn journal(&mut self, ticket: TicketIndex, record: &Record) {
        self.count();
        if self.failing == Some(ticket) {
            self.failed = true;
            return;
        }
        if let Some(old) = self.records[ticket.at()] {
            assert!(record.term >= old.term, "S1: a term went down: {old:?} {record:?}");
            assert!(record.voted_term >= old.voted_term, "S1: a vote was forgotten: {old:?} {record:?}");
            let changed = record.voted_term == old.voted_term && record.vote != old.vote;
            assert!(!changed || old.vote.is_none(), "S1: two votes in one term: {old:?} {record:?}");
        }
        assert!(record.stamp >= self.stamp, "S11: a stamp that was sent is not remembered: {record:?}");
        self.records[ticket.at()] = Some(*record);
    }

    fn send(&mut self, ticket: TicketIndex, to: MemberIndex, bytes: &[u8]) {
        self.count();
        if self.failed && self.failing == Some(ticket) {
            return;
        }
        assert!(to.0 < MEMBERS && to.0 != self.me, "a datagram for {to:?}");
        let message = wire::decode(bytes, self.key.as_ref()).expect("a peer can read what is sent");
        let later = message.header.stamp > self.stamp || self.key.is_none();
        assert!(later, "S11: a stamp went back or was repeated: {message:?}");
        assert_eq!(message.header.sender, id(self.me));
        self.stamp = message.header.stamp;
        self.options = message.header.options;
        if message.header.command == Command::Vote
            && let Body::Ticket(TicketBody { leader: LeaderField::Member(candidate), term, .. }) = message.body
        {
            let record = self.records[ticket.at()].expect("S1: a vote without a record");
            assert_eq!((record.voted_term, record.vote), (term, Some(candidate)), "S1: a vote that is not recorded");
        }
        if !self.manual[ticket.at()] {
            self.rules[ticket.at()].sent(to.0, self.now.boot, &message, self.records[ticket.at()]);
        }
    }

    fn store(&mut self, ticket: TicketIndex, request: StoreRequest<'_>) {
        self.count();
        if let StoreAction::SetAttribute { name: MEMORY, value } = request.action {
            self.marks[ticket.at()] = value.to_owned();
        }
        self.rules[ticket.at()].stores(self.now, &request, self.manual[ticket.at()]);
    }

    fn run_handler(&mut self, ticket: TicketIndex, request: HandlerRequest) {
        self.count();
        self.handler[ticket.at()] = request.number;
    }

    fn reply(&mut self, _: ClientId, reply: Reply<'_>) {
        self.count();
        if let Reply::Message { bytes, .. } = reply {
            let key = self.key.as_ref();
            let text = wire::decode_text_header(bytes, key).is_ok_and(|(_, length)| length < bytes.len());
            assert!(text || wire::decode(bytes, key).is_ok(), "a client can read what it is answered");
        }
    }

    fn notice(&mut self, notice: Notice) {
        self.dropped |= matches!(notice, Notice::DatagramDropped { .. });
    }
}

struct World {
    me: u8,
    now: Now,
    seen: Seen,
    /// The newest stamps of all members.
    stamps: [WallTime; MEMBERS as usize],
    /// The newest datagram that came, for repetition, and who sent it where it was taken.
    last: ([u8; MAX_MESSAGE], usize),
    taken: Option<MemberIndex>,
    /// Near what the cluster's term may be, so that scripts get beyond the first check of it.
    term: u32,
    expire: Millis,
}

impl World {
    fn live(&mut self, mut node: Node<'_>, script: &mut Script<'_>) {
        self.step(&mut node, Input::Started);
        for _ in 0..MAX_INPUTS {
            match script.below(16) {
                0 => return self.lose(script),
                1 => self.pass(&mut node, Millis(u64::from(script.byte()) * script.one_of(&[1, 37, 1_000, 60_000]))),
                2 | 3 => self.pass_to_deadline(&mut node),
                4..=8 => self.datagram(&mut node, script),
                9 => self.repeated_or_raw(&mut node, script),
                10 | 11 => self.store_ends(&mut node, script),
                12 => self.handler_ends(&mut node, script),
                13 => self.request(&mut node, script),
                14 => self.failure(&mut node, script),
                _ => {
                    let step = i64::from(script.word() as i32) * 1_000;
                    self.now.wall = WallTime(self.now.wall.0.wrapping_add_signed(step));
                    self.seen.rules.iter_mut().for_each(Rules::wall_stepped);
                }
            }
            if script.0.is_empty() {
                return;
            }
        }
    }

    /// The process ends; perhaps its journal is gone when it starts again.
    fn lose(&mut self, script: &mut Script<'_>) {
        if script.below(8) == 0 {
            self.seen.records[script.ticket().at()] = None;
        }
    }

    fn step(&mut self, node: &mut Node<'_>, input: Input<'_>) {
        (self.seen.consequences, self.seen.dropped, self.seen.now) = (0, false, self.now);
        node.step(self.now, input, &mut self.seen);
        // What an input makes due at once is done at the next tick, which may come at once.
        if node.next_deadline().is_some_and(|at| at <= self.now.boot) {
            node.step(self.now, Input::Tick, &mut self.seen);
            assert!(node.next_deadline().is_none_or(|at| at > self.now.boot), "the next deadline is not ahead");
        }
        for (at, ticket) in node.tickets(self.now).enumerate() {
            assert_eq!(ticket.name, TICKETS[at]);
        }
        assert_eq!(node.peers().count(), usize::from(MEMBERS) - 1);
        for (rules, manual) in self.seen.rules.iter().zip(self.seen.manual) {
            if !manual {
                rules.settled(self.now.boot, node.next_deadline());
            }
        }
    }

    fn pass(&mut self, node: &mut Node<'_>, span: Millis) {
        self.now = Now { boot: self.now.boot + span, wall: self.now.wall.after(span) };
        self.step(node, Input::Tick);
    }

    fn pass_to_deadline(&mut self, node: &mut Node<'_>) {
        if let Some(deadline) = node.next_deadline() {
            self.pass(node, deadline.since(self.now.boot));
        }
    }

    fn words<'n>(&mut self, script: &mut Script<'_>) -> Words<'n> {
        const DAEMON: [Command; 9] = [
            Command::Status,
            Command::MyIndex,
            Command::VoteRequest,
            Command::Vote,
            Command::Heartbeat,
            Command::Update,
            Command::Revoke,
            Command::Ack,
            Command::Reject,
        ];
        let command = script.one_of(&DAEMON);
        let request = script.one_of(&DAEMON);
        let near = self.term.wrapping_add_signed(script.one_of(&[0, 0, 0, 1, 1, -1, 2, 100]));
        let wild = script.word();
        let term = script.one_of(&[near, near, near, near, near, near, near, wild]);
        self.term = if term == near { near } else { self.term };
        let mut words = Words::new(command, script.one_of(&["A", "A", "A", "B", "other"]));
        words.request = script.one_of(&[None, Some(request), Some(request), Some(request)]);
        words.options = script.one_of(&[0, self.seen.options, self.seen.options, wild]);
        words.reason = script.one_of(&[
            Reason::None,
            Reason::TicketLost,
            Reason::Administrator,
            Reason::StepDown,
            Reason::Reacquire,
            Reason::Other(wild),
        ]);
        words.outcome = script.one_of(&[
            Outcome::Success,
            Outcome::TermOutdated,
            Outcome::TermStillValid,
            Outcome::YouAreOutdated,
            Outcome::Other(wild),
        ]);
        words.leader = script.one_of(&[
            LeaderField::Member(id(0)),
            LeaderField::Member(id(1)),
            LeaderField::Member(id(2)),
            LeaderField::Nobody,
            LeaderField::Unknown,
        ]);
        words.term = term;
        let full = (self.expire.0 / 1_000) as u32;
        words.valid_for = script.one_of(&[full, full, full / 2, 1, 0, wild]);
        words
    }

    fn datagram(&mut self, node: &mut Node<'_>, script: &mut Script<'_>) {
        let from = (self.me + 1 + script.below(MEMBERS - 1)) % MEMBERS;
        let words = self.words(script);
        let stamp = &mut self.stamps[usize::from(from)];
        *stamp = WallTime(stamp.0.max(self.now.wall.0) + 1);
        let (mut bytes, message) = ([0; MAX_MESSAGE], words.message(id(from), *stamp));
        let length = wire::encode(&message, self.seen.key.as_ref(), &mut bytes);
        self.last = (bytes, length);
        let source = Some(MemberIndex(from));
        self.arrives(node, source, &bytes[..length]);
        self.taken = source.filter(|_| !self.seen.dropped);
    }

    /// The rules are told as well: a repetition can be the first that a member hears in this life, and without
    /// a key any bytes can be a message.
    fn arrives(&mut self, node: &mut Node<'_>, source: Option<MemberIndex>, bytes: &[u8]) {
        if let Ok(message) = wire::decode(bytes, self.seen.key.as_ref())
            && let Body::Ticket(body) = message.body
            && let Some(at) = TICKETS.iter().position(|name| *name == body.name)
            && let Some(from) = (0..MEMBERS).find(|from| id(*from) == message.header.sender)
        {
            self.seen.rules[at].heard(self.me, from, self.now.boot, &message);
        }
        self.step(node, Input::Datagram { source, bytes });
    }

    fn repeated_or_raw(&mut self, node: &mut Node<'_>, script: &mut Script<'_>) {
        let source = script.one_of(&[None, Some(MemberIndex(0)), Some(MemberIndex(1))]);
        let length = usize::from(script.byte());
        if length == 0 {
            let (bytes, length) = self.last;
            self.step(node, Input::Tick);
            self.arrives(node, self.taken.or(source), &bytes[..length]);
            let repeated = self.taken.is_some() && self.seen.key.is_some();
            assert!(!repeated || self.seen.consequences == 0, "S11: a datagram takes effect twice");
        } else {
            self.arrives(node, source, script.take(length));
        }
    }

    fn store_ends(&mut self, node: &mut Node<'_>, script: &mut Script<'_>) {
        let ticket = script.ticket();
        let Some((newest, job)) = self.seen.rules[ticket.at()].job() else { return };
        let number = RequestNumber(newest.0.wrapping_sub(script.one_of(&[0, 0, 0, 1])));
        let mark = self.seen.marks[ticket.at()].clone();
        let stored = StoredTicket {
            granted: script.byte() & 1 == 1,
            owner: script.one_of(&[None, Some(-1), Some(0), Some(id(self.me).0 as i32), Some(77)]),
            expires: script.one_of(&[None, Some(self.now.wall.after(self.expire)), Some(WallTime(0))]),
            term: script.one_of(&[None, Some(0), Some(self.term), Some(u32::MAX)]),
            attributes: &[("load", "high"), ("load", "low"), ("", ""), (MEMORY, &mark)],
        };
        let never_granted = StoredTicket { attributes: &[(MEMORY, &mark)], ..StoredTicket::default() };
        let result = match job {
            Job::Load => script.one_of(&[
                StoreResult::Loaded(Some(never_granted)),
                StoreResult::Loaded(None),
                StoreResult::Failed,
                StoreResult::Loaded(Some(stored)),
            ]),
            _ => script.one_of(&[StoreResult::Written, StoreResult::Written, StoreResult::Failed]),
        };
        self.seen.rules[ticket.at()].stored(number, &result);
        self.step(node, Input::StoreFinished { ticket, number, result });
    }

    fn handler_ends(&mut self, node: &mut Node<'_>, script: &mut Script<'_>) {
        let ticket = script.ticket();
        let number = RequestNumber(self.seen.handler[ticket.at()].0.wrapping_sub(script.one_of(&[0, 0, 0, 1])));
        self.step(node, Input::HandlerExited { ticket, number, success: script.byte() & 1 == 0 });
    }

    fn request(&mut self, node: &mut Node<'_>, script: &mut Script<'_>) {
        const CLIENT: [Command; 5] = [
            Command::ClientGrant,
            Command::ClientGrant,
            Command::ClientRevoke,
            Command::ClientList,
            Command::ClientPeers,
        ];
        let client = ClientId(script.below(8).into());
        if script.below(8) == 0 {
            return self.step(node, Input::ClientGone { client });
        }
        let mut words = Words::new(script.one_of(&CLIENT), script.one_of(&["A", "B", "", "other"]));
        words.options = script.one_of(&[0, 1, 2, 4, 7, u32::MAX]);
        words.leader = script.one_of(&[LeaderField::Member(id(self.me)), LeaderField::Nobody, LeaderField::Unknown]);
        let mut bytes = [0; MAX_MESSAGE];
        let stamp = script.one_of(&[self.now.wall, WallTime(0)]);
        let mut message = words.message(id(self.me), stamp);
        if script.below(4) == 0 {
            message = attribute(script, message);
        }
        let length = wire::encode(&message, self.seen.key.as_ref(), &mut bytes);
        self.step(node, Input::Request { client, bytes: &bytes[..length] });
    }

    fn failure(&mut self, node: &mut Node<'_>, script: &mut Script<'_>) {
        if script.byte() & 1 == 0 {
            let to = MemberIndex((self.me + 1 + script.below(MEMBERS - 1)) % MEMBERS);
            return self.step(node, Input::SendFailed { to });
        }
        let ticket = script.ticket();
        (self.seen.failing, self.seen.failed) = (Some(ticket), false);
        self.datagram(node, script);
        let failed = self.seen.failed;
        (self.seen.failing, self.seen.failed) = (None, false);
        if failed {
            self.step(node, Input::JournalFailed { ticket });
        }
    }
}

/// The message made one about a geo attribute.
fn attribute<'n>(script: &mut Script<'_>, mut message: Message<'n>) -> Message<'n> {
    message.header.command = script.one_of(&[
        Command::AttributeSet,
        Command::AttributeSet,
        Command::AttributeGet,
        Command::AttributeDelete,
        Command::AttributeList,
    ]);
    let ticket = script.one_of(&["A", "A", "B", "other"]);
    let name = script.one_of(&["load", "load", "x", "granted"]);
    let value = script.one_of(&["low", "low", "high", ""]);
    message.body = Body::Attribute(AttributeBody { ticket, name, value });
    message
}
