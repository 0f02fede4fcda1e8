//! The word that our own daemons put into the free `options` field of what they send each other.
//!
//! The reference sends 0 there and never looks at it. Ours numbers its requests, so that an answer
//! counts for the request that it answers and no other (S5), and says what cannot be said elsewhere
//! (S3, S6). Layout: bit 31 set marks the word as ours, bits 25 to 30 are flags, bits 0 to 23 the number.

/// Marks the word as one of ours, and its sender as one that keeps S3.
const OURS: u32 = 1 << 31;
const REMEMBERS: u32 = 1 << 30;
const SETTLED: u32 = 1 << 29;
const STOPPED: u32 = 1 << 28;
const RUNNING: u32 = 1 << 27;
const LOST: u32 = 1 << 26;
const CRASH_RELEASE: u32 = 1 << 25;
const NUMBER: u32 = 0x00FF_FFFF;

/// What an `options` word of ours says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Word {
    /// The number of the request, or of the one that is answered; 24 bits.
    pub number: u32,
    /// With a vote: the voter remembers its votes and promises (S6, S7).
    pub remembers: bool,
    /// With a heartbeat: the sender was elected by a majority that remembers, or by all sites (S6): no
    /// other lease can run.
    pub settled: bool,
    /// With a step-down or a revoke: nothing that needs the ticket runs at the sender any more (S3).
    pub stopped: bool,
    /// With a heartbeat: the sender's lease runs already; this one prolongs it (S7).
    pub running: bool,
    /// With what a member knows of the ticket: it was held in the term named, nobody holds it any more, and no
    /// administrator has revoked it. Who was away meanwhile is to fight for it (L1). With a revoke: the sender did not
    /// hold it, and says only that nobody is to fight for it.
    pub lost: bool,
    /// With a heartbeat: the sender's node is one of those whose dumps, all at once, release the ticket (S13).
    pub crash_release: bool,
}

impl Word {
    /// The word with this number.
    pub fn numbered(number: u32) -> Word {
        Word { number: number & NUMBER, ..Word::default() }
    }

    /// The number that follows `number`, never 0.
    pub fn next_number(number: u32) -> u32 {
        match number.wrapping_add(1) & NUMBER {
            0 => 1,
            next => next,
        }
    }

    /// Reads an `options` field; `None`: it is not ours.
    pub fn parse(options: u32) -> Option<Word> {
        (options & OURS != 0).then_some(Word {
            number: options & NUMBER,
            remembers: options & REMEMBERS != 0,
            settled: options & SETTLED != 0,
            stopped: options & STOPPED != 0,
            running: options & RUNNING != 0,
            lost: options & LOST != 0,
            crash_release: options & CRASH_RELEASE != 0,
        })
    }

    /// The `options` field that says this.
    pub fn encode(self) -> u32 {
        let flag = |set: bool, bit: u32| if set { bit } else { 0 };
        OURS | flag(self.remembers, REMEMBERS)
            | flag(self.settled, SETTLED)
            | flag(self.stopped, STOPPED)
            | flag(self.running, RUNNING)
            | flag(self.lost, LOST)
            | flag(self.crash_release, CRASH_RELEASE)
            | (self.number & NUMBER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_comes_back_as_it_went() {
        for bits in 0..64 {
            let word = Word {
                number: 0xABCDEF,
                remembers: bits & 1 != 0,
                settled: bits & 2 != 0,
                stopped: bits & 4 != 0,
                running: bits & 8 != 0,
                lost: bits & 16 != 0,
                crash_release: bits & 32 != 0,
            };
            assert_eq!(Word::parse(word.encode()), Some(word));
        }
    }

    #[test]
    fn what_the_reference_and_clients_send_is_not_ours() {
        for options in [0, 1, 2, 4, 7] {
            assert_eq!(Word::parse(options), None);
        }
    }

    #[test]
    fn numbers_go_round_without_zero() {
        assert_eq!(Word::next_number(NUMBER), 1);
        assert_eq!(Word::next_number(0), 1);
    }
}
