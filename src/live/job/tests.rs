use super::*;
use crate::store::layout::JobsDir;
use crate::{
    live::{Ending, Step, WatchOptions, Watcher, cache::MOST_ROUSED},
    model::progress::{self, ProgressDocument, WarningRow},
};
use serde_json::json;
use std::io::Write;

fn job() -> LiveJob {
    LiveJob::new("job".parse().unwrap(), Arc::new(Board::new(7)))
}

fn repository(index: u32, status: &str) -> RepositoryStatus {
    let text = json!({ "repo_name": format!("r{index}"), "status": status }).to_string();
    RepositoryStatus::parse(index, text.as_bytes()).unwrap().0
}

fn master(text: &serde_json::Value) -> Master {
    Master::parse(text.to_string().as_bytes()).unwrap().0
}

fn events(frames: Frames) -> Vec<String> {
    let messages = frames.messages.into_iter();
    messages
        .map(|message| {
            let text = message.into_text().gather().unwrap();
            let text: serde_json::Value = serde_json::from_slice(&text).unwrap();
            let word = |it: &serde_json::Value| it.as_str().unwrap().to_owned();
            format!("{} {}", word(&text["event"]), word(&text["data"]["status"]))
        })
        .collect()
}

#[test]
fn a_reader_gets_the_newest_state_of_what_changed_and_nothing_twice() {
    let job = job();
    job.apply_master(master(&json!({ "total_repositories": 3 })), Vec::new());
    let cursor = job.frames_after(0).version;
    job.apply_repository(repository(0, "cloning"), Vec::new());
    job.apply_repository(repository(1, "cloning"), Vec::new());
    job.apply_repository(repository(0, "scanning"), Vec::new());
    let frames = job.frames_after(cursor);
    let version = frames.version;
    assert_eq!(events(frames), ["repository cloning", "job in_progress", "repository scanning"]);
    assert!(job.frames_after(version).messages.is_empty());
}

#[test]
fn what_is_no_news_wakes_nobody() {
    let job = job();
    job.apply_repository(repository(0, "cloning"), Vec::new());
    let before = job.event_id();
    job.apply_repository(repository(0, "cloning"), Vec::new());
    job.apply_missing(JobFile::Repository(5));
    assert_eq!(job.event_id(), before);
}

#[test]
fn the_end_comes_when_the_job_is_final_and_nothing_is_left() {
    let job = job();
    job.apply_repository(repository(0, "scanning"), Vec::new());
    let cancelled = json!({ "total_repositories": 2, "status": "cancelled" });
    job.apply_master(master(&cancelled), Vec::new());
    job.settle(false);
    assert!(!job.is_over(), "a repository still works");
    job.apply_repository(repository(0, "cancelled"), Vec::new());
    job.settle(false);
    assert!(!job.is_over(), "one has no file yet");
    job.settle(true);
    assert!(job.is_over(), "but nothing has come for a while");
    let frames = job.frames_after(0);
    assert_eq!(frames.then, Then::Nothing);
    assert_eq!(events(frames).last().unwrap(), "end cancelled");
}

