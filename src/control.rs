//! The control socket of `boothctl`: what the booth protocol has no words for.
//!
//! A Unix stream socket for owner and group. The protocol is one line each way: the request is one
//! of [`REQUESTS`] or [`crate::kdump::request`]'s and a newline, the answer is text up to the end of the stream.
//! Connections have the same limits as those over TCP.

use crate::kdump::request::LONGEST_WAIT;
use crate::net::connection::{Framing, Requests};
use booth_core::time::Millis;
use mio::net::UnixListener;
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen};
use std::fmt;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest request, newline included: a wait for as many nodes as may be, with the longest names and addresses.
pub const LONGEST_LINE: usize = 4 << 10;
/// Requests are lines.
pub const LINES: Requests = Requests { framing, longest: LONGEST_LINE };
/// How long a request may be in somebody's hands. All but a wait for dumping nodes are answered at once.
pub const PATIENCE: Millis = Millis(LONGEST_WAIT.0 + 60_000);
/// The answer to `version`.
pub const VERSION_LINE: &str = concat!("boothd ", env!("CARGO_PKG_VERSION"), "\n");
/// The longest answer that is read, in bytes: some hundred for each of the most tickets.
const MAX_ANSWER: usize = 4 << 20;
/// What may be asked.
pub const REQUESTS: [(&str, Request); 4] =
    [("status", Request::Status), ("stats", Request::Stats), ("peers", Request::Peers), ("version", Request::Version)];

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The state of all tickets, with their margins.
    Status,
    /// All counters.
    Stats,
    /// As the `peers` of the booth protocol.
    Peers,
    /// The version of this program.
    Version,
}

/// The control socket's file; removed with this value.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    inode: u64,
}

/// Why there is no control socket.
#[derive(Debug)]
pub enum ControlError {
    /// Somebody answers there.
    InUse(PathBuf),
    /// Something else is there.
    NotASocket(PathBuf),
    /// The system refused.
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

/// The control socket of the daemon with this lock file: beside it, as `NAME.ctl`. So whoever can name
/// the one can name the other; by default that is `/var/run/booth/NAME.ctl`.
pub fn path_beside(lock_file: &Path) -> PathBuf {
    match lock_file.extension() {
        Some(extension) if extension != "ctl" => lock_file.with_extension("ctl"),
        _ => {
            let mut name = lock_file.as_os_str().to_owned();
            name.push(".ctl");
            PathBuf::from(name)
        }
    }
}

/// A line is a request; one that is too long never will be.
pub fn framing(bytes: &[u8]) -> Framing {
    match bytes.iter().take(LONGEST_LINE).position(|byte| *byte == b'\n') {
        Some(end) => Framing::Whole(end + 1),
        None if bytes.len() < LONGEST_LINE => Framing::Partial,
        None => Framing::Bad(LONGEST_LINE),
    }
}

/// The request in a line.
pub fn parse(line: &[u8]) -> Option<Request> {
    let word = line.trim_ascii();
    REQUESTS.iter().find(|(name, _)| name.as_bytes() == word).map(|(_, request)| *request)
}

/// The answer to a line that is no request.
pub fn complain(out: &mut String) {
    out.push_str("unknown request; expected one of:");
    for (name, _) in REQUESTS {
        out.push(' ');
        out.push_str(name);
    }
    out.push('\n');
}

/// Listens at `path`, for `owner` (user and group id; `None`: whoever we are) only. A socket that
/// nobody answers on is replaced.
///
/// # Errors
/// Where somebody answers, something else is there, or the system refuses.
pub fn open(path: &Path, owner: Option<(u32, u32)>) -> Result<(UnixListener, SocketFile), ControlError> {
    let error = |doing| move |source: io::Error| ControlError::Io { doing, path: path.to_owned(), source };
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty() && !directory.exists())
    {
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(error("create the directory of"))?;
        if let Some((user, group)) = owner {
            chown(directory, Some(user), Some(group)).map_err(error("give away the directory of"))?;
        }
    }
    remove_stale(path)?;
    let address = UnixAddr::new(path).map_err(|source| error("name")(source.into()))?;
    let socket = new_socket().map_err(error("create"))?;
    bind(socket.as_raw_fd(), &address).map_err(|source| error("bind")(source.into()))?;
    // Nobody can connect before listen(2), so nobody comes in before the mode is set.
    fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(error("set the mode of"))?;
    if let Some((user, group)) = owner {
        chown(path, Some(user), Some(group)).map_err(error("give away"))?;
    }
    listen(&socket, Backlog::MAXCONN).map_err(|source| error("listen at")(source.into()))?;
    let inode = fs::symlink_metadata(path).map_err(error("look at"))?.ino();
    let listener = UnixListener::from_std(socket.into());
    Ok((listener, SocketFile { path: path.to_owned(), inode }))
}

