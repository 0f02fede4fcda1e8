//! The network between the hosts: what it loses, repeats, delays and cuts.

use super::queue::Pending;
use super::{World, address};
use booth_core::input::Input;
use booth_core::member::{Member, MemberIndex, MemberKind, SiteId};
use booth_core::time::WallTime;
use booth_core::wire::{self, MAX_MESSAGE};

/// The most buffers that are kept for later datagrams.
const SPARE_BUFFERS: usize = 256;

/// How the network treats datagrams.
#[derive(Clone, Copy)]
pub struct Net {
    pub loss_per_mille: u64,
    pub copies_per_mille: u64,
    pub least_delay_ms: u64,
    pub most_delay_ms: u64,
}

impl Net {
    pub const GOOD: Net = Net { loss_per_mille: 0, copies_per_mille: 0, least_delay_ms: 1, most_delay_ms: 3 };
}

#[derive(Default)]
pub struct Network {
    cuts: Vec<(usize, usize)>,
    spare: Vec<Vec<u8>>,
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
            let delay = self.net.least_delay_ms + self.dice.roll(range);
            let bytes = self.network.buffer(bytes);
            self.enqueue(delay, Pending::Datagram { from, to, bytes });
        }
    }

    /// A datagram arrives at a host.
    pub(super) fn arrive(&mut self, from: usize, to: usize, bytes: Vec<u8>) {
        let on = &mut self.hosts[to];
        if self.network.is_cut(from, to) || on.daemon.is_none() {
            return self.network.recycle(bytes);
        }
        if on.frozen {
            if on.unread.len() < super::host::SOCKET_LIMIT {
                on.unread.push((from, bytes));
            }
            return;
        }
        self.input(to, Input::Datagram { source: Some(MemberIndex(from as u8)), bytes: &bytes });
        self.network.recycle(bytes);
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
