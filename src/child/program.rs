//! A program to be started as a child process: fork(2) and execve(2), without a shell.
//!
//! The child dies with its daemon. A grant that lived on could reach the store when nobody is left, or
//! a new daemon has been told to revoke, and stand there (S0, S8); of a handler nobody would read the
//! answer. posix_spawn(3) cannot ask for that, and the standard library's `Command` does more than is
//! asked for here, which the daemon would carry along unused (27 KB).
//!
//! Invariant: between fork and exec the child makes async-signal-safe calls only (signal-safety(7)); all
//! that they need is made before. What fails there reaches the caller through a pipe that exec closes.

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::stat::Mode;
use nix::unistd::{self, ForkResult, fork, pipe2};
use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};
use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString, c_char};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;

/// Where programs are looked for when there is no `PATH`: see exec(3).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Takes the statuses of our children for ourselves: where whoever started us ignores SIGCHLD, the kernel would
/// drop them (wait(2)), and no store could be seen to have written. To be called before a child is started.
pub fn take_statuses() {
    // SAFETY: no handler is set.
    let taken = unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) };
    debug_assert!(taken.is_ok(), "signal(2) knows SIGCHLD");
}

/// A program, its arguments, and what it finds in its environment beside what we have there.
#[derive(Debug)]
pub struct Program {
    words: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
}

/// A child process that has been started. It is a zombie once it has ended, until it is waited for.
pub(super) struct Started {
    pub pid: Pid,
    /// The ends of its outputs that are ours to read.
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
}

impl Program {
    /// A path, or a name that is looked up in `PATH`.
    pub fn new(name: impl AsRef<OsStr>) -> Program {
        Program { words: vec![name.as_ref().to_owned()], environment: Vec::new() }
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Program {
        self.words.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Adds a variable to the environment, or changes it there; once for each name.
    pub fn env(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Program {
        self.environment.push((name, value.as_ref().to_owned()));
        self
    }

    /// Runs it and waits for its end, for as long as that takes: not for the event loop. How it ended, and the first
    /// `limit` bytes of what it wrote to standard output; one that writes more is ended by the closed pipe.
    ///
    /// # Errors
    /// Where it cannot be started, its output not be read, or its end not be seen.
    pub(crate) fn run(self, limit: u64) -> io::Result<(WaitStatus, Vec<u8>)> {
        // What it writes to standard error is not read, but has room in the pipe.
        let Started { pid, stdout, stderr } = self.spawn()?;
        let mut answer = Vec::new();
        let read = File::from(stdout).take(limit).read_to_end(&mut answer);
        let ended = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
        drop(stderr);
        read?;
        let (_, status) = ended?.ok_or(ErrorKind::NotFound)?;
        Ok((status, answer))
    }

    /// Starts it as the head of its own process group, with standard input from `/dev/null`, its
    /// outputs in pipes, no signal blocked or ignored that Rust's runtime has, and killed when the
    /// calling thread ends.
    pub(super) fn spawn(self) -> io::Result<Started> {
        let places = places(&self.words[0])?;
        let environment = self.whole_environment()?;
        let words = self.words.into_iter().map(c_string).collect::<io::Result<Vec<_>>>()?;
        let null = open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let (stdout, child_stdout) = pipe2(OFlag::O_CLOEXEC)?;
        let (stderr, child_stderr) = pipe2(OFlag::O_CLOEXEC)?;
        let (report, child_report) = pipe2(OFlag::O_CLOEXEC)?;
        let start = Start {
            daemon: unistd::getpid(),
            files: [null, child_stdout, child_stderr],
            places: &places,
            words: &pointers(&words),
            environment: &pointers(&environment),
        };
        // SAFETY: the child does nothing but `run`, `write` and `_exit`, all async-signal-safe.
        let child = match unsafe { fork() }? {
            ForkResult::Parent { child } => child,
            ForkResult::Child => {
                let Err(error) = start.run();
                let errno = (error as i32).to_ne_bytes();
                // SAFETY: `errno` is valid for its length. `_exit` runs nothing of the daemon's.
                unsafe {
                    libc::write(child_report.as_raw_fd(), errno.as_ptr().cast(), errno.len());
                    libc::_exit(127)
                }
            }
        };
        drop((start, child_report));
        let pid = Pid::from_raw(child.as_raw()).ok_or(ErrorKind::NotFound)?;
        let mut errno = [0; size_of::<i32>()];
        // It ends without a word where exec has succeeded, or the child was killed before.
        if File::from(report).read_exact(&mut errno).is_ok() {
            let _ = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
            return Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)));
        }
        Ok(Started { pid, stdout, stderr })
    }

