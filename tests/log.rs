//! The log against sinks that are slow, full, closed, absent or restarted: it never waits, and what is
//! lost is counted and told.
#![allow(clippy::unwrap_used)]

mod counting;
mod scratch;

use booth::log::destination::Destination;
use booth::log::line::MAX_LINE;
use booth::log::{Level, Log};
use booth_core::time::{Instant, Now, WallTime};
use counting::allocations;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use scratch::directory;
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixStream};

fn at(seconds: u64) -> Now {
    Now { boot: Instant(seconds * 1000), wall: WallTime(1_795_425_253_000_000 + seconds * 1_000_000) }
}

fn stream(fd: impl Into<OwnedFd>) -> Log {
    Log::new(Destination::stream(fd.into(), "boothd-site").unwrap(), Level::Info)
}

/// Writes far more than any kernel buffer holds; that it returns at all is the test.
fn flood(log: &mut Log) {
    for number in 0..10_000 {
        log.write(at(1), Level::Info, format_args!("line {number} {:0200}", 0));
    }
}

/// Everything that is in a nonblocking reader now.
fn drain(reader: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(count @ 1..) = reader.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8(bytes).unwrap()
}

fn nonblocking(fd: impl AsFd) -> bool {
    let flags = OFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GETFL).unwrap());
    flags.contains(OFlag::O_NONBLOCK)
}

fn make_nonblocking(fd: impl AsFd) {
    fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
}

/// A reader that has slept: all lines whole or torn at most once, the loss told, then all as before.
fn expect_recovery(log: &mut Log, reader: &mut impl Read) {
    flood(log);
    let lost = log.lines_lost();
    assert!(lost > 0 && lost < 10_000, "{lost} lost");
    let before = drain(reader);
    assert!(before.contains(": info: line 0 "));
    log.write(at(2), Level::Warning, format_args!("awake"));
    let after = drain(reader);
    assert!(after.ends_with(": warning: awake\n"), "{after}");
    assert_eq!(log.lines_lost(), lost);
    // The last bit of room may have taken a first, shorter line that told of losses.
    let told: u64 = (before + &after)
        .lines()
        .filter_map(|line| line.split_once(": warning: ")?.1.strip_suffix(" log lines were lost: nobody took them"))
        .map(|count| count.parse::<u64>().unwrap())
        .sum();
    assert_eq!(told, lost);
}

#[test]
fn a_pipe_that_nobody_reads_holds_nobody_up_and_stays_blocking_for_the_others() {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let shared = writer.try_clone().unwrap();
    let mut log = stream(writer);
    make_nonblocking(&reader);
    expect_recovery(&mut log, &mut File::from(reader));
    assert!(!nonblocking(&shared), "the open file description that we share is as it was");
}

#[test]
fn a_terminal_that_is_stopped_holds_nobody_up_and_stays_blocking_for_the_others() {
    let terminal = nix::pty::openpty(None, None).unwrap();
    let shared = terminal.slave.try_clone().unwrap();
    let mut log = stream(terminal.slave);
    make_nonblocking(&terminal.master);
    flood(&mut log);
    let lost = log.lines_lost();
    assert!(lost > 0 && lost < 10_000, "{lost} lost");
    let mut master = File::from(terminal.master);
    drain(&mut master);
    log.write(at(2), Level::Warning, format_args!("awake"));
    // The terminal hands its output over a moment later.
    let mut seen = String::new();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !seen.ends_with("warning: awake\r\n") {
        assert!(std::time::Instant::now() < deadline, "{seen}");
        seen += &drain(&mut master);
        std::thread::yield_now();
    }
    assert!(seen.contains("log lines were lost"), "{seen}");
    assert!(!nonblocking(&shared));
}

#[test]
fn a_socket_that_nobody_reads_holds_nobody_up() {
    let (mut reader, writer) = UnixStream::pair().unwrap();
    let shared = writer.try_clone().unwrap();
    reader.set_nonblocking(true).unwrap();
    let mut log = stream(writer);
    expect_recovery(&mut log, &mut reader);
    assert!(!nonblocking(&shared));
}

#[test]
fn a_closed_pipe_and_a_full_disk_lose_lines_and_nothing_else() {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let mut log = stream(writer);
    drop(reader);
    flood(&mut log);
    assert_eq!(log.lines_lost(), 10_000);

    let (reader, writer) = nix::unistd::pipe().unwrap();
    drop(reader);
    let mut log = stream(writer);
    flood(&mut log);
    assert_eq!(log.lines_lost(), 10_000, "closed before the start: opened again it cannot be");

    let mut log = stream(OpenOptions::new().write(true).open("/dev/full").unwrap());
    flood(&mut log);
    assert_eq!(log.lines_lost(), 10_000);
}

