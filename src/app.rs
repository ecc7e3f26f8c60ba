//! Builds and connects the components, recovers the jobs of a dead server, and stops in order.
//!
//! Input: settings. Output: a running [`Engine`], the same for the service and for a scan from the
//! command line. Invariants: one engine per jobs folder; all attempts on the disk are finalized or
//! adopted before a new one starts; a stop leaves no process behind.

mod clean_up;
mod deferred_recovery;
mod reload;

use crate::{
    archive::{ObjectArchive, StorageError},
    config::{Config, CurrentConfig, WatchMode},
    intake::Intake,
    live::{
        ArchivedJobs, Live, LiveJob, Nudger, PackageIndexes, Plans, Results, WatchOptions, Watcher,
    },
    pool::Pool,
    sbom::Document,
    schedules::{self, Schedules},
    store::{
        StoreError, layout::JobsDir, packed_jobs::PackedJobs, server_lock::ServerLock, space::Space,
    },
    supervisor::{self, Agents, Isolation, Recovered, Setup, Supervisor},
    sys::cgroup,
    webhooks::{Documents, Webhooks},
};
use clean_up::{CleanUp, sweep};
use deferred_recovery::DeferredRecovery;
use std::{
    io,
    path::PathBuf,
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};
use tokio::{sync::mpsc, task::spawn_blocking};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Why an engine does not start, or why a server stopped unexpectedly.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the jobs folder `{}` is in use by another scanwatch; stop it or choose another [jobs] dir", .0.display())]
    Locked(PathBuf),
    #[error("cannot use the jobs folder")]
    Store(#[from] StoreError),
    #[error("cannot start the watcher")]
    Watcher(#[source] io::Error),
    #[error("cannot listen on {address}")]
    Listen { address: std::net::SocketAddr, source: io::Error },
    #[error("{0}")]
    Credentials(String),
    #[error("{0}")]
    Tls(String),
    #[error("{0}")]
    Engine(String),
    #[error(
        "the archive in {place} cannot be used; check [archive] url, endpoint and region, that the bucket exists, and that its \
         credentials may read, write, list and delete objects"
    )]
    Archive { place: String, source: StorageError },
    #[error(
        "internal error: the queue has stopped; restart the server: running scans continue, and queued \
         ones are on the disk"
    )]
    QueueEnded,
}

