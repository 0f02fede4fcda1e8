//! Tells the service manager how far the process is (sd_notify(3)): one datagram to the socket that
//! `NOTIFY_SOCKET` names, by path or, with a leading `@`, in the abstract space. Without the variable
//! nothing happens. Never waits. The environment is left as it is.

use booth_core::time::{Instant, Millis};
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Who is told.
#[derive(Debug)]
pub struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    /// The one that the environment names, or nobody.
    ///
    /// # Errors
    /// Where `NOTIFY_SOCKET` is neither an absolute path nor `@NAME`, or is too long for a socket.
    pub fn from_environment() -> io::Result<Notifier> {
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(name) if !name.is_empty() => Notifier::to(&name),
            _ => Ok(Notifier { to: None }),
        }
    }

    /// The one that listens at `name`, written as in `NOTIFY_SOCKET`.
    ///
    /// # Errors
    /// As [`Notifier::from_environment`].
    pub fn to(name: &OsStr) -> io::Result<Notifier> {
        let address = match name.as_bytes() {
            [b'@', abstract_name @ ..] => SocketAddr::from_abstract_name(abstract_name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => {
                let text = format!("NOTIFY_SOCKET={}: neither an absolute path nor @NAME", name.display());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Notifier { to: Some((socket, address)) })
    }

    /// The sockets are bound and the lock file is written; `status` is one line for people.
    ///
    /// # Errors
    /// As send(2): worth a warning, no more.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        // The process id, because with fork-and-detach it is not the one that the manager started.
        self.send(&format!("READY=1\nMAINPID={}\nSTATUS={}", std::process::id(), one_line(status)))
    }

    /// What the process is doing, in one line for people.
    ///
    /// # Errors
    /// As [`Notifier::ready`].
    pub fn status(&self, status: &str) -> io::Result<()> {
        self.send(&format!("STATUS={}", one_line(status)))
    }

    /// The process is about to leave.
    ///
    /// # Errors
    /// As [`Notifier::ready`].
    pub fn stopping(&self) -> io::Result<()> {
        self.send("STOPPING=1")
    }

    fn send(&self, text: &str) -> io::Result<()> {
        match &self.to {
            Some((socket, address)) => socket.send_to_addr(text.as_bytes(), address).map(|_| ()),
            None => Ok(()),
        }
    }
}

/// Tells the service manager again and again that the process lives, where it wants to hear that: one that is
/// silent for `WATCHDOG_USEC` is killed (sd_watchdog_enabled(3)).
#[derive(Debug)]
pub struct Watchdog {
    notifier: Notifier,
    /// Half of the time after which it would be killed.
    every: Millis,
    next: Instant,
}

impl Watchdog {
    /// The one that the environment asks of this process; `None`: nobody waits for a sign of life.
    ///
    /// # Errors
    /// As [`Notifier::from_environment`].
    pub fn from_environment(now: Instant) -> io::Result<Option<Watchdog>> {
        let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let Some(micros) = number("WATCHDOG_USEC").filter(|micros| ours && *micros > 0) else { return Ok(None) };
        let notifier = Notifier::from_environment()?;
        Ok(Some(Watchdog { notifier, every: Millis((micros / 2_000).max(1)), next: now }))
    }

    /// When [`Watchdog::feed`] must be called again.
    pub fn next_deadline(&self) -> Instant {
        self.next
    }

    /// Gives the sign of life that is due. A manager that cannot be reached will not be reached by words either.
    pub fn feed(&mut self, now: Instant) {
        if now >= self.next {
            let _ = self.notifier.send("WATCHDOG=1");
            self.next = now + self.every;
        }
    }
}

/// A newline would start a variable of its own.
fn one_line(status: &str) -> String {
    status.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::ffi::OsString;

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 512];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    #[test]
    fn a_manager_behind_a_path_is_told() {
        let directory = std::env::temp_dir().join(format!("booth-notify-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let path = directory.join("notify");
        let _ = std::fs::remove_file(&path);
        let manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str()).unwrap();
        notifier.ready("3 tickets\nMAINPID=1").unwrap();
        let pid = std::process::id();
        assert_eq!(received(&manager), format!("READY=1\nMAINPID={pid}\nSTATUS=3 tickets MAINPID=1"));
        notifier.stopping().unwrap();
        assert_eq!(received(&manager), "STOPPING=1");
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_manager_in_the_abstract_space_is_told_and_a_full_or_absent_one_is_not_waited_for() {
        let name = format!("booth-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notifier = Notifier::to(&OsString::from(format!("@{name}"))).unwrap();
        notifier.status("idle").unwrap();
        assert_eq!(received(&manager), "STATUS=idle");
        let refused = (0..100_000).find_map(|_| notifier.status("again").err()).unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(manager);
        assert_eq!(notifier.stopping().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn names_that_are_no_socket_are_refused() {
        assert!(Notifier::to(OsStr::new("relative/path")).is_err());
        assert!(Notifier::to(OsStr::new(&format!("/{}", "x".repeat(200)))).is_err());
        assert!(Notifier::to(OsStr::new(&format!("@{}", "x".repeat(200)))).is_err());
    }
}
