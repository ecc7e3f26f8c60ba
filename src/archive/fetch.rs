//! Brings jobs back for requests: their records and files become those of an archived job here again, until the clean-up
//! removes them as it removes all expired ones.
//!
//! Input: the id of a job that is not here. Output: it is here, or it is not in the archive, or that takes longer.
//!
//! Invariants: a job is brought back once for all requests that wait for it; at most [`JOBS_AT_ONCE`] at a time; a job appears
//! here as a whole, and marked as uploaded before it appears; the free space does not fall below the floor of the settings; an
//! absence is remembered for a while, so that repeated requests for nothing cost the storage nothing.

use super::{
    Availability,
    download::{Downloads, JobPart},
    error::{Kind, StorageError},
    names,
    shared::Shared,
};
use crate::{
    model::JobId,
    store::{
        archive::{ArchiveReader, Blob, Unreadable},
        space::free_bytes,
        uploads::Mark,
    },
};
use chrono::Utc;
use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// How many jobs are brought back at once; requests for further ones are asked to come back later.
const JOBS_AT_ONCE: usize = 8;
/// How long a request waits.
const PATIENCE: Duration = Duration::from_secs(20);

/// Brings a job back, and waits for that for a while.
pub(super) async fn bring_back(shared: &Arc<Shared>, id: &JobId) -> Availability {
    if shared.fetches.is_absent(id) {
        return Availability::Absent;
    }
    let Some(mut outcome) = begin(shared, id) else { return Availability::Busy };
    let ended = tokio::time::timeout(PATIENCE, outcome.wait_for(Option::is_some)).await;
    match ended {
        Ok(Ok(availability)) => availability.unwrap_or(Availability::Unavailable),
        // The server stops.
        Ok(Err(_)) => Availability::Unavailable,
        Err(_) => Availability::Busy,
    }
}

/// Whether a job is in the archive, without bringing it back.
pub(super) async fn find(shared: &Shared, id: &JobId) -> Availability {
    if shared.fetches.is_absent(id) {
        return Availability::Absent;
    }
    let Ok(_query) = shared.fetches.queries.try_acquire() else { return Availability::Busy };
    match shared.bucket.has(&names::record(id)).await {
        Ok(true) => Availability::There,
        Ok(false) => {
            shared.fetches.note_absence(id);
            Availability::Absent
        }
        Err(error) => {
            if error.kind.is_of_storage() {
                shared.note_failure(&error);
            }
            tracing::warn!(job = %id, %error, "it is unknown whether the archive has a job");
            Availability::Unavailable
        }
    }
}

/// Begins to bring a job back, unless that has begun. `None` if too many others are being brought back.
fn begin(shared: &Arc<Shared>, id: &JobId) -> Option<watch::Receiver<Option<Availability>>> {
    let program = shared.program.get()?;
    shared.fetches.with(|known| {
        if let Some(running) = known.running.get(id) {
            return Some(running.clone());
        }
        if known.running.len() >= JOBS_AT_ONCE {
            return None;
        }
        let (sender, receiver) = watch::channel(None);
        known.running.insert(id.clone(), receiver.clone());
        let (shared, id) = (Arc::clone(shared), id.clone());
        let shutdown = program.shutdown.clone();
        program.tasks.spawn(async move {
            let fetched = shutdown.run_until_cancelled(fetch(&shared, &id)).await;
            let availability =
                fetched.map_or(Availability::Unavailable, |outcome| note(&shared, &id, outcome));
            if availability == Availability::Absent {
                shared.fetches.note_absence(&id);
            }
            shared.fetches.with(|known| known.running.remove(&id));
            let _ = sender.send(Some(availability));
        });
        Some(receiver)
    })
}

fn note(shared: &Shared, id: &JobId, outcome: Result<(), StorageError>) -> Availability {
    match outcome {
        Ok(()) => {
            shared.note_success();
            shared.counts.fetched();
            tracing::info!(job = %id, "job brought back from the archive for a request");
            Availability::Here
        }
        Err(error) if error.is_absence() => Availability::Absent,
        Err(error) => {
            if error.kind.is_of_storage() {
                shared.note_failure(&error);
            }
            tracing::warn!(job = %id, %error, "cannot bring a job back from the archive");
            Availability::Unavailable
        }
    }
}

async fn fetch(shared: &Arc<Shared>, id: &JobId) -> Result<(), StorageError> {
    let (of, uploads) = (id.clone(), shared.uploads.clone());
    let folder = shared
        .blocking(move || uploads.make_fetch_folder(&of).map_err(StorageError::of_local))
        .await?;
    let fetched = fetch_into(shared, id, folder).await;
    let (of, uploads) = (id.clone(), shared.uploads.clone());
    // What stays is removed by the next start.
    let _ = shared
        .blocking(move || uploads.remove_fetch_folder(&of).map_err(StorageError::of_local))
        .await;
    fetched
}

