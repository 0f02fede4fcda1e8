//! That something happens: L1, L2, L3.

use super::judge::Judge::{Changes, Member, Unit};
use super::table::{Mutant, edit, mutant};

pub const MUTANTS: &[Mutant] = &[
    mutant(
        "hearsay-passed-on",
        "L2",
        "two members believe in a dead leader, each because the other says so",
        &[
            edit("lease.rs", "self.to.filter(|_| !self.hearsay)", "self.to"),
            edit("lease.rs", "self.leader(now).filter(|_| !self.hearsay)", "self.leader(now)"),
        ],
        &[Unit],
    ),
    mutant(
        "loss-not-acted-upon",
        "L2",
        "nobody stands for election when the leader is gone",
        &[edit("follower.rs", "self.plan_election(turn, self.promise.hold(), Reason::TicketLost, Some(leader));", "")],
        &[Member],
    ),
    mutant(
        "step-down-not-acted-upon",
        "L2",
        "nobody stands for election after a step-down",
        &[edit("follower.rs", "self.plan_election(turn, turn.now.boot, Reason::Again, Some(leader));", "")],
        &[Member],
    ),
    mutant(
        "election-tried-once",
        "L1",
        "an election that nobody wins is not tried again",
        &[edit("election.rs", "self.plan_election(turn, from, ballot.reason, None);", "")],
        &[Member],
    ),
    mutant(
        "asks-again-at-once",
        "L1",
        "who has lost by all answers asks for them again at once, in a new term each time",
        &[edit("election.rs", "if administrator { turn.now.boot } else { ballot.ends_at }", "turn.now.boot")],
        &[Member],
    ),
    mutant(
        "withdraws-at-one-refusal",
        "L1",
        "who is elected withdraws at the first refusal, though a majority may be following already",
        &[edit(
            "leader.rs",
            "!is_majority(turn.everybody().minus(refused).len(), members)",
            "{ let _ = members; true }",
        )],
        &[Member],
    ),
    mutant(
        "renews-too-late",
        "L3",
        "a renewal begins when the lease has ended",
        &[edit(
            "leader.rs",
            "self.renewal_at = Some(turn.now.boot + lease::renewal(&self.settings));",
            "self.renewal_at = Some(turn.now.boot + self.settings.expire);",
        )],
        &[Member],
    ),
    mutant(
        "renews-when-it-gives-up",
        "L3",
        "`renewal-freq` is kept to where it leaves no time for a round before the lease is given up",
        &[edit(
            "lease.rs",
            "settings.renewal.min(given_up_after - settings.timeout - settings.timeout).max(Millis(1))",
            "{ let _ = given_up_after; settings.renewal }",
        )],
        &[Changes],
    ),
    mutant(
        "nothing-is-repeated",
        "L3",
        "one lost datagram costs a renewal",
        &[edit("leader.rs", "self.send_round(turn, &round, missing);", "")],
        &[Member],
    ),
    mutant(
        "any-heartbeat-ends-a-lease",
        "L3",
        "a leader gives its ticket away to whoever says to lead in a newer term",
        &[edit("follower.rs", "self.leads(now) && settled", "self.leads(now) && message.term > self.term")],
        &[Member],
    ),
    mutant(
        "nobody-is-reminded",
        "L1",
        "the only site that is left was cut off when the ticket was granted, and never hears that it was lost",
        &[edit("follower.rs", "reminder.word.lost = true;", "")],
        &[Member],
    ),
    mutant(
        "refused-leader-steps-down",
        "L3",
        "a leader gives its ticket away because one member knows a newer term",
        &[edit("leader.rs", "if [[self.leads(now)]] {", "false")],
        &[Member],
    ),
    mutant(
        "refused-leader-does-nothing",
        "L3",
        "a member that has voted in a newer term never follows its leader again",
        &[edit("leader.rs", "self.start_election(turn, Reason::Reacquire, false);", "")],
        &[Member],
    ),
    mutant(
        "voter-goes-on-standing",
        "L1",
        "who has voted for another goes on asking for votes itself",
        &[edit(
            "election.rs",
            "if self.role != Role::Follower {
            self.become_follower(turn, None);
        }",
            "",
        )],
        &[Member],
    ),
    mutant(
        "never-settled",
        "L1",
        "no leader says that no other lease can run: who is bound to an old one stays silent",
        &[edit("leader.rs", "renews && self.settled", "false")],
        &[Member],
    ),
    mutant(
        "held-elsewhere-ends-an-election",
        "L1",
        "\"somebody holds it\" from a member that is about to be free ends the election at once",
        &[edit("election.rs", "if [[outcome == Outcome::TermStillValid]] {", "false")],
        &[Member],
    ),
    mutant(
        "outdated-by-an-older-term",
        "L1",
        "a revoke that is older than the newest grant is believed: the ticket is not fought for",
        &[edit(
            "election.rs",
            "outcome == Outcome::YouAreOutdated && message.term >= self.term",
            "outcome == Outcome::YouAreOutdated",
        )],
        &[Member],
    ),
    mutant(
        "stored-revoke-older-than-the-journal",
        "L1",
        "a revoke in the store that is older than what the journal knows is believed",
        &[edit("recovery.rs", "stored.term.is_none_or(|term| term >= self.term)", "true")],
        &[Member],
    ),
    mutant(
        "followers-not-freed",
        "L1",
        "who is elected and then helps another leaves its own followers bound",
        &[edit("election.rs", "self.broadcast(turn, turn.worded(), &release);", "let _ = release;")],
        &[Member],
    ),
    mutant(
        "revoke-forgotten-by-a-withdrawal",
        "L1",
        "an administrator's revoke is forgotten where an election is not confirmed",
        &[edit("leader.rs", "self.leaving = revoking;", "")],
        &[Member],
    ),
    mutant(
        "called-off-is-released",
        "L3",
        "a revoke at a site that did not hold the ticket keeps others from following who does",
        &[edit("leader.rs", "round.kind == RoundKind::CalledOff,", "false,")],
        &[Member],
    ),
    mutant(
        "term-led-twice",
        "L3",
        "who has led in a term may be elected in it again",
        &[edit("election.rs", "leader != candidate || message.word.is_some()", "leader != candidate")],
        &[Member],
    ),
    mutant(
        "revoke-forgotten-by-a-restart",
        "L3",
        "a restarted member helps a site that has missed an administrator's revoke",
        &[edit("ticket.rs", "self.revoked = record.revoked;", "")],
        &[Member],
    ),
    mutant(
        "revoked-is-forgotten",
        "L3",
        "a ticket that an administrator has revoked is fought for",
        &[edit(
            "ticket.rs",
            "self.ever_held && !self.revoked && !self.is_manual()",
            "self.ever_held && !self.is_manual()",
        )],
        &[Member],
    ),
];
