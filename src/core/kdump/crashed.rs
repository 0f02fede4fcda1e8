//! Whether all nodes of a site were down at once (S13).
//!
//! A node that sends from its crash kernel is down then, and was ever since the first message of its dump. To be down
//! at once, each must have sent after the last of them had begun: one that was heard only before may have booted again,
//! joined its cluster and taken over what the cluster knows. What is known is when a message came. Only signed and
//! *timely* messages count here: by the sender's own clock it was sent not more than [`TIMELY`] before, or ahead. As
//! long as the two clocks differ by no more than that, it was on its way for at most twice as long, and a message that
//! came at some time shows that its sender was down [`ON_ITS_WAY`] before, or later. A node whose clock is wrong by
//! more hardly ever counts, and the end of the lease is waited for.

use super::authenticity::TIMELY;
use super::{NodeIndex, Table};
use crate::time::{Instant, Millis};

/// A timely message was not longer on its way.
pub const ON_ITS_WAY: Millis = Millis(2 * TIMELY.0);

impl Table {
    /// The latest instant at which all of these nodes are known to have been down, by the messages of each one's newest
    /// dump; `None`: there is none, or there are no nodes.
    pub fn all_down_at(&self, nodes: &[NodeIndex]) -> Option<Instant> {
        let mut down: Option<(Instant, Instant)> = None;
        for node in nodes {
            let (first, last) = self.nodes.get(usize::from(node.0))?.timely()?;
            let (from, until) = down.unwrap_or((first, last));
            down = Some((from.max(first), until.min(last)));
        }
        let (from, until) = down?;
        Some(until - ON_ITS_WAY).filter(|at| *at >= from)
    }
}

#[cfg(test)]
mod stories {
    #![allow(clippy::unwrap_used)]

    use super::super::tests::{self, Story, pair, signed_by};
    use super::{NodeIndex, ON_ITS_WAY};

    /// When a story begins.
    const CRASH: u32 = tests::CRASH;
    const BOTH: [NodeIndex; 2] = [NodeIndex(0), NodeIndex(1)];

    impl Story {
        /// A message of the dump that began at this second of the story, sent and heard at this one.
        fn dumps(&mut self, node: &str, began: u32, second: u32) -> &mut Story {
            self.now = tests::at(1000 + u64::from(second));
            let bytes = signed_by(node, CRASH + began, second - began + 1, second - began + 3);
            self.hear(if node == "alpha" { "10.0.0.1" } else { "10.0.0.2" }, &bytes).unwrap();
            self
        }

        /// When both are known to have been down, as a second of the story.
        fn down(&self) -> Option<u64> {
            self.table.all_down_at(&BOTH).map(|at| at.0 / 1000 - 1000)
        }
    }

    #[test]
    fn s13_each_is_heard_after_the_last_one_has_begun() {
        let mut story = pair();
        assert_eq!(ON_ITS_WAY.0, 10_000);
        assert_eq!(story.dumps("alpha", 0, 0).dumps("beta", 4, 4).down(), None, "alpha may be up again");
        assert_eq!(story.dumps("alpha", 0, 15).down(), None);
        assert_eq!(story.dumps("beta", 4, 13).down(), None, "it may have been on its way since before");
        assert_eq!(story.dumps("beta", 4, 14).down(), Some(4));
        assert_eq!(story.dumps("beta", 4, 24).down(), Some(5), "what alpha has said last");
        assert_eq!(story.dumps("alpha", 0, 25).down(), Some(14));
        assert_eq!(story.table.all_down_at(&[]), None, "nobody is not everybody");
        assert_eq!(story.table.all_down_at(&[NodeIndex(0), NodeIndex(7)]), None);
        assert!(story.table.all_down_at(&BOTH[..1]).is_some());
    }

    /// It dumped, booted again and serves; then the other one crashed.
    #[test]
    fn s13_a_dump_that_is_over_does_not_count() {
        let mut story = pair();
        story.dumps("alpha", 0, 0).dumps("alpha", 0, 15).dumps("beta", 29, 29);
        assert_eq!(story.dumps("beta", 29, 49).down(), None);
        // Then it crashes once more, and both are down.
        assert_eq!(story.dumps("alpha", 60, 60).down(), None);
        assert_eq!(story.dumps("alpha", 60, 75).down(), None, "beta may be up by now");
        assert_eq!(story.dumps("beta", 29, 76).down(), Some(65));
    }

    /// Somebody held back what it had sent, and lets it go when it serves again and the other one has crashed.
    #[test]
    fn s13_what_was_held_back_does_not_count() {
        let mut story = pair();
        story.dumps("beta", 20, 20).dumps("beta", 20, 40);
        for number in 1..20 {
            let bytes = signed_by("alpha", CRASH + 25, number, 2 + number);
            story.later(1).hear("10.0.0.1", &bytes).unwrap();
        }
        assert_eq!(story.dumps("beta", 20, 62).down(), None);
        // A clock that is ahead is no better: it would let a message be late.
        for number in 1..20 {
            let bytes = signed_by("alpha", CRASH + 90, number, 2 + number);
            story.later(1).hear("10.0.0.1", &bytes).unwrap();
        }
        assert_eq!(story.dumps("beta", 20, 83).down(), None);
    }

    #[test]
    fn s13_what_another_one_has_signed_does_not_count() {
        let mut story = pair();
        story.dumps("beta", 0, 0).dumps("beta", 0, 20);
        story.plain("10.0.0.1").unwrap_err();
        story.hear("10.0.0.1", &signed_by("beta", CRASH, 30, 23)).unwrap();
        assert_eq!(story.down(), None);
    }
}
