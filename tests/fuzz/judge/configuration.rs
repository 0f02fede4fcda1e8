//! What must hold of any bytes as a configuration: no panic; there is a configuration exactly when there
//! is no error; what is said of it is bounded, in order, fit to be printed, and names lines that exist;
//! a configuration keeps its limits, is the same when it is written and read again, and the core can work
//! with it, whatever its times are.

use booth::config::{Configuration, Diagnostic, MAX_DIAGNOSTICS, Store, Ticket, describe, handler_key, parse};
use booth_core::input::{ClientId, Input, RequestNumber, StoreResult};
use booth_core::member::{MAX_MEMBERS, MemberIndex, MemberKind};
use booth_core::node::{Node, Storage};
use booth_core::notice::Notice;
use booth_core::settings::{Mode, PrerequisiteScope, TicketIndex, ValidityUnit};
use booth_core::sink::{HandlerRequest, Record, Reply, Sink, StoreRequest};
use booth_core::time::{Instant, Millis, Now, WallTime};
use booth_core::wire::{self, Body, Command, Header, LeaderField, MAX_MESSAGE, Message, Outcome, Reason, TicketBody};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// The longest diagnostic, in bytes: words, two values of 80 characters and a list of all keys.
const MAX_TEXT: usize = 2_000;
/// How many timers of a node are let fire, and how many tickets it has at most.
const TURNS: usize = 24;
const MAX_TICKETS: usize = 4;

