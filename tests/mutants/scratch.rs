//! A core with all mutants in it, built with those who judge it, away from the repository.

use super::judge::{Judge, REACHED};
use super::table::{Mutant, with_switches};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Programs by the name of their target.
pub type Programs = BTreeMap<String, PathBuf>;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the sources are that are mutated.
pub fn core() -> PathBuf {
    root().join("src/core")
}

/// Where it is built; what is there is used again.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants")
}

/// Writes and builds everything; `Err` holds what the compiler said.
pub fn build(mutants: &[&Mutant]) -> Result<Programs, String> {
    let folder = folder();
    copy(mutants, &root().join("src"), &folder.join("src"))?;
    write(&folder.join("packaging/build.rs"), &read(&root().join("packaging/build.rs")));
    write(&folder.join("Cargo.toml"), &manifest());
    write(&folder.join("judges/Cargo.toml"), &judges_manifest());
    write(&folder.join("judges/lib.rs"), "//! Nothing: the judges are test targets.\n");
    write(&folder.join("Cargo.lock"), &read(&root().join("Cargo.lock")));
    // The model checker is a workspace of its own, beside the core that it checks.
    copy(mutants, &root().join("tests/model"), &folder.join("tests/model"))?;
    let mut programs = compile(&folder, &["--package=booth-core", "--package=judges"])?;
    programs.extend(compile(&folder, &["--manifest-path=tests/model/Cargo.toml", "--locked", "--test=model"])?);
    Ok(programs)
}

fn compile(folder: &Path, what: &[&str]) -> Result<Programs, String> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "--offline", "--no-run", "--message-format=json-render-diagnostics", "--target-dir=target"])
        .args(what)
        .current_dir(folder)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let messages = messages.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let program = |message: serde_json::Value| {
        let executable = message["executable"].as_str()?;
        Some((message["target"]["name"].as_str()?.to_owned(), PathBuf::from(executable)))
    };
    Ok(messages.filter_map(program).collect())
}

fn copy(mutants: &[&Mutant], from: &Path, to: &Path) -> Result<(), String> {
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == "target" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy(mutants, &path, &target)?;
            continue;
        }
        let mut text = read(&path);
        if let Ok(file) = path.strip_prefix(core()) {
            let file = file.to_str().unwrap();
            text = with_switches(mutants, file, &text)?;
            if file == "lib.rs" {
                text += &SWITCH.replace("REACHED", &format!("{REACHED}\\n"));
            }
        }
        write(&target, &text);
    }
    Ok(())
}

/// Which mutant is in force is said once, by the environment. (The core itself has no `std`.)
const SWITCH: &str = r#"
extern crate std;

/// Whether this mutant is in force; says so where it is come by for the first time.
pub(crate) fn mutated(number: u32) -> bool {
    use std::io::Write;
    static ACTIVE: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    static SAID: std::sync::Once = std::sync::Once::new();
    let active = *ACTIVE.get_or_init(|| std::env::var("BOOTH_MUTANT").unwrap().parse().unwrap());
    if active == number {
        SAID.call_once(|| std::io::stderr().write_all(b"REACHED").unwrap());
    }
    active == number
}
"#;

/// The repository's manifest without what is only tested, and with the judges. A little speed is worth its
/// compilation; overflow and assertions are checked as in every test.
fn manifest() -> String {
    const LEFT_OUT: [&str; 4] = ["[[test]]", "[[example]]", "[[bench]]", "[dev-dependencies]"];
    let mut kept = true;
    let mut out = String::new();
    for line in read(&root().join("Cargo.toml")).lines() {
        if line.starts_with('[') {
            kept = !LEFT_OUT.contains(&line) && !line.starts_with("[profile.");
        }
        if kept {
            out += &format!("{line}\n");
        }
    }
    let members = "members = [\"src/core\"";
    assert!(out.contains(members), "{out}");
    let out = out.replacen(members, &format!("{members}, \"judges\""), 1);
    format!("{out}\n[profile.dev]\nopt-level = 1\ndebug = 0\nincremental = false\n")
}

fn judges_manifest() -> String {
    let tests: String = Judge::ALL
        .iter()
        .map(|judge| judge.target())
        .filter(|target| ![Judge::Unit.target(), Judge::Model("").target()].contains(target))
        .map(|target| {
            let folder = root().join("tests").join(target);
            let path =
                if folder.join("main.rs").exists() { folder.join("main.rs") } else { folder.with_extension("rs") };
            format!("[[test]]\nname = {target:?}\npath = {path:?}\n")
        })
        .collect();
    // What the program depends on, its tests may use as well.
    let manifest = read(&root().join("Cargo.toml"));
    let (_, dependencies) = manifest.split_once("\n[dependencies]\n").unwrap();
    let dependencies = dependencies.split("\n[").next().unwrap();
    format!(
        "[package]\nname = \"judges\"\nedition = \"2024\"\n[lib]\npath = \"lib.rs\"\n\
         [dependencies]\nbooth = {{ path = \"..\" }}\n{dependencies}\n{tests}"
    )
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Leaves a file alone that has this text already: what is built from it is still good.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
