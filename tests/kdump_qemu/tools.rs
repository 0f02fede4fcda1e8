//! Debian's packages: qemu, two kernels, busybox, kexec, the original sender, each unpacked below the target directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What is used by its path. The kernels join them, found by the packages that name the newest one.
const PACKAGES: [&str; 7] = [
    "qemu-system-x86",
    "qemu-system-common",
    "qemu-system-data",
    "seabios",
    "busybox-static",
    "kexec-tools",
    "fence-agents",
];
/// Those whose libraries are needed too, where they are not installed.
const LINKED: [&str; 2] = ["qemu-system-x86", "kexec-tools"];

/// Where things are.
#[derive(Debug)]
pub struct Tools {
    root: PathBuf,
    cloud: String,
    generic: String,
}

/// Debian's programs; why not, where they cannot be had.
pub fn tools() -> &'static Result<Tools, String> {
    static FOUND: OnceLock<Result<Tools, String>> = OnceLock::new();
    FOUND.get_or_init(unpack)
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(String::from_utf8_lossy(&output.stdout).into_owned()) } else { Err(errors) }
}

/// The version of the newest kernel of a flavour, as in `6.1.0-50-cloud-amd64`.
fn newest(flavour: &str) -> Result<String, String> {
    let package = format!("linux-image-{flavour}");
    let listed = output(Command::new("apt-cache").args(["depends", &package]))?;
    let versions = listed.lines().filter_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    versions.map(str::to_owned).next().ok_or_else(|| format!("{package} names no kernel: {listed}"))
}

/// What the linked packages depend on, and is not installed.
fn missing() -> Result<Vec<String>, String> {
    let links = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"];
    let mut depends = Command::new("apt-cache");
    depends.args(["depends", "--recurse"]).args(links.map(|link| format!("--no-{link}"))).args(LINKED);
    let listed = output(&mut depends)?;
    let installed = output(Command::new("dpkg-query").args(["-Wf", "${Package} ${db:Status-Status}\n"]))?;
    let installed: Vec<&str> = installed.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    // Indented lines say why; those with a colon are of other architectures, those with brackets no packages.
    let packages = listed.lines().filter(|line| !line.contains([' ', ':', '<']));
    let wanted = |package: &&str| !installed.contains(package) && !PACKAGES.contains(package);
    Ok(packages.filter(wanted).map(str::to_owned).collect())
}

fn unpack() -> Result<Tools, String> {
    let (cloud, generic) = (newest("cloud-amd64")?, newest("amd64")?);
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kdump-{cloud}"));
    let complete = root.join("complete");
    if !complete.exists() {
        let debs = root.join("debs");
        std::fs::create_dir_all(&debs).map_err(|error| error.to_string())?;
        let kernels = [&cloud, &generic].map(|kernel| format!("linux-image-{kernel}"));
        let mut download = Command::new("apt-get");
        download.args(["-qq", "download"]).args(PACKAGES).args(kernels).args(missing()?);
        output(download.current_dir(&debs))?;
        let script = "for package in *.deb; do dpkg -x \"$package\" ..; done; rm -r ../debs ../usr/share/doc";
        output(Command::new("sh").args(["-euc", script]).current_dir(&debs))?;
        for kernel in [&cloud, &generic] {
            output(Command::new("depmod").arg("-b").arg(&root).arg(kernel))?;
        }
        std::fs::write(complete, "").map_err(|error| error.to_string())?;
    }
    Ok(Tools { root, cloud, generic })
}

impl Tools {
    /// An unpacked file.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The kernel that has a driver for the card: the cloud's, which knows no physical one, or else the general one.
    pub fn kernel(&self, is_virtual: bool) -> &str {
        if is_virtual { &self.cloud } else { &self.generic }
    }

    /// The folders of unpacked libraries, for the dynamic linker.
    pub fn libraries(&self) -> String {
        ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|path| self.file(path).display().to_string()).join(":")
    }

    /// The libraries that a program is linked with, and the dynamic linker.
    pub fn libraries_of(&self, program: &Path) -> Vec<PathBuf> {
        let listed = output(Command::new("ldd").arg(program).env("LD_LIBRARY_PATH", self.libraries())).unwrap();
        assert!(!listed.contains("not found"), "{listed}");
        listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
    }

    /// The modules that a module needs, in the order to load them, itself the last.
    pub fn modules(&self, kernel: &str, module: &str) -> Vec<PathBuf> {
        let mut modprobe = Command::new("modprobe");
        let listed = output(modprobe.arg("-d").arg(&self.root).args(["-S", kernel, "--show-depends", module])).unwrap();
        listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
    }
}
