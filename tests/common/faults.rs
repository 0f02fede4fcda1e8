//! What can be done to a cluster beside killing its members, and what comes of it.

use super::cluster::{Cluster, HOSTS, SITE_1, SITE_2, TICKET, now};
use super::network::PORT;
use super::process::Program;
use super::{eventually, ticket_store};
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

/// How a ticket went from one site to the other.
#[derive(Clone, Copy, Debug)]
pub struct Handover {
    /// Seconds during which both stores said granted.
    pub doubled: f64,
    /// Seconds from the end at the one to the grant at the other, negative where they overlapped. `None`: the other
    /// has not been granted it.
    pub distance: Option<f64>,
}

impl Cluster {
    /// Grants at a site and waits until its store says so.
    #[track_caller]
    pub fn grant(&self, site: usize, ticket: &str) {
        let outcome = self.client(site, self.plan().programs[site], &["grant", "-w", ticket]);
        assert_eq!(outcome.status, Some(0), "grant of {ticket} at host {site}: {outcome:?}");
        let limit = self.plan().timing.expire + self.plan().acquire_after + Duration::from_secs(10);
        eventually(&format!("the store of host {site} says granted for {ticket}"), limit, || {
            match self.settled(site, ticket, true) {
                true => Ok(()),
                false => Err(format!("{:?}", self.changes(site, ticket).last())),
            }
        });
    }

    /// Whether a site's store says that the ticket is granted there.
    pub fn held(&self, site: usize, ticket: &str) -> bool {
        ticket_store::attribute(&self.home(site), ticket, "granted").is_some_and(|value| value == "true")
    }

    /// What a site wrote to its store about a ticket.
    pub fn changes(&self, site: usize, ticket: &str) -> Vec<ticket_store::Change> {
        ticket_store::history(&self.home(site), ticket)
    }

    /// Waits for so many more writes of the grant of a ticket at its holder: a renewal each.
    #[track_caller]
    pub fn renewed(&self, holder: usize, ticket: &str, count: usize) {
        let written = || self.changes(holder, ticket).iter().filter(|change| change.granted).count();
        let before = written();
        let limit = self.plan().timing.renewal * u32::try_from(count + 1).expect("few") + Duration::from_secs(5);
        eventually(&format!("{count} renewals of {ticket} by host {holder}"), limit, || {
            let seen = written() - before;
            if seen >= count { Ok(()) } else { Err(format!("{seen} so far")) }
        });
    }

    /// How the ticket went from one site to the other, by the first grant there after `since`.
    pub fn handover(&self, from: usize, to: usize, since: f64) -> Handover {
        let distance = ticket_store::distance(&self.ownership(from), &self.ownership(to), since, now());
        Handover { doubled: self.double_ownership(), distance }
    }

    /// Seconds from `end` to the first grant at a site after `since`.
    pub fn granted_after(&self, site: usize, since: f64, end: f64) -> Option<f64> {
        self.writes(site).iter().find(|change| change.granted && change.at >= since).map(|change| change.at - end)
    }

    /// When the lease of a running holder ends: ours tells the tenth of a second; what the reference has written
    /// down is the second, so up to one too early.
    pub fn lease_end(&self, holder: usize) -> f64 {
        if !self.plan().programs[holder].is_ours() {
            return self.attribute(holder, "expires").and_then(|value| value.parse().ok()).expect("a holder's store");
        }
        let (asked, status) = (now(), self.status(holder).expect("a running member"));
        let line = status.lines().find(|line| line.starts_with(&format!("ticket: {TICKET},")));
        let left = line.and_then(|line| line.split_once("(in ")?.1.split_once(" s)")?.0.parse::<f64>().ok());
        asked + left.unwrap_or_else(|| panic!("no lease in {status}"))
    }

