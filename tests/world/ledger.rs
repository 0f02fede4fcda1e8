//! Who held which ticket from when to when, by the stores; and what of that breaks S0.

use super::host::Host;

/// A site's time with a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure {
    pub ticket: usize,
    pub site: usize,
    pub from_ms: u64,
    /// It was got by an election that one of ours has stood in on an administrator's word.
    pub asked_for: bool,
    /// `None`: it lasts.
    pub until_ms: Option<u64>,
}

/// Two sites with one ticket at once, or with less than `acquire-after` between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breach {
    pub ticket: usize,
    /// Who had it.
    pub old: usize,
    /// Who got it, and when.
    pub new: usize,
    pub at_ms: u64,
    pub asked_for: bool,
    /// How much too early that was: for how long both had it, and what of `acquire-after` was not kept.
    pub early_ms: u64,
    /// For how long both had it.
    pub both_ms: u64,
}

/// All tenures so far.
#[derive(Default)]
pub struct Ledger {
    pub tenures: Vec<Tenure>,
}

impl Ledger {
    /// Writes down what the stores say now; `asked_for` tells of a site, a ticket and a term.
    pub fn note(&mut self, now_ms: u64, hosts: &[Host], asked_for: impl Fn(usize, usize, u32) -> bool) {
        for (site, host) in hosts.iter().enumerate() {
            for (ticket, held) in host.store.iter().enumerate() {
                let of = |tenure: &&mut Tenure| (tenure.ticket, tenure.site, tenure.until_ms) == (ticket, site, None);
                let open = self.tenures.iter_mut().rev().find(of);
                match open {
                    None if held.granted => {
                        let asked_for = asked_for(site, ticket, held.term);
                        self.tenures.push(Tenure { ticket, site, from_ms: now_ms, asked_for, until_ms: None });
                    }
                    Some(tenure) if !held.granted => tenure.until_ms = Some(now_ms),
                    _ => {}
                }
            }
        }
    }

    /// All breaches of S0 until `now_ms`. Tenures are in the order of their beginnings.
    pub fn breaches(&self, ticket: usize, acquire_after_ms: u64, now_ms: u64) -> Vec<Breach> {
        let tenures: Vec<&Tenure> = self.tenures.iter().filter(|tenure| tenure.ticket == ticket).collect();
        let mut found = Vec::new();
        for (at, new) in tenures.iter().enumerate() {
            for old in tenures[..at].iter().filter(|old| old.site != new.site) {
                let until = old.until_ms.unwrap_or(now_ms);
                let both_until = new.until_ms.unwrap_or(now_ms).min(until);
                let early_ms = (until + acquire_after_ms).saturating_sub(new.from_ms);
                let both_ms = both_until.saturating_sub(new.from_ms);
                if early_ms > 0 {
                    let (old, at_ms, asked_for) = (old.site, new.from_ms, new.asked_for);
                    found.push(Breach { ticket, old, new: new.site, at_ms, asked_for, early_ms, both_ms });
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenure(site: usize, from_ms: u64, until_ms: Option<u64>) -> Tenure {
        Tenure { ticket: 0, site, from_ms, asked_for: false, until_ms }
    }

    #[test]
    fn breaches_are_seen_to_the_millisecond() {
        let ledger = Ledger { tenures: vec![tenure(0, 100, Some(200)), tenure(1, 200, Some(300))] };
        assert_eq!(ledger.breaches(0, 0, 400), vec![]);
        let breach = Breach { ticket: 0, old: 0, new: 1, at_ms: 200, asked_for: false, early_ms: 1, both_ms: 0 };
        assert_eq!(ledger.breaches(0, 1, 400), vec![breach]);
        let ledger = Ledger { tenures: vec![tenure(0, 100, None), tenure(1, 200, Some(300))] };
        let breach = Breach { early_ms: 205, both_ms: 100, ..breach };
        assert_eq!(ledger.breaches(0, 5, 400), vec![breach]);
    }

    #[test]
    fn who_gets_back_what_it_had_breaks_nothing() {
        let ledger = Ledger { tenures: vec![tenure(0, 100, Some(200)), tenure(0, 200, None)] };
        assert_eq!(ledger.breaches(0, 1_000, 400), vec![]);
    }
}
