//! Bad input to the wire format: a typed reason for each, never a panic, never half a message.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use booth_core::member::SiteId;
use booth_core::time::WallTime;
use booth_core::wire::{
    self, AttributeBody, Body, Command, DropReason, Frame, HEADER_LEN, Header, Key, LeaderField, MAX_MESSAGE, MAX_TEXT,
    Message, Outcome, Reason, ReplyFrame, TRAILER_LEN, TicketBody,
};

const OPTS: usize = 0;
const USECS: usize = 8;
const MAGIC: usize = 12;
const VERSION: usize = 16;
const LENGTH: usize = 24;
const CMD: usize = 28;
const REQUEST: usize = 32;
const RESULT: usize = 44;
const NAME: usize = HEADER_LEN;
const ATTRIBUTE_NAME: usize = NAME + 64;
const ATTRIBUTE_VALUE: usize = ATTRIBUTE_NAME + 64;

fn key() -> Key {
    Key::new(b"0123456789abcdef0123456789abcdef")
}

fn header(command: Command) -> Header {
    Header {
        stamp: WallTime(1_795_412_491_240_507),
        sender: SiteId(771_018_248),
        command,
        request: None,
        options: 0,
        reason: Reason::None,
        outcome: Outcome::Success,
    }
}

fn ticket(command: Command, name: &str) -> Message<'_> {
    let body = TicketBody { name, leader: LeaderField::Nobody, term: 7, valid_for: 600 };
    Message { header: header(command), body: Body::Ticket(body) }
}

fn attribute<'a>(command: Command, name: &'a str, value: &'a str) -> Message<'a> {
    Message { header: header(command), body: Body::Attribute(AttributeBody { ticket: "T", name, value }) }
}

fn encoded(message: &Message<'_>, key: Option<&Key>) -> Vec<u8> {
    let mut out = [0xAA; MAX_MESSAGE];
    let length = wire::encode(message, key, &mut out);
    out[..length].to_vec()
}

/// The reason for which a message without signature is dropped once these bytes of it are changed.
fn reason_with(message: &Message<'_>, at: usize, bytes: &[u8]) -> Option<DropReason> {
    let mut changed = encoded(message, None);
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    wire::decode(&changed, None).err()
}

/// Brings the trailer of a signed message into agreement with its changed content.
fn signed_again(message: &mut [u8], secret: &[u8]) {
    use hmac::{KeyInit, Mac};
    let end = message.len() - TRAILER_LEN;
    let mac = hmac::Hmac::<sha1::Sha1>::new_from_slice(secret).unwrap().chain_update(&message[..end]).finalize();
    message[end + 4..end + 24].copy_from_slice(&mac.into_bytes());
}

#[test]
fn every_kind_of_message_comes_back_as_it_was() {
    let key = key();
    for command in [Command::Status, Command::Ack, Command::ClientList, Command::Result] {
        let mut message = ticket(command, "db/primary-1");
        message.header.request = Some(Command::Heartbeat);
        message.header.options = 0xDEAD_BEEF;
        message.header.reason = Reason::Other(0x3F3F_3F3F);
        message.header.outcome = Outcome::Other(9);
        assert_eq!(wire::decode(&encoded(&message, Some(&key)), Some(&key)), Ok(message));
        message.header.stamp = WallTime(0);
        assert_eq!(wire::decode(&encoded(&message, None), None), Ok(message));
    }
    let message = attribute(Command::AttributeSet, "repl_state", "größer als zuvor");
    assert_eq!(wire::decode(&encoded(&message, Some(&key)), Some(&key)), Ok(message));
    let message = Message { header: header(Command::Result), body: Body::Empty };
    assert_eq!(wire::decode(&encoded(&message, Some(&key)), Some(&key)), Ok(message));
    let message = ticket(Command::ClientList, "");
    assert_eq!(wire::decode(&encoded(&message, Some(&key)), Some(&key)), Ok(message));
}

