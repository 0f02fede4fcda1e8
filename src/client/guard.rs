//! `guard`: ends at this site what a dead or frozen daemon has left granted (S12).
//!
//! Every grant of a booth daemon is written with the end of its lease. Where the daemon of this node does not
//! answer, the guard reads the tickets and revokes what has run out, as the daemon would: not at the lease's
//! end but by the same margin before it ([`lease::give_up_at`]), so that it is done by then. A living daemon
//! is never interfered with, nor a manual ticket, nor a grant without a recorded end, which no daemon wrote.
//!
//! S0 holds whatever this races with: it only revokes. L3 could suffer where a daemon comes back and has its
//! grant renewed between our reading of the ticket and our revoke, some 50 ms later: the daemon asked just
//! before was dead, so it would have to start, be elected and write within that time. The ticket is then
//! revoked although it is held, and granted again with the next renewal. A renewal written before our reading
//! is seen by it, one written behind our revoke is found when the ticket is read back, and stays.
//!
//! A guard that waits leaves a ticket alone that is renewed again and again meanwhile: the site's daemon runs on
//! another node now, and has a guard there. (Once is not enough: that may be a last write of the dead one that
//! was on its way.)
//!
//! The recorded end is by the wall clock. From the first reading on it is kept by the boot clock, so that a
//! clock that is set back does not lengthen a lease; one that has more left than any lease has run out.

use super::liveness::Liveness;
use super::{Client, configuration};
use crate::cli::console::Console;
use crate::cli::{FAILURE, GuardOptions, NOT_REVOKED, NOT_RUNNING, Program, SILENT, SUCCESS};
use crate::clock;
use crate::config::{self, Configuration, Ticket};
use crate::process::StartError;
use crate::process::interfaces::{self, Match};
use crate::process::lockfile;
use crate::process::privileges::{self, Account};
use crate::store::{self, Store};
use booth_core::input::{RequestNumber, StoreResult, StoredTicket};
use booth_core::lease;
use booth_core::member::{MemberKind, SiteId};
use booth_core::settings::{Mode, TicketIndex, TicketSettings};
use booth_core::sink::{StoreAction, StoreRequest, StoreTicket};
use booth_core::time::{Instant, Millis, Now, WallTime};
use booth_core::wire::mac::Key;
use mio::{Events, Poll, Token};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How long the daemon may take to answer: it is on this machine. Not longer than a quarter of the shortest
/// lease, so that what runs out meanwhile is still revoked in time.
const PATIENCE: Millis = Millis(3_000);
/// How long a daemon that has not answered before may take when a grant is about to run out.
const LAST_CHANCE: Millis = Millis(200);
/// How long one call of `crm_ticket` may take.
const CALL: Millis = Millis(3_000);
/// How long one pass over all tickets may take. With the daemon asked it stays below the 20 s that
/// Pacemaker gives a monitor.
const PASS: Millis = Millis(12_000);
/// How long to wait before the daemon is asked and the tickets are read again.
const PAUSE: Millis = Millis(5_000);
/// ... and after something has failed; doubled with each failure, up to [`PAUSE`].
const RETRY: Millis = Millis(1_000);
/// So many renewals are another daemon's.
const RENEWALS: u32 = 2;
/// How often the same trouble with a ticket is told.
const REMINDER: Millis = Millis(60_000);
/// Stores have whole seconds.
const WHOLE_SECOND: Millis = Millis(1_000);
/// Pacemaker's program for tickets.
const CRM_TICKET: &str = "crm_ticket";
/// The owner of a ticket that was lost, as the daemon writes it.
const UNKNOWN_OWNER: SiteId = SiteId(0);

/// Looks after the tickets of a daemon that does not answer. The exit status is one of
///
/// | status | meaning |
/// | --- | --- |
/// | 0 | the daemon answers: nothing was done |
/// | 7 | it does not run; what had run out is revoked |
/// | 3 | it is there, but does not answer; what had run out is revoked |
/// | 4 | it does not run or answer, and a grant that has run out may still stand: the store has failed |
/// | 1 | configuration or account are not to be had: nothing was done |
///
/// With `wait` it goes on, and tries again what fails, until the daemon answers (0) or it has left nothing
/// granted here (7 or 3).
pub fn guard(program: Program, options: &GuardOptions) -> u8 {
    let console = Console::new(program);
    let Some(config) = configuration(&console, &options.config) else { return FAILURE };
    match stand_guard(console, program, &config, options) {
        Ok(status) => status,
        Err(error) => {
            console.error(&format!("guard: {error}"));
            FAILURE
        }
    }
}

