//! `/etc/hosts` (hosts(5)): the one place where names are looked up.
//!
//! The file is read piece by piece. A line that is longer than [`MAX_LINE`] is passed over: cut off, its
//! last word could be another host's name.

use crate::address::Address;
use crate::text;

/// The longest line that is looked at, in bytes.
pub const MAX_LINE: usize = 1024;

/// Makes lines of bytes.
pub struct Lines {
    line: heapless::Vec<u8, MAX_LINE>,
    /// The line at hand did not fit.
    overlong: bool,
}

impl Lines {
    /// Nothing read yet.
    pub const fn new() -> Lines {
        Lines { line: heapless::Vec::new(), overlong: false }
    }

    /// Takes some bytes of the file and shows each line that ends in them.
    pub fn feed(&mut self, bytes: &[u8], mut show: impl FnMut(&[u8])) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end(&mut show);
            } else if self.line.push(*byte).is_err() {
                self.overlong = true;
            }
        }
    }

    /// The file has ended: shows what its last line is where no newline ends it.
    pub fn end(&mut self, mut show: impl FnMut(&[u8])) {
        if !self.overlong {
            show(&self.line);
        }
        self.line.clear();
        self.overlong = false;
    }
}

impl Default for Lines {
    fn default() -> Lines {
        Lines::new()
    }
}

/// The address that a line of the file gives to `name`, whatever the case of its letters.
pub fn address_of<'a>(line: &'a [u8], name: &[u8]) -> Option<Address<'a>> {
    let content = line.split(|byte| *byte == b'#').next()?;
    let mut words = content.split(|byte| byte.is_ascii_whitespace()).filter(|word| !word.is_empty());
    let address = words.next()?;
    if words.any(|word| text::is_same(word, name)) { Address::parse(address) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::IpAddr;

    fn ip_of(line: &str, name: &str) -> Option<IpAddr> {
        address_of(line.as_bytes(), name.as_bytes()).map(|address| address.ip)
    }

    #[test]
    fn a_line_is_an_address_and_its_names() {
        let ip = Some(IpAddr::from([192, 0, 2, 1]));
        let line = " 192.0.2.1\tnode1.example.org  Node1 # not node2";
        for name in ["node1", "NODE1", "node1.example.org"] {
            assert_eq!(ip_of(line, name), ip, "{name}");
        }
        for name in ["node", "node2", "not", "192.0.2.1", "", "#"] {
            assert_eq!(ip_of(line, name), None, "{name}");
        }
        assert_eq!(ip_of("192.0.2.1 node1\r", "node1"), ip);
    }

    #[test]
    fn a_line_without_an_address_gives_none() {
        for line in ["", "#192.0.2.1 node1", "node1 node1", "192.0.2 node1", "192.0.2.1", "192.0.2.1#node1"] {
            assert_eq!(ip_of(line, "node1"), None, "{line}");
        }
    }

    /// The lengths of the lines of `file`, fed in pieces of `piece` bytes.
    fn lengths(file: &[u8], piece: usize) -> heapless::Vec<usize, 8> {
        let mut found = heapless::Vec::new();
        let mut lines = Lines::new();
        let mut note = |line: &[u8]| assert!(found.push(line.len()).is_ok());
        file.chunks(piece).for_each(|bytes| lines.feed(bytes, &mut note));
        lines.end(&mut note);
        found
    }

    #[test]
    fn lines_are_the_same_however_they_are_read() {
        for piece in 1..10 {
            assert_eq!(lengths(b"one\n\nthree\nlast", piece), [3, 0, 5, 4]);
        }
    }

    #[test]
    fn an_overlong_line_is_passed_over_and_the_next_one_read() {
        let mut file = [b'x'; MAX_LINE + 6];
        file[MAX_LINE + 1..].copy_from_slice(b"\nnext");
        assert_eq!(lengths(&file, 100), [4]);
        file[MAX_LINE] = b'\n';
        file[MAX_LINE + 1] = b'y';
        assert_eq!(lengths(&file, 100), [MAX_LINE, 5]);
    }
}
