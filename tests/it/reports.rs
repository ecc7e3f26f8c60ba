//! The report at the end of a job, and how good the estimates before it were.

use crate::support::{
    files,
    forge::{Behaviour, Forge, program},
    server::{Setup, TestServer},
    sse::EventStream,
    wait::{PATIENCE, eventually},
};
use serde_json::{Value, json};

/// A group of which two are completed, two fail for different causes, and two are skipped.
async fn finished_group(server: &TestServer, forge: &Forge) -> String {
    let body = json!({ "git_url": format!("{}/acme", forge.base()), "exclude": ["old"] });
    let job = server.submit_with(&body).await;
    server.finished(&job).await;
    job
}

fn forge() -> Forge {
    let forge = Forge::start();
    forge.group(&["acme/a", "acme/b", "acme/broken", "acme/elsewhere", "acme/old", "acme/empty"]);
    forge.behave_at("acme/broken", Behaviour::Status(404));
    let elsewhere = json!({ "http_url_to_repo": "https://evil.example/x.git" });
    forge.listing().describe("acme/elsewhere", elsewhere);
    forge.listing().describe("acme/empty", json!({ "empty_repo": true }));
    forge
}

/// Fails if a finished group does not say how many repositories were completed, failed and skipped, and
/// why: in its document, its last event, its file, and in what the commands print.
#[tokio::test]
async fn a_finished_group_has_a_report() {
    let forge = forge();
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    let mut server = Setup::new().set("forges", forges).start().await;
    let job = finished_group(&server, &forge).await;
    let report = server.progress(&job).await["report"].clone();
    let skipped = report["skipped"].as_object().unwrap();
    assert_eq!(skipped.len(), 2, "{report:#}");
    assert_eq!(report["completed"], 2, "{report:#}");
    assert_eq!(report["failed"], json!({ "clone": 1, "refused": 1 }), "{report:#}");
    assert_eq!(skipped["the repository is empty"], 1, "{report:#}");
    assert!(skipped.keys().any(|reason| reason.contains("old")), "{report:#}");
    let mut events = EventStream::open(&server, &format!("/scan/{job}/events")).await;
    let events = events.rest(PATIENCE).await;
    let end: &Value = &events.last().unwrap().data;
    assert_eq!(end["report"], report, "{end:#}");
    let run = |command: &str| {
        let mut process = program(env!("CARGO_BIN_EXE_scanwatch"));
        let ran = process
            .args([command, &job])
            .env("SCANNER_SERVER_URL", server.url(""))
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(ran.stdout), text(ran.stderr))
    };
    let line = "2 completed, 2 failed (1 clone, 1 refused), 2 skipped (1 ";
    let (_, err) = run("watch");
    assert!(err.lines().any(|text| text.contains(line)), "{err}");
    let (out, _) = run("status");
    assert!(out.contains(line), "{out}");

    // A job that is scanned again has no report until it has ended again; a new server still has it.
    server.kill9().await;
    server.restart().await;
    assert_eq!(server.progress(&job).await["report"], report);
    let answer = server.post_nothing(&format!("/scan/{job}/retry?kind=clone")).await.expect(200);
    assert_eq!(answer.json()["job_id"], job);
    let document = server.finished(&job).await;
    assert_eq!(document["report"], report, "the same failures again");
    assert_eq!(server.status_file(&job, 2)["attempt"], 2);
    let wrong = server.post_nothing(&format!("/scan/{job}/retry?kind=clone&cause=exit")).await;
    wrong.expect(400);
    let none = server.post_nothing(&format!("/scan/{job}/retry?kind=timeout")).await;
    none.expect(409);
}

/// Fails if the errors of the estimates of a job are not recorded at its end, or if those of a job
/// whose start the server has not seen are.
#[tokio::test]
async fn the_errors_of_estimates_are_a_metric() {
    let scanner = "
say scanning
sleep 0.6
say completed
";
    let setup = Setup::new().shell(scanner).set("scanner.max_concurrent_processes", 1);
    let found = setup.write_group(4);
    let forge = Forge::start();
    (0..8).for_each(|n| forge.listing().add(&format!("acme/part-{n}")));
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    let server = setup.set("forges", forges).start().await;
    server.finished(&found).await;
    let count = async |at: &str| {
        let text = server.get("/metrics").await.expect(200).text;
        let name = format!("scanwatch_eta_error_ratio_count{{at=\"{at}\"}} ");
        let line = text.lines().find(|line| line.starts_with(&name));
        line.unwrap_or_else(|| panic!("no {name}")).rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(count("50").await, "0", "its start was not seen");
    let job = server.submit_with(&json!({ "git_url": format!("{}/acme", forge.base()) })).await;
    let document = server.finished(&job).await;
    assert_eq!(document["summary"]["completed"], 8, "{document:#}");
    for at in ["25", "50", "75"] {
        eventually("the error is recorded", async || count(at).await == "1").await;
    }
    let master = files::json(&server.job_folder(&job).join("master.json")).unwrap();
    assert_eq!(master["report"]["completed"], 8, "{master:#}");
}
