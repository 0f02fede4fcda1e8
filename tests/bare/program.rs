//! A program without `std`, without an allocator and without a C library that calls the core: it links
//! only if the core needs none of them. `tests/no_std.rs` builds it; nobody runs it.
#![no_std]
#![no_main]

use booth_core::input::{ClientId, Input};
use booth_core::node::{Node, Storage};
use booth_core::notice::Notice;
use booth_core::settings::{Settings, TicketIndex};
use booth_core::sink::{HandlerRequest, Record, Reply, Sink, StoreRequest};
use booth_core::ticket::Ticket;
use booth_core::time::Now;
use booth_core::wheel::Timer;
use core::hint::black_box;

/// The entry point. What the core needs must be reachable from here, or the linker drops it unseen.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    let Some((settings, tickets)) = black_box(None::<(Settings, &mut [Ticket])>) else { loop {} };
    let (mut timers, mut attributes) = ([Timer::UNARMED; 1], []);
    let storage = Storage { tickets, timers: &mut timers, attributes: &mut attributes };
    let mut node = Node::new(settings, storage, Now::default());
    loop {
        let input = black_box(Input::Tick);
        node.step(black_box(Now::default()), input, &mut Nowhere);
        black_box((node.next_deadline(), node.tickets(Now::default()).count(), node.peers().count()));
    }
}

/// A sink that takes everything.
struct Nowhere;

impl Sink for Nowhere {
    fn journal(&mut self, ticket: TicketIndex, record: &Record) {
        black_box((ticket, record));
    }
    fn send(&mut self, ticket: TicketIndex, to: booth_core::member::MemberIndex, bytes: &[u8]) {
        black_box((ticket, to, bytes));
    }
    fn store(&mut self, ticket: TicketIndex, request: StoreRequest<'_>) {
        black_box((ticket, request));
    }
    fn run_handler(&mut self, ticket: TicketIndex, request: HandlerRequest) {
        black_box((ticket, request));
    }
    fn reply(&mut self, client: ClientId, reply: Reply<'_>) {
        black_box((client, reply));
    }
    fn notice(&mut self, notice: Notice) {
        black_box(notice);
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The four functions that the compiler itself calls and that a platform must bring.
mod memory {
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, _: *const u8, _: usize) -> *mut u8 {
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, _: *const u8, _: usize) -> *mut u8 {
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, _: i32, _: usize) -> *mut u8 {
        to
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(_: *const u8, _: *const u8, _: usize) -> i32 {
        0
    }

    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(_: *const u8, _: *const u8, _: usize) -> i32 {
        0
    }
}