    /// `NAME=VALUE`: ours, with what is added and changed.
    fn whole_environment(&self) -> io::Result<Vec<CString>> {
        let is_changed = |name: &OsStr| self.environment.iter().any(|(changed, _)| *changed == name);
        let inherited = std::env::vars_os().filter(|(name, _)| !is_changed(name));
        let added = self.environment.iter().map(|(name, value)| (OsString::from(name), value.clone()));
        let entries = inherited.chain(added).map(|(mut entry, value)| {
            entry.push("=");
            entry.push(value);
            c_string(entry)
        });
        entries.collect()
    }
}

/// All that the child needs between fork and exec.
struct Start<'a> {
    daemon: unistd::Pid,
    /// To be standard input, output and error.
    files: [OwnedFd; 3],
    /// Where the program may be, in order.
    places: &'a [CString],
    /// Pointers to words, and a null behind the last, as `environment`.
    words: &'a [*const c_char],
    environment: &'a [*const c_char],
}

impl Start<'_> {
    /// Becomes the program; async-signal-safe. A signal that comes in between finds handlers that only
    /// write to a pipe, which the daemon reads.
    fn run(&self) -> Result<Infallible, Errno> {
        // The signal comes when the *thread* that has forked ends: the daemon has but one. exec keeps
        // the wish, unless the program is set-user-ID or set-group-ID, has capabilities in its file, or
        // changes its SELinux or AppArmor domain: after such a one the next daemon's revoke must do.
        set_pdeathsig(Signal::SIGKILL)?;
        if unistd::getppid() != self.daemon {
            // It has ended before it was asked to take us along.
            return Err(Errno::ESRCH);
        }
        let own = unistd::Pid::from_raw(0);
        unistd::setpgid(own, own)?;
        // SAFETY: no handler is set.
        unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) }?;
        SigSet::empty().thread_set_mask()?;
        // None of them is below 3, where it would be closed with exec: Rust's runtime keeps those open.
        let [stdin, stdout, stderr] = &self.files;
        unistd::dup2_stdin(stdin)?;
        unistd::dup2_stdout(stdout)?;
        unistd::dup2_stderr(stderr)?;
        let mut denied = false;
        for place in self.places {
            // SAFETY: strings that end in NUL, and lists of such that end in null, all of them alive.
            unsafe { libc::execve(place.as_ptr(), self.words.as_ptr(), self.environment.as_ptr()) };
            match Errno::last() {
                Errno::ENOENT | Errno::ENOTDIR => {}
                Errno::EACCES => denied = true,
                error => return Err(error),
            }
        }
        Err(if denied { Errno::EACCES } else { Errno::ENOENT })
    }
}

/// Where a program may be: at its path, or under its name in the directories of `PATH`.
fn places(program: &OsStr) -> io::Result<Vec<CString>> {
    if program.as_bytes().contains(&b'/') {
        return Ok(vec![c_string(program.to_owned())?]);
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    std::env::split_paths(&path).map(|directory| c_string(directory.join(program).into())).collect()
}

/// A list as execve(2) takes it.
fn pointers(words: &[CString]) -> Vec<*const c_char> {
    words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect()
}

/// A NUL would end the word early: it is refused.
fn c_string(word: OsString) -> io::Result<CString> {
    Ok(CString::new(word.into_vec())?)
}
