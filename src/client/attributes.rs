//! `geostore`: the geo attributes of a ticket at a site.

use super::connection::Answer;
use super::listing::no_text;
use super::request::{Busy, Question};
use super::{Client, Failure, unknown_ticket};
use crate::cli::{AttributeAction, SUCCESS};
use crate::config::Member;
use booth_core::member::MemberKind;
use booth_core::wire::{Command, Outcome};

impl Client<'_> {
    /// Does what `geostore` was asked; gives the exit status.
    pub(super) fn attribute(
        &self,
        site: Option<&str>,
        ticket: Option<&str>,
        change: &AttributeAction,
    ) -> Result<u8, Failure> {
        let ticket = self.ticket(ticket)?;
        let member = self.member(site)?;
        if member.kind == MemberKind::Arbitrator {
            let text = format!("{} is just an arbitrator, no attributes there.", member.address);
            return Err(Failure::Refused(text));
        }
        let (command, name, value) = match change {
            AttributeAction::List => (Command::AttributeList, "", ""),
            AttributeAction::Get { name } => (Command::AttributeGet, name.as_str(), ""),
            AttributeAction::Set { name, value } => (Command::AttributeSet, name.as_str(), value.as_str()),
            AttributeAction::Delete { name } => (Command::AttributeDelete, name.as_str(), ""),
        };
        let question = Question::about_attribute(command, ticket, name, value);
        let timeout = self.timeout(Some(ticket));
        let mut busy = Busy::until(Some(timeout));
        let outcome = loop {
            match self.answer(member, &question, timeout)? {
                Answer::Text(text) => return Ok(self.console.print(&text)),
                Answer::Result { header, .. } if header.outcome == Outcome::Busy => busy.pause(member, ticket)?,
                Answer::Result { header, .. } => break header.outcome,
            }
        };
        match outcome {
            Outcome::Success | Outcome::SyncSuccess => {
                if command == Command::AttributeSet {
                    self.console.info("set succeeded!");
                }
                Ok(SUCCESS)
            }
            other => Err(refused(member, ticket, name, other)),
        }
    }
}

fn refused(member: &Member, ticket: &str, name: &str, outcome: Outcome) -> Failure {
    match outcome {
        Outcome::InvalidArgument => unknown_ticket(ticket),
        Outcome::NoSuchAttribute => Failure::Refused(format!("attribute {name:?} not set")),
        Outcome::SyncFail => Failure::Refused(format!("{}: the store has failed; see the log there", member.address)),
        other => no_text(member, other),
    }
}
