//! The house rules that a compiler does not check: licences of what we depend on, length of files and
//! functions, names, what lies at the top, lints in every package, a head line for each file, the safety rules named where they are enforced and
//! where they are tested, a core without `std`, and no trace of the machine it was written on.
//!
//! Each check is a function from text to complaints. The second half of the file feeds each one
//! something bad: a check that cannot fail is no check.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use syn::spanned::Spanned;
use syn::visit::Visit;

/// The most lines of a file below `src`, its tests not counted.
const MAX_FILE_LINES: usize = 600;
/// The most lines of a function below `src`, from `fn` to its closing brace.
const MAX_FUNCTION_LINES: usize = 70;
/// Licences (SPDX) under which we may ship somebody's code together with ours.
const LICENCES: [&str; 7] = ["MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib", "Unicode-3.0"];
/// The safety rules. S0 is what they add up to: no single place enforces it, the simulation tests it.
const RULES: [&str; 12] = ["S1", "S2", "S3", "S4", "S5", "S6", "S7", "S8", "S9", "S10", "S11", "S12"];
/// Rules that wait for a part that is not built yet. An entry that is no longer needed is an error.
const LATER: [(&str, Place, &str); 0] = [];
/// Words that say nothing about what a thing is.
const EMPTY_WORDS: [&str; 5] = ["manager", "util", "utils", "helper", "helpers"];
/// Places that exist only where this was written. In two halves, or this file would name them.
const WORKPLACE: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/tmp/", "wt"), concat!("shared/", "peer"), concat!("shared/", "reference")];
/// What builds and tools leave in the tree. (`.git` is a file in a second working tree.)
const LEFT_BEHIND: [&str; 4] = ["target", ".git", "corpus", "artifacts"];
/// What a visitor sees first, and what is built from it; files of the makers' tools begin with a dot.
const TOP_LEVEL: [&str; 11] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "conf",
    "packaging",
    "src",
    "tests",
];
/// Where every locked dependency comes from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Where a safety rule is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the program.
    Enforced,
    /// In a test.
    Tested,
}

/// A Rust source file of ours.
struct Source {
    /// Relative to the package's root, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    fn syntax(&self) -> syn::File {
        syn::parse_file(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.path))
    }

    /// Whether the whole file is test code.
    fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    fn is_program(&self) -> bool {
        self.path.starts_with("src/") && !self.is_test()
    }

    /// Lines (from 1) of items that are compiled for tests only.
    fn test_lines(&self) -> BTreeSet<usize> {
        let mut lines = TestLines(BTreeSet::new());
        lines.visit_file(&self.syntax());
        lines.0
    }

    /// The text with either the test code or all other code taken out.
    fn part(&self, place: Place) -> String {
        let tests = if self.is_test() { (1..=self.text.lines().count()).collect() } else { self.test_lines() };
        let wanted = |number: &usize| tests.contains(number) == (place == Place::Tested);
        (1..).zip(self.text.lines()).filter(|(number, _)| wanted(number)).map(|(_, line)| format!("{line}\n")).collect()
    }
}

fn lines_of(spanned: &impl Spanned) -> RangeInclusive<usize> {
    spanned.span().start().line..=spanned.span().end().line
}

struct TestLines(BTreeSet<usize>);

impl<'a> Visit<'a> for TestLines {
    fn visit_item(&mut self, item: &'a syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::ExternCrate(item) => &item.attrs,
            _ => return,
        };
        let is_test = |attribute: &syn::Attribute| {
            let list = attribute.meta.require_list();
            attribute.path().is_ident("cfg") && list.is_ok_and(|list| list.tokens.to_string() == "test")
        };
        if attributes.iter().any(is_test) {
            self.0.extend(lines_of(item));
        } else {
            syn::visit::visit_item(self, item);
        }
    }
}

// The checks.

