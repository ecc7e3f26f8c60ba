//! Reads the findings of a job from its result files, for documents.
//!
//! Input: a job, and the indexes of some of its repositories. Output: [`Findings`].
//!
//! Invariants: a few files are open at a time, with a buffer and a package of each in memory;
//! reading ends when a file is replaced, the job is removed, a repository is scanned again, or the
//! client has disconnected; an invalid result of a foreign scanner counts as no findings.

use crate::{
    live::{LiveJob, Results},
    model::{
        RepoState,
        declared::{Declared, each_required},
        repository::RepositoryStatus,
        scan_result::FileCounts,
    },
    sbom::{Findings, Gone, Repository, Visit},
    store::result_file::{Part, ResultFile, Unread},
};
use std::{collections::VecDeque, fmt, sync::Arc};

/// How many files a document holds open, also while it is suspended.
const OPEN: usize = 3;
/// After how many packages to check whether the reading is still wanted.
const CHECK_EVERY: u32 = 128;

/// The findings of some repositories of a job.
pub struct FromFiles {
    results: Arc<Results>,
    scanned: Vec<u32>,
    missing: Vec<u32>,
    /// What is known about each result.
    seen: Vec<Seen>,
    /// Open files with their positions; the most recently used one is the last.
    open: VecDeque<(u32, ResultFile)>,
    wanted: WantedCheck,
}

#[derive(Debug, Clone, Copy)]
enum Seen {
    NotYet,
    /// There is no result, or it is invalid.
    Nothing,
    /// The number of its signature.
    File(u64),
}

/// Whether the client still waits for the document.
pub type IsWanted = Box<dyn Fn() -> bool + Send>;

/// Checks whether the reading is still wanted.
struct WantedCheck {
    job: Arc<LiveJob>,
    is_wanted: IsWanted,
    next: u32,
}

/// What a document states about a repository as a whole.
#[derive(Debug, Default)]
struct Subject {
    commit: Option<String>,
    dirty: bool,
    files: FileCounts,
    exclude_paths: Vec<String>,
}

impl fmt::Debug for FromFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FromFiles({}, {} results)", self.wanted.job.id(), self.scanned.len())
    }
}

impl WantedCheck {
    fn at_intervals(&mut self) -> Result<(), Gone> {
        self.next = self.next.wrapping_add(1);
        if !self.next.is_multiple_of(CHECK_EVERY) {
            return Ok(());
        }
        self.now()
    }

    fn now(&self) -> Result<(), Gone> {
        if (self.is_wanted)() { Ok(()) } else { Err(Gone) }
    }
}

impl FromFiles {
    /// The findings of the repositories with these indexes, and those without a result. `is_wanted`
    /// is called repeatedly while files are read.
    pub fn new(
        results: &Arc<Results>,
        job: &Arc<LiveJob>,
        [scanned, missing]: [Vec<u32>; 2],
        is_wanted: IsWanted,
    ) -> Self {
        let wanted = WantedCheck { job: Arc::clone(job), is_wanted, next: 0 };
        Self {
            results: Arc::clone(results),
            seen: vec![Seen::NotYet; scanned.len()],
            scanned,
            missing,
            open: VecDeque::new(),
            wanted,
        }
    }

    fn status(&self, at: u32) -> Result<RepositoryStatus, Gone> {
        let index = self.scanned.get(at as usize).ok_or(Gone)?;
        let status = self.wanted.job.repository(*index).ok_or(Gone)?;
        if status.state == RepoState::Completed { Ok(status) } else { Err(Gone) }
    }

    /// Opens the file of a result and moves it to the end of `open`; false if there is no valid
    /// result.
    fn open(&mut self, at: u32) -> Result<bool, Gone> {
        if let Some(found) = self.open.iter().position(|(number, _)| *number == at) {
            if found + 1 < self.open.len() {
                let file = self.open.remove(found).ok_or(Gone)?;
                self.open.push_back(file);
            }
            return Ok(true);
        }
        self.wanted.now()?;
        let seen = self.seen.get_mut(at as usize).ok_or(Gone)?;
        if let Seen::Nothing = seen {
            return Ok(false);
        }
        let index = self.scanned.get(at as usize).ok_or(Gone)?;
        let file = self.results.open(self.wanted.job.id(), *index).map_err(|_| Gone)?;
        match (*seen, &file) {
            (Seen::File(known), Some(file)) if file.signature().number() == known => {}
            (Seen::NotYet, Some(file)) => *seen = Seen::File(file.signature().number()),
            (Seen::NotYet, None) => {
                *seen = Seen::Nothing;
                return Ok(false);
            }
            _ => return Err(Gone),
        }
        if self.open.len() == OPEN {
            self.open.pop_front();
        }
        self.open.extend(file.map(|file| (at, file)));
        Ok(true)
    }

