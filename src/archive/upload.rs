//! Uploads one job.
//!
//! Input: the archive record of the job here, and the files that it names. Output: their objects, all of them verified.
//!
//! Invariants: the record is uploaded last; what was verified is not uploaded again after a restart; one portion of
//! repositories is in memory, whatever the size of the job.

use super::{
    bucket::Bucket,
    error::{Kind, StorageError},
    names,
    parts::Content,
    sealed,
    shared::Shared,
};
use crate::{
    live::LiveJob,
    model::JobId,
    store::{
        StoreError,
        archive::{Archive, ArchiveHeader, ArchiveReader, ArchivedRepository, Blob, Unreadable},
        atomic, chain, read, results,
        uploads::{Mark, UploadProgress, master_sum},
    },
};
use chrono::Utc;
use futures_util::{StreamExt, TryStreamExt, stream};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How many repositories are read, uploaded and noted at once.
const PORTION: usize = 64;
/// How often an object is tried before the upload of its job pauses.
const ATTEMPTS: u32 = 3;
/// The pause before an object is tried again; it doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// A file that is to be an object.
struct Object {
    name: String,
    path: PathBuf,
    content: Content,
}

impl Object {
    fn of(name: String, archive: &Archive, blob: &Blob) -> Self {
        let content = Content { size: blob.size(), sha256: blob.sha256().to_owned() };
        Self { name, path: archive.blob_path(blob), content }
    }
}

/// An upload of a job.
pub(super) struct Upload {
    pub(super) shared: Arc<Shared>,
    pub(super) id: JobId,
    /// The job, if its folder is here; otherwise only its archive record is.
    pub(super) live: Option<Arc<LiveJob>>,
}

impl Upload {
    /// Uploads the job, verifies all objects, and marks it. Does nothing if the job is gone, or is to be removed. Returns whether the
    /// storage was contacted.
    ///
    /// # Errors
    /// Why it is not in the archive; another attempt continues.
    pub(super) async fn run(self) -> Result<bool, StorageError> {
        let Self { shared, id, live } = self;
        let snapshot = {
            let (of, id, live) = (Arc::clone(&shared), id.clone(), live.clone());
            shared.blocking(move || snapshot(&of, &id, live.as_deref())).await?
        };
        let Some(Snapshot { archive, reader, mut progress }) = snapshot else { return Ok(false) };
        let job = Transfer { shared: &shared, id: &id, live: live.as_ref(), archive: &archive };
        job.upload_plan(reader.header()).await?;
        let mut lines = Lines::new(reader, progress.repositories);
        loop {
            let (shared_lines, portion) = {
                let mut taken = lines;
                shared.blocking(move || taken.portion().map(|portion| (taken, portion))).await?
            };
            lines = shared_lines;
            if portion.is_empty() {
                break;
            }
            progress.repositories += portion.len() as u64;
            let bytes = job.upload_repositories(portion).await?;
            progress.objects += bytes.len() as u64;
            progress.bytes += bytes.iter().sum::<u64>();
            let (noted, of) = (progress.clone(), id.clone());
            let uploads = shared.uploads.clone();
            // Without the note this portion is uploaded again after a restart.
            let _ = shared.blocking(move || local(uploads.note_progress(&of, &noted))).await;
        }
        progress.bytes += job.upload_record().await?;
        progress.objects += 1;
        let mark = Mark {
            schema: 1,
            master: progress.master.clone(),
            uploaded_at: Utc::now(),
            objects: progress.objects,
            bytes: progress.bytes,
        };
        let (uploads, of) = (shared.uploads.clone(), id.clone());
        shared
            .blocking(move || {
                local(uploads.set_mark(&of, &mark))?;
                local(uploads.remove_workspace(&of))
            })
            .await?;
        tracing::info!(job = %id, objects = progress.objects, bytes = progress.bytes, "job uploaded to the archive and verified");
        shared.fetches.appeared(&id);
        shared.counts.finished_job();
        Ok(true)
    }
}

/// What of a job is uploaded: it does not change while its job does.
struct Snapshot {
    archive: Archive,
    reader: ArchiveReader,
    progress: UploadProgress,
}