/// The running components.
#[derive(Debug)]
pub struct Engine {
    pub config: CurrentConfig,
    pub live: Arc<Live>,
    pub nudger: Nudger,
    pub results: Arc<Results>,
    pub packages: Arc<PackageIndexes>,
    pub plans: Arc<Plans>,
    pub archived: Arc<ArchivedJobs>,
    pub supervisor: Supervisor,
    pub intake: Intake,
    pub isolation: Arc<Isolation>,
    pub space: Arc<Space>,
    /// The schedules of a service; a scan from the command line has none.
    schedules: Option<Schedules>,
    pub webhooks: Webhooks,
    /// The object storage that finished jobs are archived in, if there is one.
    pub archive: Option<ObjectArchive>,
    /// The `PATH` of the scanners.
    path: String,
    /// The number of jobs that could not be read at the start and are not recovered yet.
    pub unread: Arc<AtomicUsize>,
    jobs: JobsDir,
    watcher: Watcher,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Engine {
    /// Locks the jobs folder, recovers its jobs, and starts all components. No finished job is removed that is not in `archive`,
    /// if there is one.
    ///
    /// # Errors
    /// The reason why the engine cannot start; in this case nothing has been changed.
    pub async fn start(config: Config, archive: Option<ObjectArchive>) -> Result<Self, StartError> {
        let config = with_absolute_command(config);
        let jobs = JobsDir::new(&config.jobs.dir)?;
        let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".into());
        let space = Space::new(&jobs, reload::floor(&config));
        let space = Arc::new(space.for_fetches_of(config.limits.max_fetch_bytes));
        let setup = Setup {
            config: CurrentConfig::new(config.clone()),
            jobs: jobs.clone(),
            space: Arc::clone(&space),
            path: path.clone(),
        };
        let agents = Agents::open(&setup).await.map_err(StartError::Engine)?;
        let recovered = {
            let setup = setup.clone();
            run_blocking(move || prepare(&setup)).await?
        };
        let tasks = TaskTracker::new();
        let isolation = Arc::new(Isolation::new(&config.scanner));
        let (Recovered { jobs: recovered, unread }, packed) = recovered;
        let (planner, plannings) = mpsc::unbounded_channel();
        let supervisor = Supervisor::start(setup.clone(), agents, recovered, planner, &tasks);
        let (live, watcher) = Watcher::start(jobs.clone(), packed, watch_options(&config))
            .map_err(StartError::Watcher)?;
        let archived = Arc::new(ArchivedJobs::new(&jobs, &live));
        let results = Results::new(jobs.clone()).with_archived(Arc::clone(&archived));
        let results = Arc::new(results);
        let webhooks = Webhooks::new(setup.config.clone(), Arc::clone(&live), &jobs);
        let engine = Self {
            packages: Arc::new(PackageIndexes::new(Arc::clone(&results))),
            results,
            plans: Arc::new(Plans::new(jobs.clone()).with_archived(Arc::clone(&archived))),
            archived,
            config: setup.config.clone(),
            intake: Intake::new(setup.clone(), supervisor.clone(), plannings, &tasks),
            nudger: watcher.nudger(),
            live,
            supervisor,
            isolation,
            space,
            schedules: None,
            webhooks,
            archive,
            path,
            unread: Arc::new(AtomicUsize::new(unread.len())),
            jobs,
            watcher,
            tasks,
            shutdown: CancellationToken::new(),
        };
        let deferred_recovery = DeferredRecovery {
            setup,
            supervisor: engine.supervisor.clone(),
            remaining: Arc::clone(&engine.unread),
            pool: Pool::new("unread-jobs", 1),
        };
        let shutdown = engine.shutdown.clone();
        engine.tasks.spawn(async move {
            let _ = shutdown.run_until_cancelled(deferred_recovery.run(unread)).await;
        });
        let clean_up = CleanUp {
            live: Arc::clone(&engine.live),
            nudger: engine.nudger.clone(),
            results: Arc::clone(&engine.results),
            packages: Arc::clone(&engine.packages),
            plans: Arc::clone(&engine.plans),
            archived: Arc::clone(&engine.archived),
            supervisor: engine.supervisor.clone(),
            jobs: engine.jobs.clone(),
            config: engine.config.clone(),
            webhooks: engine.webhooks.clone(),
            archive: engine.archive.clone(),
            pool: Pool::new("clean-up", 1),
        };
        let (every, shutdown) = (config.jobs.cleanup_interval, engine.shutdown.clone());
        engine.tasks.spawn(async move {
            let _ = shutdown.run_until_cancelled(clean_up.run(every)).await;
        });
        Ok(engine)
    }

    /// The jobs folder.
    pub fn jobs(&self) -> &JobsDir {
        &self.jobs
    }

    /// Reads the schedules and starts to run them.
    pub async fn start_schedules(&mut self) -> Schedules {
        let parts = schedules::Parts {
            config: self.config.clone(),
            intake: self.intake.clone(),
            live: Arc::clone(&self.live),
            nudger: self.nudger.clone(),
            jobs: self.jobs.clone(),
        };
        let schedules = Schedules::start(parts, &self.tasks, self.shutdown.clone()).await;
        self.schedules.insert(schedules).clone()
    }

    /// Starts to notify the webhooks of the settings.
    pub fn start_webhooks(&self, documents: Documents) {
        self.webhooks.start(documents, &self.tasks, self.shutdown.clone());
    }

    /// Starts to archive finished jobs. `documents` makes bills of materials.
    pub fn start_archive(
        &self,
        documents: impl Fn(&Arc<LiveJob>, u32) -> Document<'static> + Send + Sync + 'static,
    ) {
        if let Some(archive) = &self.archive {
            let (live, config) = (Arc::clone(&self.live), self.config.clone());
            archive.start(live, config, documents, &self.tasks, self.shutdown.clone());
        }
    }

    /// Starts the self-test of the scanners' sandbox in the background.
    pub fn test_isolation(&self) {
        let isolation = Arc::clone(&self.isolation);
        let (config, path) = (self.config.get(), self.path.clone());
        let (staging, shutdown) = (self.jobs.staging(), self.shutdown.clone());
        self.tasks.spawn(async move {
            let test = isolation.test(&config.scanner, &path, &staging);
            let _ = shutdown.run_until_cancelled(test).await;
        });
    }

    /// Ends all scanners in order (their repositories are queued for the next start) and stops all
    /// components. Waits for at most `grace`.
    pub async fn stop(self, grace: Duration) {
        self.shutdown.cancel();
        self.supervisor.stop(grace).await;
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                tasks = self.tasks.len(),
                "the grace period of the stop has passed; unfinished tasks are aborted"
            );
        }
        // Joins the watcher's thread, which may still be reading a file.
        let watcher = self.watcher;
        let _ = spawn_blocking(move || drop(watcher)).await;
    }
}

/// Creates and locks the jobs folder, and recovers its jobs.
fn prepare(setup: &Setup) -> Result<(Recovered, PackedJobs), StartError> {
    let jobs = &setup.jobs;
    let config = setup.config.get();
    jobs.create(config.jobs.folder_mode)?;
    let lock = ServerLock::take(jobs)?.ok_or_else(|| StartError::Locked(jobs.root().to_owned()))?;
    setup.space.adopt(lock);
    sweep(jobs, None);
    cgroup::remove_empty();
    if config.scanner.stall_timeout_secs <= config.scanner.update_interval_secs {
        tracing::warn!(
            "scanner.stall_timeout_secs is not longer than scanner.update_interval_secs: \
             healthy scanners may be ended as stalled; raise scanner.stall_timeout_secs"
        );
    }
    let packed = PackedJobs::read(jobs);
    let recovered = supervisor::recover(setup, &packed)?;
    Ok((recovered, packed))
}

/// Resolves a relative path of the scanner against the working directory of the server, because
/// scanners start in their scratch folders.
fn with_absolute_command(mut config: Config) -> Config {
    if let Some(program) = config.scanner.command.first_mut()
        && program.contains('/')
        && let Ok(absolute) = std::path::absolute(&*program)
    {
        *program = absolute.to_string_lossy().into_owned();
    }
    config
}

fn watch_options(config: &Config) -> WatchOptions {
    WatchOptions {
        notify: config.watch.mode == WatchMode::Auto,
        poll_interval: config.watch.poll_interval,
        resync_interval: config.watch.resync_interval,
    }
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(StartError::Watcher(error.into())),
    }
}
