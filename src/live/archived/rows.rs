//! The rows of archived jobs, for lists.
//!
//! Input: the first lines of all records. Output: a page of rows, newest first.
//!
//! Invariants: a record is read once while the list is in use, and again when it is replaced; a record that cannot be read
//! has no row: the clean-up reports it.

use super::{ArchiveError, ArchivedJobs};
use crate::{
    model::{JobId, JobState, progress::JobFacts},
    store::{StoreError, archive::ArchiveHeader, read::Signature},
};
use std::{
    cmp::Reverse,
    collections::HashMap,
    ops::Range,
    sync::{Arc, PoisonError},
    time::Instant,
};

/// The facts of an archived job, and the error that its row shows.
pub type ArchivedRow = (JobFacts, Option<String>);

/// The rows that were read.
#[derive(Debug, Default)]
pub(super) struct Rows {
    by_job: HashMap<JobId, (Signature, Row)>,
    requested_at: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Row {
    facts: JobFacts,
    error: Option<Arc<str>>,
}

impl Rows {
    /// Drops the rows unless they were requested recently.
    pub(super) fn forget_unless(&mut self, is_recent: impl Fn(Instant) -> bool) {
        if !self.requested_at.is_some_and(is_recent) {
            *self = Self::default();
        }
    }
}

impl Row {
    fn of(header: &ArchiveHeader) -> Option<Self> {
        let facts = JobFacts {
            id: header.job.clone(),
            url: header.git_url.as_deref().map(Into::into),
            state: JobState::parse_final(&header.status)?,
            summary: header.summary,
            skipped: header.skipped,
            discovering: false,
            discovery_errors: header.discovery_errors,
            started_at: header.started_at,
            folder_time: header.created_at,
            completed_at: header.completed_at,
            error: None,
            schedule: header.schedule.as_deref().map(Into::into),
            fraction: 1.0,
            paused: false,
            archived: true,
        };
        Some(Self { facts, error: header.error.as_deref().map(Into::into) })
    }
}

impl ArchivedJobs {
    /// The rows at these positions, newest first, of the archived jobs that fit; with the error that each shows. Also
    /// returns how many jobs fit. Blocks.
    ///
    /// # Errors
    /// If the records cannot be listed.
    pub fn page(
        &self,
        fits: impl Fn(&JobFacts) -> bool,
        places: Range<usize>,
    ) -> Result<(Vec<ArchivedRow>, usize), StoreError> {
        // Whoever lists at the same time waits, instead of reading the same records.
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = std::mem::take(&mut rows.by_job);
        for id in self.archive.jobs()? {
            let Some(signature) = self.record(&id) else { continue };
            let old = known.remove(&id).filter(|(of, _)| *of == signature);
            let row = match old {
                Some((_, row)) => Some(row),
                None => self.row(&id).ok().flatten(),
            };
            if let Some(row) = row {
                rows.by_job.insert(id, (signature, row));
            }
        }
        rows.requested_at = Some(Instant::now());
        let mut fitting: Vec<&Row> =
            rows.by_job.values().map(|(_, row)| row).filter(|row| fits(&row.facts)).collect();
        fitting.sort_unstable_by_key(|row| Reverse((row.facts.created_at(), row.facts.id.clone())));
        let total = fitting.len();
        let page = fitting.into_iter().skip(places.start).take(places.len());
        let copy = |row: &Row| (row.facts.clone(), row.error.as_deref().map(str::to_owned));
        Ok((page.map(copy).collect(), total))
    }

    fn row(&self, id: &JobId) -> Result<Option<Row>, ArchiveError> {
        Ok(self.archive.read(id)?.and_then(|record| Row::of(record.header())))
    }
}
