//! A job that is not in the cache, because its folder is gone. Input: what its files contained. Output: the finished job, which
//! does not change. Invariant: it is in no list and in no stream of all jobs.

use super::{FileContent, JobData, JobId, JobIndex, LiveJob, Timestamp};
use std::sync::Arc;

impl LiveJob {
    /// The job of these files.
    pub(in super::super) fn of_archive(
        id: JobId,
        job_index: Arc<JobIndex>,
        folder_time: Timestamp,
        files: impl IntoIterator<Item = FileContent>,
    ) -> Self {
        let mut data = JobData::new(id, job_index.versions().clone());
        data.facts.folder_time = folder_time;
        data.facts.archived = true;
        for content in files {
            data.take_in(content);
        }
        data.refresh();
        let job = Self::of(data, job_index);
        job.update_ended(true);
        job
    }
}