#[test]
fn an_unreadable_file_keeps_what_it_last_said() {
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
fn an_event_id_reads_back() {
    let id = EventId { epoch: 0x1f, version: 12 };
    assert_eq!(EventId::parse(&id.to_string()), Some(id));
    for bad in ["", "1", "x-1", "1-x", "1-2-3"] {
        assert_eq!(EventId::parse(bad), None, "{bad}");
    }
}

/// The body as it is sent, and the same document made in one go by the rules of the model.
fn both_forms(job: &LiveJob, lists: Lists) -> (String, String) {
    let sent = job.body(lists).reader().gather().unwrap();
    let mut slot = job.lock();
    let data = slot.open(&job.card, job.board.versions());
    let statuses = data.repositories.values().map(|it| &it.status);
    let names: Vec<(String, &Vec<String>)> =
        data.warnings.iter().map(|(file, texts)| (file.name(), texts)).collect();
    let rows = names
        .iter()
        .flat_map(|(file, texts)| texts.iter().map(move |message| WarningRow { file, message }));
    let newest = statuses.clone().filter_map(|it| it.last_update).max();
    let master = data.master.as_ref();
    let document = ProgressDocument {
        head: progress::head(&data.facts, master, &statuses, lists),
        elapsed_time_seconds: 0,
        tail: progress::tail(&data.facts, master, newest, rows.collect(), data.version, 0),
    };
    (String::from_utf8(sent.to_vec()).unwrap(), serde_json::to_string(&document).unwrap())
}

/// Breaks if a block is not made anew when something of it has changed, or if the blocks are put
/// together in another way than the document is described.
#[test]
fn the_blocks_make_the_document_that_is_described_whatever_changes() {
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
                let names: Vec<_> = (dice(300)..700).map(|it| format!("r{it}")).collect();
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

/// Breaks if every version of a large job costs as much memory as the first, or if a version that
/// nobody reads any more is kept.
#[test]
fn versions_share_what_did_not_change() {
    let job = job();
    let names: Vec<_> = (0..5_000).map(|it| format!("group/repository-{it}")).collect();
    let text = json!({ "total_repositories": 10_000, "pending_repositories": names });
    job.apply_master(master(&text), Vec::new());
    for index in 0..5_000 {
        job.apply_repository(repository(index, "scanning"), Vec::new());
    }
    let ledger = job.board.ledger();
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
    // Nor does the cache count as somebody who reads.
    job.apply_repository(repository(7, "completed"), Vec::new());
    assert_eq!(ledger.superseded(), 0);
    let reader = job.body(Lists::Whole).reader();
    job.remove();
    assert_eq!(reader.gather().map(|it| it.is_empty()), Ok(false));
}

#[test]
fn a_reader_of_an_earlier_job_of_this_name_begins_anew() {
    let live = crate::live::Live::new(7);
    let id: JobId = "job".parse().unwrap();
    let first = live.insert(&id);
    first.apply_repository(repository(0, "completed"), Vec::new());
    let tag = first.event_id();
    live.remove(&id);
    let second = live.insert(&id);
    second.apply_repository(repository(0, "failed"), Vec::new());
    assert!(second.event_id().version > tag.version, "a version is given twice");
    let mut follower = second.follow(Some(tag), std::future::pending(), ());
    let Some(Step::Send(messages)) = now(follower.next()) else { panic!("nothing to send") };
    assert_eq!(messages[0].event(), "snapshot");
}

#[test]
fn a_reader_is_told_at_once_that_its_job_is_removed() {
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
        // The next comment would come after 15 seconds.
        let ended = tokio::time::timeout(Duration::from_secs(10), both).await;
        assert_eq!(ended, Ok(true));
    });
}

/// What a future is that has not to wait.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(5), future).await.ok() })
}

/// Breaks if thousands of readers cost a message each, or if one is handed what is no longer true.
#[test]
fn readers_of_one_version_share_its_messages() {
    let job = job();
    let data = |job: &LiveJob| {
        let messages = job.frames_after(0).messages.into_iter();
        messages.map(|it| it.into_data().unwrap()).collect::<Vec<_>>()
    };
    job.apply_repository(repository(0, "scanning"), Vec::new());
    job.apply_master(master(&json!({ "total_repositories": 1 })), Vec::new());
    let (first, second) = (data(&job), data(&job));
    assert_eq!(first.len(), 2, "the job and its repository");
    // Unless a second has just gone by.
    if first == second {
        assert!(first.iter().zip(&second).all(|(a, b)| a.as_ptr() == b.as_ptr()));
    }
    job.apply_repository(repository(0, "completed"), Vec::new());
    job.apply_master(master(&json!({ "status": "completed" })), Vec::new());
    job.settle(false);
    let text = events(job.frames_after(0));
    assert_eq!(text, ["repository completed", "job completed", "end completed"]);
    // Both are kept, so that one cannot be made where the other was.
    let (first, second) = (data(&job).pop().unwrap(), data(&job).pop().unwrap());
    assert_eq!(first.as_ptr(), second.as_ptr());
}

