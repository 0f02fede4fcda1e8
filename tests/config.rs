//! The configuration as an administrator meets it: samples, every refusal with its line, limits.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use booth::config::{
    Configuration, Diagnostic, MAX_DIAGNOSTICS, MAX_FILE, MAX_TIME, MAX_VALUE, Severity, Store, describe, parse,
};
use booth_core::member::{MAX_MEMBERS, MemberIndex, MemberKind, SiteId};
use booth_core::settings::{MAX_NAME, MAX_PREREQUISITES, MAX_TICKETS, Mode, PrerequisiteScope, ValidityUnit};
use booth_core::sink::HandlerKind;
use booth_core::time::Millis;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// Names that tests use; no system resolver is asked.
fn resolver(host: &str) -> Result<Vec<IpAddr>, String> {
    match host {
        "berlin" => Ok(vec![Ipv4Addr::new(10, 0, 0, 9).into()]),
        "both" => Ok(vec![Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9).into(), Ipv4Addr::new(10, 0, 0, 9).into()]),
        "nowhere" => Ok(vec![]),
        "local" => Ok(vec!["fe80::1".parse().unwrap()]),
        _ => Err("Name or service not known".to_owned()),
    }
}

fn understand(text: impl AsRef<[u8]>) -> (Option<Configuration>, Vec<Diagnostic>) {
    parse(text.as_ref(), Path::new("/etc/booth/geo.conf"), &mut resolver)
}

fn errors(text: impl AsRef<[u8]>) -> Vec<String> {
    let (configuration, found) = understand(text);
    let errors: Vec<String> = found.iter().filter(|found| found.is_error()).map(ToString::to_string).collect();
    assert_eq!(
        configuration.is_none(),
        !errors.is_empty(),
        "a configuration exactly when there is no error: {errors:?}"
    );
    errors
}

fn warnings(text: impl AsRef<[u8]>) -> Vec<String> {
    let found = understand(text).1;
    found.iter().filter(|found| found.severity == Severity::Warning).map(ToString::to_string).collect()
}

fn good(text: impl AsRef<[u8]>) -> Configuration {
    let (configuration, found) = understand(text);
    configuration.unwrap_or_else(|| panic!("{found:#?}"))
}

/// Three members (lines 1 to 3) and an authfile (4): nothing to complain about.
const MEMBERS: &str = "site = 10.0.0.1\nsite = 10.0.0.2\narbitrator = 10.0.0.3\nauthfile = /etc/booth/authkey\n";

/// [`MEMBERS`], a ticket in line 5, and these lines from 6 on.
fn ticket(lines: &str) -> String {
    format!("{MEMBERS}ticket = T\n{lines}\n")
}

/// One error, in this line, with this text in it.
#[track_caller]
fn refused(text: impl AsRef<[u8]>, line: u32, wording: &str) {
    let errors = errors(text);
    let expected = format!("/etc/booth/geo.conf:{line}: ");
    assert!(
        matches!(&errors[..], [only] if only.starts_with(&expected) && only.contains(wording)),
        "expected {expected}...{wording}, got {errors:#?}"
    );
}

#[test]
fn samples_are_understood_as_their_transcripts_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for entry in std::fs::read_dir(root.join("conf")).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (configuration, found) = parse(&bytes, &Path::new("conf").join(file), &mut resolver);
        let mut text = String::new();
        for diagnostic in &found {
            writeln!(text, "{diagnostic}").unwrap();
        }
        text.push_str(&configuration.as_ref().map(describe).unwrap_or_default());
        let golden = root.join("tests/golden/config").join(file.replace(".example", ".txt"));
        if std::env::var_os("BOOTH_WRITE_GOLDEN").is_some() {
            std::fs::write(&golden, &text).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_else(|error| panic!("{}: {error}", golden.display()));
        assert_eq!(text, expected, "{file}; BOOTH_WRITE_GOLDEN=1 writes the transcripts anew");
        assert!(configuration.is_some(), "{file}");
        seen += 1;
    }
    assert!(seen >= 7, "only {seen} samples");
}

#[test]
fn a_minimal_file_has_the_defaults_of_the_reference() {
    let configuration = good(ticket(""));
    assert_eq!(configuration.name, "geo");
    assert_eq!(configuration.port, 9929);
    assert_eq!(configuration.max_time_skew, Millis(600_000));
    assert_eq!(configuration.unit, ValidityUnit::Seconds);
    assert_eq!(configuration.store, Store::Pacemaker);
    assert_eq!(configuration.journal.as_deref(), Some(Path::new("/var/lib/booth/geo.journal")));
    assert!(!configuration.allow_address_translation);
    assert_eq!(configuration.account(MemberKind::Site).user, "hacluster");
    assert_eq!(configuration.account(MemberKind::Site).group, "haclient");
    assert_eq!(configuration.account(MemberKind::Arbitrator).user, "nobody");
    assert_eq!(configuration.account(MemberKind::Arbitrator).other_group, Some("nogroup"));
    let settings = &configuration.tickets[0].settings;
    assert_eq!(settings.mode, Mode::Automatic);
    assert_eq!((settings.expire, settings.renewal), (Millis(600_000), Millis(300_000)));
    assert_eq!((settings.timeout, settings.retries), (Millis(5_000), 10));
    assert_eq!(settings.acquire_after, Millis(0));
    assert!(!settings.before_acquire);
}

