//! `fence_kdump`, with a listener that stays and without.

use super::patience::{PATIENCE, wait_for};
use super::place::{Place, Running, run, run_with};
use booth::kdump::ask::{self, Begun};
use booth::kdump::request::Waited;
use booth_core::kdump::MAX_WAITERS;
use nix::sys::signal::Signal;
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

/// The original's second agent died of it: five fencings at once, each of another node, without any listener.
fn five_at_once(place: &Place) {
    let nodes: Vec<String> = (1..=5).map(|node| format!("127.0.8.{node}")).collect();
    let start = |node: &String| Running::start(place.agent(&["-n", node, "-t", "60"]));
    // The fifth is not heard.
    let mut last = Running::start(place.agent(&["-n", &nodes[4], "-t", "2"]));
    let mut agents: Vec<Running> = nodes[..4].iter().map(start).collect();
    for agent in &mut agents {
        agent.until("waiting for message");
    }
    last.until("waiting for message");
    for (node, agent) in nodes.iter().zip(agents) {
        place.dump(node);
        let ended = agent.end();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(ended.stdout.contains(&format!("received valid message from '{node}'")), "{ended:?}");
    }
    let ended = last.end();
    assert!(ended.status == Some(1) && ended.stdout.contains("timeout after 2 seconds"), "{ended:?}");
}

#[test]
fn five_fencings_at_once_without_a_listener() {
    five_at_once(&Place::new("five"));
}

#[test]
fn five_fencings_at_once_with_a_listener() {
    let place = Place::new("five-resident");
    let _listener = place.listen("");
    five_at_once(&place);
}

/// Where as many wait as may, an agent once failed at once instead of trying within its time.
#[test]
fn an_agent_that_finds_too_many_waiting_gets_its_turn() {
    let place = Place::new("turn");
    let _listener = place.listen("");
    let ask = |node: usize| {
        let node = Waited { names: Vec::new(), addresses: vec![[127, 0, 6, node as u8].into()] };
        match ask::begin(&place.directory.join("test.ctl"), PATIENCE, &[node]).unwrap() {
            Begun::Waiting(waiting) => Some(waiting),
            Begun::NotNow(_) => None,
            Begun::Refused(why) => panic!("{why}"),
        }
    };
    let others: Vec<_> = (1..=MAX_WAITERS).map(|node| ask(node).unwrap()).collect();
    assert!(ask(99).is_none());
    let ended = run(&mut place.agent(&["-n", "127.0.8.1", "-t", "1"]));
    assert!(ended.status == Some(1) && ended.stdout.contains("timeout after 1 seconds"), "{ended:?}");
    let mut agent = Running::start(place.agent(&["-n", "127.0.8.1", "-t", "60", "-v"]));
    agent.until("the listener cannot now");
    drop(others);
    agent.until("waiting for message");
    place.dump("127.0.8.1");
    assert_eq!(agent.end().status, Some(0));
}

#[test]
fn one_message_serves_all_who_wait_for_the_same_node() {
    let place = Place::new("same");
    let mut agents: Vec<Running> =
        (0..5).map(|_| Running::start(place.agent(&["-n", "127.0.8.1", "-t", "60"]))).collect();
    agents.iter_mut().for_each(|agent| agent.until("waiting for message"));
    place.dump("127.0.8.1");
    agents.into_iter().for_each(|agent| assert_eq!(agent.end().status, Some(0)));
}

/// The process that has the port, as the system knows it: whose control socket is it?
fn stand_in(place: &Place) -> i32 {
    let socket = place.directory.join(format!("fence_kdump-{}.ctl", place.port));
    let stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
    nix::sys::socket::getsockopt(&stream, nix::sys::socket::sockopt::PeerCredentials).unwrap().pid()
}

/// Pacemaker kills an agent that takes too long, and with it its process group; somebody kills the stand-in. Those
/// who still wait find another.
#[test]
fn an_agent_or_a_stand_in_that_is_killed_takes_nobody_along() {
    let place = Place::new("killed");
    let first = {
        let mut first = Running::start(place.agent(&["-n", "127.0.8.1", "-t", "60"]));
        first.until("waiting for message");
        first
    };
    let mut second = Running::start(place.agent(&["-n", "127.0.8.2", "-t", "60"]));
    second.until("waiting for message");
    first.signal(Signal::SIGKILL);
    drop(first);
    let stand_in = stand_in(&place);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(stand_in), Signal::SIGKILL).unwrap();
    second.until("waiting for message");
    place.dump("127.0.8.2");
    assert_eq!(second.end().status, Some(0));
}

/// A listener that is started while an agent stands in for it gets the port, and the agent its message.
#[test]
fn a_stand_in_leaves_its_port_to_a_listener_that_stays() {
    let place = Place::new("leave");
    let mut agent = Running::start(place.agent(&["-n", "127.0.8.1", "-t", "60"]));
    agent.until("waiting for message");
    let _listener = place.listen("");
    agent.until("waiting for message");
    place.dump("127.0.8.1");
    assert_eq!(agent.end().status, Some(0));
    assert!(place.stats().contains("messages of dumping nodes: 1\n"));
}

