//! The supervisor owns what a request has started: it is completed even if the client disconnects,
//! and slow work for one job delays no other.

use crate::support::{
    dice::Dice,
    files,
    forge::{Fault, Forge},
    rounds::rounds,
    server::{Setup, TestServer, is_final},
    wait::{PATIENCE, eventually, until},
};
use serde_json::json;
use std::{fs, time::Duration};
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

/// A request whose client closes its socket after this delay.
async fn abandoned(server: &TestServer, path: &str, body: &str, pause: Duration) {
    let mut line = TcpStream::connect(server.address()).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    line.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(pause).await;
}

/// The jobs that have folders.
fn jobs(server: &TestServer) -> Vec<String> {
    fs::read_dir(server.setup().jobs())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect()
}

/// Waits until every job on the disk is final, by its own file.
async fn all_final(server: &TestServer) -> Vec<String> {
    until(PATIENCE, "every job on the disk is final", async || {
        let jobs = jobs(server);
        for job in &jobs {
            // A job that is on the disk may be unknown for an instant.
            let answer = server.get(&format!("/scan/{job}")).await;
            if answer.status != 200 || !is_final(&answer.json()) {
                return None;
            }
        }
        Some(jobs)
    })
    .await
}

/// Breaks if a submission, or a retry, that has started is left half done when its client
/// disconnects.
#[tokio::test]
async fn a_started_request_is_completed_even_if_its_client_disconnects() {
    let script = r#"if [ -e "$dir/healthy" ]; then say completed; else exit 3; fi"#;
    let server = Setup::new().shell(script).start().await;
    let mut dice = Dice::new(17);
    let body = r#"{"git_url": "https://github.com/owner/name.git"}"#;
    let requests = rounds(100_usize);
    for _ in 0..requests {
        let pause = Duration::from_micros(500 + dice.below(5_500));
        abandoned(&server, "/scan", body, pause).await;
    }
    let before = all_final(&server).await;
    assert!(before.len() > requests / 15, "most requests were to be read: {}", before.len());
    files::write(&server.file("healthy"), "");
    for job in &before {
        let pause = Duration::from_micros(200 + dice.below(3_000));
        abandoned(&server, &format!("/scan/{job}/retry"), "", pause).await;
    }
    // Whatever was started of them ends; a server that lost one of them would report it for ever.
    let after = all_final(&server).await;
    assert_eq!(after.len(), before.len());
    for job in &after {
        let status = server.progress(job).await["status"].as_str().unwrap().to_owned();
        assert!(["completed", "failed"].contains(&status.as_str()), "{status}");
    }
    let health = server.get("/health").await.json();
    assert_eq!(health["status"], "healthy", "{health:#}");
}

/// Breaks if the loop waits for the removal of a job's files: 300,000 with
/// `SCANWATCH_ROUNDS=300000`.
#[tokio::test]
async fn the_removal_of_a_large_job_delays_no_other_job() {
    let count = rounds(100_000_usize);
    let script =
        r#"if [ -e "$dir/hold" ]; then say scanning; exec sleep 600; else say completed; fi"#;
    let server = Setup::new().shell(script).start().await;
    let large = server.submit("large").await;
    server.finished(&large).await;
    let folder = server.job_folder(&large);
    for part in 0..300 {
        let part = folder.join(format!("results/part-{part}"));
        fs::create_dir(&part).unwrap();
        for n in 0..count / 300 {
            fs::File::create(part.join(n.to_string())).unwrap();
        }
    }
    files::write(&server.file("hold"), "");
    let other = server.submit("other").await;
    server.working(&other).await;

    let delete = server.request(reqwest::Method::DELETE, &format!("/scan/{large}"));
    let mut deletes = JoinSet::new();
    deletes.spawn(delete.send());
    eventually("the removal has begun", async || !folder.exists()).await;
    server.post_nothing(&format!("/scan/{other}/cancel")).await.expect(200);
    server.submit("another").await;
    assert!(
        deletes.try_join_next().is_none(),
        "the cancel and the submission have waited for the removal"
    );
    assert_eq!(deletes.join_next().await.unwrap().unwrap().unwrap().status(), 204);
    assert_eq!(server.finished(&other).await["status"], "cancelled");
}

/// A server that knows each of these forges as a GitLab.
async fn server_with_forge(forges: &[&Forge]) -> TestServer {
    let entries: Vec<String> = forges
        .iter()
        .map(|forge| format!("{{ kind = \"gitlab\", url = \"{}\" }}", forge.base()))
        .collect();
    let setup =
        Setup::new().shell("say completed").set("forges", format!("[{}]", entries.join(", ")));
    setup.start().await
}

/// Breaks if groups of one forge wait for those of another, or if a group does not say what it
/// waits for.
#[tokio::test]
async fn a_slow_forge_delays_only_its_own_groups_and_they_report_it() {
    let (slow, quick) = (Forge::start(), Forge::start());
    slow.group(&["acme/api"]);
    quick.group(&["acme/api"]);
    let server = server_with_forge(&[&slow, &quick]).await;
    for _ in 0..8 {
        slow.listing().faults.push_back(Fault::Silence);
    }
    let mut waiting = Vec::new();
    for _ in 0..8 {
        waiting
            .push(server.submit_with(&json!({ "git_url": format!("{}/acme", slow.base()) })).await);
    }
    let url = format!("{}/acme", quick.base());
    let job = server.submit_with(&json!({ "git_url": url })).await;
    assert_eq!(server.finished(&job).await["status"], "completed");
    assert_eq!(slow.listing().asked.len(), 4, "no more of one forge at once");

    let reasons = until(PATIENCE, "those that wait say what for", async || {
        let mut reasons = Vec::new();
        for job in &waiting {
            let reason = server.progress(job).await["waiting_for"].clone();
            if reason.is_string() {
                let master = files::json(&server.job_folder(job).join("master.json")).unwrap();
                assert_eq!(master["waiting_for"], reason);
                reasons.push(reason.to_string());
            }
        }
        (reasons.len() == 4).then_some(reasons)
    })
    .await;
    assert!(reasons.iter().all(|reason| reason.contains(&slow.base())), "{reasons:?}");
    for job in &waiting {
        server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
        let document = server.finished(job).await;
        assert!(document.get("waiting_for").is_none(), "{document:#}");
    }
}

/// Breaks if the cost of a match is more than linear in the name, or if it outlives its job.
#[tokio::test]
async fn many_patterns_on_many_long_names_are_cheap() {
    let forge = Forge::start();
    forge.group(&["acme/api"]);
    for n in 0..2_000 {
        forge.listing().add(&format!("acme/{}{n}", "a".repeat(100)));
    }
    let server = server_with_forge(&[&forge]).await;
    let patterns: Vec<String> = (10..110).map(|n| format!("{}b{n}", "*a".repeat(98))).collect();
    let request = json!({ "git_url": format!("{}/acme", forge.base()), "include": patterns });
    let job = server.submit_with(&request).await;
    let document = server.finished(&job).await;
    assert_eq!(document["summary"]["total_repositories"], 0, "{document:#}");
    let plan = files::json(&server.job_folder(&job).join("repositories.json")).unwrap();
    assert_eq!(plan["repositories"].as_array().unwrap().len(), 2_001);
}