#[test]
fn lines_that_are_no_entries_are_refused_with_their_number() {
    let bad = |line: &str| format!("{MEMBERS}{line}\nticket = T\n");
    refused(bad("port"), 5, "Expected '=' after key");
    refused(bad("a.b = c"), 5, "Expected '=' after key");
    refused(bad("= 5"), 5, "No key");
    refused(bad("port ="), 5, "No value");
    refused(bad("name = \"a"), 5, "Unterminated quoted string");
    refused(bad("name = 'a\""), 5, "Unterminated quoted string, expected a closing '");
    refused(bad("name = \"a\" b # c"), 5, "Surplus data after value: 'b # c'");
    refused(bad("name = a\0b"), 5, "control character 0x00 at byte 1");
    refused(bad("name = a\x1b[2Jb"), 5, "control character 0x1b");
    refused(bad("name = a\rport = 1"), 5, "control character 0x0d");
    // Control characters beyond ASCII were taken, and printed by `check`: 0x9b is ESC [ in one.
    refused(bad("name = a\u{9b}2Jb"), 5, "control character 0x9b at byte 1");
    refused(bad("foo = bar"), 5, "Unexpected keyword \"foo\"");
    refused(bad("PORT = 1"), 5, "Unexpected keyword \"PORT\"");
    refused(bad("expire = 60"), 5, "Unexpected keyword \"expire\", expected behind a line that starts a ticket");
    refused(ticket("foo = bar"), 6, "Unknown keyword \"foo\"");
    // A handler of 4 KB without a slash was repeated as a whole.
    assert!(warnings(ticket(&format!("before-acquire-handler = {}", "x".repeat(4_000)))).iter().all(|w| w.len() < 400));
    refused([MEMBERS.as_bytes(), b"ticket = T\nname = a\xffb\n"].concat(), 6, "byte 1 of the value is not UTF-8");
    refused([b"\xef\xbb\xbf", MEMBERS.as_bytes(), b"ticket = T\n"].concat(), 1, "byte order mark");
}

#[test]
fn an_unknown_key_is_not_repeated_into_the_terminal_at_length() {
    refused(ticket(&format!("{} = 1", "k".repeat(63))), 6, "Unknown keyword");
    refused(ticket(&format!("{} = 1", "k".repeat(64))), 6, "the key has 64 bytes, expected at most 63");
    let long = errors(ticket(&format!("mode = {}", "m".repeat(MAX_VALUE))));
    assert!(long[0].len() < 300, "{}", long[0]);
}

#[test]
fn blanks_quotes_comments_and_line_ends_are_read_as_the_reference_reads_them() {
    let text =
        format!("  # comment\r\n\r\n{}\ttimeout\t=\t'2'\t# comment\r\n retries=3", ticket("").replace('\n', " \r\n"));
    let configuration = good(&text);
    assert_eq!(configuration.tickets[0].settings.timeout, Millis(2_000));
    assert_eq!(configuration.tickets[0].settings.retries, 3, "the last line needs no end");
    assert_eq!(good(format!("{MEMBERS}name = \"it is #1\"\nticket=T")).name, "it is #1");
    // What stands in a comment is nobody's business.
    good(
        [ticket("").as_bytes(), b"# caf\xe9 \0\x1b\n", "#".repeat(9000).as_bytes(), b"\nname = 'x' # \xff\n"].concat(),
    );
    // A bare value goes on to the end of its line.
    refused(ticket("expire = 60 # a minute"), 6, "expire \"60 # a minute\" is not a valid time");
    assert!(warnings(ticket("expire = 60 # a minute"))[1].contains("the '#' belongs to the value"));
}

