//! Bytes to typed messages and back. Four-character codes appear here and nowhere else.
//!
//! Parse, don't validate: what has been decoded is valid. Names are terminated and of the allowed
//! characters, lengths agree, the MAC is good, and no field is left to be looked at again. Whether a
//! message is *timely*, or its sender and its ticket are known, is not decided here.
//!
//! All words are 32 bits, big-endian. A message is a header, a body or none, and a trailer where it
//! is signed; a text reply is a header and its trailer, and text that the MAC does not cover.
//!
//! Whether a message is signed says bit 1 of `opts`, and both ends must be of one opinion: with a
//! key an unsigned message is refused ([`DropReason::NotAuthenticated`]), and without one a signed
//! message is ([`DropReason::NoKey`]): it cannot be checked, and whoever sent it would not listen to
//! an unsigned answer.

mod attribute;
mod code;
mod frame;
mod header;
pub mod kdump;
pub mod mac;
mod secret;
mod text;
mod ticket;

pub use frame::{Frame, ReplyFrame, frame_length, reply_frame};
pub use mac::Key;
pub use secret::{MAX_SECRET, MIN_SECRET, secret_in};
pub use text::{is_attribute_text, is_ticket_name};

use header::HeaderView;

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

/// The longest text behind a reply: a list of all tickets, each held by everybody, is a quarter of it.
pub const MAX_TEXT: usize = 16 << 20;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// `opts` has bits that this version of the protocol does not know.
    BadOptions,
    /// It is not signed, but there is a key.
    NotAuthenticated,
    /// It is signed, but there is no key to check it with.
    NoKey,
    /// `hash id` is not HMAC-SHA1.
    BadHashId,
    /// The MAC is wrong.
    BadMac,
    /// The stamp has a million microseconds or more.
    BadStamp,
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
                | DropReason::NoKey
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

/// Decodes one whole message; `bytes` is all of it and no more.
///
/// The order of the checks is part of the contract: size, magic, version, `opts`, `length`, MAC, and
/// only then the content, so that nothing unsigned is looked at where there is a key.
///
/// # Errors
/// The first reason found not to take it.
pub fn decode<'a>(bytes: &'a [u8], key: Option<&Key>) -> Result<Message<'a>, DropReason> {
    if bytes.len() > MAX_MESSAGE {
        return Err(DropReason::BadSize);
    }
    let view = HeaderView::of(bytes)?;
    if view.length() != bytes.len() {
        return Err(DropReason::BadLength);
    }
    let content = mac::open(bytes, view.is_signed(), key)?;
    let (_, body) = content.split_at_checked(HEADER_LEN).ok_or(DropReason::BadLength)?;
    let header = view.parse()?;
    Ok(Message { header, body: Body::parse(header.command, body)? })
}

/// Encodes a message, signed where there is a key; gives the number of bytes written.
///
/// Without a key the stamp is not sent.
///
/// # Panics
/// When a name or a value does not fit its field. Names from the configuration do; others are
/// checked with [`is_ticket_name`] and [`is_attribute_text`] first. Cut off, they would name something else.
pub fn encode(message: &Message<'_>, key: Option<&Key>, out: &mut [u8; MAX_MESSAGE]) -> usize {
    let end = HEADER_LEN + message.body.len();
    out[..end].fill(0);
    header::emit(&message.header, end + trailer_len(key), key.is_some(), out);
    match &message.body {
        Body::Empty => {}
        Body::Ticket(body) => ticket::emit(body, &mut out[HEADER_LEN..end]),
        Body::Attribute(body) => attribute::emit(body, &mut out[HEADER_LEN..end]),
    }
    mac::seal(out, end, key)
}

/// Encodes the header of a reply with `text_len` bytes of text behind it; gives the number of bytes written.
///
/// `length` counts the text, the MAC covers the header alone: so the reference has it.
///
/// # Panics
/// When the text is longer than [`MAX_TEXT`].
pub fn encode_text_header(header: &Header, text_len: usize, key: Option<&Key>, out: &mut [u8; MAX_MESSAGE]) -> usize {
    assert!(text_len <= MAX_TEXT, "a reply's text has a limit");
    out[..HEADER_LEN].fill(0);
    header::emit(header, HEADER_LEN + trailer_len(key) + text_len, key.is_some(), out);
    mac::seal(out, HEADER_LEN, key)
}

/// Decodes the header of a reply with text; `bytes` holds the header, its trailer where signed, and
/// any part of the text. Gives the header and the length of the text, at most [`MAX_TEXT`].
///
/// # Errors
/// As [`decode`]; [`DropReason::UnknownCommand`] when the reply is not one with text (see [`reply_frame`]).
pub fn decode_text_header(bytes: &[u8], key: Option<&Key>) -> Result<(Header, usize), DropReason> {
    let view = HeaderView::of(bytes)?;
    let overhead = view.overhead();
    let signed_part = bytes.get(..overhead).ok_or(DropReason::BadSize)?;
    let text_len = view.length().checked_sub(overhead).filter(|len| *len <= MAX_TEXT).ok_or(DropReason::BadLength)?;
    mac::open(signed_part, view.is_signed(), key)?;
    let header = view.parse()?;
    if !header.command.has_text_reply() {
        return Err(DropReason::UnknownCommand);
    }
    Ok((header, text_len))
}

/// Who a message says it is from, unverified: for counters only.
pub fn claimed_sender(bytes: &[u8]) -> Option<SiteId> {
    HeaderView::of(bytes).ok().map(|view| view.sender())
}

/// What the trailer adds to a message.
fn trailer_len(key: Option<&Key>) -> usize {
    if key.is_some() { TRAILER_LEN } else { 0 }
}

impl<'a> Body<'a> {
    /// The body that belongs to `command`, from exactly its bytes.
    fn parse(command: Command, bytes: &'a [u8]) -> Result<Body<'a>, DropReason> {
        match (command.body(), bytes.len()) {
            (code::BodyKind::Ticket | code::BodyKind::TicketOrNone, TICKET_LEN) => {
                ticket::parse(bytes, command.may_name_no_ticket()).map(Body::Ticket)
            }
            (code::BodyKind::Attribute, ATTRIBUTE_LEN) => attribute::parse(bytes, command).map(Body::Attribute),
            (code::BodyKind::TicketOrNone | code::BodyKind::None, 0) => Ok(Body::Empty),
            _ => Err(DropReason::BadLength),
        }
    }

    fn len(&self) -> usize {
        match self {
            Body::Empty => 0,
            Body::Ticket(_) => TICKET_LEN,
            Body::Attribute(_) => ATTRIBUTE_LEN,
        }
    }
}
