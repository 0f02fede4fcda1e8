//! Where a site's tickets are written: Pacemaker's CIB or plain files, behind one interface.
//!
//! [`Store::request`] takes what the core wants done and returns at once; every request comes out of
//! [`Store::next_finished`] exactly once, with its number. [`crate::child`] shows how the event loop
//! drives it.
//!
//! With Pacemaker each request is a child process, and these rules hold:
//! - A ticket has one child at a time. What waits for it: the newest load or write (an older one that
//!   has not begun is given up), and up to [`ATTRIBUTES_WAITING`] changes of attributes.
//! - A revoke waits for nobody: it ends whatever else runs for its ticket (a change of an attribute
//!   begins anew behind it), it is started before all else, and [`RESERVED_FOR_REVOKES`] of the [`MAX_CHILDREN`] places are for revokes alone, so that
//!   hanging loads and grants cannot delay it (S0, S8).
//! - A grant is begun only while the lease runs on which it rests ([`StoreRequest::before`]), by a clock
//!   read at that moment: it may have waited for a place, or the whole process for a disk.
//! - A child that takes longer than the ticket's deadline is killed, and the request has failed.
//! - A grant that was killed or failed may still reach the CIB: its message may be on the way already.
//!   After the next revoke the ticket is therefore read back, and only when it is seen not to be
//!   granted has the revoke succeeded (S8).

mod element;
pub mod file;
pub mod pacemaker;

use crate::child::{ChildId, Children, Ending, Exited, Program};
use crate::clock;
use booth_core::input::{RequestNumber, StoreResult, StoredTicket};
use booth_core::settings::TicketIndex;
use booth_core::sink::{StoreAction, StoreRequest, StoreTicket};
use booth_core::time::{Instant, Millis, WallTime};
use mio::{Registry, Token};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::PathBuf;

/// The most children at once.
pub const MAX_CHILDREN: usize = 8;
/// How many of them may only be revokes.
pub const RESERVED_FOR_REVOKES: usize = 4;
/// The most changes of attributes that wait for one ticket; one more fails.
pub const ATTRIBUTES_WAITING: usize = 16;

/// Which store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// Pacemaker's CIB, by this program: `crm_ticket`, looked for in `PATH` unless it has a slash.
    Pacemaker(OsString),
    /// One file per ticket in this directory.
    File(PathBuf),
}

/// A ticket, as far as the store needs to know it.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Its name.
    pub name: String,
    /// How long a request may run before it is given up and its child killed; see [`deadline_for`].
    pub deadline: Millis,
}

/// What a store is told at the start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it writes.
    pub backend: Backend,
    /// `booth-cfg-name`.
    pub configuration_name: String,
    /// In the order of the configuration.
    pub tickets: Vec<StoreSettings>,
}

/// A request that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The ticket.
    pub ticket: TicketIndex,
    /// The request's number.
    pub number: RequestNumber,
    /// A line for the log, where there is something to say: mostly why it failed.
    pub log: Option<String>,
    outcome: Outcome,
}

/// The store of one daemon.
#[derive(Debug)]
pub struct Store {
    backend: Backend,
    configuration_name: String,
    tickets: Vec<Queue>,
    running: Vec<Running>,
    children: Children,
    finished: VecDeque<Finished>,
    /// Where the search for the next ticket begins, so that none is passed over for ever.
    turn: usize,
}

/// How long a request may take for a ticket with this `expire`: a third of it, between 1 and 10 s.
///
/// `crm_ticket` takes some 20 ms, and seconds while Pacemaker elects its coordinator; what has not
/// answered after 10 s will mostly not answer. With a short lease a request that hangs must leave time
/// to try again.
pub fn deadline_for(expire: Millis) -> Millis {
    Millis((expire.0 / 3).clamp(1_000, 10_000))
}

/// A request to the store, with its own strings.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Load,
    Write(StoreTicket),
    SetAttribute { name: String, value: String },
    DeleteAttribute { name: String },
}