#[test]
fn global_values_are_checked() {
    let bad = |line: &str, wording: &str| refused(format!("{MEMBERS}{line}\nticket = T\n"), 5, wording);
    bad("transport = TCP", "invalid transport protocol \"TCP\", expected UDP");
    bad("transport = SCTP", "invalid transport protocol \"SCTP\"");
    for port in ["0", "65536", "-1", "abc", "9929x", "99999999999999999999"] {
        bad(&format!("port = {port}"), "in the range [1, 65535] for port");
    }
    for skew in ["0", "-5", "500ms", "2147484"] {
        bad(&format!("maxtimeskew = {skew}"), "in the range [1, 2147483] for maxtimeskew");
    }
    bad("debug = yes", "in the range [0, 255] for debug");
    bad("authfile = \"\"", "authfile is empty");
    bad(&format!("name = {}", "n".repeat(63)), "exceeds maximum name length of 63");
    for name in ["a/b", "..", ".", "\"it's\""] {
        bad(&format!("name = {name}"), "expected a file name without '/' and quotes");
    }
    bad("store = sqlite", "store \"sqlite\" invalid, expected pacemaker or file:/DIRECTORY");
    bad("store = file:tickets", "store \"tickets\" is a relative path");
    bad("store = file:", "store is empty");
    bad("journal = votes", "journal \"votes\" is a relative path");
    bad("allow-address-translation = 1", "expected yes or no");
    bad("site-user = \"\"", "site-user has 0 bytes");
    refused(format!("transport = UDP\n{MEMBERS}transport = UDP\nticket = T\n"), 6, "multiple transport lines");
}

#[test]
fn global_keys_may_follow_tickets_and_the_last_one_counts() {
    let text = ticket(
        "port = 7000\nport = 7001\nsite-user = geo\nsite-group = geo\narbitrator-user = vote\narbitrator-group = vote\n\
         store = file:/srv/tickets\njournal = -\nallow-address-translation = yes\nname = other\ntransport = udp\ndebug = 3",
    );
    let configuration = good(&text);
    assert_eq!(configuration.port, 7001);
    assert_eq!(configuration.store, Store::File("/srv/tickets".into()));
    assert_eq!(configuration.journal, None);
    assert!(configuration.allow_address_translation);
    assert_eq!(configuration.name, "other");
    assert_eq!(configuration.debug, 3);
    let (site, arbitrator) = (configuration.account(MemberKind::Site), configuration.account(MemberKind::Arbitrator));
    assert_eq!((&*site.user, &*site.group, site.other_group), ("geo", "geo", None));
    assert_eq!((&*arbitrator.user, &*arbitrator.group, arbitrator.other_group), ("vote", "vote", None));
    let warnings = warnings(&text);
    assert!(warnings.iter().any(|w| w.contains("geo.conf:7: warning: port again; the value of line 6 is replaced")));
    assert!(warnings.iter().any(|w| w.contains("geo.conf:13: warning: journal is switched off")));
}

#[test]
fn members_are_addresses_or_names_in_order() {
    let configuration = good("arbitrator = ::ffff:10.0.0.3\nsite = berlin\nsite = 2001:DB8::2\nticket = T");
    let addresses: Vec<String> = configuration.members.iter().map(|member| member.address.to_string()).collect();
    assert_eq!(addresses, ["10.0.0.3", "10.0.0.9", "2001:db8::2"], "IPv4 in IPv6 clothes is IPv4, as in the reference");
    assert_eq!(configuration.members[1].host, "berlin");
    assert_eq!(configuration.members[0].kind, MemberKind::Arbitrator);
    assert_eq!(configuration.members[0].id, SiteId::of_address(&[10, 0, 0, 3]));
    assert_eq!(configuration.members[2].line, 3);
    assert!(
        warnings("site = both\nticket=T")
            .iter()
            .any(|w| w.contains(":1: warning: \"both\" has 2 addresses, 2001:db8::9"))
    );
    let mixed = warnings("site = 10.0.0.1\nsite = ::1\nsite = ::2\nticket=T");
    assert!(mixed.iter().any(|w| w.contains("geo.conf:3: warning: IPv4 and IPv6 members together")), "{mixed:?}");
}

#[test]
fn members_that_could_never_work_are_refused() {
    let bad = |site: &str, wording: &str| refused(format!("{MEMBERS}site = {site}\nticket = T\n"), 5, wording);
    bad("10.0.0.1", "\"10.0.0.1\" is 10.0.0.1, which is a member already (line 1); expected each member once");
    bad("::ffff:10.0.0.2", "is 10.0.0.2, which is a member already (line 2)");
    bad("0.0.0.0", "unspecified address");
    bad("::", "unspecified address");
    bad("239.1.1.1", "multicast address");
    bad("ff02::1", "multicast address");
    bad("255.255.255.255", "broadcast address");
    bad("fe80::1", "link-local");
    bad("local", "link-local");
    bad("nowhere", "can't find IP for the host \"nowhere\"");
    bad("10.0.0.4:9929", "can't find IP for the host \"10.0.0.4:9929\": Name or service not known");
    bad("\"\"", "is empty");
    bad(&"a".repeat(64), "too long: 64 bytes, expected at most 63");
    refused(
        "site = 10.77.0.1\nsite = 217.194.53.90\nticket = T",
        2,
        "and \"10.77.0.1\" (10.77.0.1, line 1) have the same id on the wire, 1102844285",
    );
    refused("arbitrator = 10.0.0.3\nticket = T", 2, "no site, so nobody could hold a ticket");
    refused("", 1, "no site");
}

