//! Lines of a configuration file: `key = value`, one a line, a later line never continues an earlier.
//!
//! A value is bare (to the end of the line, blanks at its end cut) or in `"` or `'`; `#` starts a
//! comment at the start of a line or behind a quoted value. Works on bytes, so that any input is
//! either an [`Entry`] or a [`LineError`]; what stands in a comment is not looked at.

use super::diagnostic::Shown;
use std::fmt;

/// The longest key, in bytes.
pub const MAX_KEY: usize = 63;
/// The longest value, in bytes.
pub const MAX_VALUE: usize = 4096;

/// A line that says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// Letters, digits, `-`, `_`; not empty.
    pub(super) key: &'a str,
    /// No control characters but tabs, at most [`MAX_VALUE`] bytes; empty only where quoted.
    pub(super) value: &'a str,
    /// Whether the value was quoted.
    pub(super) quoted: bool,
}

/// Why a line is not an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineError {
    ByteOrderMark,
    NoKey,
    NoEquals,
    NoValue,
    KeyTooLong(usize),
    ValueTooLong { key: String, length: usize },
    Unterminated(char),
    Surplus(String),
    NotUtf8 { offset: usize },
    ControlCharacter { code: u32, offset: usize },
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineError::ByteOrderMark => write!(f, "byte order mark at the start of the file; save it without one"),
            LineError::NoKey => write!(f, "No key in front of the value, expected KEY = VALUE"),
            LineError::NoEquals => write!(f, "Expected '=' after key: KEY = VALUE"),
            LineError::NoValue => write!(f, "No value, expected KEY = VALUE"),
            LineError::KeyTooLong(length) => {
                write!(f, "key/value too long: the key has {length} bytes, expected at most {MAX_KEY}")
            }
            LineError::ValueTooLong { key, length } => write!(
                f,
                "key/value too long: the value of {} has {length} bytes, expected at most {MAX_VALUE}",
                Shown(key)
            ),
            LineError::Unterminated(quote) => {
                write!(f, "Unterminated quoted string, expected a closing {quote} on the same line")
            }
            LineError::Surplus(text) => write!(
                f,
                "Surplus data after value: '{}', expected nothing or a comment behind the closing quote",
                Shown(text)
            ),
            LineError::NotUtf8 { offset } => write!(f, "byte {offset} of the value is not UTF-8"),
            LineError::ControlCharacter { code, offset } => {
                write!(f, "control character 0x{code:02x} at byte {offset} of the value")
            }
        }
    }
}

/// The entries of a file with their line numbers, from 1; empty lines and comments are left out.
pub(super) fn entries(bytes: &[u8]) -> impl Iterator<Item = (u32, Result<Entry<'_>, LineError>)> {
    (1u32..).zip(bytes.split(|byte| *byte == b'\n')).filter_map(|(number, line)| {
        let line = trim(line);
        if line.is_empty() || line.starts_with(b"#") {
            return None;
        }
        Some((number, entry(line)))
    })
}

/// How many lines a file has, at least 1.
pub(super) fn count(bytes: &[u8]) -> u32 {
    let ends = bytes.strip_suffix(b"\n").unwrap_or(bytes).iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(ends).unwrap_or(u32::MAX).saturating_add(1)
}

fn entry(line: &[u8]) -> Result<Entry<'_>, LineError> {
    if line.starts_with(b"\xef\xbb\xbf") {
        return Err(LineError::ByteOrderMark);
    }
    let key_length = line.iter().take_while(|byte| is_key_byte(**byte)).count();
    let (key, rest) = line.split_at(key_length);
    if key.is_empty() {
        return Err(LineError::NoKey);
    }
    if key.len() > MAX_KEY {
        return Err(LineError::KeyTooLong(key.len()));
    }
    let key = text(key)?;
    let value = trim(trim(rest).strip_prefix(b"=").ok_or(LineError::NoEquals)?);
    let (value, quoted) = match value.first() {
        None => return Err(LineError::NoValue),
        Some(quote @ (b'"' | b'\'')) => (quoted_value(value, *quote)?, true),
        Some(_) => (value, false),
    };
    if value.len() > MAX_VALUE {
        return Err(LineError::ValueTooLong { key: key.to_owned(), length: value.len() });
    }
    Ok(Entry { key, value: text(value)?, quoted })
}

/// What stands between the quotes; `value` starts with one.
fn quoted_value(value: &[u8], quote: u8) -> Result<&[u8], LineError> {
    let inner = value.get(1..).unwrap_or_default();
    let end = inner.iter().position(|byte| *byte == quote).ok_or(LineError::Unterminated(char::from(quote)))?;
    let (inside, rest) = inner.split_at(end);
    let behind = trim(rest.get(1..).unwrap_or_default());
    if behind.is_empty() || behind.starts_with(b"#") {
        Ok(inside)
    } else {
        Err(LineError::Surplus(String::from_utf8_lossy(behind).into_owned()))
    }
}

fn text(bytes: &[u8]) -> Result<&str, LineError> {
    let text = std::str::from_utf8(bytes).map_err(|error| LineError::NotUtf8 { offset: error.valid_up_to() })?;
    match text.char_indices().find(|(_, character)| character.is_control() && *character != '\t') {
        Some((offset, character)) => Err(LineError::ControlCharacter { code: character.into(), offset }),
        None => Ok(text),
    }
}

fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// Without the blanks at both ends.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_blank(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_blank(*last)
    {
        bytes = rest;
    }
    bytes
}
