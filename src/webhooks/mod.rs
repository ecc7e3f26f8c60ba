//! Webhooks: notifies the targets in the settings of what happens to jobs.
//!
//! Input: final states and changes in the cache, which come from files. Output: signed requests, by the specification of
//! Standard Webhooks; bills of materials for Dependency-Track.
//!
//! ```text
//! live ─► recorder ─► journal: which events are new? ─► .webhooks/targets/NAME/pending/ID.json ─► sender ─► target
//!                     (changes: pure)                    (queue in memory, payload on disk)        (one per webhook)
//! ```
//!
//! Invariants: every event is delivered at least once, under an id that stays the same, or is listed as failed, or is
//! counted as lost: across crashes, restarts and the removal of its job. No target that is slow or down delays another
//! one, a scan or a request. No API adds a target. Secrets are sent nowhere and stored nowhere.

mod backoff;
mod changes;
mod delivery;
mod journal;
mod queue;
mod recorder;
mod sender;
mod sending;
mod signature;
mod target;
mod upload;
mod view;

pub use delivery::{Attempt, Delivery};
pub use view::{DeliveryRow, WebhookCounts, WebhookRow};

use crate::{
    config::CurrentConfig,
    live::{Live, LiveJob},
    model::{JobId, webhook::DeliveryState},
    pool::Pool,
    sbom::Document,
    store::{layout::JobsDir, webhooks::WebhookFolder},
};
use journal::Journal;
use recorder::{Command, Progress, Recorder};
use std::{
    fmt, io,
    ops::Range,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};
use target::Target;
use tokio::sync::{mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How many commands may wait.
const COMMANDS: usize = 64;

/// Produces the bill of materials of a completed repository.
#[derive(Clone)]
pub struct Documents(Arc<MakeDocument>);

type MakeDocument = dyn Fn(&Arc<LiveJob>, u32) -> Document<'static> + Send + Sync;

impl Documents {
    /// Documents that `make` makes of a repository.
    pub fn new(
        make: impl Fn(&Arc<LiveJob>, u32) -> Document<'static> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(make))
    }

    fn of(&self, job: &Arc<LiveJob>, index: u32) -> Document<'static> {
        (self.0)(job, index)
    }
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Documents")
    }
}

/// A handle of all webhooks. Clones share them.
#[derive(Debug, Clone)]
pub struct Webhooks(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: CurrentConfig,
    live: Arc<Live>,
    journal: Journal,
    targets: RwLock<Vec<Arc<Target>>>,
    /// Events are recorded.
    active: AtomicBool,
    /// Why events cannot be recorded at present.
    problem: Mutex<Option<String>>,
    commands: mpsc::Sender<Command>,
    receiver: Mutex<Option<mpsc::Receiver<Command>>>,
    pool: Pool,
}

impl Webhooks {
    /// The webhooks of the settings. Nothing is recorded and sent before [`start`](Self::start).
    pub fn new(config: CurrentConfig, live: Arc<Live>, jobs: &JobsDir) -> Self {
        let folder = WebhookFolder::new(jobs, config.get().jobs.folder_mode);
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let journal = Journal::new(folder, Arc::clone(&live), config.clone());
        Self(Arc::new(Shared {
            config,
            live,
            journal,
            targets: RwLock::default(),
            active: AtomicBool::new(false),
            problem: Mutex::default(),
            commands,
            receiver: Mutex::new(Some(receiver)),
            pool: Pool::new("webhooks", 4),
        }))
    }

    /// Starts to record and to send. Called once.
    pub fn start(&self, documents: Documents, tasks: &TaskTracker, shutdown: CancellationToken) {
        let receiver = self.0.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(receiver) = receiver else { return };
        let recorder = Recorder {
            shared: Arc::clone(&self.0),
            live: Arc::clone(&self.0.live),
            documents,
            pool: self.0.pool.clone(),
            producing: Pool::new("webhook-documents", 1),
            shutdown,
            progress: Progress::default(),
        };
        // Its jobs' events may be unrecorded until it has looked.
        self.0.active.store(false, Ordering::Relaxed);
        tasks.spawn(recorder.run(receiver));
    }

    /// Uses the current settings. All targets are enabled again.
    pub async fn reloaded(&self) {
        // Fails only if the task has ended.
        let _ = self.0.commands.send(Command::Reload).await;
    }

    /// Whether everything that happened to a finished job is recorded, so that its files may be removed. While events
    /// cannot be recorded, no removal waits: it may be what frees the disk.
    pub fn has_recorded(&self, id: &JobId) -> bool {
        if self.0.config.get().webhooks.is_empty() || self.problem().is_some() {
            return true;
        }
        let needs_files = |target: &Arc<Target>| {
            !target.state().cannot_store && target.queue().needs_files_of(id)
        };
        self.0.journal.is_settled(id) && !self.0.targets().iter().any(needs_files)
    }

    /// Has a delivery sent again; false if there is none with this id.
    ///
    /// # Errors
    /// If the disk refuses, or the server stops.
    pub async fn redeliver(&self, webhook: &str, id: &str) -> io::Result<bool> {
        if !delivery::is_id(id) {
            return Ok(false);
        }
        let stopping = || io::Error::other("the server is stopping");
        let (answer, answered) = oneshot::channel();
        let command = Command::Redeliver { webhook: webhook.to_owned(), id: id.to_owned(), answer };
        self.0.commands.send(command).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }

    /// Sends a test event to a webhook, once; `None` if there is no webhook with this name.
    pub async fn test(&self, webhook: &str) -> Option<Attempt> {
        let target = self.0.target(webhook)?;
        Some(target.client.test(webhook).await)
    }

    /// The deliveries of a webhook in one state or in all, newest first, and how many there are; `None` if there is no
    /// webhook with this name.
    ///
    /// # Errors
    /// If the disk refuses.
    pub async fn deliveries(
        &self,
        webhook: &str,
        state: Option<DeliveryState>,
        page: Range<usize>,
    ) -> Option<io::Result<(Vec<DeliveryRow>, usize)>> {
        let target = self.0.target(webhook)?;
        let read = move || {
            let all = target.queue().list(state);
            let mut rows = Vec::new();
            for (id, state) in all.iter().skip(page.start).take(page.len()) {
                // One that has changed its state meanwhile is skipped.
                let delivery = target.read(*state, id).map_err(|error| error.source)?;
                rows.extend(delivery.map(|delivery| DeliveryRow { state: *state, delivery }));
            }
            Ok((rows, all.len()))
        };
        Some(self.0.pool.run(read).await.map_err(io::Error::from).flatten())
    }

    fn problem(&self) -> Option<String> {
        self.0.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    fn is_active(&self) -> bool {
        self.active.load(Ordering::Relaxed)
    }

    fn set_active(&self, active: bool) {
        self.active.store(active, Ordering::Relaxed);
    }

    fn targets(&self) -> Vec<Arc<Target>> {
        self.targets.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn target(&self, name: &str) -> Option<Arc<Target>> {
        self.targets().into_iter().find(|target| target.webhook.name == name)
    }

    fn set_targets(&self, targets: Vec<Arc<Target>>) {
        *self.targets.write().unwrap_or_else(PoisonError::into_inner) = targets;
    }

    /// Returns whether the problem is new.
    fn set_problem(&self, problem: Option<String>) -> bool {
        let mut known = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = problem.is_some() && known.is_none();
        *known = problem;
        is_new
    }
}
