//! Where a client's words go: results to stdout, messages to stderr.
//!
//! A reader that has gone (`booth list | head -1`) is no error and never a panic.

use super::{FAILURE, Program, SUCCESS};
use std::io::{self, ErrorKind, IsTerminal, Write};

/// A client's stdout and stderr.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    program: Program,
}

impl Console {
    /// The console of a program, whose name stands in front of each message.
    pub fn new(program: Program) -> Console {
        Console { program }
    }

    /// Prints a result; tells the exit status.
    pub fn print(&self, text: &str) -> u8 {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => SUCCESS,
            Err(error) if error.kind() == ErrorKind::BrokenPipe => SUCCESS,
            Err(error) => {
                self.error(&format!("cannot write to standard output: {error}"));
                FAILURE
            }
        }
    }

    /// Says why something was not done.
    pub fn error(&self, text: &str) {
        self.message("ERROR", text);
    }

    /// Says how something goes.
    pub fn info(&self, text: &str) {
        self.message("info", text);
    }

    /// Says something as it stands.
    pub fn plain(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Whether a person reads stdout.
    pub fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    fn message(&self, level: &str, text: &str) {
        let _ = writeln!(io::stderr(), "{}: {level}: {text}", self.program.name());
    }
}
