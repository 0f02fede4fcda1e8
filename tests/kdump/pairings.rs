//! Debian's `fence_kdump_send` and `fence_kdump` (package fence-agents), with ours in their places.

use super::fence_agents::{Original, original};
use super::place::{Place, Running, run, run_with};
use super::sender::sender;
use std::path::Path;
use std::process::{Command, Stdio};

impl Original {
    /// Sends one message to this host's loopback address.
    fn send(&self, place: &Place, to: &str) {
        let mut send = Command::new(&self.sender);
        send.args(["-p", &place.port.to_string(), "-c", "1", "-i", "1", to]);
        let ended = run(send.stderr(Stdio::piped()));
        assert_eq!(ended.status, Some(0), "{ended:?}");
    }

    fn agent(&self, place: &Place, node: &str) -> Running {
        let mut agent = Command::new(&self.agent);
        agent.args(["-p", &place.port.to_string(), "-t", "60", "-n", node]).stderr(Stdio::piped());
        let mut agent = Running::start(agent);
        wait_until_bound(place.port, &mut agent);
        agent
    }
}

/// The original's words stay in its buffer: that it listens shows when the port is taken.
fn wait_until_bound(port: u16, agent: &mut Running) {
    super::patience::wait_for("the original listens", || {
        assert!(agent.is_running(), "it has ended");
        let bound = |table: &str| {
            let port = format!(":{port:04X} ");
            std::fs::read_to_string(table).is_ok_and(|text| text.lines().any(|line| line.contains(&port)))
        };
        bound("/proc/net/udp") || bound("/proc/net/udp6")
    });
}

#[test]
fn the_original_sender_is_heard_by_our_listener_and_by_our_agent() {
    let test = "the_original_sender_is_heard_by_our_listener_and_by_our_agent";
    let Some(original) = original(test) else { return };
    for to in ["127.0.0.1", "::1"] {
        let alone = Place::new("original-agent");
        let mut agent = Running::start(alone.agent(&["-n", to, "-t", "60"]));
        agent.until("waiting for message");
        original.send(&alone, to);
        assert_eq!(agent.end().status, Some(0), "our agent alone, {to}");

        let place = Place::new("original-listener");
        let _listener = place.listen("");
        let mut agent = Running::start(place.agent(&["-n", to, "-t", "60"]));
        agent.until("waiting for message");
        original.send(&place, to);
        assert_eq!(agent.end().status, Some(0), "our agent and our listener, {to}");
        let list = run(&mut place.boothctl(&["list"])).stdout;
        assert!(list.starts_with(&format!("{to}: dumping")), "{list}");
    }
}

/// What our sender sends, plain and signed, is heard by the original agent: eight bytes, and what follows.
#[test]
fn the_original_agent_hears_the_original_sender_and_our_messages() {
    let test = "the_original_agent_hears_the_original_sender_and_our_messages";
    let Some(original) = original(test) else { return };
    use booth_core::wire::kdump::{Announcement, Key, NodeId, encode_plain, encode_signed};
    let announcement = Announcement { node: NodeId::of(b"alpha"), sequence: 1 << 32 | 1, uptime: 1 };
    let signed = encode_signed(&announcement, &Key::new(b"a key of alpha's"));
    let messages: [&[u8]; 2] = [&encode_plain(), &signed];
    for message in messages {
        let place = Place::new("their-agent");
        let agent = original.agent(&place, "127.0.0.1");
        place.send("127.0.0.1", message);
        assert_eq!(agent.end().status, Some(0));
    }
    let place = Place::new("their-pair");
    let agent = original.agent(&place, "127.0.0.1");
    original.send(&place, "127.0.0.1");
    assert_eq!(agent.end().status, Some(0));
}

/// Our sender itself, plain and signed, with each who may listen.
#[test]
fn our_sender_is_heard_by_the_original_agent_and_by_ours() {
    let test = "our_sender_is_heard_by_the_original_agent_and_by_ours";
    let Some(original) = original(test) else { return };
    for signed in [false, true] {
        let send = |place: &Place| {
            let mut send = Command::new(sender());
            send.args(["-p", &place.port.to_string(), "-c", "1", "-i", "1"]);
            if signed {
                send.arg("-k").arg(place.key("alpha", b"a key of alpha's")).args(["-n", "alpha"]);
            }
            let ended = run(send.arg("127.0.0.1").stderr(Stdio::piped()));
            assert_eq!(ended.status, Some(0), "{ended:?}");
        };
        let theirs = Place::new("our-sender");
        let agent = original.agent(&theirs, "127.0.0.1");
        send(&theirs);
        assert_eq!(agent.end().status, Some(0), "the original agent, signed: {signed}");

        let ours = Place::new("our-pair");
        let mut agent = Running::start(ours.agent(&["-n", "127.0.0.1", "-t", "60"]));
        agent.until("waiting for message");
        send(&ours);
        assert_eq!(agent.end().status, Some(0), "our agent, signed: {signed}");
    }
}

