//! Message authentication: HMAC-SHA1 (RFC 2104) over all that precedes the trailer.
//!
//! The trailer is the hash id, 20 bytes of MAC and four zeros. The MAC does not cover the trailer,
//! so everything in it has one value only: a message has one signed form, and no bit of it can be
//! changed unnoticed.

use super::{DropReason, HEADER_LEN, MAX_MESSAGE, TRAILER_LEN};
use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};

/// The hash id of HMAC-SHA1, the only one in use.
const HMAC_SHA1: [u8; 4] = 2_u32.to_be_bytes();
/// The block size of SHA-1; HMAC pads shorter keys with zeros and hashes longer ones.
const BLOCK_LEN: usize = 64;
/// The length of a SHA-1 MAC.
const MAC_LEN: usize = 20;

/// The shared key, prepared: both of HMAC's inner states are computed once, and each message starts
/// with a copy of them.
#[derive(Clone)]
pub struct Key {
    prepared: Hmac<Sha1>,
}

impl Key {
    /// Prepares a key. Any length will do; the shell has refused those that are too short to be safe.
    pub fn new(secret: &[u8]) -> Key {
        let mut block = [0; BLOCK_LEN];
        match block.get_mut(..secret.len()) {
            Some(start) => start.copy_from_slice(secret),
            None => block[..MAC_LEN].copy_from_slice(&Sha1::digest(secret)),
        }
        Key { prepared: Hmac::new(&block.into()) }
    }

    fn mac_of(&self, content: &[u8]) -> Hmac<Sha1> {
        self.prepared.clone().chain_update(content)
    }
}

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Key")
    }
}

/// Checks that `bytes` are signed as they have to be; gives the part that precedes the trailer.
pub(super) fn open<'a>(bytes: &'a [u8], signed: bool, key: Option<&Key>) -> Result<&'a [u8], DropReason> {
    let key = match (signed, key) {
        (false, None) => return Ok(bytes),
        (false, Some(_)) => return Err(DropReason::NotAuthenticated),
        (true, None) => return Err(DropReason::NoKey),
        (true, Some(key)) => key,
    };
    let (content, trailer) = bytes.split_last_chunk::<TRAILER_LEN>().ok_or(DropReason::BadLength)?;
    let (hash_id, rest) = trailer.split_at(HMAC_SHA1.len());
    let (mac, padding) = rest.split_at(MAC_LEN);
    if content.len() < HEADER_LEN {
        return Err(DropReason::BadLength);
    }
    if hash_id != HMAC_SHA1 {
        return Err(DropReason::BadHashId);
    }
    // `verify_slice` takes the same time wherever the first wrong byte is.
    key.mac_of(content).verify_slice(mac).map_err(|_| DropReason::BadMac)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(DropReason::BadMac);
    }
    Ok(content)
}

/// Signs the first `end` bytes where there is a key; gives the length with the trailer.
pub(super) fn seal(out: &mut [u8; MAX_MESSAGE], end: usize, key: Option<&Key>) -> usize {
    let Some(key) = key else { return end };
    let (content, rest) = out.split_at_mut(end);
    let (hash_id, rest) = rest[..TRAILER_LEN].split_at_mut(HMAC_SHA1.len());
    let (mac, padding) = rest.split_at_mut(MAC_LEN);
    hash_id.copy_from_slice(&HMAC_SHA1);
    mac.copy_from_slice(&key.mac_of(content).finalize().into_bytes());
    padding.fill(0);
    end + TRAILER_LEN
}
