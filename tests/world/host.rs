//! A machine: its daemon, clocks and disk; how it is started, killed, frozen and suspended.

use super::crash::{Dump, NODES};
use super::daemon::{Daemon, Ours, Program, Start};
use super::disk::Disk;
use super::queue::Pending;
use super::stores::{FIRST_MARK, Held, NEVER, StoreHabit};
use super::{Plan, WALL_EPOCH_US, World, address};
use booth_core::input::{Input, RequestNumber};
use booth_core::kdump::{Memory, Table};
use booth_core::member::{MemberIndex, SiteId};
use booth_core::node::Node;
use booth_core::settings::Settings;
use booth_core::sink::Record;
use booth_core::time::{Instant, Millis, Now, WallTime};

/// The most datagrams that a socket keeps for a daemon that does not read them.
pub const SOCKET_LIMIT: usize = 200;
/// A wall clock that is further off is set right, as by NTP, but for the steps that a world makes.
const LARGEST_ERROR_MS: i64 = 30_000;
const MILLION: i64 = 1_000_000;

/// One machine.
pub struct Host {
    pub name: String,
    pub(super) daemon: Option<Box<dyn Daemon>>,
    /// What is started here; ours, unless a world says otherwise.
    pub program: Program,
    pub life: u32,
    pub frozen: bool,
    pub suspended: bool,
    pub store: Vec<Held>,
    pub habit: StoreHabit,
    /// From when on requests are done by a store that works.
    pub steady_ms: u64,
    /// Whether something at the site revokes what has run out (S12).
    pub guarded: bool,
    pub handler_passes: bool,
    /// The handler runs until it is killed at its deadline.
    pub handler_hangs: bool,
    pub(super) disk: Disk,
    pub journal_fails: bool,
    /// The machine stops in the middle of its next write to the journal.
    pub(super) tear: Option<Tear>,
    /// Boot clock = (time + offset) with this drift in parts per million.
    offset_ms: u64,
    pub drift_ppm: i64,
    pub wall_step_us: i64,
    /// Speaks without the `options` words of ours, as the reference does.
    pub wordless: bool,
    /// What has waited for it while frozen.
    pub(super) unread: Vec<(usize, Vec<u8>)>,
    /// What has happened on a machine that is suspended, or has not been heard by a daemon that is frozen.
    pub(super) paused: Vec<Pending>,
    /// The store request of each ticket that was started last.
    pub(super) store_job: Vec<RequestNumber>,
    /// When the grant in its store runs out, in world time; [`NEVER`] where there is none.
    pub(super) runs_out_ms: Vec<u64>,
    /// Where it hears of dumping nodes, and what it remembers of that over a restart (S13).
    pub(super) table: Option<Table>,
    pub(super) heard: Vec<Memory>,
    /// Which of a site's nodes write their dumps.
    pub(super) dumps: [Option<Dump>; NODES],
    /// When all of a site's nodes were last down at once: from, until.
    pub(super) down_ms: Option<(u64, u64)>,
    /// How often that was.
    pub(super) machine: u32,
    /// When its daemon wants to be called, in world time.
    pub(super) wake_ms: Option<u64>,
}

/// How much of a write reaches the disk when the machine stops in the middle of it.
#[derive(Clone, Copy, Debug)]
pub struct Tear {
    /// Of the 1024 bytes of both copies.
    pub written: usize,
    /// The second copy first.
    pub backwards: bool,
}

impl Host {
    pub(super) fn new(plan: &Plan, index: usize, offset_ms: u64) -> Host {
        let tickets = plan.tickets.len();
        let name =
            if index < plan.sites { format!("site{}", index + 1) } else { format!("arb{}", index + 1 - plan.sites) };
        let names = plan.tickets.iter().map(|ticket| ticket.name.to_string());
        let id = SiteId::of_address(&address(index));
        Host {
            name,
            daemon: None,
            program: Ours::start,
            life: 0,
            frozen: false,
            suspended: false,
            store: vec![Held::never_granted(); tickets],
            habit: StoreHabit::WORKS,
            steady_ms: 0,
            guarded: true,
            handler_passes: true,
            handler_hangs: false,
            disk: Disk::new(id, names, plan.remember.then(|| Record { mark: FIRST_MARK, ..Record::default() })),
            journal_fails: false,
            tear: None,
            offset_ms,
            drift_ppm: 0,
            wall_step_us: 0,
            wordless: false,
            unread: Vec::new(),
            paused: Vec::new(),
            store_job: vec![RequestNumber::default(); tickets],
            runs_out_ms: vec![NEVER; tickets],
            table: None,
            heard: Vec::new(),
            dumps: [None; NODES],
            down_ms: None,
            machine: 0,
            wake_ms: None,
        }
    }

