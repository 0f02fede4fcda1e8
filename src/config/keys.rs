//! The table of keys. The parser reads it to know a key from a mistake, error messages list it, and
//! tests/manual.rs holds booth.conf(5) to it.

/// Where a key may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In front of the tickets; behind one it is taken as well, as the reference does.
    Global,
    /// Behind a line that starts a ticket or `__defaults__`.
    Ticket,
}

/// How a key is spelled, and what it is without a line.
#[derive(Debug)]
pub struct KeySpec {
    /// Its name.
    pub name: &'static str,
    /// Where it may stand.
    pub place: Place,
    /// What its value is called.
    pub value: &'static str,
    /// What holds without it: a value that could be written, or words in brackets.
    pub default: &'static str,
    /// Whether only `boothd` takes it. The reference refuses such a file.
    pub ours: bool,
}

const fn global(name: &'static str, value: &'static str, default: &'static str) -> KeySpec {
    KeySpec { name, place: Place::Global, value, default, ours: false }
}

const fn ticket(name: &'static str, value: &'static str, default: &'static str) -> KeySpec {
    KeySpec { name, place: Place::Ticket, value, default, ours: false }
}

const fn ours(known: KeySpec) -> KeySpec {
    KeySpec { ours: true, ..known }
}

/// Every key but `ticket`, in the order in which people are told of them.
pub const KEYS: &[KeySpec] = &[
    global("transport", "UDP", "UDP"),
    global("port", "PORT", "9929"),
    global("name", "NAME", "(the file's name without its ending)"),
    global("authfile", "FILE", "(none)"),
    global("maxtimeskew", "SECONDS", "600"),
    global("debug", "NUMBER", "0"),
    global("site", "ADDRESS", "(none)"),
    global("arbitrator", "ADDRESS", "(none)"),
    global("site-user", "USER", "hacluster"),
    global("site-group", "GROUP", "haclient"),
    global("arbitrator-user", "USER", "nobody"),
    global("arbitrator-group", "GROUP", "(nobody, or nogroup where that does not exist)"),
    ours(global("store", "pacemaker|file:DIRECTORY", "pacemaker")),
    ours(global("journal", "FILE|-", "(/var/lib/booth/NAME.journal)")),
    ours(global("allow-address-translation", "yes|no", "no")),
    ours(global("kdump-listen", "[ADDRESS:]PORT", "(none: nobody listens)")),
    ours(global("kdump-interval", "TIME", "10")),
    ours(global("kdump-lookback", "TIME", "0")),
    ours(global("kdump-key", "NODE FILE", "(none)")),
    ours(global("kdump-require-auth", "yes|no", "no")),
    ticket("expire", "TIME", "600"),
    ticket("timeout", "TIME", "5"),
    ticket("retries", "NUMBER", "10"),
    ticket("renewal-freq", "TIME", "(half of expire)"),
    ticket("acquire-after", "TIME", "0"),
    ticket("weights", "NUMBER,NUMBER...", "(all 0)"),
    ticket("before-acquire-handler", "PROGRAM [ARGUMENT...]", "(none)"),
    ours(ticket("release-handler", "PROGRAM [ARGUMENT...]", "(none)")),
    ours(ticket("on-stuck-revoke", "PROGRAM [ARGUMENT...]", "(none)")),
    ours(ticket("crash-release", "SITE NODE...", "(none: a lease is waited for)")),
    ticket("attr-prereq", "auto|manual NAME eq|ne VALUE", "(none)"),
    ticket("mode", "automatic|manual", "automatic"),
];

/// The key of this name.
pub fn key(name: &str) -> Option<&'static KeySpec> {
    KEYS.iter().find(|spec| spec.name == name)
}

/// The names of the keys that may stand here, with commas between.
pub(super) fn names(place: Place) -> String {
    let names = KEYS.iter().filter(|spec| spec.place == place).map(|spec| spec.name);
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use std::path::Path;

    /// What the parser says of a file with this line in its place.
    fn understood(place: Place, line: &str) -> (String, String) {
        let (global, ticket) = if place == Place::Global { (line, "#") } else { ("#", line) };
        let text = format!("site=192.0.2.1\nsite=192.0.2.2\narbitrator=192.0.2.3\n{global}\nticket=T\n{ticket}\n");
        let (configuration, found) = parse(text.as_bytes(), Path::new("/etc/booth/b.conf"), &mut |_| Ok(Vec::new()));
        (format!("{configuration:?}"), format!("{found:?}"))
    }

    #[test]
    fn every_key_is_known_in_its_place_and_its_default_is_what_holds_without_it() {
        for spec in KEYS {
            let (_, found) = understood(spec.place, &format!("{} = ?", spec.name));
            assert!(!found.contains("keyword"), "{}: {found}", spec.name);
            if !spec.default.starts_with('(') {
                let (without, _) = understood(spec.place, "#");
                let (written, found) = understood(spec.place, &format!("{} = {}", spec.name, spec.default));
                assert_eq!(written, without, "{}: {found}", spec.name);
            }
        }
        let (_, found) = understood(Place::Global, "expire = 600");
        assert!(found.contains("expected behind a line that starts a ticket"), "{found}");
        let (_, found) = understood(Place::Ticket, "expires = 600");
        assert!(found.contains("Unknown keyword") && found.contains("renewal-freq, acquire-after"), "{found}");
    }
}
