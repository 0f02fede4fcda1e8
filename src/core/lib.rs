//! The decisions of a booth member, and nothing else.
//!
//! A *member* of a geo cluster is a *site* or an *arbitrator*; a *ticket* may be held by one site at
//! a time, by a *lease* that a majority of the members has promised to respect. This crate holds all
//! of that: the wire format, elections, leases, promises, timers. It is `no_std`, allocates nothing,
//! reads no clock and draws no random number, so whatever drives it (the daemon, the simulator, a
//! fuzzer) decides what it sees: the compiler checks that it is pure.
//!
//! The one door is [`node::Node::step`]: it takes the time and one past fact ([`input::Input`]) and
//! hands imperatives to a [`sink::Sink`].
#![no_std]

pub mod attribute;
mod crash;
mod election;
mod follower;
mod grant;
pub mod input;
pub mod kdump;
mod last_resort;
mod leader;
pub mod lease;
mod manual;
pub mod member;
pub mod node;
pub mod notice;
pub mod options;
mod peer;
mod recovery;
mod release;
mod request;
pub mod settings;
pub mod sink;
pub mod stamp;
mod store;
pub mod ticket;
pub mod time;
mod turn;
pub mod view;
pub mod wheel;
pub mod wire;
