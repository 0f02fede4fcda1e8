//! Nodes that have a key.

use super::patience::wait_for;
use super::place::{Place, Running, run};
use booth_core::wire::kdump::{Announcement, Key, NodeId, encode_signed, sequence};
use nix::sys::signal::Signal;
use std::time::{SystemTime, UNIX_EPOCH};

pub const KEY: &[u8] = b"a key of alpha's own";

/// The `number`th signed message of this second, of node `localhost`, whose crash kernel is `uptime` seconds old.
pub fn message(sent: u32, number: u32, uptime: u32) -> Vec<u8> {
    let announcement = Announcement { node: NodeId::of(b"localhost"), sequence: sequence(sent, number), uptime };
    encode_signed(&announcement, &Key::new(KEY)).to_vec()
}

pub fn wall() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32
}

/// A listener that knows the key of `localhost`, and one who waits for it.
fn start(place: &Place) -> Running {
    let key = place.key("alpha.key", KEY);
    place.listen(&format!("kdump-key = localhost {}\nkdump-interval = 1\n", key.display()))
}

fn dropped(place: &Place, reason: &str, count: u32) {
    let line = format!("dropped, {reason}: {count}\n");
    wait_for(&line, || place.stats().contains(&line));
}

#[test]
fn an_unsigned_forged_or_repeated_message_does_not_count_and_a_signed_one_does() {
    let place = Place::new("signed");
    let _listener = start(&place);
    let mut agent = Running::start(place.agent(&["-n", "localhost", "-t", "60"]));
    agent.until("waiting for message");
    place.dump("127.0.0.1");
    dropped(&place, "not signed where it must be", 1);
    let started = wall();
    let mut forged = message(started, 1, 3);
    forged[40] ^= 1;
    place.send("127.0.0.1", &forged);
    dropped(&place, "wrong signature", 1);
    assert_eq!(run(&mut place.boothctl(&["list"])).stdout, "");
    place.send("127.0.7.2", &message(started, 1, 3));
    assert_eq!(agent.end().status, Some(0), "from whatever address");
    let list = run(&mut place.boothctl(&["list"])).stdout;
    assert!(list.contains("127.0.7.2: dumping") && list.ends_with("signed by localhost\n"), "{list}");
    let mut second = Running::start(place.agent(&["-n", "localhost", "-t", "2"]));
    second.until("waiting for message");
    place.send("127.0.0.1", &message(started, 1, 3));
    place.send("127.0.0.1", &message(started - 600, 9, 50));
    dropped(&place, "sent before", 2);
    assert_eq!(second.end().status, Some(1));
}

/// A name that could not be resolved was left out of the wait, and its key's protection with it: an unsigned message
/// from another name's address counted. A node with a key needs no address.
#[test]
fn a_name_that_cannot_be_resolved_keeps_the_protection_of_its_key() {
    let place = Place::new("ghost");
    let key = place.key("ghost.key", KEY);
    let _listener = place.listen(&format!("kdump-key = ghost.invalid {}\n", key.display()));
    let signed = |number| {
        let node = NodeId::of(b"ghost.invalid");
        encode_signed(&Announcement { node, sequence: sequence(wall(), number), uptime: 3 }, &Key::new(KEY))
    };
    for (number, names) in [(1, "ghost.invalid,127.0.8.1"), (2, "Ghost.invalid")] {
        let mut agent = Running::start(place.agent(&["-n", names, "-t", "60"]));
        agent.until("waiting for message");
        place.dump("127.0.8.1");
        // The agent is told in the order of what comes: had the first one counted, it would name that address.
        place.send("127.0.8.2", &signed(number));
        let ended = agent.end();
        assert!(ended.status == Some(0) && ended.stdout.contains("from '127.0.8.2'"), "{names}: {ended:?}");
    }
    let wait = Running::start(place.boothctl(&["wait", "ghost.invalid,127.0.8.3", "-T", "60"]));
    wait_for("it waits", || place.waiting(1));
    place.dump("127.0.8.3");
    place.send("127.0.8.2", &signed(3));
    let ended = wait.end();
    assert!(
        ended.status == Some(0) && ended.stdout.contains("ghost.invalid: dumping, heard from 127.0.8.2"),
        "{ended:?}"
    );
    // The listener itself says that it knows nobody of that name.
    let ended = run(&mut place.agent(&["-n", "nobody.invalid", "-t", "60"]));
    let said = "refuses: nobody.invalid: it has neither an address nor a kdump-key";
    assert!(ended.status == Some(1) && ended.stderr.contains(said), "{ended:?}");
    let ended = run(&mut place.boothctl(&["wait", "127.0.8.3,nobody.invalid", "-T", "60"]));
    assert!(ended.status == Some(1) && ended.stderr.contains("nobody.invalid: it has neither"), "{ended:?}");
}

