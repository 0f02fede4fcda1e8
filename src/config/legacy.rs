//! The ticket syntax of booth 0.1 (2012): `ticket = "NAME; EXPIRE; WEIGHTS"`, the last two optional.

use super::diagnostic::Shown;

/// A ticket line of booth 0.1, taken apart and not yet checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OldTicket<'a> {
    pub(super) name: &'a str,
    pub(super) expire: Option<&'a str>,
    pub(super) weights: Option<&'a str>,
    /// What stands behind the weights, where nothing may.
    pub(super) surplus: Option<&'a str>,
}

impl<'a> OldTicket<'a> {
    /// Takes the value of a `ticket` line apart; `None` when it is not of the old kind.
    pub(super) fn split(value: &'a str) -> Option<OldTicket<'a>> {
        let (name, rest) = value.split_once(';')?;
        let mut parts = rest.splitn(3, ';').map(str::trim);
        let mut next = || parts.next().filter(|part| !part.is_empty());
        Some(OldTicket { name: name.trim(), expire: next(), weights: next(), surplus: next() })
    }

    /// How to write it today.
    pub(super) fn notice(&self) -> String {
        let mut text = format!("ticket in the syntax of booth 0.1; write today: ticket = \"{}\"", Shown(self.name));
        for (key, value) in [("expire", self.expire), ("weights", self.weights)] {
            if let Some(value) = value {
                text.push_str(&format!(", and on a line of its own: {key} = {}", Shown(value)));
            }
        }
        text
    }
}
