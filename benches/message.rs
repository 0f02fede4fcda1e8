//! What a message costs: to decode and verify it, to encode and sign it, and a whole step of the node
//! from a datagram to its signed answer.
//!
//! `cargo bench --bench message`

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use booth_core::time::WallTime;
use booth_core::wire::{self, Command, Key, MAX_MESSAGE};
use divan::{Bencher, black_box};
use fixture::{KEY, Peer, Words};

fn main() {
    divan::main();
}

/// All kinds of ticket message have one layout, so one stands for all.
#[divan::bench(args = [true, false])]
fn decode_and_verify(bencher: Bencher<'_, '_>, signed: bool) {
    let key = signed.then(|| Key::new(KEY));
    let message = Words::new(Command::Heartbeat, "T").message(fixture::id(0), WallTime(1));
    let mut bytes = [0; MAX_MESSAGE];
    let length = wire::encode(&message, key.as_ref(), &mut bytes);
    bencher.bench_local(|| {
        let message = wire::decode(black_box(&bytes[..length]), key.as_ref());
        assert!(black_box(message).is_ok());
    });
}

#[divan::bench(args = [true, false])]
fn encode_and_sign(bencher: Bencher<'_, '_>, signed: bool) {
    let key = signed.then(|| Key::new(KEY));
    let message = Words::new(Command::Heartbeat, "T").message(fixture::id(0), WallTime(1));
    let mut bytes = [0; MAX_MESSAGE];
    bencher.bench_local(|| black_box(wire::encode(black_box(&message), key.as_ref(), &mut bytes)));
}

/// A message with a wrong MAC is the cheapest way to make a daemon work.
#[divan::bench]
fn refuse_a_wrong_mac(bencher: Bencher<'_, '_>) {
    let (bytes, length) = Peer::new(0, WallTime(0)).say(Words::new(Command::Heartbeat, "T"));
    let other = Key::new(b"another key than that");
    bencher.bench_local(|| assert!(black_box(wire::decode(black_box(&bytes[..length]), Some(&other))).is_err()));
}
