//! A real `boothd` on loopback addresses, and clients of all manners.

use booth_core::member::SiteId;
use booth_core::time::WallTime;
use booth_core::wire::{
    self, Body, Command as Code, Header, Key, LeaderField, MAX_MESSAGE, Message, Outcome, Reason, TicketBody,
};
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::SystemTime;

pub use super::patience::{PATIENCE, wait_for};

pub const PORT: u16 = 19_777;
pub const KEY: &[u8] = b"0123456789abcdef";

/// A place for one test: a directory, and three addresses that no other test uses.
pub struct Place {
    pub directory: PathBuf,
    network: [u8; 2],
    first_host: u8,
}

impl Place {
    pub fn new(name: &str) -> Place {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let process = std::process::id();
        let directory = super::scratch::directory(name);
        fs::create_dir_all(directory.join("store")).unwrap();
        // As root, the daemon becomes somebody else.
        for path in [directory.clone(), directory.join("store")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        let test = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(test < 63, "four addresses for each test");
        Place { directory, network: [100 + (process / 250 % 100) as u8, (process % 250) as u8], first_host: test * 4 }
    }

    /// The address of a member: 1 to 3.
    pub fn address(&self, member: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.network[0], self.network[1], self.first_host + member)
    }

    pub fn socket(&self, member: u8) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.address(member)), PORT)
    }

    /// Writes a configuration of two sites, an arbitrator and these further lines.
    pub fn configure(&self, lines: &str) -> PathBuf {
        let members = (1..=3).map(|member| {
            let kind = if member == 3 { "arbitrator" } else { "site" };
            format!("{kind} = {}\n", self.address(member))
        });
        let members: String = members.collect();
        self.write_configuration(&format!("{members}{lines}"))
    }

    /// As [`Place::configure`], with a key ([`KEY`]).
    pub fn configure_signed(&self, lines: &str) -> PathBuf {
        let line = self.key_file(KEY, 0o600);
        self.configure(&format!("{line}{lines}"))
    }

    /// Writes a key file; the line of the configuration that names it.
    pub fn key_file(&self, content: &[u8], mode: u32) -> String {
        let path = self.directory.join("authkey");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        format!("authfile = {}\n", path.display())
    }

    /// Writes a configuration in which this member is alone.
    pub fn configure_alone(&self, lines: &str) -> PathBuf {
        self.write_configuration(&format!("site = {}\n{lines}", self.address(1)))
    }

    fn write_configuration(&self, text: &str) -> PathBuf {
        let path = self.directory.join("test.conf");
        let directory = self.directory.display();
        let journal =
            if text.contains("journal =") { String::new() } else { format!("journal = {directory}/journal\n") };
        // Nobody's accounts differ from system to system; root's does not.
        let accounts = "site-user = root\nsite-group = root\narbitrator-user = root\narbitrator-group = root\n";
        let accounts = if text.contains("-user =") { "" } else { accounts };
        let store = if text.contains("store =") { String::new() } else { format!("store = file:{directory}/store\n") };
        let head = format!("port = {PORT}\n{store}{journal}{accounts}");
        fs::write(&path, format!("{head}{text}")).unwrap();
        path
    }

    pub fn log_file(&self) -> PathBuf {
        self.directory.join("log")
    }

    pub fn lock_file(&self) -> PathBuf {
        self.directory.join("lock.pid")
    }

    pub fn control_socket(&self) -> PathBuf {
        self.directory.join("lock.ctl")
    }

    pub fn command(&self) -> Command {
        self.command_as(1)
    }

    /// The daemon of this member: 1 to 3.
    pub fn command_as(&self, member: u8) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_boothd"));
        command.args(["daemon", "-D", "-c"]).arg(self.directory.join("test.conf"));
        command.arg("-l").arg(self.lock_file());
        command.arg("-s").arg(self.address(member).to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Starts the daemon in the foreground and waits until it serves.
    pub fn start(&self) -> Daemon {
        self.start_by(self.command())
    }

    /// As [`Place::command`], from a shell that has run this line.
    pub fn command_through(&self, line: &str) -> Command {
        let boothd = self.command();
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{line}; exec \"$0\" \"$@\"")]);
        shell.arg(boothd.get_program()).args(boothd.get_args()).stdin(Stdio::null()).stdout(Stdio::null());
        shell
    }

    /// As [`Place::start`], by this command.
    pub fn start_by(&self, mut command: Command) -> Daemon {
        let log = fs::File::create(self.log_file()).unwrap();
        command.stderr(log);
        self.start_unlogged(command)
    }

    /// As [`Place::start_by`], whose stderr leads where the command says.
    pub fn start_unlogged(&self, mut command: Command) -> Daemon {
        let child = command.arg("-S").spawn().unwrap();
        let mut daemon =
            Daemon { child, log: self.log_file(), address: self.socket(1), control: self.control_socket() };
        let started = format!("booth_pid={} booth_state=started ", daemon.child.id());
        wait_for("the daemon is ready", || {
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the daemon ended with {status}: {}", daemon.log());
            }
            fs::read_to_string(self.lock_file()).is_ok_and(|content| content.starts_with(&started))
        });
        daemon
    }

    /// Starts the daemon in the foreground where it is bound to fail; tells its status and its words.
    pub fn start_in_vain(&self) -> (ExitStatus, String) {
        let mut child = self.command().arg("-S").stderr(Stdio::piped()).spawn().unwrap();
        let status = wait_for_exit(&mut child);
        let mut text = String::new();
        child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (status, text)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// A running daemon; killed with this value.
pub struct Daemon {
    pub child: Child,
    log: PathBuf,
    address: SocketAddr,
    control: PathBuf,
}

impl Daemon {
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a message, whose answer need not be waited for.
    pub fn begin(&self, message: &[u8]) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(message).unwrap();
        stream
    }

    /// Sends a message and reads until the daemon closes.
    pub fn ask(&self, message: &[u8]) -> Vec<u8> {
        let mut stream = self.begin(message);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    /// How the daemon answers an unsigned request about a ticket, one result after another.
    pub fn outcomes(&self, command: Code, ticket: &str) -> Vec<Outcome> {
        let answer = self.ask(&request(command, ticket));
        let length = request(command, ticket).len();
        answer.chunks(length).map(|bytes| wire::decode(bytes, None).unwrap().header.outcome).collect()
    }

    /// The text of `list` or `peers`, its length checked.
    pub fn text(&self, command: Code) -> String {
        text_of(&self.ask(&request(command, "")))
    }

    /// As [`Daemon::text`], where there is a key.
    pub fn text_signed(&self, command: Code) -> String {
        let answer = self.ask(&signed(SiteId(1), command, "", wall()));
        let (_, length) = wire::decode_text_header(&answer, Some(&Key::new(KEY))).unwrap();
        String::from_utf8(answer[answer.len() - length..].to_vec()).unwrap()
    }

    /// The answer to a line on the control socket.
    pub fn control(&self, line: &str) -> String {
        let mut stream = UnixStream::connect(&self.control).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// What `status` says of its one ticket, less how long it is until then.
    pub fn state(&self) -> String {
        self.control("status\n").split(" (in ").next().unwrap_or_default().to_owned()
    }

    /// A counter of `stats`.
    pub fn counter(&self, name: &str) -> u64 {
        let stats = self.control("stats\n");
        let line = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.map_or(0, |count| count.parse().unwrap())
    }

    /// All counters of `stats` whose name starts so, in one.
    pub fn counters(&self, prefix: &str) -> u64 {
        let stats = self.control("stats\n");
        let counts = stats.lines().filter(|line| line.starts_with(prefix)).filter_map(|line| line.rsplit(' ').next());
        counts.map(|count| count.parse::<u64>().unwrap()).sum()
    }

    pub fn wait_for_exit(&mut self) -> ExitStatus {
        wait_for_exit(&mut self.child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The text behind the header of an answer, as long as the header says.
pub fn text_of(answer: &[u8]) -> String {
    let (header, length) = wire::decode_text_header(answer, None).unwrap();
    assert_eq!(header.outcome, Outcome::Success);
    assert_eq!(answer.len(), wire::HEADER_LEN + length);
    String::from_utf8(answer[wire::HEADER_LEN..].to_vec()).unwrap()
}

/// An unsigned request of a client.
pub fn request(command: Code, ticket: &str) -> Vec<u8> {
    message(SiteId(1), command, ticket)
}

/// An unsigned message about a ticket.
pub fn message(sender: SiteId, command: Code, ticket: &str) -> Vec<u8> {
    encoded(sender, command, ticket, WallTime(0), None)
}

/// A message about a ticket, signed with [`KEY`].
pub fn signed(sender: SiteId, command: Code, ticket: &str, stamp: WallTime) -> Vec<u8> {
    encoded(sender, command, ticket, stamp, Some(&Key::new(KEY)))
}

fn encoded(sender: SiteId, command: Code, ticket: &str, stamp: WallTime, key: Option<&Key>) -> Vec<u8> {
    let (reason, outcome, leader) = (Reason::None, Outcome::Success, LeaderField::Nobody);
    let header = Header { stamp, sender, command, request: None, options: 0, reason, outcome };
    let body = Body::Ticket(TicketBody { name: ticket, leader, term: 0, valid_for: 0 });
    let mut out = [0; MAX_MESSAGE];
    let length = wire::encode(&Message { header, body }, key, &mut out);
    out[..length].to_vec()
}

/// The wall clock.
pub fn wall() -> WallTime {
    WallTime(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64)
}

fn wait_for_exit(child: &mut Child) -> ExitStatus {
    let mut status = None;
    wait_for("the daemon has ended", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}
