//! What a listener is asked over its control socket, and what it answers: both ends of it.
//!
//! One line each way, as all requests there ([`crate::control`]):
//!
//! | request | answer |
//! | --- | --- |
//! | `kdump list` | a line for each source |
//! | `kdump listening` | where it listens |
//! | `kdump leave RANK` | `leaving`, if the port is more important to one of this rank ([`super::port`]) |
//! | `kdump wait MILLISECONDS NODE...` | `waiting` at once; when all nodes were heard or the time is over, `heard ADDRESS` or `silent` for each, in their order |
//!
//! A NODE is its names and addresses with commas between. What cannot be done is answered by `refused: WHY`, and
//! what cannot be done now, but perhaps later, by `not now: WHY`.

use super::port::Rank;
use crate::control::LONGEST_LINE;
use booth_core::kdump::authenticity::MAX_NODE_NAME;
use booth_core::kdump::wait::Wait;
use booth_core::time::Millis;
use std::fmt::{Display, Write};
use std::net::IpAddr;

/// The longest wait: whoever wants more asks again.
pub const LONGEST_WAIT: Millis = Millis(24 * 3600 * 1000);
/// What all requests begin with.
const VERB: &str = "kdump ";
/// What an answer begins with that says why something cannot be done.
pub const REFUSED: &str = "refused: ";
/// What an answer begins with that says why something cannot be done now.
pub const NOT_NOW: &str = "not now: ";
/// The first line of an answer to a wait.
pub const WAITING: &str = "waiting";

/// A request.
#[derive(Clone, Debug)]
pub enum Request {
    /// What is known of all sources?
    List,
    /// Where do you listen?
    Listening,
    /// Leave the port to one of this rank.
    Leave(Rank),
    /// Tell when these are dumping.
    Wait(Millis, Box<Wait>),
}

/// Somebody to wait for, as a client knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// Its names.
    pub names: Vec<String>,
    /// All addresses of them.
    pub addresses: Vec<IpAddr>,
}

/// What became of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// From where each node was heard, in their order.
    Heard(Vec<Option<IpAddr>>),
    /// The listener cannot do it.
    Refused(String),
    /// The listener cannot do it now.
    NotNow(String),
    /// It has gone before it knew.
    Gone,
}

/// The request in a line; `None`: it is not about dumping nodes. Else perhaps why it cannot be done.
pub fn parse(line: &[u8]) -> Option<Result<Request, &'static str>> {
    let line = std::str::from_utf8(line).ok()?.trim();
    let rest = line.strip_prefix(VERB)?;
    let mut words = rest.split_ascii_whitespace();
    Some(match (words.next(), words.next()) {
        (Some("list"), None) => Ok(Request::List),
        (Some("listening"), None) => Ok(Request::Listening),
        (Some("leave"), Some(rank)) if words.next().is_none() => {
            Rank::of(rank).map(Request::Leave).ok_or("expected kdump leave stand-in, alone or member")
        }
        (Some("wait"), Some(time)) => parse_wait(time, words),
        _ => Err("expected kdump list, kdump listening, kdump leave RANK or kdump wait MILLISECONDS NODE..."),
    })
}

fn parse_wait<'a>(time: &str, nodes: impl Iterator<Item = &'a str>) -> Result<Request, &'static str> {
    let time =
        time.parse().ok().map(Millis).filter(|time| *time <= LONGEST_WAIT).ok_or("no time, or more than a day")?;
    let mut wait = Box::<Wait>::default();
    for node in nodes {
        wait.add_node().map_err(|_| "too many nodes")?;
        for item in node.split(',') {
            let added = match item.parse() {
                Ok(address) => wait.add_address(address),
                Err(_) if item.is_empty() => return Err("an empty name"),
                Err(_) => wait.add_name(item),
            };
            added.map_err(|_| "too many names or addresses, or a name that is too long")?;
        }
    }
    if wait.nodes() == 0 { Err("no node") } else { Ok(Request::Wait(time, wait)) }
}

/// The line of a wait; `None`: it would be longer than a request may be.
pub fn wait_line(time: Millis, nodes: &[Waited]) -> Option<String> {
    let mut line = format!("{VERB}wait {}", time.0.min(LONGEST_WAIT.0));
    for node in nodes {
        let addresses = node.addresses.iter().map(IpAddr::to_string);
        // A name that is too long for a node with a key says nothing.
        let names = node.names.iter().filter(|name| name.len() <= MAX_NODE_NAME).cloned();
        let items: Vec<String> = names.chain(addresses).collect();
        // A `String` takes everything.
        let _ = write!(line, " {}", items.join(","));
    }
    (line.len() < LONGEST_LINE).then_some(line)
}

/// Whether a name can stand in a request.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic() && c != ',')
}

/// Says why something cannot be done.
pub fn refuse(out: &mut String, why: &dyn Display) {
    let _ = writeln!(out, "{REFUSED}{why}");
}

/// Says why something cannot be done now.
pub fn postpone(out: &mut String, why: &dyn Display) {
    let _ = writeln!(out, "{NOT_NOW}{why}");
}

