//! What is known now: files change, the cache follows, streams and answers read the cache.
//!
//! What flows in: the jobs folder, by notifications and by looking. What flows out: shared
//! bodies, rows, and streams of messages. Nothing is read from the disk for a request, but for
//! results and plans, once.
//!
//! What must stay true: nothing writes the cache but the one thread that reads the files
//! (`watcher`); an event is a hint, the file is the truth; with no events at all everything
//! still comes true within the resync period; a slow reader costs only itself.

mod board;
mod body;
mod cache;
mod content;
mod document;
mod elapsed;
mod follow;
mod frames;
mod job;
mod ledger;
mod listing;
mod packed;
mod pieces;
mod plans;
mod results;
mod slot;
mod state;
mod stream;
mod versions;
mod watcher;

pub use body::{Body, Sent};
pub use cache::{Live, WatchHealth};
pub use follow::{Ending, Follower, Step};
pub use frames::{EventId, Message, TextPieces};
pub use job::LiveJob;
pub use listing::Counts;
pub use pieces::{CutOff, PIECE, Reader};
pub use plans::Plans;
pub use results::{ResultSummary, Results, Unwanted};
pub use stream::{Events, events};
pub use watcher::{Nudger, WatchOptions, Watcher};
