//! Geo attributes: a bounded table over all tickets in the caller's storage, and `attr-prereq`.

use crate::settings::{Name, Prerequisite, PrerequisiteScope, TicketIndex, Value};
use crate::time::WallTime;
use crate::view::AttributeView;

/// Names that the store keeps for the ticket itself; an attribute of this name would change it.
const RESERVED: [&str; 9] =
    ["id", "granted", "owner", "expires", "term", "standby", "last-granted", "booth-cfg-name", MEMORY];

/// The name under which a site's store has [`crate::sink::Record::mark`].
pub const MEMORY: &str = "booth-memory";

/// Whether an attribute may have this name.
pub(crate) fn is_free(name: &str) -> bool {
    !RESERVED.contains(&name)
}

/// One slot of the table, free or taken.
#[derive(Clone, Debug, Default)]
pub struct Attribute {
    ticket: Option<TicketIndex>,
    name: Name,
    value: Value,
    set_at: Option<WallTime>,
}

/// The table.
pub(crate) struct Attributes<'s> {
    slots: &'s mut [Attribute],
}

impl<'s> Attributes<'s> {
    pub(crate) fn new(slots: &'s mut [Attribute]) -> Attributes<'s> {
        Attributes { slots }
    }

    /// Sets an attribute; `false`: the table is full, or name or value is too long.
    pub(crate) fn set(&mut self, ticket: TicketIndex, name: &str, value: &str, set_at: Option<WallTime>) -> bool {
        let (Ok(name), Ok(value)) = (Name::try_from(name), Value::try_from(value)) else {
            return false;
        };
        let at = self.find(ticket, &name).or_else(|| self.slots.iter().position(|slot| slot.ticket.is_none()));
        let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) else {
            return false;
        };
        *slot = Attribute { ticket: Some(ticket), name, value, set_at };
        true
    }

    /// Whether an attribute could be set.
    pub(crate) fn has_room(&self, ticket: TicketIndex, name: &str) -> bool {
        self.find(ticket, name).is_some() || self.slots.iter().any(|slot| slot.ticket.is_none())
    }

    /// Removes an attribute; `false`: there is none.
    pub(crate) fn remove(&mut self, ticket: TicketIndex, name: &str) -> bool {
        match self.find(ticket, name) {
            Some(at) => {
                self.slots[at] = Attribute::default();
                true
            }
            None => false,
        }
    }

    /// An attribute's value.
    pub(crate) fn value(&self, ticket: TicketIndex, name: &str) -> Option<&str> {
        self.find(ticket, name).map(|at| self.slots[at].value.as_str())
    }

    /// A ticket's attributes.
    pub(crate) fn of(&self, ticket: TicketIndex) -> impl Iterator<Item = AttributeView<'_>> {
        self.slots.iter().filter(move |slot| slot.ticket == Some(ticket)).map(|slot| AttributeView {
            name: &slot.name,
            value: &slot.value,
            set_at: slot.set_at,
        })
    }

    /// Whether all prerequisites of this scope hold. An attribute that is not set equals nothing.
    pub(crate) fn satisfy(&self, ticket: TicketIndex, wanted: &[Prerequisite], scope: PrerequisiteScope) -> bool {
        wanted.iter().filter(|prerequisite| prerequisite.scope == scope).all(|prerequisite| {
            let equal = self.value(ticket, &prerequisite.name) == Some(prerequisite.value.as_str());
            equal == prerequisite.equal
        })
    }

    fn find(&self, ticket: TicketIndex, name: &str) -> Option<usize> {
        self.slots.iter().position(|slot| slot.ticket == Some(ticket) && slot.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TicketIndex = TicketIndex(0);

    #[test]
    fn a_full_table_refuses_and_changes_nothing() {
        let mut slots = [const { None }; 2].map(|_: Option<()>| Attribute::default());
        let mut table = Attributes::new(&mut slots);
        assert!(table.set(T, "a", "1", None));
        assert!(table.set(T, "b", "2", None));
        assert!(!table.set(T, "c", "3", None));
        assert!(table.set(T, "a", "4", None), "one that is there can be changed");
        assert_eq!(table.value(T, "a"), Some("4"));
        assert!(table.remove(T, "b"));
        assert!(!table.remove(T, "b"));
        assert!(table.set(T, "c", "3", None));
    }

    #[test]
    fn what_the_store_says_of_the_ticket_is_no_attribute() {
        assert!(!is_free("granted"));
        assert!(is_free("granted-by"));
    }

    #[test]
    fn tickets_do_not_share_attributes() {
        let mut slots = [const { None }; 4].map(|_: Option<()>| Attribute::default());
        let mut table = Attributes::new(&mut slots);
        assert!(table.set(T, "a", "1", None));
        assert_eq!(table.value(TicketIndex(1), "a"), None);
        assert_eq!(table.of(T).count(), 1);
        assert_eq!(table.of(TicketIndex(1)).count(), 0);
    }

    #[test]
    fn prerequisites_ask_for_equal_or_not() {
        let mut slots = [const { None }; 4].map(|_: Option<()>| Attribute::default());
        let mut table = Attributes::new(&mut slots);
        let wanted = |equal| Prerequisite {
            scope: PrerequisiteScope::Auto,
            name: "server".try_into().unwrap_or_default(),
            equal,
            value: "up".try_into().unwrap_or_default(),
        };
        let holds = |table: &Attributes<'_>, equal| table.satisfy(T, &[wanted(equal)], PrerequisiteScope::Auto);
        assert!(!holds(&table, true));
        assert!(holds(&table, false));
        assert!(table.satisfy(T, &[wanted(true)], PrerequisiteScope::Manual), "another scope is not asked");
        assert!(table.set(T, "server", "up", None));
        assert!(holds(&table, true));
        assert!(!holds(&table, false));
        assert!(table.set(T, "server", "down", None));
        assert!(!holds(&table, true));
    }
}
