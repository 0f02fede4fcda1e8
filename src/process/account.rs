//! The numbers of an account, from the system's name service.

use super::StartError;
use crate::name_service;
use nix::unistd::{Gid, Uid};
use std::fmt;

/// What an account is to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    pub uid: Uid,
    pub gid: Gid,
    /// All groups, `gid` among them.
    pub groups: Vec<Gid>,
}

/// Looks names up; numbers are taken as they are, and a user who is given as a number is in no further
/// group. The name service may block.
///
/// # Errors
/// Where there is no such user or group, or nobody who could be asked.
pub fn look_up(user: &str, group: &str) -> Result<Numbers, StartError> {
    let uid = Uid::from_raw(number("user", "passwd", user)?);
    let gid = Gid::from_raw(number("group", "group", group)?);
    let mut groups = vec![gid];
    if user.parse::<u32>().is_err() {
        let answer = name_service::ask("initgroups", user).map_err(|error| unknown("user", user, &error))?;
        let further = further_groups(answer.as_deref().unwrap_or_default()).filter(|further| *further != gid);
        groups.extend(further);
    }
    Ok(Numbers { uid, gid, groups })
}

/// The number of a user or a group: the third field of its line (passwd(5), group(5)).
fn number(kind: &str, database: &str, name: &str) -> Result<u32, StartError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let answer = name_service::ask(database, name).map_err(|error| unknown(kind, name, &error))?;
    let line = answer.ok_or_else(|| unknown(kind, name, &"there is none"))?;
    third_field(&line).ok_or_else(|| unknown(kind, name, &"the name service gives no number for it"))
}

fn third_field(line: &str) -> Option<u32> {
    line.lines().next()?.split(':').nth(2)?.parse().ok()
}

/// The groups of a line `NAME GROUP...`.
fn further_groups(line: &str) -> impl Iterator<Item = Gid> + '_ {
    line.split_whitespace().skip(1).filter_map(|group| group.parse().ok()).map(Gid::from_raw)
}

fn unknown(kind: &str, name: &str, why: &dyn fmt::Display) -> StartError {
    StartError(format!(
        "{kind} \"{name}\": {why}; create it, or name another, or its number, in the configuration (site-{kind}, \
         arbitrator-{kind})"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_and_numbers_are_accounts_and_unknown_names_are_told() {
        let root = look_up("root", "root").unwrap();
        assert_eq!((root.uid.as_raw(), root.gid.as_raw()), (0, 0));
        assert!(root.groups.contains(&Gid::from_raw(0)));
        assert_eq!(look_up("0", "17").unwrap().groups, [Gid::from_raw(17)]);
        let error = look_up("no-such-user", "root").unwrap_err().to_string();
        assert!(error.starts_with("user \"no-such-user\": there is none; create it"), "{error}");
        assert!(look_up("root", "no-such-group").is_err());
    }

    #[test]
    fn lines_of_the_name_service_are_read_and_what_is_none_is_not() {
        assert_eq!(third_field("hacluster:x:108:114::/var/lib/pacemaker:/usr/sbin/nologin\n"), Some(108));
        assert_eq!(third_field("haclient:x:114:\n"), Some(114));
        for none in ["", "hacluster", "a:b", "a:b:-1:", "a:b:4294967296:"] {
            assert_eq!(third_field(none), None, "{none}");
        }
        let groups: Vec<u32> = further_groups("hacluster             114 65534 x\n").map(Gid::as_raw).collect();
        assert_eq!(groups, [114, 65_534]);
        assert_eq!(further_groups("").count(), 0);
    }
}