fn stand_guard(
    console: Console,
    program: Program,
    config: &Configuration,
    options: &GuardOptions,
) -> Result<u8, StartError> {
    let lock_path = options.lock_file.clone().unwrap_or_else(|| lockfile::default_path(&config.name));
    let site = config.account(MemberKind::Site);
    let account = privileges::is_root().then(|| Account::resolve(&site.user, &site.group)).transpose()?;
    let key = match config.authfile.as_ref().map(|authfile| config::read_key(&authfile.path)).transpose() {
        Ok(secret) => secret.map(|secret| Key::new(secret.bytes())),
        Err(error) => {
            // A daemon with a control socket needs none.
            console.error(&error.to_string());
            None
        }
    };
    if let Some(account) = &account {
        account.take()?;
    }
    let me = super::site::own_member(config);
    let client = Client { config, key, me, console, program };
    let tickets = if is_arbitrator(config) { &[][..] } else { &config.tickets[..] };
    if config.store == config::Store::Pacemaker && !tickets.is_empty() && !has_program(CRM_TICKET) {
        // Trying again would not help.
        console.error(&format!("guard: there is no {CRM_TICKET} in PATH: no ticket can be read or revoked here"));
        return Ok(NOT_REVOKED);
    }
    let sweep = Sweep::new(console, config, tickets)
        .map_err(|error| StartError(format!("cannot wait for child processes: {error}")))?;
    Ok(Guard { client, lock_path, sweep }.run(options.wait))
}

/// Whether this host is an arbitrator, which holds no tickets.
fn is_arbitrator(config: &Configuration) -> bool {
    let addresses: Vec<IpAddr> = config.members.iter().map(|member| member.address).collect();
    let own = interfaces::local_addresses().and_then(|local| interfaces::own_member(&addresses, &local, Match::Exact));
    own.is_ok_and(|at| config.members[at].kind == MemberKind::Arbitrator)
}

fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

struct Guard<'a> {
    client: Client<'a>,
    lock_path: PathBuf,
    sweep: Sweep<'a>,
}

impl Guard<'_> {
    /// Looks once, or until there is nothing left to look after; tells the exit status.
    fn run(mut self, wait: bool) -> u8 {
        let (mut patience, mut retry) = (self.patience(), RETRY);
        loop {
            let live = self.client.liveness(&self.lock_path, Duration::from_millis(patience.0));
            let (status, whose) = match live {
                Liveness::Answers => return SUCCESS,
                Liveness::Silent(pid) => (SILENT, format!("its daemon (process {pid}) does not answer")),
                Liveness::NotRunning => (NOT_RUNNING, "its daemon does not run".to_owned()),
            };
            let found = match self.sweep.pass(&whose, (!wait).then_some(PASS)) {
                Ok(found) => found,
                Err(error) => {
                    self.client.console.error(&format!("guard: waiting for the store: {error}"));
                    Found { failed: true, next: None }
                }
            };
            if !wait {
                return if found.failed { NOT_REVOKED } else { status };
            }
            if found == (Found { failed: false, next: None }) {
                return status;
            }
            let left = found.next.map_or(PAUSE, |next| next.since(clock::read().boot));
            // Whoever is silent is asked until just before the grant runs out.
            patience = left.min(self.patience()).max(LAST_CHANCE);
            let asking = if status == SILENT { patience } else { Millis(0) };
            let pause = if found.failed { retry } else { (left - asking).min(PAUSE) };
            retry = if found.failed { (retry + retry).min(PAUSE) } else { RETRY };
            std::thread::sleep(Duration::from_millis(pause.0));
        }
    }

    fn patience(&self) -> Millis {
        let shortest = self.client.config.tickets.iter().map(|ticket| ticket.settings.expire.0 / 4).min();
        Millis(shortest.unwrap_or(PATIENCE.0)).clamp(LAST_CHANCE, PATIENCE)
    }
}

/// What a pass has left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    /// A ticket could not be read or revoked.
    failed: bool,
    /// When the next grant is to be revoked; `None`: nothing is granted.
    next: Option<Instant>,
}

/// What is being done about a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Reading,
    Revoking,
    ReadingBack,
    /// Nothing is to be done: not granted, or not by a lease.
    Clear,
    Granted {
        until: Instant,
    },
    Failed,
}

