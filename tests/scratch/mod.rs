//! Directories of tests, named after the process that made them. They lie where a daemon that is root no longer can
//! reach them: below the system's directory for such things, not below the user's.
//!
//! A test that passes removes its directory; one that fails keeps it for whoever looks, and one that is killed cannot
//! remove it. What is left of those goes when the next process makes its first.
#![allow(dead_code, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

/// What the names begin with, of directories and of all else that a process must not leave behind.
pub const PREFIX: &str = "booth-test-";

/// The name of something that this process makes.
pub fn name(of: &str) -> String {
    format!("{PREFIX}{}-{of}", std::process::id())
}

/// Makes an empty directory.
pub fn directory(of: &str) -> PathBuf {
    static SWEPT: Once = Once::new();
    SWEPT.call_once(|| {
        for path in left_behind(&std::env::temp_dir()) {
            let _ = fs::remove_dir_all(path);
        }
    });
    let directory = std::env::temp_dir().join(name(of));
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// What lies in a directory and was made by processes of tests that are gone.
pub fn left_behind(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_str().is_some_and(maker_is_gone)).map(|entry| entry.path()).collect()
}

fn maker_is_gone(name: &str) -> bool {
    let maker = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
    maker.is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists())
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_what_the_dead_have_made_is_left_behind() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(super::maker_is_gone(&format!("{}{}-x", super::PREFIX, child.id())));
        assert!(!super::maker_is_gone(&super::name("x")));
        assert!(!super::maker_is_gone(&format!("{}x", super::PREFIX)));
        assert!(!super::maker_is_gone(&format!("other-{}-x", child.id())));
    }
}
