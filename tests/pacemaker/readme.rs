//! The README's section "In a Pacemaker cluster", followed to a service that has moved: each command is run on the host
//! that its prompt names, once with pcs (`tools.rs` goes on from there) and once with crmsh.
//!
//! What a host of the lab cannot do is done by what [`Stand`] says; a line of no known kind fails. Part 4 is not
//! followed here: `replacement.rs` replaces the daemons, and tests/packages the packages.

use crate::cluster;
use crate::common::{Program, eventually};
use crate::lab::{CONFIGURATION, FLOATING, Lab, PROMPT, Plan};
use crate::tools::SITE_B;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;

const README: &str = include_str!("../../README.md");
const BEGIN: &str = "\n## In a Pacemaker cluster\n";
const END: &str = "\n### 3. ";
const KEY: &str = "/etc/booth/booth.key";
/// The service that writes down when it runs.
const SERVICE: &str = "db";

/// What the lab has in place of a machine.
#[derive(Debug)]
enum Stand {
    /// The hosts share the packages of this machine, and their clusters run already.
    Made,
    /// Configuration and key are copied to these hosts.
    Copied(Vec<String>),
    /// The lab starts the arbitrator's daemon; it has no systemd.
    Launched,
    /// A shell runs it.
    Run,
}

impl Stand {
    fn of(host: &str, command: &str) -> Stand {
        const MADE: [&str; 8] = [
            "apt install ",
            "pcs cluster destroy",
            "passwd hacluster",
            "pcs host auth ",
            "pcs cluster setup ",
            "corosync-keygen",
            "scp -p /etc/corosync/corosync.conf /etc/corosync/authkey ",
            "systemctl restart corosync pacemaker",
        ];
        let files = format!("scp -p {CONFIGURATION} {KEY} ");
        let names = |list: &str| list.split(' ').map(str::to_owned).collect();
        if MADE.iter().any(|made| command.starts_with(made)) {
            return Stand::Made;
        }
        match command {
            "pcs booth sync" => Stand::Copied(names("a2")),
            "pcs booth pull a1" => Stand::Copied(names(host)),
            "systemctl enable --now booth@booth" => Stand::Launched,
            _ if command.starts_with(&files) => Stand::Copied(names(command[files.len()..].split(':').next().unwrap())),
            _ if command.starts_with("for host in ") && command.contains(&files) => {
                Stand::Copied(names(command["for host in ".len()..].split(';').next().unwrap()))
            }
            _ => Stand::Run,
        }
    }
}

/// What a reader does next.
#[derive(Debug, PartialEq)]
enum Step {
    /// Write a file on a1.
    Write { path: String, text: String },
    /// Type a command at these hosts.
    Type { hosts: Vec<String>, command: String },
}

/// The steps of a text for those who use this tool, in order.
fn steps(text: &str, tool: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut ours, mut path) = (true, String::new());
    for (nth, part) in text.split("```").enumerate() {
        if nth % 2 == 0 {
            for line in part.lines() {
                let lower = line.to_lowercase();
                for (words, for_us) in
                    [("**with pcs", tool == "pcs"), ("**with crmsh", tool == "crmsh"), ("**either way", true)]
                {
                    ours = if lower.contains(words) { for_us } else { ours };
                }
                ours |= line.starts_with('#');
                if let Some((_, rest)) = line.split_once("write `") {
                    path = rest.split('`').next().unwrap().to_owned();
                }
            }
        } else if ours {
            block(part.strip_prefix('\n').unwrap(), &path, &mut steps);
        }
    }
    steps
}

/// The steps of a block: commands, where its first line has a prompt, else a file.
fn block(text: &str, path: &str, steps: &mut Vec<Step>) {
    if prompt(text.lines().next().unwrap()).is_none() {
        return steps.push(Step::Write { path: path.to_owned(), text: text.to_owned() });
    }
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (hosts, first) = prompt(line).unwrap_or_else(|| panic!("no prompt: {line:?}"));
        let mut command = first.split("     # ").next().unwrap().to_owned();
        while command.ends_with('\\') {
            command = command.trim_end_matches('\\').to_owned() + lines.next().unwrap().trim_start();
        }
        if command.ends_with("<<END") {
            for line in lines.by_ref().take_while(|line| *line != "END").chain(["END"]) {
                command += &format!("\n{line}");
            }
        }
        steps.push(Step::Type { hosts, command });
    }
}

