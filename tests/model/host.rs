//! One machine: the daemon with its journal, the store beside it, and what one step brings about.
//!
//! Invariant: a daemon is the [`Ticket`] and the [`Carried`] that its last step has left, so a machine
//! can be compared, hashed and gone back to.

use booth_core::attribute::MEMORY;
use booth_core::input::{ClientId, Input, RequestNumber};
use booth_core::member::{MAX_MEMBERS, Member, MemberIndex, MemberKind, SiteId};
use booth_core::node::{Carried, Node, Storage};
use booth_core::notice::Notice;
use booth_core::settings::{Mode, Settings, TicketIndex, TicketSettings, ValidityUnit};
use booth_core::sink::{HandlerRequest, Record, Reply, Sink, StoreAction, StoreRequest, StoreTicket};
use booth_core::ticket::Ticket;
use booth_core::time::{Instant, Millis, Now, WallTime};
use booth_core::wheel::Timer;
use booth_core::wire::{self, Outcome};

/// Members: two sites and an arbitrator.
pub const MEMBERS: usize = 3;
/// The first so many of them are sites.
pub const SITES: usize = 2;
/// The first site.
pub const SITE1: usize = 0;
/// The second site.
pub const SITE2: usize = 1;
/// The arbitrator.
pub const ARBITRATOR: usize = 2;
/// Their names in stories.
pub const NAMES: [&str; MEMBERS] = ["site1", "site2", "arbitrator"];
/// The name of the ticket.
pub const TICKET: &str = "T";
/// `expire`, in milliseconds. Small numbers, for which the random delays are 0; all that counts is
/// that timeout * (retries + 1) < renewal-freq < expire, as in every configuration.
pub const EXPIRE: u64 = 60;
/// `timeout`, in milliseconds.
pub const TIMEOUT: u64 = 10;
/// `renewal-freq`, in milliseconds.
pub const RENEWAL: u64 = 41;
/// The longest time that a request to a store runs: the shell kills it after a third of `expire`.
pub const STORE_LIMIT: u64 = EXPIRE / 3;

/// The boot clock at the beginning.
const BOOT: u64 = 1_000;
const WALL_EPOCH_US: u64 = 1_800_000_000_000_000;

/// What both clocks of every machine say at a time of the world.
pub fn clock(now: u64) -> Now {
    Now { boot: Instant(BOOT + now), wall: WallTime(WALL_EPOCH_US + now * 1000) }
}

/// The time of the world at which the boot clocks say this.
pub fn world_time(instant: Instant) -> u64 {
    instant.0.saturating_sub(BOOT)
}

/// The time of the world, rounded up, at which the wall clocks say this.
pub fn world_time_of_wall(wall: WallTime) -> u64 {
    wall.0.saturating_sub(WALL_EPOCH_US).div_ceil(1000)
}

/// A member's number on the wire.
pub fn site_id(member: usize) -> SiteId {
    SiteId::of_address(&[10, 0, 0, member as u8 + 1])
}

/// The ticket's settings.
pub fn ticket(acquire_after: u64) -> TicketSettings {
    TicketSettings {
        name: TICKET.try_into().unwrap(),
        mode: Mode::Automatic,
        expire: Millis(EXPIRE),
        timeout: Millis(TIMEOUT),
        retries: 3,
        renewal: Millis(RENEWAL),
        acquire_after: Millis(acquire_after),
        weights: [0; MAX_MEMBERS],
        before_acquire: false,
        release_handler: false,
        crash_release: false,
        on_stuck_revoke: false,
        prerequisites: Default::default(),
    }
}

/// The settings of a member's process.
pub fn settings(me: usize, seed: u64) -> Settings {
    let kind = |at| if at < SITES { MemberKind::Site } else { MemberKind::Arbitrator };
    Settings {
        members: (0..MEMBERS).map(|at| Member { id: site_id(at), kind: kind(at) }).collect(),
        me: MemberIndex(me as u8),
        key: None,
        max_time_skew: Millis(600_000),
        unit: ValidityUnit::Milliseconds,
        any_source: false,
        seed,
    }
}

/// A ticket as a store has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Held {
    /// Granted here.
    pub granted: bool,
    /// The owner written; `None`: no one.
    pub owner: Option<SiteId>,
    /// The end of the lease.
    pub expires: WallTime,
    /// The term.
    pub term: u32,
    /// The life of the daemon that wrote it; 0: nothing was ever written.
    pub life: u8,
    /// The mark of the memory that was used here last (S7).
    pub mark: u32,
}

/// The mark of the memory that a site begins with that has run before.
pub const FIRST_MARK: u32 = 1;

