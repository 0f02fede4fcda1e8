//! What may be seen of a node from outside: for `list`, `peers`, `status`, tests and the log.

use crate::member::{MemberIndex, MemberSet};
use crate::settings::TicketIndex;
use crate::time::{Instant, Millis, WallTime};

/// Who holds a ticket, as far as this member knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody, and nobody ever did since this member started (`NONE`).
    Never,
    /// Nobody any more (`none`).
    Nobody,
    /// A member.
    Member(MemberIndex),
}

/// The part that this member plays for a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Its store has not been read yet.
    Loading,
    /// Respects a leader, or waits.
    Follower,
    /// Asks for votes.
    Candidate,
    /// Holds the ticket, or is about to.
    Leader,
}

/// A ticket, as this member sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketView<'a> {
    /// Its place in the configuration.
    pub index: TicketIndex,
    /// Its name.
    pub name: &'a str,
    /// Whether it is a manual ticket.
    pub manual: bool,
    /// This member's part.
    pub role: Role,
    /// Who holds it.
    pub holder: Holder,
    /// All who hold a manual ticket.
    pub holders: MemberSet,
    /// When the lease, or the promise to its holder, ends.
    pub expires: Option<Instant>,
    /// Until when the grant is not written yet (commit delay).
    pub commit_pending: Option<Instant>,
    /// The newest term.
    pub term: u32,
    /// Whether the store here says, or may say, that the ticket is granted here.
    pub granted_here: bool,
    /// Since when a revoke is due in the store but not done.
    pub revoke_overdue: Option<Instant>,
    /// When `on-stuck-revoke` was run for that revoke.
    pub last_resort: Option<Instant>,
    /// Until when this member has no memory of its votes and promises (S7); `None`: it remembers.
    pub forgetful_until: Option<Instant>,
}

/// A peer, with the counters that `peers` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Which member.
    pub member: MemberIndex,
    /// When its last good datagram came.
    pub last_received: Option<WallTime>,
    /// What went to and fro.
    pub counters: PeerCounters,
}

/// Datagrams to and from a peer since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PeerCounters {
    /// Handed to the sink, resends included.
    pub sent: u32,
    /// Could not be sent.
    pub send_errors: u32,
    /// Sent again for want of an answer.
    pub resends: u32,
    /// Received in all.
    pub received: u32,
    /// Dropped: wrong key, no key, wrong address, stamp old or repeated.
    pub auth_failures: u32,
    /// Dropped for anything else.
    pub invalid: u32,
}

/// A geo attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: &'a str,
    /// When it was set, where known.
    pub set_at: Option<WallTime>,
}

/// The margins that a ticket's times leave (S4); a member states them at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Margins {
    /// Taken off the lease for clock drift and rounding.
    pub drift: Millis,
    /// How long before the lease's end the store is told to revoke.
    pub revoke: Millis,
}
