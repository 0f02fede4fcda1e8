//! What people read in answers: the texts of `list`, `peers` and attributes, word for word as the
//! reference writes them (times are local, `%F %T`), and our own `status`.
//!
//! Everything is appended to a `String` that the caller keeps, so that no answer needs an allocation
//! once it has grown to the size of this configuration.

use crate::clock::local_time;
use crate::config::Member;
use booth_core::member::{MemberIndex, MemberKind, MemberSet};
use booth_core::time::{Instant, Now, WallTime};
use booth_core::view::{AttributeView, Holder, Margins, PeerView, Role, TicketView};
use std::fmt::{self, Write};

/// The longest line of [`tickets`] for an automatic ticket, without its name.
pub const TICKET_LINE: usize = 200;
/// The longest entry of [`peers`].
pub const PEER_ENTRY: usize = 240;

/// Room for the longest answer that is likely, so that it needs no allocation.
pub fn capacity<'n>(members: usize, tickets: impl Iterator<Item = &'n str>) -> usize {
    let tickets = tickets.map(|name| name.len() + TICKET_LINE).sum::<usize>();
    tickets.max(members * PEER_ENTRY)
}

/// A member's address, for `{}`.
struct Address<'a>(&'a [Member], MemberIndex);

/// Addresses with commas between, for `{}`.
struct Addresses<'a>(&'a [Member], MemberSet);

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.get(self.1.at()) {
            Some(member) => member.address.fmt(f),
            None => f.write_str("?"),
        }
    }
}

impl fmt::Display for Addresses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, member) in self.1.iter().enumerate() {
            let separator = if nth == 0 { "" } else { ", " };
            write!(f, "{separator}{}", Address(self.0, member))?;
        }
        Ok(())
    }
}

/// Appends what cannot fail: a `String` takes everything.
macro_rules! put {
    ($out:expr, $($what:tt)*) => { { let _ = write!($out, $($what)*); } };
}

/// A member's kind as the reference spells it.
pub fn kind(kind: MemberKind) -> &'static str {
    match kind {
        MemberKind::Site => "site",
        MemberKind::Arbitrator => "arbitrator",
    }
}

/// The answer to `list`: a line for each ticket, warnings behind them.
///
/// `tickets` is asked twice for all tickets.
pub fn tickets<'t, Tickets: Iterator<Item = TicketView<'t>>>(
    out: &mut String,
    now: Now,
    members: &[Member],
    tickets: impl Fn() -> Tickets,
) {
    for ticket in tickets() {
        put!(out, "ticket: {}, leader: ", ticket.name);
        holder(out, members, ticket.holder);
        if let Holder::Member(_) = ticket.holder {
            match ticket.expires {
                _ if ticket.manual => out.push_str(", expires: INF"),
                Some(at) => put!(out, ", expires: {}", local_time(now.wall_at(at))),
                None => {}
            }
            if let Some(at) = ticket.commit_pending {
                put!(out, " (commit pending until {})", local_time(now.wall_at(at)));
            }
        }
        // The reference knows no such state; behind a comma, as all that its readers may skip.
        if let Some(since) = ticket.revoke_overdue {
            put!(out, ", REVOKE OVERDUE since {}", local_time(now.wall_at(since)));
        }
        out.push_str(if ticket.manual { " [manual mode]\n" } else { "\n" });
    }
    for ticket in tickets().filter(|ticket| ticket.manual && ticket.holders.len() > 1) {
        put!(
            out,
            "\nWARNING: The ticket {} is granted to multiple sites: {}. Revoke the ticket from the faulty sites.\n",
            ticket.name,
            Addresses(members, ticket.holders)
        );
    }
}

fn holder(out: &mut String, members: &[Member], holder: Holder) {
    match holder {
        Holder::Never => out.push_str("NONE"),
        Holder::Nobody => out.push_str("none"),
        Holder::Member(member) => put!(out, "{}", Address(members, member)),
    }
}

/// The answer to `peers`: an entry for each peer. One that was never heard shows the epoch.
pub fn peers(out: &mut String, members: &[Member], peers: impl Iterator<Item = PeerView>) {
    for peer in peers {
        let Some(member) = members.get(peer.member.at()) else { continue };
        let last = local_time(peer.last_received.unwrap_or(WallTime(0)));
        let counters = peer.counters;
        put!(out, "{:<12} {}, last recv: {last}\n", kind(member.kind), member.address);
        put!(out, "\tSent pkts:{} error:{} ", counters.sent, counters.send_errors);
        put!(out, "resends:{}\n\tRecv pkts:{} ", counters.resends, counters.received);
        put!(out, "error:0 authfail:{} invalid:{}\n\n", counters.auth_failures, counters.invalid);
    }
}

