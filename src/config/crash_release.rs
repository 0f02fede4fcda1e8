//! `crash-release = SITE NODE...` of a ticket: the nodes that are all of a site, for whom their dumps speak (S13).
//!
//! A line is read where it stands, and understood when all members and keys are known. Everything that the rule rests
//! on is asked for here: without a key of its own anybody could announce a node's dump, without an authfile anybody
//! could say where the leader runs, and a store of files keeps its grants over a crash.

use super::diagnostic::{Diagnostics, Shown};
use super::kdump::NodeKey;
use super::ticket::At;
use super::value::{self, Checked};
use super::{Member, Store};
use booth_core::kdump::{MAX_NODES, NodeIndex};
use booth_core::member::{MemberIndex, MemberKind};
use std::net::IpAddr;

/// The nodes of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashRelease {
    /// The site.
    pub site: MemberIndex,
    /// All nodes that it has, as their keys are numbered.
    pub nodes: Vec<NodeIndex>,
}

/// A line as it was read.
#[derive(Clone, Debug)]
pub(super) struct Written {
    site: String,
    nodes: Vec<String>,
}

/// What a line refers to, and rests on.
pub(super) struct Surroundings<'a> {
    pub members: &'a [Member],
    pub keys: &'a [NodeKey],
    pub authenticated: bool,
    pub store: &'a Store,
}

/// `SITE NODE...`
pub(super) fn read(text: &str) -> Checked<Written> {
    let mut words = text.split_whitespace();
    let site = value::host(words.next().unwrap_or_default())?.to_owned();
    let nodes: Vec<String> = words.take(MAX_NODES + 1).map(str::to_owned).collect();
    if nodes.is_empty() || nodes.len() > MAX_NODES {
        return Err(format!(
            "crash-release has {} nodes, expected SITE NODE...: a site as it stands in its line, and all of its nodes, \
             1 to {MAX_NODES}",
            if nodes.is_empty() { "no".to_owned() } else { format!("more than {MAX_NODES}") }
        ));
    }
    Ok(Written { site, nodes })
}

/// Understands the lines of a ticket; each that is wrong is an error.
pub(super) fn understand(
    lines: Vec<At<Written>>,
    around: &Surroundings<'_>,
    found: &mut Diagnostics<'_>,
) -> Vec<CrashRelease> {
    let mut understood: Vec<CrashRelease> = Vec::new();
    for At { value, line } in lines {
        let Some(release) = found.ok(line, one(&value, around)) else { continue };
        if understood.iter().any(|known| known.site == release.site) {
            let text = format!("crash-release of {} again; expected one line for each site", Shown(&value.site));
            found.error(line, text);
        }
        understood.push(release);
    }
    understood
}

