//! Daemons that do not answer, answer nonsense, or with another key.

use crate::place::{Place, SITE, TIMEOUT, at, command, ended, run, ticket};
use crate::responder::{Act, Responder, result};
use booth_core::wire::mac::Key;
use booth_core::wire::{LeaderField, Outcome};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket};
use nix::unistd::Pid;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Stdio;
use std::str::FromStr;
use std::time::{Duration, Instant};

const KEY: &[u8] = b"a key that all members have";

/// A configuration with a key in it.
fn with_key(place: &Place, port: u16, key: &[u8]) -> String {
    let file = place.file("key", key);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    place.config(port, &format!("authfile = {file}\n{}", ticket("T")))
}

#[test]
fn a_silent_daemon_is_named_after_the_timeout() {
    let place = Place::new();
    let site = Responder::start(at(SITE, 0), None, vec![vec![Act::AwaitClose], vec![Act::AwaitClose]]);
    let config = place.one_ticket(site.address.port());
    let begun = Instant::now();
    run("booth", &["list", "-c", &config]).is(
        1,
        "",
        &format!("booth: ERROR: {SITE} has not answered within {TIMEOUT}\n"),
    );
    assert!((300..3000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    site.await_close();
    let words = format!(
        "booth: ERROR: {SITE} has not answered within {TIMEOUT}; the grant may take place all the same, see \"booth list\"\n"
    );
    run("booth", &["grant", "-c", &config]).is(1, "", &words);
}

#[test]
fn trickling_bytes_do_not_prolong_the_wait() {
    let place = Place::new();
    let drop = |byte| [Act::Raw(vec![byte]), Act::Wait(Duration::from_millis(100))];
    let site = Responder::start(at(SITE, 0), None, vec![(0..40).flat_map(drop).collect()]);
    let config = place.one_ticket(site.address.port());
    let begun = Instant::now();
    run("booth", &["list", "-c", &config]).fails_with(1, "has not answered within");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn no_daemon_is_said_to_be_one() {
    let place = Place::new();
    // Bound, so that nobody else gets it, and not listened at.
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    bind(socket.as_raw_fd(), &SockaddrIn::from_str(&format!("{SITE}:0")).unwrap()).unwrap();
    let port = getsockname::<SockaddrIn>(socket.as_raw_fd()).unwrap().port();
    let config = place.one_ticket(port);
    let hint = "does boothd run there, with this port?";
    let words =
        |program: &str| format!("{program}: ERROR: connect to {SITE} got an error: Connection refused; {hint}\n");
    run("booth", &["list", "-c", &config]).is(1, "", &words("booth"));
    run("booth", &["grant", "-w", "-c", &config]).is(1, "", &words("booth"));
    run("geostore", &["list", "-c", &config]).is(1, "", &words("geostore"));
}

#[test]
fn waiting_has_no_limit_when_asked_for() {
    let place = Place::new();
    let late = vec![Act::Wait(Duration::from_millis(1500)), Act::Outcome(Outcome::Success)];
    let site = Responder::start(at(SITE, 0), None, vec![late]);
    let config = place.one_ticket(site.address.port());
    run("booth", &["grant", "-w", "-c", &config]).is(0, "", "booth: info: grant succeeded!\n");
}

#[test]
fn an_interrupted_client_goes_at_once_and_its_connection_with_it() {
    let place = Place::new();
    let site = Responder::start(at(SITE, 0), None, vec![vec![Act::Outcome(Outcome::More), Act::AwaitClose]]);
    let config = place.one_ticket(site.address.port());
    let mut client = command("booth", &["grant", "-w", "-c", &config]);
    // What a shell starts in the background ignores SIGINT, and hands that down to the client.
    // SAFETY: sigaction(2) may be called between fork and exec.
    unsafe { client.pre_exec(|| signal(Signal::SIGINT, SigHandler::SigDfl).map(drop).map_err(Into::into)) };
    let mut client = client.stderr(Stdio::null()).spawn().unwrap();
    site.asked();
    kill(Pid::from_raw(client.id().cast_signed()), Signal::SIGINT).unwrap();
    assert_eq!(client.wait().unwrap().signal(), Some(Signal::SIGINT as i32));
    site.await_close();
}

#[test]
fn an_answer_that_is_none_is_refused() {
    let place = Place::new();
    let good = result(SITE.parse().unwrap(), None, Outcome::Success, LeaderField::Unknown);
    let mut long = good.clone();
    long[24..28].copy_from_slice(&u32::MAX.to_be_bytes());
    let site = Responder::start(
        at(SITE, 0),
        None,
        vec![
            vec![Act::Raw(b"HTTP/1.1 400 Bad Request\r\nServer: something that is no booth\r\n\r\n".to_vec())],
            vec![Act::Raw(long)],
            vec![Act::Raw(good[..60].to_vec())],
            vec![],
        ],
    );
    let config = place.one_ticket(site.address.port());
    let grant = || run("booth", &["grant", "-c", &config]);
    grant().fails_with(1, "the answer is none of booth's (wrong magic)");
    grant().fails_with(1, "the answer is none of booth's (wrong length)");
    grant().fails_with(1, "closed the connection without an answer");
    grant().fails_with(1, "closed the connection without an answer");
}

#[test]
fn the_answer_must_be_signed_with_our_key_by_the_member_that_was_asked() {
    let place = Place::new();
    let forged = |sender: &str, key: &[u8]| {
        Act::Raw(result(sender.parse().unwrap(), Some(&Key::new(key)), Outcome::Success, LeaderField::Unknown))
    };
    let plain = Act::Raw(result(SITE.parse().unwrap(), None, Outcome::Success, LeaderField::Unknown));
    let site = Responder::start(
        at(SITE, 0),
        Some(KEY),
        vec![
            vec![Act::Outcome(Outcome::Success)],
            vec![forged(SITE, b"another key")],
            vec![plain],
            vec![forged("127.0.61.2", KEY)],
            vec![Act::Text("ticket: T, leader: NONE\n".into())],
        ],
    );
    let config = with_key(&place, site.address.port(), KEY);
    let grant = || run("booth", &["grant", "-c", &config]);
    grant().is(0, "", "booth: info: grant succeeded!\n");
    grant().fails_with(1, "127.0.61.1: failed to authenticate");
    grant().fails_with(1, "127.0.61.1: failed to authenticate");
    grant().fails_with(1, "127.0.61.1: the answer is signed by another member");
    run("booth", &["list", "-c", &config]).is(0, "ticket: T, leader: NONE\n", "");
}

#[test]
fn a_client_without_the_key_is_told_so() {
    let place = Place::new();
    let site = Responder::start(at(SITE, 0), Some(KEY), vec![vec![Act::Outcome(Outcome::AuthenticationFailed)]; 2]);
    let wrong = with_key(&place, site.address.port(), b"another key than theirs");
    run("booth", &["list", "-c", &wrong]).fails_with(1, "127.0.61.1: failed to authenticate");
    let none = place.one_ticket(site.address.port());
    run("booth", &["list", "-c", &none]).fails_with(1, "127.0.61.1: failed to authenticate");
}

#[test]
fn a_key_file_that_will_not_do_stops_the_client() {
    let place = Place::new();
    let config = with_key(&place, 9, b"short");
    run("booth", &["list", "-c", &config]).fails_with(1, "is too short: 5 bytes");
    fs::set_permissions(place.path.join("key"), fs::Permissions::from_mode(0o644)).unwrap();
    run("booth", &["list", "-c", &config]).fails_with(1, "chmod 600");
    fs::remove_file(place.path.join("key")).unwrap();
    ended(&mut command("geostore", &["list", "-c", &config])).fails_with(1, "cannot open authfile");
}
