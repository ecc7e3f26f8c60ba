//! The findings of a job for a document, read from its result files.
//!
//! Input: a job, and which of its repositories are meant. Output: [`Findings`]. Invariants: a few files
//! are open at a time, and what is in memory of each is a buffer and a package; a file that is
//! replaced, a job that is removed, a repository that is scanned again, and a reader that has left end the
//! reading; what a foreign scanner wrote that makes no sense counts as nothing found.

use crate::{
    live::{LiveJob, Results},
    model::{
        RepoState,
        declared::{Declared, each_required},
        repository::RepositoryStatus,
    },
    sbom::{Findings, Gone, Repository, Visit},
    store::result_file::{Part, ResultFile, Unread},
};
use std::{collections::VecDeque, fmt, sync::Arc};

/// How many files are open at a time: also of documents that were put aside.
const OPEN: usize = 3;
/// How often, in packages, is looked whether to go on.
const LOOK_EVERY: u32 = 128;

/// The findings of some repositories of a job.
pub struct FromFiles {
    results: Arc<Results>,
    scanned: Vec<u32>,
    missing: Vec<u32>,
    /// What is known of each result.
    seen: Vec<Seen>,
    /// With its position; the one that was used last is the last.
    open: VecDeque<(u32, ResultFile)>,
    look: Look,
}

#[derive(Debug, Clone, Copy)]
enum Seen {
    NotYet,
    /// There is none, or it makes no sense.
    Nothing,
    /// Its signature's number.
    File(u64),
}

/// Whether somebody still wants what is read.
pub type IsWanted = Box<dyn Fn() -> bool + Send>;

/// Whether to go on.
struct Look {
    job: Arc<LiveJob>,
    is_wanted: IsWanted,
    next: u32,
}

impl fmt::Debug for FromFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FromFiles({}, {} results)", self.look.job.id(), self.scanned.len())
    }
}

impl Look {
    fn at_times(&mut self) -> Result<(), Gone> {
        self.next = self.next.wrapping_add(1);
        if !self.next.is_multiple_of(LOOK_EVERY) {
            return Ok(());
        }
        self.now()
    }

    fn now(&self) -> Result<(), Gone> {
        if (self.is_wanted)() { Ok(()) } else { Err(Gone) }
    }
}

impl FromFiles {
    /// Those of the repositories of these numbers, and of those without a result. `is_wanted` is asked
    /// again and again while files are read.
    pub fn new(
        results: &Arc<Results>,
        job: &Arc<LiveJob>,
        [scanned, missing]: [Vec<u32>; 2],
        is_wanted: IsWanted,
    ) -> Self {
        let look = Look { job: Arc::clone(job), is_wanted, next: 0 };
        Self {
            results: Arc::clone(results),
            seen: vec![Seen::NotYet; scanned.len()],
            scanned,
            missing,
            open: VecDeque::new(),
            look,
        }
    }

    fn status(&self, at: u32) -> Result<RepositoryStatus, Gone> {
        let index = self.scanned.get(at as usize).ok_or(Gone)?;
        let status = self.look.job.repository(*index).ok_or(Gone)?;
        if status.state == RepoState::Completed { Ok(status) } else { Err(Gone) }
    }

    /// The open file of a result, the last of those that are open; false where there is nothing in it.
    fn open(&mut self, at: u32) -> Result<bool, Gone> {
        if let Some(found) = self.open.iter().position(|(number, _)| *number == at) {
            if found + 1 < self.open.len() {
                let file = self.open.remove(found).ok_or(Gone)?;
                self.open.push_back(file);
            }
            return Ok(true);
        }
        self.look.now()?;
        let seen = self.seen.get_mut(at as usize).ok_or(Gone)?;
        if let Seen::Nothing = seen {
            return Ok(false);
        }
        let index = self.scanned.get(at as usize).ok_or(Gone)?;
        let file = self.results.open(self.look.job.id(), *index).map_err(|_| Gone)?;
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

    /// Reads one package, whose text has made sense before.
    fn with_package<T>(
        &mut self,
        at: u32,
        place: u64,
        read: impl FnOnce(&[u8]) -> serde_json::Result<T>,
    ) -> Result<T, Gone> {
        self.look.at_times()?;
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

    fn missing(&self) -> u32 {
        u32::try_from(self.missing.len()).unwrap_or(u32::MAX)
    }

    fn repository(&mut self, at: u32) -> Result<Repository, Gone> {
        let status = self.status(at)?;
        let mut commit = None;
        if self.open(at)? {
            let (_, file) = self.open.back_mut().ok_or(Gone)?;
            let read = file.read(&["commit"], &mut |part| {
                if let Part::Member(_, text) = part {
                    commit = serde_json::from_slice(text).map_err(|_| Unread::Invalid)?;
                    return Err(Unread::Stopped);
                }
                self.look.at_times().map_err(|Gone| Unread::Stopped)
            });
            self.look.now()?;
            if let Err(Unread::Io(_)) = read {
                return Err(Gone);
            }
        }
        let (index, name) = (status.index, status.display_name());
        Ok(Repository { index, name, git_url: status.git_url.unwrap_or_default(), commit })
    }

    fn name(&mut self, at: u32) -> Result<String, Gone> {
        Ok(self.status(at)?.display_name())
    }

    fn unscanned(&mut self, at: u32) -> Result<RepositoryStatus, Gone> {
        let index = self.missing.get(at as usize).ok_or(Gone)?;
        self.look.job.repository(*index).ok_or(Gone)
    }

    fn packages(&mut self, at: u32, visit: Visit<'_>) -> Result<bool, Gone> {
        if !self.open(at)? {
            return Ok(false);
        }
        let (_, file) = self.open.back_mut().ok_or(Gone)?;
        let look = &mut self.look;
        let read = file.read(&[], &mut |part| {
            let Part::Package(place, text) = part else { return Ok(()) };
            look.at_times().map_err(|Gone| Unread::Stopped)?;
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