    /// Waits until only this site holds the ticket, or the limit has passed: what is slow is not wrong.
    pub fn watch_until_held_by(&self, site: usize, limit: Duration) {
        let (end, other) = (Instant::now() + limit, SITE_1 + SITE_2 - site);
        let holds = |site| self.ownership(site).last().is_some_and(|change| change.granted);
        while Instant::now() < end && (!holds(site) || holds(other)) {
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Cuts a host off once its next heartbeat has been acknowledged, and before anybody hears its update.
    #[track_caller]
    pub fn cut_before_update(&self, host: usize) {
        self.drop_sent(host, b"UpdE", b"HrtB");
        let limit = self.plan().timing.renewal + Duration::from_secs(5);
        eventually("a heartbeat is acknowledged", limit, || match self.acks_counted(host) {
            0 => Err("not yet".into()),
            _ => Ok(()),
        });
        self.cut(host);
    }

    /// Cuts a host off from these hosts only, both ways; from none: heals it.
    pub fn part(&self, host: usize, from: &[usize]) {
        let rules = |direction: &str| {
            let rule = |peer: &usize| format!("ip {direction} {} drop", self.address(*peer));
            from.iter().map(rule).collect::<Vec<_>>().join("\n ")
        };
        self.network.filter(host, &rules("saddr"), &rules("daddr"));
    }

    /// Cuts a host off from all others; what it tries to send of these commands is counted, see [`Cluster::counted`].
    pub fn cut_and_count(&self, host: usize, commands: &[&[u8; 4]]) {
        self.network.filter(host, "drop", &format!("{}\n drop", counting(commands)));
    }

    /// Counts the datagrams with one of these commands that a host sends from now on; see [`Cluster::counted`].
    pub fn count_sent(&self, host: usize, commands: &[&[u8; 4]]) {
        self.network.filter(host, "", &counting(commands));
    }

    /// How many datagrams have been counted since [`Cluster::count_sent`].
    pub fn counted(&self, host: usize) -> u64 {
        self.network.marked(host)
    }

    /// Stops a daemon where it stands, as a debugger or a starved machine does.
    pub fn freeze(&self, host: usize) {
        self.daemons[host].as_ref().expect("a running member").signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn thaw(&self, host: usize) {
        self.daemons[host].as_ref().expect("a running member").signal(Signal::SIGCONT);
    }

    /// Takes away a host's journal. The daemon must not run.
    pub fn lose_journal(&self, host: usize) {
        assert!(self.daemons[host].is_none(), "host {host} has its journal open");
        // The reference has none to lose.
        let lost = fs::remove_file(self.journal(host));
        assert!(lost.is_ok() || !self.plan().programs[host].is_ours(), "{lost:?}");
    }

    /// The bytes of a host's journal.
    pub fn journal_bytes(&self, host: usize) -> Vec<u8> {
        fs::read(self.journal(host)).expect("a journal")
    }

    /// Lets all that has to do with the ticket in a site's store hang, until [`Cluster::release_store`].
    pub fn hang_store(&self, site: usize) {
        fs::write(self.home(site).join("hang"), TICKET).expect("file");
    }

    /// Ends [`Cluster::hang_store`].
    pub fn release_store(&self, site: usize) {
        fs::remove_file(self.home(site).join("hang")).expect("a hanging store");
    }

    /// Lets every second write to a site's store fail, until the end.
    pub fn make_store_flaky(&self, site: usize) {
        fs::write(self.home(site).join("flaky"), "").expect("file");
    }

    /// Lets a host's before-acquire-handler fail from now on.
    pub fn fail_handler(&self, host: usize) {
        fs::write(self.home(host).join("handler-fails"), "").expect("file");
    }

    /// Ends [`Cluster::fail_handler`].
    pub fn mend_handler(&self, host: usize) {
        fs::remove_file(self.home(host).join("handler-fails")).expect("a failing handler");
    }

    /// Steps the wall clock of a host by so many seconds against the true time.
    pub fn step_clock(&self, host: usize, seconds: i64) {
        let file = File::options().write(true).open(self.home(host).join("clock-step")).expect("clock file");
        // In one write: it is read without a lock.
        file.write_all_at(&seconds.to_ne_bytes(), 0).expect("clock file");
    }

    /// The small file system of a host, which only its daemon sees.
    fn small_disk(&self, host: usize) -> PathBuf {
        let pid = self.daemons[host].as_ref().expect("a running member").pid();
        let seen = self.home(host).join("disk");
        PathBuf::from(format!("/proc/{pid}/root")).join(seen.strip_prefix("/").expect("absolute"))
    }

    /// Fills the file system of a host's journal, so that the next record finds no room.
    ///
    /// A journal is never longer than it was made, so on most file systems a record always has its room; on those
    /// that never write in place it has not. The room is taken from it here by a hole in the file.
    pub fn fill_disk(&self, host: usize) {
        let disk = self.small_disk(host);
        // The reference has none.
        if self.plan().programs[host].is_ours() {
            let journal = File::options().write(true).open(disk.join("journal")).expect("a journal");
            let length = i64::try_from(journal.metadata().expect("a journal").len()).expect("a short one");
            assert!(length > 0);
            let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
            fallocate(&journal, hole, 0, length).expect("a hole");
        }
        let mut filler = File::create(disk.join("filler")).expect("file");
        let full = (0..1000).find_map(|_| filler.write_all(&[1; 4096]).err()).expect("a file system of 32 KiB");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull, "{full}");
    }

    /// Makes room again.
    pub fn empty_disk(&self, host: usize) {
        fs::remove_file(self.small_disk(host).join("filler")).expect("a full disk");
    }

    /// Whether nothing but renewals by `holder` has been written since it had `count` writes.
    pub fn undisturbed(&self, holder: usize, count: usize) -> Result<(), String> {
        let [held, other] = [self.changes(holder, TICKET), self.changes(SITE_1 + SITE_2 - holder, TICKET)];
        let quiet = held[count.min(held.len())..].iter().all(|change| change.granted);
        let alone = !other.iter().any(|change| change.granted);
        if quiet && alone { Ok(()) } else { Err(format!("host {holder} wrote {held:?}, the other {other:?}")) }
    }

    /// Whether all members are ours.
    pub fn all_ours(&self) -> bool {
        self.plan().programs == [Program::Ours; HOSTS]
    }
}

/// The rules that count the datagrams of these commands.
fn counting(commands: &[&[u8; 4]]) -> String {
    // Offset in bits behind the UDP header: command at byte 28 of the message.
    let rule = |command: &&[u8; 4]| {
        format!("udp dport {PORT} @th,288,32 {} counter name marked", u32::from_be_bytes(**command))
    };
    commands.iter().map(rule).collect::<Vec<_>>().join("\n ")
}