    /// Reads one package, whose text was valid before.
    fn with_package<T>(
        &mut self,
        at: u32,
        place: u64,
        read: impl FnOnce(&[u8]) -> serde_json::Result<T>,
    ) -> Result<T, Gone> {
        self.wanted.at_intervals()?;
        if !self.open(at)? {
            return Err(Gone);
        }
        let (_, file) = self.open.back_mut().ok_or(Gone)?;
        read(file.package(place).map_err(|_| Gone)?).map_err(|_| Gone)
    }
}

impl Findings for FromFiles {
    fn scanned(&self) -> u32 {
        u32::try_from(self.scanned.len()).unwrap_or(u32::MAX)
    }

    fn is_archived(&self) -> bool {
        self.wanted.job.is_archived()
    }

    fn missing(&self) -> u32 {
        u32::try_from(self.missing.len()).unwrap_or(u32::MAX)
    }

    fn repository(&mut self, at: u32) -> Result<Repository, Gone> {
        let status = self.status(at)?;
        let mut about = Subject::default();
        if self.open(at)? {
            let (_, file) = self.open.back_mut().ok_or(Gone)?;
            let mut has_commit = false;
            let read = file.read(&["commit", "dirty", "files", "exclude_paths"], &mut |part| {
                match part {
                    Part::Member("commit", text) => {
                        about.commit = serde_json::from_slice(text).map_err(|_| Unread::Invalid)?;
                        has_commit = true;
                    }
                    // Of another scanner the other members may have another meaning.
                    Part::Member("dirty", text) => {
                        about.dirty = serde_json::from_slice(text).unwrap_or_default();
                    }
                    Part::Member("files", text) => {
                        about.files = serde_json::from_slice(text).unwrap_or_default();
                    }
                    Part::Member(_, text) => {
                        about.exclude_paths = serde_json::from_slice(text).unwrap_or_default();
                    }
                    // The built-in scanner writes the packages last.
                    Part::Package(..) if has_commit => return Err(Unread::Stopped),
                    Part::Package(..) => {}
                }
                self.wanted.at_intervals().map_err(|Gone| Unread::Stopped)
            });
            self.wanted.now()?;
            if let Err(Unread::Io(_)) = read {
                return Err(Gone);
            }
        }
        let (index, name) = (status.index, status.display_name());
        let Subject { commit, dirty, files, exclude_paths } = about;
        let (git_url, excluded) = (status.git_url.unwrap_or_default(), files.excluded);
        Ok(Repository { index, name, git_url, commit, dirty, excluded, exclude_paths })
    }

    fn name(&mut self, at: u32) -> Result<String, Gone> {
        Ok(self.status(at)?.display_name())
    }

    fn unscanned(&mut self, at: u32) -> Result<RepositoryStatus, Gone> {
        let index = self.missing.get(at as usize).ok_or(Gone)?;
        self.wanted.job.repository(*index).ok_or(Gone)
    }

    fn packages(&mut self, at: u32, visit: Visit<'_>) -> Result<bool, Gone> {
        if !self.open(at)? {
            return Ok(false);
        }
        let (_, file) = self.open.back_mut().ok_or(Gone)?;
        let wanted = &mut self.wanted;
        let read = file.read(&[], &mut |part| {
            let Part::Package(place, text) = part else { return Ok(()) };
            wanted.at_intervals().map_err(|Gone| Unread::Stopped)?;
            let package = Declared::parse(text).map_err(|_| Unread::Invalid)?;
            visit(place, &package).map_err(|Gone| Unread::Stopped)
        });
        match read {
            Ok(()) => Ok(true),
            Err(Unread::Invalid) => {
                self.open.pop_back();
                *self.seen.get_mut(at as usize).ok_or(Gone)? = Seen::Nothing;
                Ok(false)
            }
            Err(Unread::Stopped | Unread::Io(_)) => Err(Gone),
        }
    }

    fn package(
        &mut self,
        at: u32,
        place: u64,
        visit: &mut dyn FnMut(&Declared<'_>),
    ) -> Result<(), Gone> {
        self.with_package(at, place, |text| Declared::parse(text).map(|package| visit(&package)))
    }

    fn requires(&mut self, at: u32, place: u64, visit: &mut dyn FnMut(&str)) -> Result<(), Gone> {
        self.with_package(at, place, |text| each_required(text, visit))
    }
}