/// The snapshot of an interrupted upload, or a new one. `None` if the job is gone, or is to be removed.
fn snapshot(
    shared: &Shared,
    id: &JobId,
    live: Option<&LiveJob>,
) -> Result<Option<Snapshot>, StorageError> {
    let uploads = &shared.uploads;
    if uploads.is_to_be_removed(id) {
        return Ok(None);
    }
    let Some(live) = live else {
        // Its files are named by their content, and stay as long as the record.
        let archive = shared.archive.clone();
        let reader = unreadable(archive.read(id))?;
        let progress = uploads.progress(id).filter(|progress| progress.master.is_none());
        if progress.is_none() {
            local(uploads.make_workspace(id))?;
        }
        let progress = progress.unwrap_or_default();
        return Ok(reader.map(|reader| Snapshot { archive, reader, progress }));
    };
    let job = shared.jobs.job(id);
    let Some(master) = master_sum(&job) else { return Ok(None) };
    let archive = Archive::in_folder(uploads.workspace(id), job.staging().to_owned());
    if let Some(progress) = uploads.progress(id)
        && progress.master.as_ref() == Some(&master)
        && let Ok(Some(reader)) = archive.read(id)
    {
        return Ok(Some(Snapshot { archive, reader, progress }));
    }
    local(uploads.make_workspace(id))?;
    let facts = live.facts();
    let ended = facts.completed_at.or_else(|| live.newest_time()).unwrap_or_else(Utc::now);
    let expires = shared.expiry(ended);
    let error = live.error_message();
    let header = ArchiveHeader::of(&facts, error.as_deref(), [ended, expires], Utc::now());
    local(archive.write(&job, header))?;
    if master_sum(&job).as_ref() != Some(&master) {
        return Err(StorageError::new(Kind::Changed, "upload", id, "the job was retried"));
    }
    let progress = UploadProgress { master: Some(master), ..UploadProgress::default() };
    local(uploads.note_progress(id, &progress))?;
    let reader = unreadable(archive.read(id))?;
    Ok(reader.map(|reader| Snapshot { archive, reader, progress }))
}

/// The lines of a record after the second one.
struct Lines {
    reader: ArchiveReader,
    begun: bool,
    skip: u64,
}

impl Lines {
    fn new(reader: ArchiveReader, skip: u64) -> Self {
        Self { reader, begun: false, skip }
    }

    /// The next repositories; none at the end.
    fn portion(&mut self) -> Result<Vec<ArchivedRepository>, StorageError> {
        if !std::mem::replace(&mut self.begun, true) {
            unreadable(self.reader.master())?;
        }
        let mut portion = Vec::new();
        while portion.len() < PORTION {
            let Some(line) = unreadable(self.reader.repository())? else { break };
            if self.skip == 0 {
                portion.push(line);
            } else {
                self.skip -= 1;
            }
        }
        Ok(portion)
    }
}

/// The transfers of one job.
struct Transfer<'a> {
    shared: &'a Arc<Shared>,
    id: &'a JobId,
    live: Option<&'a Arc<LiveJob>>,
    archive: &'a Archive,
}

