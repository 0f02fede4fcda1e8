//! Geo attributes.

use crate::place::{ARBITRATOR, Ended, Place, SITE, at, run, ticket};
use crate::responder::{Act, Asked, Responder};
use booth_core::wire::{Command, Outcome};

fn ask(arguments: &[&str], act: Act) -> (Ended, Asked) {
    let place = Place::new();
    let site = Responder::start(at(SITE, 0), None, vec![vec![act]]);
    let config = place.one_ticket(site.address.port());
    (run("geostore", &[arguments, &["-c", &config]].concat()), site.asked())
}

#[test]
fn set_and_delete() {
    let (ended, asked) = ask(&["set", "sr_status", "ACTIVE now"], Act::Outcome(Outcome::Success));
    ended.is(0, "", "geostore: info: set succeeded!\n");
    assert_eq!((asked.command, asked.ticket.as_str()), (Command::AttributeSet, "T"));
    assert_eq!(asked.attribute, Some(("sr_status".into(), "ACTIVE now".into())));
    let (ended, asked) = ask(&["delete", "-t", "T", "sr_status"], Act::Outcome(Outcome::Success));
    ended.is(0, "", "");
    assert_eq!((asked.command, asked.attribute), (Command::AttributeDelete, Some(("sr_status".into(), String::new()))));
    let (ended, _) = ask(&["set", "empty", ""], Act::Outcome(Outcome::Success));
    assert_eq!(ended.status, Some(0));
}

#[test]
fn get_and_list_print_what_the_daemon_says() {
    let (ended, asked) = ask(&["get", "sr_status"], Act::Text("ACTIVE\n".into()));
    ended.is(0, "ACTIVE\n", "");
    assert_eq!((asked.command, asked.attribute), (Command::AttributeGet, Some(("sr_status".into(), String::new()))));
    let lines = "a 1 2026-11-23 05:33:28\nb 2 \n";
    let (ended, asked) = ask(&["list"], Act::Text(lines.into()));
    ended.is(0, lines, "");
    assert_eq!((asked.command, asked.ticket.as_str()), (Command::AttributeList, "T"));
}

#[test]
fn refusals() {
    let (ended, _) = ask(&["get", "nope"], Act::Outcome(Outcome::NoSuchAttribute));
    ended.is(1, "", "geostore: ERROR: attribute \"nope\" not set\n");
    let (ended, _) = ask(&["delete", "nope"], Act::Outcome(Outcome::NoSuchAttribute));
    ended.is(1, "", "geostore: ERROR: attribute \"nope\" not set\n");
    let (ended, _) = ask(&["set", "-t", "U", "a", "b"], Act::Outcome(Outcome::InvalidArgument));
    ended.is(1, "", "geostore: ERROR: ticket \"U\" does not exist; see \"booth list\"\n");
    let (ended, _) = ask(&["get", "a"], Act::Outcome(Outcome::AuthenticationFailed));
    ended.fails_with(1, "127.0.61.1: failed to authenticate");
    let (ended, _) = ask(&["set", "a", "b"], Act::Outcome(Outcome::SyncFail));
    ended.is(1, "", &format!("geostore: ERROR: {SITE}: the store has failed; see the log there\n"));
}

#[test]
fn attributes_belong_to_one_ticket_at_a_site() {
    let place = Place::new();
    let two = place.config(9, &(ticket("T") + &ticket("U")));
    run("geostore", &["list", "-c", &two]).is(
        1,
        "",
        "geostore: ERROR: No ticket given: name one of the 2 configured.\n",
    );
    let words = format!("geostore: ERROR: {ARBITRATOR} is just an arbitrator, no attributes there.\n");
    run("geostore", &["list", "-t", "T", "-s", ARBITRATOR, "-c", &two]).is(1, "", &words);
}
