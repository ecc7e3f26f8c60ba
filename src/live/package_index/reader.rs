//! Reads the results of a job into the table of its packages.
//!
//! Input: the states of the repositories, their result files. Output: rows of the table.
//!
//! Invariants: the result of an attempt is read once; a step ends in time, in the middle of a result if need be;
//! only the buffer of one file is in memory.

use super::{
    Unindexed,
    table::{Full, Table},
};
use crate::{
    live::{EventId, LiveJob, Results},
    model::{JobId, RepoState, declared::Declared, repository::RepositoryStatus, time::Timestamp},
    store::{
        io_error::is_resource_exhaustion,
        result_file::{ResultFile, Unread},
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

/// After how many packages each the time is checked.
const CHECK_EVERY: usize = 256;

/// What was read, and what is to be read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The version of the job when its repositories were compared.
    compared: Option<EventId>,
    /// The attempts whose results were read, also if they were invalid.
    read: BTreeMap<u32, Attempt>,
    waiting: BTreeSet<u32>,
    open: Option<OpenResult>,
}

/// Distinguishes the attempts at a repository.
type Attempt = (Option<u64>, Option<Timestamp>);

/// A result of which a part was read.
#[derive(Debug)]
struct OpenResult {
    repository: u32,
    file: ResultFile,
    /// The offset of the next package.
    next: u64,
    /// The number of its first row.
    from: usize,
}

impl Reader {
    /// Finds repositories that were completed, or scanned again.
    pub(super) fn refresh(&mut self, job: &LiveJob, table: &mut Table) {
        // Taken first: what changes after it is found the next time.
        let version = job.event_id();
        if self.compared == Some(version) {
            return;
        }
        let completed = job.with_repositories(|all| {
            let completed = all.filter(|status| status.state == RepoState::Completed);
            completed.map(|status| (status.index, attempt(status))).collect::<BTreeMap<_, _>>()
        });
        let is_current = |(index, read): (&u32, &Attempt)| completed.get(index) == Some(read);
        let outdated: Vec<u32> =
            self.read.iter().filter(|entry| !is_current(*entry)).map(|(index, _)| *index).collect();
        for index in outdated {
            self.read.remove(&index);
            table.remove(index);
            self.close(index, table);
        }
        for (index, attempt) in completed {
            if self.read.insert(index, attempt).is_none() {
                self.waiting.insert(index);
            }
        }
        self.compared = Some(version);
    }

    /// Has a result read again.
    pub(super) fn forget(&mut self, repository: u32) {
        if self.read.contains_key(&repository) {
            self.waiting.insert(repository);
        }
    }

    /// Reads results until all are read or `until` has passed; returns whether all are.
    pub(super) fn read(
        &mut self,
        id: &JobId,
        results: &Results,
        table: &mut Table,
        until: Instant,
        budget: usize,
    ) -> Result<bool, Unindexed> {
        loop {
            if let Some(open) = self.open.take() {
                self.open = read_on(open, table, until)?;
                if self.open.is_some() {
                    return Ok(false);
                }
            }
            if table.bytes() > budget {
                return Err(Unindexed::TooLarge);
            }
            let Some(repository) = self.waiting.first().copied() else {
                table.compact();
                return Ok(true);
            };
            if Instant::now() >= until {
                return Ok(false);
            }
            self.open = open(results, id, repository, table)?;
            self.waiting.remove(&repository);
        }
    }

    /// Stops reading the result of a repository.
    fn close(&mut self, repository: u32, table: &mut Table) {
        self.waiting.remove(&repository);
        if let Some(open) = self.open.take_if(|open| open.repository == repository) {
            table.truncate(open.from);
        }
    }
}

fn attempt(status: &RepositoryStatus) -> Attempt {
    (status.attempt, status.completed_at)
}

/// Opens a result. One without packages is finished at once; one that is no result has no rows.
fn open(
    results: &Results,
    id: &JobId,
    repository: u32,
    table: &mut Table,
) -> Result<Option<OpenResult>, Unindexed> {
    let Some(mut file) = results.open(id, repository)? else { return Ok(None) };
    let from = table.len();
    match file.first() {
        Ok(Some(next)) => Ok(Some(OpenResult { repository, file, next, from })),
        Ok(None) => {
            table.finish(repository, from, file.signature());
            Ok(None)
        }
        Err(error) => failed(error).map(|()| None),
    }
}

/// Reads a result further; returns it if it is not finished.
fn read_on(
    mut open: OpenResult,
    table: &mut Table,
    until: Instant,
) -> Result<Option<OpenResult>, Unindexed> {
    let (mut count, mut next) = (0_usize, open.next);
    let mut is_full = false;
    let read = open.file.read_on(open.next, &mut |place, text| {
        if count.is_multiple_of(CHECK_EVERY) && count > 0 && Instant::now() >= until {
            next = place;
            return Err(Unread::Stopped);
        }
        count += 1;
        let package = Declared::parse(text).map_err(|_| Unread::Invalid)?;
        let pushed =
            table.push(&package.ecosystem, &package.name, package.version.as_deref(), place);
        pushed.map_err(|Full| {
            is_full = true;
            Unread::Invalid
        })
    });
    if is_full {
        return Err(Unindexed::TooLarge);
    }
    match read.and_then(|()| open.file.check_end()) {
        Ok(()) => table.finish(open.repository, open.from, open.file.signature()),
        Err(Unread::Stopped) => {
            open.next = next;
            return Ok(Some(open));
        }
        Err(error) => {
            table.truncate(open.from);
            failed(error)?;
        }
    }
    Ok(None)
}

/// A result that is invalid has no packages; one that cannot be read now is an error.
fn failed(error: Unread) -> Result<(), Unindexed> {
    match error {
        Unread::Io(error) if is_resource_exhaustion(&error) => Err(error.into()),
        Unread::Io(_) | Unread::Invalid | Unread::Stopped => Ok(()),
    }
}
