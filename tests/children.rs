//! Children as the event loop meets them: quick, slow, hanging, loud, stubborn.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod turns;

use booth::child::{Children, Ending, Exited, Program, REAP_GRACE, STDERR_LIMIT, STDOUT_LIMIT};
use booth_core::time::{Instant, Millis};
use mio::Token;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant as Clock};
use turns::Turns;

const FIRST: Token = Token(1000);
const LONG: Millis = Millis(30_000);

struct Loop {
    turns: Turns,
    children: Children,
}

impl Loop {
    fn new(limit: usize) -> Loop {
        let turns = Turns::new();
        let children = Children::new(turns.registry(), FIRST, limit);
        Loop { turns, children }
    }

    fn now(&self) -> Instant {
        self.turns.now()
    }

    fn shell(&mut self, script: &str, span: Millis) -> booth::child::ChildId {
        let command = Program::new("sh").args(["-c", script]);
        self.children.spawn(command, self.now() + span).unwrap()
    }

    /// The process number of a child that runs.
    fn sleeper(&mut self, name: &str) -> String {
        let file = std::env::temp_dir().join(format!("booth-children-{}-{name}", std::process::id()));
        self.shell(&format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 60", file.display()), LONG);
        let deadline = Clock::now() + Duration::from_secs(10);
        while !file.exists() {
            assert!(Clock::now() < deadline);
            std::thread::sleep(Duration::from_millis(5));
        }
        let pid = std::fs::read_to_string(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        pid
    }

    /// One turn: sleeps until an event or the next deadline.
    fn turn(&mut self) {
        let now = self.turns.turn(self.children.next_deadline(), |_, token| self.children.on_event(token));
        self.children.expire(now);
    }

    fn next(&mut self) -> Exited {
        loop {
            if let Some(exited) = self.children.next_exited() {
                return exited;
            }
            self.turn();
        }
    }
}

fn is_alive(pid: &str) -> bool {
    // A zombie that its new parent has not reaped yet is dead.
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim().starts_with('Z'))
}

fn wait_for_end(pid: &str) {
    let deadline = Clock::now() + Duration::from_secs(10);
    while is_alive(pid) {
        assert!(Clock::now() < deadline, "{pid} lives");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn status_and_both_outputs_come_back() {
    let mut world = Loop::new(4);
    let child = world.shell("echo out; echo first >&2; echo last >&2; exit 3", LONG);
    let exited = world.next();
    assert_eq!((exited.child, exited.ending), (child, Ending::Status(3)));
    assert_eq!(exited.stdout, b"out\n");
    assert!(!exited.is_success());
    assert_eq!(exited.words(), "exit status 3: last");
    assert_eq!((world.children.running(), world.children.next_deadline()), (0, None));
}

#[test]
fn words_fit_for_a_log_whatever_the_child_says() {
    let mut world = Loop::new(4);
    world.shell(r#"printf 'a\033[31m\000\377b%0500d\n\n' 1 >&2; exit 1"#, LONG);
    let words = world.next().words();
    assert!(words.starts_with("exit status 1: a?[31m?\u{fffd}b000"), "{words}");
    assert!(words.chars().count() < 230);
}

#[test]
fn a_signal_is_told_from_our_own_kill() {
    let mut world = Loop::new(4);
    world.shell("kill -TERM $$", LONG);
    assert_eq!(world.next().ending, Ending::Signal(15));
    let child = world.shell("exec sleep 60", LONG);
    world.children.kill(world.now(), child);
    assert_eq!(world.next().ending, Ending::Killed);
}

#[test]
fn at_its_deadline_the_whole_group_is_killed() {
    let mut world = Loop::new(4);
    let begun = Clock::now();
    world.shell("trap '' TERM INT HUP; sleep 60 & echo $!; wait; sleep 60", Millis(300));
    let exited = world.next();
    assert_eq!(exited.ending, Ending::Overrun);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
    wait_for_end(&String::from_utf8(exited.stdout).unwrap());
}

#[test]
fn a_grandchild_that_holds_the_pipes_delays_nothing() {
    let mut world = Loop::new(4);
    let begun = Clock::now();
    // Ends by itself soon after the test.
    world.shell("sleep 15 & echo started", LONG);
    let exited = world.next();
    assert_eq!((exited.ending, exited.stdout.as_slice()), (Ending::Status(0), b"started\n".as_slice()));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn output_is_kept_up_to_the_limit_and_the_child_is_not_held_up() {
    let mut world = Loop::new(4);
    world
        .shell("head -c 3000000 /dev/zero | tr '\\0' x; head -c 100000 /dev/zero | tr '\\0' y >&2; echo end >&2", LONG);
    let exited = world.next();
    assert_eq!(exited.ending, Ending::Status(0));
    assert_eq!((exited.stdout.len(), exited.stdout_cut), (STDOUT_LIMIT, true));
    assert_eq!(exited.stderr.len(), STDERR_LIMIT);
    assert!(exited.stderr.ends_with(b"yend\n"));
    world.shell(&format!("head -c {STDOUT_LIMIT} /dev/zero"), LONG);
    let exited = world.next();
    assert_eq!((exited.stdout.len(), exited.stdout_cut), (STDOUT_LIMIT, false));
}

#[test]
fn endless_output_does_not_keep_the_loop_from_its_deadline() {
    let mut world = Loop::new(4);
    world.shell("exec yes", Millis(200));
    assert_eq!(world.next().ending, Ending::Overrun);
    assert!(world.turns.elapsed() < Duration::from_secs(5));
}

#[test]
fn no_more_children_than_the_limit() {
    let mut world = Loop::new(2);
    let first = world.shell("exec sleep 60", LONG);
    world.shell("exec sleep 60", LONG);
    assert!(!world.children.has_room());
    let refused = world.children.spawn(Program::new("true"), world.now() + LONG);
    assert_eq!(refused.unwrap_err().to_string(), "too many child processes");
    world.children.kill(world.now(), first);
    assert_eq!(world.next().child, first);
    assert!(world.children.has_room());
}

#[test]
fn a_program_that_cannot_be_started_is_an_error_and_takes_no_room() {
    let mut world = Loop::new(1);
    let plain = std::env::temp_dir().join(format!("booth-children-{}-plain", std::process::id()));
    std::fs::write(&plain, "exit 0\n").unwrap();
    let mode = |mode| std::fs::set_permissions(&plain, Permissions::from_mode(mode)).unwrap();
    let mut errno = |program: &str| {
        let error = world.children.spawn(Program::new(program), world.turns.now() + LONG).unwrap_err();
        error.raw_os_error().unwrap()
    };
    let path = plain.to_str().unwrap();
    assert_eq!([errno("/no/such/program"), errno("no-such-program")], [libc::ENOENT, libc::ENOENT]);
    assert_eq!(errno("/etc"), libc::EACCES);
    mode(0o644);
    assert_eq!(errno(path), libc::EACCES);
    // Without "#!" it is not run by a shell on a guess.
    mode(0o755);
    assert_eq!(errno(path), libc::ENOEXEC);
    std::fs::remove_file(&plain).unwrap();
    assert!(world.children.has_room());
}

/// See tests/daemon/store.rs for what came of children that lived on.
#[test]
fn a_child_dies_with_the_thread_that_has_started_it() {
    let starter = std::thread::spawn(|| {
        let mut world = Loop::new(1);
        let pid = world.sleeper("orphan");
        // Not dropped, as by a daemon that is killed.
        std::mem::forget(world);
        pid
    });
    wait_for_end(&starter.join().unwrap());
}

#[test]
fn nothing_of_ours_is_inherited() {
    let mut world = Loop::new(2);
    let ours = std::fs::File::open("/proc/self/stat").unwrap();
    let other = world.shell("exec sleep 60", LONG);
    let script = "for fd in 0 1 2; do readlink /proc/$$/fd/$fd; done; cut -d' ' -f5 /proc/$$/stat; echo $$; \
                  readlink /proc/$$/fd/*";
    world.shell(script, LONG);
    let stdout = String::from_utf8(world.next().stdout).unwrap();
    let lines = stdout.lines().collect::<Vec<_>>();
    assert_eq!(lines[0], "/dev/null");
    assert!(lines[1].starts_with("pipe:") && lines[2].starts_with("pipe:"), "{stdout}");
    assert_eq!(lines[3], lines[4], "it heads its own process group");
    // Whoever started this test may have left descriptors open; ours (epoll, pidfd, pipes, files) are not there.
    let mut checked = 0;
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let path = entry.unwrap().path();
        let info = std::fs::read_to_string(path.to_str().unwrap().replace("/fd/", "/fdinfo/")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or("0").trim();
        if u32::from_str_radix(flags, 8).unwrap() & 0o2_000_000 != 0
            && let Ok(target) = std::fs::read_link(&path)
        {
            checked += 1;
            assert!(!lines[5..].contains(&target.to_str().unwrap()), "{}: {stdout}", target.display());
        }
    }
    assert!(checked >= 5, "epoll, pidfd, two pipes, a file: {checked}");
    drop(ours);
    world.children.kill(world.now(), other);
}

#[test]
fn many_in_turn_leak_no_descriptors() {
    let mut world = Loop::new(4);
    // This thread's own: other tests open and close theirs.
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_FILES).unwrap();
    let count = || std::fs::read_dir("/proc/thread-self/fd").unwrap().count();
    let before = count();
    for _ in 0..50 {
        world.shell("echo x", LONG);
        assert!(world.next().is_success());
    }
    assert_eq!(count(), before);
}

#[test]
fn dropping_kills_what_runs() {
    let mut world = Loop::new(1);
    let pid = world.sleeper("dropped");
    assert!(is_alive(&pid));
    drop(world);
    wait_for_end(&pid);
}

/// A child that is killed but does not go away is given up; its place is not lost for others.
#[test]
fn a_stuck_child_is_reported_once() {
    let mut world = Loop::new(1);
    let child = world.shell("exec sleep 60", LONG);
    let now = world.now();
    // Killed, and the news of its end not looked at: to us it does not go away. A turn later, when it
    // has been reported as stuck, its end changes nothing.
    world.children.kill(now, child);
    assert_eq!(world.children.next_deadline(), Some(now + REAP_GRACE));
    world.children.expire(now + REAP_GRACE);
    let exited = world.next();
    assert_eq!(exited.child, child);
    assert!([Ending::Killed, Ending::Stuck].contains(&exited.ending), "{:?}", exited.ending);
    world.turn();
    assert!(world.children.next_exited().is_none() && world.children.has_room());
}

#[test]
fn the_environment_is_ours_with_what_is_changed_in_it() {
    let mut world = Loop::new(1);
    let script = r#"echo "$CARGO_MANIFEST_DIR|$HOME|$BOOTH_TICKET|$(env | grep -c ^HOME=)""#;
    let program = Program::new("sh").args(["-c", script]).env("HOME", "/a=b c").env("BOOTH_TICKET", "t");
    world.children.spawn(program, world.now() + LONG).unwrap();
    let expected = format!("{}|/a=b c|t|1\n", env!("CARGO_MANIFEST_DIR"));
    assert_eq!(String::from_utf8(world.next().stdout).unwrap(), expected);
}

#[test]
fn sigpipe_which_rust_ignores_is_ordinary_in_a_child_and_nothing_is_blocked() {
    let mask = |status: &str, field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    };
    const SIGPIPE: u64 = 1 << 12;
    let ours = std::fs::read_to_string("/proc/self/status").unwrap();
    assert_eq!(mask(&ours, "SigIgn:") & SIGPIPE, SIGPIPE);
    let mut world = Loop::new(1);
    world.shell("exec cat /proc/self/status", LONG);
    let child = String::from_utf8(world.next().stdout).unwrap();
    assert_eq!((mask(&child, "SigIgn:") & SIGPIPE, mask(&child, "SigBlk:")), (0, 0));
}

#[test]
fn a_word_that_would_be_cut_short_by_a_nul_is_refused() {
    let mut world = Loop::new(1);
    for program in [Program::new("true").args(["a\0b"]), Program::new("true").env("A", "\0"), Program::new("true\0")] {
        let error = world.children.spawn(program, world.now() + LONG).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
    assert!(world.children.has_room());
}
