//! Members of the geo cluster: who they are, sets of them, and what a majority is.
//!
//! A member is known by its index (its place in the configuration) inside the process and by its
//! [`SiteId`] on the wire and on disk. There are at most [`MAX_MEMBERS`].

use core::fmt;

/// The most members a configuration may name (a limit of the reference as well).
pub const MAX_MEMBERS: usize = 16;

/// The number that names a member on the wire: a CRC-32 of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub u32);

/// A member's place in the configuration, below [`MAX_MEMBERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberIndex(pub u8);

/// Whether a member may hold tickets or only votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// Runs services, may hold tickets, votes.
    Site,
    /// Only votes.
    Arbitrator,
}

/// What the core needs to know of a member; addresses are the shell's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number on the wire.
    pub id: SiteId,
    /// Site or arbitrator.
    pub kind: MemberKind,
}

/// A set of members.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct MemberSet(u16);

impl SiteId {
    /// The id of a member with this address: CRC-32 (IEEE) over its 4 or 16 bytes in network order,
    /// the top bit cleared.
    pub fn of_address(octets: &[u8]) -> SiteId {
        const CRC: crc::Crc<u32, crc::NoTable> = crc::Crc::<u32, crc::NoTable>::new(&crc::CRC_32_ISO_HDLC);
        SiteId(CRC.checksum(octets) & 0x7FFF_FFFF)
    }
}

impl MemberIndex {
    /// The index as a subscript.
    pub fn at(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Debug for MemberSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|member| member.0)).finish()
    }
}

impl MemberSet {
    /// The set of nobody.
    pub const EMPTY: MemberSet = MemberSet(0);

    /// The first `count` members.
    pub fn first(count: usize) -> MemberSet {
        (0..count.min(MAX_MEMBERS) as u8).fold(MemberSet::EMPTY, |set, at| set.with(MemberIndex(at)))
    }

    /// The set and one member more.
    #[must_use]
    pub fn with(self, member: MemberIndex) -> MemberSet {
        MemberSet(self.0 | 1 << member.0)
    }

    /// The set without one member.
    #[must_use]
    pub fn without(self, member: MemberIndex) -> MemberSet {
        MemberSet(self.0 & !(1 << member.0))
    }

    /// The set without the members of `other`.
    #[must_use]
    pub fn minus(self, other: MemberSet) -> MemberSet {
        MemberSet(self.0 & !other.0)
    }

    /// Adds a member; tells whether it was new.
    pub fn insert(&mut self, member: MemberIndex) -> bool {
        let before = *self;
        *self = self.with(member);
        before != *self
    }

    /// Whether the member is in the set.
    pub fn contains(self, member: MemberIndex) -> bool {
        self.0 & 1 << member.0 != 0
    }

    /// Whether every member of `other` is in the set.
    pub fn contains_all(self, other: MemberSet) -> bool {
        other.0 & !self.0 == 0
    }

    /// How many members it has.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Its members, in the order of the configuration.
    pub fn iter(self) -> impl Iterator<Item = MemberIndex> {
        (0..MAX_MEMBERS as u8).map(MemberIndex).filter(move |member| self.contains(*member))
    }
}

/// Whether `votes` are more than half of `members`, sites and arbitrators alike.
pub fn is_majority(votes: usize, members: usize) -> bool {
    votes * 2 > members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_that_the_reference_daemon_sends() {
        assert_eq!(SiteId::of_address(&[10, 77, 0, 1]), SiteId(1_102_844_285));
        assert_eq!(SiteId::of_address(&[10, 78, 0, 1]), SiteId(1_140_502_308));
        assert_eq!(SiteId::of_address(&[10, 78, 0, 2]), SiteId(1_525_939_870));
    }

    #[test]
    fn half_is_not_a_majority() {
        assert!(is_majority(2, 3));
        assert!(!is_majority(2, 4));
        assert!(is_majority(1, 1));
        assert!(!is_majority(0, 1));
    }

    #[test]
    fn a_set_holds_all_sixteen() {
        let all = MemberSet::first(MAX_MEMBERS);
        assert_eq!(all.len(), 16);
        assert!(all.contains(MemberIndex(15)));
        assert_eq!(all.without(MemberIndex(15)).iter().last(), Some(MemberIndex(14)));
        assert!(all.contains_all(MemberSet::first(3)));
        assert!(!MemberSet::first(3).contains_all(all));
    }
}
