//! A checked configuration to what the core is told: nothing can fail here.

use super::Configuration;
use booth_core::kdump::NodeIndex;
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

    /// The settings of all tickets at member `me`, in order. `host_name` is that of its host (uname(2)), by which it
    /// knows itself among the nodes of a `crash-release`.
    pub fn ticket_settings<'a>(
        &'a self,
        me: MemberIndex,
        host_name: &'a str,
    ) -> impl Iterator<Item = TicketSettings> + 'a {
        self.tickets.iter().map(move |ticket| {
            let own = ticket.crash_releases.iter().find(|release| release.site == me);
            let named =
                |node: &NodeIndex| self.kdump.keys.get(usize::from(node.0)).is_some_and(|key| key.node == host_name);
            let crash_release = own.is_some_and(|release| release.nodes.iter().any(named));
            TicketSettings { crash_release, ..ticket.settings.clone() }
        })
    }
}