/// The listener is started anew. Somebody plays what the node sent before: its first message, and a later one
/// that the listener has never heard.
#[test]
fn a_replay_does_not_pass_because_the_listener_was_restarted_and_the_dump_goes_on() {
    let place = Place::new("replay");
    let listener = start(&place);
    let started = wall();
    place.send("127.0.7.2", &message(started, 1, 100));
    wait_for("it is heard", || place.stats().contains("messages of dumping nodes: 1\n"));
    listener.signal(Signal::SIGKILL);
    listener.end();
    let _listener = start(&place);
    place.send("127.0.7.2", &message(started, 1, 100));
    dropped(&place, "sent before", 1);
    let elapsed = wall() - started;
    place.send("127.0.7.2", &message(started + elapsed, 2, 100 + elapsed));
    wait_for("it is heard", || place.stats().contains("messages of dumping nodes: 1\n"));
}

/// A listener that has never heard of the node's dumps: one was recorded a minute ago, one will be said to be in a
/// minute, and one comes from a system that runs.
#[test]
fn what_is_of_another_time_or_of_no_crash_kernel_does_not_count() {
    let place = Place::new("other-time");
    let _listener = start(&place);
    let mut agent = Running::start(place.agent(&["-n", "localhost", "-t", "60"]));
    agent.until("waiting for message");
    place.send("127.0.7.2", &message(wall() - 60, 1, 3));
    dropped(&place, "sent at another time", 1);
    place.send("127.0.7.2", &message(wall() + 60, 1, 3));
    dropped(&place, "sent at another time", 2);
    place.send("127.0.7.2", &message(wall(), 1, 86_400));
    dropped(&place, "not of a crash kernel", 1);
    assert_eq!(run(&mut place.boothctl(&["list"])).stdout, "");
    let log = place.log();
    for words in
        ["s behind ours, expected 30 s at most", "s ahead of ours", "has run for 86400 s, expected 600 s at most"]
    {
        assert!(log.contains(words), "{words}: {log}");
    }
    place.send("127.0.7.2", &message(wall(), 2, 3));
    assert_eq!(agent.end().status, Some(0));
}

#[test]
fn where_signatures_are_required_no_unsigned_message_counts() {
    let place = Place::new("required");
    let key = place.key("alpha.key", KEY);
    let _listener = place.listen(&format!("kdump-key = localhost {}\nkdump-require-auth = yes\n", key.display()));
    place.dump("127.0.7.2");
    dropped(&place, "not signed where it must be", 1);
    place.send("127.0.7.2", &message(wall(), 1, 1));
    wait_for("it is heard", || place.stats().contains("messages of dumping nodes: 1\n"));
}

/// The listener dies while somebody waits, and the agent listens itself until it is back. It knew no keys, and one
/// unsigned message declared the node dead.
#[test]
fn an_agent_that_listens_itself_knows_the_keys_as_well() {
    let place = Place::new("agent-keys");
    let listener = start(&place);
    let first = message(wall(), 1, 3);
    place.send("127.0.7.2", &first);
    wait_for("it is heard", || place.stats().contains("messages of dumping nodes: 1\n"));
    let mut agent = Running::start(place.agent(&["-n", "localhost", "-t", "60"]));
    agent.until("waiting for message");
    listener.signal(Signal::SIGKILL);
    listener.end();
    agent.until("waiting for message");
    place.dump("127.0.0.1");
    place.send("127.0.7.2", &first);
    let socket = place.directory.join(format!("fence_kdump-{}.ctl", place.port));
    let stats = || booth::control::ask(&socket, "stats", std::time::Duration::from_secs(5)).unwrap_or_default();
    for line in ["dropped, not signed where it must be: 1\n", "dropped, sent before: 1\n"] {
        wait_for(line, || stats().contains(line));
    }
    place.send("127.0.7.2", &message(wall(), 2, 3));
    assert_eq!(agent.end().status, Some(0));
}

#[test]
fn an_agent_does_not_listen_itself_without_the_keys_that_it_is_to_know() {
    let place = Place::new("agent-no-keys");
    let key = place.directory.join("gone.key");
    place.configure(&format!("kdump-key = localhost {}\n", key.display()));
    for words in [&["-n", "localhost", "-t", "2"][..], &["-o", "monitor"]] {
        let ended = run(&mut place.agent(words));
        assert!(ended.status == Some(1) && ended.stderr.contains("gone.key"), "{ended:?}");
    }
    let config = place.directory.join("kdump.conf");
    std::fs::write(&config, "nonsense\n").unwrap();
    let ended = run(&mut place.agent(&["-n", "localhost", "-t", "2"]));
    assert!(ended.status == Some(1) && ended.stderr.contains("nobody listens without the keys"), "{ended:?}");
}