#[test]
fn sixteen_members_fit_and_the_seventeenth_is_refused_once() {
    let sites = |count: usize| (1..=count).map(|n| format!("site = 10.0.0.{n}\n")).collect::<String>() + "ticket = T\n";
    assert_eq!(good(sites(MAX_MEMBERS)).members.len(), 16);
    refused(sites(MAX_MEMBERS + 3), 17, "too many nodes, expected at most 16");
}

#[test]
fn doubtful_things_are_warned_about_with_their_line() {
    let warned = warnings("site = 10.0.0.1\nsite = 10.0.0.2\nticket = T\n");
    assert_eq!(warned.len(), 3, "{warned:?}");
    assert!(warned[0].starts_with("/etc/booth/geo.conf:1: warning: no authfile"));
    assert!(warned[1].starts_with("/etc/booth/geo.conf:2: warning: Odd number of nodes is strongly recommended!"));
    assert!(warned[2].starts_with("/etc/booth/geo.conf:3: warning: T: acquire-after is 0"));
    assert_eq!(warnings(ticket("acquire-after = 60")), [""; 0]);
    assert_eq!(warnings(ticket("mode = manual")), [""; 0], "acquire-after means nothing for a manual ticket");
    assert!(warnings(MEMBERS)[0].starts_with("/etc/booth/geo.conf:4: warning: no ticket"));
    assert!(warnings(ticket("weights = 1,2\nacquire-after=9"))[0].contains(":6: warning: T: 2 weights for 3 members"));
    assert!(
        warnings(ticket("acquire-after=9\nbefore-acquire-handler = check db"))[0]
            .contains("check is not an absolute path")
    );
    assert!(warnings(ticket("acquire-after=9\nacquire-after = 8"))[0].contains(":7: warning: acquire-after again"));
}

#[test]
fn all_errors_come_at_once_and_in_order() {
    let text =
        "site = 10.0.0.1\ntransport = RFC1149\nport = x\nticket = a_b\nexpire = soon\nretries = 2\nticket = T\nfoo = 1";
    let errors = errors(text);
    let lines: Vec<&str> = errors.iter().filter_map(|error| error.split(':').nth(1)).collect();
    assert_eq!(lines, ["2", "3", "4", "5", "6", "8"], "{errors:#?}");
}

#[test]
fn diagnostics_are_bounded_and_the_rest_is_counted() {
    let bad = |count: usize| format!("site = 10.0.0.1\n{}", "x = 1\n".repeat(count));
    assert_eq!(errors(bad(MAX_DIAGNOSTICS)).len(), MAX_DIAGNOSTICS);
    let (_, found) = understand(bad(MAX_DIAGNOSTICS + 1));
    assert_eq!(found.last().unwrap().to_string(), "/etc/booth/geo.conf: and 1 more error");
    let (_, found) = understand(bad(100_000));
    assert_eq!(found.last().unwrap().to_string(), "/etc/booth/geo.conf: and 99900 more errors");
    assert!(found.len() <= 2 * (MAX_DIAGNOSTICS + 1));
    // Many warnings neither hide an error nor count as one.
    let many = (0..200).map(|n| format!("ticket = t{n}\n")).collect::<String>();
    refused(format!("{MEMBERS}{many}foo = 1\n"), 205, "Unknown keyword");
    assert_eq!(
        warnings(format!("{MEMBERS}{many}")).last().unwrap(),
        "/etc/booth/geo.conf: warning: and 100 more warnings"
    );
}

#[test]
fn ticket_names_are_letters_digits_dash_slash() {
    for name in ["T", "a/b-c9", "-", &"t".repeat(MAX_NAME)] {
        assert_eq!(good(format!("{MEMBERS}ticket = \"{name}\"")).tickets[0].settings.name, *name);
    }
    for name in ["a b", "a_b", "a.b", "T2 # comment", "Ä", "\"\""] {
        refused(format!("{MEMBERS}ticket = {name}"), 5, "ticket name \"");
    }
    refused(format!("{MEMBERS}ticket = {}", "t".repeat(64)), 5, "exceed the maximum ticket name length of 63");
    refused(ticket("ticket = U\nticket = T"), 7, "ticket name \"T\" used again, first in line 5");
}

#[test]
fn as_many_tickets_as_the_core_takes_and_no_more() {
    let tickets =
        |count: usize| MEMBERS.to_owned() + &(0..count).map(|n| format!("ticket = t{n}\n")).collect::<String>();
    assert_eq!(good(tickets(MAX_TICKETS)).tickets.len(), MAX_TICKETS);
    refused(tickets(MAX_TICKETS + 1), 4 + MAX_TICKETS as u32 + 1, "too many tickets, expected at most 4096");
}

