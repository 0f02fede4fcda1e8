//! Descriptors that whoever started the process left open: closed, so that the daemon neither keeps
//! a file system busy nor lives on somebody's pipe; and 0, 1, 2 are always something, so that no
//! socket of ours ever becomes "stderr".

use super::StartError;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;
use std::os::fd::{AsRawFd, IntoRawFd};

/// The first descriptor that socket activation passes (sd_listen_fds(3)).
const LISTEN_FDS_START: u32 = 3;
/// The most descriptors that are left to socket activation.
const LISTEN_FDS_MAX: u32 = 16;

/// Opens 0, 1 and 2 on `/dev/null` where they are closed, and closes everything above 2 but what
/// socket activation has passed to this very process (`LISTEN_PID`, `LISTEN_FDS`).
///
/// Call it first in `main`: it closes by number, whoever may own it.
///
/// # Errors
/// Where `/dev/null` cannot be opened or the kernel refuses close_range(2).
pub fn close_inherited() -> Result<(), StartError> {
    fill_standard()?;
    let mine = number_in("LISTEN_PID") == Some(std::process::id());
    let passed = if mine { number_in("LISTEN_FDS").unwrap_or(0).min(LISTEN_FDS_MAX) } else { 0 };
    // SAFETY: by contract the process has opened nothing yet, so nobody loses what it owns.
    let result = unsafe { libc::close_range(LISTEN_FDS_START + passed, u32::MAX, 0) };
    match Errno::result(result) {
        // Before Linux 5.9, or a filter that does not know it: what is open stays so.
        Ok(_) | Err(Errno::ENOSYS | Errno::EPERM) => Ok(()),
        Err(error) => Err(StartError::system(&"close_range", error)),
    }
}

/// Raises the soft limit of open descriptors to at least `wanted`, as far as the hard limit goes.
/// Tells what the limit is now.
///
/// # Errors
/// Where the hard limit is below `wanted`.
pub fn expect_descriptors(wanted: u64) -> Result<u64, StartError> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| StartError::system(&"getrlimit", error))?;
    if soft >= wanted {
        return Ok(soft);
    }
    if hard < wanted {
        return Err(StartError(format!(
            "{hard} open descriptors are allowed here, {wanted} are needed: raise the limit (ulimit -n, LimitNOFILE=)"
        )));
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
        .map_err(|error| StartError::system(&format_args!("setrlimit(RLIMIT_NOFILE, {wanted})"), error))?;
    Ok(wanted)
}

fn fill_standard() -> Result<(), StartError> {
    // open(2) gives the lowest free number: while that is below 3, a standard one was closed.
    for _ in 0..3 {
        let null = nix::fcntl::open("/dev/null", OFlag::O_RDWR, Mode::empty())
            .map_err(|error| StartError::system(&"/dev/null", error))?;
        if null.as_raw_fd() > libc::STDERR_FILENO {
            break;
        }
        let _stays_open = null.into_raw_fd();
    }
    Ok(())
}

fn number_in(variable: &str) -> Option<u32> {
    std::env::var(variable).ok()?.parse().ok()
}
