//! The handlers that are shipped, against Pacemaker's own tools on a CIB in a file.

use crate::site::{Ended, packaged, run, script};
use crate::{live, scratch};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const CONFIGURATION: &str = r#"
<configuration>
 <crm_config><cluster_property_set id="o"><nvpair id="o1" name="stonith-enabled" value="false"/></cluster_property_set></crm_config>
 <nodes><node id="1" uname="n1"/></nodes>
 <resources>
  <template id="template" class="ocf" provider="pacemaker" type="Dummy"/>
  <primitive id="runs" class="ocf" provider="pacemaker" type="Dummy"/>
  <primitive id="stopped" class="ocf" provider="pacemaker" type="Dummy"/>
  <primitive id="member" class="ocf" provider="pacemaker" type="Dummy"/>
  <primitive id="pair" class="ocf" provider="pacemaker" type="Dummy"/>
  <primitive id="other" class="ocf" provider="pacemaker" type="Dummy"/>
  <primitive id="disabled" class="ocf" provider="pacemaker" type="Dummy">
   <meta_attributes id="dm"><nvpair id="dm1" name="target-role" value="Stopped"/></meta_attributes>
  </primitive>
  <primitive id="made" template="template"/>
  <group id="group"><primitive id="first" class="ocf" provider="pacemaker" type="Dummy"/><primitive id="second" class="ocf" provider="pacemaker" type="Dummy"/></group>
  <group id="half"><primitive id="third" class="ocf" provider="pacemaker" type="Dummy"/>
   <primitive id="fourth" class="ocf" provider="pacemaker" type="Dummy"><meta_attributes id="fm"><nvpair id="fm1" name="target-role" value="Stopped"/></meta_attributes></primitive>
  </group>
  <clone id="clone"><meta_attributes id="cm"><nvpair id="cm1" name="promotable" value="true"/></meta_attributes><primitive id="database" class="ocf" provider="pacemaker" type="Stateful"/></clone>
 </resources>
 <constraints>
  <rsc_ticket id="t1" rsc="runs" ticket="active" loss-policy="stop"/>
  <rsc_ticket id="t2" rsc="stopped" ticket="idle" loss-policy="stop"/>
  <rsc_ticket id="t3" rsc="clone" rsc-role="Promoted" ticket="promoted" loss-policy="demote"/>
  <rsc_ticket id="t4" ticket="set"><resource_set id="s1"><resource_ref id="member"/></resource_set><resource_set id="s2"><resource_ref id="pair"/></resource_set></rsc_ticket>
  <rsc_ticket id="t5" rsc="template" ticket="template" loss-policy="stop"/>
  <rsc_ticket id="t6" rsc="tag" ticket="tag" loss-policy="stop"/>
  <rsc_ticket id="t7" rsc="group" ticket="geo/group-1" loss-policy="stop"/>
  <rsc_ticket id="t8" rsc="half" ticket="geo/group-1" loss-policy="stop"/>
  <rsc_ticket id="t9" rsc="clone" ticket="clone" loss-policy="stop"/>
 </constraints>
 <tags><tag id="tag"><obj_ref id="member"/><obj_ref id="pair"/></tag></tags>
</configuration>"#;

/// A CIB of one node in a file, and the awk that handlers find.
struct Cib {
    directory: PathBuf,
    awk: PathBuf,
    head: String,
}

