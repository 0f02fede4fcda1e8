//! A checked configuration to what the core is told: nothing can fail here.

use super::Configuration;
use booth_core::member::{Member, MemberIndex};
use booth_core::settings::{Settings, TicketSettings};
use booth_core::wire::mac::Key;

impl Configuration {
    /// The settings of the process that is member `me`; `seed` is drawn by the caller.
    pub fn settings(&self, me: MemberIndex, key: Option<Key>, seed: u64) -> Settings {
        Settings {
            members: self.members.iter().map(|member| Member { id: member.id, kind: member.kind }).collect(),
            me,
            key,
            max_time_skew: self.max_time_skew,
            unit: self.unit,
            any_source: self.allow_address_translation,
            seed,
        }
    }

    /// The settings of all tickets, in order.
    pub fn ticket_settings(&self) -> impl Iterator<Item = TicketSettings> + '_ {
        self.tickets.iter().map(|ticket| ticket.settings.clone())
    }
}
