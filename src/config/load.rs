//! Configuration from the file system, host names from the system's resolver.

use super::argument::Argument;
use super::diagnostic::{Diagnostic, Shown};
use super::parse::parse;
use super::{ArgumentTooLong, Configuration};
use crate::name_service;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where a configuration that is given by its name is.
pub const DIRECTORY: &str = "/etc/booth";
/// The file where none is given.
pub const DEFAULT_FILE: &str = "/etc/booth/booth.conf";
/// The file of booth 0.1, taken where none is given and [`DEFAULT_FILE`] does not exist.
pub const OLD_FILE: &str = "/etc/sysconfig/booth";
/// The file that a listener for dumping nodes is called after where there is none.
const LISTENER_FILE: &str = "/etc/booth/kdump.conf";
/// The longest file, in bytes: room for the most tickets with all their keys and comments.
pub const MAX_FILE: usize = 4 * 1024 * 1024;

/// The file that `-c` means: a path when there is a slash in it, else a name in [`DIRECTORY`].
///
/// # Errors
///
/// When the argument is longer than the reference takes.
pub fn find_file(argument: Option<&str>) -> Result<PathBuf, ArgumentTooLong> {
    let Some(argument) = argument else {
        let default = Path::new(DEFAULT_FILE);
        let old = Path::new(OLD_FILE);
        return Ok(if !default.exists() && old.exists() { old } else { default }.to_owned());
    };
    if argument.contains('/') {
        Argument::ConfigFile.check(argument)?;
        Ok(PathBuf::from(argument))
    } else {
        Argument::ConfigName.check(argument)?;
        Ok(Path::new(DIRECTORY).join(format!("{argument}.conf")))
    }
}

/// Reads and understands a file; host names are looked up, which may take the resolver's time.
///
/// The key is not read: a client that may not read it can still list tickets of others.
pub fn load(path: &Path) -> (Option<Configuration>, Vec<Diagnostic>) {
    match read(path) {
        Ok(bytes) => parse(&bytes, path, &mut resolve),
        Err(error) => {
            // A file of this name in the working directory is what was meant, more often than not.
            let hint = match error.kind() {
                io::ErrorKind::NotFound if path.starts_with(DIRECTORY) => {
                    "; expected NAME of /etc/booth/NAME.conf, or a path with a slash in it, such as ./booth.conf"
                }
                _ => "",
            };
            let text = format!("cannot read config: failed to open: {error}{hint}");
            (None, vec![Diagnostic::about_file(path, text)])
        }
    }
}

/// As [`load`], for a listener for dumping nodes alone: where the usual file does not exist, it listens at the usual
/// port.
pub fn load_listener(path: &Path) -> (Option<Configuration>, Vec<Diagnostic>) {
    if path == Path::new(DEFAULT_FILE) && !path.exists() {
        return parse(b"kdump-listen = 7410\n", Path::new(LISTENER_FILE), &mut resolve);
    }
    load(path)
}

/// The addresses of a host, by the system's resolver and in its order, as the reference does.
///
/// # Errors
///
/// Why there is none, as text.
pub fn resolve(host: &str) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    match name_service::ask("ahosts", host) {
        Ok(Some(answer)) => Ok(addresses(&answer)),
        Ok(None) => Err("no such host, or its name server does not answer".to_owned()),
        Err(error) => Err(Shown(&error.to_string()).to_string()),
    }
}

/// The addresses of lines `ADDRESS KIND [NAME]`, of which each has three for its kinds of sockets.
fn addresses(lines: &str) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> =
        lines.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect();
    addresses.dedup();
    addresses
}

/// At most one byte more than [`MAX_FILE`], which the parser refuses.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // A pipe without a writer would block open() for ever, a terminal read().
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("a directory, a pipe or a device, expected a regular file"));
    }
    file.take(MAX_FILE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_of_an_answer_is_taken_once_in_its_order() {
        let answer = "2001:db8::1     STREAM booth.example\n2001:db8::1     DGRAM  \n2001:db8::1     RAW    \n\
                      192.0.2.1       STREAM \n192.0.2.1       DGRAM  \nfe80::1%2 STREAM\nnonsense\n";
        let expected: [IpAddr; 2] = [[0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(), [192, 0, 2, 1].into()];
        assert_eq!(addresses(answer), expected);
    }
}
