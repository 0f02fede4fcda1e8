//! Grants that are held back, and members without memory: S6, S7.

use super::judge::Judge::{Changes, Member, Model, Rules, Simulation, Unit};
use super::table::{Mutant, edit, mutant};

pub const MUTANTS: &[Mutant] = &[
    mutant(
        "commits-at-once",
        "S6",
        "a new leader writes its grant at once, whoever has voted",
        &[edit("election.rs", "lease::commit_at(&self.settings, now, mandate)", "now")],
        &[Rules, Model("backer"), Simulation(200)],
    ),
    mutant(
        "election-not-waited-for",
        "S6",
        "after an election won by votes that vouch for nothing acquire-after is not waited for",
        &[edit("lease.rs", "elected + hold(settings)", "elected")],
        &[Rules],
    ),
    mutant(
        "administrator-not-waited-for",
        "S6",
        "an administrator's grant that not all sites have answered does not wait for a lease",
        &[edit(
            "lease.rs",
            "elected + settings.expire + margins(settings).drift + hold(settings)",
            "elected + hold(settings)",
        )],
        &[Rules, Model("backer"), Simulation(200)],
    ),
    mutant(
        "all-sites-seem-to-vote",
        "S6",
        "an administrator's grant is taken to have every site's vote",
        &[edit("election.rs", "all_sites: [[ballot.votes.contains_all(turn.sites())]],", "true")],
        &[Member, Model("backer"), Simulation(200)],
    ),
    mutant(
        "every-vote-vouches",
        "S6",
        "a vote without our word is taken to keep acquire-after and to remember",
        &[edit(
            "election.rs",
            "is_majority(ballot.remembering.len(), members)",
            "is_majority(ballot.votes.len(), members)",
        )],
        &[Member],
    ),
    mutant(
        "a-late-vote-is-enough",
        "S6",
        "any vote that comes late ends the wait for the others",
        &[edit("election.rs", "if [[ballot.votes.contains_all(turn.sites())]] {", "true")],
        &[Rules],
    ),
    mutant(
        "late-votes-do-not-count",
        "S6",
        "the grant waits for a lease that cannot run, though all have voted",
        &[edit("election.rs", "self.commit_at = self.commit_at.min(now);", "")],
        &[Rules],
    ),
    mutant(
        "late-vote-for-another-counts",
        "S6",
        "a late vote for another candidate ends the wait",
        &[edit("election.rs", "missed.filter(|_| message.leader == Some(me))", "missed")],
        &[Member],
    ),
    mutant(
        "every-word-vouches",
        "S7",
        "the vote of a member of ours is taken to remember whatever it says",
        &[edit("election.rs", "message.word.is_some_and(|word| word.remembers)", "message.word.is_some()")],
        &[Rules, Model("backer"), Simulation(200)],
    ),
    mutant(
        "own-vote-always-vouches",
        "S7",
        "a candidate without memory vouches for itself",
        &[edit("election.rs", "if self.forgetful() { MemberSet::EMPTY } else { votes }", "votes")],
        &[Member],
    ),
    mutant(
        "seems-to-be-held",
        "S6",
        "every new leader takes its grant for one that it has already",
        &[edit("election.rs", "self.stale_until.is_some() || self.leads(turn.now.boot)", "true")],
        &[Rules],
    ),
    mutant(
        "always-settled",
        "S6",
        "every leader says that no other lease can run",
        &[edit("leader.rs", "renews && self.settled", "renews")],
        &[Member],
    ),
    mutant(
        "votes-without-memory",
        "S7",
        "a member without memory votes at once",
        &[edit("election.rs", "self.forgetful() && message.header.reason != Reason::Administrator", "false")],
        &[Member, Simulation(200)],
    ),
    mutant(
        "says-that-it-remembers",
        "S7",
        "a vote without memory says that it remembers",
        &[edit("election.rs", "Word { remembers: [[!self.forgetful()]], ..", "true")],
        &[Rules, Model("backer"), Simulation(200)],
    ),
    mutant(
        "memory-returns-at-once",
        "S7",
        "a member without memory waits for no lease that it may have promised",
        &[edit("lease.rs", "start + settings.expire + margins(settings).drift + hold(settings)", "start")],
        &[Member, Simulation(200), Model("backer")],
    ),
    mutant(
        "memory-returns-by-a-restart",
        "S7",
        "a second restart makes a member remember",
        &[edit(
            "ticket.rs",
            "if record.forgetful {
            self.forgetful_until = Some(lease::memory_returns_at(&self.settings, start));
        }",
            "",
        )],
        &[Member],
    ),
    mutant(
        "promise-forgotten-by-a-restart",
        "S7",
        "a restarted member does not know its promise",
        &[edit("ticket.rs", "self.promise = Promise::remembered(&self.settings, leader, span, start);", "")],
        &[Member, Model("backer"), Simulation(200)],
    ),
    mutant(
        "remembered-promise-is-over",
        "S7",
        "a remembered promise is taken to have ended",
        &[edit(
            "lease.rs",
            "span.map_or(start, |span| start + span.max(settings.expire) + margins(settings).drift)",
            "start",
        )],
        &[Rules, Model("backer")],
    ),
    mutant(
        "remembered-promise-of-todays-length",
        "S7",
        "a promise that was made when `expire` was longer is remembered for today's",
        &[edit(
            "lease.rs",
            "span.map_or(start, |span| start + span.max(settings.expire) + margins(settings).drift)",
            "span.map_or(start, |_| start + settings.expire + margins(settings).drift)",
        )],
        &[Unit],
    ),
    mutant(
        "promise-shorter-by-a-second-restart",
        "S7",
        "what a promise was made for is forgotten by the second restart",
        &[edit(
            "lease.rs",
            "Promise { to, end, hold: end + hold(settings), earlier: Instant(0), made: None, span, hearsay: false }",
            "{ let _ = span; Promise { to, end, hold: end + hold(settings), earlier: Instant(0), made: None, span: Millis(0), hearsay: false } }",
        )],
        &[Changes],
    ),
    mutant(
        "promise-to-a-removed-leader-forgotten",
        "S7",
        "a promise to a leader that is no longer configured binds nobody after a restart",
        &[edit(
            "ticket.rs",
            "self.promise = Promise::remembered(&self.settings, leader, span, start);",
            "if leader.is_some() { self.promise = Promise::remembered(&self.settings, leader, span, start); }",
        )],
        &[Member],
    ),
    mutant(
        "follows-without-memory",
        "S7",
        "a member without memory follows a leader whose lease does not run yet",
        &[edit("follower.rs", "self.forgetful() && !self.may_trust(message)", "false")],
        &[Rules],
    ),
    mutant(
        "stands-without-memory",
        "S7",
        "a member without memory stands for election",
        &[edit("ticket.rs", "self.forgetful() && reason != Reason::Administrator && !own", "false")],
        &[Member],
    ),
    mutant(
        "stale-journal-believed",
        "S7",
        "a site goes on from a journal though it has served from another node since",
        &[edit("recovery.rs", "!self.is_manual() && !self.has_newest_memory(&stored)", "false")],
        &[Changes],
    ),
    mutant(
        "overtaken-memory-remembers",
        "S7",
        "a site that finds its journal overtaken takes what is in it for its memory",
        &[edit(
            "recovery.rs",
            "let until = lease::memory_returns_at(&self.settings, turn.now.boot);
            [[self.forgetful_until = Some(until);]]",
            "",
        )],
        &[Changes],
    ),
    mutant(
        "overtaken-memory-keeps-its-name",
        "S7",
        "a memory that begins anew bears the name of the one that was overtaken",
        &[edit("recovery.rs", "self.mark == 0 || !self.forgetful()", "self.mark == 0")],
        &[Changes],
    ),
    mutant(
        "answers-before-the-store-names-its-memory",
        "S7",
        "a site with a new memory answers before its store says so",
        &[edit(
            "recovery.rs",
            "let action = StoreAction::SetAttribute { name: MEMORY, value: &value };
        [[turn.sink.store(self.index, StoreRequest { number, action, before: None });]]",
            "turn.sink.store(self.index, StoreRequest { number, action, before: None });
             self.store.loaded = true;
             self.loaded(turn);",
        )],
        &[Rules, Changes],
    ),
    mutant(
        "counts-its-own-forgotten-vote",
        "S7",
        "a candidate that may have voted for another counts its own vote",
        &[edit(
            "ticket.rs",
            "if forgotten { MemberSet::EMPTY } else { MemberSet::EMPTY.with(me) }",
            "MemberSet::EMPTY.with(me)",
        )],
        &[Rules],
    ),
    mutant(
        "removed-members-vote-forgotten",
        "S1",
        "a vote for a member that is no longer configured is given again in its term",
        &[edit("ticket.rs", "self.term = self.term.max(record.voted_term.saturating_add(1));", "")],
        &[Member],
    ),
];
