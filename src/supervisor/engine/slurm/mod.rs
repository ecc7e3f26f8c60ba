//! The engine of a Slurm cluster: attempts are elements of arrays, which run the same shim and scanner on the nodes, in the
//! same jobs folder on a file system that all of them share.
//!
//! Input: tasks, orders, and attempts that an earlier server submitted. Output: attempts, and how they ended.
//!
//! Invariants: the files of an attempt are written on its node, as on this machine; what Slurm and the server must agree on is
//! decided by renames and links in the shared folder (`store::elements`), never by a lock or a number of Slurm; while Slurm is away, running scans
//! go on, and nothing is given up.
//!
//! From the bottom up: what Slurm lists (`listing`, pure), its programs (`commands`), what is shared (`hub`), submissions
//! (`batch`), one attempt (`follow`), the engine over time (`service`).

mod batch;
mod commands;
mod follow;
mod hub;
mod listing;
mod service;

use super::{Attempt, Ending, Runner, Started};
use crate::{
    config::EngineKind,
    model::{attempt::AttemptRecord, element::ElementName, task::ShimTask},
    store::{chain, elements::Elements, trash},
    supervisor::{
        RepoKey, Setup,
        agents::{Capacity, EngineState},
        scheduler::Label,
    },
};
use batch::{Submission, Submitted};
use commands::Commands;
pub(in crate::supervisor) use follow::Element;
use follow::Follower;
use hub::Hub;
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot, watch};

/// How much longer than a scan its job may take: to begin, to end the scan, and to store its results.
const MARGIN: Duration = Duration::from_mins(2);

/// The engine of a Slurm cluster.
#[derive(Debug, Clone)]
pub(in crate::supervisor) struct Slurm {
    hub: Arc<Hub>,
    submissions: mpsc::UnboundedSender<Submission>,
    inbox: service::Inbox,
}

impl Slurm {
    /// The engine, if the settings name it, or if an earlier server gave attempts to it.
    ///
    /// # Errors
    /// Why the engine of the settings cannot be used. A Slurm that gives no answer is no error.
    pub(in crate::supervisor) async fn open(setup: &Setup) -> Result<Option<Self>, String> {
        let config = setup.config.get();
        let is_active = config.engine.kind == EngineKind::Slurm;
        let elements = Elements::new(&setup.jobs);
        if !is_active && elements.list().is_ok_and(|listed| listed.known.is_empty()) {
            return Ok(None);
        }
        let scanner = &config.scanner;
        let limit = Duration::from_secs(scanner.subprocess_timeout_secs)
            + Duration::from_secs(scanner.kill_grace_secs)
            + MARGIN;
        let commands = Commands::new(config.slurm.clone(), setup.path.clone(), limit);
        let program = match &config.slurm.program {
            Some(program) => program.clone(),
            None => std::env::current_exe().map_err(|error| format!("[slurm] program: {error}"))?,
        };
        if is_active {
            check(&commands).await?;
            elements.create().map_err(|error| chain(&error))?;
        }
        let hub = Arc::new(Hub::new(setup.clone(), commands, program));
        hub.ask().await;
        let (submissions, inbox) = mpsc::unbounded_channel();
        Ok(Some(Self { hub, submissions, inbox: Arc::new(Mutex::new(Some(inbox))) }))
    }

    /// Serves the engine without an end.
    pub(in crate::supervisor) async fn serve(self) {
        service::serve(Arc::clone(&self.hub), &self.inbox).await;
    }

    /// How many scans can be given to Slurm, and its changes.
    pub(in crate::supervisor) fn capacity(&self) -> watch::Receiver<Capacity> {
        self.hub.capacity.subscribe()
    }

    /// The state for /health.
    pub(in crate::supervisor) fn state(&self) -> EngineState {
        self.hub.engine_state()
    }

    /// The label of all scans.
    pub(in crate::supervisor) fn label() -> Label {
        hub::label()
    }

    /// Gives an attempt to Slurm, together with others that are to start now.
    pub(super) async fn start(&self, key: RepoKey, task: ShimTask) -> Started {
        let (answer, submitted) = oneshot::channel();
        let submission = Submission { key: key.clone(), task: Box::new(task), answer };
        let _ = self.submissions.send(submission);
        match submitted.await {
            Ok(Ok(Some(Submitted { name, record, registration }))) => {
                let element = Element::new(registration);
                Ok(Some(self.follow((key, name), record, element, Some(Instant::now()))))
            }
            Ok(Ok(None)) | Err(_) => Ok(None),
            Ok(Err(error)) => Err(error),
        }
    }

    /// Continues to follow an attempt that another server gave to Slurm.
    pub(super) fn adopt(
        &self,
        key: &RepoKey,
        name: ElementName,
        record: AttemptRecord,
    ) -> (Attempt, Ending) {
        let folder = self.hub.setup.jobs.job(&key.job);
        let scratch = trash::scratch(&folder, &key.job, key.index, record.attempt);
        let registration = Arc::new(self.hub.setup.space.register(scratch));
        self.hub.follow([name.clone()]);
        self.follow((key.clone(), name), record, Element::new(registration), None)
    }

    fn follow(
        &self,
        of: (RepoKey, ElementName),
        record: AttemptRecord,
        element: Element,
        started: Option<Instant>,
    ) -> (Attempt, Ending) {
        let runner = Runner::Element(element.clone());
        let attempt = Attempt { number: record.attempt, started, runner };
        (attempt, Box::pin(Follower::new(&self.hub, of, record, element).run()))
    }
}

/// Checks that Slurm is installed, and that it would take our jobs.
async fn check(commands: &Commands) -> Result<(), String> {
    let hint =
        "install the client programs of Slurm on this machine, or choose another [engine] kind";
    commands.check().await.map_err(|why| format!("[engine] kind = \"slurm\": {why}; {hint}"))?;
    match commands.test().await {
        Ok(()) => Ok(()),
        Err(why) if is_refusal(&why) => Err(format!(
            "[slurm]: Slurm would refuse the jobs of scans: {why}; check partition, account, qos and sbatch_arguments"
        )),
        // Slurm may be away, or have no node now.
        Err(why) => {
            tracing::warn!(why, "Slurm cannot be asked whether it would accept scans");
            Ok(())
        }
    }
}

/// Whether Slurm will never accept such jobs.
fn is_refusal(why: &str) -> bool {
    let why = why.to_lowercase();
    ["invalid", "unrecognized option", "unknown option", "ambiguous"]
        .iter()
        .any(|word| why.contains(word))
}
