//! Shows the progress of several jobs on standard error: on a terminal one live line per running
//! repository and one per group, elsewhere plain lines.
//!
//! Input: updates of jobs. Output: live or plain lines. Invariants: untrusted text is escaped before
//! it reaches a terminal; outdated live lines are removed; failures stay visible.

use super::{
    super::output::{print_error, print_line, print_message, printable},
    format_duration,
    job_view::JobView,
    reused,
};
use crate::{
    cli::{
        progress::{self, PLAIN_INTERVAL},
        screen::{self, Line},
    },
    model::{JobId, JobState, repository::RepositoryStatus},
};
use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
    time::{Duration, Instant},
};

/// The maximum number of live lines of repositories; the line of the group counts all of them.
const MAX_LIVE: usize = 12;

/// A repository, or the job itself (`None`).
type Key = (JobId, Option<u32>);

/// The lines of all followed jobs.
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
    Plain(HashMap<Key, (String, Instant)>),
    /// The live lines, in the order of their appearance.
    Live(Vec<(Key, Line)>),
}

impl ProgressDisplay {
    /// Creates an empty display; `quiet` if the events themselves are printed.
    pub(in crate::cli) fn new(quiet: bool) -> Self {
        let form = if quiet {
            Form::Quiet
        } else if screen::is_available() {
            Form::Live(Vec::new())
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
            Form::Plain(_) if job.is_group() => {}
            Form::Plain(printed) => {
                if is_due(printed, key, status.word()) {
                    print_message(&line_of(status));
                }
            }
            Form::Live(lines) => {
                let line = progress::line(printable(&status.display_name()), status);
                let is_shown = lines.iter().any(|(known, _)| *known == key);
                let repositories = lines.iter().filter(|((_, index), _)| index.is_some()).count();
                if is_shown || repositories < MAX_LIVE {
                    set(lines, key, line);
                }
            }
        }
    }

    /// Shows the final state of a repository.
    pub(in crate::cli) fn finished(&mut self, job: &JobView, status: &RepositoryStatus) {
        self.remove_progress(job, status);
        // The live line of the group counts completed repositories.
        let is_counted = job.is_group() && !status.state.is_failure();
        if status.state.is_failure() {
            if !matches!(self.form, Form::Quiet) {
                print_line(&line_of(status));
            }
        } else if !(is_counted && matches!(self.form, Form::Live(_))) {
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
            Form::Live(lines) => {
                lines.retain(|(known, _)| *known != key);
                show(lines);
            }
        }
    }

    /// Updates the counts of a job.
    pub(in crate::cli) fn counts(&mut self, job: &JobView) {
        if !job.is_group() {
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
            Form::Live(lines) => {
                let summary = &job.summary;
                let total = summary.total_repositories.max(1);
                #[expect(clippy::cast_precision_loss, reason = "a fraction of a bar")]
                let fraction = (summary.completed + summary.failed) as f64 / total as f64;
                set(lines, key, Line { name: printable(&job.title), fraction, text });
            }
        }
    }

