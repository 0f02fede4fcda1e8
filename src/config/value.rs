//! Values of single keys: text to a checked value, or a sentence that names the value and says what
//! was expected. Pure; knows nothing of files, lines or other keys.

use super::diagnostic::Shown;
use super::{Handler, Store};
use booth_core::settings::{MAX_NAME, MAX_VALUE, Mode, Name, Prerequisite, PrerequisiteScope, Value};
use booth_core::time::Millis;
use std::net::IpAddr;
use std::path::PathBuf;

/// The longest time a key may name; the reference takes no more (a signed 32-bit number of ms).
pub const MAX_TIME: Millis = Millis(2_147_483_647);
/// `retries` may be this at least.
pub const MIN_RETRIES: u8 = 3;
/// `retries` may be this at most.
pub const MAX_RETRIES: u8 = 100;
/// The longest host name of a member, in bytes.
const MAX_HOST: usize = 63;
/// The longest path, in bytes (PATH_MAX without its NUL).
const MAX_PATH: usize = 4095;
/// The longest user or group name, in bytes.
const MAX_ACCOUNT: usize = 255;

/// A value, or what is wrong with it.
pub(super) type Checked<T> = Result<T, String>;

/// `N` seconds or `Nms`; `least` is 0 or 1 ms.
pub(super) fn time(key: &str, value: &str, least: Millis) -> Checked<Millis> {
    let number = value.strip_suffix("ms");
    let factor = if number.is_some() { 1 } else { 1000 };
    integer::<u64>(number.unwrap_or(value))
        .and_then(|count| count.checked_mul(factor))
        .map(Millis)
        .filter(|time| *time >= least && *time <= MAX_TIME)
        .ok_or_else(|| {
            let sign = if least == Millis(0) { ">=0" } else { ">0" };
            format!(
                "{key} \"{}\" is not a valid time. Expected time {sign} for {key}: N (seconds) or Nms, at most {}ms",
                Shown(value),
                MAX_TIME.0
            )
        })
}

/// A plain whole number from `least` to `most`.
pub(super) fn number<T>(key: &str, value: &str, least: T, most: T) -> Checked<T>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy,
{
    integer::<T>(value).filter(|number| *number >= least && *number <= most).ok_or_else(|| {
        format!(
            "{key} \"{}\" is out of range. Expected plain integer value in the range [{least}, {most}] for {key}",
            Shown(value)
        )
    })
}

fn integer<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// `yes` or `no`.
pub(super) fn yes_or_no(key: &str, value: &str) -> Checked<bool> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(format!("{key} \"{}\" invalid, expected yes or no", Shown(value))),
    }
}

/// The only transport there is.
pub(super) fn transport(value: &str) -> Checked<()> {
    if value.eq_ignore_ascii_case("UDP") {
        Ok(())
    } else {
        Err(format!("invalid transport protocol \"{}\", expected UDP", Shown(value)))
    }
}

/// A ticket's name: letters, digits, `-`, `/`.
pub(super) fn ticket_name(value: &str) -> Checked<Name> {
    if let Some(wrong) = value.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-' && *c != '/') {
        return Err(format!(
            "ticket name \"{}\" invalid; only alphanumeric names: {wrong:?} found, expected letters, digits, '-', '/'",
            Shown(value)
        ));
    }
    if value.is_empty() {
        return Err(format!("ticket name \"\" invalid; expected 1 to {MAX_NAME} letters, digits, '-', '/'"));
    }
    Name::try_from(value).map_err(|_| {
        format!(
            "ticket name \"{}\" too long: {} bytes exceed the maximum ticket name length of {MAX_NAME}",
            Shown(value),
            value.len()
        )
    })
}

/// The name of a configuration. It becomes a file name and stands between quotes in a status line.
pub(super) fn configuration_name(value: &str) -> Checked<String> {
    super::argument::Argument::ConfigurationName.check(value).map_err(|error| error.to_string())?;
    let wrong = |c: char| c.is_control() || matches!(c, '/' | '"' | '\'');
    if value.is_empty() || value == "." || value == ".." || value.contains(wrong) {
        return Err(format!("name \"{}\" invalid, expected a file name without '/' and quotes", Shown(value)));
    }
    Ok(value.to_owned())
}

/// An address that a daemon can bind and its peers can send to; IPv4 written as IPv6 is IPv4.
pub(super) fn member_address(address: IpAddr) -> Result<IpAddr, &'static str> {
    let address = address.to_canonical();
    if address.is_unspecified() {
        Err("is the unspecified address, expected the address of one host")
    } else if address.is_multicast() {
        Err("is a multicast address, expected the address of one host")
    } else if address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST) {
        Err("is the broadcast address, expected the address of one host")
    } else if matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()) {
        Err("is a link-local address, which means nothing on other hosts; expected a routed address")
    } else {
        Ok(address)
    }
}

