//! What a host's stand-in `crm_ticket` has written, and for how long two sites held one ticket.

use std::path::Path;

/// One write of a grant or a revoke.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Seconds since the epoch.
    pub at: f64,
    /// Granted, else revoked.
    pub granted: bool,
}

/// All grants and revokes of a ticket at one host, in the order of time. Renewals are grants too.
pub fn history(directory: &Path, ticket: &str) -> Vec<Change> {
    let text = std::fs::read_to_string(directory.join("history")).unwrap_or_default();
    // A line that is being written has no end yet.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().filter_map(|line| change(line, ticket)).collect()
}

fn change(line: &str, ticket: &str) -> Option<Change> {
    let mut words = line.split(' ');
    let at = words.next()?.parse().unwrap_or_else(|_| panic!("history line {line:?}: no time"));
    (words.next()? == ticket).then(|| Change { at, granted: words.next() == Some("granted") })
}

/// One attribute of a ticket as the host's store holds it.
pub fn attribute(directory: &Path, ticket: &str, name: &str) -> Option<String> {
    std::fs::read_to_string(directory.join(ticket).join(name)).ok()
}

/// Seconds during which both histories said granted, `now` being the end of a grant that still stands.
pub fn double_ownership(one: &[Change], other: &[Change], now: f64) -> f64 {
    let (ones, others) = (spans(one, now), spans(other, now));
    let pairs = ones.iter().flat_map(|a| others.iter().map(move |b| (a, b)));
    pairs.map(|(a, b)| (a.1.min(b.1) - a.0.max(b.0)).max(0.0)).sum()
}

fn spans(changes: &[Change], now: f64) -> Vec<(f64, f64)> {
    let mut spans = Vec::new();
    let mut since = None;
    for change in changes {
        match (since, change.granted) {
            (None, true) => since = Some(change.at),
            (Some(start), false) => {
                spans.push((start, change.at));
                since = None;
            }
            _ => {}
        }
    }
    spans.extend(since.map(|start| (start, now)));
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(of: &[(f64, bool)]) -> Vec<Change> {
        of.iter().map(|&(at, granted)| Change { at, granted }).collect()
    }

    #[test]
    fn double_ownership_is_the_time_that_both_histories_share() {
        let one = changes(&[(0.0, false), (1.0, true), (6.0, true), (11.0, false), (20.0, true)]);
        let other = changes(&[(8.0, true), (12.0, false), (12.5, true), (13.0, false), (21.5, true)]);
        assert_eq!(double_ownership(&one, &other, 24.0), 3.0 + 2.5);
        assert_eq!(double_ownership(&one, &[], 24.0), 0.0);
        assert_eq!(double_ownership(&one, &changes(&[(11.0, true), (20.0, false)]), 24.0), 0.0);
    }
}
