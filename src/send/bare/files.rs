//! The two files that are read: `/etc/hosts` and the key.

use crate::console;
use crate::system::{self, Errno};
use booth_core::wire::kdump::Key;
use booth_core::wire::secret_in;
use core::ffi::CStr;
use fence_kdump_send::address::Address;
use fence_kdump_send::hosts::{self, Lines};

const HOSTS: &CStr = c"/etc/hosts";
/// How much of a key file is read: a longest key and many blanks.
const MAX_KEY_FILE: usize = 512;
/// The longest path of a key file, in bytes, with the zero at its end.
const MAX_PATH: usize = 256;

/// Shows each address that `/etc/hosts` gives to `name`.
pub fn look_up(name: &[u8], mut show: impl FnMut(&Address<'_>)) {
    let Ok(file) = system::open(HOSTS) else { return };
    let mut buffer = [0; 512];
    let mut lines = Lines::new();
    let mut look = |line: &[u8]| {
        if let Some(address) = hosts::address_of(line, name) {
            show(&address);
        }
    };
    while let Ok(bytes) = system::read(&file, &mut buffer) {
        if bytes.is_empty() {
            break;
        }
        lines.feed(bytes, &mut look);
    }
    lines.end(&mut look);
}

/// The key in a file. Without one, which it complains of, messages go out unsigned: a listener may still do with them.
pub fn key(path: &[u8]) -> Option<Key> {
    let mut buffer = [0; MAX_KEY_FILE];
    let (what, number) = match content(path, &mut buffer).map(secret_in) {
        Ok(Ok(secret)) => return Some(Key::new(secret)),
        Ok(Err(length)) => (" must have 8 to 64 bytes, but its length is ", length),
        Err(Errno(number)) => (" cannot be read: error ", number.into()),
    };
    console::error_number("messages are not signed: key ", path, what, number);
    None
}

/// The start of a file: a longest key and many blanks fit.
fn content<'a>(path: &[u8], buffer: &'a mut [u8; MAX_KEY_FILE]) -> Result<&'a [u8], Errno> {
    let mut terminated = [0; MAX_PATH];
    if path.len() >= terminated.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    terminated.iter_mut().zip(path).for_each(|(to, byte)| *to = *byte);
    let path = CStr::from_bytes_until_nul(&terminated).map_err(|_| Errno::ENAMETOOLONG)?;
    system::read(&system::open(path)?, buffer)
}
