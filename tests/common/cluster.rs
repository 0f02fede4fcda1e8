//! Two sites and an arbitrator, each run by either program, with the same configuration.

use super::network::{Family, Network, PORT};
use super::process::{Daemon, Outcome, Program, clock_shim, netlink_shim, run};
use super::ticket_store::{self, Change, double_ownership};
use super::{eventually, say, scratch};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Number of hosts.
pub const HOSTS: usize = 3;
/// The first site.
pub const SITE_1: usize = 0;
/// The second site.
pub const SITE_2: usize = 1;
/// The arbitrator.
pub const ARBITRATOR: usize = 2;
/// The ticket of every cluster.
pub const TICKET: &str = "T";
/// A ticket that only the administrator moves, in every cluster.
pub const MANUAL_TICKET: &str = "M";
/// The second automatic ticket, in clusters that have one.
pub const SECOND_TICKET: &str = "U";
/// A host that is no member and has no key, in clusters that have one.
pub const OUTSIDER: usize = HOSTS;
/// The secret of clusters with authentication.
pub const KEY: &[u8] = b"0123456789abcdef0123456789abcdef";

/// The times of the ticket.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Length of a lease.
    pub expire: Duration,
    /// Between two renewals.
    pub renewal: Duration,
    /// Until a request is sent again.
    pub timeout: Duration,
    /// How often a request is sent again.
    pub retries: u32,
}

impl Timing {
    /// All times are whole seconds, so that members tell each other whole seconds.
    pub const SECONDS: Timing = Timing {
        expire: Duration::from_secs(10),
        renewal: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        retries: 3,
    };
    /// One time is not, so that members tell each other milliseconds.
    pub const MILLISECONDS: Timing = Timing {
        expire: Duration::from_millis(4500),
        renewal: Duration::from_secs(2),
        timeout: Duration::from_millis(300),
        retries: 3,
    };
}

/// What a cluster is made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Who runs what, by host.
    pub programs: [Program; HOSTS],
    /// Whether members share a key.
    pub authenticated: bool,
    /// Which addresses they have.
    pub family: Family,
    /// How long a lost ticket rests.
    pub acquire_after: Duration,
    /// The other times.
    pub timing: Timing,
}

/// What a cluster has beside its plan.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras {
    /// The tickets have a before-acquire-handler, which succeeds until [`Cluster::fail_handler`].
    pub handler: bool,
    /// There is a [`SECOND_TICKET`].
    pub second_ticket: bool,
    /// This host keeps its journal on a small file system of its own; see [`Cluster::fill_disk`].
    pub small_disk: Option<usize>,
    /// The wall clock of this host can be stepped; see [`Cluster::step_clock`].
    pub clock: Option<usize>,
    /// There is an [`OUTSIDER`].
    pub outsider: bool,
}

/// A ticket's line in the answer to `list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Address of the holder, or `none` or `NONE`.
    pub leader: String,
    /// `YYYY-MM-DD HH:MM:SS`: sorts as time does.
    pub expires: Option<String>,
}

/// Running members. Dropping it ends them and removes all that was made; after a panic it first prints their logs.
pub struct Cluster {
    plan: Plan,
    extras: Extras,
    // Daemons go before the network that they run in.
    pub(super) daemons: [Option<Daemon>; HOSTS],
    pub(super) network: Network,
    directory: PathBuf,
    /// When a host was killed: it holds nothing from then on, whatever its store says.
    killed: [Vec<f64>; HOSTS],
}

impl Cluster {
    /// Makes the hosts and starts all members; returns when each answers clients.
    pub fn start(plan: Plan) -> Self {
        Cluster::start_with(plan, Extras::default())
    }

    /// As [`Cluster::start`], with something beside the plan.
    pub fn start_with(plan: Plan, extras: Extras) -> Self {
        let network = Network::new(HOSTS + usize::from(extras.outsider), plan.family);
        let directory = scratch::directory(network.number());
        let mut cluster = Cluster {
            plan,
            extras,
            daemons: [const { None }; HOSTS],
            network,
            directory,
            killed: [const { Vec::new() }; HOSTS],
        };
        cluster.write_files();
        for host in 0..HOSTS {
            cluster.launch(host);
        }
        for host in 0..HOSTS {
            cluster.wait_until_up(host);
        }
        cluster
    }

