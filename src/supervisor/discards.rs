//! Repositories that are not started: writes their final states in batches, because there may be
//! thousands and each is fsynced.
//!
//! Input: repositories of a cancelled job, and repositories that must not be contacted. Output:
//! their status files; after each batch, what is written and what is left.
//!
//! Invariant: a batch ends at the first write that the disk refuses; nothing is lost of the rest.

use super::{RepoKey, pools::Pool, status_files::PlannedRepository};
use crate::{
    model::{Failure, JobId, RepoState, repository::RepositoryStatus},
    store::{chain, layout::JobDir},
};
use std::time::Duration;
use tokio::time::sleep;

/// How many final states are written before the loop is informed.
const AT_ONCE: usize = 64;
/// The pause after a batch of which nothing could be written.
const PAUSE: Duration = Duration::from_secs(1);

/// A repository that is not started, and its final state.
#[derive(Debug)]
pub(super) struct Unstarted {
    pub(super) key: RepoKey,
    pub(super) name: String,
    pub(super) git_url: String,
    pub(super) attempt: u64,
    pub(super) state: RepoState,
    pub(super) failure: Failure,
}

/// A batch of repositories of one job that are not started; some of their final states are written.
#[derive(Debug)]
pub(super) struct Discards {
    pub(super) job: JobId,
    pub(super) written: Vec<(u32, RepositoryStatus)>,
    pub(super) left: Vec<Unstarted>,
}

impl Discards {
    /// The pause before the next batch.
    pub(super) fn pause(&self) -> Duration {
        if self.written.is_empty() { PAUSE } else { Duration::ZERO }
    }
}

/// Writes the next batch of final states of a job after a pause.
pub(super) async fn write(
    job: JobId,
    folder: JobDir,
    files: Pool,
    left: Vec<Unstarted>,
    pause: Duration,
) -> Discards {
    sleep(pause).await;
    // Logged once, not every second while the disk is unavailable.
    let is_first = pause.is_zero();
    let (written, left) =
        files.run(move || write_batch(&folder, left, is_first)).await.unwrap_or_default();
    Discards { job, written, left }
}

fn write_batch(
    folder: &JobDir,
    mut left: Vec<Unstarted>,
    is_logged: bool,
) -> (Vec<(u32, RepositoryStatus)>, Vec<Unstarted>) {
    let mut written = Vec::new();
    while written.len() < AT_ONCE
        && let Some(Unstarted { key, name, git_url, attempt, state, failure }) = left.last()
    {
        let planned = PlannedRepository { folder, key, name, git_url };
        match planned.write_final_state(*attempt, *state, failure) {
            Ok(status) => written.push((key.index, status)),
            Err(error) => {
                if is_logged {
                    tracing::error!(repository = %key, error = chain(&error), "cannot write the final state of a repository; the write is repeated until it succeeds");
                }
                break;
            }
        }
        left.pop();
    }
    (written, left)
}
