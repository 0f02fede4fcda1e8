//! Arguments to an [`Invocation`], by the table.
//!
//! Names and lengths are checked here; the messages and the limits are the reference's.

use super::table::{self, Operands, Opt, Verb, VerbSpec};
use super::{
    Action, AttributeAction, Command, DaemonOptions, GuardOptions, Invocation, KdumpAction, KdumpOptions, Program,
    Request, StatusOptions,
};
use crate::config::{self, Argument, ArgumentTooLong};
use crate::kdump::request::LONGEST_WAIT;
use booth_core::kdump::wait::MAX_WAITED;
use booth_core::settings::{MAX_NAME, MAX_VALUE};
use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long nodes are waited for, as the agent does.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Arguments that are not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError {
    message: String,
    hint: bool,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.hint { f.write_str("\nPlease use '-h' for usage.") } else { Ok(()) }
    }
}

impl std::error::Error for UsageError {}

/// Everything that options may say.
#[derive(Default)]
struct Given {
    config: Option<String>,
    ticket: Option<String>,
    site: Option<String>,
    lock_file: Option<String>,
    immediate: bool,
    wait: bool,
    commit: bool,
    foreground: bool,
    timeout: Option<Duration>,
    debug: u8,
}

/// What the arguments ask for. `own_name` is `argv[0]`, `fallback` the program that this executable
/// is when its name says nothing, `arguments` what stands behind the name.
pub fn parse<I>(own_name: Option<&OsStr>, fallback: Program, arguments: I) -> Result<Invocation, UsageError>
where
    I: IntoIterator<Item = OsString>,
{
    let mut arguments = arguments.into_iter().peekable();
    let base = own_name.and_then(|name| Path::new(name).file_name()).and_then(OsStr::to_str);
    let mut program = base.and_then(Program::named).unwrap_or(fallback);
    let named = |argument: &OsString| argument.to_str().and_then(Program::named);
    if let Some(named) = arguments.peek().and_then(named)
        && (named == Program::Geostore || named == program)
    {
        program = named;
        arguments.next();
    }
    let mut first = arguments.next();
    let client = program != Program::Geostore && first.as_deref() == Some(OsStr::new("client"));
    if client {
        first = arguments.next();
    }
    let Some(first) = first else {
        let command = if client { Command::HelpWanted } else { Command::Help };
        return Ok(Invocation { program, command });
    };
    let spec = first
        .to_str()
        .and_then(|name| table::verb(program, name))
        .filter(|spec| !client || spec.client || spec.verb == Verb::Help)
        .ok_or_else(|| unknown_verb(program, &first))?;
    let command = parse_verb(program, spec, arguments)?;
    Ok(Invocation { program, command })
}

/// The file that `-c` means.
fn config_path(given: Option<&str>) -> Result<PathBuf, UsageError> {
    config::find_file(given).map_err(too_long)
}

fn parse_verb(
    program: Program,
    spec: &VerbSpec,
    arguments: impl Iterator<Item = OsString>,
) -> Result<Command, UsageError> {
    let mut given = Given::default();
    let mut operands = Vec::new();
    let mut parser = Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(|error| not_understood(program, &error))? {
        let opt = match argument {
            Arg::Value(operand) => {
                operands.push(operand);
                continue;
            }
            Arg::Short(letter) => table::OPTIONS.iter().find(|option| option.short == letter),
            Arg::Long(name) => table::OPTIONS.iter().find(|option| option.long == name),
        };
        let Some(option) = opt else {
            return Err(invalid_option(program, &argument));
        };
        if option.opt == Opt::Help {
            return Ok(Command::Help);
        }
        let value = match option.value {
            Some(_) => Some(parser.value().map_err(|_| missing_value(program, option.short))?),
            None => None,
        };
        if !spec.takes(option.opt) {
            return Err(misplaced(program, option.opt, spec));
        }
        given.take(option.opt, value)?;
    }
    let (least, most) = spec.operands.count();
    let given_as_option = match spec.operands {
        Operands::Ticket => given.ticket.is_some(),
        Operands::Config => given.config.is_some(),
        _ => false,
    };
    if let Some(surplus) = operands.get(most.saturating_sub(usize::from(given_as_option))) {
        return Err(hinted(format!("Superfluous argument: {}", surplus.to_string_lossy())));
    }
    if operands.len() < least {
        return Err(hinted(format!("not enough arguments: expected{}", spec.operands.synopsis())));
    }
    command(program, spec.verb, given, operands)
}

