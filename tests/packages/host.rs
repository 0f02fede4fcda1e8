//! A host of its own: Debian 12 in namespaces, with systemd as its first process and the packages of
//! Debian's archive that a member needs. Its tree is made once and never changed: each host writes to
//! a memory of its own that lies over it, and all of it is gone with the value.

use crate::common::{Network, eventually};
use crate::scratch;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// What the tree has beside the essential packages: the reference, what sites and crashed nodes need, and systemd.
const INCLUDED: &str = "booth,iproute2,pacemaker-cli-utils,systemd";
/// A package of Debian's whose file lies in the tree's /root: it is unpacked without the many others that it wants.
const FETCHED: &str = "fence-agents";
/// The longest that a command on a host may take.
const LIMIT: &str = "60";

/// Starts systemd on the tree `$1`, with `$2` for what is written, in the cgroup `$3`. It has the devices that
/// programs expect, and no other of this machine.
const START: &str = r#"
mkdir "$3"; echo $$ >"$3/cgroup.procs"
exec unshare --mount --pid --uts --ipc --cgroup --fork --kill-child sh -ec '
    mount --make-rprivate /
    mount -t tmpfs tmpfs "$2"
    mkdir "$2/upper" "$2/work" "$2/root"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
    cd "$2/root"
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs tmpfs run
    mount -t tmpfs tmpfs tmp
    mount -t tmpfs -o mode=755 tmpfs dev
    for device in null zero full random urandom tty; do
        touch dev/$device
        mount --bind /dev/$device dev/$device
    done
    mkdir dev/shm dev/pts
    mount -t tmpfs tmpfs dev/shm
    mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
    ln -s pts/ptmx dev/ptmx
    pivot_root . mnt
    umount -l /mnt
    exec env -i container=booth-test PATH=/usr/sbin:/usr/bin /lib/systemd/systemd systemd.unit=basic.target
' sh "$1" "$2" "$3"
"#;

/// A host that runs. Dropping it ends all its processes.
pub struct Host {
    holder: Child,
    /// Its first process, by which its namespaces are entered.
    init: u32,
    cgroup: PathBuf,
    /// Where its memory is mounted, for itself alone.
    mount: PathBuf,
}

impl Host {
    /// Starts one on the network of host `number`.
    pub fn start(network: &Network, number: usize) -> Host {
        let name = scratch::name(&format!("packages-{}-{number}", network.number()));
        let (cgroup, mount) =
            (cgroups().join(&name), scratch::directory(&format!("packages-{}-{number}", network.number())));
        // Not by `ip netns exec`, which hides the cgroups.
        let holder = Command::new("nsenter")
            .arg(format!("--net=/run/netns/{}", network.namespace(number)))
            .args(["sh", "-ec", START, "sh"])
            .args([&tree(), &mount, &cgroup])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut host = Host { holder, init: 0, cgroup, mount };
        host.init = eventually("systemd's process", Duration::from_secs(20), || host.child());
        eventually("systemd's word that it is up", Duration::from_secs(30), || {
            let state = host.run(&["systemctl", "is-system-running"]);
            let word = String::from_utf8_lossy(&state.stdout).trim().to_owned();
            // Degraded: a unit has failed that has nothing to do with us, such as a mount of the kernel's.
            if word == "running" || word == "degraded" { Ok(()) } else { Err(word) }
        });
        host
    }

    /// The only child of the process that was started here, when it has become systemd.
    fn child(&self) -> Result<u32, String> {
        let holder = self.holder.id();
        let children = fs::read_to_string(format!("/proc/{holder}/task/{holder}/children"));
        let children = children.map_err(|error| error.to_string())?;
        let child = children.trim().parse().map_err(|error| format!("children {children:?}: {error}"))?;
        let program = fs::read_link(format!("/proc/{child}/exe")).map_err(|error| error.to_string())?;
        if program.ends_with("systemd") { Ok(child) } else { Err(program.display().to_string()) }
    }

