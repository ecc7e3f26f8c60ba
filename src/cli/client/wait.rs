//! Waits for jobs, for `watch` and `submit --wait`.
//!
//! Input: jobs of one server. Output: progress as text, or events as JSON, and an exit code.
//! Invariants: nothing here ends a job; a restart of the server does not end the waiting; a failed
//! job does not affect the others.

use super::{
    super::{Exit, output, signals::Signals},
    error::ClientError,
    event_stream::{EventStream, StreamUpdate},
    http::Client,
    job_view::{JobUpdate, JobView},
    progress_display::ProgressDisplay,
    skipped,
};
use crate::model::{JobId, JobState};
use clap::Args;
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::{Value, json};
use std::{cell::RefCell, time::Duration};

/// Arguments of commands that wait for jobs.
#[derive(Debug, Args)]
pub(in crate::cli) struct WaitArgs {
    /// How long the server may be unreachable before the command gives up: `90s`, `10m`, `1h`.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    reconnect_timeout: Duration,
}

/// The jobs to wait for, and how.
#[derive(Debug)]
pub(in crate::cli) struct Wait<'a> {
    pub(in crate::cli) client: &'a Client,
    pub(in crate::cli) jobs: &'a [JobId],
    /// The server has just accepted the jobs, so a job that it does not know was removed.
    pub(in crate::cli) accepted: bool,
    pub(in crate::cli) args: &'a WaitArgs,
    pub(in crate::cli) json: bool,
}

impl Wait<'_> {
    /// Waits until every job is finished, or until a signal. The exit code is the highest of all
    /// jobs.
    pub(in crate::cli) async fn run(&self, signals: &mut Signals) -> Result<Exit, ClientError> {
        let display = RefCell::new(ProgressDisplay::new(self.json));
        let work = async {
            let mut jobs: FuturesUnordered<_> =
                self.jobs.iter().map(|job| self.follow(job, &display)).collect();
            let mut exit = Exit::Done;
            while let Some(ended) = jobs.next().await {
                exit = exit.max(match ended {
                    Ok(exit) => exit,
                    // The reader of the output has closed the pipe: nothing is left to do.
                    Err(error) if error.is_closed_pipe() => return Exit::Done,
                    Err(error) => {
                        display.borrow_mut().error(error.message_with_hint());
                        error.exit()
                    }
                });
            }
            exit
        };
        let exit = tokio::select! {
            exit = work => exit,
            () = signals.next() => Exit::Interrupted,
        };
        drop(display);
        if exit == Exit::Interrupted {
            print_interrupted(self.jobs);
        }
        Ok(exit)
    }

    async fn follow(
        &self,
        id: &JobId,
        display: &RefCell<ProgressDisplay>,
    ) -> Result<Exit, ClientError> {
        let timeout = self.args.reconnect_timeout;
        let mut events = EventStream::new(self.client, Some(id), self.accepted, timeout);
        let mut job = JobView::new(id);
        loop {
            let message = match events.next().await? {
                StreamUpdate::Message(message) => message,
                StreamUpdate::Disconnected(cause) => {
                    display.borrow_mut().disconnected(&cause);
                    continue;
                }
                StreamUpdate::Reconnected => {
                    display.borrow_mut().reconnected();
                    continue;
                }
                StreamUpdate::Finished => {
                    let document = self.document(id).await?;
                    let state = document["status"].as_str().map(JobState::parse_final);
                    let completed = document["summary"]["completed"].as_u64().unwrap_or(0);
                    return Ok(exit_of(state.flatten(), completed));
                }
            };
            let data: Value = serde_json::from_str(&message.data)
                .map_err(|_| self.client.unexpected("an event is not JSON"))?;
            if self.json {
                let line = json!({ "event": message.event, "id": message.id, "data": data });
                output::write(format!("{line}\n").as_bytes())?;
            }
            for update in job.apply(&message.event, &data) {
                match update {
                    JobUpdate::Working(status) => display.borrow_mut().working(&job, &status),
                    JobUpdate::Finished(status) => display.borrow_mut().finished(&job, &status),
                    JobUpdate::Waiting(status) => display.borrow_mut().waiting(&job, &status),
                    JobUpdate::Counts => display.borrow_mut().counts(&job),
                    JobUpdate::JobFinished(state) => {
                        self.explain(&job, state, display).await;
                        let skipped = self.skipped(&job).await;
                        let shown = skipped.as_deref().unwrap_or_default();
                        display.borrow_mut().job_finished(&job, state, shown);
                        if state == JobState::Completed && job.summary.completed == 0 {
                            display.borrow_mut().error(nothing_scanned(&job, skipped.as_deref()));
                        }
                        return Ok(exit_of(Some(state), job.summary.completed));
                    }
                }
            }
        }
    }

    /// Prints the error of a job that failed although none of its repositories did.
    async fn explain(&self, job: &JobView, state: JobState, display: &RefCell<ProgressDisplay>) {
        if state == JobState::Completed || job.has_reported_failure() || self.json {
            return;
        }
        // If this request fails, the printed state has to suffice.
        if let Ok(document) = self.document(&job.id).await
            && let Some(error) = document["error"].as_str()
        {
            display.borrow_mut().remark(job, error);
        }
    }

    /// How many repositories of a group are skipped, in words; `None` if the server does not say.
    async fn skipped(&self, job: &JobView) -> Option<String> {
        if !job.is_group() || self.json {
            return None;
        }
        skipped::count(self.client, &job.id).await.ok()
    }

    async fn document(&self, id: &JobId) -> Result<Value, ClientError> {
        Ok(self.client.get(&format!("/scan/{id}?view=summary")).await?.value)
    }
}

/// Why a job without failures has no results.
fn nothing_scanned(job: &JobView, skipped: Option<&str>) -> String {
    let (title, id) = (output::printable(&job.title), &job.id);
    match skipped {
        Some("") => format!("{title}: no repository was scanned: the group has none"),
        _ => format!(
            "{title}: no repository was scanned; for the reasons: scanwatch status {id} --skipped"
        ),
    }
}

/// The exit code for a finished job: a job that scanned nothing is no success.
fn exit_of(state: Option<JobState>, completed: u64) -> Exit {
    if state == Some(JobState::Completed) && completed > 0 { Exit::Done } else { Exit::Failed }
}

/// Prints how to continue after an interrupt.
pub(in crate::cli) fn print_interrupted(jobs: &[JobId]) {
    let ids: Vec<_> = jobs.iter().map(JobId::as_str).collect();
    let ids = ids.join(" ");
    output::print_message(&format!(
        "interrupted; the scan continues on the server\n\
         \x20 to follow it: scanwatch watch {ids}\n\
         \x20 to cancel it: scanwatch cancel {ids}"
    ));
}

/// Parses a duration: a number and `s`, `m` or `h`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
        Some((end, _)) => text.split_at(end),
        None => (text, "s"),
    };
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => 0,
    };
    let number: u32 = number.parse().unwrap_or(0);
    if seconds == 0 || number == 0 {
        return Err("expected a duration such as 90s, 10m or 1h".to_owned());
    }
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::parse_duration;

    #[test]
    fn durations_are_parsed() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h", 3600), ("7", 7)] {
            assert_eq!(parse_duration(text).unwrap().as_secs(), seconds, "{text}");
        }
        for bad in ["", "0s", "m", "-1s", "10 m", "1d", "1.5h", "99999999999999s"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
