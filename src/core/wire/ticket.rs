//! The ticket body: name, leader, term, validity.

use super::text::{self, NAME_LEN};
use super::{DropReason, LeaderField, TICKET_LEN, TicketBody};
use crate::member::SiteId;

const LEADER: usize = NAME_LEN;
const TERM: usize = LEADER + 4;
const VALID_FOR: usize = TERM + 4;
const _: () = assert!(VALID_FOR + 4 == TICKET_LEN);

/// `leader` when nobody holds the ticket.
const NOBODY: u32 = 0xFFFF_FFFF;

/// Parses the body in exactly [`TICKET_LEN`] bytes.
pub(super) fn parse(bytes: &[u8], may_be_empty: bool) -> Result<TicketBody<'_>, DropReason> {
    let (field, words) = bytes.split_at_checked(NAME_LEN).ok_or(DropReason::BadLength)?;
    let (&[leader, term, valid_for], []) = words.as_chunks::<4>() else {
        return Err(DropReason::BadLength);
    };
    let name = text::parse_ticket_name(field)?;
    if name.is_empty() && !may_be_empty {
        return Err(DropReason::BadText);
    }
    Ok(TicketBody {
        name,
        leader: LeaderField::from_word(u32::from_be_bytes(leader)),
        term: u32::from_be_bytes(term),
        valid_for: u32::from_be_bytes(valid_for),
    })
}

/// Writes the body into [`TICKET_LEN`] zeros.
pub(super) fn emit(body: &TicketBody<'_>, out: &mut [u8]) {
    text::emit(body.name, &mut out[..NAME_LEN]);
    out[LEADER..TERM].copy_from_slice(&body.leader.word().to_be_bytes());
    out[TERM..VALID_FOR].copy_from_slice(&body.term.to_be_bytes());
    out[VALID_FOR..].copy_from_slice(&body.valid_for.to_be_bytes());
}

impl LeaderField {
    fn from_word(word: u32) -> LeaderField {
        match word {
            0 => LeaderField::Unknown,
            NOBODY => LeaderField::Nobody,
            id => LeaderField::Member(SiteId(id)),
        }
    }

    fn word(self) -> u32 {
        match self {
            LeaderField::Unknown => 0,
            LeaderField::Nobody => NOBODY,
            LeaderField::Member(SiteId(id)) => id,
        }
    }
}
