//! One job: its changes, its final state, its readers, and its packed form.

mod packing;

use super::*;
use crate::store::layout::JobsDir;
use crate::{
    live::{Ending, Step, WatchOptions, Watcher, cache::MAX_REOPENED},
    model::progress::{self, ProgressDocument, WarningRow},
};
use serde_json::json;
use std::io::Write;

fn job() -> LiveJob {
    LiveJob::new("job".parse().unwrap(), Arc::new(JobIndex::new(7)))
}

fn repository(index: u32, status: &str) -> RepositoryStatus {
    let text = json!({ "repo_name": format!("r{index}"), "status": status }).to_string();
    RepositoryStatus::parse(index, text.as_bytes()).unwrap().0
}

fn master(text: &serde_json::Value) -> Master {
    Master::parse(text.to_string().as_bytes()).unwrap().0
}

fn events(batch: MessageBatch) -> Vec<String> {
    let messages = batch.messages.into_iter();
    messages
        .map(|message| {
            let text = message.into_text().gather().unwrap();
            let text: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            format!("{} {}", word(&text["event"]), word(&text["data"]["status"]))
        })
        .collect()
}

#[test]
fn a_reader_gets_the_newest_state_of_each_changed_part_once() {
    let job = job();
    job.apply_master(master(&json!({ "total_repositories": 3 })), Vec::new());
    let cursor = job.messages_after(0).version;
    job.apply_repository(repository(0, "cloning"), Vec::new());
    job.apply_repository(repository(1, "cloning"), Vec::new());
    job.apply_repository(repository(0, "scanning"), Vec::new());
    let batch = job.messages_after(cursor);
    let version = batch.version;
    assert_eq!(events(batch), ["repository cloning", "job in_progress", "repository scanning"]);
    assert!(job.messages_after(version).messages.is_empty());
}

/// Fails if a reused repository is not counted among both, or stays counted when it is scanned
/// again or removed.
#[test]
fn reused_repositories_are_counted_among_the_completed_ones() {
    let job = job();
    job.apply_master(master(&json!({ "total_repositories": 3 })), Vec::new());
    let state = |index: u32, text: serde_json::Value| {
        job.apply_repository(
            RepositoryStatus::parse(index, text.to_string().as_bytes()).unwrap().0,
            Vec::new(),
        );
        let summary = job.facts().summary;
        (summary.completed, summary.reused)
    };
    let reused = || json!({ "status": "completed", "reused_from": "an-earlier-job" });
    assert_eq!(state(0, reused()), (1, 1));
    assert_eq!(state(1, reused()), (2, 2));
    assert_eq!(state(2, json!({ "status": "completed" })), (3, 2));
    // Only a completed repository can have a result.
    assert_eq!(state(0, json!({ "status": "failed", "reused_from": "an-earlier-job" })), (2, 1));
    assert_eq!(state(1, json!({ "status": "completed", "reused_from": "../odd" })), (2, 0));
}

#[test]
fn an_unchanged_file_creates_no_version() {
    let job = job();
    job.apply_repository(repository(0, "cloning"), Vec::new());
    let before = job.event_id();
    job.apply_repository(repository(0, "cloning"), Vec::new());
    job.apply_missing(JobFile::Repository(5));
    assert_eq!(job.event_id(), before);
}

#[test]
fn the_final_state_is_published_when_no_repository_is_unfinished_or_nothing_changes() {
    let job = job();
    job.apply_repository(repository(0, "scanning"), Vec::new());
    let cancelled = json!({ "total_repositories": 2, "status": "cancelled" });
    job.apply_master(master(&cancelled), Vec::new());
    job.finalize(false);
    assert!(!job.is_over(), "a repository is still running");
    job.apply_repository(repository(0, "cancelled"), Vec::new());
    job.finalize(false);
    assert!(!job.is_over(), "a repository has no file yet");
    job.finalize(true);
    assert!(job.is_over(), "nothing has changed for a resync interval");
    let batch = job.messages_after(0);
    assert_eq!(batch.then, Then::Nothing);
    assert_eq!(events(batch).last().unwrap(), "end cancelled");
}

