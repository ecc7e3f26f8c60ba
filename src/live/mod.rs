//! The current state of all jobs: the watcher reads status files into a cache, and answers and
//! streams read the cache.
//!
//! Input: the files of the jobs folder, found by inotify events, polling and resyncs. Output:
//! shared bodies, rows of lists, and streams of messages. A request reads nothing from the disk,
//! except result files and plans, which are read once and cached: summaries of results, and an index of the packages of
//! a job while it is searched.
//!
//! Invariants: only the thread that reads the files (`watcher`) writes to the cache; an event is a
//! hint, the file is the truth; without any event, every change is found within a resync interval;
//! a slow reader delays nobody else.

mod archived;
mod cache;
mod elapsed;
mod estimates;
mod file_content;
mod follow;
mod job;
mod job_data;
mod job_index;
mod ledger;
mod messages;
mod packable;
mod package_index;
mod packed;
mod pieces;
mod plans;
mod progress_body;
mod progress_document;
mod results;
mod sorted_jobs;
mod stream;
mod versions;
mod watcher;

pub use archived::{ArchiveError, ArchivedJobs, ArchivedRow};
pub use cache::{Live, WatchHealth};
pub use follow::{Ending, Follower, Step};
pub use job::LiveJob;
pub use messages::{EventId, Message, TextPieces};
pub use package_index::{
    FoundRow, FoundRows, PackageIndex, PackageIndexes, PackageQuery, Unindexable, Unindexed,
};
pub use pieces::{CutOff, PIECE, PieceReader};
pub use plans::Plans;
pub use progress_body::{ProgressBody, Sent};
pub use results::{ResultSummary, Results, Unwanted};
pub use sorted_jobs::Counts;
pub use stream::{Events, events};
pub use watcher::{Nudger, WatchOptions, Watcher};
