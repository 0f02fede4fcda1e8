//! A program to be started as a child process: posix_spawn(3), without a shell.
//!
//! The standard library's `Command` does more than is asked for here (a changed user, directory or
//! root, closures between fork and exec), which the daemon would carry along unused.

use nix::fcntl::OFlag;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawnp};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::Mode;
use nix::unistd::pipe2;
use rustix::process::Pid;
use std::ffi::{CString, OsStr, OsString};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

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

    /// Starts it as the head of its own process group, with standard input from `/dev/null`, its
    /// outputs in pipes, and no signal blocked or ignored that Rust's runtime has.
    pub(super) fn spawn(self) -> io::Result<Started> {
        let environment = self.whole_environment()?;
        let words = self.words.into_iter().map(c_string).collect::<io::Result<Vec<_>>>()?;
        let (stdout, child_stdout) = pipe2(OFlag::O_CLOEXEC)?;
        let (stderr, child_stderr) = pipe2(OFlag::O_CLOEXEC)?;
        let mut files = PosixSpawnFileActions::init()?;
        files.add_open(libc::STDIN_FILENO, c"/dev/null", OFlag::O_RDONLY, Mode::empty())?;
        files.add_dup2(child_stdout.as_raw_fd(), libc::STDOUT_FILENO)?;
        files.add_dup2(child_stderr.as_raw_fd(), libc::STDERR_FILENO)?;
        let mut attributes = PosixSpawnAttr::init()?;
        attributes.set_flags(
            PosixSpawnFlags::POSIX_SPAWN_SETPGROUP
                | PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
                | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
        )?;
        attributes.set_pgroup(nix::unistd::Pid::from_raw(0))?;
        attributes.set_sigmask(&SigSet::empty())?;
        attributes.set_sigdefault(&SigSet::from(Signal::SIGPIPE))?;
        let pid = posix_spawnp(&words[0], &files, &attributes, &words, &environment)?;
        let pid = Pid::from_raw(pid.as_raw()).ok_or(ErrorKind::NotFound)?;
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

/// A NUL would end the word early: it is refused.
fn c_string(word: OsString) -> io::Result<CString> {
    Ok(CString::new(word.into_vec())?)
}
