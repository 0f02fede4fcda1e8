//! The lines of a file, one by one, to a [`Configuration`]. Pure: the resolver is the caller's.

use super::crash_release::Surroundings;
use super::diagnostic::{Diagnostic, Diagnostics, Shown};
use super::keys::{self, Place};
use super::legacy::OldTicket;
use super::line::{self, Entry};
use super::ticket::{Known, TicketDraft};
use super::value;
use super::{
    Account, AuthFile, Configuration, DEFAULT_PORT, JOURNAL_DIRECTORY, Kdump, MAX_FILE, Member, Store, Ticket,
};
use booth_core::member::{MAX_MEMBERS, MemberKind, SiteId};
use booth_core::settings::{MAX_TICKETS, Mode, Name, ValidityUnit};
use booth_core::time::Millis;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Finds the addresses of a host by its name, best first; an error says why there are none.
pub type Resolver<'r> = dyn FnMut(&str) -> Result<Vec<IpAddr>, String> + 'r;

/// The ticket that only changes the defaults of those behind it.
const DEFAULTS: &str = "__defaults__";
const DEFAULT_SKEW_SECONDS: u32 = 600;
/// The greatest `maxtimeskew`, in seconds: what the longest time of a ticket may be as well.
const MAX_SKEW_SECONDS: u32 = 2_147_483;

/// Understands a configuration file.
///
/// Returns the configuration, when there is no error, and all that was found, by line. Any bytes
/// are taken; time and memory are bounded by their number, the resolver is asked at most once for
/// each of 16 members and 32 nodes with a `kdump-key`. `path` is named in diagnostics, and its stem is the default `name`.
pub fn parse(bytes: &[u8], path: &Path, resolver: &mut Resolver<'_>) -> (Option<Configuration>, Vec<Diagnostic>) {
    let mut found = Diagnostics::new(path);
    if bytes.len() > MAX_FILE {
        found.error(1, format!("file of {} bytes is too long, expected at most {MAX_FILE}", bytes.len()));
        return (None, found.finish());
    }
    let mut parser = Parser::new(found, resolver);
    for (number, entry) in line::entries(bytes) {
        match entry {
            Ok(entry) => parser.take(number, entry),
            Err(error) => parser.found.error(number, error),
        }
    }
    parser.finish(path, line::count(bytes))
}

/// Whose keys the next lines are.
enum Scope {
    /// Nobody's: no ticket has begun.
    Global,
    Defaults,
    Ticket(Box<TicketDraft>),
}

struct Parser<'p, 'r> {
    found: Diagnostics<'p>,
    resolver: &'r mut Resolver<'r>,
    /// The global keys that were given, and the last line of each.
    given: Vec<(&'static str, u32)>,
    global: Global,
    members: Vec<Member>,
    members_refused: bool,
    scope: Scope,
    defaults: TicketDraft,
    /// Tickets whose lines are all read.
    drafts: Vec<TicketDraft>,
    /// The names of tickets, sorted, and the line of each; [`MAX_TICKETS`] of them at most.
    ticket_lines: Vec<(Name, u32)>,
    unit: ValidityUnit,
}

/// Global keys, with their defaults until a line says otherwise.
struct Global {
    port: u16,
    name: Option<String>,
    authfile: Option<AuthFile>,
    max_time_skew: Millis,
    debug: u8,
    site_account: Account,
    arbitrator_account: Account,
    store: Store,
    /// Outer `None`: not configured; inner `None`: switched off.
    journal: Option<Option<PathBuf>>,
    allow_address_translation: bool,
    kdump: Kdump,
}

impl Default for Global {
    fn default() -> Global {
        let account = |user: &str, group: &str, other_group| Account {
            user: user.to_owned(),
            group: group.to_owned(),
            other_group,
        };
        Global {
            port: DEFAULT_PORT,
            name: None,
            authfile: None,
            max_time_skew: Millis(u64::from(DEFAULT_SKEW_SECONDS) * 1000),
            debug: 0,
            site_account: account("hacluster", "haclient", None),
            arbitrator_account: account("nobody", "nobody", Some("nogroup")),
            store: Store::Pacemaker,
            journal: None,
            allow_address_translation: false,
            kdump: Kdump::default(),
        }
    }
}

impl<'p, 'r> Parser<'p, 'r> {
    fn new(found: Diagnostics<'p>, resolver: &'r mut Resolver<'r>) -> Parser<'p, 'r> {
        Parser {
            found,
            resolver,
            given: Vec::new(),
            global: Global::default(),
            members: Vec::new(),
            members_refused: false,
            scope: Scope::Global,
            defaults: TicketDraft::new(Name::new(), 0),
            drafts: Vec::new(),
            ticket_lines: Vec::new(),
            unit: ValidityUnit::Seconds,
        }
    }