#[test]
fn an_unreadable_file_keeps_its_last_content() {
    let job = job();
    job.apply_repository(repository(0, "completed"), Vec::new());
    job.apply_problem(JobFile::Repository(0), "not JSON".into());
    job.apply_problem(JobFile::Repository(1), "not JSON".into());
    let summary = job.facts().summary;
    assert_eq!((summary.completed, summary.pending, summary.total_repositories), (1, 1, 2));
    job.apply_repository(repository(1, "failed"), Vec::new());
    let summary = job.facts().summary;
    assert_eq!((summary.failed, summary.pending, summary.total_repositories), (1, 0, 2));
}

#[test]
fn an_event_id_is_parsed_again() {
    let id = EventId { epoch: 0x1f, version: 12 };
    assert_eq!(EventId::parse(&id.to_string()), Some(id));
    for bad in ["", "1", "x-1", "1-x", "1-2-3"] {
        assert_eq!(EventId::parse(bad), None, "{bad}");
    }
}

/// The body as it is sent, and the same document serialized from the model in one step.
fn both_forms(job: &LiveJob, lists: Lists) -> (String, String) {
    let sent = job.body(lists).reader().gather().unwrap();
    let mut packable = job.lock();
    let data = packable.open(&job.entry, job.job_index.versions());
    let statuses = data.repositories.values().map(|entry| &entry.status);
    let names: Vec<(String, &Vec<String>)> =
        data.warnings.iter().map(|(file, texts)| (file.name(), texts)).collect();
    let rows = names
        .iter()
        .flat_map(|(file, texts)| texts.iter().map(move |message| WarningRow { file, message }));
    let newest = statuses.clone().filter_map(|status| status.last_update).max();
    let master = data.master.as_ref();
    let document = ProgressDocument {
        head: progress::head(&data.facts, master, &statuses, lists),
        elapsed_time_seconds: 0,
        tail: progress::tail(&data.facts, (master, lists), newest, rows.collect(), data.version, 0),
    };
    (String::from_utf8(sent.to_vec()).unwrap(), serde_json::to_string(&document).unwrap())
}

/// Fails if a changed block is not made again, or if the blocks are assembled into another document
/// than the model describes.
#[test]
fn the_blocks_form_the_document_of_the_model_after_any_change() {
    let job = job();
    let words = ["cloning", "scanning", "completed", "failed", "cancelled", "pending", "odd"];
    let mut seed: u32 = 7;
    let mut dice = |sides: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % sides
    };
    for step in 0..600_u32 {
        let index = dice(700);
        match dice(12) {
            0 => job.apply_missing(JobFile::Repository(index)),
            1 => job.apply_problem(JobFile::Repository(index), format!("problem {step}")),
            2 => {
                let names: Vec<_> = (dice(300)..700).map(|number| format!("r{number}")).collect();
                let text = json!({ "total_repositories": 700, "pending_repositories": names });
                job.apply_master(master(&text), vec!["a warning".to_owned()]);
            }
            3 => job.apply_master(master(&json!({ "total_repositories": 700 })), Vec::new()),
            4 => job.apply_missing(JobFile::Master),
            _ => {
                let text = json!({
                    "repo_name": format!("r{}", index % 650),
                    "status": words[dice(7) as usize],
                    "last_update": 1_700_000_000 + step,
                    "message": format!("step {step}"),
                    "error_message": "\"quoted\"",
                });
                let text = text.to_string();
                let (status, warnings) = RepositoryStatus::parse(index, text.as_bytes()).unwrap();
                job.apply_repository(status, warnings);
            }
        }
        if step % 3 == 0 {
            for lists in [Lists::Whole, Lists::Omitted] {
                let (sent, described) = both_forms(&job, lists);
                assert_eq!(sent, described, "step {step}");
            }
        }
    }
}

/// Fails if every version of a large job takes as much memory as the first, or if a version without
/// readers is kept.
#[test]
fn versions_share_unchanged_pieces() {
    let job = job();
    let names: Vec<_> = (0..5_000).map(|number| format!("group/repository-{number}")).collect();
    let text = json!({ "total_repositories": 10_000, "pending_repositories": names });
    job.apply_master(master(&text), Vec::new());
    for index in 0..5_000 {
        job.apply_repository(repository(index, "scanning"), Vec::new());
    }
    let ledger = job.job_index.ledger();
    let first = job.body(Lists::Whole).reader();
    let mut readers = Vec::new();
    for index in 0..20 {
        job.apply_repository(repository(index, "cloning"), Vec::new());
        std::thread::sleep(Duration::from_millis(110));
        readers.push(job.body(Lists::Whole).reader());
    }
    let (whole, superseded) = (first.length(), ledger.superseded());
    assert!(whole > 500_000, "{whole}");
    assert!(superseded < whole / 2, "20 old versions keep {superseded} of {whole} bytes each");
    drop((first, readers));
    assert_eq!(ledger.superseded(), 0);
    // The cache itself does not count as a reader.
    job.apply_repository(repository(7, "completed"), Vec::new());
    assert_eq!(ledger.superseded(), 0);
    let reader = job.body(Lists::Whole).reader();
    job.remove();
    assert_eq!(reader.gather().map(|bytes| bytes.is_empty()), Ok(false));
}

