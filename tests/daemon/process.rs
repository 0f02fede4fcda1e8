//! What the daemon asks of the machine, what it gives up, and whom it tells.

use super::live::is_root;
use super::support::{PATIENCE, PORT, Place};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

#[test]
fn what_root_may_have_is_taken_and_then_root_is_given_up() {
    if !is_root("what_root_may_have_is_taken_and_then_root_is_given_up") {
        return;
    }
    let place = Place::new("privileges");
    place.configure(
        "site-user = nobody\nsite-group = nogroup\narbitrator-user = nobody\narbitrator-group = nogroup\nticket = T\n",
    );
    let daemon = place.start();
    let proc = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", daemon.child.id())).unwrap();
    let status = proc("status");
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
    assert_eq!(field("Uid:"), "65534\t65534\t65534\t65534");
    assert_eq!(field("Gid:"), "65534\t65534\t65534\t65534");
    assert_eq!((field("CapEff:"), field("CapPrm:")), ("0000000000000000", "0000000000000000"));
    let log = daemon.log();
    // Each of these is either had or warned of: a container may refuse it to root, too.
    let locked = !field("VmLck:").starts_with("0 ");
    assert_ne!(locked, log.contains("memory is not locked"), "{status}{log}");
    assert_ne!(proc("oom_score_adj") == "-999\n", log.contains("the OOM killer may choose"), "{log}");
    let stat = proc("stat");
    let policy = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(41 - 3).unwrap();
    // SCHED_RR: 2.
    assert_ne!(policy == "2", log.contains("no real-time priority"), "{log}");
    let socket = fs::metadata(place.control_socket()).unwrap();
    assert_eq!((socket.mode() & 0o777, socket.uid(), socket.gid()), (0o660, 65_534, 65_534), "the control socket");
    assert!(daemon.control("version\n").starts_with("boothd "));
}

/// Resource agents find the daemon by `boothd.*FILE`.
#[test]
fn the_process_shows_what_it_is_whatever_it_was_called_as() {
    let place = Place::new("title");
    let configuration = place.configure("ticket = T\n");
    let mut command = place.command();
    command.arg0("/usr/sbin/booth");
    let daemon = place.start_by(command);
    let proc = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", daemon.child.id())).unwrap();
    assert_eq!(proc("comm"), "boothd\n");
    let title = format!("boothd {} site for [{}]:{PORT}", configuration.display(), place.address(1));
    assert_eq!(proc("cmdline").trim_end_matches('\0'), title);
}

#[test]
fn a_service_manager_is_told_when_it_serves_and_when_it_leaves() {
    let place = Place::new("notify");
    place.configure("ticket = T\n");
    let path = place.directory.join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let received = || {
        let mut bytes = [0; 512];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };
    let mut command = place.command();
    command.env("NOTIFY_SOCKET", &path);
    let mut daemon = place.start_by(command);
    let ready = received();
    assert!(ready.starts_with(&format!("READY=1\nMAINPID={}\nSTATUS=site ", daemon.child.id())), "{ready}");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(received(), "STOPPING=1");
    assert!(daemon.wait_for_exit().success());
}

/// Where the service manager has a watchdog for it, it gives a sign of life in half of that time; where the
/// watchdog is another process's, none.
#[test]
fn the_service_manager_hears_that_it_lives() {
    for (pid, fed) in [(None, true), (Some("1"), false)] {
        let place = Place::new("watchdog");
        place.configure_alone("ticket = T\n");
        let path = place.directory.join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        manager.set_read_timeout(Some(if fed { PATIENCE } else { Duration::from_secs(1) })).unwrap();
        let mut command = place.command();
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000").env_remove("WATCHDOG_PID");
        command.envs(pid.map(|pid| ("WATCHDOG_PID", pid)));
        let _daemon = place.start_by(command);
        let mut bytes = [0; 512];
        let length = manager.recv(&mut bytes).unwrap();
        assert!(bytes[..length].starts_with(b"READY=1\n"));
        let begun = Instant::now();
        for _ in 0..5 {
            match manager.recv(&mut bytes) {
                Ok(length) => assert!(fed && bytes[..length] == *b"WATCHDOG=1"),
                Err(error) => assert!(!fed, "{error}"),
            }
            if !fed {
                break;
            }
        }
        // The first comes at once, the others with 100 ms between: no flood.
        assert!(begun.elapsed() >= Duration::from_millis(390), "{:?}", begun.elapsed());
    }
}
