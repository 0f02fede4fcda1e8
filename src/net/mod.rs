//! The network: datagrams between members and of dumping nodes, and clients on streams.

pub mod client;
pub mod connection;
pub mod kdump;
pub mod peer;
pub mod stream;

use nix::sys::socket::SockaddrStorage;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// A socket could not be bound.
#[derive(Debug)]
pub struct BindError {
    protocol: &'static str,
    address: Option<SocketAddr>,
    source: io::Error,
}

impl BindError {
    pub(crate) fn new(protocol: &'static str, address: SocketAddr, source: io::Error) -> BindError {
        BindError { protocol, address: Some(address), source }
    }

    /// Whether somebody else has the port.
    pub fn is_in_use(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }

    pub(crate) fn unknown_member() -> BindError {
        BindError { protocol: "UDP", address: None, source: io::ErrorKind::InvalidInput.into() }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(address) = self.address else { return f.write_str("this member is not one of the configuration's") };
        write!(f, "cannot bind {} port {} ({}): {}", address.ip(), address.port(), self.protocol, self.source)?;
        f.write_str(match self.source.kind() {
            io::ErrorKind::AddrInUse => "; does another boothd run there?",
            io::ErrorKind::AddrNotAvailable => {
                "; expected an address of this machine: bring its interface up, or correct the configuration"
            }
            io::ErrorKind::PermissionDenied => "; ports below 1024 are for root",
            _ => "",
        })
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

fn ip_of(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}
