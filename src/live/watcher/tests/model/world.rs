//! A jobs folder, its reader, the changes of the folder, and the content that the cache serves.

use super::{super::*, Change, Fate, JOBS, Move, Odd, Op, REPOSITORIES, WORDS};
use crate::{
    live::Step,
    model::{progress::Lists, repository::RepositoryStatus},
    store::{read, trash},
};
use futures_util::FutureExt;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    fs,
    path::{Path, PathBuf},
};

pub(super) struct World {
    _root: tempfile::TempDir,
    jobs: JobsDir,
    /// Where folders are while they are moved away.
    away: PathBuf,
    live: Arc<Live>,
    reader: JobsReader,
    messages: Receiver<Message>,
    /// Events that the reader has not received yet.
    events: VecDeque<(JobId, Option<JobFile>)>,
    waiting: Vec<oneshot::Receiver<()>>,
    /// Every row that a file ever contained.
    rows: HashMap<(JobId, u32), BTreeSet<String>>,
    /// The newest version of each job, and its content.
    seen: HashMap<JobId, (u64, Value)>,
    /// Makes each content unique.
    step: u32,
}

impl World {
    pub(super) fn new() -> Self {
        let (root, jobs) = jobs_folder();
        let away = jobs.staging().join("away");
        fs::create_dir(&away).unwrap();
        let (live, reader, messages) = reader(&jobs);
        Self {
            _root: root,
            jobs,
            away,
            live,
            reader,
            messages,
            events: VecDeque::new(),
            waiting: Vec::new(),
            rows: HashMap::new(),
            seen: HashMap::new(),
            step: 10_000_000,
        }
    }

    pub(super) fn play(&mut self, op: Op) {
        match op {
            Op::File(job, number, change, fate) => {
                let (id, file) = (id(job), file(number));
                if self.jobs.job(&id).path().is_dir() {
                    self.change(&id, file, change);
                    self.queue_event(&id, Some(file), fate);
                }
            }
            Op::Folder(job, moved, fate) => {
                let id = id(job);
                self.move_folder(&id, moved);
                self.queue_event(&id, None, fate);
            }
            Op::Receive(count, newest) => {
                for _ in 0..count {
                    let next =
                        if newest { self.events.pop_back() } else { self.events.pop_front() };
                    let Some((id, file)) = next else { break };
                    self.reader.receive(match file {
                        Some(file) => Message::File(id, file),
                        None => Message::Job(id),
                    });
                }
            }
            Op::Turns(count) => (0..count).for_each(|_| self.reader.turn()),
            Op::Clock => self.reader.run_timers(),
            Op::Nudge(job) => {
                let (done, read) = oneshot::channel();
                self.reader.receive(Message::Nudge(id(job), done));
                self.waiting.push(read);
            }
            Op::Compare { healed } => self.compare(healed),
        }
    }

    fn queue_event(&mut self, id: &JobId, file: Option<JobFile>, fate: Fate) {
        let times = match fate {
            Fate::Delivered => 1,
            Fate::Lost => 0,
            Fate::Doubled => 2,
        };
        self.events.extend(std::iter::repeat_n((id.clone(), file), times));
    }

    // Changes of the disk.

    fn change(&mut self, id: &JobId, file: JobFile, change: Change) {
        let path = self.jobs.job(id).file(file);
        let is_file = fs::symlink_metadata(&path).is_ok_and(|facts| facts.is_file());
        match change {
            Change::InPlace(word) if is_file => self.write_in_place(id, file, word),
            Change::InPlaceTwice(word) if is_file => {
                self.write_in_place(id, file, word);
                self.write_in_place(id, file, word);
            }
            Change::Replaced(word) | Change::InPlace(word) | Change::InPlaceTwice(word) => {
                let text = self.content(id, file, word);
                self.put(&path, &text);
            }
            Change::Half(word) => {
                let text = self.content(id, file, word);
                self.put(&path, &text.as_bytes()[..text.len() / 2]);
            }
            Change::Truncated if is_file => drop(fs::File::create(&path).unwrap()),
            Change::Truncated => self.put(&path, ""),
            Change::Garbage(bytes) => self.put(&path, bytes),
            Change::Removed => clear(&path),
            Change::Odd(odd) => self.put_odd(&path, odd),
        }
    }

