//! `grant` and `revoke`.

use crate::place::{ARBITRATOR, Ended, OTHER_SITE, Place, SITE, at, run, ticket};
use crate::responder::{Act, Responder, id};
use booth_core::wire::{Command, Outcome};
use std::time::{Duration, Instant};

const GRANT_SENT: &str = "booth: info: grant request sent, waiting for the result ...\n";

/// Asks a site that plays this script; gives what it was asked as well.
fn ask(arguments: &[&str], script: Vec<Act>) -> (Ended, crate::responder::Asked) {
    let place = Place::new();
    let site = Responder::start(at(SITE, 0), None, vec![script]);
    let config = place.one_ticket(site.address.port());
    let ended = run("booth", &[arguments, &["-c", &config]].concat());
    (ended, site.asked())
}

#[test]
fn a_grant_says_that_it_has_begun_and_how_it_went() {
    let (ended, asked) = ask(&["grant", "T"], vec![Act::Outcome(Outcome::More), Act::Outcome(Outcome::Success)]);
    ended.is(0, "", &format!("{GRANT_SENT}booth: info: grant succeeded!\n"));
    assert_eq!((asked.command, asked.options, asked.ticket.as_str()), (Command::ClientGrant, 0, "T"));
    assert_eq!(asked.sender, id(SITE.parse().unwrap()));
}

#[test]
fn a_revoke_is_asked_for_in_the_same_way() {
    let (ended, asked) = ask(&["revoke", "T"], vec![Act::Outcome(Outcome::Success)]);
    ended.is(0, "", "booth: info: revoke succeeded!\n");
    assert_eq!((asked.command, asked.options, asked.ticket.as_str()), (Command::ClientRevoke, 0, "T"));
}

#[test]
fn the_only_ticket_need_not_be_named_and_options_may_stand_anywhere() {
    for arguments in
        [&["grant"][..], &["client", "grant"], &["grant", "-t", "T"], &["grant", "--ticket=T"], &["grant", "T", "-D"]]
    {
        let (ended, asked) = ask(arguments, vec![Act::Outcome(Outcome::Success)]);
        assert_eq!((ended.status, asked.ticket.as_str()), (Some(0), "T"), "{arguments:?}");
    }
}

#[test]
fn flags_reach_the_daemon() {
    for (arguments, options) in [
        (&["grant", "-F"][..], 1),
        (&["grant", "-w"], 2),
        (&["grant", "-C"], 4),
        (&["grant", "-FwC"], 7),
        (&["grant", "--force", "--wait", "--commit"], 7),
        (&["revoke", "-w"], 2),
    ] {
        let (_, asked) = ask(arguments, vec![Act::Outcome(Outcome::Success)]);
        assert_eq!(asked.options, options, "{arguments:?}");
    }
}

#[test]
fn every_answer_has_its_words_and_its_status() {
    let giving_up = "booth: info: Giving up on waiting for the definite result. \
                     Please use \"booth list\" later to see the outcome.\n";
    let granted = "booth: info: You're granting a granted ticket. \
                   If you wanted to migrate a ticket, use revoke first, then use grant.\n";
    let denied = "for ticket \"T\" failed, grant denied\n";
    let failed = "no majority of the members has answered, or the store has failed; the log there says which";
    for (outcome, status, words) in [
        (Outcome::SyncSuccess, 0, "booth: info: grant succeeded!\n".to_owned()),
        (Outcome::CommitPending, 0, "booth: info: grant succeeded (CIB commit pending)\n".to_owned()),
        (Outcome::Asynchronous, 0, giving_up.to_owned()),
        (Outcome::TicketIdle, 0, "booth: info: ticket is not owned\n".to_owned()),
        (Outcome::Overgrant, 1, granted.to_owned()),
        (Outcome::InvalidArgument, 1, "booth: ERROR: ticket \"T\" does not exist; see \"booth list\"\n".to_owned()),
        (Outcome::HandlerFailed, 1, format!("booth: ERROR: before-acquire-handler {denied}")),
        (Outcome::PrerequisiteFailed, 1, format!("booth: ERROR: attr-prereq {denied}")),
        (Outcome::SyncFail, 1, format!("booth: ERROR: grant failed at {SITE}: {failed}\n")),
    ] {
        let (ended, _) = ask(&["grant", "T"], vec![Act::Outcome(outcome)]);
        ended.is(status, "", &words);
    }
    let (ended, _) = ask(&["grant", "T"], vec![Act::Outcome(Outcome::AuthenticationFailed)]);
    ended.fails_with(1, "127.0.61.1: failed to authenticate");
    let (ended, _) = ask(&["grant", "T"], vec![Act::Outcome(Outcome::Other(0x3f3f_3f3f))]);
    ended.fails_with(1, "grant refused by 127.0.61.1");
}

#[test]
fn a_pending_commit_is_final_unless_it_is_waited_for() {
    let script = || {
        let (more, pending) = (Act::Outcome(Outcome::More), Act::Outcome(Outcome::CommitPending));
        vec![more, pending, Act::Wait(Duration::from_millis(900)), Act::Outcome(Outcome::Success)]
    };
    let pending = format!("{GRANT_SENT}booth: info: grant succeeded (CIB commit pending)\n");
    ask(&["grant", "T"], script()).0.is(0, "", &pending);
    let waited = format!("{pending}booth: info: waiting for the CIB commit ...\nbooth: info: grant succeeded!\n");
    ask(&["grant", "-C", "T"], script()).0.is(0, "", &waited);
}

