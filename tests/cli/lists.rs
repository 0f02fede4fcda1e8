//! `list` and `peers`.

use crate::place::{OTHER_SITE, Place, SITE, at, command, run};
use crate::responder::{Act, Responder};
use booth_core::wire::Command;
use nix::pty::openpty;
use std::io::Read;
use std::process::Stdio;

const LIST: &str = "ticket: T, leader: 127.0.61.1, expires: 2026-11-23 05:33:28\nticket: U, leader: NONE\n";
const PEERS: &str = "site         127.0.61.2, last recv: 2026-11-23 05:33:18\n\
                     \tSent pkts:5 error:0 resends:0\n\tRecv pkts:5 error:0 authfail:0 invalid:0\n\n";

#[test]
fn the_daemon_s_text_is_printed_as_it_is() {
    let place = Place::new();
    let text = |text: &str| vec![Act::Text(text.into())];
    let site = Responder::start(at(SITE, 0), None, vec![text(LIST), text(PEERS), text(""), text(LIST), text(LIST)]);
    let config = place.one_ticket(site.address.port());
    run("booth", &["list", "-c", &config]).is(0, LIST, "");
    let asked = site.asked();
    assert_eq!((asked.command, asked.ticket.as_str()), (Command::ClientList, ""));
    assert_eq!(asked.surplus, 28, "without a key the reference reads a trailer all the same");
    run("booth", &["peers", "-c", &config]).is(0, PEERS, "");
    assert_eq!((site.asked().command, 28), (Command::ClientPeers, 28));
    run("booth", &["client", "list", "-c", &config]).is(0, "", "");
    // Not on a terminal, so no table; and operands that mean nothing, as in the reference.
    run("boothctl", &["list", "-c", &config]).is(0, LIST, "");
    run("booth", &["list", "-c", &config, "-S", "-D", "-l", "/nonexistent", "T"]).is(0, LIST, "");
}

#[test]
fn another_member_can_be_asked() {
    let place = Place::new();
    let here = Responder::start(at(SITE, 0), None, vec![]);
    let port = here.address.port();
    let there = Responder::start(at(OTHER_SITE, port), None, vec![vec![Act::Text(LIST.into())]; 2]);
    let config = place.one_ticket(port);
    run("booth", &["list", "-s", OTHER_SITE, "-c", &config]).is(0, LIST, "");
    run("booth", &["list", "-s", "other", "-c", &config]).is(0, LIST, "");
    assert_eq!(there.asked().command, Command::ClientList);
    run("booth", &["list", "-s", "1.2.3.4", "-c", &config])
        .fails_with(1, "cannot find site \"1.2.3.4\"; expected one of ");
    run("booth", &["peers", "-s", "no such host", "-c", &config]).fails_with(1, "cannot find site \"no such host\"");
}

#[test]
fn far_from_all_members_one_must_be_named() {
    let place = Place::new();
    // Addresses for documentation (RFC 3849): no machine is in their subnet.
    let members = "site = 2001:db8:7fed::1\nsite = 2001:db8:7fed::2\narbitrator = 2001:db8:7fed::3\n";
    let config = place.file("far.conf", format!("{members}{}", crate::place::ticket("T")));
    run("booth", &["list", "-c", &config]).fails_with(1, "Cannot find myself in the configuration");
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let place = Place::new();
    let long = LIST.repeat(500);
    let site = Responder::start(at(SITE, 0), None, vec![vec![Act::Text(long.clone())]; 2]);
    let config = place.one_ticket(site.address.port());
    run("booth", &["list", "-c", &config]).is(0, &long, "");
    let mut client = command("booth", &["list", "-c", &config]);
    let mut client = client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(client.stdout.take());
    let status = client.wait().unwrap();
    let mut words = String::new();
    client.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    assert_eq!((status.code(), words.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut client = command("booth", &["help"]);
    let output = client.stdout(full).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}

#[test]
fn boothctl_prints_a_table_on_a_terminal_and_booth_never_does() {
    let place = Place::new();
    let site = Responder::start(at(SITE, 0), None, vec![vec![Act::Text(LIST.into())]; 2]);
    let config = place.one_ticket(site.address.port());
    let table = "TICKET  HELD BY     UNTIL\r\nT       127.0.61.1  2026-11-23 05:33:28\r\nU       -           -\r\n";
    assert_eq!(on_a_terminal("boothctl", &config), table);
    assert_eq!(on_a_terminal("booth", &config), LIST.replace('\n', "\r\n"));
}

/// What a program lists when its stdout is a terminal.
fn on_a_terminal(name: &str, config: &str) -> String {
    let terminal = openpty(None, None).unwrap();
    let status = command(name, &["list", "-c", config]).stdout(terminal.slave).status().unwrap();
    assert_eq!(status.code(), Some(0));
    let mut out = Vec::new();
    // Nobody holds the other end any more: Linux says EIO behind the last byte.
    let _ = std::fs::File::from(terminal.master).read_to_end(&mut out);
    String::from_utf8(out).unwrap()
}