/// The hosts and the rest of a line that begins with a prompt.
fn prompt(line: &str) -> Option<(Vec<String>, &str)> {
    let (hosts, rest) = line.split_once("# ")?;
    let hosts: Vec<String> = hosts.split(' ').map(str::to_owned).collect();
    hosts.iter().all(|host| ["a1", "a2", "b1", "c"].contains(&host.as_str())).then_some((hosts, rest))
}

/// A reader at work.
struct Reader {
    lab: Lab,
    /// What was assigned in each host's shell.
    assigned: HashMap<String, String>,
    /// How often each word of the text was replaced.
    replaced: HashMap<&'static str, usize>,
}

impl Reader {
    fn number(&self, host: &str) -> usize {
        ["a1", "a2", "b1", "c"].iter().position(|name| *name == host).unwrap()
    }

    /// The text as it is for this lab: its addresses, times that a test can wait for, the service that is watched.
    fn adapted(&mut self, host: &str, text: &str) -> String {
        let home = self.lab.host(if host == "b1" { self.lab.other_site() } else { 0 }).home();
        let directory = cluster::directory(home, SERVICE);
        fs::create_dir_all(&directory).unwrap();
        let parameters = if text.starts_with("pcs") { "" } else { "params " };
        let service = format!("ocf:lab:service {parameters}directory={}", directory.display());
        let short = "timeout = 1\n  retries = 3";
        let mut adapted = text.to_owned();
        for (word, new) in [
            ("192.168.201.100", FLOATING.to_owned()),
            ("192.168.202.100", SITE_B.to_owned()),
            ("192.168.203.100", self.lab.address(self.lab.arbitrator())),
            (
                "expire=120 acquire-after=60",
                format!("expire=10 acquire-after=3 {}", short.replace(" = ", "=").replace("\n ", "")),
            ),
            ("expire = 120\n  acquire-after = 60", format!("expire = 10\n  acquire-after = 3\n  {short}")),
            ("ocf:pacemaker:Dummy", service),
            ("/usr/share/booth/handlers/", "/usr/sbin/".to_owned()),
        ] {
            *self.replaced.entry(word).or_default() += adapted.matches(word).count();
            adapted = adapted.replace(word, &new);
        }
        adapted
    }

    fn take(&mut self, step: &Step) {
        match step {
            // The lab's clusters have theirs.
            Step::Write { path, .. } if path == "/etc/corosync/corosync.conf" => {}
            Step::Write { path, text } => {
                assert_eq!(path, CONFIGURATION);
                let text = self.adapted("a1", text);
                fs::write(self.lab.host(0).path(path), text).unwrap();
            }
            Step::Type { hosts, command } => {
                for host in hosts {
                    let stand = Stand::of(host, command);
                    if !matches!(stand, Stand::Run) {
                        self.lab.tell(&format!("{host}# {command}: {stand:?}, by the lab"));
                    }
                    match stand {
                        Stand::Made => {}
                        Stand::Copied(to) => to.iter().for_each(|host| self.copy(self.number(host))),
                        Stand::Launched => {
                            let number = self.number(host);
                            self.lab.launch(number);
                            self.lab.wait_until_up(number);
                        }
                        Stand::Run => self.run(host, command),
                    }
                }
            }
        }
    }

    /// Brings configuration and key of a1 to another host, as `scp -p` does for root.
    fn copy(&self, number: usize) {
        for file in [CONFIGURATION, KEY] {
            let from = self.lab.host(0).path(file);
            let to = self.lab.host(number).path(file);
            fs::copy(&from, &to).unwrap();
            assert_eq!(fs::metadata(&to).unwrap().mode(), fs::metadata(&from).unwrap().mode());
        }
    }