    fn write_files(&self) {
        // The daemons drop to users who must reach their files.
        let make = |path: &Path, mode| {
            fs::create_dir_all(path).expect("directory");
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
        };
        let file = |path: PathBuf, content: &[u8], mode| {
            fs::write(&path, content).expect("file");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
        };
        make(&self.directory, 0o755);
        make(&self.directory.join("bin"), 0o755);
        file(self.directory.join("bin/crm_ticket"), include_bytes!("crm_ticket.sh"), 0o755);
        // Our client is geostore under that name.
        symlink(Program::Ours.client(), self.directory.join("bin/geostore")).expect("link");
        file(self.directory.join("netlink_done.so"), netlink_shim(), 0o755);
        file(self.directory.join("step_clock.so"), clock_shim(), 0o755);
        file(self.directory.join("key"), KEY, 0o600);
        file(self.directory.join("wrong-key"), b"another secret that nobody knows", 0o600);
        for host in 0..HOSTS {
            let home = self.home(host);
            make(&home, 0o777);
            make(&home.join("disk"), 0o777);
            file(home.join("clock-step"), &0i64.to_ne_bytes(), 0o644);
            let handler = format!("#!/bin/sh\n[ ! -e '{}' ]\n", home.join("handler-fails").display());
            file(home.join("handler"), handler.as_bytes(), 0o755);
            for (name, program, key) in [
                ("reference.conf", Program::Reference, "key"),
                ("ours.conf", Program::Ours, "key"),
                ("reference-wrong.conf", Program::Reference, "wrong-key"),
                ("ours-wrong.conf", Program::Ours, "wrong-key"),
            ] {
                file(home.join(name), self.configuration(host, program, key).as_bytes(), 0o644);
            }
        }
    }

    fn configuration(&self, host: usize, program: Program, key: &str) -> String {
        let Plan { authenticated, acquire_after, timing, .. } = self.plan;
        let ms = |span: Duration| match span.subsec_millis() {
            0 => span.as_secs().to_string(),
            _ => format!("{}ms", span.as_millis()),
        };
        let mut text = format!("transport = UDP\nport = {PORT}\n");
        for (host, kind) in ["site", "site", "arbitrator"].iter().enumerate() {
            text += &format!("{kind} = \"{}\"\n", self.network.address(host));
        }
        if authenticated {
            text += &format!("authfile = \"{}\"\n", self.directory.join(key).display());
        }
        if program.is_ours() {
            // An extension that the reference refuses to read.
            text += &format!("journal = {}\n", self.journal(host).display());
        }
        let handler = match self.extras.handler {
            true => format!(" before-acquire-handler = \"{}\"\n", self.home(host).join("handler").display()),
            false => String::new(),
        };
        let second = if self.extras.second_ticket { SECOND_TICKET } else { "" };
        for ticket in [TICKET, second].iter().filter(|ticket| !ticket.is_empty()) {
            text += &format!(
                "ticket = \"{ticket}\"\n expire = {}\n renewal-freq = {}\n timeout = {}\n retries = {}\n \
                 acquire-after = {}\n{handler}",
                ms(timing.expire),
                ms(timing.renewal),
                ms(timing.timeout),
                timing.retries,
                ms(acquire_after),
            );
        }
        text + &format!("ticket = \"{MANUAL_TICKET}\"\n mode = manual\n")
    }

    /// Where a host's journal is, as its daemon sees it.
    pub(super) fn journal(&self, host: usize) -> PathBuf {
        let directory = if self.extras.small_disk == Some(host) { "disk" } else { "" };
        self.home(host).join(directory).join("journal")
    }

    /// The directory of a host: configurations, log, lock, journal, store.
    pub(super) fn home(&self, host: usize) -> PathBuf {
        self.directory.join(format!("host-{host}"))
    }

