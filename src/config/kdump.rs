//! The keys that begin with `kdump-`: whether and how dumping nodes are listened for. Pure: the resolver is the
//! caller's.

use super::parse::Resolver;
use super::value::{self, Checked};
use booth_core::kdump::authenticity::{MAX_ADDRESSES, MAX_NODE_NAME};
use booth_core::kdump::{MAX_NODES, Settings};
use booth_core::time::Millis;
use booth_core::wire::kdump::PORT;
use std::net::IpAddr;
use std::path::PathBuf;

/// What a listener does where no line says otherwise.
const DEFAULTS: Settings = Settings { interval: Millis(10_000), lookback: Millis(0), require_auth: false };
/// The shortest interval; a node could not keep a shorter one, and three of them end a dump.
const LEAST_INTERVAL: Millis = Millis(1_000);

/// All that is known of listening for dumping nodes.
#[derive(Clone, Debug)]
pub struct Kdump {
    /// `kdump-listen`; `None`: nobody listens.
    pub listen: Option<Listen>,
    /// `kdump-interval`, `kdump-lookback` and `kdump-require-auth`.
    pub settings: Settings,
    /// `kdump-key`: at most [`MAX_NODES`], no node twice.
    pub keys: Vec<NodeKey>,
}

/// Where dumping nodes are listened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// `None`: all of this host, of both families.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

/// `kdump-key`.
#[derive(Clone, Debug)]
pub struct NodeKey {
    /// The node's name.
    pub node: heapless::String<MAX_NODE_NAME>,
    /// The file; read it with [`super::read_key`].
    pub path: PathBuf,
    /// The line that names it.
    pub line: u32,
    /// The addresses of the name; none where it has none.
    pub addresses: heapless::Vec<IpAddr, MAX_ADDRESSES>,
}

impl Default for Kdump {
    fn default() -> Kdump {
        Kdump { listen: None, settings: DEFAULTS, keys: Vec::new() }
    }
}

impl Default for Listen {
    fn default() -> Listen {
        Listen { address: None, port: PORT }
    }
}

impl Kdump {
    /// Takes a line with one of the keys that may stand once.
    pub(super) fn take(&mut self, key: &str, text: &str) -> Checked<()> {
        match key {
            "kdump-listen" => self.listen = Some(listen(text)?),
            "kdump-interval" => self.settings.interval = value::time(key, text, LEAST_INTERVAL)?,
            "kdump-lookback" => self.settings.lookback = value::time(key, text, Millis(0))?,
            _ => self.settings.require_auth = value::yes_or_no(key, text)?,
        }
        Ok(())
    }

    /// Takes `NODE FILE`; a warning where the node's addresses are not to be had.
    pub(super) fn take_key(&mut self, line: u32, text: &str, resolver: &mut Resolver<'_>) -> Checked<Option<String>> {
        let words: Vec<&str> = text.split_whitespace().take(3).collect();
        let [name, file] = words[..] else {
            return Err(format!("kdump-key has {} words, expected two: NODE FILE", words.len()));
        };
        let node = node_name(name)?;
        if let Some(same) = self.keys.iter().find(|known| known.node.eq_ignore_ascii_case(&node)) {
            return Err(format!(
                "kdump-key: {node} has a key already (line {}); expected one for each node",
                same.line
            ));
        }
        if self.keys.len() == MAX_NODES {
            return Err(format!("too many nodes with a kdump-key, expected at most {MAX_NODES}"));
        }
        let path = value::path("kdump-key", file)?;
        let (found, warning) = match resolver(&node) {
            Ok(found) => (found, None),
            Err(error) => {
                let text = format!(
                    "kdump-key: no address of {node} is known ({error}): an unsigned message from one of them counts \
                     for whoever waits for that address alone; expected a name that can be resolved"
                );
                (Vec::new(), Some(text))
            }
        };
        let mut addresses = heapless::Vec::new();
        for address in found {
            // Of a name with more addresses the first ones do: the rest is protected by its name.
            if !addresses.contains(&address.to_canonical()) {
                let _ = addresses.push(address.to_canonical());
            }
        }
        self.keys.push(NodeKey { node, path, line, addresses });
        Ok(warning)
    }
}

