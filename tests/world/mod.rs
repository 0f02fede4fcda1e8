//! A cluster of real nodes in virtual time: real bytes, made-up clocks, network, stores and journals.
//!
//! Everything that happens follows from one seed and the calls made: a world replays exactly. After
//! every event it checks S0 with its acquire-after; with every record and datagram S1, S2 and S3.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

pub mod script;

use booth_core::attribute::Attribute;
use booth_core::input::{ClientId, Input, RequestNumber, StoreResult, StoredTicket};
use booth_core::member::{MAX_MEMBERS, Member, MemberIndex, MemberKind, SiteId};
use booth_core::node::{Node, Storage};
use booth_core::notice::{Event, Notice};
use booth_core::settings::{Mode, Settings, TicketIndex, TicketSettings, ValidityUnit};
use booth_core::sink::{HandlerRequest, Record, Reply, Sink, StoreAction, StoreRequest, StoreTicket};
use booth_core::ticket::Ticket;
use booth_core::time::{Instant, Millis, Now, WallTime};
use booth_core::wheel::Timer;
use booth_core::wire::{self, Body, Command, Header, LeaderField, MAX_MESSAGE, Message, Outcome, Reason, TicketBody};
use std::collections::{BTreeMap, BTreeSet};

pub const WALL_EPOCH_US: u64 = 1_800_000_000_000_000;
pub const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// SplitMix64, for the world's own dice.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % below.max(1)
    }

    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.roll(1000) < per_mille
    }
}

/// What a world is made of.
#[derive(Clone)]
pub struct Plan {
    pub sites: usize,
    pub arbitrators: usize,
    pub tickets: Vec<TicketSettings>,
    pub key: bool,
    pub seed: u64,
    /// Whether all start with an (empty) memory, as a cluster that has run before.
    pub remember: bool,
}

/// A ticket with the usual retries and half-time renewals. Milliseconds.
pub fn ticket(name: &str, expire: u64, acquire_after: u64) -> TicketSettings {
    TicketSettings {
        name: name.try_into().unwrap(),
        mode: Mode::Automatic,
        expire: Millis(expire),
        timeout: Millis(1_000.min(expire / 10)),
        retries: 3,
        renewal: Millis(expire / 2),
        acquire_after: Millis(acquire_after),
        weights: [0; MAX_MEMBERS],
        before_acquire: false,
        prerequisites: Default::default(),
    }
}

/// Who holds a ticket by the stores, and who gave it up last and when.
#[derive(Clone, Copy, Default)]
struct Holding {
    holder: Option<usize>,
    last: Option<(usize, u64)>,
}

/// Something that the network, a store or a handler will deliver.
enum Pending {
    Datagram {
        from: usize,
        to: usize,
        bytes: Vec<u8>,
    },
    /// The store does what it was asked for.
    Stored {
        host: usize,
        life: u32,
        ticket: TicketIndex,
        number: RequestNumber,
        action: Action,
        killed: bool,
    },
    /// The daemon hears of it.
    StoreTold {
        host: usize,
        life: u32,
        ticket: TicketIndex,
        number: RequestNumber,
        told: Told,
    },
    Handler {
        host: usize,
        life: u32,
        ticket: TicketIndex,
        number: RequestNumber,
        success: bool,
    },
}

/// How a store request ended.
#[derive(Clone, Copy)]
enum Told {
    Failed,
    Written,
    Loaded(Option<Held>),
}

/// What a member has promised about a ticket by its last acknowledgement (S2, S3).
#[derive(Clone, Copy)]
struct Owed {
    to: usize,
    /// By the member's own clock.
    until: Instant,
}

/// A store request, owned.
#[derive(Clone)]
enum Action {
    Load,
    Write(StoreTicket),
    Attribute,
}

/// A ticket as a host's store has it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Held {
    pub granted: bool,
    pub owner: Option<u32>,
    pub expires: WallTime,
    pub term: u32,
    /// The life of the daemon that wrote it.
    life: u32,
    /// How far the wall clock was stepped by then.
    step_us: i64,
}

/// What a host's store does with requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StoreHabit {
    pub delay_ms: u64,
    pub fails_per_mille: u64,
    /// A request is killed at its deadline, a third of `expire`.
    pub hangs: bool,
}

