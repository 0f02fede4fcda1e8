//! One ticket while its lines are read: its own values over inherited ones, and the rules between
//! them, which are checked when all lines are known.

use super::crash_release::{self, Surroundings, Written};
use super::diagnostic::{Diagnostics, Shown};
use super::value::{self, Checked};
use super::{Handler, Ticket, handler_key};
use booth_core::lease;
use booth_core::member::MAX_MEMBERS;
use booth_core::settings::{MAX_PREREQUISITES, Mode, Name, Prerequisite, TicketSettings};
use booth_core::sink::HandlerKind;
use booth_core::time::Millis;

const DEFAULT_EXPIRE: Millis = Millis(600_000);
const DEFAULT_TIMEOUT: Millis = Millis(5_000);
const DEFAULT_RETRIES: u8 = 10;

/// A value and the line that gave it.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) line: u32,
}

/// A ticket (or `__defaults__`) as far as it has been read.
#[derive(Clone, Debug)]
pub(super) struct TicketDraft {
    /// Its name; empty for `__defaults__` and for a name that was refused.
    pub(super) name: Name,
    /// The line that starts it.
    pub(super) line: u32,
    expire: Option<At<Millis>>,
    timeout: Option<At<Millis>>,
    retries: Option<At<u8>>,
    renewal: Option<At<Millis>>,
    acquire_after: Option<At<Millis>>,
    weights: Option<At<Vec<i32>>>,
    /// By the number of their kind.
    handlers: [Option<At<Handler>>; HandlerKind::ALL.len()],
    mode: Option<At<Mode>>,
    prerequisites: Vec<At<Prerequisite>>,
    crash_releases: Vec<At<Written>>,
}

/// What a key of a ticket was found to be.
pub(super) enum Known {
    /// Not a key of a ticket.
    No,
    /// Taken, or refused with a diagnostic.
    Yes,
    /// Taken: a time that is not a whole number of seconds.
    FractionOfSecond,
}

impl TicketDraft {
    pub(super) fn new(name: Name, line: u32) -> TicketDraft {
        TicketDraft {
            name,
            line,
            expire: None,
            timeout: None,
            retries: None,
            renewal: None,
            acquire_after: None,
            weights: None,
            handlers: Default::default(),
            mode: None,
            prerequisites: Vec::new(),
            crash_releases: Vec::new(),
        }
    }

    /// A ticket that inherits all of these defaults.
    pub(super) fn inheriting(&self, name: Name, line: u32) -> TicketDraft {
        TicketDraft { name, line, ..self.clone() }
    }

    /// Takes one line, if it is a ticket's.
    pub(super) fn take(&mut self, line: u32, key: &str, text: &str, found: &mut Diagnostics<'_>) -> Known {
        let own = self.line;
        if let Some(kind) = HandlerKind::ALL.into_iter().find(|kind| handler_key(*kind) == key) {
            put(&mut self.handlers[kind as usize], own, line, key, value::handler(line, key, text), found);
            return Known::Yes;
        }
        let mut fraction = false;
        let mut time = |slot: &mut Option<At<Millis>>, least: Millis| {
            let parsed = value::time(key, text, least);
            fraction = matches!(parsed, Ok(time) if time.0 % 1000 != 0);
            put(slot, own, line, key, parsed, found);
        };
        match key {
            "expire" => time(&mut self.expire, Millis(1)),
            "timeout" => time(&mut self.timeout, Millis(1)),
            "renewal-freq" => time(&mut self.renewal, Millis(1)),
            "acquire-after" => time(&mut self.acquire_after, Millis(0)),
            "retries" => {
                let parsed = value::number(key, text, value::MIN_RETRIES, value::MAX_RETRIES);
                put(&mut self.retries, own, line, key, parsed, found);
            }
            "weights" => put(&mut self.weights, own, line, key, value::weights(text), found),
            "mode" => put(&mut self.mode, own, line, key, value::mode(text), found),
            "attr-prereq" => self.add_prerequisite(line, text, found),
            "crash-release" => self.add_crash_release(line, text, found),
            _ => return Known::No,
        }
        if fraction { Known::FractionOfSecond } else { Known::Yes }
    }

    /// A ticket's first own `attr-prereq` replaces inherited ones; more of its own are added.
    fn add_prerequisite(&mut self, line: u32, text: &str, found: &mut Diagnostics<'_>) {
        if self.prerequisites.iter().all(|known| known.line < self.line) {
            self.prerequisites.clear();
        }
        let Some(value) = found.ok(line, value::prerequisite(text)) else { return };
        if self.prerequisites.len() == MAX_PREREQUISITES {
            found.error(line, format!("too many attr-prereq lines, expected at most {MAX_PREREQUISITES} for a ticket"));
            return;
        }
        self.prerequisites.push(At { value, line });
    }

