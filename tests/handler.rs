//! The before-acquire-handler as an administrator writes it: a program, or a directory of programs.
//!
//! The programs are links to `tests/stand_in/handler`, which does what the shell line in a file
//! beside the link says.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod turns;

use booth::handler::{Finished, Handlers, MAX_PROGRAMS, MAX_RUNS, Settings, TicketHandler};
use booth_core::input::RequestNumber;
use booth_core::settings::TicketIndex;
use booth_core::sink::{HandlerKind, HandlerRequest};
use booth_core::time::{Instant, WallTime};
use mio::Token;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;
use turns::Turns;

struct Loop {
    turns: Turns,
    handlers: Handlers,
    directory: PathBuf,
}

fn stand_in() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand_in/handler")
}

impl Loop {
    /// Tickets `t0`, `t1`, ... with the handler at this path below an empty directory.
    fn new(test: &str, tickets: usize, program: &str, arguments: &[&str]) -> Loop {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("handler-{test}"));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        let handler = |at| TicketHandler {
            ticket: format!("t{at}"),
            program: Some(directory.join(program)),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        };
        let settings = Settings {
            key: "before-acquire-handler",
            local: "10.77.0.1".to_owned(),
            configuration_path: "/etc/booth/a b.conf".into(),
            configuration_name: "a b".to_owned(),
            tickets: (0..tickets).map(handler).collect(),
        };
        let turns = Turns::new();
        let handlers = Handlers::new(settings, turns.registry(), Token(100));
        Loop { turns, handlers, directory }
    }

    /// A program that does what the shell line says.
    fn program(&self, name: &str, line: &str) {
        let path = self.directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(stand_in(), &path).unwrap();
        let behaviour = path.with_file_name(format!(".{}", path.file_name().unwrap().to_str().unwrap()));
        fs::write(behaviour, line).unwrap();
    }

    fn now(&self) -> Instant {
        self.turns.now()
    }

    fn run(&mut self, ticket: u16, number: u32, milliseconds: u64) {
        self.run_kind(HandlerKind::BeforeAcquire, ticket, number, milliseconds);
    }

    fn run_kind(&mut self, kind: HandlerKind, ticket: u16, number: u32, milliseconds: u64) {
        let now = self.now();
        let request = HandlerRequest {
            kind,
            number: RequestNumber(number),
            deadline: Instant(now.0 + milliseconds),
            expires: WallTime(1_795_425_540_999_999),
        };
        self.handlers.run(now, TicketIndex(ticket), request);
    }

    fn turn(&mut self) {
        let now = self.turns.turn(self.handlers.next_deadline(), |now, token| self.handlers.on_event(now, token));
        self.handlers.expire(now);
    }

    fn next(&mut self) -> Finished {
        loop {
            if let Some(finished) = self.handlers.next_finished() {
                return finished;
            }
            self.turn();
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.directory.join("said")).unwrap_or_default()
    }
}

const LONG: u64 = 30_000;

#[test]
fn a_program_gets_its_arguments_and_the_environment() {
    let mut world = Loop::new("environment", 1, "check", &["one", "$(two); 'x"]);
    world.program("check", "printf '%s|' \"$@\" >said; env | grep -E '^BOOTH_(TICKET|LOCAL|CONF)' | sort >>said");
    world.run(0, 1, LONG);
    let finished = world.next();
    assert_eq!(finished, Finished { ticket: TicketIndex(0), number: RequestNumber(1), success: true, log: None });
    assert_eq!(
        world.said(),
        "one|$(two); 'x|BOOTH_CONF_NAME=a b\nBOOTH_CONF_PATH=/etc/booth/a b.conf\nBOOTH_LOCAL=10.77.0.1\n\
         BOOTH_TICKET=t0\nBOOTH_TICKET_EXPIRES=1795425540\n"
    );
    assert_eq!(world.handlers.next_deadline(), None);
}

#[test]
fn a_failure_is_told_with_the_programs_last_words() {
    let mut world = Loop::new("failure", 1, "check", &[]);
    world.program("check", "echo disk is broken >&2; exit 3");
    world.run(0, 1, LONG);
    let finished = world.next();
    assert!(!finished.success);
    let program = world.directory.join("check");
    let line = format!("before-acquire-handler: ticket t0: {}: exit status 3: disk is broken", program.display());
    assert_eq!(finished.log, Some(line));
}

#[test]
fn a_missing_handler_forbids_and_none_allows() {
    let mut world = Loop::new("missing", 1, "no/such/program", &[]);
    world.run(0, 1, LONG);
    let finished = world.next();
    assert!(!finished.success && finished.log.as_ref().unwrap().contains("cannot start"), "{finished:?}");
    world.run(7, 2, LONG);
    assert!(!world.next().success, "no such ticket");
    let settings = Settings {
        key: "before-acquire-handler",
        local: String::new(),
        configuration_path: PathBuf::new(),
        configuration_name: String::new(),
        tickets: vec![TicketHandler { ticket: "t".to_owned(), program: None, arguments: Vec::new() }],
    };
    world.handlers = Handlers::new(settings, world.turns.registry(), Token(0));
    world.run(0, 3, LONG);
    assert!(world.next().success);
}

