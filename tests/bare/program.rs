//! A program without `std`, without an allocator and without a C library that calls the core: it links
//! only if the core needs none of them. `tests/no_std.rs` builds it; nobody runs it.
#![no_std]
#![no_main]

use booth_core::wire;

/// The entry point. What the core needs must be reachable from here, or the linker drops it unseen.
///
/// # Safety
/// Never called: the program is only linked.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn _start() -> ! {
    let bytes = core::hint::black_box([0_u8; wire::MAX_MESSAGE]);
    core::hint::black_box(&bytes);
    loop {}
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