    /// What this cluster is made of.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The address of a host as texts show it.
    pub fn address(&self, host: usize) -> String {
        self.network.address(host).to_string()
    }

    /// Starts a member and waits until it answers clients.
    pub fn launch_and_wait(&mut self, host: usize) {
        self.launch(host);
        self.wait_until_up(host);
    }

    /// Starts a member and returns at once.
    pub fn launch(&mut self, host: usize) {
        assert!(self.daemons[host].is_none(), "host {host} runs already");
        let (program, home) = (self.plan.programs[host], self.home(host));
        let daemon = Path::new(program.daemon());
        let mut command = match self.extras.small_disk == Some(host) {
            // In the mount namespace that `ip netns exec` makes: nobody else sees it, and it goes with the daemon.
            true => {
                let mut command = self.command(host, program, Path::new("/bin/sh"));
                command.args(["-c", "mount -t tmpfs -o size=32k,mode=777 small \"$0\" && exec \"$@\""]);
                command.arg(home.join("disk")).arg(daemon);
                command
            }
            false => self.command(host, program, daemon),
        };
        command.args(["daemon", "-S", "-c"]).arg(self.configuration_path(host, program, false));
        command.arg("-l").arg(home.join("lock"));
        self.daemons[host] = Some(Daemon::start(&mut command, &home.join("log")));
    }

    /// Waits until a member answers clients.
    pub fn wait_until_up(&mut self, host: usize) {
        let what = format!("host {host} answers clients");
        eventually(&what, Duration::from_secs(20), || {
            let daemon = self.daemons[host].as_mut().expect("launched");
            if let Some(status) = daemon.ended() {
                return Err(format!("it has ended: {status}"));
            }
            let outcome = self.client(host, Program::Reference, &["list"]);
            if outcome.status == Some(0) { Ok(()) } else { Err(outcome.stderr) }
        });
    }

    fn command(&self, host: usize, program: Program, path: &Path) -> Command {
        let mut command = self.network.command(host, path);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", self.directory.join("bin").display()));
        command.env("CRM_TICKET_DIR", self.home(host)).env("TZ", "UTC");
        let mut preloaded = Vec::new();
        if !program.is_ours() {
            preloaded.push(self.directory.join("netlink_done.so").display().to_string());
        }
        if self.extras.clock == Some(host) {
            command.env("BOOTH_CLOCK_STEP", self.home(host).join("clock-step"));
            preloaded.push(self.directory.join("step_clock.so").display().to_string());
        }
        if !preloaded.is_empty() {
            command.env("LD_PRELOAD", preloaded.join(":"));
        }
        command
    }

    fn configuration_path(&self, host: usize, program: Program, wrong_key: bool) -> PathBuf {
        let name = if program == Program::Ours { "ours" } else { "reference" };
        self.home(host).join(format!("{name}{}.conf", if wrong_key { "-wrong" } else { "" }))
    }

    /// Runs a client on a host: a verb and its arguments.
    pub fn client(&self, host: usize, program: Program, arguments: &[&str]) -> Outcome {
        self.client_with(host, program, false, arguments)
    }

    /// Runs a client that has another key than the members.
    pub fn client_with_wrong_key(&self, host: usize, program: Program, arguments: &[&str]) -> Outcome {
        self.client_with(host, program, true, arguments)
    }

    /// Runs the client of attributes on a host: a verb and its arguments.
    pub fn geostore(&self, host: usize, program: Program, arguments: &[&str]) -> Outcome {
        let path = if program.is_ours() { self.directory.join("bin/geostore") } else { "/usr/sbin/geostore".into() };
        self.client_at(&path, host, program, false, arguments)
    }

    /// What `boothctl status` prints of a running member of ours.
    pub fn status(&self, host: usize) -> Result<String, String> {
        let mut command = self.command(host, Program::Ours, Path::new(Program::Ours.client()));
        command.args(["status", "-c"]).arg(self.configuration_path(host, Program::Ours, false));
        let outcome = run(command.arg("-l").arg(self.home(host).join("lock")))?;
        if outcome.status == Some(0) { Ok(outcome.stdout) } else { Err(format!("{outcome:?}")) }
    }