#[test]
fn names_and_values_reach_their_limits() {
    let (name, value) = ("n".repeat(63), "v".repeat(127));
    let message = attribute(Command::AttributeSet, &name, &value);
    let key = key();
    let bytes = encoded(&message, Some(&key));
    assert_eq!(bytes.len(), MAX_MESSAGE);
    assert_eq!(wire::decode(&bytes, Some(&key)), Ok(message));
    assert_eq!(wire::decode(&encoded(&ticket(Command::Vote, &name), Some(&key)), Some(&key)).map(|_| ()), Ok(()));
    assert!(wire::is_ticket_name(&name) && !wire::is_ticket_name(&"n".repeat(64)) && !wire::is_ticket_name(""));
    assert!(!wire::is_ticket_name("a b") && !wire::is_ticket_name("a_b") && wire::is_ticket_name("a/B-9"));
    assert!(wire::is_attribute_text(&value, 127) && !wire::is_attribute_text(&value, 126));
    assert!(!wire::is_attribute_text("a\nb", 127));
}

#[test]
#[should_panic(expected = "a name longer than its field")]
fn a_name_too_long_is_never_cut_off() {
    encoded(&ticket(Command::Vote, &"n".repeat(64)), None);
}

#[test]
fn every_length_but_the_right_one_is_dropped() {
    let key = key();
    let messages = [ticket(Command::Status, "T"), attribute(Command::AttributeSet, "a", "b")];
    for (message, key) in messages.iter().flat_map(|message| [(message, None), (message, Some(&key))]) {
        let good = encoded(message, key);
        for length in (0..=2000).filter(|length| *length != good.len()) {
            let mut bytes = good.clone();
            bytes.resize(length, 0);
            let reason =
                if (HEADER_LEN..=MAX_MESSAGE).contains(&length) { DropReason::BadLength } else { DropReason::BadSize };
            assert_eq!(wire::decode(&bytes, key), Err(reason), "{length} bytes");
            if length < HEADER_LEN {
                assert_eq!(wire::claimed_sender(&bytes), None);
                assert_eq!(wire::frame_length(&bytes), Err(DropReason::BadSize));
                assert_eq!(wire::reply_frame(&bytes), Err(DropReason::BadSize));
                assert_eq!(wire::decode_text_header(&bytes, key), Err(DropReason::BadSize));
            }
        }
    }
}

/// The header says the length that the datagram has, but no body of that length exists.
#[test]
fn a_length_that_agrees_with_the_datagram_must_fit_the_command_too() {
    let secret = b"0123456789abcdef";
    let key = Key::new(secret);
    for key in [None, Some(&key)] {
        let good = encoded(&ticket(Command::Status, "T"), key);
        for length in (HEADER_LEN..=MAX_MESSAGE).filter(|length| *length != good.len()) {
            let mut bytes = good.clone();
            bytes.resize(length, 0);
            bytes[LENGTH..LENGTH + 4].copy_from_slice(&(length as u32).to_be_bytes());
            if key.is_some() && length >= HEADER_LEN + TRAILER_LEN {
                let end = length - TRAILER_LEN;
                bytes[end..].copy_from_slice(&good[good.len() - TRAILER_LEN..]);
                signed_again(&mut bytes, secret);
            }
            assert_eq!(wire::decode(&bytes, key), Err(DropReason::BadLength), "{length} bytes, {key:?}");
        }
    }
}

#[test]
fn no_bit_of_a_signed_message_can_be_changed() {
    let key = key();
    for message in [ticket(Command::Heartbeat, "T"), attribute(Command::AttributeSet, "a", "b")] {
        let good = encoded(&message, Some(&key));
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 0x80 >> (bit % 8);
            let expected = match bit / 8 {
                3 if bit % 8 == 7 => DropReason::NotAuthenticated,
                // The bit of attribute messages: known, so only the MAC tells.
                3 if bit % 8 == 5 => DropReason::BadMac,
                OPTS..4 => DropReason::BadOptions,
                MAGIC..VERSION => DropReason::BadMagic,
                VERSION..20 => DropReason::BadVersion,
                LENGTH..CMD => DropReason::BadLength,
                at if (good.len() - TRAILER_LEN..good.len() - TRAILER_LEN + 4).contains(&at) => DropReason::BadHashId,
                _ => DropReason::BadMac,
            };
            assert_eq!(wire::decode(&bytes, Some(&key)), Err(expected), "bit {bit}");
        }
    }
}

