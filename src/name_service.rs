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

use std::io::{self, Read};
use std::process::{Command, Stdio};

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
    let mut child = Command::new(PROGRAM)
        .args([database, "--", name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("cannot run {PROGRAM}: {error}")))?;
    let mut answer = String::new();
    let read = match child.stdout.take() {
        Some(stdout) => stdout.take(MAX_ANSWER).read_to_string(&mut answer),
        None => Ok(0),
    };
    // It has ended, or writes more than it may and is ended by the closed pipe.
    let ended = child.wait();
    read?;
    match ended {
        Ok(status) if status.code() == Some(NOT_FOUND) => Ok(None),
        Ok(status) if !status.success() => Err(io::Error::other(format!("{PROGRAM} {database}: {status}"))),
        // An error here: whoever started us ignores SIGCHLD, and the status is lost.
        _ => Ok(Some(answer).filter(|answer| !answer.is_empty())),
    }
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
