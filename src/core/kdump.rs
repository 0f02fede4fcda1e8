//! Which nodes have said that they write their dump, and who waits for whom.
//!
//! A *node* is a host of some cluster; its crash kernel sends *messages* ([`crate::wire::kdump`]) while it
//! writes the memory of the crashed one to disk. A *source* is an address that messages come from. A *dump* is
//! the messages of one crash: a source is *dumping* while it was heard within three intervals, else
//! *finished*. A *waiter* wants to know that nodes are dumping; it is told when all of them have been heard,
//! or when its time is over. A node with a *key* is known by its signature, any other by its address.
//!
//! What counts as heard is decided here and nowhere else:
//! - Of a node that has a key, only messages that it has signed ([`authenticity`]), from whatever address; the
//!   addresses that its name has are its own, and an unsigned message from there is void.
//! - Of any other node, a message from one of the addresses that the waiter names, unless signatures are
//!   required: then nothing.
//! - A message that came before the waiter, by the time at which the system received it, counts only within the
//!   lookback: a node that dumped, booted again and was then lost is not down.
//!
//! Everything has a limit. A source for which there is no room is not listed, but those who wait hear it all
//! the same: the table is for people and for the lookback. Nobody who is dumping loses its place to a
//! stranger, so a flood from forged addresses hides what comes behind it and nothing that was there before;
//! a signed message takes the place of an unsigned one even then.
//!
//! It knows no sockets, files, names of hosts or log lines, and reads no clock.

pub mod authenticity;
mod crashed;
pub mod wait;

use crate::input::ClientId;
use crate::time::{Instant, Millis, Now, WallTime};
use crate::wire::kdump::{self as wire, Message};
use authenticity::{KeyedNode, Taken};
use core::net::IpAddr;
use heapless::Vec;
use wait::{Finished, Wait, Waiter};

pub use authenticity::{Memory, Node, NodeIndex};

/// How many sources are remembered.
pub const MAX_SOURCES: usize = 64;
/// How many nodes may have a key.
pub const MAX_NODES: usize = 32;
/// How many may wait at once.
pub const MAX_WAITERS: usize = 32;
/// So many intervals of silence end a dump.
pub const INTERVALS: u64 = 3;

/// How the table decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// From one message of a node to its next.
    pub interval: Millis,
    /// For how long a message counts that came before the waiter; zero: not at all.
    pub lookback: Millis,
    /// Whether unsigned messages are void wherever they come from.
    pub require_auth: bool,
}

/// Why a datagram does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// It is not the message of a dumping node.
    Malformed(wire::DropReason),
    /// Not signed, or by nobody who is known, where a signature is needed.
    NotAuthenticated,
    /// The signature is not the node's.
    BadSignature,
    /// The node has sent this or a later one before.
    Replayed,
    /// By the node's clock it was sent at another time than now: too early, or yet to come.
    OtherTime {
        /// Our time.
        now: WallTime,
        /// Its time.
        sent: WallTime,
    },
    /// The kernel that sends runs for too long to have just crashed.
    NotCrashed {
        /// For how many seconds.
        uptime: u32,
    },
}

/// A message that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Where it came from; never an IPv4 address in IPv6 clothes.
    pub address: IpAddr,
    /// Whose signature it has.
    pub node: Option<NodeIndex>,
    /// Whether it is the first of a dump.
    pub begins: bool,
    /// Whether [`Table::memories`] must be on disk before anybody is told.
    pub remember: bool,
    /// Whether the source is listed.
    pub listed: bool,
}

/// What is known of an address that messages came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The address.
    pub address: IpAddr,
    /// Whose signature they had.
    pub node: Option<NodeIndex>,
    /// When the first message of the dump came.
    pub first: Instant,
    /// When the last one came.
    pub last: Instant,
    /// How many came.
    pub count: u32,
}

/// All that is known of dumping nodes. Some 60 KB, so keep it in a box.
#[derive(Debug)]
pub struct Table {
    settings: Settings,
    nodes: Vec<KeyedNode, MAX_NODES>,
    sources: Vec<Source, MAX_SOURCES>,
    waiters: Vec<Waiter, MAX_WAITERS>,
}

impl Table {
    /// A table that has heard nothing. Of `nodes`, those beyond [`MAX_NODES`] are left out: refuse them before.
    pub fn new(settings: Settings, nodes: impl IntoIterator<Item = Node>) -> Table {
        let nodes = nodes.into_iter().take(MAX_NODES).map(KeyedNode::new).collect();
        Table { settings, nodes, sources: Vec::new(), waiters: Vec::new() }
    }

    /// Takes a datagram that came at `now`, which need not be this instant; tells what it means, or why nothing.
    ///
    /// # Errors
    /// The reason why it does not count.
    pub fn receive(&mut self, now: Now, source: IpAddr, bytes: &[u8]) -> Result<Heard, DropReason> {
        let address = source.to_canonical();
        let (node, taken) = self.sender(now, address, bytes)?;
        let (begins, listed) = self.list(now.boot, address, node, taken.begins);
        let owner = self.owner(address);
        for waiter in &mut self.waiters {
            waiter.hear(now.boot, address, node, owner);
        }
        Ok(Heard { address, node, begins, remember: taken.remember, listed })
    }

