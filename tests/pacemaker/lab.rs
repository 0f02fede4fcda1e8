//! A geo cluster in namespaces: two sites, each a Pacemaker cluster of its own with watched services behind tickets,
//! and an arbitrator. All of it ends when the value is dropped, after a panic too.

use crate::cluster::{self, Extra, Service};
use crate::common::{Family, Network, Outcome, PORT, Program, eventually, netlink_shim, now, say};
use crate::host::{Host, Process};
use crate::places::{self, Place};
use crate::scratch;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// No answer of a member or of Pacemaker that nothing stands in the way of takes longer, on a busy machine.
pub const PROMPT: Duration = Duration::from_secs(30);

/// A ticket of the lab.
#[derive(Clone, Copy, Debug)]
pub struct Ticket {
    pub name: &'static str,
    /// Seconds.
    pub expire: u32,
    /// Seconds.
    pub acquire_after: u32,
    /// Further lines of its configuration.
    pub more: &'static str,
}

impl Ticket {
    pub const fn new(name: &'static str, expire: u32, acquire_after: u32) -> Ticket {
        Ticket { name, expire, acquire_after, more: "" }
    }
}

/// What a lab is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Nodes of the first site, one or two; the second has one.
    pub nodes: usize,
    /// What all members run at first.
    pub program: Program,
    /// Whether the daemons of sites are started by the lab; else `extra` has a resource for it.
    pub daemons: bool,
    /// Whether the daemons are started before the clusters, as at a boot.
    pub early: bool,
    /// Whether members are started at all.
    pub members: bool,
    /// Whether ocf:pacemaker:booth-site is ours, as our packages install it, and not the reference's.
    pub our_agent: bool,
    /// Whether all members listen for the dumps of the first site's nodes, which sign them, and count that site as
    /// crashed when all of its nodes dump.
    pub crash_release: bool,
    pub tickets: Vec<Ticket>,
    pub services: Vec<Service>,
    /// What a site's cluster has beside the services, by site.
    pub extra: [Extra; 2],
}

impl Plan {
    /// Two sites of one node, all members ours.
    pub fn ours(tickets: &[Ticket], services: &[Service]) -> Plan {
        Plan {
            nodes: 1,
            program: Program::Ours,
            daemons: true,
            early: false,
            members: true,
            our_agent: false,
            crash_release: false,
            tickets: tickets.to_vec(),
            services: services.to_vec(),
            extra: Default::default(),
        }
    }
}

/// The lab, running.
pub struct Lab {
    name: String,
    pub plan: Plan,
    pub hosts: Vec<Option<Host>>,
    daemons: Vec<Option<Process>>,
    /// What each member runs.
    pub programs: Vec<Program>,
    network: Network,
    pub directory: PathBuf,
    /// The last to go.
    _place: Place,
}

/// The address of a site of two nodes, which moves with the daemon.
pub const FLOATING: &str = "10.90.0.100";
/// What a node has on its disk, of all that it writes.
const KEPT: [&str; 2] = ["/var/lib/pacemaker", "/var/lib/booth"];
/// These directories.
pub type Disk = [File; KEPT.len()];
/// The configuration of every member.
pub const CONFIGURATION: &str = "/etc/booth/booth.conf";

impl Lab {
    /// Makes the hosts, starts clusters and members side by side; returns when all of them serve.
    pub fn start(name: &str, plan: Plan) -> Lab {
        let place = places::running();
        let _starting = places::starting();
        let begun = now();
        let count = plan.nodes + 2;
        let network = Network::new(count, Family::V4);
        let directory = scratch::directory(network.number());
        let mut lab = Lab {
            name: name.to_owned(),
            programs: vec![plan.program; count],
            daemons: vec![None; count],
            hosts: Vec::new(),
            plan,
            network,
            directory,
            _place: place,
        };
        lab.write_layers();
        for number in 0..count {
            let host = lab.new_host(number);
            lab.hosts.push(Some(host));
            lab.write_configuration(number);
        }
        if lab.plan.early {
            lab.start_members();
            say(&format!("{name}: all members answer before there is a cluster, after {:.1} s", now() - begun));
        }
        lab.start_clusters();
        if lab.plan.members && !lab.plan.early {
            lab.start_members();
        }
        say(&format!("{name}: {count} hosts, {} with Pacemaker, up after {:.1} s", count - 1, now() - begun));
        lab
    }

    fn start_members(&mut self) {
        let members = (0..self.hosts.len()).filter(|number| self.plan.daemons || *number == self.arbitrator());
        let members: Vec<usize> = members.collect();
        for number in &members {
            self.launch(*number);
        }
        for number in members {
            self.wait_until_up(number);
        }
    }

