//! What is claimed of a mixed cluster, and who is in it.

use super::faults::{LATEST_MS, SLOWEST_STORE_MS};
use super::world::daemon::{Ours, Program};
use super::world::ledger::{Breach, Ledger};
use super::world::reference::Reference;
use super::world::{Dice, Plan, World};
use booth_core::settings::ValidityUnit;

/// One of the two guarantees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Claim {
    /// What one of our sites holds, nobody else gets.
    OursLeads,
    /// What a reference site holds by our acknowledgements, nobody else gets by a lost update.
    ReferenceLeads,
}

/// A cluster, and who in it runs the reference (a set of bits).
#[derive(Clone)]
pub struct Shape {
    pub plan: Plan,
    pub unit: ValidityUnit,
    pub references: u32,
    pub claim: Claim,
}

impl Shape {
    pub fn is_reference(&self, host: usize) -> bool {
        self.references & 1 << host != 0
    }

    pub fn has_reference_site(&self) -> bool {
        (0..self.plan.sites).any(|site| self.is_reference(site))
    }

    pub fn members(&self) -> usize {
        self.plan.sites + self.plan.arbitrators
    }

    /// The members, started; S0 is written down instead of checked. Nothing guards the store of a reference site.
    pub fn world(&self) -> World {
        let program = |host| -> Program { if self.is_reference(host) { Reference::start } else { Ours::start } };
        let mut world = World::with_unit(self.plan.clone(), self.unit, program);
        for (host, on) in world.hosts.iter_mut().enumerate() {
            on.guarded = !self.is_reference(host);
        }
        world.ledger = Some(Ledger::default());
        world
    }

    /// The same cluster with the reference on every host.
    pub fn reference_alone(&self) -> Shape {
        Shape { references: u32::MAX, ..self.clone() }
    }

    pub fn expire_ms(&self) -> u64 {
        self.plan.tickets[0].expire.0
    }

    pub fn acquire_after_ms(&self) -> u64 {
        self.plan.tickets[0].acquire_after.0
    }

    /// How long a member can be bound by what it has said, by any clock: a heartbeat to the reference says a second
    /// more than `expire`.
    pub fn longest_promise_ms(&self) -> u64 {
        self.expire_ms() + 1_000 + self.expire_ms() / 200 + self.acquire_after_ms()
    }

    /// The breaches that the claim says there are none of.
    pub fn broken_promises(&self, breaches: &[Breach]) -> Vec<Breach> {
        breaches.iter().copied().filter(|breach| self.claim.excludes(self, breach)).collect()
    }
}

impl Claim {
    /// Draws who runs the reference.
    pub fn references(self, dice: &mut Dice, plan: &Plan) -> u32 {
        let hosts = plan.sites + plan.arbitrators;
        match self {
            // Anybody but one of the sites.
            Claim::OursLeads => loop {
                let references = 1 + dice.roll((1 << hosts) - 1) as u32;
                if (0..plan.sites).any(|site| references & 1 << site == 0) {
                    return references;
                }
            },
            // A site, and so many others that any two majorities still meet in one of ours.
            Claim::ReferenceLeads => {
                let majority = hosts / 2 + 1;
                let most_others = 2 * majority - hosts - 1;
                let site = dice.roll(plan.sites as u64) as u32;
                let other = dice.roll(hosts as u64) as u32;
                1 << site | if most_others > 0 && dice.chance(500) { 1 << other } else { 0 }
            }
        }
    }

    fn excludes(self, shape: &Shape, breach: &Breach) -> bool {
        match (self, shape.is_reference(breach.old), shape.is_reference(breach.new)) {
            (Claim::OursLeads, false, false) => true,
            // The reference has its own idea of `acquire-after`.
            (Claim::OursLeads, false, true) => breach.both_ms > 0,
            (Claim::ReferenceLeads, true, _) => breach.early_ms > tolerance(shape, breach),
            _ => false,
        }
    }
}

/// How much earlier than `acquire-after` says a ticket of a reference leader may be had. The leader counts from the
/// arrival of the acknowledgements, looks at them when `crm_ticket` has returned, and calls it to revoke. And the vote
/// of a reference site says nothing of `acquire-after`, but the votes of all sites are enough for an administrator.
fn tolerance(shape: &Shape, breach: &Breach) -> u64 {
    let late = LATEST_MS + 3 * SLOWEST_STORE_MS;
    let no_hold = breach.asked_for || shape.is_reference(breach.new);
    if no_hold { late + shape.acquire_after_ms() } else { late }
}
