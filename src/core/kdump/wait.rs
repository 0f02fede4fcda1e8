//! Those who wait for nodes to say that they write their dump.
//!
//! A [`Wait`] names nodes, each by its names and addresses; a node has been heard when any of them has. Names
//! matter for nodes that have a key: such a node is heard by its signature alone. A waiter is done when all
//! its nodes have been heard.

use super::authenticity::{KeyedNode, NodeIndex};
use crate::input::ClientId;
use crate::time::{Instant, Millis};
use core::net::IpAddr;
use heapless::{String, Vec};

/// How many nodes one may wait for.
pub const MAX_WAITED: usize = 16;
/// How many addresses these nodes may have in all.
pub const MAX_WAITED_ADDRESSES: usize = 48;
/// How many names they may have in all.
pub const MAX_WAITED_NAMES: usize = 16;
/// The longest name, in bytes; longer ones name nobody who has a key.
const MAX_NAME: usize = super::authenticity::MAX_NODE_NAME;

/// A message that came so shortly before the waiter may as well have come behind it: when it came and when the waiter
/// came is read from two clocks. No node boots in that time.
const CLOSE: Millis = Millis(100);

/// What one waits for.
#[derive(Clone, Debug, Default)]
pub struct Wait {
    nodes: u8,
    addresses: Vec<(u8, IpAddr), MAX_WAITED_ADDRESSES>,
    names: Vec<(u8, String<MAX_NAME>), MAX_WAITED_NAMES>,
}

/// There are more nodes, names or addresses than one may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// A waiter that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// Who has waited.
    pub client: ClientId,
    /// From which address each of its nodes was heard, in their order.
    pub heard: Vec<Option<IpAddr>, MAX_WAITED>,
}

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    client: ClientId,
    since: Instant,
    until: Instant,
    addresses: Vec<(u8, IpAddr), MAX_WAITED_ADDRESSES>,
    /// Of each node: the nodes with a key that it may be, one bit each. Where there is one, addresses say nothing.
    keyed: Vec<u32, MAX_WAITED>,
    heard: Vec<Option<IpAddr>, MAX_WAITED>,
}

const _: () = assert!(super::MAX_NODES <= u32::BITS as usize, "a bit for each");

/// Whether this is the node's name. Host names are the same in capitals (RFC 4343).
fn is(node: &KeyedNode, name: &str) -> bool {
    node.name().eq_ignore_ascii_case(name)
}

impl Wait {
    /// Adds a node, by nothing yet.
    ///
    /// # Errors
    /// Where there are [`MAX_WAITED`].
    pub fn add_node(&mut self) -> Result<(), TooMany> {
        if usize::from(self.nodes) == MAX_WAITED {
            return Err(TooMany);
        }
        self.nodes += 1;
        Ok(())
    }

    /// Adds an address to the last node.
    ///
    /// # Errors
    /// Where there is no node, or there are [`MAX_WAITED_ADDRESSES`].
    pub fn add_address(&mut self, address: IpAddr) -> Result<(), TooMany> {
        let node = self.nodes.checked_sub(1).ok_or(TooMany)?;
        self.addresses.push((node, address.to_canonical())).map_err(|_| TooMany)
    }

    /// Adds a name to the last node.
    ///
    /// # Errors
    /// Where there is no node, there are [`MAX_WAITED_NAMES`], or it is longer than a node's name.
    pub fn add_name(&mut self, name: &str) -> Result<(), TooMany> {
        let node = self.nodes.checked_sub(1).ok_or(TooMany)?;
        let name = String::try_from(name).map_err(|_| TooMany)?;
        self.names.push((node, name)).map_err(|_| TooMany)
    }

    /// A name of a node that nobody can be heard as: it has no address, and none of its names is that of one of
    /// `nodes`, which have a key.
    pub(super) fn nobody(&self, nodes: &[KeyedNode]) -> Option<&str> {
        let names = |waited: u8| self.names.iter().filter(move |(of, _)| *of == waited).map(|(_, name)| name.as_str());
        let addressed = |waited: u8| self.addresses.iter().any(|(of, _)| *of == waited);
        let keyed = |name: &str| nodes.iter().any(|node| is(node, name));
        let nobody = (0..self.nodes).find(|waited| !addressed(*waited) && !names(*waited).any(keyed))?;
        Some(names(nobody).next().unwrap_or_default())
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        usize::from(self.nodes)
    }
}

impl Finished {
    /// Whether all nodes were heard; else the time was over.
    pub fn all(&self) -> bool {
        self.heard.iter().all(Option::is_some)
    }
}

impl Waiter {
    /// One who waits where these are the nodes that have a key.
    pub(super) fn new(client: ClientId, since: Instant, until: Instant, wait: Wait, nodes: &[KeyedNode]) -> Waiter {
        let heard = core::iter::repeat_n(None, wait.nodes()).collect();
        let mut keyed: Vec<u32, MAX_WAITED> = core::iter::repeat_n(0, wait.nodes()).collect();
        for (waited, name) in &wait.names {
            for (at, _) in nodes.iter().enumerate().filter(|(_, node)| is(node, name)) {
                keyed[usize::from(*waited)] |= 1 << at;
            }
        }
        Waiter { client, since, until, addresses: wait.addresses, keyed, heard }
    }

    /// A message came at `at` from this address, signed by `node` if by anybody; the address is that of `owner`.
    pub(super) fn hear(&mut self, at: Instant, address: IpAddr, node: Option<NodeIndex>, owner: Option<NodeIndex>) {
        if at + CLOSE < self.since {
            return;
        }
        for (waited, heard) in self.heard.iter_mut().enumerate().filter(|(_, heard)| heard.is_none()) {
            let counts = match (self.keyed[waited], node) {
                // A message that need not be signed is not from an address with an owner: such ones are void.
                (0, _) => {
                    let listed = self.addresses.contains(&(waited as u8, address));
                    listed && (owner.is_none() || owner == node)
                }
                (keyed, Some(node)) => keyed & 1 << node.0 != 0,
                (_, None) => false,
            };
            if counts {
                *heard = Some(address);
            }
        }
    }

    pub(super) fn client(&self) -> ClientId {
        self.client
    }

    pub(super) fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn is_done(&self, now: Instant) -> bool {
        self.until <= now || self.heard.iter().all(Option::is_some)
    }

    pub(super) fn finish(self) -> Finished {
        Finished { client: self.client, heard: self.heard }
    }
}