/// `[ADDRESS:]PORT`; an IPv6 address in brackets.
fn listen(text: &str) -> Checked<Listen> {
    const EXPECTED: &str = "expected [ADDRESS:]PORT, an IPv6 address in brackets, such as 7410 or [fd00::1]:7410";
    let wrong = |what: &str| format!("kdump-listen \"{}\": {what}; {EXPECTED}", super::diagnostic::Shown(text));
    let (address, port) = match text.rsplit_once(':') {
        None => (None, text),
        Some((address, port)) => {
            let inner = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
            let address = match inner {
                Some(inner) => inner.parse().ok().filter(IpAddr::is_ipv6),
                None => address.parse().ok().filter(IpAddr::is_ipv4),
            };
            (Some(address.ok_or_else(|| wrong("no address"))?), port)
        }
    };
    if address.is_some_and(|address| address.is_multicast()) {
        return Err(wrong("a multicast address"));
    }
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("no port"))?;
    let address = address.map(|address| address.to_canonical()).filter(|address| !address.is_unspecified());
    Ok(Listen { address, port })
}

/// A node's name, as its kernel knows it.
fn node_name(text: &str) -> Checked<heapless::String<MAX_NODE_NAME>> {
    let fit = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '=');
    match heapless::String::try_from(text) {
        Ok(name) if text.chars().all(fit) => Ok(name),
        _ => Err(format!(
            "kdump-key: \"{}\" is no node's name, expected what \"uname -n\" says there, at most {MAX_NODE_NAME} bytes",
            super::diagnostic::Shown(text)
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn where_to_listen_is_a_port_and_perhaps_an_address() {
        let parsed = |text: &str| listen(text).map(|listen| (listen.address.map(|ip| ip.to_string()), listen.port));
        assert_eq!(parsed("7410"), Ok((None, 7410)));
        assert_eq!(parsed("10.0.0.1:7411"), Ok((Some("10.0.0.1".into()), 7411)));
        assert_eq!(parsed("[fd00::1]:1"), Ok((Some("fd00::1".into()), 1)));
        assert_eq!(parsed("0.0.0.0:7410"), Ok((None, 7410)));
        for bad in ["", "0", "65536", "x", ":7410", "fd00::1:7410", "[10.0.0.1]:7410", "host:7410", "224.0.0.1:7410"] {
            assert!(parsed(bad).unwrap_err().contains("expected [ADDRESS:]PORT"), "{bad}");
        }
    }

    #[test]
    fn a_node_has_one_key_and_its_addresses_once_each() {
        let mut kdump = Kdump::default();
        let mut resolver = |host: &str| match host {
            "alpha" => Ok(vec!["::ffff:10.0.0.1".parse().unwrap(), "10.0.0.1".parse().unwrap()]),
            _ => Err("no such host".to_owned()),
        };
        assert_eq!(kdump.take_key(1, "alpha /etc/booth/alpha.key", &mut resolver), Ok(None));
        assert_eq!(kdump.keys[0].addresses, ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert!(kdump.take_key(2, "beta b", &mut resolver).unwrap().unwrap().contains("no such host"));
        for bad in ["alpha x", "ALPHA x", "gamma", "gamma a b", "", "a,b x", &format!("{} x", "n".repeat(65))] {
            assert!(kdump.take_key(3, bad, &mut resolver).is_err(), "{bad}");
        }
        for node in 2..MAX_NODES {
            kdump.take_key(4, &format!("n{node} k"), &mut resolver).unwrap();
        }
        assert!(kdump.take_key(5, "one-more k", &mut resolver).unwrap_err().starts_with("too many"));
    }
}
