//! After its start the daemon allocates nothing in a whole turn, from the socket to the socket: a
//! preloaded library counts every `malloc` of the real process while it is asked, told, made to vote,
//! attacked and left to its timers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod fixture;
mod live;

use booth_core::member::SiteId;
use booth_core::time::WallTime;
use booth_core::wire::kdump::{self, Announcement, NodeId};
use booth_core::wire::{self, Command, Key, LeaderField, MAX_MESSAGE, Reason};
use fixture::{ARBITRATOR, KEY, Peer, Words, id};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// How long anything may take that should take no time.
const PATIENCE: Duration = Duration::from_secs(20);
/// The ticket's `expire`, short so that its timers are seen.
const EXPIRE: Duration = Duration::from_secs(2);

/// An arbitrator, and one of the two sites, which this test speaks for.
struct Scene {
    daemon: Child,
    count: File,
    socket: UdpSocket,
    peer: Peer,
    address: SocketAddr,
    term: u32,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn address(member: u8, port: u16) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 77, member + 1), port).into()
}

fn write_configuration(folder: &Path, port: u16) {
    let key = folder.join("key");
    fs::write(&key, KEY).unwrap();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "port = {port}\nauthfile = {key}\njournal = {:?}\nsite = 127.0.77.1\nsite = 127.0.77.2\n\
         arbitrator = 127.0.77.3\nkdump-listen = 127.0.77.9:{port}\nkdump-key = localhost {key}\n\
         ticket = \"T\"\nexpire = 2\ntimeout = 200ms\nretries = 3\nrenewal-freq = 1\n",
        folder.join("state/journal"),
        key = key.display(),
    );
    fs::write(folder.join("booth.conf"), text).unwrap();
}

impl Scene {
    fn new() -> Option<Scene> {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("no_alloc_daemon.{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("state")).unwrap();
        // Started as root, the daemon writes here as somebody else.
        fs::set_permissions(folder.join("state"), Permissions::from_mode(0o777)).unwrap();
        let library = live::preload("no_alloc_daemon", &folder, "count_malloc")?;
        fs::write(folder.join("count"), [0; 8]).unwrap();
        let count = OpenOptions::new().read(true).open(folder.join("count")).unwrap();
        let socket = UdpSocket::bind(address(0, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        write_configuration(&folder, port);
        let daemon = Process::new(env!("CARGO_BIN_EXE_boothd"))
            .args(["daemon", "-S", "-D", "-s", "127.0.77.3", "-c"])
            .arg(folder.join("booth.conf"))
            .arg("-l")
            .arg(folder.join("state/lock"))
            .env("LD_PRELOAD", library)
            .env("MALLOC_COUNT", folder.join("count"))
            .stderr(Stdio::from(File::create(folder.join("log")).unwrap()))
            .spawn()
            .unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let peer = Peer::new(0, WallTime(0));
        let mut scene = Scene { daemon, count, socket, peer, address: address(ARBITRATOR, port), term: 1 };
        scene.until("it answers", Command::Status, |scene| scene.ask(Command::Status, 0));
        Some(scene)
    }

    fn allocations(&self) -> u64 {
        let mut bytes = [0; 8];
        self.count.read_exact_at(&mut bytes, 0).unwrap();
        u64::from_ne_bytes(bytes)
    }

    fn until(&mut self, what: &str, command: Command, mut act: impl FnMut(&mut Scene) -> Option<Command>) {
        let end = Instant::now() + PATIENCE;
        while act(self).is_none() {
            let ended = self.daemon.try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < end, "{what}: {command:?} has no answer; {ended:?}");
        }
    }

    /// Sends, as the first site, and gives the kind of the answer.
    fn ask(&mut self, command: Command, valid_for: u32) -> Option<Command> {
        let words = Words {
            reason: Reason::Administrator,
            leader: LeaderField::Member(id(0)),
            term: self.term,
            valid_for,
            ..Words::new(command, "T")
        };
        self.say(words);
        let mut buffer = [0; 2048];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(wire::decode(&buffer[..length], Some(&Key::new(KEY))).unwrap().header.command)
    }

    fn say(&mut self, words: Words<'_>) {
        let wall = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64;
        self.peer.stamp = WallTime(wall.max(self.peer.stamp.0));
        let (bytes, length) = self.peer.say(words);
        self.send(&bytes[..length]);
    }

    fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.address).unwrap();
    }

