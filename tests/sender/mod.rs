//! The crash kernel's sender, built as for the packages.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What the build says where the compiler for another architecture cannot be had.
const UNAVAILABLE: i32 = 69;

/// Builds the sender for an architecture. `None`: the compiler for it cannot be had here.
pub fn build(architecture: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Beside other builds of it, so that the compiler is fetched once.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut build = Command::new(root.join("src/send/build"));
    let output = build.arg(architecture).env("CARGO_TARGET_DIR", target).stdin(Stdio::null()).output().unwrap();
    match output.status.code() {
        Some(0) => Some(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())),
        Some(UNAVAILABLE) => None,
        _ => panic!("{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// The sender for this machine.
pub fn sender() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build(std::env::consts::ARCH).unwrap())
}