#[test]
fn times_are_seconds_or_milliseconds_within_limits() {
    for key in ["expire", "timeout", "renewal-freq", "acquire-after"] {
        let too_much = MAX_TIME.0 + 1;
        for value in
            ["-1", "abc", "10s", "1.5", "0x10", "1e3", "10 ms", "10MS", "ms", "\"\"", "18446744073709551616", "2147484"]
        {
            refused(ticket(&format!("{key} = {value}")), 6, &format!("for {key}"));
        }
        refused(ticket(&format!("{key} = {too_much}ms")), 6, "at most 2147483647ms");
        refused(ticket(&format!("{key} = 18446744073709551615")), 6, "at most 2147483647ms");
        if key != "acquire-after" {
            refused(ticket(&format!("{key} = 0")), 6, "Expected time >0");
        }
    }
    let longest = good(ticket("expire = 2147483647ms\nacquire-after = 2147483647ms\nrenewal-freq = 2147483646ms"));
    assert_eq!(longest.tickets[0].settings.expire, MAX_TIME);
    assert_eq!(good(ticket("expire = 2147483")).tickets[0].settings.renewal, Millis(1_073_741_500));
    assert_eq!(good(ticket("timeout = 10ms\nretries = 3\nexpire = 2001ms")).tickets[0].settings.renewal, Millis(1_000));
}

#[test]
fn requests_must_be_given_up_before_the_next_renewal_and_that_before_the_end() {
    good(ticket("timeout = 10\nrenewal-freq = 110001ms"));
    refused(ticket("timeout = 10\nrenewal-freq = 110"), 7, "(10000*(10+1) >= 110000 ms)");
    refused(ticket("retries = 100"), 6, "(5000*(100+1) >= 300000 ms)");
    refused(ticket("timeout = 2147483647ms\nretries = 100"), 6, "cannot exceed renewal frequency");
    refused(ticket("expire = 110"), 6, "below half of expire (renewal-freq is not set): make");
    good(ticket("renewal-freq = 599"));
    // Of 600 s: 2.402 s for drift, 5 s to revoke, twice 5 s for answers.
    let late = warnings(ticket("renewal-freq = 599\nacquire-after = 9"));
    let wording = "geo.conf:6: warning: T: renewal-freq (599000 ms) is so close to expire (600000 ms)";
    assert!(late.len() == 1 && late[0].contains(wording) && late[0].contains("every 582598 ms instead"), "{late:?}");
    assert_eq!(warnings(ticket("renewal-freq = 582598ms\nacquire-after = 9")), [""; 0]);
    assert_eq!(warnings(ticket("renewal-freq = 599\nmode = manual")), [""; 0]);
    refused(ticket("renewal-freq = 600"), 6, "renewal-freq (600000 ms) is not below expire (600000 ms)");
    good(ticket("retries = 3"));
    good(ticket("retries = 100\ntimeout = 1"));
    for retries in ["2", "101", "-3", "5x", "256"] {
        refused(ticket(&format!("timeout = 1\nretries = {retries}")), 7, "in the range [3, 100] for retries");
    }
    assert_eq!(errors(ticket("expire = 1\nrenewal-freq = 1")).len(), 2, "both rules are told");
}

#[test]
fn milliseconds_go_on_the_wire_when_the_reference_would_send_them() {
    let unit = |lines: &str| good(ticket(lines)).unit;
    assert_eq!(unit("acquire-after = 2000ms"), ValidityUnit::Seconds);
    assert_eq!(unit("expire = 121"), ValidityUnit::Seconds, "half of it is not whole, but is not written");
    assert_eq!(unit("acquire-after = 1500ms"), ValidityUnit::Milliseconds);
    assert_eq!(unit("timeout = 1500ms\ntimeout = 1"), ValidityUnit::Milliseconds, "although replaced");
    assert_eq!(unit("ticket = U\nmode = manual\nexpire = 100500ms\ntimeout=4"), ValidityUnit::Milliseconds);
    assert_eq!(unit("ticket = __defaults__\nacquire-after = 1ms"), ValidityUnit::Milliseconds);
    assert_eq!(unit("ticket = \"U; 600500ms\""), ValidityUnit::Milliseconds);
}

