//! Where lines go: stderr or syslogd, and neither is ever waited for.
//!
//! **syslog.** One nonblocking unbound datagram socket; each line is sent to the address of
//! `/dev/log`, so a syslogd that restarts is found again with no state to repair. (The `syslog`
//! crate's socket blocks while syslogd's queue is full, and so does that of syslog(3), which then
//! writes to the console.) The format is the one
//! that local daemons use: `<PRI>TAG[PID]: text`, the header of RFC 3164 without its time, which
//! every syslogd and journald sets itself.
//!
//! **stderr** is shared with whoever started the process. O_NONBLOCK belongs to the open file
//! description and not to the descriptor, so setting it would make the starter's shell and every
//! other program on the terminal nonblocking. Hence, by what stderr is (fstat(2)):
//! - a pipe or a terminal is opened a second time through `/proc/self/fd/2` with O_NONBLOCK: our own
//!   description of the same thing. Where that is refused, poll(2) is asked before each write: a pipe
//!   that is writable takes PIPE_BUF bytes, and a line is shorter. (Another writer that fills the pipe
//!   between the two calls could still hold us up: this is the second best.)
//! - a socket is written to with MSG_DONTWAIT. Where it is systemd's journal (JOURNAL_STREAM, systemd.exec(5)),
//!   which knows time, name and process, a line begins with its priority alone (sd-daemon(3)).
//! - a file or a device is written to plainly: it does not wait for a reader, and a full disk is an
//!   error like any other.

use super::Level;
use super::line::{Line, MAX_LINE};
use crate::clock::{self, LocalTime};
use booth_core::time::WallTime;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::MsgFlags;
use nix::sys::stat::SFlag;
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where syslogd listens.
pub const SYSLOG_SOCKET: &str = "/dev/log";
/// syslog's facility `daemon` (RFC 5424, section 6.2.1), shifted to its place in a priority.
const FACILITY_DAEMON: u8 = 3 << 3;
/// Room for `boothd-arbitrator` and what else a process may be called.
const MAX_TAG: usize = 32;

// What poll(2) promises of a writable pipe is room for PIPE_BUF (4096) bytes.
const _: () = assert!(MAX_LINE <= libc::PIPE_BUF);

/// Where lines go. Make it after the fork: it holds the number of the process that made it.
#[derive(Debug)]
pub struct Destination {
    tag: heapless::String<MAX_TAG>,
    process: u32,
    channel: Channel,
    /// The end of the last line was not taken: the next one starts with a newline.
    torn: bool,
}

#[derive(Debug)]
enum Channel {
    Syslog {
        socket: UnixDatagram,
        address: SocketAddr,
    },
    /// Never waits: our own nonblocking description, or a file or device.
    Plain(OwnedFd),
    /// May wait: asked before each write.
    Polled(OwnedFd),
    Socket(OwnedFd),
    /// A socket of systemd's journal.
    Journal(OwnedFd),
}

impl Destination {
    /// syslogd, as it listens at [`SYSLOG_SOCKET`]; whether it does is seen at each line. `tag` is what
    /// the process is called there, at most 32 bytes of it.
    ///
    /// # Errors
    /// Where no socket can be made.
    pub fn syslog(tag: &str) -> io::Result<Destination> {
        Destination::syslog_at(OsStr::new(SYSLOG_SOCKET), tag)
    }

