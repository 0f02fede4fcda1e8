//! What the tests share: the sender, built as for the packages; somebody who listens; hosts that are namespaces.

use super::live;
use super::patience::PATIENCE;
use super::sender::build;
pub use super::sender::sender;
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The sender for the other architecture; skips the test where it cannot be built.
#[track_caller]
pub fn foreign_sender(test: &str) -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| build(foreign()));
    if built.is_none() {
        live::skip(test, "no compiler for the other architecture, here or in Debian's archive");
    }
    built.as_deref()
}

/// The architecture that this machine does not have.
pub fn foreign() -> &'static str {
    if std::env::consts::ARCH == "x86_64" { "aarch64" } else { "x86_64" }
}

/// A started program, which ends with this value.
pub struct Running {
    child: Child,
    errors: BufReader<Box<dyn Read>>,
}

impl Running {
    /// Starts it with both outputs piped.
    pub fn start(command: &mut Command) -> Running {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let errors = BufReader::new(Box::new(child.stderr.take().unwrap()) as Box<dyn Read>);
        Running { child, errors }
    }

    /// Waits for a line on standard error that holds this.
    pub fn until(&mut self, expected: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.errors.read_line(&mut line).unwrap(), 0, "it ended without saying `{expected}`");
            if line.contains(expected) {
                return line;
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end; gives its exit status and what it printed on standard output.
    pub fn end(mut self) -> (Option<i32>, String) {
        super::patience::wait_for("the program ends", || !self.is_running());
        let mut printed = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
        (self.child.wait().unwrap().code(), printed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the sender.
pub fn send(arguments: &[&str]) -> Running {
    Running::start(Command::new(sender()).args(arguments))
}

/// A message that has been heard.
#[derive(Clone, Debug)]
pub struct Heard {
    pub bytes: Vec<u8>,
    pub at: Instant,
    pub from: SocketAddr,
}

/// Somebody who listens.
pub struct Listener(UdpSocket);

impl Listener {
    /// Listens on an address, at a free port where it is 0.
    pub fn new(address: &str) -> Listener {
        Listener(UdpSocket::bind(address).unwrap())
    }

    pub fn port(&self) -> String {
        self.0.local_addr().unwrap().port().to_string()
    }

    /// The next message, if one comes in time.
    pub fn hear_within(&self, limit: Duration) -> Option<Heard> {
        self.0.set_read_timeout(Some(limit)).unwrap();
        let since = Instant::now();
        let mut bytes = vec![0; 2000];
        match self.0.recv_from(&mut bytes) {
            Ok((length, from)) => {
                bytes.truncate(length);
                Some(Heard { bytes, at: Instant::now(), from })
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            // The test was stopped, and goes on (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                self.hear_within(limit.saturating_sub(since.elapsed()).max(Duration::from_millis(1)))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The next messages, all of which must come.
    pub fn hear(&self, count: usize) -> Vec<Heard> {
        (0..count).map(|_| self.hear_within(PATIENCE).expect("a message")).collect()
    }
}

/// Gives the calling thread, and what it starts, a network and mounts of their own. Needs root.
pub fn enter_new_host() {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
    run("mount --make-rprivate /");
    run("ip link set lo up");
}

/// Another host, which has a network of its own.
pub struct Peer(File);

impl Peer {
    pub fn new() -> Peer {
        let made = std::thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        Peer(made.join().unwrap())
    }

    /// How other programs name its network.
    pub fn name(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// Does something on that host.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let there = || {
            setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
            act()
        };
        std::thread::scope(|scope| scope.spawn(there).join().unwrap())
    }
}

/// Runs a command line, which must succeed.
pub fn run(line: &str) {
    let mut words = line.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}
