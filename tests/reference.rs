//! The model of the reference sends what the reference was recorded to send: it is fed with what the
//! recordings show to arrive at a member, and each message that leaves is compared.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod world;

use booth_core::input::{ClientId, Input, RequestNumber, StoreResult, StoredTicket};
use booth_core::member::{Member, MemberIndex, MemberKind, SiteId};
use booth_core::notice::Notice;
use booth_core::settings::{Settings, TicketIndex, TicketSettings, ValidityUnit};
use booth_core::sink::{HandlerRequest, Record, Reply, Sink, StoreAction, StoreRequest};
use booth_core::time::{Instant, Millis, Now, WallTime};
use booth_core::wire::{
    self, Body, Command, Header, Key, LeaderField, MAX_MESSAGE, Message, Outcome, Reason, TicketBody,
};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use world::reference::Reference;

/// How far validities in milliseconds may differ: `crm_ticket` took now less and then more.
const SLACK_MS: u32 = 15;
/// In how many steps a daemon comes to send something at most.
const MOST_STEPS: usize = 4;
/// What the boot clock shows when a recording begins.
const BOOT_MS: u64 = 50_000;
/// What a daemon sends in one go was recorded within this time.
const PROMPT_MS: u64 = 100;
/// How long `crm_ticket` takes at the least.
const STORE_MS: u64 = 15;

/// A recording and what is needed to replay it.
struct Recording {
    lines: Vec<Value>,
    key: Option<Key>,
    ticket: TicketSettings,
    unit: ValidityUnit,
}

/// A member, when its socket was there if it is a site, and when it could not be reached (microseconds).
struct Seat {
    member: usize,
    bound: u64,
    cut: std::ops::Range<u64>,
}

impl Seat {
    fn of(member: usize) -> Seat {
        Seat { member, bound: 0, cut: u64::MAX..u64::MAX }
    }
}

#[test]
fn grant_and_revoke_are_as_recorded() {
    for text in [include_str!("vectors/grant_revoke_auth.jsonl"), include_str!("vectors/grant_revoke_plain.jsonl")] {
        let recording = seconds(text);
        for member in 0..3 {
            replay(&recording, &Seat::of(member));
        }
    }
}

#[test]
fn failover_is_as_recorded() {
    let recording = seconds(include_str!("vectors/failover_auth.jsonl"));
    // What it sent on a dead link was recorded when the link came back.
    replay(&recording, &Seat { cut: 3_000_000..13_601_600, ..Seat::of(0) });
    replay(&recording, &Seat::of(1));
    replay(&recording, &Seat::of(2));
}

#[test]
fn an_isolated_site_is_as_recorded() {
    let recording = seconds(include_str!("vectors/isolated_site_auth.jsonl"));
    // The arbitrator had asked before the sites listened.
    replay(&recording, &Seat { bound: 20_000, ..Seat::of(0) });
    replay(&recording, &Seat { bound: 20_000, cut: 3_000_000..19_000_000, ..Seat::of(1) });
    replay(&recording, &Seat::of(2));
}

#[test]
fn milliseconds_are_as_recorded() {
    let mut ticket = world::ticket("T", 4_500, 0);
    (ticket.timeout, ticket.renewal) = (Millis(300), Millis(2_000));
    let text = include_str!("vectors/milliseconds_auth.jsonl");
    let recording = recording(text, ticket, ValidityUnit::Milliseconds);
    replay(&recording, &Seat { cut: 7_000_000..11_700_000, ..Seat::of(0) });
    replay(&recording, &Seat::of(1));
    replay(&recording, &Seat::of(2));
}

