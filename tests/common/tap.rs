//! Who sees all traffic of a cluster and can send it again: the attacker on the path, who has no key.

use super::cluster::{Cluster, OUTSIDER};
use super::network::PORT;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt::ReceiveTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// No attacker remembers more than this; a cluster of a test sends far less.
const MOST_RECORDED: usize = 10_000;

/// How a message travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Between members.
    Udp,
    /// From a client.
    Tcp,
}

/// A message that was sent to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Between whom.
    pub transport: Transport,
    /// Whose address it was sent to.
    pub to: Ipv4Addr,
    /// The whole message.
    pub bytes: Vec<u8>,
}

impl Recorded {
    /// Its four-character code.
    pub fn command(&self) -> &[u8] {
        &self.bytes[28..32]
    }

    /// Which member it says that it is from.
    pub fn from(&self) -> &[u8] {
        &self.bytes[20..24]
    }

    /// What it answers; zeros where it is no answer.
    pub fn request(&self) -> &[u8] {
        &self.bytes[32..36]
    }
}

/// Puts `code` at `offset` of a message.
pub fn put(message: &mut Recorded, offset: usize, code: &[u8; 4]) {
    message.bytes[offset..offset + 4].copy_from_slice(code);
}

/// Records the messages of a cluster until it is dropped.
pub struct Tap {
    recorded: Arc<Mutex<Vec<Recorded>>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Tap {
    /// Begins to record all that passes the switch.
    pub fn new(cluster: &Cluster) -> Tap {
        let switch = cluster.network.switch();
        let socket = cluster.network.inside(&switch, || {
            let flags = SockFlag::SOCK_CLOEXEC;
            let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).expect("root");
            setsockopt(&socket, ReceiveTimeout, &TimeVal::milliseconds(100)).expect("a time-out");
            socket
        });
        let (recorded, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let reader = {
            let (recorded, stop) = (Arc::clone(&recorded), Arc::clone(&stop));
            thread::spawn(move || record(&socket, &recorded, &stop))
        };
        Tap { recorded, stop, reader: Some(reader) }
    }

    /// All messages so far, in their order.
    pub fn recorded(&self) -> Vec<Recorded> {
        self.recorded.lock().expect("no panic there").clone()
    }

    /// Those with this command that answer nothing.
    pub fn requests(&self, command: &[u8; 4]) -> Vec<Recorded> {
        let mut recorded = self.recorded();
        recorded.retain(|message| message.command() == command && message.request() == [0; 4]);
        recorded
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.reader.take().map(JoinHandle::join);
    }
}

fn record(socket: &OwnedFd, recorded: &Mutex<Vec<Recorded>>, stop: &AtomicBool) {
    let mut frame = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        let Ok(length) = recv(socket.as_raw_fd(), &mut frame, MsgFlags::empty()) else { continue };
        let Some(message) = message_in(&frame[..length]) else { continue };
        let mut recorded = recorded.lock().expect("no panic there");
        // Each frame is seen on its way into the switch and out of it; two messages never have the same stamp.
        if recorded.len() < MOST_RECORDED && !recorded.iter().rev().take(50).any(|other| *other == message) {
            recorded.push(message);
        }
    }
}

/// The booth message to a member in an Ethernet frame with IPv4, where there is one.
fn message_in(frame: &[u8]) -> Option<Recorded> {
    let packet = frame.get(14..).filter(|_| frame[12..14] == [8, 0])?;
    let header = usize::from(packet.first()? & 15) * 4;
    let total = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
    let (protocol, to) = (*packet.get(9)?, <[u8; 4]>::try_from(packet.get(16..20)?).ok()?);
    let segment = packet.get(header..total)?;
    let port = u16::from_be_bytes(segment.get(2..4)?.try_into().ok()?);
    let (transport, start) = match protocol {
        17 => (Transport::Udp, 8),
        6 => (Transport::Tcp, usize::from(segment.get(12)? >> 4) * 4),
        _ => return None,
    };
    let bytes = segment.get(start..)?.to_vec();
    let whole = bytes.len() >= 48 && bytes[12..16] == 0x5F1B_A08C_u32.to_be_bytes();
    (port == PORT && whole).then(|| Recorded { transport, to: to.into(), bytes })
}

impl Cluster {
    /// A datagram socket of the outsider.
    pub fn outside_socket(&self) -> UdpSocket {
        self.inside(OUTSIDER, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a socket"))
    }

    /// Sends a recorded message again from outside, to the same member. What a member answered to a client's.
    pub fn replay(&self, socket: &UdpSocket, message: &Recorded) -> Vec<u8> {
        let to = SocketAddr::from((message.to, PORT));
        match message.transport {
            Transport::Udp => {
                socket.send_to(&message.bytes, to).expect("sent");
                Vec::new()
            }
            Transport::Tcp => self.inside(OUTSIDER, || ask(to, &message.bytes)),
        }
    }
}

/// Sends a client's request; what came back within two seconds.
fn ask(to: SocketAddr, request: &[u8]) -> Vec<u8> {
    let limit = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&to, limit).expect("the member listens");
    stream.set_read_timeout(Some(limit)).expect("a time-out");
    stream.write_all(request).expect("sent");
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).unwrap_or(0);
    answer.truncate(length);
    answer
}