    /// Removes the live lines of a job and prints its final state, with the numbers of skipped
    /// repositories in words.
    pub(in crate::cli) fn job_finished(&mut self, job: &JobView, state: JobState, skipped: &str) {
        if let Form::Live(lines) = &mut self.form {
            lines.retain(|((id, _), _)| *id != job.id);
            show(lines);
        }
        let elapsed = job
            .elapsed_seconds
            .map(|secs| format!(" in {}", format_duration(Duration::from_secs(secs))));
        let summary = &job.summary;
        let mut counts = String::new();
        if job.is_group() && summary.total_repositories > 0 {
            // Writing to a `String` cannot fail.
            let _ = write!(
                counts,
                ", {} of {} repositories completed{}, {} failed",
                summary.completed,
                summary.total_repositories,
                reused(summary.reused),
                summary.failed
            );
        }
        if !skipped.is_empty() {
            let _ = write!(counts, ", {skipped}");
            counts.push_str(if elapsed.is_some() { "," } else { "" });
        }
        if job.discovery_errors > 0 {
            let _ = write!(counts, ", {} errors while listing", job.discovery_errors);
        }
        let title = printable(&job.title);
        // Of a single repository, the state is the report.
        if let Some(report) = job.report.as_ref().filter(|_| job.is_group()) {
            self.print_unless_quiet(&format!("{title}: {}", printable(report)));
        }
        self.print_unless_quiet(&format!(
            "{title}: {state}{counts}{}",
            elapsed.unwrap_or_default()
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
            print_message(&format!("{cause}; the job continues; reconnecting"));
        }
    }

    /// Reports that one of the streams is connected again.
    pub(in crate::cli) fn reconnected(&mut self) {
        self.interrupted = self.interrupted.saturating_sub(1);
        if self.interrupted == 0 {
            print_message("reconnected to the server");
        }
    }

    /// Prints an error; the same error of several jobs is printed once.
    pub(in crate::cli) fn error(&mut self, text: String) {
        if !self.reported_errors.contains(&text) {
            print_error(&text);
            self.reported_errors.insert(text);
        }
    }

    fn print_unless_quiet(&self, text: &str) {
        if !matches!(self.form, Form::Quiet) {
            print_message(text);
        }
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        screen::clear();
    }
}

/// Shows a line, new or in place of its last version.
fn set(lines: &mut Vec<(Key, Line)>, key: Key, line: Line) {
    match lines.iter_mut().find(|(known, _)| *known == key) {
        Some((_, shown)) => *shown = line,
        None => lines.push((key, line)),
    }
    show(lines);
}

/// Repositories first: the lines of groups stay at the bottom.
fn show(lines: &[(Key, Line)]) {
    let (repositories, jobs): (Vec<_>, Vec<_>) =
        lines.iter().partition(|((_, index), _)| index.is_some());
    screen::show(repositories.into_iter().chain(jobs).map(|(_, line)| line.clone()).collect());
}

fn line_of(status: &RepositoryStatus) -> String {
    format!("{}: {}", printable(&status.display_name()), progress::describe(status))
}

fn counts_of(job: &JobView) -> String {
    let summary = &job.summary;
    let mut text = match job.discovered {
        Some(found) if found > 0 => format!("discovering, {found} found"),
        _ if summary.total_repositories == 0 => return "listing repositories".to_owned(),
        _ => String::new(),
    };
    if !text.is_empty() {
        text.push_str("; ");
    }
    // Writing to a `String` cannot fail.
    let _ = write!(
        text,
        "{} of {} repositories finished",
        summary.completed + summary.failed,
        summary.total_repositories
    );
    if summary.reused > 0 {
        // Writing to a `String` cannot fail.
        let _ = write!(text, ", {} reused", summary.reused);
    }
    if summary.failed > 0 {
        let _ = write!(text, ", {} failed", summary.failed);
    }
    if job.paused {
        text.push_str(", paused");
    }
    if let Some(eta) = job.eta_seconds {
        let _ = write!(text, ", about {} left", format_duration(Duration::from_secs(eta)));
    }
    text
}

/// Whether to print a line: at once if the state has changed, otherwise at intervals.
fn is_due(printed: &mut HashMap<Key, (String, Instant)>, key: Key, state: &str) -> bool {
    let now = Instant::now();
    let due = printed
        .get(&key)
        .is_none_or(|(last, at)| last != state || now.duration_since(*at) >= PLAIN_INTERVAL);
    if due {
        printed.insert(key, (state.to_owned(), now));
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Fails if the line of a group does not say that its list goes on, and how much was found.
    #[test]
    fn the_line_of_a_group_counts_what_was_found() {
        let mut job = JobView::new(&"a".parse().unwrap());
        let mut event = json!({
            "status": "initializing", "discovering": true, "totals": {"found": 0},
            "summary": {"total_repositories": 0, "completed": 0, "in_progress": 0, "pending": 0, "failed": 0},
        });
        job.apply("job", &event);
        assert_eq!(counts_of(&job), "listing repositories");
        event["totals"]["found"] = json!(312);
        event["summary"]["total_repositories"] = json!(300);
        event["summary"]["completed"] = json!(40);
        job.apply("job", &event);
        assert_eq!(counts_of(&job), "discovering, 312 found; 40 of 300 repositories finished");
        event["discovering"] = json!(false);
        event["eta_seconds"] = json!(60);
        job.apply("job", &event);
        assert!(counts_of(&job).starts_with("40 of 300 repositories finished, about "));
    }
}
