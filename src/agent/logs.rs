//! Pieces of logs of running attempts, for the server.
//!
//! Input: requests. Output: pieces of the log files. Invariants: only logs of attempts that this agent holds are read; a
//! piece is bounded.

use super::shared::Shared;
use crate::{
    store::read,
    wire::requests::{LogPiece, LogRequest, MAX_PIECE_BYTES},
};
use futures_util::StreamExt;
use std::{
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{task::spawn_blocking, time::sleep};

/// The pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// Answers requests until the agent ends, one after the other.
pub(super) async fn run(shared: Arc<Shared>) {
    let client = &shared.bus.connection.client;
    let subject = shared.bus.names.logs(&shared.bus.agent);
    loop {
        match client.subscribe(subject.clone()).await {
            Ok(mut requests) => {
                while let Some(request) = requests.next().await {
                    let Some(reply) = request.reply else { continue };
                    let Ok(wanted) = crate::wire::read::<LogRequest>(&request.payload) else {
                        continue;
                    };
                    let answer = answer(&shared, wanted).await;
                    if let Err(error) = client.publish(reply, answer.into()).await {
                        tracing::debug!(%error, "cannot send a piece of a log");
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "cannot subscribe to requests for logs"),
        }
        sleep(PAUSE).await;
    }
}

async fn answer(shared: &Shared, wanted: LogRequest) -> Vec<u8> {
    let none = LogPiece { schema: 1, found: false, size: 0, offset: wanted.offset };
    let entry = shared.registry.get(&wanted.key);
    let piece = if entry.is_some_and(|entry| entry.attempt == wanted.attempt) {
        let path = shared.jobs.job(&wanted.key.job).log(wanted.key.index);
        let limit = wanted.limit.min(MAX_PIECE_BYTES);
        spawn_blocking(move || piece(&path, wanted.offset, limit)).await.ok().and_then(Result::ok)
    } else {
        None
    };
    let (header, bytes) = piece.unwrap_or((none, Vec::new()));
    header.encode(&bytes).unwrap_or_default()
}

fn piece(path: &Path, offset: u64, limit: u64) -> io::Result<(LogPiece, Vec<u8>)> {
    let mut file = read::open(path)?;
    let size = file.metadata()?.len();
    let offset = offset.min(size);
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok((LogPiece { schema: 1, found: true, size, offset }, bytes))
}
