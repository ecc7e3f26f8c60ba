//! Shows the progress of a job of this process until it is finished: one bar for a single
//! repository; for a group, one bar per running repository and one for the group.

use super::super::{
    client::{JobUpdate, JobView, ProgressDisplay},
    progress::Progress,
};
use crate::live::{LiveJob, Step};
use std::{future::pending, sync::Arc};

/// Follows a job of one repository.
pub(super) async fn repository(name: &str, job: &LiveJob) {
    let mut progress = Progress::new(name);
    let mut changes = job.changes();
    loop {
        changes.borrow_and_update();
        if let Some(status) = job.repository(0) {
            progress.show(&status);
        }
        if job.is_over() || changes.changed().await.is_err() {
            break;
        }
    }
    progress.finish(job.repository(0).as_ref());
}

/// Follows a job whose repositories the forge lists, with the same messages as over HTTP.
pub(super) async fn group(title: &str, job: &Arc<LiveJob>) {
    let mut display = ProgressDisplay::new(false);
    let mut view = JobView::new(job.id());
    view.title = title.to_owned();
    let mut follower = Arc::clone(job).follow(None, pending(), ());
    loop {
        let messages = match follower.next().await {
            Step::Send(messages) => messages,
            Step::KeepOpen => continue,
            Step::End(_) => break,
        };
        for message in messages {
            // This process has serialized the message itself, so parsing cannot fail.
            let event = message.event();
            let data = message.into_data().unwrap_or_default();
            let data = serde_json::from_slice(&data).unwrap_or_default();
            for update in view.apply(event, &data) {
                match update {
                    JobUpdate::Working(status) => display.working(&view, &status),
                    JobUpdate::Finished(status) => display.finished(&view, &status),
                    JobUpdate::Waiting(status) => display.waiting(&view, &status),
                    JobUpdate::Counts => display.counts(&view),
                    JobUpdate::JobFinished(state) => {
                        if let Some(error) =
                            job.facts().error.filter(|_| !view.has_reported_failure())
                        {
                            display.remark(&view, &error);
                        }
                        display.job_finished(&view, state, "");
                    }
                }
            }
        }
    }
}
