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
    /// The random faults of the simulation, this many seeds.
    Simulation(u32),
}

impl Judge {
    /// All of them.
    pub const ALL: [Judge; 5] = [Judge::Unit, Judge::Member, Judge::Rules, Judge::Cluster, Judge::Simulation(200)];

    /// The test target that holds it.
    pub fn target(self) -> &'static str {
        match self {
            Judge::Unit => "booth_core",
            Judge::Member => "member",
            Judge::Rules => "rules",
            Judge::Cluster => "cluster",
            Judge::Simulation(_) => "simulation",
        }
    }

    /// Which of the target's tests are run: all, but of the simulation only the sweep.
    fn tests(self) -> &'static [&'static str] {
        if let Judge::Simulation(_) = self { &["no_fault"] } else { &[] }
    }

    /// Asks about mutant `number`; 0 is the core as it is.
    pub fn ask(self, program: &Path, folder: &Path, number: usize) -> Verdict {
        let output = folder.join(format!("{}-{number}.txt", self.target()));
        let mut command = Command::new(program);
        command.args(self.tests()).args(["--test-threads=1", "--nocapture"]).env("BOOTH_MUTANT", number.to_string());
        command.env_remove("BOOTH_SIM_SEED").env("RUST_BACKTRACE", "0");
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
        let last = said.rfind("\nfailures:\n").map_or("", |at| &said[at..]);
        let failed: Vec<_> = last.lines().filter_map(|line| line.strip_prefix("    ")).collect();
        match failed[..] {
            [] => "stopped".to_owned(),
            [only] => only.to_owned(),
            [first, ..] => format!("{first} and {} more", failed.len() - 1),
        }
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
