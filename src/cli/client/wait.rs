//! Waiting for jobs: what `watch` and `submit --wait` do.
//!
//! What flows in: jobs of one server. What flows out: progress for people or events for machines,
//! and an exit code. What must stay true: nothing that happens here ends a job; a server that is
//! restarted ends no waiting; a job that fails costs only itself.

use super::{
    super::{Exit, output, signals::Signals},
    board::Board,
    error::ClientError,
    http::Client,
    job::{JobView, News},
    stream::{JobEvents, Step},
};
use crate::model::{JobId, JobState};
use clap::Args;
use futures_util::{StreamExt, stream::FuturesUnordered};
use serde_json::{Value, json};
use std::{cell::RefCell, time::Duration};

/// How jobs are waited for.
#[derive(Debug, Args)]
pub(in crate::cli) struct WaitArgs {
    /// How long a server may be away before the waiting ends: `90s`, `10m`, `1h`.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = parse_time)]
    reconnect_timeout: Duration,
}

/// What one wait is about.
#[derive(Debug)]
pub(in crate::cli) struct Wait<'a> {
    pub(in crate::cli) client: &'a Client,
    pub(in crate::cli) jobs: &'a [JobId],
    /// The server has just accepted the jobs: one that it does not know is gone.
    pub(in crate::cli) accepted: bool,
    pub(in crate::cli) args: &'a WaitArgs,
    pub(in crate::cli) json: bool,
}

impl Wait<'_> {
    /// Waits until every job is over. The exit code is that of the job that went worst.
    pub(in crate::cli) async fn run(&self) -> Result<Exit, ClientError> {
        let mut signals = Signals::listen().map_err(|error| {
            ClientError::Settings(format!("cannot listen for signals: {error}"))
        })?;
        let board = RefCell::new(Board::new(self.json));
        let work = async {
            let mut jobs: FuturesUnordered<_> =
                self.jobs.iter().map(|job| self.follow(job, &board)).collect();
            let mut exit = Exit::Done;
            while let Some(ended) = jobs.next().await {
                exit = exit.max(match ended {
                    Ok(JobState::Completed) => Exit::Done,
                    Ok(_) => Exit::Failed,
                    // Nobody reads on: there is nothing left to do.
                    Err(error) if error.is_closed_pipe() => return Exit::Done,
                    Err(error) => {
                        board.borrow_mut().complain(error.spoken());
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
        board.borrow().clear();
        if exit == Exit::Interrupted {
            let ids: Vec<_> = self.jobs.iter().map(JobId::as_str).collect();
            let ids = ids.join(" ");
            output::say(&format!(
                "interrupted; the scan goes on without this command\n\
                 \x20 follow it  scanwatch watch {ids}\n\
                 \x20 end it     scanwatch cancel {ids}"
            ));
        }
        Ok(exit)
    }

    async fn follow(&self, id: &JobId, board: &RefCell<Board>) -> Result<JobState, ClientError> {
        let patience = self.args.reconnect_timeout;
        let mut events = JobEvents::new(self.client, id, self.accepted, patience);
        let mut job = JobView::new(id);
        loop {
            let message = match events.next().await? {
                Step::Message(message) => message,
                Step::Lost(why) => {
                    board.borrow_mut().lost(&why);
                    continue;
                }
                Step::Back => {
                    board.borrow_mut().back();
                    continue;
                }
                Step::Over => {
                    let state =
                        self.document(id).await?["status"].as_str().map(JobState::parse_final);
                    return Ok(state.flatten().unwrap_or(JobState::Failed));
                }
            };
            let data: Value = serde_json::from_str(&message.data)
                .map_err(|_| self.client.foreign("an event is no JSON"))?;
            if self.json {
                let line = json!({ "event": message.event, "id": message.id, "data": data });
                output::write(format!("{line}\n").as_bytes())?;
            }
            for news in job.apply(&message.event, &data) {
                match news {
                    News::Working(status) => board.borrow_mut().working(&job, &status),
                    News::Over(status) => board.borrow_mut().over(&job, &status),
                    News::Waiting(status) => board.borrow_mut().waiting(&job, &status),
                    News::Counts => board.borrow_mut().counts(&job),
                    News::Ended(state) => {
                        self.explain(&job, state, board).await;
                        board.borrow_mut().ended(&job, state);
                        return Ok(state);
                    }
                }
            }
        }
    }

    /// A job that failed without any of its repositories has an error of its own.
    async fn explain(&self, job: &JobView, state: JobState, board: &RefCell<Board>) {
        if state == JobState::Completed || job.has_told_failure() || self.json {
            return;
        }
        // Without it, the state still says enough to go on.
        if let Ok(document) = self.document(&job.id).await
            && let Some(error) = document["error"].as_str()
        {
            board.borrow_mut().remark(job, error);
        }
    }

    async fn document(&self, id: &JobId) -> Result<Value, ClientError> {
        Ok(self.client.get(&format!("/scan/{id}?view=summary")).await?.value)
    }
}

/// A time as people write it: a number and `s`, `m` or `h`.
fn parse_time(text: &str) -> Result<Duration, String> {
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
        return Err("want a time such as 90s, 10m or 1h".to_owned());
    }
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::parse_time;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h", 3600), ("7", 7)] {
            assert_eq!(parse_time(text).unwrap().as_secs(), seconds, "{text}");
        }
        for bad in ["", "0s", "m", "-1s", "10 m", "1d", "1.5h", "99999999999999s"] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }
}
