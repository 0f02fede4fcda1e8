//! What cannot work is refused at the start, in words, and leaves nothing behind.

use super::support::{Place, wait_for};
use booth_core::wire::Command as Code;
use std::net::{TcpListener, UdpSocket};
use std::process::Stdio;

const TICKET: &str = "ticket = T\n";

pub fn nothing_is_left(place: &Place) {
    assert!(!place.lock_file().exists(), "the lock file");
    assert!(!place.control_socket().exists(), "the control socket");
}

#[test]
fn a_port_that_is_in_use_is_named() {
    let place = Place::new("port");
    place.configure(TICKET);
    let tcp = TcpListener::bind(place.socket(1)).unwrap();
    let (status, text) = place.start_in_vain();
    assert_eq!(status.code(), Some(1));
    let expected = format!("cannot bind {} port {} (TCP)", place.address(1), super::support::PORT);
    assert!(text.contains(&expected) && text.contains("in use"), "{text}");
    drop(tcp);
    let udp = UdpSocket::bind(place.socket(1)).unwrap();
    let (status, text) = place.start_in_vain();
    assert_eq!(status.code(), Some(1));
    assert!(text.contains("(UDP)") && text.contains("does another boothd run there?"), "{text}");
    nothing_is_left(&place);
    drop(udp);
    place.start();
}

#[test]
fn an_address_that_is_not_local_is_named() {
    let place = Place::new("address");
    let path = place.configure(TICKET);
    let text = std::fs::read_to_string(&path).unwrap();
    // TEST-NET-1 (RFC 5737): nobody's.
    std::fs::write(&path, text.replace(&place.address(1).to_string(), "192.0.2.1")).unwrap();
    let mut command = place.command();
    let output = command.args(["-S", "-s", "192.0.2.1"]).stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("cannot bind 192.0.2.1") && text.contains("expected an address of this machine"), "{text}");
    nothing_is_left(&place);
}

#[test]
fn a_second_daemon_on_one_lock_file_is_refused_and_the_first_serves_on() {
    let place = Place::new("lock");
    place.configure(TICKET);
    let first = place.start();
    let (status, text) = place.start_in_vain();
    assert_eq!(status.code(), Some(1));
    assert!(text.contains("lock.pid") && text.contains(&first.child.id().to_string()), "{text}");
    assert_eq!(first.text(Code::ClientList), "ticket: T, leader: NONE\n");
    assert!(first.control("version\n").starts_with("boothd "));
}

#[test]
fn a_journal_that_cannot_be_written_is_named() {
    let place = Place::new("journal");
    // Not even root writes there.
    place.configure("journal = /proc/booth/test.journal\nticket = T\n");
    let (status, text) = place.start_in_vain();
    assert_eq!(status.code(), Some(1));
    assert!(text.contains("/proc/booth") && text.contains("journal"), "{text}");
    nothing_is_left(&place);
}

#[test]
fn a_key_file_that_will_not_do_is_named_with_its_line() {
    let place = Place::new("key");
    let cases: [(&[u8], u32, &str); 4] = [
        (b"short", 0o600, "too short: 5 bytes, expected 8 to 64"),
        (&[b'k'; 65], 0o600, "too long: 65 bytes, expected 8 to 64"),
        (b"0123456789", 0o640, "its mode is 0640; run: chmod 600"),
        (b"0123456789", 0o604, "its mode is 0604; run: chmod 600"),
    ];
    let refused = |reason: &str| {
        let (status, text) = place.start_in_vain();
        assert_eq!(status.code(), Some(1));
        // Behind port, store, journal, four accounts and three members.
        assert!(text.contains("test.conf:11: ") && text.contains("authkey") && text.contains(reason), "{text}");
        nothing_is_left(&place);
    };
    for (content, mode, reason) in cases {
        place.configure(&format!("{}{TICKET}", place.key_file(content, mode)));
        refused(reason);
    }
    std::fs::remove_file(place.directory.join("authkey")).unwrap();
    refused("No such file");
}

#[test]
fn without_s_the_parent_returns_when_the_daemon_serves_and_says_why_when_it_cannot() {
    let place = Place::new("detach");
    place.configure(TICKET);
    let output = place.command().stderr(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let lock = std::fs::read_to_string(place.lock_file()).unwrap();
    let pid = lock.split_whitespace().find_map(|word| word.strip_prefix("booth_pid=")).unwrap();
    assert!(lock.contains("booth_state=started"), "{lock}");
    let pid = nix::unistd::Pid::from_raw(pid.parse().unwrap());

    let again = place.command().stderr(Stdio::piped()).output().unwrap();
    let words = String::from_utf8(again.stderr).unwrap();
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    wait_for("the daemon has left", || !place.lock_file().exists());
    assert_eq!(again.status.code(), Some(1));
    assert!(words.contains("lock.pid"), "{words}");
}
