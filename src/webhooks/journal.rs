//! Which events of which jobs are recorded as deliveries. Blocking code, called by the recorder alone.
//!
//! Input: the jobs in the cache, their records in `.webhooks/jobs`. Output: deliveries, and the next records.
//!
//! Invariants: a record is replaced after the deliveries of its events are durable. So a crash between both records the
//! events again, under the same ids; none is skipped. The records are complete from the moment that a webhook was
//! named for the first time: what had happened before is recorded without an event.

use super::{
    changes::{Marker, News, Seen, final_state},
    target::Target,
};
use crate::{
    config::CurrentConfig,
    live::{Live, LiveJob},
    model::JobId,
    store::{StoreError, atomic::Durability, webhooks::WebhookFolder},
};
use chrono::Utc;
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// The record of a job in memory.
#[derive(Debug, Clone)]
enum Record {
    /// This final state is recorded. The rest is on the disk.
    Settled(String),
    Open(Marker),
}

/// The records of all jobs.
#[derive(Debug)]
pub(super) struct Journal {
    folder: WebhookFolder,
    live: Arc<Live>,
    config: CurrentConfig,
    records: Mutex<HashMap<JobId, Record>>,
}

impl Journal {
    pub(super) fn new(folder: WebhookFolder, live: Arc<Live>, config: CurrentConfig) -> Self {
        Self { folder, live, config, records: Mutex::default() }
    }

    /// The files of webhooks.
    pub(super) fn folder(&self) -> &WebhookFolder {
        &self.folder
    }

    /// Whether the final state of a job is recorded.
    pub(super) fn is_settled(&self, id: &JobId) -> bool {
        matches!(self.records().get(id), Some(Record::Settled(_)))
    }

    /// Reads the records of the last run. Returns false if they are not complete: there was no webhook.
    pub(super) fn load(&self) -> Result<bool, StoreError> {
        if !self.folder.is_begun() {
            return Ok(false);
        }
        let mut loaded = HashMap::new();
        for id in self.folder.marked()? {
            let Some(bytes) = self.folder.marker(&id)? else { continue };
            match serde_json::from_slice::<Marker>(&bytes) {
                Ok(marker) => {
                    loaded.insert(id, Record::of(marker));
                }
                // Its events are recorded again: receivers recognize them by their ids.
                Err(error) => {
                    tracing::warn!(job = %id, %error, "the record of a job's events is invalid");
                }
            }
        }
        *self.records() = loaded;
        Ok(true)
    }

    /// Records the present state of these jobs without events.
    pub(super) fn skip(&self, ids: &[JobId]) -> Result<(), StoreError> {
        for id in ids {
            let Some(job) = self.live.get(id) else { continue };
            let mut marker = Marker::default();
            self.advance(&mut marker, true, &job);
            self.folder.write_marker(id, &marker, Durability::Eventual)?;
            self.records().insert(id.clone(), Record::of(marker));
        }
        Ok(())
    }

    /// States that the records are complete from now on.
    pub(super) fn begin(&self) -> Result<(), StoreError> {
        let since = crate::model::time::format(Utc::now());
        self.folder.begin(&json!({ "schema": 1, "since": since }))
    }

    /// States that the records are not complete any more, because nobody is notified.
    pub(super) fn end(&self) -> Result<(), StoreError> {
        self.records().clear();
        self.folder.end()
    }

    /// Records the events of a job. Returns whether the job has to be read again soon, although it does not change.
    pub(super) fn record(&self, id: &JobId, targets: &[Arc<Target>]) -> Result<bool, StoreError> {
        let Some(job) = self.live.get(id) else { return Ok(false) };
        let ended = final_state(&job.facts(), job.is_over());
        let record = self.records().get(id).cloned();
        let before = match record {
            Some(Record::Settled(known)) if ended.as_ref() == Some(&known) => return Ok(false),
            Some(Record::Settled(_)) => Some(self.read(id)?.unwrap_or_default()),
            Some(Record::Open(marker)) => Some(marker),
            None => None,
        };
        let mut marker = before.clone().unwrap_or_default();
        let News { events, is_incomplete } = self.advance(&mut marker, before.is_some(), &job);
        if !events.is_empty() {
            for target in targets {
                target.record(&events)?;
            }
        }
        if before.as_ref() != Some(&marker) {
            self.folder.write_marker(id, &marker, Durability::Content)?;
        }
        self.records().insert(id.clone(), Record::of(marker));
        Ok(is_incomplete)
    }

    /// Records that jobs are gone, and removes their records.
    pub(super) fn sweep(&self, targets: &[Arc<Target>]) -> Result<(), StoreError> {
        let known: Vec<_> = self.records().keys().cloned().collect();
        for id in known.into_iter().filter(|id| self.live.get(id).is_none()) {
            let record = self.records().get(&id).cloned();
            if let Some(Record::Open(marker)) = record
                && let Some(event) = marker.deleted(&id, Utc::now())
            {
                for target in targets {
                    target.record(std::slice::from_ref(&event))?;
                }
            }
            self.folder.remove_marker(&id)?;
            self.records().remove(&id);
        }
        Ok(())
    }

    fn advance(&self, marker: &mut Marker, known: bool, job: &LiveJob) -> News {
        let (facts, is_over) = (job.facts(), job.is_over());
        let (error, options) = (job.error_message(), job.options());
        let config = self.config.get();
        let seen = Seen {
            facts: &facts,
            is_over,
            error: error.as_deref(),
            options: &options,
            public_url: &config.server.public_url,
            now: Utc::now(),
        };
        job.with_repositories(|all| marker.advance(known, &seen, all))
    }

    fn read(&self, id: &JobId) -> Result<Option<Marker>, StoreError> {
        let bytes = self.folder.marker(id)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    fn records(&self) -> MutexGuard<'_, HashMap<JobId, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn of(marker: Marker) -> Self {
        match marker.finished() {
            Some(finished) => Self::Settled(finished.to_owned()),
            None => Self::Open(marker),
        }
    }
}
