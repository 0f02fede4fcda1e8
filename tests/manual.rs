//! What is made from the tables of verbs, options and keys beside the parser and `--help`: parts of the
//! man pages (`packaging/man`) and shell completion (`packaging/completion`).
//!
//! Such a part stands between a line that ends in `table: KIND NAME` and one that ends in `table: end`;
//! everything else is written by hand. `BOOTH_WRITE_MANUAL=1 cargo test --test manual` writes the parts
//! anew; look at the difference.
#![allow(clippy::unwrap_used)]

mod live;

use booth::cli::Program;
use booth::cli::table::{OPTIONS, Operands, Opt, OptionSpec, VERBS, Verb, VerbSpec};
use booth::config::{KEYS, Place};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

fn files(name: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn pages_and_completion_say_what_the_tables_say() {
    let write = std::env::var_os("BOOTH_WRITE_MANUAL").is_some();
    let mut parts = BTreeSet::new();
    for path in [files("man"), files("completion")].concat() {
        let old = std::fs::read_to_string(&path).unwrap();
        let fresh = filled(&old, &mut parts);
        if write {
            std::fs::write(&path, fresh).unwrap();
        } else if fresh != old {
            let differs = old.lines().zip(fresh.lines()).find(|(old, new)| old != new);
            panic!("{} differs, first here: {differs:#?}\nwrite it anew: see tests/manual.rs", path.display());
        }
    }
    let expected = ["bash", "commands", "fish", "options", "synopsis", "zsh"];
    assert_eq!(parts.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}

/// A file with its parts made anew.
fn filled(text: &str, parts: &mut BTreeSet<String>) -> String {
    let (mut out, mut inside) = (String::new(), false);
    for line in text.lines() {
        let marker = line.split_once("table: ").map(|(_, what)| what);
        inside = inside && marker != Some("end");
        if !inside {
            let _ = writeln!(out, "{line}");
        }
        if let Some((kind, name)) = marker.and_then(|what| what.split_once(' ')) {
            parts.insert(kind.to_owned());
            out.push_str(&part(kind, Program::named(name).unwrap(), name));
            inside = true;
        }
    }
    assert!(!inside, "a part has no end");
    out
}

fn part(kind: &str, program: Program, name: &str) -> String {
    match kind {
        "synopsis" => synopsis(program, name),
        "commands" => commands(program),
        "options" => options(program),
        "bash" => bash(program),
        "fish" => fish(program, name),
        "zsh" => zsh(program),
        kind => panic!("no part {kind}"),
    }
}

fn verbs(program: Program) -> impl Iterator<Item = &'static VerbSpec> {
    VERBS.iter().filter(move |spec| spec.programs.contains(&program))
}

/// The verbs that do something: `help` and `version` are options to most people.
fn working_verbs(program: Program) -> impl Iterator<Item = &'static VerbSpec> {
    verbs(program).filter(|spec| !matches!(spec.verb, Verb::Help | Verb::Version))
}

fn options_of(program: Program) -> impl Iterator<Item = &'static OptionSpec> {
    let heeded = move |opt| opt == Opt::Help || verbs(program).any(|verb| verb.options.contains(&opt));
    OPTIONS.iter().filter(move |option| heeded(option.opt))
}

/// Text for troff: what it would take for a request or an escape is none.
fn troff(text: &str) -> String {
    let escaped = text.replace('\\', "\\e").replace('-', "\\-");
    if escaped.starts_with(['.', '\'']) { format!("\\&{escaped}") } else { escaped }
}

fn spelling(option: &OptionSpec) -> String {
    let value = option.value.map(|value| format!(" \\fI{value}\\fR")).unwrap_or_default();
    format!("\\fB\\-{}\\fR, \\fB\\-\\-{}\\fR{value}", option.short, troff(option.long))
}

/// What stands behind a verb, optional operands in brackets.
fn operands(spec: &VerbSpec) -> String {
    spec.operands
        .synopsis()
        .split_whitespace()
        .map(|word| match word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
            Some(word) => format!(" [\\fI{word}\\fR]"),
            None => format!(" \\fI{word}\\fR"),
        })
        .collect()
}

/// `boothd` is called as such to start it, and `booth` for all else.
fn synopsis(program: Program, name: &str) -> String {
    let mut text = String::new();
    for spec in working_verbs(program) {
        let called =
            if name == "boothd" && !matches!(spec.verb, Verb::Daemon | Verb::KdumpDaemon) { "booth" } else { name };
        let _ = write!(text, "{}\\fB{called} {}\\fR", if text.is_empty() { "" } else { ".PP\n" }, spec.names[0]);
        for option in spec.options.iter().map(|opt| opt.spec()) {
            let value = option.value.map(|value| format!(" \\fI{value}\\fR")).unwrap_or_default();
            let _ = write!(text, "\n[\\fB\\-{}\\fR{value}]", option.short);
        }
        let _ = writeln!(text, "{}", operands(spec));
    }
    text
}

