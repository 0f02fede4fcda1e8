//! What must hold of any bytes that a store has for a ticket, be it the answer of `crm_ticket -q` or a
//! ticket's file: no panic; nothing is read as a grant that does not say so in so many words; an attribute
//! never has a name of the ticket's own; a ticket's file that has been read is written and read the same;
//! and an error is a line that a log takes.

use booth::store::{Ticket, file, pacemaker};
use booth_core::time::WallTime;

/// The ticket that is asked for.
const TICKET: &str = "db/main";
/// The longest error, in bytes.
const MAX_ERROR: usize = 1_000;
/// What is the ticket's own in Pacemaker.
const OWN: [&str; 8] = ["id", "granted", "last-granted", "standby", "owner", "expires", "term", "booth-cfg-name"];

/// Panics if something that must hold does not.
pub fn judge(bytes: &[u8]) {
    match pacemaker::parse_answer(TICKET, bytes) {
        Ok(ticket) => judge_answer(bytes, &ticket),
        Err(error) => judge_error(&error),
    }
    let Ok(text) = str::from_utf8(bytes) else { return };
    match file::parse(text, TICKET) {
        Ok(ticket) => judge_file(text, &ticket),
        Err(error) => judge_error(&error),
    }
}

fn judge_answer(bytes: &[u8], ticket: &Ticket) {
    let text = str::from_utf8(bytes).expect("only text is understood");
    assert!(text.contains("<ticket_state") && text.contains("id"), "{text}");
    assert!(!ticket.granted || text.contains("granted"), "S0: {text}");
    for (at, (name, _)) in ticket.attributes.iter().enumerate() {
        assert!(!OWN.contains(&name.as_str()), "{name}");
        assert!(ticket.attributes[..at].iter().all(|(other, _)| other != name), "{name} stands there twice");
    }
    // The same ticket, written with all that an attribute's value may need.
    let again = pacemaker::parse_answer(TICKET, answer(ticket).as_bytes());
    assert_eq!(again.as_ref().map(seconds), Ok(seconds(ticket)), "{text}");
    // No answer is two: what follows or is missing is noticed.
    assert!(pacemaker::parse_answer(TICKET, &[bytes, b"<x/>"].concat()).is_err(), "{text}");
    assert!(pacemaker::parse_answer("other", bytes).is_err(), "{text}");
}

fn judge_file(text: &str, ticket: &Ticket) {
    assert!(!ticket.granted || text.contains("granted = true"), "S0: {text}");
    let printed = file::print(TICKET, ticket);
    let again = file::parse(&printed, TICKET);
    assert_eq!(again.as_ref().map(seconds), Ok(seconds(ticket)), "{printed}");
    assert!(file::parse(text, "other").is_err(), "{text}");
}

fn judge_error(error: &str) {
    assert!(!error.is_empty() && error.len() <= MAX_ERROR, "{} bytes: {error}", error.len());
    assert!(!error.contains(char::is_control), "{error:?}");
}

/// The ticket as `crm_ticket` would print it.
fn answer(ticket: &Ticket) -> String {
    let mut text = format!("State XML:\n\n<ticket_state id=\"{TICKET}\" granted=\"{}\"", ticket.granted);
    let owner = ticket.owner.map(|owner| ("owner", owner.to_string()));
    let expires = ticket.expires.map(|expires| ("expires", expires.seconds().to_string()));
    let term = ticket.term.map(|term| ("term", term.to_string()));
    let own = [owner, expires, term].into_iter().flatten();
    let free = ticket.attributes.iter().map(|(name, value)| (name.as_str(), value.clone()));
    for (name, value) in own.chain(free) {
        let value: String = value.chars().map(|character| format!("&#x{:x};", u32::from(character))).collect();
        text.push_str(&format!(" {name}=\"{value}\""));
    }
    text + "/>\n"
}

/// With the end of the lease as it is written, in whole seconds.
fn seconds(ticket: &Ticket) -> Ticket {
    let expires = ticket.expires.map(|expires| WallTime(expires.seconds() * 1_000_000));
    Ticket { expires, ..ticket.clone() }
}
