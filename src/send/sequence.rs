//! The sequence numbers of signed messages: the wall clock in microseconds, and growing whatever the clock does.

/// The number that follows `last`, when the wall clock says `now_us` (microseconds since 1970). It is asked each time:
/// a crash kernel may load its clock's driver after the first messages, which then say 1970.
pub fn after(last: u64, now_us: u64) -> u64 {
    now_us.max(last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// They stayed at 1970, and listeners took each message for a replay.
    #[test]
    fn a_clock_that_comes_late_is_believed() {
        let early = after(0, 3_000_000);
        assert_eq!(early, 3_000_000);
        assert_eq!(after(early, 1_800_000_000_000_000), 1_800_000_000_000_000);
    }

    #[test]
    fn numbers_grow_though_the_clock_stands_or_is_set_back() {
        assert_eq!(after(7, 7), 8);
        assert_eq!(after(1_800_000_000_000_000, 0), 1_800_000_000_000_001);
        assert_eq!(after(0, 0), 1);
    }
}