/// What may stand behind `site` and `arbitrator`, before it is looked up.
pub(super) fn host(value: &str) -> Checked<&str> {
    if value.is_empty() {
        Err("site address \"\" is empty, expected an IP address or a host name".to_owned())
    } else if value.len() > MAX_HOST {
        let length = value.len();
        Err(format!("site address \"{}\" too long: {length} bytes, expected at most {MAX_HOST}", Shown(value)))
    } else {
        Ok(value)
    }
}

/// A path, which is neither empty nor longer than the system takes.
pub(super) fn path(key: &str, value: &str) -> Checked<PathBuf> {
    if value.is_empty() {
        Err(format!("{key} is empty, expected a path; to do without it, leave the line out"))
    } else if value.len() > MAX_PATH {
        Err(format!("{key} too long: {} bytes, expected a path of at most {MAX_PATH}", value.len()))
    } else {
        Ok(PathBuf::from(value))
    }
}

fn absolute_path(key: &str, value: &str) -> Checked<PathBuf> {
    let path = path(key, value)?;
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(format!("{key} \"{}\" is a relative path, expected an absolute one", Shown(value)))
    }
}

/// `-` (`None`: no journal) or an absolute path.
pub(super) fn journal(value: &str) -> Checked<Option<PathBuf>> {
    if value == "-" { Ok(None) } else { absolute_path("journal", value).map(Some) }
}

/// `pacemaker` or `file:` and an absolute path.
pub(super) fn store(value: &str) -> Checked<Store> {
    if value == "pacemaker" {
        return Ok(Store::Pacemaker);
    }
    match value.strip_prefix("file:") {
        Some(directory) => absolute_path("store", directory).map(Store::File),
        None => Err(format!("store \"{}\" invalid, expected pacemaker or file:/DIRECTORY", Shown(value))),
    }
}

/// The name of a user or a group; whether there is one is not asked here.
pub(super) fn account(key: &str, value: &str) -> Checked<String> {
    if value.is_empty() || value.len() > MAX_ACCOUNT {
        let length = value.len();
        return Err(format!("{key} has {length} bytes, expected a name of 1 to {MAX_ACCOUNT}"));
    }
    Ok(value.to_owned())
}

/// `manual` or `automatic`.
pub(super) fn mode(value: &str) -> Checked<Mode> {
    if value.eq_ignore_ascii_case("manual") {
        Ok(Mode::Manual)
    } else if value.eq_ignore_ascii_case("automatic") || value.eq_ignore_ascii_case("auto") {
        Ok(Mode::Automatic)
    } else {
        Err(format!("mode \"{}\" invalid, expected manual or automatic", Shown(value)))
    }
}

/// Whole numbers between commas (or semicolons, or blanks), one for each member.
pub(super) fn weights(value: &str) -> Checked<Vec<i32>> {
    let list = value.trim().trim_end_matches([',', ';']);
    let wrong = |part: &str| {
        format!("No integer weight value at \"{}\", expected a list like 2,1,0 in order of members", Shown(part))
    };
    let mut weights = Vec::new();
    for part in list.split([',', ';']) {
        if part.trim().is_empty() {
            return Err(wrong(part));
        }
        for word in part.split_whitespace() {
            weights.push(integer::<i32>(word).ok_or_else(|| wrong(word))?);
        }
    }
    Ok(weights)
}

/// A program and its arguments, separated by blanks; quotes mean nothing, and no shell sees it.
pub(super) fn handler(line: u32, key: &str, value: &str) -> Checked<Handler> {
    let mut words = value.split_whitespace();
    let program = words.next().ok_or_else(|| format!("{key} is empty, expected PROGRAM [ARGUMENT...]"))?;
    Ok(Handler { program: path(key, program)?, arguments: words.map(str::to_owned).collect(), line })
}

/// `auto|manual NAME eq|ne VALUE`.
pub(super) fn prerequisite(value: &str) -> Checked<Prerequisite> {
    const EXPECTED: &str = "expected auto|manual NAME eq|ne VALUE";
    let words: Vec<&str> = value.split_whitespace().take(5).collect();
    let [scope, name, operation, wanted] = words[..] else {
        let count = if words.len() < 4 { "not enough" } else { "too many" };
        return Err(format!("{count} arguments to attr-prereq, {EXPECTED}"));
    };
    let scope = match scope {
        "auto" => PrerequisiteScope::Auto,
        "manual" => PrerequisiteScope::Manual,
        _ => return Err(format!("{} is not a grant type, {EXPECTED}", Shown(scope))),
    };
    let equal = match operation {
        "eq" => true,
        "ne" => false,
        _ => return Err(format!("{} is not an attribute operation, {EXPECTED}", Shown(operation))),
    };
    let too_long = |what: &str, text: &str, most: usize| {
        format!("attr-prereq: {what} \"{}\" has {} bytes, expected at most {most}", Shown(text), text.len())
    };
    Ok(Prerequisite {
        scope,
        name: Name::try_from(name).map_err(|_| too_long("attribute name", name, MAX_NAME))?,
        equal,
        value: Value::try_from(wanted).map_err(|_| too_long("attribute value", wanted, MAX_VALUE))?,
    })
}