#[test]
fn a_node_is_heard_by_any_of_its_names_and_addresses_of_both_families() {
    let place = Place::new("any");
    for (names, from) in
        [("127.0.8.7,::1", "::1"), ("no-such-node.invalid,127.0.8.7", "127.0.8.7"), ("localhost", "127.0.0.1")]
    {
        let mut agent = Running::start(place.agent(&["-n", names, "-t", "60"]));
        agent.until("waiting for message");
        place.dump(from);
        let ended = agent.end();
        assert_eq!(ended.status, Some(0), "{names} from {from}: {ended:?}");
    }
    let ended = run(&mut place.agent(&["-n", "127.0.8.7", "-f", "ipv6", "-t", "1"]));
    assert!(ended.status == Some(1) && ended.stderr.contains("no address of this family"), "{ended:?}");
}

#[test]
fn parameters_come_on_stdin_as_pacemaker_writes_them() {
    let place = Place::new("stdin");
    let _listener = place.listen("kdump-lookback = 60\n");
    place.dump("127.0.8.1");
    wait_for("it is heard", || place.stats().contains("messages of dumping nodes: 1\n"));
    let directory = place.directory.display();
    let lines = format!(
        "action=off\nnodename=127.0.8.1\nport=127.0.8.1\nplug=127.0.8.1\npcmk_host_list=alpha beta\n# no parameter\n\n\
         crm_feature_set=3.16.2\ntimeout=5\nipport={}\ndirectory={directory}\n",
        place.port
    );
    let ended = run_with(&mut Command::new(env!("CARGO_BIN_EXE_fence_kdump")), &lines);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let other = lines.replace("127.0.8.1", "127.0.8.2").replace("timeout=5", "timeout=1");
    assert_eq!(run_with(&mut Command::new(env!("CARGO_BIN_EXE_fence_kdump")), &other).status, Some(1));
}

#[test]
fn monitor_tells_whether_a_message_could_be_received() {
    let place = Place::new("monitor");
    assert_eq!(run(&mut place.agent(&["-o", "monitor"])).status, Some(0), "the port is free");
    let other = UdpSocket::bind(("0.0.0.0", place.port)).unwrap();
    let ended = run(&mut place.agent(&["-o", "status"]));
    assert!(ended.status == Some(1) && ended.stderr.contains("no message could be received"), "{ended:?}");
    drop(other);
    let _listener = place.listen("");
    let ended = run(&mut place.agent(&["-o", "monitor", "-v"]));
    assert!(ended.status == Some(0) && ended.stdout.contains("a listener is at "), "{ended:?}");
}

/// Somebody else has the port when the agent starts, and gives it up in time.
#[test]
fn an_agent_goes_on_trying_for_a_port_that_somebody_else_has() {
    let place = Place::new("taken");
    let other = UdpSocket::bind(("0.0.0.0", place.port)).unwrap();
    let mut agent = Running::start(place.agent(&["-n", "127.0.8.1", "-t", "60"]));
    agent.until_stderr("Address already in use");
    drop(other);
    agent.until("waiting for message");
    place.dump("127.0.8.1");
    let ended = agent.end();
    assert_eq!(ended.status, Some(0), "{ended:?}");
}

#[test]
fn a_frozen_listener_holds_no_agent_beyond_its_time() {
    let place = Place::new("frozen");
    let listener = place.listen("");
    listener.signal(Signal::SIGSTOP);
    let since = Instant::now();
    assert_eq!(run(&mut place.agent(&["-n", "127.0.8.1", "-t", "1"])).status, Some(1));
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    listener.signal(Signal::SIGCONT);
}

#[test]
fn the_other_actions_and_what_is_wrong() {
    let place = Place::new("actions");
    for (words, status, said) in [
        (&["-o", "validate-all"][..], 0, ""),
        (&["-o", "list", "-n", "alpha,beta"], 0, "alpha\nbeta\n"),
        (&["-V"], 0, "fence_kdump "),
        (&["-h"], 0, "Usage: fence_kdump"),
        (&["-o", "off"], 1, "action 'off' requires nodename"),
        (&["-o", "reboot"], 1, "unsupported action 'reboot'"),
        (&["-o", "on"], 1, "unsupported action 'on'"),
        (&["-t", "0"], 1, "invalid timeout '0'"),
        (&["-t", "abc"], 1, "invalid timeout 'abc'"),
        (&["-p", "99999"], 1, "invalid ipport '99999'"),
        (&["-f", "ipx"], 1, "unsupported family 'ipx'"),
        (&["-Z"], 1, "Usage: fence_kdump"),
        (&["-n", "no-such-node.invalid", "-t", "1"], 1, "failed to get node 'no-such-node.invalid'"),
    ] {
        let ended = run(&mut place.agent(words));
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(ended.status == Some(status) && all.contains(said), "{words:?}: {ended:?}");
    }
}
