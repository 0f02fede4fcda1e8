//! A directory, a port and loopback addresses of one test, and the programs that it starts there.

use super::patience::wait_for;
use super::scratch;
use booth_core::wire::kdump;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{self as unix, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Where one test happens.
pub struct Place {
    pub directory: PathBuf,
    pub port: u16,
    /// Open as long as the port is this place's.
    _reserved: UnixListener,
}

/// A program that is killed when dropped.
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    said: String,
}

/// How a program has ended.
#[derive(Debug)]
pub struct Ended {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// A port that no other test of this host has, in this process or another: below those that the system hands out, and
/// reserved by a name as long as the socket of that name is open (unix(7), abstract).
fn reserve() -> (u16, UnixListener) {
    let reserved = (12_000..28_000).find_map(|port| {
        let name = unix::SocketAddr::from_abstract_name(format!("booth-test-port-{port}")).unwrap();
        let reserved = UnixListener::bind_addr(&name).ok()?;
        UdpSocket::bind(("0.0.0.0", port)).is_ok().then_some((port, reserved))
    });
    reserved.expect("a free port")
}

impl Place {
    pub fn new(name: &str) -> Place {
        let directory = scratch::directory(name);
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
        let (port, _reserved) = reserve();
        Place { directory, port, _reserved }
    }

    /// Writes the configuration of a listener with these further lines.
    pub fn configure(&self, lines: &str) -> PathBuf {
        let path = self.directory.join("kdump.conf");
        let text = format!(
            "kdump-listen = {}\njournal = {}\nsite-user = root\nsite-group = root\n{lines}",
            self.port,
            self.directory.join("journal").display()
        );
        fs::write(&path, text).unwrap();
        path
    }

    /// Writes a key file and gives its path.
    pub fn key(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.directory.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// Starts a listener in the foreground and waits until it is ready.
    pub fn listen(&self, lines: &str) -> Running {
        self.configure(lines);
        self.start(&["kdump"], &self.lock_file(), "booth_type=kdump")
    }

    /// Starts the daemon of a site that is alone, whose configuration is the listener's with these further lines.
    pub fn member(&self, lines: &str) -> Running {
        let address = format!("127.0.9.{}", self.port % 250 + 1);
        let store = self.directory.join("store");
        let site = format!("port = 11999\nsite = {address}\nstore = file:{}\nticket = T\n", store.display());
        self.configure(&format!("{lines}{site}"));
        self.start(&["daemon", "-s", &address], &self.member_lock_file(), "booth_type=site")
    }

    fn start(&self, words: &[&str], lock_file: &Path, kind: &str) -> Running {
        let log = File::options().create(true).append(true).open(self.directory.join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_boothd"));
        command.args(words).args(["-S", "-D", "-c"]).arg(self.directory.join("kdump.conf"));
        command.arg("-l").arg(lock_file).stderr(log);
        let daemon = Running::start(command);
        wait_for("it is ready", || {
            let lock = fs::read_to_string(lock_file).unwrap_or_default();
            lock.starts_with(&format!("booth_pid={} booth_state=started", daemon.pid())) && lock.contains(kind)
        });
        daemon
    }

    pub fn lock_file(&self) -> PathBuf {
        self.directory.join("test.pid")
    }

    pub fn member_lock_file(&self) -> PathBuf {
        self.directory.join("member.pid")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.join("log")).unwrap()
    }

    /// `boothctl kdump` with these words.
    pub fn boothctl(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_boothctl"));
        command.arg("kdump").args(words).arg("-l").arg(self.lock_file()).stderr(Stdio::piped());
        command
    }

    /// What `boothctl stats` says of the listener.
    pub fn stats(&self) -> String {
        self.stats_of(&self.lock_file())
    }

    /// Who is found at the port, by the name of its control socket.
    pub fn owner(&self) -> Option<String> {
        let link = self.directory.join(format!("fence_kdump-{}.ctl", self.port));
        fs::read_link(link).ok().map(|target| target.display().to_string())
    }

    /// Whether the listener says that so many wait.
    pub fn waiting(&self, count: usize) -> bool {
        self.stats().contains(&format!("waiting for dumping nodes: {count}\n"))
    }

    /// What `boothctl stats` says of the daemon with this lock file.
    pub fn stats_of(&self, lock_file: &Path) -> String {
        let mut stats = Command::new(env!("CARGO_BIN_EXE_boothctl"));
        stats.args(["stats", "-c"]).arg(self.directory.join("kdump.conf")).arg("-l").arg(lock_file);
        let ended = run(stats.stderr(Stdio::piped()));
        assert_eq!(ended.status, Some(0), "{ended:?}");
        ended.stdout
    }

    /// Our agent, for this place's port, with these further words.
    pub fn agent(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fence_kdump"));
        // Not the file of the host that runs the test.
        let config = self.directory.join("kdump.conf");
        let config = if config.exists() { config } else { self.configure("") };
        command.args(["-p", &self.port.to_string(), "-d"]).arg(&self.directory).arg("-c").arg(config);
        command.args(words).stderr(Stdio::piped());
        command
    }

    /// Sends a datagram from an address.
    pub fn send(&self, from: &str, bytes: &[u8]) {
        let from: IpAddr = from.parse().unwrap();
        let to: IpAddr = if from.is_ipv4() { [127, 0, 0, 1].into() } else { "::1".parse().unwrap() };
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.send_to(bytes, SocketAddr::new(to, self.port)).unwrap();
    }

    /// Sends a plain message from an address.
    pub fn dump(&self, from: &str) {
        self.send(from, &kdump::encode_plain());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // A listener that an agent has started leaves by itself.
            let socket = self.directory.join(format!("fence_kdump-{}.ctl", self.port));
            wait_for("the stand-in has left", || UnixStream::connect(&socket).is_err());
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

impl Running {
    /// Starts a program; its stderr is the caller's affair.
    pub fn start(mut command: Command) -> Running {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Running { child, stdout, said: String::new() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid() as i32), signal).unwrap();
    }

    /// Reads its stdout up to a line with this text.
    pub fn until(&mut self, text: &str) {
        loop {
            let mut line = String::new();
            let length = self.stdout.read_line(&mut line).unwrap();
            assert!(length > 0, "it has ended and never said {text:?}: {}", self.said);
            self.said.push_str(&line);
            if line.contains(text) {
                return;
            }
        }
    }

    /// Reads its stderr, which is a pipe, up to a line with this text. Of what is behind that some may be lost.
    pub fn until_stderr(&mut self, text: &str) {
        let stderr = BufReader::new(self.child.stderr.as_mut().unwrap());
        let mut lines = stderr.lines().map(Result::unwrap);
        assert!(lines.any(|line| line.contains(text)), "it has ended and never said {text:?}");
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until it ends.
    pub fn end(mut self) -> Ended {
        let mut stdout = std::mem::take(&mut self.said);
        self.stdout.read_to_string(&mut stdout).unwrap();
        let mut stderr = String::new();
        if let Some(stream) = &mut self.child.stderr {
            stream.read_to_string(&mut stderr).unwrap();
        }
        Ended { status: self.child.wait().unwrap().code(), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end.
pub fn run(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).stdout(Stdio::piped()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs a program to its end with lines on its stdin.
pub fn run_with(command: &mut Command, stdin: &str) -> Ended {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ended { status: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
