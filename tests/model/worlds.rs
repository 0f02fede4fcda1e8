//! The worlds that are walked through: how each opens, what may go wrong in it, what it must reach.
//!
//! A world opens where things get interesting: a cluster that has to come so far first would use up the
//! depth for it. The way there is one that the cluster can go: by the same actions.

use crate::cluster::{Action, Journal, Scene};
use crate::host::{ARBITRATOR, EXPIRE, MEMBERS, RENEWAL, SITE1, SITE2, TIMEOUT};

/// How often something may happen from the opening on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Messages that are late.
    pub late: u8,
    /// Messages that come twice, the second time late.
    pub copies: u8,
    /// Kills.
    pub kills: u8,
    /// Failures of a store.
    pub failures: u8,
    /// Grants that administrators ask for.
    pub grants: u8,
    /// Revokes that administrators ask for.
    pub revokes: u8,
}

/// How a world opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// All members have started, and nobody has ever held the ticket.
    Fresh,
    /// The first site holds it, and everybody knows.
    Held,
    /// The first site holds it by the arbitrator's word; the second was cut off and knows nothing.
    HeldByTwo,
    /// The first site has renewed it by the arbitrator's word, whose answer was late (S4). Nothing else
    /// has arrived since, and the lease is almost over.
    RenewedLate,
    /// The first site has renewed it by the second's word; the arbitrator's answer arrives when the next
    /// renewal has been asked for (S5).
    StaleAnswer,
}

/// What must be reachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The ticket is granted.
    Granted,
    /// The second site holds what the first held.
    FailedOver,
    /// An administrator's revoke is in a store.
    Revoked,
    /// A member that was killed votes again.
    VotedAgain,
}

/// A world.
#[derive(Clone, Debug)]
pub struct World {
    /// Its name.
    pub name: &'static str,
    /// `acquire-after`, in milliseconds.
    pub acquire_after: u64,
    /// Whether the members' journals say that nothing has happened yet; else they have none (S7).
    pub memory: bool,
    /// How it opens.
    pub opening: Opening,
    /// What may go wrong, how often.
    pub limits: Limits,
    /// What becomes of the journal of who is killed.
    pub journals: &'static [Journal],
    /// Whether a store may take its time (up to its limit) and fail; else it has finished at once.
    pub slow_stores: bool,
    /// Nothing happens after that, in milliseconds.
    pub ends_at: u64,
    /// What it must reach.
    pub reaches: &'static [Goal],
    /// How many actions deep it is looked into, unless told otherwise.
    pub depth: usize,
}

impl World {
    /// The world as it opens.
    pub fn opening(&self, story: Option<Vec<String>>) -> Scene<'_> {
        let mut scene = Scene::new(self, story);
        for at in 0..MEMBERS {
            scene.act(Action::Start(at));
        }
        scene.settle(&[]);
        // Who starts first has no answer from who starts later, and waits for it.
        if scene.next_instant().is_some() {
            scene.act(Action::Wait { late: None });
            scene.settle(&[]);
        }
        if self.opening == Opening::Fresh {
            return scene.limited();
        }
        scene.act(Action::Grant(SITE1));
        let cut: &[usize] = if self.opening == Opening::HeldByTwo { &[SITE2] } else { &[] };
        scene.settle(cut);
        if !self.memory {
            // The grant waits for all sites, or for the end of what may have been forgotten (S6, S7).
            scene.act(Action::Wait { late: None });
        }
        assert!(scene.hosts[SITE1].store.granted, "{}: the first site holds the ticket", self.name);
        match self.opening {
            Opening::RenewedLate => self.renew_late(&mut scene),
            Opening::StaleAnswer => self.keep_an_answer(&mut scene),
            Opening::Fresh | Opening::Held | Opening::HeldByTwo => {}
        }
        scene.limited()
    }

    fn renew_late(&self, scene: &mut Scene<'_>) {
        let granted_at = scene.now();
        scene.act(Action::Wait { late: None });
        scene.deliver_from_to(SITE1, ARBITRATOR);
        scene.delay(ARBITRATOR, SITE1);
        scene.deliver_from_to(ARBITRATOR, SITE1);
        scene.finish_stores();
        scene.wait_until(granted_at + RENEWAL + EXPIRE - TIMEOUT);
    }

    fn keep_an_answer(&self, scene: &mut Scene<'_>) {
        let granted_at = scene.now();
        scene.act(Action::Wait { late: None });
        scene.deliver_from_to(SITE1, ARBITRATOR);
        scene.deliver_from_to(SITE1, SITE2);
        scene.deliver_from_to(SITE2, SITE1);
        scene.delay(ARBITRATOR, SITE1);
        scene.wait_until(granted_at + 2 * RENEWAL);
        scene.deliver_from_to(ARBITRATOR, SITE1);
    }
}

