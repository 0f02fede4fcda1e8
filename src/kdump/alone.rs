//! The event loop of a listener for dumping nodes that has nothing else to do: one poll, no wake-up without a
//! cause, each turn bounded, as [`crate::event_loop`] has it, with the sockets, the control socket, signals
//! and a timer. `boothd kdump` runs it until a signal; `fence_kdump` until nobody waits any more, or somebody who
//! stays wants the port.

use super::{Listener, Reaction, SLOTS};
use crate::boot_timer::BootTimer;
use crate::clock;
use crate::control;
use crate::log::Log;
use crate::net::client::Clients;
use crate::net::kdump::KdumpReceiver;
use crate::net::stream;
use crate::process::notify::Watchdog;
use booth_core::time::{Instant, Millis, Now};
use mio::net::UnixListener;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::signal;
use signal_hook_mio::v1_0::Signals;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

const SIGNALS: Token = Token(0);
const TIMER: Token = Token(1);
const DATAGRAMS: Token = Token(2);
const CONTROL: Token = Token(DATAGRAMS.0 + KdumpReceiver::TOKENS);
/// How many clients may ask beside those who wait.
const OTHER_SLOTS: usize = 8;
const EVENTS: usize = 64;

/// What an [`Alone`] is made of.
pub struct Parts {
    /// The listener, bound.
    pub listener: Listener,
    /// Where it is asked.
    pub control: UnixListener,
    /// The log.
    pub log: Log,
    /// Who waits for signs of life, if anybody.
    pub watchdog: Option<Watchdog>,
    /// After how long without anybody who waits it ends; `None`: never.
    pub idle: Option<Millis>,
}

/// The listener at work.
pub struct Alone {
    poll: Poll,
    timer: BootTimer,
    signals: Signals,
    control: Clients,
    listener: Listener,
    log: Log,
    watchdog: Option<Watchdog>,
    text: String,
    now: Now,
    idle: Option<Millis>,
    /// Since when nobody waits.
    idle_since: Option<Instant>,
    leaving: Option<i32>,
}

impl Alone {
    /// A loop that has not begun.
    ///
    /// # Errors
    /// Where the system gives no timer, or cannot watch what it is to watch.
    pub fn new(parts: Parts) -> io::Result<Alone> {
        let Parts { mut listener, control, log, watchdog, idle } = parts;
        let poll = Poll::new()?;
        let registry = poll.registry();
        let timer = BootTimer::new()?;
        let numbers = [signal::SIGTERM, signal::SIGINT, signal::SIGHUP, signal::SIGUSR1, signal::SIGUSR2];
        let mut signals = Signals::new(numbers)?;
        registry.register(&mut signals, SIGNALS, Interest::READABLE)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        listener.register(registry, DATAGRAMS)?;
        let control = stream::Listener::Unix(control);
        let slots = SLOTS + OTHER_SLOTS;
        let control = Clients::new(control, registry.try_clone()?, CONTROL, slots, control::LINES, control::PATIENCE)?;
        let now = clock::read();
        let text = String::with_capacity(1024);
        let idle_since = Some(now.boot);
        Ok(Alone { poll, timer, signals, control, listener, log, watchdog, text, now, idle, idle_since, leaving: None })
    }

    /// Serves until a signal ends it, and tells which; `None`: nobody waits any more, or the port was wanted.
    ///
    /// # Errors
    /// Where the poll or the timer fails, which they do not.
    pub fn run(&mut self) -> io::Result<Option<i32>> {
        let mut events = Events::with_capacity(EVENTS);
        while self.leaving.is_none() && !self.has_idled() {
            self.timer.arm(self.next_deadline())?;
            let busy = self.listener.has_more() || self.control.has_more();
            match self.poll.poll(&mut events, busy.then_some(Duration::ZERO)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            self.now = clock::read();
            self.turn(&events);
        }
        Ok(self.leaving)
    }

    /// The log, for those who come after the loop.
    pub fn log(&mut self) -> &mut Log {
        &mut self.log
    }

    fn next_deadline(&self) -> Option<Instant> {
        let idle_end = self.idle.and_then(|idle| Some(self.idle_since? + idle));
        let watchdog = self.watchdog.as_ref().map(Watchdog::next_deadline);
        let deadlines =
            [self.listener.next_deadline(), self.control.next_deadline(), self.log.next_deadline(), watchdog, idle_end];
        deadlines.into_iter().flatten().min()
    }

    fn has_idled(&self) -> bool {
        let nobody_waits = |idle| self.idle_since.is_some_and(|since| since + idle <= self.now.boot);
        self.idle.is_some_and(|idle| nobody_waits(idle) || !self.listener.is_listening())
    }

    fn turn(&mut self, events: &Events) {
        let now = self.now;
        for event in events {
            match event.token() {
                TIMER => self.timer.has_fired(),
                SIGNALS => self.on_signals(),
                token => drop(self.listener.on_event(token) || self.control.on_event(now.boot, token)),
            }
        }
        self.log.summarize(now);
        self.control.expire(now.boot);
        self.listener.receive(now, &mut self.log);
        self.serve();
        self.listener.answer(now.boot, &mut self.control, &mut self.text);
        while let Some(client) = self.control.next_gone() {
            self.listener.leave(client);
        }
        self.control.flush(now.boot);
        let waits = self.listener.waiters() > 0;
        self.idle_since = if waits { None } else { self.idle_since.or(Some(now.boot)) };
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.feed(now.boot);
        }
    }

    fn serve(&mut self) {
        let now = self.now;
        self.control.accept(now.boot);
        let mut buffer = [0; control::LONGEST_LINE];
        while let Some((client, length, good)) = self.control.next_request(now.boot, &mut buffer) {
            self.text.clear();
            let line = &buffer[..length];
            let reaction = match good {
                true => self.listener.request(now, client, line, &mut self.text, &mut self.log),
                false => Reaction::NotMine,
            };
            match reaction {
                Reaction::Later => {
                    self.control.reply(now.boot, client, self.text.as_bytes(), false);
                    continue;
                }
                Reaction::Answered => {}
                Reaction::NotMine => match control::parse(line).filter(|_| good) {
                    Some(control::Request::Stats) => self.listener.describe(&mut self.text),
                    Some(control::Request::Version) => self.text.push_str(control::VERSION_LINE),
                    // There are none.
                    Some(control::Request::Status | control::Request::Peers) => {}
                    None => control::complain(&mut self.text),
                },
            }
            self.control.reply(now.boot, client, self.text.as_bytes(), true);
        }
    }

    fn on_signals(&mut self) {
        // A handful at most: each signal is pending once.
        for number in self.signals.pending().take(8) {
            if matches!(number, signal::SIGTERM | signal::SIGINT) {
                self.leaving = Some(number);
            }
        }
    }
}
