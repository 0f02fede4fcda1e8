//! The journal as the daemon meets it: over restarts, changes of the configuration, damage, and on
//! disks that are full or read-only.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod live;

use booth::journal::slot::SLOT_LEN;
use booth::journal::{Journal, JournalError, Opened, Warning};
use booth_core::member::SiteId;
use booth_core::settings::TicketIndex;
use booth_core::sink::Record;
use booth_core::time::{Millis, WallTime};
use live::{is_root, mount_here};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const ME: SiteId = SiteId(1_102_844_285);

/// An empty directory of this test's own.
fn directory(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("journal-{test}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn record(term: u32) -> Record {
    Record {
        term,
        voted_term: term,
        vote: Some(ME),
        leader: None,
        active: true,
        promised: Millis(60_000),
        earlier: true,
        revoked: false,
        held: true,
        mark: 7,
        forgetful: false,
        stamp: WallTime(u64::from(term) * 1_000_000),
    }
}

fn open(path: &Path, tickets: &[&str]) -> Opened {
    open_as(path, ME, tickets).unwrap()
}

/// Opens a journal that nobody has open. For a moment it may seem so: a process that another test of
/// this program starts holds all our descriptors until it runs its own program.
fn open_as(path: &Path, me: SiteId, tickets: &[&str]) -> Result<Opened, JournalError> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match Journal::open(path, me, tickets, None) {
            Err(JournalError::Locked(_)) if Instant::now() < deadline => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

fn lines(opened: &Opened) -> String {
    opened.warnings.iter().map(|warning| format!("{warning}\n")).collect()
}

/// Both copies of a ticket's record in the file.
fn damage(path: &Path, ticket: usize, first: bool, second: bool) {
    let mut bytes = fs::read(path).unwrap();
    let half = bytes.len() / 2;
    for (hit, start) in [(first, 0), (second, half)] {
        if hit {
            bytes[start + ticket * SLOT_LEN + 95] ^= 0x10;
        }
    }
    fs::write(path, bytes).unwrap();
}

/// S1: a vote is known after a restart.
#[test]
fn the_newest_record_of_each_ticket_is_remembered() {
    let path = directory("remembers").join("booth.journal");
    let mut opened = open(&path, &["db", "web"]);
    assert_eq!(opened.memories, [None, None]);
    assert!(matches!(opened.warnings.as_slice(), [Warning::Created(_)]), "{:?}", opened.warnings);
    for term in 1..=5 {
        opened.journal.write(TicketIndex(1), &record(term)).unwrap();
    }
    drop(opened);
    let opened = open(&path, &["db", "web"]);
    assert_eq!(opened.memories, [None, Some(record(5))]);
    assert!(opened.warnings.is_empty(), "{:?}", opened.warnings);
}

#[test]
fn the_file_has_its_full_size_from_the_start_and_is_for_its_owner_only() {
    let path = directory("size").join("booth/booth.journal");
    let mut opened = open(&path, &["db"]);
    let before = fs::metadata(&path).unwrap();
    assert_eq!((before.len(), before.mode() & 0o777), (2 * 4096, 0o600));
    assert!(before.blocks() * 512 >= before.len(), "blocks are allocated");
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o750);
    for term in 0..100 {
        opened.journal.write(TicketIndex(0), &record(term)).unwrap();
    }
    assert_eq!(fs::metadata(&path).unwrap().len(), before.len());
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left there");
    drop(opened);
    let many = (0..9).map(|at| format!("t{at}")).collect::<Vec<_>>();
    let names = many.iter().map(String::as_str).collect::<Vec<_>>();
    drop(open(&path, &names));
    assert_eq!(fs::metadata(&path).unwrap().len(), 4 * 4096, "9 slots take two blocks in each half");
}

#[test]
fn tickets_that_stay_keep_their_memory_when_others_come_go_and_move() {
    let path = directory("tickets").join("j");
    let mut opened = open(&path, &["a", "b", "c"]);
    for at in 0..3 {
        opened.journal.write(TicketIndex(at), &record(10 + u32::from(at))).unwrap();
    }
    drop(opened);
    let mut opened = open(&path, &["c", "new", "a"]);
    assert_eq!(opened.memories, [Some(record(12)), None, Some(record(10))]);
    assert_eq!(lines(&opened), "tickets no longer configured are removed from the journal: b\n");
    opened.journal.write(TicketIndex(2), &record(20)).unwrap();
    drop(opened);
    // b was away: what it knew is not read as truth, it has no memory.
    let opened = open(&path, &["a", "b", "c"]);
    assert_eq!(opened.memories, [Some(record(20)), None, Some(record(12))]);
}

/// S7: any one damaged copy loses nothing; two lose the memory; neither brings back an older record.
#[test]
fn damage_is_noticed_and_repaired_or_means_no_memory() {
    let path = directory("damage").join("j");
    let mut opened = open(&path, &["a", "b"]);
    for term in 1..=3 {
        opened.journal.write(TicketIndex(0), &record(term)).unwrap();
        opened.journal.write(TicketIndex(1), &record(term)).unwrap();
    }
    drop(opened);
    for (first, second) in [(true, false), (false, true)] {
        damage(&path, 0, first, second);
        let opened = open(&path, &["a", "b"]);
        assert_eq!(opened.memories, [Some(record(3)), Some(record(3))]);
        assert!(lines(&opened).contains("1 torn or damaged slots"), "{}", lines(&opened));
        drop(opened);
        assert!(open(&path, &["a", "b"]).warnings.is_empty(), "repaired");
    }
    damage(&path, 0, true, true);
    let opened = open(&path, &["a", "b"]);
    assert_eq!(opened.memories, [None, Some(record(3))]);
    assert!(lines(&opened).contains("nothing is remembered of: a"), "{}", lines(&opened));
}

/// S7: whatever is cut off, zeroed or overwritten, the answer is the newest record or no memory.
/// The machine stopped when the first copy was written and the second was not; the first went bad later, and the
/// older record in the second was read as truth: a vote was forgotten (S1, S7).
#[test]
fn a_write_that_reached_one_copy_is_completed_at_the_start() {
    let path = directory("uneven").join("journal");
    open(&path, &["a"]).journal.write(TicketIndex(0), &record(1)).unwrap();
    let old = fs::read(&path).unwrap();
    open(&path, &["a"]).journal.write(TicketIndex(0), &record(2)).unwrap();
    let mut torn = fs::read(&path).unwrap();
    let half = torn.len() / 2;
    torn[half..].copy_from_slice(&old[half..]);
    fs::write(&path, &torn).unwrap();
    assert_eq!(open(&path, &["a"]).memories, [Some(record(2))]);
    damage(&path, 0, true, false);
    assert_eq!(open(&path, &["a"]).memories, [Some(record(2))]);
}

#[test]
fn a_cut_or_zeroed_file_never_yields_an_older_record() {
    let path = directory("cut").join("j");
    let mut opened = open(&path, &["a", "b"]);
    for term in 1..=3 {
        opened.journal.write(TicketIndex(0), &record(term)).unwrap();
    }
    drop(opened);
    let whole = fs::read(&path).unwrap();
    for keep in (0..whole.len()).step_by(SLOT_LEN / 2) {
        fs::write(&path, &whole[..keep]).unwrap();
        let opened = open(&path, &["a", "b"]);
        assert!([None, Some(record(3))].contains(&opened.memories[0]), "cut to {keep}");
        assert!(!opened.warnings.is_empty(), "cut to {keep}");
        let mut zeroed = whole.clone();
        zeroed[keep..].fill(0);
        drop(opened);
        fs::write(&path, &zeroed).unwrap();
        let opened = open(&path, &["a", "b"]);
        assert!([None, Some(record(3))].contains(&opened.memories[0]), "zeroed from {keep}");
        assert!(!opened.warnings.is_empty(), "zeroed from {keep}");
        drop(opened);
    }
}

#[test]
fn what_cannot_be_read_at_all_is_kept_aside() {
    let path = directory("aside").join("j");
    fs::write(&path, "my only copy of a letter").unwrap();
    let opened = open(&path, &["a"]);
    assert_eq!(opened.memories, [None]);
    assert!(matches!(opened.warnings.as_slice(), [Warning::Unreadable { .. }]), "{:?}", opened.warnings);
    assert_eq!(fs::read_to_string(path.with_extension("damaged")).unwrap(), "my only copy of a letter");
}

#[test]
fn another_members_journal_is_refused_and_left_alone() {
    let path = directory("clone").join("j");
    open(&path, &["a"]).journal.write(TicketIndex(0), &record(1)).unwrap();
    let before = fs::read(&path).unwrap();
    let error = open_as(&path, SiteId(7), &["a"]).unwrap_err();
    assert!(matches!(error, JournalError::OtherMember { found: ME, expected: SiteId(7), .. }), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_second_daemon_cannot_open_it() {
    let path = directory("locked").join("j");
    let first = open(&path, &["a"]);
    let error = Journal::open(&path, ME, &["a"], None).unwrap_err();
    assert!(matches!(error, JournalError::Locked(_)), "{error}");
    drop(first);
    open(&path, &["a"]);
}

#[test]
fn a_name_that_does_not_fit_is_refused() {
    let path = directory("names").join("j");
    let long = "x".repeat(64);
    for names in [&[long.as_str()][..], &[""]] {
        assert!(matches!(Journal::open(&path, ME, names, None), Err(JournalError::Tickets)));
    }
    let most = (0..4096).map(|at| format!("t{at}")).collect::<Vec<_>>();
    let names = most.iter().map(String::as_str).collect::<Vec<_>>();
    let mut opened = open(&path, &names);
    opened.journal.write(TicketIndex(4095), &record(1)).unwrap();
    assert!(matches!(opened.journal.write(TicketIndex(4096), &record(1)), Err(JournalError::Tickets)));
    drop(opened);
    assert_eq!(open(&path, &names).memories[4095], Some(record(1)));
    let more = [names.as_slice(), &["x"]].concat();
    assert!(matches!(Journal::open(&path, ME, &more, None), Err(JournalError::Tickets)));
}

#[test]
fn what_is_not_a_file_is_refused() {
    let directory = directory("kind");
    let error = Journal::open(&directory, ME, &["a"], None).unwrap_err();
    assert!(matches!(error, JournalError::Io { .. }), "{error}");
    let pipe = directory.join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = Journal::open(&pipe, ME, &["a"], None).unwrap_err();
    assert!(matches!(error, JournalError::NotAJournal(_)), "{error}");
}

#[test]
fn switched_off_it_takes_everything_and_remembers_nothing() {
    let mut journal = Journal::off();
    assert!(journal.is_off());
    journal.write(TicketIndex(3), &record(1)).unwrap();
}

#[test]
fn a_full_disk_is_met_at_the_start_and_the_old_journal_survives() {
    if !is_root("a_full_disk_is_met_at_the_start_and_the_old_journal_survives") {
        return;
    }
    let directory = directory("full");
    let _mount = mount_here(&directory, "size=32k");
    let path = directory.join("j");
    open(&path, &["a"]).journal.write(TicketIndex(0), &record(1)).unwrap();
    fs::write(directory.join("other"), vec![1; 16 << 10]).unwrap();
    let names = (0..9).map(|at| format!("t{at}")).collect::<Vec<_>>();
    let names = [&["a"], names.iter().map(String::as_str).collect::<Vec<_>>().as_slice()].concat();
    let error = open_as(&path, ME, &names).unwrap_err();
    let JournalError::Io { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), ErrorKind::StorageFull, "{error}");
    assert!(error.to_string().contains("make room"), "{error}");
    assert!(!directory.join("j.new").exists());
    // Full as it is, the daemon can vote: all blocks are there.
    let mut opened = open(&path, &["a"]);
    assert_eq!(opened.memories, [Some(record(1))]);
    opened.journal.write(TicketIndex(0), &record(2)).unwrap();
}

#[test]
fn a_read_only_directory_is_an_error_that_says_so() {
    if !is_root("a_read_only_directory_is_an_error_that_says_so") {
        return;
    }
    let directory = directory("read-only");
    let _mount = mount_here(&directory, "ro");
    let error = Journal::open(&directory.join("lib/j"), ME, &["a"], None).unwrap_err();
    let JournalError::Io { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), ErrorKind::ReadOnlyFilesystem, "{error}");
    assert!(error.to_string().contains("journal = PATH"), "{error}");
}

/// A path with a mistake in it left directories all over the place, made by root.
#[test]
fn of_a_mistyped_path_nothing_is_made() {
    let directory = directory("mistyped");
    let error = Journal::open(&directory.join("lbi/booth/j"), ME, &["a"], None).unwrap_err().to_string();
    assert!(error.contains("lbi/booth: No such file or directory") && error.contains("is the path right?"), "{error}");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
}

#[test]
fn the_file_and_its_new_directory_belong_to_whom_the_daemon_becomes() {
    if !is_root("the_file_and_its_new_directory_belong_to_whom_the_daemon_becomes") {
        return;
    }
    let path = directory("owner").join("booth/j");
    drop(Journal::open(&path, ME, &["a"], Some((1234, 4321))).unwrap());
    for path in [path.as_path(), path.parent().unwrap()] {
        let metadata = fs::metadata(path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 4321), "{}", path.display());
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = Journal::open(&path, ME, &["a"], Some((1235, 4321))) {
        assert!(matches!(error, JournalError::Locked(_)) && Instant::now() < deadline, "{error}");
    }
    assert_eq!(fs::metadata(&path).unwrap().uid(), 1235);
}
