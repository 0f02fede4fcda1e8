//! Clients that are slow, silent, broken or hostile hurt nobody but themselves.

use super::support::{Daemon, KEY, Place, request, signed, text_of, wait_for, wall};
use booth::control::LONGEST_LINE;
use booth_core::member::SiteId;
use booth_core::time::WallTime;
use booth_core::wire::{self, Command as Code, Outcome};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

const LIST: &str = "ticket: T, leader: NONE\n";

fn started(name: &str) -> (Place, Daemon) {
    let place = Place::new(name);
    place.configure("ticket = T\n");
    let daemon = place.start();
    (place, daemon)
}

/// Bytes that look like nothing (xorshift64, Marsaglia 2003).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn every_part_of_a_request_that_breaks_off_is_forgotten() {
    let (_place, daemon) = started("partial");
    let whole = request(Code::ClientList, "");
    let mut left_open = Vec::new();
    for length in 0..whole.len() {
        let mut stream = daemon.connect();
        stream.write_all(&whole[..length]).unwrap();
        if length % 2 == 0 {
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            assert!(answer.is_empty(), "{length} bytes were answered");
        } else {
            left_open.push(stream);
        }
    }
    assert_eq!(daemon.text(Code::ClientList), LIST);
}

#[test]
fn a_request_may_come_byte_by_byte_and_what_follows_it_does_not_become_a_reset() {
    let (_place, daemon) = started("bytes");
    let mut stream = daemon.connect();
    stream.set_nodelay(true).unwrap();
    for byte in request(Code::ClientList, "") {
        stream.write_all(&[byte]).unwrap();
    }
    stream.write_all(&[0; wire::TRAILER_LEN]).unwrap();
    stream.write_all(&noise(7, 4000)).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(text_of(&answer), LIST);
}

#[test]
fn a_client_that_says_that_it_has_no_more_to_send_gets_its_answer() {
    let (_place, daemon) = started("half");
    let mut stream = daemon.connect();
    stream.write_all(&request(Code::ClientList, "")).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(text_of(&answer), LIST);
}

#[test]
fn garbage_and_impossible_lengths_are_refused_and_counted() {
    let (_place, daemon) = started("garbage");
    let mut bad = 0;
    for length in [0, 47, 48, 123, 125, 4096, 1 << 20, u32::MAX] {
        let mut message = request(Code::ClientList, "");
        message[24..28].copy_from_slice(&length.to_be_bytes());
        let answer = daemon.ask(&message);
        assert!(answer.len() <= wire::MAX_MESSAGE, "length {length}: {} bytes", answer.len());
        bad += 1;
    }
    for seed in 1..50 {
        let mut stream = daemon.connect();
        // It may close on us while we write.
        let _ = stream.write_all(&noise(seed, 48 + seed as usize * 80));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        bad += 1;
    }
    assert_eq!(daemon.counters("requests refused, "), bad);
    let lines = daemon.log().matches("client's request refused: ").count();
    assert!((1..=10).contains(&lines), "{lines} lines for {bad} requests");
    assert_eq!(daemon.text(Code::ClientList), LIST);
}

#[test]
fn a_request_that_is_not_signed_with_the_key_is_told_so_and_changes_nothing() {
    let place = Place::new("unsigned");
    place.configure_signed("ticket = T\n");
    let daemon = place.start();
    let before = daemon.state();
    let mut wrong = signed(SiteId(1), Code::ClientGrant, "T", wall());
    *wrong.last_mut().unwrap() ^= 1;
    let member = SiteId::of_address(&place.address(2).octets());
    let late = signed(member, Code::ClientGrant, "T", WallTime(wall().0 - 3_600_000_000));
    let cases = [
        (wrong, "wrong MAC"),
        (request(Code::ClientGrant, "T"), "not signed"),
        (late, "time stamp outside maxtimeskew"),
    ];
    for (message, reason) in cases {
        let answer = daemon.ask(&message);
        let header = wire::decode(&answer, Some(&wire::Key::new(KEY))).unwrap().header;
        assert_eq!((header.command, header.outcome), (Code::Result, Outcome::AuthenticationFailed), "{reason}");
        assert_eq!(daemon.counter(&format!("requests refused, {reason}")), 1, "{reason}");
    }
    assert_eq!(daemon.state(), before);
}

