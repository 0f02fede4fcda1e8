//! The loop: resolves names, sends each address its messages when they are due, sleeps.
//!
//! It ends when all addresses have had their messages, or when the time for as many is over. A name without an address
//! is looked up again each second meanwhile, and does not make it last longer.

use crate::link::Links;
use crate::system::{self, Clock, Descriptor, Destination, Errno, HostName};
use crate::{console, files};
use booth_core::wire::kdump::{self, Announcement, Key, NodeId};
use core::net::IpAddr;
use fence_kdump_send::MAX_TARGETS;
use fence_kdump_send::address::Address;
use fence_kdump_send::options::{MAX_NODES, Options};
use fence_kdump_send::schedule::{self, Fate, Schedule};
use fence_kdump_send::{sequence, text};

/// Between two look-ups of a name, in milliseconds.
const LOOK_UP_MS: u64 = 1000;

const WRONG_FAMILY: &str = "' is not of the family that -f asks for";
const UNKNOWN: &str = "' has no address of its own or in /etc/hosts: trying again";

const CANNOT: &str = "cannot send to node '";

/// An address that gets messages.
struct Target {
    name: &'static [u8],
    to: Destination,
    schedule: Schedule,
    /// It has been said that it cannot be reached yet.
    complained: bool,
}

/// What makes messages.
struct Writer {
    signed: Option<(Key, NodeId)>,
    /// The sequence number of the last message.
    last: u64,
}

struct Sender<'o> {
    options: &'o Options<'static>,
    writer: Writer,
    links: Links,
    sockets: [Option<Descriptor>; 2],
    targets: heapless::Vec<Target, MAX_TARGETS>,
    unresolved: heapless::Vec<&'static [u8], MAX_NODES>,
    /// When the unresolved names are looked up again.
    look_up: u64,
}

/// Sends; gives the exit status.
pub fn run(options: &Options<'static>) -> i32 {
    let now = system::now_ms(Clock::Boot);
    let mut sender = Sender {
        options,
        writer: Writer::new(options),
        links: Links::new(),
        sockets: [None, None],
        targets: heapless::Vec::new(),
        unresolved: heapless::Vec::new(),
        look_up: now + LOOK_UP_MS,
    };
    if let Some(node) = options.left_out {
        console::error("more than 32 nodes: left out '", node, "' and all behind it");
    }
    for node in &options.nodes {
        sender.take(node, now);
    }
    let end = schedule::end(now, options.count, options.interval);
    while let Some(due) = sender.next_due() {
        if due > end {
            console::error("not all could be sent in time: giving up", b"", "");
            break;
        }
        let now = system::now_ms(Clock::Boot);
        if due > now {
            system::sleep_ms(due - now);
            continue;
        }
        sender.look_up_again(now);
        sender.send_what_is_due(now);
    }
    i32::from(sender.targets.is_empty())
}

