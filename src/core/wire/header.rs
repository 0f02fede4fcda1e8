//! The header: a view of its fields, and the parsed form.
//!
//! A [`HeaderView`] exists only over bytes that hold a whole header of booth's magic and version
//! with known `opts`; `length` and everything behind it are still the sender's word.

use super::{Command, DropReason, HEADER_LEN, Header, MAGIC, MAX_MESSAGE, Outcome, Reason, TRAILER_LEN, VERSION};
use crate::member::SiteId;
use crate::time::WallTime;

const OPTS: usize = 0;
const SECS: usize = 4;
const USECS: usize = 8;
const MAGIC_AT: usize = 12;
const VERSION_AT: usize = 16;
const FROM: usize = 20;
const LENGTH: usize = 24;
const CMD: usize = 28;
const REQUEST: usize = 32;
const OPTIONS: usize = 36;
const REASON: usize = 40;
const RESULT: usize = 44;

/// Bit of `opts`: the message carries a MAC and a stamp.
const SIGNED: u32 = 1;
/// Bit of `opts`: an attribute message. The reference knows it but does not set it, and the command
/// says as much: taken, never sent.
const ATTRIBUTE: u32 = 4;
const MICROS_PER_SECOND: u64 = 1_000_000;

/// The fields of a header where they lie.
#[derive(Clone, Copy)]
pub(super) struct HeaderView<'a>(&'a [u8; HEADER_LEN]);

impl<'a> HeaderView<'a> {
    /// A view of the header at the start of `bytes`.
    pub(super) fn of(bytes: &'a [u8]) -> Result<HeaderView<'a>, DropReason> {
        let view = HeaderView(bytes.first_chunk().ok_or(DropReason::BadSize)?);
        if view.word(MAGIC_AT) != MAGIC {
            return Err(DropReason::BadMagic);
        }
        if view.word(VERSION_AT) != VERSION {
            return Err(DropReason::BadVersion);
        }
        if view.word(OPTS) & !(SIGNED | ATTRIBUTE) != 0 {
            return Err(DropReason::BadOptions);
        }
        Ok(view)
    }

    /// The length that it claims for the message, text included.
    pub(super) fn length(self) -> usize {
        self.word(LENGTH) as usize
    }

    /// Whether it claims to be signed.
    pub(super) fn is_signed(self) -> bool {
        self.word(OPTS) & SIGNED != 0
    }

    /// The length of the header, and of the trailer where it is signed.
    pub(super) fn overhead(self) -> usize {
        if self.is_signed() { HEADER_LEN + TRAILER_LEN } else { HEADER_LEN }
    }

    /// Whom it claims to be from.
    pub(super) fn sender(self) -> SiteId {
        SiteId(self.word(FROM))
    }

    /// What it is.
    pub(super) fn command(self) -> Result<Command, DropReason> {
        Command::from_code(self.word(CMD)).ok_or(DropReason::UnknownCommand)
    }

    /// The parsed header. A stamp without a signature is nobody's word, and read as the epoch.
    pub(super) fn parse(self) -> Result<Header, DropReason> {
        let stamp = if self.is_signed() { self.stamp()? } else { WallTime(0) };
        let request = match self.word(REQUEST) {
            0 => None,
            code => Some(Command::from_code(code).ok_or(DropReason::UnknownCommand)?),
        };
        Ok(Header {
            stamp,
            sender: self.sender(),
            command: self.command()?,
            request,
            options: self.word(OPTIONS),
            reason: Reason::from_code(self.word(REASON)),
            outcome: Outcome::from_code(self.word(RESULT)),
        })
    }

    fn stamp(self) -> Result<WallTime, DropReason> {
        let (seconds, micros) = (u64::from(self.word(SECS)), u64::from(self.word(USECS)));
        if micros >= MICROS_PER_SECOND {
            return Err(DropReason::BadStamp);
        }
        Ok(WallTime(seconds * MICROS_PER_SECOND + micros))
    }

    fn word(self, at: usize) -> u32 {
        u32::from_be_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]])
    }
}

/// Writes the header of a message that is `length` bytes long with all that follows.
pub(super) fn emit(header: &Header, length: usize, signed: bool, out: &mut [u8; MAX_MESSAGE]) {
    let stamp = if signed { header.stamp.0 } else { 0 };
    let mut put = |at: usize, word: u32| out[at..at + 4].copy_from_slice(&word.to_be_bytes());
    put(OPTS, if signed { SIGNED } else { 0 });
    // The field ends in 2106, as the reference's does.
    put(SECS, (stamp / MICROS_PER_SECOND) as u32);
    put(USECS, (stamp % MICROS_PER_SECOND) as u32);
    put(MAGIC_AT, MAGIC);
    put(VERSION_AT, VERSION);
    put(FROM, header.sender.0);
    put(LENGTH, length as u32);
    put(CMD, header.command.code());
    put(REQUEST, header.request.map_or(0, Command::code));
    put(OPTIONS, header.options);
    put(REASON, header.reason.code());
    put(RESULT, header.outcome.code());
}
