//! What must hold of any datagrams and requests that a listener for dumping nodes gets: no panic, nothing counts
//! that must not, and each waiter is told what a second, plain account of the rules says. The account remembers all
//! that was taken and looks through it anew for each waiter; it has no table, no room and no order.
//!
//! The input is a script: an operation, and as many bytes as it needs.

use booth::kdump::request;
use booth_core::input::ClientId;
use booth_core::kdump::wait::Wait;
use booth_core::kdump::{MAX_SOURCES, MAX_WAITERS, Node, NodeIndex, Settings, Source, Table};
use booth_core::time::{Instant, Millis, Now, WallTime};
use booth_core::wire::kdump::{self, Announcement, Key, Message, NodeId};
use std::net::{IpAddr, Ipv4Addr};

/// The nodes that have a key, with the last byte of the address of each.
const NODES: [(&str, u8); 2] = [("alpha", 1), ("beta", 2)];
const START: u64 = 10_000_000;

/// Panics if something that must hold does not.
pub fn judge(bytes: &[u8]) {
    judge_datagram(bytes);
    if let Some(Ok(request::Request::Wait(time, wait))) = request::parse(bytes) {
        assert!(time <= request::LONGEST_WAIT && wait.nodes() > 0);
    }
    let mut script = bytes.iter().copied();
    let flags = script.next().unwrap_or_default();
    let mut account = Account::new(flags);
    while let Some(operation) = script.next() {
        account.operate(operation, &mut script);
        account.check();
    }
}

/// A datagram is a message by its first eight bytes alone, and what was signed is signed by one key.
fn judge_datagram(bytes: &[u8]) {
    let (plain, with_key) = (kdump::decode(bytes, None), kdump::decode(bytes, Some(&key("alpha"))));
    assert_eq!(plain.is_ok(), with_key.is_ok());
    assert_eq!(
        plain.is_ok(),
        bytes.len() >= kdump::PLAIN_LEN && kdump::decode(&bytes[..kdump::PLAIN_LEN], None).is_ok()
    );
    if let Ok(Message::Verified(announcement)) = with_key {
        assert_eq!(kdump::encode_signed(&announcement, &key("alpha"))[8..], bytes[8..], "no other bytes are signed so");
    }
}

