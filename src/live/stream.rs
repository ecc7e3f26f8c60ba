//! Event streams: what a reader gets, as the pieces of a body of server-sent events (WHATWG HTML,
//! section 9.2).

use super::follow::{Follower, Step};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};

/// How long a client is asked to wait before it comes back, in milliseconds.
const RETRY_MILLIS: u64 = 2_000;

/// The body for a reader. The reconnection time goes out at once, also where there is no event
/// yet: a client sees that it is connected.
pub fn events<G: Send + 'static>(follower: Follower<G>) -> impl Stream<Item = Bytes> + Send {
    let opening = stream::once(async { Bytes::from(format!("retry: {RETRY_MILLIS}\n\n")) });
    let pieces = stream::unfold(follower, |mut follower| async move {
        let piece = piece(follower.next().await)?;
        Some((piece, follower))
    });
    opening.chain(pieces)
}

/// The bytes of a step; `None` at the end.
fn piece(step: Step) -> Option<Bytes> {
    match step {
        Step::Send(messages) => {
            let mut piece = BytesMut::new();
            for message in messages {
                message.write_event(&mut piece);
            }
            Some(piece.freeze())
        }
        Step::KeepOpen => Some(Bytes::from_static(b": still here\n\n")),
        Step::End(_) => None,
    }
}
