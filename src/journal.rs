//! What a member remembers of its votes and promises over a restart (S1, S7).
//!
//! One file of fixed size, made of [`slot`]s. The first half holds the first copy of every ticket's
//! record, the second half the second copy; each half is a whole number of 4 KiB blocks, so that the
//! two copies of a record never share a physical sector. [`slot`] says why a good copy is the truth.
//!
//! - The file is written in full when it is made: a full disk is met at the start, not at a vote.
//! - It is made anew (beside the old one, then renamed over it) when the configured tickets are not
//!   those in the file, in number or order, when damage was found, and when the two copies of a record
//!   are not the same. Tickets that stay keep their memory; one that leaves the configuration is forgotten.
//! - It belongs to one member: a journal with another site id (a copied machine, two daemons with one
//!   path) is refused, not overwritten. It is locked while it is open.
//! - Nothing is allocated when a record is written.

pub mod slot;

use booth_core::member::SiteId;
use booth_core::settings::{MAX_NAME, MAX_TICKETS, TicketIndex};
use booth_core::sink::Record;
use slot::{Damage, Entry, SLOT_LEN, Slot};
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, fchown};
use std::path::{Path, PathBuf};

/// The unit in which a disk writes, or a multiple of it.
const BLOCK_LEN: usize = 4096;
/// No journal is longer.
const MAX_LEN: u64 = (2 * MAX_TICKETS * SLOT_LEN) as u64;

/// The open journal, or none where it is switched off.
#[derive(Debug)]
pub struct Journal {
    file: Option<OpenFile>,
}

#[derive(Debug)]
struct OpenFile {
    file: File,
    path: PathBuf,
    member: SiteId,
    places: Vec<Place>,
}

/// A ticket's place in both halves.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    ticket: String,
    sequence: u64,
    record: Option<Record>,
}

/// What [`Journal::open`] has found.
#[derive(Debug)]
pub struct Opened {
    /// Ready to be written.
    pub journal: Journal,
    /// What is remembered of each ticket, in the order of the names given; `None`: no memory (S7).
    pub memories: Vec<Option<Record>>,
    /// Lines for the log.
    pub warnings: Vec<Warning>,
}

/// Something about a journal that an administrator should know; says so by `Display`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// There was none.
    Created(PathBuf),
    /// Nothing in it could be read; it was moved out of the way, and a new one was made.
    Unreadable {
        /// Where the journal was, and is again.
        path: PathBuf,
        /// Where the unreadable one is now.
        kept_as: PathBuf,
    },
    /// So many of its slots were torn or damaged; both copies of the tickets named were.
    Damaged {
        /// The journal.
        path: PathBuf,
        /// How many slots.
        slots: usize,
        /// Configured tickets of which neither copy could be read, or that are new.
        lost: Vec<String>,
    },
    /// Tickets that are no longer configured; their memory is gone.
    Forgotten(Vec<String>),
}

/// Why a journal cannot be opened or written; says what to do by `Display`.
#[derive(Debug)]
pub enum JournalError {
    /// The system refused.
    Io {
        /// What was being done: "open", "write", ...
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// Another process has it open.
    Locked(PathBuf),
    /// It is the memory of another member.
    OtherMember {
        /// The journal.
        path: PathBuf,
        /// Whose it is.
        found: SiteId,
        /// Who we are.
        expected: SiteId,
    },
    /// It was written by a program with another format.
    Version {
        /// The journal.
        path: PathBuf,
        /// The format's version.
        found: u32,
    },
    /// Not a regular file, or far too long for a journal.
    NotAJournal(PathBuf),
    /// More or longer ticket names than a journal holds, or an index beyond the last ticket.
    Tickets,
}

impl Journal {
    /// Opens the journal of member `me` for these tickets, or makes one.
    ///
    /// To be called before privileges are dropped: `owner` (user and group id) is who the daemon will
    /// be, and gets the file, and the directory where it had to be made.
    pub fn open(path: &Path, me: SiteId, tickets: &[&str], owner: Option<(u32, u32)>) -> Result<Opened, JournalError> {
        if tickets.len() > MAX_TICKETS || tickets.iter().any(|name| name.is_empty() || name.len() > MAX_NAME) {
            return Err(JournalError::Tickets);
        }
        // A journal that is a symbolic link stays one when it is made anew.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        make_directory(&path, owner)?;
        let mut warnings = Vec::new();
        let old = open_locked(&path)?;
        let found = match &old {
            Some(file) => examine(&path, file, me)?,
            None => Found::default(),
        };
        let places = tickets.iter().map(|name| found.place(name)).collect::<Vec<_>>();
        let file = match old {
            Some(file) if found.is_whole(&places) => file,
            old => {
                let kept_as = if found.unreadable { Some(keep_unreadable(&path)?) } else { None };
                found.warn(&path, kept_as, &places, old.is_some(), &mut warnings);
                make(&path, old.filter(|_| !found.unreadable), me, &places, owner)?
            }
        };
        if let Some((user, group)) = owner {
            fchown(&file, Some(user), Some(group)).map_err(io_error("give away", &path))?;
        }
        let memories = places.iter().map(|place| place.record).collect();
        let journal = Journal { file: Some(OpenFile { file, path, member: me, places }) };
        Ok(Opened { journal, memories, warnings })
    }

