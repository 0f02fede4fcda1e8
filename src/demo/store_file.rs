//! Reads what a site's file store says, for the demo's observer.

use super::Failure;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What the store says of the ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// Whether it is granted at this site.
    pub(super) granted: bool,
    /// The end of the lease that was written with it.
    pub(super) expires: SystemTime,
}

/// Reads a ticket's file; not there yet: not granted. The daemon replaces it as a whole.
pub(super) fn read(path: &Path) -> Result<Stored, Failure> {
    let failure = |reason: String| Failure::Store { path: path.to_owned(), reason };
    match fs::read_to_string(path) {
        Ok(text) => parse(&text).map_err(failure),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(Stored { granted: false, expires: SystemTime::UNIX_EPOCH })
        }
        Err(error) => Err(failure(error.to_string())),
    }
}

fn parse(text: &str) -> Result<Stored, String> {
    let field = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
    let granted = match field("granted") {
        Some("true") => true,
        Some("false") => false,
        other => return Err(format!("granted = {other:?}, expected true or false")),
    };
    let seconds = match field("expires") {
        Some(seconds) => seconds.parse::<f64>().map_err(|_| format!("expires = {seconds}, expected seconds"))?,
        None => 0.0,
    };
    let expires = Duration::try_from_secs_f64(seconds).map_err(|error| format!("expires = {seconds}: {error}"))?;
    Ok(Stored { granted, expires: SystemTime::UNIX_EPOCH + expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_granted_ticket_is_understood() {
        let text = "# A booth ticket; replaced as a whole by boothd.\nticket = demo\ngranted = true\n\
                    owner = 1102844285\nexpires = 1795425540\nterm = 3\n";
        let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_425_540);
        assert_eq!(parse(text), Ok(Stored { granted: true, expires }));
        assert_eq!(parse("granted = false\n"), Ok(Stored { granted: false, expires: SystemTime::UNIX_EPOCH }));
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in ["", "granted = perhaps\n", "granted = true\nexpires = soon\n", "granted = true\nexpires = -1\n"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
