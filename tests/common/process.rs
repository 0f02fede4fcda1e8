//! Programs as they are started on a host: Debian's and ours, daemons and short commands.

use super::scratch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Debian's daemon and client are one program.
pub const REFERENCE_DAEMON: &str = "/usr/sbin/boothd";

/// No short command may run longer; the longest one waits for an election and a commit.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);

/// Whose program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Debian's `booth`.
    Reference,
    /// This project's.
    Ours,
}

impl Program {
    /// Path of the daemon.
    pub fn daemon(self) -> &'static str {
        match self {
            Program::Ours if !stand_in() => env!("CARGO_BIN_EXE_boothd"),
            _ => REFERENCE_DAEMON,
        }
    }

    /// Path of the client.
    pub fn client(self) -> &'static str {
        match self {
            Program::Ours if !stand_in() => env!("CARGO_BIN_EXE_boothctl"),
            _ => REFERENCE_DAEMON,
        }
    }

    /// Whether it is this project's code that runs, and not the reference in its place.
    pub fn is_ours(self) -> bool {
        self == Program::Ours && !stand_in()
    }
}

/// `BOOTH_LAB_OURS=reference` runs Debian's program in our place, which proves the lab itself.
fn stand_in() -> bool {
    std::env::var("BOOTH_LAB_OURS").as_deref() == Ok("reference")
}

/// How a short command ended.
#[derive(Debug)]
pub struct Outcome {
    /// Exit status; none where a signal ended it.
    pub status: Option<i32>,
    /// All that it printed.
    pub stdout: String,
    /// All that it complained about.
    pub stderr: String,
}

/// Runs a command that prints little, to its end or its limit.
pub fn run(command: &mut Command) -> Result<Outcome, String> {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| format!("{command:?}: {error}"))?;
    let end = Instant::now() + COMMAND_LIMIT;
    let status = loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) => break status,
            None if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            None => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{command:?}: still running after {COMMAND_LIMIT:?}"));
            }
        }
    };
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child.stdout.take().expect("piped").read_to_string(&mut stdout).map_err(|error| error.to_string())?;
    child.stderr.take().expect("piped").read_to_string(&mut stderr).map_err(|error| error.to_string())?;
    Ok(Outcome { status: status.code(), stdout, stderr })
}

/// A daemon that is killed when dropped.
pub struct Daemon {
    child: Child,
}

impl Daemon {
    /// Starts it in the foreground, its messages appended to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let log = File::options().create(true).append(true).open(log).expect("log file");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("log file")).stderr(log);
        Daemon { child: command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")) }
    }

    /// Its process number: what starts it replaces itself by it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().try_into().expect("a pid")), signal).expect("own child");
    }

    /// Exit status when it has ended by itself.
    pub fn ended(&mut self) -> Option<String> {
        self.child.try_wait().expect("own child").map(|status| status.to_string())
    }

    /// Ends it with SIGTERM, and with SIGKILL after five seconds. Whether SIGTERM was enough.
    pub fn terminate(mut self) -> bool {
        self.signal(Signal::SIGTERM);
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if self.ended().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The shared object that Debian's booth 1.0 needs on newer kernels, compiled once.
pub fn netlink_shim() -> &'static [u8] {
    static SHIM: OnceLock<Vec<u8>> = OnceLock::new();
    SHIM.get_or_init(|| compiled("netlink_done"))
}

/// The shared object that steps the wall clock of one host's daemon and clients, compiled once.
pub fn clock_shim() -> &'static [u8] {
    static SHIM: OnceLock<Vec<u8>> = OnceLock::new();
    SHIM.get_or_init(|| compiled("step_clock"))
}

fn compiled(name: &str) -> Vec<u8> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common").join(name).with_extension("c");
    let object = scratch::directory(name).join("shim.so");
    let arguments = ["-shared", "-fPIC", "-O2", "-o"].map(OsStr::new);
    let compiled = run(Command::new("/usr/bin/gcc").args(arguments).arg(&object).arg(&source)).expect("gcc runs");
    assert_eq!(compiled.status, Some(0), "gcc: {}", compiled.stderr);
    let bytes = std::fs::read(&object).expect("compiled shim");
    let _ = std::fs::remove_dir_all(object.parent().expect("a directory"));
    bytes
}