    /// As with `attr-prereq`: own lines replace inherited ones.
    fn add_crash_release(&mut self, line: u32, text: &str, found: &mut Diagnostics<'_>) {
        if self.crash_releases.iter().all(|known| known.line < self.line) {
            self.crash_releases.clear();
        }
        let Some(value) = found.ok(line, crash_release::read(text)) else { return };
        if self.crash_releases.len() == MAX_MEMBERS {
            found.error(line, format!("too many crash-release lines, expected at most {MAX_MEMBERS} for a ticket"));
            return;
        }
        self.crash_releases.push(At { value, line });
    }

    /// Checks the rules between the values; `None` when one is broken, with a diagnostic.
    pub(super) fn finish(self, around: &Surroundings<'_>, found: &mut Diagnostics<'_>) -> Option<Ticket> {
        let expire = self.expire.as_ref().map_or(DEFAULT_EXPIRE, |at| at.value);
        let timeout = self.timeout.as_ref().map_or(DEFAULT_TIMEOUT, |at| at.value);
        let retries = self.retries.as_ref().map_or(DEFAULT_RETRIES, |at| at.value);
        let renewal = self.renewal.as_ref().map_or(Millis(expire.0 / 2), |at| at.value);
        let acquire_after = self.acquire_after.as_ref().map_or(Millis(0), |at| at.value);
        let mode = self.mode.as_ref().map_or(Mode::Automatic, |at| at.value);
        let sound = self.check_times(expire, timeout, retries, renewal, found);
        self.warn(around.members.len(), mode, acquire_after, found);
        let renewal_line = self.renewal.as_ref().map(|at| at.line.max(self.line));
        let handler_line = |kind: HandlerKind| self.handlers[kind as usize].as_ref().map(|at| at.line.max(self.line));
        let (release_line, last_resort_line) =
            (handler_line(HandlerKind::Release), handler_line(HandlerKind::StuckRevoke));
        let has = |kind: HandlerKind| self.handlers[kind as usize].is_some();

        let mut weights = [0; MAX_MEMBERS];
        for (slot, weight) in weights.iter_mut().zip(self.weights.iter().flat_map(|at| &at.value)) {
            *slot = *weight;
        }
        let settings = TicketSettings {
            name: self.name,
            mode,
            expire,
            timeout,
            retries,
            renewal,
            acquire_after,
            weights,
            before_acquire: has(HandlerKind::BeforeAcquire),
            release_handler: has(HandlerKind::Release),
            crash_release: false,
            on_stuck_revoke: has(HandlerKind::StuckRevoke),
            prerequisites: self.prerequisites.into_iter().take(MAX_PREREQUISITES).map(|at| at.value).collect(),
        };
        if let Some(line) = renewal_line.filter(|_| sound) {
            warn_of_late_renewal(line, &settings, found);
        }
        if let Some(line) = release_line.filter(|_| mode == Mode::Manual) {
            let name = if settings.name.is_empty() { "ticket" } else { settings.name.as_str() };
            found.warn(
                line,
                format!("{name}: release-handler is never run: of a manual ticket nobody waits for the release"),
            );
        }
        if let Some(line) = last_resort_line {
            warn_of_last_resort(line, &settings, found);
        }
        if let Some(first) = self.crash_releases.first().filter(|_| mode == Mode::Manual) {
            let name = if settings.name.is_empty() { "ticket" } else { settings.name.as_str() };
            let text = format!("{name}: crash-release is never looked at: of a manual ticket no lease is waited for");
            found.warn(first.line.max(self.line), text);
        }
        let crash_releases = crash_release::understand(self.crash_releases, around, found);
        let renewal_configured = self.renewal.is_some();
        let handlers = self.handlers.map(|handler| handler.map(|at| at.value));
        sound.then_some(Ticket { line: self.line, settings, renewal_configured, handlers, crash_releases })
    }