/// A flipped bit without a key is either refused or read as it stands; nothing else can be asked for.
#[test]
fn any_bit_of_an_unsigned_message_may_flip_without_harm() {
    let good = encoded(&ticket(Command::Heartbeat, "T"), None);
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
        if let Ok(message) = wire::decode(&bytes, None) {
            assert_eq!(wire::decode(&encoded(&message, None), None), Ok(message), "bit {bit}");
        }
    }
}

#[test]
fn both_ends_must_agree_on_signing() {
    let (key, other) = (key(), Key::new(b"another key, of another length"));
    let message = ticket(Command::Heartbeat, "T");
    assert_eq!(wire::decode(&encoded(&message, None), Some(&key)), Err(DropReason::NotAuthenticated));
    assert_eq!(wire::decode(&encoded(&message, Some(&key)), None), Err(DropReason::NoKey));
    assert_eq!(wire::decode(&encoded(&message, Some(&other)), Some(&key)), Err(DropReason::BadMac));
    for reason in [DropReason::NotAuthenticated, DropReason::NoKey, DropReason::BadMac, DropReason::BadHashId] {
        assert!(reason.is_authentication());
    }
}

/// Short keys are padded to a block and those longer than one are hashed (RFC 2104, section 2).
#[test]
fn keys_of_every_length_are_those_of_hmac() {
    for secret in [&[0x0b; 20][..], b"Jefe", &[0xaa; 80], &[0x55; 64], &[0x55; 65], b""] {
        let mut bytes = encoded(&ticket(Command::Status, "T"), Some(&Key::new(secret)));
        let ours = bytes.clone();
        signed_again(&mut bytes, secret);
        assert_eq!(ours, bytes, "a key of {} bytes", secret.len());
    }
}

#[test]
fn fields_that_cannot_be_read_are_refused_by_name() {
    let message = ticket(Command::Status, "T");
    for (at, bytes, reason) in [
        (OPTS, [0, 0, 0, 2], DropReason::BadOptions),
        (OPTS, [0x80, 0, 0, 0], DropReason::BadOptions),
        (OPTS, [0, 0, 0, 1], DropReason::NoKey),
        (MAGIC, [0; 4], DropReason::BadMagic),
        (VERSION, [0, 1, 0, 2], DropReason::BadVersion),
        (LENGTH, [0xFF; 4], DropReason::BadLength),
        (CMD, *b"stat", DropReason::UnknownCommand),
        (CMD, [0; 4], DropReason::UnknownCommand),
        (REQUEST, *b"????", DropReason::UnknownCommand),
        // A ticket body belongs to no text reply and to no attribute message.
        (CMD, *b"RLst", DropReason::BadLength),
        (CMD, *b"AGet", DropReason::BadLength),
    ] {
        assert_eq!(reason_with(&message, at, &bytes), Some(reason), "{bytes:?} at {at}");
    }
    assert_eq!(reason_with(&message, OPTS, &[0, 0, 0, 4]), None, "the attribute bit says nothing new");
    assert_eq!(reason_with(&message, RESULT, b"????"), None, "an unknown result is kept");
}