    /// A new content of a file. Records its row.
    fn content(&mut self, id: &JobId, file: JobFile, word: usize) -> String {
        self.step += 1;
        let (word, step) = (WORDS[word], self.step);
        match file {
            JobFile::Master => json!({
                "job_id": id, "group_url": format!("https://h.example/{step}"), "status": word,
                "total_repositories": REPOSITORIES + 1, "error": "of the job",
            }),
            JobFile::Repository(index) => {
                let rows = self.rows.entry((id.clone(), index)).or_default();
                rows.insert(step.to_string());
                // Some have a wrong repository number, which causes a warning.
                json!({
                    "repo_index": index + u32::from(step % 5 == 0), "repo_name": format!("r{index}"),
                    "status": word, "error_message": "no", "git_url": format!("https://h.example/{step}"),
                })
            }
        }
        .to_string()
    }

    fn put(&self, path: &Path, bytes: impl AsRef<[u8]>) {
        let staged = self.jobs.staging().join("staged");
        write_bytes(&staged, bytes.as_ref());
        if path.is_dir() {
            clear(path);
        }
        fs::rename(staged, path).unwrap();
    }

    fn write_in_place(&mut self, id: &JobId, file: JobFile, word: usize) {
        let text = self.content(id, file, word);
        write_bytes(&self.jobs.job(id).file(file), text.as_bytes());
    }

    fn put_odd(&self, path: &Path, odd: Odd) {
        clear(path);
        match odd {
            Odd::Folder => fs::create_dir(path).unwrap(),
            Odd::Link => std::os::unix::fs::symlink(self.away.join("none"), path).unwrap(),
            Odd::Pipe => {
                let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
                rustix::fs::mknodat(rustix::fs::CWD, path, kind, mode, 0).unwrap();
            }
            Odd::TooLarge => {
                let file = fs::File::create(path).unwrap();
                file.set_len(read::MASTER_CAP + 1).unwrap();
            }
        }
    }

    fn move_folder(&mut self, id: &JobId, moved: Move) {
        let (place, away) = (self.jobs.job(id).path().to_owned(), self.away.join(id.as_str()));
        match moved {
            Move::Made { ours } => self.make(id, ours),
            Move::Removed => trash::remove_job(&self.jobs, id).unwrap(),
            Move::RemovedAndMade => {
                trash::remove_job(&self.jobs, id).unwrap();
                self.make(id, false);
            }
            Move::Away if place.is_dir() && !away.exists() => fs::rename(place, away).unwrap(),
            Move::Back if away.is_dir() && !place.exists() => fs::rename(away, place).unwrap(),
            Move::Away | Move::Back => {}
        }
    }

    fn make(&mut self, id: &JobId, ours: bool) {
        let place = self.jobs.job(id);
        if place.path().exists() {
        } else if ours {
            self.jobs.create_job(id, 0o750, &Master::default(), &Plan::of([])).unwrap();
        } else {
            fs::create_dir(place.path()).unwrap();
            self.change(id, JobFile::Master, Change::Replaced(0));
        }
    }

    // The served content.

