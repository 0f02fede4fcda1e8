//! A leader's site that has crashed as a whole: S13.

use super::judge::Judge::{Member, Simulation, Unit};
use super::table::{Mutant, edit, mutant};

pub const MUTANTS: &[Mutant] = &[
    mutant(
        "dumps-one-after-the-other",
        "S13",
        "nodes that dumped one after the other were down at once",
        &[edit("kdump/crashed.rs", "*at >= from", "true")],
        &[Unit, Simulation(1_000)],
    ),
    mutant(
        "one-node-is-the-site",
        "S13",
        "a site is down when one of its nodes is",
        &[
            edit("kdump/crashed.rs", "from.max(first)", "from.min(first)"),
            edit("kdump/crashed.rs", "until.min(last)", "until.max(last)"),
        ],
        &[Unit],
    ),
    mutant(
        "announcements-come-at-once",
        "S13",
        "a message that is on its way is not allowed for",
        &[edit("kdump/crashed.rs", "until - ON_ITS_WAY", "until")],
        &[Unit],
    ),
    mutant(
        "late-announcement-counts",
        "S13",
        "an announcement that was held back is as good as any",
        &[edit("kdump/authenticity.rs", "micros(TIMELY)", "u64::MAX")],
        &[Unit],
    ),
    mutant(
        "replayed-announcement-counts",
        "S13",
        "an announcement counts as often as it comes",
        &[edit("kdump/authenticity.rs", "message.sequence <= self.newest", "message.sequence == 0")],
        &[Unit],
    ),
    mutant(
        "recorded-announcement-counts",
        "S13",
        "an announcement that nobody has heard counts whenever it comes",
        &[edit("kdump/authenticity.rs", "now.wall.0.abs_diff(sent.0) > micros(TOLERANCE)", "false")],
        &[Unit],
    ),
    mutant(
        "running-system-announces",
        "S13",
        "whoever has a node's key can sign for it from a running system",
        &[edit("kdump/authenticity.rs", "message.uptime > YOUNG", "false")],
        // A leader that runs is heard as well, which keeps its lease: in a thousand worlds nobody misses this.
        &[Unit],
    ),
    mutant(
        "crash-release-without-the-leaders-word",
        "S13",
        "a leader whose node is not named is taken for dead",
        &[edit("crash.rs", "!follows || [[!self.crash_release]] || spoke_since", "false")],
        &[Member],
    ),
    mutant(
        "word-of-an-earlier-heartbeat",
        "S13",
        "a leader that has once named its node is believed to be there for ever",
        &[edit(
            "follower.rs",
            "self.crash_release = message.word.is_some_and(|word| word.crash_release);",
            "self.crash_release |= message.word.is_some_and(|word| word.crash_release);",
        )],
        &[Member],
    ),
    mutant(
        "who-speaks-is-taken-for-dead",
        "S13",
        "a leader that was heard since is taken for dead",
        &[edit("crash.rs", "!self.crash_release || [[spoke_since]]", "false")],
        &[Member],
    ),
    mutant(
        "dead-leader-is-heard-again",
        "S13",
        "what the dead leader had sent before binds again",
        &[edit("crash.rs", "self.released_term = Some(self.term);", "")],
        &[Member],
    ),
];
