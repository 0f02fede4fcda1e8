//! Who held the ticket when: intervals, the check that no two of them overlap, and their picture.
//!
//! An interval is taken as wide as it can have been: from the last look at which the site did not
//! hold the ticket to the first one at which it no longer did. So an overlap too short to be seen
//! would still be found.

use std::fmt::Write;
use std::time::Duration;

/// How wide the picture is, without its labels; the whole fits 80 columns.
const WIDTH: usize = 64;
/// How wide the labels are.
const LABEL: usize = 12;

/// A time during which a site held the ticket; times since the demo's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Which site, by its place.
    pub(super) site: usize,
    /// From when, at the earliest.
    pub(super) from: Duration,
    /// Until when, at the latest.
    pub(super) until: Duration,
}

/// Something that was done, for the picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) at: Duration,
    pub(super) sign: char,
}

/// What the intervals prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// For how long two sites held the ticket at once.
    pub(super) overlap: Duration,
    /// The shortest time between two holders.
    pub(super) shortest_gap: Option<Duration>,
    /// How often the ticket went from one holder to the next.
    pub(super) handovers: usize,
}

impl Verdict {
    /// Whether at no time two sites held the ticket.
    pub(super) fn holds(&self) -> bool {
        self.overlap.is_zero()
    }

    /// Compares all intervals of different sites.
    pub(super) fn of(history: &[Held]) -> Verdict {
        let mut overlap = Duration::ZERO;
        for (at, one) in history.iter().enumerate() {
            for other in history[at + 1..].iter().filter(|other| other.site != one.site) {
                overlap += one.until.min(other.until).saturating_sub(one.from.max(other.from));
            }
        }
        let mut sorted = history.to_vec();
        sorted.sort_by_key(|held| held.from);
        let handovers = sorted.windows(2).filter(|pair| pair[0].site != pair[1].site);
        let gaps: Vec<Duration> = handovers.map(|pair| pair[1].from.saturating_sub(pair[0].until)).collect();
        Verdict { overlap, shortest_gap: gaps.iter().min().copied(), handovers: gaps.len() }
    }
}

/// The picture: a scale, a line for each site, a line of marks.
pub(super) fn draw(labels: &[&str], history: &[Held], marks: &[Mark], total: Duration) -> String {
    let mut picture = String::new();
    let column = |at: Duration| {
        let share = at.as_secs_f64() / total.as_secs_f64().max(f64::MIN_POSITIVE);
        ((share * WIDTH as f64) as usize).min(WIDTH - 1)
    };
    let mut scale = vec![b' '; WIDTH + 4];
    for second in (0..=total.as_secs()).step_by(5) {
        let text = if second == 0 { "0 s".to_owned() } else { second.to_string() };
        let start = column(Duration::from_secs(second));
        scale[start..start + text.len()].copy_from_slice(text.as_bytes());
    }
    line(&mut picture, "", &String::from_utf8_lossy(&scale));
    for (site, label) in labels.iter().enumerate() {
        let mut cells = vec![b'.'; WIDTH];
        for held in history.iter().filter(|held| held.site == site) {
            cells[column(held.from)..=column(held.until)].fill(b'#');
        }
        line(&mut picture, label, &String::from_utf8_lossy(&cells));
    }
    let mut cells = vec![' '; WIDTH];
    for mark in marks {
        cells[column(mark.at)] = mark.sign;
    }
    line(&mut picture, "", &cells.iter().collect::<String>());
    picture
}

fn line(picture: &mut String, label: &str, cells: &str) {
    let text = format!("{label:<LABEL$}{cells}");
    let _ = writeln!(picture, "{}", text.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(site: usize, from: u64, until: u64) -> Held {
        Held { site, from: Duration::from_millis(from), until: Duration::from_millis(until) }
    }

    #[test]
    fn one_after_the_other_is_no_overlap() {
        let verdict = Verdict::of(&[held(0, 1000, 6000), held(1, 7200, 9000), held(0, 9100, 9500)]);
        assert!(verdict.holds());
        assert_eq!((verdict.shortest_gap, verdict.handovers), (Some(Duration::from_millis(100)), 2));
    }

    #[test]
    fn any_overlap_is_found_in_whatever_order() {
        for history in [[held(0, 1000, 6000), held(1, 5999, 9000)], [held(1, 5999, 9000), held(0, 1000, 6000)]] {
            let verdict = Verdict::of(&history);
            assert!(!verdict.holds());
            assert_eq!(verdict.overlap, Duration::from_millis(1));
            assert_eq!(verdict.shortest_gap, Some(Duration::ZERO));
        }
        assert!(!Verdict::of(&[held(0, 0, 9000), held(1, 10, 20), held(0, 9500, 9600)]).holds());
    }

    #[test]
    fn a_site_does_not_overlap_with_itself() {
        let verdict = Verdict::of(&[held(0, 0, 2000), held(0, 1000, 3000)]);
        assert_eq!(verdict, Verdict { overlap: Duration::ZERO, shortest_gap: None, handovers: 0 });
        assert!(Verdict::of(&[]).holds());
    }

    #[test]
    fn the_picture_fits_a_terminal_of_80_columns() {
        let history = [held(0, 0, 10_000), held(1, 12_000, 31_999)];
        let marks = [Mark { at: Duration::from_secs(10), sign: 'K' }];
        let picture = draw(&["site A", "site B"], &history, &marks, Duration::from_secs(32));
        assert!(picture.lines().all(|line| line.len() < 80), "{picture}");
        assert_eq!(
            picture,
            "            0 s       5         10        15        20        25        30\n\
             site A      #####################...........................................\n\
             site B      ........................########################################\n\
             \x20                               K\n"
        );
    }
}
