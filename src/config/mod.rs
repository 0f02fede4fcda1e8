//! Text to typed, checked configuration.
//!
//! [`parse`] is pure: bytes, a path to name in diagnostics, and a resolver for host names go in; a
//! [`Configuration`] and everything that was found comes out. There is a configuration exactly when
//! no error was found, and then every limit and rule between its values holds: whoever has one need
//! not check again. [`load`] reads files and asks the system's resolver, [`read_key`] reads the key,
//! [`check`] words what was understood.
//!
//! The syntax is booth's (boothd(8)), with keys of our own beside its; [`KEYS`] says which. A file without any
//! member is complete where it is a listener's for dumping nodes alone ([`Kdump`]).

mod argument;
mod check;
mod core_settings;
mod crash_release;
mod diagnostic;
mod kdump;
mod key;
mod keys;
mod legacy;
mod line;
mod load;
mod parse;
mod ticket;
mod value;

pub use argument::{Argument, ArgumentTooLong, CANNOT_FIND_MYSELF};
pub use check::{Check, check, describe};
pub use crash_release::CrashRelease;
pub use diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Severity};
pub use kdump::{Kdump, Listen, NodeKey};
pub use key::{KeyFileError, MAX_SECRET, MIN_SECRET, Secret, read_key};
pub use keys::{KEYS, KeySpec, Place, key};
pub use line::{MAX_KEY, MAX_VALUE};
pub use load::{DEFAULT_FILE, DIRECTORY, MAX_FILE, OLD_FILE, find_file, load, load_listener, resolve};
pub use parse::{Resolver, parse};
pub use value::{MAX_RETRIES, MAX_TIME, MIN_RETRIES};

use booth_core::member::{MemberKind, SiteId};
use booth_core::settings::{TicketSettings, ValidityUnit};
use booth_core::sink::HandlerKind;
use booth_core::time::Millis;
use std::net::IpAddr;
use std::path::PathBuf;

/// The port of booth where the configuration names none.
pub const DEFAULT_PORT: u16 = 9929;
/// Where journals are, unless the configuration says otherwise.
pub const JOURNAL_DIRECTORY: &str = "/var/lib/booth";

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// The file it came from.
    pub path: PathBuf,
    /// `name`; else the file's name without its ending. Fit to be part of a file name.
    pub name: String,
    /// `port`, for UDP and TCP.
    pub port: u16,
    /// `site` and `arbitrator`, in the order of the file; at least one site, at most 16 in all, no
    /// two with one address or one id. None, and no tickets, where the file is a listener's alone.
    pub members: Vec<Member>,
    /// `authfile`; read it with [`read_key`].
    pub authfile: Option<AuthFile>,
    /// `maxtimeskew`, whole seconds.
    pub max_time_skew: Millis,
    /// `debug`.
    pub debug: u8,
    /// `site-user` and `site-group`.
    pub site_account: Account,
    /// `arbitrator-user` and `arbitrator-group`.
    pub arbitrator_account: Account,
    /// `store`: where a site writes its tickets.
    pub store: Store,
    /// `journal`; `None` when it is switched off.
    pub journal: Option<PathBuf>,
    /// `allow-address-translation`.
    pub allow_address_translation: bool,
    /// The unit of validities on the wire, as the reference finds it: milliseconds as soon as any
    /// time in the file is written so that it is not a whole number of seconds, even one that a
    /// later line replaces.
    pub unit: ValidityUnit,
    /// The tickets, in the order of the file.
    pub tickets: Vec<Ticket>,
    /// The keys that begin with `kdump-`.
    pub kdump: Kdump,
}

/// A member of the geo cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Site or arbitrator.
    pub kind: MemberKind,
    /// Its address; never an IPv4 address in IPv6 clothes.
    pub address: IpAddr,
    /// The number that stands for it on the wire.
    pub id: SiteId,
    /// How the file calls it: an address or a host name.
    pub host: String,
    /// Its line.
    pub line: u32,
}

/// `authfile`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthFile {
    /// The file.
    pub path: PathBuf,
    /// The line that names it.
    pub line: u32,
}

/// Who a daemon becomes when it gives up root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: String,
    /// The group.
    pub group: String,
    /// The group to take when `group` does not exist: only where the file named none. (What is
    /// `nobody` on one distribution is `nogroup` on another.)
    pub other_group: Option<&'static str>,
}

/// Where a site writes its tickets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// The cluster's CIB, by `crm_ticket`.
    Pacemaker,
    /// A directory with one file for each ticket.
    File(PathBuf),
}

/// A ticket.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// The line that starts it.
    pub line: u32,
    /// What the core decides by.
    pub settings: TicketSettings,
    /// Whether `renewal-freq` was written, for this ticket or its defaults; else it is half of `expire`.
    pub renewal_configured: bool,
    /// Its programs, by the number of their kind.
    pub handlers: [Option<Handler>; HandlerKind::ALL.len()],
    /// For each site that has a `crash-release`, its nodes.
    pub crash_releases: Vec<CrashRelease>,
}

impl Ticket {
    /// One of its programs.
    pub fn handler(&self, kind: HandlerKind) -> Option<&Handler> {
        self.handlers[kind as usize].as_ref()
    }

    /// All that it has.
    pub fn handlers(&self) -> impl Iterator<Item = (HandlerKind, &Handler)> {
        HandlerKind::ALL.into_iter().filter_map(|kind| Some((kind, self.handler(kind)?)))
    }
}

/// The key that names a program of this kind.
pub fn handler_key(kind: HandlerKind) -> &'static str {
    match kind {
        HandlerKind::BeforeAcquire => "before-acquire-handler",
        HandlerKind::Release => "release-handler",
        HandlerKind::StuckRevoke => "on-stuck-revoke",
    }
}

/// A program of a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    /// A program, or a directory of programs: which of them is seen when it is run.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its line.
    pub line: u32,
}

impl Configuration {
    /// How many votes are a majority.
    pub fn majority(&self) -> usize {
        self.members.len() / 2 + 1
    }

    /// The account for a member of this kind.
    pub fn account(&self, kind: MemberKind) -> &Account {
        match kind {
            MemberKind::Site => &self.site_account,
            MemberKind::Arbitrator => &self.arbitrator_account,
        }
    }
}
