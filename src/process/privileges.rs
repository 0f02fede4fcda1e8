//! What the process asks of the kernel as root, and how it gives root up.
//!
//! Each of [`lock_memory`], [`schedule_first`] and [`spare_from_oom_killer`] may be refused (a
//! container, a user's demo): the daemon then runs on, and the caller writes the error as one warning.
//! [`Account::take`] may not fail: what cannot be given up must not go near a packet.

use super::StartError;
use super::account::{self, Numbers};
use nix::errno::Errno;
use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid};
use std::io;

/// What the reference daemon asks for: all but never killed for want of memory.
const OOM_SCORE: &str = "-999";
/// What processes have that nobody has spared.
const ORDINARY_OOM_SCORE: &str = "0";

/// The account that the daemon runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    user: String,
    /// The user's number.
    pub uid: Uid,
    /// The group's number.
    pub gid: Gid,
    groups: Vec<Gid>,
}

/// Whether this process is root and has something to give up.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

impl Account {
    /// Looks names up (`site-user`, `site-group`); numbers are taken as they are. The name service may
    /// block: ask it before the event loop runs.
    ///
    /// # Errors
    /// Where there is no such user or group.
    pub fn resolve(user: &str, group: &str) -> Result<Account, StartError> {
        let Numbers { uid, gid, groups } = account::look_up(user, group)?;
        Ok(Account { user: user.to_owned(), uid, gid, groups })
    }

    /// Becomes this account, with the groups that it has, for good; sees that root does not come back.
    /// Where the process is not root there is nothing to give up, and nothing happens.
    ///
    /// # Errors
    /// Where a step is refused: the process must end.
    pub fn take(&self) -> Result<(), StartError> {
        if !is_root() {
            return Ok(());
        }
        let Account { user, uid, gid, groups } = self;
        let failed = |what: &'static str| {
            move |error: Errno| {
                let tried = format_args!("cannot become user {user} ({uid}), group {gid}: {what}");
                StartError::system(&tried, error)
            }
        };
        nix::unistd::setgroups(groups).map_err(failed("setgroups"))?;
        nix::unistd::setresgid(*gid, *gid, *gid).map_err(failed("setresgid"))?;
        nix::unistd::setresuid(*uid, *uid, *uid).map_err(failed("setresuid"))?;
        if uid.is_root() {
            return Ok(());
        }
        let root = Uid::from_raw(0);
        if nix::unistd::setuid(root).is_ok() || nix::unistd::seteuid(root).is_ok() {
            return Err(StartError(format!("became user {user} ({uid}), but root could be taken back")));
        }
        Ok(())
    }
}

/// Keeps what the process touches in memory, now and later, so that a machine that swaps does not
/// lose its tickets to a page that comes back too late.
///
/// Locked memory counts against RLIMIT_MEMLOCK once root is given up, and a stack or a heap that grows
/// beyond the limit then kills the process: so nothing is locked unless the limit can be raised first.
///
/// # Errors
/// Where the kernel refuses; nothing is locked then.
pub fn lock_memory() -> Result<(), StartError> {
    let refused = |call: &str, error: Errno| {
        let error = io::Error::from(error);
        StartError(format!(
            "memory is not locked and may be swapped out: {call}: {error}; needs CAP_SYS_RESOURCE, or \
             LimitMEMLOCK=infinity in a unit"
        ))
    };
    setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY)
        .map_err(|error| refused("setrlimit(RLIMIT_MEMLOCK)", error))?;
    lock_pages().map_err(|error| refused("mlockall", error))
}

/// MCL_ONFAULT: a page is locked when it is first touched. Without it, everything that is mapped
/// becomes resident: 4.2 MB instead of 2.0 MB for a program of this size. What it leaves open is a
/// page of the program that has never been touched.
fn lock_pages() -> Result<(), Errno> {
    let on_fault = MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE | on_fault)
}

/// Runs before ordinary processes: SCHED_RR at its highest priority, as the reference daemon does.
/// SCHED_RESET_ON_FORK: children (crm_ticket, handlers) are ordinary.
///
/// # Errors
/// Where the kernel refuses.
pub fn schedule_first() -> Result<(), StartError> {
    // SAFETY: no pointer; the call only reads its argument.
    let highest = unsafe { libc::sched_get_priority_max(libc::SCHED_RR) };
    let parameters = libc::sched_param { sched_priority: highest };
    // SAFETY: `parameters` is valid for the call; process 0 is this one.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &parameters) };
    Errno::result(result).map(drop).map_err(|error| {
        let error = io::Error::from(error);
        StartError(format!(
            "no real-time priority, a busy machine may delay renewals: SCHED_RR {highest}: {error}; needs CAP_SYS_NICE"
        ))
    })
}

/// Asks the OOM killer to look elsewhere. Children inherit it: see [`leave_to_oom_killer`].
///
/// # Errors
/// Where the kernel refuses.
pub fn spare_from_oom_killer() -> Result<(), StartError> {
    std::fs::write("/proc/self/oom_score_adj", OOM_SCORE).map_err(|error| {
        StartError(format!(
            "the OOM killer may choose this process: /proc/self/oom_score_adj {OOM_SCORE}: {error}; needs \
             CAP_SYS_RESOURCE"
        ))
    })
}

/// Takes that back for a child (its process number), so that a handler that eats all memory is not
/// spared with the daemon. Raising the value needs no privilege; where it is refused it was not lowered.
pub fn leave_to_oom_killer(child: rustix::process::Pid) {
    let _ = std::fs::write(format!("/proc/{}/oom_score_adj", child.as_raw_nonzero()), ORDINARY_OOM_SCORE);
}

/// Lets a crash leave a core dump, as the reference daemon does: the soft limit goes up to the hard
/// one, and the process, which giving root up has made undumpable, is dumpable again. To be called
/// after [`Account::take`]; /proc/PID is the account's again with it.
///
/// # Errors
/// Where the kernel refuses.
pub fn allow_core_dumps() -> Result<(), StartError> {
    let failed = |error: Errno| StartError::system(&"a crash will leave no core dump", error);
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE).map_err(failed)?;
    setrlimit(Resource::RLIMIT_CORE, hard, hard).map_err(failed)?;
    nix::sys::prctl::set_dumpable(true).map_err(failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::io::Write;

    #[test]
    fn locked_pages_cost_no_more_than_is_touched() {
        const UNTOUCHED_KB: u64 = 64 * 1024;
        let kilobytes = |field: &str| -> u64 {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with(field)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        // CAP_IPC_LOCK: bit 14 of the effective capabilities.
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
        if u64::from_str_radix(capabilities, 16).unwrap() & 1 << 14 == 0 {
            assert_ne!(std::env::var("BOOTH_LIVE_TESTS").as_deref(), Ok("require"), "needs CAP_IPC_LOCK");
            // Past the harness, which swallows what a passing test prints.
            let _ = io::stderr().write_all(b"SKIPPED locked_pages: it needs CAP_IPC_LOCK\n");
            return;
        }
        lock_pages().unwrap();
        let before = kilobytes("VmRSS:");
        let untouched: Vec<u8> = vec![0; UNTOUCHED_KB as usize * 1024];
        assert!(kilobytes("VmLck:") >= UNTOUCHED_KB, "future mappings are locked");
        assert!(kilobytes("VmRSS:") < before + UNTOUCHED_KB / 2, "and not made resident");
        drop(untouched);
        nix::sys::mman::munlockall().unwrap();
    }
}
