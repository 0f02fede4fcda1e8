//! What is kept of each peer: its counters and the stamps that it has used.

use crate::stamp::Window;
use crate::time::{Instant, WallTime};
use crate::view::PeerCounters;
use crate::wire::DropReason;

/// A peer, as this member knows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peer {
    pub(crate) window: Window,
    /// The stamps of clients that speak in this member's name (those on its host).
    pub(crate) client_window: Window,
    pub(crate) counters: PeerCounters,
    pub(crate) last_received: Option<WallTime>,
    /// Since when it is known not to answer.
    pub(crate) silent_since: Option<Instant>,
    /// Its last message had no word of ours in it: it is the reference.
    pub(crate) wordless: bool,
}

impl Peer {
    /// Counts a datagram that was dropped.
    pub(crate) fn count_drop(&mut self, reason: DropReason) {
        let counter =
            if reason.is_authentication() { &mut self.counters.auth_failures } else { &mut self.counters.invalid };
        *counter = counter.wrapping_add(1);
    }
}