/// What an arbitrator of the reference was heard to answer: `m1 HrtB ...` is what site 1 said, the rest what came back.
/// A step-down and an update of an older term are taken, a revoke is not; who stands since a step-down has the vote
/// in spite of the promise; a heartbeat of a newer term moves the promise.
const ANSWERS: &str = "\
m1 Heartbeat m1 5 20: Ack m1 5 19
m1 Status nobody 0 0: MyIndex m1 5 19
m1 Vote nobody 4 0: -
m1 Status nobody 0 0: MyIndex nobody 5 0
m1 Heartbeat m1 6 20: Ack m1 6 19
m1 Revoke nobody 4 0: -
m1 Status nobody 0 0: MyIndex m1 6 19
m1 Heartbeat m1 7 20: Ack m1 7 19
m1 Update m1 6 15: Ack m1 6 14
m1 Status nobody 0 0: MyIndex m1 6 14
m1 Heartbeat m1 5 20: Ack m1 5 19
m1 Status nobody 0 0: MyIndex m1 5 19
m2 Update m2 9 20: Reject m1 5 19 TermStillValid
m2 Status nobody 0 0: MyIndex m1 5 19
m2 Heartbeat m2 9 20: Ack m2 9 19
m2 Status nobody 0 0: MyIndex m2 9 19
m2 VoteRequest m2 10 0 TicketLost: Reject m2 9 19 TermStillValid
m2 VoteRequest m2 10 0 Reacquire: Vote m2 10 19
m1 VoteRequest m1 12 0 StepDown: Vote m1 12 18
m1 Status nobody 0 0: -
m1 Revoke nobody 13 0: -
m1 Status nobody 0 0: -
m2 Heartbeat m2 14 20: Ack m2 14 19
m2 Revoke nobody 14 0 Administrator: Ack nobody 14 0
m1 VoteRequest m1 15 0 TicketLost: Reject nobody 14 0 YouAreOutdated
m1 VoteRequest m1 15 0 Administrator: Vote m1 15 0
m2 VoteRequest m2 15 0 Administrator: Vote m1 15 0
m2 VoteRequest m2 16 0 StepDown: Vote m2 16 0";

/// What the wall clock shows when a recording begins.
const WALL_US: u64 = 1_795_412_400_000_000;
/// From one to the next.
const BETWEEN_MS: u64 = 300;

#[test]
fn an_arbitrator_answers_as_it_was_heard_to() {
    let settings = settings(2, None, ValidityUnit::Seconds);
    let mut replay = Replay::of(Reference::new(settings, &[world::ticket("T", 20_000, 3_000)]));
    replay.input(Input::Started);
    for line in ANSWERS.lines() {
        let (said, answer) = line.split_once(": ").unwrap();
        replay.now_ms += BETWEEN_MS;
        replay.sent.messages.clear();
        let words: Vec<&str> = said.split(' ').collect();
        let from = if words[0] == "m1" { 0 } else { 1 };
        let bytes = spoken(from, &words[1..]);
        replay.input(Input::Datagram { source: None, bytes: &bytes });
        let heard = replay.sent.messages.get(&address(from)).and_then(|messages| messages.front());
        let heard = heard.map_or("-".to_owned(), |(_, bytes)| in_words(bytes));
        assert_eq!(heard, answer, "{line}");
    }
}

/// Site 1 of the reference, started with what its store has.
fn site(stored: Option<StoredTicket<'static>>) -> Replay {
    let settings = settings(0, None, ValidityUnit::Seconds);
    let mut model = Reference::new(settings, &[world::ticket("T", 10_000, 0)]);
    model.fixed_delay = Some(Millis(0));
    let mut replay = Replay { stored, ..Replay::of(model) };
    replay.input(Input::Started);
    replay.finish_store();
    replay
}

impl Replay {
    /// Site 2 says this.
    fn hear(&mut self, said: &str) {
        let bytes = spoken(1, &said.split(' ').collect::<Vec<_>>());
        self.input(Input::Datagram { source: None, bytes: &bytes });
    }

