//! `fence_kdump_send`: tells the cluster that this node has crashed and writes its dump.
//!
//! One static file without a C library, started by the kernel: the entry point, what the compiler needs
//! of a platform, the arguments. What it does is in [`sender`].
#![no_std]
#![no_main]

mod console;
mod files;
mod link;
mod memory;
mod sender;
mod start;
mod system;

use fence_kdump_send::options::{self, Command, USAGE};

/// Runs the program; gives its exit status.
fn run(arguments: start::Arguments) -> i32 {
    match options::parse(arguments.skip(1)) {
        Ok(Command::Send(options)) => sender::run(&options),
        Ok(Command::Usage) => {
            console::print(USAGE);
            0
        }
        Ok(Command::Version) => {
            console::print(concat!("fence_kdump_send ", env!("CARGO_PKG_VERSION"), "\n"));
            0
        }
        Err(error) => {
            let (before, what, after) = error.words();
            console::error(before, what, after);
            console::print(USAGE);
            1
        }
    }
}

/// Nothing here panics that is known of; a bug ends the program, not the dump.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    console::error("internal error", b"", "");
    system::exit(101)
}