impl Cib {
    /// One for each awk that is there; `None`: Pacemaker's tools are missing.
    fn each(test: &'static str) -> Option<Vec<Cib>> {
        let empty = Command::new("cibadmin").arg("--empty").output().ok().filter(|output| output.status.success());
        let Some(empty) = empty.filter(|_| Command::new("crm_simulate").arg("--version").output().is_ok()) else {
            live::skip(test, "Pacemaker's tools are not installed (Debian: pacemaker-cli-utils)");
            return None;
        };
        let text = String::from_utf8(empty.stdout).unwrap();
        let head = text.lines().find(|line| line.starts_with("<cib ")).unwrap();
        let awks = ["awk", "mawk", "gawk", "original-awk"].map(|name| Path::new("/usr/bin").join(name));
        let cib = |awk: PathBuf| {
            let directory = scratch::directory(&format!("{test}-{}", awk.file_name().unwrap().display()));
            fs::create_dir_all(directory.join("bin")).unwrap();
            symlink(&awk, directory.join("bin/awk")).unwrap();
            Cib {
                directory,
                awk,
                head: format!("{} have-quorum=\"1\" dc-uuid=\"1\">", head.trim_end_matches(['>', '/'])),
            }
        };
        Some(awks.into_iter().filter(|awk| awk.exists()).map(cib).collect())
    }

    fn write(&self, active: &[(&str, &str)], quorum: bool) {
        let history = |(id, operation): &(&str, &str)| {
            let kind = if *operation == "promote" { "Stateful" } else { "Dummy" };
            let key = "3:1:0:aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";
            format!(
                "<lrm_resource id=\"{id}\" type=\"{kind}\" class=\"ocf\" provider=\"pacemaker\"><lrm_rsc_op id=\"{id}_last_0\" \
                 operation_key=\"{id}_{operation}_0\" operation=\"{operation}\" crm-debug-origin=\"x\" \
                 crm_feature_set=\"3.1.0\" transition-key=\"{key}\" transition-magic=\"0:0;{key}\" call-id=\"5\" \
                 rc-code=\"0\" op-status=\"0\" interval=\"0\" on_node=\"n1\"/></lrm_resource>"
            )
        };
        let history: String = active.iter().map(history).collect();
        let head = if quorum { self.head.clone() } else { self.head.replace("have-quorum=\"1\"", "have-quorum=\"0\"") };
        let status = format!(
            "<status><tickets><ticket_state id=\"idle\" granted=\"false\"/></tickets><node_state id=\"1\" uname=\"n1\" \
             in_ccm=\"true\" crmd=\"online\" join=\"member\" expected=\"member\" crm-debug-origin=\"x\"><lrm id=\"1\">\
             <lrm_resources>{history}</lrm_resources></lrm></node_state></status>"
        );
        fs::write(self.directory.join("cib.xml"), format!("{head}{CONFIGURATION}{status}</cib>\n")).unwrap();
    }