#[test]
fn defaults_are_inherited_in_full_by_the_tickets_behind_them() {
    let configuration = good(ticket(
        "ticket = __defaults__\nexpire = 100\ntimeout = 2\nretries = 4\nrenewal-freq = 40\nacquire-after = 30\n\
         weights = 3,2,1\nbefore-acquire-handler = /bin/check it\nattr-prereq = auto a eq b\nmode = manual\n\
         ticket = U\n\
         ticket = V\nmode = automatic\nexpire = 90\nweights = 0,0,0\nattr-prereq = manual c ne d\nattr-prereq = auto e eq f\n\
         ticket = __defaults__\nexpire = 80\nticket = W",
    ));
    let names: Vec<&str> = configuration.tickets.iter().map(|ticket| ticket.settings.name.as_str()).collect();
    assert_eq!(names, ["T", "U", "V", "W"]);
    let [first, inherits, overrides, later] = &configuration.tickets[..] else { panic!() };
    assert_eq!(first.settings.expire, Millis(600_000));
    let settings = &inherits.settings;
    assert_eq!((settings.expire, settings.timeout, settings.retries), (Millis(100_000), Millis(2_000), 4));
    assert_eq!((settings.renewal, settings.acquire_after), (Millis(40_000), Millis(30_000)));
    assert_eq!(settings.weights[..4], [3, 2, 1, 0]);
    assert_eq!(settings.mode, Mode::Manual);
    assert!(settings.before_acquire && inherits.renewal_configured);
    assert_eq!(inherits.handler(HandlerKind::BeforeAcquire).unwrap().arguments, ["it"]);
    assert_eq!(settings.prerequisites.len(), 1);
    assert_eq!(overrides.settings.expire, Millis(90_000));
    assert_eq!(overrides.settings.timeout, Millis(2_000));
    assert_eq!(overrides.settings.mode, Mode::Automatic);
    assert_eq!(overrides.settings.weights[..3], [0, 0, 0]);
    let own: Vec<&str> = overrides.settings.prerequisites.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(own, ["c", "e"], "a ticket's own lines take the place of inherited ones");
    assert_eq!((later.settings.expire, later.settings.timeout), (Millis(80_000), Millis(2_000)));
}

#[test]
fn a_rule_broken_by_inherited_values_is_told_at_the_ticket() {
    refused(
        format!("{MEMBERS}ticket=__defaults__\nrenewal-freq=400\nticket=T\nexpire=300"),
        8,
        "T: renewal-freq (400000 ms)",
    );
    refused(format!("{MEMBERS}ticket=__defaults__\nrenewal-freq=700\nticket=T"), 7, "is not below expire");
}

#[test]
fn handlers_are_split_at_blanks_and_quotes_mean_nothing() {
    let handler = |value: &str| {
        good(ticket(&format!("before-acquire-handler = {value}"))).tickets[0].handlers[0].clone().unwrap()
    };
    assert_eq!(handler("/bin/check").arguments, [""; 0]);
    assert_eq!(handler("/h \ta  \"b c\" $HOME;*").arguments, ["a", "\"b", "c\"", "$HOME;*"]);
    assert_eq!(handler("\"/h x   y\"").program, Path::new("/h"));
    let long = format!("/h {}", "a".repeat(MAX_VALUE - 3));
    assert_eq!(handler(&long).arguments[0].len(), MAX_VALUE - 3);
    refused(ticket(&format!("before-acquire-handler = {long}a")), 6, "has 4097 bytes, expected at most 4096");
    refused(ticket("before-acquire-handler = ' '"), 6, "expected PROGRAM");
}

#[test]
fn the_last_resort_is_a_program_with_arguments_that_tickets_inherit() {
    let configuration = good(ticket("on-stuck-revoke = /sbin/reset  T now\nacquire-after = 60"));
    let command = configuration.tickets[0].handler(HandlerKind::StuckRevoke).unwrap();
    assert_eq!(
        (command.program.as_path(), &command.arguments[..]),
        (Path::new("/sbin/reset"), &["T", "now"].map(String::from)[..])
    );
    assert!(configuration.tickets[0].settings.on_stuck_revoke);
    assert!(describe(&configuration).contains("on-stuck-revoke /sbin/reset T now: 5 s after a lease's end\n"));
    assert!(!good(MEMBERS.to_owned() + "ticket = T").tickets[0].settings.on_stuck_revoke);

    let inherited =
        "ticket = __defaults__\non-stuck-revoke = /sbin/reset\nticket = U\nticket = V\non-stuck-revoke = /bin/other";
    let tickets = good(ticket(inherited)).tickets;
    let programs: Vec<_> =
        tickets.iter().map(|ticket| ticket.handler(HandlerKind::StuckRevoke).map(|it| it.program.clone())).collect();
    assert_eq!(programs, [None, Some("/sbin/reset".into()), Some("/bin/other".into())]);

    refused(ticket("on-stuck-revoke = ' '"), 6, "on-stuck-revoke is empty, expected PROGRAM [ARGUMENT...]");
    refused(
        ticket(&format!("on-stuck-revoke = /{}", "a".repeat(MAX_VALUE))),
        6,
        "has 4097 bytes, expected at most 4096",
    );
    refused(
        format!("{MEMBERS}on-stuck-revoke = /bin/true\nticket = T"),
        5,
        "expected behind a line that starts a ticket",
    );
}

