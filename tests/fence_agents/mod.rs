//! Debian's `fence_kdump` and `fence_kdump_send`, unpacked from package fence-agents and not installed: it needs half of
//! Python, and ours has an agent of that name as well.
#![allow(dead_code, clippy::unwrap_used)]

use super::live;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The programs of the original.
pub struct Original {
    pub agent: PathBuf,
    pub sender: PathBuf,
}

/// Debian's programs; skips the test where they cannot be had.
#[track_caller]
pub fn original(test: &str) -> Option<&'static Original> {
    static FOUND: OnceLock<Result<Original, String>> = OnceLock::new();
    match FOUND.get_or_init(find) {
        Ok(original) => Some(original),
        Err(why) => {
            live::skip(test, why);
            None
        }
    }
}

fn find() -> Result<Original, String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fence-agents");
    if !folder.exists() {
        unpack(&folder)?;
    }
    let agent = folder.join("usr/sbin/fence_kdump");
    Ok(Original { agent, sender: folder.join("usr/libexec/fence-agents/fence_kdump_send") })
}

/// Unpacks beside the folder, which then appears as a whole: another process may be doing the same.
fn unpack(folder: &Path) -> Result<(), String> {
    let own = folder.with_extension(std::process::id().to_string());
    std::fs::create_dir_all(&own).map_err(|error| format!("{}: {error}", own.display()))?;
    let script = "apt-get -qq download fence-agents && dpkg -x fence-agents_*.deb . && rm fence-agents_*.deb";
    let done = Command::new("sh").args(["-c", script]).current_dir(&own).stdin(Stdio::null()).output();
    let done = done.map_err(|error| error.to_string())?;
    let unpacked = done.status.success() && (std::fs::rename(&own, folder).is_ok() || folder.exists());
    let _ = std::fs::remove_dir_all(own);
    let errors = String::from_utf8_lossy(&done.stderr);
    if unpacked { Ok(()) } else { Err(format!("Debian's package fence-agents cannot be had: {errors}")) }
}
