//! `grant` and `revoke`: a request that moves a ticket, followed to its end.
//!
//! The daemon says `More` when it has begun, then how it went; a member that does not lead the ticket
//! says who does. How long each answer is waited for: `timeout` for the first one, then as long as an
//! honest daemon may need (each of its tries may take a `timeout`), for ever only with `-w`.

use super::connection::{Answer, Fault, Patience};
use super::request::{Busy, IMMEDIATE, Question, WAIT, WAIT_FOR_COMMIT, failure};
use super::{Client, Failure, span, unknown_ticket};
use crate::cli::{Action, FAILURE, SUCCESS};
use crate::config::Member;
use booth_core::sink::HandlerKind;
use booth_core::wire::{Command, LeaderField, Outcome};
use std::time::Duration;

/// How often a request is sent on to another site. One is enough unless the ticket moves meanwhile.
const MAX_REDIRECTS: usize = 4;

/// A request to move a ticket.
struct Move<'t> {
    command: Command,
    ticket: &'t str,
    options: u32,
}

/// Where a request goes on.
enum Next<'a> {
    /// It is done; the exit status.
    Done(u8),
    /// Another site has the ticket.
    Ask(&'a Member),
    /// The same site, a little later: it has just started, or is at it already.
    Again,
}

impl<'a> Client<'a> {
    /// Grants or revokes; gives the exit status.
    pub(super) fn move_ticket(&self, site: Option<&str>, action: &Action) -> Result<u8, Failure> {
        let Some(request) = Move::of(action) else { return Ok(FAILURE) };
        let ticket = self.ticket((!request.ticket.is_empty()).then_some(request.ticket))?;
        let request = Move { ticket, ..request };
        let mut member = self.site(site)?;
        let mut redirects = 0;
        let mut told = false;
        let mut busy = Busy::until(if request.has(WAIT) { None } else { Some(self.timeout(Some(ticket))) });
        loop {
            match self.follow(member, &request, &mut told)? {
                Next::Done(status) => return Ok(status),
                Next::Ask(other) if redirects < MAX_REDIRECTS => {
                    redirects += 1;
                    member = other;
                }
                Next::Ask(_) => {
                    let text = format!("gave up after {MAX_REDIRECTS} redirects, the last one to {}", member.address);
                    return Err(Failure::Refused(text));
                }
                Next::Again => busy.pause(member, ticket)?,
            }
        }
    }

    /// Asks one member and waits for its last answer. `told`: the user knows that it may take a while.
    fn follow(&self, member: &Member, request: &Move<'_>, told: &mut bool) -> Result<Next<'a>, Failure> {
        let question = Question::about_ticket(request.command, request.ticket, request.options);
        let timeout = self.timeout(Some(request.ticket));
        let mut connection = self.ask(member, &question, timeout)?;
        let mut patience = request.first_patience(timeout);
        loop {
            let answer = connection.receive(patience).map_err(|fault| unanswered(member, request, fault))?;
            let Answer::Result { header, leader } = answer else {
                return Err(Failure::Refused(format!("{} answered with text", member.address)));
            };
            match header.outcome {
                Outcome::Redirect => return self.redirect(member, leader).map(Next::Ask),
                Outcome::Busy => return Ok(Next::Again),
                Outcome::More if *told => {}
                Outcome::More => {
                    *told = true;
                    self.console.info(&format!("{} request sent, waiting for the result ...", request.verb()));
                }
                Outcome::CommitPending if request.has(WAIT_FOR_COMMIT) => {
                    self.console.info(&format!("{} succeeded (CIB commit pending)", request.verb()));
                    self.console.info("waiting for the CIB commit ...");
                }
                last => return self.finish(member, request, last).map(Next::Done),
            }
            patience = self.later_patience(request);
        }
    }

    /// Says how the request has ended; gives the exit status.
    fn finish(&self, member: &Member, request: &Move<'_>, outcome: Outcome) -> Result<u8, Failure> {
        let (verb, ticket) = (request.verb(), request.ticket);
        let (status, text) = match outcome {
            Outcome::Success | Outcome::SyncSuccess => (SUCCESS, format!("{verb} succeeded!")),
            Outcome::CommitPending => (SUCCESS, format!("{verb} succeeded (CIB commit pending)")),
            Outcome::ProbablySuccess => (SUCCESS, format!("{verb} probably succeeded; see \"booth list\"")),
            Outcome::Asynchronous => (
                SUCCESS,
                "Giving up on waiting for the definite result. Please use \"booth list\" later to see the outcome.".into(),
            ),
            Outcome::TicketIdle => (SUCCESS, "ticket is not owned".into()),
            Outcome::Overgrant => (
                FAILURE,
                "You're granting a granted ticket. If you wanted to migrate a ticket, use revoke first, then use grant."
                    .into(),
            ),
            refusal => return Err(refused(member, verb, ticket, refusal)),
        };
        self.console.info(&text);
        Ok(status)
    }

    fn redirect(&self, from: &Member, to: LeaderField) -> Result<&'a Member, Failure> {
        let id = match to {
            LeaderField::Member(id) => Some(id),
            _ => None,
        };
        let found = id.and_then(|id| self.config.members.iter().find(|member| member.id == id));
        found.ok_or_else(|| {
            let text =
                "names a site to ask that the configuration here does not know; are the configurations the same?";
            Failure::Refused(format!("{} {text}", from.address))
        })
    }

