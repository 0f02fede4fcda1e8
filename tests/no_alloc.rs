//! After its start, the core allocates nothing: not for heartbeats, votes, timers and status queries,
//! and not for datagrams that are bad in every way.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "fixture/cluster.rs"]
mod cluster;
mod counting;
mod fixture;

use booth_core::input::{ClientId, Input};
use booth_core::member::{MemberIndex, SiteId};
use booth_core::time::{Millis, WallTime};
use booth_core::view::Role;
use booth_core::wire::{Command, LeaderField};
use cluster::Cluster;
use counting::allocations;
use fixture::{ARBITRATOR, MEMBERS, Peer, Words, id};

#[test]
fn an_allocation_is_counted() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(1)))), 1);
    assert_eq!(allocations(|| drop(std::hint::black_box(Vec::<u8>::new()))), 0);
}

const TICKETS: [&str; 3] = ["A", "B", "C"];

/// Who holds the ticket by his own account.
fn leader(cluster: &Cluster, ticket: usize) -> Option<u8> {
    let leads = |member: &u8| {
        let view = cluster.nodes[usize::from(*member)].tickets(cluster.now).nth(ticket);
        view.is_some_and(|view| view.role == Role::Leader)
    };
    (0..ARBITRATOR).find(leads)
}

fn request(cluster: &mut Cluster, client: &mut Peer, at: u8, command: Command, ticket: &str) {
    client.stamp = cluster.now.wall;
    let (bytes, length) = client.say(Words { leader: LeaderField::Member(id(at)), ..Words::new(command, ticket) });
    cluster.input(at, Input::Request { client: ClientId(1), bytes: &bytes[..length] });
    cluster.settle();
}

/// A status query of each member by a stranger that speaks for another, and one that is bad in each way.
fn queries(cluster: &mut Cluster, round: u64) {
    for member in 0..MEMBERS {
        let from = (member + 1) % MEMBERS;
        let mut peer = Peer::new(from, cluster.now.wall);
        let query = Words::new(Command::Status, TICKETS[round as usize % TICKETS.len()]);
        let source = Some(MemberIndex(from));
        let (good, length) = peer.say(query);
        cluster.input(member, Input::Datagram { source, bytes: &good[..length] });
        // Each of its bytes in turn is wrong; then its length; then it comes a second time.
        let mut bad = good;
        bad[round as usize % length] ^= 1;
        cluster.input(member, Input::Datagram { source, bytes: &bad[..length] });
        cluster.input(member, Input::Datagram { source, bytes: &good[..round as usize % length] });
        cluster.input(member, Input::Datagram { source, bytes: &good[..length] });
        let absurd = [
            Words { name: "unknown", ..query },
            Words { leader: LeaderField::Member(SiteId(7)), ..query },
            Words { term: u32::MAX, ..query },
            Words { valid_for: u32::MAX, ..query },
            Words { command: Command::ClientGrant, ..query },
        ];
        for words in absurd {
            let (bytes, length) = peer.say(words);
            cluster.input(member, Input::Datagram { source, bytes: &bytes[..length] });
        }
    }
    cluster.settle();
    // The members' own stamps are newer again.
    cluster.pass(Millis(1));
}

#[test]
fn nothing_is_allocated_after_the_start() {
    let mut cluster = Cluster::new(&TICKETS);
    let mut client = Peer::new(0, WallTime(0));
    let (mut elections, mut held) = (0, [None; TICKETS.len()]);
    let counted = allocations(|| {
        for ticket in TICKETS {
            request(&mut cluster, &mut client, 0, Command::ClientGrant, ticket);
        }
        for round in 0..8_000 {
            cluster.turn();
            if round % 4 == 0 {
                queries(&mut cluster, round / 4);
            }
            // Now and then the leader of a ticket is cut off for long enough to be replaced.
            let at = (round / 400) as usize % TICKETS.len();
            match round % 400 {
                100 => cluster.cut_off = leader(&cluster, at),
                250 => cluster.cut_off = None,
                300 => request(&mut cluster, &mut client, 0, Command::ClientList, ""),
                310 if round % 1_600 == 310 => {
                    request(&mut cluster, &mut client, 0, Command::ClientRevoke, TICKETS[at])
                }
                330 if round % 1_600 == 330 => request(&mut cluster, &mut client, 1, Command::ClientGrant, TICKETS[at]),
                _ => {}
            }
            for (ticket, held) in held.iter_mut().enumerate() {
                let now = leader(&cluster, ticket);
                elections += u64::from(now.is_some() && now != *held);
                *held = now.or(*held);
            }
        }
    });
    // All that is meant to be free of allocations did happen.
    let tally = cluster.tally;
    println!("{elections} changes of leader, {tally:?}");
    assert!(elections > 10, "{elections} changes of leader");
    assert!(tally.datagrams > 20_000 && tally.stored > 1_000 && tally.journaled > 100, "{tally:?}");
    assert!(tally.dropped >= 8 * 2_000 * 3 && tally.replies >= 20, "{tally:?}");
    assert_eq!(counted, 0, "allocations");
}
