//! Datagrams between members: one UDP socket, many datagrams to a system call.
//!
//! Both directions go through buffers made at the start; nothing is allocated later. A datagram that
//! is longer than any message is cut short by the kernel and handed on one byte too long, so that the
//! core drops and counts it like every other bad one.

use super::{BindError, ip_of};
use booth_core::member::{MAX_MEMBERS, MemberIndex};
use booth_core::settings::TicketIndex;
use booth_core::wire::MAX_MESSAGE;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrStorage, bind, recvmmsg, setsockopt, socket,
    sockopt,
};
use rustix::net::addr::SocketAddrArg;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

/// How many datagrams one system call moves at most.
pub const BATCH: usize = 64;
/// One byte more than a message has: a datagram that fills it is too long.
const BUFFER: usize = MAX_MESSAGE + 1;
/// What the kernel counts against a socket's buffer for one datagram of ours, roughly.
const KERNEL_BYTES_PER_DATAGRAM: usize = 1024;
/// The least and the most that is asked of the kernel for each direction.
const SOCKET_BUFFER: std::ops::RangeInclusive<usize> = (256 << 10)..=(4 << 20);

/// The receiving half of the socket that members talk through.
#[derive(Debug)]
pub struct PeerReceiver {
    socket: Rc<OwnedFd>,
    members: heapless::Vec<IpAddr, MAX_MEMBERS>,
    headers: MultiHeaders<SockaddrStorage>,
    buffers: Box<[[u8; BUFFER]]>,
    arrived: heapless::Vec<Arrived, BATCH>,
}

/// Its sending half.
#[derive(Debug)]
pub struct PeerSender {
    socket: Rc<OwnedFd>,
    members: heapless::Vec<SocketAddrAny, MAX_MEMBERS>,
    queue: Vec<Datagram>,
}

/// What is known of a datagram beside its bytes.
#[derive(Clone, Copy, Debug)]
struct Arrived {
    source: Option<MemberIndex>,
    length: usize,
}

/// A datagram that waits to be sent.
#[derive(Clone, Debug)]
struct Datagram {
    ticket: TicketIndex,
    to: MemberIndex,
    length: usize,
    bytes: [u8; MAX_MESSAGE],
}

/// Binds the socket to the address of member `me`. `tickets` sizes the kernel's buffers: all members
/// may speak about all tickets at once.
///
/// # Errors
/// Where the address is not local, the port in use, or the system refuses.
pub fn open(members: &[SocketAddr], me: MemberIndex, tickets: usize) -> Result<(PeerReceiver, PeerSender), BindError> {
    let own = *members.get(me.at()).ok_or(BindError::unknown_member())?;
    let error = |source: Errno| BindError::new("UDP", own, source.into());
    let family = if own.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(family, SockType::Datagram, flags, None).map_err(error)?;
    if own.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true).map_err(error)?;
    }
    enlarge_buffers(&socket, tickets * members.len());
    bind(socket.as_raw_fd(), &SockaddrStorage::from(own)).map_err(error)?;
    let socket = Rc::new(socket);
    let members = members.iter().take(MAX_MEMBERS);
    let receiver = PeerReceiver {
        socket: Rc::clone(&socket),
        members: members.clone().map(SocketAddr::ip).collect(),
        headers: MultiHeaders::preallocate(BATCH, None),
        // Not by way of the stack, whose pages would stay.
        buffers: vec![[0; BUFFER]; BATCH].into_boxed_slice(),
        arrived: heapless::Vec::new(),
    };
    let sender =
        PeerSender { socket, members: members.map(SocketAddr::as_any).collect(), queue: Vec::with_capacity(BATCH) };
    Ok((receiver, sender))
}

impl PeerReceiver {
    /// Receives up to [`BATCH`] datagrams in one system call; tells how many. Fewer than [`BATCH`]:
    /// the socket is empty, and the poll will say when it no longer is.
    pub fn receive(&mut self) -> usize {
        self.arrived.clear();
        let mut buffers = self.buffers.iter_mut();
        let mut slices: [_; BATCH] = std::array::from_fn(|_| {
            [IoSliceMut::new(buffers.next().map_or(Default::default(), |buffer| buffer.as_mut_slice()))]
        });
        let flags = MsgFlags::MSG_DONTWAIT;
        let Ok(results) = recvmmsg(self.socket.as_raw_fd(), &mut self.headers, slices.iter_mut(), flags, None) else {
            // Nothing there; or an ICMP error about something sent, which retries take care of.
            return 0;
        };
        for message in results {
            let source = message.address.as_ref().and_then(ip_of);
            let source = source.and_then(|ip| self.members.iter().position(|member| *member == ip));
            let source = source.map(|at| MemberIndex(at as u8));
            // As many results as buffers, so there is room.
            let _ = self.arrived.push(Arrived { source, length: message.bytes.min(BUFFER) });
        }
        self.arrived.len()
    }

