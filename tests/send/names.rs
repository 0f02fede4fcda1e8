//! Names: `/etc/hosts`, and names that are not in it, or not yet.

use super::host::{Listener, enter_new_host, run, send};
use super::{live, scratch};
use std::path::PathBuf;
use std::time::Duration;

/// A host whose `/etc/hosts` is the file that it gives.
fn host_with(test: &str, hosts: &str) -> Option<PathBuf> {
    if !live::is_root(test) {
        return None;
    }
    enter_new_host();
    let directory = scratch::directory(test);
    let file = directory.join("hosts");
    std::fs::write(&file, hosts).unwrap();
    run(&format!("mount --bind {} /etc/hosts", file.display()));
    Some(directory)
}

#[test]
fn a_name_is_served_at_all_its_addresses() {
    let hosts = "# 127.0.0.9 alpha\n127.0.0.2 beta alpha.example.org  Alpha\n::1\tALPHA#\n127.0.0.3 alpha2\n";
    let Some(directory) = host_with("a_name_is_served_at_all_its_addresses", hosts) else { return };
    for (family, count) in [("auto", 2), ("ipv4", 1), ("ipv6", 1)] {
        let (v4, v6) = (Listener::new("127.0.0.2:7410"), Listener::new("[::1]:7410"));
        let sender = send(&["-v", "-c", "1", "-f", family, "alpha"]);
        let (status, printed) = sender.end();
        assert_eq!((status, printed.lines().count()), (Some(0), count), "{printed}");
        for (listener, expected) in [(v4, family != "ipv6"), (v6, family != "ipv4")] {
            assert_eq!(listener.hear_within(Duration::from_millis(100)).is_some(), expected, "{family}");
        }
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_name_that_cannot_be_resolved_is_tried_again_while_others_are_served() {
    let test = "a_name_that_cannot_be_resolved_is_tried_again_while_others_are_served";
    let Some(directory) = host_with(test, "127.0.0.2 alpha\n") else { return };
    let (alpha, beta) = (Listener::new("127.0.0.2:7410"), Listener::new("127.0.0.3:7410"));
    let mut sender = send(&["-i", "1", "beta", "alpha"]);
    sender.until("node 'beta' has no address of its own or in /etc/hosts: trying again");
    assert_eq!(alpha.hear(2).len(), 2);
    assert!(beta.hear_within(Duration::ZERO + Duration::from_millis(1)).is_none());
    std::fs::write(directory.join("hosts"), "127.0.0.2 alpha\n127.0.0.3 beta").unwrap();
    assert_eq!(beta.hear(2).len(), 2);
    drop(sender);

    // One that never is does not keep it from ending, and without a count it goes on for it.
    let mut sender = send(&["-c", "1", "gamma", "alpha"]);
    sender.until("node 'gamma'");
    assert_eq!(sender.end().0, Some(0));
    let mut sender = send(&["-c", "1", "gamma"]);
    sender.until("node 'gamma'");
    assert_eq!(sender.end().0, Some(1));
    let mut sender = send(&["gamma"]);
    sender.until("node 'gamma'");
    std::fs::write(directory.join("hosts"), "127.0.0.3 gamma\n").unwrap();
    beta.hear(1);
    assert!(sender.is_running());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_host_without_its_file_still_serves_addresses() {
    let test = "a_host_without_its_file_still_serves_addresses";
    let Some(directory) = host_with(test, "") else { return };
    run("umount /etc/hosts");
    run(&format!("mount --bind {} /etc", directory.display()));
    std::fs::remove_file(directory.join("hosts")).unwrap();
    assert!(!std::path::Path::new("/etc/hosts").exists());
    let listener = Listener::new("127.0.0.1:7410");
    let mut sender = send(&["-c", "2", "-i", "1", "alpha", "127.0.0.1"]);
    sender.until("node 'alpha'");
    assert_eq!(listener.hear(2).len(), 2);
    assert_eq!(sender.end().0, Some(0));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn there_is_a_limit_on_addresses() {
    let hosts: String = (1..=70).map(|host| format!("127.0.1.{host} alpha\n")).collect();
    let Some(directory) = host_with("there_is_a_limit_on_addresses", &hosts) else { return };
    let mut sender = send(&["-v", "-c", "1", "alpha"]);
    sender.until("too many addresses, left out one of node 'alpha'");
    let (status, printed) = sender.end();
    assert_eq!((status, printed.lines().count()), (Some(0), 64));
    std::fs::remove_dir_all(directory).unwrap();
}
