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
    /// When its crash kernel was born, as far as is known.
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

/// A dump of a node that has a key.
#[derive(Clone, Copy, Debug)]
struct Dump {
    /// The sequence number of its first message.
    first: u64,
    /// The earliest estimate of when the sending kernel was born, by our boot clock in milliseconds; it may be
    /// older than our own kernel.
    born: i64,
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
            Message::Verified(announcement) => self.take_verified(now.boot, &announcement, tolerance),
            Message::Unsigned | Message::Unverified(_) | Message::Forged(_) => Err(DropReason::BadSignature),
        }
    }

    fn take_verified(&mut self, now: Instant, message: &Announcement, tolerance: Millis) -> Result<bool, DropReason> {
        if message.sequence <= self.newest {
            return Err(DropReason::Replayed);
        }
        let born = millis(now.0).saturating_sub(i64::from(message.uptime) * 1000);
        let same = self.dump.as_mut().filter(|dump| started(dump.first) == started(message.sequence));
        let first = same.is_none();
        match same {
            Some(dump) if born.saturating_sub(dump.born) > millis(tolerance.0) => return Err(DropReason::Stale),
            Some(dump) => dump.born = dump.born.min(born),
            None => self.dump = Some(Dump { first: message.sequence, born }),
        }
        self.newest = message.sequence;
        Ok(first)
    }

    pub(super) fn memory(&self, now: Now) -> Option<Memory> {
        let dump = self.dump?;
        let age = millis(now.boot.0).saturating_sub(dump.born).max(0).unsigned_abs();
        let born = WallTime(now.wall.0.saturating_sub(age.saturating_mul(1000)));
        Some(Memory { node: self.id, sequence: dump.first, born })
    }

    pub(super) fn restore(&mut self, now: Now, memory: &Memory) {
        let age = millis(now.wall.0 / 1000).saturating_sub(millis(memory.born.0 / 1000));
        let born = millis(now.boot.0).saturating_sub(age);
        self.newest = self.newest.max(memory.sequence);
        self.dump = Some(Dump { first: memory.sequence, born });
    }
}

/// When the sender of a message was started, in seconds since 1970: what the messages of one dump have in common.
fn started(sequence: u64) -> u64 {
    sequence >> 32
}

/// Unsigned milliseconds as signed ones.
fn millis(span: u64) -> i64 {
    i64::try_from(span).unwrap_or(i64::MAX)
}