    /// No journal: nothing is remembered over a restart, and every write succeeds.
    pub fn off() -> Journal {
        Journal { file: None }
    }

    /// Whether it is switched off.
    pub fn is_off(&self) -> bool {
        self.file.is_none()
    }

    /// Writes a record, not yet durably; [`Journal::sync`] must succeed before any answer that rests
    /// on it leaves.
    pub fn stage(&mut self, ticket: TicketIndex, record: &Record) -> Result<(), JournalError> {
        let Some(open) = &mut self.file else { return Ok(()) };
        let half = half_len(open.places.len()) as u64;
        let place = open.places.get_mut(ticket.at()).ok_or(JournalError::Tickets)?;
        // Counted even if the write fails: a number is never used for two records.
        place.sequence += 1;
        place.record = Some(*record);
        let bytes = slot::encode(&place.entry(open.member));
        let at = (ticket.at() * SLOT_LEN) as u64;
        let written = open.file.write_all_at(&bytes, at).and_then(|()| open.file.write_all_at(&bytes, half + at));
        written.map_err(io_error("write", &open.path))
    }

    /// Makes durable what was staged. After an error none of it may be relied on: stage it again.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        let Some(open) = &self.file else { return Ok(()) };
        open.file.sync_data().map_err(io_error("write to disk", &open.path))
    }

    /// Writes a record durably: [`Journal::stage`] and [`Journal::sync`].
    pub fn write(&mut self, ticket: TicketIndex, record: &Record) -> Result<(), JournalError> {
        self.stage(ticket, record)?;
        self.sync()
    }
}

impl Place {
    fn entry(&self, member: SiteId) -> Entry<'_> {
        Entry { member, ticket: &self.ticket, sequence: self.sequence, record: self.record }
    }
}

/// Bytes in each half of a journal with so many tickets.
fn half_len(tickets: usize) -> usize {
    (tickets.max(1) * SLOT_LEN).next_multiple_of(BLOCK_LEN)
}

/// What an existing file says.
#[derive(Default)]
struct Found {
    /// One for each pair of slots; without a ticket where neither could be read.
    places: Vec<Place>,
    /// How many slots are torn or damaged.
    damaged: usize,
    /// Not one slot could be read, and they are not all zeros.
    unreadable: bool,
    /// The copies of a record are not the same: the machine has stopped between the two. Were the newer one
    /// damaged later, the older one would be read as truth.
    uneven: bool,
}

impl Found {
    /// What it says of a ticket.
    fn place(&self, ticket: &str) -> Place {
        let blank = Place { ticket: ticket.to_owned(), sequence: 0, record: None };
        self.places.iter().find(|place| place.ticket == ticket).cloned().unwrap_or(blank)
    }

    /// Whether the file can be used as it is for these tickets.
    fn is_whole(&self, places: &[Place]) -> bool {
        let (used, free) = self.places.split_at(places.len().min(self.places.len()));
        self.damaged == 0
            && !self.uneven
            && self.places.len() == half_len(places.len()) / SLOT_LEN
            && used == places
            && free.iter().all(|place| place.ticket.is_empty())
    }

