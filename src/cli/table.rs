//! The table of verbs and options. Parser and help texts read it; nothing else knows a spelling.
//!
//! Short options are the reference's; the long ones are ours. Where the reference takes an option or
//! an operand and does nothing with it, so does this table: scripts exist that pass them. Man pages and
//! shell completion in packaging/ are made from it as well (tests/manual.rs).

use super::Program;

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opt {
    /// `-c FILE`
    Config,
    /// `-t TICKET`
    Ticket,
    /// `-s SITE`
    Site,
    /// `-F`
    Immediate,
    /// `-w`
    Wait,
    /// `-C`
    Commit,
    /// `-l FILE`
    LockFile,
    /// `-S`
    Foreground,
    /// `-T SECONDS`
    Timeout,
    /// `-D`
    Debug,
    /// `-h`
    Help,
}

/// A verb.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `daemon`
    Daemon,
    /// `status`
    Status,
    /// `stats`
    Stats,
    /// `list`
    List,
    /// `peers`
    Peers,
    /// `grant`
    Grant,
    /// `revoke`
    Revoke,
    /// `guard`
    Guard,
    /// `geostore list`
    AttributeList,
    /// `geostore get`
    AttributeGet,
    /// `geostore set`
    AttributeSet,
    /// `geostore delete`
    AttributeDelete,
    /// `kdump` of the daemon
    KdumpDaemon,
    /// `kdump list` and `kdump wait`
    Kdump,
    /// `check`
    Check,
    /// `demo`
    Demo,
    /// `help`
    Help,
    /// `version`
    Version,
}

/// How an option is spelled, and what it is for.
#[derive(Debug)]
pub struct OptionSpec {
    /// Which option.
    pub opt: Opt,
    /// Behind one dash.
    pub short: char,
    /// Behind two.
    pub long: &'static str,
    /// What its value is called, where it has one.
    pub value: Option<&'static str>,
    /// What it does; several lines.
    pub about: &'static [&'static str],
}

/// What may stand behind a verb beside options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operands {
    /// Nothing.
    None,
    /// Anything; the reference does not look at it either.
    Ignored,
    /// A ticket, unless `-t` names one.
    Ticket,
    /// An attribute's name.
    Attribute,
    /// An attribute's name and value.
    AttributeAndValue,
    /// A configuration, unless `-c` names one.
    Config,
    /// `list`, or `wait` and nodes with commas between.
    Kdump,
}

/// How a verb is spelled, and what belongs to it.
#[derive(Debug)]
pub struct VerbSpec {
    /// Which verb.
    pub verb: Verb,
    /// Its names; help shows the first one.
    pub names: &'static [&'static str],
    /// The programs that know it.
    pub programs: &'static [Program],
    /// The options that it heeds, beside `-h`.
    pub options: &'static [Opt],
    /// The options that it takes and that change nothing, as in the reference.
    pub ignored: &'static [Opt],
    /// What else it takes.
    pub operands: Operands,
    /// What it does.
    pub about: &'static str,
    /// Whether `client` may stand in front of it (the spelling of booth 0.1).
    pub client: bool,
}

const BOOTH: &[Program] = &[Program::Booth, Program::Boothctl];
const GEOSTORE: &[Program] = &[Program::Geostore];
const BOOTHD: &[Program] = &[Program::Booth];
const BOOTHCTL: &[Program] = &[Program::Boothctl];
const ALL: &[Program] = &[Program::Booth, Program::Boothctl, Program::Geostore];

/// Every option.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        opt: Opt::Config,
        short: 'c',
        long: "config",
        value: Some("FILE"),
        about: &[
            "Configuration [default /etc/booth/booth.conf]:",
            "a path with a slash in it, or NAME, which stands for",
            "/etc/booth/NAME.conf",
        ],
    },
    OptionSpec {
        opt: Opt::Ticket,
        short: 't',
        long: "ticket",
        value: Some("TICKET"),
        about: &["The ticket (required if more than one is configured)"],
    },
    OptionSpec {
        opt: Opt::Site,
        short: 's',
        long: "site",
        value: Some("SITE"),
        about: &[
            "Ask this member, or grant at this site: an address or",
            "name of the configuration, or \"other\" of two sites",
            "(daemon, only with -D: the address to take as own)",
        ],
    },
    OptionSpec {
        opt: Opt::Immediate,
        short: 'F',
        long: "force",
        value: None,
        about: &[
            "Grant at once, even if not all sites are reachable;",
            "a manual ticket even if it is granted already.",
            "Make sure yourself that no other site holds the ticket",
        ],
    },
    OptionSpec {
        opt: Opt::Wait,
        short: 'w',
        long: "wait",
        value: None,
        about: &[
            "Wait for the outcome, however long it takes (grant,",
            "revoke); Ctrl-C stops the waiting, not the request",
            "(guard: until the daemon answers or nothing is granted)",
        ],
    },
    OptionSpec {
        opt: Opt::Commit,
        short: 'C',
        long: "commit",
        value: None,
        about: &["Wait until the site's store has the ticket (grant)"],
    },
    OptionSpec {
        opt: Opt::LockFile,
        short: 'l',
        long: "lock-file",
        value: Some("FILE"),
        about: &["Lock file [default /var/run/booth/NAME.pid]"],
    },
    OptionSpec {
        opt: Opt::Foreground,
        short: 'S',
        long: "foreground",
        value: None,
        about: &["Stay in the foreground, log to stderr (daemon, kdump)"],
    },
    OptionSpec {
        opt: Opt::Timeout,
        short: 'T',
        long: "timeout",
        value: Some("SECONDS"),
        about: &["How long to wait for dumping nodes [default 60] (kdump)"],
    },
    OptionSpec {
        opt: Opt::Debug,
        short: 'D',
        long: "debug",
        value: None,
        about: &["Log more (daemon); say why it does not run (status)"],
    },
    OptionSpec { opt: Opt::Help, short: 'h', long: "help", value: None, about: &["Print this help"] },
];

