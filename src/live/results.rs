//! Summaries of result files, and open result files that are read package by package.
//!
//! Input: the ids of jobs and the numbers of their repositories. Output: a summary of a result
//! file, made on the first request and cached until the file changes; or the open file.
//!
//! Invariants: packages are never cached; the cached summaries have at most [`KEPT_BYTES`]
//! together, and are dropped after a minute without a request; an invalid result of an external
//! scanner counts as nothing found.

use super::ArchivedJobs;
use crate::{
    model::{JobId, declared::Declared, foreign_result},
    store::{
        io_error::is_resource_exhaustion,
        layout::{JobFile, JobsDir},
        read::{self, Signature},
        result_file::{Part, ResultFile, Unread},
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The approximate size of the cached summaries.
const KEPT_BYTES: usize = 4 << 20;
/// How long a summary stays cached after its last request.
const KEPT_FOR: Duration = Duration::from_mins(1);
/// After how many packages each it is checked whether the answer is still wanted.
const CHECK_EVERY: u64 = 256;

/// A summary of a result file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ResultSummary {
    /// The number of packages, valid or not.
    pub packages_total: u64,
    pub categories: BTreeMap<String, bool>,
    pub infrastructure_usage: BTreeMap<String, bool>,
    /// Whether all packages are valid; if not, none of them counts.
    pub is_sound: bool,
    /// Whether there is a result, valid or not.
    pub exists: bool,
}

/// A cache of summaries, and access to the result files.
#[derive(Debug)]
pub struct Results {
    jobs: JobsDir,
    archived: Option<Arc<ArchivedJobs>>,
    cache: Mutex<SummaryCache>,
}

#[derive(Debug, Default)]
struct SummaryCache {
    by_file: HashMap<(JobId, u32), CachedSummary>,
    bytes: usize,
}

#[derive(Debug)]
struct CachedSummary {
    signature: Signature,
    summary: Arc<ResultSummary>,
    bytes: usize,
    requested_at: Instant,
}

/// There is no answer: the client does not wait for it any more, or it is unknown whether there is a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client does not wait for the answer any more, or a result cannot be read")]
pub struct Unwanted;

impl Results {
    /// An empty cache.
    pub fn new(jobs: JobsDir) -> Self {
        Self { jobs, archived: None, cache: Mutex::default() }
    }

    /// The same with the results of archived jobs.
    #[must_use]
    pub fn with_archived(self, archived: Arc<ArchivedJobs>) -> Self {
        Self { archived: Some(archived), ..self }
    }

    /// Opens the result of a repository; `None` if there is none. The Python service keeps results in
    /// the status file; those of an archived job are in the archive. Blocks.
    ///
    /// # Errors
    /// If a lack of resources leaves it unknown whether there is one.
    pub fn open(&self, id: &JobId, index: u32) -> io::Result<Option<ResultFile>> {
        match ResultFile::open(&self.jobs.job(id).result(index)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_resource_exhaustion(&error) => Err(error),
            Err(_) => match self.in_status_file(id, index)? {
                Some(file) => Ok(Some(file)),
                None => self.in_archive(id, index),
            },
        }
    }

    fn in_archive(&self, id: &JobId, index: u32) -> io::Result<Option<ResultFile>> {
        let Some(path) = self.archived_path(id, index)? else { return Ok(None) };
        // A result that the record names is there, unless the disk has lost it.
        ResultFile::open(&path).map(Some)
    }

    fn archived_path(&self, id: &JobId, index: u32) -> io::Result<Option<PathBuf>> {
        let Some(archived) = &self.archived else { return Ok(None) };
        Ok(archived.result(id, index)?)
    }

    fn in_status_file(&self, id: &JobId, index: u32) -> io::Result<Option<ResultFile>> {
        let path = self.jobs.job(id).status(index);
        let (bytes, signature) = match read::whole(&path, read::STATUS_CAP) {
            Ok(read) => read,
            Err(error) if is_resource_exhaustion(&error) => return Err(error),
            Err(_) => return Ok(None),
        };
        let text = foreign_result::convert(&bytes, &JobFile::Repository(index).name());
        Ok(text.map(|text| ResultFile::of_text(text, signature)))
    }

    /// The summary of a repository's result; an empty one if there is no file. `is_wanted` is
    /// called repeatedly while the file is read. Blocks.
    pub fn summary(
        &self,
        id: &JobId,
        index: u32,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Arc<ResultSummary>, Unwanted> {
        let key = (id.clone(), index);
        let folder = self.jobs.job(id);
        let signature =
            Signature::at(&folder.result(index)).or_else(|| Signature::at(&folder.status(index)));
        let signature = signature.or_else(|| {
            let path = self.archived_path(id, index).ok().flatten()?;
            Signature::at(&path)
        });
        if let Some(known) = self.with(|cache| cache.get(&key, signature)) {
            return Ok(known);
        }
        let Some(mut file) = self.open(id, index).map_err(|_| Unwanted)? else {
            return Ok(Arc::default());
        };
        let summary = Arc::new(summarise(&mut file, is_wanted)?);
        self.with(|cache| cache.insert(key, file.signature(), &summary));
        Ok(summary)
    }

    /// Drops the summaries that were not requested recently.
    pub fn forget_idle(&self) {
        self.with(|cache| cache.retain(|entry| entry.requested_at.elapsed() < KEPT_FOR));
    }

    fn with<T>(&self, work: impl FnOnce(&mut SummaryCache) -> T) -> T {
        work(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SummaryCache {
    fn get(
        &mut self,
        key: &(JobId, u32),
        signature: Option<Signature>,
    ) -> Option<Arc<ResultSummary>> {
        let entry = self.by_file.get_mut(key).filter(|entry| Some(entry.signature) == signature)?;
        entry.requested_at = Instant::now();
        Some(Arc::clone(&entry.summary))
    }

    fn insert(&mut self, key: (JobId, u32), signature: Signature, summary: &Arc<ResultSummary>) {
        let names = summary.categories.keys().chain(summary.infrastructure_usage.keys());
        // Including the overhead of maps and allocations.
        let bytes = 256 + names.map(|name| name.len() + 64).sum::<usize>();
        if bytes > KEPT_BYTES {
            return;
        }
        let (summary, requested_at) = (Arc::clone(summary), Instant::now());
        let entry = CachedSummary { signature, summary, bytes, requested_at };
        self.bytes += bytes;
        if let Some(old) = self.by_file.insert(key, entry) {
            self.bytes -= old.bytes;
        }
        if self.bytes > KEPT_BYTES {
            // Drops the older half, so that this is rare.
            let mut times: Vec<_> = self.by_file.values().map(|entry| entry.requested_at).collect();
            times.sort_unstable();
            let middle = times[times.len() / 2];
            self.retain(|entry| entry.requested_at > middle);
        }
    }

    fn retain(&mut self, is_kept: impl Fn(&CachedSummary) -> bool) {
        self.by_file.retain(|_, entry| is_kept(entry));
        self.bytes = self.by_file.values().map(|entry| entry.bytes).sum();
        self.by_file.shrink_to_fit();
    }
}

fn summarise(
    file: &mut ResultFile,
    is_wanted: &dyn Fn() -> bool,
) -> Result<ResultSummary, Unwanted> {
    let mut summary = ResultSummary { is_sound: true, exists: true, ..ResultSummary::default() };
    let read = file.read(&["categories", "infrastructure_usage"], &mut |part| {
        match part {
            Part::Package(_, text) => {
                if summary.packages_total.is_multiple_of(CHECK_EVERY) && !is_wanted() {
                    return Err(Unread::Stopped);
                }
                summary.packages_total += 1;
                match Declared::parse(text) {
                    Ok(_) => {}
                    Err(error) if error.is_data() => summary.is_sound = false,
                    Err(_) => return Err(Unread::Invalid),
                }
            }
            Part::Member(name, text) => {
                let map = serde_json::from_slice(text).map_err(|_| Unread::Invalid)?;
                match name {
                    "categories" => summary.categories = map,
                    _ => summary.infrastructure_usage = map,
                }
            }
        }
        Ok(())
    });
    match read {
        Ok(()) => Ok(summary),
        Err(Unread::Stopped) => Err(Unwanted),
        Err(Unread::Invalid | Unread::Io(_)) => {
            Ok(ResultSummary { exists: true, ..ResultSummary::default() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::atomic::{Durability, replace};
    use serde_json::json;

    fn write(jobs: &JobsDir, id: &JobId, index: u32, text: &str) {
        let path = jobs.job(id).result(index);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        replace(&jobs.staging(), &path, text.as_bytes(), Durability::Eventual).unwrap();
    }

    #[test]
    fn an_invalid_result_counts_as_nothing_found() {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(&root.path().join("jobs")).unwrap();
        jobs.create(0o750).unwrap();
        let (id, results) = (JobId::generate(), Results::new(jobs.clone()));
        let package = json!({"name": "a", "version": null, "ecosystem": "npm", "purl": "pkg:npm/a",
            "file": "f", "direct": null, "scope": null, "source": "manifest"});
        let whole = |packages: &[&serde_json::Value]| {
            json!({ "packages": packages, "categories": { "web": true } }).to_string()
        };
        let of = |text: &str| {
            write(&jobs, &id, 0, text);
            let summary = results.summary(&id, 0, &|| true).unwrap();
            (summary.packages_total, summary.is_sound, summary.categories.len())
        };
        assert_eq!(of(&whole(&[&package, &package])), (2, true, 1));
        assert_eq!(of(&whole(&[&package, &json!({"name": 7})])), (2, false, 1));
        assert_eq!(of("{\"packages\": [{]}"), (0, false, 0));
        assert_eq!(of("{\"packages\": [{\"a\":x}]}"), (0, false, 0));
        assert_eq!(of("{\"categories\": 7}"), (0, false, 0));
        write(&jobs, &id, 0, &whole(&[&package]));
        assert_eq!(results.summary(&id, 0, &|| false), Err(Unwanted));
        assert_eq!(*results.summary(&id, 1, &|| true).unwrap(), ResultSummary::default());
    }

    #[test]
    fn few_summaries_are_cached_and_reused() {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(&root.path().join("jobs")).unwrap();
        jobs.create(0o750).unwrap();
        let (id, results) = (JobId::generate(), Results::new(jobs.clone()));
        let names: BTreeMap<String, bool> = (0..2000)
            .map(|number| (format!("a category with a long name {number}"), true))
            .collect();
        let text = json!({ "categories": names }).to_string();
        for index in 0..60 {
            write(&jobs, &id, index, &text);
            let first = results.summary(&id, index, &|| true).unwrap();
            let again = results.summary(&id, index, &|| true).unwrap();
            assert!(Arc::ptr_eq(&first, &again), "read again");
            assert!(results.with(|cache| cache.bytes <= KEPT_BYTES));
        }
        assert!(results.with(|cache| cache.by_file.len() > 5));
        results.with(|cache| {
            for entry in cache.by_file.values_mut() {
                entry.requested_at -= KEPT_FOR;
            }
        });
        results.forget_idle();
        assert!(results.with(|cache| cache.by_file.is_empty() && cache.bytes == 0));
    }
}
