//! The world as a state machine: what can happen next, and what comes of it.

use crate::host::{
    Daemon, FIRST_MARK, Held, Host, Job, MEMBERS, NAMES, Outputs, Request, SITE2, SITES, STORE_LIMIT, TICKET, site_id,
    world_time_of_wall,
};
use crate::rules::{self, Holding, Rule};
use crate::story;
use crate::worlds::{Goal, Limits, World};
use booth_core::attribute::MEMORY;
use booth_core::input::{ClientId, Input, StoreResult, StoredTicket};
use booth_core::member::MemberIndex;
use booth_core::settings::TicketIndex;
use booth_core::sink::Record;
use booth_core::time::WallTime;
use booth_core::wire::{self, Body, Command, Header, LeaderField, MAX_MESSAGE, Message, Outcome, Reason, TicketBody};
use stateright::{Model, Property};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

const THE_TICKET: TicketIndex = TicketIndex(0);
const GRANTS: ClientId = ClientId(1);
const REVOKES: ClientId = ClientId(2);

/// A message under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Datagram {
    /// Who has sent it.
    pub from: usize,
    /// Whom it is for.
    pub to: usize,
    /// All of it.
    pub bytes: Arc<[u8]>,
    /// It stays under way when time moves on.
    pub late: bool,
}

/// What becomes of the journal of a member that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// It is there.
    Kept,
    /// It is gone, and known to be.
    Lost,
    /// It is empty and claims to be whole: what S7 must never let happen. For worlds that are to fail.
    Forged,
}

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A message arrives; a copy of it may come later.
    Deliver {
        /// Its place in the network.
        at: usize,
        /// A copy stays.
        copy: bool,
    },
    /// Time moves to the next instant at which something is due. What is under way is lost but for what is late.
    Wait {
        /// A message that is late from now on.
        late: Option<usize>,
    },
    /// A store does what it was asked for.
    Stored(usize),
    /// A store says that it has failed; what it was asked for is done all the same, or is not.
    StoreFailed {
        /// Whose store.
        site: usize,
        /// It is done all the same.
        done: bool,
    },
    /// A daemon is killed; store and journal stay, or the journal does not.
    Kill(usize, Journal),
    /// A daemon is started.
    Start(usize),
    /// An administrator grants the ticket to a site.
    Grant(usize),
    /// An administrator revokes it at a site.
    Revoke(usize),
}

/// A machine that many states share.
#[derive(Clone, Debug)]
struct Shared {
    hash: u64,
    host: Arc<Host>,
}

impl PartialEq for Shared {
    fn eq(&self, other: &Shared) -> bool {
        self.hash == other.hash && self.host == other.host
    }
}

impl Hash for Shared {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.hash);
    }
}

/// A state of the world, as the checker keeps it.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct State {
    hosts: [Shared; MEMBERS],
    rest: Rest,
}

/// All but the machines.
#[derive(Clone, Debug, PartialEq, Hash)]
struct Rest {
    now: u64,
    network: Vec<Datagram>,
    left: Limits,
    holding: Holding,
    broken: Vec<Rule>,
}

/// A world and what its checker shares among states.
pub struct Cluster {
    /// The world.
    pub world: World,
    machines: Mutex<HashMap<u64, Arc<Host>>>,
    /// Which properties have been found, one bit each.
    seen: AtomicU32,
}

/// A state that is being worked on.
pub struct Scene<'w> {
    world: &'w World,
    /// The machines; those that nothing happens to are shared with the state that the scene began with.
    pub hosts: [Arc<Host>; MEMBERS],
    rest: Rest,
    /// What has happened, where somebody wants to know.
    pub story: Option<Vec<String>>,
}

impl State {
    /// Whether a rule is broken.
    pub fn breaks(&self, rule: Rule) -> bool {
        self.rest.broken.contains(&rule)
    }

    /// The site whose store says that the ticket is granted there.
    pub fn holder(&self) -> Option<usize> {
        self.rest.holding.holder
    }

    /// Whether a store has an administrator's revoke.
    pub fn is_revoked(&self) -> bool {
        self.hosts.iter().any(|on| on.host.store.life > 0 && !on.host.store.granted && on.host.store.owner.is_none())
    }

    /// Whether a member has voted after a restart.
    pub fn has_voted_again(&self) -> bool {
        self.hosts.iter().any(|on| on.host.life > 1 && on.host.voted)
    }
}

impl Cluster {
    /// The checker's view of a world.
    pub fn new(world: World) -> Cluster {
        Cluster { world, machines: Mutex::new(HashMap::new()), seen: AtomicU32::new(0) }
    }

