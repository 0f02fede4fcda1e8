//! A cluster of real nodes in virtual time: real bytes, made-up clocks, network, stores and disks.
//!
//! Everything that happens follows from one seed and the calls made: a world replays exactly. What is checked, and
//! when, is in `checks`.
#![allow(dead_code, unused_imports, clippy::unwrap_used, clippy::expect_used)]

mod checks;
mod clients;
mod crash;
pub mod daemon;
mod dice;
mod disk;
mod host;
pub mod ledger;
mod network;
mod queue;
pub mod reference;
pub mod script;
mod stores;

pub use clients::FORCE;
use crash::Crashes;
pub use crash::NODES;
pub use dice::Dice;
pub use host::{Host, Tear};
pub use network::Net;
use stores::Asked;
pub use stores::StoreHabit;

use booth_core::input::Input;
use booth_core::member::MAX_MEMBERS;
use booth_core::notice::{Event, Notice};
use booth_core::settings::{Mode, TicketIndex, TicketSettings, ValidityUnit};
use booth_core::sink::HandlerKind;
use booth_core::time::Millis;
use booth_core::wire::{self, Command, Outcome};
use checks::Checks;
use daemon::Outputs;
use ledger::Ledger;
use network::Network;
use queue::{Pending, Queue};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub const WALL_EPOCH_US: u64 = 1_800_000_000_000_000;
pub const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";
/// How much of its transcript a failed world shows.
const STORY_LINES: usize = 120;

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
        release_handler: false,
        crash_release: false,
        on_stuck_revoke: false,
        prerequisites: Default::default(),
    }
}

/// A client that has had no final answer.
#[derive(Clone, Copy)]
pub struct Waiting {
    pub host: usize,
    pub command: Command,
    pub ticket: Option<usize>,
}

/// A cluster in virtual time.
pub struct World {
    pub plan: Plan,
    key: Option<wire::Key>,
    unit: ValidityUnit,
    pub now_ms: u64,
    pub hosts: Vec<Host>,
    pub net: Net,
    pub network: Network,
    pub dice: Dice,
    queue: Queue,
    pub transcript: Vec<String>,
    pub verbose: bool,
    /// Prints each line at once, so that a run that dies has told all of its story.
    pub live: bool,
    /// Whether some hosts speak as the reference does.
    pub mixed: bool,
    /// Whether a wall clock has been stepped by so much that two may differ by more than `maxtimeskew`.
    pub clocks_far_off: bool,
    pub replies: Vec<(u64, Outcome, bool)>,
    clients: u64,
    waiting: BTreeMap<u64, Waiting>,
    /// Tickets that an administrator has forced somewhere: S0 is that word's business.
    pub forced: BTreeSet<usize>,
    /// Tickets that were granted and not revoked by an administrator since (L1).
    pub wanted: BTreeSet<usize>,
    /// Tickets that an administrator has asked to be revoked, wherever, and the newest term that was known then.
    given_up: BTreeMap<usize, u32>,
    checks: Checks,
    crashes: Crashes,
    /// Where there is one, S0 is not checked: who held what is written down, to be judged later.
    pub ledger: Option<Ledger>,
    /// When the guard (S12) has to look again.
    guard_ms: u64,
    pub events: u64,
    pub grants: u64,
    /// How often each ticket's store has changed to "granted".
    pub grants_of: Vec<u64>,
    pub captured: Vec<(usize, usize, Vec<u8>)>,
    pub capture: bool,
    outputs: Outputs,
}

fn address(index: usize) -> [u8; 4] {
    [10, 0, 0, index as u8 + 1]
}

impl World {
    /// A world of our daemons, which have been started.
    pub fn new(plan: Plan) -> World {
        World::with_programs(plan, |_| daemon::Ours::start)
    }

    /// A world in which each host runs the program that is named for it.
    pub fn with_programs(plan: Plan, program: impl Fn(usize) -> daemon::Program) -> World {
        World::with_unit(plan, ValidityUnit::Milliseconds, program)
    }

