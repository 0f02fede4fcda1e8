//! Each site's ticket store, what it does with requests, the guard that revokes what has run out (S12), and handlers.

use super::queue::Pending;
use super::{Host, World};
use booth_core::attribute::MEMORY;
use booth_core::input::{Input, RequestNumber, StoreResult, StoredTicket};
use booth_core::settings::TicketIndex;
use booth_core::sink::{HandlerRequest, StoreTicket};
use booth_core::time::{Instant, WallTime};

/// A store request, owned.
#[derive(Clone, Copy)]
pub enum Action {
    Load,
    Write(StoreTicket),
    /// The mark of the memory that is used from now on (S7).
    Mark(u32),
    Attribute,
}

impl Action {
    pub fn is_revoke(&self) -> bool {
        matches!(self, Action::Write(StoreTicket { granted: false, .. }))
    }
}

/// The mark of the memory that a site begins with that has run before.
pub const FIRST_MARK: u32 = 1;

/// A request that was made of a store.
#[derive(Clone, Copy)]
pub struct Asked {
    pub host: usize,
    pub life: u32,
    pub ticket: TicketIndex,
    pub number: RequestNumber,
    pub action: Action,
    /// It hangs, or takes too long.
    pub killed: bool,
    /// The whole site has not crashed since.
    pub machine: u32,
    /// How far the wall clock was stepped by then.
    pub step_us: i64,
}

/// How a store request ended.
#[derive(Clone, Copy)]
pub enum Told {
    Failed,
    Written,
    Loaded(Option<Held>),
}

/// A ticket as a host's store has it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Held {
    pub granted: bool,
    pub owner: Option<u32>,
    pub expires: WallTime,
    pub term: u32,
    /// The life of the daemon that wrote it.
    pub life: u32,
    /// How far the wall clock was stepped when it asked for that.
    step_us: i64,
    /// Whose memory was used here last (S7).
    pub mark: u32,
    /// Whether the guard has revoked it since.
    pub guarded: bool,
}

impl Held {
    /// The store of a site at which nothing was ever granted.
    pub fn never_granted() -> Held {
        Held { mark: FIRST_MARK, ..Held::default() }
    }
}

/// What a host's store does with requests.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StoreHabit {
    pub delay_ms: u64,
    pub fails_per_mille: u64,
    /// A request is killed at its deadline, a third of `expire`.
    pub hangs: bool,
}

impl StoreHabit {
    pub const WORKS: StoreHabit = StoreHabit { delay_ms: 20, fails_per_mille: 0, hangs: false };
}

/// The longest that a request to a store takes, with the pause behind it if it has failed.
const LONGEST_REQUEST_MS: u64 = 15_000;
/// When the guard has to look at nothing.
pub const NEVER: u64 = u64::MAX;

impl World {
    /// The site whose store says that the ticket is granted there.
    pub fn holder(&self, ticket: usize) -> Option<usize> {
        (0..self.plan.sites).find(|host| self.hosts[*host].store[ticket].granted)
    }

    /// A daemon asks its store for something.
    pub(super) fn ask_store(&mut self, host: usize, ticket: TicketIndex, number: RequestNumber, action: Action) {
        if let Action::Write(write) = &action {
            self.check_write(host, ticket, write);
        }
        // As the shell does: a newer write of a ticket ends one that runs.
        self.hosts[host].store_job[ticket.at()] = number;
        if !self.store_works(host, ticket.at()) {
            // This request is under way still when the store works again, or waits to be repeated.
            self.hosts[host].steady_ms = self.now_ms + LONGEST_REQUEST_MS;
        }
        // What hangs is killed at the deadline of the store module.
        let deadline = (self.plan.tickets[ticket.at()].expire.0 / 3).clamp(1_000, 10_000);
        let StoreHabit { delay_ms, hangs, .. } = self.hosts[host].habit;
        let at = if hangs { deadline } else { delay_ms.min(deadline) };
        let killed = hangs || delay_ms > deadline;
        let Host { life, machine, wall_step_us: step_us, .. } = self.hosts[host];
        self.enqueue(at, Pending::Stored(Asked { host, life, ticket, number, action, killed, machine, step_us }));
    }

    /// A store does what it was asked for. A daemon that was killed has left its request running.
    pub(super) fn stored(&mut self, asked: Asked) {
        let Asked { host, life, ticket, number, action, killed, .. } = asked;
        let on = &self.hosts[host];
        if on.machine != asked.machine {
            return;
        }
        if on.life == life && on.store_job[ticket.at()] != number {
            return;
        }
        let failed = killed || self.dice.chance(self.hosts[host].habit.fails_per_mille);
        let held = self.hosts[host].store[ticket.at()];
        if !failed && let Action::Mark(mark) = &action {
            self.hosts[host].store[ticket.at()].mark = *mark;
        }
        if !failed && let Action::Write(write) = &action {
            self.write_store(&asked, write);
        }
        let told = match action {
            _ if failed => Told::Failed,
            Action::Load => Told::Loaded((held != Held::default()).then_some(held)),
            Action::Write(_) | Action::Mark(_) | Action::Attribute => Told::Written,
        };
        self.enqueue(0, Pending::StoreTold { host, life, ticket, number, told });
    }

