//! What was understood of a configuration, in words: `boothctl check FILE`.

use super::diagnostic::Shown;
use super::{
    Configuration, CrashRelease, Diagnostic, Handler, Kdump, Severity, Store, Ticket, handler_key, load, read_key,
};
use crate::handler;
use booth_core::kdump::INTERVALS;
use booth_core::lease;
use booth_core::member::MemberKind;
use booth_core::settings::{Mode, PrerequisiteScope, ValidityUnit};
use booth_core::sink::HandlerKind;
use booth_core::time::Millis;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

/// What a check has found.
#[derive(Debug)]
pub struct Check {
    /// The configuration, when it has no error.
    pub configuration: Option<Configuration>,
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// What was understood, some lines of text; `None` when there is an error.
    pub understood: Option<String>,
}

impl Check {
    /// Whether a daemon would start with it, as far as the file and the key file can tell.
    pub fn passed(&self) -> bool {
        self.configuration.is_some()
    }
}

/// Reads a configuration file and its key file, and words what it understood.
pub fn check(path: &Path) -> Check {
    let (mut configuration, mut diagnostics) = load(path);
    let bad_keys = configuration.as_ref().map(|configuration| bad_keys(path, configuration)).unwrap_or_default();
    if !bad_keys.is_empty() {
        diagnostics.extend(bad_keys);
        diagnostics.sort_by_key(|diagnostic| diagnostic.line.unwrap_or(u32::MAX));
        configuration = None;
    }
    if let Some(configuration) = &configuration {
        diagnostics.extend(missing_programs(path, configuration));
        diagnostics.sort_by_key(|diagnostic| diagnostic.line.unwrap_or(u32::MAX));
    }
    let understood = configuration.as_ref().map(describe);
    Check { configuration, diagnostics, understood }
}

/// What is wrong with the key files.
fn bad_keys(path: &Path, configuration: &Configuration) -> Vec<Diagnostic> {
    let authfile = configuration.authfile.iter().map(|file| (&file.path, file.line));
    let of_nodes = configuration.kdump.keys.iter().map(|key| (&key.path, key.line));
    let bad = |(file, line): (&PathBuf, u32)| {
        let error = read_key(file).err()?;
        Some(Diagnostic { line: Some(line), ..Diagnostic::about_file(path, error.to_string()) })
    };
    authfile.chain(of_nodes).filter_map(bad).collect()
}

/// Warnings of programs that could not be run on this host, one for each line. Names that are looked up
/// in the daemon's `PATH` are left out.
fn missing_programs(path: &Path, configuration: &Configuration) -> Vec<Diagnostic> {
    let mut warnings: Vec<Diagnostic> = Vec::new();
    for (kind, handler) in configuration.tickets.iter().flat_map(Ticket::handlers) {
        let key = handler_key(kind);
        let line = Some(handler.line);
        let by_path = handler.program.components().count() > 1;
        if by_path
            && !warnings.iter().any(|warning| warning.line == line)
            && let Err(error) = programs_of(&handler.program)
        {
            let text = format!("{key}: {error}; expected a program on each host that the ticket may be granted to");
            warnings.push(Diagnostic { line, severity: Severity::Warning, ..Diagnostic::about_file(path, text) });
        }
    }
    warnings
}

/// Whether there is something to run: an executable file, or a directory with at least one.
fn programs_of(program: &Path) -> Result<(), String> {
    let shown = program.to_string_lossy();
    let shown = Shown(&shown);
    if !program.exists() {
        return Err(format!("there is no {shown} on this host"));
    }
    if program.is_dir() {
        return match handler::programs_of(program)?.is_empty() {
            true => Err(format!("the directory {shown} has no program in it")),
            false => Ok(()),
        };
    }
    if handler::is_executable(program) { Ok(()) } else { Err(format!("{shown} is not executable")) }
}

/// A configuration in words, derived values included.
pub fn describe(configuration: &Configuration) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = describe_process(&mut text, configuration);
    let _ = describe_listener(&mut text, configuration);
    if !configuration.members.is_empty() {
        let _ = describe_members(&mut text, configuration);
    }
    for ticket in &configuration.tickets {
        let _ = describe_ticket(&mut text, configuration, ticket);
    }
    text
}

fn describe_process(out: &mut String, configuration: &Configuration) -> fmt::Result {
    let yes_no = |yes| if yes { "yes" } else { "no" };
    writeln!(out, "configuration {} from {}", configuration.name, configuration.path.display())?;
    writeln!(out, "  transport UDP, port {} (clients: TCP, the same port)", configuration.port)?;
    match &configuration.authfile {
        Some(authfile) => {
            let skew = Span(configuration.max_time_skew);
            writeln!(out, "  authentication with {}, time stamps may be {skew} off", authfile.path.display())?;
        }
        None => writeln!(out, "  no authentication")?,
    }
    match &configuration.store {
        Store::Pacemaker => writeln!(out, "  sites store tickets in pacemaker")?,
        Store::File(directory) => writeln!(out, "  sites store tickets in files in {}", directory.display())?,
    }
    match &configuration.journal {
        Some(path) => writeln!(out, "  journal {}", path.display())?,
        None => writeln!(out, "  no journal")?,
    }
    for (what, account) in [("site", &configuration.site_account), ("arbitrator", &configuration.arbitrator_account)] {
        write!(out, "  {what} runs as {}:{}", account.user, account.group)?;
        match account.other_group {
            Some(group) => writeln!(out, " (or group {group})")?,
            None => writeln!(out)?,
        }
    }
    writeln!(out, "  address translation allowed: {}", yes_no(configuration.allow_address_translation))?;
    let unit = match configuration.unit {
        ValidityUnit::Seconds => "seconds",
        ValidityUnit::Milliseconds => "milliseconds",
    };
    writeln!(out, "  validities on the wire in {unit}, debug {}", configuration.debug)
}

