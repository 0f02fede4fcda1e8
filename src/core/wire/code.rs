//! Four-character codes: one table for both directions, and what each command carries.

use super::{Command, Outcome, Reason};

/// The code `text`, as a word on the wire.
const fn word(text: &[u8; 4]) -> u32 {
    u32::from_be_bytes(*text)
}

macro_rules! codes {
    ($($name:ident = $text:literal),* $(,)?) => {
        impl Command {
            /// Its code on the wire.
            pub(super) const fn code(self) -> u32 {
                match self { $(Command::$name => const { word($text) },)* }
            }

            /// The command with this code.
            pub(super) const fn from_code(code: u32) -> Option<Command> {
                $(if code == const { word($text) } { return Some(Command::$name); })*
                None
            }

            /// Every command there is.
            #[cfg(test)]
            pub(super) const ALL: &'static [Command] = &[$(Command::$name),*];
        }
    };
    ($type:ident: $zero:ident = 0, $($name:ident = $text:literal),* $(,)?) => {
        impl $type {
            /// Its code on the wire.
            pub(super) const fn code(self) -> u32 {
                match self {
                    $type::$zero => 0,
                    $($type::$name => const { word($text) },)*
                    $type::Other(code) => code,
                }
            }

            /// What the code means; an unknown one is kept as it came.
            pub(super) const fn from_code(code: u32) -> $type {
                $(if code == const { word($text) } { return $type::$name; })*
                if code == 0 { $type::$zero } else { $type::Other(code) }
            }
        }
    };
}

codes! {
    Heartbeat = b"HrtB",
    Ack = b"Ack.",
    Update = b"UpdE",
    Status = b"Stat",
    MyIndex = b"MIdx",
    VoteRequest = b"RVot",
    Vote = b"VtFr",
    Revoke = b"Revk",
    Reject = b"RJC!",
    ClientList = b"CLst",
    ClientGrant = b"CGnt",
    ClientRevoke = b"CRvk",
    ClientPeers = b"Peer",
    AttributeSet = b"ASet",
    AttributeGet = b"AGet",
    AttributeDelete = b"ADel",
    AttributeList = b"ALst",
    Result = b"Rslt",
    ListReply = b"RLst",
}

codes! {
    Outcome: Success = 0,
    Asynchronous = b"Asyn",
    More = b"More",
    SyncSuccess = b"Sccs",
    SyncFail = b"Fail",
    InvalidArgument = b"IArg",
    NoSuchAttribute = b"NAtr",
    CommitPending = b"Pend",
    HandlerFailed = b"XPrg",
    PrerequisiteFailed = b"APrq",
    TicketIdle = b"Tidl",
    Overgrant = b"Over",
    ProbablySuccess = b"Suc?",
    Busy = b"Busy",
    AuthenticationFailed = b"Auth",
    TermOutdated = b"TOdt",
    TermStillValid = b"TVld",
    YouAreOutdated = b"Outd",
    Redirect = b"Redr",
}

codes! {
    Reason: None = 0,
    Again = b"Aaaa",
    TicketLost = b"TLst",
    Reacquire = b"Racq",
    Administrator = b"Admn",
    LocalFailure = b"LocF",
    StepDown = b"Spdn",
    Split = b"Splt",
}

/// What follows the header of a message, text apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// Nothing.
    None,
    /// A ticket.
    Ticket,
    /// A ticket, or nothing where the result is about an attribute.
    TicketOrNone,
    /// An attribute.
    Attribute,
}

impl Command {
    /// What its messages carry.
    pub(super) const fn body(self) -> BodyKind {
        match self {
            Command::AttributeSet | Command::AttributeGet | Command::AttributeDelete | Command::AttributeList => {
                BodyKind::Attribute
            }
            Command::Result => BodyKind::TicketOrNone,
            Command::ListReply => BodyKind::None,
            _ => BodyKind::Ticket,
        }
    }

    /// Whether clients send it.
    pub const fn is_from_client(self) -> bool {
        matches!(
            self,
            Command::ClientList
                | Command::ClientGrant
                | Command::ClientRevoke
                | Command::ClientPeers
                | Command::AttributeSet
                | Command::AttributeGet
                | Command::AttributeDelete
                | Command::AttributeList
        )
    }

    /// Whether the ticket's name may be empty: requests about all tickets, and the answers to clients.
    pub(super) const fn may_name_no_ticket(self) -> bool {
        self.is_from_client() || matches!(self, Command::Result)
    }

    /// Whether a reply with this command is a header and text.
    pub(super) const fn has_text_reply(self) -> bool {
        matches!(self, Command::ListReply | Command::AttributeGet | Command::AttributeList)
    }

    /// Whether the reference's client, without a key, sends trailer bytes that `length` leaves out:
    /// it does so for each request that is answered with text.
    pub(super) const fn has_surplus_trailer(self) -> bool {
        matches!(self, Command::ClientList | Command::ClientPeers | Command::AttributeGet | Command::AttributeList)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_code_of_its_own() {
        for command in Command::ALL {
            assert_eq!(Command::from_code(command.code()), Some(*command));
        }
        assert_eq!(Command::from_code(0), None);
        assert_eq!(Command::from_code(word(b"stat")), None);
    }

    #[test]
    fn unknown_results_and_reasons_are_kept() {
        for code in [0, 1, u32::MAX, word(b"Redr"), word(b"Splt"), word(b"Suc?"), word(b"????")] {
            assert_eq!(Outcome::from_code(code).code(), code);
            assert_eq!(Reason::from_code(code).code(), code);
        }
        assert_eq!(Outcome::from_code(word(b"Redr")), Outcome::Redirect);
        assert_eq!(Reason::from_code(0), Reason::None);
        assert_eq!(Reason::from_code(word(b"Redr")), Reason::Other(word(b"Redr")));
    }
}