/// Every verb, in the order of the help text.
pub const VERBS: &[VerbSpec] = &[
    VerbSpec {
        verb: Verb::List,
        names: &["list"],
        programs: BOOTH,
        options: &[Opt::Config, Opt::Site],
        ignored: &[Opt::Debug, Opt::LockFile, Opt::Foreground],
        operands: Operands::Ignored,
        about: "List the tickets and who holds them",
        client: true,
    },
    VerbSpec {
        verb: Verb::Grant,
        names: &["grant"],
        programs: BOOTH,
        options: &[Opt::Config, Opt::Ticket, Opt::Site, Opt::Immediate, Opt::Wait, Opt::Commit],
        ignored: &[Opt::Debug, Opt::LockFile, Opt::Foreground],
        operands: Operands::Ticket,
        about: "Grant a ticket to a site",
        client: true,
    },
    VerbSpec {
        verb: Verb::Revoke,
        names: &["revoke"],
        programs: BOOTH,
        options: &[Opt::Config, Opt::Ticket, Opt::Site, Opt::Wait],
        ignored: &[Opt::Debug, Opt::LockFile, Opt::Foreground],
        operands: Operands::Ticket,
        about: "Revoke a ticket",
        client: true,
    },
    VerbSpec {
        verb: Verb::Peers,
        names: &["peers"],
        programs: BOOTH,
        options: &[Opt::Config, Opt::Site],
        ignored: &[Opt::Debug, Opt::LockFile, Opt::Foreground],
        operands: Operands::Ignored,
        about: "List the other members and what was heard from them",
        client: true,
    },
    VerbSpec {
        verb: Verb::Status,
        names: &["status"],
        programs: BOOTH,
        options: &[Opt::Config, Opt::LockFile, Opt::Debug],
        ignored: &[Opt::Foreground],
        operands: Operands::Ignored,
        about: "Tell whether the daemon runs (exit status 0: yes, 7: no)",
        client: false,
    },
    VerbSpec {
        verb: Verb::Stats,
        names: &["stats"],
        programs: BOOTHCTL,
        options: &[Opt::Config, Opt::LockFile],
        ignored: &[Opt::Debug],
        operands: Operands::None,
        about: "Print what the daemon on this host has counted",
        client: false,
    },
    VerbSpec {
        verb: Verb::Daemon,
        names: &["daemon", "site", "arbitrator", "start"],
        programs: BOOTH,
        options: &[Opt::Config, Opt::LockFile, Opt::Foreground, Opt::Debug, Opt::Site],
        ignored: &[],
        operands: Operands::None,
        about: "Run as the member that this host is: site or arbitrator",
        client: false,
    },
    VerbSpec {
        verb: Verb::Guard,
        names: &["guard"],
        programs: BOOTHCTL,
        options: &[Opt::Config, Opt::LockFile, Opt::Wait],
        ignored: &[],
        operands: Operands::None,
        about: "Revoke what a dead or frozen daemon has left granted",
        client: false,
    },
    VerbSpec {
        verb: Verb::KdumpDaemon,
        names: &["kdump"],
        programs: BOOTHD,
        options: &[Opt::Config, Opt::LockFile, Opt::Foreground, Opt::Debug],
        ignored: &[],
        operands: Operands::None,
        about: "Listen for nodes that write their dump, no more",
        client: false,
    },
    VerbSpec {
        verb: Verb::Kdump,
        names: &["kdump"],
        programs: BOOTHCTL,
        options: &[Opt::Config, Opt::LockFile, Opt::Timeout],
        ignored: &[],
        operands: Operands::Kdump,
        about: "List dumping nodes, or wait until all of some are",
        client: false,
    },
    VerbSpec {
        verb: Verb::AttributeList,
        names: &["list"],
        programs: GEOSTORE,
        options: &[Opt::Config, Opt::Ticket, Opt::Site],
        ignored: &[Opt::Debug],
        operands: Operands::None,
        about: "List all attributes",
        client: false,
    },
    VerbSpec {
        verb: Verb::AttributeSet,
        names: &["set"],
        programs: GEOSTORE,
        options: &[Opt::Config, Opt::Ticket, Opt::Site],
        ignored: &[Opt::Debug],
        operands: Operands::AttributeAndValue,
        about: "Set an attribute to a value",
        client: false,
    },
    VerbSpec {
        verb: Verb::AttributeGet,
        names: &["get"],
        programs: GEOSTORE,
        options: &[Opt::Config, Opt::Ticket, Opt::Site],
        ignored: &[Opt::Debug],
        operands: Operands::Attribute,
        about: "Print an attribute's value",
        client: false,
    },
    VerbSpec {
        verb: Verb::AttributeDelete,
        names: &["delete"],
        programs: GEOSTORE,
        options: &[Opt::Config, Opt::Ticket, Opt::Site],
        ignored: &[Opt::Debug],
        operands: Operands::Attribute,
        about: "Delete an attribute",
        client: false,
    },
    VerbSpec {
        verb: Verb::Check,
        names: &["check"],
        programs: BOOTHCTL,
        options: &[Opt::Config],
        ignored: &[],
        operands: Operands::Config,
        about: "Check a configuration: its errors, or what it means",
        client: false,
    },
    VerbSpec {
        verb: Verb::Demo,
        names: &["demo"],
        programs: BOOTHCTL,
        options: &[],
        ignored: &[],
        operands: Operands::None,
        about: "Watch a ticket granted, taken over, given up (25 s)",
        client: false,
    },
    VerbSpec {
        verb: Verb::Help,
        names: &["help", "--help", "-h"],
        programs: ALL,
        options: &[],
        ignored: &[],
        operands: Operands::Ignored,
        about: "Print this help",
        client: false,
    },
    VerbSpec {
        verb: Verb::Version,
        names: &["version", "--version"],
        programs: ALL,
        options: &[],
        ignored: &[],
        operands: Operands::Ignored,
        about: "Print the version",
        client: false,
    },
];

