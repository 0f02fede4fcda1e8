//! The key file: a secret shared by all members.
//!
//! It is readable by its owner only; what of its content is the key, the core says ([`secret_in`]).

pub use booth_core::wire::{MAX_SECRET, MIN_SECRET};

use booth_core::wire::secret_in;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How much of a file is read: a longest key and many blanks.
const MAX_READ: usize = 4096;

/// The bytes of a key. They are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// Why a key file was refused.
#[derive(Debug)]
pub enum KeyFileError {
    /// It cannot be opened or read.
    Unreadable(PathBuf, io::Error),
    /// It is a directory, a device, a pipe.
    NotAFile(PathBuf),
    /// Others than its owner may read it: with these permissions.
    Exposed(PathBuf, u32),
    /// Its key has this many bytes.
    TooShort(PathBuf, usize),
    /// Its key has at least this many bytes.
    TooLong(PathBuf, usize),
}

impl Secret {
    /// The key, as authentication needs it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

impl std::error::Error for KeyFileError {}

impl std::fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KeyFileError::Unreadable(path, error) => {
                write!(f, "cannot open authfile {}: {error}; expected the key that all members share", path.display())
            }
            KeyFileError::NotAFile(path) => {
                write!(f, "authfile {} is not a regular file, expected a file with the key", path.display())
            }
            KeyFileError::Exposed(path, mode) => {
                let path = path.display();
                write!(
                    f,
                    "{path}: file shall not be readable for anyone but the owner, but its mode is {mode:04o}; run: \
                     chmod 600 {path}"
                )
            }
            KeyFileError::TooShort(path, length) => write!(
                f,
                "key in {} is too short: {length} bytes, expected {MIN_SECRET} to {MAX_SECRET}; make a new one for \
                 all members: head -c {MAX_SECRET} /dev/urandom > FILE; chmod 600 FILE",
                path.display()
            ),
            KeyFileError::TooLong(path, length) => write!(
                f,
                "key in {} is too long: {length} bytes, expected {MIN_SECRET} to {MAX_SECRET} (booth uses the first \
                 {MAX_SECRET} alone; cut the file there on all members)",
                path.display()
            ),
        }
    }
}

/// Reads and checks a key file.
///
/// # Errors
///
/// [`KeyFileError`], which names the file and says what to do.
pub fn read_key(path: &Path) -> Result<Secret, KeyFileError> {
    let unreadable = |error| KeyFileError::Unreadable(path.to_owned(), error);
    // A pipe without a writer would block open() for ever.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(unreadable)?;
    check_file(path, &file.metadata().map_err(unreadable)?)?;
    let mut content = Vec::with_capacity(MAX_READ);
    file.take(MAX_READ as u64 + 1).read_to_end(&mut content).map_err(unreadable)?;
    if content.len() > MAX_READ {
        return Err(KeyFileError::TooLong(path.to_owned(), content.len()));
    }
    secret_in(&content).map(|key| Secret(key.to_vec())).map_err(|length| {
        let error = if length < MIN_SECRET { KeyFileError::TooShort } else { KeyFileError::TooLong };
        error(path.to_owned(), length)
    })
}

fn check_file(path: &Path, metadata: &Metadata) -> Result<(), KeyFileError> {
    const READABLE_BY_OTHERS: u32 = 0o044;
    if !metadata.is_file() {
        return Err(KeyFileError::NotAFile(path.to_owned()));
    }
    if metadata.mode() & READABLE_BY_OTHERS != 0 {
        return Err(KeyFileError::Exposed(path.to_owned(), metadata.mode() & 0o7777));
    }
    Ok(())
}
