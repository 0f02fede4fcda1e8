//! What is in the packages, without installing them.

use crate::{built, equipped};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// What a command prints; it must succeed.
#[track_caller]
fn printed(program: &str, arguments: &[&str], package: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(package).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Mode and path of each file, by paths as they are on Debian, without what only one kind of package has.
fn files(listing: &str, path_at: usize) -> BTreeSet<String> {
    listing
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| !fields[0].starts_with('d'))
        .map(|fields| {
            let path = fields[path_at].trim_start_matches('.');
            let path =
                path.strip_prefix("/usr/lib/systemd").map_or(path.to_owned(), |rest| format!("/lib/systemd{rest}"));
            let path = path.replace("zsh/site-functions", "zsh/vendor-completions");
            // Debian compresses pages, and has links where there are two scripts.
            let mode = fields[0].replace("lrwxrwxrwx", "-rwxr-xr-x");
            format!("{mode} {}", path.trim_end_matches(".gz"))
        })
        .filter(|file| !["/copyright", "/changelog.Debian", "/lintian/"].iter().any(|part| file.contains(part)))
        .collect()
}

#[test]
fn both_kinds_of_package_hold_the_same_and_what_callers_rely_on() {
    if !equipped("both_kinds_of_package_hold_the_same_and_what_callers_rely_on") {
        return;
    }
    let built = built("1");
    let everywhere = [
        "/usr/sbin/booth",
        "/usr/sbin/booth-keygen",
        "/usr/sbin/boothctl",
        "/usr/sbin/boothd",
        "/usr/sbin/geostore",
        "/lib/systemd/system/booth-arbitrator.service",
        "/lib/systemd/system/booth@.service",
        "/usr/share/man/man8/booth.8",
        "/usr/share/man/man8/booth-keygen.8",
        "/usr/share/man/man8/boothd.8",
        "/usr/share/man/man8/geostore.8",
    ];
    let at_sites = [
        "/usr/lib/ocf/resource.d/booth/booth-site",
        "/usr/lib/ocf/resource.d/booth/geostore",
        "/usr/lib/ocf/resource.d/pacemaker/booth-site",
        "/usr/share/booth/service-runnable",
        "/usr/share/booth/handlers/resources-stopped",
    ];
    for (name, site) in [("boothd", true), ("boothd-arbitrator", false)] {
        let deb = files(&printed("dpkg-deb", &["--contents"], &built.deb(name)), 5);
        let rpm = files(&printed("rpm", &["-qp", "--list", "--verbose"], &built.rpm(name)), 8);
        assert_eq!(deb, rpm, "{name}");
        let has = |path: &&str| deb.iter().any(|file| file.split(' ').nth(1) == Some(path));
        let missing: Vec<_> = everywhere.iter().filter(|path| !has(path)).collect();
        assert!(missing.is_empty(), "{name}: {missing:?} in {deb:#?}");
        assert!(at_sites.iter().all(|path| has(path) == site), "{name}: {deb:#?}");
        let of_etc: Vec<_> = deb.iter().filter(|file| file.contains(" /etc")).collect();
        assert!(of_etc.is_empty(), "/etc is the administrator's: {of_etc:?}");
    }
}

#[test]
fn the_package_for_crashed_nodes_has_both_ends_where_they_are_looked_for() {
    if !equipped("the_package_for_crashed_nodes_has_both_ends_where_they_are_looked_for") {
        return;
    }
    let built = built("1");
    let name = "boothd-kdump";
    let deb = files(&printed("dpkg-deb", &["--contents"], &built.deb(name)), 5);
    let rpm = files(&printed("rpm", &["-qp", "--list", "--verbose"], &built.rpm(name)), 8);
    let (of_debian, both): (BTreeSet<_>, BTreeSet<_>) =
        deb.into_iter().partition(|file| file.contains("/initramfs-tools/"));
    assert_eq!(both, rpm);
    let initramfs = [
        "-rwxr-xr-x /usr/share/initramfs-tools/hooks/fence_kdump_send",
        "-rwxr-xr-x /usr/share/initramfs-tools/scripts/init-premount/fence_kdump_send",
    ];
    assert_eq!(of_debian.iter().map(String::as_str).collect::<Vec<_>>(), initramfs);
    let expected = [
        "-rw-r--r-- /lib/systemd/system/boothd-kdump.service",
        "-rw-r--r-- /usr/lib/firewalld/services/fence_kdump.xml",
        "-rw-r--r-- /usr/share/booth/kdump/settings.sh",
        "-rw-r--r-- /usr/share/doc/boothd-kdump/README.md",
        "-rw-r--r-- /usr/share/doc/boothd-kdump/examples/fence_kdump",
        "-rw-r--r-- /usr/share/man/man8/fence_kdump.8",
        "-rw-r--r-- /usr/share/man/man8/fence_kdump_send.8",
        "-rwxr-xr-x /usr/lib/dracut/modules.d/95fence_kdump_send/module-setup.sh",
        "-rwxr-xr-x /usr/lib/dracut/modules.d/95fence_kdump_send/start.sh",
        "-rwxr-xr-x /usr/lib/fence_kdump_send",
        "-rwxr-xr-x /usr/libexec/fence-agents/fence_kdump_send",
        "-rwxr-xr-x /usr/libexec/fence_kdump_send",
        "-rwxr-xr-x /usr/sbin/fence_kdump",
        "-rwxr-xr-x /usr/share/booth/kdump/network",
    ];
    assert_eq!(both.iter().map(String::as_str).collect::<Vec<_>>(), expected);

    let field =
        |field: &str| printed("dpkg-deb", &["--showformat", &format!("${{{field}}}"), "--show"], &built.deb(name));
    assert_eq!(field("Depends"), "boothd | boothd-arbitrator, init-system-helpers (>= 1.51), iproute2");
    assert_eq!(field("Conflicts"), "", "fence-agents has other agents, and stays");
    for (asked, expected) in [
        ("--requires", "(boothd or boothd-arbitrator)"),
        ("--provides", "fence-agents-kdump"),
        ("--conflicts", "fence-agents-kdump"),
    ] {
        let text = printed("rpm", &["-qp", asked], &built.rpm(name));
        assert!(text.lines().any(|line| line.trim() == expected), "{asked}: {text}");
        assert!(!text.lines().any(|line| line.trim() == "booth"), "{asked}: {text}");
    }
}