/// What a store is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// To read the ticket.
    Load,
    /// To write it.
    Write(StoreTicket),
    /// To note whose memory is used from now on.
    Mark(u32),
}

/// A request that a store works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Job {
    /// Which life of the daemon asked.
    pub life: u8,
    /// The request's number.
    pub number: RequestNumber,
    /// What it is to do.
    pub request: Request,
    /// When it is over at the latest, in the world's time.
    pub until: u64,
}

/// A daemon that runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Daemon {
    ticket: Ticket,
    carried: Carried,
    deadline: Option<Instant>,
}

/// One machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Host {
    /// The daemon; `None`: it is dead.
    pub daemon: Option<Daemon>,
    /// How often it has been started.
    pub life: u8,
    /// What the journal has.
    pub journal: Option<Record>,
    /// What the store has.
    pub store: Held,
    /// What the store does.
    pub job: Option<Job>,
    /// A request to the store has failed since the last that succeeded.
    pub store_failed: bool,
    /// Whether it has voted for another since it was started.
    pub voted: bool,
    /// What the rules have to know of its past.
    pub past: crate::rules::Past,
}

/// What a step has put out, in the order in which the shell acts on it.
#[derive(Debug, Default, PartialEq)]
pub struct Outputs {
    /// Records for the journal; they come first.
    pub records: Vec<Record>,
    /// Datagrams.
    pub sends: Vec<(usize, Vec<u8>)>,
    /// Requests to the store.
    pub stores: Vec<(RequestNumber, Request)>,
    /// Answers to clients.
    pub replies: Vec<(ClientId, Outcome)>,
    /// For the story.
    pub notices: Vec<Notice>,
}

impl Sink for Outputs {
    fn journal(&mut self, _: TicketIndex, record: &Record) {
        self.records.push(*record);
    }

    fn send(&mut self, _: TicketIndex, to: MemberIndex, bytes: &[u8]) {
        self.sends.push((to.at(), bytes.to_vec()));
    }

    fn store(&mut self, _: TicketIndex, request: StoreRequest<'_>) {
        let asked = match request.action {
            StoreAction::Load => Request::Load,
            StoreAction::Write(ticket) => Request::Write(ticket),
            StoreAction::SetAttribute { name: MEMORY, value } => Request::Mark(u32::from_str_radix(value, 16).unwrap()),
            StoreAction::SetAttribute { .. } | StoreAction::DeleteAttribute { .. } => return,
        };
        self.stores.push((request.number, asked));
    }

    fn run_handler(&mut self, _: TicketIndex, _: HandlerRequest) {}

    fn reply(&mut self, client: ClientId, reply: Reply<'_>) {
        if let Reply::Message { bytes, .. } = reply {
            self.replies.push((client, wire::decode(bytes, None).unwrap().header.outcome));
        }
    }

    fn notice(&mut self, notice: Notice) {
        self.notices.push(notice);
    }
}

/// The memory of a node for the time of a step.
struct Memory {
    tickets: [Ticket; 1],
    timers: [Timer; 1],
}

impl Memory {
    fn of(ticket: Ticket) -> Memory {
        Memory { tickets: [ticket], timers: [Timer::UNARMED] }
    }

    fn lend(&mut self) -> Storage<'_> {
        Storage { tickets: &mut self.tickets, timers: &mut self.timers, attributes: &mut [] }
    }
}

/// Takes one input, and all that is due at once afterwards.
fn run(node: &mut Node<'_>, now: Now, input: Input<'_>) -> (Carried, Option<Instant>, Outputs) {
    let mut outputs = Outputs::default();
    node.step(now, input, &mut outputs);
    let mut turns = 0;
    while node.next_deadline().is_some_and(|at| at <= now.boot) {
        node.step(now, Input::Tick, &mut outputs);
        turns += 1;
        assert!(turns < 100, "a member is due again and again without an end");
    }
    (node.carried(), node.next_deadline(), outputs)
}

impl Daemon {
    /// Starts a daemon with what its journal has. The seed is not to be one of another life.
    pub fn start(me: usize, seed: u64, acquire_after: u64, journal: Option<Record>, now: u64) -> (Daemon, Outputs) {
        let mut memory = Memory::of(Ticket::new(ticket(acquire_after), journal));
        let mut node = Node::new(settings(me, seed), memory.lend(), clock(now));
        let (carried, deadline, outputs) = run(&mut node, clock(now), Input::Started);
        let Memory { tickets: [ticket], .. } = memory;
        (Daemon { ticket, carried, deadline }, outputs)
    }