#[test]
fn a_stamp_is_only_read_where_it_is_signed() {
    let secret = b"0123456789abcdef";
    let key = Key::new(secret);
    let message = ticket(Command::Status, "T");
    assert_eq!(reason_with(&message, USECS, &1_000_000_u32.to_be_bytes()), None);
    assert_eq!(encoded(&message, None)[4..12], [0; 8], "nor sent elsewhere");
    let mut bytes = encoded(&message, Some(&key));
    for (micros, expected) in
        [(999_999_u32, None), (1_000_000, Some(DropReason::BadStamp)), (u32::MAX, Some(DropReason::BadStamp))]
    {
        bytes[USECS..USECS + 4].copy_from_slice(&micros.to_be_bytes());
        signed_again(&mut bytes, secret);
        assert_eq!(wire::decode(&bytes, Some(&key)).err(), expected, "{micros}");
    }
}

#[test]
fn names_are_terminated_and_clean() {
    let message = ticket(Command::Status, "T");
    for bad in [&[b'x'; 64][..], b"a b\0", b"a_b\0", b"\xC3\xA4\0", b"\n\0", b"\0"] {
        assert_eq!(reason_with(&message, NAME, bad), Some(DropReason::BadText), "{bad:?}");
    }
    // No ticket named: for a client that asks for the list, not for a grant's outcome among daemons.
    assert_eq!(reason_with(&ticket(Command::ClientList, "T"), NAME, b"\0"), None);
    let mut with_garbage = encoded(&message, None);
    with_garbage[NAME + 2..NAME + 64].fill(0xFF);
    assert_eq!(wire::decode(&with_garbage, None), wire::decode(&encoded(&message, None), None), "behind the NUL");

    let message = attribute(Command::AttributeSet, "a", "b");
    for at in [ATTRIBUTE_NAME, ATTRIBUTE_VALUE] {
        for bad in [&b"\xFF\0"[..], b"\x07\0", b"a\nb\0", b"\x7F\0", b"\xC2\x85\0"] {
            assert_eq!(reason_with(&message, at, bad), Some(DropReason::BadText), "{bad:?} at {at}");
        }
    }
    assert_eq!(reason_with(&message, ATTRIBUTE_NAME, &[b'x'; 64]), Some(DropReason::BadText));
    assert_eq!(reason_with(&message, ATTRIBUTE_VALUE, &[b'x'; 128]), Some(DropReason::BadText));
    assert_eq!(reason_with(&message, ATTRIBUTE_NAME, b"\0"), Some(DropReason::BadText), "which attribute?");
    assert_eq!(reason_with(&message, ATTRIBUTE_VALUE, b"\0"), None);
    assert_eq!(reason_with(&attribute(Command::AttributeList, "", ""), ATTRIBUTE_NAME, b"\0"), None);
}

#[test]
fn all_ones_and_all_zeros_are_nothing() {
    let key = key();
    for (byte, key) in [(0x00, None), (0xFF, None), (0x00, Some(&key)), (0xFF, Some(&key))] {
        for length in 0..=2000 {
            let reason =
                if (HEADER_LEN..=MAX_MESSAGE).contains(&length) { DropReason::BadMagic } else { DropReason::BadSize };
            assert_eq!(wire::decode(&vec![byte; length], key), Err(reason));
        }
        assert_eq!(wire::claimed_sender(&[byte; MAX_MESSAGE]), None);
        assert_eq!(wire::frame_length(&[byte; MAX_MESSAGE]), Err(DropReason::BadMagic));
        assert_eq!(wire::reply_frame(&[byte; MAX_MESSAGE]), Err(DropReason::BadMagic));
    }
}

