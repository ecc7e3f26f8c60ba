//! Results and logs of attempts, fetched from the agents' buckets.
//!
//! Input: what a final report names. Output: temporary files with exactly that content.
//!
//! Invariants: no more is written than the report names, and no more than the limit; what differs in size or checksum
//! is not used.

use super::{error::NatsError, session::Session};
use crate::{
    model::digest::hexadecimal,
    pool::Pool,
    wire::{names::AgentName, status::ObjectRef},
};
use bytes::Bytes;
use ring::digest::{Context, SHA256};
use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// A file that was fetched.
#[derive(Debug)]
pub(super) struct Fetched(NamedTempFile);

/// Why an object was not fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The object is not what the report names: fetching it again would not help.
    #[error("{0}")]
    Unusable(String),
    /// NATS has lost it, or a part of it.
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

    /// Opens the file once more, at its beginning.
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
    let unusable = |why: &str| FetchError::Unusable(why.to_owned());
    let away = |error: NatsError| FetchError::Nats(error.to_string());
    let bucket = session.results(agent).await.map_err(away)?;
    let facts = bucket.facts(&object.name).await.map_err(away)?.filter(|facts| !facts.deleted);
    let facts = facts.ok_or(FetchError::Missing)?;
    let mut file = None;
    let mut digest = Context::new(&SHA256);
    let (mut size, mut position) = (0u64, 0);
    for _ in 0..facts.chunks {
        let piece = bucket.piece(&facts, position).await.map_err(away)?;
        let piece = piece.filter(|piece| !piece.bytes.is_empty()).ok_or(FetchError::Missing)?;
        position = piece.sequence;
        size += piece.bytes.len() as u64;
        if size > object.size {
            return Err(unusable("is larger than its report states"));
        }
        digest.update(&piece.bytes);
        file = Some(write(file, piece.bytes, (pool, &staging)).await?);
    }
    let file = match file {
        Some(file) => file,
        None => write(None, Bytes::new(), (pool, &staging)).await?,
    };
    let found = hexadecimal(digest.finish().as_ref());
    if size != object.size || !found.eq_ignore_ascii_case(&object.sha256) {
        return Err(unusable("is damaged: size or checksum differ from its report"));
    }
    Ok(Fetched(file))
}

/// Appends bytes to a temporary file, which is created with the first ones.
async fn write(
    file: Option<NamedTempFile>,
    bytes: Bytes,
    (pool, staging): (&Pool, &Path),
) -> io::Result<NamedTempFile> {
    let staging = staging.to_owned();
    let write = move || {
        let create = || tempfile::Builder::new().prefix("fetched-").tempfile_in(staging);
        let mut file = file.map_or_else(create, Ok)?;
        file.write_all(&bytes).map(|()| file)
    };
    pool.run(write).await.map_err(io::Error::from)?
}
