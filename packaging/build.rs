//! Links release programs without unwind tables; `packaging/no-unwind-tables.ld` says why that is safe.
//!
//! `BOOTH_KEEP_UNWIND_TABLES=1` keeps them: for debuggers, and for linkers that take no script.

use std::env::var;

fn main() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/no-unwind-tables.ld");
    println!("cargo:rerun-if-changed={script}");
    println!("cargo:rerun-if-env-changed=BOOTH_KEEP_UNWIND_TABLES");
    let release = var("PROFILE").is_ok_and(|profile| profile == "release");
    let linux = var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if release && linux && var("BOOTH_KEEP_UNWIND_TABLES").is_err() {
        println!("cargo:rustc-link-arg-bins=-Wl,--no-eh-frame-hdr");
        println!("cargo:rustc-link-arg-bins=-Wl,-T,{script}");
    }
}