    fn warn(
        &self,
        path: &Path,
        kept_as: Option<PathBuf>,
        places: &[Place],
        existed: bool,
        warnings: &mut Vec<Warning>,
    ) {
        let path = path.to_path_buf();
        if !existed {
            warnings.push(Warning::Created(path));
        } else if let Some(kept_as) = kept_as {
            warnings.push(Warning::Unreadable { path, kept_as });
        } else if self.damaged > 0 {
            let known = |place: &&Place| !self.places.iter().any(|old| old.ticket == place.ticket);
            let lost = places.iter().filter(known).map(|place| place.ticket.clone()).collect();
            warnings.push(Warning::Damaged { path, slots: self.damaged, lost });
        }
        let gone = |old: &&Place| !old.ticket.is_empty() && !places.iter().any(|place| place.ticket == old.ticket);
        let forgotten: Vec<_> = self.places.iter().filter(gone).map(|old| old.ticket.clone()).collect();
        if !forgotten.is_empty() {
            warnings.push(Warning::Forgotten(forgotten));
        }
    }
}

/// Reads all slots of a file; refuses what is not this member's.
fn examine(path: &Path, mut file: &File, me: SiteId) -> Result<Found, JournalError> {
    let metadata = file.metadata().map_err(io_error("read", path))?;
    if !metadata.is_file() || metadata.len() > MAX_LEN {
        return Err(JournalError::NotAJournal(path.to_path_buf()));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io_error("read", path))?;
    let (slots, rest) = bytes.as_chunks::<SLOT_LEN>();
    let mut found = Found::default();
    for slot in slots {
        match slot::decode(slot) {
            Ok(entry) if entry.member != me => {
                let path = path.to_path_buf();
                return Err(JournalError::OtherMember { path, found: entry.member, expected: me });
            }
            Ok(_) => {}
            Err(Damage::Version(found)) => return Err(JournalError::Version { path: path.to_path_buf(), found }),
            Err(_) => found.damaged += 1,
        }
    }
    let (first, second) = slots.split_at(slots.len() / 2);
    for (first, second) in first.iter().zip(second) {
        let entry = slot::newest(first, second);
        if entry.is_none() && slot::decode(first).is_ok() && slot::decode(second).is_ok() {
            // Good, but no pair: the file has been cut, or put together from pieces.
            found.damaged += 2;
        }
        found.uneven |= first != second;
        let entry = entry.unwrap_or(Entry { member: me, ticket: "", sequence: 0, record: None });
        let Entry { ticket, sequence, record, .. } = entry;
        found.places.push(Place { ticket: ticket.to_owned(), sequence, record });
    }
    found.unreadable = found.damaged >= slots.len() && bytes.iter().any(|byte| *byte != 0);
    // An empty file is what a crash may leave of one just made; a cut one has lost its halves.
    found.damaged += usize::from(slots.is_empty() || !rest.is_empty() || !slots.len().is_multiple_of(2));
    Ok(found)
}

/// Writes a whole journal beside `path` and renames it to there. `old` is the locked file that it
/// replaces.
fn make(
    path: &Path,
    old: Option<File>,
    me: SiteId,
    places: &[Place],
    owner: Option<(u32, u32)>,
) -> Result<File, JournalError> {
    let fresh = with_suffix(path, ".new");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&fresh).map_err(io_error("create", &fresh))?;
    lock(&file, &fresh)?;
    // Between opening and locking, another process may have finished the same work.
    let unchanged = match &old {
        Some(old) => is_at(old, path),
        None => !path.exists(),
    };
    if !unchanged || !is_at(&file, &fresh) {
        return Err(JournalError::Locked(path.to_path_buf()));
    }
    let free = Place { ticket: String::new(), sequence: 0, record: None };
    let half = half_len(places.len());
    let mut bytes = Vec::with_capacity(2 * half);
    for at in 0..half / SLOT_LEN {
        bytes.extend_from_slice(&slot::encode(&places.get(at).unwrap_or(&free).entry(me)));
    }
    bytes.extend_from_within(..);
    let written = file
        .set_len(0)
        .and_then(|()| file.write_all_at(&bytes, 0))
        .and_then(|()| file.set_permissions(Permissions::from_mode(0o600)))
        .and_then(|()| owner.map_or(Ok(()), |(user, group)| fchown(&file, Some(user), Some(group))))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&fresh, path));
    if let Err(source) = written {
        // What stays behind would only be in the way; the old journal is as it was.
        let _ = fs::remove_file(&fresh);
        return Err(io_error("write", &fresh)(source));
    }
    let directory = directory_of(path);
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io_error("write", directory))?;
    Ok(file)
}