/// Panics if something that must hold does not.
pub fn judge(bytes: &[u8]) {
    let (configuration, found) = understand(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').count().max(1);
    judge_diagnostics(&found, lines);
    let errors = found.iter().any(Diagnostic::is_error);
    assert_eq!(configuration.is_some(), !errors, "a configuration exactly when there is no error: {found:?}");
    let Some(configuration) = configuration else { return };
    judge_limits(&configuration, lines);
    judge_text(&describe(&configuration), usize::MAX);
    let text = print(&configuration);
    let (again, found) = understand(text.as_bytes());
    let again = again.unwrap_or_else(|| panic!("cannot be read again:\n{text}\n{found:?}"));
    assert_eq!(print(&again), text);
    assert_eq!(without_lines(&again), without_lines(&configuration), "{text}");
    judge_node(&configuration);
}

/// Reads it where some host names are known, some have two addresses, and some are not known.
fn understand(bytes: &[u8]) -> (Option<Configuration>, Vec<Diagnostic>) {
    let mut asked = 0;
    let mut resolver = |host: &str| {
        asked += 1;
        let last = host.bytes().fold(0u8, u8::wrapping_add);
        let address = |third| IpAddr::V4(Ipv4Addr::new(10, 9, third, last));
        match last % 4 {
            0 => Err(format!("no such host: {host}")),
            1 => Ok(Vec::new()),
            2 => Ok(vec![address(1), address(2)]),
            _ => Ok(vec![address(1)]),
        }
    };
    let understood = parse(bytes, Path::new("/etc/booth/geo.conf"), &mut resolver);
    assert!(asked <= MAX_MEMBERS || understood.0.is_none(), "{asked} hosts were looked up");
    understood
}

fn judge_diagnostics(found: &[Diagnostic], lines: usize) {
    assert!(found.len() <= 2 * MAX_DIAGNOSTICS + 2, "{} diagnostics", found.len());
    for diagnostic in found {
        assert!(diagnostic.line.is_none_or(|line| (1..=lines).contains(&(line as usize))), "{diagnostic:?}");
        judge_text(&diagnostic.text, MAX_TEXT);
    }
    let numbered: Vec<_> = found.iter().filter_map(|diagnostic| diagnostic.line).collect();
    assert!(numbered.is_sorted(), "{numbered:?}");
}

/// Fit for a terminal and a log.
fn judge_text(text: &str, longest: usize) {
    assert!(text.len() <= longest, "{} bytes: {text}", text.len());
    assert!(!text.contains(|c: char| c.is_control() && !"\n\t".contains(c)), "{text:?}");
}

fn judge_limits(configuration: &Configuration, lines: usize) {
    let members = &configuration.members;
    assert!((1..=MAX_MEMBERS).contains(&members.len()) && members.iter().any(|m| m.kind == MemberKind::Site));
    for (at, member) in members.iter().enumerate() {
        assert!(members[..at].iter().all(|other| other.id != member.id && other.address != member.address));
    }
    for (at, ticket) in configuration.tickets.iter().enumerate() {
        let settings = &ticket.settings;
        assert!((1..=lines).contains(&(ticket.line as usize)));
        assert!(configuration.tickets[..at].iter().all(|other| other.settings.name != settings.name));
        assert!(wire::is_ticket_name(&settings.name), "{}", settings.name);
        let trying = settings.timeout.0 * (u64::from(settings.retries) + 1);
        assert!(0 < trying && trying < settings.renewal.0 && settings.renewal < settings.expire, "{settings:?}");
        let whole = [settings.timeout, settings.renewal, settings.expire, settings.acquire_after];
        let explicit = whole.iter().all(|span| span.0.is_multiple_of(1000)) || !ticket.renewal_configured;
        assert!(configuration.unit == ValidityUnit::Milliseconds || explicit, "{settings:?}");
    }
}

/// The configuration as a file, every value written out; the same for the same configuration.
fn print(configuration: &Configuration) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: &str| {
        // A value that has both kinds of quotes was written without.
        let quote = ["\"", "'"].into_iter().find(|quote| !value.contains(quote)).unwrap_or_default();
        writeln!(text, "{key} = {quote}{value}{quote}").expect("a string takes everything");
    };
    let Configuration { port, name, members, authfile, max_time_skew, debug, .. } = configuration;
    line("port", &port.to_string());
    line("maxtimeskew", &(max_time_skew.0 / 1000).to_string());
    line("debug", &debug.to_string());
    line("name", name);
    for member in members {
        line(if member.kind == MemberKind::Site { "site" } else { "arbitrator" }, &member.host);
    }
    authfile.iter().for_each(|file| line("authfile", &file.path.to_string_lossy()));
    for (kind, account) in [("site", &configuration.site_account), ("arbitrator", &configuration.arbitrator_account)] {
        line(&format!("{kind}-user"), &account.user);
        if account.other_group.is_none() {
            line(&format!("{kind}-group"), &account.group);
        }
    }
    match &configuration.store {
        Store::Pacemaker => line("store", "pacemaker"),
        Store::File(path) => line("store", &format!("file:{}", path.display())),
    }
    line("journal", &configuration.journal.as_ref().map_or("-".into(), |path| path.to_string_lossy()));
    line("allow-address-translation", if configuration.allow_address_translation { "yes" } else { "no" });
    if configuration.unit == ValidityUnit::Milliseconds {
        // As any line does that a later one replaces.
        line("ticket", "__defaults__");
        line("acquire-after", "1ms");
    }
    configuration.tickets.iter().for_each(|ticket| print_ticket(ticket, &mut line));
    text
}

fn print_ticket(ticket: &Ticket, line: &mut impl FnMut(&str, &str)) {
    let settings = &ticket.settings;
    let span = |span: Millis| {
        let seconds = span.0.is_multiple_of(1000);
        if seconds { (span.0 / 1000).to_string() } else { format!("{}ms", span.0) }
    };
    line("ticket", &settings.name);
    line("mode", if settings.mode == Mode::Manual { "manual" } else { "automatic" });
    line("expire", &span(settings.expire));
    line("timeout", &span(settings.timeout));
    line("retries", &settings.retries.to_string());
    line("acquire-after", &span(settings.acquire_after));
    if ticket.renewal_configured {
        line("renewal-freq", &span(settings.renewal));
    }
    line("weights", &settings.weights.map(|weight| weight.to_string()).join(","));
    for (kind, handler) in ticket.handlers() {
        let words = std::iter::once(handler.program.to_string_lossy().into_owned());
        line(handler_key(kind), &words.chain(handler.arguments.iter().cloned()).collect::<Vec<_>>().join(" "));
    }
    for prerequisite in &settings.prerequisites {
        let scope = if prerequisite.scope == PrerequisiteScope::Auto { "auto" } else { "manual" };
        let operation = if prerequisite.equal { "eq" } else { "ne" };
        line("attr-prereq", &format!("{scope} {} {operation} {}", prerequisite.name, prerequisite.value));
    }
}