/// A ticket as the store has it, with its own strings; fields as in [`StoredTicket`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ticket {
    /// Whether it is granted at this site.
    pub granted: bool,
    /// The owner's site id: -1 no one, 0 unknown, `None` when absent.
    pub owner: Option<i32>,
    /// When the lease recorded with it ends, in whole seconds.
    pub expires: Option<WallTime>,
    /// The recorded term.
    pub term: Option<u32>,
    /// Its geo attributes: name and value.
    pub attributes: Vec<(String, String)>,
}

/// What was read; `None`: the store does not know the ticket.
pub type Load = Option<Ticket>;

#[derive(Debug)]
enum Outcome {
    Written,
    Loaded(Load),
    Failed,
}

/// What waits for one ticket.
#[derive(Debug)]
struct Queue {
    settings: StoreSettings,
    state: Option<(RequestNumber, Action)>,
    /// When `state` is no longer to be begun.
    before: Option<Instant>,
    attributes: VecDeque<(RequestNumber, Action)>,
    /// A grant may still be on its way to the CIB.
    doubtful: bool,
}

#[derive(Debug)]
struct Running {
    child: ChildId,
    ticket: usize,
    number: RequestNumber,
    action: Action,
    /// The revoke is done; now the ticket is read back.
    verifying: bool,
}

impl Store {
    /// How many mio tokens it uses, from the first one on.
    pub const TOKENS: usize = Children::tokens(MAX_CHILDREN);

    /// A store that has not been asked for anything.
    pub fn new(settings: Settings, registry: Registry, first_token: Token) -> Store {
        let queue =
            |settings| Queue { settings, state: None, before: None, attributes: VecDeque::new(), doubtful: false };
        Store {
            backend: settings.backend,
            configuration_name: settings.configuration_name,
            tickets: settings.tickets.into_iter().map(queue).collect(),
            running: Vec::with_capacity(MAX_CHILDREN),
            children: Children::new(registry, first_token, MAX_CHILDREN),
            finished: VecDeque::new(),
            turn: 0,
        }
    }

    /// Takes a request. It has ended when it comes out of [`Store::next_finished`], at once perhaps.
    pub fn request(&mut self, now: Instant, ticket: TicketIndex, request: StoreRequest<'_>) {
        let (number, action) = (request.number, Action::from(request.action));
        let Some(queue) = self.tickets.get_mut(ticket.at()) else {
            return self.fail(ticket.at(), number, Some(format!("there is no ticket number {}", ticket.at())));
        };
        if let Backend::File(directory) = &self.backend {
            if has_passed(request.before) {
                return self.fail(ticket.at(), number, Some(TOO_LATE.to_owned()));
            }
            let done = file::perform(directory, &queue.settings.name, &action);
            return self.file_done(ticket.at(), number, &action, done);
        }
        match action {
            Action::Load | Action::Write(_) => {
                let revoke = action.is_revoke();
                let replaced = queue.state.replace((number, action));
                queue.before = request.before;
                if let Some((number, _)) = replaced {
                    self.fail(ticket.at(), number, None);
                }
                if revoke {
                    self.make_way(now, ticket.at());
                }
            }
            _ if queue.attributes.len() < ATTRIBUTES_WAITING => queue.attributes.push_back((number, action)),
            _ => {
                self.fail(ticket.at(), number, Some(format!("{ATTRIBUTES_WAITING} changes of attributes wait already")))
            }
        }
        self.start(now);
    }

    /// Something has happened to one of the file descriptors; `false`: the token is not ours.
    pub fn on_event(&mut self, now: Instant, token: Token) -> bool {
        let ours = self.children.on_event(token);
        if ours {
            self.take_exited(now);
        }
        ours
    }

