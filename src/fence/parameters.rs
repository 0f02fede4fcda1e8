//! What `fence_kdump` is told: options, or, where there are none, lines `KEY=VALUE` on stdin, as all fence agents
//! are. Names, defaults and limits are the original's, with two more, `directory` and `config`, and so is what
//! it forgives: text behind a number, names in any case, abbreviated options. On stdin unknown keys are left alone: Pacemaker gives
//! each agent more than it knows. A value that makes no sense keeps nobody from the metadata.

use crate::config::DEFAULT_FILE;
use crate::kdump::place;
use crate::kdump::request::LONGEST_WAIT;
use booth_core::wire::kdump::PORT;
use lexopt::{Arg, Parser, ValueExt};
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

/// The help text.
pub const USAGE: &str = "\
Usage: fence_kdump [options]

Options:

  -n, --nodename=NODE[,NODE...]  Names or addresses of the node to be fenced
  -p, --ipport=PORT              Port that messages come to (default: 7410)
  -f, --family=FAMILY            Addresses that are taken: ([auto], ipv4, ipv6)
  -o, --action=ACTION            What to do: ([off], monitor, status, list,
                                 metadata, validate-all)
  -t, --timeout=TIMEOUT          How long to wait, in seconds (default: 60)
  -d, --directory=DIRECTORY      Where listeners are found
                                 (default: /var/run/booth)
  -c, --config=FILE              Whose kdump keys count where the agent listens
                                 itself (default: /etc/booth/booth.conf)
  -v, --verbose                  Say more
  -V, --version                  Print the version
  -h, --help                     Print this help
";
/// The long options.
const LONG: [&str; 10] =
    ["nodename", "ipport", "family", "action", "timeout", "directory", "config", "verbose", "version", "help"];
/// How much of stdin is read, in bytes; Pacemaker writes some hundred.
const MAX_STDIN: u64 = 64 << 10;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Wait for the node's message.
    Off,
    /// Tell whether a message could be received; `status` as well.
    Monitor,
    /// Print the names that were given.
    List,
    /// Describe the agent.
    Metadata,
    /// Look at the parameters, no more.
    ValidateAll,
}

/// Which addresses of a name are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// All.
    Auto,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// All that the agent is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// `nodename`: all of them are names of one node.
    pub nodes: Vec<String>,
    /// `ipport`
    pub port: u16,
    /// `family`
    pub family: Family,
    /// `action`
    pub action: Action,
    /// `timeout`
    pub timeout: Duration,
    /// `directory`
    pub directory: PathBuf,
    /// `config`
    pub config: PathBuf,
    /// `verbose`
    pub verbose: bool,
}

/// What the agent is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// An action.
    Do(Parameters),
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
}

/// What was given so far.
#[derive(Default)]
struct Given {
    parameters: Parameters,
    help: bool,
    version: bool,
    /// The first value that makes no sense.
    error: Option<String>,
}

impl Default for Parameters {
    fn default() -> Parameters {
        Parameters {
            nodes: Vec::new(),
            port: PORT,
            family: Family::Auto,
            action: Action::Off,
            timeout: Duration::from_secs(60),
            directory: place::DIRECTORY.into(),
            config: DEFAULT_FILE.into(),
            verbose: false,
        }
    }
}

/// Reads the process's arguments, or stdin where there are none.
///
/// # Errors
/// Why they are not understood.
pub fn read() -> Result<Wish, String> {
    let mut parser = Parser::from_env();
    if std::env::args_os().len() > 1 {
        return from_options(&mut parser);
    }
    let mut bytes = Vec::new();
    match std::io::stdin().lock().take(MAX_STDIN).read_to_end(&mut bytes) {
        Ok(_) => from_lines(&String::from_utf8_lossy(&bytes)),
        Err(error) => Err(format!("cannot read stdin: {error}")),
    }
}

