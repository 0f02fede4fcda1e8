//! The lock file: one daemon a configuration, and what `booth status` reads.
//!
//! The file is locked whole for writing by fcntl(2), as the reference daemon does it: each program
//! sees the other's lock, and the kernel drops it when the process ends, however it ends. Such a lock
//! belongs to the process and is lost when the process closes *any* descriptor of the file, and it is
//! not inherited by a child: so it is taken after the fork, held by the one descriptor in
//! [`LockFile`], and [`inspect`] is never called on it by its own holder.
//!
//! The directory may belong to the account that the daemon drops to while the file is opened as root:
//! a link is therefore not followed, and a file that has other names is refused.

use super::StartError;
use booth_core::member::SiteId;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::{Gid, Uid};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where lock files lie unless `-l` says otherwise.
pub const DIRECTORY: &str = "/var/run/booth";
/// The most bytes of a lock file that are read.
const MAX_CONTENT: u64 = 1024;
/// How often the file may be removed under our hands before we give up.
const ATTEMPTS: usize = 5;

/// Who holds the lock: what stands in the file.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `site`, `arbitrator`, or `kdump` for who is no member.
    pub kind: &'static str,
    /// The configuration's name.
    pub configuration: String,
    /// The member's number on the wire; 0: none.
    pub id: SiteId,
    /// The member's address.
    pub address: IpAddr,
    /// The port, of UDP and TCP.
    pub port: u16,
}

/// How far the daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not yet listening.
    Starting,
    /// Listening.
    Started,
}

/// The lock, and the file as long as it is held. Dropping it removes the file.
#[derive(Debug)]
pub struct LockFile {
    file: File,
    path: PathBuf,
    identity: Identity,
}

/// What a lock file tells somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspection {
    /// No process holds the lock.
    NotRunning,
    /// A process holds it.
    Running {
        /// Which (`booth_lockpid`); 0 where it is in another pid namespace.
        pid: i32,
        /// What stands in the file: `booth_pid=...`, one line without its end.
        line: String,
    },
}

/// `/var/run/booth/NAME.pid`.
pub fn default_path(configuration: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("{configuration}.pid"))
}

impl LockFile {
    /// Takes the lock and writes `booth_state=starting`. The file's directory is made where it is
    /// missing; it and the file are given to `owner`, where this process is root.
    ///
    /// # Errors
    /// Where another process holds it (its number is named), or the file cannot be made or written.
    pub fn acquire(path: &Path, identity: Identity, owner: Option<(Uid, Gid)>) -> Result<LockFile, StartError> {
        let owner = owner.filter(|_| Uid::effective().is_root());
        create_directory(path, owner)?;
        for _ in 0..ATTEMPTS {
            let file = open(path)?;
            lock(&file, path)?;
            // A daemon that was leaving may have removed the file between our open and our lock.
            if !is_at(&file, path) {
                continue;
            }
            if let Some((user, group)) = owner {
                nix::unistd::fchown(&file, Some(user), Some(group))
                    .map_err(|error| StartError::system(&format_args!("lock file {}: chown", path.display()), error))?;
            }
            let mut lock = LockFile { file, path: path.to_owned(), identity };
            lock.write(State::Starting)?;
            return Ok(lock);
        }
        Err(StartError(format!(
            "lock file {}: removed by another process {ATTEMPTS} times while it was being locked",
            path.display()
        )))
    }

    /// Says how far the daemon is.
    ///
    /// # Errors
    /// Where the file cannot be written: a full disk.
    pub fn write(&mut self, state: State) -> Result<(), StartError> {
        let line = content(std::process::id(), state, &self.identity);
        // First over the old text, then cut: a reader never finds the file empty.
        let written = self.file.write_all_at(line.as_bytes(), 0).and_then(|()| self.file.set_len(line.len() as u64));
        written.map_err(|error| StartError::system(&format_args!("lock file {}", self.path.display()), error))
    }

    /// Removes the file and gives the lock up. Where the directory no longer lets us remove it, it is
    /// left empty, so that it names no process that is gone.
    ///
    /// # Errors
    /// Where it could not be removed.
    pub fn release(mut self) -> io::Result<()> {
        self.remove()
    }