#[test]
fn the_packages_take_the_place_of_the_reference_s_and_of_each_other() {
    if !equipped("the_packages_take_the_place_of_the_reference_s_and_of_each_other") {
        return;
    }
    let built = built("1");
    let field = |name: &str, field: &str| {
        let output = Command::new("dpkg-deb").arg("--field").arg(built.deb(name)).arg(field).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(field("boothd", "Conflicts"), "booth, booth-pacemaker, boothd-arbitrator");
    assert_eq!(field("boothd-arbitrator", "Conflicts"), "booth, boothd");
    for name in ["boothd", "boothd-arbitrator"] {
        assert_eq!(field(name, "Replaces"), field(name, "Conflicts"));
        assert!(field(name, "Provides").split(", ").any(|provided| provided == "booth"));
    }
    assert_eq!(
        field("boothd-arbitrator", "Depends"),
        "init-system-helpers (>= 1.51)",
        "nothing of a cluster, no C library"
    );

    for (name, other) in [("boothd", "booth-site"), ("boothd-arbitrator", "booth-arbitrator")] {
        let asked = |what: &str| -> BTreeSet<String> {
            printed("rpm", &["-qp", what], &built.rpm(name)).lines().map(|line| line.trim().to_owned()).collect()
        };
        for old in ["booth", "booth-core", other] {
            assert!(asked("--provides").contains(old), "{name} provides {old}");
            assert!(asked("--obsoletes").contains(&format!("{old} < 2")), "{name} obsoletes {old}");
        }
        let of_a_cluster = asked("--requires").iter().any(|needed| needed.contains("crm_ticket"));
        assert_eq!(of_a_cluster, name == "boothd");
        assert!(!asked("--requires").iter().any(|needed| needed.contains(".so")), "{:?}", asked("--requires"));
    }
}

#[test]
fn the_programs_run_where_there_is_nothing_else() {
    if !equipped("the_programs_run_where_there_is_nothing_else") {
        return;
    }
    let built = built("1");
    let directory = crate::scratch::directory("packages-bare");
    printed("dpkg-deb", &["--extract", built.deb("boothd-arbitrator").to_str().unwrap()], &directory);
    for program in ["boothd", "boothctl"] {
        let file = directory.join("usr/sbin").join(program);
        let text = printed(
            "chroot",
            &[directory.join("usr/sbin").to_str().unwrap(), &format!("/{program}")],
            Path::new("version"),
        );
        assert!(text.ends_with(&format!("{}\n", env!("CARGO_PKG_VERSION"))), "{text}");
        // It has nothing in it that would load a module of the name service.
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(8).any(|part| part == b"nsswitch"), "{program} has a name service of its own");
        crate::common::say(&format!("packages: {program} static: {} bytes", bytes.len()));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o755);
    }
    // Numbers and addresses need no name service; what does is told.
    let configuration = "site=192.0.2.1\nsite=nowhere.example\nticket=T\n";
    fs::write(directory.join("usr/sbin/booth.conf"), configuration).unwrap();
    let output =
        Command::new("chroot").arg(directory.join("usr/sbin")).args(["/boothctl", "check", "/booth.conf"]).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && text.contains("cannot run getent: No such file or directory"), "{text}");
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn lintian_has_nothing_to_say() {
    if !equipped("lintian_has_nothing_to_say") {
        return;
    }
    let built = built("1");
    // Ours are static, and it takes those that can be loaded anywhere for libraries; and no bug of Debian asks for them.
    let suppressed = "shared-library-lacks-prerequisites,statically-linked-binary,initial-upload-closes-no-bugs";
    for name in ["boothd", "boothd-arbitrator", "boothd-kdump"] {
        let arguments = ["--fail-on", "error,warning", "--tag-display-limit", "0", "--suppress-tags", suppressed];
        let text = printed("lintian", &arguments, &built.deb(name));
        assert_eq!(text, "", "{name}");
    }
}
