//! What each fuzz target starts from: recorded traffic, the examples of the configuration, journals as
//! we write them, answers of `crm_ticket` as it gives them, and a few random scripts.
//!
//! Nothing is kept as a corpus: what a fuzzer finds worth keeping is soon found again from these.

use booth::journal::slot::{self, Entry};
use booth_core::member::SiteId;
use booth_core::sink::Record;
use booth_core::time::{Millis, WallTime};
use booth_core::wire::kdump::{self, Announcement, Key, NodeId};
use std::fs;
use std::path::Path;

/// All targets.
pub const TARGETS: [&str; 8] = ["datagram", "step", "client", "control", "configuration", "journal", "store", "kdump"];

/// Random numbers that are the same in each run (SplitMix64).
pub struct Random(pub u64);

impl Random {
    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    /// As many random bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256) as u8).collect()
    }
}

/// The seeds of a target; `root` is where the repository lies.
pub fn seeds(root: &Path, target: &str) -> Vec<Vec<u8>> {
    match target {
        "datagram" => recorded(root),
        "step" => scripts(),
        "client" => clients(&recorded(root)),
        "control" => controls(),
        "configuration" => configurations(root),
        "journal" => journals(),
        "store" => answers(),
        "kdump" => dumps(),
        _ => panic!("no target {target}; expected one of {TARGETS:?}"),
    }
}

/// Every message in `tests/vectors`.
fn recorded(root: &Path) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    for file in files(&root.join("tests/vectors")) {
        for line in file.lines() {
            let Some((_, rest)) = line.split_once("\"hex\": \"") else { continue };
            let hex = rest.split('"').next().unwrap_or_default();
            let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("two hex digits");
            messages.push((0..hex.len()).step_by(2).map(byte).collect());
        }
    }
    assert!(messages.len() > 100, "only {} recorded messages were found", messages.len());
    messages
}

/// What clients have sent, in pieces of several lengths: how to cut it comes first (see `judge/client.rs`).
fn clients(recorded: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let is_request = |message: &&Vec<u8>| booth_core::wire::frame_length(message).is_ok();
    let mut random = Random(3);
    let requests = recorded.iter().filter(is_request);
    let cut = |request: &Vec<u8>| {
        let mut seed = random.bytes(9);
        seed.extend_from_slice(request);
        seed
    };
    requests.map(cut).collect()
}

/// Random inputs; and a grant that is renewed and revoked, a lease that is respected and then over, a
/// start in office, each in several configurations, with random inputs behind it (see `judge/step.rs`).
fn scripts() -> Vec<Vec<u8>> {
    const LOADED: [u8; 8] = [10, 0, 0, 0, 0, 0, 0, 0];
    const LOADED_GRANTED: [u8; 8] = [10, 0, 0, 1, 3, 1, 2, 3];
    const WRITTEN: [u8; 8] = [10, 0, 0, 0, 0, 0, 0, 0];
    const GRANT: [u8; 9] = [13, 1, 1, 0, 0, 0, 0, 0, 1];
    const REVOKE: [u8; 9] = [13, 2, 1, 2, 0, 0, 0, 0, 1];
    const TO_DEADLINE: [u8; 1] = [2];
    // Datagrams: from the next member, command, request, term, and so on.
    let datagram = |command: u8, request: u8, leader: u8, term: u8| {
        [4, 0, command, request, term, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, leader, 0]
    };
    let (vote, acknowledgement) = (|me: u8| datagram(3, 2, me, 0), |me: u8| datagram(7, 4, me, 0));
    let mut scripts: Vec<_> = (0..16).map(|seed| Random(seed).bytes(400)).collect();
    for flags in [2, 2 + 32, 3, 2 + 8, 2 + 64, 2 + 128, 0, 2 + 4] {
        for me in 0..3 {
            let other = (me + 1) % 3;
            let start = [&[me, flags][..], &LOADED].concat();
            let handler = [12, 0, 0, 0];
            let office =
                [&start[..], &GRANT, &TO_DEADLINE, &handler, &vote(me), &acknowledgement(me), &WRITTEN].concat();
            let renewed = [&office[..], &TO_DEADLINE, &acknowledgement(me), &WRITTEN, &TO_DEADLINE].concat();
            let follows = [&start[..], &datagram(4, 0, other, 0), &datagram(5, 0, other, 0)].concat();
            for story in [
                [&renewed[..], &REVOKE, &WRITTEN, &datagram(7, 6, 3, 0)].concat(),
                [&renewed[..], &TO_DEADLINE.repeat(60), &WRITTEN].concat(),
                [&renewed[..], &[0, 1], &LOADED_GRANTED, &TO_DEADLINE, &vote(me), &acknowledgement(me)].concat(),
                [&follows[..], &datagram(2, 0, other + 1, 3), &TO_DEADLINE.repeat(5), &vote(me)].concat(),
                [&follows[..], &datagram(6, 0, 3, 0), &GRANT, &datagram(2, 0, other, 3)].concat(),
            ] {
                scripts.push([&story[..], &Random(u64::from(flags)).bytes(200)].concat());
            }
        }
    }
    scripts
}

