//! A ticket in Pacemaker's CIB: the arguments for `crm_ticket`, and what it answers.
//!
//! The written attributes are those of the reference daemon (`owner`, `expires`, `term`,
//! `booth-cfg-name`), so that either finds what the other has left. Geo attributes lie beside them in
//! the ticket's `ticket_state`; a name that Pacemaker or booth uses itself is never taken for one, nor
//! written as one: `granted` set as an attribute would be a grant that no election has allowed (S0).
//! `crm_ticket(8)`.

use super::element::Element;
use super::{Action, Load, Ticket};
use crate::child::{Ending, Exited};
use booth_core::sink::StoreTicket;
use booth_core::time::WallTime;

/// What a ticket's state in the CIB has beside geo attributes.
const RESERVED: [&str; 8] = ["id", "granted", "last-granted", "standby", "owner", "expires", "term", "booth-cfg-name"];
/// Exit statuses of `crm_ticket` for a ticket that the CIB does not know: today's, and ENXIO of old.
const NO_SUCH_TICKET: [i32; 2] = [105, 6];

/// The arguments of `crm_ticket` for an action, or why it must not be done.
pub(super) fn arguments(ticket: &str, action: &Action, configuration_name: &str) -> Result<Vec<String>, String> {
    let head = ["-t", ticket].map(str::to_owned);
    let tail = match action {
        Action::Load => vec!["-q".to_owned()],
        Action::Write(state) => write_arguments(state, configuration_name),
        Action::SetAttribute { name, value } => {
            check_attribute_name(name)?;
            vec!["-S".to_owned(), name.clone(), format!("--attr-value={value}")]
        }
        Action::DeleteAttribute { name } => {
            check_attribute_name(name)?;
            vec!["-D".to_owned(), name.clone()]
        }
    };
    Ok(head.into_iter().chain(tail).collect())
}

/// Every write carries the lease's end, for the guard at the site that needs no daemon (S12).
fn write_arguments(state: &StoreTicket, configuration_name: &str) -> Vec<String> {
    let mut arguments = vec![if state.granted { "-g" } else { "-r" }.to_owned(), "--force".to_owned()];
    let fields = [
        // Signed, as the reference writes it; -1 is no one.
        ("owner", state.owner.map_or(-1, |id| id.0.cast_signed()).to_string()),
        ("expires", state.expires.seconds().to_string()),
        ("term", state.term.to_string()),
        ("booth-cfg-name", configuration_name.to_owned()),
    ];
    for (name, value) in fields {
        arguments.extend(["-S".to_owned(), name.to_owned(), format!("--attr-value={value}")]);
    }
    arguments
}

/// A geo attribute becomes an XML attribute: its name must be one, and nobody else's.
fn check_attribute_name(name: &str) -> Result<(), String> {
    if RESERVED.contains(&name) {
        return Err(format!("attribute \"{name}\" is one of the ticket's own; choose another name"));
    }
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
        return Err(format!(
            "attribute {name:?} cannot be written to the CIB: expected a letter or _, then letters, digits, _ - ."
        ));
    }
    Ok(())
}

/// What `crm_ticket -q` has said; `Err` tells what is wrong with it.
pub(super) fn parse_load(ticket: &str, exited: &Exited) -> Result<Load, String> {
    match exited.ending {
        Ending::Status(status) if NO_SUCH_TICKET.contains(&status) => return Ok(None),
        Ending::Status(0) => {}
        _ => return Err(exited.words()),
    }
    if exited.stdout_cut {
        return Err(format!("the answer is longer than {} bytes", exited.stdout.len()));
    }
    parse_answer(ticket, &exited.stdout).map(Some)
}

/// The ticket in what `crm_ticket -q` prints: headings, then one `ticket_state`.
///
/// # Errors
/// What is wrong with it, in words: an answer that is not understood is not guessed at.
pub fn parse_answer(ticket: &str, stdout: &[u8]) -> Result<Ticket, String> {
    let text = str::from_utf8(stdout).map_err(|_| "the answer is not UTF-8".to_owned())?;
    // Headings come first.
    let xml = text.find('<').and_then(|at| text.get(at..)).ok_or("the answer has no XML")?;
    let state = Element::parse(xml).map_err(|error| format!("the answer is not one XML element: {error}"))?;
    if state.name != "ticket_state" || state.attribute("id") != Some(ticket) {
        return Err("the answer is no ticket_state of this ticket".to_owned());
    }
    Ok(Ticket {
        granted: state.attribute("granted").is_some_and(is_true),
        // A value that booth never writes is like one that is absent: the lease is not known.
        owner: state.attribute("owner").and_then(|value| value.parse().ok()),
        expires: state.attribute("expires").and_then(|value| value.parse().ok()).map(from_seconds),
        term: state.attribute("term").and_then(|value| value.parse().ok()),
        attributes: state
            .attributes
            .into_iter()
            .filter(|(name, _)| !RESERVED.contains(name))
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    })
}

