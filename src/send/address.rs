//! Addresses as people write them: IPv4, IPv6, and IPv6 with the interface that it belongs to.
//!
//! `core::net` reads the same ones, and nothing else, but in 3 KB: it was compiled for speed.

use crate::options::Family;
use crate::text;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address, and the interface that a link-local one belongs to: its name or its number, empty without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// The address.
    pub ip: IpAddr,
    /// What follows the `%`.
    pub interface: &'a [u8],
}

impl<'a> Address<'a> {
    /// The address that `text` is, if it is one.
    pub fn parse(text: &'a [u8]) -> Option<Address<'a>> {
        let (ip, interface) = match text.iter().position(|byte| *byte == b'%') {
            Some(at) => (text.get(..at)?, text.get(at + 1..).filter(|interface| !interface.is_empty())?),
            None => (text, &[][..]),
        };
        match v4(ip) {
            Some(ip) => interface.is_empty().then_some(Address { ip: ip.into(), interface }),
            None => v6(ip).map(|ip| Address { ip: ip.into(), interface }),
        }
    }

    /// Whether it is of the family that was asked for.
    pub fn is_of(&self, family: Family) -> bool {
        match family {
            Family::Any => true,
            Family::V4 => self.ip.is_ipv4(),
            Family::V6 => self.ip.is_ipv6(),
        }
    }
}

/// Four decimal numbers, without zeros before them.
fn v4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut numbers = text.split(|byte| *byte == b'.');
    for octet in &mut octets {
        let digits = numbers.next()?;
        if digits.len() > 1 && digits.first() == Some(&b'0') {
            return None;
        }
        *octet = u8::try_from(text::number(digits)?).ok()?;
    }
    numbers.next().is_none().then(|| Ipv4Addr::from(octets))
}

/// Eight hexadecimal numbers; `::` is as many zeros as are missing; the last two may be an IPv4 address.
fn v6(text: &[u8]) -> Option<Ipv6Addr> {
    let mut groups = [0_u16; 8];
    let mut filled = 0;
    let mut gap = None;
    let mut rest = text;
    if let [b':', b':', behind @ ..] = rest {
        (gap, rest) = (Some(0), behind);
    }
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b':').unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(end)?;
        let last = v4(word).filter(|_| behind.is_empty()).map(|ip| ip.to_bits());
        match last {
            Some(bits) => {
                *groups.get_mut(filled)? = (bits >> 16) as u16;
                *groups.get_mut(filled + 1)? = bits as u16;
                filled += 2;
            }
            None => {
                *groups.get_mut(filled)? = hexadecimal(word)?;
                filled += 1;
            }
        }
        rest = match behind {
            [] => behind,
            [b':', b':', behind @ ..] if gap.is_none() => {
                gap = Some(filled);
                behind
            }
            [b':', behind @ ..] if !behind.is_empty() => behind,
            _ => return None,
        };
    }
    match gap {
        Some(at) if filled < groups.len() => {
            // What follows the gap goes to the end, the last one first.
            for group in (0..groups.len()).rev().zip((at..filled).rev()) {
                *groups.get_mut(group.0)? = core::mem::take(groups.get_mut(group.1)?);
            }
        }
        None if filled == groups.len() => {}
        _ => return None,
    }
    Some(Ipv6Addr::from(groups))
}

/// One to four hexadecimal digits.
fn hexadecimal(word: &[u8]) -> Option<u16> {
    if word.is_empty() || word.len() > 4 {
        return None;
    }
    let digit = |byte: &u8| match *byte | 0x20 {
        letter @ b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => byte.is_ascii_digit().then(|| byte - b'0'),
    };
    word.iter().try_fold(0, |number, byte| Some(number << 4 | u16::from(digit(byte)?)))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn addresses_are_told_from_names() {
        let ip = |text: &str| Address::parse(text.as_bytes()).map(|address| address.ip);
        assert_eq!(ip("192.0.2.7"), Some(IpAddr::from([192, 0, 2, 7])));
        assert_eq!(ip("2001:db8::7").map(|ip| ip.is_ipv6()), Some(true));
        assert_eq!(ip("::ffff:192.0.2.7").map(|ip| ip.is_ipv6()), Some(true));
        for name in ["", "node1", "192.0.2", "192.0.2.256", "192.0.2.7.", "192.0.2.7%eth0", "fe80::1%", "%eth0", ":::"]
        {
            assert_eq!(ip(name), None, "{name}");
        }
        assert_eq!(Address::parse(b"\xff\xfe"), None);
    }

    /// All texts of up to eleven of these pieces would be too many: every piece is put in, left out or changed for
    /// another in texts that are addresses, twice over.
    #[test]
    fn core_net_reads_the_same_addresses() {
        const PIECES: [&str; 12] = [":", "::", ".", "0", "00", "1", "255", "256", "ffff", "fffff", "G", "1.2.3.4"];
        let seeds: [&[&str]; 6] = [
            &["1", ".", "2", ".", "3", ".", "4"],
            &["::"],
            &["1", ":", "2", ":", "3", ":", "4", ":", "5", ":", "6", ":", "7", ":", "8"],
            &["1", "::", "2"],
            &["::", "ffff", ":", "1.2.3.4"],
            &["1", ":", "2", ":", "3", "::", "4", ":", "5", ":", "1.2.3.4"],
        ];
        let mut compared = 0;
        for seed in seeds {
            for first in changes(seed, &PIECES) {
                for text in changes(&first, &PIECES) {
                    let text = text.concat();
                    let expected = text.parse::<IpAddr>().ok();
                    assert_eq!(Address::parse(text.as_bytes()).map(|address| address.ip), expected, "{text}");
                    compared += 1;
                }
            }
        }
        assert!(compared > 100_000, "{compared}");
    }

    /// The text with one piece more, less or other, at every place.
    fn changes<'a>(text: &[&'a str], pieces: &[&'a str]) -> Vec<Vec<&'a str>> {
        let mut changed = vec![text.to_vec()];
        for at in 0..=text.len() {
            let (before, behind) = text.split_at(at);
            let rest = behind.get(1..).unwrap_or_default();
            changed.push([before, rest].concat());
            for piece in pieces {
                changed.push([before, &[*piece], behind].concat());
                changed.push([before, &[*piece], rest].concat());
            }
        }
        changed
    }

    #[test]
    fn a_link_local_address_names_its_interface() {
        let address = Address::parse(b"fe80::1%eth0").map(|address| address.interface);
        assert_eq!(address, Some(&b"eth0"[..]));
    }

    #[test]
    fn a_family_takes_its_own_alone() {
        let is_of = |text: &str, family| Address::parse(text.as_bytes()).map(|address| address.is_of(family));
        assert_eq!(is_of("192.0.2.7", Family::V4), Some(true));
        assert_eq!(is_of("192.0.2.7", Family::V6), Some(false));
        assert_eq!(is_of("::1", Family::V4), Some(false));
        assert_eq!(is_of("::1", Family::Any), Some(true));
    }
}
