//! What needs no daemon: `check`, `status`, configurations that cannot be read.

use crate::place::{Place, command, ended, run, ticket};
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{SigHandler, Signal, signal};
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;

#[test]
fn a_configuration_that_cannot_be_read_is_status_1() {
    for (program, verb) in [("booth", "list"), ("booth", "peers"), ("booth", "grant"), ("geostore", "list")] {
        let ended = run(program, &[verb, "-c", "/nonexistent/booth.conf"]);
        ended.fails_with(1, "/nonexistent/booth.conf: cannot read config");
    }
    run("booth", &["status", "-c", "/nonexistent/booth.conf"])
        .fails_with(1, "/nonexistent/booth.conf: cannot read config");
    run("booth", &["list", "-c", "no-such-name"]).fails_with(1, "/etc/booth/no-such-name.conf: cannot read config");
}

#[test]
fn every_error_of_a_configuration_has_its_line() {
    let place = Place::new();
    let config = place.config(9929, "nonsense = 1\nticket = \"a b\"\n");
    let ended = run("booth", &["list", "-c", &config]);
    ended.fails_with(1, &format!("{config}:5: "));
    ended.fails_with(1, &format!("{config}:6: "));
    run("booth", &["status", "-c", &config]).fails_with(1, &format!("{config}:5: "));
}

#[test]
fn check_prints_all_errors_or_what_was_understood() {
    let place = Place::new();
    let good = place.one_ticket(9929);
    for arguments in [&["check", good.as_str()][..], &["check", "-c", &good]] {
        let ended = run("boothctl", arguments);
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert!(ended.out.contains("members: 3") && ended.out.contains("T (automatic)"), "{}", ended.out);
        assert!(ended.err.contains("warning: "), "no authfile is worth a warning: {}", ended.err);
    }
    let bad = place.config(9929, "nonsense = 1\nticket = \"a b\"\n");
    let ended = run("boothctl", &["check", &bad]);
    ended.fails_with(1, &format!("{bad}:5: "));
    ended.fails_with(1, &format!("{bad}:6: "));
}

#[test]
fn status_is_7_when_nothing_runs_and_silent_unless_asked() {
    let place = Place::new();
    let config = place.one_ticket(9929);
    let lock = place.path.join("none.pid");
    let lock = lock.to_str().unwrap();
    run("booth", &["status", "-c", &config, "-l", lock]).is(7, "", "");
    run("booth", &["status", "-D", "-c", &config, "-l", lock]).fails_with(7, "not running: nobody holds the lock file");
    // A file that nobody has locked was left behind.
    let left = place.file("left.pid", "booth_pid=1 booth_state=started\n");
    run("booth", &["status", "-c", &config, "-l", &left]).is(7, "", "");
}

#[test]
fn status_prints_the_line_of_a_locked_file() {
    let place = Place::new();
    let config = place.one_ticket(9929);
    let line = "booth_pid=4711 booth_state=started booth_type=site booth_cfg_name='test' booth_id=1 \
                booth_addr_string='127.0.61.1' booth_port=9929";
    let lock = place.file("test.pid", format!("{line}\n"));
    let file = File::options().read(true).write(true).open(&lock).unwrap();
    let all = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_SETLK(&all)).unwrap();
    let expected = format!("booth_lockpid={} booth_lockfile='{lock}' {line}\n", std::process::id());
    run("booth", &["status", "-c", &config, "-l", &lock]).is(0, &expected, "");
    let ended = run("boothctl", &["status", "-c", &config, "--lock-file", &lock]);
    assert_eq!((ended.status, ended.out.as_str()), (Some(0), expected.as_str()));
    assert!(ended.err.contains("test.ctl: No such file"), "what its control socket would say is missing: {ended:?}");
}

/// The name service's answer came, and its exit status did not: no name could be resolved, and no store's write seen.
#[test]
fn whoever_starts_it_may_ignore_the_ends_of_children() {
    let place = Place::new();
    let config = place.config(9929, &format!("site = \"localhost\"\n{}", ticket("T")));
    let mut check = command("boothctl", &["check", &config]);
    // SAFETY: signal(2) is async-signal-safe, and no handler is set.
    let ignore = || unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.map(drop).map_err(io::Error::from);
    // SAFETY: as above.
    unsafe { check.pre_exec(ignore) };
    let ended = ended(&mut check);
    assert!(ended.status == Some(0) && ended.out.contains("127.0.0.1"), "{ended:?}");
}
