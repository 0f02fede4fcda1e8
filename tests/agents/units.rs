//! The units and their snippets, as far as systemd's tools can tell without a running service manager.

use crate::site::{ADDRESS, packaged, run, run_within};
use crate::{live, scratch};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

const UNITS: [&str; 4] = ["booth-arbitrator.service", "booth@.service", "booth-guard@.service", "boothd-kdump.service"];
/// The highest exposure that `systemd-analyze security` may find, in tenths.
const EXPOSURE: u32 = 40;

#[test]
fn the_units_are_understood_and_confined() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return live::skip("units", "systemd-analyze is not installed (Debian: systemd)");
    }
    let directory = scratch::directory("units");
    let programs = Path::new(env!("CARGO_BIN_EXE_boothd")).parent().unwrap().display().to_string();
    for name in UNITS {
        let text = fs::read_to_string(packaged("systemd").join(name)).unwrap();
        assert!(!text.contains("Conflicts="), "{name}");
        // Where they are before they are installed; the manual is not yet.
        let lines: Vec<String> = text
            .lines()
            .filter(|line| !line.starts_with("Documentation="))
            .map(|line| line.replace("/usr/sbin", &programs))
            .collect();
        fs::write(directory.join(name), lines.join("\n")).unwrap();
    }
    for name in ["booth-arbitrator.service", "booth@site.service", "booth-guard@site.service", "boothd-kdump.service"] {
        let unit = directory.join(name);
        let verified = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit));
        assert!(verified.status == 0 && verified.err.is_empty(), "{name}: {verified:?}");
        let file = directory.join(name.replace("@site", "@"));
        let threshold = format!("--threshold={EXPOSURE}");
        let security = run(Command::new("systemd-analyze").args(["security", "--offline=true", &threshold]).arg(file));
        let line = security.out.lines().last().unwrap_or_default().to_owned();
        println!("{line}");
        assert_eq!(security.status, 0, "{name}: {line}");
    }
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn accounts_and_directories_are_made_where_they_are_missing() {
    if Command::new("systemd-sysusers").arg("--version").output().is_err() {
        return live::skip("sysusers", "systemd-sysusers is not installed (Debian: systemd)");
    }
    if !live::is_root("accounts_and_directories_are_made_where_they_are_missing") {
        return;
    }
    let root = scratch::directory("accounts");
    let option = format!("--root={}", root.display());
    fs::create_dir_all(root.join("etc")).unwrap();
    let users = run(Command::new("systemd-sysusers").arg(&option).arg(packaged("systemd/sysusers.conf")));
    assert_eq!(users.status, 0, "{users:?}");
    let passwd = fs::read_to_string(root.join("etc/passwd")).unwrap();
    assert!(passwd.lines().any(|line| line.starts_with("hacluster:")), "{passwd}");
    let made = run(Command::new("systemd-tmpfiles").args([&option, "--create"]).arg(packaged("systemd/tmpfiles.conf")));
    assert_eq!(made.status, 0, "{made:?}");
    for name in ["run/booth", "var/lib/booth"] {
        assert!(root.join(name).is_dir(), "{name}: {made:?}");
    }
    fs::remove_dir_all(root).unwrap();
}

/// A service manager of its own, in what a container is made of.
#[test]
fn systemd_runs_the_daemon_confined_watches_it_and_leaves_a_guard_behind_s12() {
    const TEST: &str = "systemd_runs_the_daemon_confined_watches_it_and_leaves_a_guard_behind_s12";
    if !live::is_root(TEST) {
        return;
    }
    if !Path::new("/lib/systemd/systemd").exists() {
        return live::skip(TEST, "systemd is not installed (Debian: systemd)");
    }
    let here = scratch::directory("systemd");
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents");
    for name in ["units", "bin", "etc", "store"] {
        fs::create_dir_all(here.join(name)).unwrap();
        fs::set_permissions(here.join(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    fs::copy(sources.join("probe.sh"), here.join("probe")).unwrap();
    for name in UNITS {
        fs::copy(packaged("systemd").join(name), here.join("units").join(name)).unwrap();
    }
    fs::copy(env!("CARGO_BIN_EXE_boothd"), here.join("bin/boothd")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_boothctl"), here.join("bin/boothctl")).unwrap();
    symlink("boothd", here.join("bin/booth")).unwrap();
    let times = "ticket = T\nexpire = 20\ntimeout = 500ms\nretries = 3\n";
    let site =
        format!("site-user = nobody\nsite-group = nogroup\nsite = {ADDRESS}\nstore = file:{}/store\n", here.display());
    fs::write(here.join("etc/site.conf"), format!("port = 9929\n{site}{times}")).unwrap();
    let members = format!("site = 10.91.0.2\nsite = 10.91.0.3\narbitrator = {ADDRESS}\n");
    fs::write(here.join("etc/booth.conf"), format!("port = 9930\n{members}{times}")).unwrap();

    let mut host = Command::new("unshare");
    host.args(["--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--fork", "--kill-child"]);
    let ended = run_within(host.arg("sh").arg(sources.join("host.sh")).arg(&here), 120);
    let told = fs::read_to_string(here.join("told")).unwrap_or_default();
    let seen: BTreeMap<_, _> = told.lines().filter_map(|line| line.split_once(": ")).collect();
    assert_eq!(seen.get("finished"), Some(&"yes"), "{ended:?}\n{told}");
    println!("{told}");
    for (name, value) in [
        ("started", "0"),
        ("status", "site 10.91.0.1 port 9929"),
        ("answers", "0"),
        ("capabilities", "0000000000000000"),
        ("user", "nobody"),
        ("granted", "true"),
        ("still-granted", "true"),
        ("stopped", "0"),
        ("result", "success"),
        ("granted-at-stop", "true"),
        ("guard", "success"),
        ("arbitrator", "0 arbitrator 10.91.0.1 port 9930"),
        ("arbitrator-result", "success"),
    ] {
        assert_eq!(seen.get(name), Some(&value), "{name}:\n{told}");
    }
    for (name, most) in [("restarted", 16), ("leads", 20), ("revoked", 21), ("guard-ended", 10)] {
        let seconds: u64 = seen[name].parse().unwrap_or_else(|_| panic!("{name}:\n{told}"));
        assert!(seconds <= most, "{name}:\n{told}");
    }
    fs::remove_dir_all(here).unwrap();
}