fn check_licence(package: &str, licence: Option<&str>) -> Option<String> {
    let Some(licence) = licence else { return Some(format!("{package} states no licence")) };
    let allowed = |requirement: &spdx::LicenseReq| {
        requirement.addition.is_none() && requirement.license.id().is_some_and(|id| LICENCES.contains(&id.name))
    };
    match spdx::Expression::parse_mode(licence, spdx::ParseMode::LAX) {
        Ok(expression) if expression.evaluate(allowed) => None,
        Ok(_) => Some(format!("{package} has the licence `{licence}`; permitted are {LICENCES:?}")),
        Err(error) => Some(format!("{package} has the licence `{licence}`, which is no SPDX expression: {error}")),
    }
}

fn check_lock(lock: &str) -> Vec<String> {
    let sources = lock.lines().filter_map(|line| line.strip_prefix("source = "));
    sources
        .filter(|source| source.trim_matches('"') != REGISTRY)
        .map(|source| format!("Cargo.lock: {source}"))
        .collect()
}

fn check_head(file: &Source) -> Option<String> {
    let says = file.text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 10);
    (!says).then(|| format!("{}:1: the first line must say with `//!` what the file is for", file.path))
}

fn check_file_length(file: &Source) -> Option<String> {
    let lines = file.part(Place::Enforced).lines().count();
    let long = file.is_program() && lines > MAX_FILE_LINES;
    long.then(|| format!("{}: {lines} lines without tests, at most {MAX_FILE_LINES}: cut it", file.path))
}

fn check_function_length(file: &Source) -> Vec<String> {
    struct Functions(Vec<(String, RangeInclusive<usize>)>);
    impl<'a> Visit<'a> for Functions {
        fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
            self.0.push((item.sig.ident.to_string(), item.sig.span().start().line..=item.block.span().end().line));
            syn::visit::visit_item_fn(self, item);
        }
        fn visit_impl_item_fn(&mut self, item: &'a syn::ImplItemFn) {
            self.0.push((item.sig.ident.to_string(), item.sig.span().start().line..=item.block.span().end().line));
            syn::visit::visit_impl_item_fn(self, item);
        }
        fn visit_trait_item_fn(&mut self, item: &'a syn::TraitItemFn) {
            self.0.push((item.sig.ident.to_string(), lines_of(item)));
            syn::visit::visit_trait_item_fn(self, item);
        }
    }
    if !file.is_program() {
        return Vec::new();
    }
    let tests = file.test_lines();
    let mut functions = Functions(Vec::new());
    functions.visit_file(&file.syntax());
    functions.0.retain(|(_, lines)| !tests.contains(lines.start()) && lines.clone().count() > MAX_FUNCTION_LINES);
    let complaint = |(name, lines): &(String, RangeInclusive<usize>)| {
        let (count, start) = (lines.clone().count(), lines.start());
        format!("{}:{start}: `{name}` has {count} lines, at most {MAX_FUNCTION_LINES}: cut it", file.path)
    };
    functions.0.iter().map(complaint).collect()
}

fn check_names(file: &Source) -> Vec<String> {
    struct Names(Vec<syn::Ident>);
    impl<'a> Visit<'a> for Names {
        fn visit_item_impl(&mut self, item: &'a syn::ItemImpl) {
            // The names in another's trait are not ours to choose.
            if item.trait_.is_none() {
                syn::visit::visit_item_impl(self, item);
            }
        }
        fn visit_signature(&mut self, signature: &'a syn::Signature) {
            self.0.push(signature.ident.clone());
            syn::visit::visit_signature(self, signature);
        }
        fn visit_item(&mut self, item: &'a syn::Item) {
            self.0.extend(match item {
                syn::Item::Struct(item) => Some(item.ident.clone()),
                syn::Item::Enum(item) => Some(item.ident.clone()),
                syn::Item::Trait(item) => Some(item.ident.clone()),
                syn::Item::Type(item) => Some(item.ident.clone()),
                syn::Item::Mod(item) => Some(item.ident.clone()),
                syn::Item::Const(item) => Some(item.ident.clone()),
                syn::Item::Static(item) => Some(item.ident.clone()),
                _ => None,
            });
            syn::visit::visit_item(self, item);
        }
        fn visit_field(&mut self, field: &'a syn::Field) {
            self.0.extend(field.ident.clone());
            syn::visit::visit_field(self, field);
        }
        fn visit_variant(&mut self, variant: &'a syn::Variant) {
            self.0.push(variant.ident.clone());
            syn::visit::visit_variant(self, variant);
        }
        fn visit_pat_ident(&mut self, pattern: &'a syn::PatIdent) {
            self.0.push(pattern.ident.clone());
            syn::visit::visit_pat_ident(self, pattern);
        }
    }
    // The names of tests are sentences, in which every word may have its place.
    if !file.is_program() {
        return Vec::new();
    }
    let tests = file.test_lines();
    let mut names = Names(Vec::new());
    names.visit_file(&file.syntax());
    names.0.retain(|name| is_empty_name(&name.to_string()) && !tests.contains(&name.span().start().line));
    let complaint =
        |name: &syn::Ident| format!("{}:{}: `{name}` does not say what it is", file.path, name.span().start().line);
    names.0.iter().map(complaint).collect()
}

