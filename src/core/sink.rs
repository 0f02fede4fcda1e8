//! Outputs: imperatives that the core hands to whoever drives it.
//!
//! A sink only enqueues, and is infallible: it is sized so that one `step` cannot fill it. Whoever
//! empties it begins with the revokes in the store and the last resort: they promise nothing, and must
//! not wait for a disk that hangs (S0, S8). Then come the journal records, and only then all else; the
//! datagrams of a ticket whose record could not be written are dropped: what an answer promises is on
//! disk before the answer leaves (S1, S2). A grant waits as well: after a restart the journal is to
//! know of it (S8).

use crate::input::{ClientId, RequestNumber};
use crate::member::{MemberIndex, SiteId};
use crate::notice::Notice;
use crate::settings::TicketIndex;
use crate::time::{Instant, Millis, WallTime};

/// Takes what the core wants done.
pub trait Sink {
    /// Write this record of a ticket, and only then send what is queued for that ticket.
    fn journal(&mut self, ticket: TicketIndex, record: &Record);
    /// Send a datagram to a member. `ticket` ties it to the journal records queued before it.
    fn send(&mut self, ticket: TicketIndex, to: MemberIndex, bytes: &[u8]);
    /// Read or write the store. A newer request for a ticket replaces one that has not started, and
    /// a revoke ends a running write of the same ticket.
    fn store(&mut self, ticket: TicketIndex, request: StoreRequest<'_>);
    /// Run one of the ticket's programs.
    fn run_handler(&mut self, ticket: TicketIndex, request: HandlerRequest);
    /// Answer a client.
    fn reply(&mut self, client: ClientId, reply: Reply<'_>);
    /// Something worth a log line or a counter.
    fn notice(&mut self, notice: Notice);
}

/// What a member remembers of a ticket over a restart (S1, S2, S7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// The newest term known.
    pub term: u32,
    /// The newest term in which this member has voted, itself included.
    pub voted_term: u32,
    /// Whom it voted for in `voted_term`.
    pub vote: Option<SiteId>,
    /// Whose lease it has promised to respect.
    pub leader: Option<SiteId>,
    /// Whether that promise may still run.
    pub active: bool,
    /// The longest span that it was made for, 0 where it no longer runs: `expire` may be another after a restart.
    pub promised: Millis,
    /// Whether `acquire-after` of a holder before that leader may still run as well: nobody at all is helped (S3).
    pub earlier: bool,
    /// Whether an administrator has revoked the ticket in `term`: not lost, not to be fought for.
    pub revoked: bool,
    /// Whether anybody has ever held the ticket: then there is something to be fought for.
    pub held: bool,
    /// Names this memory. A site's store has it too, so that a node of the site knows whether another has
    /// served since, with a journal of its own (S7). 0: none yet.
    pub mark: u32,
    /// Written while the member had no memory of what was before (S7): so it has none after a restart.
    pub forgetful: bool,
    /// The newest stamp that this member may have sent: its stamps never go back (S11).
    pub stamp: WallTime,
}

/// A request to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreRequest<'a> {
    /// Comes back with the result.
    pub number: RequestNumber,
    /// What to do.
    pub action: StoreAction<'a>,
    /// A grant that has not been begun by then has failed: its lease has ended (S8). Between the core's
    /// decision and its execution a disk may hang or the process be stopped.
    pub before: Option<Instant>,
}

/// What the store is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreAction<'a> {
    /// Read the ticket with its attributes.
    Load,
    /// Write the ticket.
    Write(StoreTicket),
    /// Set a geo attribute.
    SetAttribute {
        /// Its name.
        name: &'a str,
        /// Its value.
        value: &'a str,
    },
    /// Remove a geo attribute.
    DeleteAttribute {
        /// Its name.
        name: &'a str,
    },
}

/// A ticket as the store is to have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoreTicket {
    /// Granted at this site, or not.
    pub granted: bool,
    /// Who holds it; site id 0: not known, `None`: no one, by an administrator's revoke.
    pub owner: Option<SiteId>,
    /// When the lease ends; the epoch when nobody holds it.
    pub expires: WallTime,
    /// The term.
    pub term: u32,
}

/// Which of a ticket's programs. Their numbers are those of [`HandlerKind::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandlerKind {
    /// `before-acquire-handler`: may this site have the ticket?
    BeforeAcquire,
    /// `release-handler`: are the ticket's resources stopped here?
    Release,
    /// `on-stuck-revoke`: the last resort. Nobody waits for its result.
    StuckRevoke,
}

impl HandlerKind {
    /// All of them.
    pub const ALL: [HandlerKind; 3] = [HandlerKind::BeforeAcquire, HandlerKind::Release, HandlerKind::StuckRevoke];
}

/// A request to run one of a ticket's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerRequest {
    /// Which program.
    pub kind: HandlerKind,
    /// Comes back with the result.
    pub number: RequestNumber,
    /// When it is killed, with its process group.
    pub deadline: Instant,
    /// `BOOTH_TICKET_EXPIRES`: the end of the lease that runs, or has ended last; or the epoch.
    pub expires: WallTime,
}

/// An answer to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A whole message; another will follow unless `last`.
    Message {
        /// Its bytes, signed where there is a key.
        bytes: &'a [u8],
        /// Whether the connection ends with it.
        last: bool,
    },
    /// The list of tickets: the shell writes the text, from [`crate::node::Node::tickets`].
    TicketList,
    /// The list of peers: the shell writes the text, from [`crate::node::Node::peers`].
    PeerList,
    /// A ticket's attributes: the shell writes the text, from [`crate::node::Node::attributes`].
    AttributeList(TicketIndex),
}