fn key(node: &str) -> Key {
    Key::new(format!("the key of {node}").as_bytes())
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

/// A message that was taken.
struct Taken {
    at: Instant,
    from: IpAddr,
    signer: Option<usize>,
}

/// One who waits.
struct Waiter {
    client: u64,
    since: Instant,
    /// How many messages had been taken then.
    taken: usize,
    until: Instant,
    /// Of each node: the one with a key that it is, and the addresses that it may be heard from.
    nodes: Vec<(Option<usize>, Vec<IpAddr>)>,
    /// The sources that the lookback knew of then.
    earlier: Vec<Source>,
}

struct Account {
    settings: Settings,
    /// Of so many nodes with a key the address is known.
    known: usize,
    table: Box<Table>,
    now: Now,
    taken: Vec<Taken>,
    newest: [u64; NODES.len()],
    births: [Option<u64>; NODES.len()],
    waiters: Vec<Waiter>,
    clients: u64,
}

impl Account {
    fn new(flags: u8) -> Account {
        let lookback = Millis(if flags & 1 == 0 { 0 } else { 20_000 });
        let settings = Settings { interval: Millis(10_000), lookback, require_auth: flags & 2 != 0 };
        let known = if flags & 4 == 0 { 2 } else { 1 };
        let nodes = NODES.map(|(name, last)| Node {
            name: name.try_into().expect("a short name"),
            key: key(name),
            addresses: [address(last)].into_iter().filter(|_| usize::from(last) <= known).collect(),
        });
        let now = Now { boot: Instant(START), wall: WallTime(1_795_000_000_000_000) };
        let table = Box::new(Table::new(settings, nodes));
        Account {
            settings,
            known,
            table,
            now,
            taken: Vec::new(),
            newest: [0; 2],
            births: [None; 2],
            waiters: Vec::new(),
            clients: 0,
        }
    }

    fn operate(&mut self, operation: u8, script: &mut impl Iterator<Item = u8>) {
        let mut next = || script.next().unwrap_or_default();
        match operation % 8 {
            0 => {
                let span = u64::from(next()) * 200;
                self.now.boot = self.now.boot + Millis(span);
                self.now.wall = self.now.wall.after(Millis(span));
            }
            1 | 2 => self.hear(address(next()), &kdump::encode_plain()),
            3 | 4 => {
                let (node, from, dump, number, uptime) = (next(), next(), next(), next(), next());
                let (name, _) = NODES[usize::from(node) % NODES.len()];
                // From two minutes ago to two minutes ahead, from kernels that have just booted and old ones.
                let sent = (self.now.wall.seconds() as u32).wrapping_add(u32::from(dump)) - 128;
                let sequence = kdump::sequence(sent, u32::from(number));
                let uptime = u32::from(uptime) * 4;
                let announcement = Announcement { node: NodeId::of(name.as_bytes()), sequence, uptime };
                // Some are signed by the other one.
                let signer = if node & 0x80 == 0 { name } else { "another" };
                self.hear(address(from), &kdump::encode_signed(&announcement, &key(signer)));
            }
            5 => {
                let (from, length) = (next(), next());
                let bytes: Vec<u8> = script.take(usize::from(length)).collect();
                self.hear(address(from), &bytes);
            }
            6 => {
                let shape = next();
                let lasts: Vec<u8> = script.take(usize::from(shape % 4) + 1).collect();
                self.wait(shape, &lasts);
            }
            _ => {
                let client = u64::from(next());
                self.table.leave(ClientId(client));
                self.waiters.retain(|waiter| waiter.client != client);
            }
        }
    }

    fn hear(&mut self, from: IpAddr, bytes: &[u8]) {
        let now = self.now.boot;
        let before: Vec<Source> = self.table.sources().copied().collect();
        let Ok(heard) = self.table.receive(self.now, from, bytes) else {
            assert_eq!(
                before,
                self.table.sources().copied().collect::<Vec<_>>(),
                "what does not count leaves no trace"
            );
            return;
        };
        let signer = heard.node.map(|NodeIndex(at)| usize::from(at));
        match signer {
            Some(at) => {
                let message = kdump::decode(bytes, Some(&key(NODES[at].0)));
                let Ok(Message::Verified(announcement)) = message else { panic!("not signed: {message:?}") };
                assert!(announcement.sequence > self.newest[at], "a replay");
                let sent = u64::from(kdump::sent(announcement.sequence));
                assert!(sent.abs_diff(self.now.wall.0 / 1_000_000) <= 30, "of another time");
                let same =
                    self.births[at].is_some_and(|birth| birth.abs_diff(sent - u64::from(announcement.uptime)) <= 2);
                assert!(same || announcement.uptime <= 600, "not of a crash kernel");
                if !same {
                    self.births[at] = Some(sent - u64::from(announcement.uptime));
                }
                self.newest[at] = announcement.sequence;
            }
            None => assert!(!self.settings.require_auth && self.owner(from).is_none(), "it had to be signed"),
        }
        let gone = |source: &&Source| {
            !self.table.sources().any(|now| (now.address, now.node) == (source.address, source.node))
        };
        for lost in before.iter().filter(gone) {
            let spare = lost.node.is_none() && heard.node.is_some();
            assert!(spare || !self.table.is_dumping(now, lost), "{lost:?} was dumping, and made room for {heard:?}");
        }
        self.taken.push(Taken { at: now, from, signer });
    }

    fn owner(&self, from: IpAddr) -> Option<usize> {
        let known = NODES.iter().take(self.known);
        known.into_iter().position(|(_, last)| address(*last) == from)
    }

    fn wait(&mut self, shape: u8, lasts: &[u8]) {
        let until = self.now.boot + Millis(u64::from(shape) * 300);
        let (mut wait, mut nodes) = (Wait::default(), Vec::new());
        for (at, last) in lasts.iter().enumerate() {
            // A node of its own, or another address of the one before.
            if at == 0 || shape & 0x10 == 0 {
                wait.add_node().expect("few nodes");
                nodes.push((None, Vec::new()));
            }
            let Some((keyed, addresses)) = nodes.last_mut() else { continue };
            if last & 0xC0 == 0xC0 {
                let named = usize::from(*last) % NODES.len();
                // One name is enough; a second one would make it either of them.
                if keyed.is_none() {
                    wait.add_name(&NODES[named].0.to_uppercase()).expect("few names");
                    *keyed = Some(named);
                }
            }
            wait.add_address(address(*last)).expect("few addresses");
            addresses.push(address(*last));
        }
        if nodes.is_empty() {
            return;
        }
        self.clients += 1;
        let full = self.waiters.len() == MAX_WAITERS;
        let taken = self.table.wait(self.now.boot, ClientId(self.clients), until, wait);
        assert_eq!(taken, !full, "as many may wait as there is room for");
        if taken {
            let earlier = self.table.sources().copied().collect();
            let (client, since, taken) = (self.clients, self.now.boot, self.taken.len());
            self.waiters.push(Waiter { client, since, taken, until, nodes, earlier });
        }
    }

    fn check(&mut self) {
        assert!(self.table.sources().count() <= MAX_SOURCES);
        assert_eq!(self.table.next_deadline(), self.waiters.iter().map(|waiter| waiter.until).min());
        let now = self.now.boot;
        let expected: Vec<(u64, Vec<bool>)> = self
            .waiters
            .iter()
            .map(|waiter| (waiter.client, self.heard(waiter)))
            .filter(|(client, heard)| {
                let over = self.waiters.iter().any(|waiter| waiter.client == *client && waiter.until <= now);
                over || heard.iter().all(|heard| *heard)
            })
            .collect();
        let mut told = Vec::new();
        while let Some(finished) = self.table.next_finished(now) {
            told.push((finished.client.0, finished.heard.iter().map(Option::is_some).collect::<Vec<_>>()));
        }
        told.sort();
        assert_eq!(told, expected);
        self.waiters.retain(|waiter| !told.iter().any(|(client, _)| *client == waiter.client));
        assert_eq!(self.table.waiters(), self.waiters.len());
    }

    /// Which nodes of a waiter have been heard, by all that was taken since it waits and what the lookback knew.
    fn heard(&self, waiter: &Waiter) -> Vec<bool> {
        let lookback = self.settings.lookback;
        let recent = |source: &&Source| lookback > Millis(0) && waiter.since.since(source.last) <= lookback;
        let earlier = waiter.earlier.iter().filter(recent);
        let earlier = earlier.map(|source| (source.address, source.node.map(|NodeIndex(at)| usize::from(at))));
        let since = self.taken[waiter.taken..].iter().inspect(|taken| assert!(taken.at >= waiter.since));
        let messages: Vec<_> = earlier.chain(since.map(|taken| (taken.from, taken.signer))).collect();
        let counts = |(keyed, addresses): &(Option<usize>, Vec<IpAddr>)| {
            messages.iter().any(|(from, signer)| match keyed {
                Some(_) => signer == keyed,
                None => addresses.contains(from) && (self.owner(*from).is_none() || self.owner(*from) == *signer),
            })
        };
        waiter.nodes.iter().map(counts).collect()
    }
}
