//! A daemon's side of a client's connection, by script: what it is to answer, and what it was asked.

use booth_core::member::SiteId;
use booth_core::time::WallTime;
use booth_core::wire::mac::Key;
use booth_core::wire::{
    self, Body, Command, HEADER_LEN, Header, LeaderField, MAX_MESSAGE, Message, Outcome, Reason, TicketBody,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

/// What the responder does with one connection, in order.
#[derive(Clone)]
pub enum Act {
    /// Answer with this outcome.
    Outcome(Outcome),
    /// Send the client on to the member at this address.
    Redirect(IpAddr),
    /// Answer with text.
    Text(String),
    /// Say nothing for this long.
    Wait(Duration),
    /// Send bytes as they are.
    Raw(Vec<u8>),
    /// Say nothing until the client has gone, and report it.
    AwaitClose,
}

/// What a client has asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub command: Command,
    pub options: u32,
    pub sender: SiteId,
    pub ticket: String,
    pub attribute: Option<(String, String)>,
    /// Bytes behind the message.
    pub surplus: usize,
}

/// A scripted daemon.
pub struct Responder {
    pub address: SocketAddr,
    asked: Receiver<Asked>,
    closed: Receiver<()>,
}

impl Responder {
    /// Listens on `address` (port 0: any) and plays one script for each connection.
    pub fn start(address: SocketAddr, key: Option<&[u8]>, scripts: Vec<Vec<Act>>) -> Responder {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let key = key.map(Key::new);
        let (asked_in, asked) = channel();
        let (closed_in, closed) = channel();
        thread::spawn(move || {
            for script in scripts {
                let (stream, _) = listener.accept().unwrap();
                // A client that leaves early is what some tests are about.
                let _ = play(stream, address.ip(), key.as_ref(), script, &asked_in, &closed_in);
            }
        });
        Responder { address, asked, closed }
    }

    /// The next request that came.
    pub fn asked(&self) -> Asked {
        self.asked.recv_timeout(Duration::from_secs(10)).expect("nothing was asked")
    }

    /// Whether another request has come.
    pub fn was_asked_again(&self) -> bool {
        self.asked.try_recv().is_ok()
    }

    /// Waits until the client has closed its connection.
    pub fn await_close(&self) {
        self.closed.recv_timeout(Duration::from_secs(10)).expect("the client keeps its connection");
    }
}

fn play(
    mut stream: TcpStream,
    own: IpAddr,
    key: Option<&Key>,
    script: Vec<Act>,
    asked: &Sender<Asked>,
    closed: &Sender<()>,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let _ = asked.send(read_request(&mut stream, key)?);
    for act in script {
        match act {
            Act::Outcome(outcome) => stream.write_all(&result(own, key, outcome, LeaderField::Unknown))?,
            Act::Redirect(to) => {
                let leader = LeaderField::Member(id(to));
                stream.write_all(&result(own, key, Outcome::Redirect, leader))?;
            }
            Act::Text(text) => {
                let mut bytes = [0; MAX_MESSAGE];
                let header = header(own, Command::ListReply, Outcome::Success);
                let length = wire::encode_text_header(&header, text.len(), key, &mut bytes);
                stream.write_all(&bytes[..length])?;
                stream.write_all(text.as_bytes())?;
            }
            Act::Wait(span) => thread::sleep(span),
            Act::Raw(bytes) => stream.write_all(&bytes)?,
            Act::AwaitClose => {
                // A client that leaves while an answer is under way resets the connection.
                let end = stream.read(&mut [0; 1]);
                let gone = end.map_or_else(|error| error.kind() == ErrorKind::ConnectionReset, |count| count == 0);
                assert!(gone, "the client has sent more, or stays");
                let _ = closed.send(());
            }
        }
    }
    Ok(())
}

fn read_request(stream: &mut TcpStream, key: Option<&Key>) -> std::io::Result<Asked> {
    let mut bytes = [0; MAX_MESSAGE];
    stream.read_exact(&mut bytes[..HEADER_LEN])?;
    let frame = wire::frame_length(&bytes[..HEADER_LEN]).unwrap();
    stream.read_exact(&mut bytes[HEADER_LEN..frame.message])?;
    stream.read_exact(&mut [0; MAX_MESSAGE][..frame.surplus])?;
    // Signed with another key it is of no interest what it says.
    let Ok(message) = wire::decode(&bytes[..frame.message], key) else {
        return Ok(Asked {
            command: Command::Result,
            options: 0,
            sender: SiteId(0),
            ticket: String::new(),
            attribute: None,
            surplus: 0,
        });
    };
    let (ticket, attribute) = match message.body {
        Body::Empty => (String::new(), None),
        Body::Ticket(body) => (body.name.to_owned(), None),
        Body::Attribute(body) => (body.ticket.to_owned(), Some((body.name.to_owned(), body.value.to_owned()))),
    };
    let Header { command, options, sender, .. } = message.header;
    Ok(Asked { command, options, sender, ticket, attribute, surplus: frame.surplus })
}

pub fn id(address: IpAddr) -> SiteId {
    match address {
        IpAddr::V4(address) => SiteId::of_address(&address.octets()),
        IpAddr::V6(address) => SiteId::of_address(&address.octets()),
    }
}

fn header(own: IpAddr, command: Command, outcome: Outcome) -> Header {
    Header {
        stamp: WallTime(1_795_412_494_000_000),
        sender: id(own),
        command,
        request: None,
        options: 0,
        reason: Reason::None,
        outcome,
    }
}

/// A result as a daemon sends it.
pub fn result(own: IpAddr, key: Option<&Key>, outcome: Outcome, leader: LeaderField) -> Vec<u8> {
    let body = Body::Ticket(TicketBody { name: "T", leader, term: 1, valid_for: 0 });
    let message = Message { header: header(own, Command::Result, outcome), body };
    let mut bytes = [0; MAX_MESSAGE];
    let length = wire::encode(&message, key, &mut bytes);
    bytes[..length].to_vec()
}
