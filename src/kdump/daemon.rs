//! `boothd kdump`: a listener for dumping nodes on a cluster node without tickets.
//!
//! It starts and leaves as a member does ([`crate::daemon`]), in the same order and as the account of a site,
//! with a lock file and a control socket of its own, so that both may run with one configuration: the member has
//! the port while it is there ([`super::port`]). A configuration is not needed: without one it listens at the usual port.

use super::alone::{Alone, Parts};
use super::port::Rank;
use super::{Listener, read_keys};
use crate::cli::{DaemonOptions, FAILURE, SUCCESS};
use crate::clock;
use crate::config::{self, Configuration};
use crate::control;
use crate::daemon::{open_log, raw, resolve, say_left};
use crate::log::{Level, Log};
use crate::process::detach::{self, Readiness, Side};
use crate::process::lockfile::{Identity, LockFile, State};
use crate::process::notify::{Notifier, Watchdog};
use crate::process::privileges::{self, Account};
use crate::process::{StartError, descriptors, lockfile, memory};
use booth_core::member::{MemberKind, SiteId};
use booth_core::wire::kdump::Key;
use std::fmt::Display;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// What is known before the process detaches.
struct Plan {
    configuration: Configuration,
    keys: Vec<Key>,
    account: Option<Account>,
    lock_path: PathBuf,
    foreground: bool,
    verbosity: Level,
}

/// All that is held from the start to the end.
struct Running {
    lock: LockFile,
    notifier: Option<Notifier>,
    _control_file: control::SocketFile,
}

/// The lock file of the listener with this configuration: not the one of its member.
pub fn default_lock(configuration: &str) -> PathBuf {
    Path::new(lockfile::DIRECTORY).join(format!("{configuration}.kdump.pid"))
}

/// Listens until a signal ends it; tells the exit status.
pub fn run(options: &DaemonOptions) -> u8 {
    match prepare(options).and_then(|plan| start(&plan)) {
        Ok(()) => SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            FAILURE
        }
    }
}

fn prepare(options: &DaemonOptions) -> Result<Plan, StartError> {
    descriptors::close_inherited()?;
    let (configuration, diagnostics) = config::load_listener(&options.config);
    for diagnostic in &diagnostics {
        let _ = writeln!(std::io::stderr(), "{diagnostic}");
    }
    let Some(configuration) = configuration else {
        return Err(StartError("cannot read config: nothing was started".to_owned()));
    };
    let lock_path = options.lock_file.clone().unwrap_or_else(|| default_lock(&configuration.name));
    let lock_path =
        std::path::absolute(&lock_path).map_err(|error| StartError(format!("{}: {error}", lock_path.display())))?;
    let keys = keys(&configuration)?;
    let account = match privileges::is_root() {
        true => Some(resolve(configuration.account(MemberKind::Site))?),
        false => None,
    };
    let debug = options.debug > 0 || configuration.debug > 0;
    let verbosity = if debug { Level::Debug } else { Level::Info };
    Ok(Plan { configuration, keys, account, lock_path, foreground: options.foreground, verbosity })
}

/// The keys of the nodes that have one.
///
/// # Errors
/// Where a key file is refused.
pub fn keys(configuration: &Configuration) -> Result<Vec<Key>, StartError> {
    let path = configuration.path.display();
    read_keys(&configuration.kdump).map_err(|(line, error)| StartError(format!("{path}:{line}: {error}")))
}

fn start(plan: &Plan) -> Result<(), StartError> {
    let readiness = if plan.foreground {
        Readiness::foreground()
    } else {
        match detach::detach()? {
            Side::Parent(result) => return result,
            Side::Child(readiness) => readiness,
        }
    };
    let mut log = match open_log(plan.foreground, plan.verbosity) {
        Ok(log) => log,
        Err(error) => return fail(readiness, error),
    };
    match open(plan, &mut log) {
        Ok((running, listener, control)) => serve(running, listener, control, log, readiness),
        Err(error) => fail(readiness, error),
    }
}

fn fail(readiness: Readiness, error: StartError) -> Result<(), StartError> {
    readiness.failed(&error);
    Err(error)
}

/// Takes the lock, binds the sockets, gives up root.
fn open(plan: &Plan, log: &mut Log) -> Result<(Running, Listener, mio::net::UnixListener), StartError> {
    let now = clock::read();
    // The time zone is read now, while its file can be.
    let _ = clock::local_time(now.wall);
    let mut warn = |text: &dyn Display| log.write(now, Level::Warning, format_args!("{text}"));
    let configuration = &plan.configuration;
    let listen = configuration.kdump.listen.unwrap_or_default();
    let owner = plan.account.as_ref().map(|account| (account.uid, account.gid));
    let identity = Identity {
        kind: "kdump",
        configuration: configuration.name.clone(),
        id: SiteId(0),
        address: listen.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
        port: listen.port,
    };
    let lock = LockFile::acquire(&plan.lock_path, identity, owner)?;
    let control_path = control::path_beside(&plan.lock_path);
    let (control, control_file) =
        control::open(&control_path, raw(owner)).map_err(|error| StartError(error.to_string()))?;
    let rank = Rank::Alone;
    let listener = super::open(configuration, plan.keys.clone(), raw(owner), &control_path, rank, &mut warn)?;
    memory::release_program_pages();
    let asked = [privileges::lock_memory(), privileges::spare_from_oom_killer()];
    asked.iter().filter_map(|result| result.as_ref().err()).for_each(|error| warn(error));
    if let Some(account) = &plan.account {
        account.take()?;
    }
    let notifier = Notifier::from_environment().map_err(|error| warn(&format_args!("NOTIFY_SOCKET: {error}"))).ok();
    Ok((Running { lock, notifier, _control_file: control_file }, listener, control))
}

fn serve(
    mut running: Running,
    listener: Listener,
    control: mio::net::UnixListener,
    log: Log,
    readiness: Readiness,
) -> Result<(), StartError> {
    let place = match listener.is_listening() {
        true => format!("listens for dumping nodes at {listener}"),
        false => listener.to_string(),
    };
    let watchdog = Watchdog::from_environment(clock::read().boot).unwrap_or_default();
    let alone = Alone::new(Parts { listener, control, log, watchdog, idle: None });
    let mut alone = match alone {
        Ok(alone) => alone,
        Err(error) => return fail(readiness, StartError(format!("cannot set up the event loop: {error}"))),
    };
    if let Err(error) = running.lock.write(State::Started) {
        return fail(readiness, error);
    }
    readiness.ready();
    let now = clock::read();
    let version = env!("CARGO_PKG_VERSION");
    alone.log().write(now, Level::Info, format_args!("boothd {version}: {place}"));
    if let Some(notifier) = &running.notifier
        && let Err(error) = notifier.ready(&place)
    {
        alone.log().write(now, Level::Warning, format_args!("the service manager cannot be told: {error}"));
    }
    let result = alone.run();
    if let Some(notifier) = &running.notifier {
        // The service manager sees the end itself.
        let _ = notifier.stopping();
    }
    say_left(alone.log(), &result.as_ref().map(|signal| signal.unwrap_or(libc::SIGTERM)), running.lock);
    result.map(drop).map_err(|error| StartError(format!("the event loop has failed: {error}")))
}
