//! What `fence_kdump_send` decides, apart from the system calls: the crash kernel's side of
//! `booth_core::wire::kdump`.
//!
//! The program is for a kernel that has little memory and nothing but an initramfs: no C library, no
//! resolver, no heap, and no `core::fmt`, which alone would be half of its size. What it is told and
//! whom it serves is bounded by [`options::MAX_NODES`] and [`MAX_TARGETS`].
#![no_std]

pub mod address;
pub mod hosts;
pub mod options;
pub mod route;
pub mod schedule;
pub mod sequence;
pub mod text;

/// The most addresses that are served; what more the names of the nodes have is left out.
pub const MAX_TARGETS: usize = 64;