/// Where a parameter begins.
fn ours_alone(facts: &[String], name: &str) -> usize {
    facts.iter().position(|line| line.contains(&format!("name=\"{name}\""))).unwrap()
}

/// Each parameter of the original is one of ours, with the same default and kind, and each action.
#[test]
fn the_metadata_has_all_that_the_original_s_has() {
    let test = "the_metadata_has_all_that_the_original_s_has";
    let Some(original) = original(test) else { return };
    let theirs = run(Command::new(&original.agent).args(["-o", "metadata"]).stderr(Stdio::piped()));
    let ours = run(Command::new(env!("CARGO_BIN_EXE_fence_kdump")).args(["-o", "metadata"]).stderr(Stdio::piped()));
    assert_eq!((theirs.status, ours.status), (Some(0), Some(0)));
    let facts = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim);
        lines
            .filter(|line| ["<parameter ", "<getopt ", "<content ", "<action "].iter().any(|tag| line.starts_with(tag)))
            .map(str::to_owned)
            .collect()
    };
    let (theirs, ours) = (facts(&theirs.stdout), facts(&ours.stdout));
    assert!(theirs.len() > 20, "{theirs:?}");
    let mut without = ours.clone();
    for name in ["directory", "config"] {
        let at = ours_alone(&without, name);
        without.drain(at..at + 3);
    }
    assert_eq!(without, theirs, "but for those that are ours alone");
}

#[test]
fn the_metadata_is_xml() {
    let metadata = run(Command::new(env!("CARGO_BIN_EXE_fence_kdump")).args(["-o", "metadata"]).stderr(Stdio::piped()));
    let lint = Command::new("xmllint").args(["--noout", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut lint) = lint else {
        super::live::skip("the_metadata_is_xml", "xmllint is needed");
        return;
    };
    std::io::Write::write_all(&mut lint.stdin.take().unwrap(), metadata.stdout.as_bytes()).unwrap();
    let output = lint.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Both answer the same to the same wrong words, as far as anybody looks: by their exit status.
#[test]
fn exit_statuses_are_the_original_s() {
    let Some(original) = original("exit_statuses_are_the_original_s") else { return };
    for words in [
        "-V",
        "-h",
        "-o metadata",
        "-o METADATA",
        "--act metadata",
        "--action=metadata",
        "--a=metadata --verb",
        "--v",
        "--ver",
        "--nodenames localhost",
        "-o validate-all",
        "-o off",
        "-o on",
        "-o reboot",
        "-Z",
        "-n localhost -p 0",
        "-n localhost -p x",
        "-n localhost -t 0",
        "-n localhost -t x",
        "-n localhost -f ipx",
        "-n no-such-node.invalid -t 1",
        "-n 127.0.9.1 -p PORT -t 1",
        "-n 127.0.9.1 -f ipv6 -t 1",
        "-n 127.0.9.1 -f IPV4 -p PORTx -t 1s -o OFF",
        "-n 127.0.9.1 -p 0x1 -t 1",
        "-n 127.0.9.1 -p -1 -t 1",
        "-n 127.0.9.1 -p 65536 -t 1",
    ] {
        // A port of its own: our stand-in stays for a moment, and of a port that is taken the original dies.
        let place = Place::new("statuses");
        let status = |program: &Path| {
            let mut command = Command::new(program);
            let words = words.replace("PORT", &place.port.to_string());
            run(command.args(words.split(' ')).stderr(Stdio::piped())).status
        };
        // Theirs first, for the same reason.
        let theirs = status(&original.agent);
        assert_eq!(status(Path::new(env!("CARGO_BIN_EXE_fence_kdump"))), theirs, "{words}");
    }
}

/// The same of lines on stdin. In the metadata alone ours forgives more: a wrong value in the CIB must not cost it.
#[test]
fn exit_statuses_for_lines_are_the_original_s() {
    let Some(original) = original("exit_statuses_for_lines_are_the_original_s") else { return };
    for lines in [
        "action=METADATA",
        "ACTION=metadata",
        "action=bogus",
        "action=",
        "action",
        "option=metadata",
        "help=1",
        "nodename=127.0.9.1 ipport=PORTx timeout=1s family=IPV4 action=OFF",
        "nodename=127.0.9.1 ipport=PORT timeout=1 family=ipx",
        "nodename=127.0.9.1 ipport=PORT timeout=x",
    ] {
        let place = Place::new("lines");
        let status = |program: &Path| {
            let lines = lines.replace("PORT", &place.port.to_string()).replace(' ', "\n") + "\n";
            run_with(&mut Command::new(program), &lines).status
        };
        let theirs = status(&original.agent);
        assert_eq!(status(Path::new(env!("CARGO_BIN_EXE_fence_kdump"))), theirs, "{lines}");
    }
    let wrong = "timeout=x\nipport=0\nfamily=ipx\naction=metadata\n";
    assert_eq!(run_with(&mut Command::new(env!("CARGO_BIN_EXE_fence_kdump")), wrong).status, Some(0));
}
