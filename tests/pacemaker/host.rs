//! A host of the lab: network, mount, IPC, UTS and PID namespaces of its own, with private state directories.
//!
//! All that runs on a host ends with its first process, which ends with this value or with the test's process,
//! however that ends.

use crate::common::{Network, Outcome, eventually, run};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

/// Where the lab's own scripts are.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pacemaker");

/// A host that is up.
pub struct Host {
    name: String,
    home: PathBuf,
    /// Its standard input is held open as long as the host is to live.
    first: Child,
    /// What `nsenter` runs for us, to be waited for at the end.
    started: Mutex<Vec<Child>>,
}

/// A process that was started on a host.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// Its number outside of the host.
    pub pid: i32,
}

impl Host {
    /// Starts a host in the network namespace of that number. `sbin` and `agents` hide what /usr/sbin and the
    /// directory of resource agents have.
    pub fn start(network: &Network, number: usize, name: &str, home: &Path, layers: [&Path; 2]) -> Host {
        fs::create_dir_all(home).unwrap();
        let writable = home.join("tickets");
        // A host that starts again goes on with what it has written.
        File::options().create(true).append(true).open(&writable).unwrap();
        let _ = fs::remove_file(home.join("up"));
        fs::set_permissions(&writable, fs::Permissions::from_mode(0o666)).unwrap();
        let log = File::create(home.join("host.log")).unwrap();
        let mut command = network.command(number, Path::new("/usr/bin/unshare"));
        command.args(["--mount", "--ipc", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        command.arg(Path::new(SCRIPTS).join("host.sh"));
        command.env("LAB_NAME", name).env("LAB_HOME", home);
        command.env("LAB_SBIN", layers[0]).env("LAB_OCF", layers[1]);
        command.stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        let first = command.spawn().unwrap();
        let host = Host { name: name.into(), home: home.into(), first, started: Mutex::default() };
        eventually(&format!("host {name} is up"), Duration::from_secs(60), || {
            let log = || fs::read_to_string(home.join("host.log")).unwrap_or_default();
            if home.join("up").exists() { Ok(()) } else { Err(log()) }
        });
        host
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A directory that host and test see under the same path.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Where the test sees a file of the host's own.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.first_process()))
    }

    fn first_process(&self) -> i32 {
        only_child(self.first.id()).unwrap_or_else(|| panic!("host {} has gone", self.name))
    }

    /// A command on the host.
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("/usr/bin/nsenter");
        command.args(["--target", &self.first_process().to_string()]);
        command.args(["--net", "--mount", "--ipc", "--uts", "--pid", "--", program]).args(arguments);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("TZ", "UTC").env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs a short command on the host.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> Outcome {
        run(&mut self.command(program, arguments)).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// Runs a short command on the host that must succeed; gives what it prints.
    #[track_caller]
    pub fn must(&self, program: &str, arguments: &[&str]) -> String {
        let outcome = self.run(program, arguments);
        assert_eq!(outcome.status, Some(0), "{}: {program} {arguments:?}: {outcome:?}", self.name);
        outcome.stdout
    }

    /// Starts a daemon in the foreground with a command of this host, its messages in the host's file `log`.
    pub fn spawn(&self, mut command: Command, log: &str) -> Process {
        let program = format!("{command:?}");
        let log = File::options().create(true).append(true).open(self.home.join(log)).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap();
        let outer = child.id();
        self.started.lock().unwrap().push(child);
        // It needs a moment to fork into the namespace.
        let pid = eventually(&format!("{program} starts on {}", self.name), Duration::from_secs(30), || {
            only_child(outer).ok_or_else(|| "no process yet".to_owned())
        });
        Process { pid }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // `unshare` takes the first process with it, and the kernel the others.
        let _ = self.first.kill();
        let _ = self.first.wait();
        for child in self.started.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The process that another one has started and waits for.
fn only_child(of: u32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}
