//! The command line: the original's options, written in all the ways that getopt_long(3) takes, and two of ours.
//!
//! Options and nodes may stand in any order, long options may be cut off as long as they are told apart,
//! `--` ends the options. The first `-h` or `-V` counts, and what follows it is not looked at.
//!
//! What the original takes is taken here too, or a crashed node would send nothing: whatever follows a number, a
//! family in any case.

use crate::text;
use booth_core::wire::kdump::PORT;

/// The most nodes that are served.
pub const MAX_NODES: usize = 32;

/// What `-h` prints, and wrong usage.
pub const USAGE: &str = "\
Usage: fence_kdump_send [options] [nodes]

Options:

  -p, --ipport=PORT            Port number (default: 7410)
  -f, --family=FAMILY          Network family ([auto], ipv4, ipv6)
  -c, --count=COUNT            Number of messages to send (default: 0)
  -i, --interval=INTERVAL      Interval in seconds (default: 10)
  -k, --key=FILE               Sign messages with the key in FILE
  -n, --node=NAME              Name of this node in signed messages (default: host name)
  -v, --verbose                Print verbose output
  -V, --version                Print version
  -h, --help                   Print usage

";

/// Which addresses are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `auto`.
    Any,
    /// `ipv4`.
    V4,
    /// `ipv6`.
    V6,
}

/// What is to be done.
#[allow(clippy::large_enum_variant, reason = "there is one of it, and no heap to put a part of it on")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// Print [`USAGE`].
    Usage,
    /// Print the version.
    Version,
    /// Send.
    Send(Options<'a>),
}

/// To whom, how often and how to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    /// The listeners' port.
    pub port: u16,
    /// Their family.
    pub family: Family,
    /// How many messages each address gets; 0 is for ever.
    pub count: u32,
    /// Between two messages, in seconds; not 0.
    pub interval: u32,
    /// Whether to print what is done.
    pub verbose: bool,
    /// The file of the key to sign with.
    pub key: Option<&'a [u8]>,
    /// This node's name in signed messages.
    pub node: Option<&'a [u8]>,
    /// To whom: addresses and names, at least one.
    pub nodes: heapless::Vec<&'a [u8], MAX_NODES>,
    /// The first node that there is no room for: it and those behind it are left out.
    pub left_out: Option<&'a [u8]>,
}

