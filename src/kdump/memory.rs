//! What a listener remembers of nodes that have a key over a restart, in a file of its own.
//!
//! Not in the journal: a listener without tickets has none, and its slots are a ticket's. Not a file that is
//! replaced as a whole either: a daemon that has given up root may not be allowed to make files beside it. So
//! the file has two copies of a small table, in different blocks, which are written one behind the other, each
//! on disk before the next is begun: whatever a crash leaves, one copy is whole. Which is the newer one need
//! not be known: a node's sequence numbers only grow, so the greatest one is the truth.
//!
//! It is written when a node that has a key begins a dump, and each 30 s while it goes on. Listeners of one configuration
//! share it: only the one that has the port ([`super::port`]) writes, and it reads the file when it gets the port.
//!
//! An entry is 24 bytes, all numbers big-endian: the node (8), the greatest sequence number that was taken of it (8),
//! when the kernel that sent it was born by its own clock in seconds since 1970 (4), and a CRC-32 of what precedes it,
//! which is not 0 for a free one.

use booth_core::kdump::{MAX_NODES, Memory};
use booth_core::wire::kdump::NodeId;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, chown, fchown};
use std::path::Path;

const ENTRY_LEN: usize = 24;
const COPY_LEN: usize = ENTRY_LEN * MAX_NODES;
/// Where the copies begin: never in one sector.
const COPIES: [u64; 2] = [0, 4096];
const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

/// The open file; none where memory is switched off.
#[derive(Debug)]
pub struct MemoryFile(Option<File>);

impl MemoryFile {
    /// Opens the file, and makes it where it is missing, for `owner` (user and group id); what it remembers
    /// comes with it.
    ///
    /// # Errors
    /// Where it cannot be made, opened or read.
    pub fn open(path: &Path, owner: Option<(u32, u32)>) -> io::Result<(MemoryFile, Vec<Memory>)> {
        if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
            DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
            if let Some((user, group)) = owner {
                chown(directory, Some(user), Some(group))?;
            }
        }
        // A link is not followed: the directory may belong to the account that root is given up for.
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        let file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        if let Some((user, group)) = owner {
            fchown(&file, Some(user), Some(group))?;
        }
        let file = MemoryFile(Some(file));
        let memories = file.read()?;
        Ok((file, memories))
    }

    /// What the file remembers: written by this process, or by another one that had the port meanwhile.
    ///
    /// # Errors
    /// As pread(2).
    pub fn read(&self) -> io::Result<Vec<Memory>> {
        let mut memories = Vec::new();
        let Some(file) = &self.0 else { return Ok(memories) };
        for at in COPIES {
            let mut copy = [0; COPY_LEN];
            let length = read_up_to(file, &mut copy, at)?;
            copy[..length].as_chunks().0.iter().filter_map(decode).for_each(|memory| remember(&mut memories, memory));
        }
        Ok(memories)
    }

    /// Remembers nothing.
    pub fn off() -> MemoryFile {
        MemoryFile(None)
    }

    /// Writes what is to be remembered; when it returns, it is on disk.
    ///
    /// # Errors
    /// As pwrite(2) and fdatasync(2): a full disk.
    pub fn save(&self, memories: impl Iterator<Item = Memory>) -> io::Result<()> {
        let Some(file) = &self.0 else { return Ok(()) };
        let mut copy = [0; COPY_LEN];
        for (entry, memory) in copy.as_chunks_mut().0.iter_mut().zip(memories) {
            *entry = encode(&memory);
        }
        for at in COPIES {
            file.write_all_at(&copy, at)?;
            file.sync_data()?;
        }
        Ok(())
    }
}

/// Adds a memory, or keeps the newer one of a node.
fn remember(memories: &mut Vec<Memory>, memory: Memory) {
    match memories.iter_mut().find(|known| known.node == memory.node) {
        Some(known) if known.sequence < memory.sequence => *known = memory,
        Some(_) => {}
        None => memories.push(memory),
    }
}

fn read_up_to(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], at + length as u64) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn encode(memory: &Memory) -> [u8; ENTRY_LEN] {
    let mut entry = [0; ENTRY_LEN];
    entry[..8].copy_from_slice(&memory.node.0);
    entry[8..16].copy_from_slice(&memory.sequence.to_be_bytes());
    entry[16..20].copy_from_slice(&memory.birth.to_be_bytes());
    let sum = CRC.checksum(&entry[..20]);
    entry[20..].copy_from_slice(&sum.to_be_bytes());
    entry
}

/// An entry; `None`: it is free, torn or damaged.
fn decode(entry: &[u8; ENTRY_LEN]) -> Option<Memory> {
    let (content, sum) = entry.split_last_chunk::<4>()?;
    if CRC.checksum(content) != u32::from_be_bytes(*sum) {
        return None;
    }
    let (node, rest) = content.split_first_chunk::<8>()?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (birth, _) = rest.split_first_chunk::<4>()?;
    let birth = u32::from_be_bytes(*birth);
    Some(Memory { node: NodeId(*node), sequence: u64::from_be_bytes(*sequence), birth })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    fn path(test: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("booth-kdump-{}-{test}", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    fn memory(node: u8, sequence: u64) -> Memory {
        Memory { node: NodeId([node; 8]), sequence, birth: 7 }
    }

    #[test]
    fn what_was_saved_is_remembered() {
        let path = path("saved");
        let (file, memories) = MemoryFile::open(&path, None).unwrap();
        assert_eq!(memories, []);
        let most: Vec<Memory> = (0..MAX_NODES as u8).map(|node| memory(node, 7)).collect();
        file.save(most.iter().copied()).unwrap();
        assert_eq!(MemoryFile::open(&path, None).unwrap().1, most);
        fs::remove_file(path).unwrap();
    }

    /// The power fails at any byte while a second dump is written down: the first is remembered, or the second.
    #[test]
    fn a_torn_write_never_forgets() {
        let path = path("torn");
        let (file, _) = MemoryFile::open(&path, None).unwrap();
        file.save([memory(1, 5), memory(2, 6)].into_iter()).unwrap();
        let old = fs::read(&path).unwrap();
        file.save([memory(1, 5), memory(2, 8)].into_iter()).unwrap();
        let new = fs::read(&path).unwrap();
        for copy in COPIES {
            for torn in (0..COPY_LEN).step_by(3) {
                let mut disk = if copy == 0 { old.clone() } else { new.clone() };
                let (from, to) = (copy as usize, copy as usize + torn);
                disk[from..from + COPY_LEN].fill(0xA5);
                disk[from..to].copy_from_slice(&new[from..to]);
                fs::write(&path, &disk).unwrap();
                let (_, memories) = MemoryFile::open(&path, None).unwrap();
                assert!(memories.contains(&memory(1, 5)), "{copy} {torn}");
                assert!(memories.contains(&memory(2, 6)) || memories.contains(&memory(2, 8)), "{copy} {torn}");
                assert!(copy == 0 || memories.contains(&memory(2, 8)), "the first copy was on disk");
            }
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn damage_is_no_memory_and_a_link_is_not_followed() {
        let path = path("damage");
        fs::write(&path, [0xFF; 10_000]).unwrap();
        assert_eq!(MemoryFile::open(&path, None).unwrap().1, []);
        let link = path.with_extension("link");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(MemoryFile::open(&link, None).is_err());
        fs::remove_file(link).unwrap();
        fs::remove_file(path).unwrap();
    }
}