fn from_options(parser: &mut Parser) -> Result<Wish, String> {
    let unknown = |what: &str| format!("{what}\n{USAGE}");
    let mut given = Given::default();
    loop {
        let argument = parser.next().map_err(|error| unknown(&error.to_string()))?;
        let key = match argument {
            None => return given.wish(),
            // As the original, which does not look at them.
            Some(Arg::Value(_)) => continue,
            Some(Arg::Short('n')) => "nodename",
            Some(Arg::Short('p')) => "ipport",
            Some(Arg::Short('f')) => "family",
            Some(Arg::Short('o')) => "action",
            Some(Arg::Short('t')) => "timeout",
            Some(Arg::Short('d')) => "directory",
            Some(Arg::Short('c')) => "config",
            Some(Arg::Short('v')) => "verbose",
            Some(Arg::Short('V')) => "version",
            Some(Arg::Short('h')) => "help",
            Some(Arg::Long(name)) => long(name).map_err(|error| unknown(&error))?,
            Some(other) => return Err(unknown(&other.unexpected().to_string())),
        };
        let value = match key {
            "verbose" | "version" | "help" => "yes".to_owned(),
            _ => {
                let value = parser.value().map_err(|error| unknown(&error.to_string()))?;
                value.string().map_err(|error| format!("{key}: {error}"))?
            }
        };
        given.take(key, &value);
    }
}

/// The long option with this name, or whose name alone begins with it (getopt_long(3)).
fn long(name: &str) -> Result<&'static str, String> {
    let mut fitting = LONG.into_iter().filter(|option| option.starts_with(name));
    match (fitting.next(), fitting.next()) {
        (Some(option), None) => Ok(option),
        (None, _) => Err(format!("invalid option '--{name}'")),
        (Some(_), Some(_)) => Err(format!("option '--{name}' is ambiguous")),
    }
}

fn from_lines(text: &str) -> Result<Wish, String> {
    let mut given = Given::default();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        if let Some((key, value)) = line.split_once('=') {
            let key = key.trim().to_ascii_lowercase();
            // An option's name is no key.
            given.take(if key == "help" { "" } else { &key }, value.trim());
        }
    }
    given.wish()
}

impl Given {
    fn take(&mut self, key: &str, value: &str) {
        if let Err(error) = self.try_take(key, value) {
            self.error.get_or_insert(error);
        }
    }

    fn try_take(&mut self, key: &str, value: &str) -> Result<(), String> {
        let parameters = &mut self.parameters;
        match key {
            "nodename" => {
                let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
                parameters.nodes = names.map(str::to_owned).collect();
            }
            "ipport" => {
                let port = number(value).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
                parameters.port = port.ok_or_else(|| format!("invalid ipport '{value}', expected 1 to 65535"))?;
            }
            "family" => {
                parameters.family = match value.to_ascii_lowercase().as_str() {
                    "auto" => Family::Auto,
                    "ipv4" => Family::Ipv4,
                    "ipv6" => Family::Ipv6,
                    _ => return Err(format!("unsupported family '{value}', expected auto, ipv4 or ipv6")),
                };
            }
            "action" => parameters.action = action(value)?,
            "timeout" => {
                let most = LONGEST_WAIT.0 / 1000;
                let seconds = number(value).filter(|seconds| (1..=most).contains(seconds));
                let seconds = seconds.ok_or_else(|| format!("invalid timeout '{value}', expected 1 to {most}"))?;
                parameters.timeout = Duration::from_secs(seconds);
            }
            "directory" => parameters.directory = value.into(),
            "config" => parameters.config = value.into(),
            "verbose" => parameters.verbose = is_true(value),
            "version" => self.version = is_true(value),
            "usage" | "help" => self.help = is_true(value),
            _ => {}
        }
        Ok(())
    }

    fn wish(self) -> Result<Wish, String> {
        match self {
            Given { help: true, .. } => Ok(Wish::Help),
            Given { version: true, .. } => Ok(Wish::Version),
            Given { error: Some(error), parameters, .. } if parameters.action != Action::Metadata => Err(error),
            Given { parameters, .. } => Ok(Wish::Do(parameters)),
        }
    }
}

fn action(value: &str) -> Result<Action, String> {
    Ok(match value.to_ascii_lowercase().as_str() {
        "off" => Action::Off,
        "monitor" | "status" => Action::Monitor,
        "list" => Action::List,
        "metadata" => Action::Metadata,
        "validate-all" => Action::ValidateAll,
        _ => return Err(format!("unsupported action '{value}'")),
    })
}