    /// When [`Store::expire`] must be called at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.children.next_deadline()
    }

    /// Kills what has run for too long.
    pub fn expire(&mut self, now: Instant) {
        self.children.expire(now);
        self.take_exited(now);
    }

    /// The next request that has ended.
    pub fn next_finished(&mut self) -> Option<Finished> {
        self.finished.pop_front()
    }

    /// Whether nothing runs and nothing waits. A daemon that leaves waits for this, up to a limit of its
    /// own: dropping the store kills what runs.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && !self.tickets.iter().any(Queue::has_any)
    }

    /// Ends whatever but a revoke runs for a ticket.
    fn make_way(&mut self, now: Instant, ticket: usize) {
        for running in self.running.iter().filter(|running| running.ticket == ticket) {
            if !running.action.is_revoke() {
                self.children.kill(now, running.child);
            }
        }
    }

    fn take_exited(&mut self, now: Instant) {
        while let Some(exited) = self.children.next_exited() {
            let at = self.running.iter().position(|running| running.child == exited.child);
            if let Some(running) = at.map(|at| self.running.swap_remove(at)) {
                self.take_end(now, running, &exited);
            }
        }
        self.start(now);
    }

    /// A child has ended: what does that say of its request?
    fn take_end(&mut self, now: Instant, running: Running, exited: &Exited) {
        let Running { ticket, number, .. } = running;
        let queue = &mut self.tickets[ticket];
        if running.verifying {
            return match pacemaker::parse_load(&queue.settings.name, exited) {
                Ok(Some(Ticket { granted: true, .. })) => {
                    self.fail(ticket, number, Some("revoked, but a grant came behind it".to_owned()));
                }
                Ok(_) => {
                    queue.doubtful = false;
                    self.finish(ticket, number, Outcome::Written, None);
                }
                Err(reason) => self.fail(ticket, number, Some(format!("reading back after a revoke: {reason}"))),
            };
        }
        match &running.action {
            Action::Load => match pacemaker::parse_load(&queue.settings.name, exited) {
                Ok(load) => self.finish(ticket, number, Outcome::Loaded(load), None),
                Err(reason) => self.fail(ticket, number, Some(format!("reading: {reason}"))),
            },
            Action::Write(state) if state.granted && !exited.is_success() => {
                queue.doubtful = true;
                self.fail(ticket, number, Some(format!("granting: {}", exited.words())));
            }
            action if action.is_revoke() && exited.is_success() && queue.doubtful => {
                self.spawn(now, ticket, number, running.action, true);
            }
            _ if exited.is_success() => self.finish(ticket, number, Outcome::Written, None),
            Action::SetAttribute { .. } | Action::DeleteAttribute { .. } if exited.ending == Ending::Killed => {
                // A revoke came between; doing it twice does no harm.
                queue.attributes.push_front((number, running.action));
            }
            action => {
                let doing = if action.is_revoke() { "revoking" } else { "changing an attribute" };
                self.fail(ticket, number, Some(format!("{doing}: {}", exited.words())));
            }
        }
    }

    /// Starts what may be started: revokes first.
    fn start(&mut self, now: Instant) {
        while self.children.has_room()
            && let Some(ticket) = self.next_waiting(Queue::has_revoke)
        {
            self.start_one(now, ticket);
        }
        while self.children.has_room()
            && self.children.running() < MAX_CHILDREN - RESERVED_FOR_REVOKES
            && let Some(ticket) = self.next_waiting(Queue::has_any)
        {
            self.start_one(now, ticket);
        }
        self.fail_without_room();
    }

    /// The next ticket that has something waiting, and no child.
    fn next_waiting(&mut self, waits: fn(&Queue) -> bool) -> Option<usize> {
        let count = self.tickets.len();
        let order = (self.turn..count).chain(0..self.turn.min(count));
        let is_free = |at: &usize| !self.running.iter().any(|running| running.ticket == *at);
        let next = order.filter(|at| waits(&self.tickets[*at])).find(is_free)?;
        self.turn = next + 1;
        Some(next)
    }

    fn start_one(&mut self, now: Instant, ticket: usize) {
        let queue = &mut self.tickets[ticket];
        // A load must see the attributes that were changed before it.
        let attributes_first = matches!(queue.state, None | Some((_, Action::Load)));
        let attribute = if attributes_first { queue.attributes.pop_front() } else { None };
        if let Some((number, action)) = attribute {
            self.spawn(now, ticket, number, action, false);
        } else if let Some((number, action)) = queue.state.take() {
            match has_passed(queue.before.take()) {
                true => self.fail(ticket, number, Some(TOO_LATE.to_owned())),
                false => self.spawn(now, ticket, number, action, false),
            }
        }
    }

    fn spawn(&mut self, now: Instant, ticket: usize, number: RequestNumber, action: Action, verifying: bool) {
        let Backend::Pacemaker(program) = &self.backend else { return };
        let settings = &self.tickets[ticket].settings;
        let asked = if verifying { &Action::Load } else { &action };
        let child = pacemaker::arguments(&settings.name, asked, &self.configuration_name).and_then(|arguments| {
            // crm_ticket sets no locale, and then takes ASCII only; GLib lets this variable decide.
            let command = Program::new(program).args(arguments).env("CHARSET", "UTF-8");
            let started = self.children.spawn(command, now + settings.deadline);
            started.map_err(|error| format!("cannot start {}: {error}", program.to_string_lossy()))
        });
        match child {
            Ok(child) => self.running.push(Running { child, ticket, number, action, verifying }),
            Err(reason) => self.fail(ticket, number, Some(reason)),
        }
    }

    /// When so many children are stuck in the kernel that none is left to wait for, waiting is no use.
    fn fail_without_room(&mut self) {
        if self.children.running() > 0 || self.children.has_room() {
            return;
        }
        for ticket in 0..self.tickets.len() {
            let queue = &mut self.tickets[ticket];
            let waiting: Vec<_> = queue.state.take().into_iter().chain(queue.attributes.drain(..)).collect();
            for (number, _) in waiting {
                self.fail(ticket, number, Some("no child process can be started, too many are stuck".to_owned()));
            }
        }
    }

    fn file_done(&mut self, ticket: usize, number: RequestNumber, action: &Action, done: Result<file::Done, String>) {
        match done {
            Ok(done) if *action == Action::Load => self.finish(ticket, number, Outcome::Loaded(done.load), done.note),
            Ok(done) => self.finish(ticket, number, Outcome::Written, done.note),
            Err(reason) => self.fail(ticket, number, Some(reason)),
        }
    }

    fn fail(&mut self, ticket: usize, number: RequestNumber, reason: Option<String>) {
        self.finish(ticket, number, Outcome::Failed, reason);
    }

    fn finish(&mut self, ticket: usize, number: RequestNumber, outcome: Outcome, words: Option<String>) {
        let name = self.tickets.get(ticket).map_or("?", |queue| queue.settings.name.as_str());
        let log = words.map(|words| format!("store: ticket {name}: {words}"));
        // The index came in as a TicketIndex, or counts the tickets of a configuration.
        let ticket = TicketIndex(u16::try_from(ticket).unwrap_or(u16::MAX));
        self.finished.push_back(Finished { ticket, number, log, outcome });
    }
}

