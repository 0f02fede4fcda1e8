//! Nothing takes effect twice: S11.

use super::judge::Judge::{Member, Rules, Simulation, Unit};
use super::table::{Mutant, edit, mutant};

pub const MUTANTS: &[Mutant] = &[
    mutant(
        "no-window",
        "S11",
        "a stamp is not looked at",
        &[edit("node.rs", "peer.window.admit(header.stamp, tag(bytes), now, terms)?;", "")],
        &[Member, Simulation(200)],
    ),
    mutant(
        "late-votes-accepted",
        "S11",
        "votes, vote requests, step-downs and revokes may be older than the newest message",
        &[edit("node.rs", "Some(Lateness::MustBeNewest)", "Some(Lateness::Harmless)")],
        &[Member],
    ),
    mutant(
        "seen-is-forgotten",
        "S11",
        "a late message may be repeated",
        &[edit("stamp.rs", "let seen = [[self.seen.contains(&(stamp, tag))]];", "false")],
        &[Rules, Simulation(200)],
    ),
    mutant(
        "floor-stays-low",
        "S11",
        "what has fallen out of the memory of stamps is new again",
        &[edit("stamp.rs", "self.floor = self.floor.max(gone);", "")],
        &[Unit],
    ),
    mutant(
        "old-is-young-enough",
        "S11",
        "a stamp may be older than `maxtimeskew`",
        &[edit("stamp.rs", "stamp.after(skew) >= now.wall", "true")],
        &[Unit],
    ),
    mutant(
        "silence-makes-new",
        "S11",
        "after a renewal's silence any stamp is taken for the newest",
        &[edit(
            "stamp.rs",
            "newest > now.wall.after(skew) && now.boot.since(self.newest_at) >= reanchor",
            "now.boot.since(self.newest_at) >= reanchor",
        )],
        &[Member],
    ),
    mutant(
        "wrong-clock-never-forgiven",
        "S11",
        "a member whose clock was ahead for a while is cut off until the others' clocks have caught up",
        &[edit("stamp.rs", "newest > now.wall.after(skew) && now.boot.since(self.newest_at) >= reanchor", "false")],
        &[Unit],
    ),
    mutant(
        "own-stamps-go-back",
        "S11",
        "our stamps follow a wall clock that is set back",
        &[edit("stamp.rs", "now.wall.max(WallTime(self.last.0.saturating_add(1)))", "now.wall")],
        &[Member],
    ),
    mutant(
        "own-stamps-go-back-by-a-restart",
        "S11",
        "a restarted member gives out stamps older than its last",
        &[edit("node.rs", "stamps.raise(stamp);", "")],
        &[Member],
    ),
    mutant(
        "client-request-repeated",
        "S11",
        "a recorded request of a client is taken again",
        &[edit(
            "request.rs",
            "window.admit(header.stamp, tag(bytes), now, terms)",
            "{ let _ = (window, terms); Ok(()) }",
        )],
        &[Rules],
    ),
    mutant(
        "client-request-repeated-after-a-restart",
        "S11",
        "a recorded request of a client is taken again after a restart",
        &[edit("request.rs", "header.stamp.seconds() < self.started.seconds() && now.wall >= self.started", "false")],
        &[Rules],
    ),
    mutant(
        "any-address",
        "S11",
        "without a key a datagram may come from anywhere",
        &[edit("node.rs", "self.settings.key.is_none() && !self.settings.any_source && source != Some(from)", "false")],
        &[Rules],
    ),
];
