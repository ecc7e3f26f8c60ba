//! Results and logs of attempts, fetched from the agents' buckets.
//!
//! Input: what a final report names. Output: temporary files with exactly that content.
//!
//! Invariants: no more is written than the report names, and no more than the limit; what differs in size or checksum
//! is not used.

use super::session::Session;
use crate::{
    pool::Pool,
    wire::{names::AgentName, status::ObjectRef},
};
use ring::digest::{Context, SHA256};
use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::NamedTempFile;
use tokio::io::AsyncReadExt;

/// The size of the pieces that are read at once.
const PIECE: usize = 128 << 10;
/// How long NATS may take for a piece.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// A file that was fetched.
#[derive(Debug)]
pub(super) struct Fetched(NamedTempFile);

/// Why an object was not fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The object is not what the report names: fetching it again would not help.
    #[error("{0}")]
    Unusable(String),
    /// NATS has lost it.
    #[error("is missing in the bucket of its agent")]
    Missing,
    /// NATS does not answer.
    #[error("NATS: {0}")]
    Nats(String),
    #[error("cannot write a temporary file: {0}")]
    Disk(#[from] io::Error),
}

impl Fetched {
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Opens the file once more, at its begin.
    pub(super) fn reopen(&self) -> io::Result<File> {
        self.0.reopen()
    }

    /// Fsyncs the file and moves it to its place.
    pub(super) fn persist(self, path: &Path) -> io::Result<()> {
        self.0.as_file().sync_all()?;
        self.0.persist(path).map(drop).map_err(|error| error.error)
    }
}

/// Fetches an object of an agent into a file in `staging`.
pub(super) async fn fetch(
    session: &Session,
    agent: &AgentName,
    object: &ObjectRef,
    limit: u64,
    (pool, staging): (&Pool, PathBuf),
) -> Result<Fetched, FetchError> {
    if object.size > limit {
        let text = format!("has {} bytes; the limit is {limit}", object.size);
        return Err(FetchError::Unusable(text));
    }
    let missing = |error: &dyn std::fmt::Display| FetchError::Nats(error.to_string());
    let bucket = session.results(agent).await.map_err(|error| missing(&error))?;
    let mut source = match bucket.get(&object.name).await {
        Ok(source) => source,
        Err(error)
            if error.kind() == async_nats::jetstream::object_store::GetErrorKind::NotFound =>
        {
            return Err(FetchError::Missing);
        }
        Err(error) => return Err(missing(&error)),
    };
    let create = move || tempfile::Builder::new().prefix("fetched-").tempfile_in(staging);
    let mut file = pool.run(create).await.map_err(io::Error::from)??;
    let mut digest = Context::new(&SHA256);
    let (mut size, mut piece) = (0u64, vec![0; PIECE]);
    loop {
        // The client waits for ever if the bucket is deleted meanwhile.
        let read = tokio::time::timeout(PIECE_TIMEOUT, source.read(&mut piece)).await;
        let count = read.map_err(|late| missing(&late))?.map_err(|error| missing(&error))?;
        if count == 0 {
            break;
        }
        size += count as u64;
        if size > object.size {
            return Err(FetchError::Unusable("is larger than its report states".to_owned()));
        }
        digest.update(&piece[..count]);
        let bytes = piece[..count].to_vec();
        let write = move || file.write_all(&bytes).map(|()| file);
        file = pool.run(write).await.map_err(io::Error::from)??;
    }
    let mut found = String::new();
    for byte in digest.finish().as_ref() {
        // Writing to a `String` cannot fail.
        let _ = write!(found, "{byte:02x}");
    }
    if size != object.size || !found.eq_ignore_ascii_case(&object.sha256) {
        return Err(FetchError::Unusable(
            "is damaged: size or checksum differ from its report".to_owned(),
        ));
    }
    Ok(Fetched(file))
}
