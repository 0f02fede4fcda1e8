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

/// The number that `text` is: digits and nothing else.
pub fn number(text: &[u8]) -> Option<u32> {
    let (first, rest) = text.split_first()?;
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
    rest.iter().try_fold(digit(first)?, |number, byte| number.checked_mul(10)?.checked_add(digit(byte)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written() {
        for (number, text) in [(0, "0"), (7, "7"), (10, "10"), (u64::MAX, "18446744073709551615")] {
            assert_eq!(Digits::of(number).as_bytes(), text.as_bytes());
        }
    }

    #[test]
    fn numbers_are_read() {
        for (text, expected) in [("0", Some(0)), ("007", Some(7)), ("4294967295", Some(u32::MAX))] {
            assert_eq!(number(text.as_bytes()), expected, "{text}");
        }
        for text in ["", " 1", "1 ", "+1", "-1", "0x1", "1s", "4294967296", "99999999999999999999"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }
}
