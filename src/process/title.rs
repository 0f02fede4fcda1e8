//! What `ps` and pgrep(1) show. The process is called `boothd` whatever it was started as (`booth`,
//! a link), and its command line reads as the reference daemon's,
//! `boothd FILE site for [ADDRESS]:PORT`: resource agents find it by `boothd.*FILE`.

use std::net::IpAddr;
use std::path::Path;

/// The process's name (`/proc/PID/comm`).
pub const PROCESS_NAME: &std::ffi::CStr = c"boothd";

/// Sets the name and the command line that others see. Where a step is refused the old one stays:
/// nothing depends on it but what people and agents look for.
///
/// The arguments must have been read: [`std::env::args`] no longer gives them afterwards. The command
/// line is cut where it is longer than the one that the process was started with.
pub fn set(configuration: &Path, kind: &str, address: IpAddr, port: u16) {
    let _ = nix::sys::prctl::set_name(PROCESS_NAME);
    let title = format!("boothd {} {kind} for [{address}]:{port}", configuration.display());
    if let Some((start, length)) = arguments_area() {
        // SAFETY: by `arguments_area` these bytes are the strings of argv. They lie above the stack
        // for the life of the process, are writable (mapped as the stack is), and nothing in this
        // process holds a reference into them: the standard library copies at each call of `args`.
        let area = unsafe { std::slice::from_raw_parts_mut(start as *mut u8, length) };
        overwrite(area, title.as_bytes());
    }
}

/// Puts `title` into `area` and zeros behind it. The last byte stays zero: otherwise the kernel takes
/// it that the title runs on into the environment.
fn overwrite(area: &mut [u8], title: &[u8]) {
    area.fill(0);
    let room = area.len().saturating_sub(1).min(title.len());
    area[..room].copy_from_slice(&title[..room]);
}

/// Where the kernel says that the strings of argv lie: `arg_start` and `arg_end`, fields 48 and 49 of
/// `/proc/self/stat` (proc_pid_stat(5)). `None` where it does not say.
fn arguments_area() -> Option<(usize, usize)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Field 2 is the name in parentheses and may hold anything; field 3 follows the last `)`.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(48 - 3);
    let start: usize = fields.next()?.parse().ok()?;
    let end: usize = fields.next()?.parse().ok()?;
    (start != 0 && end > start).then(|| (start, end - start))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_title_is_cut_before_the_last_byte_and_padded_with_zeros() {
        let mut area = *b"boothd\0daemon\0";
        overwrite(&mut area, b"boothd /etc/booth/booth.conf");
        assert_eq!(&area, b"boothd /etc/b\0");
        overwrite(&mut area, b"boothd");
        assert_eq!(&area, b"boothd\0\0\0\0\0\0\0\0");
        overwrite(&mut [], b"boothd");
    }
}
