//! What must hold of any bytes on a client's connection, in pieces of any length: no panic; the node is
//! asked at most once, and with the same bytes as if they had come in one piece; the client reads the
//! same answer, all of it and nothing behind it; and a client that has closed is let go.
//!
//! The first nine bytes say how: whether there is a key, whether the message is signed for the one who
//! sends it, how much surplus follows it, and the lengths of the pieces.

use super::fixture::{self, KEY};
use booth::net::client::{BOOTH, booth_framing};
use booth::net::connection::{Connection, Framing, LONGEST_REQUEST, State};
use booth::net::stream::Stream;
use booth_core::attribute::Attribute;
use booth_core::input::{ClientId, Input, RequestNumber};
use booth_core::member::MemberIndex;
use booth_core::node::{Node, Storage};
use booth_core::notice::Notice;
use booth_core::settings::TicketIndex;
use booth_core::sink::{HandlerRequest, Record, Reply, Sink, StoreRequest};
use booth_core::ticket::Ticket;
use booth_core::time::{Instant, Millis, Now, WallTime};
use booth_core::wire::{self, Key, MAX_MESSAGE};
use mio::net::UnixStream;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

/// The ticket of the recorded traffic.
const TICKET: &str = "T";
const CLIENT: ClientId = ClientId(7);
const NOW: Now = Now { boot: Instant(1_000_000), wall: WallTime(1_800_000_000_000_000) };

/// Panics if something that must hold does not.
pub fn judge(bytes: &[u8]) {
    let Some(([how, pieces @ ..], stream)) = bytes.split_first_chunk::<9>() else { return };
    let key = (how & 1 != 0).then(|| Key::new(KEY));
    let mut stream = if how & 2 != 0 { signed(stream, key.as_ref()) } else { stream.to_vec() };
    // Up to 112 KB: more than is read and dropped behind a request.
    stream.resize(stream.len() + (usize::from(how >> 5) << 14), 0);
    let whole = converse(&stream, &[], key.as_ref());
    let cut = converse(&stream, pieces, key.as_ref());
    assert_eq!(cut.answer, whole.answer, "the answer depends on how the request was cut");
    assert_eq!(cut.good, whole.good);
    if whole.good == Some(true) {
        assert_eq!(cut.request, whole.request);
    }
    assert_eq!(whole.good.is_some(), asks(&stream), "{whole:?}");
}

/// The message at the start of a stream as somebody sends it now who has the key (or has none).
fn signed(stream: &[u8], key: Option<&Key>) -> Vec<u8> {
    let recorded = Key::new(KEY);
    let length = wire::frame_length(stream).map_or(stream.len(), |frame| frame.message.min(stream.len()));
    let (message, rest) = stream.split_at(length);
    let Ok(mut message) = wire::decode(message, None).or_else(|_| wire::decode(message, Some(&recorded))) else {
        return stream.to_vec();
    };
    (message.header.stamp, message.header.sender) = (NOW.wall, fixture::id(0));
    let mut again = [0; MAX_MESSAGE];
    let length = wire::encode(&message, key, &mut again);
    [&again[..length], rest].concat()
}

/// Whether the node must hear of it: a request is whole, or can never become one.
fn asks(stream: &[u8]) -> bool {
    let start = &stream[..stream.len().min(LONGEST_REQUEST)];
    booth_framing(start) != Framing::Partial || start.len() == LONGEST_REQUEST
}

/// What has come of a stream.
#[derive(Debug, Default)]
struct Conversation {
    request: Vec<u8>,
    good: Option<bool>,
    answer: Vec<u8>,
}

