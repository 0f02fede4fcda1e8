//! The listener that stays, asked by `boothctl kdump`.

use super::patience::{PATIENCE, wait_for};
use super::place::{Place, Running, run};
use booth::kdump::ask::{self, Begun};
use booth::kdump::request::{Answer, Waited};
use booth_core::kdump::MAX_WAITERS;
use booth_core::kdump::authenticity::MAX_NODE_NAME;
use booth_core::kdump::wait::{MAX_WAITED, MAX_WAITED_ADDRESSES};
use booth_core::wire::kdump;
use nix::sys::signal::Signal;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

#[test]
fn who_dumps_is_listed_and_who_waits_is_told() {
    let place = Place::new("listed");
    let listener = place.listen("");
    assert_eq!(run(&mut place.boothctl(&["list"])).stdout, "");
    let wait = Running::start(place.boothctl(&["wait", "127.0.7.2,::1", "-T", "60"]));
    wait_for("it waits", || place.waiting(1));
    // Until it is known to wait, messages may come before it: they are sent until it ends.
    let sender = std::thread::scope(|scope| {
        let ended = scope.spawn(|| wait.end());
        wait_for("both are heard", || {
            place.dump("127.0.7.2");
            place.dump("::1");
            ended.is_finished()
        });
        ended.join().unwrap()
    });
    assert_eq!(sender.status, Some(0), "{sender:?}");
    assert_eq!(sender.stdout, "127.0.7.2: dumping, heard from 127.0.7.2\n::1: dumping, heard from ::1\n");
    let list = run(&mut place.boothctl(&["list"])).stdout;
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(list.contains("127.0.7.2: dumping, first seen 20") && list.contains(", not signed\n"), "{list}");
    listener.signal(Signal::SIGTERM);
    assert_eq!(listener.end().status, Some(0));
    let left: Vec<_> = fs::read_dir(&place.directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "lock file, control socket and link are gone, not the lock of the port: {left:?}");
    assert_eq!(run(&mut place.boothctl(&["list"])).status, Some(7), "nobody listens");
}

#[test]
fn a_wait_ends_with_its_time_and_what_came_before_it_does_not_count() {
    let place = Place::new("timeout");
    let _listener = place.listen("");
    place.dump("127.0.7.2");
    wait_for("it is listed", || run(&mut place.boothctl(&["list"])).stdout.contains("127.0.7.2"));
    let ended = run(&mut place.boothctl(&["wait", "127.0.7.2", "-T", "1"]));
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(5), "127.0.7.2: not heard\n"));
}

#[test]
fn within_the_lookback_what_came_before_the_wait_counts() {
    let place = Place::new("lookback");
    let _listener = place.listen("kdump-lookback = 60\n");
    place.dump("127.0.7.2");
    wait_for("it is listed", || run(&mut place.boothctl(&["list"])).stdout.contains("127.0.7.2"));
    assert_eq!(run(&mut place.boothctl(&["wait", "127.0.7.2", "-T", "60"])).status, Some(0));
}

/// The lookback is over when the listener goes on: what it finds then came before that.
#[test]
fn a_message_that_lay_in_the_socket_for_longer_than_the_lookback_does_not_count() {
    let place = Place::new("stopped-lookback");
    let listener = place.listen("kdump-lookback = 1\n");
    listener.signal(Signal::SIGSTOP);
    place.dump("127.0.7.2");
    let sent = Instant::now();
    wait_for("the lookback is over", || sent.elapsed() > Duration::from_millis(1_500));
    listener.signal(Signal::SIGCONT);
    wait_for("it is heard", || place.stats().contains("messages of dumping nodes: 1\n"));
    let ended = run(&mut place.boothctl(&["wait", "127.0.7.2", "-T", "1"]));
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(5), "127.0.7.2: not heard\n"));
}

/// A process that is stopped for a while finds old messages in its socket; a node may have booted since.
#[test]
fn a_message_that_lay_in_the_socket_when_the_wait_came_does_not_count() {
    let place = Place::new("stopped");
    let listener = place.listen("");
    listener.signal(Signal::SIGSTOP);
    // More than one turn takes.
    (0..200).for_each(|_| place.dump("127.0.7.2"));
    let sent = Instant::now();
    wait_for("they are older than two clocks may differ", || sent.elapsed() > Duration::from_millis(150));
    let mut stream = UnixStream::connect(place.directory.join("test.ctl")).unwrap();
    stream.write_all(b"kdump wait 500 127.0.7.2\n").unwrap();
    listener.signal(Signal::SIGCONT);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "waiting\nsilent\n");
    assert!(place.stats().contains("messages of dumping nodes: 200"), "{}", place.stats());
}

#[test]
fn what_is_no_message_is_counted_by_its_reason_and_a_flood_fills_no_log() {
    let place = Place::new("foreign");
    let _listener = place.listen("");
    let plain = kdump::encode_plain();
    let mut other_order = plain;
    other_order[..4].reverse();
    other_order[4..].reverse();
    let mut mixed = plain;
    mixed[..4].reverse();
    for round in 0..300 {
        // A socket holds some hundred; what is beyond that is lost.
        if round % 30 == 0 {
            let line = format!("dropped, wrong version: {round}\n");
            wait_for(&line, || round == 0 || place.stats().contains(&line));
        }
        place.send("127.0.7.3", &plain[..7]);
        place.send("127.0.7.3", b"");
        place.send("127.0.7.3", b"GET / HTTP/1.1\r\n\r\n");
        place.send("127.0.7.3", &mixed);
    }
    place.send("127.0.7.4", &other_order);
    place.send("127.0.7.5", &[&plain[..], &[0xFF; 1400]].concat());
    wait_for("the last one is counted", || place.stats().contains("messages of dumping nodes: 2\n"));
    let stats = place.stats();
    for line in ["dropped, too short: 600", "dropped, wrong magic: 300", "dropped, wrong version: 300"] {
        assert!(stats.contains(&format!("messages of dumping nodes {line}\n")), "{line}: {stats}");
    }
    let list = run(&mut place.boothctl(&["list"])).stdout;
    assert!(list.contains("127.0.7.4: ") && list.contains("127.0.7.5: ") && !list.contains("127.0.7.3"), "{list}");
    assert!(place.log().lines().count() < 30, "{}", place.log());
}