    fn take(&mut self, line: u32, entry: Entry<'_>) {
        let Entry { key, value, quoted } = entry;
        if !quoted && value.contains(" #") {
            self.found.warn(
                line,
                format!("{key}: the '#' belongs to the value; a comment may only follow a value in quotes"),
            );
        }
        match key {
            "ticket" => self.ticket(line, value),
            "site" => self.member(line, MemberKind::Site, value),
            "arbitrator" => self.member(line, MemberKind::Arbitrator, value),
            "kdump-key" => self.kdump_key(line, value),
            _ if self.take_ticket_key(line, key, value) => {}
            _ => match keys::key(key) {
                Some(spec) if spec.place == Place::Global => self.take_global_key(line, spec.name, value),
                _ => self.refuse(line, key),
            },
        }
    }

    /// Hands a line to the ticket that it stands behind, if any; tells whether it was taken.
    fn take_ticket_key(&mut self, line: u32, key: &str, value: &str) -> bool {
        let draft = match &mut self.scope {
            Scope::Global => return false,
            Scope::Defaults => &mut self.defaults,
            Scope::Ticket(draft) => draft,
        };
        match draft.take(line, key, value, &mut self.found) {
            Known::No => return false,
            Known::Yes => {}
            Known::FractionOfSecond => self.unit = ValidityUnit::Milliseconds,
        }
        true
    }

    fn refuse(&mut self, line: u32, key: &str) {
        let (global, ticket) = (keys::names(Place::Global), keys::names(Place::Ticket));
        let text = if keys::key(key).is_some() {
            format!("Unexpected keyword \"{key}\", expected behind a line that starts a ticket: ticket = NAME")
        } else if matches!(self.scope, Scope::Global) {
            format!("Unexpected keyword \"{key}\", expected ticket or one of {global}")
        } else {
            format!("Unknown keyword \"{key}\", expected {ticket}, ticket, or one of {global}")
        };
        self.found.error(line, text);
    }

    fn take_global_key(&mut self, line: u32, key: &'static str, value: &str) {
        if let Some((_, last)) = self.given.iter_mut().find(|(given, _)| *given == key) {
            let before = std::mem::replace(last, line);
            if key == "transport" {
                let text =
                    format!("config file has multiple transport lines, the first is line {before}; expected one");
                self.found.error(line, text);
            } else {
                self.found.warn(line, format!("{key} again; the value of line {before} is replaced"));
            }
        } else {
            self.given.push((key, line));
        }
        let outcome = self.global.take(line, key, value);
        self.found.ok(line, outcome);
    }

    fn kdump_key(&mut self, line: u32, value: &str) {
        let taken = self.global.kdump.take_key(line, value, self.resolver);
        if let Some(Some(warning)) = self.found.ok(line, taken) {
            self.found.warn(line, warning);
        }
    }

    /// Whether the file is for a listener for dumping nodes and says nothing of a geo cluster.
    fn is_listener(&self) -> bool {
        self.members.is_empty() && !self.members_refused && self.is_given("kdump-listen")
    }

