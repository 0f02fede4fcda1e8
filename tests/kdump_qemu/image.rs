//! What the machine boots: an initramfs that loads the crash kernel and panics, and in it the crash kernel's own.

use super::crash_image::{self, run};
use super::sender::sender;
use super::tools::Tools;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The key and the name of the machine's signed messages.
pub const KEY: &[u8] = b"a secret of eight or more";
pub const NODE: &str = "crashed";
/// The card's address where qemu is not told another one.
const MAC: &str = "52:54:00:12:34:56";
/// What the machine says when it is about to crash.
pub const CRASHING: &str = "CRASHING";

/// A network card.
pub struct Card {
    /// What qemu calls it.
    pub name: &'static str,
    modules: &'static [&'static str],
    pub is_virtual: bool,
}

pub const VIRTIO: Card = Card { name: "virtio-net-pci", modules: &["virtio_pci", "virtio_net"], is_virtual: true };
pub const E1000: Card = Card { name: "e1000", modules: &["e1000"], is_virtual: false };

/// Who sends, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Ours, from the first moment, signed.
    Ours,
    /// Debian's, when the network has been set up.
    Debians,
}

/// One crash.
pub struct Crash {
    pub card: &'static Card,
    /// The crash kernel's memory, in MiB.
    pub megabytes: u32,
    pub image: Image,
}

/// Who has made the crash kernel's image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Image {
    /// The test: no more than a sender needs.
    Hand(Sender),
    /// Debian's mkinitramfs, with our hook.
    Hook,
}

const MOUNTS: &str = "#!/bin/busybox sh\n\
    /bin/busybox --install -s /bin\n\
    mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev\n\
    exec >/dev/console 2>&1\n";

/// The crash kernel: what is started before the network is there, and what behind it.
fn second_init(sender: Sender, port: u16) -> String {
    let send = format!("/bin/fence_kdump_send -v -p {port}");
    let ours = format!("{send} -k /key -n {NODE}");
    let (before, behind) = match sender {
        Sender::Ours => (format!("{ours} 10.0.2.2 &"), String::new()),
        Sender::Debians => (String::new(), format!("{send} -i 2 10.0.2.2 &")),
    };
    format!(
        "{MOUNTS}{before}\n\
         for module in /modules/*; do insmod $module; done\n\
         ip addr add 10.0.2.15/24 dev eth0; ip link set eth0 up\n\
         {behind}\n\
         sleep 1000\n"
    )
}

/// The machine's first kernel: everything is ready, so that nothing but the crash is measured.
fn first_init() -> String {
    // What RHEL gives its crash kernels, and the console. With `nokaslr` each run has the same memory. The hook's image
    // waits half a minute for a root file system, which this machine has not.
    let arguments = "console=ttyS0 loglevel=7 irqpoll nr_cpus=1 reset_devices cgroup_disable=memory mce=off numa=off \
                     transparent_hugepage=never nokaslr panic=-1 net.ifnames=0 root=/dev/none";
    format!(
        "{MOUNTS}\
         export LD_LIBRARY_PATH=/lib\n\
         /bin/kexec -p -s --initrd=/second --append='{arguments}' /vmlinuz || poweroff -f\n\
         echo {CRASHING}; echo c >/proc/sysrq-trigger\n"
    )
}

/// Makes the first initramfs below `directory`; gives its path.
pub fn make(tools: &Tools, crash: &Crash, port: u16, directory: &Path) -> PathBuf {
    let kernel = tools.kernel(crash.card.is_virtual);
    let second = match crash.image {
        Image::Hook => by_the_hook(tools, kernel, port, directory),
        Image::Hand(sender) => by_hand(tools, crash.card, sender, port, directory),
    };
    let first = Folder::new(directory.join("one"), tools);
    first.write("init", &first_init());
    let kexec = tools.file("sbin/kexec");
    first.copy(&kexec, "bin/kexec");
    first.copy_libraries(tools, &kexec);
    first.copy(&tools.file(&format!("boot/vmlinuz-{kernel}")), "vmlinuz");
    first.copy(&second, "second");
    first.pack()
}

