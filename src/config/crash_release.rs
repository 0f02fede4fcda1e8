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