    /// Lets time pass, and gives what site 2 has heard since it was asked last.
    fn run(&mut self, span_ms: u64) -> Vec<String> {
        let end = self.now_ms + span_ms;
        while let Some(at) = self.next_event().filter(|at| *at <= end) {
            self.advance(at);
            self.input(Input::Tick);
        }
        self.now_ms = end;
        let heard = self.sent.messages.remove(&address(1)).unwrap_or_default();
        heard.iter().map(|(_, bytes)| in_words(bytes)).collect()
    }
}

/// A holder that comes back asks in the next term where others confirm what it has in its store, and alone in the old
/// one, again and again.
#[test]
fn a_restarted_holder_asks_for_its_ticket_as_it_was_heard_to() {
    let expires = Some(WallTime(WALL_US + 9_000_000));
    let stored = StoredTicket { granted: true, owner: Some(id(0).0 as i32), expires, term: Some(4), attributes: &[] };
    let mut alone = site(Some(stored));
    assert_eq!(alone.run(0), ["Status m1 4 8"]);
    assert_eq!(alone.run(2_500), ["VoteRequest m1 4 7", "VoteRequest m1 4 6"]);

    let mut confirmed = site(Some(stored));
    confirmed.hear("MyIndex m1 4 8");
    assert_eq!(confirmed.run(1_000), ["Status m1 4 8", "VoteRequest m1 5 6"]);
}

/// Nothing that is refused makes a leader doubt its lease: it asks once a second until that is over, then gives up.
#[test]
fn a_leader_takes_no_notice_of_a_refusal() {
    let mut leader = site(None);
    leader.request("client", &spoken(0, &["ClientGrant", "nobody", "0", "0"]));
    leader.hear("Vote m1 0 0");
    assert_eq!(leader.run(1_500)[1..], ["VoteRequest m1 0 0", "Heartbeat m1 0 9"]);
    leader.hear("Reject m2 7 9");
    let heard = leader.run(10_000);
    let left: Vec<String> = (0..9).rev().map(|left| format!("Heartbeat m1 0 {left}")).collect();
    assert_eq!(heard[..9], left[..]);
    assert!(heard.last().unwrap().starts_with("VoteRequest m1 1"), "{heard:?}");
}

/// Who hears that its term is old and that it leads itself repeats its term.
#[test]
fn a_candidate_that_is_told_its_own_name_repeats_its_term() {
    let mut candidate = site(None);
    candidate.request("client", &spoken(0, &["ClientGrant", "nobody", "0", "0"]));
    candidate.hear("Reject m1 61 0");
    assert_eq!(candidate.run(1_500)[1..], ["VoteRequest m1 0 0", "VoteRequest m1 0 0"]);
    candidate.hear("Reject nobody 74 0");
    assert_eq!(candidate.run(500), ["VoteRequest m1 75 0"]);
}

/// The second of one clock, the microsecond of another.
#[test]
fn stamps_go_back_once_a_second() {
    let key = Key::new(world::KEY);
    let settings = settings(2, Some(key.clone()), ValidityUnit::Seconds);
    let mut model = Reference::new(settings, &[world::ticket("T", 10_000, 0)]);
    let mut stamps = Vec::new();
    for life in 0..40 {
        // Each start asks the others, with a stamp.
        let boot = Instant(50_300 + life * 50);
        let mut sent = Sent::default();
        model.take(Now { boot, wall: WallTime(WALL_US + life * 50_000) }, Input::Started, &mut sent);
        let bytes = sent.messages.remove(&address(0)).unwrap().pop_back().unwrap().1;
        stamps.push(wire::decode(&bytes, Some(&key)).unwrap().header.stamp);
    }
    assert!(
        stamps.iter().enumerate().all(|(life, stamp)| stamp.seconds() == (WALL_US / 1000 + life as u64 * 50) / 1000)
    );
    let back: Vec<u64> = stamps.windows(2).filter(|pair| pair[1] < pair[0]).map(|pair| pair[0].0 - pair[1].0).collect();
    assert_eq!(back, [950_000, 950_000], "{stamps:?}");
}

