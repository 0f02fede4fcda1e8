//! The units and their snippets, as far as systemd's tools can tell without a running service manager.

use crate::site::{packaged, run};
use crate::{live, scratch};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The highest exposure that `systemd-analyze security` may find, in tenths.
const EXPOSURE: u32 = 40;

#[test]
fn the_units_are_understood_and_confined() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return live::skip("units", "systemd-analyze is not installed (Debian: systemd)");
    }
    let directory = scratch::directory("units");
    let programs = Path::new(env!("CARGO_BIN_EXE_boothd")).parent().unwrap().display().to_string();
    for name in ["booth-arbitrator.service", "booth@.service", "booth-guard@.service"] {
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
    for name in ["booth-arbitrator.service", "booth@site.service", "booth-guard@site.service"] {
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