    fn is_given(&self, key: &str) -> bool {
        self.line_of(key).is_some()
    }

    /// The last line with this key.
    fn line_of(&self, key: &str) -> Option<u32> {
        self.given.iter().find(|(given, _)| *given == key).map(|(_, line)| *line)
    }

    fn member(&mut self, line: u32, kind: MemberKind, value: &str) {
        if self.members.len() == MAX_MEMBERS {
            if !self.members_refused {
                self.found.error(line, format!("too many nodes, expected at most {MAX_MEMBERS} sites and arbitrators"));
            }
            self.members_refused = true;
            return;
        }
        let Some(host) = self.found.ok(line, value::host(value)) else {
            self.members_refused = true;
            return;
        };
        let Some(address) = self.address(line, host) else {
            self.members_refused = true;
            return;
        };
        let id = match address {
            IpAddr::V4(v4) => SiteId::of_address(&v4.octets()),
            IpAddr::V6(v6) => SiteId::of_address(&v6.octets()),
        };
        if let Some(same) = self.members.iter().find(|member| member.id == id) {
            let text = if same.address == address {
                format!(
                    "site-ID collision: \"{host}\" is {address}, which is a member already (line {}); expected each \
                     member once",
                    same.line
                )
            } else {
                format!(
                    "site-ID collision: \"{host}\" ({address}) and \"{}\" ({}, line {}) have the same id on the \
                     wire, {}; expected another address for one of them",
                    same.host, same.address, same.line, id.0
                )
            };
            self.found.error(line, text);
        }
        self.members.push(Member { kind, address, id, host: host.to_owned(), line });
    }

    fn address(&mut self, line: u32, host: &str) -> Option<IpAddr> {
        let address = match host.parse::<IpAddr>() {
            Ok(address) => address,
            Err(_) => self.look_up(line, host)?,
        };
        let checked = value::member_address(address).map_err(|why| format!("\"{}\" {why}", Shown(host)));
        self.found.ok(line, checked)
    }

    fn look_up(&mut self, line: u32, host: &str) -> Option<IpAddr> {
        let mut addresses = match (self.resolver)(host) {
            Ok(addresses) => addresses,
            Err(error) => {
                let text =
                    format!("can't find IP for the host \"{}\": {}; expected an address", Shown(host), Shown(&error));
                self.found.error(line, text);
                return None;
            }
        };
        addresses.dedup();
        let Some(first) = addresses.first().copied() else {
            let text = format!("can't find IP for the host \"{}\", expected an address", Shown(host));
            self.found.error(line, text);
            return None;
        };
        if addresses.len() > 1 {
            let count = addresses.len();
            let text = format!(
                "\"{}\" has {count} addresses, {first} is taken; members must agree on it: write the address",
                Shown(host)
            );
            self.found.warn(line, text);
        }
        Some(first)
    }

    fn ticket(&mut self, line: u32, value: &str) {
        self.end_ticket();
        if value == DEFAULTS {
            self.scope = Scope::Defaults;
            self.defaults.line = line;
            return;
        }
        let old = OldTicket::split(value);
        let written = old.map_or(value, |old| old.name);
        let name = self.new_ticket_name(line, written);
        let mut draft = self.defaults.inheriting(name, line);
        if let Some(old) = old {
            self.old_ticket(line, &mut draft, old);
        }
        self.scope = Scope::Ticket(Box::new(draft));
    }

    /// Takes what a ticket line of booth 0.1 says of its ticket, and says how to write it today.
    fn old_ticket(&mut self, line: u32, draft: &mut TicketDraft, old: OldTicket<'_>) {
        self.found.warn(line, old.notice());
        if let Some(surplus) = old.surplus {
            let text = format!("nothing expected behind NAME; EXPIRE; WEIGHTS, found \"{}\"", Shown(surplus));
            self.found.error(line, text);
        }
        for (key, value) in [("expire", old.expire), ("weights", old.weights)] {
            if let Some(value) = value
                && let Known::FractionOfSecond = draft.take(line, key, value, &mut self.found)
            {
                self.unit = ValidityUnit::Milliseconds;
            }
        }
    }

