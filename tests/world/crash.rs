//! Sites whose nodes crash, what their crash kernels send, and who hears it (S13).
//!
//! Each site has two nodes; daemon and store run on the first, and the second knows the store as well. Where one of
//! them is down the other keeps it; where both are, nobody does: Pacemaker has tickets in memory alone. Each member
//! hears announcements in a table of its own, as the shell does, with real bytes and keys. What is sent can be lost,
//! late, held back, replayed and forged, and tried on nodes that run; one node's crash is not the site's.

use super::World;
use super::queue::Pending;
use super::stores::{Held, NEVER};
use booth_core::input::Input;
use booth_core::kdump::{Memory, Node, NodeIndex, Settings, Table};
use booth_core::member::MemberIndex;
use booth_core::settings::TicketIndex;
use booth_core::time::Millis;
use booth_core::wire::kdump::{self as wire, Announcement, Key, NodeId};
use std::net::IpAddr;

/// Nodes of a site.
pub const NODES: usize = 2;
/// From one message of a crash kernel to its next, after the first ones.
const INTERVAL_MS: u64 = 10_000;
/// When the first ones are sent, after the first of all.
const FIRST_MS: [u64; 4] = [0, 1_000, 2_000, 5_000];
/// From the crash to the first message: the crash kernel boots.
const BOOT_MS: (u64, u64) = (2_000, 6_000);
/// How long a dump takes.
const DUMP_MS: [u64; 4] = [3_000, 16_000, 40_000, 200_000];
/// How many of the newest announcements are kept to be replayed.
const KEPT: usize = 200;
/// When somebody who tries the sender sends, in seconds.
const TRIAL: [u32; 5] = [0, 1, 2, 5, 15];
/// For how long the system runs on which somebody does that, in seconds.
const RUNNING: u32 = 3_600;

/// A node that writes its dump.
#[derive(Clone, Copy, Debug)]
pub struct Dump {
    /// No other dump has this number.
    pub number: u64,
    began_ms: u64,
    ends_ms: u64,
    sent: u32,
}

/// What is known of crashes in a world.
#[derive(Default)]
pub struct Crashes {
    dumps: u64,
    /// Announcements on their way, and those that somebody has kept.
    kept: Vec<Vec<u8>>,
}

fn name(site: usize, node: usize) -> String {
    format!("site{}-{node}", site + 1)
}

fn key(site: usize, node: usize) -> Key {
    Key::new(format!("the key of {}", name(site, node)).as_bytes())
}

fn index(site: usize, node: usize) -> NodeIndex {
    NodeIndex((site * NODES + node) as u8)
}

impl World {
    /// What a member starts to listen with: it remembers what its last process has written down.
    pub(super) fn listen(&mut self, host: usize) {
        let nodes = (0..self.plan.sites).flat_map(|site| (0..NODES).map(move |node| (site, node)));
        let nodes = nodes.map(|(site, node)| Node {
            name: name(site, node).as_str().try_into().unwrap(),
            key: key(site, node),
            addresses: Default::default(),
        });
        let settings = Settings { interval: Millis(INTERVAL_MS), lookback: Millis(0), require_auth: true };
        let mut table = Table::new(settings, nodes);
        self.hosts[host].heard.iter().for_each(|memory| table.restore(memory));
        self.hosts[host].table = Some(table);
    }

    /// A node crashes; its crash kernel announces that until the dump is written. Tells when that will be.
    pub fn crash(&mut self, site: usize, node: usize) -> u64 {
        if let Some(dump) = self.hosts[site].dumps[node] {
            return dump.ends_ms;
        }
        self.say(site, format_args!("node {node} crashes"));
        self.crashes.dumps += 1;
        let began_ms = self.now_ms + self.dice.between(BOOT_MS.0, BOOT_MS.1);
        let ends_ms = began_ms + self.dice.one_of(&DUMP_MS);
        let number = self.crashes.dumps;
        self.hosts[site].dumps[node] = Some(Dump { number, began_ms, ends_ms, sent: 0 });
        self.enqueue(began_ms - self.now_ms, Pending::Announce { site, node, dump: number });
        if node == 0 && self.is_up(site) {
            self.kill(site);
        }
        if self.hosts[site].dumps.iter().all(Option::is_some) {
            self.lose_site(site);
        }
        ends_ms
    }

    /// Nobody knows any more what was granted here, and nothing runs.
    fn lose_site(&mut self, site: usize) {
        self.say(site, format_args!("is down as a whole"));
        self.hosts[site].machine += 1;
        self.hosts[site].down_ms = Some((self.now_ms, NEVER));
        for ticket in 0..self.plan.tickets.len() {
            self.checks.stopped(site, ticket);
            self.hosts[site].store[ticket] = Held::default();
            self.look_after(site, ticket);
        }
        self.check_holders();
        self.forget_what_nobody_knows();
    }

    /// A ticket that nobody remembers to have been held is not fought for.
    pub(super) fn forget_what_nobody_knows(&mut self) {
        for ticket in 0..self.plan.tickets.len() {
            let knows = |host: usize| {
                let on = &self.hosts[host];
                // Without the store's word for it, a site's journal is not believed.
                let believed = host >= self.plan.sites || on.store[ticket].mark != 0;
                let remembers =
                    believed && !on.wordless && self.journal(host, ticket).is_some_and(|record| record.held);
                remembers || (host < self.plan.sites && on.store[ticket].term > 0)
            };
            let told = (0..self.plan.sites).any(|site| knows(site) || !self.hosts[site].wordless);
            if !told || !(0..self.hosts.len()).any(knows) {
                self.wanted.remove(&ticket);
            }
        }
    }

