//! Where a listener for dumping nodes is found by those who know its port alone.
//!
//! The control socket of a daemon lies beside its lock file, whose name is the configuration's. An agent
//! knows no configuration: for it there is a link with the port in its name, [`socket`], which leads to the
//! control socket of the daemon that listens at that port. Where none does, `fence_kdump` makes a socket of
//! that name itself. A link that leads nowhere is as good as none. A lock says whether an agent may do that:
//! [`lock_file`]. Who may have the port if several want it is said in [`super::port`].

use super::port::Rank;
use crate::control;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Where listeners are found unless somebody says otherwise: beside the lock files.
pub const DIRECTORY: &str = crate::process::lockfile::DIRECTORY;

/// What a listener answers that leaves its port.
pub const LEAVING: &str = "leaving\n";
/// How long a listener may take to leave its port.
const CLAIM: Duration = Duration::from_secs(2);
/// How long to wait before it is looked for again.
const PAUSE: Duration = Duration::from_millis(20);

/// The link; removed with this value.
#[derive(Debug)]
pub struct Link {
    path: PathBuf,
    target: PathBuf,
}

/// The directory in which a listener with this control socket is found.
pub fn directory(control: &Path) -> &Path {
    control.parent().unwrap_or(Path::new("."))
}

/// The name under which the listener at this port is found in a directory.
pub fn socket(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!("fence_kdump-{port}.ctl"))
}

/// The file whose lock keeps those apart who may take the port: shared by all listeners that stay, whether they have
/// the port or wait for it, else with one agent that stands in for them. It stays: were it removed, two could hold
/// locks on two files of one name.
///
/// # Errors
/// As open(2).
pub fn lock_file(directory: &Path, port: u16) -> io::Result<File> {
    let path = directory.join(format!("fence_kdump-{port}.lock"));
    let flags = libc::O_NOFOLLOW;
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path)
}

/// The request to leave the port to one of this rank.
pub fn leave_line(rank: Rank) -> String {
    format!("kdump leave {}\n", rank.word())
}

/// Has a listener of a lower rank leave its port, and waits until it has. Where there is none nothing happens: the
/// port tells. From now on no agent stands in while this lock is held.
pub fn claim(directory: &Path, port: u16, rank: Rank, lock: Option<&File>) {
    let socket = socket(directory, port);
    let line = leave_line(rank);
    let since = Instant::now();
    while since.elapsed() < CLAIM {
        // One that has left is not found here any more.
        let left = !control::ask(&socket, line.trim_end(), CLAIM).is_ok_and(|word| word == LEAVING);
        let alone = lock.is_none_or(|lock| lock.try_lock_shared().is_ok());
        if left && alone {
            return;
        }
        thread::sleep(PAUSE);
    }
}

impl Link {
    /// Leads those who look for the listener at this port to a control socket in the same directory.
    ///
    /// # Errors
    /// As symlink(2) and rename(2).
    pub fn make(control: &Path, port: u16) -> io::Result<Link> {
        let directory = directory(control);
        let path = socket(directory, port);
        let target = PathBuf::from(control.file_name().unwrap_or_default());
        // Replaced in one step: whoever looks finds the old one or the new one.
        let fresh = directory.join(format!(".fence_kdump-{port}.{}", std::process::id()));
        let _ = fs::remove_file(&fresh);
        symlink(&target, &fresh)?;
        fs::rename(&fresh, &path).inspect_err(|_| drop(fs::remove_file(&fresh)))?;
        Ok(Link { path, target })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // Only what is ours; where the directory no longer is, it leads nowhere and does no harm.
        if fs::read_link(&self.path).is_ok_and(|target| target == self.target) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_link_replaces_one_that_was_left_behind_and_goes_only_if_it_is_ours() {
        let directory = std::env::temp_dir().join(format!("booth-kdump-place-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = socket(&directory, 7410);
        symlink("gone.ctl", &path).unwrap();
        let first = Link::make(&directory.join("a.ctl"), 7410).unwrap();
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("a.ctl"));
        let second = Link::make(&directory.join("b.ctl"), 7410).unwrap();
        drop(first);
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("b.ctl"));
        drop(second);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        fs::remove_dir(directory).unwrap();
    }
}
