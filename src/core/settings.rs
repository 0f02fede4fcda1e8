//! What the core is told once, at the start: members, key, tickets and their times.
//!
//! The shell's `config` module reads and checks the file; here stands only what decisions need, in
//! the units in which they are made.

use crate::member::{MAX_MEMBERS, Member, MemberIndex};
use crate::time::Millis;
use crate::wire::mac::Key;
use heapless::{String, Vec};

/// The longest ticket, attribute or key name, in bytes; the wire has room for one more, a NUL.
pub const MAX_NAME: usize = 63;
/// The longest attribute value, in bytes.
pub const MAX_VALUE: usize = 127;
/// The most `attr-prereq` lines of a ticket.
pub const MAX_PREREQUISITES: usize = 8;
/// The most tickets of a configuration.
pub const MAX_TICKETS: usize = 4096;
/// The most geo attributes that a member keeps, over all its tickets.
pub const MAX_ATTRIBUTES: usize = 1024;

/// A ticket's or an attribute's name.
pub type Name = String<MAX_NAME>;
/// An attribute's value.
pub type Value = String<MAX_VALUE>;

/// A ticket's place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TicketIndex(pub u16);

impl TicketIndex {
    /// The index as a subscript.
    pub fn at(self) -> usize {
        usize::from(self.0)
    }
}

/// The unit of `term_valid_for` on the wire, one for the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidityUnit {
    /// Every time in the configuration is a whole number of seconds.
    Seconds,
    /// At least one is not.
    Milliseconds,
}

/// Who moves a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Leases and elections.
    Automatic,
    /// The administrator's word alone; several sites may hold it.
    Manual,
}

/// When an `attr-prereq` is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrerequisiteScope {
    /// Before this member asks for votes of its own accord.
    Auto,
    /// Before an administrator's grant only.
    Manual,
}

/// One `attr-prereq`: a geo attribute that must (not) have a value for the ticket to be held here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prerequisite {
    /// When it is asked for.
    pub scope: PrerequisiteScope,
    /// The attribute.
    pub name: Name,
    /// `eq` (true) or `ne` (false).
    pub equal: bool,
    /// The value it is compared with.
    pub value: Value,
}

/// The settings of the whole process.
#[derive(Clone, Debug)]
pub struct Settings {
    /// All members in the order of the configuration; sites and arbitrators.
    pub members: Vec<Member, MAX_MEMBERS>,
    /// Which of them this process is.
    pub me: MemberIndex,
    /// The shared key, where messages are authenticated.
    pub key: Option<Key>,
    /// `maxtimeskew`.
    pub max_time_skew: Millis,
    /// The unit of validities on the wire.
    pub unit: ValidityUnit,
    /// Take datagrams from any address even without a key (`allow-address-translation`).
    pub any_source: bool,
    /// Seed of the small random delays; the shell draws it.
    pub seed: u64,
}

/// The settings of one ticket. All spans are as the administrator wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TicketSettings {
    /// Its name: letters, digits, `-`, `/`.
    pub name: Name,
    /// Leases or the administrator's word.
    pub mode: Mode,
    /// `expire`: D of the safety rules.
    pub expire: Millis,
    /// `timeout`: how long an answer is waited for.
    pub timeout: Millis,
    /// `retries`: how often a request is sent again.
    pub retries: u8,
    /// `renewal-freq`: how often the leader renews.
    pub renewal: Millis,
    /// `acquire-after`: A of the safety rules.
    pub acquire_after: Millis,
    /// `weights`, one for each member; 0 where the configuration has none.
    pub weights: [i32; MAX_MEMBERS],
    /// Whether a `before-acquire-handler` is configured.
    pub before_acquire: bool,
    /// Whether a `release-handler` is configured.
    pub release_handler: bool,
    /// Whether this node is one of those that `crash-release` names for its site: what it says as the leader (S13).
    pub crash_release: bool,
    /// Whether an `on-stuck-revoke` is configured.
    pub on_stuck_revoke: bool,
    /// `attr-prereq` lines.
    pub prerequisites: Vec<Prerequisite, MAX_PREREQUISITES>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A ticket with this `expire` and `acquire-after` in milliseconds, renewed at half time.
    pub(crate) fn ticket(name: &str, expire: u64, acquire_after: u64) -> TicketSettings {
        TicketSettings {
            name: name.try_into().unwrap_or_default(),
            mode: Mode::Automatic,
            expire: Millis(expire),
            timeout: Millis(1_000),
            retries: 3,
            renewal: Millis(expire / 2),
            acquire_after: Millis(acquire_after),
            weights: [0; MAX_MEMBERS],
            before_acquire: false,
            release_handler: false,
            crash_release: false,
            on_stuck_revoke: false,
            prerequisites: Vec::new(),
        }
    }
}