/// One machine.
pub struct Host {
    pub name: String,
    node: Option<Node<'static>>,
    storage: Option<Owned>,
    pub life: u32,
    pub frozen: bool,
    pub store: Vec<Held>,
    pub habit: StoreHabit,
    pub handler_passes: bool,
    /// The handler runs until it is killed at its deadline.
    pub handler_hangs: bool,
    pub journal: Vec<Option<Record>>,
    pub journal_fails: bool,
    /// Boot clock = (time + offset) with this drift in parts per million.
    offset_ms: u64,
    drift_ppm: i64,
    pub wall_step_us: i64,
    /// Speaks without the `options` words of ours, as the reference does.
    pub wordless: bool,
    /// What has waited for it while frozen.
    waiting: Vec<(usize, Vec<u8>)>,
    votes: BTreeMap<(u16, u32), SiteId>,
    owes: Vec<Option<Owed>>,
    /// When it last said that it no longer holds a ticket, with its store's word for it.
    released_ms: Vec<u64>,
    /// When it last asked for a renewal.
    renewed_ms: Vec<u64>,
}

/// Storage that a node borrows for as long as it lives.
struct Owned {
    tickets: *mut [Ticket],
    timers: *mut [Timer],
    attributes: *mut [Attribute],
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: made by Box::into_raw in `boot`, and the node that borrowed them was dropped before.
        unsafe {
            drop(Box::from_raw(self.tickets));
            drop(Box::from_raw(self.timers));
            drop(Box::from_raw(self.attributes));
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.node = None;
        self.storage = None;
    }
}

/// How the network treats datagrams.
#[derive(Clone, Copy)]
pub struct Net {
    pub loss_per_mille: u64,
    pub copies_per_mille: u64,
    pub least_delay_ms: u64,
    pub most_delay_ms: u64,
}

/// A cluster in virtual time.
pub struct World {
    pub plan: Plan,
    pub now_ms: u64,
    pub hosts: Vec<Host>,
    pub net: Net,
    pub dice: Dice,
    cuts: Vec<(usize, usize)>,
    queue: BTreeMap<(u64, u64), Pending>,
    serial: u64,
    pub transcript: Vec<String>,
    pub verbose: bool,
    pub replies: Vec<(u64, Outcome, bool)>,
    clients: u64,
    /// Clients that have had no final answer, with the host and the life of the daemon they wait for.
    waiting: BTreeMap<u64, (usize, u32)>,
    /// Tickets that an administrator has forced somewhere: S0 is that word's business.
    pub forced: BTreeSet<usize>,
    /// Tickets that were granted and not revoked by an administrator since (L1).
    pub wanted: BTreeSet<usize>,
    holding: Vec<Holding>,
    pub events: u64,
    pub grants: u64,
    pub captured: Vec<(usize, usize, Vec<u8>)>,
    pub capture: bool,
}

/// What a step has put out.
#[derive(Default)]
struct Outputs {
    journal: Vec<(TicketIndex, Record)>,
    sends: Vec<(TicketIndex, MemberIndex, Vec<u8>)>,
    stores: Vec<(TicketIndex, RequestNumber, Action)>,
    handlers: Vec<(TicketIndex, HandlerRequest)>,
    replies: Vec<(ClientId, Vec<u8>, bool)>,
    notices: Vec<Notice>,
}

impl Sink for Outputs {
    fn journal(&mut self, ticket: TicketIndex, record: &Record) {
        self.journal.push((ticket, *record));
    }

    fn send(&mut self, ticket: TicketIndex, to: MemberIndex, bytes: &[u8]) {
        self.sends.push((ticket, to, bytes.to_vec()));
    }

    fn store(&mut self, ticket: TicketIndex, request: StoreRequest<'_>) {
        let action = match request.action {
            StoreAction::Load => Action::Load,
            StoreAction::Write(ticket) => Action::Write(ticket),
            StoreAction::SetAttribute { .. } | StoreAction::DeleteAttribute { .. } => Action::Attribute,
        };
        self.stores.push((ticket, request.number, action));
    }

    fn run_handler(&mut self, ticket: TicketIndex, request: HandlerRequest) {
        self.handlers.push((ticket, request));
    }

    fn reply(&mut self, client: ClientId, reply: Reply<'_>) {
        if let Reply::Message { bytes, last } = reply {
            self.replies.push((client, bytes.to_vec(), last));
        }
    }

    fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }
}

fn address(index: usize) -> [u8; 4] {
    [10, 0, 0, index as u8 + 1]
}