/// What nobody has looked for is not said to be stopped.
#[test]
fn an_empty_directory_forbids_nothing_and_stops_nothing() {
    let mut world = Loop::new("empty", 1, "checks", &[]);
    fs::create_dir(world.directory.join("checks")).unwrap();
    world.run(0, 1, LONG);
    assert!(world.next().success);
    world.run_kind(HandlerKind::Release, 0, 2, LONG);
    let finished = world.next();
    assert!(!finished.success && finished.log.as_ref().unwrap().contains("there is no program"), "{finished:?}");
}

#[test]
fn programs_of_a_directory_run_in_order_until_one_fails() {
    let mut world = Loop::new("directory", 1, "checks", &["x"]);
    for (name, line) in [
        ("checks/10-first", "echo first $1 >>../said"),
        ("checks/B", "echo B $1 >>../said"),
        ("checks/a", "echo a $1 >>../said; exit 1"),
        ("checks/b", "echo b $1 >>../said"),
        ("checks/.hidden", "echo hidden $1 >>../said"),
    ] {
        world.program(name, line);
    }
    fs::write(world.directory.join("checks/2-readme"), "not executable").unwrap();
    fs::create_dir(world.directory.join("checks/0-directory")).unwrap();
    world.run(0, 1, LONG);
    let finished = world.next();
    assert!(!finished.success);
    assert!(finished.log.unwrap().contains("checks/a: exit status 1"));
    assert_eq!(world.said(), "first x\nB x\na x\n");
    fs::remove_file(world.directory.join("checks/a")).unwrap();
    world.run(0, 2, LONG);
    assert!(world.next().success);
    assert!(world.said().ends_with("first x\nB x\nb x\n"));
}

#[test]
fn a_directory_has_a_limit_and_an_empty_one_allows() {
    let mut world = Loop::new("many", 1, "checks", &[]);
    let checks = world.directory.join("checks");
    fs::create_dir(&checks).unwrap();
    world.run(0, 1, LONG);
    assert!(world.next().success);
    for at in 0..=MAX_PROGRAMS {
        symlink(stand_in(), checks.join(format!("{at}"))).unwrap();
    }
    world.run(0, 2, LONG);
    let finished = world.next();
    assert!(!finished.success && finished.log.unwrap().contains("more than 256 programs"));
}

#[test]
fn at_the_deadline_a_run_is_killed_with_all_that_it_started() {
    let mut world = Loop::new("deadline", 1, "check", &[]);
    world.program("check", "sleep 60 & echo $! >said; wait");
    world.run(0, 1, 400);
    let finished = world.next();
    assert!(!finished.success);
    assert!(finished.log.unwrap().ends_with("took too long and was killed"));
    let took = world.turns.elapsed();
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(5), "{took:?}");
    let stat = format!("/proc/{}/stat", world.said().trim());
    let gone = || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "));
    while !gone() {
        assert!(world.turns.elapsed() < Duration::from_secs(20), "{stat}");
        std::thread::yield_now();
    }
    world.run(0, 2, 0);
    assert!(world.next().log.unwrap().ends_with("no time was left to run it"));
}

/// The deadline is that of the run, not of each of its programs.
#[test]
fn programs_share_the_time_of_their_run() {
    let mut world = Loop::new("share", 1, "checks", &[]);
    for name in ["a", "b", "c", "d", "e", "f"] {
        world.program(&format!("checks/{name}"), "sleep 0.3");
    }
    world.run(0, 1, 700);
    assert!(!world.next().success, "six programs of 0.3 s do not fit into 0.7 s");
}

#[test]
fn a_newer_run_ends_the_older_one() {
    let mut world = Loop::new("newer", 1, "check", &[]);
    world.program("check", "[ -e go ] || exec sleep 60");
    world.run(0, 1, LONG);
    world.turn();
    fs::write(world.directory.join("go"), "").unwrap();
    world.run(0, 2, LONG);
    let old = world.next();
    assert_eq!((old.number, old.success), (RequestNumber(1), false));
    let new = world.next();
    assert_eq!((new.number, new.success), (RequestNumber(2), true));
}

#[test]
fn only_so_many_run_at_once_and_those_that_wait_have_a_deadline_too() {
    let mut world = Loop::new("limit", MAX_RUNS + 2, "check", &[]);
    world.program("check", "echo $BOOTH_TICKET >>said; while [ ! -e go ]; do sleep 0.01; done");
    for at in 0..MAX_RUNS {
        world.run(at as u16, at as u32, LONG);
    }
    world.run(MAX_RUNS as u16, 98, LONG);
    world.run(MAX_RUNS as u16 + 1, 99, 300);
    let first = world.next();
    assert_eq!((first.number, first.success), (RequestNumber(99), false));
    assert!(world.said().lines().count() <= MAX_RUNS, "{}", world.said());
    fs::write(world.directory.join("go"), "").unwrap();
    let mut numbers = (0..=MAX_RUNS).map(|_| world.next()).filter(|run| run.success).collect::<Vec<_>>();
    numbers.sort_by_key(|run| run.number);
    assert_eq!(numbers.len(), MAX_RUNS + 1);
    assert_eq!(numbers.last().unwrap().number, RequestNumber(98));
}