fn spoken(from: usize, words: &[&str]) -> Vec<u8> {
    let command = match words[0] {
        "Heartbeat" => Command::Heartbeat,
        "Update" => Command::Update,
        "Status" => Command::Status,
        "Vote" => Command::Vote,
        "VoteRequest" => Command::VoteRequest,
        "Revoke" => Command::Revoke,
        "MyIndex" => Command::MyIndex,
        "Reject" => Command::Reject,
        "ClientGrant" => Command::ClientGrant,
        other => panic!("{other}"),
    };
    let reason = match words.get(4) {
        None => Reason::None,
        Some(&"TicketLost") => Reason::TicketLost,
        Some(&"Reacquire") => Reason::Reacquire,
        Some(&"StepDown") => Reason::StepDown,
        Some(&"Administrator") => Reason::Administrator,
        Some(other) => panic!("{other}"),
    };
    let leader = match words[1] {
        "m1" => LeaderField::Member(id(0)),
        "m2" => LeaderField::Member(id(1)),
        _ => LeaderField::Nobody,
    };
    let request = match command {
        Command::MyIndex => Some(Command::Status),
        Command::Vote if leader != LeaderField::Nobody => Some(Command::VoteRequest),
        _ => None,
    };
    let (stamp, sender, outcome) = (WallTime(0), id(from), Outcome::Success);
    let header = Header { stamp, sender, command, request, options: 0, reason, outcome };
    let (term, valid_for) = (words[2].parse().unwrap(), words[3].parse().unwrap());
    let body = Body::Ticket(TicketBody { name: "T", leader, term, valid_for });
    let mut bytes = [0; MAX_MESSAGE];
    let length = wire::encode(&Message { header, body }, None, &mut bytes);
    bytes[..length].to_vec()
}

fn in_words(bytes: &[u8]) -> String {
    let said = read(bytes, None);
    let leader = match said.leader {
        LeaderField::Member(member) if member == id(0) => "m1",
        LeaderField::Member(_) => "m2",
        _ => "nobody",
    };
    let outcome = if said.outcome == "Success" { String::new() } else { format!(" {}", said.outcome) };
    format!("{:?} {leader} {} {}{outcome}", said.command, said.term, said.valid_for)
}

fn id(member: usize) -> SiteId {
    SiteId::of_address(&[10, 78, 0, member as u8 + 1])
}

/// Two sites and an arbitrator.
fn settings(me: usize, key: Option<Key>, unit: ValidityUnit) -> Settings {
    let kind = |member: usize| if member < 2 { MemberKind::Site } else { MemberKind::Arbitrator };
    Settings {
        members: (0..3).map(|member| Member { id: id(member), kind: kind(member) }).collect(),
        me: MemberIndex(me as u8),
        key,
        max_time_skew: Millis(600_000),
        unit,
        any_source: false,
        seed: 1,
    }
}

fn seconds(text: &str) -> Recording {
    let mut ticket = world::ticket("T", 10_000, 0);
    (ticket.timeout, ticket.renewal) = (Millis(1_000), Millis(5_000));
    recording(text, ticket, ValidityUnit::Seconds)
}

fn recording(text: &str, ticket: TicketSettings, unit: ValidityUnit) -> Recording {
    let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let key = lines.next().unwrap()["key"].as_str().map(|secret| Key::new(secret.as_bytes()));
    Recording { lines: lines.collect(), key, ticket, unit }
}

fn address(member: usize) -> String {
    format!("10.78.0.{}", member + 1)
}

fn member_of(address: &str) -> Option<usize> {
    (0..3).find(|member| address == self::address(*member))
}

/// A message, as far as the model decides it.
#[derive(Debug, PartialEq)]
struct Said {
    command: Command,
    request: Option<Command>,
    reason: String,
    outcome: String,
    leader: LeaderField,
    term: u32,
    valid_for: u32,
}

