//! The shell around [`booth_core`]: everything that touches the outside. The decisions are in the
//! core; a line that decides who holds a ticket belongs there, and there alone.
//!
//! What is promised, what shows it, and the threat model: [`safety`].
//!
//! # A map of the rooms
//!
//! From the command line to a member that serves:
//!
//! | module | what belongs there |
//! | --- | --- |
//! | [`cli`] | arguments, help and exit statuses, from one table of verbs and options |
//! | [`config`] | text to a typed, checked configuration; every error with its line; `boothctl check` |
//! | [`daemon`] | the order in which a member starts and leaves |
//! | `name_service` | users, groups and host names, asked for without the C library |
//! | [`process`] | what lies between `exec` and the event loop: detaching, lock file, own address, privileges, notification, title |
//!
//! A running member:
//!
//! | module | what belongs there |
//! | --- | --- |
//! | [`event_loop`] | one poll, one turn: facts go into the core, what it asks for goes to the outbox |
//! | [`outbox`] | the core's sink: what is to be done, held back until the journal is on disk |
//! | [`net`] | datagrams between members; clients on streams, with their limits |
//! | [`control`] | the Unix socket that `boothctl status` and `stats` ask |
//! | [`journal`] | votes and promises on disk |
//! | [`kdump`] | listening for nodes that write their dump, beside tickets or alone |
//! | [`store`] | where a site writes its tickets: `crm_ticket`, or files |
//! | [`handler`] | the programs of a ticket: before-acquire-handler, release-handler, the last resort (`on-stuck-revoke`) |
//! | [`child`] | child processes of both, which nobody waits for |
//! | `boot_timer` | what an event loop is woken by |
//! | [`clock`], [`entropy`] | the only readers of clocks, the only source of randomness |
//!
//! What people read:
//!
//! | module | what belongs there |
//! | --- | --- |
//! | [`log`] | lines to stderr or syslog: bounded, limited by kind, never blocking |
//! | [`log_lines`] | the core's notices in words |
//! | [`text`] | answers to `list`, `peers`, attributes and `status` |
//! | [`counters`] | what has been counted, for `boothctl stats` |
//!
//! And the other programs:
//!
//! | module | what belongs there |
//! | --- | --- |
//! | [`client`] | `booth`, `boothctl`, `geostore`: ask a daemon, say what it answered |
//! | [`demo`] | `boothctl demo` |
//! | [`fence`] | `fence_kdump`, the STONITH agent |
//!
//! In the core: `wire` has all bytes, `lease` all arithmetic of leases and promises, `stamp` what makes
//! a message new, `election`, `leader`, `follower`, `grant` and `manual` a ticket's life, `node` the
//! one door, and `wheel` its timers.

mod boot_timer;
pub mod child;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod control;
pub mod counters;
pub mod daemon;
pub mod demo;
pub mod entropy;
pub mod event_loop;
pub mod fence;
pub mod handler;
pub mod journal;
pub mod kdump;
pub mod log;
pub mod log_lines;
mod name_service;
pub mod net;
pub mod outbox;
pub mod process;
pub mod safety;
pub mod store;
pub mod text;
