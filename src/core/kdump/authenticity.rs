//! Whether a signed message of a dumping node is its own and of now.
//!
//! The signature says whose it is. The sequence number says that it has not been taken before: it is greater
//! than the greatest of that node, over all its dumps. That leaves a message that was held back while the
//! listener did not know of it: within a dump, the uptime that the message names says when it was sent. Each
//! message gives an estimate of when the sending kernel was born, late by as long as it was on its way; one
//! that is later than the earliest estimate by more than the silence that ends a dump was held back.
//!
//! Over a restart of the listener only the first message of a node's last dump is remembered ([`Memory`]):
//! what came behind it is told from a replay by the estimate. So a listener need not write to disk at each
//! message, and one that is started again in the middle of a dump still hears it.

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
    /// The first sequence number of its last dump.
    pub sequence: u64,
    /// When its crash kernel was born by its own clock, in seconds since 1970.
    pub birth: u32,
    /// The same by ours, as far as is known.
    pub born: WallTime,
}

/// A node that has a key, and what it has sent.
#[derive(Debug)]
pub(super) struct KeyedNode {
    node: Node,
    id: NodeId,
    /// The greatest sequence number that was taken; 0: none.
    newest: u64,
    dump: Option<Dump>,
}

/// How far the clock of a sender may be from ours for its message to be timely.
pub const TIMELY: Millis = Millis(5_000);
/// By how many seconds two messages of one kernel may differ about when it was born: each rounds two clocks down.
const ROUNDING: u32 = 2;

/// A dump of a node that has a key.
#[derive(Clone, Copy, Debug)]
struct Dump {
    /// The sequence number of its first message.
    first: u64,
    /// When the sending kernel was born by its own clock, in seconds since 1970: what its messages have in common.
    birth: u32,
    /// The earliest estimate of when the sending kernel was born, by our boot clock in milliseconds; it may be
    /// older than our own kernel.
    born: i64,
    /// When the first and the last of its messages came that were timely.
    timely: Option<(Instant, Instant)>,
}

impl KeyedNode {
    pub(super) fn new(mut node: Node) -> KeyedNode {
        node.addresses.iter_mut().for_each(|address| *address = address.to_canonical());
        let id = NodeId::of(node.name.as_bytes());
        KeyedNode { node, id, newest: 0, dump: None }
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

    /// Takes a message that names this node; whether it is the first of a dump.
    pub(super) fn take(&mut self, now: Now, bytes: &[u8], tolerance: Millis) -> Result<bool, DropReason> {
        match wire::decode(bytes, Some(&self.node.key)).map_err(DropReason::Malformed)? {
            Message::Verified(announcement) => self.take_verified(now, &announcement, tolerance),
            Message::Unsigned | Message::Unverified(_) | Message::Forged(_) => Err(DropReason::BadSignature),
        }
    }

    fn take_verified(&mut self, now: Now, message: &Announcement, tolerance: Millis) -> Result<bool, DropReason> {
        if message.sequence <= self.newest {
            return Err(DropReason::Replayed);
        }
        let born = millis(now.boot.0).saturating_sub(i64::from(message.uptime) * 1000);
        let birth = birth(message.sequence, message.uptime);
        let same = self.dump.as_mut().filter(|dump| dump.birth.abs_diff(birth) <= ROUNDING);
        let first = same.is_none();
        match same {
            Some(dump) if born.saturating_sub(dump.born) > millis(tolerance.0) => return Err(DropReason::Stale),
            Some(dump) => dump.born = dump.born.min(born),
            None => self.dump = Some(Dump { first: message.sequence, birth, born, timely: None }),
        }
        self.newest = message.sequence;
        self.note_timely(now, message.sequence);
        Ok(first)
    }

    /// Notes when a message came, if it has hardly been on its way.
    fn note_timely(&mut self, now: Now, sequence: u64) {
        let sent = WallTime(u64::from(wire::sent(sequence)) * 1_000_000);
        let timely = now.wall.0.abs_diff(sent.0) <= TIMELY.0 * 1_000;
        if let Some(dump) = self.dump.as_mut().filter(|_| timely) {
            let (first, _) = dump.timely.unwrap_or((now.boot, now.boot));
            dump.timely = Some((first, now.boot));
        }
    }

    /// When the first and the last timely message of its newest dump came.
    pub(super) fn timely(&self) -> Option<(Instant, Instant)> {
        self.dump?.timely
    }

    pub(super) fn memory(&self, now: Now) -> Option<Memory> {
        let dump = self.dump?;
        let age = millis(now.boot.0).saturating_sub(dump.born).max(0).unsigned_abs();
        let born = WallTime(now.wall.0.saturating_sub(age.saturating_mul(1000)));
        Some(Memory { node: self.id, sequence: dump.first, birth: dump.birth, born })
    }

    pub(super) fn restore(&mut self, now: Now, memory: &Memory) {
        // What was heard here is known better than what is remembered of it.
        if memory.sequence <= self.newest {
            return;
        }
        let age = millis(now.wall.0 / 1000).saturating_sub(millis(memory.born.0 / 1000));
        let born = millis(now.boot.0).saturating_sub(age);
        self.newest = memory.sequence;
        self.dump = Some(Dump { first: memory.sequence, birth: memory.birth, born, timely: None });
    }
}

/// When the kernel that has sent a message was born by its own clock, in seconds since 1970.
fn birth(sequence: u64, uptime: u32) -> u32 {
    wire::sent(sequence).saturating_sub(uptime)
}

/// Unsigned milliseconds as signed ones.
fn millis(span: u64) -> i64 {
    i64::try_from(span).unwrap_or(i64::MAX)
}