    /// The node that has signed a message, and what that means; `None` where it need not be signed.
    fn sender(&mut self, now: Now, address: IpAddr, bytes: &[u8]) -> Result<(Option<NodeIndex>, Taken), DropReason> {
        let signer = match wire::decode(bytes, None).map_err(DropReason::Malformed)? {
            Message::Unverified(announcement) => self.nodes.iter().position(|node| node.id() == announcement.node),
            Message::Unsigned | Message::Forged(_) | Message::Verified(_) => None,
        };
        let Some(at) = signer else {
            let void = self.settings.require_auth || self.owner(address).is_some();
            return if void {
                Err(DropReason::NotAuthenticated)
            } else {
                Ok((None, Taken { begins: false, remember: false }))
            };
        };
        let taken = self.nodes[at].take(now, bytes)?;
        Ok((Some(NodeIndex(at as u8)), taken))
    }

    /// Keeps a source; tells whether a dump begins with this message, and whether there was room for it.
    fn list(&mut self, now: Instant, address: IpAddr, node: Option<NodeIndex>, new_dump: bool) -> (bool, bool) {
        let silence = self.silence();
        let fresh = Source { address, node, first: now, last: now, count: 1 };
        let known = self.sources.iter_mut().find(|source| (source.address, source.node) == (address, node));
        if let Some(source) = known {
            let begins = new_dump || now.since(source.last) > silence;
            if begins {
                *source = fresh;
            } else {
                (source.last, source.count) = (now, source.count.saturating_add(1));
            }
            return (begins, true);
        }
        if self.sources.is_full() && !self.make_room(now, node.is_some()) {
            return (true, false);
        }
        (true, self.sources.push(fresh).is_ok())
    }

    /// Forgets the source that was heard longest ago of those that have finished, or, for a signed message, of
    /// those that have not signed; `false`: there is none.
    fn make_room(&mut self, now: Instant, signed: bool) -> bool {
        let silence = self.silence();
        let finished = |source: &Source| now.since(source.last) > silence;
        let spare = self.sources.iter().enumerate().filter(|(_, source)| {
            // The one who asks is signed as well: signed ones that are dumping keep their places.
            finished(source) || (signed && source.node.is_none())
        });
        let oldest = spare.min_by_key(|(_, source)| (!finished(source), source.last)).map(|(at, _)| at);
        oldest.map(|at| self.sources.swap_remove(at)).is_some()
    }

    /// The node with a key that has this address.
    fn owner(&self, address: IpAddr) -> Option<NodeIndex> {
        self.nodes.iter().position(|node| node.has(address)).map(|at| NodeIndex(at as u8))
    }

    /// How long the silence may be within a dump.
    fn silence(&self) -> Millis {
        Millis(self.settings.interval.0.saturating_mul(INTERVALS))
    }

    /// A name in a wait that is of no use: that of a node with neither an address nor a key, which nobody can be.
    pub fn nobody<'a>(&self, wait: &'a Wait) -> Option<&'a str> {
        wait.nobody(&self.nodes)
    }

    /// Lets a client wait until all its nodes have been heard or `until` comes. `false`: too many wait.
    pub fn wait(&mut self, now: Instant, client: ClientId, until: Instant, wait: Wait) -> bool {
        let mut waiter = Waiter::new(client, now, until, wait, &self.nodes);
        let lookback = self.settings.lookback;
        if lookback > Millis(0) {
            for source in self.sources.iter().filter(|source| now.since(source.last) <= lookback) {
                waiter.hear(now, source.address, source.node, self.owner(source.address));
            }
        }
        self.waiters.push(waiter).is_ok()
    }

    /// The client waits no longer.
    pub fn leave(&mut self, client: ClientId) {
        self.waiters.retain(|waiter| waiter.client() != client);
    }

    /// The next waiter that is done: all its nodes have been heard, or its time is over.
    pub fn next_finished(&mut self, now: Instant) -> Option<Finished> {
        let at = self.waiters.iter().position(|waiter| waiter.is_done(now))?;
        Some(self.waiters.swap_remove(at).finish())
    }

    /// Somebody who waits, and does so no longer.
    pub fn give_up(&mut self) -> Option<ClientId> {
        self.waiters.pop().map(|waiter| waiter.client())
    }

    /// How many wait.
    pub fn waiters(&self) -> usize {
        self.waiters.len()
    }

    /// When [`Table::next_finished`] must be asked although nothing has come.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.waiters.iter().map(Waiter::until).min()
    }

    /// All sources, in no order.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter()
    }

    /// Whether a source is dumping; else it has finished.
    pub fn is_dumping(&self, now: Instant, source: &Source) -> bool {
        now.since(source.last) <= self.silence()
    }

    /// The name of a node that has a key.
    pub fn name(&self, node: NodeIndex) -> &str {
        self.nodes.get(usize::from(node.0)).map_or("", KeyedNode::name)
    }

    /// What is to be remembered over a restart, in the order of the nodes.
    pub fn memories(&self) -> impl Iterator<Item = Memory> {
        self.nodes.iter().filter_map(KeyedNode::memory)
    }

    /// Remembers what an earlier process has heard, or another one meanwhile.
    pub fn restore(&mut self, memory: &Memory) {
        if let Some(node) = self.nodes.iter_mut().find(|node| node.id() == memory.node) {
            node.restore(memory);
        }
    }
}

#[cfg(test)]
mod tests;
