//! What happened, for people: one line an event.

use crate::cluster::{Action, Cluster};
use crate::host::{NAMES, SITES, site_id};
use booth_core::notice::Notice;
use booth_core::options::Word;
use booth_core::wire::{self, Body, LeaderField};

/// A message in words.
pub fn datagram(bytes: &[u8]) -> String {
    let Ok(message) = wire::decode(bytes, None) else { return "not a message".to_owned() };
    let header = message.header;
    let mut text = match header.request {
        Some(request) => format!("{:?} of {request:?}", header.command),
        None => format!("{:?}", header.command),
    };
    let Body::Ticket(body) = message.body else { return text };
    text.push_str(&format!(" term {}", body.term));
    if let LeaderField::Member(id) = body.leader {
        let name = (0..NAMES.len()).find(|member| site_id(*member) == id).map_or("?", |member| NAMES[member]);
        text.push_str(&format!(", leader {name}"));
    }
    if body.valid_for > 0 {
        text.push_str(&format!(", valid for {}", body.valid_for));
    }
    if header.reason != wire::Reason::None {
        text.push_str(&format!(", {:?}", header.reason));
    }
    if header.outcome != wire::Outcome::Success {
        text.push_str(&format!(", {:?}", header.outcome));
    }
    if let Some(word) = Word::parse(header.options) {
        let flags = [
            (word.remembers, " remembers"),
            (word.settled, " settled"),
            (word.stopped, " stopped"),
            (word.running, " running"),
        ];
        let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag).collect();
        text.push_str(&format!(" #{}{flags}", word.number));
    }
    text
}

/// A notice in words.
pub fn notice(notice: &Notice) -> String {
    match notice {
        Notice::Ticket { event, .. } => format!("{event:?}"),
        other => format!("{other:?}"),
    }
}

/// The whole story of a path: how the world opens, then action after action.
pub fn tell(cluster: &Cluster, actions: &[Action]) -> String {
    let opening = cluster.world.opening(Some(vec!["The world opens:".to_owned()]));
    let mut scene = opening;
    for (number, action) in (1..).zip(actions) {
        if let Some(story) = &mut scene.story {
            story.push(format!("{number}. {action:?}"));
        }
        scene.act(*action);
    }
    let stores: Vec<String> = (0..SITES)
        .map(|site| format!("{} {}", NAMES[site], if scene.hosts[site].store.granted { "granted" } else { "revoked" }))
        .collect();
    let story = scene.story.take().unwrap_or_default();
    format!("{}\nThe stores say: {}.", story.join("\n"), stores.join(", "))
}