/// The answer to a list of attributes: a line for each; the time is left out where it is not known.
pub fn attributes<'a>(out: &mut String, attributes: impl Iterator<Item = AttributeView<'a>>) {
    for attribute in attributes {
        put!(out, "{} {} ", attribute.name, attribute.value);
        if let Some(at) = attribute.set_at {
            put!(out, "{}", local_time(at));
        }
        out.push('\n');
    }
}

/// Everything about one ticket in one line, for `boothctl status` and the log.
pub fn status(out: &mut String, now: Now, members: &[Member], ticket: &TicketView<'_>, margins: Margins) {
    put!(out, "ticket: {}, role: {}, leader: ", ticket.name, role(ticket.role));
    holder(out, members, ticket.holder);
    put!(out, ", term: {}", ticket.term);
    if let Some(at) = ticket.expires {
        put!(out, ", expires: ");
        point(out, now, at);
    }
    if let Some(at) = ticket.commit_pending {
        put!(out, ", commit pending until ");
        point(out, now, at);
    }
    if ticket.granted_here {
        out.push_str(", granted here");
    }
    if let Some(since) = ticket.revoke_overdue {
        put!(out, ", REVOKE OVERDUE since ");
        point(out, now, since);
    }
    if let Some(at) = ticket.last_resort {
        put!(out, ", on-stuck-revoke was run at ");
        point(out, now, at);
    }
    if ticket.holders.len() > 1 {
        put!(out, ", SEVERAL HOLDERS: {}", Addresses(members, ticket.holders));
    }
    if ticket.manual {
        out.push_str(", manual");
    } else {
        // What the lease is shorter than `expire`, and how long before its end it is given up.
        put!(out, ", margins: drift {} ms, revoke {} ms", margins.drift.0, margins.revoke.0);
        if let Some(until) = ticket.forgetful_until {
            out.push_str(", no memory of its votes until ");
            point(out, now, until);
        }
    }
    out.push('\n');
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Loading => "loading",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

/// A point in time with its distance from now, to a tenth of a second.
fn point(out: &mut String, now: Now, at: Instant) {
    let (sign, span) = if at >= now.boot { ("in", at.since(now.boot)) } else { ("ago:", now.boot.since(at)) };
    put!(out, "{} ({sign} {}.{} s)", local_time(now.wall_at(at)), span.0 / 1000, span.0 % 1000 / 100);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use booth_core::member::SiteId;
    use booth_core::settings::TicketIndex;
    use booth_core::time::Millis;
    use booth_core::view::PeerCounters;
    use std::net::{IpAddr, Ipv4Addr};

    const NOW: Now = Now { boot: Instant(100_000), wall: WallTime(1_795_425_253_000_000) };

    fn members() -> Vec<Member> {
        (1..=3)
            .map(|last| Member {
                kind: if last == 3 { MemberKind::Arbitrator } else { MemberKind::Site },
                address: IpAddr::V4(Ipv4Addr::new(10, 77, 0, last)),
                id: SiteId(u32::from(last)),
                host: String::new(),
                line: 0,
            })
            .collect()
    }

    fn view(name: &str) -> TicketView<'_> {
        TicketView {
            index: TicketIndex(0),
            name,
            manual: false,
            role: Role::Follower,
            holder: Holder::Never,
            holders: MemberSet::EMPTY,
            expires: None,
            commit_pending: None,
            term: 0,
            granted_here: false,
            revoke_overdue: None,
            last_resort: None,
            forgetful_until: None,
        }
    }

    fn list(views: &[TicketView<'_>]) -> String {
        let mut out = String::new();
        tickets(&mut out, NOW, &members(), || views.iter().copied());
        out
    }

    #[test]
    fn a_list_reads_as_the_reference_writes_it() {
        let held = Holder::Member(MemberIndex(0));
        let at = |span: u64| local_time(WallTime(NOW.wall.0 + span * 1_000_000));
        assert_eq!(list(&[view("T")]), "ticket: T, leader: NONE\n");
        assert_eq!(list(&[TicketView { holder: Holder::Nobody, ..view("T") }]), "ticket: T, leader: none\n");
        let granted = TicketView { holder: held, expires: Some(Instant(130_000)), ..view("T") };
        assert_eq!(list(&[granted]), format!("ticket: T, leader: 10.77.0.1, expires: {}\n", at(30)));
        let pending = TicketView { commit_pending: Some(Instant(160_000)), ..granted };
        assert_eq!(
            list(&[pending]),
            format!("ticket: T, leader: 10.77.0.1, expires: {} (commit pending until {})\n", at(30), at(60))
        );
        assert_eq!(list(&[TicketView { manual: true, ..view("M") }]), "ticket: M, leader: NONE [manual mode]\n");
    }

    /// A site whose store hung at the end of its lease said nothing but `none`, as if all were well.
    #[test]
    fn a_list_shouts_that_the_store_does_not_take_a_revoke() {
        let stuck = TicketView { holder: Holder::Nobody, revoke_overdue: Some(Instant(98_700)), ..view("T") };
        let since = local_time(NOW.wall_at(Instant(98_700)));
        assert_eq!(list(&[stuck]), format!("ticket: T, leader: none, REVOKE OVERDUE since {since}\n"));
    }

    #[test]
    fn a_manual_ticket_that_several_sites_hold_is_warned_of_behind_all_lines() {
        let manual = TicketView { manual: true, holder: Holder::Member(MemberIndex(0)), ..view("man") };
        let twice = TicketView { holders: MemberSet::first(2), ..manual };
        assert_eq!(
            list(&[twice, view("auto")]),
            "ticket: man, leader: 10.77.0.1, expires: INF [manual mode]\nticket: auto, leader: NONE\n\n\
             WARNING: The ticket man is granted to multiple sites: 10.77.0.1, 10.77.0.2. Revoke the ticket from the \
             faulty sites.\n"
        );
    }

    #[test]
    fn peers_read_as_the_reference_writes_them() {
        let counters = PeerCounters { sent: 5, send_errors: 1, resends: 2, received: 9, auth_failures: 3, invalid: 4 };
        let mut out = String::new();
        let site = PeerView { member: MemberIndex(1), last_received: Some(NOW.wall), counters };
        let arbitrator = PeerView { member: MemberIndex(2), last_received: None, counters: PeerCounters::default() };
        peers(&mut out, &members(), [site, arbitrator].into_iter());
        let (then, never) = (local_time(NOW.wall), local_time(WallTime(0)));
        assert_eq!(
            out,
            format!(
                "site         10.77.0.2, last recv: {then}\n\tSent pkts:5 error:1 resends:2\n\
                 \tRecv pkts:9 error:0 authfail:3 invalid:4\n\n\
                 arbitrator   10.77.0.3, last recv: {never}\n\tSent pkts:0 error:0 resends:0\n\
                 \tRecv pkts:0 error:0 authfail:0 invalid:0\n\n"
            )
        );
    }

    #[test]
    fn attributes_without_a_time_end_with_a_blank() {
        let mut out = String::new();
        let known = AttributeView { name: "color", value: "red", set_at: Some(NOW.wall) };
        let unknown = AttributeView { name: "size", value: "9", set_at: None };
        attributes(&mut out, [known, unknown].into_iter());
        assert_eq!(out, format!("color red {}\nsize 9 \n", local_time(NOW.wall)));
    }

    #[test]
    fn status_tells_how_long_and_shouts_what_is_overdue() {
        let mut out = String::new();
        let ticket = TicketView {
            role: Role::Leader,
            holder: Holder::Member(MemberIndex(0)),
            expires: Some(Instant(130_250)),
            term: 7,
            granted_here: true,
            revoke_overdue: Some(Instant(98_700)),
            last_resort: Some(Instant(99_800)),
            forgetful_until: Some(Instant(140_000)),
            ..view("T")
        };
        status(&mut out, NOW, &members(), &ticket, Margins { drift: Millis(12), revoke: Millis(2_000) });
        let at = |instant: u64| local_time(NOW.wall_at(Instant(instant)));
        let (end, since, run, trusted) = (at(130_250), at(98_700), at(99_800), at(140_000));
        assert_eq!(
            out,
            format!(
                "ticket: T, role: leader, leader: 10.77.0.1, term: 7, expires: {end} (in 30.2 s), granted here, \
                 REVOKE OVERDUE since {since} (ago: 1.3 s), on-stuck-revoke was run at {run} (ago: 0.2 s), margins: \
                 drift 12 ms, revoke 2000 ms, no memory of its votes until {trusted} (in 40.0 s)\n"
            )
        );
    }

    #[test]
    fn no_line_is_longer_than_what_is_set_aside_for_it() {
        let mut members = members();
        members[0].address = "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap();
        members[1].address = members[0].address;
        let mut out = String::new();
        let ticket = TicketView {
            holder: Holder::Member(MemberIndex(0)),
            expires: Some(Instant(1)),
            commit_pending: Some(Instant(2)),
            revoke_overdue: Some(Instant(3)),
            ..view("")
        };
        tickets(&mut out, NOW, &members, || [ticket].into_iter());
        assert!(out.len() <= TICKET_LINE, "{}", out.len());
        out.clear();
        let all = u32::MAX;
        let counters =
            PeerCounters { sent: all, send_errors: all, resends: all, received: all, auth_failures: all, invalid: all };
        peers(&mut out, &members, [PeerView { member: MemberIndex(1), last_received: None, counters }].into_iter());
        assert!(out.len() <= PEER_ENTRY, "{}", out.len());
    }
}
