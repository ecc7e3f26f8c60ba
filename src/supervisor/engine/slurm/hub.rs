//! What the parts of the engine share: what is known of the jobs and of the shared folder, and what is to be done.
//!
//! Input: answers of Slurm, and listings of the folder. Output: both for the attempts, the capacity for the loop, the state for /health.
//!
//! Invariants: no lock is held across an await; an answer that failed changes what is known of no job.

use super::{
    commands::Commands,
    listing::{self, Listing},
};
use crate::{
    config::{EngineKind, SlurmConfig},
    model::element::{ArrayName, ElementName},
    pool::Pool,
    store::elements::{Elements, Listed},
    supervisor::{
        Setup,
        agents::{Capacity, EngineState},
        scheduler::Label,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};
use tokio::sync::watch;

/// The threads for the files of attempts.
const THREADS: usize = 16;

/// What is known at one time.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    /// The jobs, as Slurm listed them last; `None` if it never has.
    pub(super) listing: Option<Arc<Listing>>,
    /// The elements whose attempts have ended.
    pub(super) ended: Arc<BTreeSet<ElementName>>,
}

/// What the parts of the engine share.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) setup: Setup,
    pub(super) config: SlurmConfig,
    pub(super) commands: Commands,
    pub(super) elements: Elements,
    /// The path of scanwatch on the nodes.
    pub(super) program: PathBuf,
    pub(super) pool: Pool,
    /// Whether attempts are given to Slurm; otherwise those that were are followed to their ends.
    pub(super) is_active: bool,
    pub(super) view: watch::Sender<View>,
    pub(super) capacity: watch::Sender<Capacity>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Why Slurm gives no answers.
    unreachable: Option<String>,
    /// Why the last array was refused, and when.
    refused: Option<(String, Instant)>,
    /// Since when every question was answered.
    unbroken_since: Option<Instant>,
    /// The elements whose attempts are under way here.
    followed: HashSet<ElementName>,
    /// The elements whose jobs are to be cancelled.
    to_cancel: BTreeSet<ElementName>,
}

/// The one label: all scans go to the same cluster.
pub(super) fn label() -> Label {
    EngineKind::Slurm.as_str().into()
}

impl Hub {
    pub(super) fn new(setup: Setup, commands: Commands, program: PathBuf) -> Self {
        let config = setup.config.get();
        let hub = Self {
            config: config.slurm.clone(),
            commands,
            elements: Elements::new(&setup.jobs),
            program,
            pool: Pool::new("slurm-files", THREADS),
            is_active: config.engine.kind == EngineKind::Slurm,
            view: watch::Sender::default(),
            capacity: watch::Sender::default(),
            state: Mutex::default(),
            setup,
        };
        hub.state().unreachable = Some("no answer yet".to_owned());
        hub
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks Slurm for all jobs.
    pub(super) async fn ask(&self) {
        let asked_at = Instant::now();
        let answer = self.commands.list().await;
        self.take(asked_at, answer);
    }

    fn take(&self, asked_at: Instant, answer: Result<String, String>) {
        let mut state = self.state();
        match answer {
            Ok(text) => {
                let unbroken_since = *state.unbroken_since.get_or_insert(asked_at);
                if state.unreachable.take().is_some() {
                    tracing::info!("Slurm answers; scans are given to it");
                }
                drop(state);
                let jobs = listing::parse(&text);
                let listing = Arc::new(Listing { asked_at, unbroken_since, jobs });
                self.view.send_modify(|view| view.listing = Some(listing));
            }
            Err(why) => {
                state.unbroken_since = None;
                if state.unreachable.as_ref() != Some(&why) {
                    tracing::warn!(
                        why,
                        "Slurm gives no answer; running scans continue, queued ones wait"
                    );
                }
                state.unreachable = Some(why);
                drop(state);
            }
        }
        self.publish_capacity();
    }

    fn publish_capacity(&self) {
        let slots = if self.state().unreachable.is_none() { self.config.slots } else { 0 };
        let capacity = Capacity { total: slots, by_label: HashMap::from([(label(), slots)]) };
        self.capacity.send_if_modified(|known| {
            let changed = *known != capacity;
            *known = capacity;
            changed
        });
    }

    /// Takes in a listing of the shared folder.
    pub(super) fn take_folder(&self, listed: Listed) {
        self.view.send_if_modified(|view| {
            let changed = *view.ended != listed.ended;
            if changed {
                view.ended = Arc::new(listed.ended);
            }
            changed
        });
    }

    /// An array was submitted, or refused for this reason.
    pub(super) fn note_submission(&self, submitted: Result<(), String>) {
        let mut state = self.state();
        match submitted {
            Ok(()) => state.refused = None,
            Err(why) => {
                if state.refused.as_ref().is_none_or(|(known, _)| *known != why) {
                    tracing::warn!(
                        why,
                        "Slurm refuses an array of scans; they wait and are submitted again"
                    );
                }
                state.refused = Some((why, Instant::now()));
            }
        }
    }

    /// Whether another array may be submitted now: not soon after one was refused, and not while Slurm is away.
    pub(super) fn may_submit(&self) -> bool {
        let state = self.state();
        let waits =
            state.refused.as_ref().is_some_and(|(_, at)| at.elapsed() < self.config.poll_interval);
        state.unreachable.is_none() && !waits
    }

    /// The state for /health.
    pub(super) fn engine_state(&self) -> EngineState {
        let state = self.state();
        let refused = state.refused.as_ref().map(|(why, _)| why.clone());
        let problem = state.unreachable.clone().or(refused);
        let connected = problem.is_none();
        EngineState {
            kind: EngineKind::Slurm,
            connected,
            problem,
            refusal: None,
            agents: Vec::new(),
        }
    }

    /// The attempts of these elements are under way here.
    pub(super) fn follow(&self, names: impl IntoIterator<Item = ElementName>) {
        self.state().followed.extend(names);
    }

    /// The attempt of an element is not under way here any more.
    pub(super) fn leave(&self, name: &ElementName) {
        self.state().followed.remove(name);
    }

    /// Whether the attempt of an element is under way here.
    pub(super) fn is_followed(&self, name: &ElementName) -> bool {
        self.state().followed.contains(name)
    }

    /// The job of an element is to be cancelled.
    pub(super) fn cancel(&self, name: &ElementName) {
        self.state().to_cancel.insert(name.clone());
    }

    /// Cancels the jobs that are to be cancelled and that Slurm lists.
    pub(super) async fn carry_out_cancels(&self) {
        let Some(listing) = self.view.borrow().listing.clone() else { return };
        let mut arrays: BTreeMap<ArrayName, Vec<String>> = BTreeMap::new();
        for name in std::mem::take(&mut self.state().to_cancel) {
            if let Some(job) = listing.jobs.get(&name)
                && job.end().is_none()
            {
                arrays.entry(name.array).or_default().push(job.id.clone());
            }
        }
        for (array, ids) in arrays {
            if let Err(why) = self.commands.cancel(&array, ids).await {
                tracing::warn!(
                    why,
                    "cannot cancel jobs of Slurm that are not needed; they end by themselves once they start"
                );
            }
        }
    }
}
