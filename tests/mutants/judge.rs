//! Who is asked about a mutant, how, and what the answer was.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A judge that has not answered by then has noticed nothing.
const PATIENCE: Duration = Duration::from_secs(300);

/// Who can notice a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// The tests beside the code of the core.
    Unit,
    /// The stories of `tests/member`, message by message.
    Member,
    /// The stories of `tests/rules.rs`.
    Rules,
    /// The stories of `tests/cluster.rs`.
    Cluster,
    /// The stories of `tests/cluster_changes.rs`.
    Changes,
    /// The stories of `tests/stuck_revoke.rs`.
    Stuck,
    /// The random faults of the simulation, this many seeds.
    Simulation(u32),
    /// A world of the model checker, by its test's name; `""`: all of them.
    Model(&'static str),
}

impl Judge {
    /// All of them.
    pub const ALL: [Judge; 8] = [
        Judge::Unit,
        Judge::Member,
        Judge::Rules,
        Judge::Cluster,
        Judge::Changes,
        Judge::Stuck,
        Judge::Simulation(200),
        Judge::Model(""),
    ];

    /// The test target that holds it.
    pub fn target(self) -> &'static str {
        match self {
            Judge::Unit => "booth_core",
            Judge::Member => "member",
            Judge::Rules => "rules",
            Judge::Cluster => "cluster",
            Judge::Changes => "cluster_changes",
            Judge::Stuck => "stuck_revoke",
            Judge::Simulation(_) => "simulation",
            Judge::Model(_) => "model",
        }
    }

    /// Whether it tries what may happen, at random or exhaustively, and does not follow a story.
    pub fn searches(self) -> bool {
        matches!(self, Judge::Simulation(_) | Judge::Model(_))
    }

    /// Which of the target's tests are run: all, but of the simulation only the sweep.
    fn tests(self) -> Vec<&'static str> {
        match self {
            Judge::Simulation(_) => vec!["no_fault"],
            Judge::Model("") => vec!["--skip=a_journal_that_has_forgotten"],
            Judge::Model(world) => vec!["--exact", world],
            _ => Vec::new(),
        }
    }

    /// Asks about mutant `number`; 0 is the core as it is.
    pub fn ask(self, program: &Path, folder: &Path, number: usize) -> Verdict {
        let part = if let Judge::Model(world) = self { world } else { "" };
        let output = folder.join(format!("{}{part}-{number}.txt", self.target()));
        let mut command = Command::new(program);
        command.args(self.tests()).args(["--test-threads=1", "--nocapture"]).env("BOOTH_MUTANT", number.to_string());
        command.env("RUST_BACKTRACE", "0");
        for variable in ["BOOTH_SIM_SEED", "BOOTH_SIM_FIRST", "BOOTH_MODEL_DEPTH"] {
            command.env_remove(variable);
        }
        if let Judge::Simulation(seeds) = self {
            command.env("BOOTH_SIM_SEEDS", seeds.to_string()).env("BOOTH_SIM_COUNT", "1");
        }
        let status = run(command, &output);
        // What a program that fails at random prints need not be text.
        let said = String::from_utf8_lossy(&fs::read(&output).unwrap()).into_owned();
        // The simulation counts, and does not fail then.
        let counted = said.lines().any(|line| line.starts_with("failed ") && !line.starts_with("failed 0 "));
        let failed = status.is_some_and(|status| !status.success()) || counted;
        let found = failed.then(|| self.summary(&said));
        Verdict { judge: self, found, ended: status.is_some(), reached: said.contains(REACHED), output }
    }

    fn summary(self, said: &str) -> String {
        if let Judge::Simulation(_) = self {
            let counted = said.lines().rev().find(|line| line.starts_with("failed "));
            let first = said.lines().find(|line| line.starts_with("seed ") && line.contains("failed"));
            return counted.or(first).unwrap_or("stopped").to_owned();
        }
        if let Judge::Model(_) = self {
            return broken_worlds(said);
        }
        let last = said.rfind("\nfailures:\n").map_or("", |at| &said[at..]);
        let failed: Vec<_> = last.lines().filter_map(|line| line.strip_prefix("    ")).collect();
        match failed[..] {
            [] => "stopped".to_owned(),
            [only] => only.to_owned(),
            [first, ..] => format!("{first} and {} more", failed.len() - 1),
        }
    }
}

/// What the model checker found: "failover: S0 after 7", from a line that ends with
/// "failover: within depth 8: 900 states, 1000 ways to them, 0.1 s; granted after 5; S0 after 7".
fn broken_worlds(said: &str) -> String {
    let broken = said.lines().filter_map(|line| {
        let (world, found) = line.split_once(": within depth ")?;
        let rules: Vec<_> = found.split("; ").filter(|found| found.starts_with('S')).collect();
        let world = world.rsplit("... ").next()?;
        (!rules.is_empty()).then(|| format!("{world}: {}", rules.join(", ")))
    });
    let broken: Vec<_> = broken.collect();
    match said.contains("never: ") {
        _ if !broken.is_empty() => broken.join("; "),
        true => "a goal is never reached".to_owned(),
        false => "stopped".to_owned(),
    }
}

/// Printed by a core whose mutant was met.
pub const REACHED: &str = "the mutant is reached";

/// What a judge has found.
pub struct Verdict {
    pub judge: Judge,
    /// What failed.
    pub found: Option<String>,
    /// Whether it has come to an end at all.
    pub ended: bool,
    /// Whether what is mutated was come by at all.
    pub reached: bool,
    /// Where all that it said is.
    pub output: PathBuf,
}

/// Runs to the end, or for as long as our patience lasts.
fn run(mut command: Command, output: &Path) -> Option<ExitStatus> {
    let file = File::create(output).unwrap();
    let errors = file.try_clone().unwrap();
    let mut child = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() >= end {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
