//! The network between the hosts: what it loses, repeats, delays and cuts.

use super::queue::Pending;
use super::{World, address};
use booth_core::input::Input;
use booth_core::member::{Member, MemberIndex, MemberKind, SiteId};
use booth_core::time::WallTime;
use booth_core::wire::{self, MAX_MESSAGE};
use std::collections::VecDeque;

/// The most buffers that are kept for later datagrams.
const SPARE_BUFFERS: usize = 256;
/// The most datagrams that are kept to be replayed.
const RECORDED: usize = 64;
/// How long a datagram takes that goes astray, in milliseconds.
const ASTRAY_MS: (u64, u64) = (60_000, 600_000);

/// How the network treats datagrams.
#[derive(Clone, Copy)]
pub struct Net {
    pub loss_per_mille: u64,
    pub copies_per_mille: u64,
    pub least_delay_ms: u64,
    pub most_delay_ms: u64,
    /// So many come minutes later.
    pub astray_per_mille: u64,
    /// So many arrive with some bits turned over.
    pub damaged_per_mille: u64,
}

impl Net {
    pub const GOOD: Net = Net {
        loss_per_mille: 0,
        copies_per_mille: 0,
        least_delay_ms: 1,
        most_delay_ms: 3,
        astray_per_mille: 0,
        damaged_per_mille: 0,
    };
}

#[derive(Default)]
pub struct Network {
    cuts: Vec<(usize, usize)>,
    spare: Vec<Vec<u8>>,
    /// The last datagrams that arrived, where they are recorded.
    recorded: VecDeque<Recorded>,
    pub recording: bool,
    /// What goes to this host takes so many milliseconds longer.
    pub late: Option<(usize, u64)>,
    /// Whether the last datagram that was read was dropped.
    pub(super) dropped: bool,
}

/// A datagram that has arrived.
struct Recorded {
    from: usize,
    to: usize,
    /// The life of the daemon that has taken it.
    taken_by: Option<u32>,
    bytes: Vec<u8>,
}

impl Network {
    pub fn is_cut(&self, from: usize, to: usize) -> bool {
        self.cuts.contains(&(from, to))
    }

    fn buffer(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.clear();
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// Keeps a datagram to be replayed.
    fn record(&mut self, datagram: Recorded) {
        if !self.recording {
            return self.recycle(datagram.bytes);
        }
        if self.recorded.len() == RECORDED
            && let Some(oldest) = self.recorded.pop_front()
        {
            self.recycle(oldest.bytes);
        }
        self.recorded.push_back(datagram);
    }

    /// Takes back the buffer of a datagram.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS {
            self.spare.push(buffer);
        }
    }
}

