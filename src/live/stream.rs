//! Event streams: what a reader gets, as the pieces of a body of server-sent events (WHATWG HTML,
//! section 9.2).
//!
//! Input: a follower. Output: pieces, each when the last one has been taken.
//! Invariants: a piece is bounded, however large its message is; what is large is shared, and handed
//! on in slices; small messages that are there together go out together.

use super::{
    follow::{Follower, Step},
    frames::{Content, Message, SMALL, begin_event, end_event},
    pieces::{CutOff, PIECE, Reader},
};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use std::{
    pin::Pin,
    task::{Context, Poll},
    vec,
};

/// What a stream begins with: how long a client is asked to wait before it comes back, in
/// milliseconds.
const OPENING: &[u8] = b"retry: 2000\n\n";

/// The body for a reader. The reconnection time goes out at once, also where there is no event
/// yet: a client sees that it is connected. After an error nothing follows.
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
    /// None once nothing more comes.
    follower: Option<Follower<G>>,
    /// Of the step that is being sent.
    messages: vec::IntoIter<Message>,
    /// The data of the message that is being sent.
    large: Option<Reader>,
    /// What comes next.
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
                    Content::Small(bytes) => self.text.extend_from_slice(&bytes),
                    Content::Large(mut reader) if reader.length() <= SMALL => {
                        while let Some(piece) = reader.next_piece() {
                            match piece {
                                Ok(piece) => self.text.extend_from_slice(&piece),
                                Err(cut_off) => return Poll::Ready(Some(Err(cut_off))),
                            }
                        }
                    }
                    Content::Large(reader) => {
                        self.large = Some(reader);
                        continue;
                    }
                }
                end_event(&mut self.text);
            } else {
                match follower.poll_next(context) {
                    Poll::Ready(Step::Send(messages)) => self.messages = messages.into_iter(),
                    Poll::Ready(Step::KeepOpen) => {
                        self.text.extend_from_slice(b": still here\n\n");
                        break;
                    }
                    Poll::Ready(Step::End(_)) if self.text.is_empty() => return Poll::Ready(None),
                    Poll::Pending if self.text.is_empty() => {
                        // While it waits, a reader has no buffer.
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

    /// Breaks if a small job costs its readers a piece for each of its parts, or a buffer while they
    /// wait.
    #[tokio::test]
    async fn what_is_there_goes_out_together_and_nothing_is_kept() {
        let live = Live::new(7);
        let job = live.insert(&"job".parse().unwrap());
        let mut events = events(Arc::clone(&job).follow(None, pending(), ()));
        let first = events.next().now_or_never().unwrap().unwrap().unwrap();
        let first = String::from_utf8(first.to_vec()).unwrap();
        assert!(first.starts_with("retry: 2000\n\nid: 7-"), "{first}");
        assert!(first.contains("event: snapshot\ndata: {"), "{first}");
        assert!(first.ends_with("}\n\n"), "{first}");
        assert!(events.next().now_or_never().is_none(), "nothing has changed");
        assert_eq!(events.text.capacity(), 0);
        live.remove(job.id());
        assert!(events.next().now_or_never().unwrap().is_none(), "the job is removed");
        assert!(events.next().now_or_never().unwrap().is_none());
    }

    /// Breaks if who joins a job that is over waits for its end.
    #[tokio::test]
    async fn a_job_that_is_over_has_its_end_after_its_snapshot() {
        let live = Live::new(7);
        let job = live.insert(&"job".parse().unwrap());
        let text = br#"{"status": "completed", "total_repositories": 0}"#;
        job.apply_master(crate::model::master::Master::parse(text).unwrap().0, Vec::new());
        job.settle(true);
        // Where the end does not follow at once, the comments that keep the line open never end.
        let pieces = events(job.follow(None, pending(), ())).collect::<Vec<_>>();
        let pieces = pieces.now_or_never().expect("nothing is waited for");
        let bytes: Vec<u8> = pieces.into_iter().flat_map(|it| it.unwrap().to_vec()).collect();
        let text = String::from_utf8(bytes).unwrap();
        let ends = text.split_once("event: snapshot").unwrap().1.contains("event: end");
        assert!(ends, "{text}");
    }

    /// Breaks if a stream does not end when it is to, or is asked again after its end.
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