    /// A name that is fit and free; the empty one, with an error, where it is not.
    fn new_ticket_name(&mut self, line: u32, written: &str) -> Name {
        let Some(name) = self.found.ok(line, value::ticket_name(written)) else { return Name::new() };
        match self.ticket_lines.binary_search_by(|(known, _)| known.cmp(&name)) {
            Ok(at) => {
                let before = self.ticket_lines[at].1;
                let text =
                    format!("ticket name \"{name}\" used again, first in line {before}; expected a name of its own");
                self.found.error(line, text);
            }
            Err(at) if self.ticket_lines.len() < MAX_TICKETS => self.ticket_lines.insert(at, (name.clone(), line)),
            // More tickets than there may be: an error in any case.
            Err(_) => {}
        }
        name
    }

    fn end_ticket(&mut self) {
        if let Scope::Ticket(draft) = std::mem::replace(&mut self.scope, Scope::Global) {
            if self.drafts.len() < MAX_TICKETS {
                self.drafts.push(*draft);
            } else {
                self.found.error(draft.line, format!("too many tickets, expected at most {MAX_TICKETS}"));
            }
        }
    }

    fn finish(mut self, path: &Path, last_line: u32) -> (Option<Configuration>, Vec<Diagnostic>) {
        self.end_ticket();
        if self.drafts.is_empty() && !self.is_listener() {
            self.found.warn(last_line, "no ticket; expected at least one: ticket = NAME");
        }
        let around = Surroundings {
            members: &self.members,
            keys: &self.global.kdump.keys,
            authenticated: self.global.authfile.is_some(),
            store: &self.global.store,
        };
        let drafts = std::mem::take(&mut self.drafts).into_iter();
        let tickets: Vec<Ticket> = drafts.filter_map(|draft| draft.finish(&around, &mut self.found)).collect();
        if !self.is_listener() || !tickets.is_empty() {
            self.check_members(last_line, &tickets);
        }
        self.check_listener(&tickets);
        self.check_journal();
        let name = self.name(path);
        let configuration = match name {
            Some(name) if !self.found.has_errors() => Some(Configuration {
                path: path.to_owned(),
                port: self.global.port,
                members: self.members,
                authfile: self.global.authfile,
                max_time_skew: self.global.max_time_skew,
                debug: self.global.debug,
                site_account: self.global.site_account,
                arbitrator_account: self.global.arbitrator_account,
                store: self.global.store,
                journal: self
                    .global
                    .journal
                    .unwrap_or_else(|| Some(Path::new(JOURNAL_DIRECTORY).join(format!("{name}.journal")))),
                name,
                allow_address_translation: self.global.allow_address_translation,
                unit: self.unit,
                tickets,
                kdump: self.global.kdump,
            }),
            _ => None,
        };
        (configuration, self.found.finish())
    }

    fn check_journal(&mut self) {
        if let (Some(None), Some(line), false) = (&self.global.journal, self.line_of("journal"), self.is_listener()) {
            self.found.warn(
                line,
                "journal is switched off: this member forgets its votes and promises when it is restarted, and then \
                 votes for nobody until expire + acquire-after have passed; expected a file, or no journal line",
            );
        }
    }

    fn check_listener(&mut self, tickets: &[Ticket]) {
        let keys = &self.global.kdump.keys;
        if let (None, Some(first)) = (self.line_of("kdump-listen"), keys.first()) {
            self.found.warn(first.line, "kdump-key without kdump-listen: nobody listens; expected kdump-listen = 7410");
        }
        if let (None, Some(ticket)) =
            (self.line_of("kdump-listen"), tickets.iter().find(|ticket| !ticket.crash_releases.is_empty()))
        {
            let text = "crash-release without kdump-listen: this member hears of no dump, and waits for the lease's end; \
                        expected kdump-listen = 7410";
            self.found.warn(ticket.line, text);
        }
        if let (true, true, Some(line)) =
            (self.global.kdump.settings.require_auth, keys.is_empty(), self.line_of("kdump-require-auth"))
        {
            let text =
                "kdump-require-auth, but no node has a key: no node is ever heard; expected kdump-key = NODE FILE";
            self.found.warn(line, text);
        }
    }

