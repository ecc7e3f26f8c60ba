//! Why the service is degraded: sentences for `/health`, each with a word for `/metrics`.
//!
//! Input: the state of the other components. Output: the current problems, in order.
//!
//! Invariants: the words are a closed list, [`REASONS`]; no text contains a path or a secret.

use crate::{api::state::Api, archive::ObjectArchive, config::EngineKind, store::space::Obstacle};
use chrono::Utc;
use std::sync::atomic::Ordering;

/// Every reason, as the label of `scanwatch_degraded`.
pub(super) const REASONS: [&str; 17] = [
    SETTINGS,
    ACCOUNTS,
    CERTIFICATE,
    SANDBOX,
    STARTING,
    SPACE,
    DISK,
    UNREAD_JOBS,
    STOPPED_SHIMS,
    WATCHER,
    SCHEDULES,
    WEBHOOKS,
    PRESSURE,
    ARCHIVE,
    OBJECT_STORAGE,
    AGENTS,
    SLURM,
];

/// The settings cannot be read again.
const SETTINGS: &str = "settings";
/// A file of users or tokens is invalid.
const ACCOUNTS: &str = "accounts";
/// The certificate is invalid or expires soon.
const CERTIFICATE: &str = "certificate";
/// A part of the sandbox is missing, and the settings require it.
const SANDBOX: &str = "sandbox";
/// The jobs folder is being read for the first time.
const STARTING: &str = "starting";
/// Too little space is free for new jobs, or for another scan.
const SPACE: &str = "space";
/// The jobs folder is gone, read-only, or accepts no writes.
const DISK: &str = "disk";
/// Unfinished jobs cannot be read.
const UNREAD_JOBS: &str = "unread_jobs";
/// Processes that supervise scans are stopped.
const STOPPED_SHIMS: &str = "stopped_shims";
/// Changes of files are detected late, or not at all.
const WATCHER: &str = "watcher";
/// A schedule is invalid, or its state cannot be read or stored.
const SCHEDULES: &str = "schedules";

/// How many problems of schedules are listed one by one.
const LISTED_SCHEDULES: usize = 10;
/// A webhook does not work.
const WEBHOOKS: &str = "webhooks";
/// Pressure on the machine has left a single slot for long.
const PRESSURE: &str = "pressure";
/// Expired jobs cannot be archived or removed, or archived ones cannot be cleaned up.
const ARCHIVE: &str = "archive";
/// Finished jobs cannot be uploaded to the archive.
const OBJECT_STORAGE: &str = "object_storage";

/// NATS cannot be used, or no agent takes scans.
const AGENTS: &str = "agents";
/// Slurm gives no answer, or refuses scans.
const SLURM: &str = "slurm";

/// What an operator can do about a reason.
pub(super) fn remedy(reason: &str) -> &'static str {
    match reason {
        SETTINGS => "Run `scanwatch config check`, correct the setting, and send SIGHUP again.",
        ACCOUNTS => "Correct the file of users or tokens; the server reads it again by itself.",
        CERTIFICATE => {
            "Replace the certificate and its key; the server reads them again by itself."
        }
        SANDBOX => {
            "Use a kernel that supports the missing parts, or set [scanner] sandbox = \"auto\" and \
             restart the server."
        }
        STARTING => "Wait: lists are complete when /readyz answers with 200.",
        SPACE => {
            "Free space on the disk of the jobs folder: remove jobs, or shorten [jobs] \
             retention_hours. Queued repositories go on by themselves."
        }
        DISK => {
            "Make the jobs folder available and writable again: check its mount, its permissions and \
             the kernel log. Queued repositories go on by themselves."
        }
        UNREAD_JOBS => {
            "Look up the job and the cause in the server's log, and repair or remove the file."
        }
        STOPPED_SHIMS => "Resume the processes with SIGCONT, or cancel their jobs.",
        WATCHER => {
            "Raise fs.inotify.max_user_watches if the limit is reached; otherwise check the disk, and \
             restart the server. Changes are seen late meanwhile, and none is lost."
        }
        SCHEDULES => {
            "Correct the file in .schedules of the jobs folder and send SIGHUP; or replace the schedule by \
             `PUT /schedules/{name}`, or remove it."
        }
        WEBHOOKS => {
            "Repair the target, and try it with `scanwatch webhook test NAME`. A target that answered 410 \
             is used again after SIGHUP. What was given up: `scanwatch webhook redeliver NAME --failed`."
        }
        PRESSURE => {
            "Find out what uses the memory, the disks or the processors of the machine: /health names \
             the resource. Scans go on meanwhile, one at a time; more follow by themselves."
        }
        OBJECT_STORAGE => {
            "Make the object storage of [archive] available again: check its network, its bucket and the permissions of its \
             credentials. Uploads go on by themselves; jobs stay here meanwhile, so watch the free space."
        }
        ARCHIVE => {
            "Make the disk of the jobs folder writable, and `.results` in it; the log names each file. The next \
             clean-up tries again."
        }
        AGENTS => {
            "Make NATS reachable for the server, give it room to store, and start or enroll agents: `scanwatch agents` \
             lists them. Running scans go on, and queued ones start by themselves."
        }
        SLURM => {
            "Make slurmctld reachable for the server: `squeue` and `sbatch` must work as its user; check [slurm] if jobs are \
             refused. Running scans go on, and queued ones are submitted by themselves."
        }
        _ => "Look up the problem in the server's log.",
    }
}

