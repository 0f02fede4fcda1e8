//! Two sites and an arbitrator as real daemons: started, asked, killed, frozen, thawed, stopped.
//!
//! The daemons are this very executable, called `boothd`: there is no other one to be found or to be
//! out of date. Their files are in one temporary directory; they listen on loopback addresses.

use super::leftovers::{self, Interrupted};
use super::{ACQUIRE_AFTER, EXPIRE, Failure, RETRIES, TICKET, TIMEOUT, setup};
use crate::process::lockfile::{self, Inspection};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The members: what they are called here, where they listen, whether they are sites.
const MEMBERS: [(&str, Ipv4Addr, bool); 3] = [
    ("site A", Ipv4Addr::new(127, 0, 0, 11), true),
    ("site B", Ipv4Addr::new(127, 0, 0, 12), true),
    ("arbitrator", Ipv4Addr::new(127, 0, 0, 13), false),
];
/// The places of the members.
pub(super) const A: usize = 0;
pub(super) const B: usize = 1;
pub(super) const ARBITRATOR: usize = 2;
/// The sites among them.
pub(super) const SITES: [usize; 2] = [A, B];

/// How long a daemon may take to start, and to leave.
const START: Duration = Duration::from_secs(5);
const LEAVE: Duration = Duration::from_secs(3);
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(5);
/// How many ports are tried.
const ATTEMPTS: usize = 20;
/// How much of a log is shown when something went wrong.
const LAST_LINES: usize = 12;

/// A member and its daemon.
struct Member {
    label: &'static str,
    address: Ipv4Addr,
    directory: PathBuf,
    child: Option<Child>,
}

/// The three of them.
pub(super) struct Cluster {
    members: Vec<Member>,
    executable: PathBuf,
    pub(super) port: u16,
}

impl Cluster {
    /// Writes key, configurations and directories; starts nothing.
    pub(super) fn prepare() -> Result<Cluster, Failure> {
        let executable = std::env::current_exe().map_err(setup("cannot find this executable"))?;
        let port = free_port()?;
        let directory = leftovers::make_directory()?;
        let key = write_key(&directory)?;
        let mut members = Vec::new();
        for (label, address, _) in MEMBERS {
            let own = directory.join(label.replace(' ', "-"));
            fs::create_dir(&own).map_err(setup(format!("cannot make {}", own.display())))?;
            let member = Member { label, address, directory: own, child: None };
            write_file(&member.config(), configuration(port, &key, &member.directory).as_bytes())?;
            members.push(member);
        }
        Ok(Cluster { members, executable, port })
    }

