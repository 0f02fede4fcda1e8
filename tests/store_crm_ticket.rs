//! The Pacemaker store with the real `crm_ticket` on a CIB in a file (package `pacemaker-cli-utils`; no
//! daemon, no root needed). Skipped loudly where the program is missing.
//!
//! One test only: it writes a script and runs it, which another test's fork at the wrong moment would
//! make fail with "text file busy".
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed unwrap is a failed test")]

mod live;
mod turns;

use booth::store::{Backend, Settings, Store, StoreSettings};
use booth_core::attribute::MEMORY;
use booth_core::input::{RequestNumber, StoreResult};
use booth_core::member::SiteId;
use booth_core::settings::TicketIndex;
use booth_core::sink::{StoreAction, StoreRequest, StoreTicket};
use booth_core::time::{Millis, WallTime};
use mio::Token;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use turns::Turns;

/// `crm_ticket` that works on `directory/cib.xml`; `None`: not installed.
fn crm_ticket(directory: &Path) -> Option<PathBuf> {
    let cib = directory.join("cib.xml");
    let empty = Command::new("cibadmin").arg("--empty").output().ok().filter(|output| output.status.success());
    let Some(empty) = empty.filter(|_| Command::new("crm_ticket").arg("--version").output().is_ok()) else {
        live::skip("store_crm_ticket", "crm_ticket and cibadmin are not installed (Debian: pacemaker-cli-utils)");
        return None;
    };
    fs::write(&cib, empty.stdout).unwrap();
    let program = directory.join("crm_ticket_on_file");
    fs::write(&program, format!("#!/bin/sh\nCIB_file='{}' exec crm_ticket \"$@\"\n", cib.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    Some(program)
}

/// Asks the store and waits for the answer: in words, and the log line.
fn ask(turns: &mut Turns, store: &mut Store, number: u32, action: StoreAction<'_>) -> String {
    store.request(turns.now(), TicketIndex(0), StoreRequest { number: RequestNumber(number), action, before: None });
    loop {
        if let Some(finished) = store.next_finished() {
            assert_eq!(finished.number, RequestNumber(number));
            return finished.with_result(|result| match (result, &finished.log) {
                (StoreResult::Loaded(Some(ticket)), None) => format!(
                    "{} {:?} {:?} {:?} {:?}",
                    ticket.granted, ticket.owner, ticket.expires, ticket.term, ticket.attributes
                ),
                (other, None) => format!("{other:?}"),
                (other, Some(log)) => format!("{other:?} {log}"),
            });
        }
        let now = turns.turn(store.next_deadline(), |now, token| store.on_event(now, token));
        store.expire(now);
    }
}

#[test]
fn the_real_crm_ticket_takes_and_gives_back_what_we_write() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("store_crm_ticket");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let Some(program) = crm_ticket(&directory) else { return };
    let mut turns = Turns::new();
    let settings = Settings {
        backend: Backend::Pacemaker(program.into()),
        configuration_name: "booth".to_owned(),
        tickets: vec![StoreSettings { name: "geo/db-8".to_owned(), deadline: Millis(10_000) }],
    };
    let mut store = Store::new(settings, turns.registry(), Token(0));
    let write = |granted: bool| {
        let (owner, expires) = if granted { (Some(SiteId(0x7fff_ffff)), 1_795_425_540) } else { (None, 0) };
        StoreAction::Write(StoreTicket { granted, owner, expires: WallTime(expires * 1_000_000), term: u32::MAX })
    };
    let value = r#"$(touch x) '"<&>\ é"#;
    let set = StoreAction::SetAttribute { name: "geo_1.a", value };
    let named = [(MEMORY, "00c0ffee")];
    let mark = StoreAction::SetAttribute { name: MEMORY, value: named[0].1 };
    let granted = "true Some(2147483647) Some(WallTime(1795425540000000)) Some(4294967295)";
    let revoked = "false Some(-1) Some(WallTime(0)) Some(4294967295)";
    let steps = [
        (StoreAction::Load, "Loaded(None)".to_owned()),
        // A member names its memory before anything was ever granted, and it stays named.
        (mark, "Written".to_owned()),
        (StoreAction::Load, format!("false None None None {named:?}")),
        (write(false), "Written".to_owned()),
        (StoreAction::Load, format!("{revoked} {named:?}")),
        (write(true), "Written".to_owned()),
        (StoreAction::Load, format!("{granted} {named:?}")),
        (set, "Written".to_owned()),
        (StoreAction::Load, format!("{granted} {:?}", [named[0], ("geo_1.a", value)])),
        (write(true), "Written".to_owned()),
        (StoreAction::DeleteAttribute { name: "geo_1.a" }, "Written".to_owned()),
        (StoreAction::DeleteAttribute { name: "geo_1.a" }, "Written".to_owned()),
        (write(false), "Written".to_owned()),
        (StoreAction::Load, format!("{revoked} {named:?}")),
    ];
    for (number, (action, expected)) in (1..).zip(steps) {
        assert_eq!(ask(&mut turns, &mut store, number, action), expected, "step {number}: {action:?}");
    }
    fs::write(directory.join("cib.xml"), "this is no CIB").unwrap();
    let answer = ask(&mut turns, &mut store, 99, write(true));
    assert!(answer.starts_with("Failed store: ticket geo/db-8: granting: exit status"), "{answer}");
}
