//! Recorded traffic of the reference daemon: every line is decoded, compared with what the recorder
//! read in it, and encoded again to the same bytes. Each line is accounted for by its kind.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use booth_core::member::SiteId;
use booth_core::time::WallTime;
use booth_core::wire::{
    self, AttributeBody, Body, Command, Header, Key, LeaderField, MAX_MESSAGE, Outcome, Reason, ReplyFrame, TicketBody,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a recorded line turned out to be, and how many there are of each kind.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    /// Datagrams.
    datagrams: usize,
    /// Client requests whose `length` is all that was sent.
    requests: usize,
    /// Client requests with a surplus trailer behind them.
    requests_with_surplus: usize,
    /// Replies that are whole messages.
    replies: usize,
    /// Replies' headers whose text comes in the next line.
    text_headers: usize,
    /// Texts.
    texts: usize,
}

#[test]
fn grant_revoke_with_key() {
    let expected =
        Counts { datagrams: 28, requests: 11, requests_with_surplus: 0, replies: 7, text_headers: 5, texts: 5 };
    check("grant_revoke_auth", include_str!("vectors/grant_revoke_auth.jsonl"), &expected);
}

#[test]
fn grant_revoke_without_key() {
    let expected =
        Counts { datagrams: 26, requests: 5, requests_with_surplus: 6, replies: 7, text_headers: 5, texts: 5 };
    check("grant_revoke_plain", include_str!("vectors/grant_revoke_plain.jsonl"), &expected);
}

#[test]
fn failover() {
    let expected = Counts { datagrams: 48, requests: 1, replies: 2, ..Counts::default() };
    check("failover_auth", include_str!("vectors/failover_auth.jsonl"), &expected);
}

#[test]
fn isolated_site() {
    let expected = Counts { datagrams: 65, requests: 1, replies: 2, ..Counts::default() };
    check("isolated_site_auth", include_str!("vectors/isolated_site_auth.jsonl"), &expected);
}

#[test]
fn validity_in_milliseconds() {
    let expected = Counts { datagrams: 81, requests: 1, replies: 2, ..Counts::default() };
    check("milliseconds_auth", include_str!("vectors/milliseconds_auth.jsonl"), &expected);
}

fn check(name: &str, recording: &str, expected: &Counts) {
    let mut lines = recording.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let key = lines.next().unwrap()["key"].as_str().map(|secret| Key::new(secret.as_bytes()));
    let mut counts = Counts::default();
    let mut announced = BTreeMap::new();
    for (index, line) in lines.enumerate() {
        let place = format!("{name}, packet {index}");
        check_line(&line, key.as_ref(), &mut announced, &mut counts, &place);
    }
    assert!(announced.is_empty(), "{name}: announced texts that never came: {announced:?}");
    assert_eq!(&counts, expected, "{name}");
}

/// Checks one packet. `announced`: the lengths of the texts that are to come, by connection.
fn check_line(
    line: &Value,
    key: Option<&Key>,
    announced: &mut BTreeMap<String, usize>,
    counts: &mut Counts,
    place: &str,
) {
    let bytes = bytes_of(line["hex"].as_str().unwrap());
    if line["proto"] == "udp" {
        counts.datagrams += 1;
        return check_message(line, &bytes, key, place);
    }
    let from_daemon = line["src"].as_str().unwrap().ends_with(":9929");
    let connection = line[if from_daemon { "dst" } else { "src" }].as_str().unwrap();
    if let Some(text_len) = announced.remove(connection) {
        counts.texts += 1;
        assert_eq!(bytes.len(), text_len, "{place}: the text is as long as announced");
        return assert!(bytes.is_ascii() && bytes.ends_with(b"\n"), "{place}: {bytes:?}");
    }
    if !from_daemon {
        let frame = wire::frame_length(&bytes[..wire::HEADER_LEN]).expect(place);
        assert_eq!(bytes.len(), frame.message + frame.surplus, "{place}: {frame:?}");
        *(if frame.surplus == 0 { &mut counts.requests } else { &mut counts.requests_with_surplus }) += 1;
        return check_message(line, &bytes[..frame.message], key, place);
    }
    match wire::reply_frame(&bytes).expect(place) {
        ReplyFrame::Message(length) => {
            assert_eq!(bytes.len(), length, "{place}");
            counts.replies += 1;
            check_message(line, &bytes, key, place);
        }
        ReplyFrame::Text { header, text } => {
            assert_eq!(bytes.len(), header, "{place}");
            counts.text_headers += 1;
            announced.insert(connection.to_owned(), text);
            let (header, text_len) = wire::decode_text_header(&bytes, key).expect(place);
            assert_eq!(text_len, text, "{place}");
            check_header(line, &header, place);
            let mut out = [0xAA; MAX_MESSAGE];
            let length = wire::encode_text_header(&header, text_len, key, &mut out);
            assert_eq!(out[..length], bytes, "{place}: encoded again");
        }
    }
}

