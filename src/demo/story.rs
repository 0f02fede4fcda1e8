//! What happens in the demo, step by step.

use super::cluster::{A, ARBITRATOR, B, Cluster, SITES};
use super::leftovers::Interrupted;
use super::observer::{Change, Observer};
use super::screen::{Screen, Tone};
use super::timeline::{self, Mark, Verdict};
use super::{ACQUIRE_AFTER, EXPIRE, Failure, LONGEST, TICKET, TIMEOUT};
use std::thread;
use std::time::Duration;

/// How often the stores are looked at.
const LOOK: Duration = Duration::from_millis(3);
/// Slack in what is waited for: a busy machine.
const SLACK: Duration = Duration::from_secs(4);
/// How long nobody holds the ticket while two members are frozen, to be seen.
const NOBODY: Duration = Duration::from_millis(1500);

/// Everything that the steps need.
struct Story<'s> {
    cluster: Cluster,
    observer: Observer,
    screen: &'s mut Screen,
    interrupted: Interrupted,
    marks: Vec<Mark>,
    /// How often the lease was renewed.
    renewals: usize,
    /// When a site's store was written last.
    written: [Duration; SITES.len()],
}

/// Tells the whole story; what was proved.
pub(super) fn tell(screen: &mut Screen, interrupted: Interrupted) -> Result<Verdict, Failure> {
    let mut story = Story {
        cluster: Cluster::prepare()?,
        observer: Observer::new(),
        screen,
        interrupted,
        marks: Vec::new(),
        renewals: 0,
        written: [Duration::ZERO; SITES.len()],
    };
    let told = story.steps();
    if let Err(failure) = &told
        && !matches!(failure, Failure::Interrupted)
    {
        let words = story.cluster.last_words();
        story.screen.text(&format!("\nThe last lines of the daemons' logs:\n{words}"))?;
    }
    told
}