#[test]
fn as_many_wait_as_may_and_the_next_one_is_told_so() {
    let place = Place::new("waiters");
    let _listener = place.listen("");
    let socket = place.directory.join("test.ctl");
    let ask = |line: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        let mut word = [0; 8];
        stream.read_exact(&mut word).unwrap();
        (stream, word)
    };
    let mut waiting: Vec<_> = (0..MAX_WAITERS).map(|_| ask("kdump wait 60000 127.0.7.2\n")).collect();
    assert!(waiting.iter().all(|(_, word)| word == b"waiting\n"));
    assert_eq!(&ask("kdump wait 60000 127.0.7.2\n").1, b"not now:");
    assert_eq!(&ask("kdump wait\n").1, b"refused:");
    assert_eq!(&ask("kdump leave alone\n").1, b"refused:", "this one is as important");
    assert_eq!(&ask("nonsense\n").1, b"unknown ");
    // One that has gone makes room.
    waiting.truncate(MAX_WAITERS - 1);
    wait_for("there is room", || &ask("kdump wait 1 127.0.7.9\n").1 == b"waiting\n");
    place.dump("127.0.7.2");
    for (mut stream, _) in waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "heard 127.0.7.2\n");
    }
}

/// Six names with both kinds of addresses were "too many for one request", and so was a node with eight of IPv6.
#[test]
fn as_many_nodes_and_addresses_are_waited_for_as_may_be_and_one_more_is_not() {
    let place = Place::new("many");
    let node = |number: usize| {
        let mut addresses = vec![format!("127.0.6.{number}").parse().unwrap()];
        addresses.resize(MAX_WAITED_ADDRESSES / MAX_WAITED, "fd00:1111:2222:3333:4444:5555:6666:7777".parse().unwrap());
        Waited { names: vec!["n".repeat(MAX_NODE_NAME)], addresses }
    };
    let nodes: Vec<Waited> = (1..=MAX_WAITED).map(node).collect();
    let wait_at = |socket: &str| {
        let begin = |nodes: &[Waited]| ask::begin(&place.directory.join(socket), PATIENCE, nodes).unwrap();
        let Begun::Waiting(waiting) = begin(&nodes) else { panic!("{socket}") };
        nodes.iter().for_each(|node| place.dump(&node.addresses[0].to_string()));
        let heard = nodes.iter().map(|node| Some(node.addresses[0])).collect();
        assert_eq!(waiting.end(), Answer::Heard(heard), "{socket}");
        let mut more = nodes.clone();
        more[0].addresses.push([127, 0, 6, 99].into());
        assert!(matches!(begin(&more), Begun::Refused(why) if why.starts_with("too many names or addresses")));
        more = nodes.iter().cloned().map(|node| Waited { names: Vec::new(), ..node }).collect();
        more.push(Waited { names: Vec::new(), addresses: vec![[127, 0, 6, 99].into()] });
        assert!(matches!(begin(&more), Begun::Refused(why) if why == "too many nodes"));
    };
    let _listener = place.listen("");
    wait_at("test.ctl");
    let _member = place.member("");
    wait_for("the daemon has the port", || place.owner().as_deref() == Some("member.ctl"));
    wait_at("member.ctl");
}

#[test]
fn a_listener_does_not_start_twice_nor_with_a_key_that_others_can_read() {
    let place = Place::new("twice");
    let _listener = place.listen("");
    let second = |lock: &str, lines: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_boothd"));
        command.args(["kdump", "-S", "-c"]).arg(place.configure(lines)).arg("-l").arg(place.directory.join(lock));
        run(command.stderr(std::process::Stdio::piped()))
    };
    let ended = second("test.pid", "");
    assert!(ended.status == Some(1) && ended.stderr.contains("test.pid"), "{ended:?}");
    let key = place.key("key", b"a key of alpha's");
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let ended = second("other.pid", &format!("kdump-key = alpha {}\n", key.display()));
    assert!(ended.status == Some(1) && ended.stderr.contains("kdump.conf:5: ") && ended.stderr.contains("chmod 600"));
}

#[test]
fn wrong_words_and_unknown_names_are_told() {
    let place = Place::new("words");
    let _listener = place.listen("");
    for (words, said) in [
        (&["wait"][..], "kdump: expected list|wait"),
        (&["sleep"], "kdump: expected list|wait"),
        (&["list", "alpha"], "kdump: expected list|wait"),
        (&["wait", "a,,b"], "each with a name"),
        (&["wait", "127.0.7.2", "-T", "0"], "'0' is no number of seconds"),
        (&["wait", "no-such-node.invalid"], "no-such-node.invalid: "),
        (&["wait", "a b"], "is no node's name"),
    ] {
        let ended = run(&mut place.boothctl(words));
        assert!(ended.status == Some(1) && ended.stderr.contains(said), "{words:?}: {ended:?}");
    }
}
