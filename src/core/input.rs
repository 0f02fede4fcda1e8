//! Inputs: past facts that the shell reports to [`crate::node::Node::step`].

use crate::member::MemberIndex;
use crate::settings::TicketIndex;
use crate::time::{Instant, WallTime};

/// A connected client, as the shell numbers it. Numbers are not used again while the process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// The number of a request to the outside; a result that carries an old one is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RequestNumber(pub u32);

/// Something that has happened.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The process has started: the first input, once. Tickets are loaded and peers asked.
    Started,
    /// Nothing but the passing of time.
    Tick,
    /// A datagram has arrived on the peer socket.
    Datagram {
        /// The member whose address it came from, if any.
        source: Option<MemberIndex>,
        /// All of its bytes.
        bytes: &'a [u8],
    },
    /// A datagram could not be handed to the kernel.
    SendFailed {
        /// Whom it was for.
        to: MemberIndex,
    },
    /// A client has sent one whole message (`length` of its header, trailer included where signed).
    Request {
        /// Who asks.
        client: ClientId,
        /// The message.
        bytes: &'a [u8],
    },
    /// A client has closed its connection; nobody waits for its answer any more.
    ClientGone {
        /// Who.
        client: ClientId,
    },
    /// A store request has ended.
    StoreFinished {
        /// The ticket.
        ticket: TicketIndex,
        /// The request's number.
        number: RequestNumber,
        /// How it ended.
        result: StoreResult<'a>,
    },
    /// All nodes that `crash-release` names for a site were down at once (S13).
    SiteCrashed {
        /// The ticket that names them.
        ticket: TicketIndex,
        /// The site.
        site: MemberIndex,
        /// The latest instant at which that is known.
        at: Instant,
    },
    /// A ticket's program has ended, or was killed at its deadline.
    HandlerExited {
        /// The ticket.
        ticket: TicketIndex,
        /// The request's number.
        number: RequestNumber,
        /// Whether every program exited with 0.
        success: bool,
    },
    /// A journal record could not be written; the datagrams for this ticket that were queued behind
    /// it have not been sent.
    JournalFailed {
        /// The ticket.
        ticket: TicketIndex,
    },
}

/// How a store request ended.
#[derive(Clone, Copy, Debug)]
pub enum StoreResult<'a> {
    /// Written.
    Written,
    /// Read; `None`: the store does not know the ticket.
    Loaded(Option<StoredTicket<'a>>),
    /// Failed, or killed at its deadline. The shell has said why in its log; the core tries again.
    Failed,
}

/// A ticket as the store has it.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoredTicket<'a> {
    /// Whether it is granted at this site.
    pub granted: bool,
    /// The owner's site id as the store has it: -1 no one, 0 unknown, `None` when absent.
    pub owner: Option<i32>,
    /// When the lease recorded with it ends.
    pub expires: Option<WallTime>,
    /// The recorded term.
    pub term: Option<u32>,
    /// Its geo attributes: name and value.
    pub attributes: &'a [(&'a str, &'a str)],
}
