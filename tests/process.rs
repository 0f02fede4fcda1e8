//! The process's surroundings, seen from outside: this program starts itself in a role
//! (`ROLE=... process ARGUMENTS`) as a small daemon and looks at it. It has no test harness, because a
//! daemon that forks must have one thread.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod live;
mod patience;
mod scratch;

use booth::log::destination::Destination;
use booth::log::{Level, Log};
use booth::process::detach::{Readiness, Side, detach};
use booth::process::lockfile::{Identity, Inspection, LockFile, State, inspect, status_line};
use booth::process::privileges::{self, Account};
use booth::process::{StartError, descriptors, title};
use booth_core::member::SiteId;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, Signal, kill};
use nix::unistd::{Pid, Uid};
use patience::{PATIENCE, wait_for};
use scratch::directory;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::time::{Duration, Instant};

const ROLE: &str = "BOOTH_PROCESS_ROLE";

fn main() -> ExitCode {
    match std::env::var(ROLE) {
        Ok(role) => play(&role, &std::env::args().skip(1).collect::<Vec<_>>()),
        Err(_) => run_tests(),
    }
}

// ---- roles -------------------------------------------------------------------------------------

fn identity() -> Identity {
    let address: IpAddr = "127.0.0.41".parse().unwrap();
    Identity {
        kind: "arbitrator",
        configuration: "b".to_owned(),
        id: SiteId::of_address(&[127, 0, 0, 41]),
        address,
        port: 29_929,
    }
}

fn play(role: &str, arguments: &[String]) -> ExitCode {
    match role {
        "daemon" => daemon(Path::new(&arguments[0])),
        "dies" => match detach().unwrap() {
            Side::Child(_readiness) => std::process::exit(3),
            Side::Parent(result) => told(result),
        },
        "descriptors" => {
            descriptors::close_inherited().unwrap();
            for entry in fs::read_dir("/proc/self/fd").unwrap() {
                let path = entry.unwrap().path();
                if let Ok(target) = fs::read_link(&path) {
                    println!("{} {}", path.file_name().unwrap().display(), target.display());
                }
            }
            ExitCode::SUCCESS
        }
        "account" => {
            let account = Account::resolve(&arguments[0], &arguments[1]).unwrap();
            account.take().unwrap();
            privileges::allow_core_dumps().unwrap();
            print!("{}", fs::read_to_string("/proc/self/status").unwrap());
            let maps = fs::read_to_string("/proc/self/maps").unwrap();
            println!("name service in memory: {}", maps.contains("libnss_"));
            println!("root is back: {}", nix::unistd::setresuid(Uid::from_raw(0), 0.into(), 0.into()).is_ok());
            ExitCode::SUCCESS
        }
        "claims" => {
            for claim in [privileges::schedule_first, privileges::spare_from_oom_killer, privileges::lock_memory] {
                println!("{}", claim().err().map_or("granted".to_owned(), |error| error.to_string()));
            }
            let child = Command::new("cat").arg("/proc/self/stat").output().unwrap();
            for stat in [fs::read("/proc/self/stat").unwrap(), child.stdout] {
                // proc_pid_stat(5): field 41 is the policy.
                let stat = String::from_utf8(stat).unwrap();
                println!("policy {}", stat.rsplit_once(')').unwrap().1.split_whitespace().nth(41 - 3).unwrap());
            }
            ExitCode::SUCCESS
        }
        "full disk" => {
            // A limit on the size of files fails a write as a full disk does.
            // SAFETY: ignoring a signal installs no handler.
            unsafe { nix::sys::signal::signal(Signal::SIGXFSZ, SigHandler::SigIgn) }.unwrap();
            setrlimit(Resource::RLIMIT_FSIZE, 10, 10).unwrap();
            told(LockFile::acquire(Path::new(&arguments[0]), identity(), None).map(drop))
        }
        "flood" => {
            if privileges::is_root() && arguments[0] == "as nobody" {
                Account::resolve("nobody", "nogroup").unwrap().take().unwrap();
            }
            flood();
            ExitCode::SUCCESS
        }
        role => panic!("no role {role}"),
    }
}

