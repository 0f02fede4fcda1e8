//! Three hosts on one switch: four network namespaces, named after this process and a counter. What a killed test has
//! left goes when the next one begins.

use super::process::{Outcome, run};
use super::scratch;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::panic::resume_unwind;
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

/// The port that every member listens on.
pub const PORT: u16 = 9929;

/// Which addresses the members have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 10.90.0.0/24
    V4,
    /// fd00:90::/64
    V6,
}

/// The namespaces of one cluster. Dropping it removes them, and with them the links.
pub struct Network {
    prefix: String,
    number: String,
    family: Family,
}

impl Network {
    /// Makes `hosts` hosts, each with one link `e0` to a common switch.
    pub fn new(hosts: usize, family: Family) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed).to_string();
        let network = Network { prefix: scratch::name(&number), number, family };
        let switch = network.switch();
        ip(&format!("netns add {switch}"));
        ip(&format!("-n {switch} link add br0 type bridge"));
        ip(&format!("-n {switch} link set br0 up"));
        for host in 0..hosts {
            network.add_host(host, &switch);
        }
        network
    }

    fn add_host(&self, host: usize, switch: &str) {
        let (name, address) = (self.namespace(host), self.address(host));
        let network = match self.family {
            Family::V4 => format!("{address}/24"),
            // Without duplicate address detection the address can be bound at once.
            Family::V6 => format!("{address}/64 nodad"),
        };
        ip(&format!("netns add {name}"));
        ip(&format!("link add e0 netns {name} type veth peer name p{host} netns {switch}"));
        ip(&format!("-n {switch} link set p{host} master br0 up"));
        ip(&format!("-n {name} link set lo up"));
        ip(&format!("-n {name} addr add {network} dev e0"));
        ip(&format!("-n {name} link set e0 up"));
    }

    /// Which one of this process it is.
    pub fn number(&self) -> &str {
        &self.number
    }

    /// The namespace through which all traffic passes.
    pub fn switch(&self) -> String {
        format!("{}-switch", self.prefix)
    }

    /// The namespace of a host.
    pub fn namespace(&self, host: usize) -> String {
        format!("{}-{host}", self.prefix)
    }

    /// The only address of a host.
    pub fn address(&self, host: usize) -> IpAddr {
        let number = u8::try_from(host + 1).expect("few hosts");
        match self.family {
            Family::V4 => Ipv4Addr::new(10, 90, 0, number).into(),
            Family::V6 => Ipv6Addr::new(0xfd00, 0x90, 0, 0, 0, 0, 0, number.into()).into(),
        }
    }

    /// A command that runs inside a host.
    pub fn command(&self, host: usize, program: &Path) -> Command {
        let mut command = Command::new("/usr/sbin/ip");
        command.args(["netns", "exec", &self.namespace(host)]).arg(program);
        command
    }

    /// Runs `act` on a thread that is inside a namespace: what sockets it opens stay there.
    pub fn inside<T: Send>(&self, namespace: &str, act: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(Path::new("/run/netns").join(namespace)).expect("a namespace of ours");
        let entered = || {
            setns(&namespace, CloneFlags::CLONE_NEWNET).expect("root may enter it");
            act()
        };
        thread::scope(|scope| scope.spawn(entered).join()).unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Replaces the packet filter of a host: nft rules for what comes in and for what goes out over its link.
    /// Rules may count with `counter name marked`, see [`Network::marked`].
    pub fn filter(&self, host: usize, input: &str, output: &str) {
        let rules = format!(
            "table inet lab\ndelete table inet lab\ntable inet lab {{\n counter marked {{ }}\n \
             chain in {{ type filter hook input priority 0; iifname != \"e0\" accept\n {input}\n }}\n \
             chain out {{ type filter hook output priority 0; oifname != \"e0\" accept\n {output}\n }}\n}}\n"
        );
        must("nft", self.command(host, Path::new("/usr/sbin/nft")).arg(&rules));
    }

    /// How many packets the filter of a host has counted.
    pub fn marked(&self, host: usize) -> u64 {
        let listing = must("nft", self.command(host, Path::new("/usr/sbin/nft")).arg("list counter inet lab marked"));
        let mut words = listing.stdout.split_whitespace().skip_while(|word| *word != "packets");
        words.nth(1).and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("nft counter: {listing:?}"))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let Ok(names) = std::fs::read_dir("/run/netns") else { return };
        for name in names.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            if name.strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('-')) {
                let _ = run(Command::new("/usr/sbin/ip").args(["netns", "del", &name]));
            }
        }
    }
}

/// Makes and removes one namespace, with the error of `ip` where that is not allowed.
pub fn probe() -> Result<(), String> {
    let number = "probe".to_string();
    let network = Network { prefix: scratch::name(&number), number, family: Family::V4 };
    let outcome = run(Command::new("/usr/sbin/ip").args(["netns", "add", &network.namespace(0)]))?;
    if outcome.status == Some(0) { Ok(()) } else { Err(outcome.stderr) }
}

/// Removes the namespaces of tests that were killed, and ends the daemons that those left in them.
fn sweep() {
    for path in scratch::left_behind(Path::new("/run/netns")) {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let inside = run(Command::new("/usr/sbin/ip").args(["netns", "pids", name])).map(|outcome| outcome.stdout);
        for process in inside.unwrap_or_default().lines().filter_map(|line| line.parse().ok()) {
            let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
        }
        let _ = run(Command::new("/usr/sbin/ip").args(["netns", "del", name]));
    }
}

fn ip(arguments: &str) {
    must("ip", Command::new("/usr/sbin/ip").args(arguments.split(' ')));
}

fn must(name: &str, command: &mut Command) -> Outcome {
    let outcome = run(command).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(outcome.status, Some(0), "{command:?}: {}", outcome.stderr);
    outcome
}
