//! The progress of several jobs on standard error: on a terminal a bar for each repository that is
//! being scanned and one for each group, elsewhere plain lines.
//!
//! What must stay true: nothing of others reaches a terminal unprinted as it is; bars that are no
//! longer true are gone; what failed stays to be read.

use super::{
    super::output::{complain, printable, say},
    job::JobView,
    spoken,
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

/// The most repositories that are drawn at once; the bar of the group counts them all.
const MOST_BARS: usize = 12;

/// What is drawn or printed.
#[derive(Debug)]
pub(in crate::cli) struct Board {
    form: Form,
    /// How many streams are lost; an outage of all of them is said once.
    lost: usize,
    complaints: HashSet<String>,
}

#[derive(Debug)]
enum Form {
    /// Only what goes wrong: whoever asked reads the events themselves.
    Quiet,
    /// What was last printed of a repository, or of the job, and when.
    Plain(HashMap<(JobId, Option<u32>), (String, Instant)>),
    Bars {
        screen: MultiProgress,
        bars: HashMap<(JobId, Option<u32>), ProgressBar>,
    },
}

impl Board {
    /// With nothing on it; `quiet` where the events themselves are printed.
    pub(in crate::cli) fn new(quiet: bool) -> Self {
        let form = if quiet {
            Form::Quiet
        } else if stderr().is_terminal() {
            Form::Bars { screen: MultiProgress::new(), bars: HashMap::new() }
        } else {
            Form::Plain(HashMap::new())
        };
        Self { form, lost: 0, complaints: HashSet::new() }
    }

    /// A repository is being scanned.
    pub(in crate::cli) fn working(&mut self, job: &JobView, status: &RepositoryStatus) {
        let key = (job.id.clone(), Some(status.index));
        match &mut self.form {
            Form::Quiet => {}
            // In a group, only what is over is worth a line.
            Form::Plain(_) if is_group(job) => {}
            Form::Plain(printed) => {
                if is_due(printed, key, status.word()) {
                    say(&line_of(status));
                }
            }
            Form::Bars { screen, bars } => {
                if !bars.contains_key(&key) && bars.len() < MOST_BARS {
                    let bar = progress::bar(&printable(&status.display_name()));
                    // Bars of groups stay below.
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

    /// A repository is over.
    pub(in crate::cli) fn over(&mut self, job: &JobView, status: &RepositoryStatus) {
        let key = (job.id.clone(), Some(status.index));
        match &mut self.form {
            Form::Quiet => return,
            Form::Plain(printed) => drop(printed.remove(&key)),
            Form::Bars { screen, bars } => {
                if let Some(bar) = bars.remove(&key) {
                    bar.finish_and_clear();
                    screen.remove(&bar);
                }
                // What went well is seen in the count of the group.
                if is_group(job) && !status.state.is_failure() {
                    return;
                }
            }
        }
        self.say(&line_of(status));
    }

    /// A repository is tried again, and says when and why.
    pub(in crate::cli) fn waiting(&mut self, job: &JobView, status: &RepositoryStatus) {
        let key = (job.id.clone(), Some(status.index));
        match &mut self.form {
            Form::Quiet => return,
            Form::Plain(printed) => drop(printed.remove(&key)),
            Form::Bars { screen, bars } => {
                if let Some(bar) = bars.remove(&key) {
                    bar.finish_and_clear();
                    screen.remove(&bar);
                }
            }
        }
        self.say(&line_of(status));
    }

    /// The counts of a job may have changed.
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
                    say(&format!("{}: {text}", printable(&job.title)));
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

    /// A job is over.
    pub(in crate::cli) fn ended(&mut self, job: &JobView, state: JobState) {
        if let Form::Bars { screen, bars } = &mut self.form {
            bars.retain(|(id, _), bar| {
                if *id == job.id {
                    bar.finish_and_clear();
                    screen.remove(bar);
                }
                *id != job.id
            });
        }
        let elapsed =
            job.elapsed_seconds.map(|it| format!(" in {}", spoken(Duration::from_secs(it))));
        let summary = &job.summary;
        let counts = format!(
            ", {} of {} repositories completed, {} failed",
            summary.completed, summary.total_repositories, summary.failed
        );
        self.say(&format!(
            "{}: {state}{}{}",
            printable(&job.title),
            if is_group(job) && summary.total_repositories > 0 { &counts } else { "" },
            elapsed.unwrap_or_default(),
        ));
    }

    /// Something about a job that explains its end.
    pub(in crate::cli) fn remark(&mut self, job: &JobView, text: &str) {
        self.say(&format!("{}: {}", printable(&job.title), printable(text)));
    }

    /// One of the streams is lost.
    pub(in crate::cli) fn lost(&mut self, why: &str) {
        self.lost += 1;
        if self.lost == 1 {
            self.loud(&format!("{why}; the job goes on, trying to come back to it"));
        }
    }

    /// One of the streams is there again.
    pub(in crate::cli) fn back(&mut self) {
        self.lost = self.lost.saturating_sub(1);
        if self.lost == 0 {
            self.loud("the server is back");
        }
    }

    /// Says what went wrong; of several jobs that fail alike, once.
    pub(in crate::cli) fn complain(&mut self, text: String) {
        if !self.complaints.contains(&text) {
            self.above(|| complain(&text));
            self.complaints.insert(text);
        }
    }

    /// Takes everything off a terminal that is no longer true.
    pub(in crate::cli) fn clear(&self) {
        if let Form::Bars { screen, .. } = &self.form {
            // A terminal that is gone has nothing left on it.
            let _ = screen.clear();
        }
    }

    fn say(&self, text: &str) {
        if !matches!(self.form, Form::Quiet) {
            self.loud(text);
        }
    }

    fn loud(&self, text: &str) {
        self.above(|| say(text));
    }

    /// Prints where no bar is drawn over it.
    fn above(&self, print: impl FnOnce()) {
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
        return "looking for its repositories".to_owned();
    }
    let mut text = format!(
        "{} of {} repositories over",
        summary.completed + summary.failed,
        summary.total_repositories
    );
    if summary.failed > 0 {
        // A `String` takes all that is written to it.
        let _ = write!(text, ", {} failed", summary.failed);
    }
    if let Some(eta) = job.eta_seconds {
        let _ = write!(text, ", about {} left", spoken(Duration::from_secs(eta)));
    }
    text
}

/// Whether a line is to be printed: at once when the state is another, now and then otherwise.
fn is_due(
    printed: &mut HashMap<(JobId, Option<u32>), (String, Instant)>,
    key: (JobId, Option<u32>),
    word: &str,
) -> bool {
    let now = Instant::now();
    let due = printed
        .get(&key)
        .is_none_or(|(last, at)| last != word || now.duration_since(*at) >= PLAIN_INTERVAL);
    if due {
        printed.insert(key, (word.to_owned(), now));
    }
    due
}
