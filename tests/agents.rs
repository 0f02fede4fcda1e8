//! What is packaged around the daemon, from outside: resource agents, handlers, units, the key's maker.
//!
//! Agents run as Pacemaker's executor runs them, each on a host of its own (namespaces, root); the reference's
//! agent with our daemon, and ours with the reference's, where Debian's packages are there.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

#[path = "agents/handlers.rs"]
mod handlers;
mod live;
mod patience;
mod scratch;
#[path = "agents/site.rs"]
mod site;
#[path = "agents/units.rs"]
mod units;

use nix::sys::signal::Signal;
use site::{ADDRESS, LONG, Site, on_a_host, packaged, run, script};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

const SUCCESS: i32 = 0;
const GENERIC: i32 = 1;
const ARGUMENTS: i32 = 2;
const UNIMPLEMENTED: i32 = 3;
const INSTALLED: i32 = 5;
const NOT_RUNNING: i32 = 7;

/// Where Debian's `booth-pacemaker` has the reference's agent.
const THEIR_AGENT: &str = "/usr/lib/ocf/resource.d/pacemaker/booth-site";
const THEIR_DAEMON: &str = "/usr/sbin/boothd";

fn now() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64()
}

#[test]
fn the_agent_starts_watches_and_stops_a_daemon() {
    on_a_host("the_agent_starts_watches_and_stops_a_daemon", |site| {
        site.expect("validate-all", SUCCESS);
        site.expect("monitor", NOT_RUNNING);
        let started = site.expect("start", SUCCESS);
        // It returns when the daemon answers, not before.
        assert_eq!(site.booth(&["list"]).status, 0);
        site.expect("monitor", SUCCESS);
        let pid = site.pid();
        site.expect("start", SUCCESS);
        assert_eq!(site.pid(), pid, "started twice");
        let stopped = site.expect("stop", SUCCESS);
        assert_eq!(site.pid(), None);
        site.expect("monitor", NOT_RUNNING);
        site.expect("stop", SUCCESS);
        println!("start {:?}, stop {:?}", started.took, stopped.took);
        for (action, status) in [("promote", UNIMPLEMENTED), ("usage", SUCCESS)] {
            site.expect(action, status);
        }
        let data = site.expect("meta-data", SUCCESS).out;
        for (name, default) in [("config", "/etc/booth/booth.conf"), ("args", ""), ("daemon", "boothd")] {
            let parameter = data.split("<parameter ").find(|text| text.starts_with(&format!("name=\"{name}\"")));
            assert!(parameter.unwrap().contains(&format!("default=\"{default}\"")), "{name}: {data}");
        }
    });
}

/// A frozen daemon once was a running one, since its process was there.
#[test]
fn a_frozen_daemon_has_failed_and_the_monitor_revokes_what_has_run_out_s12() {
    on_a_host("a_frozen_daemon_has_failed_and_the_monitor_revokes_what_has_run_out_s12", |site| {
        is_revoked_by_the_monitor(site, Signal::SIGSTOP, GENERIC);
    });
}

#[test]
fn a_killed_daemon_does_not_run_and_the_monitor_revokes_what_has_run_out_s12() {
    on_a_host("a_killed_daemon_does_not_run_and_the_monitor_revokes_what_has_run_out_s12", |site| {
        is_revoked_by_the_monitor(site, Signal::SIGKILL, NOT_RUNNING);
    });
}

fn is_revoked_by_the_monitor(site: &Site, signal: Signal, status: i32) {
    site.expect("start", SUCCESS);
    site.grant();
    site.signal(signal);
    let end = site.lease_end();
    patience::wait_for("the lease has ended", || now() > end);
    let monitored = site.expect("monitor", status);
    assert!(monitored.took < Duration::from_secs(20), "{monitored:?}");
    let stored = site.stored();
    assert!(!stored.granted && stored.term > Some(0), "{monitored:?}");
    assert!(monitored.err.contains("ticket T: revoked here at"), "{monitored:?}");
    // What does not hear SIGTERM is killed, within the time that there is.
    let stopped = site.expect("stop", SUCCESS);
    assert!(stopped.took < Duration::from_secs(10) && site.pid().is_none(), "{stopped:?}");
}