fn one(written: &Written, around: &Surroundings<'_>) -> Checked<CrashRelease> {
    if !around.authenticated {
        return Err("crash-release needs an authfile: without one anybody could say where the leader runs".to_owned());
    }
    if let Store::File(directory) = around.store {
        return Err(format!(
            "crash-release with store = file:{}: files say \"granted\" when a crashed node has booted again, which is too \
             late then; expected store = pacemaker",
            directory.display()
        ));
    }
    let address = written.site.parse::<IpAddr>().ok();
    let is_meant = |member: &Member| {
        member.kind == MemberKind::Site && (member.host == written.site || Some(member.address) == address)
    };
    let Some(site) = around.members.iter().position(is_meant) else {
        return Err(format!("crash-release: \"{}\" is no site; expected one as in its line", Shown(&written.site)));
    };
    let mut nodes = Vec::new();
    for name in &written.nodes {
        let Some(node) = around.keys.iter().position(|key| key.node == name.as_str()) else {
            return Err(format!(
                "crash-release: node \"{name}\" has no key, so anybody could announce its dump; expected kdump-key = {name} \
                 FILE",
                name = Shown(name)
            ));
        };
        // There are at most as many members and keys as their numbers can say.
        let node = NodeIndex(node as u8);
        if nodes.contains(&node) {
            return Err(format!("crash-release names \"{}\" twice; expected each node once", Shown(name)));
        }
        nodes.push(node);
    }
    Ok(CrashRelease { site: MemberIndex(site as u8), nodes })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::{Configuration, describe, parse};
    use booth_core::member::{MAX_MEMBERS, MemberIndex};
    use std::path::Path;

    const MEMBERS: &str = "site = berlin\nsite = 10.0.0.2\narbitrator = 10.0.0.3\n";
    const AUTH: &str = "authfile = /k\n";
    const KEYS: &str = "kdump-listen = 7410\nkdump-key = alpha /a\nkdump-key = beta /b\n";

    /// Its tickets stand behind [`MEMBERS`], [`AUTH`] and [`KEYS`]: from line 8 on.
    fn understand(text: &str) -> (Option<Configuration>, Vec<String>) {
        let (configuration, found) = parse(text.as_bytes(), Path::new("/etc/booth/b.conf"), &mut |host| match host {
            "berlin" => Ok(vec!["10.0.0.9".parse().unwrap()]),
            "alpha" | "beta" => Ok(vec!["10.1.0.1".parse().unwrap()]),
            _ => Err("Name or service not known".to_owned()),
        });
        (configuration, found.iter().map(ToString::to_string).collect())
    }

    fn with(tickets: &str) -> String {
        format!("{MEMBERS}{AUTH}{KEYS}{tickets}\n")
    }

    const TICKET: &str = "ticket = T\nacquire-after = 60\n";

    /// One error, with these words in it.
    #[track_caller]
    fn refused(text: &str, words: &str) {
        let (configuration, found) = understand(text);
        let errors: Vec<_> = found.iter().filter(|found| !found.contains("warning: ")).collect();
        assert!(matches!(errors[..], [only] if only.contains(words)), "expected {words}, got {found:#?}");
        assert!(configuration.is_none());
    }

    #[test]
    fn a_site_is_named_as_in_its_line_or_by_its_address_and_its_nodes_by_their_keys() {
        let lines = "crash-release = berlin alpha\ncrash-release = 10.0.0.2 beta alpha\n";
        let (configuration, found) = understand(&with(&format!("{TICKET}{lines}")));
        assert_eq!(found, [""; 0]);
        let understood = |configuration: &Configuration| -> Vec<(u8, Vec<u8>)> {
            let releases = configuration.tickets[0].crash_releases.iter();
            releases.map(|one| (one.site.0, one.nodes.iter().map(|node| node.0).collect())).collect()
        };
        let configuration = configuration.unwrap();
        assert_eq!(understood(&configuration), [(0, vec![0]), (1, vec![1, 0])]);
        let words = describe(&configuration);
        assert!(
            words.contains("\n     crash-release 10.0.0.2: free when all of its nodes dump: beta, alpha\n"),
            "{words}"
        );
        let (configuration, _) = understand(&with(&format!("{TICKET}crash-release = 10.0.0.9 alpha")));
        assert_eq!(understood(&configuration.unwrap()), [(0, vec![0])]);
    }

    #[test]
    fn own_lines_replace_inherited_ones() {
        let text = with(
            "ticket = __defaults__\nacquire-after = 60\ncrash-release = berlin alpha\nticket = T\nticket = U\n\
             crash-release = 10.0.0.2 beta",
        );
        let (configuration, found) = understand(&text);
        assert_eq!(found, [""; 0]);
        let sites =
            configuration.unwrap().tickets.iter().map(|ticket| ticket.crash_releases[0].site.0).collect::<Vec<_>>();
        assert_eq!(sites, [0, 1]);
    }

    #[test]
    fn what_the_rule_does_not_rest_on_is_refused() {
        let line = |line: &str| with(&format!("{TICKET}crash-release = {line}"));
        refused(&line("10.0.0.7 alpha"), "b.conf:10: crash-release: \"10.0.0.7\" is no site");
        refused(&line("10.0.0.3 alpha"), "\"10.0.0.3\" is no site");
        refused(&line("berlin gamma"), "node \"gamma\" has no key");
        refused(&line("berlin Alpha"), "node \"Alpha\" has no key");
        refused(&line("berlin alpha beta alpha"), "names \"alpha\" twice");
        refused(&line("berlin"), "has no nodes, expected SITE NODE...");
        refused(&line("berlin alpha\ncrash-release = 10.0.0.9 beta"), "b.conf:11: crash-release of 10.0.0.9 again");
        refused(&line(&format!("berlin{}", " alpha".repeat(33))), "has more than 32 nodes");
        let all = format!("{MEMBERS}{KEYS}{TICKET}crash-release = berlin alpha\n");
        refused(&all, "crash-release needs an authfile");
        refused(&format!("{AUTH}store = file:/tickets\n{all}"), "crash-release with store = file:/tickets");
        let inherited =
            "ticket = __defaults__\nacquire-after = 60\ncrash-release = berlin gamma\nticket = T\nticket = U";
        refused(&with(inherited), "b.conf:10: crash-release: node \"gamma\" has no key");
        let lines = "crash-release = berlin alpha\n".repeat(MAX_MEMBERS + 1);
        let (_, found) = understand(&with(&format!("{TICKET}{lines}")));
        assert!(
            found.iter().any(|text| text.contains("too many crash-release lines, expected at most 16")),
            "{found:?}"
        );
    }

    #[test]
    fn what_makes_it_useless_is_warned_about() {
        let deaf = with(&format!("{TICKET}crash-release = berlin alpha")).replace("kdump-listen = 7410\n", "");
        let (configuration, found) = understand(&deaf);
        assert!(configuration.is_some());
        assert!(found.iter().any(|text| text.contains("warning: crash-release without kdump-listen")), "{found:?}");
        let (_, found) = understand(&with("ticket = T\nmode = manual\ncrash-release = berlin alpha"));
        assert!(matches!(&found[..], [only] if only.contains("T: crash-release is never looked at")), "{found:?}");
    }

    #[test]
    fn a_daemon_is_told_whether_its_own_host_is_named_for_its_own_site() {
        let (configuration, _) =
            understand(&with(&format!("{TICKET}crash-release = berlin alpha\nticket = U\nacquire-after = 60")));
        let configuration = configuration.unwrap();
        let says = |member: u8, host: &str| -> Vec<bool> {
            configuration.ticket_settings(MemberIndex(member), host).map(|ticket| ticket.crash_release).collect()
        };
        assert_eq!(says(0, "alpha"), [true, false]);
        assert_eq!(says(0, "beta"), [false, false], "a node that is not named");
        assert_eq!(says(0, "Alpha"), [false, false]);
        assert_eq!(says(1, "alpha"), [false, false], "another site");
        assert_eq!(says(2, "alpha"), [false, false]);
    }
}
