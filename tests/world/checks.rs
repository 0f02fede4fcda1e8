//! What is checked after every event, whatever happens. A message begins with the rule that was broken.
//!
//! They see stores, datagrams, records and the members' views, nothing private. A daemon that is not ours is held to
//! S0 alone.

use super::{World, address};
use booth_core::member::{MemberIndex, MemberSet, SiteId, is_majority};
use booth_core::options::Word;
use booth_core::settings::{Mode, TicketIndex};
use booth_core::sink::{Record, StoreTicket};
use booth_core::time::{Instant, Millis, Now};
use booth_core::view::{Holder, Role, TicketView};
use booth_core::wire::{self, Body, Command, Header, LeaderField, Message, Outcome, Reason, TRAILER_LEN, TicketBody};
use std::collections::{BTreeMap, BTreeSet};

/// What the checks have seen so far.
pub struct Checks {
    holdings: Vec<Holding>,
    members: Vec<Member>,
}

/// Who holds a ticket by the stores, and who gave it up last and when.
#[derive(Clone, Copy, Default)]
struct Holding {
    holder: Option<usize>,
    last: Option<(usize, u64)>,
}

/// What has been seen of a member: of its votes, for as long as its journal is there.
#[derive(Default)]
struct Member {
    votes: BTreeMap<(usize, u32), SiteId>,
    /// Elections that it has asked for on an administrator's word: ticket and term.
    administrators: BTreeSet<(usize, u32)>,
    /// From when another may be helped since it has said that it no longer holds a ticket: ticket and term.
    releases: BTreeMap<(usize, u32), u64>,
    tickets: Vec<Seen>,
}

/// What has been seen of a member and one ticket.
#[derive(Clone, Copy, Default)]
struct Seen {
    owed: Option<Owed>,
    /// It has started without memory: until then, by its clock, it votes for administrators only (S7).
    forgetful_until: Option<Instant>,
    /// Who has voted for it or acknowledged a heartbeat of it since its start (S10).
    confirmed_by: MemberSet,
    view: View,
    /// The end of its lease before the newest step.
    led_until: Option<Instant>,
    /// Its release-handler has said that nothing runs, and nothing was granted since.
    stopped: bool,
}

/// What can be seen of a ticket at a member and may only change in some ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    term: u32,
    holder: Option<MemberIndex>,
    expires: Option<Instant>,
    leads: bool,
    granted_here: bool,
}

/// What a member has promised about a ticket by its last acknowledgement (S2, S3).
#[derive(Clone, Copy)]
struct Owed {
    to: usize,
    term: u32,
    /// By the member's own clock.
    until: Instant,
    /// By the world's clock.
    made_ms: u64,
    /// Whether the member has followed that leader ever since.
    lasts: bool,
}

impl View {
    fn of(view: &TicketView<'_>) -> View {
        View {
            term: view.term,
            holder: match view.holder {
                Holder::Member(member) => Some(member),
                Holder::Never | Holder::Nobody => None,
            },
            expires: view.expires,
            leads: view.role == Role::Leader,
            granted_here: view.granted_here,
        }
    }
}

impl Checks {
    pub fn new(hosts: usize, tickets: usize) -> Checks {
        let member = || Member { tickets: vec![Seen::default(); tickets], ..Member::default() };
        Checks { holdings: vec![Holding::default(); tickets], members: (0..hosts).map(|_| member()).collect() }
    }

    /// The store says granted: something may run.
    pub fn started(&mut self, host: usize, ticket: usize) {
        self.members[host].tickets[ticket].stopped = false;
    }

    /// A release-handler says that nothing runs.
    pub fn stopped(&mut self, host: usize, ticket: usize) {
        self.members[host].tickets[ticket].stopped = true;
    }

    /// A member has heard that a site was down as a whole. Where that was so, and the promise was made before it was
    /// up again, it is over.
    pub fn excuse(&mut self, host: usize, ticket: usize, site: usize, down_ms: Option<(u64, u64)>) {
        let owed = &mut self.members[host].tickets[ticket].owed;
        *owed = owed.filter(|owed| owed.to != site || down_ms.is_none_or(|(_, until)| owed.made_ms > until));
    }

    /// A member's votes and promises are gone with its journal.
    pub fn forgotten(&mut self, host: usize) {
        for ticket in 0..self.members[host].tickets.len() {
            self.forgotten_ticket(host, ticket);
        }
    }

