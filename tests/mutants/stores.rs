//! What the store says and is told: S8, S9, S10, S12.

use super::judge::Judge::{Changes, Member, Model, Rules, Simulation, Stuck};
use super::table::{Mutant, edit, mutant};

pub const MUTANTS: &[Mutant] = &[
    mutant(
        "late-grant-stays",
        "S8",
        "a grant that the store finishes after the lease's end stays",
        &[
            edit(
                "recovery.rs",
                "turn.event(self.index, Event::GrantTooLate);
            self.want_revoked(turn, None);",
                "",
            ),
            edit(
                "leader.rs",
                "let revoking = self.withdraw(turn);
        [[self.want_revoked(turn, None);]]",
                "",
            ),
        ],
        &[Member, Simulation(200)],
    ),
    mutant(
        "grant-begun-at-any-time",
        "S8",
        "a grant that waits for a disk may be begun after the lease's end",
        &[edit("recovery.rs", "leased.then_some(self.lease.unwrap_or(now))", "None")],
        &[Member],
    ),
    mutant(
        "revoke-tried-once",
        "S8",
        "a revoke that has failed is not tried again",
        &[edit("store.rs", "self.retry_at = Some(now + Millis(pause));", "self.wanted = None;")],
        &[Member],
    ),
    mutant(
        "failed-revoke-believed",
        "S8",
        "a revoke that has failed is taken for done",
        &[edit(
            "recovery.rs",
            "self.store.failed(now);",
            "if let Job::Write(ticket) = job { self.store.written(ticket); return self.on_revoked(turn); } self.store.failed(now);",
        )],
        &[Member],
    ),
    mutant(
        "revoke-waits-for-a-grant",
        "S8",
        "a revoke waits until a grant that hangs is over",
        &[edit("store.rs", "running.granted && !wanted.granted", "false")],
        &[Member],
    ),
    mutant(
        "grant-under-way-forgotten",
        "S8",
        "a store that is being told of a grant is taken to say that nothing is granted",
        &[edit("store.rs", "self.stored = Stored::Unknown;", "")],
        &[Member],
    ),
    mutant(
        "old-result-believed",
        "S8",
        "the result of a store request that was given up is taken for the newest one's",
        &[edit("store.rs", "if [[running == number]] =>", "true")],
        &[Member],
    ),
    mutant(
        "client-told-too-early",
        "S8",
        "an administrator hears of a revoke before the store has confirmed it",
        &[edit(
            "grant.rs",
            "turn.event(self.index, Event::RevokeRequested);",
            "turn.event(self.index, Event::RevokeRequested); self.answer_waiting(turn, |ask| matches!(ask, Ask::Revoke { .. }), Outcome::Success);",
        )],
        &[Member, Model("slow_store"), Simulation(200)],
    ),
    mutant(
        "votes-while-granted-here",
        "S8",
        "a site whose store may say granted helps another",
        &[edit("election.rs", "self.store.may_be_granted() && !self.is_following(asked.candidate)", "false")],
        &[Rules],
    ),
    mutant(
        "gives-up-without-revoking",
        "S8",
        "a leader whose lease ends does not tell its store",
        &[edit(
            "leader.rs",
            "let revoking = self.withdraw(turn);
        [[self.want_revoked(turn, None);]]",
            "",
        )],
        &[Member, Simulation(200)],
    ),
    mutant(
        "last-resort-never",
        "S8",
        "nothing is done where the store never confirms a revoke",
        &[edit("last_resort.rs", "self.store.revoke_since?", "None?")],
        &[Stuck],
    ),
    mutant(
        "last-resort-without-grace",
        "S8",
        "the last resort comes while the store may still confirm in time",
        &[edit(
            "last_resort.rs",
            "Some(since.max(self.store.stuck_from) + lease::stuck_grace(&self.settings))",
            "Some(since.max(self.store.stuck_from))",
        )],
        &[Stuck],
    ),
    mutant(
        "last-resort-before-the-leases-end",
        "S8",
        "the last resort does not wait for the lease's end, where the store is told to revoke before that",
        &[edit("leader.rs", "self.store.stuck_from = end;", "")],
        &[Stuck],
    ),
    mutant(
        "last-resort-after-a-sleep",
        "S8",
        "the last resort comes before a machine that was asleep has heard its store",
        &[edit("last_resort.rs", "now.since(at) > SLEPT", "false")],
        &[Stuck],
    ),
    mutant(
        "last-resort-again-and-again",
        "S8",
        "the last resort is turned to again and again",
        &[edit("last_resort.rs", "self.store.last_resort = Some(now);", "self.store.stuck_from = now;")],
        &[Stuck],
    ),
    mutant(
        "unreadable-store-not-suspected",
        "S8",
        "a store that cannot be read after a restart is not taken to say granted",
        &[edit("recovery.rs", "self.suspect_store(turn);", "")],
        &[Stuck],
    ),
    mutant(
        "released-before-the-store",
        "S9",
        "the others hear of a release before the store has confirmed it",
        &[edit(
            "release.rs",
            "if self.store.may_be_granted() {
            return;
        }",
            "",
        )],
        &[Member, Simulation(200), Model("slow_store")],
    ),
    mutant(
        "released-before-the-handler",
        "S9",
        "the others hear of a release before the release-handler has said that the resources are stopped",
        &[edit("release.rs", "if [[!self.settings.release_handler || !self.leads(turn.now.boot)]] {", "true")],
        &[Member, Simulation(200)],
    ),
    mutant(
        "failed-handler-counts",
        "S9",
        "the word of a release-handler that has failed is taken for a good one",
        &[edit("node.rs", "self.on_release_handler(turn, success)", "self.on_release_handler(turn, true)")],
        &[Member],
    ),
    mutant(
        "released-before-the-leases-end",
        "S9",
        "who cannot say that its resources are stopped tells the others before its lease ends",
        &[edit("leader.rs", "if [[self.releasing]] { end } else {", "false")],
        &[Member],
    ),
    mutant(
        "hanging-handler-keeps-the-ticket",
        "L1",
        "the lease is renewed for as long as a release-handler hangs",
        &[edit("leader.rs", "([[!self.releasing]]).then(", "true")],
        &[Member],
    ),
    mutant(
        "overtaken-heartbeat-counts",
        "S9",
        "a heartbeat that was overtaken by its sender's release binds again",
        &[edit("follower.rs", "self.released_term == Some(message.term)", "false")],
        &[Member],
    ),
    mutant(
        "overtaken-by-a-revoke-counts",
        "S9",
        "a heartbeat that was overtaken by an administrator's revoke binds again",
        &[edit("follower.rs", "if [[!message.word.is_some_and(|word| word.lost)]] {", "false")],
        &[Changes],
    ),
    mutant(
        "store-makes-a-leader",
        "S10",
        "a restarted leader goes on from what its store says",
        &[edit(
            "recovery.rs",
            "self.role = Role::Follower;",
            "self.role = Role::Follower;
             if let Some(end) = self.stale_until {
                 self.become_leader(turn.me(), self.term, turn.now.boot, false);
                 (self.lease, self.renewal_at) = (Some(end + self.settings.expire), Some(turn.now.boot));
                 self.commit_due = true;
             }",
        )],
        &[Rules, Simulation(200)],
    ),
    mutant(
        "lease-by-votes-alone",
        "S10",
        "who has won an election has a lease before anybody has promised one",
        &[edit(
            "election.rs",
            "turn.event(self.index, Event::Won { term: ballot.term });",
            "turn.event(self.index, Event::Won { term: ballot.term });
             self.lease = Some(lease::lease_end(&self.settings, now));
             self.commit_due = true;",
        )],
        &[Rules],
    ),
    mutant(
        "stored-grant-never-ends",
        "S10",
        "what the store says from before the start is never revoked",
        &[
            edit("recovery.rs", "self.stale_until.is_some_and(|until| turn.now.boot >= until)", "false"),
            edit(
                "ticket.rs",
                "[[self.stale_until]],
            (promised",
                "None",
            ),
        ],
        &[Member],
    ),
    mutant(
        "stored-lease-begins-anew",
        "S10",
        "the lease that the store recorded is taken to begin at the start",
        &[edit(
            "recovery.rs",
            "lease::give_up_at(&self.settings, turn.now.boot + left)",
            "turn.now.boot + left + self.settings.expire + self.settings.expire",
        )],
        &[Member],
    ),
    mutant(
        "anothers-grant-is-ours",
        "S10",
        "a grant that the store has for another owner is fought for as ours",
        &[edit("recovery.rs", "stored.owner == Some(me.0 as i32)", "true")],
        &[Member],
    ),
    mutant(
        "stored-lease-by-a-wrong-clock",
        "S10",
        "the end that the store recorded is believed though the wall clock was set back since",
        &[edit(
            "recovery.rs",
            "!set_back && !owed_elsewhere && left <= self.settings.expire.max(self.promise.span())",
            "{ let _ = (set_back, owed_elsewhere, left); true }",
        )],
        &[Member],
    ),
    mutant(
        "clock-set-back-not-noticed",
        "S10",
        "the end that the store recorded is believed though the journal is from later than now",
        &[edit(
            "recovery.rs",
            "!set_back && !owed_elsewhere && left <= self.settings.expire.max(self.promise.span())",
            "{ let _ = set_back; !owed_elsewhere && left <= self.settings.expire.max(self.promise.span()) }",
        )],
        &[Member],
    ),
    mutant(
        "stored-lease-of-one-that-owes-another",
        "S10",
        "a lease that the store recorded is believed though another was promised one since",
        &[edit(
            "recovery.rs",
            "!set_back && !owed_elsewhere && left <= self.settings.expire.max(self.promise.span())",
            "{ let _ = owed_elsewhere; !set_back && left <= self.settings.expire.max(self.promise.span()) }",
        )],
        &[Member],
    ),
    mutant(
        "stored-lease-longer-than-any",
        "S10",
        "more is believed to be left of the lease that the store recorded than any lease has",
        &[edit(
            "recovery.rs",
            "!set_back && !owed_elsewhere && left <= self.settings.expire.max(self.promise.span())",
            "{ let _ = left; !set_back && !owed_elsewhere }",
        )],
        &[Member],
    ),
    mutant(
        "grant-without-end",
        "S12",
        "what is written to the store outlasts the lease",
        &[edit(
            "leader.rs",
            "Wanted { granted: true, owner, until: [[Some(end)]], term: self.term }",
            "Some(end + Millis(3_600_000))",
        )],
        &[Rules, Simulation(200)],
    ),
    mutant(
        "grant-with-no-end",
        "S12",
        "what is written to the store says that the lease is over",
        &[edit("leader.rs", "Wanted { granted: true, owner, until: [[Some(end)]], term: self.term }", "None")],
        &[Rules],
    ),
    mutant(
        "renewed-end-not-written",
        "S12",
        "the store has the end of the first lease for ever",
        &[edit("leader.rs", "self.commit_due = true;", "self.commit_due = first;")],
        &[Rules, Simulation(200)],
    ),
];
