//! Progress on standard error: a line per repository that is redrawn on a terminal, plain lines
//! elsewhere.

use super::{
    output::{print_line, print_message, printable},
    screen::{self, Line},
};
use crate::model::{
    RepoState,
    repository::{Figures, RepositoryStatus},
};
use std::time::{Duration, Instant};

/// The minimum interval between two plain lines of a repository whose state has not changed.
pub(super) const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// Shows one repository's progress.
pub(super) struct Progress {
    name: String,
    is_live: bool,
    last: Option<(RepoState, Instant)>,
}

impl Progress {
    /// Starts to show a repository.
    pub(super) fn new(name: &str) -> Self {
        Self { name: printable(name), is_live: screen::is_available(), last: None }
    }

    /// Shows the newest state.
    pub(super) fn show(&mut self, status: &RepositoryStatus) {
        if self.is_live {
            screen::show(vec![line(self.name.clone(), status)]);
            return;
        }
        let now = Instant::now();
        let is_due =
            self.last.is_none_or(|(state, at)| state != status.state || now - at >= PLAIN_INTERVAL);
        if is_due {
            self.print(status);
            self.last = Some((status.state, now));
        }
    }

    /// Removes the live line and prints the final state.
    pub(super) fn finish(self, status: Option<&RepositoryStatus>) {
        screen::clear();
        if let Some(status) = status.filter(|_| self.is_live) {
            self.print(status);
        }
    }

    fn print(&self, status: &RepositoryStatus) {
        let line = format!("{}: {}", self.name, describe(status));
        if status.state.is_failure() { print_line(&line) } else { print_message(&line) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        screen::clear();
    }
}

/// The live line of a repository.
pub(super) fn line(name: String, status: &RepositoryStatus) -> Line {
    Line { name, fraction: status.fraction(), text: describe(status) }
}

/// Describes a repository's state: progress figures while it is scanned, the cause if it failed.
pub(super) fn describe(status: &RepositoryStatus) -> String {
    if let Some(error) = &status.error {
        let kind = status.failure.as_ref().map(|failure| format!(" ({})", failure.kind.as_str()));
        return format!("{}{}: {}", status.word(), kind.unwrap_or_default(), printable(error));
    }
    let progress = status.progress.as_ref();
    if status.state == RepoState::Pending
        && let Some(message) = progress.and_then(|progress| progress.message.as_deref())
    {
        return format!("{}: {}", status.word(), printable(message));
    }
    let figures = match progress.map(|progress| &progress.figures) {
        Some(Figures::Files { total, current, .. }) => format!(" {current}/{total} files"),
        Some(Figures::Download { megabytes, .. }) => format!(" {megabytes:.1} MB"),
        Some(Figures::Extraction { extracted, total, .. }) => format!(" {extracted}/{total} files"),
        Some(Figures::None {}) | None => String::new(),
    };
    let found = match (status.state, status.dependencies_found) {
        (RepoState::Completed, Some(count)) => format!(", {count} packages"),
        _ => String::new(),
    };
    let unchanged = if status.reused_from.is_some() { " (unchanged)" } else { "" };
    format!("{}{unchanged}{figures}{found}", status.word())
}
