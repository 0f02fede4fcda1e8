//! Whether all nodes of a site were down at once (S13).
//!
//! A node that sends from its crash kernel is down when it sends. To be down at once, each must have been heard after
//! the last of them had begun: one that was heard only before may have booted again, joined its cluster and taken over
//! what the cluster knows. Only signed and *timely* messages count here: one whose own clock says that it was sent
//! more than [`super::authenticity::TIMELY`] ago, or that far ahead, may have been held back. Where that clock is itself
//! wrong by as much, a message may be on its way for twice as long: no node boots and joins a cluster in that time. A
//! node whose clock is wrong by more never counts, and the end of the lease is waited for.

use super::{NodeIndex, Table};
use crate::time::Instant;

impl Table {
    /// When all of these nodes were first known to be down at once, by the messages of each one's newest dump; `None`:
    /// they were not, or there are none.
    pub fn all_down_since(&self, nodes: &[NodeIndex]) -> Option<Instant> {
        let spans = || nodes.iter().map(|node| self.nodes.get(usize::from(node.0))?.timely());
        let since = spans()
            .map(|span| span.map(|(first, _)| first))
            .try_fold(None, |latest, first| first.map(|first| latest.max(Some(first))))??;
        spans().flatten().all(|(_, last)| last >= since).then_some(since)
    }
}

#[cfg(test)]
mod stories {
    #![allow(clippy::unwrap_used)]

    use super::super::tests::{self, Story, pair, signed_by};
    use super::NodeIndex;
    use crate::time::Instant;

    /// When a story begins.
    const CRASH: u32 = tests::CRASH + 1000;
    const BOTH: [NodeIndex; 2] = [NodeIndex(0), NodeIndex(1)];

    fn down(story: &Story) -> Option<u64> {
        story.table.all_down_since(&BOTH).map(|Instant(since)| since)
    }

    #[test]
    fn s13_each_is_heard_after_the_last_one_has_begun() {
        let mut story = pair();
        story.hear("10.0.0.1", &signed_by("alpha", CRASH, 1, 3)).unwrap();
        story.later(4).hear("10.0.0.2", &signed_by("beta", CRASH + 4, 1, 3)).unwrap();
        assert_eq!(down(&story), None, "alpha may be up again");
        let since = story.now.boot.0;
        story.later(6).hear("10.0.0.1", &signed_by("alpha", CRASH, 2, 13)).unwrap();
        assert_eq!(down(&story), Some(since));
        story.later(10).hear("10.0.0.2", &signed_by("beta", CRASH + 4, 2, 19)).unwrap();
        assert_eq!(down(&story), Some(since));
        assert_eq!(story.table.all_down_since(&[]), None, "nobody is not everybody");
        assert_eq!(story.table.all_down_since(&[NodeIndex(0), NodeIndex(7)]), None);
    }

    /// It dumped, booted again and serves; then the other one crashed.
    #[test]
    fn s13_a_dump_that_is_over_does_not_count() {
        let mut story = pair();
        story.hear("10.0.0.1", &signed_by("alpha", CRASH, 1, 3)).unwrap();
        story.later(10).hear("10.0.0.1", &signed_by("alpha", CRASH, 2, 13)).unwrap();
        story.later(19).hear("10.0.0.2", &signed_by("beta", CRASH + 29, 1, 3)).unwrap();
        assert_eq!(down(&story), None);
        // Then it crashes once more, and both are down.
        story.later(60).hear("10.0.0.1", &signed_by("alpha", CRASH + 89, 1, 3)).unwrap();
        assert_eq!(down(&story), None, "beta may be up by now");
        let since = story.now.boot.0;
        story.later(1).hear("10.0.0.2", &signed_by("beta", CRASH + 29, 7, 64)).unwrap();
        assert_eq!(down(&story), Some(since));
    }

    /// Somebody held back what it had sent, and lets it go when it serves again and the other one has crashed.
    #[test]
    fn s13_what_was_held_back_does_not_count() {
        let mut story = pair();
        story.later(20).hear("10.0.0.2", &signed_by("beta", CRASH + 20, 1, 3)).unwrap();
        story.later(1).hear("10.0.0.1", &signed_by("alpha", CRASH, 1, 3)).unwrap();
        story.later(1).hear("10.0.0.1", &signed_by("alpha", CRASH, 2, 4)).unwrap();
        assert_eq!(down(&story), None);
        // A clock that is ahead is no better: it would let a message be late.
        story.hear("10.0.0.1", &signed_by("alpha", CRASH + 60, 1, 3)).unwrap();
        assert_eq!(down(&story), None);
    }

    #[test]
    fn s13_an_unsigned_message_does_not_count() {
        let mut story = pair();
        story.hear("10.0.0.2", &signed_by("beta", CRASH, 1, 3)).unwrap();
        story.later(1).plain("10.0.0.1").unwrap_err();
        story.hear("10.0.0.1", &signed_by("beta", CRASH, 2, 4)).unwrap();
        assert_eq!(down(&story), None);
    }
}