    fn check_members(&mut self, last_line: u32, tickets: &[Ticket]) {
        if self.members_refused {
            return;
        }
        let count = self.members.len();
        if !self.members.iter().any(|member| member.kind == MemberKind::Site) {
            self.found
                .error(last_line, "no site, so nobody could hold a ticket; expected at least one: site = ADDRESS");
        }
        if let Some(last) = self.members.last() {
            let line = last.line;
            let automatic = tickets.is_empty() || tickets.iter().any(|ticket| ticket.settings.mode == Mode::Automatic);
            if automatic && count.is_multiple_of(2) {
                let text = format!(
                    "Odd number of nodes is strongly recommended! With {count} members, half of them are no \
                     majority; expected one more, such as an arbitrator"
                );
                self.found.warn(line, text);
            }
            if self.members.iter().any(|member| member.address.is_ipv4() != last.address.is_ipv4()) {
                let text = "IPv4 and IPv6 members together: a daemon on an address of one cannot reach the other; \
                            expected all of one kind";
                self.found.warn(line, text);
            }
        }
        if let Some(first) = self.members.first()
            && !self.is_given("authfile")
        {
            let who = if self.global.allow_address_translation { "at all" } else { "as a member's address" };
            let text = format!(
                "no authfile: any host that can send {who} can move tickets, and beside members that run the reference \
                 a very late answer can pass for a fresh one, so that a lease may be counted too long; expected \
                 authfile = /etc/booth/authkey, the same key on all members"
            );
            self.found.warn(first.line, text);
        }
    }

    /// `name`, or the file's stem.
    fn name(&mut self, path: &Path) -> Option<String> {
        if let Some(name) = self.global.name.take() {
            return Some(name);
        }
        if self.is_given("name") {
            return None; // refused where it stands
        }
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let checked = value::configuration_name(stem)
            .map_err(|error| format!("{error}; the file's own name is taken where no other is written: name = NAME"));
        self.found.ok(1, checked)
    }
}

impl Global {
    fn take(&mut self, line: u32, key: &str, text: &str) -> value::Checked<()> {
        match key {
            "transport" => value::transport(text)?,
            "port" => self.port = value::number(key, text, 1, u16::MAX)?,
            "name" => self.name = Some(value::configuration_name(text)?),
            "authfile" => self.authfile = Some(AuthFile { path: value::path(key, text)?, line }),
            "maxtimeskew" => {
                let seconds = value::number(key, text, 1, MAX_SKEW_SECONDS)?;
                self.max_time_skew = Millis(u64::from(seconds) * 1000);
            }
            "debug" => self.debug = value::number(key, text, 0, u8::MAX)?,
            "site-user" => self.site_account.user = value::account(key, text)?,
            "site-group" => self.site_account.take_group(value::account(key, text)?),
            "arbitrator-user" => self.arbitrator_account.user = value::account(key, text)?,
            "arbitrator-group" => self.arbitrator_account.take_group(value::account(key, text)?),
            "store" => self.store = value::store(text)?,
            "journal" => self.journal = Some(value::journal(text)?),
            "allow-address-translation" => self.allow_address_translation = value::yes_or_no(key, text)?,
            "kdump-listen" | "kdump-interval" | "kdump-lookback" | "kdump-require-auth" => {
                self.kdump.take(key, text)?
            }
            _ => return Err(format!("Unexpected keyword \"{key}\"")),
        }
        Ok(())
    }
}

impl Account {
    fn take_group(&mut self, group: String) {
        self.group = group;
        self.other_group = None;
    }
}