/// Says that whatever comes from now on counts.
pub fn waiting(out: &mut String) {
    let _ = writeln!(out, "{WAITING}");
}

/// Says from where each node was heard.
pub fn tell(out: &mut String, heard: &[Option<IpAddr>]) {
    for address in heard {
        let _ = match address {
            Some(address) => writeln!(out, "heard {address}"),
            None => writeln!(out, "silent"),
        };
    }
}

/// What an answer to a wait for so many nodes says, behind its first line [`WAITING`].
pub fn understand(answer: &str, nodes: usize) -> Answer {
    if let Some(why) = answer.strip_prefix(REFUSED) {
        return Answer::Refused(why.trim().to_owned());
    }
    if let Some(why) = answer.strip_prefix(NOT_NOW) {
        return Answer::NotNow(why.trim().to_owned());
    }
    let answer = answer.strip_prefix(WAITING).map_or(answer, str::trim_start);
    let heard = |line: &str| match line.strip_prefix("heard ") {
        Some(address) => address.parse().ok().map(Some),
        None => (line == "silent").then_some(None),
    };
    match answer.lines().map(heard).collect::<Option<Vec<_>>>() {
        Some(heard) if heard.len() == nodes => Answer::Heard(heard),
        None if !answer.is_empty() => Answer::Refused(answer.trim().to_owned()),
        _ => Answer::Gone,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use booth_core::kdump::wait::{MAX_WAITED, MAX_WAITED_ADDRESSES};

    fn waited(names: &[&str], addresses: &[&str]) -> Waited {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Waited { names: names.iter().map(|name| (*name).to_owned()).collect(), addresses }
    }

    #[test]
    fn a_wait_is_understood_as_it_was_written() {
        let nodes = [waited(&["alpha"], &["10.0.0.1", "fd00::1"]), waited(&[], &["10.0.0.2"])];
        let line = wait_line(Millis(1500), &nodes).unwrap();
        assert_eq!(line, "kdump wait 1500 alpha,10.0.0.1,fd00::1 10.0.0.2");
        let Some(Ok(Request::Wait(time, wait))) = parse(line.as_bytes()) else { panic!("{line}") };
        assert_eq!((time, wait.nodes()), (Millis(1500), 2));
    }

    /// As many nodes, names and addresses as may be waited for, each as long as it may be, once did not fit.
    #[test]
    fn the_longest_wait_that_may_be_fits_into_a_line() {
        let name = "n".repeat(MAX_NODE_NAME);
        let address = "fd00:1111:2222:3333:4444:5555:6666:7777";
        let addresses = vec![address; MAX_WAITED_ADDRESSES / MAX_WAITED];
        let nodes = vec![waited(&[&name], &addresses); MAX_WAITED];
        let line = wait_line(LONGEST_WAIT, &nodes).unwrap();
        assert!(matches!(parse(line.as_bytes()), Some(Ok(Request::Wait(_, wait))) if wait.nodes() == MAX_WAITED));
        assert!(wait_line(LONGEST_WAIT, &[&nodes[..], &nodes].concat()).is_none());
    }

    #[test]
    fn what_is_wrong_is_told_and_what_is_somebody_else_s_left_alone() {
        for other in ["status", "kdump", "kdumplist", "", "\u{ff}"] {
            assert!(parse(other.as_bytes()).is_none(), "{other}");
        }
        assert!(parse(b"kdump \xff").is_none());
        for wrong in [
            "kdump x",
            "kdump list x",
            "kdump leave",
            "kdump leave x",
            "kdump leave alone x",
            "kdump wait",
            "kdump wait x a",
            "kdump wait 1",
            "kdump wait 1 a,,b",
        ] {
            assert!(matches!(parse(wrong.as_bytes()), Some(Err(_))), "{wrong}");
        }
        assert!(matches!(parse(b"kdump wait 86400001 a"), Some(Err(_))));
        let long = format!("kdump wait 1 {}", "n".repeat(65));
        assert!(matches!(parse(long.as_bytes()), Some(Err(_))));
        assert!(matches!(parse(b"kdump list\n"), Some(Ok(Request::List))));
        assert!(matches!(parse(b"kdump leave member"), Some(Ok(Request::Leave(Rank::Member)))));
    }

    #[test]
    fn an_answer_is_understood_as_it_was_told_and_a_piece_of_one_is_none() {
        let mut out = String::new();
        waiting(&mut out);
        assert_eq!(understand(&out, 2), Answer::Gone);
        let heard = [Some("10.0.0.1".parse().unwrap()), None];
        tell(&mut out, &heard);
        assert_eq!(understand(&out, 2), Answer::Heard(heard.to_vec()));
        assert_eq!(understand("heard 10.0.0.1\n", 2), Answer::Gone);
        assert_eq!(understand("", 1), Answer::Gone);
        out.clear();
        refuse(&mut out, &"too many wait");
        assert_eq!(understand(&out, 1), Answer::Refused("too many wait".into()));
        out.clear();
        postpone(&mut out, &"too many wait");
        assert_eq!(understand(&out, 1), Answer::NotNow("too many wait".into()));
        assert_eq!(understand("unknown request\n", 1), Answer::Refused("unknown request".into()));
    }
}