    fn client_with(&self, host: usize, program: Program, wrong_key: bool, arguments: &[&str]) -> Outcome {
        self.client_at(Path::new(program.client()), host, program, wrong_key, arguments)
    }

    fn client_at(&self, path: &Path, host: usize, program: Program, wrong_key: bool, arguments: &[&str]) -> Outcome {
        let mut command = self.command(host, program, path);
        command.arg(arguments[0]).arg("-c").arg(self.configuration_path(host, program, wrong_key));
        command.args(&arguments[1..]);
        run(&mut command).unwrap_or_else(|error| panic!("client: {error}"))
    }

    /// Cuts the power of a host: its daemon is gone at once, and what ran there has stopped.
    pub fn kill(&mut self, host: usize) {
        drop(self.daemons[host].take().expect("a running member"));
        self.killed[host].push(now());
    }

    /// Says which program a host runs from its next start on.
    pub fn replace(&mut self, host: usize, program: Program) {
        self.plan.programs[host] = program;
    }

    /// Asks a member to end. Panics where it does not.
    pub fn terminate(&mut self, host: usize) {
        assert!(self.daemons[host].take().expect("a running member").terminate(), "host {host} ignores SIGTERM");
    }

    /// What a member says of the ticket, asked by `program`'s client on its own host.
    pub fn listed(&self, host: usize, program: Program) -> Result<Listed, String> {
        let outcome = self.client(host, program, &["list"]);
        let line = outcome.stdout.lines().find_map(|line| line.strip_prefix(&format!("ticket: {TICKET}, leader: ")));
        let Some(rest) = line.filter(|_| outcome.status == Some(0)) else {
            return Err(format!("host {host}: {outcome:?}"));
        };
        let (leader, expires) = match rest.split_once(", expires: ") {
            Some((leader, expires)) => (leader, Some(expires[..expires.len().min(19)].to_string())),
            None => (rest, None),
        };
        Ok(Listed { leader: leader.to_string(), expires })
    }

    /// Waits until both clients hear from every running member that `holder` has the ticket, or nobody.
    #[track_caller]
    pub fn agree(&self, holder: Option<usize>, limit: Duration) {
        let wanted = holder.map_or("none".to_string(), |host| self.address(host));
        for host in (0..HOSTS).filter(|host| self.daemons[*host].is_some()) {
            for client in [Program::Reference, Program::Ours] {
                eventually(&format!("{client:?}'s client on host {host} lists {wanted}"), limit, || {
                    let listed = self.listed(host, client)?;
                    let same =
                        listed.leader.eq_ignore_ascii_case(&wanted) && listed.expires.is_some() == holder.is_some();
                    if same { Ok(()) } else { Err(format!("{listed:?}")) }
                });
            }
        }
    }

    /// Waits until a site's store says granted, or not, and its history as well.
    #[track_caller]
    pub fn wait_for_store(&self, site: usize, granted: bool, limit: Duration) {
        let what = format!("the store of host {site} says granted={granted}");
        eventually(&what, limit, || {
            if self.settled(site, TICKET, granted) { Ok(()) } else { Err(format!("{:?}", self.writes(site).last())) }
        });
    }

    /// Whether a site's store says granted, or not, and the last line of its history does, which is written later.
    pub(super) fn settled(&self, site: usize, ticket: &str, granted: bool) -> bool {
        let written = self.changes(site, ticket).last().is_some_and(|change| change.granted);
        self.held(site, ticket) == granted && written == granted
    }

    /// An attribute of the ticket in a site's store.
    pub fn attribute(&self, site: usize, name: &str) -> Option<String> {
        ticket_store::attribute(&self.home(site), TICKET, name)
    }

    /// What a site wrote to its store.
    pub fn writes(&self, site: usize) -> Vec<Change> {
        ticket_store::history(&self.home(site), TICKET)
    }