    /// Those of one ticket are.
    pub fn forgotten_ticket(&mut self, host: usize, ticket: usize) {
        let member = &mut self.members[host];
        member.votes.retain(|(of, _), _| *of != ticket);
        member.tickets[ticket].owed = None;
    }
}

impl World {
    /// Whether S0 is the administrator's business: a manual ticket, or one that was forced somewhere.
    pub fn is_exempt(&self, ticket: usize) -> bool {
        self.is_manual(ticket) || self.forced.contains(&ticket)
    }

    pub(super) fn is_manual(&self, ticket: usize) -> bool {
        self.plan.tickets[ticket].mode == Mode::Manual
    }

    /// The newest term that any member of ours knows.
    pub(super) fn newest_term(&self, ticket: usize) -> u32 {
        self.checks.members.iter().map(|member| member.tickets[ticket].view.term).max().unwrap_or_default()
    }

    /// A member has started with these memories.
    pub(super) fn check_start(&mut self, host: usize, now: Instant, memories: &[Option<Record>]) {
        for (ticket, memory) in memories.iter().enumerate() {
            if memory.is_none() {
                self.checks.forgotten_ticket(host, ticket);
            }
            let settings = &self.plan.tickets[ticket];
            let until = now + settings.expire + settings.acquire_after;
            let forgetful = memory.is_none_or(|memory| memory.forgetful);
            let member = &mut self.checks.members[host];
            if let Some((vote, term)) = memory.and_then(|memory| memory.vote.zip(Some(memory.voted_term))) {
                // One that was torn, but has reached the disk.
                member.votes.entry((ticket, term)).or_insert(vote);
            }
            let seen = &mut member.tickets[ticket];
            seen.forgetful_until = forgetful.then_some(until);
            seen.confirmed_by = MemberSet::EMPTY.with(MemberIndex(host as u8));
            seen.view = View::default();
        }
    }

    // ---- stores ------------------------------------------------------------------------------

    /// S0: at most one holder, and acquire-after between the end at one site and the grant at another. To be called
    /// whenever a store has changed.
    pub(super) fn check_holders(&mut self) {
        if let Some(ledger) = &mut self.ledger {
            let members = &self.checks.members;
            let asked_for = |site: usize, ticket, term| members[site].administrators.contains(&(ticket, term));
            return ledger.note(self.now_ms, &self.hosts, asked_for);
        }
        for ticket in 0..self.plan.tickets.len() {
            if self.is_exempt(ticket) {
                continue;
            }
            let mut holders = (0..self.plan.sites).filter(|host| self.hosts[*host].store[ticket].granted);
            let (first, second) = (holders.next(), holders.next());
            assert!(second.is_none(), "S0: ticket {ticket} is held by {first:?} and {second:?}\n{}", self.story());
            let Holding { holder: before, mut last } = self.checks.holdings[ticket];
            if let Some(before) = before.filter(|before| first != Some(*before)) {
                last = Some((before, self.now_ms));
            }
            if let (Some(holder), Some((old, ended))) = (first, last)
                && before != first
                && holder != old
            {
                let gap = self.now_ms - ended;
                let stopped = self.checks.members[old].tickets[ticket].stopped;
                let needed = if stopped { 0 } else { self.plan.tickets[ticket].acquire_after.0 };
                assert!(gap >= needed, "S0: {gap} ms between {old} and {holder}, not {needed}\n{}", self.story());
            }
            self.checks.holdings[ticket] = Holding { holder: first, last };
        }
    }

    /// S12: a grant that is asked for carries the end of the lease that runs. One step does what is due and takes
    /// a message as well, which can renew the lease once more.
    pub(super) fn check_write(&self, host: usize, ticket: TicketIndex, write: &StoreTicket) {
        if !write.granted || !self.hosts[host].is_ours() || self.is_manual(ticket.at()) {
            return;
        }
        let view = self.node(host).tickets(self.clock(host)).nth(ticket.at()).unwrap();
        assert!(view.expires.is_some(), "S8: {host} asks for a grant without a lease\n{}", self.story());
        let seen = self.checks.members[host].tickets[ticket.at()];
        let confirmed = seen.confirmed_by;
        let fresh = is_majority(confirmed.len(), self.hosts.len());
        assert!(fresh, "S10: {host} asks for a grant with {confirmed:?} behind it\n{}", self.story());
        let end = view.expires.map(|end| self.clock(host).wall_at(end));
        let earlier = seen.led_until.map(|end| self.clock(host).wall_at(end));
        assert!(
            [end, earlier].contains(&Some(write.expires)),
            "S12: {write:?}, but the lease ends at {end:?}\n{}",
            self.story()
        );
    }

