//! Scripts for a world: a command a line in, what happened out. They make the golden transcripts.

use super::{Plan, StoreHabit, World, ticket};
use booth_core::view::Holder;
use std::collections::BTreeMap;

/// Runs the commands of a transcript (lines that begin with `> `) and gives the transcript anew:
/// comments and commands as they were, each command followed by what it brought about.
pub fn replay(text: &str) -> String {
    let mut world = None;
    let mut out = String::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            out.push_str(&format!("{line}\n"));
            for told in run(&mut world, command) {
                out.push_str(&format!("  {told}\n"));
            }
        } else if line.starts_with('#') || line.is_empty() {
            out.push_str(&format!("{line}\n"));
        }
    }
    out
}

fn run(world: &mut Option<World>, command: &str) -> Vec<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    if words[0] == "cluster" {
        *world = Some(World::new(plan(&words[1..])));
    } else {
        let world = world.as_mut().expect("`cluster` comes first");
        if words[0] == "list" {
            return list(world);
        }
        apply(world, &words);
    }
    std::mem::take(&mut world.as_mut().unwrap().transcript)
}

fn plan(words: &[&str]) -> Plan {
    let given: BTreeMap<&str, &str> = words.iter().map(|word| word.split_once('=').expect("key=value")).collect();
    let number = |key: &str, default: u64| given.get(key).map_or(default, |value| value.parse().expect("a number"));
    let mut ticket = ticket("T", number("expire", 10) * 1000, number("acquire-after", 0) * 1000);
    ticket.before_acquire = given.contains_key("handler");
    Plan {
        sites: number("sites", 2) as usize,
        arbitrators: number("arbitrators", 1) as usize,
        tickets: vec![ticket],
        key: true,
        seed: number("seed", 1),
        remember: given.get("memory") != Some(&"no"),
    }
}

fn apply(world: &mut World, words: &[&str]) {
    let find = |name: &str| world.hosts.iter().position(|host| host.name == name).expect("a member's name");
    match words {
        ["run", span] => world.run((span.parse::<f64>().expect("seconds") * 1000.0) as u64),
        ["heal"] => world.heal(),
        [verb, name, rest @ ..] => {
            let host = find(name);
            match (*verb, rest) {
                ("grant", _) => drop(world.grant(host, "T")),
                ("revoke", _) => drop(world.revoke(host, "T")),
                ("kill", _) => world.kill(host),
                ("kill-and-lose-journal", _) => world.kill_and_lose_journal(host),
                ("start", _) => world.boot(host),
                ("freeze", _) => world.freeze(host),
                ("thaw", _) => world.thaw(host),
                ("isolate", _) => world.isolate(host),
                ("store", ["works"]) => world.hosts[host].habit = StoreHabit::WORKS,
                ("store", ["fails"]) => world.hosts[host].habit.fails_per_mille = 1000,
                ("handler", [word]) => world.hosts[host].handler_passes = *word == "passes",
                _ => panic!("unknown command {words:?}"),
            }
        }
        _ => panic!("unknown command {words:?}"),
    }
}

/// What each member that runs would answer to `list`.
fn list(world: &World) -> Vec<String> {
    let running = (0..world.hosts.len()).filter(|host| world.is_up(*host));
    running
        .flat_map(|host| {
            let now = world.now(host);
            let view = move |view: booth_core::view::TicketView<'_>| {
                let leader = match view.holder {
                    Holder::Never => "NONE".to_owned(),
                    Holder::Nobody => "none".to_owned(),
                    Holder::Member(member) => world.hosts[member.at()].name.clone(),
                };
                let left = view.expires.map(|at| format!(", {:.1} s left", at.since(now.boot).0 as f64 / 1000.0));
                let pending = view.commit_pending.map_or("", |_| ", commit pending");
                let left = left.unwrap_or_default();
                format!(
                    "{:<6} leader: {leader}{left}{pending}, term {}, {:?}",
                    world.hosts[host].name, view.term, view.role
                )
            };
            world.node(host).tickets(now).map(view).collect::<Vec<_>>()
        })
        .collect()
}
