//! The client with a real daemon: one site that is a majority by itself, with a file store.

use crate::place::{Place, SITE, command, run};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Group, Pid, Uid, User};
use std::fs::File;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A daemon, killed in the end if it has not left by then.
struct Daemon {
    child: Child,
    config: String,
    lock: String,
}

impl Daemon {
    fn start(place: &Place) -> Daemon {
        // Below those that the system gives to the responders, and this process's own.
        let port = 10_000 + std::process::id() % 20_000;
        let path = |name: &str| place.path.join(name).to_str().unwrap().to_owned();
        let user = User::from_uid(Uid::effective()).unwrap().map_or("root".into(), |user| user.name);
        let group = Group::from_gid(Gid::effective()).unwrap().map_or("root".into(), |group| group.name);
        let config = place.file(
            "alone.conf",
            format!(
                "port = {port}\nsite = {SITE}\nsite-user = {user}\nsite-group = {group}\nstore = file:{}\njournal = {}\n\
                 ticket = T\n  expire = 60\n  timeout = 1\n  retries = 3\n",
                path("store"),
                path("journal")
            ),
        );
        let lock = path("alone.pid");
        let log = File::create(path("log")).unwrap();
        let mut daemon = command("boothd", &["daemon", "-S", "-D", "-s", SITE, "-c", &config, "-l", &lock]);
        let child = daemon.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Daemon { child, config, lock }
    }

    /// Runs a command until it has this exit status.
    #[track_caller]
    fn wait_for_status(&self, status: i32) -> String {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let ended = run("booth", &["status", "-c", &self.config, "-l", &self.lock]);
            if ended.status == Some(status) && !ended.out.contains("booth_state=starting") {
                return ended.out;
            }
            assert!(Instant::now() < deadline, "status stays {ended:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn is(&self, program: &str, arguments: &[&str], status: i32, out: &str, err: &str) {
        run(program, &[arguments, &["-c", &self.config]].concat()).is(status, out, err);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_day_in_the_life_of_a_site() {
    let place = Place::new();
    let mut daemon = Daemon::start(&place);
    let status = daemon.wait_for_status(0);
    let (pid, id) = (daemon.child.id(), crate::responder::id(SITE.parse().unwrap()).0);
    let lock = &daemon.lock;
    assert!(
        status.starts_with(&format!("booth_lockpid={pid} booth_lockfile='{lock}' booth_pid={pid} booth_state=started"))
    );
    assert!(
        status.contains(&format!("booth_type=site booth_cfg_name='alone' booth_id={id} booth_addr_string='{SITE}'"))
    );

    daemon.is("booth", &["list"], 0, "ticket: T, leader: NONE\n", "");
    daemon.is("booth", &["peers"], 0, "", "");
    daemon.is("booth", &["revoke", "T"], 0, "", "booth: info: ticket is not owned\n");
    daemon.is("booth", &["grant", "U"], 1, "", "booth: ERROR: ticket \"U\" does not exist; see \"booth list\"\n");
    let granted = run("booth", &["grant", "-w", "T", "-c", &daemon.config]);
    assert_eq!(granted.status, Some(0), "{granted:?}");
    assert!(granted.err.ends_with("booth: info: grant succeeded!\n"), "{granted:?}");
    let list = run("booth", &["list", "-c", &daemon.config]).out;
    assert!(list.starts_with(&format!("ticket: T, leader: {SITE}, expires: 2")), "{list}");
    let again = "booth: info: You're granting a granted ticket. \
                 If you wanted to migrate a ticket, use revoke first, then use grant.\n";
    daemon.is("booth", &["grant", "T"], 1, "", again);

    let more = run("boothctl", &["status", "-c", &daemon.config, "-l", &daemon.lock]);
    assert_eq!((more.status, more.err.as_str()), (Some(0), ""));
    assert!(more.out.starts_with(&status) && more.out[status.len()..].contains('T'), "{more:?}");
    let stats = run("boothctl", &["stats", "-c", &daemon.config, "-l", &daemon.lock]);
    assert_eq!((stats.status, stats.err.as_str()), (Some(0), ""));
    assert!(stats.out.contains("log lines lost: 0\n"), "{stats:?}");

    daemon.is("geostore", &["set", "sr_status", "ACTIVE now"], 0, "", "geostore: info: set succeeded!\n");
    daemon.is("geostore", &["get", "sr_status"], 0, "ACTIVE now\n", "");
    let attributes = run("geostore", &["list", "-c", &daemon.config]).out;
    assert!(attributes.starts_with("sr_status ACTIVE now 2"), "{attributes}");
    daemon.is("geostore", &["delete", "sr_status"], 0, "", "");
    daemon.is("geostore", &["get", "sr_status"], 1, "", "geostore: ERROR: attribute \"sr_status\" not set\n");
    daemon.is("geostore", &["list"], 0, "", "");

    let revoked = run("booth", &["revoke", "-w", "T", "-c", &daemon.config]);
    assert!(revoked.status == Some(0) && revoked.err.ends_with("booth: info: revoke succeeded!\n"), "{revoked:?}");
    daemon.is("booth", &["list"], 0, "ticket: T, leader: none\n", "");

    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGTERM).unwrap();
    assert_eq!(daemon.child.wait().unwrap().code(), Some(0));
    assert_eq!(daemon.wait_for_status(7), "");
    run("boothctl", &["stats", "-c", &daemon.config, "-l", &daemon.lock]).fails_with(7, "not running");
}