    /// A path of the host, for this process.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.init))
    }

    /// Runs a command on the host, with a shell's usual environment and nobody at the keyboard.
    pub fn run(&self, command: &[&str]) -> Output {
        Command::new("timeout")
            .args([LIMIT, "nsenter", "--mount", "--net", "--pid", "--uts", "--ipc", "--cgroup", "--target"])
            .arg(self.init.to_string())
            .args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "DEBIAN_FRONTEND=noninteractive"])
            .args(command)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Runs a command that must succeed, and gives all that it has printed.
    #[track_caller]
    pub fn must(&self, command: &[&str]) -> String {
        let output = self.run(command);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "{command:?}: {}: {text}", output.status);
        text
    }

    /// Installs package files that lie on this machine.
    #[track_caller]
    pub fn install(&self, packages: &[&Path]) -> String {
        let copies: Vec<String> =
            packages.iter().map(|path| format!("/root/{}", path.file_name().unwrap().to_string_lossy())).collect();
        for (package, copy) in packages.iter().zip(&copies) {
            fs::copy(package, self.path(copy)).unwrap();
        }
        let command: Vec<&str> = ["dpkg", "--install"].into_iter().chain(copies.iter().map(String::as_str)).collect();
        self.must(&command)
    }

    /// What dpkg says of a package, such as `install ok installed`.
    pub fn package(&self, name: &str) -> String {
        let output = self.run(&["dpkg-query", "--show", "--showformat=${Status}", name]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// How a unit is, and the end of its log, for whoever reads why a test has failed.
    pub fn log(&self, unit: &str) -> String {
        let output = self.run(&["journalctl", "--no-pager", "--lines=60", "--output=short-precise", "--unit", unit]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A property of a unit.
    #[track_caller]
    pub fn unit(&self, name: &str, property: &str) -> String {
        self.must(&["systemctl", "show", "--value", "--property", property, name]).trim().to_owned()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.log("boot*"));
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        let _ = fs::remove_dir(&self.mount);
        // The namespace's processes die with its first one, shortly.
        let _ = fs::write(self.cgroup.join("cgroup.kill"), "1");
        let within = |path: &Path| -> Vec<PathBuf> {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
        };
        fn remove(path: &Path, within: &dyn Fn(&Path) -> Vec<PathBuf>) -> std::io::Result<()> {
            for inner in within(path) {
                remove(&inner, within)?;
            }
            fs::remove_dir(path)
        }
        for _ in 0..50 {
            match remove(&self.cgroup, &within) {
                Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(Duration::from_millis(100));
                }
                _ => break,
            }
        }
    }
}

/// Where this machine has its cgroups of the second version.
fn cgroups() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mount = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
    PathBuf::from(mount.and_then(|line| line.split(' ').nth(1)).expect("a cgroup2 mount, which systemd needs"))
}

/// The tree of all hosts: made by the first test that asks, kept in the target directory.
pub fn tree() -> PathBuf {
    static TREE: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    TREE.get_or_init(|| {
        // Overlays take a comma for the end of the name.
        let name = format!("bookworm-{}-{FETCHED}", INCLUDED.replace(',', "-"));
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if !kept.exists() {
            let fresh = kept.with_extension(std::process::id().to_string());
            let fetch = format!("--customize-hook=cd \"$1/root\" && apt-get download {FETCHED}");
            let begun = std::time::Instant::now();
            let made = Command::new("mmdebstrap")
                .args(["--quiet", "--variant=minbase", "--include", INCLUDED, "--dpkgopt=force-unsafe-io"])
                .args(["--aptopt=Acquire::Languages \"none\"", &fetch, "bookworm"])
                .arg(&fresh)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            assert!(made.status.success(), "mmdebstrap: {}", String::from_utf8_lossy(&made.stderr));
            fs::rename(&fresh, &kept).unwrap();
            crate::common::say(&format!("packages: a tree of Debian 12 in {:.0?}", begun.elapsed()));
        }
        kept
    })
    .clone()
}
