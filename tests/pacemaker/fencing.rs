//! A node of a cluster that crashes, fenced by a real pacemaker-fenced with our `fence_kdump` as the first level and
//! a device that can cut power as the second. No tickets: this is any cluster of two nodes.
//!
//! The crash is the end of corosync and Pacemaker on the node, and its crash kernel a shell that sends messages.

use crate::cluster::Extra;
use crate::common::{Program, eventually, now};
use crate::lab::{Lab, PROMPT, Plan};
use crate::runs::span;
use std::fs;
use std::time::Duration;

const A1: usize = 0;
const A2: usize = 1;
/// How long the agent waits for a message, in seconds.
const TIMEOUT: u32 = 8;
/// A plain message, as a shell writes it.
const MESSAGE: &str = r"\x40\x2a\x30\x1b\x01\x00\x00\x00";

/// A cluster of two nodes with both devices. That the first one starts shows that what Pacemaker asks for instead of
/// `monitor`, or that itself, works.
fn two_levels(name: &str, monitor: Option<&str>) -> Lab {
    let nvpair =
        |id: &str, name: &str, value: &str| format!("<nvpair id='{id}-{name}' name='{name}' value='{value}'/>");
    let device = |id: &str, agent: &str, more: &str| {
        format!(
            "<primitive id='{id}' class='stonith' type='{agent}'><instance_attributes id='{id}-parameters'>{}{more}\
             </instance_attributes></primitive>",
            nvpair(id, "pcmk_host_list", "a1 a2")
        )
    };
    let dump = nvpair("dump", "pcmk_reboot_action", "off") + &nvpair("dump", "timeout", &TIMEOUT.to_string());
    let dump = monitor.iter().fold(dump, |dump, action| dump + &nvpair("dump", "pcmk_monitor_action", action));
    let level = |number: u32, device: &str| {
        format!("<fencing-level id='level-{number}' target='a2' index='{number}' devices='{device}'/>")
    };
    let site = Extra {
        resources: device("dump", "fence_kdump", &dump) + &device("power", "fence_lab", ""),
        fencing: level(1, "dump") + &level(2, "power"),
        properties: vec![("stonith-enabled", "true")],
        ..Extra::default()
    };
    let extra = [site, Extra::default()];
    let plan = Plan { nodes: 2, daemons: false, members: false, extra, ..Plan::ours(&[], &[]) };
    let lab = Lab::start(name, plan);
    // Node names are host names, which the agent looks up.
    for node in [A1, A2] {
        lab.name_nodes(node);
    }
    eventually("both devices have started", PROMPT, || {
        let mon = lab.host(A1).must("/usr/sbin/crm_mon", &["--one-shot", "--output-as=xml"]);
        let started = |id: &str| {
            let line = format!("<resource id=\"{id}\"");
            mon.lines().any(|text| text.contains(&line) && text.contains("role=\"Started\""))
        };
        if started("dump") && started("power") { Ok(()) } else { Err(mon) }
    });
    lab
}

/// The node's kernel crashes: the other node no longer hears it. When that was.
fn crash(lab: &Lab) -> f64 {
    let at = now();
    lab.host(A2).must("/bin/sh", &["-c", "kill -STOP $(pidof pacemakerd); kill -KILL $(pidof corosync)"]);
    at
}

/// What pacemaker-fenced has done to the node, once it is done.
fn fenced(lab: &Lab, limit: Duration) -> String {
    eventually("the node has been fenced", limit, || {
        let mon = lab.host(A1).must("/usr/sbin/crm_mon", &["--one-shot", "--output-as=xml", "--fence-history=2"]);
        let event = mon.lines().find(|line| line.contains("<fence_event") && line.contains("target=\"a2\""));
        match event.filter(|line| line.contains("status=\"success\"")) {
            Some(event) => Ok(event.trim().to_owned()),
            None => Err(mon),
        }
    })
}

/// A message comes: the node counts as fenced, and nobody cuts its power in the middle of its dump. On the first
/// node a listener stays (`boothd kdump`).
pub fn by_message(name: &str, _: Program) {
    let lab = two_levels(name, None);
    let host = lab.host(A1);
    host.spawn(host.command("/usr/sbin/boothd", &["kdump", "-S"]), "kdump.log");
    eventually("the listener serves", PROMPT, || {
        let outcome = host.run("/usr/sbin/boothctl", &["kdump", "list"]);
        if outcome.status == Some(0) { Ok(()) } else { Err(format!("{outcome:?}")) }
    });
    let crashed = crash(&lab);
    let script = format!("while printf '{MESSAGE}' >/dev/udp/{}/7410; do sleep 1; done", lab.node_address(A1));
    let node = lab.host(A2);
    node.spawn(node.command("/bin/bash", &["-c", &script]), "sender.log");
    let event = fenced(&lab, Duration::from_secs(60));
    lab.tell(&format!("fenced by message {} after the crash: {event}", span(crashed, now())));
    assert!(!host.home().join("fence").exists(), "its power was to be cut");
    let list = host.must("/usr/sbin/boothctl", &["kdump", "list"]);
    assert!(list.starts_with(&format!("{}: dumping", lab.node_address(A2))), "{list}");
}

/// No message comes: the first level fails when its time is over, and the second cuts the node's power.
pub fn without_message(name: &str, _: Program) {
    let mut lab = two_levels(name, Some("metadata"));
    let home = lab.host(A1).home().to_owned();
    let crashed = crash(&lab);
    let asked_for = eventually("the second level is asked", Duration::from_secs(60), || {
        fs::read_to_string(home.join("fence")).map_err(|error| error.to_string())
    });
    let asked = now();
    assert_eq!(asked_for.trim(), "a2");
    assert!(asked - crashed >= f64::from(TIMEOUT), "the first level has not waited");
    lab.kill(A2);
    fs::write(home.join("fenced"), "").unwrap();
    let event = fenced(&lab, Duration::from_secs(60));
    lab.tell(&format!("power cut {} after the crash (timeout {TIMEOUT} s): {event}", span(crashed, asked)));
    // What the agent has started leaves by itself.
    let socket = lab.host(A1).path("/run/booth/fence_kdump-7410.ctl");
    eventually("the agent's listener has left", PROMPT, || match socket.exists() {
        true => Err(format!("{} is still there", socket.display())),
        false => Ok(()),
    });
}