/// The verb that a program knows by this name.
pub fn verb(program: Program, name: &str) -> Option<&'static VerbSpec> {
    VERBS.iter().find(|spec| spec.programs.contains(&program) && spec.names.contains(&name))
}

impl Opt {
    /// How it is spelled. Every option stands in the table; a test says so.
    pub fn spec(self) -> &'static OptionSpec {
        OPTIONS.iter().find(|spec| spec.opt == self).unwrap_or(&OPTIONS[0])
    }
}

impl VerbSpec {
    /// Whether the verb takes the option.
    pub fn takes(&self, opt: Opt) -> bool {
        opt == Opt::Help || self.options.contains(&opt) || self.ignored.contains(&opt)
    }
}

impl Operands {
    /// How help writes them.
    pub fn synopsis(self) -> &'static str {
        match self {
            Operands::None | Operands::Ignored => "",
            Operands::Ticket => " [TICKET]",
            Operands::Attribute => " ATTRIBUTE",
            Operands::AttributeAndValue => " ATTRIBUTE VALUE",
            Operands::Config => " [FILE]",
            Operands::Kdump => " list|wait [NODE[,NODE...]]",
        }
    }

    /// How many there must and may be.
    pub fn count(self) -> (usize, usize) {
        match self {
            Operands::None => (0, 0),
            Operands::Ignored => (0, usize::MAX),
            Operands::Ticket | Operands::Config => (0, 1),
            Operands::Attribute => (1, 1),
            Operands::AttributeAndValue => (2, 2),
            Operands::Kdump => (1, 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_of_a_verb_has_a_spelling_of_its_own() {
        for spec in VERBS {
            for opt in spec.options.iter().chain(spec.ignored) {
                assert!(!(spec.options.contains(opt) && spec.ignored.contains(opt)), "{opt:?} of {:?}", spec.verb);
                assert_eq!(opt.spec().opt, *opt, "{opt:?} is not in the table");
            }
        }
        for (at, one) in OPTIONS.iter().enumerate() {
            assert!(OPTIONS[at + 1..].iter().all(|other| other.short != one.short && other.long != one.long));
        }
    }

    #[test]
    fn a_name_means_one_verb_in_each_program() {
        for program in [Program::Booth, Program::Boothctl, Program::Geostore] {
            for spec in VERBS.iter().filter(|spec| spec.programs.contains(&program)) {
                for name in spec.names {
                    assert_eq!(verb(program, name).map(|found| found.verb), Some(spec.verb), "{name}");
                }
            }
        }
    }
}
