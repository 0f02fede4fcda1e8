//! Text fields: NUL-terminated names and values of a fixed width.
//!
//! Whatever lies behind the NUL is not part of the text and is not looked at; what is sent has
//! zeros there.

use super::DropReason;
use crate::settings::{MAX_NAME, MAX_VALUE};

/// The width of a name's field: the name and its NUL.
pub(super) const NAME_LEN: usize = MAX_NAME + 1;
/// The width of a value's field: the value and its NUL.
pub(super) const VALUE_LEN: usize = MAX_VALUE + 1;

/// Whether `name` can be a ticket's: 1 to [`MAX_NAME`] bytes of letters, digits, `-` and `/`.
pub fn is_ticket_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(is_ticket_byte)
}

/// Whether `text` can be an attribute's name ([`MAX_NAME`]) or value ([`MAX_VALUE`]): at most `longest`
/// bytes, no control characters. A name must not be empty either.
pub fn is_attribute_text(text: &str, longest: usize) -> bool {
    text.len() <= longest && !text.contains(char::is_control)
}

/// The ticket name in a field; empty where none is meant.
pub(super) fn parse_ticket_name(field: &[u8]) -> Result<&str, DropReason> {
    let name = terminated(field)?;
    if name.bytes().all(is_ticket_byte) { Ok(name) } else { Err(DropReason::BadText) }
}

/// The attribute's name or value in a field; may be empty.
pub(super) fn parse_attribute_text(field: &[u8]) -> Result<&str, DropReason> {
    let text = terminated(field)?;
    if text.contains(char::is_control) { Err(DropReason::BadText) } else { Ok(text) }
}

/// Writes `text` into a field of zeros.
///
/// # Panics
/// When there is no room for the text and its NUL.
pub(super) fn emit(text: &str, field: &mut [u8]) {
    assert!(text.len() < field.len(), "a name longer than its field would name something else");
    field[..text.len()].copy_from_slice(text.as_bytes());
}

fn is_ticket_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'/'
}

fn terminated(field: &[u8]) -> Result<&str, DropReason> {
    core::ffi::CStr::from_bytes_until_nul(field).ok().and_then(|text| text.to_str().ok()).ok_or(DropReason::BadText)
}
