//! Numbers to text and back, without `core::fmt`.

/// The longest number, in digits.
const MAX_DIGITS: usize = 20;

/// The decimal digits of a number.
pub struct Digits {
    digits: [u8; MAX_DIGITS],
    start: usize,
}

impl Digits {
    /// The digits of `number`.
    pub fn of(mut number: u64) -> Digits {
        let mut text = Digits { digits: [b'0'; MAX_DIGITS], start: MAX_DIGITS };
        for (at, digit) in text.digits.iter_mut().enumerate().rev() {
            *digit = b'0' + (number % 10) as u8;
            text.start = at;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        text
    }

    /// They as text.
    pub fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }
}

/// The number that `text` begins with, as atoi(3) reads it: blanks and a plus may stand before it, anything behind it,
/// and where there is none it is 0. What is too large is the largest.
pub fn number_at_start(text: &[u8]) -> u32 {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(b"+").unwrap_or(text).iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number: u32, byte| number.saturating_mul(10).saturating_add((byte - b'0').into()))
}

/// The number that `text` is: digits and nothing else. What is too large is the largest.
pub fn number(text: &[u8]) -> Option<u32> {
    (!text.is_empty() && text.iter().all(u8::is_ascii_digit)).then(|| number_at_start(text))
}

/// Whether two texts are the same, whatever the case of their letters. That of `core` is three times as long: it was
/// compiled for speed.
pub fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.eq_ignore_ascii_case(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_case_of_letters_does_not_count_and_all_else_does() {
        for one in 0..=255_u8 {
            for other in 0..=255_u8 {
                assert_eq!(is_same(&[b'x', one], &[b'X', other]), one.eq_ignore_ascii_case(&other), "{one} {other}");
            }
        }
        assert!(is_same(b"", b"") && !is_same(b"a", b"") && !is_same(b"a", b"ab") && !is_same(b"ab", b"a"));
    }

    #[test]
    fn numbers_are_written() {
        for (number, text) in [(0, "0"), (7, "7"), (10, "10"), (u64::MAX, "18446744073709551615")] {
            assert_eq!(Digits::of(number).as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn a_number_at_the_start_is_read_as_by_atoi() {
        for (text, expected) in [
            ("7410", 7410),
            (" \t+10s", 10),
            ("010", 10),
            ("5 6", 5),
            ("0x1", 0),
            ("", 0),
            ("x1", 0),
            ("-1", 0),
            ("++1", 0),
            ("4294967295", u32::MAX),
            ("4294967296", u32::MAX),
            ("99999999999999999999", u32::MAX),
        ] {
            assert_eq!(number_at_start(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_read() {
        for (text, expected) in [("0", 0), ("007", 7), ("4294967295", u32::MAX), ("99999999999999999999", u32::MAX)] {
            assert_eq!(number(text.as_bytes()), Some(expected), "{text}");
        }
        for text in ["", " 1", "1 ", "+1", "-1", "0x1", "1s"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }
}
