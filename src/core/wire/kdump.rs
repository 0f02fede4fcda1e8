//! The message of a node that writes its dump: "I have crashed, and I am harmless".
//!
//! Plain, it is `fence_kdump_send`'s: two words, a magic and a version, in the *sender's* byte order;
//! both orders are understood. Whatever follows is not looked at there, and that leaves room for a
//! signature. All that we append is big-endian:
//!
//! | at | bytes | what |
//! | --- | --- | --- |
//! | 8 | 4 | `BKD1` |
//! | 12 | 8 | the node: the start of its name's SHA-256 |
//! | 20 | 8 | the sequence number: when it was sent, by the sender's clock in microseconds since 1970 |
//! | 28 | 4 | for how long the sending kernel runs, in seconds |
//! | 32 | 32 | HMAC-SHA256 over all that precedes it |
//!
//! The sequence number grows from message to message and from dump to dump: one that is not greater
//! than the greatest of its node has been sent before.

use core::fmt;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The UDP port that listeners have unless told otherwise.
pub const PORT: u16 = 7410;
/// The length of a plain message.
pub const PLAIN_LEN: usize = 8;
/// The length of a signed message.
pub const SIGNED_LEN: usize = 64;
/// The first word.
pub const MAGIC: u32 = 0x1B30_2A40;
/// The second word.
pub const VERSION: u32 = 1;

/// A second in sequence numbers.
const SECOND: u64 = 1_000_000;
const TAG: &[u8; 4] = b"BKD1";
/// The block size of SHA-256; HMAC pads shorter keys with zeros and hashes longer ones.
const BLOCK_LEN: usize = 64;
const MAC_LEN: usize = 32;
/// What the MAC covers.
const COVERED_LEN: usize = SIGNED_LEN - MAC_LEN;

/// Who sends, whatever its address: the first eight bytes of the SHA-256 of the node's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 8]);

/// What a signed message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Who sends it.
    pub node: NodeId,
    /// Grows from message to message and from dump to dump: see [`sequence`].
    pub sequence: u64,
    /// For how long the sending kernel runs, in seconds. A crash kernel is young.
    pub uptime: u32,
}

/// A message that has been read, and whether its words are the node's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Without our trailer: its source address is all that is known of its sender.
    Unsigned,
    /// Signed, but there is no key to check it with: as good as [`Message::Unsigned`].
    Unverified(Announcement),
    /// The signature is not one of this key: nothing in it is to be believed.
    Forged(Announcement),
    /// The signature is right. Whether it is a replay, the sequence number tells.
    Verified(Announcement),
}

/// Why bytes are no message of a dumping node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// Shorter than a plain message.
    BadSize,
    /// The first word is not the magic, in neither order.
    BadMagic,
    /// The second word is not the version, in the order of the first.
    BadVersion,
}

/// A node's key, prepared: both of HMAC's inner states are computed once.
#[derive(Clone)]
pub struct Key {
    prepared: Hmac<Sha256>,
}

