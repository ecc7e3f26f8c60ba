//! The packages of one repository, read while an answer is sent.
//!
//! Input: a job, and the index of a completed repository. Output: the texts of its packages, one after the other.
//!
//! Invariants: a result with one invalid package has none; one package is in memory at a time.

use super::produced_body::Cancellation;
use crate::{
    api::answers::stream_body::Aborted,
    live::{LiveJob, Results},
    store::result_file::{ResultFile, Unread},
};

/// An open result, and the position in it.
pub(super) struct PackageFile {
    /// The name of the repository.
    name: String,
    file: ResultFile,
    /// The offset of the next package.
    next: u64,
}

/// Visits the text of a package, given the name of its repository; returns whether there is room for it. If not, it is
/// the next one.
pub(super) type Visit<'v> = &'v mut dyn FnMut(&str, &[u8]) -> Result<bool, Unread>;

impl PackageFile {
    /// Opens the result of a repository; `None` where it has no packages.
    pub(super) fn open(
        results: &Results,
        job: &LiveJob,
        index: u32,
        cancellation: &Cancellation,
    ) -> Result<Option<Self>, Aborted> {
        let id = job.id();
        let status = job.repository(index).ok_or(Aborted)?;
        let is_wanted = || !cancellation.is_cancelled();
        let summary = results.summary(id, index, &is_wanted).map_err(|_| Aborted)?;
        if !summary.is_sound {
            return Ok(None);
        }
        let file = results.open(id, index).map_err(|_| Aborted)?;
        let Some(mut file) = file else { return Ok(None) };
        let first = file.first().map_err(|_| Aborted)?;
        Ok(first.map(|next| Self { name: status.display_name(), file, next }))
    }

    /// Visits the packages from the position on; returns whether the last one was visited.
    pub(super) fn read(&mut self, visit: Visit<'_>) -> Result<bool, Aborted> {
        let Self { name, file, next } = self;
        let read = file.read_on(*next, &mut |place, text| {
            if visit(name, text)? {
                return Ok(());
            }
            *next = place;
            Err(Unread::Stopped)
        });
        match read {
            Ok(()) => Ok(true),
            Err(Unread::Stopped) => Ok(false),
            Err(_) => Err(Aborted),
        }
    }
}
