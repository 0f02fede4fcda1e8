//! The listener that `fence_kdump` starts where none is there.
//!
//! A datagram goes to one socket, whatever is done to share a port: SO_REUSEPORT deals messages out among the
//! agents, and each would miss those of the others. So one process has the port and serves all: whoever finds
//! nobody starts it, in the background and in a session of its own, so that an agent that Pacemaker kills takes
//! nothing along. It is found as any listener is ([`place::socket`]), serves until nobody has waited for
//! [`IDLE`] or a listener that stays wants the port, and then leaves port and name behind. Who waits and loses it starts another.
//!
//! Where booth.conf names keys they count here as well, or whoever can write an address could declare a node dead in
//! the moment in which no other listener is there. A file that cannot be read is no file without keys.
//!
//! Two that start one at the same time are kept apart by a lock ([`place::lock_file`]). Where a listener that stays
//! is about to take the port, it has that lock, and none is started.

use crate::clock;
use crate::config::{self, Configuration, Listen};
use crate::control;
use crate::kdump::alone::{Alone, Parts};
use crate::kdump::port::Rank;
use crate::kdump::{self, Listener, place};
use crate::log::destination::Destination;
use crate::log::{Level, Log};
use crate::net::kdump::KdumpReceiver;
use crate::process::StartError;
use crate::process::detach::{self, Side};
use booth_core::time::Millis;
use booth_core::wire::kdump::Key;
use mio::net::UnixListener;
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// How long it stays when nobody waits: longer than an agent takes from starting it to asking it.
const IDLE: Millis = Millis(3_000);
/// What the process is called in syslog.
const TAG: &str = "fence_kdump";

/// All that the background process holds.
struct Opened {
    listener: Listener,
    control: UnixListener,
    file: control::SocketFile,
    lock: File,
}

/// Starts a listener in the background; when this returns, it can be asked. `false`: another one has been started
/// meanwhile, has not left yet, or is about to take the port.
///
/// # Errors
/// Where it cannot listen, in words that say why.
pub fn start(port: u16, directory: &Path, config: &Path) -> Result<bool, StartError> {
    let directory = std::path::absolute(directory).map_err(|error| failed(directory, &error))?;
    let config = std::path::absolute(config).map_err(|error| failed(config, &error))?;
    // Of the open file, not of the process: it passes to the child (flock(2)).
    let Some(lock) = lock(port, &directory)? else { return Ok(false) };
    let readiness = match detach::detach()? {
        Side::Parent(result) => return result.map(|()| true),
        Side::Child(readiness) => readiness,
    };
    let opened = open(port, &directory, &config, lock).and_then(|opened| {
        let log = Destination::syslog(TAG).map_err(|error| StartError(format!("cannot open the log: {error}")))?;
        let Opened { listener, control, file, lock } = opened;
        let log = Log::new(log, Level::Info);
        let parts = Parts { listener, control, log, watchdog: None, idle: Some(IDLE) };
        let alone = Alone::new(parts).map_err(|error| StartError(format!("cannot set up the event loop: {error}")))?;
        Ok((alone, file, lock))
    });
    let status = match opened {
        Ok((mut alone, file, lock)) => {
            readiness.ready();
            let result = alone.run();
            alone.log().finish(clock::read());
            // The name goes before the lock: whoever gets the lock then makes a name of its own.
            drop((file, alone));
            drop(lock);
            i32::from(result.is_err())
        }
        Err(error) => {
            readiness.failed(&error);
            1
        }
    };
    std::process::exit(status);
}

/// Whether a listener could be started; it is not.
///
/// # Errors
/// Why it could not.
pub fn could_start(port: u16, directory: &Path, config: &Path) -> Result<(), StartError> {
    configured(port, config)?;
    let Some(_lock) = lock(port, directory)? else {
        return Err(StartError(
            "another fence_kdump is starting a listener, or one that stays waits for the port".to_owned(),
        ));
    };
    let listen = Listen { address: None, port };
    KdumpReceiver::open(listen).map(drop).map_err(|error| StartError(error.to_string()))
}

fn open(port: u16, directory: &Path, config: &Path, lock: File) -> Result<Opened, StartError> {
    let (configuration, keys) = configured(port, config)?;
    let socket = place::socket(directory, port);
    // With the lock ours, a link there leads to a listener that has gone.
    if fs::read_link(&socket).is_ok() {
        fs::remove_file(&socket).map_err(|error| failed(&socket, &error))?;
    }
    let (control, file) = control::open(&socket, None).map_err(|error| StartError(error.to_string()))?;
    // There is nobody to be warned: whoever waits is told what fails.
    let listener = kdump::open(&configuration, keys, None, &socket, Rank::StandIn, &mut |_| {})?;
    Ok(Opened { listener, control, file, lock })
}

/// What a listener that stays would know: the same keys, and whether unsigned messages count.
fn configured(port: u16, config: &Path) -> Result<(Configuration, Vec<Key>), StartError> {
    let (configuration, diagnostics) = config::load_listener(config);
    let Some(mut configuration) = configuration else {
        let why = diagnostics.iter().find(|diagnostic| diagnostic.is_error()).map(ToString::to_string);
        let why = why.unwrap_or_else(|| format!("{}: cannot be read", config.display()));
        return Err(StartError(format!("{why}; nobody listens without the keys that may be named there")));
    };
    configuration.kdump.listen = Some(Listen { address: None, port });
    let keys = kdump::daemon::keys(&configuration)?;
    Ok((configuration, keys))
}

/// Takes the lock of those who start a listener; `None`: somebody has it.
fn lock(port: u16, directory: &Path) -> Result<Option<File>, StartError> {
    if !directory.exists() {
        // The mode whatever Pacemaker's umask is: a daemon that is not root may be the next to use it.
        let made = DirBuilder::new().recursive(true).create(directory);
        let made = made.and_then(|()| fs::set_permissions(directory, Permissions::from_mode(0o755)));
        made.map_err(|error| failed(directory, &error))?;
    }
    let failed = |error| StartError(format!("{}: the lock of port {port}: {error}", directory.display()));
    let file = place::lock_file(directory, port).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn failed(path: &Path, error: &std::io::Error) -> StartError {
    StartError(format!("{}: {error}", path.display()))
}
