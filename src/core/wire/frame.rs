//! Messages in a byte stream: how much to read, known from the header alone.
//!
//! Nothing here is authenticated yet. A frame is given even where the key will turn out to be wrong:
//! the answer that says so only arrives when all that the other end has sent is read before the close.

use super::code::BodyKind;
use super::header::HeaderView;
use super::{ATTRIBUTE_LEN, Command, DropReason, MAX_TEXT, TICKET_LEN, TRAILER_LEN};

/// A client's request in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The length of the message, header and trailer included: what [`super::decode`] takes.
    pub message: usize,
    /// How many bytes may follow that belong to nothing: without a key the reference's client sends
    /// trailer bytes that `length` leaves out. Read and dropped when they come, so that the close
    /// does not become a reset; not waited for before the answer, as other clients may not send them.
    pub surplus: usize,
}

/// A daemon's reply in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyFrame {
    /// A message of this length, for [`super::decode`].
    Message(usize),
    /// A header with its trailer, for [`super::decode_text_header`], and text.
    Text {
        /// The length of header and trailer.
        header: usize,
        /// The length of the text, at most [`MAX_TEXT`].
        text: usize,
    },
}

/// The extent of the client's request that starts with `prefix`, at least [`super::HEADER_LEN`] bytes.
///
/// # Errors
/// [`DropReason::UnknownCommand`] for what clients do not send, [`DropReason::BadLength`] where
/// `length` does not fit the command, and what a header can be refused for.
pub fn frame_length(prefix: &[u8]) -> Result<Frame, DropReason> {
    let view = HeaderView::of(prefix)?;
    let command = view.command()?;
    if !command.is_from_client() {
        return Err(DropReason::UnknownCommand);
    }
    let body = if command.body() == BodyKind::Attribute { ATTRIBUTE_LEN } else { TICKET_LEN };
    let message = view.overhead() + body;
    if view.length() != message {
        return Err(DropReason::BadLength);
    }
    let surplus = if !view.is_signed() && command.has_surplus_trailer() { TRAILER_LEN } else { 0 };
    Ok(Frame { message, surplus })
}

/// The extent of the daemon's reply that starts with `prefix`, at least [`super::HEADER_LEN`] bytes.
///
/// # Errors
/// As [`frame_length`], for what daemons reply.
pub fn reply_frame(prefix: &[u8]) -> Result<ReplyFrame, DropReason> {
    let view = HeaderView::of(prefix)?;
    let command = view.command()?;
    let header = view.overhead();
    let rest = view.length().checked_sub(header).ok_or(DropReason::BadLength)?;
    match command {
        Command::Result if rest == 0 || rest == TICKET_LEN => Ok(ReplyFrame::Message(view.length())),
        Command::Result => Err(DropReason::BadLength),
        _ if !command.has_text_reply() => Err(DropReason::UnknownCommand),
        _ if rest > MAX_TEXT => Err(DropReason::BadLength),
        _ => Ok(ReplyFrame::Text { header, text: rest }),
    }
}
