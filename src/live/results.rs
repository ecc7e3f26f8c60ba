//! Result files in short, and open ones to be read package by package.
//!
//! Input: the ids of jobs and the numbers of their repositories. Output: what a result file says in short, read
//! when somebody first asks and kept until the file is another; or the file itself, open.
//!
//! Invariants: packages are never kept; the short forms that are kept have at most [`KEPT_BYTES`] together, and
//! go when nobody has asked for a minute; what a foreign scanner wrote that makes no sense counts as
//! nothing found.

use crate::{
    model::{JobId, declared::Declared},
    store::{
        layout::JobsDir,
        read::{Signature, is_resource_exhaustion},
        result_file::{Part, ResultFile, Unread},
    },
};
use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How many bytes of short forms are kept, about.
const KEPT_BYTES: usize = 4 << 20;
/// How long a short form is kept that nobody asks for.
const KEPT_FOR: Duration = Duration::from_mins(1);
/// How often, in packages, is looked whether the answer is still wanted.
const LOOK_EVERY: u64 = 256;

/// One result file in short.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ResultSummary {
    /// How many packages it has, whatever they are.
    pub packages_total: u64,
    pub categories: BTreeMap<String, bool>,
    pub infrastructure_usage: BTreeMap<String, bool>,
    /// Whether all of them make sense; else none of them counts.
    pub is_sound: bool,
}

/// The short forms that have been asked for, and the way to the files.
#[derive(Debug)]
pub struct Results {
    jobs: JobsDir,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_file: HashMap<(JobId, u32), Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    signature: Signature,
    summary: Arc<ResultSummary>,
    bytes: usize,
    asked: Instant,
}

/// The answer is not wanted any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not wanted any more")]
pub struct Unwanted;

impl Results {
    /// None yet.
    pub fn new(jobs: JobsDir) -> Self {
        Self { jobs, known: Mutex::default() }
    }