fn read(bytes: &[u8], key: Option<&Key>) -> Said {
    let message = wire::decode(bytes, key).unwrap();
    let Body::Ticket(body) = message.body else { panic!("{message:?}") };
    Said {
        command: message.header.command,
        request: message.header.request,
        reason: format!("{:?}", message.header.reason),
        outcome: format!("{:?}", message.header.outcome),
        leader: body.leader,
        term: body.term,
        valid_for: body.valid_for,
    }
}

/// The model in a member's place.
struct Replay {
    key: Option<Key>,
    /// By how much validities may differ.
    tolerance: u32,
    model: Reference,
    sent: Sent,
    now_ms: u64,
    clients: BTreeMap<String, u64>,
    /// What the store has at the start.
    stored: Option<StoredTicket<'static>>,
}

/// What has left and was not compared yet; where to: a member, or a client.
#[derive(Default)]
struct Sent {
    messages: BTreeMap<String, VecDeque<(u64, Vec<u8>)>>,
    clients: BTreeMap<u64, String>,
    now_ms: u64,
    /// The call of `crm_ticket`, and since when.
    running: Option<(u64, RequestNumber, bool)>,
}

impl Sink for Sent {
    fn journal(&mut self, _: TicketIndex, _: &Record) {}

    fn send(&mut self, _: TicketIndex, to: MemberIndex, bytes: &[u8]) {
        self.messages.entry(address(to.at())).or_default().push_back((self.now_ms, bytes.to_vec()));
    }

    fn store(&mut self, _: TicketIndex, request: StoreRequest<'_>) {
        self.running = Some((self.now_ms, request.number, request.action == StoreAction::Load));
    }

    fn run_handler(&mut self, _: TicketIndex, _: HandlerRequest) {}

    fn reply(&mut self, client: ClientId, reply: Reply<'_>) {
        let Reply::Message { bytes, .. } = reply else { return };
        self.messages.entry(self.clients[&client.0].clone()).or_default().push_back((self.now_ms, bytes.to_vec()));
    }

    fn notice(&mut self, _: Notice) {}
}

impl Replay {
    fn of(model: Reference) -> Replay {
        Replay {
            key: None,
            tolerance: 0,
            model,
            sent: Sent::default(),
            now_ms: 0,
            clients: BTreeMap::new(),
            stored: None,
        }
    }

    fn input(&mut self, input: Input<'_>) {
        let now = Now { boot: Instant(BOOT_MS + self.now_ms), wall: WallTime(WALL_US + self.now_ms * 1000) };
        self.sent.now_ms = self.now_ms;
        self.model.take(now, input, &mut self.sent);
    }

    /// `crm_ticket` has done what it was called for.
    fn finish_store(&mut self) {
        if let Some((_, number, load)) = self.sent.running.take() {
            let result = if load { StoreResult::Loaded(self.stored) } else { StoreResult::Written };
            self.input(Input::StoreFinished { ticket: TicketIndex(0), number, result });
        }
    }

    /// Time passes; `crm_ticket` takes its own.
    fn advance(&mut self, to_ms: u64) {
        while let Some((since, ..)) = self.sent.running.filter(|(since, ..)| since + STORE_MS <= to_ms) {
            self.now_ms = since + STORE_MS;
            self.finish_store();
        }
        self.now_ms = to_ms;
    }

    /// Lives through a time in which nothing came and what it sent was lost.
    fn be_alone(&mut self) {
        let end = std::mem::replace(&mut self.now_ms, self.sent.now_ms);
        while let Some(at) = self.next_event().filter(|at| *at <= end) {
            self.advance(at);
            self.input(Input::Tick);
        }
        self.advance(end);
        self.sent.messages.clear();
    }

    fn next_event(&self) -> Option<u64> {
        let timer = self.model.wakes_at().map(|at| at.0.saturating_sub(BOOT_MS).max(self.now_ms));
        let store = self.sent.running.map(|(since, ..)| since + STORE_MS);
        timer.into_iter().chain(store).min()
    }

