//! What of a key file's content is the key.
//!
//! booth's rules: 8 to 64 bytes; a key of ASCII characters alone loses the blanks at both its ends, so
//! that an editor's newline does not matter. All who read key files read them here.

/// The shortest key, in bytes.
pub const MIN_SECRET: usize = 8;
/// The longest key, in bytes.
pub const MAX_SECRET: usize = 64;

/// The key in a file's content.
///
/// # Errors
/// How many bytes it has, when these are fewer than [`MIN_SECRET`] or more than [`MAX_SECRET`].
pub fn secret_in(content: &[u8]) -> Result<&[u8], usize> {
    let mut key = content;
    if content.is_ascii() {
        while let [b' ' | b'\t'..=b'\r', rest @ ..] | [rest @ .., b' ' | b'\t'..=b'\r'] = key {
            key = rest;
        }
    }
    if (MIN_SECRET..=MAX_SECRET).contains(&key.len()) { Ok(key) } else { Err(key.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_editors_newline_is_not_part_of_a_key_of_text() {
        assert_eq!(secret_in(b"\t pass word \x0b\x0c\r\n"), Ok(&b"pass word"[..]));
        assert_eq!(secret_in(b"\n\n\n\n\n\n\n\n\n"), Err(0));
    }

    #[test]
    fn a_newline_is_part_of_a_key_of_random_bytes() {
        let key = b"\n\x80random\n";
        assert_eq!(secret_in(key), Ok(&key[..]));
    }

    #[test]
    fn a_key_has_eight_to_sixty_four_bytes() {
        assert_eq!(secret_in(b"seven 7\n"), Err(7));
        assert_eq!(secret_in(&[b'a'; MIN_SECRET]), Ok(&[b'a'; MIN_SECRET][..]));
        assert_eq!(secret_in(&[b'a'; MAX_SECRET]), Ok(&[b'a'; MAX_SECRET][..]));
        assert_eq!(secret_in(&[b'a'; MAX_SECRET + 1]), Err(65));
    }
}
