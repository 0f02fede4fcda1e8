//! A real crash: a machine in qemu's software emulation panics, its crash kernel boots, and our sender in it is heard on
//! this host, through qemu's user network: 127.0.0.1 here is 10.0.2.2 there.
//!
//! Debian's kernels, busybox, kexec and qemu are unpacked and not installed.
#![allow(clippy::unwrap_used)]

#[path = "../crash_image/mod.rs"]
mod crash_image;
mod image;
#[path = "../live/mod.rs"]
mod live;
mod machine;
#[path = "../scratch/mod.rs"]
mod scratch;
#[path = "../sender/mod.rs"]
mod sender;
mod tools;

use booth_core::wire::kdump::{Key, Message, NodeId, decode};
use image::{Crash, E1000, Image, KEY, NODE, Sender, VIRTIO};
use machine::{Heard, Machine};
use std::time::Duration;
use tools::Tools;

/// From the crash to the first message, on a machine that is emulated and busy.
const LIMIT: Duration = Duration::from_secs(90);
/// The memory of the crash kernel where the test is not about its size, in MiB.
const PLENTY: u32 = 128;
/// With so much our sender is heard, in MiB: what the search below finds, and a tenth more for kernels to come.
const ENOUGH: u32 = 80;

/// Debian's programs, or the reason why there are none.
fn tools(test: &str) -> Option<&'static Tools> {
    if std::env::consts::ARCH != "x86_64" {
        live::skip(test, "its kernels are for x86_64");
        return None;
    }
    let tools = tools::tools();
    if let Err(why) = tools {
        live::skip(test, why);
    }
    tools.as_ref().ok()
}

/// Crashes a machine and waits for the first message to our port; prints how long after the crash it came.
fn first_message(tools: &Tools, crash: &Crash) -> (Machine, Heard) {
    let mut machine = Machine::start(tools, crash);
    let crashed = machine.crashed(LIMIT);
    let heard = machine.hear(LIMIT).unwrap_or_else(|| panic!("nothing was heard\n{}", machine.console()));
    let time = heard.at - crashed;
    println!(
        "{}, crashkernel={}M, {:?}: {:.1} s from the crash to the first message",
        crash.card.name,
        crash.megabytes,
        crash.image,
        time.as_secs_f64()
    );
    (machine, heard)
}

#[test]
fn a_crashed_machine_is_heard_and_its_signature_is_right() {
    let Some(tools) = tools("a_crashed_machine_is_heard_and_its_signature_is_right") else { return };
    let (_, heard) =
        first_message(tools, &Crash { card: &VIRTIO, megabytes: ENOUGH, image: Image::Hand(Sender::Ours) });
    let Ok(Message::Verified(announcement)) = decode(&heard.bytes, Some(&Key::new(KEY))) else {
        panic!("{heard:?}");
    };
    assert_eq!(announcement.node, NodeId::of(NODE.as_bytes()));
    assert!(announcement.uptime < 60, "the crash kernel is young: {announcement:?}");
    // The crash kernel has read the machine's clock.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(announcement.sequence / 1_000_000) < 200, "{announcement:?} at {now}");
}

/// The image that Debian's mkinitramfs makes with our hook, on a host like the machine: network, driver, key and arguments
/// are found there, and the sender starts before the root file system is looked for.
#[test]
fn a_crashed_machine_is_heard_from_the_image_that_our_hook_makes() {
    let test = "a_crashed_machine_is_heard_from_the_image_that_our_hook_makes";
    if !live::is_root(test) {
        return;
    }
    let Some(tools) = tools(test) else { return };
    let (_, heard) = first_message(tools, &Crash { card: &VIRTIO, megabytes: PLENTY, image: Image::Hook });
    let Ok(Message::Verified(announcement)) = decode(&heard.bytes, Some(&Key::new(KEY))) else {
        panic!("{heard:?}");
    };
    assert_eq!(announcement.node, NodeId::of(NODE.as_bytes()));
    assert!(announcement.uptime < 60, "the crash kernel is young: {announcement:?}");
}

/// A card like this one finds its carrier two seconds after it was switched on, and the kernel takes messages all the
/// while: it keeps them for three seconds, and then it loses them. They do not count.
#[test]
fn with_a_card_that_finds_its_carrier_late_messages_count_from_then_on() {
    let test = "with_a_card_that_finds_its_carrier_late_messages_count_from_then_on";
    let Some(tools) = tools(test) else { return };
    let crash = Crash { card: &E1000, megabytes: PLENTY, image: Image::Hand(Sender::Ours) };
    let machine = first_message(tools, &crash).0;
    let carrier = machine.until("NIC Link is Up", LIMIT);
    let counted = machine.until("message sent to node '10.0.2.2'", LIMIT);
    assert!(counted >= carrier, "{}", machine.console());
}

/// Prints how little memory a crash kernel can do with, for our sender and for Debian's.
#[test]
#[ignore = "some minutes; what it finds is written down in packaging/kdump/README.md"]
fn search_for_the_smallest_crash_kernel() {
    let Some(tools) = tools("search_for_the_smallest_crash_kernel") else { return };
    for sender in [Sender::Ours, Sender::Debians] {
        let (mut fails, mut works) = (60, 84);
        while works - fails > 1 {
            let megabytes = (fails + works) / 2;
            let mut machine = Machine::start(tools, &Crash { card: &VIRTIO, megabytes, image: Image::Hand(sender) });
            let heard = machine.hear(Duration::from_secs(30)).is_some();
            println!("{sender:?} with {megabytes}M: {}", if heard { "heard" } else { "not heard" });
            *(if heard { &mut works } else { &mut fails }) = megabytes;
        }
        println!("{sender:?}: crashkernel={works}M is the smallest");
    }
}
