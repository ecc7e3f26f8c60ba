//! Storage: the layout of the jobs folder, the atomic writer, the locks, and the removal of what is
//! no longer needed.
//!
//! Input: values to write, names to look up. Output: whole files, and facts about them. Invariants:
//! a reader, a crash or a power cut sees the whole old file or the whole new one; temporary files
//! are in `.staging`, which is not watched; nothing is removed that scanwatch did not create.

pub mod admission;
pub mod agents;
pub mod archive;
pub mod atomic;
pub mod attempt;
pub mod elements;
pub mod io_error;
pub mod layout;
pub mod listing;
pub mod lock;
pub mod new_folder;
pub mod open_folder;
pub mod packed_jobs;
pub mod read;
mod removal;
pub mod reserve;
pub mod result_file;
pub mod results;
pub mod retention;
pub mod schedules;
pub mod server_lock;
pub mod space;
#[cfg(feature = "nats")]
pub mod tickets;
pub mod trash;
pub mod uploads;
pub mod webhooks;

use std::{io, path::PathBuf};

/// A failed file operation, with its path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub struct StoreError {
    pub action: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

impl StoreError {
    /// For `map_err`: adds the action and the path.
    pub fn at(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self { action, path, source }
    }
}

/// The system's message without the path that an error may contain: for clients.
pub fn plainly(error: &io::Error) -> String {
    let by_the_system = error.raw_os_error().map(io::Error::from_raw_os_error);
    by_the_system.unwrap_or_else(|| error.kind().into()).to_string()
}

/// Formats an error and all its causes on one line: `outer: inner: root`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