    /// Runs a handler as the daemon would.
    fn handler(&self, name: &str, arguments: &[&str], ticket: &str, until: u64) -> Ended {
        let path = format!("{}:{}", self.directory.join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(packaged("handlers").join(name));
        command.args(arguments).env("PATH", path).env("CIB_file", self.directory.join("cib.xml"));
        run(command.env("BOOTH_TICKET", ticket).env("BOOTH_TICKET_EXPIRES", until.to_string()))
    }

    #[track_caller]
    fn expect(&self, name: &str, arguments: &[&str], ticket: &str, status: i32, words: &str) {
        let ended = self.handler(name, arguments, ticket, 1);
        let context = format!("{} {name} {arguments:?} {ticket}: {ended:?}", self.awk.display());
        assert!(ended.status == status && ended.err.contains(words), "{context}");
    }
}

impl Drop for Cib {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

#[test]
fn a_service_is_runnable_where_the_scheduler_would_start_it() {
    let Some(cibs) = Cib::each("service-runnable") else { return };
    for cib in cibs {
        cib.write(&[], true);
        let expect =
            |resource, ticket, status, words| cib.expect("service-runnable", &[resource], ticket, status, words);
        // With the ticket and without, also one that the CIB does not know yet.
        expect("stopped", "idle", 0, "");
        expect("runs", "active", 0, "");
        expect("stopped", "active", 1, "stopped could not run here");
        expect("disabled", "idle", 1, "disabled could not run here");
        expect("group", "geo/group-1", 0, "");
        expect("first", "geo/group-1", 0, "");
        expect("half", "geo/group-1", 1, "half could not run here");
        expect("third", "geo/group-1", 0, "");
        expect("clone", "clone", 0, "");
        expect("database", "clone", 0, "");
        expect("made", "template", 0, "");
        expect("no-such", "idle", 1, "there is no resource no-such");
        // A part of a name is no name.
        expect("stop", "idle", 1, "there is no resource stop");
        cib.expect("service-runnable", &[], "idle", 2, "usage");
        cib.expect("service-runnable", &["stopped"], "", 2, "BOOTH_TICKET");
        fs::write(cib.directory.join("cib.xml"), "this is no CIB").unwrap();
        expect("stopped", "idle", 1, "crm_simulate has failed");
    }
}

#[test]
fn resources_have_stopped_when_none_that_depends_on_the_ticket_is_active() {
    let Some(cibs) = Cib::each("resources-stopped") else { return };
    for cib in cibs {
        let expect = |ticket, status, words| cib.expect("resources-stopped", &[ticket], "", status, words);
        cib.write(
            &[
                ("runs", "start"),
                ("pair", "start"),
                ("made", "start"),
                ("second", "start"),
                ("database", "promote"),
                ("other", "start"),
            ],
            true,
        );
        expect("idle", 0, "");
        expect("unknown", 0, "");
        expect("active", 1, "ticket active: runs is Started");
        expect("set", 1, "pair is Started");
        expect("tag", 1, "pair is Started");
        expect("template", 1, "made is Started");
        expect("geo/group-1", 1, "second is Started");
        expect("promoted", 1, "database is Promoted");
        expect("clone", 1, "database is Promoted");
        cib.expect("resources-stopped", &[], "active", 1, "runs is Started");
        cib.write(&[("database", "start")], true);
        for ticket in ["active", "set", "tag", "template", "geo/group-1", "promoted"] {
            expect(ticket, 0, "");
        }
        // What is demoted is active all the same.
        expect("clone", 1, "database is Unpromoted");
        // Who has no quorum does not know.
        cib.write(&[], false);
        expect("active", 1, "no quorum");
        for (arguments, ticket) in [(&["a", "b"][..], ""), (&[], ""), (&["'] | //*["], "")] {
            cib.expect("resources-stopped", arguments, ticket, 2, "resources-stopped");
        }
        fs::write(cib.directory.join("cib.xml"), "this is no CIB").unwrap();
        expect("idle", 1, "cannot be asked");
    }
}

/// Each tool that fails, once or for good: that nothing is known is not that nothing is active.
#[test]
fn a_tool_that_fails_does_not_say_that_resources_have_stopped() {
    let Some(cibs) = Cib::each("resources-unknown") else { return };
    for cib in cibs {
        cib.write(&[("runs", "start")], true);
        for tool in ["cibadmin", "crm_mon"] {
            for behaviour in ["exit 102", "exit 0", "echo '<cib></cib'", "kill $$"] {
                script(&cib.directory.join("bin").join(tool), &format!("#!/bin/sh\n{behaviour}\n"));
                cib.expect("resources-stopped", &["active"], "", 1, "cannot be asked");
            }
            fs::remove_file(cib.directory.join("bin").join(tool)).unwrap();
        }
    }
}

#[test]
fn it_waits_until_they_have_stopped() {
    let Some(cibs) = Cib::each("resources-wait") else { return };
    for cib in cibs {
        cib.write(&[("runs", "start")], true);
        let end = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() + 60;
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| cib.handler("resources-stopped", &[], "active", end));
            // Longer than it pauses; whoever comes too late finds nothing active, which is right as well.
            std::thread::sleep(std::time::Duration::from_secs(1));
            assert!(!waiting.is_finished(), "it has not waited");
            let new = cib.directory.join("cib.new");
            fs::rename(cib.directory.join("cib.xml"), &new).unwrap();
            cib.write(&[], true);
            let ended = waiting.join().unwrap();
            assert_eq!(ended.status, 0, "{ended:?}");
        });
    }
}
