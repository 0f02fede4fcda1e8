//! One emulated machine: its console, and the port at which its messages arrive.

use super::image::{self, CRASHING, Crash};
use super::scratch;
use super::tools::Tools;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A message that has arrived.
#[derive(Debug)]
pub struct Heard {
    pub bytes: Vec<u8>,
    pub at: Instant,
}

/// The console's lines and when each was read.
type Console = Arc<(Mutex<Vec<(Instant, String)>>, Condvar)>;

/// A machine, the only one at a time: two would measure each other.
pub struct Machine {
    qemu: Child,
    console: Console,
    socket: UdpSocket,
    directory: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Machine {
    /// Starts a machine that crashes as soon as it can.
    pub fn start(tools: &Tools, crash: &Crash) -> Machine {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = scratch::directory(&format!("kdump-{}", COUNTER.fetch_add(1, Ordering::Relaxed)));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let first = image::make(tools, crash, socket.local_addr().unwrap().port(), &directory);
        let kernel = tools.file(&format!("boot/vmlinuz-{}", tools.kernel(crash.card.is_virtual)));
        let mut qemu = Command::new(tools.file("usr/bin/qemu-system-x86_64"));
        qemu.env("LD_LIBRARY_PATH", tools.libraries())
            .arg("-L")
            .arg(tools.file("usr/share/qemu"))
            .arg("-L")
            .arg(tools.file("usr/share/seabios"))
            .args(["-M", "pc", "-accel", "tcg", "-m", "512", "-nographic", "-nodefaults", "-no-reboot"])
            .args(["-serial", "stdio", "-netdev", "user,id=net", "-device"])
            .arg(format!("{},netdev=net,romfile=", crash.card.name))
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(first)
            .arg("-append")
            .arg(format!("console=ttyS0 quiet panic=-1 crashkernel={}M", crash.megabytes));
        let mut qemu = qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let console = Console::default();
        let (output, lines) = (BufReader::new(qemu.stdout.take().unwrap()), console.clone());
        // Ends with the machine, whose output ends then.
        std::thread::spawn(move || {
            for line in output.split(b'\n').map_while(Result::ok) {
                lines.0.lock().unwrap().push((Instant::now(), String::from_utf8_lossy(&line).into_owned()));
                lines.1.notify_all();
            }
        });
        Machine { qemu, console, socket, directory, _turn: turn }
    }

    /// When the machine crashed.
    #[track_caller]
    pub fn crashed(&self, limit: Duration) -> Instant {
        self.until(CRASHING, limit)
    }

    /// Waits until the console says this; when it did.
    #[track_caller]
    pub fn until(&self, expected: &str, limit: Duration) -> Instant {
        let (lines, news) = &*self.console;
        let silent = |lines: &mut Vec<(Instant, String)>| !lines.iter().any(|(_, line)| line.contains(expected));
        let (lines, _) = news.wait_timeout_while(lines.lock().unwrap(), limit, silent).unwrap();
        let found = lines.iter().find(|(_, line)| line.contains(expected)).map(|(at, _)| *at);
        drop(lines);
        found.unwrap_or_else(|| panic!("the machine did not say `{expected}`\n{}", self.console()))
    }

    /// All that the console has said.
    pub fn console(&self) -> String {
        self.console.0.lock().unwrap().iter().map(|(_, line)| format!("{line}\n")).collect()
    }

    /// The next message, if one comes in time and before the machine's end.
    pub fn hear(&mut self, limit: Duration) -> Option<Heard> {
        let deadline = Instant::now() + limit;
        self.socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut bytes = vec![0; 2000];
        loop {
            let ended = self.qemu.try_wait().unwrap().is_some() || Instant::now() > deadline;
            if let Ok(length) = self.socket.recv(&mut bytes) {
                bytes.truncate(length);
                return Some(Heard { bytes, at: Instant::now() });
            }
            if ended {
                return None;
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
