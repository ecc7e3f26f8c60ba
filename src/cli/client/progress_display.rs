//! Shows the progress of several jobs on standard error: on a terminal one bar per running
//! repository and one per group, elsewhere plain lines.
//!
//! Input: updates of jobs. Output: bars or lines. Invariants: untrusted text is escaped before it
//! reaches a terminal; outdated bars are removed; failures stay visible.

use super::{
    super::output::{print_error, print_message, printable},
    format_duration,
    job_view::JobView,
};
use crate::{
    cli::progress::{self, PLAIN_INTERVAL},
    model::{JobId, JobState, repository::RepositoryStatus},
};
use indicatif::{MultiProgress, ProgressBar};
use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

/// The maximum number of bars of repositories; the bar of the group counts all of them.
const MAX_BARS: usize = 12;

/// The bars or lines of all followed jobs.
#[derive(Debug)]
pub(in crate::cli) struct ProgressDisplay {
    form: Form,
    /// The number of interrupted streams; an outage of all of them is reported once.
    interrupted: usize,
    reported_errors: HashSet<String>,
}

#[derive(Debug)]
enum Form {
    /// Prints only problems, because standard output has the events.
    Quiet,
    /// The state that was printed last, of a repository or of the job (`None`), and when.
    Plain(HashMap<(JobId, Option<u32>), (String, Instant)>),
    Bars {
        screen: MultiProgress,
        bars: HashMap<(JobId, Option<u32>), ProgressBar>,
    },
}

impl ProgressDisplay {
    /// Creates an empty display; `quiet` if the events themselves are printed.
    pub(in crate::cli) fn new(quiet: bool) -> Self {
        let form = if quiet {
            Form::Quiet
        } else if stderr().is_terminal() {
            Form::Bars { screen: MultiProgress::new(), bars: HashMap::new() }
        } else {
            Form::Plain(HashMap::new())
        };
        Self { form, interrupted: 0, reported_errors: HashSet::new() }
    }

    /// Shows a repository that is being scanned.
    pub(in crate::cli) fn working(&mut self, job: &JobView, status: &RepositoryStatus) {
        let key = (job.id.clone(), Some(status.index));
        match &mut self.form {
            Form::Quiet => {}
            // In a group, only finished repositories get a line.
            Form::Plain(_) if is_group(job) => {}
            Form::Plain(printed) => {
                if is_due(printed, key, status.word()) {
                    print_message(&line_of(status));
                }
            }
            Form::Bars { screen, bars } => {
                if !bars.contains_key(&key) && bars.len() < MAX_BARS {
                    let bar = progress::bar(&printable(&status.display_name()));
                    // Bars of groups stay at the bottom.
                    let bar = screen.insert(0, bar);
                    bar.enable_steady_tick(progress::TICK);
                    bars.insert(key.clone(), bar);
                }
                if let Some(bar) = bars.get(&key) {
                    progress::advance(bar, status);
                }
            }
        }
    }

    /// Shows the final state of a repository.
    pub(in crate::cli) fn finished(&mut self, job: &JobView, status: &RepositoryStatus) {
        self.remove_progress(job, status);
        // The bar of the group counts completed repositories.
        let is_counted = is_group(job) && !status.state.is_failure();
        if !(is_counted && matches!(self.form, Form::Bars { .. })) {
            self.print_unless_quiet(&line_of(status));
        }
    }

    /// Shows that a repository waits for its next attempt, with the time and the cause.
    pub(in crate::cli) fn waiting(&mut self, job: &JobView, status: &RepositoryStatus) {
        self.remove_progress(job, status);
        self.print_unless_quiet(&line_of(status));
    }

    /// Removes what is shown of a running scan.
    fn remove_progress(&mut self, job: &JobView, status: &RepositoryStatus) {
        let key = (job.id.clone(), Some(status.index));
        match &mut self.form {
            Form::Quiet => {}
            Form::Plain(printed) => drop(printed.remove(&key)),
            Form::Bars { screen, bars } => {
                if let Some(bar) = bars.remove(&key) {
                    bar.finish_and_clear();
                    screen.remove(&bar);
                }
            }
        }
    }