/// A ticket and what is known of it from one pass to the next.
#[derive(Debug)]
struct Watched<'a> {
    ticket: &'a Ticket,
    index: TicketIndex,
    number: RequestNumber,
    phase: Phase,
    /// The recorded end and term that were read, and when the ticket is to be revoked by the boot clock.
    record: Option<(WallTime, Option<u32>, Instant)>,
    /// How often it was seen to be renewed.
    renewals: u32,
    /// Whether it was said that this record is being revoked.
    announced: bool,
    /// What was said of it last, and when.
    said: Option<(String, Instant)>,
}

/// One look at all tickets after another.
struct Sweep<'a> {
    console: Console,
    store: Store,
    poll: Poll,
    watched: Vec<Watched<'a>>,
    numbers: u32,
}

impl<'a> Sweep<'a> {
    fn new(console: Console, config: &Configuration, tickets: &'a [Ticket]) -> io::Result<Sweep<'a>> {
        let poll = Poll::new()?;
        let backend = match &config.store {
            config::Store::Pacemaker => store::Backend::Pacemaker(CRM_TICKET.into()),
            config::Store::File(directory) => store::Backend::File(directory.clone()),
        };
        let name = |ticket: &Ticket| ticket.settings.name.as_str().to_owned();
        let settings = store::Settings {
            backend,
            configuration_name: config.name.clone(),
            tickets: tickets.iter().map(|ticket| store::StoreSettings { name: name(ticket), deadline: CALL }).collect(),
        };
        let store = Store::new(settings, poll.registry().try_clone()?, Token(0));
        let watch = |(at, ticket): (u16, &'a Ticket)| Watched {
            ticket,
            index: TicketIndex(at),
            number: RequestNumber(0),
            phase: Phase::Clear,
            record: None,
            renewals: 0,
            announced: false,
            said: None,
        };
        let watched = (0..).zip(tickets).filter(|(_, ticket)| ticket.settings.mode == Mode::Automatic).map(watch);
        Ok(Sweep { console, store, poll, watched: watched.collect(), numbers: 0 })
    }

    /// Reads all tickets and revokes those that have run out, each as soon as it has been read: a store that
    /// hangs for one of them delays none of the others. What is not done within `limit` has failed.
    fn pass(&mut self, whose: &str, limit: Option<Millis>) -> io::Result<Found> {
        let deadline = limit.map(|limit| clock::read().boot + limit);
        for at in 0..self.watched.len() {
            self.ask(at, StoreAction::Load, Phase::Reading);
        }
        let mut events = Events::with_capacity(16);
        loop {
            self.take_finished(whose);
            let now = clock::read().boot;
            let late = deadline.is_some_and(|deadline| now >= deadline);
            for at in 0..self.watched.len() {
                if late && self.watched[at].is_busy() {
                    self.fail(at, "no time was left to ask the store");
                }
            }
            if !self.watched.iter().any(Watched::is_busy) {
                break;
            }
            // A file store has answered already; crm_ticket has a deadline.
            let wake = self.store.next_deadline().into_iter().chain(deadline).min();
            let wait = wake.map(|wake| Duration::from_millis(wake.since(now).0 + 1));
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            let now = clock::read().boot;
            for event in &events {
                self.store.on_event(now, event.token());
            }
            self.store.expire(now);
        }
        let next = self.watched.iter().filter_map(|watched| match watched.phase {
            Phase::Granted { until } => Some(until),
            _ => None,
        });
        Ok(Found { failed: self.watched.iter().any(|watched| watched.phase == Phase::Failed), next: next.min() })
    }

    fn ask(&mut self, at: usize, action: StoreAction<'_>, phase: Phase) {
        self.numbers = self.numbers.wrapping_add(1);
        let number = RequestNumber(self.numbers);
        let watched = &mut self.watched[at];
        (watched.number, watched.phase) = (number, phase);
        let (now, index) = (clock::read().boot, watched.index);
        self.store.request(now, index, StoreRequest { number, action, before: None });
    }

    fn take_finished(&mut self, whose: &str) {
        while let Some(finished) = self.store.next_finished() {
            let Some(at) = self.watched.iter().position(|watched| watched.number == finished.number) else { continue };
            let log = finished.log.as_deref().unwrap_or("the store gives no reason").to_owned();
            finished.with_result(|result| match (self.watched[at].phase, result) {
                (Phase::Reading | Phase::ReadingBack, StoreResult::Loaded(stored)) => {
                    self.on_read(at, stored.unwrap_or_default(), whose);
                }
                (Phase::Revoking, StoreResult::Written) => self.ask(at, StoreAction::Load, Phase::ReadingBack),
                (Phase::Reading | Phase::Revoking | Phase::ReadingBack, _) => self.fail(at, &log),
                _ => {}
            });
        }
    }

    /// A ticket was read, just now.
    fn on_read(&mut self, at: usize, stored: StoredTicket<'_>, whose: &str) {
        let now = clock::read();
        let read_back = self.watched[at].phase == Phase::ReadingBack;
        let watched = &mut self.watched[at];
        let name = &watched.ticket.settings.name;
        let Some(expires) = stored.expires.filter(|_| stored.granted) else {
            watched.phase = Phase::Clear;
            (watched.record, watched.announced) = (None, false);
            if read_back {
                let text = format!("guard: ticket {name}: revoked here at {}", clock::local_time(now.wall));
                self.console.info(&text);
                watched.said = None;
            } else if stored.granted {
                let text =
                    "granted here without the end of a lease: no booth daemon has written that, it is left alone";
                self.say(at, text.to_owned(), now.boot);
            }
            return;
        };
        let until = watched.revoke_at(now, expires, stored.term);
        if until > now.boot && watched.renewals >= RENEWALS {
            watched.phase = Phase::Clear;
            return self.say(at, "it is renewed by a daemon on another node: left alone".to_owned(), now.boot);
        }
        if until > now.boot {
            watched.phase = Phase::Granted { until };
            let (end, then) = (clock::local_time(expires), clock::local_time(now.wall_at(until)));
            let text = format!("granted here until {end}, and {whose}: revoked at {then} unless it answers");
            return self.say(at, text, now.boot);
        }
        if read_back {
            return self.fail(at, "it was revoked, and is granted again by a lease that has run out");
        }
        if !std::mem::replace(&mut watched.announced, true) {
            let end = clock::local_time(expires);
            let text = format!("guard: ticket {name}: granted here until {end}, and {whose}: it is revoked");
            self.console.info(&text);
        }
        let term = stored.term.unwrap_or(0);
        let revoked = StoreTicket { granted: false, owner: Some(UNKNOWN_OWNER), expires: WallTime(0), term };
        self.ask(at, StoreAction::Write(revoked), Phase::Revoking);
    }

    fn fail(&mut self, at: usize, reason: &str) {
        self.watched[at].phase = Phase::Failed;
        let text = format!("it may be granted here although its daemon is dead: {reason}");
        self.say(at, text, clock::read().boot);
    }

    /// Says something about a ticket, unless it was said a short time ago.
    fn say(&mut self, at: usize, text: String, now: Instant) {
        let watched = &mut self.watched[at];
        let repeated = watched.said.as_ref().is_some_and(|(said, when)| *said == text && now.since(*when) < REMINDER);
        if !repeated {
            self.console.info(&format!("guard: ticket {}: {text}", watched.ticket.settings.name));
            watched.said = Some((text, now));
        }
    }
}

impl Watched<'_> {
    fn is_busy(&self) -> bool {
        matches!(self.phase, Phase::Reading | Phase::Revoking | Phase::ReadingBack)
    }

    /// When a grant with this end is to be revoked; for the same grant never later than was found before.
    fn revoke_at(&mut self, now: Now, expires: WallTime, term: Option<u32>) -> Instant {
        let mut at = revoke_at(&self.ticket.settings, now, expires);
        match self.record {
            Some((known, known_term, before)) if (known, known_term) == (expires, term) => at = at.min(before),
            before => {
                self.renewals += u32::from(before.is_some_and(|(known, ..)| known < expires));
                self.announced = false;
            }
        }
        self.record = Some((expires, term, at));
        at
    }
}

/// When a grant with this recorded end is to be revoked, by the boot clock: by the same margin before it as by
/// its daemon. At once where more is left than any lease of this ticket has: the clock was set back.
fn revoke_at(settings: &TicketSettings, now: Now, expires: WallTime) -> Instant {
    let left = Millis(expires.0.saturating_sub(now.wall.0) / 1_000);
    if left > settings.expire + WHOLE_SECOND {
        return now.boot;
    }
    lease::give_up_at(settings, now.boot + left)
}
