//! Message authentication: HMAC-SHA1 (RFC 2104) over all that precedes the trailer.

/// The shared key, prepared.
#[derive(Clone)]
pub struct Key;

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Key")
    }
}