/// Asks the daemon at `path`, as its client, and reads all that it answers.
///
/// A daemon that is frozen still has a queue for those who connect, until that is full: whoever waits for a
/// place in it may wait for ever, so nobody does.
///
/// # Errors
/// Where nobody listens there, or the whole answer has not come within `patience` (`TimedOut`, `WouldBlock`).
pub fn ask(path: &Path, request: &str, patience: Duration) -> io::Result<String> {
    let since = Instant::now();
    let left = || match patience.checked_sub(since.elapsed()) {
        Some(left) if !left.is_zero() => Ok(left),
        _ => Err(io::Error::from(io::ErrorKind::TimedOut)),
    };
    let mut stream = connect(path)?;
    stream.set_write_timeout(Some(left()?))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(String::from_utf8_lossy(&answer).into_owned()),
            Ok(count) if answer.len() + count <= MAX_ANSWER => answer.extend_from_slice(&buffer[..count]),
            Ok(_) => return Err(io::Error::other(format!("the answer is longer than {MAX_ANSWER} bytes"))),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Connects to the daemon at `path`, without waiting for a place in its queue.
///
/// # Errors
/// Where nobody listens there, or its queue is full.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let address = UnixAddr::new(path)?;
    let socket = new_socket()?;
    socket::connect(socket.as_raw_fd(), &address)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(stream)
}

fn new_socket() -> io::Result<std::os::fd::OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?)
}

/// Removes a socket that a daemon left behind; touches nothing else.
fn remove_stale(path: &Path) -> Result<(), ControlError> {
    let error = |doing| move |source: io::Error| ControlError::Io { doing, path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(ControlError::NotASocket(path.to_owned())),
        Ok(_) => {}
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(error("look at")(source)),
    }
    let address = UnixAddr::new(path).map_err(|source| error("name")(source.into()))?;
    let socket = new_socket().map_err(error("create"))?;
    match socket::connect(socket.as_raw_fd(), &address) {
        Err(nix::errno::Errno::ECONNREFUSED) => fs::remove_file(path).map_err(error("remove the stale")),
        // It accepts, or has a full queue: somebody is there.
        _ => Err(ControlError::InUse(path.to_owned())),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Only what is ours; where the directory no longer is, the next start removes it.
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlError::InUse(path) => {
                write!(f, "control socket {}: another daemon answers there; stop it first", path.display())
            }
            ControlError::NotASocket(path) => {
                write!(f, "control socket {}: something else is there; expected nothing or a socket", path.display())
            }
            ControlError::Io { doing, path, source } => {
                write!(f, "cannot {doing} control socket {}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for ControlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ControlError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("booth-control-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn a_request_is_a_line_of_limited_length() {
        assert_eq!(framing(b"stat"), Framing::Partial);
        assert_eq!(framing(b"status\nrest"), Framing::Whole(7));
        assert_eq!(framing(&[b'x'; LONGEST_LINE - 1]), Framing::Partial);
        assert_eq!(framing(&[b'x'; LONGEST_LINE]), Framing::Bad(LONGEST_LINE));
        assert_eq!(parse(b"status\r\n"), Some(Request::Status));
        assert_eq!(parse(b"statu\n"), None);
        assert_eq!(parse(b"\xff\n"), None);
    }

    #[test]
    fn the_socket_is_for_owner_and_group_and_goes_with_its_daemon() {
        let directory = directory("mode");
        let path = directory.join("new").join("x.ctl");
        let (listener, file) = open(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        UnixStream::connect(&path).unwrap();
        drop((listener, file));
        assert!(!path.exists());
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let directory = directory("stale");
        let path = directory.join("x.ctl");
        let (listener, file) = open(&path, None).unwrap();
        assert!(matches!(open(&path, None), Err(ControlError::InUse(_))));
        std::mem::forget(file);
        drop(listener);
        assert!(path.exists());
        let second = open(&path, None).unwrap();
        drop(second);
        fs::remove_dir_all(directory).unwrap();
    }

    /// A frozen daemon's queue once took every client until it was full; the next one then hung for ever.
    #[test]
    fn nobody_waits_longer_than_its_patience_for_a_daemon_that_does_not_accept() {
        let directory = directory("frozen");
        let path = directory.join("x.ctl");
        let socket = new_socket().unwrap();
        bind(socket.as_raw_fd(), &UnixAddr::new(&path).unwrap()).unwrap();
        listen(&socket, Backlog::new(1).unwrap()).unwrap();
        let begun = Instant::now();
        for _ in 0..8 {
            let error = ask(&path, "version", Duration::from_millis(20)).unwrap_err();
            assert!(matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock), "{error}");
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        drop(socket);
        assert_eq!(ask(&path, "version", Duration::from_secs(5)).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let directory = directory("file");
        let path = directory.join("x.ctl");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(open(&path, None), Err(ControlError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        fs::remove_dir_all(directory).unwrap();
    }
}
