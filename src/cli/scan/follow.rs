//! Shows the progress of a job of this process until it is over: of one repository its own, of a
//! group a bar for each that is being scanned, and one for all.

use super::super::{
    client::{Board, JobView, News},
    progress::Progress,
};
use crate::live::{LiveJob, Step};
use std::{future::pending, sync::Arc};

/// One repository.
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

/// What its forge says that it is: followed by the same messages as over HTTP.
pub(super) async fn group(title: &str, job: &Arc<LiveJob>) {
    let mut board = Board::new(false);
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
            // What this process has written itself.
            let event = message.event();
            let data = message.into_data().unwrap_or_default();
            let data = serde_json::from_slice(&data).unwrap_or_default();
            for news in view.apply(event, &data) {
                match news {
                    News::Working(status) => board.working(&view, &status),
                    News::Over(status) => board.over(&view, &status),
                    News::Waiting(status) => board.waiting(&view, &status),
                    News::Counts => board.counts(&view),
                    News::Ended(state) => {
                        if let Some(error) = job.facts().error.filter(|_| !view.has_told_failure())
                        {
                            board.remark(&view, &error);
                        }
                        board.ended(&view, state);
                    }
                }
            }
        }
    }
    board.clear();
}
