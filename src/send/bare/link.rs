//! Whether the link to an address is up.

use crate::system::{self, Descriptor};
use core::net::IpAddr;
use fence_kdump_send::route::{self, MAX_ANSWER, Question};

/// The way to ask the kernel about links.
pub struct Links {
    socket: Option<Descriptor>,
}

impl Links {
    /// Nothing asked yet. Where the kernel cannot be asked, every link is taken to be up.
    pub fn new() -> Links {
        Links { socket: system::route_socket().ok() }
    }

    /// Whether the link to an address is up; `link` is its number where it is known, else 0.
    ///
    /// What the kernel does not tell is taken for up: a message that is counted and lost is one of several,
    /// a message that never counts would be sent ten times a second for ever.
    pub fn is_up(&self, ip: IpAddr, link: u32) -> bool {
        let link = if link == 0 { self.ask(&Question::about_route(ip), route::link_of) } else { Some(link) };
        link.and_then(|link| self.ask(&Question::about_link(link), route::is_up)).unwrap_or(true)
    }

    fn ask<T>(&self, question: &Question, read: fn(&[u8]) -> Option<T>) -> Option<T> {
        let mut answer = [0; MAX_ANSWER];
        read(system::ask(self.socket.as_ref()?, question.as_bytes(), &mut answer).ok()?)
    }
}
