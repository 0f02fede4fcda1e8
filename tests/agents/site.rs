//! A site in a network and a mount namespace of its own, for its agents.

use super::patience::{PATIENCE, wait_for};
use super::{live, scratch};
use booth::process::lockfile::{self, Inspection};
use booth::store::{Ticket, file};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub const ADDRESS: &str = "10.91.0.1";
/// A lease of 4 s, given up 0.4 s before its end.
pub const SHORT: &str = "ticket = T\nexpire = 4\ntimeout = 300ms\nretries = 3\n";
pub const LONG: &str = "ticket = T\nexpire = 600\nattr-prereq = manual state eq READY\n";

/// Files of a test, and what its agents are told.
pub struct Site {
    pub directory: PathBuf,
}

/// How a program has ended.
#[derive(Debug)]
pub struct Ended {
    pub status: i32,
    pub out: String,
    pub err: String,
    pub took: Duration,
}

/// Runs `body` on a host of its own: one address, and a /run that is empty. Needs root; skipped without.
#[track_caller]
pub fn on_a_host(test: &'static str, body: impl FnOnce(&Site) + Send + 'static) {
    if !live::is_root(test) {
        return;
    }
    // Namespaces belong to threads; children inherit those of the one that starts them.
    let thread = std::thread::Builder::new().name(test.to_owned()).spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
        for line in [
            "mount --make-rprivate /",
            "mount -t tmpfs tmpfs /run",
            "ip link set lo up",
            &format!("ip addr add {ADDRESS}/24 dev lo"),
        ] {
            let mut words = line.split(' ');
            let done = Command::new(words.next().unwrap()).args(words).status().unwrap();
            assert!(done.success(), "{line}");
        }
        let site = Site::new(test);
        body(&site);
    });
    if let Err(panic) = thread.unwrap().join() {
        std::panic::resume_unwind(panic);
    }
}

impl Site {
    fn new(name: &str) -> Site {
        let directory = scratch::directory(name);
        let bin = directory.join("bin");
        fs::create_dir_all(&bin).unwrap();
        for name in ["boothd", "booth", "geostore"] {
            symlink(env!("CARGO_BIN_EXE_boothd"), bin.join(name)).unwrap();
        }
        symlink(env!("CARGO_BIN_EXE_boothctl"), bin.join("boothctl")).unwrap();
        let site = Site { directory };
        site.configure(SHORT);
        site
    }

    pub fn configuration(&self) -> PathBuf {
        self.directory.join("site.conf")
    }

    pub fn configure(&self, lines: &str) {
        let directory = self.directory.display();
        let text = format!(
            "port = 9929\nsite = {ADDRESS}\nsite-user = root\nsite-group = root\nstore = file:{directory}/store\n\
             journal = {directory}/journal\n{lines}"
        );
        fs::write(self.configuration(), text).unwrap();
    }

    /// A program in the environment of the cluster's executor.
    pub fn command(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let path = format!("{}:{}", self.directory.join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(program);
        command.args(arguments).env("PATH", path).env("OCF_ROOT", "/usr/lib/ocf");
        command.env("OCF_RESOURCE_INSTANCE", "booth").env("OCF_RESKEY_config", self.configuration());
        command.env("OCF_RESKEY_CRM_meta_timeout", "20000").env("HA_RSCTMP", self.directory.join("tmp"));
        command.stdin(Stdio::null());
        command
    }

    /// Runs an action of an agent; one that is not a probe.
    pub fn agent(&self, agent: &Path, action: &str) -> Ended {
        let mut command = self.command(agent, &[action]);
        run(command.env("OCF_RESKEY_CRM_meta_interval", if action == "monitor" { "10000" } else { "0" }))
    }

    pub fn booth_site(&self, action: &str) -> Ended {
        self.agent(&packaged("ocf/booth-site"), action)
    }

    #[track_caller]
    pub fn expect(&self, action: &str, status: i32) -> Ended {
        let ended = self.booth_site(action);
        assert_eq!(ended.status, status, "{action}: {ended:?}");
        ended
    }

    pub fn booth(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command(self.directory.join("bin/booth"), arguments);
        run(command.arg("-c").arg(self.configuration()))
    }

    /// The process that holds the lock file, if any does.
    pub fn pid(&self) -> Option<i32> {
        match lockfile::inspect(Path::new("/var/run/booth/site.pid")).unwrap() {
            Inspection::Running { pid, .. } => Some(pid),
            Inspection::NotRunning => None,
        }
    }

    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().unwrap()), signal).unwrap();
    }

    pub fn grant(&self) {
        let granted = self.booth(&["grant", "-w"]);
        assert_eq!(granted.status, 0, "{granted:?}");
    }

    pub fn stored(&self) -> Ticket {
        file::parse(&fs::read_to_string(self.directory.join("store/T.ticket")).unwrap(), "T").unwrap()
    }

    /// When the recorded lease ends, in seconds since the epoch.
    pub fn lease_end(&self) -> f64 {
        self.stored().expires.unwrap().seconds() as f64
    }

    #[track_caller]
    pub fn wait_until_revoked(&self) {
        wait_for("the ticket is revoked", || !self.stored().granted);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        // A guard that waits ends when nothing is granted.
        let _ = fs::remove_dir_all(self.directory.join("store"));
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// A file that is shipped.
pub fn packaged(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

/// Runs a program to its end, which must come.
#[track_caller]
pub fn run(command: &mut Command) -> Ended {
    run_within(command, 3 * PATIENCE.as_secs())
}

/// As [`run`], within so many seconds.
#[track_caller]
pub fn run_within(command: &mut Command, seconds: u64) -> Ended {
    let begun = Instant::now();
    let mut shell = Command::new("timeout");
    // A daemon that it leaves behind must not keep our pipes.
    shell.args(["--kill-after=1", &seconds.to_string()]).arg(command.get_program());
    shell.args(command.get_args()).stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let output = shell.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    // A host is switched off, which its first process tells by a signal.
    let status = output.status.code().unwrap_or(-1);
    assert_ne!(status, 124, "{command:?} does not end");
    Ended { status, out: text(output.stdout), err: text(output.stderr), took: begun.elapsed() }
}

pub fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