#[test]
fn a_reader_of_a_removed_job_with_the_same_id_gets_a_snapshot() {
    let live = crate::live::Live::new(7);
    let id: JobId = "job".parse().unwrap();
    let first = live.insert(&id);
    first.apply_repository(repository(0, "completed"), Vec::new());
    let tag = first.event_id();
    live.remove(&id);
    let second = live.insert(&id);
    second.apply_repository(repository(0, "failed"), Vec::new());
    assert!(second.event_id().version > tag.version, "a version is used twice");
    let mut follower = second.follow(Some(tag), std::future::pending(), ());
    let Some(Step::Send(messages)) = now(follower.next()) else { panic!("nothing to send") };
    assert_eq!(messages[0].event(), "snapshot");
}

#[test]
fn a_stream_ends_at_once_when_its_job_is_removed() {
    let live = crate::live::Live::new(7);
    let id: JobId = "job".parse().unwrap();
    let job = live.insert(&id);
    let mut follower = job.follow(None, std::future::pending(), ());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        assert!(matches!(follower.next().await, Step::Send(_)));
        let waits = async { matches!(follower.next().await, Step::End(Ending::Over)) };
        let removes = async { live.remove(&id) };
        let both = async { tokio::join!(waits, removes).0 };
        // The next keep-alive would be sent after 15 seconds.
        let ended = tokio::time::timeout(Duration::from_secs(10), both).await;
        assert_eq!(ended, Ok(true));
    });
}

/// The result of a future that is ready without waiting long.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), future).await.ok() })
}

/// Fails if thousands of readers need a copy of the message each, or if one gets an outdated
/// message.
#[test]
fn readers_of_one_version_share_its_messages() {
    let job = job();
    let data = |job: &LiveJob| {
        let messages = job.messages_after(0).messages.into_iter();
        messages.map(|message| message.into_data().unwrap()).collect::<Vec<_>>()
    };
    job.apply_repository(repository(0, "scanning"), Vec::new());
    job.apply_master(master(&json!({ "total_repositories": 1 })), Vec::new());
    let (first, second) = (data(&job), data(&job));
    assert_eq!(first.len(), 2, "the job and its repository");
    // Different only if a second has just passed.
    if first == second {
        assert!(first.iter().zip(&second).all(|(a, b)| a.as_ptr() == b.as_ptr()));
    }
    job.apply_repository(repository(0, "completed"), Vec::new());
    job.apply_master(master(&json!({ "status": "completed" })), Vec::new());
    job.finalize(false);
    let text = events(job.messages_after(0));
    assert_eq!(text, ["repository completed", "job completed", "end completed"]);
    // Both are kept, so that the second one cannot be allocated at the address of the first.
    let (first, second) = (data(&job).pop().unwrap(), data(&job).pop().unwrap());
    assert_eq!(first.as_ptr(), second.as_ptr());
}

/// Fails if the size of a batch grows with the number of changes.
#[test]
fn many_changes_are_sent_in_bounded_batches_and_in_order() {
    let job = job();
    for index in 0..3_000 {
        job.apply_repository(repository(index, "scanning"), Vec::new());
    }
    let long = json!({ "status": "scanning", "message": "\n".repeat(16 << 10) }).to_string();
    let (status, _) = RepositoryStatus::parse(3_000, long.as_bytes()).unwrap();
    job.apply_repository(status, Vec::new());
    let (mut cursor, mut received) = (0, Vec::new());
    loop {
        let batch = job.messages_after(cursor);
        let (then, weight) = (batch.then, batch.messages.iter().map(Message::weight).sum());
        assert!((1..3 * PIECE).contains(&weight), "{weight} bytes at once");
        cursor = batch.version;
        received.extend(events(batch));
        if then == Then::Changes {
            break;
        }
    }
    assert_eq!(received.len(), 3_002);
    assert!(job.messages_after(cursor).messages.is_empty());
}
