//! The system's name service, asked through its own program: `getent`.
//!
//! The C library's functions (getpwnam, getaddrinfo) load the modules that nsswitch.conf names into the
//! process. A static program must not have that: a module of another version of the C library than it
//! was linked with crashes it. To read /etc/passwd and /etc/hosts instead would hurt sites whose names
//! come from DNS or a directory. `getent` comes with the C library of the running system and gives the
//! answer that every other program there gets. It ends with its answer, so nothing stays in our memory:
//! on Debian 12 the modules are 0.7 MB, a quarter of all that the daemon has.
//!
//! Both the static and the dynamic program ask in this way, so that what is tested is what is shipped.
//! Numbers and addresses are never asked for; a host without `getent` can be configured with them alone.

use crate::child::Program;
use std::fmt;
use std::io;

/// The program; looked up in `PATH`.
const PROGRAM: &str = "getent";
/// The most bytes of an answer: 65,536 groups (NGROUPS_MAX) of ten digits, and more.
const MAX_ANSWER: u64 = 1 << 20;
/// Its exit status when there is no such name, or the servers do not say.
const NOT_FOUND: i32 = 2;

/// The answer to a name in a database (`passwd`, `group`, `initgroups`, `ahosts`: getent(1)), in lines;
/// `None` when there is none. It may block for as long as the system's own time-outs allow.
///
/// # Errors
/// Where the program cannot be run or reads no database.
pub fn ask(database: &str, name: &str) -> io::Result<Option<String>> {
    let failed = |why: &dyn fmt::Display| io::Error::other(format!("{PROGRAM} {database}: {why}"));
    let run = Program::new(PROGRAM).args([database, "--", name]).run(MAX_ANSWER);
    let (status, answer) =
        run.map_err(|error| io::Error::new(error.kind(), format!("cannot run {PROGRAM}: {error}")))?;
    match status.exit_status() {
        Some(0) => {}
        Some(NOT_FOUND) => return Ok(None),
        Some(status) => return Err(failed(&format_args!("exit status {status}"))),
        None => return Err(failed(&"it was killed")),
    }
    let answer = String::from_utf8(answer).map_err(|error| failed(&error))?;
    Ok(Some(answer).filter(|answer| !answer.is_empty()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn there_is_an_answer_or_none_or_an_error_that_names_the_program() {
        assert!(ask("passwd", "root").unwrap().unwrap().starts_with("root:"));
        assert_eq!(ask("passwd", "no-such-user").unwrap(), None);
        assert_eq!(ask("passwd", "--help").unwrap(), None, "a name is never an option");
        let error = ask("no-such-database", "root").unwrap_err().to_string();
        assert!(error.starts_with("getent no-such-database: "), "{error}");
    }
}
