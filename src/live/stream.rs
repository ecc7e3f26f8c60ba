//! Server-sent events (WHATWG HTML, section 9.2): the body of an event stream, in pieces.
//!
//! Input: a follower. Output: pieces, each when the previous one has been taken.
//!
//! Invariants: a piece is bounded, however large its message is; large data is shared and passed on
//! in slices; small messages that are available together are sent together.

use super::{
    follow::{Follower, Step},
    messages::{Message, Payload, SMALL, begin_event, end_event},
    pieces::{CutOff, PIECE, PieceReader},
};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use std::{
    pin::Pin,
    task::{Context, Poll},
    vec,
};

/// The start of a stream: the time in milliseconds after which a client reconnects. It is a line of
/// the first event: some clients take a block of its own for an empty message.
const OPENING: &[u8] = b"retry: 2000\n";
/// Keeps the connection open. No blank line follows, for the same reason.
const COMMENT: &[u8] = b": still here\n";

/// The body for a reader. The reconnection time is sent at once, even before the first event, so
/// that a client sees that it is connected. Nothing follows an error.
pub fn events<G>(follower: Follower<G>) -> Events<G> {
    Events {
        follower: Some(follower),
        messages: Vec::new().into_iter(),
        large: None,
        text: BytesMut::from(OPENING),
    }
}

/// The pieces of an event stream.
#[derive(Debug)]
pub struct Events<G> {
    /// `None` after the end.
    follower: Option<Follower<G>>,
    /// The messages of the current step.
    messages: vec::IntoIter<Message>,
    /// The rest of the data of the current message.
    large: Option<PieceReader>,
    /// Bytes to send next.
    text: BytesMut,
}

impl<G: Unpin> Stream for Events<G> {
    type Item = Result<Bytes, CutOff>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = self.poll_piece(context);
        if let Poll::Ready(None | Some(Err(_))) = piece {
            self.follower = None;
        }
        piece
    }
}

impl<G> Events<G> {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, CutOff>>> {
        let Some(follower) = &mut self.follower else { return Poll::Ready(None) };
        loop {
            if self.text.len() >= PIECE || (self.large.is_some() && !self.text.is_empty()) {
                break;
            }
            if let Some(large) = &mut self.large {
                let piece = large.next_piece();
                if piece.is_some() {
                    return Poll::Ready(piece);
                }
                self.large = None;
                end_event(&mut self.text);
            } else if let Some(message) = self.messages.next() {
                let (event, id, data) = message.into_parts();
                begin_event(&mut self.text, event, id);
                match data {
                    Payload::Small(bytes) => self.text.extend_from_slice(&bytes),
                    Payload::Large(mut reader) if reader.length() <= SMALL => {
                        while let Some(piece) = reader.next_piece() {
                            match piece {
                                Ok(piece) => self.text.extend_from_slice(&piece),
                                Err(cut_off) => return Poll::Ready(Some(Err(cut_off))),
                            }
                        }
                    }
                    Payload::Large(reader) => {
                        self.large = Some(reader);
                        continue;
                    }
                }
                end_event(&mut self.text);
            } else {
                match follower.poll_next(context) {
                    Poll::Ready(Step::Send(messages)) => self.messages = messages.into_iter(),
                    Poll::Ready(Step::KeepOpen) => {
                        self.text.extend_from_slice(COMMENT);
                        break;
                    }
                    Poll::Ready(Step::End(_)) if self.text.is_empty() => return Poll::Ready(None),
                    Poll::Pending if self.text.is_empty() => {
                        // A waiting reader holds no buffer.
                        (self.messages, self.text) = (Vec::new().into_iter(), BytesMut::new());
                        return Poll::Pending;
                    }
                    Poll::Ready(Step::End(_)) | Poll::Pending => break,
                }
            }
        }
        Poll::Ready(Some(Ok(self.text.split().freeze())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Live;
    use futures_util::{FutureExt, StreamExt};
    use std::{future::pending, sync::Arc};

    /// Fails if a small job costs its readers a piece for each of its parts, or a buffer while they
    /// wait.
    #[tokio::test]
    async fn available_messages_are_sent_together_and_no_buffer_is_kept() {
        let live = Live::new(7);
        let job = live.insert(&"job".parse().unwrap());
        let mut events = events(Arc::clone(&job).follow(None, pending(), ()));
        let first = events.next().now_or_never().unwrap().unwrap().unwrap();
        let first = String::from_utf8(first.to_vec()).unwrap();
        assert!(first.starts_with("retry: 2000\nid: 7-"), "{first}");
        assert!(first.contains("event: snapshot\ndata: {"), "{first}");
        assert!(first.ends_with("}\n\n"), "{first}");
        assert!(events.next().now_or_never().is_none(), "nothing has changed");
        assert_eq!(events.text.capacity(), 0);
        live.remove(job.id());
        assert!(events.next().now_or_never().unwrap().is_none(), "the job is removed");
        assert!(events.next().now_or_never().unwrap().is_none());
    }

    /// Fails if a reader that joins a finished job waits for its final state.
    #[tokio::test]
    async fn the_snapshot_of_a_finished_job_is_followed_by_its_final_state() {
        let live = Live::new(7);
        let job = live.insert(&"job".parse().unwrap());
        let text = br#"{"status": "completed", "total_repositories": 0}"#;
        job.apply_master(crate::model::master::Master::parse(text).unwrap().0, Vec::new());
        job.finalize(true);
        // If the final state did not follow at once, the keep-alive comments would never end.
        let pieces = events(job.follow(None, pending(), ())).collect::<Vec<_>>();
        let pieces = pieces.now_or_never().expect("nothing is waited for");
        let bytes: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.unwrap().to_vec()).collect();
        let text = String::from_utf8(bytes).unwrap();
        let ends = text.split_once("event: snapshot").unwrap().1.contains("event: end");
        assert!(ends, "{text}");
    }

    /// Fails if a stream does not end when it should, or is polled again after its end.
    #[tokio::test]
    async fn a_stream_ends_with_its_server_or_its_user() {
        let live = Live::new(7);
        let job = live.insert(&"job".parse().unwrap());
        let (end, ends) = tokio::sync::oneshot::channel();
        let ends = ends.map(|_| crate::live::Ending::Revoked);
        let mut events = events(job.follow(None, ends, ()));
        assert!(events.next().now_or_never().unwrap().is_some());
        assert!(events.next().now_or_never().is_none());
        end.send(()).unwrap();
        for _ in 0..3 {
            assert!(events.next().now_or_never().unwrap().is_none());
        }
    }
}