    /// A world whose messages count in this unit.
    pub fn with_unit(plan: Plan, unit: ValidityUnit, program: impl Fn(usize) -> daemon::Program) -> World {
        let mut dice = Dice::new(plan.seed);
        let count = plan.sites + plan.arbitrators;
        let mut hosts: Vec<Host> =
            (0..count).map(|index| Host::new(&plan, index, 1_000 + dice.roll(100_000))).collect();
        for (index, host) in hosts.iter_mut().enumerate() {
            host.program = program(index);
        }
        let mut world = World {
            key: plan.key.then(|| wire::Key::new(KEY)),
            unit,
            checks: Checks::new(count, plan.tickets.len()),
            crashes: Crashes::default(),
            grants_of: vec![0; plan.tickets.len()],
            plan,
            now_ms: 0,
            hosts,
            net: Net::GOOD,
            network: Network::default(),
            dice,
            queue: Queue::default(),
            transcript: Vec::new(),
            verbose: true,
            live: false,
            mixed: false,
            clocks_far_off: false,
            replies: Vec::new(),
            clients: 0,
            waiting: BTreeMap::new(),
            forced: BTreeSet::new(),
            wanted: BTreeSet::new(),
            given_up: BTreeMap::new(),
            ledger: None,
            guard_ms: stores::NEVER,
            events: 0,
            grants: 0,
            captured: Vec::new(),
            capture: false,
            outputs: Outputs::default(),
        };
        for host in 0..count {
            world.boot(host);
        }
        world
    }

    // ---- time --------------------------------------------------------------------------------

    /// Lets time pass.
    pub fn run(&mut self, span_ms: u64) {
        let end = self.now_ms + span_ms;
        while let Some(at) = self.next_event().filter(|at| *at <= end) {
            self.now_ms = self.now_ms.max(at);
            self.turn();
        }
        self.now_ms = end;
        self.guard();
    }

    /// Lets time pass until a condition holds; tells after how long, or `None` if it never did.
    pub fn run_until(&mut self, limit_ms: u64, done: impl Fn(&World) -> bool) -> Option<u64> {
        let start = self.now_ms;
        while !done(self) {
            let at = self.next_event().filter(|at| *at <= start + limit_ms)?;
            self.now_ms = self.now_ms.max(at);
            self.turn();
        }
        Some(self.now_ms - start)
    }

    fn next_event(&self) -> Option<u64> {
        let guard = (self.guard_ms > self.now_ms && self.guard_ms < stores::NEVER).then_some(self.guard_ms);
        self.hosts.iter().filter_map(|host| host.wake_ms).chain(self.queue.next_at()).chain(guard).min()
    }

    /// All that is due now.
    fn turn(&mut self) {
        self.guard();
        for host in 0..self.hosts.len() {
            if self.hosts[host].wake_ms.is_some_and(|at| at <= self.now_ms) {
                self.input(host, Input::Tick);
            }
        }
        while let Some(pending) = self.queue.pop_due(self.now_ms) {
            self.deliver(pending);
        }
    }

    fn enqueue(&mut self, delay_ms: u64, pending: Pending) {
        self.queue.push(self.now_ms + delay_ms, pending);
    }

    fn deliver(&mut self, pending: Pending) {
        match pending {
            Pending::Datagram { from, to, bytes } => self.arrive(from, to, bytes),
            Pending::Stored(Asked { host, .. }) if self.hosts[host].suspended => self.hosts[host].paused.push(pending),
            Pending::StoreTold { host, .. } | Pending::Handler { host, .. } if self.hosts[host].frozen => {
                self.hosts[host].paused.push(pending);
            }
            Pending::Stored(asked) => self.stored(asked),
            Pending::Announce { site, node, dump } => self.announce(site, node, dump),
            Pending::Announcement { to, bytes } => self.hear(to, &bytes),
            Pending::StoreTold { host, life, ticket, number, told } => {
                if self.hosts[host].life == life && self.is_up(host) {
                    self.store_told(host, ticket, number, told);
                }
            }
            Pending::Handler { kind, host, life, ticket, number, success } => {
                if self.hosts[host].life == life && self.is_up(host) {
                    if kind == HandlerKind::Release && success {
                        self.checks.stopped(host, ticket.at());
                    }
                    self.input(host, Input::HandlerExited { ticket, number, success });
                }
            }
        }
    }