    fn write_store(&mut self, asked: &Asked, write: &StoreTicket) {
        let Asked { host, life, ticket, step_us, .. } = *asked;
        let before = self.hosts[host].store[ticket.at()];
        let StoreTicket { granted, expires, term, owner } = *write;
        self.hosts[host].store[ticket.at()] = Held {
            granted,
            owner: owner.map(|owner| owner.0),
            expires,
            term,
            life,
            step_us,
            mark: before.mark,
            guarded: false,
        };
        if granted {
            self.checks.started(host, ticket.at());
        }
        if granted != before.granted {
            let what = if granted { "granted" } else { "revoked" };
            self.say(host, format_args!("store {}: {what}", ticket.0));
            self.grants += u64::from(granted);
            self.grants_of[ticket.at()] += u64::from(granted);
        }
        // Where a revoke was asked for at a member that is cut off, it is still passed on, whatever is renewed: only a newer
        // grant counts. What comes behind the end of its daemon nobody has been told of.
        let told = self.hosts[host].life == life && self.is_up(host);
        let given_up = self.given_up.get(&ticket.at()).is_some_and(|newest| term <= *newest);
        if told && granted && !before.granted && !given_up {
            self.wanted.insert(ticket.at());
        }
        self.look_after(host, ticket.at());
        // A request that has outlived its daemon may come after the lease's end: the guard is there first.
        self.guard();
        self.check_holders();
    }

    /// A daemon hears how its request ended.
    pub(super) fn store_told(&mut self, host: usize, ticket: TicketIndex, number: RequestNumber, told: Told) {
        let mark = match told {
            Told::Loaded(Some(held)) => format!("{:08x}", held.mark),
            _ => String::new(),
        };
        let attributes = [(MEMORY, mark.as_str())];
        let result = match told {
            Told::Loaded(Some(Held { life: 0, .. })) => {
                StoreResult::Loaded(Some(StoredTicket { attributes: &attributes, ..StoredTicket::default() }))
            }
            Told::Failed => StoreResult::Failed,
            Told::Written => StoreResult::Written,
            Told::Loaded(held) => StoreResult::Loaded(held.map(|held| StoredTicket {
                granted: held.granted,
                owner: Some(held.owner.map_or(-1, |owner| owner as i32)),
                expires: Some(WallTime(held.expires.seconds() * 1_000_000)),
                term: Some(held.term),
                attributes: &attributes,
            })),
        };
        self.input(host, Input::StoreFinished { ticket, number, result });
    }

    /// A store says "granted" though nobody has asked it to: to see that this would be seen.
    pub fn lie(&mut self, host: usize, ticket: usize) {
        self.hosts[host].store[ticket].granted = true;
        self.check_holders();
    }

    // ---- the guard (S12) ---------------------------------------------------------------------

    /// Tells the guard when a grant runs out, by the clock that wrote it, steps taken off.
    pub(super) fn look_after(&mut self, host: usize, ticket: usize) {
        let on = &self.hosts[host];
        let held = on.store[ticket];
        self.hosts[host].runs_out_ms[ticket] = if held.granted && on.guarded {
            let wall_us = (held.expires.0 as i64 - held.step_us).max(0) as u64;
            self.world_time_of_wall(host, wall_us)
        } else {
            NEVER
        };
        self.guard_ms = self.hosts.iter().flat_map(|host| host.runs_out_ms.iter().copied()).min().unwrap_or(NEVER);
    }

    /// What has run out is revoked where daemon or store cannot.
    pub(super) fn guard(&mut self) {
        if self.now_ms < self.guard_ms {
            return;
        }
        for host in 0..self.plan.sites {
            for ticket in 0..self.plan.tickets.len() {
                if self.now_ms >= self.hosts[host].runs_out_ms[ticket] && !self.answers_for(host, ticket) {
                    let held = &mut self.hosts[host].store[ticket];
                    (held.granted, held.guarded) = (false, true);
                    self.say(host, format_args!("store {ticket}: revoked by the guard"));
                    self.look_after(host, ticket);
                    self.check_holders();
                }
            }
        }
    }

    /// Whether daemon and store work, so that the guard has no reason to act. It has none either for a manual
    /// ticket, whose grant has no end, nor where an administrator has forced a grant.
    fn answers_for(&self, host: usize, ticket: usize) -> bool {
        let on = &self.hosts[host];
        let daemon_works = on.daemon.is_some() && !on.frozen && on.store[ticket].life == on.life;
        let store_works = self.store_works(host, ticket) && self.now_ms >= on.steady_ms;
        (daemon_works && store_works) || self.is_exempt(ticket)
    }

    /// A store that takes longer than the daemon allows for has not revoked when the lease ends (S4).
    fn store_works(&self, host: usize, ticket: usize) -> bool {
        let habit = self.hosts[host].habit;
        let margin_ms = (self.plan.tickets[ticket].expire.0 / 10).min(5_000);
        !habit.hangs && habit.fails_per_mille == 0 && habit.delay_ms <= margin_ms
    }

    // ---- handlers ----------------------------------------------------------------------------

    /// Handlers that hang are done: nobody waits for their deadlines, which may be days away.
    pub fn end_handlers(&mut self) {
        for mut pending in self.queue.take_handlers() {
            if let Pending::Handler { success, .. } = &mut pending {
                *success = true;
            }
            self.enqueue(0, pending);
        }
    }

    pub(super) fn run_handler(&mut self, host: usize, ticket: TicketIndex, request: &HandlerRequest, now: Instant) {
        let on = &self.hosts[host];
        let (kind, number, hangs, life) = (request.kind, request.number, on.handler_hangs, on.life);
        let success = on.handler_passes && !hangs;
        let delay = if hangs { request.deadline.since(now).0 } else { 10 };
        self.enqueue(delay, Pending::Handler { kind, host, life, ticket, number, success });
    }
}