    /// The nodes of a site boot again, those that dump as well.
    pub(super) fn end_dumps(&mut self, host: usize) {
        if host < self.plan.sites && self.hosts[host].dumps[0].is_some() {
            self.hosts[host].dumps = [None; NODES];
            let now_ms = self.now_ms;
            self.hosts[host].down_ms = self.hosts[host].down_ms.map(|(from, until)| (from, until.min(now_ms)));
        }
    }

    /// A crash kernel sends its next message to all members.
    pub(super) fn announce(&mut self, site: usize, node: usize, dump: u64) {
        let now_ms = self.now_ms;
        let Some(on) = self.hosts[site].dumps[node].as_mut().filter(|on| on.number == dump) else { return };
        if now_ms > on.ends_ms {
            // It boots; where the daemon was here, an administrator or a fault starts it.
            if node != 0 {
                self.hosts[site].dumps[node] = None;
            }
            return;
        }
        on.sent += 1;
        let (number, began_ms) = (on.sent, on.began_ms);
        let uptime = ((now_ms - began_ms) / 1_000) as u32 + 2;
        let sent = (self.clock(site).wall.0 / 1_000_000) as u32;
        let announcement = Announcement {
            node: NodeId::of(name(site, node).as_bytes()),
            sequence: wire::sequence(sent, number),
            uptime,
        };
        let bytes = wire::encode_signed(&announcement, &key(site, node)).to_vec();
        self.say(site, format_args!("node {node} announces its dump, message {number}"));
        for to in 0..self.hosts.len() {
            self.carry_announcement(site, to, &bytes);
        }
        let next_ms = match FIRST_MS.get(number as usize) {
            Some(at) => (began_ms + at).saturating_sub(now_ms),
            None => INTERVAL_MS,
        };
        self.enqueue(next_ms, Pending::Announce { site, node, dump });
        if self.crashes.kept.len() >= KEPT {
            self.crashes.kept.remove(0);
        }
        self.crashes.kept.push(bytes);
    }

    fn carry_announcement(&mut self, from: usize, to: usize, bytes: &[u8]) {
        if self.network.is_cut(from, to) || self.dice.chance(self.net.loss_per_mille) {
            return;
        }
        let delay = self.dice.between(self.net.least_delay_ms, self.net.most_delay_ms);
        self.enqueue(delay, Pending::Announcement { to, bytes: bytes.to_vec() });
    }

    /// Somebody tries the sender with the nodes' keys on all nodes of a site, which run, for long enough to look like a
    /// crash of the site.
    fn try_senders(&mut self, site: usize) {
        let wall = (self.clock(site).wall.0 / 1_000_000) as u32;
        let dumps = self.hosts[site].dumps;
        for node in (0..NODES).filter(|node| dumps[*node].is_none()) {
            for second in TRIAL {
                let announcement = Announcement {
                    node: NodeId::of(name(site, node).as_bytes()),
                    sequence: wire::sequence(wall + second, 0),
                    uptime: RUNNING + second,
                };
                let bytes = wire::encode_signed(&announcement, &key(site, node)).to_vec();
                for to in 0..self.hosts.len() {
                    let delay = u64::from(second) * 1_000 + self.net.least_delay_ms;
                    self.enqueue(delay, Pending::Announcement { to, bytes: bytes.clone() });
                }
            }
        }
    }

    /// Somebody sends old announcements to everybody, whole or damaged, and plays with the sender of a site.
    pub fn replay_announcements(&mut self) -> bool {
        let site = self.dice.roll(self.plan.sites as u64) as usize;
        self.try_senders(site);
        for at in 0..self.crashes.kept.len() {
            let mut bytes = self.crashes.kept[at].clone();
            if self.dice.chance(200) {
                let place = self.dice.roll(bytes.len() as u64) as usize;
                bytes[place] ^= 1 << self.dice.roll(8);
            }
            let to = self.dice.roll(self.hosts.len() as u64) as usize;
            let delay = self.dice.roll(30_000);
            self.enqueue(delay, Pending::Announcement { to, bytes });
        }
        !self.crashes.kept.is_empty()
    }

    /// A member's listener gets a datagram, and tells the daemon what it means, as the shell does.
    pub(super) fn hear(&mut self, host: usize, bytes: &[u8]) {
        if !self.hosts[host].runs() || self.hosts[host].suspended {
            return;
        }
        let now = self.clock(host);
        let Some(table) = self.hosts[host].table.as_mut() else { return };
        let source = IpAddr::from([192, 0, 2, 1]);
        let Ok(heard) = table.receive(now, source, bytes) else { return };
        let Some(NodeIndex(node)) = heard.node else { return };
        let site = usize::from(node) / NODES;
        let at = table.all_down_at(&[index(site, 0), index(site, 1)]);
        let memories: Vec<Memory> = table.memories().collect();
        if heard.remember {
            self.hosts[host].heard = memories;
        }
        let Some(at) = at else { return };
        for ticket in 0..self.plan.tickets.len() {
            self.checks.excuse(host, ticket, site, self.hosts[site].down_ms);
            let (ticket, site) = (TicketIndex(ticket as u16), MemberIndex(site as u8));
            self.input(host, Input::SiteCrashed { ticket, site, at });
            if !self.is_up(host) {
                return;
            }
        }
    }
}
