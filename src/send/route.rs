//! Which link leads to an address, and whether it is up: two questions to the kernel (rtnetlink(7)).
//!
//! The kernel takes a datagram for a link that has no carrier yet, and throws it away: that it took
//! one says nothing. A network card can take seconds after its driver's start to find its carrier.
//!
//! Words are in the machine's byte order. Only the start of an answer is needed.

use core::net::IpAddr;

/// How much of an answer is looked at, in bytes.
pub const MAX_ANSWER: usize = 512;
/// The longest question, in bytes: about the route to an IPv6 address.
const MAX_QUESTION: usize = HEADER_LEN + ROUTE_LEN + ATTRIBUTE_LEN + 16;

/// A question, ready to be sent.
#[derive(Clone, Copy, Debug)]
pub struct Question {
    bytes: [u8; MAX_QUESTION],
    length: usize,
}

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;
const NLM_F_REQUEST: u16 = 1;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// The link is up and can carry: administratively up, with a carrier, not waiting for anybody.
const IFF_RUNNING: u32 = 0x40;
/// `struct nlmsghdr`: length, type, flags, sequence number, port.
const HEADER_LEN: usize = 16;
/// `struct rtmsg`.
const ROUTE_LEN: usize = 12;
/// `struct ifinfomsg`.
const LINK_LEN: usize = 16;
/// `struct rtattr`.
const ATTRIBUTE_LEN: usize = 4;

impl Question {
    fn new(kind: u16, content_len: usize) -> Question {
        let mut question = Question { bytes: [0; MAX_QUESTION], length: HEADER_LEN + content_len };
        question.bytes[..4].copy_from_slice(&(question.length as u32).to_ne_bytes());
        question.bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        question.bytes[6..8].copy_from_slice(&NLM_F_REQUEST.to_ne_bytes());
        question
    }

    /// Asks which link leads to the address.
    pub fn about_route(to: IpAddr) -> Question {
        match to {
            IpAddr::V4(ip) => Question::about_address(AF_INET, &ip.octets()),
            IpAddr::V6(ip) => Question::about_address(AF_INET6, &ip.octets()),
        }
    }

    fn about_address(family: u8, octets: &[u8]) -> Question {
        let length = ATTRIBUTE_LEN + octets.len();
        let mut question = Question::new(RTM_GETROUTE, ROUTE_LEN + length);
        question.bytes[16] = family;
        question.bytes[17] = (octets.len() * 8) as u8;
        question.bytes[28..30].copy_from_slice(&(length as u16).to_ne_bytes());
        question.bytes[30..32].copy_from_slice(&RTA_DST.to_ne_bytes());
        question.bytes[32..].iter_mut().zip(octets).for_each(|(to, octet)| *to = *octet);
        question
    }

    /// Asks for the state of the link with this number.
    pub fn about_link(index: u32) -> Question {
        let mut question = Question::new(RTM_GETLINK, LINK_LEN);
        question.bytes[20..24].copy_from_slice(&index.to_ne_bytes());
        question
    }

    /// What is sent.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The number of the link in an answer to [`Question::about_route`].
pub fn link_of(answer: &[u8]) -> Option<u32> {
    let mut rest = answer_of(answer, RTM_NEWROUTE)?.get(ROUTE_LEN..)?;
    loop {
        let length = usize::from(u16::from_ne_bytes(*rest.first_chunk()?));
        let (attribute, _) = rest.split_at_checked(length)?;
        let value = attribute.get(ATTRIBUTE_LEN..)?;
        if u16::from_ne_bytes(*rest.get(2..)?.first_chunk()?) == RTA_OIF {
            return Some(u32::from_ne_bytes(*value.first_chunk()?));
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

/// Whether the link in an answer to [`Question::about_link`] is up.
pub fn is_up(answer: &[u8]) -> Option<bool> {
    let flags = answer_of(answer, RTM_NEWLINK)?.get(8..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*flags) & IFF_RUNNING != 0)
}

/// What follows the header of an answer of this kind; an error is none.
fn answer_of(answer: &[u8], kind: u16) -> Option<&[u8]> {
    let (header, content) = answer.split_at_checked(HEADER_LEN)?;
    (u16::from_ne_bytes(*header.get(4..)?.first_chunk()?) == kind).then_some(content)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// An answer: 12 bytes of route, then these attributes.
    fn route_answer(attributes: &[(u16, &[u8])]) -> heapless::Vec<u8, 256> {
        let mut bytes = heapless::Vec::new();
        bytes.resize(HEADER_LEN + ROUTE_LEN, 0).unwrap();
        bytes[4..6].copy_from_slice(&RTM_NEWROUTE.to_ne_bytes());
        for (kind, value) in attributes {
            bytes.extend_from_slice(&((ATTRIBUTE_LEN + value.len()) as u16).to_ne_bytes()).unwrap();
            bytes.extend_from_slice(&kind.to_ne_bytes()).unwrap();
            bytes.extend_from_slice(value).unwrap();
            bytes.resize(bytes.len().next_multiple_of(4), 0).unwrap();
        }
        bytes
    }

    #[test]
    fn questions_say_how_long_they_are() {
        let v4 = Question::about_route(IpAddr::from([192, 0, 2, 1]));
        let v6 = Question::about_route(IpAddr::from([0x0101_u16; 8]));
        let link = Question::about_link(7);
        for (question, length) in [(v4, 36), (v6, 48), (link, 32)] {
            assert_eq!(question.as_bytes().len(), length);
            assert_eq!(question.as_bytes()[..4], (length as u32).to_ne_bytes());
        }
        assert_eq!(v4.as_bytes()[32..], [192, 0, 2, 1]);
        assert_eq!(v6.as_bytes()[32..], [1; 16]);
    }

    #[test]
    fn the_link_is_found_among_attributes() {
        let index = 5_u32.to_ne_bytes();
        assert_eq!(link_of(&route_answer(&[(15, &[1; 4]), (1, &[2; 3]), (RTA_OIF, &index)])), Some(5));
        assert_eq!(link_of(&route_answer(&[(15, &[1; 4])])), None);
        assert_eq!(link_of(&route_answer(&[])), None);
    }

    #[test]
    fn a_broken_answer_is_none() {
        let index = 5_u32.to_ne_bytes();
        let good = route_answer(&[(1, &[2; 4]), (RTA_OIF, &index)]);
        for length in 0..good.len() {
            assert_eq!(link_of(&good[..length]), None, "{length}");
        }
        for length in [0, 1, 3, 255] {
            let mut bad = good.clone();
            bad[HEADER_LEN + ROUTE_LEN] = length;
            assert_ne!(link_of(&bad), Some(5), "an attribute of {length} bytes");
        }
        let mut error = good;
        error[4] = 2;
        assert_eq!(link_of(&error), None);
    }

    #[test]
    fn a_link_is_up_when_it_can_carry() {
        let mut answer = [0; 32];
        answer[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
        assert_eq!(is_up(&answer), Some(false));
        answer[24..28].copy_from_slice(&(IFF_RUNNING | 1).to_ne_bytes());
        assert_eq!(is_up(&answer), Some(true));
        assert_eq!(is_up(&answer[..27]), None);
    }
}
