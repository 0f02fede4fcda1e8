//! Programs of a ticket: the before-acquire-handler, which may forbid this site to acquire or to keep
//! it; the release-handler, which says that the resources are stopped; and `on-stuck-revoke`, the last
//! resort where the store cannot be made to revoke.
//!
//! Each of the three has its own [`Handlers`]: none waits behind those of another kind that hang.
//! A handler is a program with arguments, or a directory: then the executable files in it (hidden ones
//! left out) are run in alphabetical order, each with the arguments, until one fails. An empty
//! directory forbids nothing, but says nothing of resources either: as a release-handler it has failed.
//! The environment of each is ours and
//!
//! | variable | value |
//! | --- | --- |
//! | `BOOTH_TICKET` | the ticket's name |
//! | `BOOTH_LOCAL` | our own address |
//! | `BOOTH_CONF_PATH` | the configuration file |
//! | `BOOTH_CONF_NAME` | the configuration's name |
//! | `BOOTH_TICKET_EXPIRES` | the end of the running lease in seconds since the epoch, or 0; for `release-handler` when the others are told at the latest; for `on-stuck-revoke` when it had ended at the latest |
//!
//! Every [`Handlers::run`] comes out of [`Handlers::next_finished`] exactly once. At its deadline the
//! whole run has failed and its process group is killed. A ticket has one run at a time: a newer one
//! ends an older one. [`MAX_RUNS`] run at once, others wait for their turn; their time runs as well.
//! [`crate::child`] shows how the event loop drives it.

use crate::child::{ChildId, Children, Exited, Program};
use booth_core::input::RequestNumber;
use booth_core::settings::TicketIndex;
use booth_core::sink::{HandlerKind, HandlerRequest};
use booth_core::time::{Instant, WallTime};
use mio::{Registry, Token};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The most handlers that run at once.
pub const MAX_RUNS: usize = 8;
/// The most programs in a directory of handlers; more is a failure.
pub const MAX_PROGRAMS: usize = 256;

/// What the handlers are told at the start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The key of the configuration that names them, for the log.
    pub key: &'static str,
    /// `BOOTH_LOCAL`: our own address.
    pub local: String,
    /// `BOOTH_CONF_PATH`.
    pub configuration_path: PathBuf,
    /// `BOOTH_CONF_NAME`.
    pub configuration_name: String,
    /// In the order of the configuration.
    pub tickets: Vec<TicketHandler>,
}

/// A ticket and its handler.
#[derive(Clone, Debug)]
pub struct TicketHandler {
    /// `BOOTH_TICKET`.
    pub ticket: String,
    /// Program, or directory of programs; `None`: the ticket has no handler.
    pub program: Option<PathBuf>,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// A run that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The ticket.
    pub ticket: TicketIndex,
    /// The request's number.
    pub number: RequestNumber,
    /// Whether every program exited with 0.
    pub success: bool,
    /// A line for the log: which program failed, how, and the last line that it wrote to stderr.
    pub log: Option<String>,
}

/// The handlers of one daemon.
#[derive(Debug)]
pub struct Handlers {
    settings: Settings,
    /// In the order in which they came.
    runs: Vec<Run>,
    children: Children,
    finished: VecDeque<Finished>,
}

#[derive(Debug)]
struct Run {
    ticket: TicketIndex,
    request: HandlerRequest,
    /// What is still to be run; `None`: not begun.
    programs: Option<VecDeque<PathBuf>>,
    current: Option<(ChildId, PathBuf)>,
}

impl Handlers {
    /// How many mio tokens it uses, from the first one on.
    pub const TOKENS: usize = Children::tokens(MAX_RUNS);

    /// Handlers of which none runs.
    pub fn new(settings: Settings, registry: Registry, first_token: Token) -> Handlers {
        let children = Children::new(registry, first_token, MAX_RUNS);
        Handlers { settings, runs: Vec::new(), children, finished: VecDeque::new() }
    }

    /// Starts the ticket's handler; its result comes out of [`Handlers::next_finished`].
    pub fn run(&mut self, now: Instant, ticket: TicketIndex, request: HandlerRequest) {
        if let Some(at) = self.runs.iter().position(|run| run.ticket == ticket) {
            let old = self.runs.remove(at);
            self.give_up(now, old, "given up for a newer run");
        }
        self.runs.push(Run { ticket, request, programs: None, current: None });
        self.advance(now);
    }

    /// Something has happened to one of the file descriptors; `false`: the token is not ours.
    pub fn on_event(&mut self, now: Instant, token: Token) -> bool {
        let ours = self.children.on_event(token);
        if ours {
            self.take_exited();
            self.advance(now);
        }
        ours
    }