    fn remove(&mut self) -> io::Result<()> {
        // Not ours any more where somebody has removed it and another daemon has made its own.
        if !is_at(&self.file, &self.path) {
            return Ok(());
        }
        std::fs::remove_file(&self.path).inspect_err(|_| {
            let _ = self.file.set_len(0);
        })
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}

/// Who holds the lock of the file at `path`, if anybody. A missing file is held by nobody.
///
/// # Errors
/// Where it cannot be opened or read, in words that name it.
pub fn inspect(path: &Path) -> Result<Inspection, StartError> {
    let fail = |error: io::Error| StartError::system(&format_args!("lock file {}", path.display()), error);
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = match OpenOptions::new().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Inspection::NotRunning),
        Err(error) => return Err(fail(error)),
    };
    let Some(pid) = holder(&file).map_err(|error| fail(error.into()))? else {
        return Ok(Inspection::NotRunning);
    };
    let mut bytes = Vec::new();
    (&file).take(MAX_CONTENT).read_to_end(&mut bytes).map_err(fail)?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.lines().next().unwrap_or_default().to_owned();
    Ok(Inspection::Running { pid, line })
}

/// What `booth status` prints of a running daemon, without the line's end.
pub fn status_line(pid: i32, path: &Path, line: &str) -> String {
    format!("booth_lockpid={pid} booth_lockfile='{}' {line}", path.display())
}

fn content(pid: u32, state: State, identity: &Identity) -> String {
    let Identity { kind, configuration, id, address, port } = identity;
    let state = match state {
        State::Starting => "starting",
        State::Started => "started",
    };
    format!(
        "booth_pid={pid} booth_state={state} booth_type={kind} booth_cfg_name='{configuration}' booth_id={} \
         booth_addr_string='{address}' booth_port={port}\n",
        id.0
    )
}

fn create_directory(path: &Path, owner: Option<(Uid, Gid)>) -> Result<(), StartError> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) else {
        return Ok(());
    };
    let fail =
        |error: io::Error| StartError::system(&format_args!("lock file directory {}", directory.display()), error);
    match DirBuilder::new().mode(0o755).create(directory) {
        Ok(()) => match owner {
            Some((user, group)) => {
                nix::unistd::chown(directory, Some(user), Some(group)).map_err(|error| fail(error.into()))
            }
            None => Ok(()),
        },
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(fail(error)),
    }
}

fn open(path: &Path) -> Result<File, StartError> {
    let fail = |text: &dyn std::fmt::Display| StartError(format!("lock file {}: {text}", path.display()));
    // Nonblocking, so that a FIFO in its place cannot hold us up.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o644).custom_flags(flags.bits());
    let file = options.open(path).map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => fail(&"a symbolic link; expected a file: remove it or name another by -l"),
        _ => fail(&error),
    })?;
    let metadata = file.metadata().map_err(|error| fail(&error))?;
    // No other names: 0 is a file that was removed just now, which is seen to later.
    if !metadata.is_file() || metadata.nlink() > 1 {
        return Err(fail(&"expected a plain file with one name: remove it or name another by -l"));
    }
    Ok(file)
}

fn lock(file: &File, path: &Path) -> Result<(), StartError> {
    match fcntl(file, FcntlArg::F_SETLK(&whole_file())) {
        Ok(_) => Ok(()),
        Err(Errno::EACCES | Errno::EAGAIN) => {
            let holder = match holder(file) {
                Ok(Some(pid)) => format!("process {pid}"),
                _ => "a process that has just ended".to_owned(),
            };
            Err(StartError(format!(
                "lock file {} is locked by {holder}: a boothd is already running with this configuration; \
                 stop it, or name another lock file by -l",
                path.display()
            )))
        }
        Err(error) => Err(StartError::system(&format_args!("lock file {}: fcntl(F_SETLK)", path.display()), error)),
    }
}

/// The process that holds a lock which a write lock of ours would run into (F_GETLK).
fn holder(file: &File) -> Result<Option<i32>, Errno> {
    let mut lock = whole_file();
    fcntl(file, FcntlArg::F_GETLK(&mut lock))?;
    Ok((i32::from(lock.l_type) != libc::F_UNLCK).then_some(lock.l_pid.max(0)))
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Whether `path` still names this very file.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), std::fs::symlink_metadata(path)) {
        (Ok(held), Ok(named)) => identity(held) == identity(named),
        _ => false,
    }
}