fn is_empty_name(name: &str) -> bool {
    name == "data" || name.starts_with("get_") || words(name).iter().any(|word| EMPTY_WORDS.contains(&word.as_str()))
}

/// The words of a name in snake or camel case, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for character in name.chars() {
        if (character == '_' || character.is_uppercase()) && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        words.last_mut().unwrap().extend(character.to_lowercase().filter(|letter| *letter != '_'));
    }
    words
}

/// Whether the text names the rule as a word of its own (`S4`) or as part of a name (`s4_...`).
fn names_rule(text: &str, rule: &str) -> bool {
    let in_word = |word: &str| word.split('_').any(|part| part.eq_ignore_ascii_case(rule));
    text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_').any(in_word)
}

fn check_rules(files: &[Source], later: &[(&str, Place, &str)]) -> Vec<String> {
    let mut complaints = Vec::new();
    for place in [Place::Enforced, Place::Tested] {
        let counts = |file: &&Source| match place {
            Place::Enforced => file.path.starts_with("src/"),
            Place::Tested => file.path != "tests/tidy.rs",
        };
        let text: String = files.iter().filter(counts).map(|file| file.part(place)).collect();
        for rule in RULES {
            let excused = later.iter().any(|entry| (entry.0, entry.1) == (rule, place));
            match (names_rule(&text, rule), excused) {
                (false, false) => complaints.push(format!("{rule} is nowhere {place:?}")),
                (true, true) => complaints.push(format!("{rule} is {place:?} now: take it off the list of later ones")),
                _ => {}
            }
        }
    }
    complaints
}

fn check_workplace(path: &str, text: &str) -> Vec<String> {
    let found = WORKPLACE.iter().filter(|place| text.contains(**place));
    found.map(|place| format!("{path}: names `{place}`, which exists only where this was written")).collect()
}

fn check_top_level(path: &str) -> Option<String> {
    let first = path.split('/').next().unwrap_or_default();
    let known = first.starts_with('.') || TOP_LEVEL.contains(&first);
    (!known).then(|| format!("{path}: at the top there are {TOP_LEVEL:?} and nothing else"))
}

/// A package whose manifest does not ask for the workspace's lints has none of them.
fn check_manifest(path: &str, text: &str) -> Option<String> {
    let inherits = text.contains("\n[lints]\nworkspace = true\n") || !text.contains("[package]");
    (!inherits).then(|| format!("{path}: lacks `[lints]`, `workspace = true`"))
}

/// The command that the README promises is the one that is run at every stop.
fn check_test_command(readme: &str, run: &str) -> Option<String> {
    let command = readme.lines().find(|line| line.starts_with("cargo test")).unwrap_or("cargo test");
    let command = command.split('#').next().unwrap_or_default().trim();
    let same = run.lines().any(|line| line.ends_with(&format!(" {command}")));
    (!same).then(|| format!(".ci/run: does not run `{command}`, as the README says"))
}

