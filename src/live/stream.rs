//! Event streams: what a reader gets, as the pieces of a body of server-sent events (WHATWG HTML,
//! section 9.2).
//!
//! Input: a follower. Output: pieces, each when the last one has been taken.
//! Invariants: a piece is bounded, however large its message is; what is large is shared, and handed
//! on in slices; small messages that are there together go out together.

use super::{
    follow::{Follower, Step},
    frames::{Content, Message, begin_event, end_event},
    pieces::{CutOff, PIECE, Reader},
};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use std::collections::VecDeque;

/// How long a client is asked to wait before it comes back, in milliseconds.
const RETRY_MILLIS: u64 = 2_000;

/// The body for a reader. The reconnection time goes out at once, also where there is no event
/// yet: a client sees that it is connected. After an error nothing follows.
pub fn events<G: Send + 'static>(
    follower: Follower<G>,
) -> impl Stream<Item = Result<Bytes, CutOff>> + Send {
    let opening = stream::once(async { Ok(Bytes::from(format!("retry: {RETRY_MILLIS}\n\n"))) });
    let writer = Writer { follower, messages: VecDeque::new(), large: None, text: BytesMut::new() };
    let pieces = stream::unfold(Some(writer), |writer| async move {
        let mut writer = writer?;
        let piece = writer.next().await?;
        let next = piece.is_ok().then_some(writer);
        Some((piece, next))
    });
    opening.chain(pieces)
}

struct Writer<G> {
    follower: Follower<G>,
    /// Of the step that is being sent.
    messages: VecDeque<Message>,
    /// The data of the message that is being sent.
    large: Option<Reader>,
    /// What comes next.
    text: BytesMut,
}

impl<G> Writer<G> {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Option<Result<Bytes, CutOff>> {
        loop {
            if self.text.len() >= PIECE || (self.large.is_some() && !self.text.is_empty()) {
                return Some(Ok(self.text.split().freeze()));
            }
            if let Some(large) = &mut self.large {
                let piece = large.next_piece();
                if piece.is_some() {
                    return piece;
                }
                self.large = None;
                end_event(&mut self.text);
            } else if let Some(message) = self.messages.pop_front() {
                let (event, id, content) = message.into_parts();
                begin_event(&mut self.text, event, id);
                match content {
                    Content::Small(data) => {
                        self.text.extend_from_slice(&data);
                        end_event(&mut self.text);
                    }
                    Content::Large(reader) => self.large = Some(reader),
                }
            } else if self.text.is_empty() {
                // While it waits, a reader has no buffer.
                self.text = BytesMut::new();
                match self.follower.next().await {
                    Step::Send(messages) => self.messages = messages.into(),
                    Step::KeepOpen => return Some(Ok(Bytes::from_static(b": still here\n\n"))),
                    Step::End(_) => return None,
                }
            } else {
                return Some(Ok(self.text.split().freeze()));
            }
        }
    }
}
