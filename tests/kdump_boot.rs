//! The crash kernel's image: what Debian's own mkinitramfs makes of our hook, what our dracut module does with dracut's
//! functions, and the network that is set up there.
#![allow(clippy::unwrap_used)]

#[path = "crash_image/mod.rs"]
mod crash_image;
#[path = "live/mod.rs"]
mod live;
#[path = "scratch/mod.rs"]
mod scratch;
#[path = "sender/mod.rs"]
mod sender;

use crash_image::{CONFIGURATION, enter_host, install, make_e0_a_card, packaging, run};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A kernel of which mkinitramfs needs no more than its settings.
const VERSION: &str = "6.1.0-test";

/// Makes an image with this configuration and unpacks it.
fn image(directory: &Path, configuration: &str) -> PathBuf {
    let image = directory.join("image");
    let unpacked = directory.join("unpacked");
    let _ = fs::remove_dir_all(&unpacked);
    run(&format!("mkinitramfs -c gzip -d {configuration} -o {} {VERSION}", image.display()));
    run(&format!("unmkinitramfs {} {}", image.display(), unpacked.display()));
    unpacked
}

#[test]
fn the_hook_puts_sender_arguments_key_and_network_into_the_image_of_the_crash_kernel_alone() {
    let test = "the_hook_puts_sender_arguments_key_and_network_into_the_image_of_the_crash_kernel_alone";
    if !live::is_root(test) {
        return;
    }
    if !Path::new("/usr/sbin/mkinitramfs").exists() {
        return live::skip(test, "it needs initramfs-tools-core");
    }
    let directory = scratch::directory("kdump-boot");
    enter_host(&directory);
    make_e0_a_card("card");
    install(sender::sender(), VERSION);
    fs::write(format!("/boot/config-{VERSION}"), "CONFIG_RD_GZIP=y\n").unwrap();
    fs::write("/etc/kdump.key", "a secret of eight or more").unwrap();
    run("echo 192.0.2.2 node2 >>/etc/hosts");

    // No nodes, nothing to do.
    let unpacked = image(&directory, CONFIGURATION);
    assert!(!unpacked.join("usr/libexec/fence_kdump_send").exists());

    let settings = "FENCE_KDUMP_NODES='node2 198.51.100.7'\nFENCE_KDUMP_ARGS='-i 5 -k /etc/kdump.key'\n";
    fs::write("/etc/default/fence_kdump", settings).unwrap();
    let unpacked = image(&directory, CONFIGURATION);
    let text = |path: &str| fs::read_to_string(unpacked.join(path)).unwrap();
    assert_eq!(text("conf/modules").lines().last(), Some("card"));
    assert_eq!(fs::read(unpacked.join("usr/libexec/fence_kdump_send")).unwrap(), fs::read(sender::sender()).unwrap());
    assert_eq!(text("etc/kdump.key"), "a secret of eight or more");
    let mode = |path: &str| fs::metadata(unpacked.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("etc/kdump.key"), 0o600);
    let host = run("uname -n");
    let command = format!("-n {} -i 5 -k /etc/kdump.key node2 198.51.100.7\n", host.trim());
    assert_eq!(text("etc/fence_kdump/command"), command);
    assert_eq!(text("etc/hosts"), "192.0.2.2 node2\n");
    let routes = "02:00:00:00:00:01 e0 192.0.2.1/24 192.0.2.2 \n\
                  02:00:00:00:00:01 e0 192.0.2.1/24 198.51.100.7 192.0.2.254\n";
    assert_eq!(text("etc/fence_kdump/routes"), routes);
    assert!(text("scripts/init-premount/ORDER").contains("/scripts/init-premount/fence_kdump_send"));
    assert!(unpacked.join("usr/bin/ip").exists() && unpacked.join("etc/fence_kdump/network").exists());

    // The words of kdump.conf are RHEL's; they come last.
    fs::write("/etc/kdump.conf", "path /var/crash\nfence_kdump_nodes 192.0.2.9\nfence_kdump_args -p 7411\n").unwrap();
    let unpacked = image(&directory, CONFIGURATION);
    let command = fs::read_to_string(unpacked.join("etc/fence_kdump/command")).unwrap();
    assert_eq!(command, "-p 7411 192.0.2.9\n");
    assert!(!unpacked.join("etc/kdump.key").exists());

    // The image that the system starts with is none of our business.
    run(&format!("mkdir -p /var/lib/other && cp -r {CONFIGURATION}/. /var/lib/other"));
    let unpacked = image(&directory, "/var/lib/other");
    assert!(!unpacked.join("usr/libexec/fence_kdump_send").exists());
    run(&format!("umount --lazy {}", directory.display()));
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn the_network_of_the_image_is_the_one_that_was_written_down() {
    let test = "the_network_of_the_image_is_the_one_that_was_written_down";
    if !live::is_root(test) {
        return;
    }
    let directory = scratch::directory("kdump-network");
    enter_host(&directory);
    run("mount -t sysfs sysfs /sys");
    fs::create_dir_all("/etc/fence_kdump").unwrap();
    let routes = "02:00:00:00:00:01 eth7 192.0.2.1/24 192.0.2.2 \n\
                  02:00:00:00:00:01 eth7 192.0.2.1/24 198.51.100.7 192.0.2.254\n\
                  02:00:00:00:00:01 eth7 fd00::1/64 fd00::2 \n";
    fs::write("/etc/fence_kdump/routes", routes).unwrap();
    run("ip addr flush dev e0; ip link set e0 down");
    run(&format!("sh {}", packaging("network").display()));
    let addresses = run("ip -o addr show dev e0");
    assert!(addresses.contains("192.0.2.1/24") && addresses.contains("fd00::1/64"), "{addresses}");
    assert!(run("ip route").contains("198.51.100.7 via 192.0.2.254 dev e0"));
    run(&format!("umount --lazy {}", directory.display()));
    fs::remove_dir_all(directory).unwrap();
}

/// What settings.sh makes of the host's files below a directory.
fn settings(directory: &Path, line: &str) -> String {
    let settings = packaging("settings.sh");
    let line = format!("SYSROOT={}; . {}; {line}", directory.display(), settings.display());
    run(&line)
}

/// The last line was lost without a newline at its end, words of a remark became nodes, and a key behind `-v` was not
/// copied.
#[test]
fn kdump_conf_is_read_as_by_rhel_and_the_key_is_found_in_all_of_getopt_s_ways() {
    let directory = scratch::directory("kdump-conf");
    fs::create_dir_all(directory.join("etc")).unwrap();
    let read = |content: &str| {
        fs::write(directory.join("etc/kdump.conf"), content).unwrap();
        let words = settings(&directory, "fence_kdump_settings && echo $fence_kdump_args, $fence_kdump_nodes");
        words.trim().to_owned()
    };
    assert_eq!(read("path /var/crash\nfence_kdump_nodes a2"), ", a2");
    assert_eq!(read("fence_kdump_nodes a2 a3 # both\n  fence_kdump_args -p 7411#x\n"), "-p 7411, a2 a3");
    assert_eq!(read("#fence_kdump_nodes a1\nfence_kdump_nodes\ta2\n #fence_kdump_nodes a3"), ", a2");
    for (arguments, key) in [
        ("-k /key", "/key"),
        ("-k/key -v", "/key"),
        ("-vk /key", "/key"),
        ("-i 5 -vvk/key", "/key"),
        ("--key /key", "/key"),
        ("--ke=/key", "/key"),
        ("-k /other --k /key", "/key"),
        ("-v -i 5", ""),
        ("--verbose", ""),
    ] {
        let found = settings(&directory, &format!("fence_kdump_args='{arguments}'; fence_kdump_key"));
        assert_eq!(found.trim(), key, "{arguments}");
    }
    fs::remove_dir_all(directory).unwrap();
}

/// The sender's own complaint went to the crash kernel's console, where nobody saw that nothing was sent.
#[test]
fn a_command_line_that_the_sender_refuses_is_told_when_the_image_is_made() {
    let directory = scratch::directory("kdump-check");
    fs::create_dir_all(directory.join("usr/libexec")).unwrap();
    fs::copy(sender::sender(), directory.join("usr/libexec/fence_kdump_send")).unwrap();
    let host = run("uname -n");
    for (arguments, expected) in [
        ("", String::new()),
        ("-p 7411x -f IPV4 -i 5s -k /key", String::new()),
        ("-i 5 --", String::new()),
        (
            "-i s",
            "[error]: invalid interval 's', expected seconds, from 1\n\
             fence_kdump_send: the crash kernel will send nothing: '-i s a2' is refused\n"
                .to_owned(),
        ),
        (
            "-k /key -x",
            format!(
                "[error]: unknown option '-x'\n\
                 fence_kdump_send: the crash kernel will send nothing: '-n {} -k /key -x a2' is refused\n",
                host.trim()
            ),
        ),
    ] {
        let line = format!("fence_kdump_nodes=a2; fence_kdump_args='{arguments}'; fence_kdump_check 2>&1");
        assert_eq!(settings(&directory, &line), expected, "{arguments}");
    }
    fs::remove_dir_all(directory).unwrap();
}

/// Runs functions of the dracut module, with stand-ins for those of dracut: gives the exit status and what was said.
fn dracut(directory: &Path, settings: &str, call: &str) -> (Option<i32>, String) {
    let stand_ins = format!(
        r#"set -eu
        initdir={image} moddir={module}
        inst_simple() {{ mkdir -p "$initdir$(dirname "${{2-$1}}")"; cp "$1" "$initdir${{2-$1}}"; }}
        inst() {{ inst_simple "$1"; }}
        inst_multiple() {{ for word; do inst_simple "$(command -v "$word")" "/bin/$word"; done; }}
        inst_hook() {{ inst_simple "$3" "/lib/dracut/hooks/$1/$2-$(basename "$3")"; }}
        instmods() {{ echo "hostonly=$hostonly $*" >"$initdir/modules"; }}
        . "$moddir/module-setup.sh"; {settings}; {call}"#,
        image = directory.join("image").display(),
        module = packaging("dracut").display(),
    );
    let output = Command::new("bash").args(["-c", &stand_ins]).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// By SUSE's `mkdumprd`, which says `--add kdump`, the module was never taken; and where RHEL's kdump finds the nodes
/// itself its sender had no key, and the crash kernel no name to sign with.
#[test]
fn dracut_s_module_is_in_crash_kernels_with_all_that_the_sender_needs() {
    let test = "dracut_s_module_is_in_crash_kernels_with_all_that_the_sender_needs";
    if !live::is_root(test) {
        return;
    }
    let directory = scratch::directory("kdump-dracut");
    enter_host(&directory);
    make_e0_a_card("card");
    install(sender::sender(), VERSION);
    fs::write(format!("/boot/config-{VERSION}"), "CONFIG_RD_GZIP=y\n").unwrap();
    fs::write("/etc/kdump.key", "a secret of eight or more").unwrap();
    run("echo 192.0.2.2 node2 >>/etc/hosts; mkdir -p /etc/sysconfig");
    let put = |settings: &str| fs::write("/etc/sysconfig/fence_kdump", settings).unwrap();
    let check = |settings: &str| dracut(&directory, settings, "check").0;
    let (nodes, key) = ("FENCE_KDUMP_NODES=node2\n", "FENCE_KDUMP_OPTS='-k /etc/kdump.key'\n");

    for (file, expected) in [("", 1), ("FENCE_KDUMP_OPTS='-i 5'\n", 1), (nodes, 0), (key, 0)] {
        put(file);
        assert_eq!(check("IN_KDUMP=1"), Some(expected), "{file}");
        assert_eq!(check("add_dracutmodules='kdump'"), Some(expected), "{file}");
        assert_eq!(check("force_add_dracutmodules='a  kdump b'"), Some(expected), "{file}");
        let other = check("add_dracutmodules='crashkernel fence_kdump_send kdump-not'");
        assert_eq!(other, Some(if expected == 0 { 255 } else { 1 }), "{file}");
    }

    // The nodes are found by RHEL's kdump, which starts the sender too.
    let image = directory.join("image");
    let text = |path: &str| fs::read_to_string(image.join(path)).unwrap();
    assert_eq!(dracut(&directory, ":", "install; installkernel"), (Some(0), String::new()));
    assert_eq!(text("etc/kdump.key"), "a secret of eight or more");
    assert_eq!(text("etc/hostname"), run("uname -n"));
    assert_eq!(fs::read_dir(&image).unwrap().count(), 1, "nothing but /etc");

    fs::remove_dir_all(&image).unwrap();
    put(&format!("{nodes}FENCE_KDUMP_ARGS='-i 5 -k /etc/kdump.key'\n"));
    assert_eq!(dracut(&directory, ":", "install; installkernel"), (Some(0), String::new()));
    let mode = fs::metadata(image.join("etc/kdump.key")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    assert_eq!(
        text("etc/fence_kdump/command"),
        format!("-n {} -i 5 -k /etc/kdump.key node2\n", run("uname -n").trim())
    );
    assert_eq!(text("etc/fence_kdump/routes"), "02:00:00:00:00:01 e0 192.0.2.1/24 192.0.2.2 \n");
    assert_eq!(text("etc/hosts"), "192.0.2.2 node2\n");
    assert_eq!(text("modules"), "hostonly= card\n");
    for file in ["usr/libexec/fence_kdump_send", "bin/ip", "bin/sleep", "etc/fence_kdump/network"] {
        assert!(image.join(file).exists(), "{file}");
    }
    let start = fs::read(packaging("dracut/start.sh")).unwrap();
    assert_eq!(fs::read(image.join("lib/dracut/hooks/pre-trigger/10-start.sh")).unwrap(), start);

    // What the sender refuses is told to whom makes the image.
    put(&format!("{nodes}FENCE_KDUMP_ARGS='-f inet'\n"));
    let (status, said) = dracut(&directory, ":", "install");
    assert_eq!(status, Some(0));
    assert!(said.contains("[error]: unsupported family 'inet'"), "{said}");
    run(&format!("umount --lazy {}", directory.display()));
    fs::remove_dir_all(directory).unwrap();
}

/// A VLAN has the MAC of its card, and the crash kernel gave its address to that.
#[test]
fn a_vlan_s_address_is_not_given_to_its_card() {
    let test = "a_vlan_s_address_is_not_given_to_its_card";
    if !live::is_root(test) {
        return;
    }
    let directory = scratch::directory("kdump-vlan");
    enter_host(&directory);
    make_e0_a_card("card");
    // As a VLAN looks from here; not all kernels have them.
    run("ip link add e0.7 address 02:00:00:00:00:01 type veth peer name p1
         ip addr add 203.0.113.1/24 dev e0.7
         ip link set e0.7 up");
    let found = settings(&directory, "fence_kdump_nodes='203.0.113.2 192.0.2.2 192.0.2.1'; fence_kdump_routes 2>&1");
    let expected = "fence_kdump_send: e0.7 is no network card; messages to 203.0.113.2 wait until others set it up\n\
                    02:00:00:00:00:01 e0 192.0.2.1/24 192.0.2.2 \n";
    assert_eq!(found, expected);
    let drivers = settings(&directory, "fence_kdump_nodes='203.0.113.2 192.0.2.2'; fence_kdump_drivers 2>&1");
    assert_eq!(drivers, "card\n");
    run(&format!("umount --lazy {}", directory.display()));
    fs::remove_dir_all(directory).unwrap();
}

/// A card that was broken, or whose driver the image did not have, kept all behind it from being set up: a minute for each
/// of its addresses.
#[test]
fn a_missing_card_does_not_keep_the_others() {
    let test = "a_missing_card_does_not_keep_the_others";
    if !live::is_root(test) {
        return;
    }
    let directory = scratch::directory("kdump-missing-card");
    enter_host(&directory);
    run("mount -t sysfs sysfs /sys; ip addr flush dev e0; ip link set e0 down");
    // Each second that it waits is a line; a card appears in the third.
    let bin = directory.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let sleep = "#!/bin/sh\n\
        ip -o -4 addr show | wc -l >>/etc/fence_kdump/seconds\n\
        [ $(wc -l </etc/fence_kdump/seconds) != 3 ] || ip link add e1 address 02:00:00:00:00:02 type veth peer name p1\n";
    fs::write(bin.join("sleep"), sleep).unwrap();
    fs::set_permissions(bin.join("sleep"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all("/etc/fence_kdump").unwrap();
    let routes = "02:00:00:00:00:09 e9 203.0.113.1/24 203.0.113.2 \n\
                  02:00:00:00:00:09 e9 203.0.113.1/24 203.0.113.3 \n\
                  02:00:00:00:00:02 e1 198.51.100.1/24 198.51.100.2 \n\
                  02:00:00:00:00:01 e0 192.0.2.1/24 192.0.2.2 \n";
    fs::write("/etc/fence_kdump/routes", routes).unwrap();
    run(&format!("PATH={}:$PATH sh {}", bin.display(), packaging("network").display()));
    let addresses = fs::read_to_string("/etc/fence_kdump/seconds").unwrap();
    // That of the loopback, and soon that of each card.
    let expected: String = (1..60).map(|second| if second <= 3 { "2\n" } else { "3\n" }).collect();
    assert_eq!(addresses, expected);
    run(&format!("umount --lazy {}", directory.display()));
    fs::remove_dir_all(directory).unwrap();
}