    /// Resyncs, and checks that the cache equals a fresh one.
    pub(super) fn compare(&mut self, healed: bool) {
        let broken = self.broken();
        if healed {
            // There is no event for this change.
            for (id, file) in &broken {
                self.change(id, *file, Change::Replaced(1));
            }
        }
        let broken = if healed { BTreeSet::new() } else { broken };
        self.reader.receive(Message::Overflow);
        run_until_stable(&self.live, &mut self.reader, &self.messages);
        for mut waiting in self.waiting.drain(..) {
            assert!(waiting.try_recv().is_ok(), "a request that waits for a job is answered");
        }
        // The jobs of the fresh cache are read by loader threads.
        let (live, mut fresh, messages) = reader_with(&self.jobs, Duration::from_hours(1), true);
        run_until_stable(&live, &mut fresh, &messages);
        let (ours, wanted) = (all(&self.live), all(&live));
        assert_eq!(ours.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
        for (id, wanted) in &wanted {
            if broken.iter().any(|(job, _)| job == id) {
                self.compare_in_part(id, &ours[id], wanted, &broken);
            } else {
                assert_eq!(&ours[id], wanted, "{id}");
            }
        }
        if broken.is_empty() {
            assert_eq!(overview(&self.live), overview(&live));
        }
        self.check_versions();
    }

    /// Compares a job with broken files: the same warnings and the same rows of all other files;
    /// the rows of the broken files, if any, are ones that they had before.
    fn compare_in_part(
        &self,
        id: &JobId,
        ours: &Value,
        wanted: &Value,
        broken: &BTreeSet<(JobId, JobFile)>,
    ) {
        assert_eq!(ours["warnings"], wanted["warnings"], "{id}");
        for index in 0..REPOSITORIES {
            let (row, wanted) = (row(ours, index), row(wanted, index));
            if broken.contains(&(id.clone(), JobFile::Repository(index))) {
                let known = self.rows.get(&(id.clone(), index));
                let step = row.and_then(|row| row["git_url"].as_str()?.rsplit('/').next());
                let was_written =
                    step.is_none_or(|step| known.is_some_and(|all| all.contains(step)));
                assert!(was_written, "{id} {index}: {row:?}");
            } else {
                assert_eq!(row, wanted, "{id} {index}");
            }
        }
    }

    /// The files that cannot be parsed, of the jobs that exist.
    fn broken(&self) -> BTreeSet<(JobId, JobFile)> {
        let mut broken = BTreeSet::new();
        for id in (0..JOBS.len()).map(id) {
            for file in (0..=REPOSITORIES).map(file) {
                let path = self.jobs.job(&id).file(file);
                let is_valid = |bytes: &[u8]| match file {
                    JobFile::Master => Master::parse(bytes).is_ok(),
                    JobFile::Repository(index) => RepositoryStatus::parse(index, bytes).is_ok(),
                };
                let content = || read::whole(&path, read::STATUS_CAP).map(|(bytes, _)| bytes);
                if path.symlink_metadata().is_ok() && !content().is_ok_and(|bytes| is_valid(&bytes))
                {
                    broken.insert((id.clone(), file));
                }
            }
        }
        broken
    }

    /// Checks that no version decreases, and that each identifies one content.
    pub(super) fn check_versions(&mut self) {
        for (id, served) in all(&self.live) {
            let version = self.live.get(&id).unwrap().event_id().version;
            if let Some((before, what)) = self.seen.get(&id) {
                assert!(version >= *before, "{id}: {version} after {before}");
                assert!(version > *before || served == *what, "{id}: two of version {version}");
            }
            self.seen.insert(id, (version, served));
        }
    }
}

fn id(job: usize) -> JobId {
    JOBS[job].parse().unwrap()
}

fn file(number: u32) -> JobFile {
    number.checked_sub(1).map_or(JobFile::Master, JobFile::Repository)
}

/// Removes the entry, if there is one.
fn clear(path: &Path) {
    let _ = if path.is_dir() && !path.is_symlink() {
        fs::remove_dir(path)
    } else {
        fs::remove_file(path)
    };
}

#[expect(clippy::disallowed_methods, reason = "an unsafe write is what is tested")]
fn write_bytes(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
}

/// Lets the reader work until there is nothing left, now or later.
fn run_until_stable(live: &Live, reader: &mut JobsReader, messages: &Receiver<Message>) {
    let end = Instant::now() + PATIENCE;
    loop {
        for message in messages.try_iter() {
            if let Message::Flushed(id, file, signature) = &message {
                // Sent twice: the second message must have no effect.
                reader.receive(Message::Flushed(id.clone(), *file, *signature));
            }
            reader.receive(message);
        }
        reader.run_timers();
        while reader.has_work() {
            reader.turn();
            reader.run_timers();
        }
        let all_published = live.all().iter().all(|job| reader.is_published(job.id()));
        if live.is_ready() && all_published && !reader.has_work() && !reader.has_retries() {
            return;
        }
        assert!(Instant::now() < end, "the reader does not finish in time");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The served content of each job, without the elapsed time and the version.
fn all(live: &Live) -> BTreeMap<JobId, Value> {
    let served = |job: &Arc<crate::live::LiveJob>| {
        let text = job.body(Lists::Whole).reader().gather().unwrap();
        let mut document: Value = serde_json::from_slice(&text).unwrap();
        let members = document.as_object_mut().unwrap();
        members.remove("version");
        members.remove("elapsed_time_seconds");
        members.insert("is over".to_owned(), job.is_over().into());
        (job.id().clone(), document)
    };
    live.all().iter().map(served).collect()
}

fn row(document: &Value, index: u32) -> Option<&Value> {
    document["repositories"].as_array()?.iter().find(|row| row["repo_index"] == index)
}

/// The snapshot for a reader of all jobs, without times of folders and the order by them: no file here
/// names a start, and a folder that is replaced by another one keeps the time of the first.
fn overview(live: &Live) -> Value {
    let mut follower = live.follow(None, std::future::pending(), ());
    let Some(Step::Send(messages)) = follower.next().now_or_never() else { panic!("no snapshot") };
    let snapshot = messages.into_iter().next().unwrap().into_data().unwrap();
    let mut overview: Value = serde_json::from_slice(&snapshot).unwrap();
    let rows = overview["jobs"].as_array_mut().unwrap();
    for row in rows.iter_mut() {
        row["created_at"] = Value::Null;
    }
    rows.sort_by_key(|row| row["job_id"].to_string());
    overview
}
