//! What must be gone when the demo ends: child processes and the temporary directory.
//!
//! It is cleared on every way out: the normal end, an error, a signal (which only sets a flag that
//! the demo looks at), and a panic, where it is done by a hook because a release build does not
//! unwind. A demo that is itself killed takes its daemons with it: they get SIGKILL from the kernel.

use super::{Failure, setup};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::fs;
use std::panic;
use std::path::PathBuf;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Process ids that have not been waited for, so that none of them can mean another process yet.
static CHILDREN: Mutex<Vec<u32>> = Mutex::new(Vec::new());
static DIRECTORY: Mutex<Option<PathBuf>> = Mutex::new(None);

/// Tells whether the user wants to leave.
#[derive(Clone)]
pub(super) struct Interrupted(Arc<AtomicBool>);

impl Interrupted {
    /// An error once a signal to end has come.
    pub(super) fn check(&self) -> Result<(), Failure> {
        if self.0.load(Ordering::Relaxed) { Err(Failure::Interrupted) } else { Ok(()) }
    }
}

/// Does something and clears what it left, however it ends.
pub(super) fn while_cleaning_up<T>(work: impl FnOnce(Interrupted) -> Result<T, Failure>) -> Result<T, Failure> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&flag)).map_err(setup("cannot catch signals"))?;
    }
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        clear();
        report(panic);
    }));
    let result = work(Interrupted(flag));
    clear();
    result
}

/// Makes the temporary directory.
pub(super) fn make_directory() -> Result<PathBuf, Failure> {
    let mut template = std::env::temp_dir();
    template.push("booth-demo.XXXXXX");
    let path = nix::unistd::mkdtemp(&template).map_err(|error| {
        setup(format!("cannot make a directory in {}", std::env::temp_dir().display()))(error.into())
    })?;
    *lock(&DIRECTORY) = Some(path.clone());
    Ok(path)
}

/// Remembers a child.
pub(super) fn add(child: &Child) {
    lock(&CHILDREN).push(child.id());
}

/// Forgets a child; to be called before it is waited for.
pub(super) fn remove(child: &Child) {
    lock(&CHILDREN).retain(|pid| *pid != child.id());
}

fn clear() {
    for pid in lock(&CHILDREN).drain(..) {
        let pid = Pid::from_raw(pid.cast_signed());
        let _ = kill(pid, Signal::SIGKILL);
        let _ = nix::sys::wait::waitpid(pid, None);
    }
    if let Some(directory) = lock(&DIRECTORY).take() {
        let _ = fs::remove_dir_all(directory);
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