const TOO_LATE: &str = "granting: not begun, since the lease has ended in the meantime";

fn has_passed(before: Option<Instant>) -> bool {
    before.is_some_and(|before| clock::read().boot >= before)
}

impl Queue {
    fn has_revoke(&self) -> bool {
        self.state.as_ref().is_some_and(|(_, action)| action.is_revoke())
    }

    fn has_any(&self) -> bool {
        self.state.is_some() || !self.attributes.is_empty()
    }
}

impl Action {
    fn is_revoke(&self) -> bool {
        matches!(self, Action::Write(StoreTicket { granted: false, .. }))
    }
}

impl From<StoreAction<'_>> for Action {
    fn from(action: StoreAction<'_>) -> Action {
        match action {
            StoreAction::Load => Action::Load,
            StoreAction::Write(state) => Action::Write(state),
            StoreAction::SetAttribute { name, value } => {
                Action::SetAttribute { name: name.to_owned(), value: value.to_owned() }
            }
            StoreAction::DeleteAttribute { name } => Action::DeleteAttribute { name: name.to_owned() },
        }
    }
}

impl Finished {
    /// Calls `take` with the result, as the core wants it.
    pub fn with_result<T>(&self, take: impl FnOnce(StoreResult<'_>) -> T) -> T {
        let ticket = match &self.outcome {
            Outcome::Written => return take(StoreResult::Written),
            Outcome::Failed => return take(StoreResult::Failed),
            Outcome::Loaded(None) => return take(StoreResult::Loaded(None)),
            Outcome::Loaded(Some(ticket)) => ticket,
        };
        let attributes: Vec<_> =
            ticket.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        take(StoreResult::Loaded(Some(StoredTicket {
            granted: ticket.granted,
            owner: ticket.owner,
            expires: ticket.expires,
            term: ticket.term,
            attributes: &attributes,
        })))
    }
}