#[test]
fn a_file_gets_stamped_lines_up_to_the_verbosity() {
    let directory = directory("file");
    let path = directory.join("log");
    let mut log = stream(OpenOptions::new().append(true).create(true).open(&path).unwrap());
    log.write(at(0), Level::Error, format_args!("ticket {}", "T\nforged"));
    log.write(at(0), Level::Debug, format_args!("not wanted"));
    log.set_verbosity(Level::Debug);
    log.write(at(0), Level::Debug, format_args!("wanted"));
    let text = std::fs::read_to_string(&path).unwrap();
    let pid = std::process::id();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    let (stamp, rest) = lines[0].split_at("2026-11-23 09:14:13.000".len());
    assert!(stamp.starts_with("20") && stamp.ends_with(":13.000"), "{stamp}");
    assert_eq!(rest, format!(" boothd-site[{pid}]: error: ticket T\\x0aforged"));
    assert!(lines[1].ends_with(": debug: wanted"));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn syslog_absent_then_full_then_restarted() {
    let directory = directory("syslog");
    let path = directory.join("log");
    let destination = Destination::syslog_at(path.as_os_str(), "boothd-arbitrator").unwrap();
    let mut log = Log::new(destination, Level::Info);
    log.write(at(0), Level::Info, format_args!("nobody listens"));
    assert_eq!(log.lines_lost(), 1);

    let receive = |syslogd: &UnixDatagram| {
        let mut bytes = [0; 2 * MAX_LINE];
        let count = syslogd.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    };
    let pid = std::process::id();
    let syslogd = UnixDatagram::bind(&path).unwrap();
    log.write(at(1), Level::Info, format_args!("somebody listens"));
    let lost = "1 log lines were lost: nobody took them";
    assert_eq!(receive(&syslogd), format!("<28>boothd-arbitrator[{pid}]: warning: {lost}"));
    assert_eq!(receive(&syslogd), format!("<30>boothd-arbitrator[{pid}]: info: somebody listens"));

    flood(&mut log);
    assert!(log.lines_lost() > 1, "a full syslogd is not waited for");
    let lost_before = log.lines_lost();

    drop(syslogd);
    std::fs::remove_file(&path).unwrap();
    let syslogd = UnixDatagram::bind(&path).unwrap();
    log.write(at(2), Level::Error, format_args!("{}", "x".repeat(5_000)));
    assert!(receive(&syslogd).ends_with(&format!("{} log lines were lost: nobody took them", lost_before - 1)));
    let long = receive(&syslogd);
    assert!(long.len() <= MAX_LINE && long.ends_with("xxx..."), "{} bytes", long.len());
    std::fs::remove_dir_all(&directory).unwrap();
}

/// Under systemd each line had time, name and level twice, and `journalctl -p warning` found none.
#[test]
fn a_line_for_the_journal_begins_with_its_priority() {
    let (ours, mut journal) = UnixStream::pair().unwrap();
    make_nonblocking(&journal);
    let status = nix::sys::stat::fstat(&ours).unwrap();
    let name = format!("{}:{}", status.st_dev, status.st_ino);
    let mut lines = |named: &str| {
        let own = ours.try_clone().unwrap().into();
        let mut log = Log::new(Destination::stream_beside(own, "boothd", Some(named)).unwrap(), Level::Info);
        log.write(at(0), Level::Warning, format_args!("text"));
        drain(&mut journal)
    };
    assert_eq!(lines(&name), "<4>warning: text\n");
    // Another stream: systemd's variable was inherited, and stderr is not the journal any more.
    assert!(lines("1:2").ends_with(&format!(" boothd[{}]: warning: text\n", std::process::id())));
}

#[test]
fn a_flood_of_provoked_lines_costs_a_bounded_number_of_bytes() {
    let directory = directory("flood");
    let path = directory.join("log");
    let mut log = stream(File::create(&path).unwrap());
    const MINUTES: u64 = 10;
    let text = "y".repeat(4 * MAX_LINE);
    for second in 0..MINUTES * 60 {
        for _ in 0..1_000 {
            log.provoked(at(second), Level::Warning, "wrong MAC", format_args!("{text}"));
        }
    }
    let deadline = log.next_deadline().unwrap();
    assert_eq!(deadline, Instant(MINUTES * 60_000));
    log.summarize(at(MINUTES * 60));
    assert_eq!(log.next_deadline(), None);
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written.lines().count() as u64, 5 + MINUTES);
    assert!(written.len() as u64 <= (5 + MINUTES) * MAX_LINE as u64);
    assert!(written.lines().last().unwrap().ends_with("warning: wrong MAC: and 60000 more in 60 s"), "{written}");

    log.provoked(at(MINUTES * 60 + 1), Level::Warning, "wrong MAC", format_args!("z"));
    log.finish(at(MINUTES * 60 + 3));
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.ends_with("wrong MAC: and 1 more in 3 s\n"), "what was counted is told at the end");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn lines_summaries_and_losses_allocate_nothing() {
    let directory = directory("allocations");
    let absent = directory.join("log");
    let null = || OpenOptions::new().write(true).open("/dev/null").unwrap();
    let unread = UnixStream::pair().unwrap();
    let mut logs = [
        Log::new(Destination::syslog_at(absent.as_os_str(), "boothd").unwrap(), Level::Info),
        stream(null()),
        stream(unread.0),
    ];
    let counted = allocations(|| {
        for second in 0..200 {
            for log in &mut logs {
                for _ in 0..20 {
                    let text = format_args!("from {}:{}", "10.0.0.1", second);
                    log.provoked(at(second), Level::Warning, "wrong MAC", text);
                }
                log.write(at(second), Level::Info, format_args!("{:2000}", second));
                log.write(at(second), Level::Debug, format_args!("not wanted"));
            }
        }
    });
    assert_eq!(counted, 0);
    assert!(logs[0].lines_lost() > 0 && logs[1].lines_lost() == 0 && logs[2].lines_lost() > 0);
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1, "the counter counts");
    std::fs::remove_dir_all(&directory).unwrap();
}
