//! Asking a listener for dumping nodes: the client's end of [`super::request`].
//!
//! A wait has two parts: [`begin`] returns when the listener has said that whatever comes from now on counts,
//! and [`Waiting::end`] when it knows. Neither waits for ever for a listener that is frozen.

use super::request::{self, Answer, WAITING, Waited};
use crate::control;
use booth_core::time::Millis;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a listener may take to say something that it knows.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer, in bytes; what is longer is none.
const MAX_ANSWER: u64 = 16 << 10;

/// A wait that a listener has begun.
#[derive(Debug)]
pub struct Waiting {
    stream: BufReader<UnixStream>,
    nodes: usize,
    until: Instant,
}

/// What a listener says to the wish to wait.
#[derive(Debug)]
pub enum Begun {
    /// It waits.
    Waiting(Waiting),
    /// It cannot, for this reason.
    Refused(String),
    /// It cannot now, for this reason.
    NotNow(String),
}

/// Asks the listener at `socket` to wait for nodes.
///
/// # Errors
/// Where nobody listens there, or it does not answer within [`PATIENCE`].
pub fn begin(socket: &Path, time: Duration, nodes: &[Waited]) -> io::Result<Begun> {
    let millis = Millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    let Some(line) = request::wait_line(millis, nodes) else {
        return Ok(Begun::Refused("the names and addresses are too many for one request: name fewer nodes".to_owned()));
    };
    let until = Instant::now() + time + PATIENCE;
    let mut stream = control::connect(socket)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    (&mut stream).take(MAX_ANSWER).read_line(&mut first)?;
    if first.trim_end() == WAITING {
        return Ok(Begun::Waiting(Waiting { stream, nodes: nodes.len(), until }));
    }
    match request::understand(&first, nodes.len()) {
        Answer::Refused(why) => Ok(Begun::Refused(why)),
        Answer::NotNow(why) => Ok(Begun::NotNow(why)),
        Answer::Heard(_) | Answer::Gone => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

impl Waiting {
    /// Waits for the listener's word.
    pub fn end(mut self) -> Answer {
        let mut answer = String::new();
        let left = self.until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        // Its answer comes in one piece, at the end of its time at the latest.
        let read = self
            .stream
            .get_ref()
            .set_read_timeout(Some(left))
            .and_then(|()| (&mut self.stream).take(MAX_ANSWER).read_to_string(&mut answer));
        match read {
            Ok(_) => request::understand(&answer, self.nodes),
            Err(_) => Answer::Gone,
        }
    }
}
