//! A load client for `benches/compare.sh`, and the bare loop that a daemon is measured against.
//!
//! `load query FROM TO KEYFILE TICKET COUNT` speaks as the member FROM: it sends COUNT signed status
//! queries to TO, never more than 64 without an answer, and prints how many were answered and how long
//! it took. All are signed before the clock starts, so that the daemon is the slower side.
//! `load bare ADDRESS KEYFILE` receives, verifies, signs and sends, and nothing else: no daemon with one
//! system call per datagram can do better. `load batch ADDRESS KEYFILE` does the same with one system
//! call for up to 32 datagrams.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use booth_core::member::SiteId;
use booth_core::time::WallTime;
use booth_core::wire::mac::Key;
use booth_core::wire::{self, Body, Command, Header, LeaderField, MAX_MESSAGE, Message, Outcome, Reason, TicketBody};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};
use std::io::{ErrorKind, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime};

/// How many queries may wait for an answer.
const WINDOW: usize = 64;
/// How long the answers of a whole window are waited for before they count as lost.
const PATIENCE: Duration = Duration::from_millis(500);
/// One answer in this many is verified; checking each would make the client the slower side.
const VERIFIED: usize = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["query", from, to, key, ticket, count] => {
            query(from.parse().unwrap(), to.parse().unwrap(), &read_key(key), ticket, count.parse().unwrap());
        }
        ["bare", address, key] => bare(address.parse().unwrap(), &read_key(key)),
        ["batch", address, key] => batch(address.parse().unwrap(), &read_key(key)),
        _ => panic!("usage: load query FROM TO KEYFILE TICKET COUNT | load bare|batch ADDRESS KEYFILE"),
    }
}

fn read_key(path: &str) -> Key {
    Key::new(std::fs::read(path).expect(path).trim_ascii())
}

fn site_id(address: SocketAddr) -> SiteId {
    match address.ip() {
        IpAddr::V4(ip) => SiteId::of_address(&ip.octets()),
        IpAddr::V6(ip) => SiteId::of_address(&ip.octets()),
    }
}

fn wall_micros() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64
}

fn message(command: Command, request: Option<Command>, sender: SiteId, stamp: u64, name: &str) -> Message<'_> {
    let header = Header {
        stamp: WallTime(stamp),
        sender,
        command,
        request,
        options: 0,
        reason: Reason::None,
        outcome: Outcome::Success,
    };
    Message { header, body: Body::Ticket(TicketBody { name, leader: LeaderField::Nobody, term: 0, valid_for: 0 }) }
}

fn query(from: SocketAddr, to: SocketAddr, key: &Key, ticket: &str, count: usize) {
    let start = wall_micros();
    let queries: Vec<Vec<u8>> = (0..count as u64)
        .map(|number| {
            let mut bytes = [0; MAX_MESSAGE];
            let status = message(Command::Status, None, site_id(from), start + number, ticket);
            let length = wire::encode(&status, Some(key), &mut bytes);
            bytes[..length].to_vec()
        })
        .collect();
    let socket = UdpSocket::bind(from).unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();

    let (begin, mut sent, mut answered, mut lost, mut waiting) = (Instant::now(), 0, 0, 0, 0);
    let mut buffer = [0; 2048];
    while sent < count || waiting > 0 {
        while waiting < WINDOW && sent < count {
            socket.send(&queries[sent]).unwrap();
            (sent, waiting) = (sent + 1, waiting + 1);
        }
        match socket.recv(&mut buffer) {
            Ok(length) => {
                if answered % VERIFIED == 0 {
                    let answer = wire::decode(&buffer[..length], Some(key)).expect("a bad answer");
                    assert_eq!(answer.header.command, Command::MyIndex, "{answer:?}");
                }
                (answered, waiting) = (answered + 1, waiting.saturating_sub(1));
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                (lost, waiting) = (lost + waiting, 0);
                assert!(lost < 1 + count / 10, "{lost} of {sent} queries were not answered");
            }
            Err(error) => panic!("{to}: {error}"),
        }
    }
    println!("answered={answered} lost={lost} seconds={:.3}", begin.elapsed().as_secs_f64());
}

/// The signed answer to a query, and its length; 0 for what is no query.
fn answer(me: SiteId, bytes: &[u8], key: &Key, out: &mut [u8; MAX_MESSAGE]) -> usize {
    let Ok(Message { body: Body::Ticket(ticket), .. }) = wire::decode(bytes, Some(key)) else { return 0 };
    wire::encode(&message(Command::MyIndex, Some(Command::Status), me, wall_micros(), ticket.name), Some(key), out)
}

fn bare(address: SocketAddr, key: &Key) {
    let socket = UdpSocket::bind(address).unwrap();
    let (mut buffer, mut out) = ([0; 2048], [0; MAX_MESSAGE]);
    loop {
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        let length = answer(site_id(address), &buffer[..length], key, &mut out);
        if length > 0 {
            socket.send_to(&out[..length], from).unwrap();
        }
    }
}

fn batch(address: SocketAddr, key: &Key) {
    const BATCH: usize = 32;
    let socket = UdpSocket::bind(address).unwrap();
    let mut inbound = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
    let mut outbound = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
    let (mut buffers, mut answers) = ([[0; 2048]; BATCH], [[0; MAX_MESSAGE]; BATCH]);
    loop {
        let mut received = [(0, None); BATCH];
        let mut slices: Vec<_> = buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let messages = recvmmsg(socket.as_raw_fd(), &mut inbound, &mut slices, MsgFlags::MSG_WAITFORONE, None).unwrap();
        let mut count = 0;
        for message in messages {
            received[count] = (message.bytes, message.address);
            count += 1;
        }
        let (mut slices, mut addresses) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
        for ((bytes, out), (length, from)) in buffers.iter().zip(&mut answers).zip(&received[..count]) {
            let length = answer(site_id(address), &bytes[..*length], key, out);
            slices.push([IoSlice::new(&out[..length])]);
            addresses.push(*from);
        }
        sendmmsg(socket.as_raw_fd(), &mut outbound, &slices, &addresses, [], MsgFlags::empty()).unwrap();
    }
}
