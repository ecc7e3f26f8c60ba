//! What the result files say in short: read when somebody first asks, kept until the file is
//! another. The packages themselves stay on the disk.

use super::Live;
use crate::{
    model::{
        JobId,
        repository::RepositoryStatus,
        scan_result::{Package, ScanResult},
    },
    store::{
        layout::JobsDir,
        read::{self, Signature},
    },
};
use dashmap::DashMap;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use std::{
    collections::BTreeMap,
    fmt,
    io::BufReader,
    sync::{Arc, Mutex, PoisonError},
};

/// One result file in short.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
pub struct ResultSummary {
    #[serde(default, rename = "packages", deserialize_with = "count")]
    pub packages_total: u64,
    #[serde(default)]
    pub categories: BTreeMap<String, bool>,
    #[serde(default)]
    pub infrastructure_usage: BTreeMap<String, bool>,
}

/// The short forms that have been asked for.
#[derive(Debug)]
pub struct Results {
    jobs: JobsDir,
    known: DashMap<(JobId, u32), (Signature, Arc<ResultSummary>)>,
    /// Held while all packages of a file are in memory: that may be much, so one file at a time.
    reading: Mutex<()>,
}

impl Results {
    /// None yet.
    pub fn new(jobs: JobsDir) -> Self {
        Self { jobs, known: DashMap::new(), reading: Mutex::default() }
    }

    /// What one repository's result says in short; nothing found where there is no file. Blocks.
    pub fn summary(&self, id: &JobId, index: u32) -> Arc<ResultSummary> {
        let path = self.jobs.job(id).result(index);
        let key = (id.clone(), index);
        let Some(signature) = Signature::at(&path) else {
            self.known.remove(&key);
            return Arc::default();
        };
        if let Some(known) = self.known.get(&key)
            && known.0 == signature
        {
            return Arc::clone(&known.1);
        }
        let summary = match read::open(&path).map(BufReader::new).map(serde_json::from_reader) {
            Ok(Ok(summary)) => Arc::new(summary),
            // Foreign scanners may write anything; the shim has said so if it is no JSON.
            Ok(Err(_)) | Err(_) => Arc::default(),
        };
        self.known.insert(key, (signature, Arc::clone(&summary)));
        summary
    }

    /// All packages of one repository. Blocks.
    pub fn packages(&self, id: &JobId, index: u32) -> Vec<Package> {
        #[derive(Deserialize)]
        struct Packages {
            #[serde(default)]
            packages: Vec<Package>,
        }
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let file = read::open(&self.jobs.job(id).result(index));
        let read = file.ok().and_then(|it| serde_json::from_reader(BufReader::new(it)).ok());
        read.map_or_else(Vec::new, |it: Packages| it.packages)
    }

    /// Works with the whole results of repositories of a job; none if their files are larger than
    /// `most` together. Blocks.
    ///
    /// What a foreign scanner wrote that makes no sense counts as nothing found.
    pub fn with_all<T>(
        &self,
        id: &JobId,
        repositories: &[RepositoryStatus],
        most: u64,
        work: impl FnOnce(&[ScanResult]) -> T,
    ) -> Option<T> {
        #[derive(Default, Deserialize)]
        struct Whole {
            #[serde(default)]
            commit: Option<String>,
            #[serde(default)]
            packages: Vec<Package>,
        }
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left = most;
        let mut results = Vec::new();
        for status in repositories {
            let file = read::open(&self.jobs.job(id).result(status.index)).ok();
            let size = file.as_ref().and_then(|it| it.metadata().ok()).map_or(0, |it| it.len());
            left = left.checked_sub(size)?;
            let read = file.and_then(|it| serde_json::from_reader(BufReader::new(it)).ok());
            let Whole { commit, packages } = read.unwrap_or_default();
            results.push(ScanResult {
                repo_index: status.index,
                repo_name: status.display_name(),
                git_url: status.git_url.clone().unwrap_or_default(),
                commit,
                packages,
                ..ScanResult::default()
            });
        }
        Some(work(&results))
    }

    /// Forgets the jobs that are no more, whoever removed them.
    pub fn forget_all_but(&self, live: &Live) {
        self.known.retain(|(job, _), _| live.get(job).is_some());
    }
}

/// Counts a list without keeping it.
fn count<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    struct Count;
    impl<'de> Visitor<'de> for Count {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of packages")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<u64, A::Error> {
            let mut count = 0;
            while items.next_element::<IgnoredAny>()?.is_some() {
                count += 1;
            }
            Ok(count)
        }
    }
    from.deserialize_seq(Count)
}