#[test]
fn a_ticket_ends_with_its_lease_when_the_daemon_was_stopped_for_good_s12() {
    on_a_host("a_ticket_ends_with_its_lease_when_the_daemon_was_stopped_for_good_s12", |site| {
        site.expect("start", SUCCESS);
        site.grant();
        site.expect("stop", SUCCESS);
        assert!(site.stored().granted, "a daemon that is started again within the lease finds its ticket");
        let end = site.lease_end();
        site.wait_until_revoked();
        println!("revoked {:.2} s before the lease's end", end - now());
        assert!(now() < end + 2.0, "{:.2} s after the lease's end", now() - end);
    });
}

#[test]
fn a_daemon_that_is_started_again_keeps_its_ticket() {
    on_a_host("a_daemon_that_is_started_again_keeps_its_ticket", |site| {
        site.configure(LONG);
        site.expect("start", SUCCESS);
        let set = site
            .command(site.directory.join("bin/geostore"), &["set", "-s", ADDRESS, "state", "READY"])
            .arg("-c")
            .arg(site.configuration())
            .status();
        assert!(set.unwrap().success());
        site.grant();
        for _ in 0..2 {
            site.expect("stop", SUCCESS);
            site.expect("start", SUCCESS);
        }
        assert!(site.stored().granted);
        patience::wait_for("it leads again", || {
            site.booth(&["list"]).out.contains(&format!("leader: {ADDRESS}, expires"))
        });
        assert!(site.stored().granted);
    });
}

#[test]
fn what_is_wrong_on_a_node_is_told_and_fails_no_probe_nor_stop() {
    on_a_host("what_is_wrong_on_a_node_is_told_and_fails_no_probe_nor_stop", |site| {
        site.expect("start", SUCCESS);
        let good = fs::read_to_string(site.configuration()).unwrap();
        fs::write(site.configuration(), "nonsense = 1\n").unwrap();
        // No reason to end what serves.
        site.expect("monitor", SUCCESS);
        let started = site.expect("start", ARGUMENTS);
        assert!(
            started.err.contains("ocf-exit-reason:configuration") && started.err.contains("site.conf"),
            "{started:?}"
        );
        site.expect("stop", SUCCESS);
        assert_eq!(site.pid(), None);
        let agent = packaged("ocf/booth-site");
        let probe = run(site.command(&agent, &["monitor"]).env("OCF_RESKEY_CRM_meta_interval", "0"));
        assert_eq!(probe.status, NOT_RUNNING, "{probe:?}");
        site.expect("stop", SUCCESS);
        fs::write(site.configuration(), &good).unwrap();
        let missing = run(site.command(&agent, &["start"]).env("OCF_RESKEY_daemon", "no-such-daemon"));
        assert_eq!(missing.status, INSTALLED, "{missing:?}");
        // A node without the site's address: Pacemaker showed no more than "exit status 1", and no log said why.
        let elsewhere = good.replace(ADDRESS, "10.91.0.9");
        fs::write(site.configuration(), elsewhere).unwrap();
        let lost = run(&mut site.command(&agent, &["start"]));
        let reason = lost.err.lines().rfind(|line| line.starts_with("ocf-exit-reason:")).unwrap_or_default();
        assert!(lost.status == GENERIC && reason.contains("this machine has"), "{lost:?}");
        fs::write(site.configuration(), &good).unwrap();
        // The lock file of the daemon's own options is everybody's.
        let lock = site.directory.join("other.pid");
        let action = |name| {
            run(site.command(&agent, &[name]).env("OCF_RESKEY_args", format!("-D -l {}", lock.display()))).status
        };
        assert_eq!([action("start"), action("monitor")], [SUCCESS, SUCCESS]);
        assert_eq!(site.pid(), None);
        assert!(lock.exists());
        assert_eq!([action("stop"), action("monitor")], [SUCCESS, NOT_RUNNING]);
    });
}

