//! The messages: their bytes and their times.

use super::host::{Heard, Listener, Running, foreign, foreign_sender, send};
use super::{live, scratch};
use booth_core::wire::kdump::{Announcement, Key, Message, NodeId, decode, encode_plain};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How late a message may be on a busy machine.
const LATE: Duration = Duration::from_millis(700);

/// When each message came after the first, in seconds.
#[track_caller]
fn assert_times(heard: &[Heard], expected: &[u64]) {
    let times: Vec<Duration> = heard.iter().map(|message| message.at - heard[0].at).collect();
    for (time, expected) in times.iter().zip(expected) {
        let expected = Duration::from_secs(*expected);
        // The first may have been late itself.
        let earliest = expected.saturating_sub(LATE);
        assert!((earliest..expected + LATE).contains(time), "{times:?}");
    }
    assert_eq!(times.len(), expected.len());
}

#[test]
fn the_first_messages_come_at_0_1_2_and_5_seconds_and_then_each_interval() {
    let listener = Listener::new("127.0.0.1:0");
    let sender = send(&["-p", &listener.port(), "-i", "4", "-c", "5", "127.0.0.1"]);
    let heard = listener.hear(5);
    assert_times(&heard, &[0, 1, 2, 5, 9]);
    assert!(heard.iter().all(|message| message.bytes == encode_plain()), "{heard:?}");
    assert_eq!(sender.end(), (Some(0), String::new()));
    assert!(listener.hear_within(Duration::from_millis(100)).is_none(), "only as many as asked for");
}

#[test]
fn a_short_interval_is_kept_from_the_start_and_without_a_count_it_goes_on() {
    let listener = Listener::new("[::1]:0");
    let mut sender = send(&["-p", &listener.port(), "-i", "1", "::1"]);
    assert_times(&listener.hear(6), &[0, 1, 2, 3, 4, 5]);
    assert!(sender.is_running());
}

#[test]
fn each_node_gets_its_messages_and_a_node_that_is_named_twice_no_more() {
    let (v4, v6) = (Listener::new("127.0.0.1:0"), Listener::new("[::1]:0"));
    let sender = send(&["-v", "-p", &v4.port(), "-c", "2", "127.0.0.1", "127.0.0.1"]);
    assert_eq!(v4.hear(2).len(), 2);
    let printed = "[debug]: message sent to node '127.0.0.1'\n".repeat(2);
    assert_eq!(sender.end(), (Some(0), printed));
    let sender = send(&["-p", &v6.port(), "-c", "1", "127.0.0.1", "::1"]);
    assert_eq!(v6.hear(1)[0].from.ip().to_string(), "::1");
    assert_eq!(sender.end().0, Some(0));
    assert!(v4.hear_within(Duration::from_millis(100)).is_none());
}

/// What the messages announce, all of them signed with the key.
fn announcements(heard: &[Heard], key: &[u8]) -> Vec<Announcement> {
    let key = Key::new(key);
    let announced = |message: &Heard| match decode(&message.bytes, Some(&key)) {
        Ok(Message::Verified(announcement)) => announcement,
        other => panic!("{other:?}"),
    };
    heard.iter().map(announced).collect()
}

fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn signed_messages_name_the_node_and_grow_from_message_to_message_and_from_start_to_start() {
    let directory = scratch::directory("send-signed");
    let key = directory.join("key");
    std::fs::write(&key, "a secret of eight or more\n").unwrap();
    let key = key.to_str().unwrap();
    let listener = Listener::new("127.0.0.1:0");
    let port = listener.port();
    let mut sequences = Vec::new();
    for start in 0..2 {
        let before = wall_clock();
        let sender = send(&["-p", &port, "-c", "2", "-i", "1", "-k", key, "-n", "alpha", "127.0.0.1"]);
        for announcement in announcements(&listener.hear(2), b"a secret of eight or more") {
            assert_eq!(announcement.node, NodeId::of(b"alpha"));
            let sent = announcement.sequence / 1_000_000;
            // The clocks are read one after the other.
            assert!((before.saturating_sub(1)..=wall_clock()).contains(&sent), "{start}: {announcement:?}");
            let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
            let uptime: f64 = uptime.split(' ').next().unwrap().parse().unwrap();
            assert!((uptime - f64::from(announcement.uptime)).abs() < 3.0, "{announcement:?} at {uptime}");
            sequences.push(announcement.sequence);
        }
        assert_eq!(sender.end().0, Some(0));
    }
    assert!(sequences.is_sorted_by(|one, next| one < next), "{sequences:x?}");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn without_a_name_the_host_s_is_taken_and_all_nodes_get_other_numbers() {
    let directory = scratch::directory("send-host-name");
    let key = directory.join("key");
    std::fs::write(&key, [0xA5; 64]).unwrap();
    let listener = Listener::new("[::]:0");
    let _sender = send(&["-p", &listener.port(), "-k", key.to_str().unwrap(), "::1", "127.0.0.1"]);
    let announced = announcements(&listener.hear(4), &[0xA5; 64]);
    let host = nix::sys::utsname::uname().unwrap().nodename().to_owned();
    assert!(announced.iter().all(|one| one.node == NodeId::of(host.as_encoded_bytes())), "{host:?}: {announced:?}");
    assert!(announced.is_sorted_by(|one, next| one.sequence < next.sequence), "{announced:?}");
    std::fs::remove_dir_all(directory).unwrap();
}

/// A message without a signature is better than none.
#[test]
fn a_key_that_cannot_be_used_is_complained_of_and_messages_go_out_unsigned() {
    let directory = scratch::directory("send-bad-key");
    let listener = Listener::new("127.0.0.1:0");
    for (content, complaint) in [
        (None, "cannot be read: error 2"),
        (Some(vec![b'a'; 7]), "must have 8 to 64 bytes, but its length is 7"),
        (Some(vec![0xA5; 65]), "must have 8 to 64 bytes, but its length is 65"),
        (Some(vec![0xA5; 5000]), "must have 8 to 64 bytes, but its length is 512"),
    ] {
        let key = directory.join("key");
        if let Some(content) = content {
            std::fs::write(&key, content).unwrap();
        }
        let mut sender = send(&["-p", &listener.port(), "-c", "1", "-k", key.to_str().unwrap(), "127.0.0.1"]);
        sender.until(&format!("messages are not signed: key {} {complaint}", key.display()));
        assert_eq!(listener.hear(1)[0].bytes, encode_plain());
        assert_eq!(sender.end().0, Some(0));
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn the_other_architecture_s_program_sends_the_same() {
    let test = "the_other_architecture_s_program_sends_the_same";
    let Some(program) = foreign_sender(test) else { return };
    let emulator = format!("qemu-{}-static", foreign());
    if Command::new(&emulator).arg("--version").output().is_err() {
        return live::skip(test, "it needs qemu-user-static");
    }
    let directory = scratch::directory("send-foreign");
    let key = directory.join("key");
    std::fs::write(&key, "a secret of eight or more").unwrap();
    for (address, node) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1")] {
        let listener = Listener::new(address);
        let port = listener.port();
        let run = |more: &[&str]| {
            let arguments = ["-v", "-p", &port, "-c", "2", "-i", "1"];
            Running::start(Command::new(&emulator).arg(program).args(arguments).args(more).arg(node))
        };
        let sender = run(&[]);
        let heard = listener.hear(2);
        assert_times(&heard, &[0, 1]);
        assert!(heard.iter().all(|message| message.bytes == encode_plain()), "{heard:?}");
        assert_eq!(sender.end(), (Some(0), format!("[debug]: message sent to node '{node}'\n").repeat(2)));
        let sender = run(&["-k", key.to_str().unwrap(), "-n", "alpha"]);
        let announced = announcements(&listener.hear(2), b"a secret of eight or more");
        assert!(announced.iter().all(|one| one.node == NodeId::of(b"alpha")), "{announced:?}");
        assert_eq!(sender.end().0, Some(0));
    }
    std::fs::remove_dir_all(directory).unwrap();
}
