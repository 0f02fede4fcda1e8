//! How much of a crash kernel's memory the sender takes, in its image and while it runs.

use super::fence_agents::original;
use super::host::{Listener, Running, foreign, foreign_sender, sender};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The most that the file may have, in bytes.
const MAX_FILE: u64 = 16 * 1024;
/// The most memory of its own that it may have, in KiB: its stack and its file's pages.
const MAX_MEMORY: u64 = 40;

fn file_size(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

#[test]
fn the_program_is_one_static_file_of_at_most_16_kib() {
    for (architecture, program) in [
        (std::env::consts::ARCH, Some(sender())),
        (foreign(), foreign_sender("the_program_is_one_static_file_of_at_most_16_kib")),
    ] {
        let Some(program) = program else { continue };
        println!("fence_kdump_send for {architecture}: {} bytes", file_size(program));
        assert!(file_size(program) <= MAX_FILE, "{architecture}: {} bytes", file_size(program));
        let headers = Command::new("readelf").arg("-lW").arg(program).output().unwrap();
        let headers = String::from_utf8(headers.stdout).unwrap();
        assert!(headers.contains("LOAD"), "{headers}");
        assert!(!headers.contains("INTERP") && !headers.contains("DYNAMIC") && !headers.contains("RWE"), "{headers}");
    }
}

/// The bytes of a program and of the libraries that it is linked with.
fn with_libraries(program: &Path) -> u64 {
    let listed = Command::new("ldd").arg(program).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let libraries = listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    let size = file_size(program) + libraries.map(|library| file_size(&library)).sum::<u64>();
    assert!(size > file_size(program), "{listed}");
    size
}

/// The memory that a running sender holds, in KiB: resident, and the part of it that is its own.
fn memory(program: &Path, listener: &Listener) -> (u64, u64) {
    let sender = Running::start(Command::new(program).args(["-p", &listener.port(), "127.0.0.1"]));
    listener.hear(1);
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", sender.pid())).unwrap();
    let kib = |field: &str| -> u64 {
        let line = rollup.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (kib("Rss:"), kib("Private_Clean:") + kib("Private_Dirty:"))
}

#[test]
fn the_running_program_needs_a_few_pages() {
    let listener = Listener::new("127.0.0.1:0");
    let (resident, own) = memory(sender(), &listener);
    println!("ours: {} bytes; running: {resident} KiB resident, {own} KiB of them its own", file_size(sender()));
    assert!(own > 0 && own <= MAX_MEMORY, "{own} KiB");
    let Some(original) = original("the_running_program_needs_a_few_pages") else { return };
    let (their_resident, their_own) = memory(&original.sender, &listener);
    let size = with_libraries(&original.sender);
    println!(
        "Debian's: {size} bytes with its libraries; running: {their_resident} KiB resident, {their_own} KiB its own"
    );
    assert!(resident < their_resident && file_size(sender()) < size);
}
