//! The task that runs all schedules.
//!
//! Input: commands, the wall clock, changes of jobs. Output: jobs, states on the disk, what is published.
//!
//! Invariants: one thing at a time, and commands before the next run; while nothing is due the task sleeps, for at most
//! [`LONGEST_SLEEP`], because nothing reports that the wall clock was set; a job is created only after its run is on
//! the disk.

mod commands;
mod runs;

use super::{
    document::{Published, ScheduleProblem},
    entry::{self, Entry},
    handle::{Command, Schedules, Shared},
    record::Record,
};
use crate::{
    config::CurrentConfig,
    intake::Intake,
    live::{Live, Nudger},
    model::{JobId, master::Master, schedule::ScheduleName, time::Timestamp},
    pool::Pool,
    store::{
        StoreError, chain,
        layout::{JobFile, JobsDir},
        read::{self, MASTER_CAP, is_missing_folder},
        schedules::ScheduleFiles,
    },
};
use chrono::Utc;
use std::{collections::BTreeMap, io, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The longest sleep while a schedule exists. The timers of the runtime neither follow a wall clock that is set, nor count the
/// time in which the machine is suspended.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
/// The shortest time between two looks at the jobs that runs wait for.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
/// Capacity of the command channel.
const COMMANDS: usize = 64;

/// What the task uses.
#[derive(Debug)]
pub struct Parts {
    pub config: CurrentConfig,
    pub intake: Intake,
    pub live: Arc<Live>,
    pub nudger: Nudger,
    pub jobs: JobsDir,
}

/// The task.
struct Task {
    config: CurrentConfig,
    intake: Intake,
    live: Arc<Live>,
    nudger: Nudger,
    jobs: JobsDir,
    files: ScheduleFiles,
    pool: Pool,
    shared: Arc<Shared>,
    entries: BTreeMap<ScheduleName, Entry>,
    /// Problems of files.
    problems: Vec<ScheduleProblem>,
    /// The folder could not be read.
    unread: bool,
    /// Something was changed that is not published.
    changed: bool,
    published_at: Instant,
}

impl Schedules {
    /// Reads all schedules and starts to run them on `tasks`, until `shutdown`.
    pub async fn start(parts: Parts, tasks: &TaskTracker, shutdown: CancellationToken) -> Self {
        let Parts { config, intake, live, nudger, jobs } = parts;
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let shared = Arc::new(Shared::default());
        let mut task = Task {
            files: ScheduleFiles::new(&jobs, config.get().jobs.folder_mode),
            config,
            intake,
            live,
            nudger,
            jobs,
            pool: Pool::new("schedules", 1),
            shared: Arc::clone(&shared),
            entries: BTreeMap::new(),
            problems: Vec::new(),
            unread: false,
            changed: true,
            published_at: Instant::now(),
        };
        task.load().await;
        task.publish();
        tasks.spawn(async move {
            // What is being written ends on its thread; what is not written is found by the next server.
            let _ = shutdown.run_until_cancelled(task.run(inbox)).await;
        });
        Self::new(commands, shared)
    }
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut jobs = self.live.changes();
        loop {
            while let Ok(command) = inbox.try_recv() {
                self.handle(command).await;
            }
            let now = Utc::now();
            let ready = self.entries.iter().find(|(_, entry)| Self::is_ready(entry, now));
            if let Some(name) = ready.map(|(name, _)| name.clone()) {
                self.step(&name, now).await;
                // Many may be due at once.
                if self.published_at.elapsed() >= LOOK_PAUSE {
                    self.publish();
                }
                continue;
            }
            let freed = self.start_freed().await;
            self.publish();
            if freed {
                continue;
            }
            let waits = self.entries.values().any(Self::waits_for_a_job);
            let alarm = self.alarm();
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.handle(command).await,
                    None => return,
                },
                () = sleep_until(alarm.unwrap_or_else(Instant::now)), if alarm.is_some() => {
                    self.look_again().await;
                }
                () = changed(&mut jobs), if waits => {}
            }
        }
    }

    /// Whether something of the schedule can be done now.
    fn is_ready(entry: &Entry, now: Timestamp) -> bool {
        let starts = entry.record.pending.as_ref().is_some_and(|run| run.waits_for.is_none());
        let retries = (entry.unsaved || starts) && entry.may_retry(Instant::now());
        retries || entry.next.is_some_and(|next| next.from <= now)
    }

    fn waits_for_a_job(entry: &Entry) -> bool {
        entry.record.pending.as_ref().is_some_and(|run| run.waits_for.is_some())
    }

    /// When the task wakes although nothing has changed; `None` if there is nothing to wait for.
    fn alarm(&self) -> Option<Instant> {
        if self.entries.is_empty() && !self.unread {
            return None;
        }
        let (now, clock) = (Instant::now(), Utc::now());
        let due = self.entries.values().filter_map(|entry| entry.next);
        let due = due.map(|due| now + (due.from - clock).to_std().unwrap_or_default());
        let retries = self.entries.values().filter_map(|entry| entry.retry_at);
        due.chain(retries).chain([now + LONGEST_SLEEP]).min()
    }

    /// What may have changed without a notification: the wall clock, and a folder that could not be read.
    async fn look_again(&mut self) {
        if self.unread {
            self.load().await;
        }
        let now = Utc::now();
        for (name, entry) in &mut self.entries {
            let handled = super::rules::plausible(entry.record.handled, now);
            if handled != entry.record.handled {
                tracing::warn!(schedule = %name, "the clock was set far back; the runs of the schedule count from now");
                entry.handle(name, handled);
            }
        }
    }

    /// Reads the settings and all files.
    async fn load(&mut self) {
        let files = self.files.clone();
        let found = match self.on_disk(move || files.read()).await {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(
                    error = chain(&error),
                    "cannot read .schedules; no schedule is run until it can be read"
                );
                self.problems = vec![ScheduleProblem {
                    name: ".schedules".to_owned(),
                    problem:
                        "the folder cannot be read, so no schedule is run; the log has the cause"
                            .to_owned(),
                }];
                (self.unread, self.changed) = (true, true);
                return;
            }
        };
        let unsaved: BTreeMap<ScheduleName, Record> = std::mem::take(&mut self.entries)
            .into_iter()
            .filter(|(_, entry)| entry.unsaved)
            .map(|(name, entry)| (name, entry.record))
            .collect();
        let config = self.config.get();
        let loaded = entry::load(&config.schedules, &config.network, found, unsaved, Utc::now());
        for ScheduleProblem { name, problem } in &loaded.problems {
            tracing::error!(schedule = name, problem, "a schedule is not used");
        }
        for name in loaded.orphans {
            let files = self.files.clone();
            let removed = self.on_disk(move || files.remove_state(&name)).await;
            if let Err(error) = removed {
                tracing::warn!(
                    error = chain(&error),
                    "cannot remove the state of a schedule that does not exist"
                );
            }
        }
        (self.entries, self.problems) = (loaded.entries, loaded.problems);
        (self.unread, self.changed) = (false, true);
    }

    /// Publishes what has changed.
    fn publish(&mut self) {
        if !std::mem::take(&mut self.changed) {
            return;
        }
        self.published_at = Instant::now();
        let before = self.shared.published();
        let schedules = self.entries.iter().map(|(name, entry)| {
            let document = entry.document(name);
            let known = before.schedules.get(name).filter(|known| ***known == document);
            (name.clone(), known.cloned().unwrap_or_else(|| Arc::new(document)))
        });
        let unsavable = self.entries.iter().filter_map(|(name, entry)| {
            let problem = format!("its state cannot be stored: {}", entry.unsavable.as_ref()?);
            Some(ScheduleProblem { name: name.to_string(), problem })
        });
        let problems = self.problems.iter().cloned().chain(unsavable).collect();
        self.shared.publish(Published { schedules: schedules.collect(), problems });
    }

    /// Whether a job exists and has no final state.
    async fn is_unfinished(&self, id: &JobId) -> bool {
        if let Some(job) = self.live.get(id) {
            return !job.facts().state.is_final();
        }
        // The cache may not have read it yet.
        let master = self.jobs.job(id).file(JobFile::Master);
        let read = self.pool.run(move || read::whole(&master, MASTER_CAP)).await;
        match read {
            Ok(Ok((bytes, _))) => Master::final_state_in(&bytes).is_none(),
            Ok(Err(error)) => error.kind() != io::ErrorKind::NotFound,
            Err(_) => true,
        }
    }

    /// Whether the folder of a job exists.
    async fn exists(&self, id: &JobId) -> bool {
        let path = self.jobs.job(id).path().to_owned();
        self.pool.run(move || !is_missing_folder(&path)).await.unwrap_or(true)
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        match self.pool.run(work).await {
            Ok(done) => done,
            Err(lost) => Err(StoreError {
                action: "use",
                path: self.jobs.root().to_owned(),
                source: lost.into(),
            }),
        }
    }
}

/// Returns when a job has changed, but not at once: many change together.
async fn changed(jobs: &mut watch::Receiver<u64>) {
    if jobs.changed().await.is_err() {
        // The cache has ended, and this task will soon.
        std::future::pending::<()>().await;
    }
    sleep(LOOK_PAUSE).await;
    jobs.mark_unchanged();
}