    fn run(&mut self, host: &str, command: &str) {
        let command = self.adapted(host, command);
        let number = self.number(host);
        if command.split('=').next().is_some_and(|name| name.chars().all(|c| c.is_ascii_lowercase())) {
            self.assigned.insert(host.to_owned(), command);
            return;
        }
        if command.starts_with("booth revoke") {
            self.wait_until_all_remember();
        }
        let assigned = self.assigned.get(host).map_or("", String::as_str);
        let shell = format!("{assigned}\n{command}");
        self.lab.tell(&format!("{host}# {command}"));
        // Pacemaker starts the service a moment after the grant: a reader looks again.
        let sought =
            command.contains("locate").then(|| format!("is running on: {}", if host == "b1" { "b" } else { "a" }));
        eventually(&format!("{host}# {command}"), PROMPT, || {
            let outcome = self.lab.host(number).run("/bin/sh", &["-c", &shell]);
            match &sought {
                Some(words) if !outcome.stdout.contains(words) => Err(format!("{outcome:?}")),
                _ if outcome.status != Some(0) => panic!("{host}# {command}: {outcome:?}"),
                _ => Ok(()),
            }
        });
    }

    /// "When no member says so any more".
    fn wait_until_all_remember(&self) {
        eventually("all members remember", PROMPT, || {
            let says = |number| self.lab.host(number).run("/usr/sbin/boothctl", &["status"]).stdout;
            let told: Vec<String> = (0..=self.lab.arbitrator()).map(says).collect();
            let forgetful = told.iter().any(|status| status.contains("no memory of its votes"));
            if forgetful { Err(format!("{told:?}")) } else { Ok(()) }
        });
    }
}

/// Clusters that have come so far, with the service at the second site.
pub fn followed(name: &str, tool: &str) -> Lab {
    let section = README.split_once(BEGIN).expect("the section").1.split_once(END).expect("its third part").0;
    let plan = Plan { nodes: 2, daemons: false, members: false, our_agent: true, ..Plan::ours(&[], &[]) };
    let lab = Lab::start(name, plan);
    for number in 0..=lab.arbitrator() {
        for file in fs::read_dir(lab.host(number).path("/etc/booth")).unwrap().flatten() {
            fs::remove_file(file.path()).unwrap();
        }
    }
    let mut reader = Reader { lab, assigned: HashMap::new(), replaced: HashMap::new() };
    for step in steps(section, tool) {
        reader.take(&step);
    }
    let unused = |word: &str| reader.replaced.get(word).is_none_or(|count| *count == 0);
    let times = if tool == "pcs" { "expire=120 acquire-after=60" } else { "expire = 120\n  acquire-after = 60" };
    for word in ["192.168.201.100", "192.168.202.100", "192.168.203.100", times, "ocf:pacemaker:Dummy"] {
        assert!(!unused(word), "the section has no {word} any more");
    }
    let (lab, b) = (&reader.lab, reader.lab.other_site());
    let stopped = lab.wait_stopped(0, SERVICE, PROMPT);
    let moved = lab.wait_running(b, SERVICE, PROMPT);
    assert!(stopped.last < moved.first, "at both sites: {:?}, {:?}", lab.runs(0, SERVICE), lab.runs(b, SERVICE));
    reader.lab
}

pub fn with_crmsh(name: &str, _: Program) {
    followed(name, "crmsh");
}

#[test]
fn a_text_is_read_as_a_reader_does() {
    let text = "**With pcs:**\n```\na1 b1# pcs x     # why\n```\n**With crmsh** write `/f` on `a1`:\n```\nk = v\n```\n\
                ```\nc# crm - <<END\nx\nEND\na1# go \\\n    on\n```\n**Either way:**\n```\nb1# all\n```\n";
    let typed = |hosts: &[&str], command: &str| Step::Type {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        command: command.to_owned(),
    };
    assert_eq!(steps(text, "pcs"), [typed(&["a1", "b1"], "pcs x"), typed(&["b1"], "all")]);
    let file = Step::Write { path: "/f".to_owned(), text: "k = v\n".to_owned() };
    let crm = typed(&["c"], "crm - <<END\nx\nEND");
    assert_eq!(steps(text, "crmsh"), [file, crm, typed(&["a1"], "go on"), typed(&["b1"], "all")]);
}