    // ---- one step ----------------------------------------------------------------------------

    /// One input to one daemon, and all that comes of it.
    pub fn input(&mut self, host: usize, input: Input<'_>) {
        let now = self.clock(host);
        let Some(daemon) = self.hosts[host].daemon.as_mut() else { return };
        let mut out = std::mem::take(&mut self.outputs);
        daemon.step(now, input, &mut out);
        self.events += 1;
        self.set_alarm(host);
        self.check_view(host, now);
        self.carry_out(host, &out);
        out.clear();
        self.outputs = out;
    }

    /// Does what a daemon wants done, in the order in which the shell does it: revokes, records, all else.
    fn carry_out(&mut self, host: usize, out: &Outputs) {
        self.ask_stores(host, out, true);
        let Some(failed) = self.write_journal(host, out) else { return };
        for notice in &out.notices {
            self.network.dropped |= matches!(notice, Notice::DatagramDropped { .. });
            self.tell(host, notice);
        }
        for (ticket, to, bytes) in &out.sends {
            if failed & 1 << ticket.0 == 0 {
                self.transmit(host, to.at(), out.bytes(bytes));
            }
        }
        self.ask_stores(host, out, false);
        let now = self.clock(host).boot;
        for (ticket, request) in &out.handlers {
            self.run_handler(host, *ticket, request, now);
        }
        self.answer_clients(host, out);
        for ticket in (0..self.plan.tickets.len() as u16).filter(|ticket| failed & 1 << ticket != 0) {
            self.input(host, Input::JournalFailed { ticket: TicketIndex(ticket) });
        }
    }

    fn ask_stores(&mut self, host: usize, out: &Outputs, revokes: bool) {
        for (ticket, number, action) in out.stores.iter().filter(|(_, _, action)| action.is_revoke() == revokes) {
            self.ask_store(host, *ticket, *number, *action);
        }
    }

    /// Writes what is to be remembered. Gives a set of the tickets (bits) whose records could not be written, or
    /// nothing where the machine has stopped in the middle of it.
    fn write_journal(&mut self, host: usize, out: &Outputs) -> Option<u32> {
        let mut failed = 0;
        for (ticket, record) in &out.records {
            if let Some(tear) = self.hosts[host].tear.take() {
                self.hosts[host].disk.write_torn(ticket.at(), record, tear.written, tear.backwards);
                self.say(host, format_args!("stops in the middle of a write: {tear:?}"));
                self.kill(host);
                return None;
            }
            if self.hosts[host].journal_fails {
                self.hosts[host].disk.write_failed(ticket.at());
                failed |= 1 << ticket.0;
            } else {
                self.check_record(host, ticket.at(), record);
                self.hosts[host].disk.write(ticket.at(), record);
            }
        }
        Some(failed)
    }

    // ---- what is told ------------------------------------------------------------------------

    /// A line of the transcript about a member.
    pub fn say(&mut self, host: usize, what: fmt::Arguments<'_>) {
        if self.verbose {
            let name = self.hosts[host].name.clone();
            self.write_down(&name, what);
        }
    }

    /// A line of the transcript: who and what.
    pub fn write_down(&mut self, who: &str, what: fmt::Arguments<'_>) {
        if self.verbose {
            let line = format!("{:>9.3}  {who:<6} {what}", self.now_ms as f64 / 1000.0);
            if self.live {
                println!("{line}");
            } else {
                self.transcript.push(line);
            }
        }
    }

    fn tell(&mut self, host: usize, notice: &Notice) {
        match notice {
            Notice::Ticket { event: Event::Renewed { .. }, .. } => {}
            Notice::Ticket { ticket, event } => self.say(host, format_args!("ticket {}: {event:?}", ticket.0)),
            other => self.say(host, format_args!("{other:?}")),
        }
    }

    /// The end of the transcript, for the message of what has failed.
    pub fn story(&self) -> String {
        let from = self.transcript.len().saturating_sub(STORY_LINES);
        format!("seed {}\n{}", self.plan.seed, self.transcript[from..].join("\n"))
    }
}