/// Clients that come, ask and go (see `judge/control.rs`).
fn controls() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = (0..16).map(|seed| Random(100 + seed).bytes(120)).collect();
    for request in 0..8 {
        // One client: opened, asks, is read.
        seeds.push(vec![0, 0, 2, 0, request, 7, 0]);
        // Two clients, one of which asks in two pieces and hangs up its own end.
        seeds.push(vec![0, 0, 0, 1, 1, 0, 2, b's', b't', 2, 1, request, 1, 0, 5, b'a', b't', b'u', b's', b'\n', 4, 0]);
    }
    seeds
}

fn configurations(root: &Path) -> Vec<Vec<u8>> {
    const ALL_KEYS: &str = "transport = UDP\nport = 9930\nname = \"geo\"\nauthfile = /etc/booth/authkey\n\
        maxtimeskew = 30\ndebug = 1\nsite = 10.0.0.1\nsite = \"fd00::2\"\narbitrator = arbitrator.example\n\
        site-user = u\nsite-group = g\narbitrator-user = a\narbitrator-group = b\nstore = file:/var/lib/tickets\n\
        journal = -\nallow-address-translation = yes\nticket = \"__defaults__\"\nexpire = 1500ms\nretries = 3\n\
        timeout = 100ms\nticket = \"db/main\"\nrenewal-freq = 700ms\nacquire-after = 3\nweights = 2, 1,0\n\
        before-acquire-handler = /usr/bin/true a b\nattr-prereq = auto geo eq 1\nmode = auto\nticket = m\n\
        mode = manual # no comment\nticket = 'old; 60; 1,2'\n";
    let mut seeds: Vec<_> = files(&root.join("conf")).into_iter().map(String::into_bytes).collect();
    seeds.push(ALL_KEYS.as_bytes().to_vec());
    // One that is valid is the shortest way to its neighbours.
    seeds.extend(ALL_KEYS.lines().map(|line| format!("site=10.0.0.1\nticket=T\n{line}\n").into_bytes()));
    seeds
}

/// Journals of one to nine tickets, whole, torn and put together from pieces.
fn journals() -> Vec<Vec<u8>> {
    let me = super::journal::ME;
    let record = |term: u32| Record {
        term,
        voted_term: term + 1,
        vote: Some(me),
        leader: term.is_multiple_of(2).then_some(SiteId(7)),
        active: true,
        promised: Millis(10_000),
        earlier: term.is_multiple_of(5),
        revoked: term.is_multiple_of(4),
        held: true,
        mark: term,
        forgetful: term.is_multiple_of(3),
        stamp: WallTime(u64::from(term) * 1_000_000),
    };
    let half = |sequence: u64, record: Option<Record>| -> Vec<u8> {
        let name = |at: usize| super::journal::TICKETS.get(at).copied().unwrap_or_default();
        let entry = |at| Entry { member: me, ticket: name(at), sequence, record: record.filter(|_| at < 3) };
        (0..8).flat_map(|at| slot::encode(&entry(at))).collect()
    };
    let (old, new) = (half(7, Some(record(4))), half(8, Some(record(5))));
    let mut seeds = vec![Vec::new(), [half(0, None), half(0, None)].concat(), [&old[..], &old].concat()];
    for torn in [1, 88, 512, 600, 4096, 4500, 8192] {
        let mut disk = [&old[..], &old].concat();
        disk[..torn].copy_from_slice(&[&new[..], &new].concat()[..torn]);
        seeds.push(disk);
    }
    let foreign = slot::encode(&Entry { member: SiteId(9), ticket: "db/main", sequence: 1, record: None });
    seeds.push([&foreign[..], &foreign].concat());
    // The first byte says what is done to it before it is read (see `judge/journal.rs`).
    (0..4).flat_map(|how| seeds.iter().map(move |seed| [&[how], &seed[..]].concat())).collect()
}

