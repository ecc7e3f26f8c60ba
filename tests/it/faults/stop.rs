//! A planned stop in the middle of five scans, repeated.

use crate::support::{
    files,
    forge::{Behaviour, Forge},
    processes,
    rounds::rounds,
    server::{Setup, TestServer},
    wait::eventually,
};
use rustix::process::Signal;
use serde_json::json;
use std::time::{Duration, Instant};

/// The time limit of a stop: the contract's, and what a service manager waits for.
const IN_TIME: Duration = Duration::from_secs(10);

async fn five_scans(server: &TestServer, forge: &Forge) -> Vec<String> {
    let seen = forge.seen().len();
    let mut jobs = Vec::new();
    for number in 0..5 {
        let url = forge.url(&format!("part-{number}"));
        jobs.push(server.submit_with(&json!({ "git_url": url })).await);
    }
    eventually("five gits ask the forge", async || forge.seen().len() >= seen + 5).await;
    jobs
}

/// Breaks if a stop takes longer than it may, leaves a process or a scratch folder behind, does not
/// succeed, or loses one of the scans it ended.
#[tokio::test]
async fn a_stop_in_the_middle_of_five_scans_is_quick_and_leaves_nothing() {
    let forge = Forge::start();
    for number in 0..5 {
        forge.add_repository(&format!("part-{number}"), &[("package.json", b"{}")]);
    }
    let forges = format!("[{{ kind = \"git\", url = \"{}\" }}]", forge.base());
    let mut server = Setup::new().set("forges", forges).start().await;
    let mut slowest = Duration::ZERO;
    for round in 0..rounds(3) {
        forge.behave(Behaviour::Silent);
        let jobs = five_scans(&server, &forge).await;
        let signal = if round % 2 == 0 { Signal::TERM } else { Signal::INT };
        let began = Instant::now();
        assert_eq!(server.stop(signal).await, Some(0), "round {round}");
        slowest = slowest.max(began.elapsed());
        assert!(slowest < IN_TIME, "round {round} took {slowest:?}");
        let left: Vec<_> = server.processes().into_iter().map(processes::describe).collect();
        assert!(left.is_empty(), "round {round} left {left:#?}");
        assert_eq!(super::left_in_staging(&server), [""; 0], "round {round}");
        forge.behave(Behaviour::Honest);
        server.restart().await;
        for job in &jobs {
            let document = server.finished(job).await;
            assert_eq!(document["status"], "completed", "round {round}: {document:#}");
            assert_eq!(server.status_file(job, 0)["attempt"], 2, "round {round}");
        }
    }
    #[expect(clippy::print_stderr, reason = "the figure that docs/reliability.md gives")]
    {
        eprintln!("the slowest of {} stops took {slowest:?}", rounds(3));
    }
}

/// Breaks if a second signal does not stop at once.
#[tokio::test]
async fn a_second_signal_stops_at_once_and_the_next_server_goes_on() {
    let mut server = Setup::new()
        .shell(
            "trap '' TERM\nsay scanning\n\
             echo $$ > \"$dir/pid.part\"; mv \"$dir/pid.part\" \"$dir/pid\"\n\
             while [ ! -e \"$dir/go\" ]; do sleep 0.05; done\nsay completed\n",
        )
        .set("scanner.kill_grace_secs", 60)
        .set("server.stop_grace_secs", 60)
        .start()
        .await;
    let job = server.submit("stubborn").await;
    let scanner: u32 = server.note("pid").await.parse().unwrap();
    server.working(&job).await;
    let server_pid = server.pid();
    server.signal(server_pid, Signal::TERM);
    eventually("it is stopping", async || server.setup().log().contains("INFO stopping")).await;
    let began = Instant::now();
    assert_eq!(server.stop(Signal::TERM).await, Some(130));
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    assert!(processes::lives(scanner), "what runs goes on to its end");
    server.restart().await;
    files::write(&server.file("go"), "");
    assert_eq!(server.finished(&job).await["status"], "completed");
}