impl Sender<'_> {
    /// Takes a node of the command line.
    fn take(&mut self, node: &'static [u8], now: u64) {
        if self.resolve(node, now) {
            return;
        }
        let family = Address::parse(node).is_some_and(|address| !address.is_of(self.options.family));
        console::error("node '", node, if family { WRONG_FAMILY } else { UNKNOWN });
        if !family {
            // There is room: no more nodes than on the command line.
            let _ = self.unresolved.push(node);
        }
    }

    /// Makes targets of a node; whether it has an address.
    fn resolve(&mut self, node: &'static [u8], now: u64) -> bool {
        if let Some(address) = Address::parse(node) {
            return self.aim(node, &address, now);
        }
        let mut found = false;
        files::look_up(node, |address| found |= self.aim(node, address, now));
        found
    }

    /// Makes a target of an address, if it is new; whether it is one that can be used.
    fn aim(&mut self, name: &'static [u8], address: &Address<'_>, now: u64) -> bool {
        if !address.is_of(self.options.family) {
            return false;
        }
        let Some(link) = self.link_of(address) else { return false };
        let ip = address.ip;
        if self.targets.iter().any(|target| target.to.ip == ip && target.to.link == link) {
            return true;
        }
        let to = Destination { ip, link, port: self.options.port };
        let target = Target { name, to, schedule: Schedule::new(now), complained: false };
        if self.targets.push(target).is_err() {
            console::error("too many addresses, left out one of node '", name, "'");
        }
        true
    }

    /// The number of the interface that the address names, 0 where it names none, nothing where there is none.
    fn link_of(&mut self, address: &Address<'_>) -> Option<u32> {
        if address.interface.is_empty() {
            return Some(0);
        }
        text::number(address.interface)
            .or_else(|| system::link_number(self.socket(address.ip).ok()?, address.interface).ok())
    }

    /// The socket for addresses like this one, opened when it is first wanted.
    fn socket(&mut self, ip: IpAddr) -> Result<&Descriptor, Errno> {
        let [v4, v6] = &mut self.sockets;
        let slot = if ip.is_ipv4() { v4 } else { v6 };
        match slot {
            Some(socket) => Ok(socket),
            None => Ok(slot.insert(system::udp_socket(ip)?)),
        }
    }

    /// When there is something to do; never again when all targets have had their messages.
    fn next_due(&self) -> Option<u64> {
        let count = self.options.count;
        let due = self.targets.iter().filter_map(|target| target.schedule.due(count)).min();
        match due {
            _ if self.unresolved.is_empty() => due,
            Some(due) => Some(due.min(self.look_up)),
            None if count == 0 => Some(self.look_up),
            None => None,
        }
    }

    fn look_up_again(&mut self, now: u64) {
        if now < self.look_up {
            return;
        }
        self.look_up = now + LOOK_UP_MS;
        let names = core::mem::take(&mut self.unresolved);
        for name in names {
            if !self.resolve(name, now) {
                let _ = self.unresolved.push(name);
            }
        }
    }

    fn send_what_is_due(&mut self, now: u64) {
        let mut targets = core::mem::take(&mut self.targets);
        for target in &mut targets {
            if target.schedule.due(self.options.count).is_some_and(|due| due <= now) {
                let fate = self.send(target);
                target.schedule.tried(fate, now, self.options.interval);
            }
        }
        self.targets = targets;
    }

    /// Sends one message and says what became of it.
    fn send(&mut self, target: &mut Target) -> Fate {
        let is_up = self.links.is_up(target.to.ip, target.to.link);
        let (bytes, length) = self.writer.write();
        let message = bytes.get(..length).unwrap_or_default();
        let sent = match self.socket(target.to.ip) {
            Ok(socket) => system::send_to(socket, message, &target.to),
            Err(error) => Err(error),
        };
        let fate = match sent {
            Ok(()) if is_up => Fate::Sent,
            Err(error) if !is_passing(error) => Fate::Refused,
            _ => Fate::NotYet,
        };
        self.report(target, fate, sent.err());
        fate
    }

    /// Says what became of a message; that it cannot go out, once.
    fn report(&self, target: &mut Target, fate: Fate, error: Option<Errno>) {
        let complained = core::mem::replace(&mut target.complained, fate != Fate::Sent);
        if fate == Fate::Sent {
            if self.options.verbose {
                console::debug("message sent to node '", target.name, "'");
            }
        } else if !complained {
            match error {
                Some(Errno(number)) => console::error_number(CANNOT, target.name, "': error ", number.into()),
                None => console::error(CANNOT, target.name, "' yet: no carrier"),
            }
        }
    }
}

/// Whether an error may go away by itself, as a network comes up.
fn is_passing(error: Errno) -> bool {
    matches!(
        error,
        Errno::EAGAIN
            | Errno::ENOMEM
            | Errno::ENODEV
            | Errno::EAFNOSUPPORT
            | Errno::EADDRNOTAVAIL
            | Errno::ENETDOWN
            | Errno::ENETUNREACH
            | Errno::ENOBUFS
            | Errno::EHOSTUNREACH
    )
}

impl Writer {
    fn new(options: &Options<'_>) -> Writer {
        let signed = options.key.and_then(files::key).map(|key| {
            let host = HostName::read();
            (key, NodeId::of(options.node.unwrap_or(host.as_bytes())))
        });
        Writer { signed, last: 0 }
    }

    /// The next message: a buffer, and how much of it. No two are alike where they are signed, whoever they are for.
    fn write(&mut self) -> ([u8; kdump::SIGNED_LEN], usize) {
        let Some((key, node)) = &self.signed else {
            let mut message = [0; kdump::SIGNED_LEN];
            message[..kdump::PLAIN_LEN].copy_from_slice(&kdump::encode_plain());
            return (message, kdump::PLAIN_LEN);
        };
        self.last = sequence::after(self.last, system::now_us(Clock::Wall));
        let (sequence, uptime) = (self.last, (system::now_us(Clock::Boot) / 1_000_000) as u32);
        (kdump::encode_signed(&Announcement { node: *node, sequence, uptime }, key), kdump::SIGNED_LEN)
    }
}