    /// timeout*(retries+1) < renewal-freq < expire. No product here can overflow: see
    /// [`value::MAX_TIME`] and [`value::MAX_RETRIES`].
    fn check_times(
        &self,
        expire: Millis,
        timeout: Millis,
        retries: u8,
        renewal: Millis,
        found: &mut Diagnostics<'_>,
    ) -> bool {
        let own = |line: Option<u32>| line.filter(|line| *line > self.line);
        let renewal_line = own(self.renewal.as_ref().map(|at| at.line));
        let expire_line = own(self.expire.as_ref().map(|at| at.line));
        let retry_lines = own(self.timeout.as_ref().map(|at| at.line)).or(own(self.retries.as_ref().map(|at| at.line)));
        let name = self.label();
        let origin = if self.renewal.is_some() { "renewal-freq" } else { "half of expire (renewal-freq is not set)" };
        let mut sound = true;
        let trying = timeout.0 * (u64::from(retries) + 1);
        if trying >= renewal.0 {
            let line = renewal_line.or(retry_lines).or(expire_line).unwrap_or(self.line);
            found.error(
                line,
                format!(
                    "{name}: total amount of time to retry sending packets cannot exceed renewal frequency \
                     ({}*({retries}+1) >= {} ms); expected timeout*(retries+1) below {origin}: make timeout or \
                     retries smaller, or expire or renewal-freq greater",
                    timeout.0, renewal.0
                ),
            );
            sound = false;
        }
        if renewal >= expire {
            let line = renewal_line.or(expire_line).unwrap_or(self.line);
            found.error(
                line,
                format!(
                    "{name}: renewal-freq ({} ms) is not below expire ({} ms); expected the ticket to be renewed \
                     before it expires, best at half of expire",
                    renewal.0, expire.0
                ),
            );
            sound = false;
        }
        sound
    }

    /// How diagnostics call it: a name that was refused has been named where it stands.
    fn label(&self) -> &str {
        if self.name.is_empty() { "ticket" } else { &self.name }
    }

    fn warn(&self, members: usize, mode: Mode, acquire_after: Millis, found: &mut Diagnostics<'_>) {
        let name = self.label();
        if mode == Mode::Automatic && acquire_after == Millis(0) {
            let line = self.acquire_after.as_ref().map_or(self.line, |at| at.line.max(self.line));
            found.warn(
                line,
                format!(
                    "{name}: acquire-after is 0: another site may start the resources while they are still being \
                     stopped or fenced here; expected the time that this takes, such as 60"
                ),
            );
        }
        if let Some(weights) = &self.weights
            && weights.value.len() != members
        {
            let count = weights.value.len();
            let line = weights.line.max(self.line);
            found.warn(line, format!("{name}: {count} weights for {members} members; those missing are 0"));
        }
        let commands = HandlerKind::ALL.into_iter().zip(&self.handlers);
        for (kind, command) in commands.filter_map(|(kind, command)| Some((kind, command.as_ref()?))) {
            let key = handler_key(kind);
            if !command.value.program.is_absolute() {
                let program = command.value.program.to_string_lossy();
                let (program, line) = (Shown(&program), command.line.max(self.line));
                found.warn(line, format!("{name}: {key} {program} is not an absolute path"));
            }
        }
    }
}

/// A `renewal-freq` that would leave no time to renew before the lease is given up. The reference takes it.
fn warn_of_late_renewal(line: u32, settings: &TicketSettings, found: &mut Diagnostics<'_>) {
    let (name, asked, kept) = (&settings.name, settings.renewal.0, lease::renewal(settings).0);
    if settings.mode == Mode::Automatic && kept < asked {
        found.warn(
            line,
            format!(
                "{name}: renewal-freq ({asked} ms) is so close to expire ({} ms) that the lease would be given up \
                 before a renewal could be repeated: it is renewed every {kept} ms instead; expected at most that, best \
                 half of expire",
                settings.expire.0
            ),
        );
    }
}

/// The last resort of a ticket that has none to give, or that would come too late.
fn warn_of_last_resort(line: u32, settings: &TicketSettings, found: &mut Diagnostics<'_>) {
    let name = if settings.name.is_empty() { "ticket" } else { &settings.name };
    let (after, grace) = (settings.acquire_after.0, lease::stuck_grace(settings).0);
    if settings.mode == Mode::Manual {
        found.warn(line, format!("{name}: on-stuck-revoke is never run: a manual ticket has no lease that could end"));
    } else if after <= grace {
        found.warn(
            line,
            format!(
                "{name}: on-stuck-revoke comes too late: another site may take the ticket acquire-after ({after} ms) \
                 after the end of the lease, and the command is run {grace} ms after it; expected acquire-after to be \
                 longer than that and what the command takes together"
            ),
        );
    }
}

/// Fills a slot; a line of the same ticket that is replaced is worth a warning.
fn put<T>(slot: &mut Option<At<T>>, own: u32, line: u32, key: &str, parsed: Checked<T>, found: &mut Diagnostics<'_>) {
    let Some(value) = found.ok(line, parsed) else { return };
    if let Some(before) = slot
        && before.line >= own
    {
        found.warn(line, format!("{key} again; the value of line {} is replaced", before.line));
    }
    *slot = Some(At { value, line });
}