    /// Whether its daemon does anything.
    pub fn runs(&self) -> bool {
        self.daemon.is_some() && !self.frozen
    }

    /// Whether its daemon is another than ours, of which only its messages tell.
    pub fn is_foreign(&self) -> bool {
        self.daemon.as_ref().is_some_and(|daemon| daemon.node().is_none())
    }

    /// Whether its daemon is ours, and held to the rules of ours.
    pub fn is_ours(&self) -> bool {
        self.daemon.as_ref().is_some_and(|daemon| daemon.node().is_some())
    }
}

impl World {
    // ---- clocks ------------------------------------------------------------------------------

    pub(super) fn clock(&self, host: usize) -> Now {
        let host = &self.hosts[host];
        let elapsed = self.now_ms as i64 + self.now_ms as i64 * host.drift_ppm / MILLION;
        let error = (elapsed - self.now_ms as i64).clamp(-LARGEST_ERROR_MS, LARGEST_ERROR_MS);
        let wall = WALL_EPOCH_US as i64 + (self.now_ms as i64 + error) * 1000 + host.wall_step_us;
        Now { boot: Instant((elapsed + host.offset_ms as i64) as u64), wall: WallTime(wall as u64) }
    }

    /// What the clocks of a host say.
    pub fn now(&self, host: usize) -> Now {
        self.clock(host)
    }

    /// World time at which a host's boot clock shows `instant`, not before.
    fn world_time(&self, host: usize, instant: Instant) -> u64 {
        let on = &self.hosts[host];
        self.world_time_of_elapsed(host, instant.0 as i64 - on.offset_ms as i64)
    }

    /// World time at which a host's wall clock would show this, had it never been stepped.
    pub(super) fn world_time_of_wall(&self, host: usize, wall_us: u64) -> u64 {
        let elapsed_us = wall_us as i64 - WALL_EPOCH_US as i64;
        let elapsed = elapsed_us.div_euclid(1000) + i64::from(elapsed_us.rem_euclid(1000) != 0);
        let at = self.world_time_of_elapsed(host, elapsed);
        let earliest = (elapsed - LARGEST_ERROR_MS).max(0) as u64;
        at.clamp(earliest, (elapsed + LARGEST_ERROR_MS).max(0) as u64)
    }

    fn world_time_of_elapsed(&self, host: usize, elapsed: i64) -> u64 {
        let drift = self.hosts[host].drift_ppm;
        let mut at = elapsed.saturating_mul(MILLION) / (MILLION + drift);
        while at + at * drift / MILLION < elapsed {
            at += 1;
        }
        at.max(0) as u64
    }

    /// A host's clocks run fast by `ppm` parts in a million from now on.
    pub fn set_drift(&mut self, host: usize, ppm: i64) {
        // The clock goes on from where it is: the offset takes up what the drift has moved so far.
        let before = self.clock(host).boot.0 as i64;
        self.hosts[host].drift_ppm = ppm;
        let after = self.clock(host).boot.0 as i64;
        self.hosts[host].offset_ms = (self.hosts[host].offset_ms as i64 + before - after) as u64;
        self.set_alarm(host);
    }

    /// Notes when a host's daemon wants to be called.
    pub(super) fn set_alarm(&mut self, host: usize) {
        let on = &self.hosts[host];
        let deadline = on.daemon.as_ref().filter(|_| !on.frozen).and_then(|daemon| daemon.next_deadline());
        self.hosts[host].wake_ms = deadline.map(|instant| self.world_time(host, instant));
    }

    // ---- lives -------------------------------------------------------------------------------

    /// Starts a member's daemon with what its journal has.
    pub fn boot(&mut self, host: usize) {
        let settings = Settings {
            members: self.members().collect(),
            me: MemberIndex(host as u8),
            key: self.key.clone(),
            max_time_skew: Millis(600_000),
            unit: self.unit,
            any_source: false,
            seed: self.plan.seed ^ (host as u64) << 32 ^ u64::from(self.hosts[host].life) << 48 ^ self.now_ms,
        };
        self.end_dumps(host);
        self.listen(host);
        let memories = self.hosts[host].disk.open();
        let now = self.clock(host);
        let start = Start { settings, tickets: &self.plan.tickets, memories: &memories, now };
        let daemon = (self.hosts[host].program)(start);
        let on = &mut self.hosts[host];
        on.daemon = Some(daemon);
        on.life += 1;
        (on.frozen, on.suspended, on.tear) = (false, false, None);
        on.unread.clear();
        self.unpause(host);
        self.check_start(host, now.boot, &memories);
        self.input(host, Input::Started);
    }

