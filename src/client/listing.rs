//! `list` and `peers`: text that the daemon has written.

use super::connection::Answer;
use super::request::Question;
use super::{Client, Failure, table};
use crate::cli::Program;
use crate::config::Member;
use booth_core::wire::{Command, Outcome};

impl Client<'_> {
    /// Prints who holds which ticket.
    pub(super) fn list(&self, site: Option<&str>) -> Result<u8, Failure> {
        let text = self.text(site, Command::ClientList)?;
        if self.program == Program::Boothctl && self.console.is_terminal() {
            return Ok(self.console.print(&table::tickets(&text)));
        }
        Ok(self.console.print(&text))
    }

    /// Prints what was heard from the other members.
    pub(super) fn peers(&self, site: Option<&str>) -> Result<u8, Failure> {
        let text = self.text(site, Command::ClientPeers)?;
        Ok(self.console.print(&text))
    }

    fn text(&self, site: Option<&str>, command: Command) -> Result<String, Failure> {
        let member = self.member(site)?;
        match self.answer(member, &Question::about_ticket(command, "", 0), self.timeout(None))? {
            Answer::Text(text) => Ok(text),
            Answer::Result { header, .. } => Err(no_text(member, header.outcome)),
        }
    }
}

/// The failure when text was asked for and something else came.
pub(super) fn no_text(member: &Member, outcome: Outcome) -> Failure {
    let address = member.address;
    Failure::Refused(match outcome {
        Outcome::AuthenticationFailed => {
            format!("{address}: failed to authenticate; is the authfile the same there and here?")
        }
        other => format!("{address}: refused ({other:?})"),
    })
}
