//! What must hold of any bytes that arrive as a datagram or on a client's stream: no panic, and what is
//! taken as a message is the same message after it has been written and read again.

use booth_core::wire::{self, HEADER_LEN, Key, MAX_MESSAGE, MAX_TEXT, ReplyFrame, TRAILER_LEN};

/// The key that the recorded traffic is signed with.
pub const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// Panics if something that must hold does not.
pub fn judge(bytes: &[u8]) {
    let key = Key::new(KEY);
    for key in [None, Some(&key)] {
        judge_message(bytes, key);
        if let Ok((_, text)) = wire::decode_text_header(bytes, key) {
            assert!(text <= MAX_TEXT);
        }
    }
    judge_frames(bytes);
    let _ = wire::claimed_sender(bytes);
    if let Some(signed) = sign(bytes, &key) {
        judge_message(&signed, Some(&key));
    }
}

/// The lengths that a stream's reader goes by are such that its buffers suffice.
fn judge_frames(bytes: &[u8]) {
    if let Ok(frame) = wire::frame_length(bytes) {
        assert!((HEADER_LEN..=MAX_MESSAGE).contains(&frame.message) && frame.surplus <= TRAILER_LEN, "{frame:?}");
    }
    match wire::reply_frame(bytes) {
        Ok(ReplyFrame::Message(length)) => assert!((HEADER_LEN..=MAX_MESSAGE).contains(&length)),
        Ok(ReplyFrame::Text { header, text }) => assert!(header <= HEADER_LEN + TRAILER_LEN && text <= MAX_TEXT),
        Err(_) => {}
    }
}

fn judge_message(bytes: &[u8], key: Option<&Key>) {
    let Ok(message) = wire::decode(bytes, key) else { return };
    assert!(key.is_none() || bytes.len() > HEADER_LEN, "a signed message has a trailer");
    let mut again = [0; MAX_MESSAGE];
    let length = wire::encode(&message, key, &mut again);
    assert_eq!(length, bytes.len());
    assert_eq!(wire::decode(&again[..length], key), Ok(message));
}

/// The message as a member that has the key would send it: else no mutated one passes the MAC.
fn sign(bytes: &[u8], key: &Key) -> Option<Vec<u8>> {
    let plain = wire::decode(bytes, None).ok()?;
    let mut signed = [0; MAX_MESSAGE];
    let length = wire::encode(&plain, Some(key), &mut signed);
    Some(signed[..length].to_vec())
}
