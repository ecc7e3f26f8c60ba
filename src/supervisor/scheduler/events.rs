//! What drives the queue, and what follows from it.
//!
//! Input: none; plain data. Output: events, effects, and the state of a job when the scheduler first sees it.
//!
//! Invariant: they name repositories, hosts, labels and users, and hold nothing of the loop.

use super::{
    labels::Label,
    user_shares::{User, Weights},
};
use crate::{
    model::{JobId, attempt::OrderReason, target_key::TargetKey},
    supervisor::{RepoKey, throttling::Host},
};
use std::collections::HashMap;

/// Everything that drives the queue.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::supervisor) enum Event {
    /// The jobs that were found at start follow; nothing is started until all of them are known.
    RecoveryBegun,
    RecoveryDone,
    /// A job was created, reopened or found at start.
    Submitted(JobId, Standing),
    /// What repositories of a job are, before they are queued.
    Targets(JobId, Vec<(u32, TargetKey)>),
    /// The job turned out to be a single repository.
    IsSingle(JobId),
    /// Repositories of a job have been listed. `ending` more of them are not started, and their
    /// final states are being written.
    Planned {
        job: JobId,
        queued: Vec<u32>,
        ending: usize,
        /// Whether the listing goes on.
        more: bool,
    },
    /// The repositories could not be listed: the job has none.
    PlanFailed(JobId),
    /// A shim has exited, and its repository has failed.
    Finished(RepoKey),
    /// A shim has exited, and its repository is completed.
    Completed(RepoKey),
    /// A scan has run so long that another job may claim its slot.
    Slow(RepoKey),
    /// A shim has exited, and its repository is to be scanned again.
    Again(RepoKey),
    /// A shim has exited, and its repository is to be retried after a pause.
    Paused(RepoKey),
    /// The pause has ended.
    PauseEnded(RepoKey),
    /// The pause has ended, and the repository is to be scanned while nothing else is.
    PauseEndedAlone(RepoKey),
    /// The disk is too full to start this repository: it and all others wait.
    NoSpace(RepoKey),
    SpaceAgain,
    /// A cancel of the job is being written: no more of its repositories are started.
    CancelBegun(JobId),
    /// The cancel is durable.
    CancelAsked(JobId),
    /// The final states of this many repositories that are not started have been written.
    Discarded(JobId, usize),
    /// The job's folder is gone or about to be removed: nothing can be written.
    Vanished(JobId),
    /// Nothing more of the job is started until it is resumed.
    Suspended(JobId),
    Resumed(JobId),
    /// The job goes before the other jobs of its user, at this time.
    Bumped(JobId, i64),
    /// This many shims may run from now on.
    Limit(usize),
    /// This many of them are in use from now on: fewer than the limit under pressure.
    Slots(usize),
    /// The hosts that accept a limited number of scans at once from now on.
    HostLimits(HashMap<Host, usize>),
    /// How many slots the agents of each label have from now on.
    LabelLimits(HashMap<Label, usize>),
    Weights(Weights),
    StopAsked,
}

/// The state of a job when the scheduler first sees it.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "facts that do not depend on each other")]
pub(in crate::supervisor) struct Standing {
    pub(in crate::supervisor) queued: Vec<u32>,
    /// Repositories whose shims live already.
    pub(in crate::supervisor) running: Vec<u32>,
    /// Repositories that wait for a retry.
    pub(in crate::supervisor) paused: Vec<u32>,
    /// How many repositories are not started and have their final states written.
    pub(in crate::supervisor) ending: usize,
    /// Nothing of the job is started.
    pub(in crate::supervisor) cancelled: bool,
    /// Its repositories are still being listed.
    pub(in crate::supervisor) planning: bool,
    /// Further queued repositories, each to be scanned while nothing else is.
    pub(in crate::supervisor) alone: Vec<u32>,
    /// The running repository that is being scanned while nothing else is.
    pub(in crate::supervisor) running_alone: Option<u32>,
    /// The host of its repositories.
    pub(in crate::supervisor) host: Option<Host>,
    /// The label of the agents that scan it, if agents do.
    pub(in crate::supervisor) label: Option<Label>,
    pub(in crate::supervisor) user: User,
    /// It is a job of a single repository, not of a group.
    pub(in crate::supervisor) single: bool,
    /// Nothing of it is started until it is resumed.
    pub(in crate::supervisor) suspended: bool,
    /// When it was bumped, if it was.
    pub(in crate::supervisor) bumped: Option<i64>,
}

/// What the loop has to do.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::supervisor) enum Effect {
    Spawn(RepoKey),
    /// Order a running shim to end.
    End(RepoKey, OrderReason),
    /// Publish that a repository waits until the same one is not scanned any more.
    NoteSame {
        waiting: RepoKey,
        running: RepoKey,
    },
    /// Write the final states of repositories that are not started.
    Discard(JobId, Vec<u32>),
    /// The job's repositories need not be listed any more.
    StopPlanning(JobId),
    /// Every repository of the job is finished.
    Finish(JobId),
}
