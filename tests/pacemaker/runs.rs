//! When a watched service ran, by what its processes have written down themselves, and what two sites' runs come to.

use std::fs;
use std::path::Path;

/// One life of a service's process, in seconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Number of the process, on its host.
    pub process: u32,
    /// When it began.
    pub first: f64,
    /// When it was last seen alive: up to a twentieth of a second before its end.
    pub last: f64,
}

/// The runs of the service whose agent writes to this directory, in order.
pub fn runs(directory: &Path) -> Vec<Run> {
    let mut runs: Vec<Run> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let process = entry.file_name().to_str()?.rsplit_once('.')?.1.parse().ok()?;
            let text = fs::read_to_string(entry.path()).ok()?;
            // Written in one go; a file that was only just made is empty.
            let (first, last) = text.trim_end().split_once(' ')?;
            Some(Run { process, first: first.parse().ok()?, last: last.parse().ok()? })
        })
        .collect();
    runs.sort_by(|a, b| a.first.total_cmp(&b.first));
    runs
}

/// Seconds during which the service ran at both sites.
pub fn overlap(here: &[Run], there: &[Run]) -> f64 {
    let both = |a: &Run, b: &Run| (a.last.min(b.last) - a.first.max(b.first)).max(0.0);
    here.iter().flat_map(|a| there.iter().map(move |b| both(a, b))).sum()
}

/// The time between two points as it is printed.
pub fn span(from: f64, to: f64) -> String {
    format!("{:.2} s", to - from)
}

#[test]
fn only_the_time_in_which_both_ran_counts() {
    let run = |first, last| Run { process: 1, first, last };
    assert_eq!(overlap(&[run(1.0, 5.0)], &[run(5.5, 9.0)]), 0.0);
    assert_eq!(overlap(&[run(1.0, 5.0), run(8.0, 9.0)], &[run(4.0, 8.5)]), 1.5);
    assert_eq!(overlap(&[run(1.0, 9.0)], &[run(2.0, 3.0), run(4.0, 5.0)]), 2.0);
    assert_eq!(overlap(&[], &[run(2.0, 3.0)]), 0.0);
}
