//! A directory with a configuration, and commands run from there.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The members of every configuration here; the client takes the first one for its own, as all are
/// equally near on the loopback interface.
pub const SITE: &str = "127.0.61.1";
pub const OTHER_SITE: &str = "127.0.61.2";
pub const ARBITRATOR: &str = "127.0.61.3";
/// `timeout` of the tickets, as a message has it.
pub const TIMEOUT: &str = "300ms";

/// A directory of its own, removed in the end.
pub struct Place {
    pub path: PathBuf,
}

/// How a command has ended.
#[derive(Debug)]
pub struct Ended {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Place { path }
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Writes a configuration: two sites, an arbitrator, this port, these lines.
    pub fn config(&self, port: u16, lines: &str) -> String {
        let members = format!("site = {SITE}\nsite = {OTHER_SITE}\narbitrator = {ARBITRATOR}\n");
        self.file("test.conf", format!("port = {port}\n{members}{lines}"))
    }

    /// Writes a configuration with one ticket, T.
    pub fn one_ticket(&self, port: u16) -> String {
        self.config(port, &ticket("T"))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The lines of a ticket with short times.
pub fn ticket(name: &str) -> String {
    format!("ticket = {name}\n  expire = 4\n  timeout = 300ms\n  retries = 3\n")
}

pub fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse::<IpAddr>().unwrap(), port)
}

/// The command that the program is when called by this name.
pub fn command(name: &str, arguments: &[&str]) -> Command {
    let executable = if name == "boothctl" { env!("CARGO_BIN_EXE_boothctl") } else { env!("CARGO_BIN_EXE_boothd") };
    let mut command = Command::new(executable);
    command.arg0(name).args(arguments).stdin(Stdio::null());
    command
}

/// Runs the program under a name.
pub fn run(name: &str, arguments: &[&str]) -> Ended {
    ended(&mut command(name, arguments))
}

pub fn ended(command: &mut Command) -> Ended {
    let output = command.output().unwrap();
    Ended {
        status: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ended {
    /// Asserts exit status, stdout and stderr.
    #[track_caller]
    pub fn is(&self, status: i32, out: &str, err: &str) {
        assert_eq!((self.status, self.out.as_str(), self.err.as_str()), (Some(status), out, err));
    }

    /// Asserts the exit status, an empty stdout, and that stderr has this text in it.
    #[track_caller]
    pub fn fails_with(&self, status: i32, err: &str) {
        assert_eq!(self.status, Some(status), "{self:?}");
        assert!(self.err.contains(err) && self.out.is_empty(), "expected {err:?} on stderr, got {self:?}");
    }
}