    fn new_host(&self, number: usize) -> Host {
        let last = self.arbitrator();
        let name = match number {
            number if number == last => "arbitrator".to_owned(),
            number if number == self.other_site() => "b".to_owned(),
            number => format!("a{}", number + 1),
        };
        let layers = [&*self.directory.join("sbin"), &*self.directory.join("ocf")];
        Host::start(&self.network, number, &name, &self.directory.join(&name), layers)
    }

    /// The first node of the second site: its only one.
    pub fn other_site(&self) -> usize {
        self.plan.nodes
    }

    /// The host of the arbitrator.
    pub fn arbitrator(&self) -> usize {
        self.plan.nodes + 1
    }

    fn write_layers(&self) {
        let (sbin, agents) = (self.directory.join("sbin"), self.directory.join("ocf"));
        fs::set_permissions(&self.directory, fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir_all(&sbin).unwrap();
        let shim = self.directory.join("netlink_done.so");
        fs::write(&shim, netlink_shim()).unwrap();
        let script = |path: PathBuf, text: &str| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        // Copies: users other than root may not be able to reach this repository.
        script(sbin.join("crm_ticket"), include_str!("crm_ticket"));
        script(sbin.join("fence_lab"), include_str!("fence_lab"));
        script(sbin.join("resources-stopped"), include_str!("../../packaging/handlers/resources-stopped"));
        script(sbin.join("service-runnable"), include_str!("../../packaging/handlers/service-runnable"));
        if self.plan.program.is_ours() {
            script(sbin.join("booth-keygen"), include_str!("../../packaging/booth-keygen"));
        }
        for name in ["boothd", "booth", "geostore"] {
            match self.plan.program.is_ours() {
                true => symlink(Program::Ours.daemon(), sbin.join(name)).unwrap(),
                // Who calls it does not know what it needs on a new kernel.
                false => script(
                    sbin.join(name),
                    &format!(
                        "#!/bin/bash\nexport LD_PRELOAD={}\nexec -a \"$0\" /run/lab/lower/usr/sbin/boothd \"$@\"\n",
                        shim.display()
                    ),
                ),
            }
        }
        symlink(Program::Ours.client(), sbin.join("boothctl")).unwrap();
        symlink(env!("CARGO_BIN_EXE_fence_kdump"), sbin.join("fence_kdump")).unwrap();
        cluster::write_agents(&agents, self.plan.our_agent);
    }

    /// The address under which a member speaks.
    pub fn address(&self, number: usize) -> String {
        match self.plan.nodes == 2 && number < 2 {
            true => FLOATING.to_owned(),
            false => self.network.address(number).to_string(),
        }
    }

    /// The address of a node itself.
    pub fn node_address(&self, number: usize) -> String {
        self.network.address(number).to_string()
    }

    fn configuration(&self) -> String {
        let [a, b, arbitrator] = [0, self.other_site(), self.arbitrator()].map(|number| self.address(number));
        let mut text = format!(
            "transport = UDP\nport = {PORT}\nauthfile = /etc/booth/booth.key\nsite = {a}\nsite = {b}\narbitrator = {arbitrator}\n"
        );
        let nodes: Vec<String> = (0..self.plan.nodes).map(|number| self.host_name(number)).collect();
        if self.plan.crash_release {
            text += "kdump-listen = 7410\n";
            text.extend(nodes.iter().map(|node| format!("kdump-key = {node} {}\n", inner_key(node))));
        }
        for Ticket { name, expire, acquire_after, more } in &self.plan.tickets {
            text += &format!(
                "ticket = \"{name}\"\n expire = {expire}\n acquire-after = {acquire_after}\n timeout = 1\n retries = 3\n{more}"
            );
            if self.plan.crash_release {
                text += &format!(" crash-release = {a} {}\n", nodes.join(" "));
            }
        }
        text
    }

    /// Writes the configuration of a member, and the keys that it names.
    pub fn write_configuration(&self, number: usize) {
        let host = self.host(number);
        fs::write(host.path(CONFIGURATION), self.configuration()).unwrap();
        let user = nix::unistd::User::from_name("hacluster").unwrap().expect("package pacemaker makes hacluster");
        let write_key = |inside: &str, key: &[u8]| {
            let path = host.path(inside);
            fs::write(&path, key).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
        };
        write_key("/etc/booth/booth.key", crate::common::KEY);
        if self.plan.crash_release {
            for node in (0..self.plan.nodes).map(|number| self.host_name(number)) {
                write_key(&inner_key(&node), node_key(&node).as_bytes());
            }
            self.name_nodes(number);
        }
    }

    /// Lets a host know the nodes of the first site by their names.
    pub fn name_nodes(&self, number: usize) {
        let host = self.host(number);
        let hosts = host.home().join("hosts");
        let line = |node: usize| format!("{} {}\n", self.node_address(node), self.host_name(node));
        let lines: String = (0..self.plan.nodes).map(line).collect();
        fs::write(&hosts, format!("127.0.0.1 localhost\n{lines}")).unwrap();
        host.must("/bin/mount", &["--bind", hosts.to_str().unwrap(), "/etc/hosts"]);
    }

    fn start_clusters(&self) {
        let nodes: Vec<(usize, &Host)> = (0..self.arbitrator()).map(|number| (number, self.host(number))).collect();
        let (first, second) = nodes.split_at(self.plan.nodes);
        cluster::begin("a", first, &self.network, &self.plan.services, &self.plan.extra[0]);
        cluster::begin("b", second, &self.network, &self.plan.services, &self.plan.extra[1]);
        for (_, host) in &nodes {
            cluster::begin_pacemaker(host);
        }
        for (_, host) in &nodes {
            cluster::wait_until_online(host);
        }
    }

    /// A host that is up.
    #[track_caller]
    pub fn host(&self, number: usize) -> &Host {
        self.hosts[number].as_ref().expect("a host that is up")
    }

    /// What a node of the first site keeps on its disk, to be read when it is down, too.
    pub fn disk(&self, number: usize) -> Disk {
        KEPT.map(|directory| File::open(self.host(number).path(directory)).unwrap())
    }

    /// Starts nodes of the first site again, and what is started with a node, with what was on their disks.
    pub fn boot(&mut self, nodes: &[(usize, &Disk)]) {
        for (number, disk) in nodes {
            assert!(self.hosts[*number].is_none(), "{} is up", self.host_name(*number));
            // The address that Pacemaker had brought there went with the kernel.
            let mut ip = self.network.command(*number, Path::new("/usr/sbin/ip"));
            let _ = crate::common::run(ip.args(["addr", "del", &format!("{FLOATING}/24"), "dev", "e0"]));
            let host = self.new_host(*number);
            for (directory, kept) in KEPT.iter().zip(disk.iter()) {
                let kept = format!("/proc/{}/fd/{}/.", std::process::id(), kept.as_raw_fd());
                let copied = Command::new("/bin/cp").arg("-a").arg(kept).arg(host.path(directory)).status();
                assert!(copied.unwrap().success());
            }
            self.hosts[*number] = Some(host);
            self.write_configuration(*number);
        }
        let site: Vec<(usize, &Host)> = (0..self.plan.nodes).map(|number| (number, self.host(number))).collect();
        let booting = || nodes.iter().map(|(number, _)| self.host(*number));
        booting().for_each(|host| cluster::begin_corosync("a", host, &site, &self.network));
        booting().for_each(cluster::begin_pacemaker);
    }

    /// A command in the network of a host that need not be up.
    pub fn network_command(&self, number: usize, program: &Path) -> Command {
        self.network.command(number, program)
    }

    /// Ends a host and all that runs on it at once, as a power failure does. When that was.
    pub fn kill(&mut self, number: usize) -> f64 {
        let at = now();
        self.daemons[number] = None;
        self.hosts[number] = None;
        at
    }

    /// Starts the daemon of a member and returns at once.
    pub fn launch(&mut self, number: usize) {
        assert!(self.daemons[number].is_none(), "{} has a daemon already", self.host(number).name());
        let command = self.booth(number, self.programs[number].daemon(), &["daemon", "-S", "-c", CONFIGURATION]);
        self.daemons[number] = Some(self.host(number).spawn(command, "booth.log"));
    }

    /// Waits until a member answers clients.
    #[track_caller]
    pub fn wait_until_up(&self, number: usize) {
        eventually(&format!("{} answers clients", self.host(number).name()), PROMPT, || {
            let outcome = self.client(number, &["list"]);
            if outcome.status == Some(0) { Ok(()) } else { Err(format!("{outcome:?}")) }
        });
    }

    /// Replaces the daemon of a member by that of another program.
    pub fn replace(&mut self, number: usize, program: Program) {
        self.signal(number, Signal::SIGTERM);
        let old = self.daemons[number].take().expect("a running member");
        eventually("the old daemon has ended", PROMPT, || {
            if ended(old) { Ok(()) } else { Err(format!("process {}", old.pid)) }
        });
        self.programs[number] = program;
        self.launch(number);
        self.wait_until_up(number);
    }

    /// Sends a signal to the daemon of a member that the lab has started.
    pub fn signal(&self, number: usize, signal: Signal) {
        let process = self.daemons[number].expect("a running member");
        kill(Pid::from_raw(process.pid), signal).unwrap();
    }

    /// Runs a client on a member: a verb and its arguments.
    pub fn client(&self, number: usize, arguments: &[&str]) -> Outcome {
        let all = [&arguments[..1], &["-c", CONFIGURATION], &arguments[1..]].concat();
        let program = match self.programs[number] {
            Program::Ours => Program::Ours.client(),
            // By this name: the reference's agent takes all that matches `boothd.*CONFIGURATION` for the daemon.
            Program::Reference => "/usr/sbin/booth",
        };
        crate::common::run(&mut self.booth(number, program, &all)).unwrap()
    }

    /// A command of either program, with what the old one needs to run on a new kernel.
    fn booth(&self, number: usize, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.host(number).command(program, arguments);
        if !self.programs[number].is_ours() {
            command.env("LD_PRELOAD", self.directory.join("netlink_done.so"));
        }
        command
    }

    /// Runs our client of attributes on a member.
    pub fn geostore(&self, number: usize, arguments: &[&str]) -> Outcome {
        let all = [&arguments[..1], &["-c", CONFIGURATION], &arguments[1..]].concat();
        self.host(number).run("/usr/sbin/geostore", &all)
    }

    /// As [`Lab::client`], and it must succeed.
    #[track_caller]
    pub fn must(&self, number: usize, arguments: &[&str]) -> String {
        let outcome = self.client(number, arguments);
        assert_eq!(outcome.status, Some(0), "{arguments:?} on {}: {outcome:?}", self.host(number).name());
        outcome.stdout
    }

    /// Name of a host.
    pub fn host_name(&self, number: usize) -> String {
        match number {
            number if number == self.arbitrator() => "arbitrator".to_owned(),
            number if number == self.other_site() => "b".to_owned(),
            number => format!("a{}", number + 1),
        }
    }

    /// Cuts a host off from all others.
    pub fn cut(&self, number: usize) -> f64 {
        self.network.filter(number, "drop", "drop");
        now()
    }

    /// Cuts a host off from some others only, both ways.
    pub fn part(&self, number: usize, from: &[usize]) {
        let rules = |direction: &str| {
            let rule = |peer: &usize| format!("ip {direction} {} drop", self.address(*peer));
            from.iter().map(rule).collect::<Vec<_>>().join("\n ")
        };
        self.network.filter(number, &rules("saddr"), &rules("daddr"));
    }

    /// Ends a cut.
    pub fn heal(&self, number: usize) {
        self.network.filter(number, "", "");
    }

    /// Prints a line about what was seen.
    pub fn tell(&self, line: &str) {
        say(&format!("{}: {line}", self.name));
    }
}

/// Where a member has the key of a node's dumps.
fn inner_key(node: &str) -> String {
    format!("/etc/booth/{node}.key")
}

/// The key of a node's dumps.
pub fn node_key(node: &str) -> String {
    format!("the key of the dumps of {node}")
}

impl Drop for Lab {
    fn drop(&mut self) {
        if thread::panicking() {
            for (number, host) in self.hosts.iter().enumerate() {
                let Some(host) = host else { continue };
                say(&format!("--- {}: {} host {number} {}", self.name, self.plan.program.daemon(), host.name()));
                for log in [host.home().join("booth.log"), host.home().join("tickets")] {
                    say(&format!("--- {}\n{}", log.display(), tail(&log, |_| true)));
                }
                let log = host.path("/var/log/pacemaker/pacemaker.log");
                say(&format!("--- {}\n{}", log.display(), tail(&log, |line| !line.contains("\tinfo: "))));
                for service in &self.plan.services {
                    say(&format!("--- {} {:?}", service.id, self.runs(number, service.id)));
                }
            }
        }
        self.hosts.clear();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The last lines of a log that are worth a look.
fn tail(log: &Path, wanted: impl Fn(&str) -> bool) -> String {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let mut lines: Vec<&str> = text.lines().rev().filter(|line| wanted(line)).take(40).collect();
    lines.reverse();
    lines.join("\n")
}

/// Whether a process is gone or waits only to be counted.
fn ended(process: Process) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", process.pid)).unwrap_or_default();
    status.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}