/// Without a key the reference's client sends 28 bytes more than `length` says, but not for every request.
#[test]
fn requests_have_the_surplus_that_the_reference_sends() {
    let key = key();
    for (command, surplus) in [
        (Command::ClientList, TRAILER_LEN),
        (Command::ClientPeers, TRAILER_LEN),
        (Command::ClientGrant, 0),
        (Command::ClientRevoke, 0),
    ] {
        let message = ticket(command, "T");
        assert_eq!(wire::frame_length(&encoded(&message, None)), Ok(Frame { message: 124, surplus }));
        assert_eq!(wire::frame_length(&encoded(&message, Some(&key))), Ok(Frame { message: 152, surplus: 0 }));
    }
    for (command, surplus) in [
        (Command::AttributeGet, TRAILER_LEN),
        (Command::AttributeList, TRAILER_LEN),
        (Command::AttributeSet, 0),
        (Command::AttributeDelete, 0),
    ] {
        let message = attribute(command, "a", "");
        assert_eq!(wire::frame_length(&encoded(&message, None)), Ok(Frame { message: 304, surplus }));
        assert_eq!(wire::frame_length(&encoded(&message, Some(&key))), Ok(Frame { message: 332, surplus: 0 }));
    }
}

#[test]
fn a_stream_that_is_no_request_is_refused_by_its_header() {
    let mut bytes = encoded(&ticket(Command::ClientGrant, "T"), None);
    for length in [0_u32, 47, 48, 123, 125, 152, 1 << 20, u32::MAX] {
        bytes[LENGTH..LENGTH + 4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(wire::frame_length(&bytes[..HEADER_LEN]), Err(DropReason::BadLength), "{length}");
    }
    for command in [Command::Heartbeat, Command::Result, Command::ListReply] {
        let message = Message { header: header(command), ..ticket(command, "T") };
        assert_eq!(wire::frame_length(&encoded(&message, None)), Err(DropReason::UnknownCommand));
    }
}

#[test]
fn text_replies_say_how_long_the_text_is() {
    let key = key();
    let mut out = [0; MAX_MESSAGE];
    for (key, overhead) in [(None, HEADER_LEN), (Some(&key), HEADER_LEN + TRAILER_LEN)] {
        for text in [0, 1, 258, MAX_TEXT] {
            let length = wire::encode_text_header(&header(Command::ListReply), text, key, &mut out);
            assert_eq!(length, overhead);
            assert_eq!(wire::reply_frame(&out[..HEADER_LEN]), Ok(ReplyFrame::Text { header: overhead, text }));
            assert_eq!(wire::decode_text_header(&out[..length], key).map(|(_, text)| text), Ok(text));
            assert_eq!(wire::decode_text_header(&out[..length - 1], key), Err(DropReason::BadSize));
        }
        for claimed in [0, overhead - 1, overhead + MAX_TEXT + 1, u32::MAX as usize] {
            let mut bytes = out;
            bytes[LENGTH..LENGTH + 4].copy_from_slice(&(claimed as u32).to_be_bytes());
            assert_eq!(wire::reply_frame(&bytes), Err(DropReason::BadLength), "{claimed}");
            assert_eq!(wire::decode_text_header(&bytes, key), Err(DropReason::BadLength), "{claimed}");
        }
    }
    let last = wire::encode_text_header(&header(Command::ListReply), 10, Some(&key), &mut out) - 5;
    out[last] ^= 1;
    assert_eq!(wire::decode_text_header(&out, Some(&key)), Err(DropReason::BadMac));
}

#[test]
fn a_client_tells_results_from_texts() {
    let key = key();
    let bare = Message { header: header(Command::Result), body: Body::Empty };
    assert_eq!(wire::reply_frame(&encoded(&bare, None)), Ok(ReplyFrame::Message(48)));
    assert_eq!(wire::reply_frame(&encoded(&bare, Some(&key))), Ok(ReplyFrame::Message(76)));
    assert_eq!(wire::decode_text_header(&encoded(&bare, None), None), Err(DropReason::UnknownCommand));
    let full = ticket(Command::Result, "T");
    assert_eq!(wire::reply_frame(&encoded(&full, Some(&key))), Ok(ReplyFrame::Message(152)));
    assert_eq!(wire::reply_frame(&encoded(&ticket(Command::Vote, "T"), None)), Err(DropReason::UnknownCommand));
    let mut odd = encoded(&full, None);
    odd[LENGTH + 3] += 1;
    assert_eq!(wire::reply_frame(&odd), Err(DropReason::BadLength));
}