/// A world in which nothing goes wrong, to be changed.
const QUIET: World = World {
    name: "",
    acquire_after: 0,
    memory: true,
    opening: Opening::Held,
    limits: Limits { late: 0, copies: 0, kills: 0, failures: 0, grants: 0, revokes: 0 },
    journals: &[Journal::Kept],
    slow_stores: false,
    ends_at: 300,
    reaches: &[],
    depth: 12,
};
const KEPT_OR_LOST: &[Journal] = &[Journal::Kept, Journal::Lost];

/// Both sites are asked for at once.
pub const TWO_GRANTS: World = World {
    name: "two grants at once",
    opening: Opening::Fresh,
    limits: Limits { grants: 2, ..QUIET.limits },
    reaches: &[Goal::Granted],
    depth: 9,
    ..QUIET
};
/// The first grant, with a message that is late and one that comes twice.
pub const GRANT: World = World {
    name: "grant",
    opening: Opening::Fresh,
    limits: Limits { late: 1, copies: 1, grants: 1, ..QUIET.limits },
    reaches: &[Goal::Granted],
    depth: 7,
    ..QUIET
};
/// Both sites are asked for at once, and nobody remembers anything.
pub const NO_MEMORY: World = World { name: "no memory", memory: false, ..TWO_GRANTS };
/// Whatever is lost: the leader is cut off, and the ticket goes to the other site.
pub const FAILOVER: World = World { name: "failover", reaches: &[Goal::FailedOver], depth: 13, ..QUIET };
/// The same with messages that are late and doubled.
pub const FAILOVER_LATE: World = World {
    name: "failover, late and doubled",
    limits: Limits { late: 1, copies: 1, ..QUIET.limits },
    depth: 9,
    ..FAILOVER
};
/// The same with `acquire-after`.
pub const FAILOVER_HELD_BACK: World = World {
    name: "failover after a hold",
    acquire_after: 20,
    limits: Limits { late: 1, ..QUIET.limits },
    depth: 12,
    ..FAILOVER
};
/// A renewal whose answer was late, and a store that takes its time when the lease ends: the leader has
/// no more than the lease itself between it and the next one.
pub const RENEWED_LATE: World = World {
    name: "renewed late",
    opening: Opening::RenewedLate,
    slow_stores: true,
    reaches: &[Goal::FailedOver],
    depth: 13,
    ..QUIET
};
/// An answer that comes in the middle of the next renewal.
pub const STALE_ANSWER: World =
    World { name: "stale answer", opening: Opening::StaleAnswer, reaches: &[Goal::FailedOver], depth: 11, ..QUIET };
/// An administrator moves the ticket.
pub const MOVE: World = World {
    name: "revoke and grant",
    acquire_after: 5,
    limits: Limits { grants: 1, revokes: 1, ..QUIET.limits },
    reaches: &[Goal::Revoked, Goal::FailedOver],
    depth: 9,
    ..QUIET
};
/// The same with messages that are late and doubled.
pub const MOVE_LATE: World = World {
    name: "revoke and grant, late and doubled",
    limits: Limits { late: 1, copies: 1, ..MOVE.limits },
    reaches: &[Goal::Revoked],
    depth: 6,
    ..MOVE
};
/// A member is killed and comes back, with its journal or without.
pub const RESTART: World = World {
    name: "restart",
    limits: Limits { kills: 1, ..QUIET.limits },
    journals: KEPT_OR_LOST,
    reaches: &[Goal::VotedAgain, Goal::FailedOver],
    depth: 9,
    ..QUIET
};
/// The arbitrator, or the leader, is killed while they two alone know who leads; the other site is asked for.
pub const BACKER: World = World {
    name: "restart of the leader's only backer",
    opening: Opening::HeldByTwo,
    limits: Limits { kills: 1, grants: 1, ..QUIET.limits },
    journals: KEPT_OR_LOST,
    reaches: &[Goal::FailedOver],
    depth: 8,
    ..QUIET
};
/// Stores take their time and fail, while the ticket moves.
pub const SLOW_STORE: World = World {
    name: "slow and failing store",
    limits: Limits { failures: 1, grants: 1, revokes: 1, ..QUIET.limits },
    slow_stores: true,
    reaches: &[Goal::Revoked],
    depth: 8,
    ..QUIET
};
/// The leader is killed while its store is at work.
pub const SLOW_STORE_KILLED: World = World {
    name: "killed with a store at work",
    opening: Opening::Fresh,
    limits: Limits { kills: 1, grants: 1, ..QUIET.limits },
    slow_stores: true,
    reaches: &[Goal::Granted],
    depth: 8,
    ..QUIET
};
/// A world that must break: a journal that has forgotten and does not know it.
pub const FORGED: World = World { name: "forged journal", journals: &[Journal::Forged], reaches: &[], ..BACKER };
