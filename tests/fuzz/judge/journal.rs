//! What must hold of any bytes that a disk has for a journal: no panic; a slot that can be read is
//! byte for byte the one that we would write; of two copies one bad one yields the other, and nothing is
//! remembered that no good slot says (S1, S7); a journal that was opened, whatever was in it, is whole
//! afterwards, remembers the same when it is opened again, and then what is written to it.

use booth::journal::slot::{self, Damage, SLOT_LEN, Slot};
use booth::journal::{Journal, JournalError};
use booth_core::member::SiteId;
use booth_core::settings::TicketIndex;
use booth_core::sink::Record;
use booth_core::time::WallTime;
use std::fs;
use std::path::{Path, PathBuf};

/// Whose journal it is.
pub const ME: SiteId = SiteId(1_102_844_285);
/// The tickets that are configured.
pub const TICKETS: [&str; 3] = ["db/main", "web", "x"];

/// Panics if something that must hold does not. The first byte says whether checksums are set right
/// (else hardly a mutation gets beyond them) and whether there is to be a file.
pub fn judge(bytes: &[u8]) {
    let Some((how, disk)) = bytes.split_first() else { return };
    let mut disk = disk.to_vec();
    if how & 1 != 0 {
        disk.as_chunks_mut::<SLOT_LEN>().0.iter_mut().for_each(seal);
    }
    let slots = disk.as_chunks::<SLOT_LEN>().0;
    slots.iter().for_each(judge_slot);
    for pair in slots.windows(2) {
        judge_pair(&pair[0], &pair[1]);
    }
    if how & 2 != 0 {
        judge_file(&disk);
    }
}

fn seal(slot: &mut Slot) {
    let crc = crc32(&slot[..SLOT_LEN - 4]);
    slot[SLOT_LEN - 4..].copy_from_slice(&crc.to_be_bytes());
}

/// CRC-32 (IEEE), bit by bit: written anew, for a judge does not ask the accused.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

fn judge_slot(bytes: &Slot) {
    match slot::decode(bytes) {
        Ok(entry) => {
            assert_eq!(slot::encode(&entry), *bytes, "{entry:?}");
            let mut damaged = *bytes;
            damaged[usize::from(bytes[SLOT_LEN - 1])] ^= 0x10;
            assert!(slot::decode(&damaged).is_err(), "a flipped bit is not seen: {entry:?}");
            assert_eq!(slot::newest(bytes, &damaged), Some(entry));
            assert_eq!(slot::newest(&damaged, bytes), Some(entry));
            assert_eq!(slot::newest(&damaged, &damaged), None);
        }
        Err(Damage::Version(version)) => assert_ne!(version, slot::VERSION),
        Err(_) => {}
    }
}

fn judge_pair(first: &Slot, second: &Slot) {
    let copies = [slot::decode(first).ok(), slot::decode(second).ok()];
    let found = slot::newest(first, second);
    match (copies, found) {
        ([None, None], found) => assert_eq!(found, None),
        ([Some(only), None] | [None, Some(only)], found) => assert_eq!(found, Some(only)),
        ([Some(a), Some(b)], Some(found)) => {
            assert!(found == a || found == b);
            assert!(found.sequence >= a.sequence.max(b.sequence), "an older record is read: {a:?} {b:?}");
            assert_eq!((a.member, a.ticket), (b.member, b.ticket));
        }
        ([Some(a), Some(b)], None) => assert_ne!((a.member, a.ticket), (b.member, b.ticket)),
    }
}

fn judge_file(disk: &[u8]) {
    let folder = Folder::new();
    let path = folder.0.join("booth.journal");
    fs::write(&path, disk).expect("room for a journal");
    let good: Vec<_> = disk.as_chunks::<SLOT_LEN>().0.iter().filter_map(|slot| slot::decode(slot).ok()).collect();
    let mut opened = match Journal::open(&path, ME, &TICKETS, None) {
        Ok(opened) => opened,
        Err(JournalError::OtherMember { found, .. }) => {
            assert!(found != ME && good.iter().any(|entry| entry.member == found), "{found:?}");
            return assert_eq!(fs::read(&path).expect("a file"), disk, "a journal that is refused is left alone");
        }
        Err(JournalError::Version { .. }) => {
            return assert_eq!(fs::read(&path).expect("a file"), disk, "a journal that is refused is left alone");
        }
        Err(error) => panic!("{error}"),
    };
    assert!(good.iter().all(|entry| entry.member == ME), "another member's journal is taken");
    for (ticket, memory) in TICKETS.iter().zip(&opened.memories) {
        let says = |entry: &slot::Entry<'_>| entry.ticket == *ticket && entry.record == *memory;
        assert!(memory.is_none() || good.iter().any(says), "S7: {ticket}: nobody has said {memory:?}");
    }
    for warning in &opened.warnings {
        let text = warning.to_string();
        assert!(text.len() < 1_000 && !text.contains(char::is_control), "{text:?}");
    }
    for ticket in 0..TICKETS.len() {
        let again = reopen(&path, opened.journal);
        assert_eq!(again.1, opened.memories, "what was remembered is remembered again");
        let record = Record { term: ticket as u32, stamp: WallTime(disk.len() as u64), ..Record::default() };
        opened.journal = again.0;
        opened.journal.write(TicketIndex(ticket as u16), &record).expect("room for a record");
        opened.memories[ticket] = Some(record);
    }
    assert_eq!(reopen(&path, opened.journal).1, opened.memories, "what was written is remembered");
}

fn reopen(path: &Path, journal: Journal) -> (Journal, Vec<Option<Record>>) {
    drop(journal);
    let opened = Journal::open(path, ME, &TICKETS, None).expect("our own journal");
    assert!(opened.warnings.is_empty(), "{:?}", opened.warnings);
    (opened.journal, opened.memories)
}

/// A folder of this run's own, in memory where there is such a place: a journal is made durable.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = place.join(format!("booth-fuzz-{}-{:?}", std::process::id(), std::thread::current().id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a folder");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
