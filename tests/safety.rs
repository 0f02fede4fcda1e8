//! What the documentation says of the safety rules is there: each place that enforces one, each file that shows it.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

const RULES: [&str; 16] =
    ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "S12", "S13", "L1", "L2", "L3"];

/// A row of the table: the rule, where it is enforced, what shows it.
struct Row<'a> {
    rule: &'a str,
    enforced: &'a str,
    shown: &'a str,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rows(text: &str) -> Vec<Row<'_>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("//! | **"));
    let row = |line| {
        let cells: Vec<&str> = str::split(line, " | ").collect();
        Row { rule: cells[0].split_once("**").unwrap().0, enforced: cells[1], shown: cells[2] }
    };
    lines.map(row).collect()
}

/// The words in backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// A file without a directory is one of the core.
fn path_of(name: &str) -> PathBuf {
    root().join(if name.contains('/') { name.to_owned() } else { format!("src/core/{name}") })
}

fn complaints(row: &Row<'_>) -> Vec<String> {
    let rule = row.rule;
    let mut found = Vec::new();
    for place in row.enforced.split("; ") {
        let mut words = quoted(place);
        let file = words.next().unwrap_or_default();
        let Ok(source) = fs::read_to_string(path_of(file)) else {
            found.push(format!("{rule}: there is no file `{file}`"));
            continue;
        };
        for name in words {
            if !source.contains(&format!("fn {name}(")) && !source.contains(&format!("fn {name}<")) {
                found.push(format!("{rule}: there is no function `{name}` in {file}"));
            }
        }
    }
    let mut shown = quoted(row.shown).peekable();
    if shown.peek().is_none() {
        found.push(format!("{rule}: no test is named"));
    }
    found.extend(shown.filter(|file| !root().join(file).exists()).map(|file| format!("{rule}: there is no `{file}`")));
    found
}

#[test]
fn what_the_documentation_says_of_the_rules_is_there() {
    let text = fs::read_to_string(root().join("src/safety.rs")).unwrap();
    let rows = rows(&text);
    assert_eq!(rows.iter().map(|row| row.rule).collect::<Vec<_>>(), RULES);
    let found: Vec<_> = rows.iter().flat_map(complaints).collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn a_place_that_is_not_there_is_noticed() {
    let text = "//! | **S4** x | `lease.rs`: `lease_end`, `no_such`; `gone.rs`: `x` | `tests/gone.rs`, model | a |";
    let found: Vec<_> = rows(text).iter().flat_map(complaints).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    let unshown = "//! | **S4** x | `lease.rs`: `lease_end` | simulation | a |";
    assert_eq!(rows(unshown).iter().flat_map(complaints).count(), 1);
}