    /// When [`Handlers::expire`] must be called at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        let waiting = self.runs.iter().filter(|run| run.current.is_none()).map(|run| run.request.deadline);
        waiting.chain(self.children.next_deadline()).min()
    }

    /// Kills what has run for too long, and gives up what has waited for too long.
    pub fn expire(&mut self, now: Instant) {
        self.children.expire(now);
        self.take_exited();
        let late = |run: &mut Run| run.current.is_none() && run.request.deadline <= now;
        let late: Vec<_> = self.runs.extract_if(.., late).collect();
        for run in late {
            self.give_up(now, run, "no time was left to run it");
        }
        self.advance(now);
    }

    /// The next run that has ended.
    pub fn next_finished(&mut self) -> Option<Finished> {
        self.finished.pop_front()
    }

    fn give_up(&mut self, now: Instant, run: Run, why: &str) {
        if let Some((child, _)) = run.current {
            self.children.kill(now, child);
        }
        self.finish(&run, Err(why.to_owned()));
    }

    /// Takes the ends of children; those of runs that were given up concern nobody any more.
    fn take_exited(&mut self) {
        while let Some(exited) = self.children.next_exited() {
            let is_its = |run: &Run| run.current.as_ref().is_some_and(|(child, _)| *child == exited.child);
            let Some(at) = self.runs.iter().position(is_its) else { continue };
            if let Some((_, program)) = self.runs[at].current.take()
                && !exited.is_success()
            {
                let run = self.runs.remove(at);
                self.finish(&run, Err(failure(&program, &exited)));
            }
        }
    }

    /// Starts the next program of each run that has none running, as long as there is room.
    fn advance(&mut self, now: Instant) {
        let mut at = 0;
        while at < self.runs.len() {
            if self.runs[at].current.is_none()
                && self.children.has_room()
                && let Some(end) = self.start_next(now, at)
            {
                let run = self.runs.remove(at);
                self.finish(&run, end);
            } else {
                at += 1;
            }
        }
    }

    /// Starts a run's next program; `Some`: the run has ended.
    fn start_next(&mut self, now: Instant, at: usize) -> Option<Result<(), String>> {
        let run = &mut self.runs[at];
        let Some(handler) = self.settings.tickets.get(run.ticket.at()) else {
            return Some(Err("there is no such ticket".to_owned()));
        };
        if run.request.deadline <= now {
            return Some(Err("no time was left to run it".to_owned()));
        }
        if run.programs.is_none() {
            match handler.program.as_deref().map_or(Ok(VecDeque::new()), programs_of) {
                Ok(programs) if programs.is_empty() && run.request.kind == HandlerKind::Release => {
                    return Some(Err("there is no program that could say that the resources are stopped".to_owned()));
                }
                Ok(programs) => run.programs = Some(programs),
                Err(reason) => return Some(Err(reason)),
            }
        }
        let Some(program) = run.programs.as_mut().and_then(VecDeque::pop_front) else { return Some(Ok(())) };
        let command = command(&self.settings, handler, &program, run.request.expires);
        match self.children.spawn(command, run.request.deadline) {
            Ok(child) => {
                run.current = Some((child, program));
                None
            }
            Err(error) => Some(Err(format!("cannot start {}: {error}", program.display()))),
        }
    }

    fn finish(&mut self, run: &Run, end: Result<(), String>) {
        let name = self.settings.tickets.get(run.ticket.at()).map_or("?", |handler| handler.ticket.as_str());
        let key = self.settings.key;
        let log = end.as_ref().err().map(|reason| format!("{key}: ticket {name}: {reason}"));
        let (ticket, number) = (run.ticket, run.request.number);
        self.finished.push_back(Finished { ticket, number, success: end.is_ok(), log });
    }
}

fn failure(program: &Path, exited: &Exited) -> String {
    format!("{}: {}", program.display(), exited.words())
}

fn command(settings: &Settings, handler: &TicketHandler, program: &Path, expires: WallTime) -> Program {
    Program::new(program)
        .args(&handler.arguments)
        .env("BOOTH_TICKET", &handler.ticket)
        .env("BOOTH_LOCAL", &settings.local)
        .env("BOOTH_CONF_PATH", &settings.configuration_path)
        .env("BOOTH_CONF_NAME", &settings.configuration_name)
        .env("BOOTH_TICKET_EXPIRES", expires.seconds().to_string())
}

/// The programs that a handler stands for: seen when it is run, so that an administrator may change
/// a directory at any time.
pub(crate) fn programs_of(handler: &Path) -> Result<VecDeque<PathBuf>, String> {
    let wrong = |error: io::Error| format!("cannot read {}: {error}", handler.display());
    if !handler.is_dir() {
        return Ok(VecDeque::from([handler.to_path_buf()]));
    }
    let mut names: Vec<OsString> = Vec::new();
    for entry in fs::read_dir(handler).map_err(wrong)? {
        let name = entry.map_err(wrong)?.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        if !hidden && is_executable(&handler.join(&name)) {
            // In order; a directory has so few that a sort would be more.
            names.insert(names.partition_point(|earlier| *earlier < name), name);
        }
        if names.len() > MAX_PROGRAMS {
            return Err(format!("{} has more than {MAX_PROGRAMS} programs", handler.display()));
        }
    }
    Ok(names.into_iter().map(|name| handler.join(name)).collect())
}

/// Whether somebody may execute the file; whether we may is seen when it is tried, and then not doing
/// so is a failure.
pub(crate) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}
