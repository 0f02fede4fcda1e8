//! One line of the log in a fixed buffer: at most [`MAX_LINE`] bytes, cut at a character's border, and
//! one line whatever stands in it: control characters are escaped, so no name, value or path can
//! forge a line or drive a terminal.

use std::fmt::{self, Arguments, Write};

/// The most bytes of a line, its prefix and its end included.
pub const MAX_LINE: usize = 1024;
/// What a line ends with that was cut.
const CUT: &str = "...";
/// Room for text: the cut mark and the newline always fit behind it.
const MAX_TEXT: usize = MAX_LINE - CUT.len() - 1;

/// A line that is being put together.
pub struct Line {
    bytes: [u8; MAX_LINE],
    length: usize,
    cut: bool,
}

impl Line {
    /// An empty line.
    pub const fn new() -> Line {
        Line { bytes: [0; MAX_LINE], length: 0, cut: false }
    }

    /// Forgets what stands in it.
    pub fn clear(&mut self) {
        self.length = 0;
        self.cut = false;
    }

    /// Appends text; what does not fit is left out, and the line then says so.
    pub fn append(&mut self, text: Arguments<'_>) {
        // The only error is that the line is full, and the cut mark tells that.
        let _ = self.write_fmt(text);
        if self.cut && !self.as_bytes().ends_with(CUT.as_bytes()) {
            self.raw(CUT.as_bytes());
        }
    }

    /// Ends the line with a newline, where its sink wants one.
    pub fn end(&mut self) {
        self.raw(b"\n");
    }

    /// What stands in it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn raw(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.length..self.length + bytes.len()) {
            room.copy_from_slice(bytes);
            self.length += bytes.len();
        }
    }

    fn put(&mut self, bytes: &[u8]) -> fmt::Result {
        if self.cut || self.length + bytes.len() > MAX_TEXT {
            self.cut = true;
            return Err(fmt::Error);
        }
        self.raw(bytes);
        Ok(())
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut utf8 = [0_u8; 4];
        for character in text.chars() {
            if character.is_control() {
                // C0, DEL and C1 (`\u{9b}` starts a terminal sequence as ESC [ does).
                let code = character as u32 as u8;
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
                self.put(&[b'\\', b'x', digit(code >> 4), digit(code & 15)])?;
            } else {
                self.put(character.encode_utf8(&mut utf8).as_bytes())?;
            }
        }
        Ok(())
    }
}

impl Default for Line {
    fn default() -> Line {
        Line::new()
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({})", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn line(text: &str) -> String {
        let mut line = Line::new();
        line.append(format_args!("{text}"));
        line.end();
        String::from_utf8(line.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn control_characters_are_escaped_and_letters_are_not() {
        assert_eq!(line("a\nb\x1b[2J\u{9b}m\0\x7f Grüße"), "a\\x0ab\\x1b[2J\\x9bm\\x00\\x7f Grüße\n");
    }

    #[test]
    fn a_line_that_fits_exactly_is_whole_and_one_byte_more_is_cut() {
        let whole = "x".repeat(MAX_TEXT);
        assert_eq!(line(&whole), format!("{whole}\n"));
        assert_eq!(line(&format!("{whole}x")), format!("{whole}...\n"));
        assert_eq!(line(&"x".repeat(100_000)).len(), MAX_LINE);
    }

    #[test]
    fn a_cut_never_splits_a_character_or_an_escape() {
        for start in 0..4 {
            let text = format!("{}{}", "x".repeat(start), "ü\n€".repeat(400));
            let cut = line(&text);
            assert!(cut.len() <= MAX_LINE);
            let body = cut.strip_suffix("...\n").unwrap();
            assert!(body.ends_with('ü') || body.ends_with("\\x0a") || body.ends_with('€'), "{body}");
        }
    }
}
