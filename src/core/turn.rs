//! What one step of the node lends to the ticket that it is about: the time, the peers, the sink.
//!
//! Everything that leaves goes through here, so it is counted, stamped and signed in one place.

use crate::attribute::Attributes;
use crate::input::{ClientId, RequestNumber};
use crate::member::{MAX_MEMBERS, MemberIndex, MemberKind, MemberSet, SiteId};
use crate::notice::{Event, Notice};
use crate::options::Word;
use crate::peer::Peer;
use crate::settings::{Settings, TicketIndex};
use crate::sink::{Reply, Sink};
use crate::stamp::StampClock;
use crate::time::{Instant, Millis, Now, WallTime};
use crate::wire::{self, Body, Command, Header, LeaderField, MAX_MESSAGE, Message, Outcome, Reason, TicketBody};

/// What a node without a key goes by beside its tickets: numbers, randomness, and whom it has heard from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Carried {
    pub(crate) round: u32,
    pub(crate) request: u32,
    pub(crate) random: u64,
    pub(crate) heard: MemberSet,
}

/// The running numbers and the randomness of a node.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    number: u32,
    request: u32,
    random: u64,
}

impl Sequence {
    /// Starts from what the shell has drawn, so that no number of an earlier life is repeated soon.
    pub(crate) fn new(seed: u64) -> Sequence {
        let mut sequence = Sequence { number: 0, request: 0, random: seed };
        sequence.number = sequence.random() as u32;
        sequence
    }

    /// Goes on where another has left off.
    pub(crate) fn resume(carried: Carried) -> Sequence {
        Sequence { number: carried.round, request: carried.request, random: carried.random }
    }

    /// Where it stands, and whom the node has heard from.
    pub(crate) fn carry(&self, heard: MemberSet) -> Carried {
        Carried { round: self.number, request: self.request, random: self.random, heard }
    }

    /// The next number of a request to peers.
    pub(crate) fn number(&mut self) -> u32 {
        self.number = Word::next_number(self.number);
        self.number
    }

    /// The next number of a request to the shell.
    pub(crate) fn request(&mut self) -> RequestNumber {
        self.request = self.request.wrapping_add(1);
        RequestNumber(self.request)
    }

    /// A number that names a memory; not 0.
    pub(crate) fn mark(&mut self) -> u32 {
        self.random() as u32 | 1
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): for delays only, never for anything secret.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A random span below `limit`.
    pub(crate) fn span_below(&mut self, limit: Millis) -> Millis {
        Millis(self.random() % limit.0.max(1))
    }
}

/// A message before it is addressed, stamped and signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    pub(crate) command: Command,
    pub(crate) request: Option<Command>,
    pub(crate) word: Word,
    pub(crate) reason: Reason,
    pub(crate) outcome: Outcome,
    pub(crate) leader: LeaderField,
    pub(crate) term: u32,
    pub(crate) validity: Millis,
}

impl Draft {
    pub(crate) fn new(command: Command) -> Draft {
        Draft {
            command,
            request: None,
            word: Word::default(),
            reason: Reason::None,
            outcome: Outcome::Success,
            leader: LeaderField::Nobody,
            term: 0,
            validity: Millis(0),
        }
    }
}

/// A ticket message from a peer, checked as far as that can be done without the ticket's state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FromPeer {
    pub(crate) from: MemberIndex,
    pub(crate) header: Header,
    /// The leader named: a member, or nobody.
    pub(crate) leader: Option<MemberIndex>,
    pub(crate) term: u32,
    pub(crate) validity: Millis,
    /// The `options` word where it is one of ours.
    pub(crate) word: Option<Word>,
}

/// One step's surroundings.
pub(crate) struct Turn<'t, S> {
    pub(crate) now: Now,
    pub(crate) settings: &'t Settings,
    pub(crate) peers: &'t mut [Peer; MAX_MEMBERS],
    pub(crate) stamps: &'t mut StampClock,
    pub(crate) sequence: &'t mut Sequence,
    pub(crate) attributes: &'t Attributes<'t>,
    pub(crate) sink: &'t mut S,
}