/// The number that a value begins with, as strtol(3) reads it; people write `60s`.
fn number(value: &str) -> Option<u64> {
    let value = value.trim_start();
    let value = value.strip_prefix('+').unwrap_or(value);
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    value[..end].parse().ok()
}

/// As Pacemaker writes it, and people.
fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "" | "1" | "yes" | "true" | "on" | "y")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn options(words: &[&str]) -> Result<Wish, String> {
        from_options(&mut Parser::from_args(words))
    }

    fn told(wish: Result<Wish, String>) -> Parameters {
        match wish {
            Ok(Wish::Do(parameters)) => parameters,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_and_options_say_the_same_and_unknown_lines_nothing() {
        let lines = "# as fenced writes it\nnodename=alpha, 10.0.0.1\n\n ipport = 7411\nfamily=ipv4\naction=off\ntimeout=5\n\
                     verbose=1\npcmk_host_list=alpha\nplug=alpha\nno line\ndirectory=/tmp/x\n";
        let by_lines = told(from_lines(lines));
        assert_eq!(by_lines.nodes, ["alpha", "10.0.0.1"]);
        let words = "-n alpha,10.0.0.1 -p 7411 --family=ipv4 -o off -t5 -v --directory /tmp/x what else";
        let words: Vec<&str> = words.split(' ').collect();
        assert_eq!(told(options(&words)), by_lines);
        assert_eq!(told(from_lines("")), Parameters::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        for (key, value) in [
            ("ipport", "0"),
            ("ipport", "65536"),
            ("ipport", "x"),
            ("timeout", "0"),
            ("timeout", "-1"),
            ("timeout", "86401"),
            ("timeout", "99999999999999999999"),
            ("timeout", ""),
            ("family", "ipx"),
            ("action", "reboot"),
            ("action", "on"),
        ] {
            let error = from_lines(&format!("{key}={value}")).unwrap_err();
            assert!(error.contains(&format!("'{value}'")), "{error}");
        }
        assert!(options(&["-Z"]).unwrap_err().contains("Usage:"));
        assert!(options(&["-n"]).unwrap_err().contains("Usage:"));
        assert!(options(&["--verbose=1"]).is_err());
    }

    #[test]
    fn what_the_original_forgives_is_forgiven() {
        let forgiven = told(from_lines("NODENAME=a\nipport=80x\ntimeout=60s\nfamily=IPv4\naction=OFF\n"));
        let expected = told(options(&["-n", "a", "-p", "80", "-t", "60", "-f", "ipv4"]));
        assert_eq!(forgiven, expected);
        assert_eq!(told(options(&["--nod", "a", "--ip=+80", "--t", " 60 s", "--fam", "IPV4", "--a=Off"])), expected);
        assert_eq!(options(&["--h"]), Ok(Wish::Help));
        for ambiguous in ["--v", "--ver"] {
            assert!(options(&[ambiguous]).unwrap_err().starts_with(&format!("option '{ambiguous}' is ambiguous")));
        }
        assert!(options(&["--nodenames", "a"]).unwrap_err().contains("'--nodenames'"));
        assert_eq!(told(from_lines("help=1")), Parameters::default());
    }

    /// A wrong value in the CIB must not cost Pacemaker what it knows of the agent.
    #[test]
    fn no_value_keeps_anybody_from_the_metadata() {
        for lines in ["timeout=x\nipport=0\nfamily=ipx\naction=metadata", "action=metadata\ntimeout="] {
            assert_eq!(told(from_lines(lines)).action, Action::Metadata, "{lines}");
        }
        assert_eq!(told(options(&["-t", "x", "--act", "Metadata"])).action, Action::Metadata);
    }

    #[test]
    fn help_and_version_come_before_all_else() {
        assert_eq!(options(&["-n", "a", "-h"]), Ok(Wish::Help));
        assert_eq!(options(&["-V"]), Ok(Wish::Version));
        assert_eq!(from_lines("version=1\nnodename=a"), Ok(Wish::Version));
        assert_eq!(told(from_lines("version=0\nusage=no")), Parameters::default());
        assert!(USAGE.lines().all(|line| line.len() < 80));
    }
}