    // ---- clients -----------------------------------------------------------------------------

    /// S8: who waits for a grant hears of its success when the store has said so. S9: nor is it otherwise with a
    /// revoke; and nobody is answered after the last answer.
    pub(super) fn check_answer(&self, host: usize, client: u64, message: &Message<'_>, last: bool) {
        let Some(waiting) = self.waiting.get(&client) else {
            panic!("S9: client {client} is answered after its last answer\n{}", self.story());
        };
        let Some(ticket) = waiting.ticket.filter(|_| last && message.header.outcome == Outcome::Success) else {
            return;
        };
        let held = self.hosts[host].store[ticket];
        // A request of an earlier life of the daemon may still run; nobody but the guard knows of it (S12). The guard
        // may have been there before the answer as well.
        let kept = |granted: bool| {
            let others = held.guarded || held.life != self.hosts[host].life;
            held.granted == granted || others || !self.hosts[host].is_ours()
        };
        match waiting.command {
            Command::ClientGrant if !self.is_manual(ticket) => {
                assert!(kept(true), "S8: client {client} hears of a grant that is not done\n{}", self.story());
            }
            Command::ClientRevoke => {
                assert!(kept(false), "S9: client {client} hears of a revoke that is not done\n{}", self.story());
            }
            _ => {}
        }
    }

    // ---- what a member believes --------------------------------------------------------------

    /// Whether a member of ours has read its store and remembers its votes and promises for all tickets (S7).
    pub fn is_ready(&self, host: usize) -> bool {
        self.node(host)
            .tickets(self.clock(host))
            .all(|view| view.forgetful_until.is_none() && view.role != Role::Loading)
    }

    /// Whether all members know who holds a ticket.
    pub fn all_follow(&self, ticket: usize) -> bool {
        let holder = self.holder(ticket).map(|holder| MemberIndex(holder as u8));
        holder.is_some() && (0..self.hosts.len()).all(|host| self.seen_by(host)[ticket].holder == holder)
    }

    /// What a member of ours shows of its tickets.
    pub(super) fn seen_by(&self, host: usize) -> Vec<View> {
        let now = self.clock(host);
        self.node(host).tickets(now).map(|view| View::of(&view)).collect()
    }

    /// S1: terms never go down. S2: no promise and no lease is shortened while it lasts.
    pub(super) fn check_view(&mut self, host: usize, now: Now) {
        let Some(node) = self.hosts[host].daemon.as_ref().and_then(|daemon| daemon.node()) else { return };
        for (ticket, view) in node.tickets(now).enumerate() {
            let seen = &mut self.checks.members[host].tickets[ticket];
            let before = seen.view;
            seen.led_until = before.expires.filter(|_| before.leads);
            let after = View::of(&view);
            if after == before || view.manual {
                continue;
            }
            let name = &self.hosts[host].name;
            assert!(after.term >= before.term, "S1: {name} falls from {before:?} to {after:?}\n{}", self.story());
            let led = before.leads && after.leads && before.expires.is_some();
            let kept = !led || after.expires >= before.expires;
            assert!(kept, "S4: {name} shortens its lease from {before:?} to {after:?}\n{}", self.story());
            let owed = self.checks.members[host].tickets[ticket].owed.filter(|owed| owed.lasts);
            let follows = owed.is_some_and(|owed| after.holder == Some(MemberIndex(owed.to as u8)) && !after.leads);
            let kept = owed.is_none_or(|owed| !follows || after.expires >= Some(owed.until));
            assert!(kept, "S2: {name} shortens its promise from {before:?} to {after:?}\n{}", self.story());
            let seen = &mut self.checks.members[host].tickets[ticket];
            seen.owed = seen.owed.map(|owed| Owed { lasts: owed.lasts && follows, ..owed });
            seen.view = after;
        }
    }

    // ---- datagrams ---------------------------------------------------------------------------

