//! Options, good and bad, and what is printed.

use super::host::send;

fn outcome(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = std::process::Command::new(super::host::sender()).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn help_and_version_are_printed_on_standard_output() {
    let (status, help, errors) = outcome(&["-h"]);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    assert!(help.starts_with("Usage: fence_kdump_send [options] [nodes]\n\nOptions:\n"), "{help}");
    for option in ["-p, --ipport=", "-f, --family=", "-c, --count=", "-i, --interval=", "-k, --key=", "-n, --node="] {
        assert!(help.contains(option), "{option}");
    }
    assert_eq!(outcome(&["--help"]).1, help);
    let page = include_str!("../../packaging/man/fence_kdump_send.8").replace("\\-", "-");
    let pairs = help.lines().filter_map(|line| line.strip_prefix("  -")?.split_once(", --"));
    let entries = pairs.map(|(letter, rest)| {
        let word = rest.split(['=', ' ']).next().unwrap();
        format!("\n.TP\n\\fB-{letter}\\fR, \\fB--{word}\\fR")
    });
    let missing: Vec<String> = entries.filter(|entry| !page.contains(entry)).collect();
    assert!(missing.is_empty(), "not in the manual: {missing:?}");
    assert_eq!(page.matches("\n.TP\n\\fB-").count(), help.matches("\n  -").count());
    let version = format!("fence_kdump_send {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(outcome(&["-V"]), (Some(0), version.clone(), String::new()));
    assert_eq!(outcome(&["127.0.0.1", "--version"]), (Some(0), version, String::new()));
}

#[test]
fn what_is_wrong_is_said_and_the_exit_status_is_1() {
    for (arguments, expected) in [
        (&[][..], "no node, expected an address or a name"),
        (&["-v"], "no node, expected an address or a name"),
        (&["-x", "127.0.0.1"], "unknown option '-x'"),
        (&["--ver", "127.0.0.1"], "option '--ver' may be one of several: write more of it"),
        (&["127.0.0.1", "-p"], "option '-p' needs a value"),
        (&["-p", "0", "127.0.0.1"], "invalid ipport '0', expected 1 to 65535"),
        (&["-p", "x7410", "127.0.0.1"], "invalid ipport 'x7410', expected 1 to 65535"),
        (&["-c", "-1", "127.0.0.1"], "invalid count '-1', expected 0 (for ever) or more"),
        (&["-i", "0", "127.0.0.1"], "invalid interval '0', expected seconds, from 1"),
        (&["-f", "inet", "127.0.0.1"], "unsupported family 'inet', expected auto, ipv4 or ipv6"),
    ] {
        let (status, usage, errors) = outcome(arguments);
        assert_eq!((status, errors), (Some(1), format!("[error]: {expected}\n")), "{arguments:?}");
        assert!(usage.starts_with("Usage: "), "{arguments:?}");
    }
}

#[test]
fn a_node_of_another_family_is_an_error_and_not_tried_again() {
    let mut sender = send(&["-f", "ipv6", "127.0.0.1"]);
    sender.until("node '127.0.0.1' is not of the family that -f asks for");
    assert_eq!(sender.end(), (Some(1), String::new()));
}

/// With a node too many nothing was sent at all.
#[test]
fn nodes_beyond_the_limit_are_complained_of_and_the_others_served() {
    let addresses: Vec<String> = (1..=34).map(|host| format!("127.0.0.{host}")).collect();
    let nodes: Vec<&str> = addresses.iter().map(String::as_str).collect();
    for (count, complaint) in [(32, ""), (34, "[error]: more than 32 nodes: left out '127.0.0.33' and all behind it\n")]
    {
        let (status, printed, errors) = outcome(&[&["-v", "-c", "1"], &nodes[..count]].concat());
        assert_eq!((status, errors.as_str()), (Some(0), complaint));
        let sent: Vec<String> =
            nodes[..32].iter().map(|node| format!("[debug]: message sent to node '{node}'\n")).collect();
        assert_eq!(printed, sent.concat());
    }
}

#[test]
fn a_long_argument_is_neither_too_long_nor_a_path() {
    let long = "x".repeat(100_000);
    let (status, _, errors) = outcome(&["-c", "1", &long]);
    assert_eq!(status, Some(1));
    assert_eq!(errors, format!("[error]: node '{long}' has no address of its own or in /etc/hosts: trying again\n"));
    let (_, _, errors) = outcome(&["-c", "1", "-k", &long, "nobody.invalid"]);
    assert!(errors.starts_with("[error]: messages are not signed: key xxx"), "{errors}");
}