/// All of it, but for where it stood.
fn without_lines(configuration: &Configuration) -> String {
    let mut configuration = configuration.clone();
    configuration.authfile.iter_mut().for_each(|file| file.line = 0);
    configuration.members.iter_mut().for_each(|member| member.line = 0);
    for ticket in &mut configuration.tickets {
        ticket.line = 0;
        ticket.handlers.iter_mut().flatten().for_each(|handler| handler.line = 0);
    }
    format!("{configuration:?}")
}

/// Takes whatever the core puts out; bounded, and readable by a peer.
#[derive(Default)]
struct Outputs {
    key: Option<wire::Key>,
    count: usize,
    stores: Vec<(TicketIndex, RequestNumber)>,
}

impl Sink for Outputs {
    fn journal(&mut self, _: TicketIndex, _: &Record) {
        self.count += 1;
    }

    fn send(&mut self, _: TicketIndex, _: MemberIndex, bytes: &[u8]) {
        self.count += 1;
        wire::decode(bytes, self.key.as_ref()).expect("a peer can read what is sent");
    }

    fn store(&mut self, ticket: TicketIndex, request: StoreRequest<'_>) {
        self.count += 1;
        self.stores.push((ticket, request.number));
    }

    fn run_handler(&mut self, _: TicketIndex, _: HandlerRequest) {}

    fn reply(&mut self, _: ClientId, _: Reply<'_>) {}

    fn notice(&mut self, _: Notice) {}
}

/// Each member in turn starts, is granted the first ticket, and lets some timers fire.
fn judge_node(configuration: &Configuration) {
    let mut now = Now { boot: Instant(1_000_000), wall: WallTime(1_800_000_000_000_000) };
    let me = configuration.tickets.iter().map(|ticket| ticket.settings.expire.0).sum::<u64>();
    let me = MemberIndex((me % configuration.members.len() as u64) as u8);
    let settings = configuration.settings(me, None, 1);
    let sender = settings.members[me.at()].id;
    let mut tickets: Vec<_> = configuration
        .ticket_settings(me, "")
        .take(MAX_TICKETS)
        .enumerate()
        .map(|(at, ticket)| booth_core::ticket::Ticket::new(ticket, (at % 2 == 0).then(Record::default)))
        .collect();
    let mut timers = vec![Default::default(); tickets.len()];
    let storage = Storage { tickets: &mut tickets, timers: &mut timers, attributes: &mut [] };
    let mut node = Node::new(settings, storage, now);
    let mut outputs = Outputs::default();
    node.step(now, Input::Started, &mut outputs);
    for turn in 0..TURNS {
        for (ticket, number) in std::mem::take(&mut outputs.stores) {
            let result = if turn == 0 { StoreResult::Loaded(None) } else { StoreResult::Written };
            node.step(now, Input::StoreFinished { ticket, number, result }, &mut outputs);
        }
        if turn == 1
            && let Some(ticket) = configuration.tickets.first()
        {
            let body = TicketBody { name: &ticket.settings.name, leader: LeaderField::Unknown, term: 0, valid_for: 0 };
            let (reason, outcome) = (Reason::None, Outcome::Success);
            let (command, stamp) = (Command::ClientGrant, now.wall);
            let header = Header { stamp, sender, command, request: None, options: 1, reason, outcome };
            let mut bytes = [0; MAX_MESSAGE];
            let length = wire::encode(&Message { header, body: Body::Ticket(body) }, None, &mut bytes);
            node.step(now, Input::Request { client: ClientId(1), bytes: &bytes[..length] }, &mut outputs);
        }
        let Some(deadline) = node.next_deadline() else { break };
        let span = deadline.since(now.boot);
        now = Now { boot: now.boot + span, wall: now.wall.after(span) };
        node.step(now, Input::Tick, &mut outputs);
        assert!(node.next_deadline().is_none_or(|at| at > now.boot), "the next deadline is not ahead");
        assert!(outputs.count <= 100 * MAX_MEMBERS * (turn + 1), "too many consequences");
    }
}
