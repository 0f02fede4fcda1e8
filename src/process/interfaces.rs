//! Which member am I: the one whose address is an address of this machine; for a client also the one
//! in the longest subnet that this machine has an address in, so that `booth list` works on a cluster
//! node that is not the daemon's.

use super::StartError;
use nix::sys::socket::SockaddrStorage;
use std::net::IpAddr;

/// An address of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface, as `eth0`.
    pub interface: String,
    /// The address.
    pub address: IpAddr,
    /// How many leading bits its subnet has.
    pub prefix: u8,
}

/// How a member is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Its address is an address of this machine: a daemon.
    Exact,
    /// Or else it lies in the longest subnet of this machine: a client.
    Subnet,
}

/// All addresses of this machine (getifaddrs(3)), of interfaces up and down.
///
/// # Errors
/// As getifaddrs(3).
pub fn local_addresses() -> Result<Vec<InterfaceAddress>, StartError> {
    let found = nix::ifaddrs::getifaddrs()
        .map_err(|error| StartError::system(&"cannot list this machine's addresses: getifaddrs", error))?;
    Ok(found
        .filter_map(|entry| {
            let address = ip(entry.address?)?;
            let full = if address.is_ipv4() { 32 } else { 128 };
            let prefix = entry.netmask.and_then(ip).map_or(full, leading_ones);
            Some(InterfaceAddress { interface: entry.interface_name, address, prefix })
        })
        .collect())
}

/// The place in `members` of the one that this machine is; the first, where several match.
///
/// # Errors
/// `Cannot find myself in the configuration`, with what was looked for and what was found.
pub fn own_member(members: &[IpAddr], local: &[InterfaceAddress], how: Match) -> Result<usize, StartError> {
    let exact = members.iter().position(|member| local.iter().any(|own| own.address == *member));
    let found = match how {
        Match::Exact => exact,
        Match::Subnet => exact.or_else(|| longest_subnet(members, local)),
    };
    found.ok_or_else(|| not_found(members, local, how))
}

/// The place in `members` of the one whose address the administrator has named (`-D -s ADDRESS`).
///
/// # Errors
/// As [`own_member`].
pub fn named_member(members: &[IpAddr], address: IpAddr) -> Result<usize, StartError> {
    members.iter().position(|member| *member == address).ok_or_else(|| {
        let members = list(members.iter().map(ToString::to_string));
        StartError(format!("Cannot find myself in the configuration: -s {address} is none of its members ({members})"))
    })
}

fn longest_subnet(members: &[IpAddr], local: &[InterfaceAddress]) -> Option<usize> {
    let mut best: Option<(u8, usize)> = None;
    for (at, member) in members.iter().enumerate() {
        for own in local.iter().filter(|own| own.prefix > 0 && common_bits(own.address, *member) >= own.prefix) {
            if best.is_none_or(|(prefix, _)| own.prefix > prefix) {
                best = Some((own.prefix, at));
            }
        }
    }
    best.map(|(_, at)| at)
}

fn not_found(members: &[IpAddr], local: &[InterfaceAddress], how: Match) -> StartError {
    let members = list(members.iter().map(ToString::to_string));
    let own = list(local.iter().map(|own| format!("{} on {}", own.address, own.interface)));
    let wanted = match how {
        Match::Exact => "no member's address",
        Match::Subnet => "neither a member's address nor one in a member's subnet",
    };
    StartError(format!(
        "Cannot find myself in the configuration: its members are {members}; this machine has {own}, {wanted}. \
         Add this machine's address as a site or an arbitrator, or bring the interface up"
    ))
}

/// The words, with commas, or that there are none.
fn list(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn ip(address: SockaddrStorage) -> Option<IpAddr> {
    let v4 = || address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    v4().or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
}

/// How many leading bits of two addresses are equal; 0 where they are of different families.
fn common_bits(one: IpAddr, other: IpAddr) -> u8 {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros() as u8,
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros() as u8,
        _ => 0,
    }
}

fn leading_ones(mask: IpAddr) -> u8 {
    match mask {
        IpAddr::V4(mask) => mask.to_bits().leading_ones() as u8,
        IpAddr::V6(mask) => mask.to_bits().leading_ones() as u8,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn own(address: &str, prefix: u8) -> InterfaceAddress {
        InterfaceAddress { interface: "eth0".to_owned(), address: address.parse().unwrap(), prefix }
    }

    fn members(addresses: &[&str]) -> Vec<IpAddr> {
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn a_daemon_is_the_member_whose_address_it_has_and_no_other() {
        let members = members(&["10.77.0.1", "10.77.0.2", "fd00::3"]);
        let local = [own("127.0.0.1", 8), own("10.77.0.2", 24)];
        assert_eq!(own_member(&members, &local, Match::Exact), Ok(1));
        assert_eq!(own_member(&members, &[own("fd00::3", 64)], Match::Exact), Ok(2));
        assert!(own_member(&members, &[own("10.77.0.9", 24)], Match::Exact).is_err());
    }

    #[test]
    fn a_client_takes_the_longest_subnet_but_an_own_address_first() {
        let members = members(&["10.1.0.1", "10.1.2.1", "10.1.3.1"]);
        let local = [own("10.1.9.9", 16), own("10.1.2.200", 24)];
        assert_eq!(own_member(&members, &local, Match::Subnet), Ok(1));
        assert_eq!(own_member(&members, &[own("10.1.2.9", 24), own("10.1.3.1", 8)], Match::Subnet), Ok(2));
        assert!(own_member(&members, &[own("192.168.0.1", 24)], Match::Subnet).is_err());
        assert!(own_member(&members, &[own("192.168.0.1", 0)], Match::Subnet).is_err(), "a /0 is no subnet");
        assert!(own_member(&members, &[own("::1", 8)], Match::Subnet).is_err(), "another family");
    }

    #[test]
    fn who_is_not_found_is_told_what_was_looked_for_and_what_there_is() {
        let error = own_member(&members(&["10.77.0.1"]), &[own("10.77.0.9", 24)], Match::Exact).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("Cannot find myself in the configuration"), "{text}");
        assert!(text.contains("10.77.0.1") && text.contains("10.77.0.9 on eth0"), "{text}");
        let error = named_member(&members(&["10.77.0.1"]), "10.0.0.1".parse().unwrap()).unwrap_err();
        assert!(error.to_string().starts_with("Cannot find myself in the configuration: -s 10.0.0.1"));
        assert_eq!(named_member(&members(&["10.77.0.1"]), "10.77.0.1".parse().unwrap()), Ok(0));
    }

    #[test]
    fn the_loopback_address_of_this_machine_is_found_with_its_subnet() {
        let local = local_addresses().unwrap();
        let loopback = local.iter().find(|own| own.address.to_string() == "127.0.0.1").unwrap();
        assert_eq!((loopback.interface.as_str(), loopback.prefix), ("lo", 8));
    }
}
