//! One journal slot: a 512-byte sector that says what a member remembers of one ticket.
//!
//! Pure functions on byte arrays, so that a simulator can tear and damage what a disk holds.
//! Every slot stands for itself: it names its format, its member and its ticket, and a CRC-32 covers
//! all of it. All numbers are big-endian:
//!
//! | offset | length | field |
//! | --- | --- | --- |
//! | 0 | 8 | `BOOTHJNL` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | site id of the member whose memory this is |
//! | 16 | 8 | sequence number of the write, one up for each |
//! | 24 | 1 | length of the ticket's name |
//! | 25 | 63 | the ticket's name, zeros behind it |
//! | 88 | 1 | flags: 1 a record follows, 2 it has a vote, 4 it has a leader, 8 the promise is active, 16 it was written without memory of what was before, 32 an administrator has revoked the ticket, 64 somebody has held it, 128 `acquire-after` of a holder before that leader runs as well |
//! | 92 | 4 | term |
//! | 96 | 4 | term of the newest vote |
//! | 100 | 4 | site id voted for |
//! | 104 | 4 | site id of the leader |
//! | 108 | 8 | newest stamp, microseconds since the epoch |
//! | 116 | 8 | the longest span of the active promise, milliseconds |
//! | 124 | 4 | the mark that names this memory |
//! | 508 | 4 | CRC-32 (IEEE) of bytes 0 to 507 |
//!
//! Bytes not listed are zero. A slot without a record is written when the file is made: a sector of
//! zeros is damage, never "nothing remembered yet".
//!
//! # Two copies, and why a good one is always the truth (S1, S7)
//!
//! A write puts the same record, with the next sequence number, into both copies of its ticket, and
//! its answer leaves only when `fdatasync` has said that both are on the disk. So whatever a crash
//! leaves behind:
//! - both copies good: the one with the higher number is the newest; its answer may or may not have
//!   left, and remembering a vote that nobody heard of does no harm;
//! - one copy good with number n, the other torn or damaged: had the answer to n+1 left, both copies
//!   would hold n+1; so n is the newest that anybody was promised;
//! - no copy good: the member has no memory of this ticket.
//!
//! A member that has read two copies which differ writes both anew before anything else: else the older one
//! would be taken for the truth if the newer one went bad later.
//!
//! Writing the older of two slots in turn would need one write less, but then a damaged slot may be
//! the newest: a torn write, whose answer never left, looks like a sector that went bad after its
//! answer had left, and the older slot must not be read as truth.
//!
//! What no checksum can see: a whole disk set back to an earlier state (a restored snapshot). The
//! journal must be removed when that is done to a member; then it has no memory.
//!
//! # Programs of another age
//!
//! Flags of no meaning are zero, and were zero before they had one: an older slot is read as it was meant. A program
//! that does not know a flag takes a slot that has it for damaged: it has no memory of that ticket, and keeps as
//! long a distance from all that it may have promised as one that has lost its journal (S7). What an older program must
//! not read at all needs another version: it refuses the file.

use booth_core::member::SiteId;
use booth_core::settings::MAX_NAME;
use booth_core::sink::Record;
use booth_core::time::{Millis, WallTime};
use booth_core::wire::is_ticket_name;

/// Length of a slot in bytes: one sector.
pub const SLOT_LEN: usize = 512;
/// The format that is written and read.
pub const VERSION: u32 = 1;

/// The bytes of a slot.
pub type Slot = [u8; SLOT_LEN];

const MAGIC: &[u8; 8] = b"BOOTHJNL";
const NAME_AT: usize = 25;
const CRC_AT: usize = SLOT_LEN - 4;
const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

const HAS_RECORD: u8 = 1;
const HAS_VOTE: u8 = 2;
const HAS_LEADER: u8 = 4;
const ACTIVE: u8 = 8;
const FORGETFUL: u8 = 16;
const REVOKED: u8 = 32;
const HELD: u8 = 64;
const EARLIER: u8 = 128;

/// What a slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Whose memory it is.
    pub member: SiteId,
    /// The ticket; at most [`MAX_NAME`] bytes. Empty: the place is free.
    pub ticket: &'a str,
    /// The number of the write.
    pub sequence: u64,
    /// What is remembered; `None`: nothing since the file was made.
    pub record: Option<Record>,
}

/// Why a slot cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It does not begin as a slot does.
    NotASlot,
    /// Its checksum is wrong: torn or damaged.
    Checksum,
    /// It is whole, but of another format.
    Version(u32),
    /// It is whole, but says what is never written.
    Content,
}