impl World {
    /// A world whose members have been started, each at a moment of its own.
    pub fn new(plan: Plan) -> World {
        let mut dice = Dice::new(plan.seed);
        let count = plan.sites + plan.arbitrators;
        let hosts = (0..count)
            .map(|index| Host {
                name: if index < plan.sites {
                    format!("site{}", index + 1)
                } else {
                    format!("arb{}", index + 1 - plan.sites)
                },
                node: None,
                storage: None,
                life: 0,
                frozen: false,
                store: vec![Held::default(); plan.tickets.len()],
                habit: StoreHabit { delay_ms: 20, fails_per_mille: 0, hangs: false },
                handler_passes: true,
                handler_hangs: false,
                journal: vec![plan.remember.then(Record::default); plan.tickets.len()],
                journal_fails: false,
                offset_ms: 1_000 + dice.roll(100_000),
                drift_ppm: 0,
                wall_step_us: 0,
                wordless: false,
                waiting: Vec::new(),
                votes: BTreeMap::new(),
                owes: vec![None; plan.tickets.len()],
                released_ms: vec![0; plan.tickets.len()],
                renewed_ms: vec![0; plan.tickets.len()],
            })
            .collect();
        let mut world = World {
            holding: vec![Holding::default(); plan.tickets.len()],
            plan,
            now_ms: 0,
            hosts,
            net: Net { loss_per_mille: 0, copies_per_mille: 0, least_delay_ms: 1, most_delay_ms: 3 },
            dice,
            cuts: Vec::new(),
            queue: BTreeMap::new(),
            serial: 0,
            transcript: Vec::new(),
            verbose: true,
            replies: Vec::new(),
            clients: 0,
            waiting: BTreeMap::new(),
            forced: BTreeSet::new(),
            wanted: BTreeSet::new(),
            events: 0,
            grants: 0,
            captured: Vec::new(),
            capture: false,
        };
        for host in 0..count {
            world.boot(host);
        }
        world
    }

