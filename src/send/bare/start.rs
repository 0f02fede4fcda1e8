//! Where the kernel starts the program: the entry point and the arguments.

use crate::system;
use core::ffi::{CStr, c_char};

// The kernel leaves the number of arguments at the top of the stack, and above it the pointers to them.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor %ebp, %ebp",
    "mov %rsp, %rdi",
    "and $-16, %rsp",
    "call {start}",
    start = sym start,
    options(att_syntax),
);
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, #0",
    "mov x30, #0",
    "mov x0, sp",
    "bl {start}",
    start = sym start,
);

/// The arguments, the program's name first.
pub struct Arguments {
    next: *const *const c_char,
}

impl Iterator for Arguments {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<&'static [u8]> {
        // SAFETY: `next` points into the array that the kernel made; a null pointer ends it, and is not passed.
        let argument = unsafe { *self.next };
        if argument.is_null() {
            return None;
        }
        // SAFETY: as above, the next pointer is still in the array.
        self.next = unsafe { self.next.add(1) };
        // SAFETY: a string that the kernel has terminated; nobody changes it, and it is there until the end.
        Some(unsafe { CStr::from_ptr(argument) }.to_bytes())
    }
}

extern "C" fn start(stack: *const *const c_char) -> ! {
    // SAFETY: `stack` is the stack pointer at the start; the arguments follow their number.
    let next = unsafe { stack.add(1) };
    system::exit(crate::run(Arguments { next }))
}