/// The bytes of an entry. A name beyond [`MAX_NAME`] bytes is a mistake of the caller and is cut.
pub fn encode(entry: &Entry<'_>) -> Slot {
    let mut slot = [0; SLOT_LEN];
    let name = entry.ticket.as_bytes();
    debug_assert!(name.len() <= MAX_NAME);
    let name = name.get(..MAX_NAME).unwrap_or(name);
    slot[..8].copy_from_slice(MAGIC);
    put_u32(&mut slot, 8, VERSION);
    put_u32(&mut slot, 12, entry.member.0);
    put_u64(&mut slot, 16, entry.sequence);
    slot[24] = name.len() as u8;
    slot[NAME_AT..NAME_AT + name.len()].copy_from_slice(name);
    if let Some(record) = &entry.record {
        slot[88] = HAS_RECORD
            | if record.vote.is_some() { HAS_VOTE } else { 0 }
            | if record.leader.is_some() { HAS_LEADER } else { 0 }
            | if record.active { ACTIVE } else { 0 }
            | if record.forgetful { FORGETFUL } else { 0 }
            | if record.revoked { REVOKED } else { 0 }
            | if record.held { HELD } else { 0 }
            | if record.earlier { EARLIER } else { 0 };
        put_u32(&mut slot, 92, record.term);
        put_u32(&mut slot, 96, record.voted_term);
        put_u32(&mut slot, 100, record.vote.map_or(0, |id| id.0));
        put_u32(&mut slot, 104, record.leader.map_or(0, |id| id.0));
        put_u64(&mut slot, 108, record.stamp.0);
        put_u64(&mut slot, 116, record.promised.0);
        put_u32(&mut slot, 124, record.mark);
    }
    let crc = CRC.checksum(&slot[..CRC_AT]);
    put_u32(&mut slot, CRC_AT, crc);
    slot
}

/// What the slot says, if it is whole.
pub fn decode(slot: &Slot) -> Result<Entry<'_>, Damage> {
    if !slot.starts_with(MAGIC) {
        return Err(Damage::NotASlot);
    }
    if u32_at(slot, CRC_AT) != CRC.checksum(&slot[..CRC_AT]) {
        return Err(Damage::Checksum);
    }
    let version = u32_at(slot, 8);
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    let length = usize::from(slot[24]);
    let name = slot[NAME_AT..NAME_AT + MAX_NAME].get(..length).ok_or(Damage::Content)?;
    let ticket = core::str::from_utf8(name).map_err(|_| Damage::Content)?;
    if !ticket.is_empty() && !is_ticket_name(ticket) {
        return Err(Damage::Content);
    }
    let flags = slot[88];
    let id_at = |offset, flag| (flags & flag != 0).then(|| SiteId(u32_at(slot, offset)));
    let record = (flags & HAS_RECORD != 0).then(|| Record {
        term: u32_at(slot, 92),
        voted_term: u32_at(slot, 96),
        vote: id_at(100, HAS_VOTE),
        leader: id_at(104, HAS_LEADER),
        active: flags & ACTIVE != 0,
        revoked: flags & REVOKED != 0,
        held: flags & HELD != 0,
        earlier: flags & EARLIER != 0,
        mark: u32_at(slot, 124),
        forgetful: flags & FORGETFUL != 0,
        stamp: WallTime(u64_at(slot, 108)),
        promised: Millis(u64_at(slot, 116)),
    });
    let entry = Entry { member: SiteId(u32_at(slot, 12)), ticket, sequence: u64_at(slot, 16), record };
    // What we would not have written is not ours, whatever its checksum says.
    if encode(&entry) == *slot { Ok(entry) } else { Err(Damage::Content) }
}

/// The truth that two copies hold, if any: see the module's text. Two good copies that speak of
/// different members or tickets are no pair and say nothing.
pub fn newest<'a>(first: &'a Slot, second: &'a Slot) -> Option<Entry<'a>> {
    match (decode(first), decode(second)) {
        (Ok(a), Ok(b)) if (a.member, a.ticket) != (b.member, b.ticket) => None,
        (Ok(a), Ok(b)) => Some(if b.sequence > a.sequence { b } else { a }),
        (Ok(entry), Err(_)) | (Err(_), Ok(entry)) => Some(entry),
        (Err(_), Err(_)) => None,
    }
}