impl NodeId {
    /// The id of the node with this name.
    pub fn of(name: &[u8]) -> NodeId {
        let [a, b, c, d, e, f, g, h, ..] = <[u8; MAC_LEN]>::from(Sha256::digest(name));
        NodeId([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({:016x})", u64::from_be_bytes(self.0))
    }
}

impl Key {
    /// Prepares a key. Any length will do; [`super::secret_in`] refuses those that are too short to be safe.
    pub fn new(secret: &[u8]) -> Key {
        let mut block = [0; BLOCK_LEN];
        if secret.len() > BLOCK_LEN {
            return Key::new(&Sha256::digest(secret));
        }
        block.iter_mut().zip(secret).for_each(|(to, byte)| *to = *byte);
        Key { prepared: Hmac::new(&block.into()) }
    }

    fn mac_of(&self, content: &[u8]) -> Hmac<Sha256> {
        self.prepared.clone().chain_update(content)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// The sequence number of a message that is sent `sent` seconds and `micros` microseconds after 1970, which must be
/// later than the one before: a sender whose clock is set back counts on from its last number.
pub fn sequence(sent: u32, micros: u32) -> u64 {
    u64::from(sent) * SECOND + u64::from(micros)
}

/// When a message was sent, by the sender's clock in seconds since 1970.
pub fn sent(sequence: u64) -> u32 {
    u32::try_from(sequence / SECOND).unwrap_or(u32::MAX)
}

/// A plain message, in this machine's byte order as the original's.
pub fn encode_plain() -> [u8; PLAIN_LEN] {
    let mut bytes = [0; PLAIN_LEN];
    bytes[..4].copy_from_slice(&MAGIC.to_ne_bytes());
    bytes[4..].copy_from_slice(&VERSION.to_ne_bytes());
    bytes
}

/// A signed message.
pub fn encode_signed(announcement: &Announcement, key: &Key) -> [u8; SIGNED_LEN] {
    let mut bytes = [0; SIGNED_LEN];
    let (content, mac) = bytes.split_at_mut(COVERED_LEN);
    content[..8].copy_from_slice(&encode_plain());
    content[8..12].copy_from_slice(TAG);
    content[12..20].copy_from_slice(&announcement.node.0);
    content[20..28].copy_from_slice(&announcement.sequence.to_be_bytes());
    content[28..32].copy_from_slice(&announcement.uptime.to_be_bytes());
    mac.copy_from_slice(&key.mac_of(content).finalize().into_bytes());
    bytes
}

/// Reads one whole datagram. `key` is the one that its node should have signed it with, where there is one; where
/// keys differ from node to node, [`Message::Unverified`] tells which to take.
///
/// # Errors
/// Why it is no message of a dumping node at all.
pub fn decode(bytes: &[u8], key: Option<&Key>) -> Result<Message, DropReason> {
    let (head, _) = bytes.split_first_chunk::<PLAIN_LEN>().ok_or(DropReason::BadSize)?;
    let [a, b, c, d, e, f, g, h] = *head;
    let (magic, version) = ([a, b, c, d], [e, f, g, h]);
    let version = match magic {
        _ if u32::from_be_bytes(magic) == MAGIC => u32::from_be_bytes(version),
        _ if u32::from_le_bytes(magic) == MAGIC => u32::from_le_bytes(version),
        _ => return Err(DropReason::BadMagic),
    };
    if version != VERSION {
        return Err(DropReason::BadVersion);
    }
    let Some((announcement, content, mac)) = <&[u8; SIGNED_LEN]>::try_from(bytes).ok().and_then(trailer) else {
        return Ok(Message::Unsigned);
    };
    let Some(key) = key else { return Ok(Message::Unverified(announcement)) };
    // `verify_slice` takes the same time wherever the first wrong byte is.
    let verified = key.mac_of(content).verify_slice(mac).is_ok();
    Ok(if verified { Message::Verified(announcement) } else { Message::Forged(announcement) })
}

/// What a message of a signed one's length announces, what of it is signed, and the signature.
fn trailer(bytes: &[u8; SIGNED_LEN]) -> Option<(Announcement, &[u8], &[u8])> {
    let (content, mac) = bytes.split_at(COVERED_LEN);
    let rest = content[PLAIN_LEN..].strip_prefix(TAG)?;
    let (node, rest) = rest.split_first_chunk::<8>()?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (uptime, _) = rest.split_first_chunk::<4>()?;
    let announcement = Announcement {
        node: NodeId(*node),
        sequence: u64::from_be_bytes(*sequence),
        uptime: u32::from_be_bytes(*uptime),
    };
    Some((announcement, content, mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNOUNCEMENT: Announcement =
        Announcement { node: NodeId(*b"\0\x01\x02\x03\x04\x05\x06\x07"), sequence: 0x6553_F100_0000_0001, uptime: 3 };

    const COVERED: &[u8; 32] =
        b"\x40\x2a\x30\x1b\x01\0\0\0BKD1\0\x01\x02\x03\x04\x05\x06\x07\x65\x53\xf1\0\0\0\0\x01\0\0\0\x03";
    const MAC: [u8; 32] = [
        0x89, 0x4d, 0xc7, 0xe9, 0x95, 0xd7, 0x63, 0x6d, 0x4a, 0x64, 0x8d, 0x4b, 0x1b, 0x52, 0x26, 0x5d, 0x4e, 0xde,
        0xa7, 0x52, 0x8f, 0x19, 0xa8, 0x97, 0x2b, 0xf0, 0xc4, 0x38, 0x26, 0xac, 0x3b, 0xd2,
    ];
    const NODE1: NodeId = NodeId([0xca, 0x12, 0xf3, 0x1b, 0x8c, 0xbf, 0x5f, 0x29]);

    /// The same message from a machine of the other byte order, signed again.
    fn swapped(mut bytes: [u8; SIGNED_LEN], key: &Key) -> [u8; SIGNED_LEN] {
        bytes[..4].reverse();
        bytes[4..8].reverse();
        let mac = key.mac_of(&bytes[..COVERED_LEN]).finalize().into_bytes();
        bytes[COVERED_LEN..].copy_from_slice(&mac);
        bytes
    }

    #[test]
    fn both_byte_orders_are_understood_and_no_mixture() {
        assert_eq!(decode(b"\x40\x2a\x30\x1b\x01\0\0\0", None), Ok(Message::Unsigned));
        assert_eq!(decode(b"\x1b\x30\x2a\x40\0\0\0\x01", None), Ok(Message::Unsigned));
        assert_eq!(decode(b"\x40\x2a\x30\x1b\0\0\0\x01", None), Err(DropReason::BadVersion));
        assert_eq!(decode(b"\x1b\x30\x2a\x40\x01\0\0\0", None), Err(DropReason::BadVersion));
        assert_eq!(decode(b"\x2a\x40\x1b\x30\0\0\0\x01", None), Err(DropReason::BadMagic));
        assert_eq!(decode(&encode_plain(), None), Ok(Message::Unsigned));
    }

    #[test]
    fn what_is_too_short_is_no_message() {
        for len in 0..PLAIN_LEN {
            assert_eq!(decode(&encode_plain()[..len], None), Err(DropReason::BadSize));
        }
    }

    #[test]
    fn what_follows_a_plain_message_is_not_looked_at() {
        let key = Key::new(b"a long secret");
        let mut long = [0xA5; 1500];
        long[..PLAIN_LEN].copy_from_slice(&encode_plain());
        for len in PLAIN_LEN..long.len() {
            assert_eq!(decode(&long[..len], Some(&key)), Ok(Message::Unsigned), "{len}");
        }
    }

    #[test]
    fn a_signed_message_is_what_was_written_down() {
        // Python's `hmac.digest(b"0123456789abcdef", COVERED, "sha256")` and `hashlib.sha256(b"node1")`.
        let key = Key::new(b"0123456789abcdef");
        let mut bytes = encode_signed(&ANNOUNCEMENT, &key);
        if cfg!(target_endian = "big") {
            bytes = swapped(bytes, &key);
        }
        assert_eq!(bytes[..COVERED_LEN], *COVERED);
        assert_eq!(bytes[COVERED_LEN..], MAC);
        assert_eq!(NodeId::of(b"node1"), NODE1);
    }

    #[test]
    fn a_signed_message_is_verified_in_both_byte_orders() {
        let key = Key::new(b"a long secret");
        let bytes = encode_signed(&ANNOUNCEMENT, &key);
        for bytes in [bytes, swapped(bytes, &key)] {
            assert_eq!(decode(&bytes, Some(&key)), Ok(Message::Verified(ANNOUNCEMENT)));
            assert_eq!(decode(&bytes, None), Ok(Message::Unverified(ANNOUNCEMENT)));
            assert_eq!(decode(&bytes, Some(&Key::new(b"another secret"))), Ok(Message::Forged(ANNOUNCEMENT)));
        }
    }

    #[test]
    fn a_message_that_was_tampered_with_is_never_verified() {
        let key = Key::new(b"a long secret");
        let good = encode_signed(&ANNOUNCEMENT, &key);
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(decode(&bad, Some(&key)), Ok(Message::Verified(_))), "bit {bit}");
        }
        for len in 0..good.len() {
            assert!(!matches!(decode(&good[..len], Some(&key)), Ok(Message::Verified(_))), "{len} bytes");
        }
        let mut longer = [0; SIGNED_LEN + 1];
        longer[..SIGNED_LEN].copy_from_slice(&good);
        assert_eq!(decode(&longer, Some(&key)), Ok(Message::Unsigned));
    }

    #[test]
    fn long_keys_are_told_apart() {
        let bytes = encode_signed(&ANNOUNCEMENT, &Key::new(&[7; 65]));
        assert_eq!(decode(&bytes, Some(&Key::new(&[7; 65]))), Ok(Message::Verified(ANNOUNCEMENT)));
        assert_eq!(decode(&bytes, Some(&Key::new(&[7; 66]))), Ok(Message::Forged(ANNOUNCEMENT)));
    }

    #[test]
    fn a_later_dump_has_the_greater_sequence_numbers() {
        assert!(sequence(1, 1) < sequence(1, 2));
        assert!(sequence(1, 999_999) < sequence(2, 0));
        assert_eq!((sent(sequence(7, 999_999)), sent(u64::MAX)), (7, u32::MAX));
    }
}
