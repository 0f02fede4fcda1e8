//! What is understood and what is refused before anything is read or asked.

use crate::place::{Place, command, ended, run};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;

const HINT: &str = "Please use '-h' for usage.\n";

#[test]
fn help_goes_to_stdout_and_succeeds_however_it_is_asked_for() {
    for arguments in [&[][..], &["help"], &["-h"], &["--help"], &["list", "-h"], &["grant", "-c", "x", "--help"]] {
        let ended = run("booth", arguments);
        assert!(ended.out.starts_with("Usage:\n  booth list [options]\n"), "{arguments:?}: {ended:?}");
        assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""));
    }
    assert!(run("geostore", &["-h"]).out.contains("geostore set [options] ATTRIBUTE VALUE"));
    assert!(run("boothctl", &["help"]).out.contains("boothctl demo\n"));
    assert!(!run("boothd", &["help"]).out.contains("demo"));
}

#[test]
fn a_client_without_a_command_gets_help_but_fails() {
    let ended = run("booth", &["client"]);
    assert_eq!(ended.status, Some(1));
    assert!(ended.out.starts_with("Usage:"));
}

#[test]
fn the_version_has_the_name_of_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    for (name, shown) in [("booth", "booth"), ("boothd", "booth"), ("geostore", "geostore"), ("boothctl", "boothctl")] {
        for verb in ["version", "--version"] {
            run(name, &[verb]).is(0, &format!("{shown} {version}\n"), "");
        }
    }
}

#[test]
fn the_name_decides_also_as_a_symbolic_link_or_as_first_argument() {
    let place = Place::new();
    for name in ["booth", "geostore"] {
        let link = place.path.join(name);
        symlink(env!("CARGO_BIN_EXE_boothd"), &link).unwrap();
        let ended = ended(Command::new(&link).arg("help"));
        assert!(ended.out.starts_with(&format!("Usage:\n  {name} list")), "{ended:?}");
    }
    assert!(run("boothd", &["geostore", "help"]).out.starts_with("Usage:\n  geostore list"));
    assert!(run("boothctl", &["geostore"]).out.starts_with("Usage:\n  geostore list"));
    assert!(run("something-else", &["help"]).out.starts_with("Usage:\n  booth list"));
    run("boothd", &["boothctl", "demo"]).is(1, "", &format!("client operation \"boothctl\" is unknown\n{HINT}"));
}

#[test]
fn unknown_verbs_are_named() {
    run("booth", &["bogus"]).is(1, "", &format!("client operation \"bogus\" is unknown\n{HINT}"));
    run("booth", &["client", "bogus"]).is(1, "", &format!("client operation \"bogus\" is unknown\n{HINT}"));
    run("booth", &["client", "status"]).is(1, "", &format!("client operation \"status\" is unknown\n{HINT}"));
    run("booth", &["demo"]).is(1, "", &format!("client operation \"demo\" is unknown\n{HINT}"));
    run("booth", &["-v"]).is(1, "", &format!("client operation \"-v\" is unknown\n{HINT}"));
    run("geostore", &["bogus"]).is(1, "", &format!("attribute operation \"bogus\" is unknown\n{HINT}"));
    run("geostore", &["client", "list"]).is(1, "", &format!("attribute operation \"client\" is unknown\n{HINT}"));
    run("booth", &["set"]).is(1, "", &format!("client operation \"set\" is unknown\n{HINT}"));
}

#[test]
fn unknown_options_and_missing_values_are_named() {
    run("booth", &["list", "-Z"]).is(1, "", &format!("booth: invalid option -- 'Z'\n{HINT}"));
    run("booth", &["list", "--bogus"]).is(1, "", &format!("booth: unrecognized option '--bogus'\n{HINT}"));
    run("booth", &["grant", "-t"]).is(1, "", &format!("booth: option requires an argument -- 't'\n{HINT}"));
    run("geostore", &["set", "-F", "a", "b"]).is(1, "", &format!("geostore: invalid option -- 'F'\n{HINT}"));
    run("booth", &["list", "--debug=9"]).fails_with(1, "booth: ");
}

