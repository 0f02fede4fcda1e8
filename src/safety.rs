//! What is promised, why to believe it, and against whom: nothing but documentation.
//!
//! # The promise
//!
//! **S0** At every instant at most one site's store says that an automatic ticket is granted there, and
//! `acquire-after` lies between the end at one site and the grant at another, whatever is lost, delayed,
//! repeated, reordered, cut, killed, restarted, suspended, slow or full. (A forced grant, `-F`, and manual
//! tickets are the administrator's word.) It is the sum of thirteen rules; each is enforced in few places, and
//! each has *mutants*, deliberate breakages of those places, that the tests are seen to notice.
//!
//! Two things S0 needs from outside, and no daemon can give: a guard that revokes in the CIB what has run out
//! when the daemon is dead, frozen or silent (S12), and clocks whose *rate* is right within 2 ‰ (S4). The guard
//! is `boothctl guard`: the agent's monitor runs it, and the unit when its daemon ends (`packaging/README.md`). It looks
//! when it is called: a daemon that is frozen (one that is dead is noticed at once) may keep its grant beyond its
//! lease until the next monitor, so let `acquire-after` be longer than the monitor's interval and some 5 s. It
//! goes by the site's wall clock and reaches the store as the daemon would: a CIB that hangs it cannot revoke
//! in either. `on-stuck-revoke` is the last resort where the daemon lives and the store does not.
//!
//! S13 gives a lease up before its end, so it needs more, and is off unless `crash-release` is configured:
//! - *All nodes are named* that may run what needs the ticket, or the daemon of the site: every node of its
//!   cluster, remote ones too. One that is left out may run the service on. (A daemon on such a node says so, and
//!   then its lease is waited for; a service there cannot.)
//! - *The clocks* of nodes and members are right within 5 s: only then does a message tell when it was sent. A
//!   clock that is wrong by more makes announcements late, and the lease is waited for, unless somebody holds messages
//!   back as well and the clock is ahead by just as much.
//! - *The store forgets*: Pacemaker keeps tickets in the status section of its CIB, in memory only, so a node that
//!   boots again brings no grant back (`tests/pacemaker/crash.rs` looks at a real one). A store of files does not
//!   forget, and is refused.
//! - *A node that dumps runs nothing*: the crash kernel replaces the one that ran the service. That a crash kernel sends
//!   is known from its age: a sender that is tried with the node's key on a system that has run for longer than 10
//!   minutes counts for nothing; within them, and from then on until it boots again, it is a lie that whoever has the
//!   key can tell. What the service had sent to disks of others before may still arrive, as with any fencing.
//!
//! # Rules, where they live, and what shows them
//!
//! D is `expire`, A is `acquire-after`. Files without a directory are in `src/core`. Tests carry the rule's id
//! in their names (`grep -rn 's4_\|_s4' tests`); the mutants are in `tests/mutants`, which prints who noticed
//! which, in how many seeds. A test compares the last column with that table, and the functions with the sources.
//!
//! | rule | enforced in | shown by | mutants |
//! | --- | --- | --- | --- |
//! | **S1** one vote a term, on disk before it is sent; terms never go down | `election.rs`: `start_election`, `vote`; `ticket.rs`: `send`, `record`, `remember`; `src/outbox.rs`: `write_records` | `tests/rules.rs`, `tests/member`, `tests/outbox.rs`, simulation, model | votes-twice, vote-leaves-first, vote-not-recorded, record-after-failure-left-out, term-forgotten, own-vote-not-noted, stands-in-an-old-term, votes-below-its-term, votes-in-a-led-term, votes-below-its-vote, follows-an-older-term, follows-a-second-leader-of-a-term, follows-in-spite-of-a-vote, deferred-vote-outdated, removed-members-vote-forgotten |
//! | **S2** an acknowledgement is a promise: no vote for another and no candidacy before its end | `lease.rs`: `make`, `allows_vote`; `follower.rs`: `on_renewal`, `follow`; `election.rs`: `on_vote_request`, `begin_acquire` | `tests/rules.rs`, `tests/member`, simulation, model | acknowledges-without-promise, promise-of-half-a-lease, promise-as-written, no-slack-for-the-reference, promise-shortened, promise-not-recorded, bound-member-votes, bound-member-follows-another, bound-member-stands, bound-member-is-granted, leader-owes-itself-nothing, deferred-vote-in-spite-of-a-promise, vouched-for-once-and-for-all |
//! | **S3** a voter holds A as well | `lease.rs`: `hold`, `release`, `give_back`, `remember_earlier`; `election.rs`: `vote_deferred` | `tests/rules.rs`, `tests/cluster_faults.rs`, `tests/cluster_changes.rs`, `tests/member`, simulation, model | no-hold-behind-a-promise, hold-forgotten-for-the-next-leader, earlier-hold-not-recorded, earlier-hold-forgotten-by-a-restart, hold-by-a-fast-clock, no-hold-after-a-release, stopped-always-believed, no-hold-of-the-old-leader, no-hold-over-a-restart, hold-forgotten-with-the-promise |
//! | **S4** a lease counts from the first sending of what a majority has acknowledged, less the clocks' drift; it is given up before its end | `lease.rs`: `lease_end`, `give_up_at`, `margins`; `leader.rs`: `renewed`, `give_up_if_due`, `succeeded_by` | `tests/rules.rs`, `tests/cluster_changes.rs`, simulation (clocks at both edges), model, `tests/faults.rs` | lease-from-ack, lease-from-last-sending, no-allowance-for-clocks, no-margin-for-the-revoke, never-gives-up, lease-by-a-clock-that-stood-still, succeeded-without-revoking, input-before-what-is-due, heartbeat-of-half-a-lease |
//! | **S5** an answer counts for the request that it answers and no other | `leader.rs`: `on_ack`, `echoes`, `on_renewal_refused`; `election.rs`: `answers_ballot`; `lease.rs`: `is_echo`; `stamp.rs`: `made_since` | `tests/rules.rs`, `tests/member`, model, `tests/security.rs` | no-second-more-for-the-reference, any-ack-counts, ack-of-another-round-counts, any-ack-of-the-reference-counts, echo-of-another-heartbeat-counts, heartbeats-are-all-alike, ack-of-another-leader-counts, any-stamp-is-young-enough, any-vote-number-counts, vote-of-another-term-counts, any-vote-of-the-reference-counts, vote-for-another-counts, half-is-a-majority |
//! | **S6** a grant is written at once only on the word of a majority that keeps S3 and remembers, or of all sites at an administrator's wish | `lease.rs`: `commit_at`; `election.rs`: `decide`, `on_late_vote`; `leader.rs`: `commit_if_due` | `tests/rules.rs`, simulation, model | commits-at-once, election-not-waited-for, administrator-not-waited-for, all-sites-seem-to-vote, every-vote-vouches, a-late-vote-is-enough, late-votes-do-not-count, late-vote-for-another-counts, seems-to-be-held, always-settled |
//! | **S7** who has lost its memory knows it, and helps nobody until D + A have passed | `ticket.rs`: `remember`, `too_forgetful`, `vote_of_its_own`; `recovery.rs`: `has_newest_memory`, `claim_memory`; `follower.rs`: `may_trust`; `src/journal/slot.rs`: `decode`, `newest` | `tests/rules.rs`, `tests/cluster_changes.rs`, `tests/journal.rs`, simulation (torn at every byte), model | every-word-vouches, own-vote-always-vouches, votes-without-memory, says-that-it-remembers, memory-returns-at-once, memory-returns-by-a-restart, promise-forgotten-by-a-restart, remembered-promise-is-over, remembered-promise-of-todays-length, promise-shorter-by-a-second-restart, promise-to-a-removed-leader-forgotten, follows-without-memory, stands-without-memory, stale-journal-believed, overtaken-memory-remembers, overtaken-memory-keeps-its-name, answers-before-the-store-names-its-memory, counts-its-own-forgotten-vote |
//! | **S8** a late grant is revoked at once; a revoke is tried until it succeeds, and nobody is told before | `recovery.rs`: `on_granted`, `on_store_failed`; `store.rs`: `want`, `startable`; `release.rs`: `finish_leaving`; `src/store/mod.rs`: `make_way`, `take_end`, `has_passed` | `tests/rules.rs`, `tests/store.rs`, `tests/stuck_revoke.rs`, simulation, `tests/faults.rs` | late-grant-stays, grant-begun-at-any-time, revoke-tried-once, failed-revoke-believed, revoke-waits-for-a-grant, grant-under-way-forgotten, old-result-believed, client-told-too-early, votes-while-granted-here, gives-up-without-revoking, last-resort-never, last-resort-without-grace, last-resort-before-the-leases-end, last-resort-after-a-sleep, last-resort-again-and-again, unreadable-store-not-suspected |
//! | **S9** "released" is said when the store says revoked and the release-handler that the resources are stopped; at the lease's end at the latest | `release.rs`: `leave`, `finish_leaving`, `release_at_last`; `manual.rs`: `manual_revoked` | `tests/rules.rs`, simulation, model | stopped-said-too-early, released-before-the-store, released-before-the-handler, failed-handler-counts, released-before-the-leases-end, overtaken-heartbeat-counts, overtaken-by-a-revoke-counts |
//! | **S10** a restart never makes a leader | `ticket.rs`: `become_leader`; `recovery.rs`: `on_loaded`, `may_have_left`, `revoke_stale_if_due` | `tests/rules.rs`, `tests/cluster_changes.rs`, simulation | elected-for-ever, store-makes-a-leader, lease-by-votes-alone, stored-grant-never-ends, stored-lease-begins-anew, anothers-grant-is-ours, stored-lease-by-a-wrong-clock, clock-set-back-not-noticed, stored-lease-of-one-that-owes-another, stored-lease-longer-than-any |
//! | **S11** no message takes effect twice | `stamp.rs`: `admit`; `node.rs`: `lateness`; `request.rs`: `admit_request`; `follower.rs`: `on_revoke`, `on_step_down` | `tests/rules.rs`, `src/core/stamp.rs`, simulation (replays), `tests/security.rs` | no-window, late-votes-accepted, seen-is-forgotten, floor-stays-low, old-is-young-enough, silence-makes-new, wrong-clock-never-forgiven, own-stamps-go-back, own-stamps-go-back-by-a-restart, client-request-repeated, client-request-repeated-after-a-restart, any-address |
//! | **S12** a grant does not outlive its daemon: each write carries the lease's end, and the guard revokes what has run out | `leader.rs`: `commit_if_due`; `src/store/pacemaker.rs`: `write_arguments`; `src/client/guard.rs`: `on_read` | `tests/rules.rs`, `tests/store_crm_ticket.rs`, `tests/guard.rs`, `tests/agents.rs`, simulation (with a guard at each site) | grant-without-end, grant-with-no-end, renewed-end-not-written |
//! | **S13** a site is taken for dead before its lease ends only if all nodes that `crash-release` names were down at once, by signed and timely announcements, and its leader has said that it ran on one of them | `crash.rs`: `on_site_crashed`; `src/core/kdump/crashed.rs`: `all_down_at`; `src/core/kdump/authenticity.rs`: `take_verified`, `note_timely`; `follower.rs`: `follow` | `tests/member`, simulation (nodes crash, announcements are lost, late, replayed, forged) | dumps-one-after-the-other, one-node-is-the-site, announcements-come-at-once, late-announcement-counts, replayed-announcement-counts, recorded-announcement-counts, running-system-announces, crash-release-without-the-leaders-word, word-of-an-earlier-heartbeat, who-speaks-is-taken-for-dead, dead-leader-is-heard-again |
//! | **L1** a healed majority with working stores elects within one election time | `election.rs`: `plan_election`; `recovery.rs`: `caught_up`; `follower.rs`: `remind` | simulation, `tests/cluster_faults.rs`, `tests/cluster_changes.rs` | earlier-hold-in-spite-of-the-leaders-word, hanging-handler-keeps-the-ticket, election-tried-once, asks-again-at-once, withdraws-at-one-refusal, nobody-is-reminded, unheard-are-not-asked, voter-goes-on-standing, never-settled, held-elsewhere-ends-an-election, outdated-by-an-older-term, stored-revoke-older-than-the-journal, followers-not-freed, revoke-forgotten-by-a-withdrawal, revoke-older-than-the-store |
//! | **L2** a ticket whose leader is gone is held elsewhere by D + A (each by the slowest clock allowed) + 1 s | `follower.rs`: `forget_leader_if_lost`; `lease.rs`: `learn` | simulation, `tests/cluster_faults.rs` | hearsay-passed-on, loss-not-acted-upon, step-down-not-acted-upon |
//! | **L3** a leader that reaches a majority is never moved or revoked | `leader.rs`: `on_renewal_refused`, `resend` | simulation, `tests/cluster_faults.rs`, `tests/faults.rs` | renews-too-late, renews-when-it-gives-up, nothing-is-repeated, any-heartbeat-ends-a-lease, refused-leader-steps-down, refused-leader-does-nothing, called-off-is-released, term-led-twice, revoke-forgotten-by-a-restart, revoked-is-forgotten |
//!
//! # The evidence, and how to run it
//!
//! - **Simulation** (`tests/simulation.rs`): whole clusters of the real core in virtual time, with real bytes,
//!   real journal slots and every fault of the promise, from one seed; safety is checked after each event, then
//!   the faults stop and liveness must follow. `BOOTH_SIM_SEED=N` replays one seed and prints what happens.
//!   Millions: `BOOTH_SIM_SEEDS=1000000 cargo test --profile sweep --test simulation sweep -- --nocapture`
//!   (with `BOOTH_SIM_FIRST=N` it begins elsewhere, so that several processors can share the work).
//! - **Model checking** (`tests/model`, a workspace of its own): all states of small worlds up to a stated depth,
//!   with the same core. `cargo test --manifest-path tests/model/Cargo.toml -- --nocapture`.
//! - **Mutants** (`tests/mutants`): `BOOTH_MUTANTS=all cargo test --test mutants -- --nocapture`.
//! - **Fuzzing** (`tests/fuzz/run SECONDS [TARGET...]`): every parser, and `step` with the rules kept beside it.
//! - **Live** (`tests/faults.rs`, `tests/security.rs`, `tests/memory.rs`, `tests/interop.rs`): real daemons in
//!   namespaces, the reference beside ours in the same run, as root with `BOOTH_LIVE_TESTS=require`.
//! - Each bug that any of these has found has a test that begins with the bug's story.
//!
//! # Among members of the reference
//!
//! What can be promised there is less, stated in `tests/mixed.rs`, and checked against a model of the
//! reference that sends what the real one was recorded to send. In short: what our leader holds among reference
//! followers nobody else gets while they keep their memory; what a reference leader holds by our
//! acknowledgements nobody else gets because an update was lost.
//! The reference has no word for the number of a heartbeat, but its acknowledgement says how long it has promised
//! itself, and the heartbeats of an `expire` (16 of them at most) ask for different times: so an answer to an
//! earlier one does not count (S5), unless it comes later than that *and* its stamp does not tell, because all
//! that this member has sent for hours came as late.
//!
//! # What an administrator must not do
//!
//! - Change the list of members by more than one at a time, or before all have been restarted with the last
//!   change: two majorities must always share a member. A member that is replaced is stopped for good first.
//! - Remove a site, change a ticket's `mode` or shorten its `acquire-after` while the ticket is granted: revoke first.
//! - Run two daemons of one site or arbitrator at once.
//! - Put an older disk back under a member (a snapshot, a copied image) and keep its journal: remove the journal,
//!   so that the member knows that it has no memory. Where a site's daemon moves between nodes, the store
//!   tells which node's journal was used last; an arbitrator's journal must move with it, or be off.
//! - Pause a virtual machine in a way that stops its boot clock, for as long as a lease, and rely on the guard:
//!   its clock is paused as well. A member that wakes so gives the ticket up when it hears of its successor.
//!
//! # The threat model
//!
//! What is protected: S0 first of all, then that the ticket can be held at all, then what is logged. Who
//! may hold a ticket is no secret: nothing is encrypted.
//!
//! **Whoever has the key** (the `authfile`; it is on every member, and wherever an administrator copied
//! it for the client) *is* the cluster. There is one key, so a message does not prove which member
//! made it: its holder can grant, revoke, vote and acknowledge in anybody's name, and put one ticket at
//! two sites. Guard it as root's password. The daemon refuses a key that others than its owner can
//! read, and never logs it; a core dump of the daemon contains it, so dumps are to be root's.
//!
//! **Without the key, anywhere on the network**, nobody changes anything: a datagram or a request with a
//! missing or wrong MAC is dropped before its content is looked at ([`booth_core::wire`]; the
//! comparison takes the same time wherever the first wrong byte is), counted, and logged a few lines a
//! minute ([`crate::log::limit`]). What is left is to keep the member busy: each datagram costs it one
//! HMAC over at most 152 bytes; a flood that fills the socket's buffer drops good datagrams as well, and a
//! leader that hears nobody gives the ticket up in time. A packet filter that lets only members reach
//! the port is the remedy. Clients are limited in number, time and bytes
//! ([`crate::net::client`]); whoever opens many connections closes his own.
//!
//! **Whoever has the keys of a site's nodes** (`kdump-key`; each is on its node, in the image of its crash kernel and on
//! the members) can announce their dumps. With the keys of *all* nodes that a `crash-release` names for the leader's
//! site it can have the ticket taken over while that site still holds it: two holders until the old one hears of
//! its successor. The key of some of them does not suffice, nor do keys without a `crash-release`; then what is at stake
//! is fencing: a node that runs passes for fenced. Without a key one can only repeat and hold back, see below: a
//! repeated announcement is void, and one that was held back for longer than the clocks' 5 s does not count for S13.
//!
//! **On the path, without the key**, one can read, drop, delay and repeat. Dropping and delaying cost the
//! ticket its renewals, never S0: a lease is counted from the sending of what was acknowledged (S4), and
//! an answer counts for its own request only (S5). Repeating does nothing (S11), for as long as both ends
//! run; after a restart a window is empty, and what protects is the journal: its terms and votes are newer
//! than what can be repeated, requests carry random numbers, a client's request from before the start is
//! refused. Nothing in a message says for whom it is, so each kind names what it is about: a vote its
//! candidate, an acknowledgement its leader. Two limits remain: a client's grant or revoke that is *held
//! back* is new when it comes, up to `maxtimeskew` (10 minutes unless configured) after the
//! administrator gave up waiting; and messages of members that run the reference are ordered by whole
//! seconds, see below.
//!
//! **Without a key** (no `authfile`) the sender's address is all there is. Who can send with a member's
//! address (any host of an unfiltered network, since UDP has no handshake) can do what the key's holder
//! can. `boothctl check` says so. There are no stamps either, so among reference members an
//! acknowledgement that comes later than `expire` can count for the round that runs. Use a key.
//!
//! **Clocks.** Leases use the boot clock's *rate* only: it must be right within 2 ‰ at each member (S4), which
//! NTP's slewing (0.5 ‰) keeps, and a virtual machine whose time stands still does not: see below. The wall
//! clock orders messages; whoever controls a member's NTP can step it, and so cut that member off until
//! it is repaired (availability), not bring two holders about.
//!
//! **On the host.** Root, and the account that the daemon runs as (`hacluster` at a site), can write to the
//! CIB and need no booth for it. Handlers run as that account. Others can read neither key nor journal and
//! may not use the control socket (owner and group only, and it changes nothing). Who can put back an *older*
//! journal (a snapshot of a virtual machine restored, a disk image copied) makes the member forget
//! its votes without noticing it, which no checksum can see: remove the journal when a member is
//! set back, then it knows that it has no memory (S7). Pausing a virtual machine for longer than a lease is
//! noticed only where the hypervisor lets the boot clock run on; where it does not, neither daemon nor guard
//! notices before it hears of a successor, and fencing by the hypervisor has to do the rest.
