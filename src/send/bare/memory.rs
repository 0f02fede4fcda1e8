//! What the compiler calls and a C library would bring: functions on memory.
//!
//! Each writes or reads byte by byte, and volatile, or the compiler would make them calls of themselves.
//! They are slow; a message has 64 bytes.

/// Copies `length` bytes.
///
/// # Safety
/// As `memcpy` of C: both areas are valid and do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    for at in 0..length {
        // SAFETY: `at` is below `length`, and the caller vouches for both areas.
        unsafe { to.add(at).write_volatile(*from.add(at)) };
    }
    to
}

/// Copies `length` bytes between areas that may overlap.
///
/// # Safety
/// As `memmove` of C: both areas are valid.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
    for step in 0..length {
        let at = if to.cast_const() < from { step } else { length - 1 - step };
        // SAFETY: as in `memcpy`; no byte is written before it has been read.
        unsafe { to.add(at).write_volatile(*from.add(at)) };
    }
    to
}

/// Sets `length` bytes.
///
/// # Safety
/// As `memset` of C: the area is valid.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, length: usize) -> *mut u8 {
    for at in 0..length {
        // SAFETY: `at` is below `length`, and the caller vouches for the area.
        unsafe { to.add(at).write_volatile(byte as u8) };
    }
    to
}

/// Compares `length` bytes.
///
/// # Safety
/// As `memcmp` of C: both areas are valid.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
    for at in 0..length {
        // SAFETY: `at` is below `length`, and the caller vouches for both areas.
        let (left, right) = unsafe { (left.add(at).read_volatile(), right.add(at).read_volatile()) };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
    }
    0
}

/// Whether `length` bytes differ.
///
/// # Safety
/// As [`memcmp`].
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, length: usize) -> i32 {
    // SAFETY: the caller vouches for both areas.
    unsafe { memcmp(left, right, length) }
}

/// The bytes before the first zero.
///
/// # Safety
/// As `strlen` of C: a zero follows, and all before it is valid.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut length = 0;
    // SAFETY: no zero has been passed, and the caller vouches for all up to it.
    while unsafe { text.add(length).read_volatile() } != 0 {
        length += 1;
    }
    length
}
