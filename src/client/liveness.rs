//! Does the daemon of this node live? Not whether there is a process: whether it answers.
//!
//! Asked is only who holds the lock file on this node: first at the control socket beside it, and where there
//! is none (the reference has none) by a `list` at the address that stands in the lock file. A daemon of the
//! same site on another node is not asked; what it holds it renews, and the store shows that.

use super::Client;
use super::request::Question;
use crate::control;
use crate::process::lockfile::{self, Inspection};
use booth_core::wire::Command;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    /// It answers.
    Answers,
    /// This process holds the lock and does not answer; 0 where its number is not known.
    Silent(i32),
    /// Nobody holds the lock.
    NotRunning,
}

impl Client<'_> {
    /// Asks the daemon with this lock file, for twice `patience` at most.
    pub(super) fn liveness(&self, lock_file: &Path, patience: Duration) -> Liveness {
        let (pid, line) = match lockfile::inspect(lock_file) {
            Ok(Inspection::NotRunning) => return Liveness::NotRunning,
            Ok(Inspection::Running { pid, line }) => (pid, line),
            // What cannot be told is no sign of life.
            Err(error) => {
                self.console.error(&error.to_string());
                return Liveness::Silent(0);
            }
        };
        let answers = match control::ask(&control::path_beside(lock_file), "version", patience) {
            Ok(_) => true,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {
                self.answers_list(&line, patience)
            }
            Err(_) => false,
        };
        if answers { Liveness::Answers } else { Liveness::Silent(pid) }
    }

    fn answers_list(&self, line: &str, patience: Duration) -> bool {
        let Some(address) = address(line) else { return false };
        let Some(member) = self.config.members.iter().find(|member| member.address == address) else { return false };
        self.answer(member, &Question::about_ticket(Command::ClientList, "", 0), patience).is_ok()
    }
}

/// The address in a lock file's line: `... booth_addr_string='10.0.0.1' ...`.
fn address(line: &str) -> Option<IpAddr> {
    let (_, rest) = line.split_once("booth_addr_string='")?;
    rest.split_once('\'')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::address;

    #[test]
    fn the_address_is_taken_from_the_lock_files_line_and_nothing_else_is() {
        let line = "booth_pid=7 booth_state=started booth_type=site booth_cfg_name='booth' booth_id=1 \
                    booth_addr_string='10.0.0.1' booth_port=9929";
        assert_eq!(address(line), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(address(&line.replace("10.0.0.1", "fd00::1")), Some("fd00::1".parse().unwrap()));
        for bad in ["", "booth_addr_string=10.0.0.1", "booth_addr_string='10.0.0.1", "booth_addr_string='x'"] {
            assert_eq!(address(bad), None, "{bad}");
        }
    }
}
