//! Progress on standard error: a bar per repository on a terminal, plain lines elsewhere.

use super::output::{print_message, printable};
use crate::model::{
    RepoState,
    repository::{Figures, RepositoryStatus},
};
use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

/// The minimum interval between two plain lines of a repository whose state has not changed.
pub(super) const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// The interval at which the spinner of a bar moves.
pub(super) const TICK: Duration = Duration::from_millis(120);

/// Shows one repository's progress.
pub(super) struct Progress {
    name: String,
    bar: Option<ProgressBar>,
    last: Option<(RepoState, Instant)>,
}

impl Progress {
    /// Starts to show a repository.
    pub(super) fn new(name: &str) -> Self {
        let name = printable(name);
        let bar = stderr().is_terminal().then(|| {
            let bar = bar(&name);
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { name, bar, last: None }
    }

    /// Shows the newest state.
    pub(super) fn show(&mut self, status: &RepositoryStatus) {
        let text = describe(status);
        let Some(bar) = &self.bar else {
            let now = Instant::now();
            let is_due = self
                .last
                .is_none_or(|(state, at)| state != status.state || now - at >= PLAIN_INTERVAL);
            if is_due {
                print_message(&format!("{}: {text}", self.name));
                self.last = Some((status.state, now));
            }
            return;
        };
        advance(bar, status);
    }

    /// Removes the bar and prints the final state.
    pub(super) fn finish(self, status: Option<&RepositoryStatus>) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
            if let Some(status) = status {
                print_message(&format!("{}: {}", self.name, describe(status)));
            }
        }
    }
}

/// A bar with a length of 100 that is not drawn yet.
pub(super) fn bar(name: &str) -> ProgressBar {
    let bar = ProgressBar::new(100);
    if let Ok(style) =
        ProgressStyle::with_template("{spinner} {prefix} {bar:24} {percent:>3}% {msg}")
    {
        bar.set_style(style);
    }
    bar.set_prefix(name.to_owned());
    bar
}

/// Updates a repository's bar to its newest state.
pub(super) fn advance(bar: &ProgressBar, status: &RepositoryStatus) {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
    bar.set_position((status.fraction() * 100.0) as u64);
    bar.set_message(describe(status));
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
    format!("{}{figures}{found}", status.word())
}