async fn fetch_into(shared: &Arc<Shared>, id: &JobId, folder: PathBuf) -> Result<(), StorageError> {
    let downloads = Downloads {
        bucket: shared.bucket.clone(),
        pool: shared.pool.clone(),
        at_once: shared.max_concurrent,
    };
    let record = folder.join("record.jsonl");
    let reader = downloads.record(id, &record).await?;
    let Contents { blobs, here, objects, bytes } = shared
        .blocking({
            let (shared, record) = (Arc::clone(shared), record.clone());
            move || contents(&shared, reader, &record)
        })
        .await?;
    let needed: u64 = blobs.iter().map(Blob::size).sum();
    shared.check_space(needed)?;
    let reader = shared
        .blocking({
            let record = record.clone();
            move || open(&record)
        })
        .await?;
    let wanted: HashMap<&str, &Blob> = blobs.iter().map(|blob| (blob.sha256(), blob)).collect();
    let path = |blob: &Blob| folder.join(blob.sha256());
    let taken = Mutex::new(HashSet::new());
    let place = |_: JobPart, blob: &Blob| {
        let is_wanted = wanted.contains_key(blob.sha256());
        // Equal files are downloaded once.
        let is_first = || {
            taken.lock().unwrap_or_else(PoisonError::into_inner).insert(blob.sha256().to_owned())
        };
        (is_wanted && is_first()).then(|| path(blob))
    };
    downloads.files(id, reader, place, |_, _| Ok(())).await?;
    let mark = Mark { schema: 1, master: None, uploaded_at: Utc::now(), objects, bytes };
    let files: Vec<(Blob, PathBuf)> = blobs.iter().map(|blob| (blob.clone(), path(blob))).collect();
    let (shared_too, of) = (Arc::clone(shared), id.clone());
    shared
        .blocking(move || {
            shared_too.uploads.set_mark(&of, &mark).map_err(StorageError::of_local)?;
            if shared_too.uploads.is_to_be_removed(&of) {
                return Err(StorageError::new(Kind::NoObject, "read", &of, "it is being removed"));
            }
            shared_too.fetches.note_fetched(&of);
            let adopted = shared_too.archive.adopt(&of, &record, &files, &here);
            if adopted.map_err(StorageError::of_local)? {
                return Ok(());
            }
            let text = "a file was removed here meanwhile; another request brings it back";
            Err(StorageError::new(Kind::Changed, "read", &of, text))
        })
        .await
}

fn open(record: &Path) -> Result<ArchiveReader, StorageError> {
    let file =
        std::fs::File::open(record).map_err(StorageError::of_disk("read", &record.display()))?;
    ArchiveReader::of_file(file, record).map_err(|error| {
        StorageError::new(Kind::Damaged, "read", &record.display(), error.to_string())
    })
}

/// What a record names.
struct Contents {
    /// The files that are not here, each once.
    blobs: Vec<Blob>,
    here: Vec<Blob>,
    objects: u64,
    bytes: u64,
}

fn contents(
    shared: &Shared,
    mut reader: ArchiveReader,
    record: &Path,
) -> Result<Contents, StorageError> {
    let damaged = |error: Unreadable| {
        StorageError::new(Kind::Damaged, "read", &record.display(), error.to_string())
    };
    let mut missing: HashMap<String, Blob> = HashMap::new();
    let mut found = Contents { blobs: Vec::new(), here: Vec::new(), objects: 1, bytes: 0 };
    let mut add = |blob: &Blob| {
        found.objects += 1;
        found.bytes += blob.size();
        if shared.archive.has_blob(blob) {
            found.here.push(blob.clone());
        } else {
            missing.entry(blob.sha256().to_owned()).or_insert_with(|| blob.clone());
        }
    };
    reader.header().plan.iter().for_each(&mut add);
    reader.master().map_err(damaged)?;
    while let Some(line) = reader.repository().map_err(damaged)? {
        line.result.iter().chain(&line.log).for_each(&mut add);
    }
    found.blobs = missing.into_values().collect();
    Ok(found)
}

impl Shared {
    /// Whether so many bytes have room above the floor of the settings.
    fn check_space(&self, bytes: u64) -> Result<(), StorageError> {
        let Some(program) = self.program.get() else { return Ok(()) };
        let floor = program.config.get().jobs.min_free_bytes;
        let root = self.jobs.root();
        match free_bytes(root) {
            Some(free) if free < floor.saturating_add(bytes) => {
                let text = format!(
                    "{free} bytes are free, {bytes} and {floor} ([jobs] min_free_bytes) are needed"
                );
                Err(StorageError::new(Kind::Local, "bring a job back to", &root.display(), text))
            }
            _ => Ok(()),
        }
    }
}
