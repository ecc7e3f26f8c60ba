//! Removes jobs from the archive: on request, and after the retention time.
//!
//! Input: a job; the time. Output: its objects are gone.
//!
//! Invariants: the record goes first, so that nobody finds a job without its files; an interrupted removal is noted on the
//! local disk and continued. Only what is below the job's own names is removed.

use super::{error::StorageError, names, shared::Shared};
use crate::{model::JobId, store::StoreError};
use chrono::{TimeDelta, Utc};
use futures_util::{StreamExt, TryStreamExt};
use std::sync::Arc;

/// How many objects are removed at once.
const AT_ONCE: usize = 8;

/// Removes everything of a job, and the note that it is to be removed.
pub(super) async fn remove(shared: &Arc<Shared>, id: &JobId) -> Result<(), StorageError> {
    let bucket = &shared.bucket;
    bucket.remove(&names::record(id)).await?;
    bucket
        .list(&names::folder(id))
        .map(|found| async { bucket.remove(&found?.name).await })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    let (uploads, of) = (shared.uploads.clone(), id.clone());
    let noted = move || -> Result<(), StoreError> {
        uploads.remove_workspace(&of)?;
        uploads.note_removed(&of)
    };
    shared.blocking(move || noted().map_err(StorageError::of_local)).await?;
    shared.counts.removed_job();
    tracing::info!(job = %id, "job removed from the archive");
    Ok(())
}

/// Has the jobs removed that have been in the archive for the retention time.
pub(super) async fn expire(shared: &Arc<Shared>) -> Result<bool, StorageError> {
    let Some(retention) = shared.retention else { return Ok(false) };
    let Some(latest) =
        TimeDelta::from_std(retention).ok().and_then(|age| Utc::now().checked_sub_signed(age))
    else {
        return Ok(false);
    };
    let mut records = std::pin::pin!(shared.bucket.list(names::RECORDS));
    while let Some(found) = records.try_next().await? {
        let Some(id) = names::job_of_record(&found.name) else { continue };
        // A job that is still here would be uploaded again.
        let is_here = shared.program.get().is_some_and(|program| program.live.get(&id).is_some());
        if found.modified_at < latest && !is_here {
            let (uploads, archive) = (shared.uploads.clone(), shared.archive.clone());
            let request = move || {
                if archive.record_path(&id).exists() {
                    return Ok(());
                }
                uploads.request_removal(&id).map_err(StorageError::of_local)
            };
            shared.blocking(request).await?;
            shared.wake.notify_one();
        }
    }
    Ok(true)
}