    /// Compares what was recorded to leave now with what the model sends.
    fn compare(&mut self, to: &str, recorded: &[u8], place: &str) {
        // Sent after some time with `crm_ticket`, or a random delay.
        for _ in 0..MOST_STEPS {
            if self.sent.messages.get(to).is_some_and(|messages| !messages.is_empty()) {
                break;
            }
            self.finish_store();
            self.input(Input::Tick);
        }
        let next = self.sent.messages.get_mut(to).and_then(VecDeque::pop_front);
        let expected = read(recorded, self.key.as_ref());
        let Some((_, bytes)) = next else { panic!("{place}: the model is silent instead of {expected:?}") };
        let mut said = read(&bytes, self.key.as_ref());
        if said.valid_for.abs_diff(expected.valid_for) <= self.tolerance {
            said.valid_for = expected.valid_for;
        }
        assert_eq!(said, expected, "{place}");
    }

    /// Nothing has left that was not recorded.
    fn nothing_left_over(&self, place: &str) {
        for (to, messages) in &self.sent.messages {
            for (at, bytes) in messages {
                let said = read(bytes, self.key.as_ref());
                assert!(at + PROMPT_MS > self.now_ms, "{place}: not recorded: {said:?} to {to} at {at} ms");
            }
        }
    }

    fn request(&mut self, from: &str, bytes: &[u8]) {
        let client = self.clients.len() as u64;
        self.clients.insert(from.to_owned(), client);
        self.sent.clients.insert(client, from.to_owned());
        self.input(Input::Request { client: ClientId(client), bytes });
    }
}

fn replay(recording: &Recording, seat: &Seat) {
    let settings = settings(seat.member, recording.key.clone(), recording.unit);
    let mut model = Reference::new(settings, std::slice::from_ref(&recording.ticket));
    // The recording decides: what was sent after a random delay is due before it was sent.
    model.fixed_delay = Some(Millis(0));
    let mut replay = Replay { key: recording.key.clone(), ..Replay::of(model) };
    if recording.unit == ValidityUnit::Milliseconds {
        replay.tolerance = SLACK_MS;
    }
    let me = address(seat.member);
    let (mut compared, mut came_back) = (0, false);
    // An arbitrator sends as soon as it listens, a site reads its store first.
    let micros = |line: &Value| (line["t"].as_f64().unwrap() * 1_000_000.0).round() as u64;
    let first = recording.lines.iter().find(|line| line["src"] == me).map_or(0, micros);
    let bound = if seat.member == 2 { first } else { seat.bound };
    // While it reads its store what arrives waits.
    replay.input(Input::Started);
    for line in &recording.lines {
        let now_us = micros(line);
        replay.advance(now_us / 1000);
        let place = format!("member {} at {}", seat.member + 1, line["t"]);
        let (from, to) = (line["src"].as_str().unwrap(), line["dst"].as_str().unwrap());
        let bytes = bytes_of(line["hex"].as_str().unwrap());
        let is_ticket = line["ticket"].is_string() && line["leader"].is_u64();
        let cut = now_us < bound || seat.cut.contains(&now_us);
        if cut || !is_ticket {
            continue;
        }
        if seat.cut.start < now_us && !came_back {
            came_back = true;
            replay.be_alone();
        }
        replay.nothing_left_over(&place);
        let port = format!("{me}:9929");
        if from == me || from == port {
            replay.compare(to, &bytes, &place);
            compared += 1;
        } else if to == me {
            let source = member_of(from).map(|from| MemberIndex(from as u8));
            replay.input(Input::Datagram { source, bytes: &bytes });
        } else if to == port && matches!(line["cmd"].as_str(), Some("CGnt" | "CRvk")) {
            replay.request(from, &bytes);
        }
    }
    replay.now_ms += 2 * PROMPT_MS;
    replay.nothing_left_over("at the end");
    assert!(compared >= 6, "member {}: {compared} messages compared", seat.member + 1);
}

fn bytes_of(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