/// The current problems: the reason, and a sentence for people.
pub(super) fn problems(api: &Api, obstacle: Option<&Obstacle>) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let mut add = |reason, texts: Vec<String>| {
        problems.extend(texts.into_iter().map(|text| (reason, text)));
    };
    let config = api.config.get();
    add(WATCHER, api.live.problems(config.watch.resync_interval));
    if api.config.is_outdated() {
        let text = "the settings were changed and are invalid, so the previous ones stay in force; the \
                    log names the setting; correct it and send SIGHUP again";
        add(SETTINGS, vec![text.to_owned()]);
    }
    add(ACCOUNTS, api.auth.problems());
    add(SANDBOX, api.isolation.problem().into_iter().collect());
    add(CERTIFICATE, api.tls.as_ref().map(|tls| tls.problems()).unwrap_or_default());
    if !api.live.is_ready() {
        add(STARTING, vec!["the jobs folder is being read for the first time".to_owned()]);
    }
    if let Some(obstacle) = obstacle {
        let reason = match obstacle {
            Obstacle::Short(_) | Obstacle::Crowded(_) => SPACE,
            _ => DISK,
        };
        let text = format!("new jobs are refused and queued repositories wait: {obstacle}");
        add(reason, vec![text]);
    }
    add(SPACE, api.space.crowding().into_iter().collect());
    add(
        STOPPED_SHIMS,
        api.supervisor.scan_metrics().stopped_shims().problem().into_iter().collect(),
    );
    let schedules = &api.schedules.published().problems;
    // Each is listed in /schedules.
    let texts = schedules.iter().take(LISTED_SCHEDULES);
    let mut texts: Vec<_> =
        texts.map(|problem| format!("schedule `{}`: {}", problem.name, problem.problem)).collect();
    if schedules.len() > LISTED_SCHEDULES {
        texts.push(format!(
            "{} schedules have problems; GET /schedules lists them",
            schedules.len()
        ));
    }
    add(SCHEDULES, texts);
    add(WEBHOOKS, api.webhooks.problems());
    add(ARCHIVE, api.archived.problem().into_iter().collect());
    add(PRESSURE, api.supervisor.limits().problem(Utc::now()).into_iter().collect());
    add(
        OBJECT_STORAGE,
        api.archive.as_ref().and_then(ObjectArchive::problem).into_iter().collect(),
    );
    let engine = api.supervisor.agents().state();
    let reason = if engine.kind == EngineKind::Slurm { SLURM } else { AGENTS };
    add(reason, engine.waiting_reason().into_iter().collect());
    let unread = api.unread.load(Ordering::Relaxed);
    if unread > 0 {
        let text = format!(
            "{unread} unfinished jobs cannot be read, so they wait; the server retries; the log \
             names each job and the cause"
        );
        add(UNREAD_JOBS, vec![text]);
    }
    problems
}
