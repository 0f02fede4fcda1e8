//! What a run of the simulation is made of: members, tickets and their times.

use crate::world::{Dice, Plan, ticket};
use booth_core::settings::{Mode, TicketSettings};
use booth_core::time::Millis;

/// One to seven members, one to three tickets.
pub fn plan(dice: &mut Dice, seed: u64) -> Plan {
    let sites = [1, 2, 2, 2, 3, 3, 4, 5][dice.roll(8) as usize];
    let arbitrators = dice.roll(4).min(7 - sites as u64) as usize;
    let tickets = (0..1 + dice.roll(3)).map(|at| any_ticket(dice, ["T", "U", "V"][at as usize])).collect();
    Plan { sites, arbitrators, tickets, key: dice.chance(700), seed, remember: dice.chance(500) }
}

fn any_ticket(dice: &mut Dice, name: &str) -> TicketSettings {
    let expire = [4_000, 10_000, 60_000][dice.roll(3) as usize];
    let after = [0, 1_000, 7_000, 40_000][dice.roll(4) as usize];
    let mut ticket = ticket(name, expire, after);
    ticket.before_acquire = dice.chance(200);
    ticket.retries = [3, 3, 5, 10][dice.roll(4) as usize];
    ticket.timeout = Millis((ticket.renewal.0 / (u64::from(ticket.retries) + 2)).min(1_000));
    if dice.chance(300) {
        ticket.weights = std::array::from_fn(|_| dice.roll(3) as i32);
    }
    if dice.chance(100) {
        ticket.mode = Mode::Manual;
    }
    ticket
}