fn describe_listener(out: &mut String, configuration: &Configuration) -> fmt::Result {
    let Kdump { listen: Some(listen), settings, keys } = &configuration.kdump else { return Ok(()) };
    let auth = if settings.require_auth { ", signed messages only" } else { "" };
    match listen.address {
        Some(address) => writeln!(out, "listens for dumping nodes at {address} port {}{auth}", listen.port)?,
        None => writeln!(out, "listens for dumping nodes at port {}{auth}", listen.port)?,
    }
    let silence = Span(Millis(settings.interval.0.saturating_mul(INTERVALS)));
    writeln!(out, "  a dump ends after {silence} of silence, lookback {}", Span(settings.lookback))?;
    for key in keys {
        write!(out, "  {} signs with {}", key.node, key.path.display())?;
        key.addresses.iter().try_for_each(|address| write!(out, " {address}"))?;
        writeln!(out)?;
    }
    Ok(())
}

fn describe_members(out: &mut String, configuration: &Configuration) -> fmt::Result {
    let count = configuration.members.len();
    writeln!(out, "members: {count}, majority {}", configuration.majority())?;
    for (index, member) in configuration.members.iter().enumerate() {
        let kind = match member.kind {
            MemberKind::Site => "site",
            MemberKind::Arbitrator => "arbitrator",
        };
        let address = member.address.to_string();
        write!(out, "  {index:>2} {kind:<12} {address:<15} id {}", member.id.0)?;
        if member.host == address { writeln!(out)? } else { writeln!(out, " (written {})", member.host)? }
    }
    writeln!(out, "tickets: {}", configuration.tickets.len())
}

fn describe_ticket(out: &mut String, configuration: &Configuration, ticket: &Ticket) -> fmt::Result {
    let settings = &ticket.settings;
    let mode = match settings.mode {
        Mode::Automatic => "automatic",
        Mode::Manual => "manual",
    };
    writeln!(out, "  {} ({mode})", settings.name)?;
    let trying = Millis(settings.timeout.0 * (u64::from(settings.retries) + 1));
    let (timeout, retries) = (Span(settings.timeout), settings.retries);
    writeln!(out, "     timeout {timeout}, retries {retries}: tries for {} to reach a majority", Span(trying))?;
    match settings.mode {
        Mode::Automatic => describe_lease(out, ticket)?,
        Mode::Manual => writeln!(out, "     moved by an administrator alone, never by time")?,
    }
    let weights = settings.weights.get(..configuration.members.len()).unwrap_or_default();
    if weights.iter().any(|weight| *weight != 0) {
        writeln!(out, "     weights {}", weights.iter().map(i32::to_string).collect::<Vec<_>>().join(","))?;
    }
    for (kind, handler) in ticket.handlers() {
        write!(out, "     {} {}", handler_key(kind), CommandLine(handler))?;
        match kind {
            HandlerKind::BeforeAcquire => writeln!(out)?,
            HandlerKind::Release => writeln!(out, ": at most {} after a revoke", Span(settings.expire))?,
            HandlerKind::StuckRevoke => writeln!(out, ": {} after a lease's end", Span(lease::stuck_grace(settings)))?,
        }
    }
    describe_crash_releases(out, configuration, ticket)?;
    for prerequisite in &settings.prerequisites {
        let scope = match prerequisite.scope {
            PrerequisiteScope::Auto => "auto",
            PrerequisiteScope::Manual => "manual",
        };
        let operation = if prerequisite.equal { "eq" } else { "ne" };
        writeln!(out, "     attr-prereq {scope} {} {operation} {}", prerequisite.name, prerequisite.value)?;
    }
    Ok(())
}

fn describe_crash_releases(out: &mut String, configuration: &Configuration, ticket: &Ticket) -> fmt::Result {
    for CrashRelease { site, nodes } in &ticket.crash_releases {
        let keys = &configuration.kdump.keys;
        let names: Vec<&str> = nodes.iter().map(|node| keys[usize::from(node.0)].node.as_str()).collect();
        let site = configuration.members[site.at()].address;
        writeln!(out, "     crash-release {site}: free when all of its nodes dump: {}", names.join(", "))?;
    }
    Ok(())
}

fn describe_lease(out: &mut String, ticket: &Ticket) -> fmt::Result {
    let settings = &ticket.settings;
    let origin = if ticket.renewal_configured { "" } else { " (half of expire)" };
    writeln!(out, "     expire {}, renewal-freq {}{origin}", Span(settings.expire), Span(settings.renewal))?;
    let free = Span(settings.expire + settings.acquire_after);
    writeln!(out, "     acquire-after {}: a lost ticket is free after {free}", Span(settings.acquire_after))
}

/// A program and its arguments.
struct CommandLine<'a>(&'a Handler);

impl fmt::Display for CommandLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.program.display())?;
        self.0.arguments.iter().try_for_each(|argument| write!(f, " {argument}"))
    }
}

/// A span as a configuration writes it, with its unit.
struct Span(Millis);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.0;
        if millis.is_multiple_of(1000) { write!(f, "{} s", millis / 1000) } else { write!(f, "{millis} ms") }
    }
}