/// The crash kernel's image as the hook makes it on a host with the machine's card.
fn by_the_hook(tools: &Tools, kernel: &str, port: u16, directory: &Path) -> PathBuf {
    let (host, image) = (directory.join("host"), directory.join("hook.img"));
    fs::create_dir_all(&host).unwrap();
    let modules = tools.file(&format!("lib/modules/{kernel}"));
    let config = tools.file(&format!("boot/config-{kernel}"));
    let make = || {
        crash_image::enter_host(&host);
        run(&format!(
            "ip link set e0 down && ip link set e0 address {MAC} && ip addr flush dev e0 && ip link set e0 up"
        ));
        run("ip addr add 10.0.2.15/24 dev e0");
        crash_image::make_e0_a_card("virtio_net");
        crash_image::install(sender(), kernel);
        run(&format!("mount --bind {} /lib/modules/{kernel} && cp {} /boot", modules.display(), config.display()));
        fs::write("/etc/kdump.key", KEY).unwrap();
        let settings =
            format!("FENCE_KDUMP_NODES=10.0.2.2\nFENCE_KDUMP_ARGS='-v -p {port} -n {NODE} -k /etc/kdump.key'\n");
        fs::write("/etc/default/fence_kdump", settings).unwrap();
        // The card's bus, which kdump-tools finds among the modules that are loaded.
        run(&format!("echo virtio_pci >{}/modules", crash_image::CONFIGURATION));
        run(&format!("mkinitramfs -c gzip -d {} -o {} {kernel}", crash_image::CONFIGURATION, image.display()));
    };
    // Namespaces are a thread's: the machine itself runs on this host.
    std::thread::scope(|scope| scope.spawn(make).join().unwrap());
    image
}

/// The crash kernel's image with no more than is looked at.
fn by_hand(tools: &Tools, card: &Card, by: Sender, port: u16, directory: &Path) -> PathBuf {
    let kernel = tools.kernel(card.is_virtual);
    let second = Folder::new(directory.join("two"), tools);
    second.write("init", &second_init(by, port));
    for (at, module) in card.modules.iter().flat_map(|module| tools.modules(kernel, module)).enumerate() {
        second.copy(&module, &format!("modules/{at:02}"));
    }
    match by {
        Sender::Ours => {
            second.copy(sender(), "bin/fence_kdump_send");
            second.write("key", std::str::from_utf8(KEY).unwrap());
        }
        Sender::Debians => {
            let theirs = tools.file("usr/libexec/fence-agents/fence_kdump_send");
            second.copy(&theirs, "bin/fence_kdump_send");
            second.copy_libraries(tools, &theirs);
        }
    }
    second.pack()
}

/// The content of an initramfs.
struct Folder(PathBuf);

impl Folder {
    fn new(path: PathBuf, tools: &Tools) -> Folder {
        for name in ["bin", "proc", "sys", "dev"] {
            fs::create_dir_all(path.join(name)).unwrap();
        }
        let folder = Folder(path);
        folder.copy(&tools.file("bin/busybox"), "bin/busybox");
        folder
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
        fs::set_permissions(self.0.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn copy(&self, from: &Path, name: &str) {
        let to = self.0.join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from, to).unwrap();
    }

    fn copy_libraries(&self, tools: &Tools, program: &Path) {
        for library in tools.libraries_of(program) {
            let name = library.file_name().unwrap().to_str().unwrap().to_owned();
            // The dynamic linker is named by its path, and told of the rest's.
            let folder = if name.starts_with("ld-linux") { "lib64" } else { "lib" };
            self.copy(&library, &format!("{folder}/{name}"));
        }
    }

    fn pack(&self) -> PathBuf {
        let image = self.0.with_extension("img");
        let script = format!("find . | cpio -o -H newc --quiet | gzip -1 >{}", image.display());
        let packed = Command::new("sh").args(["-euc", &script]).current_dir(&self.0).status().unwrap();
        assert!(packed.success() && fs::metadata(&image).unwrap().len() > 0);
        image
    }
}