/// Sends the stream in pieces of these lengths in turn, at once where there are none; then closes.
fn converse(stream: &[u8], pieces: &[u8], key: Option<&Key>) -> Conversation {
    let (ours, mut theirs) = UnixStream::pair().expect("a pair of sockets");
    let mut connection = Connection::new(Stream::Unix(ours), 1, None, NOW.boot);
    let mut tickets = [Ticket::new(fixture::ticket(TICKET), Some(fixture::memory()))];
    let (mut timers, mut attributes) = ([Default::default()], [Attribute::default(), Attribute::default()]);
    let storage = Storage { tickets: &mut tickets, timers: &mut timers, attributes: &mut attributes };
    let settings = booth_core::settings::Settings { key: key.cloned(), ..fixture::settings(0) };
    let mut node = Node::new(settings, storage, NOW);
    let mut outputs = Outputs::default();
    node.step(NOW, Input::Started, &mut outputs);
    let loaded = fixture::NEVER_GRANTED;
    node.step(
        NOW,
        Input::StoreFinished { ticket: TicketIndex(0), number: outputs.store, result: loaded },
        &mut outputs,
    );

    let (mut talk, mut queue) = (Conversation::default(), Vec::new());
    // No more pieces than a request has bytes: what follows it is dropped anyhow.
    let (mut rest, mut pieces) = (stream, pieces.iter().cycle().take(LONGEST_REQUEST));
    loop {
        let length = pieces.next().map_or(rest.len(), |piece| 1 + usize::from(*piece)).min(rest.len());
        let (piece, behind) = rest.split_at(length);
        let sent = send(&mut theirs, piece);
        rest = if behind.is_empty() || sent < length { &rest[sent..] } else { behind };
        connection.read(BOOTH);
        serve(&mut connection, &mut node, &mut outputs, &mut queue, &mut talk);
        receive(&mut theirs, &mut talk.answer);
        if rest.is_empty() || connection.state == State::Closed {
            break;
        }
    }
    let _ = theirs.shutdown(Shutdown::Write);
    connection.read(BOOTH);
    connection.write(&mut queue, NOW.boot);
    receive(&mut theirs, &mut talk.answer);
    if connection.asked {
        node.step(NOW, Input::ClientGone { client: CLIENT }, &mut outputs);
    }
    assert_eq!(connection.state, State::Closed, "a client that has closed is kept: {talk:?}");
    assert!(outputs.ended || queue.is_empty(), "an answer was not sent");
    talk
}

/// As the event loop does: asks the node, ends the connection with the last answer, and writes.
fn serve(
    connection: &mut Connection,
    node: &mut Node<'_>,
    outputs: &mut Outputs,
    queue: &mut Vec<u8>,
    talk: &mut Conversation,
) {
    if let Some((bytes, good)) = connection.take_request(NOW.boot + Millis(60_000)) {
        assert!(talk.good.is_none(), "the node is asked twice");
        assert!(bytes.len() <= LONGEST_REQUEST);
        (talk.request, talk.good) = (bytes.to_vec(), Some(good));
        node.step(NOW, Input::Request { client: CLIENT, bytes: &talk.request }, outputs);
        queue.append(&mut outputs.answer);
        if outputs.ended || !good {
            connection.finish(NOW.boot);
        }
    }
    connection.write(queue, NOW.boot);
}

fn send(stream: &mut UnixStream, piece: &[u8]) -> usize {
    match stream.write(piece) {
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        // It has been closed for sending too much.
        Err(_) => piece.len(),
    }
}

fn receive(stream: &mut UnixStream, answer: &mut Vec<u8>) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        answer.extend_from_slice(&buffer[..count]);
    }
}

/// What the node has put out for the client, and the number of its request to the store.
#[derive(Default)]
struct Outputs {
    answer: Vec<u8>,
    ended: bool,
    store: RequestNumber,
}

impl Sink for Outputs {
    fn journal(&mut self, _: TicketIndex, _: &Record) {}

    fn send(&mut self, _: TicketIndex, _: MemberIndex, _: &[u8]) {}

    fn store(&mut self, _: TicketIndex, request: StoreRequest<'_>) {
        self.store = request.number;
    }

    fn run_handler(&mut self, _: TicketIndex, _: HandlerRequest) {}

    fn reply(&mut self, client: ClientId, reply: Reply<'_>) {
        assert!(client == CLIENT && !self.ended, "an answer behind the last one");
        match reply {
            Reply::Message { bytes, last } => {
                self.answer.extend_from_slice(bytes);
                self.ended = last;
            }
            text => {
                self.answer.extend_from_slice(format!("{text:?}").as_bytes());
                self.ended = true;
            }
        }
    }

    fn notice(&mut self, _: Notice) {}
}
