//! Commands to an actor whose effects are taken in when the test says so, which makes the order of
//! events between a command and its outcome deterministic.

use super::*;
use crate::{
    model::{listing::PlanPage, master::Master, plan::Plan},
    store::layout::{JobFile, JobsDir},
    supervisor::{
        command::Cancelled,
        job::{NewJob, Planned},
    },
};
use chrono::Utc;

const URL: &str = "https://h.example/group";

/// A command about a job.
type Late = fn(JobId) -> Command;

/// Takes in the outcomes of all effects, and of those that follow.
async fn take_outcomes(actor: &mut Actor) {
    while let Some(outcome) = actor.effects.next().await {
        actor.effect_done(outcome.unwrap());
    }
}

fn page(sequence: u64) -> Planned {
    let name = format!("r{sequence}");
    let mut plan = Plan::of([(name.clone(), format!("{URL}/{name}.git"))]);
    plan.repositories[0].repo_index = Some(u32::try_from(sequence).unwrap() - 1);
    let repositories = plan.repositories;
    Planned::Page(PlanPage { sequence, repositories, ..PlanPage::default() })
}

/// Breaks if repositories that a forge lists while the job's cancel is being written are added: the
/// cancelled job would have repositories that are never scanned. What was listed before is
/// cancelled.
#[tokio::test]
async fn repositories_listed_while_a_cancel_is_written_are_dropped() {
    let root = tempfile::tempdir().unwrap();
    let jobs = JobsDir::new(root.path()).unwrap();
    jobs.create(0o750).unwrap();
    let setup = Setup::of_test(jobs);
    let (planner, mut plannings) = mpsc::unbounded_channel();
    let (load, metrics) = (Arc::new(Load::new(1, 5)), Arc::new(ScanMetrics::new()));
    let mut actor = Actor::new(setup.clone(), Agents::none(), planner, (load, metrics));

    let late: [Late; 3] = [
        |id| Command::Planned { id, planned: page(2), answer: oneshot::channel().0 },
        |id| Command::Waiting { id, reason: Some("a forge".to_owned()) },
        |id| {
            let (answer, _) = oneshot::channel();
            Command::Planned { id, planned: Planned::Failed("of the test".to_owned()), answer }
        },
    ];
    for (number, late) in late.into_iter().enumerate() {
        let id: JobId = format!("job-{number}").parse().unwrap();
        let master = Master::new(&id, URL, None, Vec::new(), Utc::now());
        let job = Box::new(NewJob { id: id.clone(), master, plan: Plan::unknown(), permit: None });
        let (answer, created) = oneshot::channel();
        actor.handle(Command::Create { job, answer });
        take_outcomes(&mut actor).await;
        created.await.unwrap().unwrap();
        assert_eq!(plannings.recv().await.unwrap().id, id);
        // Nothing is started.
        actor.on(Event::Limit(0));
        let (answer, stored) = oneshot::channel();
        actor.handle(Command::Planned { id: id.clone(), planned: page(1), answer });
        take_outcomes(&mut actor).await;
        stored.await.unwrap().unwrap();
        assert_eq!(actor.jobs[&id].master.total_repositories, Some(1));
        assert!(actor.jobs[&id].master.discovering);

        let (answer, cancelled) = oneshot::channel();
        actor.handle(Command::Cancel { id: id.clone(), answer });
        // The cancel is not durable yet, so the planner still lists.
        actor.handle(late(id.clone()));
        take_outcomes(&mut actor).await;
        assert!(matches!(cancelled.await.unwrap(), Cancelled::Done));
        while let Some(discards) = actor.discards.join_next().await {
            actor.discarded(discards.unwrap());
        }
        take_outcomes(&mut actor).await;
        assert!(!actor.jobs.contains_key(&id), "{number}: it has no final state");
        let written = std::fs::read(setup.jobs.job(&id).file(JobFile::Master)).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&written).unwrap();
        let (status, total) = (&written["status"], &written["total_repositories"]);
        assert_eq!((status, total), (&"cancelled".into(), &1.into()), "{number}: {written:#}");
        assert_eq!(written["failed_repositories"][0]["status"], "cancelled", "{written:#}");
        assert!(written["discovering"].is_null(), "{number}: {written:#}");
        assert!(written["waiting_for"].is_null(), "{number}: {written:#}");
        assert!(written["error"].is_null(), "{number}: {written:#}");
    }
}
