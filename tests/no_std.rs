//! The core needs neither `std` nor an allocator nor a C library: a program that has none of them, and
//! that calls the core, links. The same program with `std` or a `Vec` in it does not, so the test can fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = include_str!("bare/program.rs");

/// Builds the program; `Err` holds what compiler and linker said.
fn link(name: &str, program: &str) -> Result<(), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bare").join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("main.rs"), program).unwrap();
    // The versions that the daemon is built with.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let core = root.join("src/core");
    let manifest = format!(
        "[package]\nname = \"bare\"\nedition = \"2024\"\n[workspace]\n[[bin]]\nname = \"bare\"\npath = \"main.rs\"\n\
         [dependencies]\nbooth-core = {{ path = {core:?} }}\n\
         [profile.release]\npanic = \"abort\"\nlto = \"fat\"\ncodegen-units = 1\n"
    );
    fs::write(folder.join("Cargo.toml"), manifest).unwrap();
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["rustc", "--offline", "--release", "--target-dir", "../target", "--"])
        .args(["-C", "link-args=-nostdlib -nostartfiles -static"])
        .current_dir(&folder)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .output()
        .unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// The program with one more line at its start.
fn with_line(line: &str) -> String {
    const START: &str = "extern \"C\" fn _start() -> ! {\n";
    assert!(PROGRAM.contains(START));
    PROGRAM.replace(START, &format!("{START}{line}\n"))
}

#[test]
fn the_core_links_without_std_allocator_and_c_library() {
    if let Err(messages) = link("core", PROGRAM) {
        panic!("{messages}");
    }
    let messages = link("std", &with_line("extern crate std;")).expect_err("std is not noticed");
    assert!(messages.contains("panic_impl"), "{messages}");
    let vector = "extern crate alloc; black_box(alloc::vec::Vec::<u8>::with_capacity(9));";
    let messages = link("alloc", &with_line(vector)).expect_err("an allocation is not noticed");
    assert!(messages.contains("no global memory allocator found"), "{messages}");
    let call = "unsafe extern \"C\" { safe fn getpid() -> i32; } black_box(getpid());";
    let messages = link("libc", &with_line(call)).expect_err("a call of the C library is not noticed");
    assert!(messages.contains("getpid"), "{messages}");
}
