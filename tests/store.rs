//! The stores as the event loop meets them: Pacemaker's with a `crm_ticket` that is quick, slow, hangs,
//! fails, dies, talks too much or nonsense; and the one of plain files.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod turns;

use booth::clock;
use booth::store::{ATTRIBUTES_WAITING, Backend, MAX_CHILDREN, Settings, Store, StoreSettings, deadline_for};
use booth_core::input::{RequestNumber, StoreResult};
use booth_core::member::SiteId;
use booth_core::settings::TicketIndex;
use booth_core::sink::{StoreAction, StoreRequest, StoreTicket};
use booth_core::time::{Instant, Millis, WallTime};
use mio::Token;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant as Clock};
use turns::Turns;

const LONG: Millis = Millis(30_000);
const T: TicketIndex = TicketIndex(0);
const GRANT: StoreAction<'_> = StoreAction::Write(StoreTicket {
    granted: true,
    owner: Some(SiteId(77)),
    expires: WallTime(1_795_425_540_000_000),
    term: 5,
});
const REVOKE: StoreAction<'_> =
    StoreAction::Write(StoreTicket { granted: false, owner: None, expires: WallTime(0), term: 5 });

/// An empty directory of this test's own.
fn directory(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("store-{test}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A poll loop as small as it can be; a test that hangs fails after 20 s.
struct Loop {
    turns: Turns,
    store: Store,
    number: u32,
    directory: PathBuf,
}

impl Loop {
    fn new(directory: PathBuf, backend: Backend, tickets: &[&str], deadline: Millis) -> Loop {
        let turns = Turns::new();
        let tickets = tickets.iter().map(|name| StoreSettings { name: (*name).to_owned(), deadline }).collect();
        let settings = Settings { backend, configuration_name: "booth".to_owned(), tickets };
        let store = Store::new(settings, turns.registry(), Token(7));
        Loop { turns, store, number: 0, directory }
    }

    fn pacemaker(test: &str, tickets: &[&str], deadline: Millis) -> Loop {
        let directory = directory(test);
        let program = directory.join("crm_ticket");
        let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand_in/crm_ticket");
        std::os::unix::fs::symlink(stand_in, &program).unwrap();
        Loop::new(directory, Backend::Pacemaker(program.into()), tickets, deadline)
    }

    fn files(test: &str, tickets: &[&str]) -> Loop {
        let directory = directory(test);
        Loop::new(directory.clone(), Backend::File(directory.join("tickets")), tickets, LONG)
    }

    fn now(&self) -> Instant {
        self.turns.now()
    }

    /// What the stand-in does for a ticket, in shell.
    fn behaviour(&self, ticket: &str, line: &str) {
        fs::write(self.directory.join(format!("behaviour.{ticket}")), line).unwrap();
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.directory.join("calls")).unwrap_or_default();
        calls.lines().map(|line| line.split_whitespace().take(5).collect::<Vec<_>>().join(" ")).collect()
    }

    fn request(&mut self, ticket: TicketIndex, action: StoreAction<'_>) -> RequestNumber {
        self.number += 1;
        let number = RequestNumber(self.number);
        self.store.request(self.now(), ticket, StoreRequest { number, action, before: None });
        number
    }

    /// Asks for a grant whose lease ends so much after now.
    fn grant_for(&mut self, ticket: TicketIndex, lease: Millis) -> RequestNumber {
        self.number += 1;
        let (number, before) = (RequestNumber(self.number), Some(clock::read().boot + lease));
        self.store.request(self.now(), ticket, StoreRequest { number, action: GRANT, before });
        number
    }

    fn turn(&mut self) {
        let now = self.turns.turn(self.store.next_deadline(), |now, token| self.store.on_event(now, token));
        self.store.expire(now);
    }

    /// The next result: number, the result in words, the log line.
    fn next(&mut self) -> (RequestNumber, String, String) {
        loop {
            if let Some(finished) = self.store.next_finished() {
                let words = finished.with_result(|result| match result {
                    StoreResult::Loaded(Some(ticket)) => format!(
                        "{} {:?} {:?} {:?} {:?}",
                        ticket.granted, ticket.owner, ticket.expires, ticket.term, ticket.attributes
                    ),
                    other => format!("{other:?}"),
                });
                return (finished.number, words, finished.log.unwrap_or_default());
            }
            self.turn();
        }
    }

    fn until(&mut self, what: &str, mut holds: impl FnMut(&Loop) -> bool) {
        while !holds(self) {
            assert!(self.turns.elapsed() < Duration::from_secs(20), "never: {what}");
            self.turn();
        }
    }

    fn ask(&mut self, ticket: TicketIndex, action: StoreAction<'_>) -> (String, String) {
        let number = self.request(ticket, action);
        let (answered, words, log) = self.next();
        assert_eq!(answered, number);
        (words, log)
    }
}

/// What both stores must do.
fn writes_are_read_back(world: &mut Loop) {
    let quiet = |words: &str| (words.to_owned(), String::new());
    assert_eq!(world.ask(T, StoreAction::Load), quiet("Loaded(None)"));
    assert_eq!(world.ask(T, GRANT), quiet("Written"));
    let granted = "true Some(77) Some(WallTime(1795425540000000)) Some(5) ";
    assert_eq!(world.ask(T, StoreAction::Load), quiet(&format!("{granted}[]")));
    assert_eq!(world.ask(T, StoreAction::SetAttribute { name: "geo", value: "here" }), quiet("Written"));
    assert_eq!(world.ask(T, StoreAction::Load), quiet(&format!("{granted}[(\"geo\", \"here\")]")));
    assert_eq!(world.ask(T, StoreAction::DeleteAttribute { name: "geo" }), quiet("Written"));
    assert_eq!(world.ask(T, REVOKE), quiet("Written"));
    assert_eq!(world.ask(T, StoreAction::Load), quiet("false Some(-1) Some(WallTime(0)) Some(5) []"));
}

#[test]
fn pacemaker_writes_are_read_back() {
    writes_are_read_back(&mut Loop::pacemaker("round", &["db/main"], LONG));
}

#[test]
fn file_writes_are_read_back() {
    writes_are_read_back(&mut Loop::files("files", &["db/main"]));
}

#[test]
fn failures_are_told_with_the_last_words() {
    for (line, said) in [
        ("echo 'CIB is away' >&2; exit 102", "store: ticket t: reading: exit status 102: CIB is away"),
        ("kill -SEGV $$", "store: ticket t: reading: killed by signal 11"),
        ("echo '<<<'; exit 0", "store: ticket t: reading: the answer is not one XML element"),
        ("head -c 1000000 /dev/zero; exit 0", "store: ticket t: reading: the answer is longer than 65536 bytes"),
    ] {
        let mut world = Loop::pacemaker("fails", &["t"], LONG);
        world.behaviour("t", line);
        let (words, log) = world.ask(T, StoreAction::Load);
        assert_eq!(words, "Failed");
        assert!(log.starts_with(said), "{log}");
    }
    let mut world = Loop::pacemaker("fails", &["t"], LONG);
    world.behaviour("t", "echo no >&2; exit 1");
    assert_eq!(world.ask(T, GRANT).1, "store: ticket t: granting: exit status 1: no");
    assert_eq!(world.ask(T, REVOKE).1, "store: ticket t: revoking: exit status 1: no");
    let change = StoreAction::DeleteAttribute { name: "geo" };
    assert_eq!(world.ask(T, change).1, "store: ticket t: changing an attribute: exit status 1: no");
    let granted = StoreAction::SetAttribute { name: "granted", value: "true" };
    assert!(world.ask(T, granted).1.contains("is one of the ticket's own"));
}

#[test]
fn a_missing_program_or_ticket_is_a_failure() {
    let backend = Backend::Pacemaker("/no/such/crm_ticket".into());
    let mut world = Loop::new(directory("missing"), backend, &["t"], LONG);
    let (words, log) = world.ask(T, StoreAction::Load);
    assert_eq!(words, "Failed");
    assert!(log.contains("cannot start /no/such/crm_ticket"), "{log}");
    assert_eq!(world.ask(TicketIndex(9), REVOKE).0, "Failed");
}

#[test]
fn what_hangs_is_killed_at_the_deadline() {
    let mut world = Loop::pacemaker("hangs", &["t"], Millis(300));
    world.behaviour("t", "exec sleep 60");
    let (words, log) = world.ask(T, StoreAction::Load);
    assert_eq!((words.as_str(), log.as_str()), ("Failed", "store: ticket t: reading: took too long and was killed"));
    let took = world.turns.elapsed();
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(deadline_for(Millis(600_000)), Millis(10_000));
    assert_eq!(deadline_for(Millis(6_000)), Millis(2_000));
    assert_eq!(deadline_for(Millis(0)), Millis(1_000));
}

#[test]
fn one_child_for_a_ticket_and_the_newest_request_waits() {
    let mut world = Loop::pacemaker("newest", &["t"], LONG);
    world.behaviour("t", "while [ ! -e $here/go ]; do sleep 0.01; done");
    let first = world.request(T, StoreAction::Load);
    let second = world.request(T, StoreAction::Load);
    let third = world.request(T, GRANT);
    assert_eq!(world.next(), (second, "Failed".to_owned(), String::new()), "given up before it began");
    world.until("the first call", |world| !world.calls().is_empty());
    assert_eq!(world.calls(), ["-t t -q"]);
    fs::write(world.directory.join("go"), "").unwrap();
    assert!(!world.store.is_idle());
    assert_eq!(world.next().0, first);
    assert_eq!(world.next(), (third, "Written".to_owned(), String::new()));
    assert_eq!(world.calls().len(), 2);
    assert!(world.store.is_idle());
}

/// S8: the disk hung while the journal was written, and a grant was begun whose lease had ended meanwhile.
#[test]
fn a_grant_is_not_begun_after_its_lease() {
    let late = "store: ticket t: granting: not begun, since the lease has ended in the meantime";
    for mut world in [Loop::pacemaker("late", &["t"], LONG), Loop::files("late-file", &["t"])] {
        let number = world.grant_for(T, Millis(0));
        assert_eq!(world.next(), (number, "Failed".to_owned(), late.to_owned()));
        assert_eq!(world.ask(T, StoreAction::Load).0, "Loaded(None)");
        let number = world.grant_for(T, LONG);
        assert_eq!(world.next(), (number, "Written".to_owned(), String::new()));
    }
}

/// ... and so it was where it had to wait for a place among children that hang.
#[test]
fn a_grant_that_waited_for_its_place_is_not_begun_after_its_lease() {
    let mut world = Loop::pacemaker("late-place", &["t", "a", "b", "c", "d"], Millis(400));
    for (at, name) in (1..).zip(["a", "b", "c", "d"]) {
        world.behaviour(name, "exec sleep 60");
        world.request(TicketIndex(at), StoreAction::Load);
    }
    let number = world.grant_for(T, Millis(100));
    let end = std::iter::repeat_with(|| world.next()).find(|end| end.0 == number).unwrap();
    assert_eq!(end.1, "Failed", "{end:?}");
    assert!(!world.calls().iter().any(|call| call.starts_with("-t t ")), "{:?}", world.calls());
}

/// S0, S8: a revoke does not wait for a grant that hangs, and has succeeded only when it is read back.
#[test]
fn a_revoke_ends_a_running_grant_and_is_verified() {
    let mut world = Loop::pacemaker("revoke", &["t"], LONG);
    world.behaviour("t", "[ $verb != -g ] || exec sleep 60");
    let grant = world.request(T, GRANT);
    world.until("the grant runs", |world| world.calls().len() == 1);
    let begun = Clock::now();
    let revoke = world.request(T, REVOKE);
    let (number, words, log) = world.next();
    assert_eq!((number, words.as_str()), (grant, "Failed"));
    assert!(log.ends_with("was killed for a newer request"), "{log}");
    assert_eq!(world.next(), (revoke, "Written".to_owned(), String::new()));
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(world.calls(), ["-t t -g --force -S", "-t t -r --force -S", "-t t -q"]);
    // In no doubt any more: the next one is not read back.
    assert_eq!(world.ask(T, REVOKE).0, "Written");
    assert_eq!(world.calls().len(), 4);
}

/// S8: the message of a killed grant may reach the CIB behind the revoke.
#[test]
fn a_grant_that_comes_behind_its_revoke_is_seen() {
    let mut world = Loop::pacemaker("behind", &["t"], LONG);
    world.behaviour("t", "[ $verb != -g ] || exit 1; [ $verb != -q ] || echo 'granted=\"true\"' > $state");
    assert_eq!(world.ask(T, GRANT).0, "Failed");
    let (words, log) = world.ask(T, REVOKE);
    assert_eq!((words.as_str(), log.as_str()), ("Failed", "store: ticket t: revoked, but a grant came behind it"));
    world.behaviour("t", "");
    assert_eq!(world.ask(T, REVOKE).0, "Written");
    assert_eq!(world.calls().last().unwrap(), "-t t -q", "still in doubt, read back again");
    assert!(world.ask(T, StoreAction::Load).0.starts_with("false"));
}

#[test]
fn a_change_of_an_attribute_survives_a_revoke_and_comes_before_a_load() {
    let mut world = Loop::pacemaker("attributes", &["t"], LONG);
    world.behaviour("t", "[ $verb != -S ] || [ -e $here/state.t ] || exec sleep 60");
    let set = world.request(T, StoreAction::SetAttribute { name: "geo", value: "1" });
    world.until("it hangs", |world| world.calls().len() == 1);
    let revoke = world.request(T, REVOKE);
    assert_eq!(world.next(), (revoke, "Written".to_owned(), String::new()));
    let load = world.request(T, StoreAction::Load);
    assert_eq!(world.next(), (set, "Written".to_owned(), String::new()));
    let (number, words, _) = world.next();
    assert_eq!(number, load);
    assert!(words.ends_with("[(\"geo\", \"1\")]"), "{words}");
}

#[test]
fn only_so_many_changes_of_attributes_wait() {
    let mut world = Loop::pacemaker("limit", &["t"], LONG);
    world.behaviour("t", "while [ ! -e $here/go ]; do sleep 0.01; done");
    for _ in 0..=ATTRIBUTES_WAITING {
        world.request(T, StoreAction::SetAttribute { name: "geo", value: "1" });
    }
    assert!(world.store.next_finished().is_none(), "one runs, the others wait");
    let (words, log) = world.ask(T, StoreAction::SetAttribute { name: "geo", value: "2" });
    assert_eq!(words, "Failed");
    assert!(log.contains("wait already"), "{log}");
    fs::write(world.directory.join("go"), "").unwrap();
    for number in 1..=ATTRIBUTES_WAITING + 1 {
        assert_eq!(world.next(), (RequestNumber(number as u32), "Written".to_owned(), String::new()));
    }
}

/// S0: hanging loads, of however many tickets, do not keep a revoke waiting.
#[test]
fn revokes_find_room_among_hanging_children() {
    let names = (0..20).map(|at| format!("t{at}")).collect::<Vec<_>>();
    let names = names.iter().map(String::as_str).collect::<Vec<_>>();
    let mut world = Loop::pacemaker("room", &names, LONG);
    for name in &names {
        world.behaviour(name, "[ $verb != -q ] || exec sleep 60");
    }
    for at in 0..19 {
        world.request(TicketIndex(at), StoreAction::Load);
    }
    let begun = Clock::now();
    let (words, _) = world.ask(TicketIndex(19), REVOKE);
    assert_eq!(words, "Written");
    assert!(begun.elapsed() < Duration::from_secs(10));
    let reads = world.calls().iter().filter(|call| call.ends_with("-q")).count();
    assert!(reads <= MAX_CHILDREN / 2, "{reads} at once");
    // And a revoke of one that hangs, and of one that waits.
    for at in [0, 18] {
        let revoke = world.request(TicketIndex(at), REVOKE);
        let failed = world.next();
        assert_eq!((failed.0, failed.1.as_str()), (RequestNumber(u32::from(at) + 1), "Failed"));
        assert_eq!(world.next(), (revoke, "Written".to_owned(), String::new()));
    }
}

#[test]
fn many_tickets_are_all_loaded_each_once() {
    let names = (0..60).map(|at| format!("t{at}")).collect::<Vec<_>>();
    let names = names.iter().map(String::as_str).collect::<Vec<_>>();
    let mut world = Loop::pacemaker("many", &names, LONG);
    for at in 0..60 {
        world.request(TicketIndex(at), StoreAction::Load);
    }
    let mut numbers = (0..60).map(|_| world.next()).collect::<Vec<_>>();
    assert!(numbers.iter().all(|(_, words, _)| words == "Loaded(None)"));
    numbers.sort_by_key(|(number, ..)| *number);
    numbers.dedup_by_key(|(number, ..)| *number);
    assert_eq!(numbers.len(), 60);
    assert_eq!(world.calls().len(), 60);
}

#[test]
fn a_damaged_file_fails_but_can_be_revoked() {
    let mut world = Loop::files("damaged", &["t", "u"]);
    assert_eq!(world.ask(T, GRANT).0, "Written");
    let path = world.directory.join("tickets/t.ticket");
    let whole = fs::read_to_string(&path).unwrap();
    for bad in ["", "granted = tru", "\u{0}\u{0}", &whole.replace("term = 5", "term = five"), &"x".repeat(2 << 20)] {
        fs::write(&path, bad).unwrap();
        for action in [StoreAction::Load, GRANT, StoreAction::SetAttribute { name: "a", value: "b" }] {
            let (words, log) = world.ask(T, action);
            assert_eq!(words, "Failed");
            assert!(log.contains("t.ticket"), "{log}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), bad, "left as it was");
    }
    fs::write(&path, b"\xff\xfe").unwrap();
    let (words, log) = world.ask(T, REVOKE);
    assert_eq!(words, "Written");
    assert!(log.contains("kept as") && path.with_extension("ticket.damaged").exists(), "{log}");
    assert!(world.ask(T, StoreAction::Load).0.starts_with("false"));
    assert_eq!(world.ask(TicketIndex(1), StoreAction::Load).0, "Loaded(None)");
}

#[test]
fn a_file_that_cannot_be_written_is_a_failure_and_nothing_changes() {
    let mut world = Loop::files("unwritable", &["t"]);
    assert_eq!(world.ask(T, GRANT).0, "Written");
    fs::create_dir(world.directory.join("tickets/t.ticket.new")).unwrap();
    let (words, log) = world.ask(T, REVOKE);
    assert_eq!(words, "Failed");
    assert!(log.contains("cannot write") && log.contains("t.ticket"), "{log}");
    assert!(world.ask(T, StoreAction::Load).0.starts_with("true"));
}