/// Detaches, takes the lock, waits for SIGTERM and leaves as a daemon should.
fn daemon(path: &Path) -> ExitCode {
    let mut terminate = SigSet::empty();
    terminate.add(Signal::SIGTERM);
    terminate.thread_block().unwrap();
    let readiness = match detach().unwrap() {
        Side::Parent(result) => return told(result),
        Side::Child(readiness) => readiness,
    };
    match serve(path, readiness, &terminate) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(path: &Path, readiness: Readiness, terminate: &SigSet) -> Result<(), StartError> {
    let mut lock = match LockFile::acquire(path, identity(), None) {
        Ok(lock) => lock,
        Err(error) => {
            readiness.failed(&error);
            return Err(error);
        }
    };
    title::set(Path::new("/etc/booth/b.conf"), "arbitrator", identity().address, identity().port);
    lock.write(State::Started)?;
    readiness.ready();
    terminate.wait().map_err(|error| StartError(error.to_string()))?;
    lock.release().map_err(|error| StartError(error.to_string()))
}

/// Writes far more to stderr than a pipe holds, and says on stdout how much of it was lost.
fn flood() {
    let mut log = Log::new(Destination::stderr("boothd").unwrap(), Level::Info);
    let now = booth::clock::read();
    for number in 0..10_000 {
        log.write(now, Level::Info, format_args!("line {number} {:0200}", 0));
    }
    println!("{}", log.lines_lost());
}

fn told(result: Result<(), StartError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

// ---- tests -------------------------------------------------------------------------------------

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    ("the parent returns when the daemon is ready and the daemon is detached", ready_and_detached),
    ("a second daemon on one lock file is told who holds it", second_daemon),
    ("a daemon that ends without a word is a failure", ends_without_a_word),
    ("a lock file is private, follows no link, and dies with its process", lock_file_rules),
    ("a lock file directory is made and a missing parent is told", lock_file_directory),
    ("a full disk is told and leaves no lock file", full_disk),
    ("a stderr that nobody reads holds nobody up, before and after root is given up", unread_stderr),
    ("the reference daemon's lock file is read", reference_lock_file),
    ("inherited descriptors are closed and the standard ones are open", inherited_descriptors),
    ("root is given up for good", root_is_given_up),
    ("what is not permitted is told and children are ordinary", claims),
];

fn run_tests() -> ExitCode {
    // A part of a name, as the usual harness takes it; its options and their numbers say nothing here.
    let is_filter = |argument: &String| !argument.starts_with('-') && argument.parse::<u32>().is_err();
    let filter = std::env::args().skip(1).find(is_filter);
    let mut failed = 0;
    for (name, test) in TESTS {
        if filter.as_ref().is_some_and(|filter| !name.contains(filter.as_str())) {
            continue;
        }
        let passed = std::panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn in_role(role: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg0("boothd-under-test-with-a-command-line-that-is-long-enough-for-a-title");
    command.env(ROLE, role).args(arguments).stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn running(path: &Path) -> (i32, String) {
    match inspect(path).unwrap() {
        Inspection::Running { pid, line } => (pid, line),
        Inspection::NotRunning => panic!("{}: not running", path.display()),
    }
}

fn stop(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
}

fn ready_and_detached() {
    let directory = directory("ready");
    let path = directory.join("b.pid");
    // output() also waits for the end of stdout and stderr: it only returns if the daemon let go of them.
    let output = in_role("daemon", &[path.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(text(&output), "");
    let (pid, line) = running(&path);
    let expected = format!(
        "booth_pid={pid} booth_state=started booth_type=arbitrator booth_cfg_name='b' booth_id=1353381818 \
         booth_addr_string='127.0.0.41' booth_port=29929"
    );
    assert_eq!(line, expected, "ready means started");
    assert_eq!(
        status_line(pid, &path, &line),
        format!("booth_lockpid={pid} booth_lockfile='{}' {expected}", path.display())
    );
    let proc = PathBuf::from(format!("/proc/{pid}"));
    assert_eq!(fs::read_to_string(proc.join("comm")).unwrap(), "boothd\n");
    let command_line = fs::read_to_string(proc.join("cmdline")).unwrap();
    let title = command_line.trim_end_matches('\0');
    assert_eq!(title, "boothd /etc/booth/b.conf arbitrator for [127.0.0.41]:29929");
    assert_eq!(fs::read_link(proc.join("cwd")).unwrap(), Path::new("/"));
    for fd in ["0", "1", "2"] {
        assert_eq!(fs::read_link(proc.join("fd").join(fd)).unwrap(), Path::new("/dev/null"));
    }
    let session = nix::unistd::getsid(Some(Pid::from_raw(pid))).unwrap();
    assert_eq!(session, Pid::from_raw(pid), "a session of its own");
    stop(pid);
    wait_for("the lock file is removed at exit", || !path.exists());
    fs::remove_dir_all(&directory).unwrap();
}

fn second_daemon() {
    let directory = directory("second");
    let path = directory.join("b.pid");
    let first = in_role("daemon", &[path.to_str().unwrap()]).output().unwrap();
    assert!(first.status.success(), "{}", text(&first));
    let (pid, _) = running(&path);
    let second = in_role("daemon", &[path.to_str().unwrap()]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let said = text(&second);
    assert!(said.contains(&format!("{} is locked by process {pid}: ", path.display())), "{said}");
    assert_eq!(running(&path).0, pid, "the first is not disturbed");
    stop(pid);
    wait_for("the first has left", || !path.exists());
    fs::remove_dir_all(&directory).unwrap();
}

fn ends_without_a_word() {
    let output = in_role("dies", &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output), "the daemon ended before it was ready: exit status 3\n");
}

fn lock_file_rules() {
    let directory = directory("rules");
    let path = directory.join("b.pid");
    assert_eq!(inspect(&path).unwrap(), Inspection::NotRunning, "a missing file is held by nobody");

    let output = in_role("daemon", &[path.to_str().unwrap()]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
    let (pid, _) = running(&path);
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    wait_for("the lock dies with its process", || inspect(&path).unwrap() == Inspection::NotRunning);
    assert!(path.exists(), "a killed daemon leaves the file");

    fs::write(&path, "x".repeat(10_000)).unwrap();
    let lock = LockFile::acquire(&path, identity(), None).unwrap();
    let content = fs::read_to_string(&path).unwrap();
    assert!(content.starts_with(&format!("booth_pid={} booth_state=starting ", std::process::id())));
    assert!(content.ends_with("booth_port=29929\n"), "nothing of an old file is left: {content}");

    // Somebody removes the file and makes another: it is not ours to remove.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "another's").unwrap();
    drop(lock);
    assert_eq!(fs::read_to_string(&path).unwrap(), "another's");

    let victim = directory.join("victim");
    fs::write(&victim, "precious").unwrap();
    let link = directory.join("link.pid");
    symlink(&victim, &link).unwrap();
    let error = LockFile::acquire(&link, identity(), None).unwrap_err().to_string();
    assert!(error.contains("a symbolic link"), "{error}");
    let other_name = directory.join("hard.pid");
    fs::hard_link(&victim, &other_name).unwrap();
    let error = LockFile::acquire(&other_name, identity(), None).unwrap_err().to_string();
    assert!(error.contains("expected a plain file with one name"), "{error}");
    let error = LockFile::acquire(&directory, identity(), None).unwrap_err().to_string();
    assert!(error.contains("lock file"), "{error}");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    fs::remove_dir_all(&directory).unwrap();
}

fn lock_file_directory() {
    let directory = directory("directory");
    let path = directory.join("made/b.pid");
    let lock = LockFile::acquire(&path, identity(), Some((Uid::from_raw(65_534), 65_534.into()))).unwrap();
    let owner = if privileges::is_root() { 65_534 } else { Uid::effective().as_raw() };
    assert_eq!(fs::metadata(&path).unwrap().uid(), owner);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().uid(), owner);
    lock.release().unwrap();
    assert!(!path.exists());

    let error = LockFile::acquire(&directory.join("no/such/b.pid"), identity(), None).unwrap_err().to_string();
    assert!(error.contains("no/such: No such file or directory"), "{error}");
    let error = LockFile::acquire(Path::new("/dev/full"), identity(), None).unwrap_err().to_string();
    assert!(error.contains("/dev/full: expected a plain file"), "{error}");
    fs::remove_dir_all(&directory).unwrap();
}

fn full_disk() {
    let directory = directory("full");
    let path = directory.join("b.pid");
    let output = in_role("full disk", &[path.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("b.pid: File too large"), "{}", text(&output));
    assert!(!path.exists());
    fs::remove_dir_all(&directory).unwrap();
}

fn unread_stderr() {
    // A pipe that the process may open again, and one that it may not: root's, when it is root no more.
    for who in ["as itself", "as nobody"] {
        let mut command = in_role("flood", &[who]);
        let mut child = Started(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
        let deadline = Instant::now() + PATIENCE;
        while child.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "{who}: held up by a full pipe");
            std::thread::sleep(Duration::from_millis(10));
        }
        let lost: u32 = std::io::read_to_string(child.0.stdout.take().unwrap()).unwrap().trim().parse().unwrap();
        let written = std::io::read_to_string(child.0.stderr.take().unwrap()).unwrap();
        assert!(lost > 0 && lost < 10_000, "{who}: {lost} lost");
        assert!(written.lines().all(|line| line.contains("]: info: line ") || line.contains("were lost")), "{written}");
    }
}

/// Ends the process when the test does, however it does.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn reference_lock_file() {
    let boothd = Path::new("/usr/sbin/boothd");
    if !boothd.exists() || !privileges::is_root() {
        return live::skip("the reference's lock file", "it needs root and Debian's package booth");
    }
    let directory = directory("reference");
    let configuration = directory.join("b.conf");
    let members = "arbitrator = 127.0.0.41\nsite = 127.0.0.42\nsite = 127.0.0.43\nticket = \"T\"\n";
    fs::write(&configuration, format!("transport = UDP\nport = 29929\n{members}")).unwrap();
    let path = directory.join("b.pid");
    let child = Command::new(boothd)
        .args(["daemon", "-D", "-S", "-s", "127.0.0.41", "-c"])
        .arg(&configuration)
        .arg("-l")
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let reference = Started(child);
    let pid = reference.0.id() as i32;
    // It locks, and writes `starting`, and `started` once it listens.
    let started = || matches!(inspect(&path), Ok(Inspection::Running { line, .. }) if line.contains("=started "));
    wait_for("the reference has started", started);
    let (locker, line) = running(&path);
    assert_eq!(locker, pid);
    let expected = format!(
        "booth_pid={pid} booth_state=started booth_type=arbitrator booth_cfg_name='b' booth_id=1353381818 \
         booth_addr_string='127.0.0.41' booth_port=29929"
    );
    assert_eq!(line, expected, "the reference writes what we write");
    let error = LockFile::acquire(&path, identity(), None).unwrap_err().to_string();
    assert!(error.contains(&format!("is locked by process {pid}")), "{error}");
    drop(reference);
    assert_eq!(inspect(&path).unwrap(), Inspection::NotRunning);
    fs::remove_dir_all(&directory).unwrap();
}

fn inherited_descriptors() {
    let mut command = in_role("descriptors", &[]);
    // SAFETY: dup2 and close may be called between fork and exec (signal-safety(7)).
    unsafe {
        command.pre_exec(|| {
            libc::dup2(1, 7);
            libc::dup2(1, 200);
            libc::close(0);
            Ok(())
        });
    }
    let said = text(&command.output().unwrap());
    let mut lines: Vec<&str> = said.lines().collect();
    lines.sort_unstable();
    assert!(lines[0].starts_with("0 /dev/null"), "{said}");
    assert!(lines.iter().all(|line| !line.starts_with("7 ") && !line.starts_with("200 ")), "{said}");
    // 0, 1, 2 and the directory that is being listed.
    assert_eq!(lines.len(), 4, "{said}");
}

fn root_is_given_up() {
    if !privileges::is_root() {
        return live::skip("giving root up", "it needs root");
    }
    let said = text(&in_role("account", &["nobody", "nogroup"]).output().unwrap());
    let field = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(field("Uid:"), "65534\t65534\t65534\t65534");
    assert_eq!(field("Gid:"), "65534\t65534\t65534\t65534");
    assert_eq!(field("Groups:"), "65534", "root's groups are gone");
    assert_eq!(field("CapEff:"), "0000000000000000");
    assert_eq!(field("CapPrm:"), "0000000000000000");
    assert_eq!(field("root is back:"), "false");
    assert_eq!(field("name service in memory:"), "false");
}

fn claims() {
    let said = text(&in_role("claims", &[]).output().unwrap());
    let lines: Vec<&str> = said.lines().collect();
    let real_time = match lines[0] {
        "granted" => true,
        refused => {
            assert!(refused.starts_with("no real-time priority"), "{said}");
            false
        }
    };
    assert!(lines[1] == "granted" || lines[1].starts_with("the OOM killer may choose this process"), "{said}");
    assert!(lines[2] == "granted" || lines[2].starts_with("memory is not locked"), "{said}");
    // SCHED_RR is 2, with SCHED_RESET_ON_FORK or without; a child is SCHED_OTHER, 0.
    assert_eq!(lines[3], if real_time { "policy 2" } else { "policy 0" }, "{said}");
    assert_eq!(lines[4], "policy 0", "{said}");
}
