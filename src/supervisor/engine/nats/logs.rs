//! Logs of running attempts, fetched from their agents while somebody reads them.
//!
//! Input: a repository. Output: its log file, as long as the agent's.
//!
//! Invariants: a log grows by whole pieces at its end; pieces of two attempts are never mixed, because a new attempt
//! empties the log in the same turn.

use super::{files, hub::Hub};
use crate::{
    supervisor::RepoKey,
    wire::requests::{LogRequest, MAX_PIECE_BYTES},
};
use std::{sync::Arc, time::Duration};

/// How many pieces are fetched at once.
const MOST_PIECES: usize = 64;
/// How often a log that is followed is fetched.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);

/// Fetches what is missing of the log of a repository, if an agent scans it. What cannot be fetched is missing for now.
pub(super) async fn refresh(hub: &Arc<Hub>, key: &RepoKey) {
    for _ in 0..MOST_PIECES {
        let (Some(source), Some(session)) = (hub.log_of(key), hub.session()) else { return };
        let _turn = source.turn.lock().await;
        let path = source.path.clone();
        let length = move || std::fs::metadata(path).map_or(0, |facts| facts.len());
        let Ok(offset) = hub.pool.run(length).await else { return };
        let request = LogRequest {
            schema: 1,
            key: super::hub::wire_key(key),
            attempt: source.attempt,
            offset,
            limit: MAX_PIECE_BYTES,
        };
        let (piece, bytes) = match session.log_piece(&source.agent, &request).await {
            Ok(piece) => piece,
            Err(error) => {
                tracing::debug!(repository = %key, %error, "cannot fetch a log");
                return;
            }
        };
        if !piece.found || piece.offset != offset || bytes.is_empty() {
            return;
        }
        // The attempt may have been replaced meanwhile; whoever replaces it waits for this turn.
        if hub.log_of(key).is_none_or(|now| now.attempt != source.attempt) {
            return;
        }
        let (path, is_last) = (source.path.clone(), offset + bytes.len() as u64 >= piece.size);
        let append = move || files::append_to_log(&path, offset, &bytes);
        if !matches!(hub.pool.run(append).await, Ok(Ok(true))) || is_last {
            return;
        }
    }
}
