//! Disks that are full or read-only: at the start, under the store, under the log.

use super::bad_start::nothing_is_left;
use super::live::{is_root, mount_here};
use super::support::{Daemon, Place, wait_for};
use booth_core::wire::{Command as Code, Outcome};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;

/// Writes until there is no room for another byte.
fn fill(directory: &Path) {
    let error = fs::write(directory.join("filler"), vec![1; 1 << 20]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
}

/// A daemon whose journal is to be on a disk like this does not start; the directory is as before.
fn refused_for_its_journal(name: &str, options: &str, prepare: impl FnOnce(&Path), reason: &str) {
    let place = Place::new(name);
    let state = place.directory.join("state");
    fs::create_dir(&state).unwrap();
    let _mount = mount_here(&state, options);
    prepare(&state);
    let files = || fs::read_dir(&state).unwrap().count();
    let before = files();
    let journal = state.join("test.journal");
    place.configure(&format!("journal = {}\nticket = T\n", journal.display()));
    let (status, text) = place.start_in_vain();
    assert_eq!(status.code(), Some(1));
    assert!(text.contains("journal") && text.contains(journal.to_str().unwrap()) && text.contains(reason), "{text}");
    assert_eq!(files(), before);
    nothing_is_left(&place);
}

#[test]
fn a_journal_on_a_full_disk_is_refused_with_the_remedy() {
    if is_root("a_journal_on_a_full_disk_is_refused_with_the_remedy") {
        refused_for_its_journal("full-journal", "size=64k", fill, "make room");
    }
}

#[test]
fn a_journal_in_a_read_only_directory_is_refused_with_the_remedy() {
    if is_root("a_journal_in_a_read_only_directory_is_refused_with_the_remedy") {
        refused_for_its_journal("read-only-journal", "ro,size=64k", |_| {}, "journal = PATH");
    }
}

/// The lease is held meanwhile, and the write is tried until there is room (S8).
#[test]
fn a_grant_that_the_file_store_cannot_write_is_no_success_and_is_tried_again() {
    if !is_root("a_grant_that_the_file_store_cannot_write_is_no_success_and_is_tried_again") {
        return;
    }
    let place = Place::new("full-store");
    let _mount = mount_here(&place.directory.join("store"), "size=64k,mode=777");
    place.configure_alone("ticket = T\nexpire = 60\ntimeout = 100ms\nretries = 3\n");
    let daemon = place.start();
    let file = place.directory.join("store/T.ticket");
    wait_for("the member's memory is named in the store", || file.exists());
    fill(&place.directory.join("store"));
    let answers = daemon.outcomes(Code::ClientGrant, "T");
    assert_eq!(answers, [Outcome::More, Outcome::SyncFail]);
    assert!(daemon.log().contains("No space left"), "{}", daemon.log());
    assert!(!daemon.text(Code::ClientList).contains("NONE"), "the lease is this site's");
    assert!(!fs::read_to_string(&file).unwrap().contains("granted = true"));
    fs::remove_file(place.directory.join("store/filler")).unwrap();
    wait_for("the grant is written", || {
        fs::read_to_string(place.directory.join("store/T.ticket")).is_ok_and(|text| text.contains("granted = true"))
    });
}

/// Each signal is a line; a pipe takes some before it is full.
fn lose_a_line(daemon: &Daemon) {
    let before = daemon.counter("log lines lost");
    wait_for("a line is lost", || {
        daemon.signal(nix::sys::signal::Signal::SIGUSR1);
        daemon.counter("log lines lost") > before
    });
}

fn serves_although_lines_are_lost(daemon: &Daemon) {
    lose_a_line(daemon);
    assert_eq!(daemon.text(Code::ClientList), "ticket: T, leader: NONE\n");
}

#[test]
fn a_log_on_a_full_disk_costs_lines_and_nothing_else() {
    let place = Place::new("full-log");
    place.configure("ticket = T\n");
    let mut command = place.command();
    command.stderr(File::options().write(true).open("/dev/full").unwrap());
    serves_although_lines_are_lost(&place.start_unlogged(command));
}

#[test]
fn a_log_that_nobody_reads_or_whose_reader_has_gone_costs_lines_and_nothing_else() {
    let place = Place::new("unread-log");
    place.configure("ticket = T\n");
    let (reader, writer) = nix::unistd::pipe().unwrap();
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
    let mut command = place.command();
    command.stderr(writer);
    let daemon = place.start_unlogged(command);
    // The daemon alone has the other end from here on.
    serves_although_lines_are_lost(&daemon);
    drop(reader);
    lose_a_line(&daemon);
    assert!(daemon.control("version\n").starts_with("boothd "));
}