impl<S: Sink> Turn<'_, S> {
    pub(crate) fn me(&self) -> MemberIndex {
        self.settings.me
    }

    pub(crate) fn id(&self, member: MemberIndex) -> SiteId {
        self.settings.members[member.at()].id
    }

    pub(crate) fn is_site(&self, member: MemberIndex) -> bool {
        self.settings.members[member.at()].kind == MemberKind::Site
    }

    pub(crate) fn everybody(&self) -> MemberSet {
        MemberSet::first(self.settings.members.len())
    }

    pub(crate) fn others(&self) -> MemberSet {
        self.everybody().without(self.me())
    }

    /// Those of the others that were heard and speak our words.
    pub(crate) fn worded(&self) -> MemberSet {
        let worded = |member: &MemberIndex| {
            let peer = &self.peers[member.at()];
            peer.last_received.is_some() && !peer.wordless
        };
        self.others().iter().filter(worded).fold(MemberSet::EMPTY, MemberSet::with)
    }

    /// Those of the others that have not been heard since our start.
    pub(crate) fn unheard(&self) -> MemberSet {
        let unheard = |member: &MemberIndex| self.peers[member.at()].last_received.is_none();
        self.others().iter().filter(unheard).fold(MemberSet::EMPTY, MemberSet::with)
    }

    pub(crate) fn sites(&self) -> MemberSet {
        self.everybody().iter().filter(|at| self.is_site(*at)).fold(MemberSet::EMPTY, MemberSet::with)
    }

    pub(crate) fn event(&mut self, ticket: TicketIndex, event: Event) {
        self.sink.notice(Notice::Ticket { ticket, event });
    }

    /// Whether a message from the reference was made at or after `instant` of our clock (S5).
    /// Without a key there are no stamps, and the round that runs has to do.
    pub(crate) fn made_since(&self, message: &FromPeer, instant: Instant) -> bool {
        self.settings.key.is_none() || self.peers[message.from.at()].window.made_since(message.header.stamp, instant)
    }

    /// Whether one of ours has made this message after `instant` of our clock, as far as what it said before that can
    /// tell. Without a key there are no stamps.
    pub(crate) fn made_after(&self, message: &FromPeer, instant: Instant) -> bool {
        self.settings.key.is_none() || self.peers[message.from.at()].window.made_after(message.header.stamp, instant)
    }

    pub(crate) fn count_resend(&mut self, to: MemberIndex) {
        let counters = &mut self.peers[to.at()].counters;
        counters.resends = counters.resends.wrapping_add(1);
    }

    /// Encodes a ticket message of ours.
    pub(crate) fn encode(&mut self, name: &str, draft: &Draft, options: u32, out: &mut [u8; MAX_MESSAGE]) -> usize {
        let plain = self.plain_header(draft.command, draft.outcome);
        let header = Header { request: draft.request, options, reason: draft.reason, ..plain };
        let body = TicketBody {
            name,
            leader: draft.leader,
            term: draft.term,
            valid_for: crate::lease::valid_for(draft.validity, self.settings.unit),
        };
        wire::encode(&Message { header, body: Body::Ticket(body) }, self.settings.key.as_ref(), out)
    }

    /// Answers a client with a bare result, as for attributes and where there is no ticket to show.
    pub(crate) fn reply_plain(&mut self, client: ClientId, outcome: Outcome) {
        let header = self.plain_header(Command::Result, outcome);
        let mut bytes = [0; MAX_MESSAGE];
        let message = Message { header, body: Body::Empty };
        let length = wire::encode(&message, self.settings.key.as_ref(), &mut bytes);
        self.sink.reply(client, Reply::Message { bytes: &bytes[..length], last: true });
    }

    /// The header of a message to a client.
    pub(crate) fn plain_header(&mut self, command: Command, outcome: Outcome) -> Header {
        Header {
            stamp: if self.settings.key.is_some() { self.stamps.next(self.now) } else { WallTime::default() },
            sender: self.id(self.me()),
            command,
            request: None,
            options: 0,
            reason: Reason::None,
            outcome,
        }
    }

    /// Sends to a peer. Only [`crate::ticket::Ticket::send`] calls this: it records first.
    pub(crate) fn transmit(&mut self, ticket: TicketIndex, name: &str, to: MemberIndex, draft: &Draft) {
        let mut bytes = [0; MAX_MESSAGE];
        let length = self.encode(name, draft, draft.word.encode(), &mut bytes);
        let counters = &mut self.peers[to.at()].counters;
        counters.sent = counters.sent.wrapping_add(1);
        self.sink.send(ticket, to, &bytes[..length]);
    }
}
