//! Help texts, made from the table.

use super::table::{OPTIONS, Opt, OptionSpec, VERBS, Verb, VerbSpec};
use super::{Program, VERSION};
use std::fmt::Write;

/// Where the explanation of a verb or an option starts.
const COLUMN: usize = 22;

/// The help text of a program.
pub fn text(program: Program) -> String {
    let verbs: Vec<&VerbSpec> = VERBS.iter().filter(|spec| spec.programs.contains(&program)).collect();
    let mut text = String::from("Usage:\n");
    for spec in verbs.iter().filter(|spec| !matches!(spec.verb, Verb::Help | Verb::Version)) {
        let options = if spec.options.is_empty() { "" } else { " [options]" };
        let _ = writeln!(text, "  {} {}{options}{}", program.name(), spec.names[0], spec.operands.synopsis());
    }
    text.push_str("\nCommands:\n");
    for spec in &verbs {
        entry(&mut text, spec.names[0], &[spec.about]);
    }
    text.push_str("\nOptions:\n");
    for spec in OPTIONS
        .iter()
        .filter(|option| option.opt == Opt::Help || verbs.iter().any(|verb| verb.options.contains(&option.opt)))
    {
        entry(&mut text, &spelling(spec), spec.about);
    }
    if verbs.iter().any(|verb| verb.takes(Opt::Ticket)) {
        text.push_str("\nExamples:\n");
        for line in examples(program) {
            let _ = writeln!(text, "  # {} {line}", program.name());
        }
    }
    let _ = writeln!(text, "\nExit status: 0 done, 1 not done. More: man {}, man booth.conf", program.name());
    text
}

/// The line that `--version` prints.
pub fn version(program: Program) -> String {
    format!("{} {VERSION}\n", program.name())
}

fn spelling(spec: &OptionSpec) -> String {
    match spec.value {
        Some(value) => format!("-{}, --{} {value}", spec.short, spec.long),
        None => format!("-{}, --{}", spec.short, spec.long),
    }
}

/// One line, or several with the name in front of the first.
fn entry(text: &mut String, name: &str, about: &[&str]) {
    let mut head = name;
    for line in about {
        let _ = writeln!(text, "  {head:<COLUMN$}{line}");
        head = "";
    }
}

fn examples(program: Program) -> &'static [&'static str] {
    match program {
        Program::Booth | Program::Boothctl => &[
            "list                      (all tickets)",
            "grant ticket-A            (grant it here)",
            "grant -s other ticket-A   (grant it at the other of two sites)",
            "revoke ticket-A",
        ],
        Program::Geostore => &[
            "list -t ticket-A -s other",
            "set -s 10.121.8.183 sr_status ACTIVE",
            "get -t ticket-A -s 10.121.8.183 sr_status",
            "delete -s 10.121.8.183 sr_status",
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_fits_a_terminal_of_80_columns_and_names_what_a_program_has() {
        for program in [Program::Booth, Program::Boothctl, Program::Geostore] {
            let text = text(program);
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
            assert!(text.starts_with("Usage:\n"));
        }
        assert!(text(Program::Boothctl).contains("boothctl demo\n"));
        assert!(!text(Program::Booth).contains("demo"));
        assert!(text(Program::Geostore).contains("geostore set [options] ATTRIBUTE VALUE\n"));
        assert!(!text(Program::Geostore).contains("--force"));
    }
}
