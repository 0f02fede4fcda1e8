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
    // Folded, since the sum of nothing is -0.
    pairs.map(|(a, b)| (a.1.min(b.1) - a.0.max(b.0)).max(0.0)).fold(0.0, |sum, shared| sum + shared)
}

/// Seconds from the end at one site to the grant at the other that came next: the first one at `other` after `since`.
/// Negative where both held it. `None`: nothing has been granted there yet.
pub fn distance(one: &[Change], other: &[Change], since: f64, now: f64) -> Option<f64> {
    let (granted, _) = spans(other, now).into_iter().find(|span| span.0 >= since)?;
    let (_, ended) = spans(one, now).into_iter().rfind(|span| span.0 < granted)?;
    Some(granted - ended)
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

    #[test]
    fn distance_is_from_the_end_of_the_last_grant_before_the_other() {
        let one = changes(&[(0.0, false), (1.0, true), (6.0, true), (11.0, false), (30.0, true)]);
        let after = |at: f64| changes(&[(0.5, true), (0.6, false), (at, true)]);
        assert_eq!(distance(&one, &after(14.0), 1.0, 40.0), Some(3.0));
        assert_eq!(distance(&one, &after(9.0), 1.0, 40.0), Some(-2.0));
        assert_eq!(distance(&one, &after(35.0), 1.0, 40.0), Some(-5.0));
        assert_eq!(distance(&one, &[], 1.0, 40.0), None);
    }
}
