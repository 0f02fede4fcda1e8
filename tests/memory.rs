//! Memory after a day's worth of load, of the real daemon, and of the reference beside it.
//!
//! The day is that of a busy cluster: two tickets that are renewed every five seconds and moved to the other site
//! every five minutes, an agent that asks for the list every ten seconds, and every minute somebody who asks for the
//! peers and a member that asks for the status of each ticket. It is played turn by turn, five seconds of the day
//! each, as fast as the daemon answers: nothing is sent before what came before it has been answered.
//!
//! An arbitrator has the whole day. A site that leads renews by its own timer and starts a program at each renewal,
//! which no load makes faster; it has the clients of a day, and an administrator who grants and revokes every half
//! hour.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on panics")]

mod common;
mod fixture;

use booth_core::member::SiteId;
use booth_core::options::Word;
use booth_core::time::WallTime;
use booth_core::wire::{self, Command, Key, LeaderField, MAX_MESSAGE, Outcome, Reason};
use common::{ARBITRATOR, Cluster, Extras, Family, HOSTS, PORT, Plan, Program, SECOND_TICKET, SITE_1, SITE_2, TICKET};
use common::{Timing, available, say};
use fixture::Words;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use Program::{Ours, Reference};

/// Turns of a day: a renewal of each ticket in each.
const DAY: u32 = 24 * 3600 / 5;
/// What is played before memory is looked at, for what is set up at its first use: half an hour.
const WARM_UP: u32 = DAY / 48;
/// Turns from one list to the next, from one look at peers and status, and from one move of the tickets.
const LIST: u32 = 2;
const LOOK: u32 = 12;
const MOVE: u32 = 60;
/// Turns from one wish of an administrator to the next.
const ADMINISTRATOR: u32 = DAY / 48;
const TICKETS: [&str; 2] = [TICKET, SECOND_TICKET];
/// How long an answer may take, on a busy machine, before the question is asked again.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many questions of the day may be asked again.
const MOST_REPEATED: u32 = 100;

/// A day, told of a daemon of this program.
type Day = fn(&str, Program);

#[test]
fn a_day_of_load_leaves_memory_as_it_was() {
    if !available("a_day_of_load_leaves_memory_as_it_was") {
        return;
    }
    let days: [(&str, Day); 2] = [("arbitrator", day_of_an_arbitrator), ("leader", day_of_a_leader)];
    thread::scope(|scope| {
        for (name, day) in days {
            for program in [Ours, Reference] {
                let body = move || day(name, program);
                let thread_name = format!("a day: {name}: {program:?}");
                thread::Builder::new().name(thread_name).spawn_scoped(scope, body).expect("a thread");
            }
        }
    });
}

fn cluster(program: Program) -> Cluster {
    let plan = Plan {
        programs: [program; HOSTS],
        authenticated: true,
        family: Family::V4,
        acquire_after: Duration::ZERO,
        timing: Timing::SECONDS,
    };
    Cluster::start_with(plan, Extras { second_ticket: true, ..Extras::default() })
}

/// Plays a day behind its warm-up, by `turn`, and prints what it was and what it did to the memory of a host.
fn play(name: &str, cluster: &Cluster, host: usize, mut load: Load, turn: impl Fn(&mut Load, u32) + Send) {
    let program = cluster.plan().programs[host];
    let (before, after, took, load) = cluster.inside(SITE_2, move || {
        (0..WARM_UP).for_each(|at| turn(&mut load, at));
        let (before, start) = (cluster.resident_kib(host), Instant::now());
        load.count = Count::default();
        (WARM_UP..WARM_UP + DAY).for_each(|at| turn(&mut load, at));
        (before, cluster.resident_kib(host), start.elapsed(), load)
    });
    let change = 100.0 * (after as f64 - before as f64) / before as f64;
    let repeated: u32 = load.sites.iter().map(|site| site.repeated).sum();
    say(&format!(
        "a day's worth of load in {:.1} s: {name}: {program:?}: {:?}, {repeated} repeated: {before} KiB resident at \
         start, {after} KiB at the end ({change:+.1} %)",
        took.as_secs_f64(),
        load.count
    ));
    assert!(repeated <= MOST_REPEATED, "{repeated} questions had no answer");
    assert!(!program.is_ours() || change <= 5.0, "{before} KiB have become {after} KiB");
}

/// Both sites are this test.
fn day_of_an_arbitrator(name: &str, program: Program) {
    let mut cluster = cluster(program);
    for site in [SITE_1, SITE_2] {
        cluster.terminate(site);
    }
    let sites = [SITE_1, SITE_2].map(|site| Site::new(&cluster, site, PORT, ARBITRATOR));
    let load = Load { term: 0, count: Count::default(), sites: sites.into() };
    play(name, &cluster, ARBITRATOR, load, |load, turn| {
        load.renew(turn);
        load.look(turn);
    });
}

fn day_of_a_leader(name: &str, program: Program) {
    let cluster = cluster(program);
    let load = Load { term: 0, count: Count::default(), sites: vec![Site::new(&cluster, SITE_2, 0, SITE_1)] };
    play(name, &cluster, SITE_1, load, |load, turn| {
        match turn % (2 * ADMINISTRATOR) {
            0 => load.administer(Command::ClientGrant),
            ADMINISTRATOR => load.administer(Command::ClientRevoke),
            _ => (),
        }
        load.look(turn);
    });
}

/// What has been played.
#[derive(Debug, Default)]
struct Count {
    datagrams: u32,
    elections: u32,
    lists: u32,
    grants_and_revokes: u32,
}

/// A day, and whom it is played by.
struct Load {
    term: u32,
    count: Count,
    sites: Vec<Site>,
}