#[test]
fn after_the_first_answer_the_daemon_gets_the_time_that_its_tries_need() {
    // Longer than one timeout, shorter than timeout * (retries + 1).
    let slow = vec![Act::Outcome(Outcome::More), Act::Wait(Duration::from_millis(700)), Act::Outcome(Outcome::Success)];
    assert_eq!(ask(&["grant", "T"], slow).0.status, Some(0));
    let begun = Instant::now();
    let (ended, _) = ask(&["grant", "T"], vec![Act::Outcome(Outcome::More), Act::AwaitClose]);
    let silent =
        format!("{SITE} has not answered within 1.200s; the grant may take place all the same, see \"booth list\"");
    ended.fails_with(1, &silent);
    assert!((1100..4000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
}

#[test]
fn several_tickets_need_a_name_and_none_is_an_error() {
    let place = Place::new();
    let two = place.config(9, &(ticket("T") + &ticket("U")));
    for verb in ["grant", "revoke"] {
        run("booth", &[verb, "-c", &two]).is(1, "", "booth: ERROR: No ticket given: name one of the 2 configured.\n");
    }
    run("booth", &["grant", "-c", &two, "not a name"]).is(
        1,
        "",
        "booth: ERROR: ticket \"not a name\" does not exist; see \"booth list\"\n",
    );
}

#[test]
fn arbitrators_neither_grant_nor_revoke() {
    let place = Place::new();
    let config = place.one_ticket(9);
    for verb in ["grant", "revoke"] {
        let words = format!("booth: ERROR: {ARBITRATOR} is just an arbitrator, cannot grant/revoke tickets there.\n");
        run("booth", &[verb, "-s", ARBITRATOR, "-c", &config, "T"]).is(1, "", &words);
    }
    let here = place
        .file("here.conf", format!("arbitrator = {ARBITRATOR}\nsite = {SITE}\nsite = {OTHER_SITE}\n{}", ticket("T")));
    let words = "booth: ERROR: We're just an arbitrator, cannot grant/revoke tickets here.\n";
    run("booth", &["grant", "-c", &here, "T"]).is(1, "", words);
}

#[test]
fn a_site_is_found_by_address_name_and_as_the_other_one() {
    let place = Place::new();
    let done = || vec![Act::Outcome(Outcome::Success)];
    let site = Responder::start(at(SITE, 0), None, vec![]);
    let port = site.address.port();
    let other = Responder::start(at(OTHER_SITE, port), None, vec![done(), done(), done()]);
    let config = place.one_ticket(port);
    for name in [OTHER_SITE, "other"] {
        run("booth", &["grant", "-s", name, "-c", &config]).is(0, "", "booth: info: grant succeeded!\n");
        assert_eq!(other.asked().command, Command::ClientGrant);
    }
    // The spelling of booth 0.1.
    run("booth", &["client", "grant", "-t", "T", "-s", OTHER_SITE, "-c", &config]).is(
        0,
        "",
        "booth: info: grant succeeded!\n",
    );
    assert_eq!(other.asked().ticket, "T");
    let sites = format!("Site \"1.2.3.4\" not configured; expected one of {SITE}, {OTHER_SITE}\n");
    run("booth", &["grant", "-s", "1.2.3.4", "-c", &config]).is(1, "", &format!("booth: ERROR: {sites}"));
    let three =
        place.file("three.conf", format!("site = {SITE}\nsite = {OTHER_SITE}\nsite = {ARBITRATOR}\n{}", ticket("T")));
    run("booth", &["grant", "-s", "other", "-c", &three]).fails_with(1, "there are 3 sites, not two");
}

#[test]
fn a_redirect_is_followed() {
    let place = Place::new();
    let to_other = vec![Act::Redirect(OTHER_SITE.parse().unwrap())];
    let site = Responder::start(at(SITE, 0), None, vec![to_other]);
    let port = site.address.port();
    let other = Responder::start(at(OTHER_SITE, port), None, vec![vec![Act::Outcome(Outcome::Success)]]);
    let config = place.one_ticket(port);
    run("booth", &["revoke", "-w", "-c", &config]).is(0, "", "booth: info: revoke succeeded!\n");
    assert_eq!((site.asked().options, other.asked().options), (2, 2));
}

#[test]
fn redirects_are_bounded_and_must_lead_to_a_member() {
    let place = Place::new();
    let myself = vec![Act::Redirect(SITE.parse().unwrap())];
    let site = Responder::start(at(SITE, 0), None, vec![myself; 9]);
    let config = place.one_ticket(site.address.port());
    run("booth", &["revoke", "-c", &config]).is(
        1,
        "",
        &format!("booth: ERROR: gave up after 4 redirects, the last one to {SITE}\n"),
    );
    for _ in 0..5 {
        site.asked();
    }
    assert!(!site.was_asked_again());
    let (ended, _) = ask(&["revoke"], vec![Act::Redirect("10.1.2.3".parse().unwrap())]);
    ended.fails_with(1, "127.0.61.1 names a site to ask that the configuration here does not know");
}

#[test]
fn a_busy_daemon_is_asked_again_for_a_while() {
    let place = Place::new();
    let busy = || vec![Act::Outcome(Outcome::Busy)];
    let script = vec![busy(), busy(), vec![Act::Outcome(Outcome::Success)]];
    let site = Responder::start(at(SITE, 0), None, script);
    let config = place.one_ticket(site.address.port());
    run("booth", &["grant", "-c", &config]).is(0, "", "booth: info: grant succeeded!\n");
    let site = Responder::start(at(SITE, 0), None, vec![busy(); 100]);
    let config = place.one_ticket(site.address.port());
    let begun = Instant::now();
    let words = format!("{SITE} is busy with ticket \"T\"; try again\n");
    run("booth", &["grant", "-c", &config]).is(1, "", &format!("booth: ERROR: {words}"));
    run("geostore", &["set", "a", "b", "-c", &config]).is(1, "", &format!("geostore: ERROR: {words}"));
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}