#[test]
fn a_release_handler_is_a_program_with_arguments() {
    let configuration = good(ticket("release-handler = /usr/bin/stopped T"));
    let command = configuration.tickets[0].handler(HandlerKind::Release).unwrap();
    assert_eq!((command.program.as_path(), command.arguments.len()), (Path::new("/usr/bin/stopped"), 1));
    assert!(configuration.tickets[0].settings.release_handler);
    assert!(describe(&configuration).contains("release-handler /usr/bin/stopped T: at most 600 s after a revoke\n"));
    assert!(!good(MEMBERS.to_owned() + "ticket = T").tickets[0].settings.release_handler);
    let warned = warnings(ticket("acquire-after = 6\nmode = manual\nrelease-handler = /x"));
    assert!(warned[0].contains(":8: warning: T: release-handler is never run"), "{warned:?}");
}

#[test]
fn a_last_resort_that_cannot_help_is_warned_about() {
    let warned = |lines: &str| warnings(ticket(&format!("acquire-after = 6\n{lines}")));
    assert_eq!(warned("on-stuck-revoke = /bin/true"), [""; 0], "a second is left for it");
    // A tenth of `expire`, between one and five seconds.
    let late = |expire: &str, grace: &str, after: &str| {
        let lines =
            format!("expire = {expire}\ntimeout = 50ms\nretries = 3\nacquire-after = {after}\non-stuck-revoke = /x");
        let warned = warnings(ticket(&lines));
        assert!(
            warned.len() == 1 && warned[0].contains(":10: warning: T: on-stuck-revoke comes too late"),
            "{warned:?}"
        );
        assert!(warned[0].contains(&format!("({} ms)", after.replace("ms", ""))), "{warned:?}");
        assert!(warned[0].contains(&format!("{grace} ms after it")), "{warned:?}");
    };
    late("600", "5000", "5000ms");
    late("12", "1200", "1200ms");
    late("1", "1000", "1000ms");
    assert!(warned("mode = manual\non-stuck-revoke = /x")[0].contains(":8: warning: T: on-stuck-revoke is never run"));
    assert!(
        warned("on-stuck-revoke = reset T")[0].contains(":7: warning: T: on-stuck-revoke reset is not an absolute")
    );
    assert!(warned("on-stuck-revoke = /a\non-stuck-revoke = /b")[0].contains(":8: warning: on-stuck-revoke again"));
    let inherited = format!("{MEMBERS}ticket = __defaults__\non-stuck-revoke = /x\nmode = manual\nticket = T");
    assert!(warnings(inherited)[0].contains(":8: warning: T: on-stuck-revoke is never run"), "told at the ticket");
}

#[test]
fn prerequisites_are_scope_name_operation_value() {
    let configuration = good(ticket("attr-prereq = auto  repl\teq OK\nattr-prereq = \"manual x ne y\""));
    let [first, second] = &configuration.tickets[0].settings.prerequisites[..] else { panic!() };
    assert_eq!((first.scope, &*first.name, first.equal, &*first.value), (PrerequisiteScope::Auto, "repl", true, "OK"));
    assert_eq!((second.scope, &*second.name, second.equal), (PrerequisiteScope::Manual, "x", false));
    refused(ticket("attr-prereq = auto a eq"), 6, "not enough arguments to attr-prereq");
    refused(ticket("attr-prereq = auto a eq b c"), 6, "too many arguments to attr-prereq");
    refused(ticket("attr-prereq = never a eq b"), 6, "never is not a grant type");
    refused(ticket("attr-prereq = auto a gt b"), 6, "gt is not an attribute operation");
    refused(ticket(&format!("attr-prereq = auto {} eq b", "n".repeat(64))), 6, "has 64 bytes, expected at most 63");
    refused(ticket(&format!("attr-prereq = auto n eq {}", "v".repeat(128))), 6, "has 128 bytes, expected at most 127");
    let lines = |count: usize| ticket(&"attr-prereq = auto a eq b\n".repeat(count));
    assert_eq!(good(lines(MAX_PREREQUISITES)).tickets[0].settings.prerequisites.len(), 8);
    refused(lines(MAX_PREREQUISITES + 1), 14, "expected at most 8");
}

#[test]
fn weights_are_whole_numbers_for_each_member() {
    let weights = |value: &str| good(ticket(&format!("weights = {value}"))).tickets[0].settings.weights;
    for same in ["3,-2,1", "\"3, -2, 1\"", "3;-2;1", "3 -2 1", "3,-2,1,"] {
        assert_eq!(weights(same)[..4], [3, -2, 1, 0], "{same}");
    }
    assert_eq!(weights(&["7"; 20].join(",")), [7; 16], "what is too much is left out, with a warning");
    for bad in ["a", "1x", "1,,2", ",1", "2147483648", "1.5"] {
        refused(ticket(&format!("weights = {bad}")), 6, "No integer weight value at");
    }
}

