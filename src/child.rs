//! Child processes that the event loop never waits for.
//!
//! A program is started by its argument vector, without a shell, as the head of its own process
//! group, with standard input from `/dev/null`, its outputs in non-blocking pipes and nothing else
//! inherited that is ours. Its end is seen through a pidfd. What it writes is kept up to
//! [`STDOUT_LIMIT`] and [`STDERR_LIMIT`]; the rest is read and dropped, so that no child ever stands
//! still because of us. At its deadline the whole group is killed.
//!
//! # How the event loop drives it
//!
//! [`crate::store::Store`] and [`crate::handler::Handlers`] each own a [`Children`] with a range of
//! mio tokens ([`TOKENS_PER_CHILD`] for each child), and pass the same few calls on:
//!
//! ```text
//! let mut store = Store::new(settings, poll.registry().try_clone()?, FIRST_STORE_TOKEN);
//! loop {
//!     poll until min(node.next_deadline(), store.next_deadline(), handlers.next_deadline())
//!     for event in &events {
//!         if store.on_event(now, event.token()) || handlers.on_event(now, event.token()) { continue }
//!         ...
//!     }
//!     store.expire(now); handlers.expire(now);
//!     while let Some(finished) = store.next_finished() {
//!         finished.with_result(|result| node.step(now, Input::StoreFinished { .., result }, &mut sink));
//!     }
//! }
//! ```
//!
//! A request may be finished at once (the file store, a program that cannot be started): ask
//! `next_finished` until it has nothing more before every poll, not only after an event.
