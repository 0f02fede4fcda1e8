//! Child processes that the event loop never waits for.
//!
//! A program is started by its argument vector, without a shell, as the head of its own process
//! group, with standard input from `/dev/null`, its outputs in non-blocking pipes and nothing else
//! inherited that is ours. Its end is seen through a pidfd. What it writes is kept up to
//! [`STDOUT_LIMIT`] and [`STDERR_LIMIT`]; the rest is read and dropped, so that no child ever stands
//! still because of us. At its deadline the whole group is killed; the child itself dies with its daemon.
//!
//! # How the event loop drives it
//!
//! [`crate::store::Store`] and [`crate::handler::Handlers`] each own a [`Children`] with a range of
//! mio tokens ([`TOKENS_PER_CHILD`] for each child), and pass the same few calls on:
//!
//! ```text
//! let mut store = Store::new(settings, poll.registry().try_clone()?, FIRST_STORE_TOKEN);
//! loop {
//!     poll until min(node.next_deadline(), store.next_deadline(), handlers.next_deadline())
//!     for event in &events {
//!         if store.on_event(now, event.token()) || handlers.on_event(now, event.token()) { continue }
//!         ...
//!     }
//!     store.expire(now); handlers.expire(now);
//!     while let Some(finished) = store.next_finished() {
//!         finished.with_result(|result| node.step(now, Input::StoreFinished { .., result }, &mut sink));
//!     }
//! }
//! ```
//!
//! A request may be finished at once (the file store, a program that cannot be started): ask
//! `next_finished` until it has nothing more before every poll, not only after an event.

mod program;

pub use program::{Program, take_statuses};

use crate::process::privileges;
use booth_core::time::{Instant, Millis};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use program::Started;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus, kill_process_group, pidfd_open, waitpid};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};

/// How many mio tokens each child takes: its pidfd and two pipes.
pub const TOKENS_PER_CHILD: usize = 3;
/// How much of a child's standard output is kept, from its beginning, in bytes.
pub const STDOUT_LIMIT: usize = 64 << 10;
/// How much of a child's standard error is kept, up to its end, in bytes.
pub const STDERR_LIMIT: usize = 4 << 10;
/// How many killed children that do not die (stuck in the kernel) are kept beside the running ones.
pub const STUCK_LIMIT: usize = 8;
/// How long a killed child is waited for before it is reported as stuck.
pub const REAP_GRACE: Millis = Millis(1000);
/// How much is read from one pipe in one turn, in bytes.
const READ_LIMIT: usize = 256 << 10;
/// How long a line of a child's words may be in our log, in characters.
const LINE_LIMIT: usize = 200;

/// A child of one [`Children`]; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildId(u64);

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this status.
    Status(i32),
    /// By a signal that was not ours.
    Signal(i32),
    /// Killed at its deadline.
    Overrun,
    /// Killed by [`Children::kill`].
    Killed,
    /// Killed, but still there [`REAP_GRACE`] later: it runs no more code of its own.
    Stuck,
}

/// A child that has ended.
#[derive(Debug)]
pub struct Exited {
    /// Which.
    pub child: ChildId,
    /// How.
    pub ending: Ending,
    /// The beginning of what it wrote to standard output.
    pub stdout: Vec<u8>,
    /// Whether it wrote more than [`STDOUT_LIMIT`].
    pub stdout_cut: bool,
    /// The end of what it wrote to standard error.
    pub stderr: Vec<u8>,
}

/// Running children, up to a limit.
#[derive(Debug)]
pub struct Children {
    registry: Registry,
    first_token: usize,
    limit: usize,
    slots: Vec<Option<Running>>,
    exited: VecDeque<Exited>,
    next_id: u64,
}

#[derive(Debug)]
struct Running {
    id: ChildId,
    pid: Pid,
    pidfd: OwnedFd,
    stdout: Output,
    stderr: Output,
    /// When it is killed; once killed, when it is given up; `None`: it has been.
    deadline: Option<Instant>,
    /// Why it was killed.
    killed: Option<Ending>,
}

/// One of a child's pipes and what came out of it.
#[derive(Debug)]
struct Output {
    pipe: Option<std::fs::File>,
    kept: Vec<u8>,
    keep: Keep,
    cut: bool,
}

#[derive(Clone, Copy, Debug)]
enum Keep {
    First(usize),
    Last(usize),
}

impl Children {
    /// Room for `limit` children at once, with tokens from `first_token` on: see [`Children::tokens`].
    pub fn new(registry: Registry, first_token: Token, limit: usize) -> Children {
        let slots = (0..limit + STUCK_LIMIT).map(|_| None).collect();
        Children { registry, first_token: first_token.0, limit, slots, exited: VecDeque::new(), next_id: 0 }
    }

