//! Fork-and-detach: the child becomes the daemon, the parent waits for its word. The parent's exit
//! status is then true: 0 only when the child says that it is ready.

use super::StartError;
use crate::clock;
use booth_core::time::Millis;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

/// How long the parent waits for the child's word.
const PATIENCE: Millis = Millis(60_000);
/// How long a child that has failed may take to end.
const GRACE: Millis = Millis(5_000);
/// The most bytes of the child's error text.
const MAX_TEXT: usize = 8 * 1024;
/// What the child writes when it is ready; an error text starts with [`FAILED`].
const READY: u8 = b'+';
/// What stands in front of an error text.
const FAILED: u8 = b'-';

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Side {
    /// The one that was started: print the error, if any, and exit (0, else 1).
    Parent(Result<(), StartError>),
    /// The daemon: stdin, stdout and stderr are `/dev/null`, the directory is `/`.
    Child(Readiness),
}

/// The child's word, which somebody waits for. Dropped without a word, the child is taken to have
/// failed and is ended.
#[derive(Debug)]
pub struct Readiness {
    /// `None` in the foreground: nobody waits.
    parent: Option<File>,
}

/// Forks. Locks of fcntl(2) do not pass to the child. Paths that are used later must be absolute, and the process must have one thread.
///
/// # Errors
/// Where no pipe or process can be made. What fails in the child reaches the parent's result.
pub fn detach() -> Result<Side, StartError> {
    let failed =
        |what: &'static str| move |error: Errno| StartError::system(&format_args!("cannot detach: {what}"), error);
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(failed("pipe"))?;
    // SAFETY: the process has one thread (contract above), so the child may do anything.
    match unsafe { nix::unistd::fork() }.map_err(failed("fork"))? {
        ForkResult::Parent { child } => {
            drop(writer);
            Ok(Side::Parent(wait_for(child, reader)))
        }
        ForkResult::Child => {
            drop(reader);
            let readiness = Readiness { parent: Some(writer.into()) };
            match leave_session() {
                Ok(()) => Ok(Side::Child(readiness)),
                Err(error) => {
                    readiness.failed(&error);
                    std::process::exit(1);
                }
            }
        }
    }
}

impl Readiness {
    /// For the foreground, where nobody waits.
    pub fn foreground() -> Readiness {
        Readiness { parent: None }
    }

    /// The daemon is ready: the parent exits with status 0.
    pub fn ready(self) {
        self.tell(&[READY]);
    }

    /// The daemon cannot start: the parent prints the error and exits with status 1.
    pub fn failed(self, error: &StartError) {
        let mut text = vec![FAILED];
        text.extend_from_slice(error.0.as_bytes());
        text.truncate(MAX_TEXT);
        self.tell(&text);
    }

    fn tell(self, bytes: &[u8]) {
        if let Some(mut parent) = self.parent {
            // A parent that was killed hears nothing; the daemon runs on.
            let _ = parent.write_all(bytes);
        }
    }
}

/// A session of its own, no directory kept busy, nothing said to the starter's terminal.
fn leave_session() -> Result<(), StartError> {
    let failed =
        |what: &'static str| move |error: Errno| StartError::system(&format_args!("cannot detach: {what}"), error);
    nix::unistd::setsid().map_err(failed("setsid"))?;
    nix::unistd::chdir("/").map_err(failed("chdir /"))?;
    nix::sys::stat::umask(Mode::from_bits_truncate(0o022));
    let null =
        nix::fcntl::open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed("/dev/null"))?;
    nix::unistd::dup2_stdin(&null).map_err(failed("dup2"))?;
    nix::unistd::dup2_stdout(&null).map_err(failed("dup2"))?;
    nix::unistd::dup2_stderr(&null).map_err(failed("dup2"))?;
    Ok(())
}

/// Waits for the child's word, for at most [`PATIENCE`]; a child that is silent for longer is killed,
/// so that "failed" never leaves a daemon behind.
fn wait_for(child: Pid, reader: OwnedFd) -> Result<(), StartError> {
    match read_word(reader) {
        Ok(word) => match word.split_first() {
            Some((&READY, _)) => Ok(()),
            Some((_, text)) => {
                // It may still tidy up; a daemon that says that it failed must also be gone.
                end_of(child, GRACE);
                Err(StartError(String::from_utf8_lossy(text).into_owned()))
            }
            None => {
                let end = end_of(child, GRACE);
                Err(StartError(format!("the daemon ended before it was ready: {end}")))
            }
        },
        Err(error) => {
            end_of(child, Millis(0));
            Err(error)
        }
    }
}

/// Everything up to the end of the pipe, or up to [`READY`].
fn read_word(reader: OwnedFd) -> Result<Vec<u8>, StartError> {
    let deadline = clock::read().boot + PATIENCE;
    let mut reader = File::from(reader);
    let mut word = Vec::new();
    let mut bytes = [0_u8; 512];
    loop {
        let left = deadline.since(clock::read().boot);
        if left == Millis(0) {
            return Err(StartError(format!("the daemon was not ready after {} s and was stopped", PATIENCE.0 / 1000)));
        }
        let wait = PollTimeout::try_from(left.0).unwrap_or(PollTimeout::MAX);
        match nix::poll::poll(&mut [PollFd::new(reader.as_fd(), PollFlags::POLLIN)], wait) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(StartError::system(&"waiting for the daemon: poll", error)),
        }
        match reader.read(&mut bytes) {
            Ok(0) => return Ok(word),
            Ok(count) => word.extend_from_slice(&bytes[..count]),
            Err(error) => return Err(StartError::system(&"waiting for the daemon", error)),
        }
        if word.first() == Some(&READY) || word.len() >= MAX_TEXT {
            return Ok(word);
        }
    }
}

/// How the child has ended; one that has not after `grace` is killed.
fn end_of(child: Pid, grace: Millis) -> String {
    let deadline = clock::read().boot + grace;
    loop {
        let kind = if clock::read().boot < deadline { Some(WaitPidFlag::WNOHANG) } else { None };
        if kind.is_none() {
            let _ = kill(child, Signal::SIGKILL);
        }
        match waitpid(child, kind) {
            Ok(WaitStatus::Exited(_, status)) => return format!("exit status {status}"),
            Ok(WaitStatus::Signaled(_, signal, _)) => return format!("killed by signal {}", signal as i32),
            Ok(_) | Err(Errno::EINTR) => std::thread::sleep(std::time::Duration::from_millis(5)),
            Err(error) => return io::Error::from(error).to_string(),
        }
    }
}