    /// The calls of `crm_ticket` for the ticket at a site, in the order of time.
    pub fn calls(&self, site: usize) -> Vec<String> {
        let text = fs::read_to_string(self.home(site).join("calls")).unwrap_or_default();
        text.lines().filter(|line| line.contains(&format!(" -t {TICKET} "))).map(str::to_owned).collect()
    }

    /// Runs `act` on a thread that is inside a host: what sockets it opens stay there.
    pub fn inside<T: Send>(&self, host: usize, act: impl FnOnce() -> T + Send) -> T {
        self.network.inside(&self.network.namespace(host), act)
    }

    /// How much memory a member's daemon has resident, in KiB, counted page by page.
    pub fn resident_kib(&self, host: usize) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.daemons[host].as_ref().expect("a running member").pid());
        let text = fs::read_to_string(&path).expect(&path);
        let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).expect("it has some");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// What a member has logged.
    pub fn log(&self, host: usize) -> String {
        String::from_utf8_lossy(&fs::read(self.home(host).join("log")).unwrap_or_default()).into_owned()
    }

    /// How often a site wrote the grant: once when acquired, and at each renewal.
    pub fn grants_written(&self, site: usize) -> usize {
        self.writes(site).iter().filter(|change| change.granted).count()
    }

    /// How often a site wrote a revoke.
    pub fn revokes_written(&self, site: usize) -> usize {
        self.writes(site).iter().filter(|change| !change.granted).count()
    }

    /// When a site held the ticket: its writes, and nothing from a kill to the next write.
    pub fn ownership(&self, site: usize) -> Vec<Change> {
        let mut changes = self.writes(site);
        changes.extend(self.killed[site].iter().map(|&at| Change { at, granted: false }));
        changes.sort_by(|a, b| a.at.total_cmp(&b.at));
        changes
    }

    /// Seconds during which both sites held the ticket, up to now.
    pub fn double_ownership(&self) -> f64 {
        double_ownership(&self.ownership(SITE_1), &self.ownership(SITE_2), now())
    }

    /// Loses so many in a hundred of the datagrams that reach each member, 0 for none.
    pub fn lose(&self, percent: u32) {
        let rule = format!("udp dport {PORT} numgen random mod 100 < {percent} drop");
        for host in 0..HOSTS {
            self.network.filter(host, if percent == 0 { "" } else { &rule }, "");
        }
    }

    /// Cuts a host off from all others.
    pub fn cut(&self, host: usize) {
        self.network.filter(host, "drop", "drop");
    }

    /// Ends a cut or a loss at a host.
    pub fn heal(&self, host: usize) {
        self.network.filter(host, "", "");
    }

    /// Drops the messages of one command that a host sends, and counts the acknowledgements of another that reach it.
    pub fn drop_sent(&self, host: usize, command: &[u8; 4], count_acks_of: &[u8; 4]) {
        // Offsets in bits behind the UDP header: command at byte 28 of the message, request at byte 32.
        let word = |code: &[u8; 4]| u32::from_be_bytes(*code);
        let drop = format!("udp dport {PORT} @th,288,32 {} drop", word(command));
        let count = format!(
            "udp dport {PORT} @th,288,32 {} @th,320,32 {} counter name marked",
            word(b"Ack."),
            word(count_acks_of)
        );
        self.network.filter(host, &count, &drop);
    }

    /// How many acknowledgements have been counted since [`Cluster::drop_sent`].
    pub fn acks_counted(&self, host: usize) -> u64 {
        self.network.marked(host)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            say(&format!("--- {:?}", self.plan));
            for host in 0..HOSTS {
                let log = fs::read(self.home(host).join("log")).unwrap_or_default();
                let tail = String::from_utf8_lossy(&log[log.len().saturating_sub(4000)..]).into_owned();
                say(&format!("--- host {host} wrote {:?}\n--- its log ends:\n{tail}", self.writes(host)));
            }
        }
        self.daemons = [const { None }; HOSTS];
        // What a killed daemon had started may write for a moment more.
        let end = Instant::now() + Duration::from_secs(2);
        while fs::remove_dir_all(&self.directory).is_err() && self.directory.exists() && Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The wall clock as the stores write it, in seconds since the epoch.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs_f64()
}