fn put_u32(slot: &mut Slot, at: usize, value: u32) {
    slot[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

fn put_u64(slot: &mut Slot, at: usize, value: u64) {
    slot[at..at + 8].copy_from_slice(&value.to_be_bytes());
}

fn u32_at(slot: &Slot, at: usize) -> u32 {
    u32::from_be_bytes([slot[at], slot[at + 1], slot[at + 2], slot[at + 3]])
}

fn u64_at(slot: &Slot, at: usize) -> u64 {
    u64::from(u32_at(slot, at)) << 32 | u64::from(u32_at(slot, at + 4))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    const FULL: Record = Record {
        term: u32::MAX,
        voted_term: 7,
        vote: Some(SiteId(1_102_844_285)),
        leader: Some(SiteId(0)),
        active: true,
        promised: Millis(0x0102_0304_0506_0708),
        earlier: true,
        revoked: true,
        held: true,
        mark: 0xAABB_CCDD,
        forgetful: true,
        stamp: WallTime(u64::MAX),
    };

    fn entry(sequence: u64, record: Option<Record>) -> Entry<'static> {
        Entry { member: SiteId(42), ticket: "db/main", sequence, record }
    }

    #[test]
    fn what_is_written_is_read() {
        let longest = "x".repeat(MAX_NAME);
        for record in [None, Some(FULL), Some(Record::default())] {
            for ticket in ["", "a", longest.as_str()] {
                let entry = Entry { member: SiteId(9), ticket, sequence: u64::MAX, record };
                assert_eq!(decode(&encode(&entry)), Ok(entry));
            }
        }
    }

    #[test]
    fn the_layout_on_disk_does_not_change() {
        let slot = encode(&entry(0x0102_0304_0506_0708, Some(FULL)));
        let head = b"BOOTHJNL\0\0\0\x01\0\0\0\x2a\x01\x02\x03\x04\x05\x06\x07\x08\x07db/main\0";
        assert!(slot.starts_with(head));
        assert_eq!(
            slot[88..128],
            *b"\xff\0\0\0\xff\xff\xff\xff\0\0\0\x07\x41\xbc\x11\x7d\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\
               \x01\x02\x03\x04\x05\x06\x07\x08\xaa\xbb\xcc\xdd"
        );
        assert_eq!(u32_at(&slot, CRC_AT), CRC.checksum(&slot[..CRC_AT]));
    }

    /// S3, S7: it was written before the newest flag had a meaning, and its member keeps its memory.
    #[test]
    fn a_slot_of_an_older_program_is_read() {
        let older = Record { earlier: false, ..FULL };
        let slot = encode(&entry(3, Some(older)));
        assert_eq!(slot[88], 0x7f);
        assert_eq!(decode(&slot), Ok(entry(3, Some(older))));
    }

    #[test]
    fn any_flipped_bit_is_seen() {
        let slot = encode(&entry(3, Some(FULL)));
        for bit in 0..SLOT_LEN * 8 {
            let mut damaged = slot;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&damaged).is_err(), "bit {bit}");
        }
        assert_eq!(decode(&[0; SLOT_LEN]), Err(Damage::NotASlot));
    }

    #[test]
    fn a_whole_slot_that_we_would_not_write_is_refused() {
        let seal = |mut slot: Slot| {
            let crc = CRC.checksum(&slot[..CRC_AT]);
            put_u32(&mut slot, CRC_AT, crc);
            slot
        };
        let slot = encode(&entry(3, Some(FULL)));
        let with = |at: usize, value: u8| {
            let mut changed = slot;
            changed[at] = value;
            seal(changed)
        };
        assert_eq!(decode(&with(11, 2)), Err(Damage::Version(2)));
        assert_eq!(decode(&with(24, 64)), Err(Damage::Content));
        assert_eq!(decode(&with(NAME_AT, 0xff)), Err(Damage::Content));
        // A control character in a name of no ticket was read, and went into the log as it was.
        assert_eq!(decode(&with(NAME_AT, 0x1b)), Err(Damage::Content));
        assert_eq!(decode(&with(88, 0xfe)), Err(Damage::Content), "no record, and yet it has a vote");
        assert_eq!(decode(&with(200, 1)), Err(Damage::Content));
    }

    /// S1, S7: a write torn at any byte, in either copy or both in turn, leaves the old or the new record.
    #[test]
    fn a_torn_write_leaves_the_old_or_the_new_record() {
        let (old, new) = (encode(&entry(7, Some(Record::default()))), encode(&entry(8, Some(FULL))));
        for written in 0..=2 * SLOT_LEN {
            let mut disk = [old, old].concat();
            disk[..written].copy_from_slice(&[new, new].concat()[..written]);
            let (first, second) = disk.split_at(SLOT_LEN);
            let found = newest(first.try_into().unwrap(), second.try_into().unwrap()).unwrap();
            // The new one is promised to somebody only when all of it is written.
            assert!(found.sequence == 8 || written < 2 * SLOT_LEN, "{written}");
            assert_eq!(found.record, Some(if found.sequence == 8 { FULL } else { Record::default() }));
        }
    }

    /// S7: damage of one copy after the write loses nothing, damage of both leaves no memory.
    #[test]
    fn damage_never_brings_an_older_record_back() {
        let good = encode(&entry(8, Some(FULL)));
        let mut bad = good;
        bad[300] = 1;
        assert_eq!(newest(&good, &bad), Some(entry(8, Some(FULL))));
        assert_eq!(newest(&bad, &good), Some(entry(8, Some(FULL))));
        assert_eq!(newest(&bad, &bad), None);
    }

    #[test]
    fn copies_of_different_tickets_or_members_are_no_pair() {
        let ours = encode(&entry(8, Some(FULL)));
        let other = encode(&Entry { ticket: "web", ..entry(9, Some(FULL)) });
        let clone = encode(&Entry { member: SiteId(43), ..entry(9, Some(FULL)) });
        assert_eq!(newest(&ours, &other), None);
        assert_eq!(newest(&ours, &clone), None);
    }
}