fn check_message(line: &Value, bytes: &[u8], key: Option<&Key>, place: &str) {
    let message = wire::decode(bytes, key).unwrap_or_else(|reason| panic!("{place}: {reason:?}"));
    check_header(line, &message.header, place);
    assert_eq!(wire::claimed_sender(bytes), Some(message.header.sender), "{place}");
    match message.body {
        Body::Ticket(body) => check_ticket(line, &body, place),
        // The recorder did not read these bodies; all are about this one attribute.
        Body::Attribute(body) => assert_eq!(body, recorded_attribute(message.header.command), "{place}"),
        Body::Empty => assert_eq!(message.header.command, Command::Result, "{place}"),
    }
    let mut out = [0xAA; MAX_MESSAGE];
    let length = wire::encode(&message, key, &mut out);
    assert_eq!(out[..length], *bytes, "{place}: encoded again");
}

fn check_header(line: &Value, header: &Header, place: &str) {
    let stamp = WallTime(number(line, "secs") * 1_000_000 + number(line, "usecs"));
    assert_eq!(header.stamp, stamp, "{place}: stamp");
    assert_eq!(u64::from(header.sender.0), number(line, "from"), "{place}: from");
    assert_eq!(command_code(header.command), line["cmd"], "{place}: cmd");
    assert_eq!(
        header.request.map_or(Value::from(0), |request| command_code(request).into()),
        line["request"],
        "{place}"
    );
    assert_eq!(u64::from(header.options), number(line, "options"), "{place}: options");
    let reason = match header.reason {
        Reason::None => Value::from(0),
        Reason::TicketLost => "TLst".into(),
        Reason::Administrator => "Admn".into(),
        other => panic!("{place}: {other:?} was not recorded"),
    };
    assert_eq!(reason, line["reason"], "{place}: reason");
    let outcome = match header.outcome {
        Outcome::Success => Value::from(0),
        Outcome::More => "More".into(),
        Outcome::NoSuchAttribute => "NAtr".into(),
        Outcome::TicketIdle => "Tidl".into(),
        Outcome::TermOutdated => "TOdt".into(),
        Outcome::TermStillValid => "TVld".into(),
        other => panic!("{place}: {other:?} was not recorded"),
    };
    assert_eq!(outcome, line["result"], "{place}: result");
}

fn check_ticket(line: &Value, body: &TicketBody<'_>, place: &str) {
    let leader = match body.leader {
        LeaderField::Unknown => 0,
        LeaderField::Nobody => u32::MAX,
        LeaderField::Member(SiteId(id)) => id,
    };
    assert_eq!(body.name, line["ticket"], "{place}: ticket");
    assert_eq!(u64::from(leader), number(line, "leader"), "{place}: leader");
    assert_eq!(u64::from(body.term), number(line, "term"), "{place}: term");
    assert_eq!(u64::from(body.valid_for), number(line, "term_valid_for"), "{place}: term_valid_for");
}

fn recorded_attribute(command: Command) -> AttributeBody<'static> {
    let name = if command == Command::AttributeList { "" } else { "repl_state" };
    let value = if command == Command::AttributeSet { "ACTIVE" } else { "" };
    AttributeBody { ticket: "T", name, value }
}

/// The codes as the protocol has them, written down a second time.
fn command_code(command: Command) -> &'static str {
    match command {
        Command::Status => "Stat",
        Command::MyIndex => "MIdx",
        Command::VoteRequest => "RVot",
        Command::Vote => "VtFr",
        Command::Heartbeat => "HrtB",
        Command::Update => "UpdE",
        Command::Revoke => "Revk",
        Command::Ack => "Ack.",
        Command::Reject => "RJC!",
        Command::ClientList => "CLst",
        Command::ClientGrant => "CGnt",
        Command::ClientRevoke => "CRvk",
        Command::ClientPeers => "Peer",
        Command::AttributeSet => "ASet",
        Command::AttributeGet => "AGet",
        Command::AttributeDelete => "ADel",
        Command::AttributeList => "ALst",
        Command::Result => "Rslt",
        Command::ListReply => "RLst",
    }
}

fn number(line: &Value, field: &str) -> u64 {
    line[field].as_u64().unwrap_or_else(|| panic!("{field} of {line}"))
}

fn bytes_of(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}
