//! A ticket in a plain file, for the demo, for tests and for hosts without Pacemaker.
//!
//! One file per ticket, `NAME.ticket` with `/` and the like written as `%2F`, in a directory that is
//! made when it is missing. It is text, one `key = value` a line, `#` begins a comment line:
//!
//! ```text
//! # A booth ticket; replaced as a whole by boothd.
//! ticket = db/main
//! granted = true
//! owner = 1102844285
//! expires = 1795425540
//! term = 3
//! attribute.geo = value
//! ```
//!
//! `owner` is a site id (-1: no one), `expires` the lease's end in seconds since the epoch. In names
//! and values of attributes, blanks, `=`, `%` and what cannot be printed are written as `%XX`.
//!
//! A file is never changed in place: the new one is written beside it, made durable, and renamed over
//! it. One that cannot be read is an error, except to a revoke, which must succeed (S8): it keeps the
//! unreadable one as `NAME.ticket.damaged` and writes a new one.
//!
//! Reading and writing wait for the disk. That is as long as a journal record takes, and no process is
//! needed for it.

use super::{Action, Load, Ticket};
use booth_core::sink::StoreTicket;
use booth_core::time::WallTime;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

/// The most characters of a line that an error repeats.
const MAX_SHOWN: usize = 80;
/// No ticket's file is longer, in bytes.
const MAX_LEN: u64 = 1 << 20;

/// Does what is asked; `Err` says what went wrong and where.
pub(super) fn perform(directory: &Path, ticket: &str, action: &Action) -> Result<Done, String> {
    let path = path_of(directory, ticket);
    let done = |note| Done { load: None, note };
    match action {
        Action::Load => Ok(Done { load: load(&path, ticket)?, note: None }),
        Action::Write(state) => {
            let (old, note) = match load(&path, ticket) {
                Ok(old) => (old.unwrap_or_default(), None),
                Err(reason) if !state.granted => (Ticket::default(), Some(keep_aside(&path, &reason)?)),
                Err(reason) => return Err(reason),
            };
            save(directory, &path, ticket, &with_state(old, state))?;
            Ok(done(note))
        }
        Action::SetAttribute { name, value } => {
            let mut state = load(&path, ticket)?.unwrap_or_default();
            state.attributes.retain(|(old, _)| old != name);
            state.attributes.push((name.clone(), value.clone()));
            save(directory, &path, ticket, &state).map(|()| done(None))
        }
        Action::DeleteAttribute { name } => {
            let Some(mut state) = load(&path, ticket)? else { return Ok(done(None)) };
            state.attributes.retain(|(old, _)| old != name);
            save(directory, &path, ticket, &state).map(|()| done(None))
        }
    }
}

/// What was done.
#[derive(Debug)]
pub(super) struct Done {
    /// What was read.
    pub(super) load: Load,
    /// Something to log although it went well.
    pub(super) note: Option<String>,
}

fn with_state(old: Ticket, state: &StoreTicket) -> Ticket {
    Ticket {
        granted: state.granted,
        owner: Some(state.owner.map_or(-1, |id| id.0.cast_signed())),
        expires: Some(state.expires),
        term: Some(state.term),
        attributes: old.attributes,
    }
}

fn path_of(directory: &Path, ticket: &str) -> PathBuf {
    directory.join(format!("{}.ticket", escape(ticket)))
}

fn load(path: &Path, ticket: &str) -> Result<Load, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(&error)),
    };
    let mut text = String::new();
    file.take(MAX_LEN + 1).read_to_string(&mut text).map_err(|error| wrong(&error))?;
    if text.len() as u64 > MAX_LEN {
        return Err(wrong(&format!("expected at most {MAX_LEN} bytes")));
    }
    let repair = "; repair it, or remove it if the ticket is not granted here";
    parse(&text, ticket).map(Some).map_err(|reason| format!("{}:{reason}{repair}", path.display()))
}

/// Reads a ticket's file.
///
/// # Errors
/// The line, what is wrong, and what was expected.
pub fn parse(text: &str, ticket: &str) -> Result<Ticket, String> {
    let mut state = Ticket::default();
    let mut granted = None;
    let mut named = false;
    for (line, number) in text.lines().zip(1..) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let wrong = |expected: &str| {
            let shown: String = line.chars().take(MAX_SHOWN).collect();
            format!("{number}: {shown:?}: expected {expected}")
        };
        let (key, value) = line.split_once(" = ").ok_or_else(|| wrong("`key = value`"))?;
        match key {
            "ticket" if value == ticket => named = true,
            "ticket" => return Err(wrong(&format!("the name {ticket}"))),
            "granted" => granted = Some(value.parse().map_err(|_| wrong("`true` or `false`"))?),
            "owner" => state.owner = Some(value.parse().map_err(|_| wrong("a site id, or -1"))?),
            "expires" => {
                let seconds: u64 = value.parse().map_err(|_| wrong("seconds since the epoch"))?;
                state.expires = Some(WallTime(seconds.saturating_mul(1_000_000)));
            }
            "term" => state.term = Some(value.parse().map_err(|_| wrong("a number below 2^32"))?),
            _ => {
                let name = key.strip_prefix("attribute.").ok_or_else(|| wrong("a key that boothd writes"))?;
                let pair = unescape(name).zip(unescape(value)).ok_or_else(|| wrong("`%` and two hex digits"))?;
                state.attributes.push(pair);
            }
        }
    }
    // Without these two the file has been cut, or is something else.
    let missing = if named { "`granted`" } else { "`ticket`" };
    state.granted = granted.filter(|_| named).ok_or(format!("1: expected a line {missing}, there is none"))?;
    Ok(state)
}

