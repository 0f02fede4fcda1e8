//! What is said of messages of dumping nodes, and under which names they are counted.

use crate::log::{Level, Log};
use booth_core::kdump::authenticity::{TOLERANCE, YOUNG};
use booth_core::kdump::{DropReason, Heard, Table};
use booth_core::time::{Now, WallTime};
use booth_core::wire::kdump::DropReason as Malformed;
use std::fmt;
use std::net::IpAddr;

/// Why a datagram was dropped, in the order of [`number`].
pub const REASONS: [&str; 8] = [
    "too short",
    "wrong magic",
    "wrong version",
    "not signed where it must be",
    "wrong signature",
    "sent before",
    "sent at another time",
    "not of a crash kernel",
];

/// The place of a reason in [`REASONS`].
pub fn number(reason: DropReason) -> usize {
    match reason {
        DropReason::Malformed(Malformed::BadSize) => 0,
        DropReason::Malformed(Malformed::BadMagic) => 1,
        DropReason::Malformed(Malformed::BadVersion) => 2,
        DropReason::NotAuthenticated => 3,
        DropReason::BadSignature => 4,
        DropReason::Replayed => 5,
        DropReason::OtherTime { .. } => 6,
        DropReason::NotCrashed { .. } => 7,
    }
}

/// What may be wrong, for those who can mend it.
struct Hint(DropReason);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            DropReason::Malformed(_) => Ok(()),
            DropReason::NotAuthenticated => {
                f.write_str("; is the key of its node there, and the node's name the same?")
            }
            DropReason::BadSignature => f.write_str("; is its key the same there and here?"),
            DropReason::Replayed => f.write_str("; a replay, or its clock was set back"),
            DropReason::OtherTime { now: WallTime(now), sent: WallTime(sent) } => {
                let (seconds, side) = (now.abs_diff(sent) / 1_000_000, if sent > now { "ahead of" } else { "behind" });
                let most = TOLERANCE.0 / 1_000;
                write!(f, "; a replay, or its clock is {seconds} s {side} ours, expected {most} s at most")
            }
            DropReason::NotCrashed { uptime } => {
                let why = "a trial on a running system, or a dump that began when nobody listened";
                write!(f, "; its kernel has run for {uptime} s, expected {YOUNG} s at most: {why}")
            }
        }
    }
}

/// A dump begins.
pub fn say_heard(log: &mut Log, now: Now, table: &Table, heard: &Heard) {
    if !heard.begins {
        return;
    }
    let address = heard.address;
    match heard.node {
        Some(node) => {
            let text =
                format_args!("kdump: {} writes its dump, says its signed message from {address}", table.name(node));
            log.provoked(now, Level::Info, "kdump: signed dump", text);
        }
        None => log.provoked(now, Level::Info, "kdump: dump", format_args!("kdump: {address} writes its dump")),
    }
}

/// A datagram does not count.
pub fn say_dropped(log: &mut Log, now: Now, source: IpAddr, reason: DropReason) {
    let limit = match reason {
        DropReason::Malformed(_) => "kdump: no message",
        DropReason::NotAuthenticated => "kdump: unsigned",
        DropReason::BadSignature => "kdump: wrong signature",
        DropReason::Replayed => "kdump: sent before",
        DropReason::OtherTime { .. } => "kdump: sent at another time",
        DropReason::NotCrashed { .. } => "kdump: not of a crash kernel",
    };
    let why = REASONS[number(reason)];
    log.provoked(
        now,
        Level::Warning,
        limit,
        format_args!("kdump: datagram from {source} dropped: {why}{}", Hint(reason)),
    );
}