    /// How many tokens are needed for `limit` children.
    pub const fn tokens(limit: usize) -> usize {
        (limit + STUCK_LIMIT) * TOKENS_PER_CHILD
    }

    /// How many children run, those that are stuck left out.
    pub fn running(&self) -> usize {
        self.slots.iter().flatten().filter(|running| !running.is_stuck()).count()
    }

    /// Whether another child may be started.
    pub fn has_room(&self) -> bool {
        self.running() < self.limit && self.slots.iter().any(Option::is_none)
    }

    /// Starts a program. It is killed with its process group at `deadline`.
    pub fn spawn(&mut self, program: Program, deadline: Instant) -> io::Result<ChildId> {
        let free = self.slots.iter().position(Option::is_none).filter(|_| self.has_room());
        let Some(at) = free else {
            return Err(io::Error::new(ErrorKind::QuotaExceeded, "too many child processes"));
        };
        let started = program.spawn()?;
        let pid = started.pid;
        privileges::leave_to_oom_killer(pid);
        match self.watch(at, started) {
            Ok((pidfd, stdout, stderr)) => {
                let id = ChildId(self.next_id);
                self.next_id += 1;
                let deadline = Some(deadline);
                self.slots[at] = Some(Running { id, pid, pidfd, stdout, stderr, deadline, killed: None });
                Ok(id)
            }
            Err(error) => {
                kill_group(pid);
                // Out of descriptors or memory: it has hardly begun, and dies at once.
                let _ = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
                Err(error)
            }
        }
    }

    /// Kills a child and its process group; it is reported when it is gone.
    pub fn kill(&mut self, now: Instant, id: ChildId) {
        if let Some(running) = self.slots.iter_mut().flatten().find(|running| running.id == id) {
            running.kill(now, Ending::Killed);
        }
    }

    /// Something has happened to one of the file descriptors; `false`: the token is not ours.
    pub fn on_event(&mut self, token: Token) -> bool {
        let Some(offset) = token.0.checked_sub(self.first_token) else { return false };
        let (at, which) = (offset / TOKENS_PER_CHILD, offset % TOKENS_PER_CHILD);
        let Some(slot) = self.slots.get_mut(at) else { return false };
        // An event of a child that has been reported already may still be in the batch.
        let Some(running) = slot else { return true };
        let output = match which {
            0 => {
                self.reap(at);
                return true;
            }
            1 => &mut running.stdout,
            _ => &mut running.stderr,
        };
        if output.read() == Readiness::More
            && let Some(pipe) = &output.pipe
        {
            // Armed anew, so that it is reported again in the next turn.
            let _ = self.registry.reregister(&mut SourceFd(&pipe.as_raw_fd()), token, Interest::READABLE);
        }
        true
    }

    /// When [`Children::expire`] must be called at the latest.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.slots.iter().flatten().filter_map(|running| running.deadline).min()
    }

    /// Kills children whose deadline has come, and gives up those that were killed and are still there.
    pub fn expire(&mut self, now: Instant) {
        for at in 0..self.slots.len() {
            let Some(running) = &mut self.slots[at] else { continue };
            if running.deadline.is_none_or(|deadline| deadline > now) {
                continue;
            }
            if running.killed.is_none() {
                running.kill(now, Ending::Overrun);
            } else if !self.reap(at)
                && let Some(running) = &mut self.slots[at]
            {
                running.deadline = None;
                let exited = running.report(Ending::Stuck);
                self.exited.push_back(exited);
            }
        }
    }

    /// The next child that has ended.
    pub fn next_exited(&mut self) -> Option<Exited> {
        self.exited.pop_front()
    }

    /// Takes note of a child's end, if it has ended.
    fn reap(&mut self, at: usize) -> bool {
        let Some(slot) = self.slots.get_mut(at) else { return false };
        let Some(running) = slot else { return false };
        let ending = match waitpid(Some(running.pid), WaitOptions::NOHANG) {
            Ok(Some((_, status))) => ending(status, running.killed),
            Ok(None) => return false,
            // Somebody else has reaped it, which nobody may do: how it ended is not known.
            Err(_) => running.killed.unwrap_or(Ending::Signal(Signal::KILL.as_raw())),
        };
        running.stdout.read();
        running.stderr.read();
        let stuck = running.is_stuck();
        let exited = running.report(ending);
        let _ = self.registry.deregister(&mut SourceFd(&running.pidfd.as_raw_fd()));
        *slot = None;
        if !stuck {
            self.exited.push_back(exited);
        }
        true
    }

    /// Opens what tells of a child's end, and has the poll watch it and the pipes.
    fn watch(&self, at: usize, started: Started) -> io::Result<(OwnedFd, Output, Output)> {
        let Started { pid, stdout, stderr } = started;
        let pidfd = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        self.register(at, 0, &pidfd)?;
        self.register(at, 1, &stdout)?;
        self.register(at, 2, &stderr)?;
        let stdout = Output::new(stdout, Keep::First(STDOUT_LIMIT))?;
        let stderr = Output::new(stderr, Keep::Last(STDERR_LIMIT))?;
        Ok((pidfd, stdout, stderr))
    }

    fn register(&self, at: usize, which: usize, fd: &OwnedFd) -> io::Result<()> {
        let token = Token(self.first_token + at * TOKENS_PER_CHILD + which);
        self.registry.register(&mut SourceFd(&fd.as_raw_fd()), token, Interest::READABLE)
    }
}