#[test]
fn modes_are_read_in_any_case() {
    for (value, mode) in [("manual", Mode::Manual), ("MANUAL", Mode::Manual), ("Automatic", Mode::Automatic)] {
        assert_eq!(good(ticket(&format!("mode = {value}"))).tickets[0].settings.mode, mode);
    }
    refused(ticket("mode = manually"), 6, "mode \"manually\" invalid, expected manual or automatic");
}

#[test]
fn the_ticket_syntax_of_booth_0_1_works_and_says_how_to_write_it_today() {
    let text = format!("{MEMBERS}ticket=\"ticketA; 1000\"\nticket=\"tkt-A;600;1,2,2\"\nticket='B;'\n");
    let configuration = good(&text);
    let [a, b, c] = &configuration.tickets[..] else { panic!() };
    assert_eq!((&*a.settings.name, a.settings.expire), ("ticketA", Millis(1_000_000)));
    assert_eq!((&*b.settings.name, b.settings.weights[..3].to_vec()), ("tkt-A", vec![1, 2, 2]));
    assert_eq!((&*c.settings.name, c.settings.expire), ("B", Millis(600_000)));
    let notices = warnings(&text);
    assert!(notices.iter().any(|notice| notice.ends_with(
        ":6: warning: ticket in the syntax of booth 0.1; write today: ticket = \"tkt-A\", and on a line of its own: \
         expire = 600, and on a line of its own: weights = 1,2,2"
    )));
    refused(format!("{MEMBERS}ticket=\"a b;600\""), 5, "ticket name \"a b\" invalid");
    refused(format!("{MEMBERS}ticket=\"a;soon\""), 5, "expire \"soon\"");
    refused(
        format!("{MEMBERS}ticket=\"a;600;1,1,1;x\""),
        5,
        "nothing expected behind NAME; EXPIRE; WEIGHTS, found \"x\"",
    );
}

#[test]
fn the_core_is_told_what_the_file_says() {
    let configuration = good(ticket("acquire-after = 60\nallow-address-translation = yes\nmaxtimeskew = 30"));
    let settings = configuration.settings(MemberIndex(2), None, 42);
    assert_eq!(settings.members.len(), 3);
    assert_eq!(settings.members[2].kind, MemberKind::Arbitrator);
    assert_eq!(settings.members[0].id, SiteId::of_address(&[10, 0, 0, 1]));
    assert_eq!((settings.me, settings.seed, settings.any_source), (MemberIndex(2), 42, true));
    assert_eq!(settings.max_time_skew, Millis(30_000));
    let tickets: Vec<_> = configuration.ticket_settings(MemberIndex(0), "").collect();
    assert_eq!(tickets[0].acquire_after, Millis(60_000));
    assert_eq!(configuration.majority(), 2);
}

#[test]
fn a_file_may_be_long_but_not_endless() {
    let mut text = ticket("").into_bytes();
    text.resize(MAX_FILE, b'\n');
    good(&text);
    text.push(b'\n');
    refused(text, 1, "is too long, expected at most 4194304");
}

#[test]
fn the_name_is_the_stem_of_the_file_and_must_be_fit() {
    let parse_as = |path: &str| parse(ticket("").as_bytes(), Path::new(path), &mut resolver);
    assert_eq!(parse_as("/x/a.b.conf").0.unwrap().name, "a.b");
    assert_eq!(parse_as("noext").0.unwrap().name, "noext");
    let (configuration, found) = parse_as("/x/it's.conf");
    assert!(configuration.is_none());
    assert!(found[0].to_string().contains("taken where no other is written: name = NAME"), "{found:?}");
}

#[test]
fn no_input_panics_and_a_configuration_obeys_the_rules() {
    let samples: Vec<Vec<u8>> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf"))
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let pieces: [&[u8]; 12] =
        [b"=", b"\"", b"'", b"\n", b"#", b"\0", b"\xff", b";", b"ms", b"99999999999999999999", b"ticket=x\n", b"site="];
    let mut understood = 0;
    for _ in 0..3_000 {
        let mut text = samples[random(samples.len())].clone();
        for _ in 0..random(4) {
            let at = random(text.len());
            match random(3) {
                0 => text[at] = random(256) as u8,
                1 => drop(text.splice(at..at, pieces[random(pieces.len())].iter().copied())),
                _ => drop(text.drain(at..(at + random(20)).min(text.len()))),
            }
        }
        if let Some(configuration) = understand(&text).0 {
            understood += 1;
            for ticket in &configuration.tickets {
                let settings = &ticket.settings;
                assert!(settings.timeout.0 * (u64::from(settings.retries) + 1) < settings.renewal.0);
                assert!(settings.renewal < settings.expire && settings.expire <= MAX_TIME);
            }
            assert!(!describe(&configuration).is_empty());
        }
    }
    assert!(understood > 100, "only {understood} of 3000 were understood: the check has nothing to look at");
}