#[test]
fn options_that_are_not_for_a_verb_are_refused() {
    for verb in ["list", "peers", "revoke", "status", "daemon"] {
        run("booth", &[verb, "-F"]).is(1, "", "booth: ERROR: use \"-F\" only for client grant\n");
        run("booth", &[verb, "-C"]).is(1, "", "booth: ERROR: use \"-C\" only for grant\n");
    }
    for verb in ["list", "peers", "status", "daemon"] {
        run("booth", &[verb, "-w"]).is(1, "", "booth: ERROR: use \"-w\" only for grant and revoke\n");
        run("booth", &[verb, "-t", "T"]).is(1, "", &format!("booth: \"-t\" is not for \"{verb}\"\n{HINT}"));
    }
    run("booth", &["status", "-s", "x"]).is(1, "", &format!("booth: \"-s\" is not for \"status\"\n{HINT}"));
    for verb in ["daemon", "site", "arbitrator", "start"] {
        run("boothd", &[verb, "-s", "127.0.0.1"]).is(1, "", "booth: ERROR: \"-s\" not allowed in daemon mode.\n");
    }
}

#[test]
fn operands_are_counted() {
    run("booth", &["grant", "T", "extra"]).is(1, "", &format!("Superfluous argument: extra\n{HINT}"));
    run("booth", &["grant", "-t", "T", "T"]).is(1, "", &format!("Superfluous argument: T\n{HINT}"));
    run("boothd", &["daemon", "extra"]).is(1, "", &format!("Superfluous argument: extra\n{HINT}"));
    run("boothctl", &["demo", "extra"]).is(1, "", &format!("Superfluous argument: extra\n{HINT}"));
    run("boothctl", &["check", "a", "b"]).is(1, "", &format!("Superfluous argument: b\n{HINT}"));
    run("geostore", &["list", "a"]).is(1, "", &format!("Superfluous argument: a\n{HINT}"));
    run("geostore", &["get", "a", "b"]).is(1, "", &format!("Superfluous argument: b\n{HINT}"));
    run("geostore", &["set", "a", "b", "c"]).is(1, "", &format!("Superfluous argument: c\n{HINT}"));
    run("geostore", &["set", "a"]).is(1, "", &format!("not enough arguments: expected ATTRIBUTE VALUE\n{HINT}"));
    run("geostore", &["get"]).is(1, "", &format!("not enough arguments: expected ATTRIBUTE\n{HINT}"));
    run("geostore", &["set", "", "b"]).is(1, "", "an attribute's name must not be empty\n");
}

#[test]
fn names_have_limits_and_the_reference_s_words_for_them() {
    let x = |count: usize| "x".repeat(count);
    let name =
        |count: usize, what: &str, shown: usize| format!("'{}' exceeds maximum {what} length of {shown}\n", x(count));
    run("booth", &["grant", &x(63)]).is(1, "", &name(63, "ticket name", 63));
    run("booth", &["grant", "-t", &x(63)]).is(1, "", &name(63, "ticket name", 63));
    run("booth", &["list", "-s", &x(63)]).is(1, "", &name(63, "site name", 63));
    run("geostore", &["get", &x(63)]).is(1, "", &name(63, "attribute name", 63));
    run("geostore", &["set", "a", &x(127)]).is(1, "", &name(127, "attribute value", 127));
    // Longer ones are cut in the message.
    let long = |arguments: &[&str], words: &str| run("booth", arguments).fails_with(1, words);
    long(&["list", "-c", &x(4080)], "exceeds maximum config name length of 4079\n");
    long(&["status", "-l", &x(4096)], "exceeds maximum lock file length of 4095\n");
    long(&["list", "-c", &format!("/{}", x(4095))], "exceeds maximum config file length of 4095\n");
    // One less is read as a name: the next thing to go wrong is the configuration.
    for arguments in [["grant", "-t", &x(62)], ["list", "-s", &x(62)]] {
        run("booth", &[&arguments[..], &["-c", "/nonexistent/c"]].concat()).fails_with(1, "cannot read config");
    }
    let (name, value) = (x(62), x(126));
    run("geostore", &["set", "-c", "/nonexistent/c", &name, &value]).fails_with(1, "cannot read config");
}

#[test]
fn arguments_that_are_no_text_are_refused() {
    let bad = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    for option in ["-t", "-s", "-c", "-l"] {
        ended(command("booth", &["grant", option]).arg(bad)).fails_with(1, "is not UTF-8");
    }
    ended(command("booth", &["grant"]).arg(bad)).fails_with(1, "is not UTF-8");
    ended(Command::new(env!("CARGO_BIN_EXE_boothd")).arg(bad)).fails_with(1, "is unknown");
    run("geostore", &["set", "a\nb", "c"]).fails_with(1, "is no valid attribute name: it has the character '\\n'");
}