fn check_no_std(file: &Source) -> Vec<String> {
    struct Paths(Vec<syn::Ident>);
    impl<'a> Visit<'a> for Paths {
        fn visit_path(&mut self, path: &'a syn::Path) {
            self.0.extend(path.segments.first().filter(|_| path.segments.len() > 1).map(|first| first.ident.clone()));
            syn::visit::visit_path(self, path);
        }
        fn visit_use_path(&mut self, path: &'a syn::UsePath) {
            self.0.push(path.ident.clone());
        }
        fn visit_item_extern_crate(&mut self, item: &'a syn::ItemExternCrate) {
            self.0.push(item.ident.clone());
        }
    }
    let tests = file.test_lines();
    let mut paths = Paths(Vec::new());
    paths.visit_file(&file.syntax());
    paths.0.retain(|name| (name == "std" || name == "alloc") && !tests.contains(&name.span().start().line));
    let complaint = |name: &syn::Ident| format!("{}:{}: uses `{name}`", file.path, name.span().start().line);
    let mut complaints: Vec<String> = paths.0.iter().map(complaint).collect();
    if file.path.ends_with("/lib.rs") && !file.text.lines().any(|line| line == "#![no_std]") {
        complaints.push(format!("{}: lacks #![no_std]", file.path));
    }
    complaints
}