    /// Whether something is seen for the first time. `stateright` keeps the path to the last state in which a
    /// property is found; breadth first, that to the first is the shortest.
    fn is_first(&self, bit: u32, seen: bool) -> bool {
        seen && self.seen.fetch_or(1 << bit, Ordering::Relaxed) & 1 << bit == 0
    }

    /// A scene to work on.
    pub fn scene(&self, state: &State) -> Scene<'_> {
        let hosts = state.hosts.each_ref().map(|shared| Arc::clone(&shared.host));
        Scene { world: &self.world, hosts, rest: state.rest.clone(), story: None }
    }

    /// The state that a scene has come to. Equal machines are kept once.
    fn state(&self, scene: Scene<'_>, before: Option<&State>) -> State {
        let mut at = 0..;
        let hosts = scene.hosts.map(|host| {
            let old = before.zip(at.next()).map(|(before, at): (_, usize)| &before.hosts[at]);
            old.filter(|old| Arc::ptr_eq(&old.host, &host)).cloned().unwrap_or_else(|| self.share(host))
        });
        State { hosts, rest: scene.rest }
    }

    fn share(&self, host: Arc<Host>) -> Shared {
        let mut hasher = DefaultHasher::new();
        host.hash(&mut hasher);
        let hash = hasher.finish();
        let mut machines = self.machines.lock().unwrap();
        let known = machines.entry(hash).or_insert_with(|| Arc::clone(&host));
        assert!(*known == host, "two machines of one hash");
        Shared { hash, host: Arc::clone(known) }
    }
}

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.state(self.world.opening(None), None)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let (left, hosts) = (&state.rest.left, state.hosts.each_ref().map(|shared| &*shared.host));
        for (at, datagram) in state.rest.network.iter().enumerate() {
            if hosts[datagram.to].daemon.is_some() {
                actions.push(Action::Deliver { at, copy: false });
                if left.copies > 0 && !datagram.late {
                    actions.push(Action::Deliver { at, copy: true });
                }
            }
        }
        for (at, host) in hosts.iter().enumerate() {
            if let Some(job) = host.job {
                actions.push(Action::Stored(at));
                if left.failures > 0 {
                    actions.push(Action::StoreFailed { site: at, done: false });
                    if job.request != Request::Load {
                        actions.push(Action::StoreFailed { site: at, done: true });
                    }
                }
            }
            if host.daemon.is_none() {
                actions.push(Action::Start(at));
            } else if left.kills > 0 {
                actions.extend(self.world.journals.iter().map(|journal| Action::Kill(at, *journal)));
            }
            if host.daemon.is_some() && at < SITES {
                actions.extend((left.grants > 0).then_some(Action::Grant(at)));
                actions.extend((left.revokes > 0).then_some(Action::Revoke(at)));
            }
        }
        if next_instant(hosts, state.rest.now, &self.world).is_some() {
            actions.push(Action::Wait { late: None });
            if left.late > 0 {
                let early = state.rest.network.iter().enumerate().filter(|(_, datagram)| !datagram.late);
                actions.extend(early.map(|(at, _)| Action::Wait { late: Some(at) }));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut scene = self.scene(state);
        scene.act(action);
        Some(self.state(scene, Some(state)))
    }

    fn properties(&self) -> Vec<Property<Cluster>> {
        type Condition = fn(&Cluster, &State) -> bool;
        let rules: [(&'static str, Condition); 4] = [
            ("S0", |cluster, state| !cluster.is_first(0, state.breaks(Rule::S0))),
            ("S1", |cluster, state| !cluster.is_first(1, state.breaks(Rule::S1))),
            ("S2", |cluster, state| !cluster.is_first(2, state.breaks(Rule::S2))),
            ("S9", |cluster, state| !cluster.is_first(3, state.breaks(Rule::S9))),
        ];
        let goal = |goal: &Goal| -> (&'static str, Condition) {
            match goal {
                Goal::Granted => ("granted", |cluster, state| cluster.is_first(4, state.holder().is_some())),
                Goal::FailedOver => {
                    ("failed over", |cluster, state| cluster.is_first(5, state.holder() == Some(SITE2)))
                }
                Goal::Revoked => ("revoked", |cluster, state| cluster.is_first(6, state.is_revoked())),
                Goal::VotedAgain => ("voted again", |cluster, state| cluster.is_first(7, state.has_voted_again())),
            }
        };
        let always = rules.into_iter().map(|(name, holds)| Property::always(name, holds));
        let sometimes = self.world.reaches.iter().map(goal).map(|(name, reached)| Property::sometimes(name, reached));
        always.chain(sometimes).collect()
    }
}

fn next_instant(hosts: [&Host; MEMBERS], now: u64, world: &World) -> Option<u64> {
    let working = hosts.iter().filter_map(|host| host.job);
    if working.clone().any(|job| job.until <= now) {
        return None;
    }
    let deadlines = hosts.iter().filter_map(|host| host.daemon.as_ref()?.deadline());
    let ends = hosts.iter().filter(|host| host.store.granted).map(|host| world_time_of_wall(host.store.expires));
    let next = deadlines.chain(ends).chain(working.map(|job| job.until)).filter(|at| *at > now).min()?;
    (next <= world.ends_at).then_some(next)
}

impl<'w> Scene<'w> {
    /// Three machines that have never run.
    pub fn new(world: &'w World, story: Option<Vec<String>>) -> Scene<'w> {
        let journal = world.memory.then(|| Record { mark: FIRST_MARK, ..Record::default() });
        let store = Held { mark: FIRST_MARK, ..Held::default() };
        let hosts = [(); MEMBERS].map(|()| Arc::new(Host { journal, store, ..Host::default() }));
        let rest =
            Rest { now: 0, network: Vec::new(), left: world.limits, holding: Holding::default(), broken: Vec::new() };
        Scene { world, hosts, rest, story }
    }

    /// Everything that is under way arrives and every store finishes, until nothing is left to be done;
    /// nothing reaches or leaves those in `cut`.
    pub fn settle(&mut self, cut: &[usize]) {
        loop {
            self.rest.network.retain(|datagram| !cut.contains(&datagram.from) && !cut.contains(&datagram.to));
            self.finish_stores();
            if self.rest.network.is_empty() {
                return;
            }
            self.act(Action::Deliver { at: 0, copy: false });
        }
    }

    /// Lets all stores do what they were asked for.
    pub fn finish_stores(&mut self) {
        while let Some(site) = (0..SITES).find(|site| self.hosts[*site].job.is_some()) {
            self.act(Action::Stored(site));
        }
    }

    /// The next instant at which something is due; `None` where the world ends, or a store must act first.
    pub fn next_instant(&self) -> Option<u64> {
        next_instant(self.hosts.each_ref().map(|host| &**host), self.rest.now, self.world)
    }

    /// The time of the world.
    pub fn now(&self) -> u64 {
        self.rest.now
    }

    /// Lets time move to the last instant that is not after `end`; what is not late is lost, stores work.
    pub fn wait_until(&mut self, end: u64) {
        while self.next_instant().is_some_and(|next| next <= end) {
            self.act(Action::Wait { late: None });
            self.finish_stores();
        }
    }

    /// Delivers the first message from one to another.
    pub fn deliver_from_to(&mut self, from: usize, to: usize) {
        let at = self.place(from, to);
        self.act(Action::Deliver { at, copy: false });
    }

    /// Lets time move while a message from one to another is late.
    pub fn delay(&mut self, from: usize, to: usize) {
        let late = Some(self.place(from, to));
        self.act(Action::Wait { late });
    }

    fn place(&self, from: usize, to: usize) -> usize {
        let found = self.rest.network.iter().position(|datagram| (datagram.from, datagram.to) == (from, to));
        found.expect("a message is under way")
    }

    /// What has happened so far was the opening: from here on the limits count.
    pub fn limited(mut self) -> Scene<'w> {
        self.rest.left = self.world.limits;
        self
    }

    /// Lets one thing happen.
    pub fn act(&mut self, action: Action) {
        match action {
            Action::Deliver { at, copy } => self.deliver(at, copy),
            Action::Wait { late } => self.wait(late),
            Action::Stored(site) => self.store_ends(site, true, true),
            Action::StoreFailed { site, done } => {
                self.rest.left.failures -= 1;
                self.store_ends(site, false, done);
            }
            Action::Kill(at, journal) => self.kill(at, journal),
            Action::Start(at) => self.start(at),
            Action::Grant(site) => {
                self.rest.left.grants = self.rest.left.grants.saturating_sub(1);
                self.ask(site, GRANTS, Command::ClientGrant);
            }
            Action::Revoke(site) => {
                self.rest.left.revokes = self.rest.left.revokes.saturating_sub(1);
                self.ask(site, REVOKES, Command::ClientRevoke);
            }
        }
        self.judge();
        rules::forget(&mut self.hosts, self.rest.now, self.world.acquire_after);
    }

    fn host(&mut self, at: usize) -> &mut Host {
        Arc::make_mut(&mut self.hosts[at])
    }

    fn say(&mut self, what: impl FnOnce() -> String) {
        let now = self.rest.now;
        if let Some(story) = &mut self.story {
            story.push(format!("{now:>5} ms  {}", what()));
        }
    }

    fn breaks(&mut self, rule: Rule, how: &str) {
        self.say(|| format!("{rule:?} is broken: {how}"));
        if !self.rest.broken.contains(&rule) {
            self.rest.broken.push(rule);
            self.rest.broken.sort();
        }
    }

    fn deliver(&mut self, at: usize, copy: bool) {
        let datagram = self.rest.network.remove(at);
        let copied = if copy { "; a copy is late" } else { "" };
        let late = if datagram.late { " (late)" } else { "" };
        self.say(|| {
            let what = story::datagram(&datagram.bytes);
            format!("{} <- {}: {what}{late}{copied}", NAMES[datagram.to], NAMES[datagram.from])
        });
        let input = Input::Datagram { source: Some(MemberIndex(datagram.from as u8)), bytes: &datagram.bytes };
        self.input(datagram.to, input);
        if copy {
            self.rest.left.copies -= 1;
            self.enqueue(Datagram { late: true, ..datagram });
        }
    }

    fn enqueue(&mut self, datagram: Datagram) {
        if let Err(at) = self.rest.network.binary_search(&datagram) {
            self.rest.network.insert(at, datagram);
        }
    }

    fn wait(&mut self, late: Option<usize>) {
        let next = self.next_instant().expect("something is due");
        if let Some(at) = late {
            self.rest.left.late = self.rest.left.late.saturating_sub(1);
            let datagram = self.rest.network.remove(at);
            self.say(|| format!("late: {} -> {}", NAMES[datagram.from], NAMES[datagram.to]));
            self.enqueue(Datagram { late: true, ..datagram });
        }
        self.rest.network.retain(|datagram| datagram.late);
        self.rest.now = next;
        for site in 0..SITES {
            self.guard(site);
        }
        self.judge();
        for (at, name) in NAMES.iter().enumerate() {
            let due = self.hosts[at].daemon.as_ref().and_then(Daemon::deadline).is_some_and(|due| due <= next);
            if due {
                self.say(|| format!("{name} is due"));
                self.input(at, Input::Tick);
            }
        }
    }

    /// The guard of S12: what has run out is revoked where daemon or store cannot.
    fn guard(&mut self, site: usize) {
        let host = &self.hosts[site];
        let daemon_works = host.daemon.is_some() && host.store.life == host.life;
        let store_works = host.job.is_none() && !host.store_failed;
        let over = self.rest.now >= world_time_of_wall(host.store.expires);
        if host.store.granted && over && !(daemon_works && store_works) {
            self.host(site).store.granted = false;
            self.say(|| format!("{}: the guard revokes", NAMES[site]));
        }
    }

    fn store_ends(&mut self, site: usize, told: bool, done: bool) {
        let Some(job) = self.host(site).job.take() else { return };
        let held = self.hosts[site].store;
        let store = &mut self.host(site).store;
        match job.request {
            Request::Write(write) if done => {
                let (granted, owner, expires, term) = (write.granted, write.owner, write.expires, write.term);
                *store = Held { granted, owner, expires, term, life: job.life, mark: held.mark };
            }
            Request::Mark(mark) if done => store.mark = mark,
            _ => {}
        }
        self.host(site).store_failed = !told;
        self.say(|| {
            let what = match job.request {
                Request::Load => "read",
                Request::Mark(_) => "marked",
                Request::Write(write) if write.granted => "granted",
                Request::Write(_) => "revoked",
            };
            let how = if told { "" } else { " fails, " };
            format!("{}: store: {how}{}{what}", NAMES[site], if done { "" } else { "not " })
        });
        // Before the daemon hears of it: what it then says is measured by it.
        self.judge();
        if job.life != self.hosts[site].life {
            return;
        }
        let mark = format!("{:08x}", held.mark);
        let attributes = [(MEMORY, mark.as_str())];
        let never = StoredTicket { attributes: &attributes, ..StoredTicket::default() };
        let stored = StoredTicket {
            granted: held.granted,
            owner: Some(held.owner.map_or(-1, |owner| owner.0 as i32)),
            expires: Some(held.expires),
            term: Some(held.term),
            ..never
        };
        let result = match job.request {
            _ if !told => StoreResult::Failed,
            Request::Write(_) | Request::Mark(_) => StoreResult::Written,
            Request::Load => StoreResult::Loaded(Some(if held.life > 0 { stored } else { never })),
        };
        self.input(site, Input::StoreFinished { ticket: THE_TICKET, number: job.number, result });
    }

    fn kill(&mut self, at: usize, journal: Journal) {
        self.rest.left.kills = self.rest.left.kills.saturating_sub(1);
        self.say(|| format!("{} is killed; its journal: {journal:?}", NAMES[at]));
        let host = self.host(at);
        host.daemon = None;
        match journal {
            Journal::Kept => {}
            Journal::Lost => {
                host.journal = None;
                host.past = Default::default();
            }
            Journal::Forged => {
                host.journal = host.journal.map(|record| Record { mark: record.mark, ..Record::default() })
            }
        }
        self.rest.network.retain(|datagram| datagram.to != at || datagram.late);
    }

    fn start(&mut self, at: usize) {
        let host = self.host(at);
        host.life += 1;
        host.voted = false;
        let journal = host.journal;
        let seed = at as u64 + u64::from(host.life) * MEMBERS as u64;
        let (daemon, outputs) = Daemon::start(at, seed, self.world.acquire_after, journal, self.rest.now);
        self.host(at).daemon = Some(daemon);
        self.say(|| format!("{} is started", NAMES[at]));
        self.carry_out(at, outputs);
    }

    fn ask(&mut self, site: usize, client: ClientId, command: Command) {
        let header = Header {
            stamp: WallTime(0),
            sender: site_id(site),
            command,
            request: None,
            options: 0,
            reason: Reason::None,
            outcome: Outcome::Success,
        };
        let body = TicketBody { name: TICKET, leader: LeaderField::Unknown, term: 0, valid_for: 0 };
        let mut bytes = [0; MAX_MESSAGE];
        let length = wire::encode(&Message { header, body: Body::Ticket(body) }, None, &mut bytes);
        self.say(|| format!("{} is asked: {command:?}", NAMES[site]));
        self.input(site, Input::Request { client, bytes: &bytes[..length] });
    }

    fn input(&mut self, at: usize, input: Input<'_>) {
        let now = self.rest.now;
        let host = self.host(at);
        let Some(daemon) = host.daemon.take() else { return };
        let (daemon, outputs) = daemon.step(at, now, input);
        host.daemon = Some(daemon);
        self.carry_out(at, outputs);
    }

    /// What the shell does with the outputs of a step: records first, then the rest.
    fn carry_out(&mut self, at: usize, outputs: Outputs) {
        for notice in &outputs.notices {
            self.say(|| format!("{}: {}", NAMES[at], story::notice(notice)));
        }
        for record in &outputs.records {
            if let Some(how) = rules::judge_record(self.host(at), record) {
                self.breaks(Rule::S1, &how);
            }
            // The stamp matters where there is a key.
            self.host(at).journal = Some(Record { stamp: WallTime(0), ..*record });
        }
        for (to, bytes) in outputs.sends {
            self.say(|| format!("{} -> {}: {}", NAMES[at], NAMES[to], story::datagram(&bytes)));
            let message = wire::decode(&bytes, None).expect("our own message");
            let (now, after) = (self.rest.now, self.world.acquire_after);
            for (rule, how) in rules::judge_message(&mut self.hosts, at, to, &message, now, after) {
                self.breaks(rule, &format!("{}: {how}", NAMES[at]));
            }
            self.host(at).voted |= message.header.request == Some(Command::VoteRequest);
            if self.hosts[to].daemon.is_some() {
                self.enqueue(Datagram { from: at, to, bytes: bytes.into(), late: false });
            }
        }
        for (number, request) in outputs.stores {
            // As the shell does: a newer request ends one that runs.
            let (life, until) = (self.hosts[at].life, self.rest.now + STORE_LIMIT);
            self.host(at).job = Some(Job { life, number, request, until });
        }
        for (client, outcome) in outputs.replies {
            self.say(|| format!("{} answers: {outcome:?}", NAMES[at]));
            if client == REVOKES && outcome == Outcome::Success && self.hosts[at].store.granted {
                self.breaks(Rule::S9, "the administrator is told of a revoke that has not happened");
            }
        }
        if !self.world.slow_stores && self.hosts[at].job.is_some() {
            self.store_ends(at, true, true);
        }
    }

    /// S0, by what the stores say now.
    fn judge(&mut self) {
        let granted = [self.hosts[0].store.granted, self.hosts[1].store.granted];
        let after = self.world.acquire_after;
        if let Some(how) = rules::judge_holders(&mut self.rest.holding, granted, self.rest.now, after) {
            self.breaks(Rule::S0, &how);
        }
    }
}