    fn members(&self) -> impl Iterator<Item = Member> + '_ {
        (0..self.hosts.len()).map(|index| Member {
            id: SiteId::of_address(&address(index)),
            kind: if index < self.plan.sites { MemberKind::Site } else { MemberKind::Arbitrator },
        })
    }

    fn clock(&self, host: usize) -> Now {
        let host = &self.hosts[host];
        let elapsed = self.now_ms as i64 + self.now_ms as i64 * host.drift_ppm / 1_000_000;
        let wall = WALL_EPOCH_US as i64 + elapsed * 1000 + host.wall_step_us;
        Now { boot: Instant((elapsed + host.offset_ms as i64) as u64), wall: WallTime(wall as u64) }
    }

    /// World time at which a host's boot clock shows `instant`, not before.
    fn world_time(&self, host: usize, instant: Instant) -> u64 {
        let host = &self.hosts[host];
        let elapsed = instant.0 as i64 - host.offset_ms as i64;
        let mut at = (elapsed as i128 * 1_000_000 / (1_000_000 + host.drift_ppm) as i128) as i64;
        while at + at * host.drift_ppm / 1_000_000 < elapsed {
            at += 1;
        }
        at.max(0) as u64
    }

    pub fn set_drift(&mut self, host: usize, ppm: i64) {
        // The clock goes on from where it is: the offset takes up what the drift has moved so far.
        let before = self.clock(host).boot.0 as i64;
        self.hosts[host].drift_ppm = ppm;
        let after = self.clock(host).boot.0 as i64;
        self.hosts[host].offset_ms = (self.hosts[host].offset_ms as i64 + before - after) as u64;
    }

    /// Starts a member's daemon with what its journal has.
    pub fn boot(&mut self, host: usize) {
        let settings = Settings {
            members: self.members().collect(),
            me: MemberIndex(host as u8),
            key: self.plan.key.then(|| wire::Key::new(KEY)),
            max_time_skew: Millis(600_000),
            unit: ValidityUnit::Milliseconds,
            any_source: false,
            seed: self.plan.seed ^ (host as u64) << 32 ^ u64::from(self.hosts[host].life) << 48 ^ self.now_ms,
        };
        let journal = self.hosts[host].journal.clone();
        let tickets: Vec<Ticket> =
            self.plan.tickets.iter().zip(journal).map(|(ticket, record)| Ticket::new(ticket.clone(), record)).collect();
        let count = tickets.len();
        let owned = Owned {
            tickets: Box::into_raw(tickets.into_boxed_slice()),
            timers: Box::into_raw(vec![Timer::default(); count].into_boxed_slice()),
            attributes: Box::into_raw(vec![Attribute::default(); 8].into_boxed_slice()),
        };
        // SAFETY: freed in Owned::drop only, after the node; nobody else has these pointers.
        let storage = unsafe {
            Storage { tickets: &mut *owned.tickets, timers: &mut *owned.timers, attributes: &mut *owned.attributes }
        };
        let now = self.clock(host);
        self.hosts[host].node = Some(Node::new(settings, storage, now));
        self.hosts[host].storage = Some(owned);
        self.hosts[host].life += 1;
        self.hosts[host].frozen = false;
        self.hosts[host].waiting.clear();
        self.input(host, Input::Started);
    }

    /// Kills a member's daemon; its store and journal stay as they are.
    pub fn kill(&mut self, host: usize) {
        self.hosts[host].node = None;
        self.hosts[host].storage = None;
        self.waiting.retain(|_, (at, _)| *at != host);
        self.say(host, "killed");
    }

    /// Kills a member whose journal is gone when it comes back.
    pub fn kill_and_lose_journal(&mut self, host: usize) {
        self.kill(host);
        self.say(host, "journal lost");
        self.hosts[host].journal.fill(None);
        self.hosts[host].votes.clear();
        self.hosts[host].owes.fill(None);
    }

    pub fn is_up(&self, host: usize) -> bool {
        self.hosts[host].node.is_some()
    }

    pub fn freeze(&mut self, host: usize) {
        self.hosts[host].frozen = true;
        self.say(host, "frozen");
    }

    pub fn thaw(&mut self, host: usize) {
        self.hosts[host].frozen = false;
        self.say(host, "thawed");
        for (from, bytes) in std::mem::take(&mut self.hosts[host].waiting) {
            self.input(host, Input::Datagram { source: Some(MemberIndex(from as u8)), bytes: &bytes });
        }
    }

    /// Nothing goes from `a` to `b` any more.
    pub fn cut_one_way(&mut self, a: usize, b: usize) {
        self.cuts.push((a, b));
    }

    pub fn cut(&mut self, a: usize, b: usize) {
        self.cuts.extend([(a, b), (b, a)]);
    }

    pub fn isolate(&mut self, host: usize) {
        for other in 0..self.hosts.len() {
            if other != host {
                self.cut(host, other);
            }
        }
    }

    pub fn heal(&mut self) {
        self.cuts.clear();
    }

    /// A client's request to a member: grant, revoke. Gives the client's number.
    pub fn ask(&mut self, host: usize, command: Command, ticket: &str, options: u32) -> u64 {
        if let Some(at) = self.plan.tickets.iter().position(|known| known.name == ticket) {
            if command == Command::ClientRevoke {
                self.wanted.remove(&at);
            } else if options & 1 != 0 {
                self.forced.insert(at);
            }
        }
        let bytes = self.request(host, command, ticket, options);
        self.hand_over(host, &bytes)
    }

    /// What a client on a member's host would send now.
    pub fn request(&self, host: usize, command: Command, ticket: &str, options: u32) -> Vec<u8> {
        let header = Header {
            stamp: if self.plan.key { WallTime(self.clock(host).wall.0 + self.clients + 1) } else { WallTime(0) },
            sender: SiteId::of_address(&address(host)),
            command,
            request: None,
            options,
            reason: Reason::None,
            outcome: Outcome::Success,
        };
        let body = TicketBody { name: ticket, leader: LeaderField::Unknown, term: 0, valid_for: 0 };
        let mut bytes = [0; MAX_MESSAGE];
        let key = self.key();
        let length = wire::encode(&Message { header, body: Body::Ticket(body) }, key.as_ref(), &mut bytes);
        bytes[..length].to_vec()
    }

    /// Hands a request to a member. Gives the client's number.
    pub fn hand_over(&mut self, host: usize, request: &[u8]) -> u64 {
        self.clients += 1;
        let client = self.clients;
        self.waiting.insert(client, (host, self.hosts[host].life));
        self.input(host, Input::Request { client: ClientId(client), bytes: request });
        client
    }

    pub fn grant(&mut self, host: usize, ticket: &str) -> u64 {
        self.ask(host, Command::ClientGrant, ticket, 0)
    }

    pub fn revoke(&mut self, host: usize, ticket: &str) -> u64 {
        self.ask(host, Command::ClientRevoke, ticket, 0)
    }

    /// A client closes its connection.
    pub fn hang_up(&mut self, client: u64) {
        if let Some((host, _)) = self.waiting.get(&client).copied().filter(|(host, _)| !self.hosts[*host].frozen) {
            self.input(host, Input::ClientGone { client: ClientId(client) });
            self.waiting.remove(&client);
        }
    }

    /// Clients that wait for an answer.
    pub fn waiting(&self) -> Vec<u64> {
        self.waiting.keys().copied().collect()
    }

    /// The newest answer that a client has had.
    pub fn answer(&self, client: u64) -> Option<Outcome> {
        self.replies.iter().rev().find(|(to, _, _)| *to == client).map(|(_, outcome, _)| *outcome)
    }

    /// Hands a datagram to a member as if it came from another's address.
    pub fn inject(&mut self, from: usize, to: usize, bytes: &[u8]) {
        self.input(to, Input::Datagram { source: Some(MemberIndex(from as u8)), bytes });
    }

    /// The site whose store says that the ticket is granted there.
    pub fn holder(&self, ticket: usize) -> Option<usize> {
        (0..self.plan.sites).find(|host| self.hosts[*host].store[ticket].granted)
    }

    /// The guard of S12: what has run out is revoked where daemon or store cannot.
    fn guard(&mut self, host: usize, ticket: usize) {
        let (on, held) = (&self.hosts[host], self.hosts[host].store[ticket]);
        let daemon_works = on.node.is_some() && !on.frozen && held.life == on.life;
        let store_works = !on.habit.hangs && on.habit.fails_per_mille == 0 && on.habit.delay_ms <= 500;
        let over = self.clock(host).wall.0 as i64 - on.wall_step_us >= held.expires.0 as i64 - held.step_us;
        if held.granted && over && !(daemon_works && store_works) {
            self.hosts[host].store[ticket].granted = false;
            self.say(host, &format!("store {ticket}: revoked by the guard"));
        }
    }

    pub fn node(&self, host: usize) -> &Node<'static> {
        self.hosts[host].node.as_ref().unwrap()
    }

    pub fn now(&self, host: usize) -> Now {
        self.clock(host)
    }

    /// Lets time pass.
    pub fn run(&mut self, span_ms: u64) {
        let end = self.now_ms + span_ms;
        while let Some(at) = self.next_event().filter(|at| *at <= end) {
            self.now_ms = self.now_ms.max(at);
            self.check();
            self.turn();
        }
        self.now_ms = end;
        self.check();
    }

    /// Lets time pass until a condition holds; tells after how long, or `None` if it never did.
    pub fn run_until(&mut self, limit_ms: u64, done: impl Fn(&World) -> bool) -> Option<u64> {
        let start = self.now_ms;
        while !done(self) {
            let at = self.next_event().filter(|at| *at <= start + limit_ms)?;
            self.now_ms = self.now_ms.max(at);
            self.check();
            self.turn();
        }
        Some(self.now_ms - start)
    }

    fn deadline(&self, host: usize) -> Option<u64> {
        let node = self.hosts[host].node.as_ref().filter(|_| !self.hosts[host].frozen)?;
        node.next_deadline().map(|instant| self.world_time(host, instant))
    }

    fn next_event(&self) -> Option<u64> {
        let queued = self.queue.keys().next().map(|(at, _)| *at);
        (0..self.hosts.len()).filter_map(|host| self.deadline(host)).chain(queued).min()
    }

    fn turn(&mut self) {
        for host in 0..self.hosts.len() {
            if self.deadline(host).is_some_and(|at| at <= self.now_ms) {
                self.input(host, Input::Tick);
            }
        }
        while let Some(key) = self.queue.keys().next().copied().filter(|(at, _)| *at <= self.now_ms) {
            let pending = self.queue.remove(&key).unwrap();
            self.deliver(pending);
        }
    }

    fn deliver(&mut self, pending: Pending) {
        match pending {
            Pending::Datagram { from, to, bytes } => {
                if self.cuts.contains(&(from, to)) || self.hosts[to].node.is_none() {
                } else if self.hosts[to].frozen {
                    if self.hosts[to].waiting.len() < 200 {
                        self.hosts[to].waiting.push((from, bytes));
                    }
                } else {
                    self.input(to, Input::Datagram { source: Some(MemberIndex(from as u8)), bytes: &bytes });
                }
            }
            Pending::Stored { host, life, ticket, number, action, killed } => {
                self.stored(host, life, ticket, number, &action, killed);
            }
            Pending::StoreTold { host, .. } | Pending::Handler { host, .. } if self.hosts[host].frozen => {
                self.enqueue(50, pending);
            }
            Pending::StoreTold { host, life, ticket, number, told } => {
                if self.hosts[host].life == life && self.is_up(host) {
                    self.store_told(host, ticket, number, told);
                }
            }
            Pending::Handler { host, life, ticket, number, success } => {
                if self.hosts[host].life == life && self.is_up(host) {
                    self.input(host, Input::HandlerExited { ticket, number, success });
                }
            }
        }
    }

    fn stored(
        &mut self,
        host: usize,
        life: u32,
        ticket: TicketIndex,
        number: RequestNumber,
        action: &Action,
        killed: bool,
    ) {
        let failed = killed || self.dice.chance(self.hosts[host].habit.fails_per_mille);
        let held = self.hosts[host].store[ticket.at()];
        if !failed && let Action::Write(write) = action {
            let owner = write.owner.map(|owner| owner.0);
            let step_us = self.hosts[host].wall_step_us;
            let (granted, expires, term) = (write.granted, write.expires, write.term);
            self.hosts[host].store[ticket.at()] = Held { granted, owner, expires, term, life, step_us };
            if write.granted != held.granted {
                self.say(host, &format!("store {}: {}", ticket.0, if write.granted { "granted" } else { "revoked" }));
                self.grants += u64::from(write.granted);
            }
            if write.granted {
                self.wanted.insert(ticket.at());
            }
            self.check();
        }
        let told = match action {
            _ if failed => Told::Failed,
            Action::Load => Told::Loaded((held != Held::default()).then_some(held)),
            _ => Told::Written,
        };
        self.enqueue(0, Pending::StoreTold { host, life, ticket, number, told });
    }

    fn store_told(&mut self, host: usize, ticket: TicketIndex, number: RequestNumber, told: Told) {
        let result = match told {
            Told::Failed => StoreResult::Failed,
            Told::Written => StoreResult::Written,
            Told::Loaded(held) => StoreResult::Loaded(held.map(|held| StoredTicket {
                granted: held.granted,
                owner: Some(held.owner.map_or(-1, |owner| owner as i32)),
                expires: Some(WallTime(held.expires.seconds() * 1_000_000)),
                term: Some(held.term),
                attributes: &[],
            })),
        };
        self.input(host, Input::StoreFinished { ticket, number, result });
    }

    /// One input to one node, and all that comes of it.
    pub fn input(&mut self, host: usize, input: Input<'_>) {
        let now = self.clock(host);
        let mut outputs = Outputs::default();
        let Some(node) = self.hosts[host].node.as_mut() else { return };
        node.step(now, input, &mut outputs);
        self.events += 1;
        let mut failed = Vec::new();
        for (ticket, record) in outputs.journal {
            if self.hosts[host].journal_fails {
                failed.push(ticket);
            } else {
                self.check_record(host, ticket, &record);
                self.hosts[host].journal[ticket.at()] = Some(record);
            }
        }
        for notice in outputs.notices {
            self.tell(host, notice);
        }
        for (ticket, to, bytes) in outputs.sends {
            if !failed.contains(&ticket) {
                self.transmit(host, to.at(), bytes);
            }
        }
        let life = self.hosts[host].life;
        for (ticket, number, action) in outputs.stores {
            // As the shell does: a newer write of a ticket ends one that runs.
            self.queue.retain(|_, pending| {
                !matches!(pending, Pending::Stored { host: at, ticket: of, .. } if *at == host && *of == ticket)
            });
            // What hangs is killed at the deadline of the store module.
            let deadline = (self.plan.tickets[ticket.at()].expire.0 / 3).clamp(1_000, 10_000);
            let StoreHabit { delay_ms, hangs, .. } = self.hosts[host].habit;
            let at = if hangs { deadline } else { delay_ms.min(deadline) };
            let killed = hangs || delay_ms > deadline;
            self.enqueue(at, Pending::Stored { host, life, ticket, number, action, killed });
        }
        for (ticket, request) in outputs.handlers {
            let (number, hangs) = (request.number, self.hosts[host].handler_hangs);
            let success = self.hosts[host].handler_passes && !hangs;
            let delay = if hangs { request.deadline.since(now.boot).0 } else { 10 };
            self.enqueue(delay, Pending::Handler { host, life, ticket, number, success });
        }
        for (client, bytes, last) in outputs.replies {
            let key = self.key();
            let outcome = wire::decode(&bytes, key.as_ref()).unwrap().header.outcome;
            self.say(host, &format!("answers client {}: {outcome:?}{}", client.0, if last { "" } else { " ..." }));
            assert!(
                self.waiting.contains_key(&client.0),
                "client {} is answered after its last answer\n{}",
                client.0,
                self.story()
            );
            if last {
                self.waiting.remove(&client.0);
            }
            self.replies.push((client.0, outcome, last));
        }
        for ticket in failed {
            self.input(host, Input::JournalFailed { ticket });
        }
    }

    fn transmit(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        self.check_promise(from, to, &bytes);
        let bytes =
            if self.hosts[from].wordless || self.hosts[to].wordless { self.as_reference(from, &bytes) } else { bytes };
        if self.capture {
            self.captured.push((from, to, bytes.clone()));
        }
        if self.cuts.contains(&(from, to)) || self.dice.chance(self.net.loss_per_mille) {
            return;
        }
        let copies = 1 + usize::from(self.dice.chance(self.net.copies_per_mille));
        for _ in 0..copies {
            let range = self.net.most_delay_ms - self.net.least_delay_ms + 1;
            let delay = self.net.least_delay_ms + self.dice.roll(range);
            self.enqueue(delay, Pending::Datagram { from, to, bytes: bytes.clone() });
        }
    }

    /// The same message as the reference would have sent it: with an `options` word of 0, and with the
    /// microseconds of another clock in its stamp.
    pub fn as_reference(&self, from: usize, bytes: &[u8]) -> Vec<u8> {
        let key = self.key();
        let mut message = wire::decode(bytes, key.as_ref()).unwrap();
        message.header.options = 0;
        if self.plan.key {
            // Both clocks of a host run at one rate.
            let microseconds = self.clock(from).boot.0 * 1000 % 1_000_000 + message.header.stamp.0 % 1000;
            message.header.stamp = WallTime(message.header.stamp.seconds() * 1_000_000 + microseconds % 1_000_000);
        }
        let mut out = [0; MAX_MESSAGE];
        let length = wire::encode(&message, key.as_ref(), &mut out);
        out[..length].to_vec()
    }

    fn key(&self) -> Option<wire::Key> {
        self.plan.key.then(|| wire::Key::new(KEY))
    }

    /// S1, S2: what a vote or an acknowledgement promises is in the journal when it leaves.
    fn check_promise(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let key = self.key();
        let message = wire::decode(bytes, key.as_ref()).unwrap();
        let Body::Ticket(body) = message.body else { return };
        let at = self.plan.tickets.iter().position(|ticket| ticket.name == body.name).unwrap();
        if self.plan.tickets[at].mode == Mode::Manual {
            return;
        }
        self.check_owed(from, to, at, &message.header, &body);
        let journal = self.hosts[from].journal[at];
        let asker = SiteId::of_address(&address(to));
        let kept = match (message.header.command, message.header.request, body.leader) {
            (Command::Vote, Some(Command::VoteRequest), LeaderField::Member(vote)) => {
                self.hosts[from].votes.get(&(at as u16, body.term)) == Some(&vote)
            }
            (Command::Ack, Some(Command::Heartbeat | Command::Update), _) => {
                journal.is_some_and(|record| record.leader == Some(asker) && record.active)
            }
            _ => true,
        };
        assert!(kept, "S1, S2: {message:?} leaves, but the journal has {journal:?}\n{}", self.story());
    }

    /// S2, S3: who has acknowledged a leader votes for no other until its promise and the hold behind
    /// it are over by its own clock, or `acquire-after` has passed since the leader's release.
    fn check_owed(&mut self, from: usize, to: usize, ticket: usize, header: &Header, body: &TicketBody<'_>) {
        let now = self.clock(from).boot;
        let after = self.plan.tickets[ticket].acquire_after;
        match (header.command, header.request) {
            (Command::Ack, Some(Command::Heartbeat | Command::Update)) => {
                let until = now + self.plan.tickets[ticket].expire;
                self.hosts[from].owes[ticket] = Some(Owed { to, until });
            }
            (Command::Vote, None) | (Command::Revoke, None) => {
                assert!(!self.hosts[from].store[ticket].granted, "S9: told before the store said so\n{}", self.story());
                if self.hosts[from].renewed_ms[ticket] >= self.hosts[from].released_ms[ticket] {
                    self.hosts[from].released_ms[ticket] = self.now_ms;
                }
            }
            (Command::Heartbeat | Command::Update, None) => self.hosts[from].renewed_ms[ticket] = self.now_ms,
            (Command::Vote, Some(Command::VoteRequest)) => {
                let candidate = LeaderField::Member(SiteId::of_address(&address(to)));
                let Some(owed) = self.hosts[from].owes[ticket].filter(|owed| owed.to != to) else { return };
                let released = self.hosts[owed.to].released_ms[ticket];
                let renewed = self.hosts[owed.to].renewed_ms[ticket];
                let released = released > 0 && released >= renewed && self.now_ms >= released + after.0;
                let over = now >= owed.until + after;
                let kept = body.leader != candidate || released || over;
                let name = &self.hosts[from].name;
                assert!(kept, "S2, S3: {name} votes in spite of its promise to {}\n{}", owed.to, self.story());
            }
            (Command::VoteRequest, _) => {
                // The reference votes at once for who asks for this, whatever it has promised.
                assert!(header.reason != Reason::StepDown, "{}", self.story());
            }
            _ => {}
        }
    }

    fn enqueue(&mut self, delay: u64, pending: Pending) {
        self.serial += 1;
        self.queue.insert((self.now_ms + delay, self.serial), pending);
    }

    pub fn say(&mut self, host: usize, what: &str) {
        if self.verbose {
            let line = format!("{:>9.3}  {:<6} {what}", self.now_ms as f64 / 1000.0, self.hosts[host].name);
            self.transcript.push(line);
        }
    }

    fn tell(&mut self, host: usize, notice: Notice) {
        if !self.verbose {
            return;
        }
        match notice {
            Notice::Ticket { event: Event::Renewed { .. }, .. } => {}
            Notice::Ticket { ticket, event } => self.say(host, &format!("ticket {}: {event:?}", ticket.0)),
            other => self.say(host, &format!("{other:?}")),
        }
    }

    /// S1: one vote a term, and neither terms nor votes go down in the journal.
    fn check_record(&mut self, host: usize, ticket: TicketIndex, record: &Record) {
        let last = self.hosts[host].journal[ticket.at()];
        if let Some(last) = last {
            // A vote for a member that is gone may be forgotten where the term is behind us.
            let closed = record.term > last.voted_term;
            let down = record.term < last.term || (record.voted_term < last.voted_term && !closed);
            assert!(!down, "S1: {} goes down from {last:?} to {record:?}\n{}", self.hosts[host].name, self.story());
        }
        if let Some(vote) = record.vote {
            let first = *self.hosts[host].votes.entry((ticket.0, record.voted_term)).or_insert(vote);
            let name = self.hosts[host].name.clone();
            let term = record.voted_term;
            assert!(first == vote, "S1: {name} voted twice in term {term}\n{}", self.story());
        }
    }

    /// S0: at most one holder, and acquire-after between the end at one site and the grant at another.
    fn check(&mut self) {
        for ticket in 0..self.plan.tickets.len() {
            if self.plan.tickets[ticket].mode == Mode::Manual || self.forced.contains(&ticket) {
                continue;
            }
            for host in 0..self.plan.sites {
                self.guard(host, ticket);
            }
            let mut holders = (0..self.plan.sites).filter(|host| self.hosts[*host].store[ticket].granted);
            let (first, second) = (holders.next(), holders.next());
            assert!(second.is_none(), "S0: ticket {ticket} is held by {first:?} and {second:?}\n{}", self.story());
            let Holding { holder: before, mut last } = self.holding[ticket];
            if let Some(before) = before.filter(|before| first != Some(*before)) {
                last = Some((before, self.now_ms));
            }
            if let (Some(holder), Some((old, ended))) = (first, last)
                && before != first
                && holder != old
            {
                let gap = self.now_ms - ended;
                let needed = self.plan.tickets[ticket].acquire_after.0;
                assert!(gap >= needed, "S0: {gap} ms between {old} and {holder}, not {needed}\n{}", self.story());
            }
            self.holding[ticket] = Holding { holder: first, last };
        }
    }

    fn story(&self) -> String {
        let from = self.transcript.len().saturating_sub(120);
        format!("seed {}\n{}", self.plan.seed, self.transcript[from..].join("\n"))
    }
}
