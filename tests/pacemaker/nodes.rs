//! Nodes that die, at a site of two whose daemon and address are a group that Pacemaker moves.

use crate::cluster::{Extra, Service};
use crate::common::{Program, eventually, now};
use crate::lab::{CONFIGURATION, FLOATING, Lab, PROMPT, Plan, Ticket};
use crate::runs::span;
use std::time::Duration;

const A1: usize = 0;
const A2: usize = 1;
const B: usize = 2;

/// The site's daemon and its address, wherever the daemon is to run by preference.
pub fn group(provider: &str, node: &str, address: bool) -> Extra {
    let parameters = |id: &str, list: &[(&str, &str)]| {
        let nvpair = |(name, value): &(&str, &str)| format!("<nvpair id='{id}-{name}' name='{name}' value='{value}'/>");
        let list: String = list.iter().map(nvpair).collect();
        format!("<instance_attributes id='{id}-parameters'>{list}</instance_attributes>")
    };
    let operations = |id: &str| {
        format!(
            "<operations><op id='{id}-monitor' name='monitor' interval='5s' timeout='20s'/>\
             <op id='{id}-start' name='start' interval='0s' timeout='60s'/></operations>"
        )
    };
    let floating = parameters("address", &[("ip", FLOATING), ("cidr_netmask", "24"), ("nic", "e0")]);
    let address = match address {
        true => format!(
            "<primitive id='address' class='ocf' provider='heartbeat' type='IPaddr2'>{floating}{}</primitive>",
            operations("address")
        ),
        false => String::new(),
    };
    Extra {
        resources: format!(
            "<group id='booth-group'>{address}<primitive id='booth' class='ocf' provider='{provider}' \
             type='booth-site'>{}{}</primitive></group>",
            parameters("booth", &[("config", CONFIGURATION)]),
            operations("booth"),
        ),
        constraints: format!("<rsc_location id='booth-place' rsc='booth-group' node='{node}' score='100'/>"),
        ..Extra::default()
    }
}

/// A site of two nodes that holds the ticket, with the daemon on its first node and the service on its second.
pub fn two_nodes(name: &str, provider: &str, expire: u32, service: Service, fencing: bool) -> Lab {
    let mut site = group(provider, "a1", true);
    if fencing {
        site.resources += "<primitive id='fence' class='stonith' type='fence_lab'>\
            <instance_attributes id='fence-parameters'>\
            <nvpair id='fence-hosts' name='pcmk_host_list' value='a1 a2'/></instance_attributes></primitive>";
        site.properties.push(("stonith-enabled", "true"));
    }
    let plan = Plan {
        nodes: 2,
        daemons: false,
        extra: [site, group(provider, "b", false)],
        ..Plan::ours(&[Ticket::new("T", expire, 3)], &[service])
    };
    let lab = Lab::start(name, plan);
    lab.wait_until_up(A1);
    lab.wait_until_up(B);
    lab.grant(A1, "T");
    lab.wait_running(A2, "db", PROMPT);
    lab
}

/// A service that prefers the node without the daemon.
pub const APART: Service = Service { node: Some("a2"), ..Service::new("db", "T") };

/// The third problem: with both nodes of the active site dead nothing took over.
pub fn both_nodes_die(name: &str, _: Program) {
    let expire = 10;
    let mut lab = two_nodes(name, "pacemaker", expire, APART, false);
    lab.wait_until_remembers(B);
    lab.wait_until_remembers(lab.arbitrator());
    let killed = lab.kill(A2);
    lab.kill(A1);
    let limit = f64::from(expire) + 3.0 + 2.0;
    let run = lab.wait_running(B, "db", Duration::from_secs_f64(limit) + PROMPT);
    let granted = lab.changes(B, "T").iter().find(|change| change.granted).unwrap().done;
    lab.tell(&format!(
        "granted elsewhere {} after the kill, the service runs there {} after it (expire {expire} + acquire-after 3 + 2)",
        span(killed, granted),
        span(killed, run.first)
    ));
    assert!(run.first - killed <= limit);
    assert!(lab.runs(A2, "db").iter().all(|run| run.last < killed + 0.1), "it ran on: {:?}", lab.runs(A2, "db"));
}

/// The node with daemon and address dies: the other node of the site takes both, the ticket stays.
pub fn node_with_daemon_dies(name: &str, _: Program) {
    let mut lab = two_nodes(name, "booth", 30, APART, false);
    lab.wait_until_remembers(B);
    lab.wait_until_remembers(lab.arbitrator());
    let begun = lab.wait_running(A2, "db", PROMPT);
    let killed = lab.kill(A1);
    eventually("the other node leads the ticket", Duration::from_secs(30), || {
        let list = lab.client(A2, &["list"]);
        match list.stdout.contains(&format!("leader: {FLOATING}")) {
            true => Ok(()),
            false => Err(format!("{list:?}")),
        }
    });
    let answers = now();
    // Its first renewal, and one more lease than the dead node could have left.
    eventually("the other node renews", Duration::from_secs(60), || {
        let changes = lab.changes(A2, "T");
        let renewed = changes.iter().filter(|change| change.granted && change.asked > killed + 31.0).count();
        if renewed > 0 { Ok(()) } else { Err(format!("{changes:?}")) }
    });
    let after = lab.wait_running(A2, "db", PROMPT);
    lab.tell(&format!(
        "the other node answers for the ticket {} after the kill; process {} has run for {:.1} s without a break",
        span(killed, answers),
        after.process,
        after.last - after.first
    ));
    assert_eq!((begun.process, begun.first), (after.process, after.first), "{:?}", lab.runs(A2, "db"));
    assert_eq!(lab.runs(B, "db"), []);
    assert!(lab.changes(A2, "T").iter().all(|change| change.granted), "{:?}", lab.changes(A2, "T"));
}
