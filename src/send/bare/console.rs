//! Lines for people, on standard output and standard error, in the original's form.

use crate::system;
use fence_kdump_send::text::Digits;

/// Prints a text as it is.
pub fn print(text: &str) {
    system::write(1, &[text.as_bytes()]);
}

/// Prints a line about what is done; `what` stands between the other two.
pub fn debug(before: &str, what: &[u8], after: &str) {
    line(1, ["[debug]: ", before, after], what, None);
}

/// Prints a line about what went wrong; `what` stands between the other two.
pub fn error(before: &str, what: &[u8], after: &str) {
    line(2, ["[error]: ", before, after], what, None);
}

/// As [`error`], and a number at the end of the line.
pub fn error_number(before: &str, what: &[u8], after: &str, number: usize) {
    line(2, ["[error]: ", before, after], what, Some(number));
}

/// One call for all parts: lines of several programs do not mix.
fn line(stream: usize, [kind, before, after]: [&str; 3], what: &[u8], number: Option<usize>) {
    let digits = number.map(|number| Digits::of(number as u64));
    let digits = digits.as_ref().map_or(&[][..], Digits::as_bytes);
    system::write(stream, &[kind.as_bytes(), before.as_bytes(), what, after.as_bytes(), digits, b"\n"]);
}