fn commands(program: Program) -> String {
    let mut text = String::new();
    for spec in verbs(program) {
        let _ = writeln!(text, ".TP\n\\fB{}\\fR{}\n{}", spec.names[0], operands(spec), troff(spec.about));
    }
    text
}

fn options(program: Program) -> String {
    let mut text = String::new();
    for option in options_of(program) {
        let about: Vec<String> = option.about.iter().map(|line| troff(line)).collect();
        let _ = writeln!(text, ".TP\n{}\n{}", spelling(option), about.join("\n"));
    }
    text
}

/// The cases of `PROGRAM:VERB`; the verbs themselves stand behind an empty one.
fn bash(program: Program) -> String {
    let names: Vec<&str> = verbs(program).map(|spec| spec.names[0]).collect();
    let mut text = format!("    {}:) words='{}' ;;\n", program.name(), names.join(" "));
    for spec in verbs(program) {
        let options: Vec<String> = spec
            .options
            .iter()
            .map(|opt| opt.spec())
            .flat_map(|option| [format!("-{}", option.short), format!("--{}", option.long)])
            .collect();
        let operand = match spec.operands {
            Operands::Ticket => " operand=ticket",
            Operands::Config => " operand=file",
            _ => "",
        };
        let words = ["-h --help".to_owned()].into_iter().chain(options).collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "    {}:{}) words='{words}'{operand} ;;", program.name(), spec.names[0]);
    }
    text
}

fn fish(program: Program, name: &str) -> String {
    let quoted = |text: &str| text.replace('\'', "\\'");
    let mut text = String::new();
    let names: Vec<&str> = verbs(program).map(|spec| spec.names[0]).collect();
    let names = names.join(" ");
    for spec in verbs(program) {
        let (verb, about) = (spec.names[0], quoted(spec.about));
        let _ =
            writeln!(text, "complete -c {name} -f -n 'not __fish_seen_subcommand_from {names}' -a {verb} -d '{about}'");
        for option in spec.options.iter().map(|opt| opt.spec()) {
            let value = match option.opt {
                Opt::Config | Opt::LockFile => " -r -F",
                Opt::Ticket => " -x -a '(__booth_names ticket)'",
                Opt::Site => " -x -a 'other (__booth_names site; __booth_names arbitrator)'",
                _ => "",
            };
            let about = quoted(option.about[0]);
            let condition = format!("__fish_seen_subcommand_from {verb}");
            let (short, long) = (option.short, option.long);
            let _ = writeln!(text, "complete -c {name} -n '{condition}' -s {short} -l {long}{value} -d '{about}'");
        }
        if spec.operands == Operands::Ticket {
            let condition = format!("__fish_seen_subcommand_from {verb}");
            let _ = writeln!(text, "complete -c {name} -n '{condition}' -f -a '(__booth_names ticket)'");
        }
    }
    text
}

/// The verbs with what they do; options come from `_arguments`.
fn zsh(program: Program) -> String {
    let escaped = |text: &str| text.replace('\'', "'\\''").replace(['[', ']'], "").replace(':', "\\:");
    let mut text = String::new();
    let all: Vec<String> = verbs(program).map(|spec| format!("'{}:{}'", spec.names[0], escaped(spec.about))).collect();
    let _ = writeln!(text, "    {}:) verbs=({}) ;;", program.name(), all.join(" "));
    for spec in verbs(program) {
        let mut arguments: Vec<String> = vec!["'(-h --help)'{-h,--help}'[Print this help]'".into()];
        for option in spec.options.iter().map(|opt| opt.spec()) {
            let (short, long, about) = (option.short, option.long, escaped(option.about[0].trim_end_matches(':')));
            let value = match option.opt {
                Opt::Config | Opt::LockFile => ":file:_files",
                Opt::Ticket => ":ticket:_booth_tickets",
                Opt::Site => ":member:_booth_members",
                _ => "",
            };
            arguments.push(format!("'(-{short} --{long})'{{-{short},--{long}}}'[{about}]{value}'"));
        }
        match spec.operands {
            Operands::Ticket => arguments.push("'::ticket:_booth_tickets'".into()),
            Operands::Config => arguments.push("'::file:_files'".into()),
            _ => {}
        }
        let _ = writeln!(text, "    {}:{}) arguments=({}) ;;", program.name(), spec.names[0], arguments.join(" "));
    }
    text
}

/// The text of a page below a heading, up to the next one of the same kind.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, text) = page.split_once(&format!("\n{heading}")).unwrap_or_else(|| panic!("no {heading}"));
    let end = [text.find("\n.SH"), text.find("\n.SS")].into_iter().flatten().min();
    &text[..end.unwrap_or(text.len())]
}

