//! Gives back the program pages that only the start has used, before memory is locked: mlockall(2)
//! would otherwise keep the configuration's parser, the name service and the dynamic linker resident
//! for ever.

use nix::sys::mman::{MmapAdvise, madvise};
use std::ffi::c_void;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

/// Drops the pages of all file mappings of which no page differs from the file; those that are still
/// used come back from the page cache, one fault each. Call it before
/// [`super::privileges::lock_memory`]: locked pages stay.
///
/// Where it does not work nothing is lost but memory.
pub fn release_program_pages() {
    let Ok(mappings) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for (start, length) in unchanged_mappings(&mappings) {
        let Some(address) = NonZeroUsize::new(start) else { continue };
        let address = NonNull::<c_void>::without_provenance(address);
        // SAFETY: the kernel has just said that this is a private mapping of a file that cannot be
        // written and has no page of its own (proc_pid_smaps(5)): its pages come back as they were.
        let _ = unsafe { madvise(address, length, MmapAdvise::MADV_DONTNEED) };
    }
    // SAFETY: no argument that could be wrong; the allocator locks itself.
    unsafe { libc::malloc_trim(0) };
}

/// Start and length of each unwritable private file mapping of which all pages are the file's.
fn unchanged_mappings(smaps: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut mapping = None;
    smaps.lines().filter_map(move |line| {
        let mut fields = line.split_ascii_whitespace();
        let first = fields.next()?;
        if first == "Anonymous:" {
            // Pages that were written to before the mapping became read-only: relocations.
            return mapping.take().filter(|_| fields.next() == Some("0"));
        }
        if let Some((start, end)) = first.split_once('-') {
            let permissions = fields.next()?;
            let of_a_file = fields.nth(3).is_some_and(|path| path.starts_with('/'));
            let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
            let meant = of_a_file && matches!(permissions, "r-xp" | "r--p");
            mapping = meant.then_some((start, end.checked_sub(start)?));
        }
        None
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn found(header: &str, anonymous: u32) -> Vec<(usize, usize)> {
        let smaps = format!("{header}\nSize: 4 kB\nRss: 4 kB\nAnonymous: {anonymous} kB\nLazyFree: 0 kB\n");
        unchanged_mappings(&smaps.repeat(2)).collect()
    }

    #[test]
    fn only_pages_that_the_file_can_give_back_are_meant() {
        let text = "5597e17a7000-5597e1847000 r-xp 0002b000 08:01 131 /usr/sbin/boothd";
        assert_eq!(found(text, 0), [(0x5597_e17a_7000, 0xa_0000); 2]);
        assert_eq!(found(text, 4), []);
        for other in [
            "7f9df4a44000-7f9df4a5b000 rw-p 00000000 08:01 131 /usr/lib/libc.so.6",
            "7f9df4a44000-7f9df4a5b000 rwxp 00000000 08:01 131 /tmp/jit",
            "7f9df4a44000-7f9df4a5b000 r-xs 00000000 08:01 131 /tmp/shared",
            "7ffd63b5d000-7ffd63b5f000 r-xp 00000000 00:00 0 [vdso]",
            "7ffd63b5d000-7ffd63b5f000 r--p 00000000 00:00 0",
        ] {
            assert_eq!(found(other, 0), [], "{other}");
        }
    }

    #[test]
    fn the_program_runs_on() {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        assert!(unchanged_mappings(&smaps).count() > 1);
        release_program_pages();
        assert_eq!(std::hint::black_box(vec![1, 2, 3]).iter().sum::<i32>(), 6);
    }
}
