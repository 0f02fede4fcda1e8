//! The attribute body: ticket, name, value.

use super::text::{self, NAME_LEN, VALUE_LEN};
use super::{ATTRIBUTE_LEN, AttributeBody, Command, DropReason};

const NAME: usize = NAME_LEN;
const VALUE: usize = NAME + NAME_LEN;
const _: () = assert!(VALUE + VALUE_LEN == ATTRIBUTE_LEN);

/// Parses the body in exactly [`ATTRIBUTE_LEN`] bytes. Only a list names no attribute.
pub(super) fn parse(bytes: &[u8], command: Command) -> Result<AttributeBody<'_>, DropReason> {
    let (ticket, rest) = bytes.split_at_checked(NAME_LEN).ok_or(DropReason::BadLength)?;
    let (name, value) = rest.split_at_checked(NAME_LEN).ok_or(DropReason::BadLength)?;
    let body = AttributeBody {
        ticket: text::parse_ticket_name(ticket)?,
        name: text::parse_attribute_text(name)?,
        value: text::parse_attribute_text(value)?,
    };
    if body.name.is_empty() && command != Command::AttributeList {
        return Err(DropReason::BadText);
    }
    Ok(body)
}

/// Writes the body into [`ATTRIBUTE_LEN`] zeros.
pub(super) fn emit(body: &AttributeBody<'_>, out: &mut [u8]) {
    text::emit(body.ticket, &mut out[..NAME]);
    text::emit(body.name, &mut out[NAME..VALUE]);
    text::emit(body.value, &mut out[VALUE..]);
}