    /// Updates the counts of a job.
    pub(in crate::cli) fn counts(&mut self, job: &JobView) {
        if !is_group(job) {
            return;
        }
        let key = (job.id.clone(), None);
        let text = counts_of(job);
        match &mut self.form {
            Form::Quiet => {}
            Form::Plain(printed) => {
                if is_due(printed, key, "") {
                    print_message(&format!("{}: {text}", printable(&job.title)));
                }
            }
            Form::Bars { screen, bars } => {
                let bar = bars.entry(key).or_insert_with(|| {
                    let bar = screen.add(progress::bar(&printable(&job.title)));
                    bar.enable_steady_tick(progress::TICK);
                    bar
                });
                let summary = &job.summary;
                bar.set_length(summary.total_repositories.max(1));
                bar.set_position(summary.completed + summary.failed);
                bar.set_message(text);
            }
        }
    }

    /// Removes the bars of a job and prints its final state.
    pub(in crate::cli) fn job_finished(&mut self, job: &JobView, state: JobState) {
        if let Form::Bars { screen, bars } = &mut self.form {
            bars.retain(|(id, _), bar| {
                if *id == job.id {
                    bar.finish_and_clear();
                    screen.remove(bar);
                }
                *id != job.id
            });
        }
        let elapsed = job
            .elapsed_seconds
            .map(|secs| format!(" in {}", format_duration(Duration::from_secs(secs))));
        let summary = &job.summary;
        let counts = format!(
            ", {} of {} repositories completed, {} failed",
            summary.completed, summary.total_repositories, summary.failed
        );
        self.print_unless_quiet(&format!(
            "{}: {state}{}{}",
            printable(&job.title),
            if is_group(job) && summary.total_repositories > 0 { &counts } else { "" },
            elapsed.unwrap_or_default(),
        ));
    }

    /// Prints an explanation of a job's final state.
    pub(in crate::cli) fn remark(&mut self, job: &JobView, text: &str) {
        self.print_unless_quiet(&format!("{}: {}", printable(&job.title), printable(text)));
    }

    /// Reports that one of the streams is interrupted.
    pub(in crate::cli) fn disconnected(&mut self, cause: &str) {
        self.interrupted += 1;
        if self.interrupted == 1 {
            self.print(&format!("{cause}; the job continues; reconnecting"));
        }
    }

    /// Reports that one of the streams is connected again.
    pub(in crate::cli) fn reconnected(&mut self) {
        self.interrupted = self.interrupted.saturating_sub(1);
        if self.interrupted == 0 {
            self.print("reconnected to the server");
        }
    }

    /// Prints an error; the same error of several jobs is printed once.
    pub(in crate::cli) fn error(&mut self, text: String) {
        if !self.reported_errors.contains(&text) {
            self.above_bars(|| print_error(&text));
            self.reported_errors.insert(text);
        }
    }

    /// Removes all bars from the terminal.
    pub(in crate::cli) fn clear(&self) {
        if let Form::Bars { screen, .. } = &self.form {
            // An error means that the terminal is closed.
            let _ = screen.clear();
        }
    }

    fn print_unless_quiet(&self, text: &str) {
        if !matches!(self.form, Form::Quiet) {
            self.print(text);
        }
    }

    fn print(&self, text: &str) {
        self.above_bars(|| print_message(text));
    }

    /// Prints above the bars.
    fn above_bars(&self, print: impl FnOnce()) {
        match &self.form {
            Form::Bars { screen, .. } => screen.suspend(print),
            Form::Quiet | Form::Plain(_) => print(),
        }
    }
}

fn is_group(job: &JobView) -> bool {
    job.summary.total_repositories != 1
}

fn line_of(status: &RepositoryStatus) -> String {
    format!("{}: {}", printable(&status.display_name()), progress::describe(status))
}

fn counts_of(job: &JobView) -> String {
    let summary = &job.summary;
    if summary.total_repositories == 0 {
        return "listing repositories".to_owned();
    }
    let mut text = format!(
        "{} of {} repositories finished",
        summary.completed + summary.failed,
        summary.total_repositories
    );
    if summary.failed > 0 {
        // Writing to a `String` cannot fail.
        let _ = write!(text, ", {} failed", summary.failed);
    }
    if let Some(eta) = job.eta_seconds {
        let _ = write!(text, ", about {} left", format_duration(Duration::from_secs(eta)));
    }
    text
}

/// Whether to print a line: at once if the state has changed, otherwise at intervals.
fn is_due(
    printed: &mut HashMap<(JobId, Option<u32>), (String, Instant)>,
    key: (JobId, Option<u32>),
    state: &str,
) -> bool {
    let now = Instant::now();
    let due = printed
        .get(&key)
        .is_none_or(|(last, at)| last != state || now.duration_since(*at) >= PLAIN_INTERVAL);
    if due {
        printed.insert(key, (state.to_owned(), now));
    }
    due
}