/// Breaks if what a reader of many news is handed at once grows with their number.
#[test]
fn many_news_come_in_bounded_steps_and_in_order() {
    let job = job();
    for index in 0..3_000 {
        job.apply_repository(repository(index, "scanning"), Vec::new());
    }
    let long = json!({ "status": "scanning", "message": "\n".repeat(16 << 10) }).to_string();
    let (status, _) = RepositoryStatus::parse(3_000, long.as_bytes()).unwrap();
    job.apply_repository(status, Vec::new());
    let (mut cursor, mut told) = (0, Vec::new());
    loop {
        let frames = job.frames_after(cursor);
        let (then, weight) = (frames.then, frames.messages.iter().map(Message::weight).sum());
        assert!((1..3 * PIECE).contains(&weight), "{weight} bytes at once");
        cursor = frames.version;
        told.extend(events(frames));
        if then == Then::Changes {
            break;
        }
    }
    assert_eq!(told.len(), 3_002);
    assert!(job.frames_after(cursor).messages.is_empty());
}

/// What a reader can tell apart: the tag and bytes of both documents, all news, facts, and rows.
fn all_that_is_told(job: &LiveJob) -> (String, Vec<String>, String) {
    let bodies: Vec<_> = [Lists::Whole, Lists::Omitted]
        .map(|lists| {
            let body = job.body(lists);
            let text = body.reader().gather().unwrap();
            format!("{} {}", body.id(), String::from_utf8(text.to_vec()).unwrap())
        })
        .into();
    let news = job.frames_after(0).messages.into_iter();
    let news = news.map(|it| String::from_utf8(it.into_text().gather().unwrap()).unwrap());
    let facts = (job.facts(), job.error_message(), job.repositories(), job.newest_time());
    (format!("{facts:?} {:?}", job.first()), news.collect(), bodies.join("\n"))
}

fn over(repositories: u32) -> LiveJob {
    let job = job();
    let text = json!({
        "group_url": "https://git.example.com/g", "scan_type": "group", "status": "all_failed",
        "total_repositories": repositories, "completed_at": "2024-01-02T00:00:00Z",
    });
    job.apply_master(master(&text), vec!["a warning".to_owned()]);
    for index in (0..repositories).rev() {
        job.apply_repository(repository(index, "failed"), vec![format!("warning {index}")]);
    }
    job.apply_problem(JobFile::Repository(repositories), "not JSON".to_owned());
    job.settle(false);
    job
}

/// Breaks if a reader can tell that a job has been at rest: by a tag, an event id, an order or a
/// byte that is another one afterwards.
#[test]
fn a_job_that_has_rested_is_the_same_as_before() {
    let job = over(9);
    let before = all_that_is_told(&job);
    let seen = job.event_id();
    let rest = || {
        job.rest_if_idle();
        assert!(!job.lock().is_packed(), "it was asked just now");
        job.rest_if_idle();
        assert!(job.lock().is_packed() && job.bodies().is_none());
    };
    rest();
    assert!(job.is_over() && !job.is_removed());
    assert_eq!(job.facts().summary.failed, 9);
    assert_eq!(job.error_message().as_deref(), Some("Unknown error"));
    job.settle(false);
    assert!(job.lock().is_packed(), "its line is enough for lists");
    assert_eq!(all_that_is_told(&job), before);
    rest();
    let job = Arc::new(job);
    let follower = Arc::clone(&job).follow(Some(seen), std::future::pending(), ());
    assert!(follower.is_over(), "who has seen the end has seen it");
    // Later changes are published as before.
    job.rest_if_idle();
    job.apply_repository(repository(3, "completed"), Vec::new());
    let frames = job.frames_after(seen.version);
    assert_eq!(events(frames), ["repository completed", "job all_failed", "end all_failed"]);
    assert_eq!(both_forms(&job, Lists::Whole).0, both_forms(&job, Lists::Whole).1);
}

