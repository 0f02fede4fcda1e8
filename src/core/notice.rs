//! Notices: what the core has seen or decided, as typed values. The shell counts them, limits their
//! rate and words them; nothing here can fill a disk.

use crate::member::{MemberIndex, MemberSet};
use crate::settings::TicketIndex;
use crate::time::{Instant, Millis};
use crate::wire::{DropReason, Outcome, Reason};

/// Something worth a counter or a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A datagram was dropped. The shell limits how many of these lines it writes.
    DatagramDropped {
        /// Who it claims to be from, or whose address it came from.
        member: Option<MemberIndex>,
        /// Why.
        reason: DropReason,
    },
    /// A client's message was dropped or refused.
    RequestRefused {
        /// Why.
        reason: DropReason,
    },
    /// A member is heard again that had not answered renewals.
    HeardAgain {
        /// Who.
        member: MemberIndex,
        /// For how long it had been given up.
        after: Millis,
    },
    /// Something about one ticket.
    Ticket {
        /// Which.
        ticket: TicketIndex,
        /// What.
        event: Event,
    },
}

/// What has happened to a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The store has been read.
    Loaded {
        /// Whether it says that the ticket is granted here.
        granted: bool,
    },
    /// This member has no memory of its votes: until then it votes only when an administrator asks (S7).
    WithoutMemory {
        /// Until when.
        until: Instant,
    },
    /// This member asks for votes.
    ElectionStarted {
        /// In which term.
        term: u32,
        /// Why.
        reason: Reason,
    },
    /// This member has given its vote.
    Voted {
        /// To whom.
        candidate: MemberIndex,
        /// In which term.
        term: u32,
    },
    /// This member has refused a vote or an acknowledgement.
    Refused {
        /// To whom.
        member: MemberIndex,
        /// With which answer.
        outcome: Outcome,
    },
    /// A peer has refused what this member asked for.
    RefusedBy {
        /// Who.
        member: MemberIndex,
        /// With which answer.
        outcome: Outcome,
    },
    /// This member has won an election.
    Won {
        /// In which term.
        term: u32,
    },
    /// No majority; tried again at this time, where there is any use.
    ElectionFailed {
        /// When the next one starts.
        retry: Option<Instant>,
        /// Whose votes were missing.
        missing: MemberSet,
    },
    /// Another member leads now.
    Following {
        /// Who.
        leader: MemberIndex,
        /// In which term.
        term: u32,
    },
    /// The lease has been renewed; counted, not logged.
    Renewed {
        /// Until when it lasts.
        until: Instant,
    },
    /// The grant is not written before this time (commit delay, S6).
    CommitPending {
        /// When it will be.
        until: Instant,
    },
    /// The store says that the ticket is granted here.
    Granted,
    /// The store says that the ticket is not granted here.
    Revoked,
    /// No majority has answered in time: the ticket is given up before its lease ends (S4).
    LeaseEnding {
        /// When it ends.
        at: Instant,
    },
    /// Another leads in a newer term though our lease still runs by our clock: that has stood still.
    Succeeded {
        /// Who leads.
        by: MemberIndex,
    },
    /// The lease that this member promised to respect has run out.
    LeaderLost {
        /// Whose it was.
        leader: MemberIndex,
    },
    /// All nodes of the leader's site write their dumps: its lease is not waited for.
    SiteCrashed {
        /// Who led.
        leader: MemberIndex,
    },
    /// The leader has given the ticket up.
    SteppedDown {
        /// Who.
        leader: MemberIndex,
    },
    /// The leader has revoked the ticket on an administrator's word.
    RevokedByLeader {
        /// Who.
        leader: MemberIndex,
    },
    /// A member does not answer renewals; said once for each silence, whichever ticket notices it.
    NoAnswer {
        /// Who.
        member: MemberIndex,
    },
    /// The store could not be read or written; it is tried again.
    StoreFailed {
        /// Whether the write was a revoke.
        revoke: bool,
        /// How often in a row.
        attempts: u32,
    },
    /// The store still says granted although the lease has ended (S8). To be shouted.
    RevokeOverdue {
        /// For how long.
        by: Millis,
    },
    /// The store has not confirmed the revoke in time: `on-stuck-revoke` is run. To be shouted.
    LastResort,
    /// The store finished a grant after the lease's end; it is revoked at once (S8).
    GrantTooLate,
    /// The ticket was found granted in the store without a lease; it is revoked there.
    StaleGrant,
    /// The store has confirmed the revoke: the release-handler is to say that the resources are stopped.
    Releasing {
        /// When the others are told at the latest, if the lease can be renewed once more.
        until: Instant,
    },
    /// The release-handler has failed or not ended in time.
    ReleaseFailed {
        /// When the others are told all the same, the lease being over then; `None`: now.
        until: Option<Instant>,
    },
    /// The before-acquire-handler has said no, or was killed.
    HandlerFailed,
    /// An `attr-prereq` does not hold.
    PrerequisiteFailed,
    /// A record could not be written to the journal: no vote and no promise leaves until one can.
    JournalFailed,
    /// A manual ticket is held by several sites.
    SeveralHolders,
    /// An administrator's grant was accepted.
    GrantRequested,
    /// An administrator's revoke was accepted.
    RevokeRequested,
}
