//! The numbers of an account, from the system's name service.
//!
//! It is asked in a child process. Its modules stay loaded once they have been used: on Debian 12
//! libnss_systemd, libm and libcap are 0.7 MB, a quarter of all that the daemon has in memory.

use super::StartError;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Gid, Group, Uid, User, fork, getgrouplist, pipe2};
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};

/// The most bytes of the child's answer: 65,536 groups (NGROUPS_MAX) of ten digits, and more.
const MAX_ANSWER: u64 = 1 << 20;
/// What the child's answer starts with: numbers, or why there are none.
const FOUND: char = '+';
const FAILED: char = '-';

/// What an account is to the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers {
    pub uid: Uid,
    pub gid: Gid,
    /// All groups, `gid` among them.
    pub groups: Vec<Gid>,
}

/// Looks names up; numbers are taken as they are. The name service may block.
///
/// To be called while the process has one thread: the child is a copy of it that goes on to run code.
///
/// # Errors
/// Where there is no such user or group, or no process can be made.
pub fn look_up(user: &str, group: &str) -> Result<Numbers, StartError> {
    let failed = |error: std::io::Error| StartError(format!("cannot look up user \"{user}\": {error}"));
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).map_err(|error| failed(error.into()))?;
    // SAFETY: the process has one thread (contract above), so the child may do anything.
    match unsafe { fork() }.map_err(|error| failed(error.into()))? {
        ForkResult::Child => {
            let answer = match ask(user, group) {
                Ok(numbers) => numbers.to_text(),
                Err(error) => format!("{FAILED}{error}"),
            };
            let written = File::from(writer).write_all(answer.as_bytes());
            // SAFETY: always safe; what the parent has left to do at its exit is not done twice.
            unsafe { libc::_exit(i32::from(written.is_err())) }
        }
        ForkResult::Parent { child } => {
            drop(writer);
            let mut answer = String::new();
            let read = File::from(reader).take(MAX_ANSWER).read_to_string(&mut answer);
            // It has ended, or writes more than it may and is ended by the closed pipe.
            let _ = waitpid(child, None);
            read.map_err(failed)?;
            match answer.strip_prefix(FAILED) {
                Some(error) => Err(StartError(error.to_owned())),
                None => Numbers::parse(&answer).ok_or_else(|| failed(std::io::ErrorKind::UnexpectedEof.into())),
            }
        }
    }
}

/// Asks the name service in this process.
fn ask(user: &str, group: &str) -> Result<Numbers, StartError> {
    let uid = match user.parse::<u32>() {
        Ok(number) => Some(Uid::from_raw(number)),
        Err(_) => User::from_name(user).map_err(|error| unknown("user", user, error))?.map(|user| user.uid),
    };
    let gid = match group.parse::<u32>() {
        Ok(number) => Some(Gid::from_raw(number)),
        Err(_) => Group::from_name(group).map_err(|error| unknown("group", group, error))?.map(|group| group.gid),
    };
    let uid = uid.ok_or_else(|| unknown("user", user, Errno::ENOENT))?;
    let gid = gid.ok_or_else(|| unknown("group", group, Errno::ENOENT))?;
    let name = CString::new(user).map_err(|_| unknown("user", user, Errno::EINVAL))?;
    let groups = getgrouplist(&name, gid).map_err(|error| unknown("user", user, error))?;
    Ok(Numbers { uid, gid, groups })
}

fn unknown(kind: &str, name: &str, error: Errno) -> StartError {
    let why = match error {
        Errno::ENOENT => "there is none".to_owned(),
        error => std::io::Error::from(error).to_string(),
    };
    StartError(format!(
        "{kind} \"{name}\": {why}; create it, or name another in the configuration (site-{kind}, arbitrator-{kind})"
    ))
}

impl Numbers {
    fn to_text(&self) -> String {
        let groups: String = self.groups.iter().map(|group| format!(" {group}")).collect();
        format!("{FOUND}{} {}{groups}\n", self.uid, self.gid)
    }

    /// `None` for what is not all of an answer.
    fn parse(text: &str) -> Option<Numbers> {
        let text = text.strip_prefix(FOUND)?.strip_suffix('\n')?;
        let numbers: Option<Vec<u32>> = text.split(' ').map(|number| number.parse().ok()).collect();
        let [uid, gid, ref groups @ ..] = numbers?[..] else { return None };
        let groups = groups.iter().copied().map(Gid::from_raw).collect();
        Some(Numbers { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), groups })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_and_numbers_are_accounts_and_unknown_names_are_told() {
        let root = ask("root", "root").unwrap();
        assert_eq!((root.uid.as_raw(), root.gid.as_raw()), (0, 0));
        assert!(root.groups.contains(&Gid::from_raw(0)));
        assert_eq!(ask("0", "17").map(|numbers| numbers.gid), Ok(Gid::from_raw(17)));
        let error = ask("no-such-user", "root").unwrap_err().to_string();
        assert!(error.starts_with("user \"no-such-user\": there is none; create it"), "{error}");
        assert!(ask("root", "no-such-group").is_err());
    }

    #[test]
    fn an_answer_comes_back_as_it_went_and_a_part_of_it_is_none() {
        let groups = [5, 65_534].map(Gid::from_raw).to_vec();
        let numbers = Numbers { uid: Uid::from_raw(7), gid: Gid::from_raw(5), groups };
        let text = numbers.to_text();
        for end in 0..text.len() {
            assert_eq!(Numbers::parse(&text[..end]), None, "{end}");
        }
        assert_eq!(Numbers::parse(&text), Some(numbers));
    }
}