    /// Starts a member's daemon; returns at once.
    pub(super) fn start(&mut self, place: usize) -> Result<(), Failure> {
        let member = &mut self.members[place];
        let log = OpenOptions::new().create(true).append(true).open(member.log());
        let log = log.map_err(setup(format!("cannot open {}", member.log().display())))?;
        let errors = log.try_clone().map_err(setup("cannot share the log"))?;
        let mut command = Command::new(&self.executable);
        command.arg0("boothd").args(["daemon", "-S", "-D", "-s", &member.address.to_string()]);
        command.arg("-c").arg(member.config()).arg("-l").arg(member.lock());
        // A group of its own: Ctrl-C is for the demo, which then stops its daemons.
        command.stdin(Stdio::null()).stdout(log).stderr(errors).process_group(0);
        let killed_with_us = || nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from);
        // SAFETY: between fork and exec only what is async-signal-safe may be done; prctl(2) is one
        // system call, and nothing is allocated or locked.
        unsafe { command.pre_exec(killed_with_us) };
        let child = command.spawn().map_err(setup(format!("cannot start {}", self.executable.display())))?;
        leftovers::add(&child);
        member.child = Some(child);
        Ok(())
    }

    /// Waits until a member's daemon says in its lock file that it has started.
    pub(super) fn wait_until_started(&mut self, place: usize, interrupted: &Interrupted) -> Result<(), Failure> {
        let deadline = Instant::now() + START;
        loop {
            interrupted.check()?;
            self.check_alive()?;
            let member = &self.members[place];
            if let Ok(Inspection::Running { line, .. }) = lockfile::inspect(&member.lock())
                && line.contains("booth_state=started")
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(Failure::Overdue { what: format!("{} starts", member.label), limit: START });
            }
            thread::sleep(LOOK);
        }
    }

    /// An error when a daemon has ended that nobody has killed.
    pub(super) fn check_alive(&mut self) -> Result<(), Failure> {
        for member in &mut self.members {
            let Some(child) = &mut member.child else { continue };
            leftovers::remove(child);
            match child.try_wait().map_err(setup("cannot ask for a child"))? {
                None => leftovers::add(child),
                Some(status) => {
                    member.child = None;
                    return Err(Failure::DaemonEnded { label: member.label, status: status.to_string() });
                }
            }
        }
        Ok(())
    }

    /// Kills a daemon as a crash would: no farewell, nothing tidied up.
    pub(super) fn kill(&mut self, place: usize) -> Result<(), Failure> {
        if let Some(mut child) = self.members[place].child.take() {
            leftovers::remove(&child);
            child.kill().and_then(|()| child.wait()).map_err(setup("cannot kill a daemon"))?;
        }
        Ok(())
    }

    /// Freezes a daemon: it runs no more, until it is thawed.
    pub(super) fn freeze(&self, place: usize) -> Result<(), Failure> {
        self.signal(place, Signal::SIGSTOP)
    }

    /// Lets a frozen daemon go on.
    pub(super) fn thaw(&self, place: usize) -> Result<(), Failure> {
        self.signal(place, Signal::SIGCONT)
    }

    /// Runs the client as an administrator would; its words.
    pub(super) fn client(&self, arguments: &[&str]) -> Result<String, Failure> {
        let mut command = Command::new(&self.executable);
        command.arg0("boothctl").args(arguments).arg("-c").arg(self.members[A].config());
        let output = command.stdin(Stdio::null()).output().map_err(setup("cannot start the client"))?;
        let mut words = String::from_utf8_lossy(&output.stdout).into_owned();
        words.push_str(&String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            Ok(words)
        } else {
            Err(Failure::Client {
                command: format!("boothctl {}", arguments.join(" ")),
                words: words.trim().to_owned(),
            })
        }
    }

    /// Asks all daemons to leave, and waits until they have.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        let running: Vec<usize> =
            (0..self.members.len()).filter(|place| self.members[*place].child.is_some()).collect();
        for place in &running {
            self.signal(*place, Signal::SIGTERM)?;
        }
        let deadline = Instant::now() + LEAVE;
        for place in running {
            while Instant::now() < deadline && !self.has_left(place)? {
                thread::sleep(LOOK);
            }
            self.kill(place)?;
        }
        Ok(())
    }

    pub(super) fn label(&self, place: usize) -> &'static str {
        self.members[place].label
    }

    pub(super) fn address(&self, place: usize) -> Ipv4Addr {
        self.members[place].address
    }

    pub(super) fn process(&self, place: usize) -> Option<u32> {
        self.members[place].child.as_ref().map(Child::id)
    }

    /// Where a site's store has the ticket.
    pub(super) fn store_file(&self, place: usize) -> PathBuf {
        self.members[place].directory.join("store").join(format!("{TICKET}.ticket"))
    }

    /// The last lines of all logs, for when something went wrong.
    pub(super) fn last_words(&self) -> String {
        let mut text = String::new();
        for member in &self.members {
            let log = fs::read_to_string(member.log()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(LAST_LINES)..] {
                text.push_str(&format!("{}: {line}\n", member.label));
            }
        }
        text
    }

    fn has_left(&mut self, place: usize) -> Result<bool, Failure> {
        let Some(child) = &mut self.members[place].child else { return Ok(true) };
        leftovers::remove(child);
        let ended = child.try_wait().map_err(setup("cannot ask for a child"))?;
        match ended {
            Some(_) => self.members[place].child = None,
            None => leftovers::add(child),
        }
        Ok(ended.is_some())
    }

    fn signal(&self, place: usize, signal: Signal) -> Result<(), Failure> {
        let Some(child) = &self.members[place].child else { return Ok(()) };
        let pid = Pid::from_raw(child.id().cast_signed());
        kill(pid, signal).map_err(|error| setup(format!("cannot send {signal}"))(error.into()))
    }
}

impl Member {
    fn config(&self) -> PathBuf {
        self.directory.join("booth.conf")
    }

    fn lock(&self) -> PathBuf {
        self.directory.join("booth.pid")
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }
}

/// The configuration of a member: the same for all but for the places of its own files.
fn configuration(port: u16, key: &Path, directory: &Path) -> String {
    let mut text = format!("# Made by boothctl demo.\nport = {port}\nauthfile = {}\n", key.display());
    for (_, address, site) in MEMBERS {
        text.push_str(&format!("{} = {address}\n", if site { "site" } else { "arbitrator" }));
    }
    // A daemon that is started by root becomes one of these.
    let (user, group) = (Uid::effective(), Gid::effective());
    for kind in ["site", "arbitrator"] {
        text.push_str(&format!("{kind}-user = {user}\n{kind}-group = {group}\n"));
    }
    let (store, journal) = (directory.join("store"), directory.join("journal"));
    text.push_str(&format!("store = file:{}\njournal = {}\n", store.display(), journal.display()));
    text.push_str(&format!(
        "ticket = {TICKET}\n  expire = {}\n  acquire-after = {}\n  timeout = {}ms\n  retries = {RETRIES}\n",
        EXPIRE.as_secs(),
        ACQUIRE_AFTER.as_secs(),
        TIMEOUT.as_millis()
    ));
    text
}

/// A port that is free on all three addresses, for UDP and TCP.
fn free_port() -> Result<u16, Failure> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ATTEMPTS {
        match try_port() {
            Ok(port) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(setup("cannot find a free port on the loopback addresses")(last))
}

fn try_port() -> io::Result<u16> {
    let port = UdpSocket::bind((MEMBERS[0].1, 0))?.local_addr()?.port();
    for (_, address, _) in MEMBERS {
        let at = SocketAddrV4::new(address, port);
        let _both = (UdpSocket::bind(at)?, TcpListener::bind(at)?);
    }
    Ok(port)
}

fn write_key(directory: &Path) -> Result<PathBuf, Failure> {
    let path = directory.join("key");
    let failed = || setup(format!("cannot write {}", path.display()));
    let mut secret = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut random| io::Read::read_exact(&mut random, &mut secret))
        .map_err(setup("cannot read /dev/urandom"))?;
    let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed())?;
    Ok(path)
}

fn write_file(path: &Path, content: &[u8]) -> Result<(), Failure> {
    fs::write(path, content).map_err(setup(format!("cannot write {}", path.display())))
}
