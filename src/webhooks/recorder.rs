//! The task that owns webhooks: it notices what happens to jobs, has it recorded, and starts the senders.
//!
//! Input: changes of the cache, commands. Output: deliveries, by the [`Journal`]; senders of the webhooks in the settings.
//!
//! Invariants: what cannot be recorded now is tried again, and reported meanwhile; the work on many jobs is done in
//! portions, between which commands and the stop are handled.

use super::{
    Documents, Shared,
    sender::Sender,
    sending::Client,
    target::{Counters, Target},
};
use crate::{
    config::Webhook,
    live::Live,
    model::JobId,
    pool::Pool,
    store::{StoreError, chain, plainly},
};
use std::{
    collections::{HashMap, VecDeque},
    future::pending,
    io,
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

/// The shortest time between two looks at what changed: a job of ten thousand repositories changes all the time.
const INTERVAL: Duration = Duration::from_millis(200);
/// The pause before another attempt, after the disk refused something.
const DISK_PAUSE: Duration = Duration::from_secs(5);
/// How many jobs are handled in one portion.
const PORTION: usize = 64;

/// A request to the task.
#[derive(Debug)]
pub(super) enum Command {
    /// The settings were read again.
    Reload,
    /// Send a delivery again. The answer: whether there is one.
    Redeliver { webhook: String, id: String, answer: oneshot::Sender<Result<bool, io::Error>> },
}

/// The task and what it needs.
pub(super) struct Recorder {
    pub(super) shared: Arc<Shared>,
    pub(super) live: Arc<Live>,
    pub(super) documents: Documents,
    pub(super) pool: Pool,
    pub(super) producing: Pool,
    pub(super) shutdown: CancellationToken,
    pub(super) progress: Progress,
}

/// How far the task has got.
#[derive(Default)]
pub(super) struct Progress {
    /// The senders run.
    is_built: bool,
    /// The records are complete.
    is_begun: bool,
    /// The version of the cache up to which all changes are recorded or in `jobs`.
    version: u64,
    /// Jobs that are to be read.
    jobs: VecDeque<JobId>,
    /// Jobs that are to be read again later.
    later: Vec<JobId>,
    /// Jobs may have been removed.
    may_be_gone: bool,
    /// When to go on.
    due: Option<Instant>,
    senders: JoinSet<()>,
    stop: Option<CancellationToken>,
    counters: HashMap<String, Arc<Counters>>,
}

impl Recorder {
    /// Runs until the server stops.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut changes = self.live.changes();
        self.progress.due = Some(Instant::now());
        loop {
            let due = self.progress.due;
            let alarm = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => pending().await,
                }
            };
            let is_active = self.shared.is_active();
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                Some(command) = commands.recv() => self.command(command).await,
                woken = changes.changed(), if is_active && due.is_none() => {
                    if woken.is_err() {
                        break;
                    }
                    self.progress.due = Some(Instant::now() + INTERVAL);
                }
                () = alarm => {
                    self.progress.due = None;
                    let done = self.go_on().await;
                    self.report(done);
                }
            }
        }
        self.stop_senders().await;
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Reload => {
                self.progress.is_built = false;
                self.progress.due = Some(Instant::now());
            }
            Command::Redeliver { webhook, id, answer } => {
                let Some(target) = self.shared.target(&webhook) else {
                    let _ = answer.send(Ok(false));
                    return;
                };
                let done = self.pool.run(move || target.redeliver(&id)).await;
                let done = done.map_err(io::Error::from).and_then(|done| {
                    done.map_err(|error| {
                        tracing::error!(webhook, error = chain(&error), "cannot redeliver");
                        error.source
                    })
                });
                let _ = answer.send(done);
            }
        }
    }

    /// One portion of the work; `due` is set if there is more.
    async fn go_on(&mut self) -> Result<(), StoreError> {
        if !self.progress.is_built {
            self.build().await?;
        }
        if !self.shared.is_active() {
            return Ok(());
        }
        if !self.live.is_ready() {
            self.progress.due = Some(Instant::now() + INTERVAL);
            return Ok(());
        }
        if self.progress.jobs.is_empty() {
            let (jobs, removed, version) = self.live.changed_after(self.progress.version);
            let later = std::mem::take(&mut self.progress.later);
            self.progress.jobs.extend(jobs.into_iter().chain(later));
            // Records of the last run may be of jobs that were removed since.
            self.progress.may_be_gone |= removed || self.progress.version == 0;
            self.progress.version = version;
        }
        let count = PORTION.min(self.progress.jobs.len());
        let portion: Vec<_> = self.progress.jobs.iter().take(count).cloned().collect();
        let (shared, targets) = (Arc::clone(&self.shared), self.shared.targets());
        if self.progress.is_begun {
            let work = move || -> Result<Vec<JobId>, StoreError> {
                let mut later = Vec::new();
                for id in portion {
                    if shared.journal.record(&id, &targets)? {
                        later.push(id);
                    }
                }
                Ok(later)
            };
            let later = self.blocking(work).await?;
            self.progress.later.extend(later);
        } else {
            self.blocking(move || shared.journal.skip(&portion)).await?;
        }
        self.progress.jobs.drain(..count);
        if !self.progress.jobs.is_empty() {
            self.progress.due = Some(Instant::now());
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        if !self.progress.is_begun {
            self.blocking(move || shared.journal.begin()).await?;
            tracing::info!("webhooks are notified of what happens to jobs from now on");
            self.progress.is_begun = true;
            // What happened meanwhile is not skipped.
            self.progress.due = Some(Instant::now());
        }
        if self.progress.may_be_gone {
            let (shared, targets) = (Arc::clone(&self.shared), self.shared.targets());
            self.blocking(move || shared.journal.sweep(&targets)).await?;
            self.progress.may_be_gone = false;
        }
        if !self.progress.later.is_empty() {
            self.progress.due = Some(Instant::now() + Duration::from_secs(1));
        }
        Ok(())
    }

    /// Starts the senders of the webhooks in the settings, in place of the previous ones.
    async fn build(&mut self) -> Result<(), StoreError> {
        self.stop_senders().await;
        self.shared.set_targets(Vec::new());
        let config = self.shared.config.get();
        let shared = Arc::clone(&self.shared);
        if config.webhooks.is_empty() {
            self.shared.set_active(false);
            self.progress.is_begun = false;
            self.blocking(move || shared.journal.end()).await?;
            self.progress.is_built = true;
            return Ok(());
        }
        let mut named: Vec<(Webhook, Client, Arc<Counters>)> = Vec::new();
        for webhook in &config.webhooks {
            match Client::new(webhook, &config) {
                Ok(client) => {
                    let counters = self.progress.counters.entry(webhook.name.clone());
                    named.push((webhook.clone(), client, Arc::clone(counters.or_default())));
                }
                Err(error) => {
                    tracing::error!(
                        webhook = webhook.name,
                        error,
                        "cannot make a client for a webhook; nothing is sent to it"
                    );
                }
            }
        }
        let must_load = !self.shared.is_active();
        let (targets, is_begun) = self
            .blocking(move || {
                let folder = shared.journal.folder();
                folder.create(named.iter().map(|(webhook, ..)| webhook.name.as_str()))?;
                let mut targets = Vec::with_capacity(named.len());
                for (webhook, client, counters) in named {
                    let target = Target::open(webhook, client, counters, folder.clone())?;
                    targets.push(Arc::new(target));
                }
                let is_begun = !must_load || shared.journal.load()?;
                Ok((targets, is_begun))
            })
            .await?;
        if must_load {
            (self.progress.is_begun, self.progress.version) = (is_begun, 0);
            self.progress.jobs.clear();
        }
        self.shared.set_targets(targets.clone());
        self.shared.set_active(true);
        let stop = self.shutdown.child_token();
        for target in targets {
            let sender = Sender {
                target,
                live: Arc::clone(&self.live),
                documents: self.documents.clone(),
                pool: self.pool.clone(),
                producing: self.producing.clone(),
                stop: stop.clone(),
            };
            self.progress.senders.spawn(sender.run());
        }
        self.progress.stop = Some(stop);
        self.progress.is_built = true;
        Ok(())
    }

    async fn stop_senders(&mut self) {
        if let Some(stop) = self.progress.stop.take() {
            stop.cancel();
        }
        while self.progress.senders.join_next().await.is_some() {}
    }

    fn report(&mut self, done: Result<(), StoreError>) {
        match done {
            Ok(()) => {
                self.shared.set_problem(None);
            }
            Err(error) => {
                let is_new = self.shared.set_problem(Some(plainly(&error.source)));
                if is_new {
                    tracing::error!(
                        error = chain(&error),
                        "cannot record events for webhooks; they are recorded as soon as the disk permits it"
                    );
                }
                self.progress.due = Some(Instant::now() + DISK_PAUSE);
            }
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let lost = |error: crate::pool::Lost| StoreError {
            action: "use",
            path: ".webhooks".into(),
            source: error.into(),
        };
        self.pool.run(work).await.map_err(lost)?
    }
}