    /// Heartbeats and updates of the first site in a new term, then none until its lease has ended.
    fn lead_for_a_while(&mut self) {
        self.term += 1;
        self.until("it votes", Command::VoteRequest, |scene| {
            scene.ask(Command::VoteRequest, 0).filter(|answer| *answer == Command::Vote)
        });
        for _ in 0..50 {
            self.until("it follows", Command::Heartbeat, |scene| scene.ask(Command::Heartbeat, 2_000));
            self.until("it follows", Command::Update, |scene| scene.ask(Command::Update, 2_000));
        }
        // Not a wait for a condition: the lease's end is a point in time.
        std::thread::sleep(EXPIRE + Duration::from_millis(200));
    }

    /// Every kind of bad datagram, then a good one: when that is answered, all were looked at.
    fn attack(&mut self) {
        let mut peer = Peer::new(1, self.peer.stamp);
        let (good, length) = peer.say(Words::new(Command::Status, "T"));
        for at in 0..length {
            let mut bad = good;
            bad[at] ^= 1;
            self.send(&bad[..length]);
            self.send(&good[..at]);
        }
        self.send(&[0; 2000]);
        let query = Words::new(Command::Status, "T");
        for words in [
            Words { name: "unknown", ..query },
            Words { leader: LeaderField::Member(SiteId(7)), ..query },
            Words { term: u32::MAX, ..query },
            Words { valid_for: u32::MAX, ..query },
            Words { command: Command::ClientGrant, ..query },
        ] {
            self.say(words);
        }
        self.until("it still answers", Command::Status, |scene| scene.ask(Command::Status, 0));
    }

    /// Messages of nodes that dump, good and bad ones, from many addresses.
    fn dump(&mut self) {
        let to = SocketAddr::new(Ipv4Addr::new(127, 0, 77, 9).into(), self.address.port());
        self.term += 1;
        for number in 0..100 {
            let from = UdpSocket::bind((Ipv4Addr::new(127, 0, 78, number), 0)).unwrap();
            let sequence = kdump::sequence(self.term, u32::from(number) + 1);
            let announcement = Announcement { node: NodeId::of(b"localhost"), sequence, uptime: 3 };
            let mut signed = kdump::encode_signed(&announcement, &kdump::Key::new(KEY));
            from.send_to(&signed, to).unwrap();
            signed[40] ^= 1;
            from.send_to(&signed, to).unwrap();
            from.send_to(&kdump::encode_plain(), to).unwrap();
            from.send_to(b"nonsense", to).unwrap();
        }
        // Each turn takes some of them.
        for _ in 0..100 {
            self.until("it still answers", Command::Status, |scene| scene.ask(Command::Status, 0));
        }
    }

    /// A client's request for a text: the whole reply.
    fn list(&mut self, command: Command) -> Vec<u8> {
        let mut bytes = [0; MAX_MESSAGE];
        let wall = WallTime(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64);
        let message = Words::new(command, "").message(id(0), wall);
        let length = wire::encode(&message, Some(&Key::new(KEY)), &mut bytes);
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&bytes[..length]).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        reply
    }
}

#[test]
fn the_daemon_allocates_nothing_after_its_start() {
    let Some(mut scene) = Scene::new() else { return };
    assert!(scene.allocations() > 0, "allocations are not counted: at its start a daemon needs some");
    // Once each, for what is set up at its first use (time zone, buffers of the C library).
    type Act = fn(&mut Scene);
    let acts: [(&str, Act); 6] = [
        ("status queries", |scene| {
            for _ in 0..2_000 {
                scene.until("it answers", Command::Status, |scene| scene.ask(Command::Status, 0));
            }
        }),
        ("votes, renewals, the end of a lease", Scene::lead_for_a_while),
        ("bad datagrams", Scene::attack),
        ("messages of dumping nodes", Scene::dump),
        ("a client's list", |scene| assert!(scene.list(Command::ClientList).ends_with(b"\n"))),
        ("a client's peers", |scene| assert!(scene.list(Command::ClientPeers).ends_with(b"\n"))),
    ];
    for (_, act) in acts {
        act(&mut scene);
    }
    for (what, act) in acts {
        let before = scene.allocations();
        act(&mut scene);
        assert_eq!(scene.allocations() - before, 0, "allocations for {what}");
    }
}