    /// Kills a member's daemon; its store and journal stay as they are.
    pub fn kill(&mut self, host: usize) {
        self.hosts[host].daemon = None;
        self.hosts[host].wake_ms = None;
        self.waiting.retain(|_, waiting| waiting.host != host);
        self.say(host, format_args!("killed"));
    }

    /// Kills a member whose journal is gone when it comes back.
    pub fn kill_and_lose_journal(&mut self, host: usize) {
        self.kill(host);
        self.say(host, format_args!("journal lost"));
        self.hosts[host].disk.lose();
        self.checks.forgotten(host);
        self.forget_what_nobody_knows();
    }

    /// A member speaks as the reference from now on, or as ours again.
    pub fn change_language(&mut self, host: usize) {
        self.hosts[host].wordless ^= true;
        // The reference tells nobody that a ticket is lost.
        self.forget_what_nobody_knows();
    }

    pub fn is_up(&self, host: usize) -> bool {
        self.hosts[host].daemon.is_some()
    }

    pub fn node(&self, host: usize) -> &Node<'static> {
        self.hosts[host].daemon.as_ref().unwrap().node().unwrap()
    }

    /// The site serves from another of its nodes, which has a journal of its own; gives that of the node before.
    /// To be done while the daemon is down.
    pub fn move_to_node(&mut self, host: usize, other: Disk) -> Disk {
        self.say(host, format_args!("moves to another node"));
        self.checks.forgotten(host);
        std::mem::replace(&mut self.hosts[host].disk, other)
    }

    /// The disk of a node on which no daemon has run yet.
    pub fn new_disk(&self, host: usize) -> Disk {
        let mut disk = self.hosts[host].disk.clone();
        disk.lose();
        disk
    }

    /// What a member's journal says of a ticket.
    pub fn journal(&self, host: usize, ticket: usize) -> Option<Record> {
        self.hosts[host].disk.read(ticket)
    }

    /// Writes this to a member's journal, which is not running.
    pub fn forge_journal(&mut self, host: usize, ticket: usize, record: Record) {
        assert!(!self.is_up(host));
        self.hosts[host].disk.forge(ticket, record);
    }

    /// The daemon is stopped, its machine runs on (SIGSTOP).
    pub fn freeze(&mut self, host: usize) {
        self.hosts[host].frozen = true;
        self.set_alarm(host);
        self.say(host, format_args!("frozen"));
    }

    /// The machine sleeps: clocks go on, nothing else does, what is sent to it is lost.
    pub fn suspend(&mut self, host: usize) {
        (self.hosts[host].frozen, self.hosts[host].suspended) = (true, true);
        self.set_alarm(host);
        self.say(host, format_args!("suspended"));
    }

    /// A frozen daemon or a suspended machine goes on.
    pub fn thaw(&mut self, host: usize) {
        (self.hosts[host].frozen, self.hosts[host].suspended) = (false, false);
        self.set_alarm(host);
        self.say(host, format_args!("thawed"));
        self.unpause(host);
        for (from, bytes) in std::mem::take(&mut self.hosts[host].unread) {
            self.read(from, host, bytes);
        }
    }

    fn unpause(&mut self, host: usize) {
        for pending in std::mem::take(&mut self.hosts[host].paused) {
            self.enqueue(0, pending);
        }
    }

    // ---- disks -------------------------------------------------------------------------------

    /// The machine will stop in the middle of its next write to the journal.
    pub fn stop_in_write(&mut self, host: usize, tear: Tear) {
        self.hosts[host].tear = Some(tear);
    }

    /// The machine will not stop after all.
    pub fn forget_tear(&mut self, host: usize) {
        self.hosts[host].tear = None;
    }

    /// A bit turns over in one copy of a ticket's record; the daemon does not run.
    pub fn damage_journal(&mut self, host: usize, ticket: usize, copy: usize, bit: usize) {
        assert!(!self.is_up(host));
        self.say(host, format_args!("journal damaged: ticket {ticket}, copy {copy}, bit {bit}"));
        self.hosts[host].disk.damage(ticket, copy, bit);
    }
}