/// Pacemaker's idea of a true value.
fn is_true(value: &str) -> bool {
    ["true", "on", "yes", "y", "1"].iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn from_seconds(seconds: u64) -> WallTime {
    WallTime(seconds.saturating_mul(1_000_000))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use booth_core::member::SiteId;

    fn answer(ending: Ending, stdout: &str) -> Result<Load, String> {
        parse_load("db/main", &Exited::example(ending, stdout.as_bytes()))
    }

    #[test]
    fn arguments_are_those_of_the_reference() {
        let mut state =
            StoreTicket { granted: true, owner: Some(SiteId(7)), expires: WallTime(1_795_425_540_999_999), term: 3 };
        let words = |state: &StoreTicket| arguments("db", &Action::Write(*state), "booth").unwrap().join(" ");
        assert_eq!(
            words(&state),
            "-t db -g --force -S owner --attr-value=7 -S expires --attr-value=1795425540 -S term --attr-value=3 \
             -S booth-cfg-name --attr-value=booth"
        );
        state = StoreTicket { granted: false, owner: None, expires: WallTime(0), term: u32::MAX };
        assert_eq!(
            words(&state),
            "-t db -r --force -S owner --attr-value=-1 -S expires --attr-value=0 -S term --attr-value=4294967295 \
             -S booth-cfg-name --attr-value=booth"
        );
        assert_eq!(arguments("db", &Action::Load, "booth").unwrap(), ["-t", "db", "-q"]);
        let set = Action::SetAttribute { name: "geo".into(), value: "$(reboot); 'x'".into() };
        assert_eq!(arguments("db", &set, "booth").unwrap(), ["-t", "db", "-S", "geo", "--attr-value=$(reboot); 'x'"]);
        let delete = Action::DeleteAttribute { name: "geo".into() };
        assert_eq!(arguments("db", &delete, "booth").unwrap(), ["-t", "db", "-D", "geo"]);
    }

    /// S0: an attribute cannot grant.
    #[test]
    fn attributes_that_are_not_geo_attributes_are_refused() {
        for name in RESERVED.iter().chain(&["", "-g", "1x", "a b", "a\"", "a\n", "ä"]) {
            let name = (*name).to_owned();
            assert!(arguments("db", &Action::DeleteAttribute { name: name.clone() }, "booth").is_err(), "{name}");
            let set = Action::SetAttribute { name: name.clone(), value: "true".into() };
            assert!(arguments("db", &set, "booth").is_err(), "{name}");
        }
    }

    #[test]
    fn a_ticket_is_read_with_its_attributes() {
        let xml = "State XML:\n\n<ticket_state id=\"db/main\" granted=\"true\" last-granted=\"1795425540\" \
                   booth-cfg-name=\"booth\" owner=\"-1\" expires=\"12\" term=\"3\" geo=\"v&lt;&quot;&amp;\" s=\"\"/>\n";
        let ticket = answer(Ending::Status(0), xml).unwrap().unwrap();
        assert_eq!(
            ticket,
            Ticket {
                granted: true,
                owner: Some(-1),
                expires: Some(WallTime(12_000_000)),
                term: Some(3),
                attributes: vec![("geo".into(), "v<\"&".into()), ("s".into(), String::new())],
            }
        );
        let bare = answer(Ending::Status(0), "<ticket_state id='db/main' owner='x' term='-1' granted='False'/>");
        assert_eq!(bare.unwrap().unwrap(), Ticket::default());
        for word in ["true", "TRUE", "on", "yes", "y", "1"] {
            let xml = format!("<ticket_state id='db/main' granted='{word}'/>");
            assert!(answer(Ending::Status(0), &xml).unwrap().unwrap().granted, "{word}");
        }
    }

    #[test]
    fn an_unknown_ticket_is_no_failure() {
        for status in [6, 105] {
            assert_eq!(answer(Ending::Status(status), ""), Ok(None));
        }
    }

    #[test]
    fn what_is_no_answer_is_a_failure() {
        for text in ["", "no xml", "<", "<ticket_state id='db/main'", "<ticket_state id='other'/>", "<a><b></a>"] {
            assert!(answer(Ending::Status(0), text).is_err(), "{text}");
        }
        let whole = "<ticket_state id='db/main' granted='true'/>";
        for ending in [Ending::Status(1), Ending::Signal(11), Ending::Overrun, Ending::Stuck] {
            assert_eq!(answer(ending, whole), Err(ending.to_string()));
        }
        let mut exited = Exited::example(Ending::Status(0), whole.as_bytes());
        exited.stdout_cut = true;
        assert!(parse_load("db/main", &exited).is_err());
        exited = Exited::example(Ending::Status(0), b"<ticket_state id='db/main' a='\xff'/>");
        assert!(parse_load("db/main", &exited).is_err());
        let nested = format!("{}{}", "<a>".repeat(20_000), "</a>".repeat(20_000));
        assert!(answer(Ending::Status(0), &nested[..]).is_err());
    }
}
