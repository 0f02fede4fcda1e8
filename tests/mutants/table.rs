//! What a mutant is, and how it is put into a source: behind a switch, beside what it replaces.
//!
//! All mutants are compiled into one core. Each stands in an `if` beside the original text, so that a
//! run picks one by its number, and the price of one more mutant is its runs and not a build.

use super::judge::Judge;
use std::collections::BTreeMap;
use std::ops::Range;

/// A deliberate breakage of the core.
pub struct Mutant {
    pub name: &'static str,
    /// The rule that it breaks: S1 to S12, L1 to L3.
    pub rule: &'static str,
    /// What goes wrong, as a sentence without its dot.
    pub breaks: &'static str,
    pub edits: &'static [Edit],
    /// Who is known to notice. All are asked, and all must.
    pub found_by: &'static [Judge],
}

/// One text for another in a file of the core.
pub struct Edit {
    pub file: &'static str,
    /// Found exactly once. Where only a part of it is replaced, that stands between `[[` and `]]`.
    before: &'static str,
    after: &'static str,
}

pub const fn mutant(
    name: &'static str,
    rule: &'static str,
    breaks: &'static str,
    edits: &'static [Edit],
    found_by: &'static [Judge],
) -> Mutant {
    Mutant { name, rule, breaks, edits, found_by }
}

/// The text to be replaced is an expression, or it ends with `;` or `}` and is one or more statements.
pub const fn edit(file: &'static str, before: &'static str, after: &'static str) -> Edit {
    Edit { file, before, after }
}

impl Edit {
    /// Which bytes of the source are replaced; `Err` says why it cannot be told.
    pub fn place(&self, source: &str) -> Result<Range<usize>, String> {
        let plain = self.before.replacen("[[", "", 1).replacen("]]", "", 1);
        let found: Vec<_> = source.match_indices(&plain).map(|(at, _)| at).collect();
        let [at] = found[..] else {
            return Err(format!("{}: found {} times, not once: `{plain}`", self.file, found.len()));
        };
        match (self.before.find("[["), self.before.find("]]")) {
            (Some(start), Some(end)) if start < end => Ok(at + start..at + end - 2),
            (None, None) => Ok(at..at + plain.len()),
            _ => Err(format!("{}: unmatched brackets in `{}`", self.file, self.before)),
        }
    }
}

/// The source of a file with every mutant in it, mutant `n` of the table behind `crate::mutated(n + 1)`;
/// `Err` says which do not fit.
pub fn with_switches(mutants: &[&Mutant], file: &str, source: &str) -> Result<String, String> {
    let mut places: BTreeMap<(usize, usize), Vec<(usize, &str)>> = BTreeMap::new();
    let mut complaints = Vec::new();
    for (number, mutant) in (1..).zip(mutants) {
        for edit in mutant.edits.iter().filter(|edit| edit.file == file) {
            match edit.place(source) {
                Ok(place) => places.entry((place.start, place.end)).or_default().push((number, edit.after)),
                Err(error) => complaints.push(format!("{}: {error}", mutant.name)),
            }
        }
    }
    if !complaints.is_empty() {
        return Err(complaints.join("\n"));
    }
    let mut out = String::new();
    let mut done = 0;
    for ((start, end), switched) in places {
        if start < done {
            return Err(format!("{file}: mutants overlap at `{}`", &source[start..end]));
        }
        let original = &source[start..end];
        let switches: String =
            switched.iter().map(|(number, after)| format!("if crate::mutated({number}) {{ {after} }} else ")).collect();
        let statement = original.ends_with([';', '}']);
        let (open, close) = if statement { ("", "") } else { ("(", ")") };
        out += &source[done..start];
        out += &format!("{open}{switches}{{ {original} }}{close}");
        done = end;
    }
    Ok(out + &source[done..])
}
