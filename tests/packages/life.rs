//! The packages on hosts: over the reference, upgraded, removed, purged.

use crate::common::{Family, Network, eventually, netlink_shim, say};
use crate::host::Host;
use crate::{built, equipped, scratch};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Long enough for a busy machine, short enough to wait for.
const CONFIGURATION: &str = "\
transport = UDP
port = 9929
authfile = /etc/booth/authkey
site = 10.90.0.1
site = 10.90.0.2
arbitrator = 10.90.0.3
ticket = T
    expire = 30
    acquire-after = 1
    timeout = 1
    retries = 5
    renewal-freq = 10
";
/// The reference's package is gone, but for what an administrator may have changed.
const REPLACED: &str = "install ok config-files";
const KEY: &str = "a key of the test";
const PATIENCE: Duration = Duration::from_secs(45);

/// A member beside the hosts: this build's daemon, with its files in a directory.
struct Member<'n> {
    network: &'n Network,
    number: usize,
    directory: PathBuf,
    daemon: Child,
}

impl<'n> Member<'n> {
    fn start(network: &'n Network, number: usize) -> Member<'n> {
        let directory = scratch::directory(&format!("member-{}-{number}", network.number()));
        fs::create_dir_all(directory.join("store")).unwrap();
        let key = directory.join("key");
        write_private(&key, KEY);
        let place = directory.display();
        let own = format!(
            "store = file:{place}/store\njournal = {place}/journal\nsite-user = root\nsite-group = root\n\
             arbitrator-user = root\narbitrator-group = root\n"
        );
        let text = CONFIGURATION.replace("/etc/booth/authkey", key.to_str().unwrap()).replacen(
            "site = ",
            &(own + "site = "),
            1,
        );
        fs::write(directory.join("booth.conf"), text).unwrap();
        let daemon = network
            .command(number, Path::new(env!("CARGO_BIN_EXE_boothd")))
            .args(["daemon", "-S", "-c"])
            .arg(directory.join("booth.conf"))
            .arg("-l")
            .arg(directory.join("booth.pid"))
            .stdin(Stdio::null())
            .stderr(fs::File::create(directory.join("log")).unwrap())
            .spawn()
            .unwrap();
        Member { network, number, directory, daemon }
    }

    /// Runs a client at this member, and gives what it has printed, with its exit status where it has failed.
    fn client(&self, arguments: &[&str]) -> Result<String, String> {
        let output = self
            .network
            .command(self.number, Path::new(env!("CARGO_BIN_EXE_boothd")))
            .args(arguments)
            .arg("-c")
            .arg(self.directory.join("booth.conf"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        if output.status.success() { Ok(text) } else { Err(format!("{}: {text}", output.status)) }
    }

    /// Waits until this member says that the ticket is held there.
    #[track_caller]
    fn sees(&self, leader: &str) {
        eventually(&format!("T is at {leader}"), PATIENCE, || {
            let list = self.client(&["list"])?;
            if list.contains(&format!("leader: {leader}")) { Ok(()) } else { Err(list) }
        });
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        if thread::panicking() {
            println!("{}", fs::read_to_string(self.directory.join("log")).unwrap_or_default());
        } else {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

fn write_private(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Puts the configuration and its key on a host.
fn configure(host: &Host, text: &str) {
    fs::create_dir_all(host.path("/etc/booth")).unwrap();
    fs::write(host.path("/etc/booth/booth.conf"), text).unwrap();
    write_private(&host.path("/etc/booth/authkey"), KEY);
}

#[track_caller]
fn configuration_is_untouched(host: &Host, text: &str) {
    assert_eq!(fs::read_to_string(host.path("/etc/booth/booth.conf")).unwrap(), text);
    assert_eq!(fs::read_to_string(host.path("/etc/booth/authkey")).unwrap(), KEY);
}

/// What the store at a path says of the ticket while `act` runs, and whether it ever said anything else than granted.
fn always_granted<T>(store: &Path, act: impl FnOnce() -> T) -> T {
    let file = fs::read_dir(store).unwrap().next().expect("a ticket in the store").unwrap().path();
    let granted = || {
        fs::read_to_string(&file).is_ok_and(|text| text.contains("granted=\"true\"") || text.contains("granted = true"))
    };
    assert!(granted(), "{}: {:?}", file.display(), fs::read_to_string(&file));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut looked = 0;
            while !done.load(Ordering::Relaxed) {
                assert!(granted(), "the ticket was revoked: {:?}", fs::read_to_string(&file));
                looked += 1;
                thread::sleep(Duration::from_millis(20));
            }
            looked
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        done.store(true, Ordering::Relaxed);
        let looked = watcher.join().unwrap();
        assert!(looked > 5, "looked {looked} times");
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Which program the main process of a unit runs.
fn program_of(host: &Host, unit: &str) -> (String, String) {
    let process = host.unit(unit, "MainPID");
    let program = host.must(&["readlink", &format!("/proc/{process}/exe")]);
    (process, program.trim().to_owned())
}

#[test]
fn an_arbitrator_of_the_reference_becomes_ours_and_keeps_its_configuration() {
    if !equipped("an_arbitrator_of_the_reference_becomes_ours_and_keeps_its_configuration") {
        return;
    }
    const UNIT: &str = "booth-arbitrator.service";
    let built = built("1");
    let network = Network::new(3, Family::V4);
    let (first, second) = (Member::start(&network, 0), Member::start(&network, 1));
    let host = Host::start(&network, 2);
    assert_eq!(host.package("booth"), "install ok installed");
    configure(&host, CONFIGURATION);
    // What the reference needs on newer kernels.
    fs::write(host.path("/usr/local/lib/netlink_done.so"), netlink_shim()).unwrap();
    fs::create_dir_all(host.path(&format!("/etc/systemd/system/{UNIT}.d"))).unwrap();
    let preload = "[Service]\nEnvironment=LD_PRELOAD=/usr/local/lib/netlink_done.so\n";
    fs::write(host.path(&format!("/etc/systemd/system/{UNIT}.d/kernel.conf")), preload).unwrap();
    host.must(&["systemctl", "daemon-reload"]);
    host.must(&["systemctl", "enable", "--now", UNIT]);
    eventually("the reference's answer", PATIENCE, || {
        first.client(&["list", "-s", "10.90.0.3"]).map_err(|error| error + &host.log(UNIT))
    });
    eventually("the grant", PATIENCE, || first.client(&["grant", "-w", "T"]));
    second.sees("10.90.0.1");

    always_granted(&first.directory.join("store"), || {
        let said = host.install(&[&built.deb("boothd-arbitrator")]);
        assert_eq!(host.package("boothd-arbitrator"), "install ok installed", "{said}");
        assert_eq!(host.package("booth"), REPLACED, "{said}");
        configuration_is_untouched(&host, CONFIGURATION);
        // The unit was running, so it is running: but it is ours.
        assert_eq!(host.unit(UNIT, "ActiveState"), "active", "{said}");
        assert_eq!(program_of(&host, UNIT).1, "/usr/sbin/boothd");
        let ours = format!("booth {}", env!("CARGO_PKG_VERSION"));
        assert_eq!(host.must(&["/usr/sbin/booth", "--version"]).trim(), ours);
        assert!(host.must(&["booth", "list"]).contains("ticket: T"));
        eventually("the arbitrator's knowledge of the ticket", PATIENCE, || {
            let list = host.must(&["booth", "list"]);
            if list.contains("leader: 10.90.0.1") { Ok(()) } else { Err(list) }
        });
        // Its account is found by a static program: nobody, by getent.
        let (process, _) = program_of(&host, UNIT);
        let status = fs::read_to_string(host.path(&format!("/proc/{process}/status"))).unwrap();
        let field =
            |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim().to_owned();
        assert_eq!(field("Uid:").split_whitespace().next(), Some("65534"), "{status}");
        say(&format!("packages: the static arbitrator: VmRSS {}, RssAnon {}", field("VmRSS:"), field("RssAnon:")));

        host.must(&["dpkg", "--purge", "booth"]);
        configuration_is_untouched(&host, CONFIGURATION);
        assert_eq!(host.unit(UNIT, "ActiveState"), "active");
        assert_eq!(host.unit(UNIT, "UnitFileState"), "enabled");
    });

    let journal = host.path("/var/lib/booth/booth.journal");
    assert!(journal.exists());
    host.must(&["dpkg", "--remove", "boothd-arbitrator"]);
    configuration_is_untouched(&host, CONFIGURATION);
    assert_eq!(host.unit(UNIT, "ActiveState"), "inactive");
    assert!(!host.path("/usr/sbin/boothd").exists() && !host.path("/usr/sbin/booth").exists());
    assert!(!journal.exists(), "it would not know what another daemon votes meanwhile");
    host.must(&["dpkg", "--purge", "boothd-arbitrator"]);
    configuration_is_untouched(&host, CONFIGURATION);
    assert!(!host.path("/var/lib/booth").exists());
}

#[test]
fn a_site_keeps_its_ticket_while_it_is_upgraded() {
    if !equipped("a_site_keeps_its_ticket_while_it_is_upgraded") {
        return;
    }
    const UNIT: &str = "booth@booth.service";
    let network = Network::new(3, Family::V4);
    let (other, _arbitrator) = (Member::start(&network, 1), Member::start(&network, 2));
    let host = Host::start(&network, 0);
    let configuration = CONFIGURATION.replacen("site = ", "store = file:/var/lib/booth/tickets\nsite = ", 1);
    configure(&host, &configuration);
    host.install(&[&built("1").deb("boothd")]);
    assert_eq!(host.package("booth"), REPLACED);
    assert_eq!(host.unit(UNIT, "ActiveState"), "inactive", "nothing is started that did not run");
    let store = "/var/lib/booth/tickets";
    host.must(&["install", "-d", "-o", "hacluster", "-g", "haclient", store]);
    let started = host.run(&["systemctl", "start", UNIT]);
    assert!(started.status.success(), "{}", host.log(UNIT));
    eventually("the grant", PATIENCE, || {
        let output = host.run(&["booth", "grant", "-w", "T"]);
        if output.status.success() { Ok(()) } else { Err(format!("{output:?}")) }
    });
    other.sees("10.90.0.1");
    // A restarted holder needs the word of members that remember what they have promised (S7): not of those that were
    // started for the first time less than expire + acquire-after ago. This one was the last.
    eventually("a memory of expire + acquire-after", PATIENCE, || {
        let status = host.must(&["boothctl", "status"]);
        if status.contains("no memory of its votes") { Err(status) } else { Ok(()) }
    });
    let newer = built("2").deb("boothd");

    let (before, _) = program_of(&host, UNIT);
    let said = always_granted(&host.path(store), || {
        let said = host.install(&[&newer]);
        let (after, program) = program_of(&host, UNIT);
        assert_ne!(before, after, "{said}");
        assert_eq!(program, "/usr/sbin/boothd");
        // The others are told of a lease that only the new program can have renewed.
        let lease = |list: String| list.lines().find(|line| line.contains("leader: 10.90.0.1")).map(str::to_owned);
        let told = lease(other.client(&["list"]).unwrap()).expect("the ticket is held");
        eventually("a renewal", PATIENCE, || match lease(other.client(&["list"])?) {
            Some(renewed) if renewed != told => Ok(()),
            Some(_) => Err(told.clone()),
            None => panic!("the ticket is lost"),
        });
        said
    });
    assert!(!said.contains("still runs the program"), "{said}");
    configuration_is_untouched(&host, &configuration);

    // A daemon that systemd does not run is told of, and left alone.
    host.must(&["systemctl", "stop", UNIT]);
    host.must(&["boothd", "daemon", "-c", "booth"]);
    let said = host.install(&[&built("1").deb("boothd")]);
    assert!(said.contains("still runs the program that was replaced: boothd "), "{said}");
    host.must(&["booth", "status"]);

    // The other package takes over what both have, and a purge of the first leaves it alone.
    host.install(&[&built("1").deb("boothd-arbitrator")]);
    assert_eq!(host.package("boothd"), REPLACED);
    host.must(&["booth", "status"]);
    host.must(&["dpkg", "--purge", "boothd"]);
    assert!(host.path("/var/lib/booth/booth.journal").exists());
    host.must(&["dpkg", "--purge", "boothd-arbitrator"]);
    assert!(!host.path("/var/lib/booth").exists());
    configuration_is_untouched(&host, &configuration);
}
