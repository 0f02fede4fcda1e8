//! The only source of randomness: getrandom(2).

use std::io;

/// A seed for the core's small random delays.
///
/// Waits for the kernel's pool only where the machine has just booted; call it before the event loop.
///
/// # Errors
/// Where the kernel gives none: a seccomp filter that forbids getrandom(2).
pub fn seed() -> io::Result<u64> {
    let mut bytes = [0_u8; 8];
    loop {
        // SAFETY: the kernel writes at most `bytes.len()` bytes into `bytes`.
        let count = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        // Up to 256 bytes come whole or not at all (getrandom(2)).
        if count == bytes.len() as isize {
            return Ok(u64::from_ne_bytes(bytes));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    #[test]
    fn two_seeds_differ() {
        assert_ne!(super::seed().unwrap(), super::seed().unwrap());
    }
}