/// Puts a verb and what was given with it together. The number of operands has been checked.
fn command(program: Program, verb: Verb, given: Given, operands: Vec<OsString>) -> Result<Command, UsageError> {
    let mut operands = operands.into_iter();
    let action = match verb {
        Verb::Help => return Ok(Command::Help),
        Verb::Version => return Ok(Command::Version),
        Verb::Demo => return Ok(Command::Demo),
        Verb::Check => {
            let operand = operands.next().map(|file| utf8(file, "config file")).transpose()?;
            return Ok(Command::Check { config: config_path(operand.or(given.config).as_deref())? });
        }
        Verb::Status => return Ok(Command::Status(given.status()?)),
        Verb::Stats => return Ok(Command::Stats(given.status()?)),
        Verb::Guard => return Ok(Command::Guard(given.guard()?)),
        Verb::Daemon => return given.daemon(program),
        Verb::KdumpDaemon => {
            return given.daemon(program).map(|command| match command {
                Command::Daemon(options) => Command::KdumpDaemon(options),
                other => other,
            });
        }
        Verb::Kdump => return given.kdump(operands),
        Verb::List => Action::List,
        Verb::Peers => Action::Peers,
        Verb::Grant | Verb::Revoke => {
            let operand = operands.next().map(|name| short(name, Argument::Ticket, "ticket name")).transpose()?;
            let ticket = given.ticket.or(operand);
            match verb {
                Verb::Grant => {
                    Action::Grant { ticket, immediate: given.immediate, wait: given.wait, commit: given.commit }
                }
                _ => Action::Revoke { ticket, wait: given.wait },
            }
        }
        Verb::AttributeList => Action::Attribute { ticket: given.ticket, change: AttributeAction::List },
        Verb::AttributeGet | Verb::AttributeSet | Verb::AttributeDelete => {
            let mut next = |limit, what| text(operands.next().unwrap_or_default(), limit, what);
            let name = next(MAX_NAME, "attribute name")?;
            if name.is_empty() {
                return Err(bare("an attribute's name must not be empty".into()));
            }
            let change = match verb {
                Verb::AttributeGet => AttributeAction::Get { name },
                Verb::AttributeDelete => AttributeAction::Delete { name },
                _ => AttributeAction::Set { name, value: next(MAX_VALUE, "attribute value")? },
            };
            Action::Attribute { ticket: given.ticket, change }
        }
    };
    Ok(Command::Client(Request { config: config_path(given.config.as_deref())?, site: given.site, action }))
}

impl Given {
    fn take(&mut self, opt: Opt, value: Option<OsString>) -> Result<(), UsageError> {
        let value = value.unwrap_or_default();
        match opt {
            Opt::Config => self.config = Some(utf8(value, "config file")?),
            Opt::Ticket => self.ticket = Some(short(value, Argument::Ticket, "ticket name")?),
            Opt::Site => self.site = Some(short(value, Argument::Site, "site name")?),
            Opt::LockFile => self.lock_file = Some(short(value, Argument::LockFile, "lock file")?),
            Opt::Immediate => self.immediate = true,
            Opt::Wait => self.wait = true,
            Opt::Commit => self.commit = true,
            Opt::Foreground => self.foreground = true,
            Opt::Timeout => self.timeout = Some(seconds(&value)?),
            Opt::Debug => self.debug = self.debug.saturating_add(1),
            Opt::Help => {}
        }
        Ok(())
    }

    fn status(self) -> Result<StatusOptions, UsageError> {
        Ok(StatusOptions {
            config: config_path(self.config.as_deref())?,
            lock_file: self.lock_file.map(PathBuf::from),
            debug: self.debug > 0,
        })
    }

    fn guard(self) -> Result<GuardOptions, UsageError> {
        Ok(GuardOptions {
            config: config_path(self.config.as_deref())?,
            lock_file: self.lock_file.map(PathBuf::from),
            wait: self.wait,
        })
    }