    /// As [`Destination::syslog`], with another path.
    ///
    /// # Errors
    /// Where no socket can be made or the path is too long for one.
    pub fn syslog_at(path: &OsStr, tag: &str) -> io::Result<Destination> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let address = SocketAddr::from_pathname(path)?;
        Ok(Destination::new(tag, Channel::Syslog { socket, address }))
    }

    /// This process's stderr. Call it before privileges are dropped: a pipe of root's may not be
    /// opened again afterwards.
    ///
    /// # Errors
    /// Where stderr is closed.
    pub fn stderr(tag: &str) -> io::Result<Destination> {
        Destination::stream(io::stderr().as_fd().try_clone_to_owned()?, tag)
    }

    /// As [`Destination::stderr`], for any descriptor.
    ///
    /// # Errors
    /// Where fstat(2) refuses it.
    pub fn stream(stream: OwnedFd, tag: &str) -> io::Result<Destination> {
        Destination::stream_beside(stream, tag, std::env::var("JOURNAL_STREAM").ok().as_deref())
    }

    /// As [`Destination::stream`]; `journal` is `DEVICE:INODE` of the journal's socket, as systemd says it.
    ///
    /// # Errors
    /// Where fstat(2) refuses it.
    pub fn stream_beside(stream: OwnedFd, tag: &str, journal: Option<&str>) -> io::Result<Destination> {
        let status = nix::sys::stat::fstat(&stream)?;
        let kind = SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits());
        let channel = if kind == SFlag::S_IFSOCK {
            match journal == Some(&format!("{}:{}", status.st_dev, status.st_ino)) {
                true => Channel::Journal(stream),
                false => Channel::Socket(stream),
            }
        } else if kind == SFlag::S_IFIFO || nix::unistd::isatty(&stream).unwrap_or(false) {
            match open_again(&stream) {
                Ok(own) => Channel::Plain(own),
                Err(_) => Channel::Polled(stream),
            }
        } else {
            Channel::Plain(stream)
        };
        Ok(Destination::new(tag, channel))
    }

    fn new(tag: &str, channel: Channel) -> Destination {
        // The zone file is read now, not at the first line.
        clock::local_time(WallTime(0));
        let mut own = heapless::String::new();
        for character in tag.chars() {
            let _ = own.push(character);
        }
        Destination { tag: own, process: std::process::id(), channel, torn: false }
    }

    /// Starts a line with what this destination wants in front.
    pub(super) fn start_line(&self, line: &mut Line, wall: WallTime, level: Level) {
        let Destination { tag, process, .. } = self;
        line.clear();
        match self.channel {
            Channel::Syslog { .. } => {
                let priority = FACILITY_DAEMON | level as u8;
                line.append(format_args!("<{priority}>{tag}[{process}]: {}: ", level.name()));
            }
            Channel::Journal(_) => line.append(format_args!("<{}>{}: ", level as u8, level.name())),
            Channel::Plain(_) | Channel::Polled(_) | Channel::Socket(_) => {
                let time: LocalTime = clock::local_time(wall);
                let millis = wall.0 / 1000 % 1000;
                line.append(format_args!("{time}.{millis:03} {tag}[{process}]: {}: ", level.name()));
            }
        }
    }

    /// Hands a line over; false where it was not taken, wholly or in part.
    pub(super) fn take(&mut self, line: &mut Line) -> bool {
        match &self.channel {
            Channel::Syslog { socket, address } => {
                return socket.send_to_addr(line.as_bytes(), address).is_ok();
            }
            Channel::Plain(_) | Channel::Polled(_) | Channel::Socket(_) | Channel::Journal(_) => line.end(),
        }
        if self.torn && self.write(b"\n") != Ok(1) {
            return false;
        }
        self.torn = false;
        match self.write(line.as_bytes()) {
            Ok(count) if count == line.as_bytes().len() => true,
            Ok(count) => {
                self.torn = count > 0;
                false
            }
            Err(_) => false,
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        match &self.channel {
            Channel::Syslog { .. } => Err(Errno::EBADF),
            Channel::Plain(stream) => nix::unistd::write(stream, bytes),
            Channel::Socket(stream) | Channel::Journal(stream) => {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                nix::sys::socket::send(stream.as_raw_fd(), bytes, flags)
            }
            Channel::Polled(stream) => {
                let mut asked = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
                nix::poll::poll(&mut asked, PollTimeout::ZERO)?;
                match asked[0].revents() {
                    Some(events) if events.contains(PollFlags::POLLOUT) => nix::unistd::write(stream, bytes),
                    _ => Err(Errno::EAGAIN),
                }
            }
        }
    }
}

/// A nonblocking description of our own for the pipe or terminal behind `stream`.
fn open_again(stream: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
    Ok(OpenOptions::new().write(true).custom_flags(flags.bits()).open(path)?.into())
}
