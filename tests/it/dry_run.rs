//! Dry runs, through the API and the command line: what would be scanned, and what not and why.

use crate::{
    client::run,
    support::{
        files,
        forge::{Fault, Forge, program},
        server::{Setup, TestServer},
        wait::eventually,
    },
};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// A Gitea with repositories of each kind, in the group `acme`.
fn forge() -> Forge {
    let forge = Forge::start();
    forge.group(&["acme/api", "acme/web", "acme/old", "acme/copy", "acme/void", "acme/far"]);
    for (path, members) in [
        ("acme/old", json!({ "archived": true })),
        ("acme/copy", json!({ "fork": true })),
        ("acme/void", json!({ "empty": true })),
        ("acme/far", json!({ "clone_url": "https://elsewhere.example/far.git" })),
    ] {
        forge.listing().describe(path, members);
    }
    forge.listing().page_size = 2;
    forge
}

async fn server(forge: &Forge, setup: Setup) -> TestServer {
    let forges = format!("[{{ kind = \"gitea\", url = \"{}\" }}]", forge.base());
    setup.shell("say completed").set("forges", forges).start().await
}

/// A submission with filters.
fn body(forge: &Forge) -> Value {
    json!({
        "git_url": format!("{}/acme", forge.base()), "skip_archived": true, "skip_forks": true,
        "skip_empty": true, "exclude": ["web"],
    })
}

/// Fails if a dry run omits a repository or its reason, if its counts are not those of its rows, or if it
/// creates a job.
#[tokio::test]
async fn a_dry_run_lists_everything_with_its_reason_and_creates_nothing() {
    let forge = forge();
    let server = server(&forge, Setup::new()).await;
    let answer = server.post("/scan?dry_run=true", &body(&forge)).await.expect(200).json();
    let url = format!("{}/acme", forge.base());
    assert_eq!((&answer["git_url"], &answer["scan_type"]), (&json!(url), &json!("group")));
    assert_eq!((&answer["total"], &answer["to_scan"]), (&json!(6), &json!(1)), "{answer:#}");
    assert_eq!((&answer["skipped"], &answer["refused"]), (&json!(4), &json!(1)), "{answer:#}");
    let counts = json!({ "archived": 1, "empty": 1, "fork": 1, "filtered": 1 });
    assert_eq!(answer["skipped_by_reason"], counts);
    let mut rows: Vec<_> = answer["repositories"].as_array().unwrap().iter().map(row).collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            "api scan - -",
            "copy skip fork the repository is a fork",
            "far refuse - the URL of the forge's entry is refused: Domain not allowed: elsewhere.example",
            "old skip archived the repository is archived",
            "void skip empty the repository is empty",
            "web skip filtered excluded by `web`",
        ]
    );
    assert_eq!(server.get("/jobs").await.expect(200).json()["total"], 0);
    let jobs = std::fs::read_dir(server.setup().jobs()).unwrap().flatten();
    let jobs = jobs.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    assert_eq!(jobs.count(), 0, "a job was created");

    // A single repository causes no request.
    let asked = forge.contacts();
    let one = json!({ "git_url": "https://github.com/acme/api" });
    let answer = server.post("/scan?dry_run=true", &one).await.expect(200).json();
    assert_eq!((&answer["total"], &answer["scan_type"]), (&json!(1), &json!("repository")));
    assert_eq!(forge.contacts(), asked);
    // The same submission without it is a job with the same repositories.
    let job = server.submit_with(&body(&forge)).await;
    let document = server.finished(&job).await;
    assert_eq!(document["completed_repositories"], json!(["api"]), "{document:#}");
    assert_eq!(document["summary"]["total_repositories"], 2, "{document:#}");
    let page = format!("/scan/{job}/repositories?status=skipped");
    let page = server.get(&page).await.expect(200).json();
    assert_eq!((&page["skipped_by_reason"], &page["skipped_total"]), (&counts, &json!(4)));
    assert!(page["skipped"].as_array().unwrap().iter().all(|row| row["kind"].is_string()));
    let master = files::json(&server.job_folder(&job).join("master.json")).unwrap();
    assert_eq!(master["options"]["skip_forks"], true, "{master:#}");
    assert_eq!(master["options"]["topics"], Value::Null, "{master:#}");
}

fn row(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or("-");
    format!("{} {} {} {}", text("repo_name"), text("action"), text("kind"), text("reason"))
}

/// Fails if dry runs can exhaust the server, delay submissions, or continue without their clients.
#[tokio::test]
async fn dry_runs_are_few_and_end_with_their_clients() {
    let forge = forge();
    forge.listing().faults = vec![Fault::Silence; 2].into();
    let server = server(&forge, Setup::new()).await;
    let ask = || server.request(Method::POST, "/scan?dry_run=true").json(&body(&forge));
    let mut waiting = JoinSet::new();
    waiting.spawn(ask().send());
    waiting.spawn(ask().send());
    eventually("both are listing", async || forge.listing().asked.len() == 2).await;
    let answer = server.send(ask()).await.expect(503);
    assert!(answer.text.contains("Too many dry runs"), "{}", answer.text);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(forge.listing().asked.len(), 2, "a third listing has begun");
    server.submit("one").await;
    waiting.abort_all();
    eventually("their places are free", async || server.send(ask()).await.status == 200).await;
}