impl Load {
    /// What the leader of both tickets says in five seconds.
    fn renew(&mut self, turn: u32) {
        let leader = (turn / MOVE % 2) as usize;
        if turn.is_multiple_of(MOVE) {
            self.term += 1;
            self.migrate(turn > 0, leader);
        }
        for name in TICKETS {
            for command in [Command::Heartbeat, Command::Update] {
                let word = Word { settled: true, running: true, ..Word::default() };
                let said = self.words(command, name, word, LeaderField::Member(self.sites[leader].id));
                self.ask(leader, Words { valid_for: 10, ..said }, Command::Ack);
            }
            if turn.is_multiple_of(LOOK) {
                let said =
                    Words { options: 0, ..self.words(Command::Status, name, Word::default(), LeaderField::Nobody) };
                self.ask(1 - leader, said, Command::MyIndex);
            }
        }
    }

    /// The clients of five seconds.
    fn look(&mut self, turn: u32) {
        for (command, every, says) in
            [(Command::ClientList, LIST, "ticket: T, leader: "), (Command::ClientPeers, LOOK, "last recv: ")]
        {
            if turn.is_multiple_of(every) {
                let text = self.sites[0].text(command);
                assert!(text.contains(says), "{text}");
                self.count.lists += 1;
            }
        }
    }

    /// An administrator's wish, which comes true.
    fn administer(&mut self, command: Command) {
        let outcome = self.sites[0].result(command, TICKET);
        assert_eq!(outcome, Outcome::Success, "{command:?}");
        self.count.grants_and_revokes += 1;
    }

    /// The tickets go from one site to the other, as an administrator wishes.
    fn migrate(&mut self, held: bool, to: usize) {
        for name in TICKETS {
            if held {
                let stopped = Word { stopped: true, ..Word::default() };
                let revoke = self.words(Command::Revoke, name, stopped, LeaderField::Nobody);
                self.ask(1 - to, Words { term: self.term - 1, ..revoke }, Command::Ack);
            }
            let leader = LeaderField::Member(self.sites[to].id);
            self.ask(to, self.words(Command::VoteRequest, name, Word::default(), leader), Command::Vote);
            self.count.elections += 1;
        }
    }

    fn ask(&mut self, site: usize, words: Words<'_>, answer: Command) {
        self.sites[site].ask(words, answer);
        self.count.datagrams += 1;
    }

    fn words<'n>(&self, command: Command, name: &'n str, word: Word, leader: LeaderField) -> Words<'n> {
        let options = Word { number: self.count.datagrams + 1, ..word }.encode();
        Words { reason: Reason::Administrator, options, leader, term: self.term, ..Words::new(command, name) }
    }
}

/// A site that this test speaks for.
struct Site {
    id: SiteId,
    key: Key,
    socket: UdpSocket,
    asked: SocketAddr,
    stamp: WallTime,
    repeated: u32,
}

impl Site {
    /// It sends from this port of its host, 0 for any, and asks a member.
    fn new(cluster: &Cluster, host: usize, port: u16, asked: usize) -> Site {
        let [own, asked] = [host, asked].map(|host| cluster.address(host).parse::<Ipv4Addr>().expect("IPv4"));
        let socket = cluster.inside(host, move || UdpSocket::bind((own, port)).expect("its daemon is gone"));
        socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        Site {
            id: SiteId::of_address(&own.octets()),
            key: Key::new(common::KEY),
            socket,
            asked: (asked, PORT).into(),
            stamp: WallTime(0),
            repeated: 0,
        }
    }

    /// The words with a new stamp, signed.
    fn signed(&mut self, words: Words<'_>) -> Vec<u8> {
        let wall = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970").as_micros() as u64;
        self.stamp = WallTime(wall.max(self.stamp.0 + 1));
        let mut bytes = [0; MAX_MESSAGE];
        let length = wire::encode(&words.message(self.id, self.stamp), Some(&self.key), &mut bytes);
        bytes[..length].to_vec()
    }

    /// Says this until it has been answered by such a command.
    fn ask(&mut self, words: Words<'_>, command: Command) {
        let mut buffer = [0; 2 * MAX_MESSAGE];
        for _ in 0..5 {
            let bytes = self.signed(words);
            self.socket.send_to(&bytes, self.asked).expect("sent");
            while let Ok(length) = self.socket.recv(&mut buffer) {
                let answer = wire::decode(&buffer[..length], Some(&self.key)).expect("a message of the member");
                if (answer.header.command, answer.header.request) == (command, Some(words.command)) {
                    return assert_eq!(answer.header.outcome, Outcome::Success, "{words:?}");
                }
                assert_ne!(answer.header.command, Command::Reject, "{words:?}");
            }
            self.repeated += 1;
        }
        panic!("no answer to {words:?}");
    }

    /// What a client is answered.
    fn answer(&mut self, request: Words<'_>) -> Vec<u8> {
        let request = self.signed(request);
        let mut stream = TcpStream::connect_timeout(&self.asked, PATIENCE).expect("the member listens");
        stream.set_read_timeout(Some(5 * PATIENCE)).expect("a time-out");
        stream.write_all(&request).expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        answer
    }

    /// The text that a client asks for.
    fn text(&mut self, command: Command) -> String {
        let answer = self.answer(Words::new(command, ""));
        let (_, length) = wire::decode_text_header(&answer, Some(&self.key)).expect("signed");
        String::from_utf8(answer[answer.len() - length..].to_vec()).expect("text")
    }

    /// How a client's request about a ticket ends: the last one of some answers of one length.
    fn result(&mut self, command: Command, ticket: &str) -> Outcome {
        let request = Words::new(command, ticket);
        let length = self.signed(request).len();
        let answer = self.answer(request);
        wire::decode(answer.rchunks(length).next().expect("an answer"), Some(&self.key)).expect("signed").header.outcome
    }
}
