//! An agent from its start to its stop.
//!
//! Input: settings, and requests to stop. Output: attempts that are run.
//!
//! Invariants: a planned stop takes no more attempts and waits for those that run; an agent that is killed leaves its
//! shims to the next run.

use super::{
    adoption, attempt,
    beats::Beats,
    bus::Bus,
    clean_up, logs,
    mirror::Mirror,
    orders,
    pulls::{self, Turns},
    registry::Registry,
    settings::{Settings, SettingsProblem, read_key},
    shared::Shared,
};
use crate::{
    config::{Config, CurrentConfig},
    store::{
        StoreError,
        layout::JobsDir,
        server_lock::ServerLock,
        space::{Floor, Space},
        trash,
    },
    supervisor::{LocalAttempts, Setup},
    sys::{self, cgroup},
    wire::{
        connection::{ConnectError, Connection, Unusable, connect},
        heartbeat::Heartbeat,
        names::AgentName,
        seal::AgentKey,
    },
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// The pause before the streams of the server are looked up again.
const PAUSE: Duration = Duration::from_secs(1);
/// After this time without NATS at start, the log names the cause.
const SLOW_CONNECTION: Duration = Duration::from_secs(3);
/// How long the end of the agent waits for NATS.
const FAREWELL: Duration = Duration::from_secs(5);

/// How far a stop was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    No,
    /// Take no more attempts, and end when those that run have ended.
    Drain,
    /// End those that run, and hand them to other agents.
    HandBack,
}

/// Why an agent ends with an error.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Settings(#[from] SettingsProblem),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "another agent named `{0}` is connected to this NATS; give each agent its own [agent] name"
    )]
    NameTaken(AgentName),
    #[error("another agent or server uses the folder {}; give each its own [agent] dir", .0.display())]
    Locked(PathBuf),
}

/// Runs an agent until a stop is requested.
///
/// # Errors
/// If it cannot start.
pub async fn run(config: Config, stop: watch::Receiver<Stop>) -> Result<(), AgentError> {
    let settings = Settings::of(&config)?;
    let key = read_key(&settings.key_file)?;
    let jobs = JobsDir::new(&settings.dir)?;
    let floor = Floor { bytes: config.jobs.min_free_bytes, inodes: config.jobs.min_free_inodes };
    let space = Space::new(&jobs, floor).for_fetches_of(config.limits.max_fetch_bytes);
    jobs.create(config.jobs.folder_mode)?;
    let lock = ServerLock::take(&jobs)?;
    space.adopt(lock.ok_or_else(|| AgentError::Locked(jobs.root().to_owned()))?);
    cgroup::remove_empty();
    if let Err(error) = trash::sweep(&jobs, None) {
        tracing::warn!(%error, "cannot remove leftovers in .staging");
    }
    let connection = connect(&settings.connection).await?;
    let Some(bus) = open(&settings, &connection, stop.clone()).await? else { return Ok(()) };
    let shared = Arc::new(share(config, &settings, (jobs, space), key, bus));
    serve(shared, &settings, stop).await
}

/// Connects, and finds the streams of the server; `None` if a stop was requested meanwhile.
async fn open(
    settings: &Settings,
    connection: &Connection,
    mut stop: watch::Receiver<Stop>,
) -> Result<Option<Bus>, AgentError> {
    let servers = settings.connection.servers.join(", ");
    let opened = async {
        if timeout(SLOW_CONNECTION, connection.connected()).await.is_err() {
            let cause = connection.link.borrow().error.clone().unwrap_or_default();
            tracing::warn!(servers, cause, "NATS cannot be reached; trying until it can");
            connection.connected().await;
        }
        connection.check().await?;
        tracing::info!(servers, agent = %settings.name, "connected to NATS");
        let mut is_noted = false;
        loop {
            let (names, name) = (settings.names.clone(), settings.name.clone());
            match Bus::open(connection.clone(), names, name, &settings.labels).await {
                Ok(bus) => return Ok(bus),
                Err(error) if !std::mem::replace(&mut is_noted, true) => {
                    tracing::warn!(%error, "the server has not prepared NATS for this agent; waiting for it. Is it running with [engine] kind = \"nats\", is this agent enrolled (scanwatch agent enroll), and has its NATS user the permissions that this printed?");
                }
                Err(_) => {}
            }
            sleep(PAUSE).await;
        }
    };
    tokio::select! {
        opened = opened => opened.map(Some),
        _ = stop.wait_for(|stop| *stop != Stop::No) => Ok(None),
    }
}