/// Fails if a forge that refuses is reported as a failure of the server, without the cause, or if a submission
/// that is invalid is listed.
#[tokio::test]
async fn a_dry_run_that_cannot_list_has_the_cause() {
    let forge = forge();
    let server = server(&forge, Setup::new()).await;
    forge.listing().faults = vec![Fault::Status(401, String::new())].into();
    let answer = server.post("/scan?dry_run=true", &body(&forge)).await.expect(502).json();
    let detail = answer["detail"].as_str().unwrap();
    assert!(detail.contains("requires a token (401)") && detail.contains("[[forges]]"), "{detail}");
    for (path, body, code) in [
        ("/scan?dry_run=true", json!({ "git_url": "https://10.0.0.1/acme/x.git" }), 400),
        ("/scan?dry_run=true", json!({ "git_url": "https://elsewhere.example/acme" }), 400),
        ("/scan?dry_run=maybe", body(&forge), 400),
    ] {
        server.post(path, &body).await.expect(code);
    }
    for wrong in [
        json!({ "skip_archived": "yes" }),
        json!({ "skip_forks": 1 }),
        json!({ "skip_empty": [] }),
        json!({ "include_shared": "x" }),
        json!({ "topics": "rust" }),
        json!({ "topics": [""] }),
        json!({ "topics": ["a\u{202e}b"] }),
        json!({ "visibility": "public" }),
        json!({ "visibility": ["secret"] }),
        json!({ "active_within_days": 0 }),
        json!({ "active_within_days": 36_501 }),
        json!({ "max_size_mb": -1 }),
        json!({ "max_size_mb": "5" }),
    ] {
        let (member, value) = wrong.as_object().unwrap().iter().next().unwrap();
        let mut body = body(&forge);
        body[member] = value.clone();
        for path in ["/scan", "/scan?dry_run=true"] {
            let answer = server.post(path, &body).await.expect(422).json();
            assert_eq!(answer["detail"][0]["loc"][1], *member, "{answer:#}");
        }
    }
    assert_eq!(server.get("/jobs").await.expect(200).json()["total"], 0);
}

/// Fails if the commands print something else than the server lists, create a job, or hide a failure.
#[tokio::test]
async fn the_commands_print_what_would_be_scanned() {
    let forge = forge();
    let server = server(&forge, Setup::new()).await;
    let url = format!("{}/acme", forge.base());
    let filters = ["--skip-archived", "--skip-forks", "--skip-empty", "--exclude", "web"];
    let expected = [
        "ACTION  REPOSITORY  REASON",
        "refuse  far         the URL of the forge's entry is refused: Domain not allowed: elsewhere.example",
        "scan    api",
        "skip    copy        the repository is a fork",
        "skip    old         the repository is archived",
        "skip    void        the repository is empty",
        "skip    web         excluded by `web`",
    ];
    let summary = format!(
        "{url}: 1 would be scanned, 1 refused, 4 skipped: 1 archived, 1 empty, 1 fork, 1 filtered"
    );
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let submit = |more: &[&str]| run(&server, &[&["submit", "--dry-run", &url], more].concat());
    let ran = submit(&filters).expect(0);
    assert_eq!(sorted(&ran.out), expected);
    assert!(ran.err.contains(&summary), "{ran:?}");
    let ran = submit(&[&filters[..], &["--json"]].concat()).expect(0);
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["skipped_by_reason"]["archived"], 1);
    assert_eq!(server.get("/jobs").await.expect(200).json()["total"], 0);
    submit(&["--wait"]).expect(2);
    submit(&["--visibility", "secret"]).expect(2);
    submit(&["--active-within-days", "0"]).expect(2);
    forge.listing().faults = vec![Fault::Status(403, String::new())].into();
    let ran = submit(&[]).expect(1);
    assert!(ran.err.contains("requires a token (403)"), "{ran:?}");

    // The same without a server.
    let home = TempDir::new().unwrap();
    let own = format!("gitea={}", forge.base());
    let scan = |more: &[&str]| {
        let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
        command.current_dir(home.path()).args(["scan", &url, "--dry-run", "--forge", &own]);
        crate::client::Ran::from(command.args(more).output().unwrap())
    };
    let ran = scan(&filters).expect(0);
    assert_eq!(sorted(&ran.out), expected);
    assert!(ran.err.contains(&summary), "{ran:?}");
    let ran = scan(&["--json", "--topic", "rust"]).expect(0);
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(document["skipped_by_reason"], json!({ "filtered": 6 }), "{document:#}");
    forge.listing().faults = vec![Fault::HalfJson].into();
    let ran = scan(&[]).expect(1);
    assert!(ran.err.contains("not JSON"), "{ran:?}");
    scan(&["-o", "json=x"]).expect(2);
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0, "nothing is written");
}
