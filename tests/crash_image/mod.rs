//! Making the crash kernel's image by Debian's own mkinitramfs with our hook, on a host that only the calling thread sees.
#![allow(dead_code, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the image of kdump-tools has its configuration: the hook knows it by that.
pub const CONFIGURATION: &str = "/var/lib/kdump/initramfs-tools";

/// A file as it lies in the repository.
pub fn packaging(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/kdump").join(file)
}

pub fn run(line: &str) -> String {
    let output = Command::new("sh").args(["-euc", line]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}\n{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A host for this thread alone: the files of this one, with what is changed in them kept below `directory`, and a
/// network card `e0` that leads to 192.0.2.0/24.
pub fn enter_host(directory: &Path) {
    use nix::sched::{CloneFlags, unshare};
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
    run("mount --make-rprivate /");
    run(&format!("mount -t tmpfs tmpfs {}", directory.display()));
    // Not everything: what a temporary directory is on cannot be covered.
    for part in ["boot", "etc", "lib/modules", "usr/libexec", "usr/share", "var/lib"] {
        let layer = directory.join(part);
        let (upper, work) = (layer.join("upper"), layer.join("work"));
        fs::create_dir_all(&upper).unwrap();
        fs::create_dir_all(&work).unwrap();
        fs::create_dir_all(Path::new("/").join(part)).unwrap();
        let (upper, work) = (upper.display(), work.display());
        run(&format!("mount -t overlay overlay -o lowerdir=/{part},upperdir={upper},workdir={work} /{part}"));
    }
    run("ip link set lo up
         ip link add e0 address 02:00:00:00:00:01 type veth peer name p0
         ip addr add 192.0.2.1/24 dev e0
         ip link set e0 up
         ip link set p0 up
         ip route add 198.51.100.0/24 via 192.0.2.254");
}

/// Shows e0 as a card with this driver, as the kernel does with those that are no namespace's.
pub fn make_e0_a_card(driver: &str) {
    run(&format!(
        "mount -t tmpfs tmpfs /sys/class/net
         mkdir -p /sys/class/net/e0/device/driver
         ln -s ../../../../module/{driver} /sys/class/net/e0/device/driver/module"
    ));
}

/// Installs the files as the packages do, and what kdump-tools asks mkinitramfs for: no modules but those that are named.
pub fn install(sender: &Path, version: &str) {
    let put = |from: PathBuf, to: &str| {
        fs::create_dir_all(Path::new(to).parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    };
    for file in ["settings.sh", "network"] {
        put(packaging(file), &format!("/usr/share/booth/kdump/{file}"));
    }
    let tools = "/usr/share/initramfs-tools";
    put(packaging("initramfs-tools/hook"), &format!("{tools}/hooks/fence_kdump_send"));
    put(packaging("initramfs-tools/script"), &format!("{tools}/scripts/init-premount/fence_kdump_send"));
    put(sender.to_owned(), "/usr/libexec/fence_kdump_send");
    run(&format!(
        "mkdir -p {CONFIGURATION} /lib/modules/{version}
         cp -r /etc/initramfs-tools/. {CONFIGURATION}
         echo MODULES=list >{CONFIGURATION}/conf.d/list"
    ));
}