    pub(super) fn ticket_named(&self, name: &str) -> Option<usize> {
        self.plan.tickets.iter().position(|ticket| ticket.name == name)
    }

    /// What a daemon of ours sends is held to the rules.
    pub(super) fn check_sent(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let mut plain = [0; wire::MAX_MESSAGE];
        let message = self.unsealed(bytes, &mut plain);
        let Body::Ticket(body) = message.body else { return };
        let Some(ticket) = self.ticket_named(body.name) else { return };
        if self.is_manual(ticket) {
            return;
        }
        self.note_releases(from, ticket, &message.header, body.term);
        if self.hosts[from].is_ours() {
            self.check_owed(from, to, ticket, &message.header, &body);
            self.check_memory(from, to, ticket, &message.header, &body);
            self.check_on_disk(from, to, ticket, &message.header, &body);
        }
    }

    /// Who confirms a candidate or a leader.
    pub(super) fn note_arrived(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let mut plain = [0; wire::MAX_MESSAGE];
        let message = self.unsealed(bytes, &mut plain);
        let Body::Ticket(body) = message.body else { return };
        let confirms = match (message.header.command, message.header.request) {
            (Command::Ack, Some(Command::Heartbeat)) => true,
            (Command::Vote, Some(Command::VoteRequest)) => {
                body.leader == LeaderField::Member(SiteId::of_address(&address(to)))
            }
            _ => false,
        };
        if let Some(ticket) = self.ticket_named(body.name).filter(|_| confirms) {
            self.checks.members[to].tickets[ticket].confirmed_by.insert(MemberIndex(from as u8));
        }
    }

