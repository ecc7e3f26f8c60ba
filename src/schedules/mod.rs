//! Schedules: scans that are submitted at the times of a cron pattern.
//!
//! Input: `[[schedules]]` of the settings, the files in `.schedules`, commands of the API, the wall clock. Output:
//! jobs, submitted as by `POST /scan`; the state of each schedule on the disk; documents of the API.
//!
//! Invariants: one task runs all schedules, and sleeps until the next one is due; a run is recorded, with the id of its
//! job, before the job is created, so that a crash neither loses nor doubles it; a run that was missed is made up for
//! once; what one schedule cannot do delays no other.
//!
//! From the bottom up: rules (`rules`, pure), what has been run (`record`), what is published (`document`), one
//! schedule (`entry`), the task (`task`), the handle (`handle`).

mod document;
mod entry;
mod handle;
mod record;
mod rules;
mod task;

pub use document::{Published, ScheduleDocument, ScheduleProblem, Source};
pub use handle::{ChangeError, Put, RunError, RunStarted, Schedules};
pub use record::{Cause, History, Pending, RunOutcome, Skip};
pub use task::Parts;