#[test]
fn a_job_that_is_found_quiet_rests_at_once_unless_somebody_looks() {
    let job = over(3);
    let waiting = job.changes();
    job.settle(true);
    assert!(!job.lock().is_packed(), "somebody waits for changes");
    drop(waiting);
    let body = job.body(Lists::Whole);
    job.settle(true);
    assert!(!job.lock().is_packed(), "somebody has just asked");
    drop(body);
    job.bodies().take();
    job.settle(true);
    assert!(job.lock().is_packed());
}

/// Breaks if the finished jobs of a large folder all stand open after a start.
#[test]
fn a_finished_job_is_packed_as_soon_as_it_is_read() {
    let root = tempfile::tempdir().unwrap();
    let jobs = JobsDir::new(&root.path().join("jobs")).unwrap();
    jobs.create(0o750).unwrap();
    let folder = jobs.root().join("job");
    std::fs::create_dir(&folder).unwrap();
    for (name, text) in [
        ("master.json", r#"{"status":"completed","total_repositories":1}"#),
        ("repo_0.json", r#"{"status":"completed","repo_name":"r"}"#),
    ] {
        let mut file = std::fs::File::create(folder.join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }
    let (poll_interval, resync_interval) = (Duration::from_secs(10), Duration::from_millis(500));
    // Nobody can set the time of change that counts.
    std::thread::sleep(resync_interval);
    let options = WatchOptions { notify: false, poll_interval, resync_interval };
    let (live, _watcher) = Watcher::start(jobs, options).unwrap();
    while !live.is_ready() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let job = live.get(&"job".parse().unwrap()).unwrap();
    assert!(job.lock().is_packed());
    assert_eq!((job.is_over(), job.repositories().len()), (true, 1));
    assert!(!job.lock().is_packed());
}

/// Breaks if whoever walks through all jobs has all of them open, and as many documents.
#[test]
fn few_jobs_that_were_at_rest_are_open_at_once() {
    let live = crate::live::Live::new(7);
    let ids: Vec<JobId> =
        (0..2 * MOST_ROUSED).map(|it| format!("job-{it}").parse().unwrap()).collect();
    for id in &ids {
        let job = live.insert(id);
        job.apply_repository(repository(0, "completed"), Vec::new());
        job.settle(true);
        assert!(job.lock().is_packed());
    }
    let first = live.get(&ids[0]).unwrap();
    let _follows = first.changes();
    for id in &ids {
        for _ in 0..2 {
            assert!(live.get(id).unwrap().body(Lists::Whole).reader().length() > 0);
        }
    }
    let open = |id: &&JobId| !live.insert(id).lock().is_packed();
    let all: Vec<_> = ids.iter().filter(open).collect();
    assert_eq!(all.len(), MOST_ROUSED + 1);
    assert_eq!(all[0], &ids[0], "somebody follows it");
}

/// Breaks if a large job is locked for as long as it takes to pack it, or keeps its documents.
#[test]
fn a_large_job_at_rest_keeps_its_rows_alone() {
    let job = over(1_500);
    let before = all_that_is_told(&job);
    let ledger = job.board.ledger();
    let reader = job.body(Lists::Whole).reader();
    job.rest_if_idle();
    job.rest_if_idle();
    assert!(!job.lock().is_packed() && job.bodies().is_none());
    assert!(ledger.superseded() > reader.length() / 2, "only the reader keeps the document");
    drop(reader);
    assert_eq!(ledger.superseded(), 0);
    assert_eq!(all_that_is_told(&job), before);
}