    /// A datagram of the last [`PeerReceiver::receive`]: whose address it came from, and its bytes.
    pub fn datagram(&self, at: usize) -> Option<(Option<MemberIndex>, &[u8])> {
        let Arrived { source, length } = *self.arrived.get(at)?;
        Some((source, &self.buffers[at][..length]))
    }
}

impl AsRawFd for PeerReceiver {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl PeerSender {
    /// Whether no more datagrams can be queued before a [`PeerSender::flush`].
    pub fn is_full(&self) -> bool {
        self.queue.len() == BATCH
    }

    /// Queues a datagram; `false`: the queue is full, or there is no such member.
    pub fn queue(&mut self, ticket: TicketIndex, to: MemberIndex, bytes: &[u8]) -> bool {
        if self.is_full() || bytes.len() > MAX_MESSAGE || to.at() >= self.members.len() {
            return false;
        }
        let mut datagram = Datagram { ticket, to, length: bytes.len(), bytes: [0; MAX_MESSAGE] };
        datagram.bytes[..bytes.len()].copy_from_slice(bytes);
        // There is room without an allocation.
        self.queue.push(datagram);
        true
    }

    /// Sends what is queued, but for the tickets that `blocked` names; calls `failed` for each
    /// datagram that the kernel did not take. The queue is empty afterwards.
    pub fn flush(&mut self, blocked: impl Fn(TicketIndex) -> bool, mut failed: impl FnMut(MemberIndex)) {
        if !self.queue.is_empty() {
            self.send_queued(blocked, &mut failed);
            self.queue.clear();
        }
    }

    fn send_queued(&self, blocked: impl Fn(TicketIndex) -> bool, failed: &mut impl FnMut(MemberIndex)) {
        let mut slices = heapless::Vec::<[IoSlice<'_>; 1], BATCH>::new();
        let mut controls = heapless::Vec::<SendAncillaryBuffer<'_, '_, '_>, BATCH>::new();
        let mut receivers = heapless::Vec::<MemberIndex, BATCH>::new();
        // None of these vectors is shorter than the queue, so there is room for all.
        for datagram in self.queue.iter().filter(|datagram| !blocked(datagram.ticket)) {
            let _ = slices.push([IoSlice::new(&datagram.bytes[..datagram.length])]);
            let _ = controls.push(SendAncillaryBuffer::default());
            let _ = receivers.push(datagram.to);
        }
        let mut messages = heapless::Vec::<MMsgHdr<'_>, BATCH>::new();
        for ((slice, control), to) in slices.iter().zip(&mut controls).zip(&receivers) {
            let _ = messages.push(MMsgHdr::new_with_addr(&self.members[to.at()], slice, control));
        }
        let mut done = 0;
        while done < receivers.len() {
            match sendmmsg(&*self.socket, &mut messages[done..], SendFlags::DONTWAIT) {
                Ok(sent) => done += sent.max(1),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(_) => {
                    failed(receivers[done]);
                    done += 1;
                }
            }
        }
        // The kernel's buffer is full: these are lost, as any datagram may be.
        receivers.iter().skip(done).for_each(|receiver| failed(*receiver));
    }
}

/// Asks for room for `datagrams` in each direction. What the kernel does not give is no error:
/// datagrams may be lost anyway, and are sent again.
fn enlarge_buffers(socket: &OwnedFd, datagrams: usize) {
    let wanted = (datagrams * KERNEL_BYTES_PER_DATAGRAM).clamp(*SOCKET_BUFFER.start(), *SOCKET_BUFFER.end());
    // The first needs CAP_NET_ADMIN and is not bound by rmem_max and wmem_max (socket(7)).
    if setsockopt(socket, sockopt::RcvBufForce, &wanted).is_err() {
        let _ = setsockopt(socket, sockopt::RcvBuf, &wanted);
    }
    if setsockopt(socket, sockopt::SndBufForce, &wanted).is_err() {
        let _ = setsockopt(socket, sockopt::SndBuf, &wanted);
    }
}