    /// Opens the result of a repository; none where there is none. Blocks.
    ///
    /// # Errors
    /// Where that cannot be told now.
    pub fn open(&self, id: &JobId, index: u32) -> io::Result<Option<ResultFile>> {
        match ResultFile::open(&self.jobs.job(id).result(index)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_resource_exhaustion(&error) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// What one repository's result says in short; nothing found where there is no file. `is_wanted` is
    /// asked again and again while the file is read. Blocks.
    pub fn summary(
        &self,
        id: &JobId,
        index: u32,
        is_wanted: &dyn Fn() -> bool,
    ) -> Result<Arc<ResultSummary>, Unwanted> {
        let key = (id.clone(), index);
        let signature = Signature::at(&self.jobs.job(id).result(index));
        if let Some(known) = self.with(|it| it.get(&key, signature)) {
            return Ok(known);
        }
        let Ok(Some(mut file)) = self.open(id, index) else { return Ok(Arc::default()) };
        let summary = Arc::new(summarise(&mut file, is_wanted)?);
        self.with(|it| it.insert(key, file.signature(), &summary));
        Ok(summary)
    }

    /// Forgets what nobody has asked for of late.
    pub fn forget_idle(&self) {
        self.with(|known| known.leave(|it| it.asked.elapsed() < KEPT_FOR));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Known {
    fn get(
        &mut self,
        key: &(JobId, u32),
        signature: Option<Signature>,
    ) -> Option<Arc<ResultSummary>> {
        let entry = self.by_file.get_mut(key).filter(|it| Some(it.signature) == signature)?;
        entry.asked = Instant::now();
        Some(Arc::clone(&entry.summary))
    }

    fn insert(&mut self, key: (JobId, u32), signature: Signature, summary: &Arc<ResultSummary>) {
        let names = summary.categories.keys().chain(summary.infrastructure_usage.keys());
        // With what maps and allocations add.
        let bytes = 256 + names.map(|it| it.len() + 64).sum::<usize>();
        if bytes > KEPT_BYTES {
            return;
        }
        let (summary, asked) = (Arc::clone(summary), Instant::now());
        let entry = Entry { signature, summary, bytes, asked };
        self.bytes += bytes;
        if let Some(old) = self.by_file.insert(key, entry) {
            self.bytes -= old.bytes;
        }
        if self.bytes > KEPT_BYTES {
            // The older half goes, so that this is seldom.
            let mut times: Vec<_> = self.by_file.values().map(|it| it.asked).collect();
            times.sort_unstable();
            let middle = times[times.len() / 2];
            self.leave(|it| it.asked > middle);
        }
    }

    fn leave(&mut self, is_left: impl Fn(&Entry) -> bool) {
        self.by_file.retain(|_, it| is_left(it));
        self.bytes = self.by_file.values().map(|it| it.bytes).sum();
        self.by_file.shrink_to_fit();
    }
}

fn summarise(
    file: &mut ResultFile,
    is_wanted: &dyn Fn() -> bool,
) -> Result<ResultSummary, Unwanted> {
    let mut summary = ResultSummary { is_sound: true, ..ResultSummary::default() };
    let read = file.read(&["categories", "infrastructure_usage"], &mut |part| {
        match part {
            Part::Package(_, text) => {
                if summary.packages_total.is_multiple_of(LOOK_EVERY) && !is_wanted() {
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
        Err(Unread::Invalid | Unread::Io(_)) => Ok(ResultSummary::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::atomic::{Durability, replace};
    use serde_json::json;

    fn lay(jobs: &JobsDir, id: &JobId, index: u32, text: &str) {
        let path = jobs.job(id).result(index);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        replace(&jobs.staging(), &path, text.as_bytes(), Durability::Eventual).unwrap();
    }

    #[test]
    fn what_makes_no_sense_counts_as_nothing_found() {
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
            lay(&jobs, &id, 0, text);
            let summary = results.summary(&id, 0, &|| true).unwrap();
            (summary.packages_total, summary.is_sound, summary.categories.len())
        };
        assert_eq!(of(&whole(&[&package, &package])), (2, true, 1));
        assert_eq!(of(&whole(&[&package, &json!({"name": 7})])), (2, false, 1));
        assert_eq!(of("{\"packages\": [{]}"), (0, false, 0));
        assert_eq!(of("{\"packages\": [{\"a\":x}]}"), (0, false, 0));
        assert_eq!(of("{\"categories\": 7}"), (0, false, 0));
        lay(&jobs, &id, 0, &whole(&[&package]));
        assert_eq!(results.summary(&id, 0, &|| false), Err(Unwanted));
        assert_eq!(*results.summary(&id, 1, &|| true).unwrap(), ResultSummary::default());
    }

    #[test]
    fn little_is_kept_and_it_is_found_again() {
        let root = tempfile::tempdir().unwrap();
        let jobs = JobsDir::new(&root.path().join("jobs")).unwrap();
        jobs.create(0o750).unwrap();
        let (id, results) = (JobId::generate(), Results::new(jobs.clone()));
        let names: BTreeMap<String, bool> =
            (0..2000).map(|it| (format!("a category of a long name {it}"), true)).collect();
        let text = json!({ "categories": names }).to_string();
        for index in 0..60 {
            lay(&jobs, &id, index, &text);
            let first = results.summary(&id, index, &|| true).unwrap();
            let again = results.summary(&id, index, &|| true).unwrap();
            assert!(Arc::ptr_eq(&first, &again), "read again");
            assert!(results.with(|it| it.bytes <= KEPT_BYTES));
        }
        assert!(results.with(|it| it.by_file.len() > 5));
        results.with(|known| {
            for entry in known.by_file.values_mut() {
                entry.asked -= KEPT_FOR;
            }
        });
        results.forget_idle();
        assert!(results.with(|it| it.by_file.is_empty() && it.bytes == 0));
    }
}