/// The text of a ticket's file.
pub fn print(ticket: &str, state: &Ticket) -> String {
    let mut text = String::from("# A booth ticket; replaced as a whole by boothd.\n");
    let mut line = |key: &str, value: &dyn std::fmt::Display| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{key} = {value}");
    };
    line("ticket", &ticket);
    line("granted", &state.granted);
    if let Some(owner) = state.owner {
        line("owner", &owner);
    }
    if let Some(expires) = state.expires {
        line("expires", &expires.seconds());
    }
    if let Some(term) = state.term {
        line("term", &term);
    }
    for (name, value) in &state.attributes {
        line(&format!("attribute.{}", escape(name)), &escape(value));
    }
    text
}

fn save(directory: &Path, path: &Path, ticket: &str, state: &Ticket) -> Result<(), String> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let written = fs::create_dir_all(directory)
        .and_then(|()| File::create(&fresh))
        .and_then(|mut file| file.write_all(print(ticket, state).as_bytes()).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&fresh, path))
        .and_then(|()| File::open(directory))
        .and_then(|directory| directory.sync_all());
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Moves a file that cannot be read out of a revoke's way; says so.
fn keep_aside(path: &Path, reason: &str) -> Result<String, String> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".damaged");
    let aside = PathBuf::from(aside);
    fs::rename(path, &aside).map_err(|error| format!("{reason}; cannot be replaced: {error}"))?;
    Ok(format!("{reason}; revoked all the same, the old file is kept as {}", aside.display()))
}

/// Letters, digits and a few more stand for themselves, all else as `%XX`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.:,;+@()[]{}<>!?*&^~|".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'))?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_parsed() {
        let any: String = (0..=0x17f).filter_map(char::from_u32).collect();
        let full = Ticket {
            granted: true,
            owner: Some(i32::MIN),
            expires: Some(WallTime(1_795_425_540_000_000)),
            term: Some(u32::MAX),
            attributes: vec![("a".into(), String::new()), (any.clone(), any)],
        };
        for state in [full, Ticket::default()] {
            assert_eq!(parse(&print("db/main", &state), "db/main"), Ok(state));
        }
    }

    #[test]
    fn the_text_is_what_the_documentation_shows() {
        let state = Ticket {
            granted: true,
            owner: Some(1_102_844_285),
            expires: Some(WallTime(1_795_425_540_999_999)),
            term: Some(3),
            attributes: vec![("geo".into(), "a = 100%\n".into())],
        };
        assert_eq!(
            print("db/main", &state),
            "# A booth ticket; replaced as a whole by boothd.\nticket = db/main\ngranted = true\n\
             owner = 1102844285\nexpires = 1795425540\nterm = 3\nattribute.geo = a%20%3D%20100%25%0A\n"
        );
        assert_eq!(path_of(Path::new("/x"), "../a"), Path::new("/x/..%2Fa.ticket"));
    }

    #[test]
    fn damage_is_named_with_its_line() {
        let reason = |text: &str| parse(text, "db").unwrap_err();
        assert!(reason("").starts_with("1: expected a line `ticket`"));
        assert!(reason("ticket = db\n").starts_with("1: expected a line `granted`"));
        assert!(reason("granted = true\n").starts_with("1: expected a line `ticket`"));
        assert!(reason("ticket = web\n").contains("expected the name db"));
        assert!(reason("# x\n\ngranted = maybe\n").starts_with("3: \"granted = maybe\": expected `true`"));
        assert!(reason("granted\n").contains("expected `key = value`"));
        assert!(reason("color = red\n").contains("expected a key"));
        assert!(reason("term = -1\n").starts_with("1: "));
        for bad in ["%", "%4", "%zz", "%ff", "%+1", "%é"] {
            assert!(reason(&format!("attribute.a = {bad}\n")).contains("hex digits"), "{bad}");
        }
    }

    /// A file of one line of 1 MB made an error of 6 MB, each time that the store was read.
    #[test]
    fn an_error_does_not_repeat_all_of_a_long_line() {
        let reason = parse(&"\x01".repeat(MAX_LEN as usize), "db").unwrap_err();
        assert!(reason.len() < 1_000, "{} bytes", reason.len());
    }
}