fn make_directory(path: &Path, owner: Option<(u32, u32)>) -> Result<(), JournalError> {
    let directory = directory_of(path);
    if directory.is_dir() {
        return Ok(());
    }
    // One only: of a path with a mistake in it nothing is made.
    DirBuilder::new().mode(0o750).create(directory).map_err(io_error("make the directory of the", directory))?;
    match owner {
        Some((user, group)) => chown(directory, Some(user), Some(group)).map_err(io_error("give away", directory)),
        None => Ok(()),
    }
}

/// The file at `path`, locked; `None`: there is none.
fn open_locked(path: &Path) -> Result<Option<File>, JournalError> {
    // Non-blocking, lest a named pipe stop the daemon.
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let file = match OpenOptions::new().read(true).write(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("open", path)(error)),
    };
    lock(&file, path)?;
    if is_at(&file, path) { Ok(Some(file)) } else { Err(JournalError::Locked(path.to_path_buf())) }
}

fn lock(file: &File, path: &Path) -> Result<(), JournalError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::Locked(path.to_path_buf()),
        TryLockError::Error(source) => io_error("lock", path)(source),
    })
}

/// Whether the open file is the one at `path`, and was not replaced meanwhile.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(named)) => (open.dev(), open.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Moves a file that is no journal, or no longer one, out of the way.
fn keep_unreadable(path: &Path) -> Result<PathBuf, JournalError> {
    let kept_as = with_suffix(path, ".damaged");
    fs::rename(path, &kept_as).map_err(io_error("rename", path))?;
    Ok(kept_as)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    move |source| JournalError::Io { doing, path: path.to_path_buf(), source }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Created(path) => {
                write!(f, "{}: new journal: nothing is remembered of earlier votes and promises", path.display())
            }
            Warning::Unreadable { path, kept_as } => write!(
                f,
                "{}: not one record of this journal can be read; it is kept as {}, and a new one, without memory, \
                 takes its place",
                path.display(),
                kept_as.display()
            ),
            Warning::Damaged { path, slots, lost } => {
                write!(f, "{}: {slots} torn or damaged slots, written anew; ", path.display())?;
                match lost.as_slice() {
                    [] => write!(f, "each had a good copy, nothing is lost; is the disk failing?"),
                    lost => write!(f, "nothing is remembered of: {}", lost.join(", ")),
                }
            }
            Warning::Forgotten(tickets) => {
                write!(f, "tickets no longer configured are removed from the journal: {}", tickets.join(", "))
            }
        }
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::Io { doing, path, source } => {
                write!(f, "cannot {doing} journal {}: {source}", path.display())?;
                f.write_str(match source.kind() {
                    io::ErrorKind::ReadOnlyFilesystem => "; choose a place that can be written with `journal = PATH`",
                    io::ErrorKind::NotFound => "; is the path right? Only the last directory of it is made",
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room there",
                    io::ErrorKind::PermissionDenied => {
                        "; let the daemon write there, or choose another place with `journal = PATH`"
                    }
                    _ => "",
                })
            }
            JournalError::Locked(path) => write!(
                f,
                "journal {} is in use by another process; each member needs its own (`journal = PATH`)",
                path.display()
            ),
            JournalError::OtherMember { path, found, expected } => write!(
                f,
                "journal {} belongs to the member with id {}, this one has {}; give this member its own with \
                 `journal = PATH`, or remove the file if the member's address has changed or the machine is a copy",
                path.display(),
                found.0,
                expected.0
            ),
            JournalError::Version { path, found } => write!(
                f,
                "journal {} has format {found}, expected {}; run the boothd that wrote it, or remove the file to \
                 start without memory",
                path.display(),
                slot::VERSION
            ),
            JournalError::NotAJournal(path) => write!(
                f,
                "{} is not a journal (expected a regular file of at most {MAX_LEN} bytes); choose another place \
                 with `journal = PATH`",
                path.display()
            ),
            JournalError::Tickets => {
                write!(f, "a journal holds up to {MAX_TICKETS} tickets with names of 1 to {MAX_NAME} bytes")
            }
        }
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            JournalError::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

const _: () = assert!(size_of::<Slot>() == SLOT_LEN && BLOCK_LEN.is_multiple_of(SLOT_LEN));
const _: () = assert!((MAX_TICKETS * SLOT_LEN).is_multiple_of(BLOCK_LEN));