    /// Takes one input.
    pub fn step(self, me: usize, now: u64, input: Input<'_>) -> (Daemon, Outputs) {
        let mut memory = Memory::of(self.ticket);
        let mut node = Node::resume(settings(me, 0), memory.lend(), self.carried, clock(now));
        let (carried, deadline, outputs) = run(&mut node, clock(now), input);
        let Memory { tickets: [ticket], .. } = memory;
        (Daemon { ticket, carried, deadline }, outputs)
    }

    /// When it wants to be called, in the world's time.
    pub fn deadline(&self) -> Option<u64> {
        self.deadline.map(world_time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use booth_core::input::{StoreResult, StoredTicket};
    use booth_core::wire::{Body, Command, Header, LeaderField, MAX_MESSAGE, Message, Reason, TicketBody};

    fn grant_request() -> Vec<u8> {
        let header = Header {
            stamp: WallTime(0),
            sender: site_id(SITE1),
            command: Command::ClientGrant,
            request: None,
            options: 0,
            reason: Reason::None,
            outcome: Outcome::Success,
        };
        let body = TicketBody { name: TICKET, leader: LeaderField::Unknown, term: 0, valid_for: 0 };
        let mut bytes = [0; MAX_MESSAGE];
        let length = wire::encode(&Message { header, body: Body::Ticket(body) }, None, &mut bytes);
        bytes[..length].to_vec()
    }

    /// The same inputs for members that live on and for members that are taken apart after each step: what
    /// is left out of a state makes no difference. A good deal of loss, so that it goes through all roles.
    #[test]
    fn a_member_that_is_taken_apart_after_each_step_behaves_as_one_that_lives_on() {
        let mut memories = [(); MEMBERS]
            .map(|()| Memory::of(Ticket::new(ticket(5), Some(Record { mark: FIRST_MARK, ..Record::default() }))));
        let mut me = 0..;
        let mut nodes = memories.each_mut().map(|memory| {
            let at = me.next().unwrap();
            Node::new(settings(at, at as u64), memory.lend(), clock(0))
        });
        let mut daemons: Vec<Option<Daemon>> = vec![None; MEMBERS];
        let (mut network, mut stores, mut sent, mut grants) = (Vec::new(), Vec::new(), 0, 0);
        for now in 0..4_000 {
            for at in 0..MEMBERS {
                let deadline = daemons[at].as_ref().and_then(Daemon::deadline);
                let mut inputs = Vec::new();
                inputs.extend((now == 0).then_some(Input::Started));
                inputs.extend(deadline.is_some_and(|due| due <= now).then_some(Input::Tick));
                let asked = grant_request();
                let client = ClientId(1);
                inputs.extend((now % 1_000 == 30 && at == SITE1).then_some(Input::Request { client, bytes: &asked }));
                let first = format!("{FIRST_MARK:08x}");
                let marked = [(MEMORY, first.as_str())];
                let arrived: Vec<(usize, usize, Vec<u8>)> = network.extract_if(.., |(_, to, _)| *to == at).collect();
                for (from, _, bytes) in &arrived {
                    inputs.push(Input::Datagram { source: Some(MemberIndex(*from as u8)), bytes });
                }
                for (_, number, write) in stores.extract_if(.., |(of, _, _)| *of == at) {
                    let loaded = StoredTicket { attributes: &marked, ..StoredTicket::default() };
                    let result = if write { StoreResult::Written } else { StoreResult::Loaded(Some(loaded)) };
                    inputs.push(Input::StoreFinished { ticket: TicketIndex(0), number, result });
                }
                for input in inputs {
                    let (_, _, mut lived) = run(&mut nodes[at], clock(now), input);
                    let (daemon, mut resumed) = match daemons[at].take() {
                        None => {
                            Daemon::start(at, at as u64, 5, Some(Record { mark: FIRST_MARK, ..Record::default() }), now)
                        }
                        Some(daemon) => daemon.step(at, now, input),
                    };
                    // Since when a peer has been silent is for the log alone.
                    lived.notices.clear();
                    resumed.notices.clear();
                    assert_eq!(lived, resumed, "at {now} ms, {}: {input:?}", NAMES[at]);
                    daemons[at] = Some(daemon);
                    for (to, bytes) in lived.sends {
                        sent += 1;
                        // Every fifth is lost, and all for the longer part of each half second.
                        if sent % 5 != 0 && now % 500 < 200 {
                            network.push((at, to, bytes));
                        }
                    }
                    for (number, request) in lived.stores {
                        grants += usize::from(matches!(request, Request::Write(write) if write.granted));
                        stores.retain(|(of, _, _)| *of != at);
                        stores.push((at, number, request != Request::Load));
                    }
                }
            }
        }
        assert!(sent > 500 && grants > 5, "{sent} messages, {grants} grants: nothing much was compared");
    }
}