/// Messages, requests, and stories of nodes that dump and of those who wait for them (see `judge/kdump.rs`).
fn dumps() -> Vec<Vec<u8>> {
    const WAIT_FOR_ALPHA: [u8; 3] = [6, 0xE0, 0xC0];
    const WAIT_FOR_TWO: [u8; 4] = [6, 0xE1, 9, 10];
    const TEN_SECONDS: [u8; 2] = [0, 50];
    // Sent so many seconds from now, less 128; a fourth of the uptime.
    let signed = |sent: u8, number: u8, uptime: u8| [3, 0, 1, sent, number, uptime];
    let plain = |from: u8| [1, from];
    let announcement = Announcement { node: NodeId::of(b"alpha"), sequence: kdump::sequence(1, 1), uptime: 1 };
    let mut seeds = vec![
        kdump::encode_plain().to_vec(),
        kdump::encode_signed(&announcement, &Key::new(b"the key of alpha")).to_vec(),
        b"kdump wait 60000 alpha,10.0.0.1,fd00::1 beta\n".to_vec(),
    ];
    seeds.extend((0..16).map(|seed| Random(200 + seed).bytes(400)));
    for flags in 0..8 {
        let story = [&[flags][..], &WAIT_FOR_ALPHA, &plain(1), &signed(128, 1, 3), &signed(128, 1, 3), &WAIT_FOR_ALPHA];
        let late = [
            &TEN_SECONDS.repeat(4)[..],
            &signed(90, 2, 10),
            &signed(120, 3, 13),
            &signed(129, 1, 200),
            &signed(130, 1, 1),
        ]
        .concat();
        seeds.push([story.concat(), late].concat());
        let two = [&[flags][..], &plain(9), &WAIT_FOR_TWO, &plain(10), &TEN_SECONDS, &plain(9), &WAIT_FOR_TWO].concat();
        seeds.push([&two[..], &TEN_SECONDS.repeat(7)].concat());
        // More sources than there is room for, of which half have finished.
        let flood = |first: u8| (first..first + 40).flat_map(plain).collect::<Vec<u8>>();
        let full = [&[flags][..], &flood(100), &TEN_SECONDS.repeat(4), &flood(150), &signed(128, 1, 1)].concat();
        seeds.push([full, flood(200), WAIT_FOR_TWO.repeat(40)].concat());
    }
    seeds
}

fn answers() -> Vec<Vec<u8>> {
    [
        "State XML:\n\n<ticket_state id=\"db/main\" granted=\"true\" last-granted=\"1795425540\" booth-cfg-name=\"booth\" \
         owner=\"-1\" expires=\"12\" term=\"3\" geo=\"v&lt;&quot;&amp;&#65;&#x42;\" s=\"\"/>\n",
        "<ticket_state id='db/main' owner='x' term='-1' granted='False' standby='true'></ticket_state>",
        "<ticket_state id=\"db/main\" booth-cfg-name=\"booth\" expires=\"1795425540\" granted=\"true\" owner=\"1102844285\" \
         term=\"18\"/>\n",
        "<ticket_state id='other'/>",
        "<a><b></a>",
        "# A booth ticket; replaced as a whole by boothd.\nticket = db/main\ngranted = true\nowner = 1102844285\n\
         expires = 1795425540\nterm = 3\nattribute.geo = value%20%C3%A4\n",
        "ticket = db/main\ngranted = false\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// The files of a folder, as text, by name.
fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read_to_string(path).expect("a text file")).collect()
}