#[test]
fn every_key_has_its_entry_in_its_section_and_no_other_has() {
    let page = std::fs::read_to_string(folder("man").join("booth.conf.5")).unwrap();
    for (place, heading) in [(Place::Global, ".SH GLOBAL KEYS"), (Place::Ticket, ".SH KEYS OF A TICKET")] {
        let section = section(&page, heading);
        let mut expected = BTreeSet::new();
        for spec in KEYS.iter().filter(|spec| spec.place == place) {
            let ours = if spec.ours { "\n[boothd]" } else { "" };
            let (name, value) = (troff(spec.name), troff(spec.value));
            let entry = format!(".TP\n\\fB{name}\\fR = \\fI{value}\\fR\nDefault: {}.{ours}\n", troff(spec.default));
            assert!(section.contains(&entry), "in {heading} of booth.conf(5), expected:\n{entry}");
            expected.insert(name);
        }
        let found: BTreeSet<String> = section
            .split("\n.TP\n\\fB")
            .skip(1)
            .filter_map(|entry| Some(entry.lines().next()?.split_once("\\fR = ")?.0.to_owned()))
            .collect();
        assert_eq!(found, expected, "{heading}");
    }
}

/// Runs a program over a page; `None`, after a skip, where it is not there.
#[track_caller]
fn rendered(test: &str, program: &str, arguments: &[&str], page: &Path) -> Option<Output> {
    match Command::new(program).args(arguments).arg(page).env("MANWIDTH", "80").output() {
        Ok(output) => Some(output),
        Err(error) => {
            live::skip(test, &format!("{program}: {error}"));
            None
        }
    }
}

#[test]
fn pages_render_without_a_word_of_complaint() {
    let test = "pages_render_without_a_word_of_complaint";
    let pages = files("man");
    assert!(pages.len() >= 5, "{pages:?}");
    for page in pages.iter().filter(|page| !std::fs::read_to_string(page).unwrap().starts_with(".so ")) {
        let Some(groff) = rendered(test, "groff", &["-man", "-Tutf8", "-ww", "-z"], page) else { return };
        assert_eq!(String::from_utf8_lossy(&groff.stderr), "", "{}", page.display());
        let Some(lint) = rendered(test, "mandoc", &["-T", "lint", "-W", "warning"], page) else { return };
        // What a page refers to need not be installed here.
        let complaints = String::from_utf8_lossy(&lint.stdout);
        let complaints: Vec<&str> = complaints.lines().filter(|line| !line.contains("referenced manual")).collect();
        assert!(complaints.is_empty(), "{complaints:#?}");
        let Some(man) = rendered(test, "man", &["--warnings", "-l"], page) else { return };
        assert!(man.status.success() && man.stderr.is_empty(), "{}", String::from_utf8_lossy(&man.stderr));
    }
}

/// What bash offers for a line, sorted.
fn offered(line: &[&str], directory: &Path) -> Vec<String> {
    let script = r#"
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
        completion=$(complete -p "$1") || exit 1
        "$(sed 's/.*-F \([^ ]*\).*/\1/' <<<"$completion")" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        [ ${#COMPREPLY[@]} = 0 ] || printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let output = Command::new("bash")
        .args(["--norc", "-c", script, "bash"])
        .arg(folder("completion").join("booth.bash"))
        .args(line)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut words: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    words.sort();
    words
}

#[test]
fn bash_completes_verbs_options_tickets_and_members() {
    let directory = std::env::temp_dir().join(format!("booth-completion-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let configuration = "site=\"192.0.2.1\"\nsite = 192.0.2.2\narbitrator=\"192.0.2.3\" # x\n\
                         ticket = \"__defaults__\"\nticket=\"web\"\nticket = db\n expire = 60\n";
    std::fs::write(directory.join("a.conf"), configuration).unwrap();
    let offered = |line: &[&str]| offered(line, &directory);
    assert_eq!(offered(&["booth", "gr"]), ["grant"]);
    assert_eq!(offered(&["boothctl", "s"]), ["stats", "status"]);
    assert_eq!(offered(&["geostore", ""]), ["delete", "get", "help", "list", "set", "version"]);
    assert_eq!(offered(&["boothd", "daemon", "--f"]), ["--foreground"]);
    assert_eq!(offered(&["booth", "grant", "--f"]), ["--force"]);
    assert!(offered(&["booth", "revoke", "--f"]).is_empty(), "revoke knows no force");
    assert_eq!(offered(&["booth", "grant", "-c", "./a.conf", ""]), ["db", "web"]);
    assert_eq!(offered(&["booth", "revoke", "-t", "w", "-c", "./a.conf"]), ["./a.conf"]);
    assert_eq!(offered(&["booth", "revoke", "-c", "./a.conf", "-t", "w"]), ["web"]);
    assert_eq!(
        offered(&["booth", "list", "-c", "./a.conf", "-s", ""]),
        ["192.0.2.1", "192.0.2.2", "192.0.2.3", "other"]
    );
    assert_eq!(offered(&["boothctl", "check", "a"]), ["a.conf"]);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn every_shell_reads_its_completion() {
    let test = "every_shell_reads_its_completion";
    for (shell, file) in [("bash", "booth.bash"), ("zsh", "_booth"), ("fish", "booth.fish")] {
        let path = folder("completion").join(file);
        match Command::new(shell).arg("-n").arg(&path).output() {
            Ok(output) => {
                assert!(output.status.success(), "{shell}: {}", String::from_utf8_lossy(&output.stderr));
            }
            Err(error) => live::skip(test, &format!("{shell}: {error}")),
        }
    }
}