// What they are applied to.

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files of ours, relative to the root.
fn all_files() -> Vec<String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()) {
            let path = entry.path();
            if LEFT_BEHIND.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                walk(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(root(), &mut found);
    found.sort();
    let relative = |path: &PathBuf| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
    found.iter().map(relative).collect()
}

fn sources() -> Vec<Source> {
    let paths = all_files().into_iter().filter(|path| path.ends_with(".rs"));
    let sources: Vec<Source> =
        paths.map(|path| Source::new(&path, &fs::read_to_string(root().join(&path)).unwrap())).collect();
    assert!(sources.iter().any(|file| file.path == "src/core/lib.rs"), "the sources were not found");
    sources
}

fn assert_clean(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn every_dependency_has_a_permissive_licence() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--offline", "--all-features", "--filter-platform", &host])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 10, "only {} packages: the list is not complete", packages.len());
    let check =
        |package: &serde_json::Value| check_licence(package["name"].as_str().unwrap(), package["license"].as_str());
    assert_clean(packages.iter().filter_map(check).collect());
    assert_clean(check_lock(&fs::read_to_string(root().join("Cargo.lock")).unwrap()));
}

#[test]
fn every_file_says_what_it_is_for() {
    assert_clean(sources().iter().filter_map(check_head).collect());
}

#[test]
fn files_and_functions_are_short() {
    let sources = sources();
    let files = sources.iter().filter_map(check_file_length);
    assert_clean(files.chain(sources.iter().flat_map(check_function_length)).collect());
}

#[test]
fn names_say_something() {
    let empty = |path: &&String| {
        let stem = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        is_empty_name(&stem.replace(['-', '.'], "_"))
    };
    let files: Vec<String> = all_files().iter().filter(empty).map(|path| format!("{path}: an empty name")).collect();
    assert_clean(sources().iter().flat_map(check_names).chain(files).collect());
}

#[test]
fn every_safety_rule_is_named_where_it_is_enforced_and_in_a_test() {
    assert_clean(check_rules(&sources(), &LATER));
}

#[test]
fn nothing_names_the_place_where_it_was_written() {
    let check = |path: &String| {
        fs::read(root().join(path)).map_or(Vec::new(), |bytes| check_workplace(path, &String::from_utf8_lossy(&bytes)))
    };
    assert_clean(all_files().iter().flat_map(check).collect());
}

#[test]
fn the_top_holds_what_was_agreed_on() {
    assert_clean(all_files().iter().filter_map(|path| check_top_level(path)).collect());
}

#[test]
fn every_package_has_the_lints() {
    // The fuzzer is a workspace of its own; what it does is compiled, with the lints, for tests/fuzz_seeds.rs.
    let ours = |path: &String| path.ends_with("Cargo.toml") && path != "tests/fuzz/Cargo.toml";
    let manifests: Vec<String> = all_files().into_iter().filter(ours).collect();
    assert!(manifests.len() >= 2, "{manifests:?}");
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    assert_clean(manifests.iter().filter_map(|path| check_manifest(path, &read(path))).collect());
    assert_clean(check_test_command(&read("README.md"), &read(".ci/run")).into_iter().collect());
}

#[test]
fn the_core_uses_neither_std_nor_alloc() {
    let bare = |file: &&Source| file.path.starts_with("src/core/") || file.path.starts_with("src/send/");
    assert_clean(sources().iter().filter(bare).flat_map(check_no_std).collect());
}

// Each check can fail.

#[test]
fn a_licence_that_is_not_permitted_is_noticed() {
    for bad in
        ["GPL-3.0-only", "MIT AND GPL-2.0-only", "Apache-2.0 WITH LLVM-exception", "(MIT OR ISC) AND MPL-2.0", "?"]
    {
        assert!(check_licence("bad", Some(bad)).is_some(), "{bad}");
    }
    assert!(check_licence("bad", None).is_some());
    for good in ["MIT", "MIT/Apache-2.0", "GPL-2.0-only OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0"] {
        assert_eq!(check_licence("good", Some(good)), None);
    }
    assert_eq!(check_lock("source = \"registry+https://mirror.example/index\"\n").len(), 1);
    assert_eq!(check_lock(&format!("source = \"{REGISTRY}\"\n")).len(), 0);
}

#[test]
fn a_file_without_a_head_is_noticed() {
    for bad in ["", "fn f() {}\n", "// A comment that is not a doc comment.\n", "//!\n", "\n//! Late as it is.\n"] {
        assert!(check_head(&Source::new("src/bad.rs", bad)).is_some(), "{bad:?}");
    }
    assert_eq!(check_head(&Source::new("src/good.rs", "//! What it is for.\n")), None);
}

#[test]
fn a_long_file_is_noticed_and_its_tests_are_not_counted() {
    let code = |lines: usize| "const A: u8 = 0;\n".repeat(lines);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", code(50));
    assert!(check_file_length(&Source::new("src/bad.rs", &code(601))).is_some());
    assert!(check_file_length(&Source::new("src/bad.rs", &format!("{tests}{}", code(601)))).is_some());
    assert_eq!(check_file_length(&Source::new("src/good.rs", &format!("{}{tests}", code(600)))), None);
    assert_eq!(check_file_length(&Source::new("src/core/ticket/tests.rs", &code(601))), None);
}

#[test]
fn a_long_function_is_noticed_wherever_it_stands() {
    let function = |lines: usize| format!("fn long() {{\n{}}}\n", "let a = 0;\n".repeat(lines - 2));
    let bad = function(71);
    for text in [
        bad.clone(),
        format!("impl T {{\n{bad}}}\n"),
        format!("trait T {{\n{bad}}}\n"),
        format!("mod m {{\n{bad}}}\n"),
        format!("fn outer() {{}}\nmod m {{ impl T {{\n{bad}}} }}\n"),
    ] {
        let complaints = check_function_length(&Source::new("src/bad.rs", &text));
        assert!(complaints.len() == 1 && complaints[0].contains("71 lines"), "{complaints:?}");
    }
    assert!(check_function_length(&Source::new("src/good.rs", &function(70))).is_empty());
    let tests = format!("#[cfg(test)]\nmod tests {{\n{bad}}}\n");
    assert!(check_function_length(&Source::new("src/good.rs", &tests)).is_empty());
}

#[test]
fn an_empty_name_is_noticed_wherever_it_is_given() {
    for bad in [
        "struct TicketManager;",
        "fn get_ticket() {}",
        "mod utils {}",
        "fn f() { let my_helper = 1; }",
        "struct T { data: u8 }",
        "enum E { Helper }",
        "impl T { fn get_name(&self) {} }",
        "fn f(data: u8) {}",
    ] {
        assert_eq!(check_names(&Source::new("src/bad.rs", bad)).len(), 1, "{bad}");
    }
    for good in [
        "fn database() {}",
        "impl Other for T { fn get_name(&self) {} }",
        "fn f() { other.get_name(); }",
        "#[cfg(test)]\nmod tests { fn get_prints() {} }",
    ] {
        assert!(check_names(&Source::new("src/good.rs", good)).is_empty(), "{good}");
    }
    assert!(is_empty_name("ticket_util") && !is_empty_name("utility"));
}

#[test]
fn a_rule_that_is_not_named_is_noticed() {
    let all = |separator: &str| format!("// {}\n", RULES.join(separator));
    let files = |program: &str, test: &str| {
        [Source::new("src/a.rs", program), Source::new("tests/b.rs", test), Source::new("tests/tidy.rs", &all(" "))]
    };
    assert!(check_rules(&files(&all(", "), &all("/")), &[]).is_empty());
    let without_s1 = all(" ").replace("S1 ", "");
    assert_eq!(check_rules(&files(&without_s1, &all(" ")), &[]), ["S1 is nowhere Enforced"]);
    assert_eq!(check_rules(&files(&all(" "), &without_s1), &[]), ["S1 is nowhere Tested"]);
    assert!(check_rules(&files(&without_s1, &all(" ")), &[("S1", Place::Enforced, "")]).is_empty());
    assert_eq!(check_rules(&files(&all(" "), &all(" ")), &[("S1", Place::Enforced, "")]).len(), 1);
    let inside = format!("{without_s1}#[cfg(test)]\nmod tests {{ fn s1_votes_once() {{}} }}\n");
    assert_eq!(check_rules(&files(&inside, &without_s1), &[]), ["S1 is nowhere Enforced"]);
}

#[test]
fn a_path_of_the_workplace_is_noticed() {
    for place in WORKPLACE {
        assert_eq!(check_workplace("a.sh", &format!("cd {place}main")).len(), 1, "{place}");
    }
    assert!(check_workplace("a.sh", "cd /tmp/x/work").is_empty());
}

#[test]
fn what_lies_about_at_the_top_is_noticed() {
    for bad in ["notes.txt", "scripts/build.sh", "srcs/lib.rs"] {
        assert!(check_top_level(bad).is_some(), "{bad}");
    }
    for good in [".ci/run", "src/lib.rs", "README.md"] {
        assert_eq!(check_top_level(good), None);
    }
}

#[test]
fn a_package_without_the_lints_is_noticed() {
    assert!(check_manifest("bad/Cargo.toml", "[package]\nname = \"a\"\n").is_some());
    assert!(check_manifest("bad/Cargo.toml", "[package]\n\n[lints]\nworkspace = false\n").is_some());
    assert_eq!(check_manifest("good/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n"), None);
}

#[test]
fn another_test_command_than_the_readme_s_is_noticed() {
    let readme = "cargo test --workspace   # the tests\n";
    assert!(check_test_command(readme, "A=b cargo test --workspace --lib\n").is_some());
    assert!(check_test_command("no command\n", "A=b cargo test --workspace\n").is_some());
    assert_eq!(check_test_command(readme, "A=b cargo test --workspace\n"), None);
}

#[test]
fn std_in_the_core_is_noticed() {
    for bad in ["extern crate alloc;", "use std::fmt;", "fn f() -> std::string::String {}", "use alloc::vec::Vec;"] {
        assert_eq!(check_no_std(&Source::new("src/core/bad.rs", bad)).len(), 1, "{bad}");
    }
    assert_eq!(check_no_std(&Source::new("src/core/lib.rs", "//! No attribute.\n")).len(), 1);
    let tests = "use core::fmt;\n#[cfg(test)]\nmod tests { use std::fmt; }\n";
    assert!(check_no_std(&Source::new("src/core/good.rs", tests)).is_empty());
}