#[test]
fn ten_thousand_connections_opened_and_left_do_not_lock_an_administrator_out() {
    let (_place, daemon) = started("flood");
    let address = daemon.connect().peer_addr().unwrap();
    let room = room_for_connections();
    let mut left = std::collections::VecDeque::new();
    for count in 1..=10_000 {
        left.push_back(TcpStream::connect(address).unwrap());
        if left.len() > room {
            left.pop_front();
        }
        if count % 500 == 0 {
            let asked = Instant::now();
            assert_eq!(daemon.text(Code::ClientList), LIST);
            assert!(asked.elapsed() < Duration::from_secs(5), "answered after {:?}", asked.elapsed());
        }
    }
    wait_for("all were accepted", || daemon.counter("clients accepted") >= 10_000);
    assert!(daemon.counter("clients displaced") >= 9_900);
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", daemon.child.id())).unwrap().count();
    assert!(descriptors < 120, "the daemon has {descriptors} descriptors open");
}

#[test]
fn ten_thousand_control_connections_do_not_lock_an_administrator_out() {
    let (place, daemon) = started("control-flood");
    let room = room_for_connections();
    let mut left = std::collections::VecDeque::new();
    for count in 1..=10_000 {
        left.push_back(UnixStream::connect(place.control_socket()).unwrap());
        if left.len() > room {
            left.pop_front();
        }
        if count % 500 == 0 {
            assert!(daemon.control("status\n").starts_with("ticket: T, role: follower"), "after {count}");
        }
    }
}

#[test]
fn the_control_socket_takes_a_line_and_nothing_else() {
    let (place, daemon) = started("control");
    assert!(daemon.control("nonsense\n").starts_with("unknown request; expected one of: status"));
    assert!(daemon.control(&"x".repeat(LONGEST_LINE)).starts_with("unknown request"));
    assert!(daemon.control(&"x".repeat(LONGEST_LINE + 1)).starts_with("unknown request"));
    for seed in 1..20 {
        let mut stream = UnixStream::connect(place.control_socket()).unwrap();
        let _ = stream.write_all(&noise(seed, seed as usize * 100));
        let mut answer = Vec::new();
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut answer);
    }
    let mut partial = UnixStream::connect(place.control_socket()).unwrap();
    partial.write_all(b"stat").unwrap();
    assert!(daemon.control("version\n").starts_with("boothd "));
    partial.write_all(b"us\n").unwrap();
    let mut answer = String::new();
    partial.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("ticket: T"), "{answer}");
}

#[test]
fn a_silent_client_is_closed_after_a_while() {
    let (_place, daemon) = started("silent");
    let mut stream = daemon.connect();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.is_empty(), "{answer:?}");
    assert_eq!(daemon.counter("clients timed out"), 1);
}

#[test]
fn a_long_list_is_whole_even_for_a_client_that_reads_late_while_others_are_served() {
    let place = Place::new("long");
    // Long names, so that the list does not fit into the system's buffers.
    let tickets: String = (0..4096).map(|at| format!("ticket = {at:-<60}\n")).collect();
    place.configure(&tickets);
    let daemon = place.start();
    let mut slow = daemon.connect();
    nix::sys::socket::setsockopt(&slow, nix::sys::socket::sockopt::RcvBuf, &4096).unwrap();
    slow.write_all(&request(Code::ClientList, "")).unwrap();
    // They have their answers, and nothing was read of the first one's yet.
    let others = [(); 3].map(|()| daemon.text(Code::ClientList));
    let mut answer = Vec::new();
    slow.read_to_end(&mut answer).unwrap();
    let text = text_of(&answer);
    assert_eq!(text.lines().count(), 4096);
    assert_eq!(others, [text.as_str(); 3]);
}

#[test]
fn a_daemon_that_is_out_of_descriptors_serves_on_and_does_not_spin() {
    let place = Place::new("descriptors");
    place.configure("ticket = T\n");
    // What it needs for itself, and a few clients; far fewer than it has slots.
    let daemon = place.start_by(place.command_through("ulimit -n 26"));
    assert!(daemon.log().contains("26 open descriptors are allowed here"), "{}", daemon.log());
    let left: Vec<_> = (0..50).map(|_| daemon.connect()).collect();
    assert_eq!(daemon.text(Code::ClientList), LIST);
    let before = processor_ticks(&daemon);
    std::thread::sleep(Duration::from_secs(1));
    let spent = processor_ticks(&daemon) - before;
    assert!(spent < 20, "{spent} of 100 ticks while nothing happened");
    drop(left);
    assert_eq!(daemon.text(Code::ClientList), LIST);
    assert!(daemon.control("version\n").starts_with("boothd "));
}

/// Processor time of the daemon, in ticks of 10 ms (proc_pid_stat(5)).
fn processor_ticks(daemon: &Daemon) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// How many connections a test may hold: two of them run at once in one process, which allows itself what it may.
fn room_for_connections() -> usize {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let limit = soft.max(hard.min(24_000));
    setrlimit(Resource::RLIMIT_NOFILE, limit, hard).unwrap();
    limit as usize / 2 - 200
}