    /// A message without its MAC, which is not checked: it was made here.
    pub(super) fn unsealed<'p>(&self, bytes: &[u8], plain: &'p mut [u8; wire::MAX_MESSAGE]) -> Message<'p> {
        let length = if self.plan.key { bytes.len() - TRAILER_LEN } else { bytes.len() };
        plain[..length].copy_from_slice(&bytes[..length]);
        // The bit that says "signed", and the length without the MAC.
        plain[..4].fill(0);
        plain[24..28].copy_from_slice(&(length as u32).to_be_bytes());
        wire::decode(&plain[..length], None).unwrap()
    }

    /// A leader says that it no longer holds the ticket; if also that nothing runs any more, that must be true (S9).
    fn note_releases(&mut self, from: usize, ticket: usize, header: &Header, term: u32) {
        if !matches!((header.command, header.request), (Command::Vote | Command::Revoke, None)) {
            return;
        }
        let Millis(after) = self.plan.tickets[ticket].acquire_after;
        let stopped = Word::parse(header.options).is_some_and(|word| word.stopped);
        let last = self.checks.holdings[ticket].last.filter(|(holder, _)| *holder == from);
        let stopped_here = self.checks.members[from].tickets[ticket].stopped;
        let runs = !stopped_here && last.is_some_and(|(_, ended)| self.now_ms < ended + after);
        let name = &self.hosts[from].name;
        assert!(!stopped || !runs, "S9: {name} says that nothing runs, held until {last:?}\n{}", self.story());
        let free = if stopped { self.now_ms } else { self.now_ms + after };
        self.checks.members[from].releases.entry((ticket, term)).and_modify(|at| *at = free.min(*at)).or_insert(free);
    }

    /// S1, S2: what a vote or an acknowledgement promises is in the journal when it leaves.
    fn check_on_disk(&self, from: usize, to: usize, ticket: usize, header: &Header, body: &TicketBody<'_>) {
        let kept = match (header.command, header.request, body.leader) {
            (Command::Vote, Some(Command::VoteRequest), LeaderField::Member(vote)) => {
                self.checks.members[from].votes.get(&(ticket, body.term)) == Some(&vote)
            }
            (Command::Ack, Some(Command::Heartbeat | Command::Update), _) => {
                let asker = SiteId::of_address(&address(to));
                self.recorded(from, ticket).is_some_and(|record| record.leader == Some(asker) && record.active)
            }
            _ => true,
        };
        let rule = if header.command == Command::Vote { "S1" } else { "S2" };
        assert!(kept, "{rule}: {header:?} {body:?} leaves, but the journal says otherwise\n{}", self.story());
    }

    /// S2, S3: who has acknowledged a leader votes for no other until its promise and the hold behind
    /// it are over by its own clock, or `acquire-after` has passed since the leader's release. S9: nothing is
    /// released while the store says granted.
    fn check_owed(&mut self, from: usize, to: usize, ticket: usize, header: &Header, body: &TicketBody<'_>) {
        let now = self.clock(from).boot;
        let Millis(after) = self.plan.tickets[ticket].acquire_after;
        match (header.command, header.request) {
            (Command::Ack, Some(Command::Heartbeat | Command::Update)) => {
                let until = now + self.plan.tickets[ticket].expire;
                let owed = Owed { to, term: body.term, until, made_ms: self.now_ms, lasts: true };
                self.checks.members[from].tickets[ticket].owed = Some(owed);
            }
            (Command::Vote | Command::Revoke, None) => {
                let held = self.hosts[from].store[ticket];
                let kept = !held.granted || held.life != self.hosts[from].life;
                assert!(kept, "S9: told before the store said so\n{}", self.story());
                let seen = &self.checks.members[from].tickets[ticket];
                let led = seen.led_until.is_some_and(|end| now < end);
                let asked = seen.stopped || !self.plan.tickets[ticket].release_handler;
                assert!(asked || !led, "S9: told before the release-handler said so\n{}", self.story());
            }
            (Command::Vote, Some(Command::VoteRequest)) => {
                let candidate = LeaderField::Member(SiteId::of_address(&address(to)));
                let owed = self.checks.members[from].tickets[ticket].owed;
                let Some(owed) = owed.filter(|owed| owed.to != to && body.leader == candidate) else { return };
                let releases = &self.checks.members[owed.to].releases;
                let mut releases = releases.range((ticket, owed.term)..=(ticket, u32::MAX));
                let released = releases.any(|(_, free_ms)| self.now_ms >= *free_ms);
                let over = now >= owed.until + Millis(after);
                let rule = if now >= owed.until { "S3" } else { "S2" };
                let name = &self.hosts[from].name;
                let kept = released || over;
                assert!(kept, "{rule}: {name} votes in spite of its promise to {}\n{}", owed.to, self.story());
            }
            (Command::VoteRequest, _) => {
                // The reference votes at once for who asks for this, whatever it has promised.
                assert!(header.reason != Reason::StepDown, "S2: asks as after a step-down\n{}", self.story());
                if header.reason == Reason::Administrator {
                    self.checks.members[from].administrators.insert((ticket, body.term));
                }
            }
            _ => {}
        }
    }

    /// S7: who has started without memory votes for administrators only, for as long as what it may have forgotten
    /// can bind it.
    fn check_memory(&self, from: usize, to: usize, ticket: usize, header: &Header, body: &TicketBody<'_>) {
        let Some(until) = self.checks.members[from].tickets[ticket].forgetful_until else { return };
        let is_vote = (header.command, header.request) == (Command::Vote, Some(Command::VoteRequest));
        if !is_vote || !self.hosts[to].is_ours() || self.clock(from).boot >= until {
            return;
        }
        let asked = self.checks.members[to].administrators.contains(&(ticket, body.term));
        let name = &self.hosts[from].name;
        assert!(asked, "S7: {name} votes in term {} without memory\n{}", body.term, self.story());
    }

    // ---- records -----------------------------------------------------------------------------

    /// S1: one vote a term, and neither terms nor votes go down in the journal.
    pub(super) fn check_record(&mut self, host: usize, ticket: usize, record: &Record) {
        if let Some(last) = self.recorded(host, ticket) {
            // A vote for a member that is gone may be forgotten where the term is behind us.
            let closed = record.term > last.voted_term;
            let down = record.term < last.term || (record.voted_term < last.voted_term && !closed);
            assert!(!down, "S1: {} goes down from {last:?} to {record:?}\n{}", self.hosts[host].name, self.story());
        }
        if let Some(vote) = record.vote {
            let term = record.voted_term;
            let first = *self.checks.members[host].votes.entry((ticket, term)).or_insert(vote);
            let name = &self.hosts[host].name;
            assert!(first == vote, "S1: {name} voted twice in term {term}\n{}", self.story());
        }
    }

    fn recorded(&self, host: usize, ticket: usize) -> Option<Record> {
        self.hosts[host].disk.written(ticket)
    }
}
