//! Fuzz invariants of the readers of a job's files, for any content.

use super::{
    JobId,
    master::Master,
    plan::Plan,
    progress::{self, JobFacts, Lists, ProgressDocument, RepositoryEvent},
    repository::RepositoryStatus,
    state::Summary,
    status_file::{StatusPatch, raw_object},
};
use chrono::DateTime;

/// Reads the same bytes as each file of a job, and builds the served documents.
pub(crate) fn status(bytes: &[u8]) {
    let status = RepositoryStatus::parse(7, bytes).map(|parsed| parsed.0).ok();
    let master = Master::parse(bytes).map(|parsed| parsed.0).ok();
    if let Ok(plan) = serde_json::from_slice::<Plan>(bytes) {
        let again = serde_json::to_vec(&plan).expect("a plan is JSON");
        assert_eq!(serde_json::from_slice::<Plan>(&again).ok().as_ref(), Some(&plan));
        assert!(plan.counted().count() <= plan.repositories.len());
    }
    let id: JobId = "job".parse().expect("a name");
    if let Some(master) = &master {
        let again = serde_json::to_vec(&master.to_json()).expect("a master file is JSON");
        let (again, _) = Master::parse(&again).expect("what is written can be read");
        assert_eq!(again.final_state(), master.final_state());
    }
    if let Some(status) = &status {
        check_status(status, &id, bytes);
    }
    let repositories: Vec<_> = status.into_iter().collect();
    document(&id, master.as_ref(), &repositories);
}

fn check_status(status: &RepositoryStatus, id: &JobId, bytes: &[u8]) {
    assert!((0.0..=1.0).contains(&status.fraction()), "{status:?}");
    assert!(!status.display_name().is_empty() && !status.word().is_empty());
    assert_eq!(status.error.is_some(), status.state.is_failure(), "{status:?}");
    serde_json::to_vec(&RepositoryEvent::of(id, status)).expect("an event is JSON");
    // A patch of a shim must result in the state that the shim wrote.
    let patch = StatusPatch {
        index: 7,
        name: "r",
        git_url: "https://h.example/r.git",
        attempt: 2,
        word: "failed",
        now: DateTime::UNIX_EPOCH,
        started_at: None,
        failure: None,
    };
    let patched = serde_json::to_vec(&patch.apply(raw_object(bytes))).expect("a status is JSON");
    let (patched, _) = RepositoryStatus::parse(7, &patched).expect("what is written can be read");
    assert!(patched.state.is_failure() && patched.attempt == Some(2), "{patched:?}");
}

fn document(id: &JobId, master: Option<&Master>, repositories: &[RepositoryStatus]) {
    let of = |wanted: fn(&RepositoryStatus) -> bool| {
        repositories.iter().filter(|status| wanted(status)).count() as u64
    };
    let counted = Summary {
        total_repositories: repositories.len() as u64,
        completed: of(|status| status.state.is_final() && !status.state.is_failure()),
        in_progress: of(|status| status.state.is_working()),
        pending: 0,
        failed: of(|status| status.state.is_failure()),
        reused: of(|status| status.reused_from.is_some()),
    };
    let summary = progress::totalled(master, counted);
    let working = repositories.iter().filter(|status| status.state.is_working());
    let fraction = progress::fraction(&summary, working.map(RepositoryStatus::fraction).sum());
    assert!((0.0..=1.0).contains(&fraction), "{fraction}");
    let facts = JobFacts {
        folder_time: super::time::Timestamp::default(),
        id: id.clone(),
        url: master.and_then(|master| master.group_url.as_deref().map(Into::into)),
        state: progress::state(master, &summary),
        summary,
        skipped: master.and_then(|master| master.skipped_repositories).unwrap_or(0),
        discovering: progress::is_discovering(master),
        discovery_errors: master.map_or(0, |master| master.discovery_errors_total),
        started_at: master.and_then(|master| master.started_at),
        completed_at: master.and_then(|master| master.completed_at),
        error: master.and_then(|master| master.error.as_deref().map(Into::into)),
        schedule: master.and_then(|master| master.schedule.as_deref().map(Into::into)),
        fraction,
        paused: master.is_some_and(|master| master.paused),
        archived: false,
    };
    assert!(facts.percentage() <= 100, "{facts:?}");
    let newest = repositories.iter().filter_map(|status| status.last_update).max();
    for lists in [Lists::Whole, Lists::Omitted] {
        let document = ProgressDocument {
            head: progress::head(&facts, master, &repositories.iter(), lists),
            elapsed_time_seconds: 0,
            tail: progress::tail(&facts, (master, lists), newest, Vec::new(), 1, 0),
        };
        let bytes = serde_json::to_vec(&document).expect("a document is JSON");
        let _: serde_json::Value = serde_json::from_slice(&bytes).expect("it can be read");
    }
}