/// What is wrong with a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionError<'a> {
    /// There is no such option.
    Unknown(&'a [u8]),
    /// Several options begin like this.
    Ambiguous(&'a [u8]),
    /// This option needs a value.
    NoValue(&'a [u8]),
    /// This option takes no value.
    Surplus(&'a [u8]),
    /// This is no port.
    BadPort(&'a [u8]),
    /// This is no family.
    BadFamily(&'a [u8]),
    /// This is no count.
    BadCount(&'a [u8]),
    /// This is no interval.
    BadInterval(&'a [u8]),
    /// This is no node's name.
    BadNode(&'a [u8]),
    /// There is no node.
    NoNode,
}

impl<'a> OptionError<'a> {
    /// The error in words: what stands before the text that it is about, that text, and what stands behind it.
    pub fn words(&self) -> (&'static str, &'a [u8], &'static str) {
        match *self {
            OptionError::Unknown(option) => ("unknown option '", option, "'"),
            OptionError::Ambiguous(option) => ("option '", option, "' may be one of several: write more of it"),
            OptionError::NoValue(option) => ("option '", option, "' needs a value"),
            OptionError::Surplus(option) => ("option '", option, "' takes no value"),
            OptionError::BadPort(value) => ("invalid ipport '", value, "', expected 1 to 65535"),
            OptionError::BadFamily(value) => ("unsupported family '", value, "', expected auto, ipv4 or ipv6"),
            OptionError::BadCount(value) => ("invalid count '", value, "', expected 0 (for ever) or more"),
            OptionError::BadInterval(value) => ("invalid interval '", value, "', expected seconds, from 1"),
            OptionError::BadNode(value) => ("invalid node '", value, "', expected a name"),
            OptionError::NoNode => ("no node", b"", ", expected an address or a name"),
        }
    }
}

/// The options: the letter, the word, whether it takes a value.
const TABLE: [(u8, &[u8], bool); 9] = [
    (b'p', b"ipport", true),
    (b'f', b"family", true),
    (b'c', b"count", true),
    (b'i', b"interval", true),
    (b'k', b"key", true),
    (b'n', b"node", true),
    (b'v', b"verbose", false),
    (b'V', b"version", false),
    (b'h', b"help", false),
];

/// Reads the arguments, without the program's name.
///
/// # Errors
/// The first one found.
pub fn parse<'a>(mut arguments: impl Iterator<Item = &'a [u8]>) -> Result<Command<'a>, OptionError<'a>> {
    let mut options = Options {
        port: PORT,
        family: Family::Any,
        count: 0,
        interval: 10,
        verbose: false,
        key: None,
        node: None,
        nodes: heapless::Vec::new(),
        left_out: None,
    };
    while let Some(argument) = arguments.next() {
        let asked = match argument {
            b"--" => break,
            [b'-', b'-', word @ ..] => options.take_long(argument, word, &mut arguments)?,
            [b'-', letters @ ..] if !letters.is_empty() => options.take_short(letters, argument, &mut arguments)?,
            node => options.take_node(node),
        };
        if let Some(command) = asked {
            return Ok(command);
        }
    }
    for node in arguments {
        options.take_node(node);
    }
    if options.nodes.is_empty() { Err(OptionError::NoNode) } else { Ok(Command::Send(options)) }
}

impl<'a> Options<'a> {
    /// Takes `--word`, `--word=value` or `--word value`.
    fn take_long(
        &mut self,
        argument: &'a [u8],
        word: &'a [u8],
        arguments: &mut impl Iterator<Item = &'a [u8]>,
    ) -> Result<Option<Command<'a>>, OptionError<'a>> {
        let at = word.iter().position(|byte| *byte == b'=');
        let (name, joined) = match at {
            Some(at) => (word.get(..at).unwrap_or_default(), word.get(at + 1..)),
            None => (word, None),
        };
        let mut alike = TABLE.iter().filter(|option| option.1.starts_with(name));
        let exact = TABLE.iter().find(|option| option.1 == name);
        let (letter, _, has_value) = match (exact, alike.next(), alike.next()) {
            (Some(option), ..) | (None, Some(option), None) => *option,
            (None, None, _) => return Err(OptionError::Unknown(argument)),
            (None, Some(_), Some(_)) => return Err(OptionError::Ambiguous(argument)),
        };
        let value = match (has_value, joined) {
            (true, Some(value)) => value,
            (true, None) => arguments.next().ok_or(OptionError::NoValue(argument))?,
            (false, None) => b"",
            (false, Some(_)) => return Err(OptionError::Surplus(argument)),
        };
        self.set(letter, value)
    }

    /// Takes letters, the last of which may have its value behind it or in the next argument.
    fn take_short(
        &mut self,
        mut letters: &'a [u8],
        argument: &'a [u8],
        arguments: &mut impl Iterator<Item = &'a [u8]>,
    ) -> Result<Option<Command<'a>>, OptionError<'a>> {
        while let Some((letter, rest)) = letters.split_first() {
            let option = TABLE.iter().find(|option| option.0 == *letter).ok_or(OptionError::Unknown(argument))?;
            letters = if option.2 { b"" } else { rest };
            let value = match (option.2, rest) {
                (true, []) => arguments.next().ok_or(OptionError::NoValue(argument))?,
                (true, value) => value,
                (false, _) => b"",
            };
            if let Some(command) = self.set(option.0, value)? {
                return Ok(Some(command));
            }
        }
        Ok(None)
    }

    fn take_node(&mut self, node: &'a [u8]) -> Option<Command<'a>> {
        self.left_out = self.left_out.or(self.nodes.push(node).err());
        None
    }

    /// Gives an option its value.
    fn set(&mut self, letter: u8, value: &'a [u8]) -> Result<Option<Command<'a>>, OptionError<'a>> {
        let number = text::number_at_start(value);
        match letter {
            b'p' => {
                let port = u16::try_from(number).ok().filter(|port| *port != 0);
                self.port = port.ok_or(OptionError::BadPort(value))?;
            }
            b'f' => {
                let is = |family: &str| text::is_same(value, family.as_bytes());
                self.family = match () {
                    () if is("auto") => Family::Any,
                    () if is("ipv4") => Family::V4,
                    () if is("ipv6") => Family::V6,
                    () => return Err(OptionError::BadFamily(value)),
                };
            }
            b'c' if value.starts_with(b"-") => return Err(OptionError::BadCount(value)),
            b'c' => self.count = number,
            b'i' if number == 0 => return Err(OptionError::BadInterval(value)),
            b'i' => self.interval = number,
            b'k' => self.key = Some(value),
            b'n' if value.is_empty() => return Err(OptionError::BadNode(value)),
            b'n' => self.node = Some(value),
            b'v' => self.verbose = true,
            b'V' => return Ok(Some(Command::Version)),
            _ => return Ok(Some(Command::Usage)),
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Result<Command<'_>, OptionError<'_>> {
        parse(line.split_ascii_whitespace().map(str::as_bytes))
    }

    fn options(line: &str) -> Options<'_> {
        match command(line) {
            Ok(Command::Send(options)) => options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn defaults_are_the_originals() {
        let Options { port, family, count, interval, verbose, key, node, nodes, left_out } = options("node1");
        assert_eq!((port, family, count, interval, verbose), (7410, Family::Any, 0, 10, false));
        assert_eq!((key, node, &nodes[..], left_out), (None, None, &[&b"node1"[..]][..], None));
    }

    #[test]
    fn an_option_may_be_written_in_all_of_getopts_ways() {
        let expected = options("-p 1 -f ipv6 -c 2 -i 3 -v a b");
        for line in [
            "a -p1 -fipv6 -c2 -i3 b -v",
            "--ipport=1 --family=ipv6 --count=2 --interval=3 --verbose a b",
            "--ipport 1 --family ipv6 a --count 2 --interval 3 b --verbose",
            "--ip 1 --fam ipv6 --cou=2 --int 3 --verb a b",
            "-vc2 -vi 3 -p1 -fipv6 -- a b",
        ] {
            assert_eq!(options(line), expected, "{line}");
        }
        assert_eq!(options("-k file -n me a"), options("--key=file --nod me a"));
        assert_eq!(options("- a").nodes.len(), 2);
        assert_eq!(options("a -- -p").nodes[1], b"-p");
    }

    /// A crashed node sent nothing, because `-i 1s` had worked with the original.
    #[test]
    fn what_the_original_takes_is_taken() {
        assert_eq!(options("-p 7411x -i 1s -c 2, -f IPV4 a"), options("-p 7411 -i 1 -c 2 -f ipv4 a"));
        assert_eq!(options("-p +7411 -i 010 -c ever -f Auto a"), options("-p 7411 -i 10 a"));
        assert_eq!(
            options("-i 99999999999 -c 99999999999 -f iPv6 a"),
            options("-i 4294967295 -c 4294967295 -f ipv6 a")
        );
    }

    #[test]
    fn the_first_question_is_answered() {
        for (line, expected) in [
            ("-h", Command::Usage),
            ("--help -x", Command::Usage),
            ("-V", Command::Version),
            ("a --version", Command::Version),
            ("-hV", Command::Usage),
            ("-Vh", Command::Version),
        ] {
            assert_eq!(command(line), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, error) in [
            ("", OptionError::NoNode),
            ("-v", OptionError::NoNode),
            ("-x a", OptionError::Unknown(b"-x")),
            ("-vx a", OptionError::Unknown(b"-vx")),
            ("--none a", OptionError::Unknown(b"--none")),
            ("--ver a", OptionError::Ambiguous(b"--ver")),
            ("--=1 a", OptionError::Ambiguous(b"--=1")),
            ("a -p", OptionError::NoValue(b"-p")),
            ("a --count", OptionError::NoValue(b"--count")),
            ("--verbose=1 a", OptionError::Surplus(b"--verbose=1")),
            ("-p 0 a", OptionError::BadPort(b"0")),
            ("-p 65536 a", OptionError::BadPort(b"65536")),
            ("-p x7 a", OptionError::BadPort(b"x7")),
            ("-f IPv4x a", OptionError::BadFamily(b"IPv4x")),
            ("-c -1 a", OptionError::BadCount(b"-1")),
            ("-i 0 a", OptionError::BadInterval(b"0")),
            ("-i s a", OptionError::BadInterval(b"s")),
            ("--node= a", OptionError::BadNode(b"")),
        ] {
            assert_eq!(command(line), Err(error), "{line}");
        }
        assert_eq!(OptionError::BadPort(b"0").words(), ("invalid ipport '", &b"0"[..], "', expected 1 to 65535"));
    }

    /// A node too many, and nobody was told anything.
    #[test]
    fn beyond_the_limit_on_nodes_the_first_ones_are_served() {
        let taken = |surplus: &[&'static [u8]]| {
            let nodes = core::iter::repeat_n(&b"a"[..], MAX_NODES);
            match parse(nodes.chain(surplus.iter().copied())) {
                Ok(Command::Send(options)) => (options.nodes.len(), options.left_out),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(taken(&[]), (MAX_NODES, None));
        assert_eq!(taken(&[b"b"]), (MAX_NODES, Some(&b"b"[..])));
        assert_eq!(taken(&[b"-v", b"b", b"--", b"c"]), (MAX_NODES, Some(&b"b"[..])));
    }
}