    /// How long to wait once the daemon has begun: its tries, and where there is one, the handler or
    /// the commit delay, both of which the ticket's own times bound.
    fn later_patience(&self, request: &Move<'_>) -> Patience {
        if request.has(WAIT) {
            return None;
        }
        let Some(ticket) = self.settings(request.ticket) else {
            return Some(self.timeout(None) * u32::from(crate::config::MIN_RETRIES));
        };
        let settings = &ticket.settings;
        let mut patience = span(settings.timeout) * (u32::from(settings.retries) + 1);
        if request.has(WAIT_FOR_COMMIT) || ticket.handler(HandlerKind::BeforeAcquire).is_some() {
            patience += span(settings.expire + settings.acquire_after);
        }
        Some(patience)
    }
}

impl<'t> Move<'t> {
    fn of(action: &'t Action) -> Option<Move<'t>> {
        let flag = |given: bool, flag: u32| if given { flag } else { 0 };
        match action {
            Action::Grant { ticket, immediate, wait, commit } => Some(Move {
                command: Command::ClientGrant,
                ticket: ticket.as_deref().unwrap_or_default(),
                options: flag(*immediate, IMMEDIATE) | flag(*wait, WAIT) | flag(*commit, WAIT_FOR_COMMIT),
            }),
            Action::Revoke { ticket, wait } => Some(Move {
                command: Command::ClientRevoke,
                ticket: ticket.as_deref().unwrap_or_default(),
                options: flag(*wait, WAIT),
            }),
            Action::List | Action::Peers | Action::Attribute { .. } => None,
        }
    }

    fn verb(&self) -> &'static str {
        if self.command == Command::ClientRevoke { "revoke" } else { "grant" }
    }

    fn has(&self, option: u32) -> bool {
        self.options & option != 0
    }

    fn first_patience(&self, timeout: Duration) -> Patience {
        if self.has(WAIT) { None } else { Some(timeout) }
    }
}

/// A daemon that has the request but says nothing may still do it.
fn unanswered(member: &Member, request: &Move<'_>, fault: Fault) -> Failure {
    match fault {
        Fault::Silent(_) | Fault::Closed | Fault::Broken(_) => {
            let known = failure(member, fault);
            Failure::Refused(format!("{known}; the {} may take place all the same, see \"booth list\"", request.verb()))
        }
        other => failure(member, other),
    }
}

fn refused(member: &Member, verb: &str, ticket: &str, outcome: Outcome) -> Failure {
    let address = member.address;
    Failure::Refused(match outcome {
        Outcome::InvalidArgument => return unknown_ticket(ticket),
        Outcome::HandlerFailed => format!("before-acquire-handler for ticket \"{ticket}\" failed, grant denied"),
        Outcome::PrerequisiteFailed => format!("attr-prereq for ticket \"{ticket}\" failed, grant denied"),
        Outcome::AuthenticationFailed => {
            format!("{address}: failed to authenticate; is the authfile the same there and here?")
        }
        Outcome::SyncFail => format!(
            "{verb} failed at {address}: no majority of the members has answered, or the store has failed; the log \
             there says which"
        ),
        other => format!("{verb} refused by {address} ({other:?}); the log there may say why"),
    })
}
