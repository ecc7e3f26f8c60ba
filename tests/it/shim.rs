//! The shim alone, started directly with an order as a server sends it: what must hold even if two
//! servers, or a dead one's last order, start a shim for the same repository.

use crate::support::{
    files,
    order::{order, start},
    processes,
    server::{Setup, TestServer},
    wait::eventually,
};
use scanwatch::store::read::Signature;

/// The exit codes by which a shim reports to its server what became of the order.
const OVER: i32 = 0;
const BUSY: i32 = 75;
const STALE: i32 = 76;

/// A folder with one job, made by a dead server: its guard kills what the test leaves.
async fn job() -> (TestServer, String) {
    let mut server = Setup::new().start().await;
    server.kill9().await;
    let job = server.setup().write_group(1);
    (server, job)
}

/// Breaks if a repository is scanned twice because two servers sent the same order.
#[tokio::test]
async fn an_attempt_begins_at_most_once() {
    let (server, job) = job().await;
    let noting = format!("echo run >> \"{}/runs\"", server.folder().display());
    let first = order(server.setup(), &job, 0, 1, &noting);
    assert_eq!(start(&first).wait().unwrap().code(), Some(OVER));
    let status = server.job_folder(&job).join("repo_0.json");
    let before = Signature::at(&status);
    assert_eq!(start(&first).wait().unwrap().code(), Some(STALE));
    assert_eq!(Signature::at(&status), before, "whoever is late leaves no trace");
    let second = order(server.setup(), &job, 0, 2, &noting);
    assert_eq!(start(&second).wait().unwrap().code(), Some(OVER));
    assert_eq!(start(&first).wait().unwrap().code(), Some(STALE));
    assert_eq!(files::text(&server.file("runs")), "run\nrun\n");
}

/// Breaks if a command that was sent before its shim could receive a signal is not found beside the
/// lock.
#[tokio::test]
async fn a_command_sent_before_the_shim_listens_is_obeyed() {
    let (server, job) = job().await;
    let noting = format!("echo run >> \"{}/runs\"", server.folder().display());
    let left = server.job_folder(&job).join("locks/repo_0.order.json");
    for (attempt, reason, status) in [(1, "stop", "interrupted"), (2, "cancel", "cancelled")] {
        let text = format!("{{\"attempt\": {attempt}, \"reason\": \"{reason}\"}}");
        std::fs::create_dir_all(left.parent().unwrap()).unwrap();
        files::write(&left, text);
        let shim = order(server.setup(), &job, 0, attempt, &noting);
        assert_eq!(start(&shim).wait().unwrap().code(), Some(OVER));
        assert_eq!(server.status_file(&job, 0)["status"], status, "{reason}");
        assert!(!server.file("runs").exists(), "{reason}: its scanner was started");
    }
}

/// Breaks if a second shim writes, or kills anything, before it knows that it is the only one.
#[tokio::test]
async fn a_shim_that_finds_another_leaves_without_a_trace() {
    let (server, job) = job().await;
    let waiting = format!(
        "echo $$ > \"{0}/pid\"; while [ ! -e \"{0}/go\" ]; do sleep 0.05; done",
        server.folder().display()
    );
    let mut first = start(&order(server.setup(), &job, 0, 1, &waiting));
    let scanner: u32 = server.note("pid").await.parse().unwrap();
    let folder = server.job_folder(&job);
    let facts = || {
        let mut facts: Vec<_> =
            files::below(&folder).into_iter().map(|path| (Signature::at(&path), path)).collect();
        facts.retain(|(_, path)| path.extension().is_none_or(|extension| extension != "lock"));
        facts
    };
    let before = facts();
    for attempt in [1, 2] {
        let mut second = start(&order(server.setup(), &job, 0, attempt, "exit 1"));
        assert_eq!(second.wait().unwrap().code(), Some(BUSY));
    }
    assert_eq!(facts(), before);
    assert!(processes::lives(scanner), "the first goes on");
    assert_eq!(server.shim(&job, 0).unwrap().pid, first.id());
    files::write(&server.file("go"), "");
    assert_eq!(first.wait().unwrap().code(), Some(OVER));
    assert_eq!(server.status_file(&job, 0)["status"], "completed");
    eventually("no process is left", async || server.processes().is_empty()).await;
}