impl Transfer<'_> {
    async fn upload_plan(&self, header: &ArchiveHeader) -> Result<(), StorageError> {
        let Some(blob) = &header.plan else { return Ok(()) };
        self.upload(Object::of(names::plan(self.id), self.archive, blob)).await.map(drop)
    }

    /// Uploads the files of repositories, and returns their sizes.
    async fn upload_repositories(
        &self,
        portion: Vec<ArchivedRepository>,
    ) -> Result<Vec<u64>, StorageError> {
        let transfers = self.shared.max_concurrent;
        let all = stream::iter(portion).map(|line| self.upload_repository(line));
        let sizes: Vec<Vec<u64>> = all.buffer_unordered(transfers).try_collect().await?;
        Ok(sizes.concat())
    }

    async fn upload_repository(&self, line: ArchivedRepository) -> Result<Vec<u64>, StorageError> {
        let ArchivedRepository { index, result, log, .. } = line;
        let mut sizes = Vec::new();
        if let Some(blob) = &result {
            let name = names::result(self.id, index);
            sizes.push(self.upload(Object::of(name, self.archive, blob)).await?);
            sizes.extend(self.upload_sbom(index).await?);
        }
        if let Some(blob) = &log {
            let name = names::log(self.id, index);
            sizes.push(self.upload(Object::of(name, self.archive, blob)).await?);
        }
        Ok(sizes)
    }

    /// Uploads the bill of materials of a repository; `None` if there is none, which is no reason to keep the job here: it is
    /// made from the result whenever it is requested.
    async fn upload_sbom(&self, index: u32) -> Result<Option<u64>, StorageError> {
        let (Some(live), Some(documents)) = (self.live, self.shared.documents()) else {
            return Ok(None);
        };
        let path = self.shared.uploads.workspace(self.id).join(format!("sbom-{index}.json"));
        let (live, to, staging) = (Arc::clone(live), path.clone(), self.shared.jobs.staging());
        let make = move || {
            let write = |file: &mut std::fs::File| {
                let mut buffered = io::BufWriter::new(file);
                documents(&live, index).write_to(&mut buffered)?;
                io::Write::flush(&mut buffered)
            };
            atomic::replace_with(&staging, &to, write, atomic::Durability::Eventual)
        };
        let written = self.shared.documents_pool.run(make).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(job = %self.id, index, error = chain(&error), "no bill of materials for the archive; it can be made from the result");
                return Ok(None);
            }
            Err(lost) => {
                return Err(StorageError::of_disk("make", "a bill of materials")(lost.into()));
            }
        }
        let name = names::sbom(self.id, index);
        let size = self.upload_file(name, path.clone()).await;
        let removed = move || {
            std::fs::remove_file(&path).map_err(StorageError::of_disk("remove", &path.display()))
        };
        let _ = self.shared.blocking(removed).await;
        size.map(Some)
    }

    async fn upload_record(&self) -> Result<u64, StorageError> {
        let record = self.archive.record_path(self.id);
        let sealed = self.shared.uploads.workspace(self.id).join("record.jsonl");
        let (staging, to) = (self.shared.jobs.staging(), sealed.clone());
        let seal = move || {
            sealed::seal(&staging, &record, &to)
                .map_err(StorageError::of_disk("write", &to.display()))
        };
        self.shared.blocking(seal).await?;
        self.upload_file(names::record(self.id), sealed).await
    }

    /// Uploads a file whose content is not known yet.
    async fn upload_file(&self, name: String, path: PathBuf) -> Result<u64, StorageError> {
        let of = path.clone();
        let content = self.shared.blocking(move || content(&of)).await?;
        self.upload(Object { name, path, content }).await
    }

    /// Uploads and verifies an object, with some attempts. Returns its size.
    async fn upload(&self, object: Object) -> Result<u64, StorageError> {
        let Object { name, path, content } = object;
        let bucket: &Bucket = &self.shared.bucket;
        let mut pause = PAUSE;
        for attempt in 1.. {
            match bucket.upload(&name, &path, &content).await {
                Ok(()) => break,
                Err(error)
                    if matches!(error.kind, Kind::Unavailable | Kind::Damaged)
                        && attempt < ATTEMPTS =>
                {
                    self.shared.counts.failed();
                    tracing::debug!(job = %self.id, %error, attempt, "an upload to the archive failed; it is repeated");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                Err(error) => {
                    self.shared.counts.failed();
                    return Err(error);
                }
            }
        }
        self.shared.counts.uploaded(content.size);
        Ok(content.size)
    }
}

/// The content of a local file.
fn content(path: &Path) -> Result<Content, StorageError> {
    let sum = read::open(path).and_then(|mut file| results::sum(&mut file));
    let (size, sha256) = sum.map_err(StorageError::of_disk("read", &path.display()))?;
    Ok(Content { size, sha256 })
}

fn local<T>(outcome: Result<T, StoreError>) -> Result<T, StorageError> {
    outcome.map_err(StorageError::of_local)
}

fn unreadable<T>(outcome: Result<T, Unreadable>) -> Result<T, StorageError> {
    outcome.map_err(|error| {
        StorageError::new(Kind::Local, "read", "an archive record", error.to_string())
    })
}
