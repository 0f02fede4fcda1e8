//! What the demo prints: one line an event, with its time; colour only on a terminal.

use super::Failure;
use std::io::{self, Write};
use std::time::Duration;

/// How an event looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// What the demo does to the daemons.
    Deed,
    /// A site holds the ticket.
    Held,
    /// A site no longer holds it.
    Lost,
    /// All else.
    Plain,
}

/// Stdout, line by line.
pub(super) struct Screen {
    colour: bool,
}

impl Screen {
    pub(super) fn new(terminal: bool) -> Screen {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Screen { colour: terminal && wanted }
    }

    /// Prints an event.
    pub(super) fn event(&mut self, at: Duration, tone: Tone, text: &str) -> Result<(), Failure> {
        let (on, off) = match (self.colour, tone) {
            (false, _) | (_, Tone::Plain) => ("", ""),
            (true, Tone::Deed) => ("\x1b[1m", "\x1b[0m"),
            (true, Tone::Held) => ("\x1b[32m", "\x1b[0m"),
            (true, Tone::Lost) => ("\x1b[33m", "\x1b[0m"),
        };
        self.text(&format!("{:>6.2} s  {on}{text}{off}", at.as_secs_f64()))
    }

    /// Prints lines as they are. That nobody reads them any more ends the demo.
    pub(super) fn text(&mut self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush()).map_err(|_| Failure::Interrupted)
    }
}