impl Drop for Children {
    /// Leaves none behind that runs on its own; does not wait for any.
    fn drop(&mut self) {
        for running in self.slots.iter_mut().flatten() {
            kill_group(running.pid);
            let _ = waitpid(Some(running.pid), WaitOptions::NOHANG);
        }
    }
}

impl Running {
    fn is_stuck(&self) -> bool {
        self.deadline.is_none()
    }

    fn kill(&mut self, now: Instant, why: Ending) {
        if self.killed.is_none() {
            self.killed = Some(why);
            self.deadline = Some(now + REAP_GRACE);
            kill_group(self.pid);
        }
    }

    fn report(&mut self, ending: Ending) -> Exited {
        Exited {
            child: self.id,
            ending,
            stdout: std::mem::take(&mut self.stdout.kept),
            stdout_cut: self.stdout.cut,
            stderr: std::mem::take(&mut self.stderr.kept),
        }
    }
}

/// Kills the group that a child heads. The child has not been reaped, so the number is still its own.
fn kill_group(pid: Pid) {
    let _ = kill_process_group(pid, Signal::KILL);
}

/// A child that ended by itself just before it would have been killed has ended by itself.
fn ending(status: WaitStatus, killed: Option<Ending>) -> Ending {
    match (status.exit_status(), status.terminating_signal(), killed) {
        (Some(code), _, _) => Ending::Status(code),
        (None, Some(signal), Some(why)) if signal == Signal::KILL.as_raw() => why,
        (None, signal, _) => Ending::Signal(signal.unwrap_or(0)),
    }
}

#[derive(PartialEq, Eq)]
enum Readiness {
    /// Nothing more for now, or ever.
    Drained,
    /// The limit of one turn was reached.
    More,
}

impl Output {
    fn new(pipe: OwnedFd, keep: Keep) -> io::Result<Output> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Output { pipe: Some(pipe.into()), kept: Vec::new(), keep, cut: false })
    }

    /// Reads what is there, up to the limit of one turn.
    fn read(&mut self) -> Readiness {
        let mut buffer = [0; 8 << 10];
        for _ in 0..READ_LIMIT / buffer.len() {
            let Some(pipe) = &mut self.pipe else { return Readiness::Drained };
            match pipe.read(&mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(length) => self.take(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Readiness::Drained,
                Err(_) => self.pipe = None,
            }
        }
        Readiness::More
    }

    fn take(&mut self, bytes: &[u8]) {
        match self.keep {
            Keep::First(limit) => {
                let room = limit - self.kept.len();
                self.cut |= bytes.len() > room;
                self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            Keep::Last(limit) => {
                self.kept.extend_from_slice(bytes);
                let surplus = self.kept.len().saturating_sub(limit);
                self.cut |= surplus > 0;
                self.kept.drain(..surplus);
            }
        }
    }
}

impl Exited {
    /// A child that ended so and said this.
    #[cfg(test)]
    pub(crate) fn example(ending: Ending, stdout: &[u8]) -> Exited {
        Exited { child: ChildId(0), ending, stdout: stdout.to_vec(), stdout_cut: false, stderr: Vec::new() }
    }

    /// Whether it ended by itself with status 0.
    pub fn is_success(&self) -> bool {
        self.ending == Ending::Status(0)
    }

    /// How it ended and, where there is one, the last line that it wrote to standard error: fit for a
    /// log, whatever was in it.
    pub fn words(&self) -> String {
        match last_line(&self.stderr) {
            Some(line) => format!("{}: {line}", self.ending),
            None => self.ending.to_string(),
        }
    }
}

fn last_line(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(LINE_LIMIT).map(|c| if c.is_control() { '?' } else { c }).collect())
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Status(status) => write!(f, "exit status {status}"),
            Ending::Signal(signal) => write!(f, "killed by signal {signal}"),
            Ending::Overrun => f.write_str("took too long and was killed"),
            Ending::Killed => f.write_str("was killed for a newer request"),
            Ending::Stuck => f.write_str("was killed but does not end"),
        }
    }
}
