//! Networks that come up while the sender runs, as they do in a crash kernel.

use super::host::{Listener, Peer, enter_new_host, run, send};
use super::live;
use std::time::{Duration, Instant};

/// How soon after its link the first message must be there. The kernel itself takes up to a second to believe that a
/// link is up.
const SOON: Duration = Duration::from_secs(3);

/// A host with a link `e0` to another one, `p0` there; both ends down and without addresses.
fn two_hosts(test: &str) -> Option<Peer> {
    if !live::is_root(test) {
        return None;
    }
    enter_new_host();
    let peer = Peer::new();
    run(&format!("ip link add e0 type veth peer name p0 netns {}", peer.name()));
    Some(peer)
}

/// Network cards take seconds to find their carrier, and the kernel takes messages all the while, and loses them. A
/// sender that counts those has ended before the link is there.
#[test]
fn what_is_sent_without_a_carrier_does_not_count() {
    let Some(peer) = two_hosts("what_is_sent_without_a_carrier_does_not_count") else { return };
    run("ip addr add 192.0.2.1/24 dev e0");
    run("ip addr add fd00::1/64 dev e0 nodad");
    run("ip link set e0 up");
    peer.inside(|| {
        run("ip addr add 192.0.2.2/24 dev p0");
        // Else it loses its address of IPv6 when it goes down.
        run("sysctl -qw net.ipv6.conf.p0.keep_addr_on_down=1");
        run("ip addr add fd00::2/64 dev p0 nodad");
    });
    let listener = peer.inside(|| Listener::new("[::]:7410"));
    for to in ["192.0.2.2", "fd00::2"] {
        peer.inside(|| run("ip link set p0 down"));
        let mut sender = send(&["-v", "-c", "2", "-i", "1", to]);
        sender.until("yet: no carrier");
        assert!(listener.hear_within(Duration::from_millis(3500)).is_none());
        assert!(sender.is_running());
        peer.inside(|| run("ip link set p0 up"));
        arrives_soon(&listener, to);
        let printed = format!("[debug]: message sent to node '{to}'\n").repeat(2);
        assert_eq!(sender.end(), (Some(0), printed));
        let more = std::iter::from_fn(|| listener.hear_within(Duration::from_millis(200))).count();
        assert!(more >= 1, "two were sent, one was heard");
    }
}

/// SUSE's KDUMP_POSTSCRIPT runs the sender in the foreground before the machine reboots: one address that could not be
/// reached kept it from that for ever.
#[test]
fn a_count_ends_it_though_a_network_is_missing() {
    let Some(_peer) = two_hosts("a_count_ends_it_though_a_network_is_missing") else { return };
    run("ip addr add 192.0.2.1/24 dev e0");
    run("ip link set e0 up");
    let listener = Listener::new("127.0.0.1:7410");
    let since = Instant::now();
    // No carrier, no route, and one that is there.
    let mut sender = send(&["-c", "1", "-i", "1", "192.0.2.2", "2001:db8::1", "127.0.0.1"]);
    listener.hear(1);
    sender.until("not all could be sent in time: giving up");
    assert_eq!(sender.end().0, Some(0));
    // The count's second and six more.
    let took = since.elapsed();
    assert!((Duration::from_millis(6500)..Duration::from_secs(10)).contains(&took), "{took:?}");
    assert!(listener.hear_within(Duration::from_millis(1)).is_none());
}

/// The first message comes soon after what has just been done.
fn arrives_soon(listener: &Listener, what: &str) {
    let since = Instant::now();
    let first = listener.hear(1).remove(0).at - since;
    println!("{what}: the first message {first:?} after the network");
    assert!(first < SOON, "{what}: {first:?}");
}

#[test]
fn a_network_without_link_address_or_route_is_waited_for() {
    let Some(peer) = two_hosts("a_network_without_link_address_or_route_is_waited_for") else { return };
    peer.inside(|| {
        run("ip addr add 192.0.2.2/24 dev p0");
        run("ip addr add 198.51.100.2/32 dev p0");
        run("ip link set p0 up");
    });
    let listener = peer.inside(|| Listener::new("0.0.0.0:7410"));
    // No address, no route.
    let mut sender = send(&["-c", "1", "198.51.100.2"]);
    sender.until("cannot send to node '198.51.100.2': error 101");
    run("ip addr add 192.0.2.1/24 dev e0");
    run("ip link set e0 up");
    assert!(listener.hear_within(Duration::from_millis(1500)).is_none(), "still no route");
    run("ip route add 198.51.100.2 via 192.0.2.2");
    arrives_soon(&listener, "a route");
    assert_eq!(sender.end().0, Some(0));
    // The link goes down, and its route with it.
    run("ip link set e0 down");
    let mut sender = send(&["-c", "1", "192.0.2.2"]);
    sender.until("cannot send to node '192.0.2.2': error 101");
    run("ip link set e0 up");
    arrives_soon(&listener, "a link");
    assert_eq!(sender.end().0, Some(0));
}

/// The kernel makes the interface's own address only when the link is up, and tries it for a second or two.
#[test]
fn a_link_local_address_is_reached_by_the_interface_that_it_names() {
    let Some(peer) = two_hosts("a_link_local_address_is_reached_by_the_interface_that_it_names") else { return };
    peer.inside(|| {
        run("ip link set p0 up");
        run("ip addr add fe80::7/64 dev p0 nodad");
    });
    let listener = peer.inside(|| Listener::new("[::]:7410"));
    let mut sender = send(&["-c", "1", "fe80::7%e0"]);
    sender.until("cannot send to node 'fe80::7%e0'");
    run("ip link set e0 up");
    arrives_soon(&listener, "a link-local address");
    assert_eq!(sender.end().0, Some(0));
    let mut sender = send(&["-c", "1", "fe80::7%nowhere"]);
    sender.until("node 'fe80::7%nowhere'");
    assert_eq!(sender.end().0, Some(1));
}

/// What will not go away by itself uses up a message's turn: who waits for the end of a count is not kept.
#[test]
fn what_the_kernel_refuses_has_had_its_turn() {
    // A broadcast address, to which a datagram needs a permission that the sender does not ask for.
    let mut sender = send(&["-c", "2", "-i", "1", "127.255.255.255"]);
    sender.until("cannot send to node '127.255.255.255': error 13");
    assert_eq!(sender.end().0, Some(0));
}
