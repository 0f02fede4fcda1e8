//! Datagrams of dumping nodes: a UDP socket for each family, many datagrams to a system call.
//!
//! What comes goes into buffers made at the start; nothing is allocated later, and nothing is ever sent. With each
//! datagram comes when the system received it: a process that was stopped for a while finds old ones. A
//! datagram that is longer than a signed message is cut one byte behind that, so that its length still says
//! that it is none. It knows no message, and not who waits.

use super::BindError;
use crate::config::Listen;
use booth_core::time::WallTime;
use booth_core::wire::kdump::SIGNED_LEN;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrStorage, bind, recvmmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

/// How many datagrams of a socket one turn takes. A flood must not keep members waiting.
pub const BATCH: usize = 16;
/// One socket for each family.
pub const SOCKETS: usize = 2;
/// One byte more than the longest message that means something.
const BUFFER: usize = SIGNED_LEN + 1;
/// What is asked of the kernel for each socket, in bytes: some hundred nodes of which each has sent.
const SOCKET_BUFFER: usize = 256 << 10;

/// The sockets, and the datagrams that came last.
pub struct KdumpReceiver {
    sockets: heapless::Vec<Socket, SOCKETS>,
    first: Token,
    buffers: Box<[[u8; BUFFER]; BATCH]>,
    arrived: heapless::Vec<Arrived, BATCH>,
}

/// What the system says of a datagram.
#[derive(Debug)]
struct Arrived {
    source: IpAddr,
    length: usize,
    when: Option<WallTime>,
}

struct Socket {
    descriptor: OwnedFd,
    address: SocketAddr,
    more: bool,
    /// Of its own: what the kernel writes there, the length of a source's address, is what the next call offers as
    /// room. Shared with an IPv4 socket, it would cut IPv6 addresses short.
    headers: MultiHeaders<SockaddrStorage>,
}

impl KdumpReceiver {
    /// How many tokens it takes.
    pub const TOKENS: usize = SOCKETS;

    /// Binds the sockets: of both families, where the configuration names no address and the host has both.
    ///
    /// # Errors
    /// Where an address is not local, the port in use, or the system refuses.
    pub fn open(listen: Listen) -> Result<KdumpReceiver, BindError> {
        let mut sockets = heapless::Vec::new();
        let any: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
        let addresses = match &listen.address {
            Some(address) => std::slice::from_ref(address),
            None => &any,
        };
        for address in addresses.iter().map(|address| SocketAddr::new(*address, listen.port)) {
            match open(address) {
                // There is room for as many as there are families.
                Ok(descriptor) => {
                    let headers = MultiHeaders::preallocate(BATCH, Some(nix::cmsg_space!(TimeSpec)));
                    drop(sockets.push(Socket { descriptor, address, more: true, headers }));
                }
                // A kernel without IPv6, or one in which it is switched off.
                Err(Errno::EAFNOSUPPORT | Errno::EADDRNOTAVAIL) if listen.address.is_none() && address.is_ipv6() => {}
                Err(error) => return Err(BindError::new("UDP", address, error.into())),
            }
        }
        Ok(KdumpReceiver {
            sockets,
            first: Token(0),
            buffers: Box::new([[0; BUFFER]; BATCH]),
            arrived: heapless::Vec::new(),
        })
    }

    /// Has the poll watch the sockets, with `first` and the tokens behind it.
    ///
    /// # Errors
    /// As epoll_ctl(2).
    pub fn register(&mut self, registry: &Registry, first: Token) -> io::Result<()> {
        self.first = first;
        for (at, socket) in self.sockets.iter().enumerate() {
            let token = Token(first.0 + at);
            registry.register(&mut SourceFd(&socket.descriptor.as_raw_fd()), token, Interest::READABLE)?;
        }
        Ok(())
    }

    /// Something has come; `false`: the token is not one of ours.
    pub fn on_event(&mut self, token: Token) -> bool {
        let at = token.0.checked_sub(self.first.0);
        let Some(socket) = at.and_then(|at| self.sockets.get_mut(at)) else { return false };
        socket.more = true;
        true
    }

    /// Whether there is something that no event will announce.
    pub fn has_more(&self) -> bool {
        self.sockets.iter().any(|socket| socket.more)
    }

    /// Something may have come that no event has announced yet.
    pub fn look_again(&mut self) {
        self.sockets.iter_mut().for_each(|socket| socket.more = true);
    }

    /// Receives up to [`BATCH`] datagrams of each socket; `take` is given the source and the bytes of each, and when it
    /// came by the wall clock.
    pub fn receive(&mut self, mut take: impl FnMut(IpAddr, &[u8], Option<WallTime>)) {
        for at in 0..self.sockets.len() {
            if self.sockets[at].more {
                let count = self.receive_from(at);
                // Where the batch is not full the socket was empty, and the poll tells when it no longer is.
                self.sockets[at].more = count == BATCH;
                for (Arrived { source, length, when }, bytes) in self.arrived.iter().zip(self.buffers.iter()) {
                    take(*source, &bytes[..*length], *when);
                }
            }
        }
    }

    /// Fills the buffers from one socket; how many datagrams came.
    fn receive_from(&mut self, at: usize) -> usize {
        self.arrived.clear();
        let mut buffers = self.buffers.iter_mut();
        let mut slices: [_; BATCH] = std::array::from_fn(|_| {
            [IoSliceMut::new(buffers.next().map_or(Default::default(), |buffer| buffer.as_mut_slice()))]
        });
        let Socket { descriptor, headers, .. } = &mut self.sockets[at];
        let flags = MsgFlags::MSG_DONTWAIT;
        let Ok(results) = recvmmsg(descriptor.as_raw_fd(), headers, slices.iter_mut(), flags, None) else { return 0 };
        for message in results {
            let source = message.address.as_ref().and_then(super::ip_of);
            // As many results as buffers, so there is room. Every datagram has a source.
            let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            let (source, length) = (source.unwrap_or(unknown), message.bytes.min(BUFFER));
            let when = message.cmsgs().ok().and_then(|mut words| words.find_map(|word| received(&word)));
            let _ = self.arrived.push(Arrived { source, length, when });
        }
        self.arrived.len()
    }
}

/// When the system received a datagram (SO_TIMESTAMPNS, socket(7)).
fn received(word: &ControlMessageOwned) -> Option<WallTime> {
    let ControlMessageOwned::ScmTimestampns(time) = word else { return None };
    let (seconds, nanos) = (u64::try_from(time.tv_sec()).ok()?, u64::try_from(time.tv_nsec()).ok()?);
    Some(WallTime(seconds * 1_000_000 + nanos / 1_000))
}

/// Where it listens, with commas between.
impl fmt::Display for KdumpReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, socket) in self.sockets.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{}", socket.address)?;
        }
        Ok(())
    }
}

fn open(address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor = socket(family, SockType::Datagram, flags, None)?;
    if address.is_ipv6() {
        setsockopt(&descriptor, sockopt::Ipv6V6Only, &true)?;
    }
    // The first needs CAP_NET_ADMIN and is not bound by rmem_max (socket(7)).
    if setsockopt(&descriptor, sockopt::RcvBufForce, &SOCKET_BUFFER).is_err() {
        let _ = setsockopt(&descriptor, sockopt::RcvBuf, &SOCKET_BUFFER);
    }
    setsockopt(&descriptor, sockopt::ReceiveTimestampns, &true)?;
    bind(descriptor.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(descriptor)
}