/// Whether Debian's packages are there that these tests need.
fn has(test: &str, programs: &[&str]) -> bool {
    let missing: Vec<_> = programs.iter().filter(|program| !Path::new(program).exists()).collect();
    if !missing.is_empty() {
        live::skip(test, &format!("{missing:?} are missing (Debian: booth-pacemaker, resource-agents, libxml2-utils)"));
    }
    missing.is_empty()
}

#[test]
fn the_agents_pass_ocf_tester() {
    const TEST: &str = "the_agents_pass_ocf_tester";
    if !has(TEST, &["/usr/sbin/ocf-tester", "/usr/bin/xmllint"]) {
        return;
    }
    on_a_host(TEST, |site| {
        site.configure(LONG);
        let config = site.configuration();
        let tester = |agent: &Path, options: &[&str]| {
            let options: Vec<&str> = options.iter().flat_map(|option| ["-o", option]).collect();
            let ended = run(site.command("/usr/sbin/ocf-tester", &["-n", "booth"]).args(options).arg(agent));
            assert!(ended.status == 0 && ended.out.contains("passed all tests"), "{agent:?}: {ended:?}");
        };
        tester(&packaged("ocf/booth-site"), &[&format!("config={}", config.display())]);
        site.expect("start", SUCCESS);
        let options =
            [format!("booth_config={}", config.display()), format!("site={ADDRESS}"), "booth_ticket=T".to_owned()];
        tester(&packaged("ocf/geostore"), &options.iter().map(String::as_str).collect::<Vec<_>>());
    });
}

#[test]
fn the_attribute_agent_sets_what_the_prerequisite_asks_for() {
    on_a_host("the_attribute_agent_sets_what_the_prerequisite_asks_for", |site| {
        site.configure(LONG);
        site.expect("start", SUCCESS);
        let config = site.configuration();
        let geostore = |arguments: &[&str]| {
            run(site.command(site.directory.join("bin/geostore"), arguments).args(["-s", ADDRESS, "-c"]).arg(&config))
        };
        let action = |name: &str, expected: i32| {
            let mut command = site.command(packaged("ocf/geostore"), &[name]);
            command.env("OCF_RESKEY_booth_config", &config).env("OCF_RESKEY_booth_ticket", "T");
            let ended = run(command.env("OCF_RESKEY_site", ADDRESS));
            assert_eq!(ended.status, expected, "{name}: {ended:?}");
        };
        action("monitor", NOT_RUNNING);
        action("start", SUCCESS);
        assert_eq!(geostore(&["get", "state"]).out, "READY\n");
        geostore(&["set", "state", "LOST"]);
        action("monitor", SUCCESS);
        assert_eq!(geostore(&["get", "state"]).out, "READY\n");
        action("stop", SUCCESS);
        assert_eq!(geostore(&["get", "state"]).status, 1);
        action("monitor", NOT_RUNNING);
        // A site that cannot be reached stops nothing here.
        site.expect("stop", SUCCESS);
        for name in ["start", "monitor", "stop"] {
            action(name, SUCCESS);
        }
    });
}