    fn kdump(self, mut operands: impl Iterator<Item = OsString>) -> Result<Command, UsageError> {
        let what = utf8(operands.next().unwrap_or_default(), "operation")?;
        let nodes = operands.next().map(|nodes| utf8(nodes, "list of nodes")).transpose()?;
        let action = match (what.as_str(), nodes) {
            ("list", None) => KdumpAction::List,
            ("wait", Some(nodes)) => {
                let nodes: Vec<String> = nodes.split(',').map(str::to_owned).collect();
                if nodes.len() > MAX_WAITED || nodes.iter().any(String::is_empty) {
                    return Err(bare(format!(
                        "expected 1 to {MAX_WAITED} nodes with commas between, each with a name"
                    )));
                }
                KdumpAction::Wait { nodes, timeout: self.timeout.unwrap_or(DEFAULT_TIMEOUT) }
            }
            _ => return Err(hinted(format!("kdump: expected{}", Operands::Kdump.synopsis()))),
        };
        // Without a file the listener has the usual port, whatever the usual file is about.
        let config = self.config.map(|file| config_path(Some(&file))).transpose()?;
        Ok(Command::Kdump(KdumpOptions { config, lock_file: self.lock_file.map(PathBuf::from), action }))
    }

    fn daemon(self, program: Program) -> Result<Command, UsageError> {
        if self.site.is_some() && self.debug == 0 {
            let message = format!("{}: ERROR: \"-s\" not allowed in daemon mode.", program.name());
            return Err(bare(message));
        }
        Ok(Command::Daemon(DaemonOptions {
            config: config_path(self.config.as_deref())?,
            lock_file: self.lock_file.map(PathBuf::from),
            foreground: self.foreground,
            debug: self.debug,
            own_address: self.site,
        }))
    }
}

/// A number of seconds to wait, up to a day.
fn seconds(value: &OsStr) -> Result<Duration, UsageError> {
    let number =
        value.to_str().and_then(|text| text.parse().ok()).filter(|number| (1..=LONGEST_WAIT.0 / 1000).contains(number));
    number.map(Duration::from_secs).ok_or_else(|| {
        bare(format!("'{}' is no number of seconds, expected 1 to {}", value.to_string_lossy(), LONGEST_WAIT.0 / 1000))
    })
}

fn utf8(value: OsString, what: &str) -> Result<String, UsageError> {
    value
        .into_string()
        .map_err(|value| bare(format!("'{}' is no valid {what}: it is not UTF-8", value.to_string_lossy())))
}

fn short(value: OsString, argument: Argument, what: &str) -> Result<String, UsageError> {
    let value = utf8(value, what)?;
    argument.check(&value).map_err(too_long)?;
    Ok(value)
}

/// An attribute's name or value that fits the wire. As in the reference, a text of just the length
/// that the message names is too long as well: its limit counts the NUL.
fn text(value: OsString, limit: usize, what: &str) -> Result<String, UsageError> {
    let text = utf8(value, what)?;
    if text.len() >= limit {
        return Err(bare(format!("'{text}' exceeds maximum {what} length of {limit}")));
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(bare(format!("{text:?} is no valid {what}: it has the character {c:?}"))),
        None => Ok(text),
    }
}

fn too_long(error: ArgumentTooLong) -> UsageError {
    bare(error.to_string())
}

fn bare(message: String) -> UsageError {
    UsageError { message, hint: false }
}

fn hinted(message: String) -> UsageError {
    UsageError { message, hint: true }
}

fn unknown_verb(program: Program, name: &OsStr) -> UsageError {
    let kind = if program == Program::Geostore { "attribute" } else { "client" };
    hinted(format!("{kind} operation \"{}\" is unknown", name.to_string_lossy()))
}

fn invalid_option(program: Program, argument: &Arg<'_>) -> UsageError {
    let what = match argument {
        Arg::Short(letter) => format!("invalid option -- '{letter}'"),
        Arg::Long(name) => format!("unrecognized option '--{name}'"),
        Arg::Value(value) => format!("not understood: '{}'", value.to_string_lossy()),
    };
    hinted(format!("{}: {what}", program.name()))
}

fn missing_value(program: Program, short: char) -> UsageError {
    hinted(format!("{}: option requires an argument -- '{short}'", program.name()))
}

fn not_understood(program: Program, error: &lexopt::Error) -> UsageError {
    hinted(format!("{}: {error}", program.name()))
}

/// The option exists, but not for this verb.
fn misplaced(program: Program, opt: Opt, spec: &VerbSpec) -> UsageError {
    let name = program.name();
    let short = opt.spec().short;
    match opt {
        _ if program == Program::Geostore => invalid_option(program, &Arg::Short(short)),
        Opt::Immediate => bare(format!("{name}: ERROR: use \"-F\" only for client grant")),
        Opt::Wait => bare(format!("{name}: ERROR: use \"-w\" only for grant and revoke")),
        Opt::Commit => bare(format!("{name}: ERROR: use \"-C\" only for grant")),
        _ => hinted(format!("{name}: \"-{short}\" is not for \"{}\"", spec.names[0])),
    }
}
