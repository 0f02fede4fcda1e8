//! Whether a signed message of a dumping node is its own, of now, and of a crash kernel.
//!
//! - The signature says whose it is.
//! - The sequence number says that it has not been taken before: it is greater than the greatest of that node, over all
//!   its dumps.
//! - It is also the time of its sending: a message whose sender's clock differs from ours by more than [`TOLERANCE`]
//!   was held back, or recorded when nobody listened, or comes from a clock that cannot be trusted to say otherwise.
//! - The first message of a dump comes from a kernel that is young: what has been up for longer than [`YOUNG`] is a
//!   running system on which somebody tries the sender. Later ones come from the same kernel: it was born at the same
//!   time by its own clock.
//!
//! Of each node the greatest sequence number and that birth are remembered over a restart of the listener ([`Memory`]),
//! from the first message of a dump on and again each [`TOLERANCE`], so that a listener need not write to disk at each
//! message: what was taken since the last time is too old before the clock could hide it.

use super::DropReason;
use crate::time::{Instant, Millis, Now, WallTime};
use crate::wire::kdump::{self as wire, Announcement, Key, Message, NodeId};
use core::net::IpAddr;
use heapless::{String, Vec};

/// How many addresses a node with a key may have.
pub const MAX_ADDRESSES: usize = 8;
/// The longest name of a node, in bytes: a host name's (uname(2)).
pub const MAX_NODE_NAME: usize = 64;

/// A node that has a key, by its place among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeIndex(pub u8);

/// A node that has a key, as the configuration knows it.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its name: what `uname -n` says there.
    pub name: String<MAX_NODE_NAME>,
    /// Its key.
    pub key: Key,
    /// The addresses that are its own, as far as they are known.
    pub addresses: Vec<IpAddr, MAX_ADDRESSES>,
}

/// What is remembered of a node over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Which node.
    pub node: NodeId,
    /// The greatest sequence number that was taken.
    pub sequence: u64,
    /// When the kernel that sent it was born by its own clock, in seconds since 1970.
    pub birth: u32,
}

/// A node that has a key, and what it has sent.
#[derive(Debug)]
pub(super) struct KeyedNode {
    node: Node,
    id: NodeId,
    /// The greatest sequence number that was taken; 0: none.
    newest: u64,
    /// The one that is remembered over a restart, or is to be.
    remembered: u64,
    dump: Option<Dump>,
}

/// How far the clock of a sender may be from ours for its message to count.
pub const TOLERANCE: Millis = Millis(30_000);
/// How far it may be for the message to be timely: to show when its sender was down (S13).
pub const TIMELY: Millis = Millis(5_000);
/// For how many seconds a kernel may have run that begins to announce a dump: those of large machines boot for minutes.
pub const YOUNG: u32 = 600;
/// By how many seconds two messages of one kernel may differ about when it was born: each rounds two clocks down.
const ROUNDING: u32 = 2;

/// A dump of a node that has a key.
#[derive(Clone, Copy, Debug)]
struct Dump {
    /// When the sending kernel was born by its own clock, in seconds since 1970: what its messages have in common.
    birth: u32,
    /// When the first and the last of its messages came that were timely.
    timely: Option<(Instant, Instant)>,
}

/// What a message that counts means for those who list and remember.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// It is the first of a dump.
    pub begins: bool,
    /// What is remembered must be on disk before anybody is told.
    pub remember: bool,
}

impl KeyedNode {
    pub(super) fn new(mut node: Node) -> KeyedNode {
        node.addresses.iter_mut().for_each(|address| *address = address.to_canonical());
        let id = NodeId::of(node.name.as_bytes());
        KeyedNode { node, id, newest: 0, remembered: 0, dump: None }
    }

    pub(super) fn id(&self) -> NodeId {
        self.id
    }

    pub(super) fn name(&self) -> &str {
        &self.node.name
    }

    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.node.addresses.contains(&address)
    }

    /// Takes a message that names this node, which came at `now`.
    pub(super) fn take(&mut self, now: Now, bytes: &[u8]) -> Result<Taken, DropReason> {
        match wire::decode(bytes, Some(&self.node.key)).map_err(DropReason::Malformed)? {
            Message::Verified(announcement) => self.take_verified(now, &announcement),
            Message::Unsigned | Message::Unverified(_) | Message::Forged(_) => Err(DropReason::BadSignature),
        }
    }

    fn take_verified(&mut self, now: Now, message: &Announcement) -> Result<Taken, DropReason> {
        if message.sequence <= self.newest {
            return Err(DropReason::Replayed);
        }
        let sent = sent(message.sequence);
        if now.wall.0.abs_diff(sent.0) > micros(TOLERANCE) {
            return Err(DropReason::OtherTime { now: now.wall, sent });
        }
        let birth = birth(message);
        let begins = self.dump.is_none_or(|dump| dump.birth.abs_diff(birth) > ROUNDING);
        if begins {
            if message.uptime > YOUNG {
                return Err(DropReason::NotCrashed { uptime: message.uptime });
            }
            self.dump = Some(Dump { birth, timely: None });
        }
        self.newest = message.sequence;
        self.note_timely(now, sent);
        let remember = begins || message.sequence.abs_diff(self.remembered) > micros(TOLERANCE);
        if remember {
            self.remembered = message.sequence;
        }
        Ok(Taken { begins, remember })
    }

    /// Notes when a message came, if it has hardly been on its way.
    fn note_timely(&mut self, now: Now, sent: WallTime) {
        let timely = now.wall.0.abs_diff(sent.0) <= micros(TIMELY);
        if let Some(dump) = self.dump.as_mut().filter(|_| timely) {
            let (first, _) = dump.timely.unwrap_or((now.boot, now.boot));
            dump.timely = Some((first, now.boot));
        }
    }

    /// When the first and the last timely message of its newest dump came.
    pub(super) fn timely(&self) -> Option<(Instant, Instant)> {
        self.dump?.timely
    }

    pub(super) fn memory(&self) -> Option<Memory> {
        let dump = self.dump?;
        Some(Memory { node: self.id, sequence: self.newest, birth: dump.birth })
    }

    pub(super) fn restore(&mut self, memory: &Memory) {
        // What was heard here is known better than what is remembered of it.
        if memory.sequence > self.newest {
            (self.newest, self.remembered) = (memory.sequence, memory.sequence);
            self.dump = Some(Dump { birth: memory.birth, timely: None });
        }
    }
}

/// When a message was sent, by its sender's clock, to the second.
fn sent(sequence: u64) -> WallTime {
    WallTime(u64::from(wire::sent(sequence)) * 1_000_000)
}

fn micros(span: Millis) -> u64 {
    span.0 * 1_000
}

/// When the kernel that has sent a message was born by its own clock, in seconds since 1970.
fn birth(message: &Announcement) -> u32 {
    wire::sent(message.sequence).saturating_sub(message.uptime)
}
