//! The package for crashed nodes on a host, beside Debian's fence-agents, which has programs of the same names.

use crate::common::{Family, Network};
use crate::host::Host;
use crate::{built, equipped};
use std::fs;

const AGENT: &str = "/usr/sbin/fence_kdump";
const UNIT: &str = "boothd-kdump.service";
/// Where crash kernels look for the sender; the second is Debian's place.
const SENDERS: [&str; 3] =
    ["/usr/libexec/fence_kdump_send", "/usr/libexec/fence-agents/fence_kdump_send", "/usr/lib/fence_kdump_send"];
/// Sends from this host to itself, and asks the agent.
const FENCE: &str = "/usr/lib/fence_kdump_send 127.0.0.1 &
fence_kdump -n 127.0.0.1 -t 20
status=$?
kill $!
exit $status";

/// What the agent and the sender at its place in Debian are.
fn programs(host: &Host) -> [Vec<u8>; 2] {
    [AGENT, SENDERS[1]].map(|path| fs::read(host.path(path)).unwrap())
}

#[track_caller]
fn are_ours(host: &Host) {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(host.must(&[AGENT, "--version"]), format!("fence_kdump {version} (boothd)\n"));
    for sender in SENDERS {
        assert_eq!(host.must(&[sender, "--version"]), format!("fence_kdump_send {version}\n"));
    }
}

fn unpack_debians(host: &Host) {
    host.must(&["sh", "-c", "dpkg --unpack /root/fence-agents_*.deb"]);
}

#[test]
fn the_package_for_crashed_nodes_lives_beside_debians_agents_and_gives_their_places_back() {
    if !equipped("the_package_for_crashed_nodes_lives_beside_debians_agents_and_gives_their_places_back") {
        return;
    }
    let (first, second) = (built("1"), built("2"));
    let network = Network::new(1, Family::V4);
    let host = Host::start(&network, 0);
    unpack_debians(&host);
    let debians = programs(&host);
    host.install(&[&first.deb("boothd")]);

    // Over Debian's; then they go their own ways, and come again.
    host.install(&[&first.deb("boothd-kdump")]);
    assert_eq!(host.package("boothd-kdump"), "install ok installed");
    assert_eq!(host.package("fence-agents"), "install ok unpacked");
    are_ours(&host);
    let agents = host.must(&["sh", "-c", "ls /usr/sbin/fence_kdump*"]);
    assert_eq!(agents.trim(), AGENT, "Pacemaker takes all that begins with fence_ for an agent");
    host.must(&["dpkg", "--remove", "boothd-kdump"]);
    assert!(programs(&host) == debians, "Debian's programs are back");
    host.must(&["dpkg", "--purge", "fence-agents"]);
    assert!(!host.path(AGENT).exists());

    // Before Debian's.
    host.install(&[&first.deb("boothd-kdump")]);
    unpack_debians(&host);
    are_ours(&host);

    // Nothing is started that was not; what runs hears, is asked, and goes on after an upgrade.
    assert_eq!(host.unit(UNIT, "ActiveState"), "inactive");
    let started = host.run(&["systemctl", "enable", "--now", UNIT]);
    assert!(started.status.success(), "{}", host.log(UNIT));
    let fenced = host.must(&["sh", "-c", FENCE]);
    let listed = host.must(&["boothctl", "kdump", "list"]);
    assert!(listed.contains("127.0.0.1"), "{fenced}{listed}");
    let process = host.unit(UNIT, "MainPID");
    host.install(&[&second.deb("boothd-kdump")]);
    are_ours(&host);
    assert_eq!(host.unit(UNIT, "ActiveState"), "active");
    let upgraded = host.unit(UNIT, "MainPID");
    assert_ne!(upgraded, process);
    host.install(&[&second.deb("boothd")]);
    assert_ne!(host.unit(UNIT, "MainPID"), upgraded, "the listener's program is of the package boothd");
    host.must(&["sh", "-c", FENCE]);

    host.must(&["dpkg", "--purge", "boothd-kdump"]);
    assert_eq!(host.unit(UNIT, "ActiveState"), "inactive");
    assert!(programs(&host) == debians, "Debian's programs are back");
    assert_eq!(host.must(&["dpkg-divert", "--list", "*fence_kdump*"]), "");
    host.must(&["dpkg", "--purge", "fence-agents"]);
    let left = "find /etc /lib /usr -name '*kdump*' -path '*fence*' -o -name 'boothd-kdump*'";
    assert_eq!(host.must(&["sh", "-c", left]), "");
}
