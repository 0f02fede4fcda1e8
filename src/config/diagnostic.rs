//! What is wrong or doubtful in a configuration, each with its file and line.
//!
//! Everything found is collected, so that one run of `boothctl check` shows it all; the number kept
//! is limited ([`MAX_DIAGNOSTICS`] of each severity), what is left out is counted, and text that
//! came from the file is escaped and cut before it is repeated.

use std::fmt;
use std::path::{Path, PathBuf};

/// The most errors, and the most warnings, that are kept of one file.
pub const MAX_DIAGNOSTICS: usize = 100;

/// The most characters of a value that a diagnostic repeats.
const MAX_SHOWN: usize = 80;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration is not used.
    Error,
    /// It is used, but somebody should look at it.
    Warning,
}

/// One thing found in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1; `None` when it concerns the file as a whole.
    pub line: Option<u32>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, and what was expected.
    pub text: String,
}

impl Diagnostic {
    /// An error about a whole file, such as one that cannot be read.
    pub fn about_file(path: &Path, text: String) -> Diagnostic {
        Diagnostic { path: path.to_owned(), line: None, severity: Severity::Error, text }
    }

    /// Whether it keeps the configuration from being used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        match self.severity {
            Severity::Error => write!(f, " {}", self.text),
            Severity::Warning => write!(f, " warning: {}", self.text),
        }
    }
}

/// Collects diagnostics of one file.
pub(super) struct Diagnostics<'p> {
    path: &'p Path,
    /// By line; those of one line in the order in which they were found.
    kept: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl<'p> Diagnostics<'p> {
    pub(super) fn new(path: &'p Path) -> Diagnostics<'p> {
        Diagnostics { path, kept: Vec::new(), errors: 0, warnings: 0 }
    }

    /// Once, however many tickets inherit the line.
    pub(super) fn error(&mut self, line: u32, text: impl fmt::Display) {
        let text = text.to_string();
        if self.kept.iter().any(|known| known.line == Some(line) && known.text == text) {
            return;
        }
        self.errors += 1;
        if self.errors <= MAX_DIAGNOSTICS {
            self.keep(line, Severity::Error, text);
        }
    }

    pub(super) fn warn(&mut self, line: u32, text: impl fmt::Display) {
        self.warnings += 1;
        if self.warnings <= MAX_DIAGNOSTICS {
            self.keep(line, Severity::Warning, text);
        }
    }

    /// Reports an error, if it is one; `Some` only where it is none.
    pub(super) fn ok<T, E: fmt::Display>(&mut self, line: u32, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.error(line, error)).ok()
    }

    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// All that was kept, by line; then how many more there were.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        for (found, severity, noun) in
            [(self.warnings, Severity::Warning, "warning"), (self.errors, Severity::Error, "error")]
        {
            let more = found.saturating_sub(MAX_DIAGNOSTICS);
            if more > 0 {
                let plural = if more == 1 { "" } else { "s" };
                let text = format!("and {more} more {noun}{plural}");
                self.kept.push(Diagnostic { path: self.path.to_owned(), line: None, severity, text });
            }
        }
        self.kept
    }

    fn keep(&mut self, line: u32, severity: Severity, text: impl fmt::Display) {
        let at = self.kept.partition_point(|earlier| earlier.line <= Some(line));
        let diagnostic = Diagnostic { path: self.path.to_owned(), line: Some(line), severity, text: text.to_string() };
        self.kept.insert(at, diagnostic);
    }
}

/// Text from a file, made safe to print: control characters escaped, cut where it is long.
pub(super) struct Shown<'a>(pub(super) &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.chars();
        for character in characters.by_ref().take(MAX_SHOWN) {
            if character.is_control() {
                write!(f, "{}", character.escape_default())?;
            } else {
                write!(f, "{character}")?;
            }
        }
        if characters.next().is_some() { write!(f, "...") } else { Ok(()) }
    }
}
