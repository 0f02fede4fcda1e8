//! A model checker over the real core: three members, one ticket, all that may happen to a stated depth.
//!
//! The members run the same `Node::step` as the daemon, with the bytes of the real wire. What lies around
//! them is the model: a network that loses, delays, repeats and reorders, disks, stores, administrators,
//! and a clock that moves from one deadline to the next. `stateright` walks breadth first through all
//! states that a world can reach, and tests the rules of [`rules`] in each.
//!
//! How a world is kept finite, and why that is sound:
//! - *Time* moves only when something is due at a member or a store. Between two such instants nothing
//!   depends on the time but what is counted from the arrival of a message, and that a message can arrive
//!   at the earlier or (late) at a later instant is tried. All clocks run at one rate: drift is the
//!   simulator's business.
//! - *The network* is a set. What has been sent at an instant arrives at that instant in any order, or
//!   is lost when time moves on; a bounded number of messages is late instead, and may arrive at any
//!   time up to the end. A copy is a message that has arrived and is late as well. (A message that is
//!   sent again while the same bytes are under way is not counted twice: that would be another copy.)
//! - *Stores* either finish at once or, in the worlds for that, at any time up to the limit at which the
//!   daemon kills a request, and may then fail with or without having done it. The guard of S12 revokes
//!   in time what has run out where daemon or store cannot.
//! - *No key*. Stamps can only make a member drop a message, which the network does anyway: what holds
//!   in all these worlds holds with a key, too. So neither windows nor stamps are part of a state.
//! - *Members* are kept as their ticket, their running numbers, their dice and whom they have heard from.
//!   Nothing is left out but counters and what is for the log alone; a test in [`host`] shows that it makes
//!   no difference. Two states that are taken for one are equal in all that a step reads. No numbers are
//!   normalised and times are not relative: that would merge more, and would have to be believed.
//!
//! `within depth N` says: every state that N actions or fewer lead to was tested. The limits that bound a world
//! (how many messages may be late or doubled, how many kills, failures and commands) are in [`worlds`].

pub mod cluster;
pub mod host;
pub mod rules;
pub mod story;
pub mod worlds;
