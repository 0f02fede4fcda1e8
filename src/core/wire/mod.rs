//! Bytes to typed messages and back. Four-character codes appear here and nowhere else.
//!
//! What has been parsed is valid: names are terminated and of the allowed characters, lengths agree,
//! the MAC is good. Whether a message is *timely* or its sender known is not decided here.

pub mod mac;

use crate::member::SiteId;
use crate::time::WallTime;

/// The header's length in bytes.
pub const HEADER_LEN: usize = 48;
/// The length of a ticket body.
pub const TICKET_LEN: usize = 76;
/// The length of an attribute body.
pub const ATTRIBUTE_LEN: usize = 256;
/// The length of the MAC trailer.
pub const TRAILER_LEN: usize = 28;
/// The longest message without text: a signed attribute message.
pub const MAX_MESSAGE: usize = HEADER_LEN + ATTRIBUTE_LEN + TRAILER_LEN;
/// `magic`.
pub const MAGIC: u32 = 0x5F1B_A08C;
/// `version`.
pub const VERSION: u32 = 0x0001_0003;

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `Stat`: what do you know of the ticket?
    Status,
    /// `MIdx`: what I know of the ticket.
    MyIndex,
    /// `RVot`: vote for `leader`.
    VoteRequest,
    /// `VtFr`: my vote; unasked and for nobody, a step-down.
    Vote,
    /// `HrtB`: I lead and renew.
    Heartbeat,
    /// `UpdE`: the lease is renewed; store it.
    Update,
    /// `Revk`: revoked.
    Revoke,
    /// `Ack.`: acknowledges the command in `request`.
    Ack,
    /// `RJC!`: rejects the command in `request`.
    Reject,
    /// `CLst`: client asks for the list of tickets.
    ClientList,
    /// `CGnt`: client asks for a grant.
    ClientGrant,
    /// `CRvk`: client asks for a revoke.
    ClientRevoke,
    /// `Peer`: client asks for the list of peers.
    ClientPeers,
    /// `ASet`: client sets an attribute.
    AttributeSet,
    /// `AGet`: client reads an attribute.
    AttributeGet,
    /// `ADel`: client deletes an attribute.
    AttributeDelete,
    /// `ALst`: client lists attributes.
    AttributeList,
    /// `Rslt`: result for a client.
    Result,
    /// `RLst`: text for a client.
    ListReply,
}

/// How a request ended: the header's `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 0.
    Success,
    /// `Asyn`: under way.
    Asynchronous,
    /// `More`: not final.
    More,
    /// `Sccs`: success, in words.
    SyncSuccess,
    /// `Fail`.
    SyncFail,
    /// `IArg`: no such ticket, unknown command.
    InvalidArgument,
    /// `NAtr`: no such attribute.
    NoSuchAttribute,
    /// `Pend`: the CIB commit is pending.
    CommitPending,
    /// `XPrg`: the before-acquire-handler failed.
    HandlerFailed,
    /// `APrq`: an attr-prereq does not hold.
    PrerequisiteFailed,
    /// `Tidl`: the ticket is not owned.
    TicketIdle,
    /// `Over`: already granted.
    Overgrant,
    /// `Suc?`: probably succeeded.
    ProbablySuccess,
    /// `Busy`.
    Busy,
    /// `Auth`: not authenticated.
    AuthenticationFailed,
    /// `TOdt`: the term is outdated.
    TermOutdated,
    /// `TVld`: the term is still valid.
    TermStillValid,
    /// `Outd`: the asker is outdated.
    YouAreOutdated,
    /// `Redr`: ask the site in `leader`.
    Redirect,
    /// Any other code, as it came.
    Other(u32),
}

/// Why an election is run: the header's `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// 0.
    None,
    /// `Aaaa`: again, the last one had no winner.
    Again,
    /// `TLst`: the lease has run out.
    TicketLost,
    /// `Racq`: the holder was restarted.
    Reacquire,
    /// `Admn`: an administrator asks.
    Administrator,
    /// `LocF`: a local failure.
    LocalFailure,
    /// `Spdn`: the leader has stepped down.
    StepDown,
    /// `Splt`: split vote.
    Split,
    /// Any other code, as it came.
    Other(u32),
}

/// Why a message was dropped. Each reason is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// Shorter than a header, or longer than any message.
    BadSize,
    /// `magic` is not booth's.
    BadMagic,
    /// `version` is not ours.
    BadVersion,
    /// `length` is not the message's, or does not fit its kind.
    BadLength,
    /// `cmd` is none that is known, or not one for this socket.
    UnknownCommand,
    /// `from` is none of the members, or oneself.
    UnknownSender,
    /// There is no key, and the address is not the member's.
    WrongAddress,
    /// It is not signed, but there is a key.
    NotAuthenticated,
    /// `hash id` is not HMAC-SHA1.
    BadHashId,
    /// The MAC is wrong.
    BadMac,
    /// The stamp is older than `maxtimeskew` allows.
    StaleStamp,
    /// The stamp was seen before, or is too old for a message of its kind.
    Replayed,
    /// A name or a value is not terminated or has characters that are not allowed.
    BadText,
    /// No such ticket.
    UnknownTicket,
    /// `leader` is no member.
    UnknownLeader,
    /// The term cannot be meant.
    AbsurdTerm,
    /// The validity cannot be meant.
    AbsurdValidity,
    /// It answers nothing that is asked at present.
    Unexpected,
}

impl DropReason {
    /// How many reasons there are.
    pub const COUNT: usize = DropReason::Unexpected as usize + 1;

    /// Whether the `peers` text counts it as `authfail` (else as `invalid`).
    pub fn is_authentication(self) -> bool {
        matches!(
            self,
            DropReason::WrongAddress
                | DropReason::NotAuthenticated
                | DropReason::BadHashId
                | DropReason::BadMac
                | DropReason::StaleStamp
                | DropReason::Replayed
        )
    }
}

/// The `leader` field of a ticket body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderField {
    /// 0: not known, or not meant.
    Unknown,
    /// 0xFFFFFFFF: no one.
    Nobody,
    /// A member, by its site id.
    Member(SiteId),
}

/// The header's fields that are not implied by the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// When it was sent by the sender's clock; the epoch without authentication.
    pub stamp: WallTime,
    /// Who sent it.
    pub sender: SiteId,
    /// What it is.
    pub command: Command,
    /// What it answers.
    pub request: Option<Command>,
    /// Client flags, or between our own daemons a word of `options` (see `number`).
    pub options: u32,
    /// Why an election is run.
    pub reason: Reason,
    /// How a request ended.
    pub outcome: Outcome,
}

/// What follows the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// Nothing.
    Empty,
    /// A ticket.
    Ticket(TicketBody<'a>),
    /// An attribute.
    Attribute(AttributeBody<'a>),
}

/// A ticket body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketBody<'a> {
    /// The ticket's name; empty where a client names none.
    pub name: &'a str,
    /// Who holds it, or is wanted to.
    pub leader: LeaderField,
    /// The term.
    pub term: u32,
    /// Time left, in the unit of the configuration.
    pub valid_for: u32,
}

/// An attribute body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeBody<'a> {
    /// The ticket's name.
    pub ticket: &'a str,
    /// The attribute's name.
    pub name: &'a str,
    /// The attribute's value.
    pub value: &'a str,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Its header.
    pub header: Header,
    /// Its body.
    pub body: Body<'a>,
}