fn share(
    config: Config,
    settings: &Settings,
    (jobs, space): (JobsDir, Space),
    key: AgentKey,
    bus: Bus,
) -> Shared {
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".into());
    let setup = Setup {
        config: CurrentConfig::new(config.clone()),
        jobs: jobs.clone(),
        space: Arc::new(space),
        path: path.clone(),
    };
    let registry = Arc::new(Registry::default());
    let instance = uuid::Uuid::now_v7().to_string();
    let mut model = Heartbeat::new(settings.name.clone(), instance, chrono::Utc::now());
    model.slots = u32::try_from(settings.slots).unwrap_or(u32::MAX);
    model.labels.clone_from(&settings.labels);
    key.public().as_str().clone_into(&mut model.public_key);
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Shared {
        beats: Beats::new(bus.clone(), Arc::clone(&registry), model),
        attempts: LocalAttempts::new(setup),
        mirror: Mirror::new(),
        draining: CancellationToken::new(),
        hand_back: CancellationToken::new(),
        folders: Mutex::new(()),
        boot: boot.trim().to_owned(),
        config,
        jobs,
        path,
        key,
        bus,
        registry,
    }
}

async fn serve(
    shared: Arc<Shared>,
    settings: &Settings,
    mut stop: watch::Receiver<Stop>,
) -> Result<(), AgentError> {
    let mut tasks = JoinSet::new();
    tasks.spawn(orders::run(Arc::clone(&shared)));
    tasks.spawn(logs::run(Arc::clone(&shared)));
    tasks.spawn(clean_up::run(Arc::clone(&shared)));
    tasks.spawn(report_link(Arc::clone(&shared)));
    let slots = Arc::new(Semaphore::new(settings.slots));
    if let Err(error) = shared.beats.look_before().await {
        tracing::debug!(%error, "cannot read who had this name before");
    }
    let (mut running, mut ending) = adoption::adopt(&shared, &slots).await?;
    let beats = Arc::clone(&shared);
    tasks.spawn(async move { beats.beats.run().await });
    // A repository must not be delivered to this agent while an old attempt of it ends here.
    while ending.join_next().await.is_some() {}
    let labels: Vec<_> = settings.labels.iter().map(ToString::to_string).collect();
    tracing::info!(agent = %settings.name, slots = settings.slots, ?labels, "the agent is ready for attempts");
    let name_is_taken = shared.beats.name_is_taken.clone();
    tokio::select! {
        () = take(&shared, &slots, &mut running, stop.clone()) => {}
        () = name_is_taken.cancelled() => shared.hand_back.cancel(),
    }
    shared.beats.drain();
    shared.draining.cancel();
    tracing::info!(running = running.len(), "draining: taking no more attempts");
    let ended = async { while running.join_next().await.is_some() {} };
    tokio::pin!(ended);
    let in_time = tokio::select! {
        () = &mut ended => true,
        () = sleep(settings.drain_timeout) => false,
        _ = stop.wait_for(|stop| *stop == Stop::HandBack) => false,
        () = name_is_taken.cancelled() => false,
    };
    if !in_time {
        tracing::warn!("ending running attempts and handing them to other agents");
        shared.hand_back.cancel();
        ended.await;
    }
    tasks.shutdown().await;
    if name_is_taken.is_cancelled() {
        return Err(AgentError::NameTaken(settings.name.clone()));
    }
    let farewell = async {
        if let Err(error) = shared.bus.delete_heartbeat().await {
            tracing::debug!(%error, "the heartbeat stays until it expires");
        }
        let _ = shared.bus.connection.client.flush().await;
    };
    let _ = timeout(FAREWELL, farewell).await;
    sys::cgroup::remove_empty();
    tracing::info!("the agent has stopped");
    Ok(())
}

/// Logs when the connection to NATS is lost and when it is back, until the agent ends.
async fn report_link(shared: Arc<Shared>) {
    let mut link = shared.bus.connection.link.clone();
    let mut was_connected = link.borrow_and_update().connected;
    while link.changed().await.is_ok() {
        let now = link.borrow_and_update().clone();
        if now.connected == was_connected {
            continue;
        }
        was_connected = now.connected;
        if now.connected {
            tracing::info!("connected to NATS again");
        } else {
            let cause = now.error.unwrap_or_default();
            tracing::warn!(
                cause,
                "the connection to NATS is lost; running scans continue, and the agent takes no others until it is connected again"
            );
        }
    }
}

/// Takes attempts until a stop is requested.
async fn take(
    shared: &Arc<Shared>,
    slots: &Arc<Semaphore>,
    running: &mut JoinSet<()>,
    mut stop: watch::Receiver<Stop>,
) {
    let mut turns = Turns::new();
    while *stop.borrow() == Stop::No {
        // Ended attempts are reaped, so that the set stays small.
        while running.try_join_next().is_some() {}
        let slot = async {
            let permit = Arc::clone(slots).acquire_owned().await;
            shared.bus.connection.connected().await;
            permit
        };
        let permit = tokio::select! {
            permit = slot => permit,
            _ = stop.wait_for(|stop| *stop != Stop::No) => return,
        };
        let Ok(permit) = permit else { return };
        // A request for a message is not abandoned: NATS might answer it meanwhile.
        let Some(delivery) = turns.next(shared).await else { continue };
        if *stop.borrow() != Stop::No {
            pulls::hand_back(shared, &delivery).await;
            return;
        }
        let shared = Arc::clone(shared);
        running.spawn(async move {
            attempt::run(shared, delivery).await;
            drop(permit);
        });
    }
}