impl Story<'_> {
    fn steps(&mut self) -> Result<Verdict, Failure> {
        self.introduce()?;
        self.start_all()?;
        self.grant()?;
        self.kill_the_leader()?;
        self.bring_it_back()?;
        self.freeze_the_others()?;
        self.thaw_them()?;
        self.conclude()
    }

    fn introduce(&mut self) -> Result<(), Failure> {
        let cluster = &self.cluster;
        let member = |place| format!("{} ({})", cluster.label(place), cluster.address(place));
        let text = format!(
            "Two sites and an arbitrator, each a boothd of its own, on port {}:\n  {}, {}, {}\n\
             They share out the ticket \"{TICKET}\": a lease of {} s, renewed every {} s;\n\
             between two holders lies {} s more (acquire-after). The lines below tell\n\
             what the stores say, with the time since the start.\n",
            cluster.port,
            member(A),
            member(B),
            member(ARBITRATOR),
            EXPIRE.as_secs(),
            EXPIRE.as_secs_f64() / 2.0,
            ACQUIRE_AFTER.as_secs(),
        );
        self.screen.text(&text)?;
        self.screen.text("")
    }

    fn start_all(&mut self) -> Result<(), Failure> {
        let all = [A, B, ARBITRATOR];
        for place in all {
            self.cluster.start(place)?;
        }
        for place in all {
            self.cluster.wait_until_started(place, &self.interrupted)?;
        }
        let processes: Vec<String> =
            all.iter().filter_map(|place| self.cluster.process(*place)).map(|pid| pid.to_string()).collect();
        self.say(Tone::Plain, &format!("three daemons have started: processes {}", processes.join(", ")))
    }

    fn grant(&mut self) -> Result<(), Failure> {
        let address = self.cluster.address(A).to_string();
        let arguments = ["grant", "-s", &address, TICKET];
        self.deed('G', &format!("$ boothctl {}", arguments.join(" ")))?;
        let words = self.cluster.client(&arguments)?;
        for line in words.lines() {
            self.say(Tone::Plain, &format!("  {line}"))?;
        }
        self.wait("site A holds the ticket", SLACK, |story| story.observer.holder() == Some(A))?;
        // So long after their start the members vote without an administrator's word (no memory yet).
        self.wait("the lease is renewed", EXPIRE * 2 + SLACK, |story| story.renewals >= 2)?;
        self.until(EXPIRE + ACQUIRE_AFTER + TIMEOUT)
    }

    fn kill_the_leader(&mut self) -> Result<(), Failure> {
        self.cluster.kill(A)?;
        self.observer.killed(A);
        self.deed('K', "site A is killed (SIGKILL); its store goes on saying \"granted\"")?;
        let limit = EXPIRE + ACQUIRE_AFTER + Duration::from_secs(1) + SLACK;
        self.wait("site B takes over", limit, |story| story.observer.holder() == Some(B))
    }

    fn bring_it_back(&mut self) -> Result<(), Failure> {
        self.deed('R', "site A is started again; its store still says \"granted\"")?;
        self.cluster.start(A)?;
        self.wait("site A revokes its stale grant", SLACK, |story| !story.observer.stored(A).granted)?;
        self.cluster.wait_until_started(A, &self.interrupted)?;
        let renewals = self.renewals;
        self.wait("site B renews its lease with site A", EXPIRE + SLACK, |story| story.renewals >= renewals + 2)?;
        self.expect_holder(B)
    }

    fn freeze_the_others(&mut self) -> Result<(), Failure> {
        for place in [A, ARBITRATOR] {
            self.cluster.freeze(place)?;
        }
        self.deed('F', "site A and the arbitrator are frozen (SIGSTOP); site B is alone")?;
        let limit = EXPIRE + SLACK;
        self.wait("site B gives the ticket up", limit, |story| story.observer.holder().is_none())?;
        let now = self.observer.now();
        self.until(now + NOBODY)
    }

    fn thaw_them(&mut self) -> Result<(), Failure> {
        for place in [A, ARBITRATOR] {
            self.cluster.thaw(place)?;
        }
        self.deed('T', "both go on (SIGCONT)")?;
        let limit = EXPIRE + ACQUIRE_AFTER + Duration::from_secs(1) + SLACK;
        self.wait("a site holds the ticket again", limit, |story| story.observer.holder().is_some())?;
        let renewals = self.renewals;
        self.wait("its lease is renewed", EXPIRE + SLACK, |story| story.renewals > renewals)
    }

    fn conclude(&mut self) -> Result<Verdict, Failure> {
        let total = self.observer.now();
        let history = self.observer.history();
        let verdict = Verdict::of(&history);
        self.cluster.stop()?;
        self.say(Tone::Plain, "the daemons have left")?;
        let labels = SITES.map(|place| self.cluster.label(place));
        let picture = timeline::draw(&labels, &history, &self.marks, total);
        self.screen.text("\nWho held the ticket:\n")?;
        self.screen.text(&picture)?;
        self.screen.text("            G granted, K killed, R started again, F frozen, T thawed\n")?;
        for held in &history {
            let (from, until) = (held.from.as_secs_f64(), held.until.as_secs_f64());
            let length = until - from;
            self.screen
                .text(&format!("  {:<10}{from:>6.2} s to {until:>6.2} s  ({length:.2} s)", labels[held.site]))?;
        }
        self.screen.text(&describe(&verdict))?;
        Ok(verdict)
    }

    /// Looks until something is true, and tells what changes meanwhile.
    fn wait(&mut self, what: &str, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> Result<(), Failure> {
        let begun = self.observer.now();
        loop {
            self.look()?;
            if done(self) {
                return Ok(());
            }
            let waited = self.observer.now() - begun;
            if waited > limit || begun + waited > LONGEST {
                return Err(Failure::Overdue { what: what.to_owned(), limit: waited });
            }
            thread::sleep(LOOK);
        }
    }

    /// Looks on until a time.
    fn until(&mut self, end: Duration) -> Result<(), Failure> {
        self.wait("time goes on", LONGEST, |story| story.observer.now() >= end)
    }

    fn look(&mut self) -> Result<(), Failure> {
        self.interrupted.check()?;
        self.cluster.check_alive()?;
        for (site, change) in self.observer.look(&self.cluster)? {
            self.report(site, change)?;
        }
        Ok(())
    }

    fn report(&mut self, site: usize, change: Change) -> Result<(), Failure> {
        let label = self.cluster.label(site);
        let since_written = (self.observer.now() - self.written[site]).as_secs_f64();
        match change {
            Change::Granted => self.say(Tone::Held, &format!("{label} holds the ticket"))?,
            Change::Renewed => {
                self.renewals += 1;
                self.say(Tone::Plain, &format!("{label} has renewed its lease"))?;
            }
            Change::Revoked => {
                let lease = EXPIRE.as_secs();
                let text = format!("{label} gives the ticket up, {since_written:.2} s into its lease of {lease} s");
                self.say(Tone::Lost, &text)?;
            }
            Change::RanOut => {
                let text = format!("the lease in {label}'s store is over: nobody holds the ticket");
                self.say(Tone::Lost, &text)?;
            }
            Change::Cleared => {
                self.say(Tone::Lost, &format!("{label} has found the stale grant in its store and revoked it"))?;
            }
        }
        self.written[site] = self.observer.now();
        Ok(())
    }

    fn expect_holder(&self, place: usize) -> Result<(), Failure> {
        if self.observer.holder() == Some(place) {
            return Ok(());
        }
        let what = format!("{} still holds the ticket", self.cluster.label(place));
        Err(Failure::Overdue { what, limit: Duration::ZERO })
    }

    fn deed(&mut self, sign: char, text: &str) -> Result<(), Failure> {
        self.marks.push(Mark { at: self.observer.now(), sign });
        self.say(Tone::Deed, text)
    }

    fn say(&mut self, tone: Tone, text: &str) -> Result<(), Failure> {
        self.screen.event(self.observer.now(), tone, text)
    }
}

/// What was proved, in words.
fn describe(verdict: &Verdict) -> String {
    if !verdict.holds() {
        let overlap = verdict.overlap.as_secs_f64();
        return format!("\nBOTH SITES HELD THE TICKET AT ONCE, for {overlap:.3} s.");
    }
    let gap = verdict.shortest_gap.unwrap_or_default().as_secs_f64();
    let times = if verdict.handovers == 1 { "once".to_owned() } else { format!("{} times", verdict.handovers) };
    format!(
        "\nNo overlap: at no time did two sites hold the ticket. It changed hands {times};\n\
         the shortest time between two holders was {gap:.2} s."
    )
}
