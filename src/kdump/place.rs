//! Where a listener for dumping nodes is found by those who know its port alone.
//!
//! The control socket of a daemon lies beside its lock file, whose name is the configuration's. An agent
//! knows no configuration: for it there is a link with the port in its name, [`socket`], which leads to the
//! control socket of the daemon that listens at that port. Where none does, `fence_kdump` makes a socket of
//! that name itself. A link that leads nowhere is as good as none.

use crate::control;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// Where listeners are found unless somebody says otherwise: beside the lock files.
pub const DIRECTORY: &str = crate::process::lockfile::DIRECTORY;

/// What a stand-in answers that leaves.
pub const LEAVING: &str = "leaving\n";
/// How long a stand-in may take to leave.
const CLAIM: Duration = Duration::from_secs(2);
/// How long to wait before it is looked for again.
const PAUSE: Duration = Duration::from_millis(20);

/// The link; removed with this value.
#[derive(Debug)]
pub struct Link {
    path: PathBuf,
    target: PathBuf,
}

/// The name under which the listener at this port is found in a directory.
pub fn socket(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!("fence_kdump-{port}.ctl"))
}

/// Has an agent that stands in for a listener leave its port, and waits until it has. Where there is none, or it is
/// no stand-in, nothing happens: the port tells.
pub fn claim(directory: &Path, port: u16) {
    let socket = socket(directory, port);
    let since = Instant::now();
    // Whether a stand-in has left shows when nobody answers any more.
    while since.elapsed() < CLAIM && control::ask(&socket, "kdump leave", CLAIM).is_ok_and(|word| word == LEAVING) {
        thread::sleep(PAUSE);
    }
}

impl Link {
    /// Leads those who look for the listener at this port to a control socket in the same directory.
    ///
    /// # Errors
    /// As symlink(2) and rename(2).
    pub fn make(control: &Path, port: u16) -> io::Result<Link> {
        let directory = control.parent().unwrap_or(Path::new("."));
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