impl World {
    pub(super) fn members(&self) -> impl Iterator<Item = Member> + '_ {
        (0..self.hosts.len()).map(|index| Member {
            id: SiteId::of_address(&address(index)),
            kind: if index < self.plan.sites { MemberKind::Site } else { MemberKind::Arbitrator },
        })
    }

    /// Nothing goes from `a` to `b` any more.
    pub fn cut_one_way(&mut self, a: usize, b: usize) {
        self.network.cuts.push((a, b));
    }

    pub fn cut(&mut self, a: usize, b: usize) {
        self.network.cuts.extend([(a, b), (b, a)]);
    }

    pub fn isolate(&mut self, host: usize) {
        for other in 0..self.hosts.len() {
            if other != host {
                self.cut(host, other);
            }
        }
    }

    pub fn heal(&mut self) {
        self.network.cuts.clear();
    }

    /// A datagram leaves a host.
    pub(super) fn transmit(&mut self, from: usize, to: usize, bytes: &[u8]) {
        self.check_sent(from, to, bytes);
        if self.verbose && (self.hosts[from].is_foreign() || self.hosts[to].is_foreign()) {
            self.tell_datagram(from, to, bytes);
        }
        if (self.hosts[from].wordless || self.hosts[to].wordless) && self.hosts[from].is_ours() {
            let bytes = self.as_reference(from, bytes);
            self.carry(from, to, &bytes);
        } else {
            self.carry(from, to, bytes);
        }
    }

    /// A daemon that is not ours says nothing of what it does: its messages tell.
    fn tell_datagram(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let mut plain = [0; MAX_MESSAGE];
        let message = self.unsealed(bytes, &mut plain);
        let wire::Body::Ticket(body) = message.body else { return };
        let header = message.header;
        let leader = match body.leader {
            wire::LeaderField::Member(id) => self.members().position(|member| member.id == id),
            _ => None,
        };
        let leader = leader.map_or("nobody", |leader| self.hosts[leader].name.as_str()).to_owned();
        let request = header.request.map_or(String::new(), |request| format!(" to {request:?}"));
        let why = match (header.reason, header.outcome) {
            (wire::Reason::None, wire::Outcome::Success) => String::new(),
            (wire::Reason::None, outcome) => format!(" {outcome:?}"),
            (reason, _) => format!(" {reason:?}"),
        };
        let (name, command) = (self.hosts[to].name.clone(), header.command);
        let (term, valid) = (body.term, body.valid_for);
        let told = format!("-> {name} {command:?}{request}{why}: leader {leader}, term {term}, valid {valid}");
        self.say(from, format_args!("{told}"));
    }

    fn carry(&mut self, from: usize, to: usize, bytes: &[u8]) {
        if self.capture {
            self.captured.push((from, to, bytes.to_vec()));
        }
        if self.network.is_cut(from, to) || self.dice.chance(self.net.loss_per_mille) {
            return;
        }
        let copies = 1 + usize::from(self.dice.chance(self.net.copies_per_mille));
        for _ in 0..copies {
            let range = self.net.most_delay_ms - self.net.least_delay_ms + 1;
            let mut delay = self.net.least_delay_ms + self.dice.roll(range);
            if self.net.astray_per_mille > 0 && self.dice.chance(self.net.astray_per_mille) {
                delay = self.dice.between(ASTRAY_MS.0, ASTRAY_MS.1);
            }
            delay += self.network.late.filter(|(host, _)| *host == to).map_or(0, |(_, longer)| longer);
            let bytes = self.network.buffer(bytes);
            self.enqueue(delay, Pending::Datagram { from, to, bytes });
        }
    }

    /// Whatever is under way for longer than the network takes now is lost.
    pub fn forget_stragglers(&mut self) {
        self.queue.retain(|at_ms, pending| {
            !matches!(pending, Pending::Datagram { .. }) || at_ms <= self.now_ms + self.net.most_delay_ms
        });
    }

    /// A datagram arrives at a host.
    pub(super) fn arrive(&mut self, from: usize, to: usize, mut bytes: Vec<u8>) {
        let on = &mut self.hosts[to];
        if self.network.is_cut(from, to) || on.daemon.is_none() || on.suspended {
            return self.network.recycle(bytes);
        }
        if on.frozen {
            if on.unread.len() < super::host::SOCKET_LIMIT {
                on.unread.push((from, bytes));
            }
            return;
        }
        if self.net.damaged_per_mille > 0 && self.dice.chance(self.net.damaged_per_mille) {
            self.damage(&mut bytes);
            if self.plan.key {
                // Without a key, the checksum of UDP drops it.
                self.inject_in_vain("S11", from, to, &bytes);
            }
            return self.network.recycle(bytes);
        }
        self.read(from, to, bytes);
    }

    /// A daemon reads a datagram.
    pub(super) fn read(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        self.note_arrived(from, to, &bytes);
        self.network.dropped = false;
        self.input(to, Input::Datagram { source: Some(MemberIndex(from as u8)), bytes: &bytes });
        // What was dropped has not taken effect: it may yet, when a clock is right again.
        let taken_by = (!self.network.dropped).then_some(self.hosts[to].life);
        self.network.record(Recorded { from, to, taken_by, bytes });
    }

    /// Turns over some bits, at least one.
    fn damage(&mut self, bytes: &mut [u8]) {
        bytes[0] ^= 0x80;
        for _ in 0..1 + self.dice.roll(3) {
            // Two that meet cancel each other: none meets the first.
            let at = 1 + self.dice.roll(bytes.len() as u64 - 1) as usize;
            bytes[at] ^= 1 << self.dice.roll(8);
        }
    }

    // ---- whoever can record and send ---------------------------------------------------------

    /// A recorded datagram is sent once more: to the member that has taken it, or to another, or from another address.
    /// Gives whether there was one that may be: with no key, whoever can send from a member's address is believed.
    pub fn replay(&mut self) -> bool {
        let count = self.network.recorded.len() as u64;
        let Some(recorded) = self.network.recorded.get(self.dice.roll(count) as usize) else { return false };
        let Recorded { from, to, taken_by, .. } = *recorded;
        let bytes = recorded.bytes.clone();
        let hosts = self.hosts.len() as u64;
        let (other, source) = (self.dice.roll(hosts) as usize, self.dice.roll(hosts) as usize);
        let seen = |world: &World, host: usize| Some(world.hosts[host].life) == taken_by && world.hosts[host].runs();
        // The reference's stamps tell no order within a second: what it has sent may be taken again in that second.
        // What was sent while a clock was ahead by more than `maxtimeskew` may be, when that clock is right again.
        let told_apart = !self.mixed && !self.clocks_far_off;
        if self.plan.key && self.dice.chance(600) && seen(self, to) && told_apart {
            self.inject_in_vain("S11", source, to, &bytes);
        } else if self.plan.key && other != from && self.hosts[other].runs() {
            self.say(other, format_args!("hears what member {from} has sent to member {to}"));
            self.inject(source, other, &bytes);
        } else if !self.plan.key && source != from && other != from && self.hosts[other].runs() {
            self.inject_in_vain("S11", source, other, &bytes);
        } else {
            return false;
        }
        true
    }

    /// Hands a datagram to a member of ours, on which it must have no effect.
    fn inject_in_vain(&mut self, rule: &str, source: usize, to: usize, bytes: &[u8]) {
        if !self.hosts[to].is_ours() {
            return self.inject(source, to, bytes);
        }
        // Whatever is due happens first, and is not what the datagram has done.
        self.input(to, Input::Tick);
        if !self.is_up(to) || self.hosts[to].wake_ms.is_some_and(|at| at <= self.now_ms) {
            return;
        }
        self.events += 1;
        let before = self.seen_by(to);
        let now = self.clock(to);
        let mut out = std::mem::take(&mut self.outputs);
        if let Some(daemon) = self.hosts[to].daemon.as_mut() {
            daemon.step(now, Input::Datagram { source: Some(MemberIndex(source as u8)), bytes }, &mut out);
        }
        let (name, what) = (&self.hosts[to].name, wire::decode(bytes, self.key.as_ref()));
        assert!(out.is_silent(), "{rule}: {name} does something about {what:?} from {source}\n{}", self.story());
        assert!(before == self.seen_by(to), "{rule}: {name} believes {what:?} from {source}\n{}", self.story());
        for notice in &out.notices {
            self.tell(to, notice);
        }
        out.clear();
        self.outputs = out;
    }

    /// Hands a datagram to a member as if it came from another's address.
    pub fn inject(&mut self, from: usize, to: usize, bytes: &[u8]) {
        self.input(to, Input::Datagram { source: Some(MemberIndex(from as u8)), bytes });
    }

    /// The same message as the reference would have sent it: with an `options` word of 0, and with the
    /// microseconds of another clock in its stamp.
    pub fn as_reference(&self, from: usize, bytes: &[u8]) -> Vec<u8> {
        let mut message = wire::decode(bytes, self.key.as_ref()).unwrap();
        message.header.options = 0;
        if self.plan.key {
            // Both clocks of a host run at one rate.
            let microseconds = self.clock(from).boot.0 * 1000 % 1_000_000 + message.header.stamp.0 % 1000;
            message.header.stamp = WallTime(message.header.stamp.seconds() * 1_000_000 + microseconds % 1_000_000);
        }
        let mut out = [0; MAX_MESSAGE];
        let length = wire::encode(&message, self.key.as_ref(), &mut out);
        out[..length].to_vec()
    }
}