#[test]
fn the_references_agent_runs_our_daemon() {
    const TEST: &str = "the_references_agent_runs_our_daemon";
    if !has(TEST, &[THEIR_AGENT, "/usr/sbin/ocf-tester", "/usr/bin/xmllint"]) {
        return;
    }
    on_a_host(TEST, |site| {
        let agent = Path::new(THEIR_AGENT);
        let expect = |action, status| {
            let ended = site.agent(agent, action);
            assert_eq!(ended.status, status, "{action}: {ended:?}");
            ended.took
        };
        expect("monitor", NOT_RUNNING);
        let started = expect("start", SUCCESS);
        let pid = site.pid().unwrap();
        let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
        assert_eq!(program, Path::new(env!("CARGO_BIN_EXE_boothd")).canonicalize().unwrap());
        expect("monitor", SUCCESS);
        site.grant();
        let stopped = expect("stop", SUCCESS);
        assert_eq!(site.pid(), None);
        expect("monitor", NOT_RUNNING);
        println!("the reference's agent with our daemon: start {started:?}, stop {stopped:?}");
        let config = format!("config={}", site.configuration().display());
        let ended = run(site.command("/usr/sbin/ocf-tester", &["-n", "booth", "-o", &config]).arg(agent));
        assert!(ended.status == 0 && ended.out.contains("passed all tests"), "{ended:?}");
    });
}

/// The reference has no control socket: it is asked for its list.
#[test]
fn our_agent_runs_the_references_daemon() {
    const TEST: &str = "our_agent_runs_the_references_daemon";
    if !has(TEST, &[THEIR_DAEMON, "/usr/bin/gcc"]) {
        return;
    }
    on_a_host(TEST, |site| {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common");
        // On today's kernels it waits for ever for the end of what netlink says.
        let library = site.directory.join("netlink_done.so");
        let mut gcc = Command::new("gcc");
        gcc.args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(sources.join("netlink_done.c"));
        assert!(gcc.status().unwrap().success());
        let daemon = site.directory.join("their-boothd");
        let store = site.directory.join("crm");
        fs::create_dir_all(&store).unwrap();
        for path in [&site.directory, &store] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        script(
            &daemon,
            &format!(
                "#!/bin/sh\nCRM_TICKET_DIR='{}' LD_PRELOAD='{}' exec {THEIR_DAEMON} \"$@\"\n",
                store.display(),
                library.display()
            ),
        );
        fs::copy(sources.join("crm_ticket.sh"), site.directory.join("bin/crm_ticket")).unwrap();
        fs::write(site.configuration(), format!("port = 9929\nsite = {ADDRESS}\nticket = T\nexpire = 600\n")).unwrap();
        let action = |name: &str, expected: i32| {
            let mut command = site.command(packaged("ocf/booth-site"), &[name]);
            command.env("OCF_RESKEY_daemon", &daemon).env("CRM_TICKET_DIR", &store);
            let ended = run(command.env("OCF_RESKEY_CRM_meta_interval", "10000"));
            assert_eq!(ended.status, expected, "{name}: {ended:?}");
        };
        action("monitor", NOT_RUNNING);
        action("start", SUCCESS);
        action("monitor", SUCCESS);
        site.signal(Signal::SIGSTOP);
        action("monitor", GENERIC);
        action("stop", SUCCESS);
        action("monitor", NOT_RUNNING);
    });
}

#[test]
fn a_key_is_made_once_for_its_owner_alone_and_the_daemon_takes_it() {
    let directory = scratch::directory("keygen");
    let keygen = |arguments: &[&Path]| run(Command::new(packaged("booth-keygen")).args(arguments));
    let (one, two) = (directory.join("one"), directory.join("two"));
    for path in [&one, &two] {
        assert_eq!(keygen(&[path]).status, 0);
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(booth::config::read_key(path).unwrap().bytes().len(), 64);
    }
    let key = fs::read(&one).unwrap();
    assert!(key.len() == 64 && key != fs::read(&two).unwrap());
    let again = keygen(&[&one]);
    assert!(again.status == 1 && again.err.contains("is not overwritten"), "{again:?}");
    assert_eq!(fs::read(&one).unwrap(), key);
    for bad in [&[directory.join("no/such").as_path()][..], &[&one, &two], &[Path::new("-x")]] {
        assert_eq!(keygen(bad).status, 1, "{bad:?}");
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 2, "something is left behind");
    fs::remove_dir_all(directory).unwrap();
}
