//! Whole groups: listed by their forge, scanned repository by repository, and accounted for
//! completely, whatever dies or hangs on the way.

use crate::support::{
    files,
    forge::{Behaviour, Fault, Forge, program},
    server::{Setup, TestServer, is_final},
    wait::{PATIENCE, eventually, until},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

const TOKEN: &str = "glpat-gr0up-c4n4ry";

/// A scanner that leaves its name and succeeds; with a `hold`, it waits for `go`.
const NAMED: &str = r#"
echo "$SCANWATCH_REPO_NAME" >> "$dir/scanned"
say scanning
while [ -e "$dir/hold" ] && [ ! -e "$dir/go" ]; do sleep 0.05; done
say completed
"#;

/// A server that knows this forge as a GitLab, and its token.
fn server_with_forge(forge: &Forge, setup: Setup) -> Setup {
    forge.require_login("oauth2", TOKEN);
    forge.listing().token = Some(TOKEN.to_owned());
    let token = setup.folder().join("token");
    files::write(&token, format!("{TOKEN}\n"));
    let forges = format!(
        "[{{ kind = \"gitlab\", url = \"{}\", token_file = \"{}\" }}]",
        forge.base(),
        token.display()
    );
    setup.set("forges", forges)
}

async fn submit(server: &TestServer, url: &str) -> String {
    server.submit_with(&json!({ "git_url": url })).await
}

fn plan(server: &TestServer, job: &str) -> Value {
    files::json(&server.job_folder(job).join("repositories.json")).unwrap()
}

fn scanned(server: &TestServer) -> Vec<String> {
    let mut names: Vec<_> =
        files::text(&server.file("scanned")).lines().map(str::to_owned).collect();
    names.sort();
    names
}

/// Breaks if a group is not reported completely: its members, how each ended and why, and what was
/// found in those that could be read.
#[tokio::test]
async fn a_group_of_sixty_with_broken_and_hanging_repositories_is_reported_completely() {
    let forge = Forge::start();
    let paths: Vec<String> = (0..60)
        .map(|n| match n % 12 {
            0 => format!("acme/service-{n}"),
            group @ 1..6 => format!("acme/team-{group}/service-{n}"),
            group => format!("acme/platform/area-{group}/service-{n}"),
        })
        .collect();
    forge.group(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    forge.listing().page_size = 25;
    // Listed, and gone since; refused by its own server; and on another host.
    forge.listing().add("acme/team-1/gone");
    forge.behave_at(&paths[13], Behaviour::Status(500));
    let elsewhere = json!({ "http_url_to_repo": "https://evil.example/x.git" });
    forge.listing().describe(&paths[26], elsewhere);
    forge.behave_at(&paths[39], Behaviour::Silent);
    let server = server_with_forge(&forge, Setup::new())
        .set("scanner.subprocess_timeout_secs", 12)
        .start()
        .await;

    let url = format!("{}/acme", forge.base());
    let began = Instant::now();
    let job = submit(&server, &url).await;
    assert!(began.elapsed() < Duration::from_secs(5), "a submission waits for nobody");
    let mut estimated = false;
    let document = until(PATIENCE, "the group is over", async || {
        let document = server.progress(&job).await;
        estimated |= document["eta_seconds"].is_u64();
        is_final(&document).then_some(document)
    })
    .await;
    assert!(estimated, "somebody who waits wants to know for how long");
    assert_eq!(document["status"], "completed_with_errors", "{document:#}");
    let summary = json!({
        "total_repositories": 61, "completed": 57, "in_progress": 0, "pending": 0, "failed": 4,
        "reused": 0
    });
    assert_eq!(document["summary"], summary);
    let below = |path: &str| path.strip_prefix("acme/").unwrap().to_owned();
    let kinds: BTreeMap<String, String> = document["failed_repositories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|repository| {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&repository["repo_name"]), text(&repository["failure"]["kind"]))
        })
        .collect();
    let expected = [
        ("team-1/gone".to_owned(), "clone".to_owned()),
        (below(&paths[13]), "clone".to_owned()),
        (below(&paths[26]), "refused".to_owned()),
        (below(&paths[39]), "timeout".to_owned()),
    ];
    assert_eq!(kinds, BTreeMap::from(expected));
    let completed: BTreeSet<&str> = document["completed_repositories"]
        .as_array()
        .unwrap()
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect();
    assert_eq!(completed.len(), 57);
    assert!(completed.contains("platform/area-11/service-59"), "{completed:?}");

    let results = server.get(&format!("/jobs/{job}/results")).await.expect(200).json();
    assert_eq!(
        (&results["scan_type"], &results["total_projects"], &results["failed_scans"]),
        (&json!("group"), &json!(61), &json!(4)),
        "{results:#}"
    );
    assert_eq!(results["packages_total"], 57, "{results:#}");
    let master = files::json(&server.job_folder(&job).join("master.json")).unwrap();
    assert_eq!(master["completed_repositories"].as_array().unwrap().len(), 57);
    assert_eq!(master["pending_repositories"], json!([]));
    let plan = plan(&server, &job);
    assert_eq!(plan["complete"], true);
    let rows = plan["repositories"].as_array().unwrap();
    assert!(rows.iter().enumerate().all(|(n, row)| row["repo_index"] == n), "{plan:#}");
    assert!(!plan.to_string().contains(TOKEN) && !document.to_string().contains(TOKEN));
    server.no_process_left(Duration::from_secs(10)).await;
}

/// Breaks if the options of a group request have no effect, or the wrong one.
#[tokio::test]
async fn a_url_without_a_suffix_is_resolved_by_the_forge() {
    let forge = Forge::start();
    forge.group(&["acme/api", "acme/web/site"]);
    let server = server_with_forge(&forge, Setup::new().shell(NAMED)).start().await;
    for (path, kind, names) in [
        ("acme/api", "repository", vec!["api"]),
        ("acme/web", "group", vec!["site"]),
        ("acme", "group", vec!["api", "web/site"]),
    ] {
        let job = submit(&server, &format!("{}/{path}", forge.base())).await;
        let document = server.finished(&job).await;
        assert_eq!(document["status"], "completed", "{path}: {document:#}");
        assert_eq!(document["completed_repositories"], json!(names), "{path}");
        let master = files::json(&server.job_folder(&job).join("master.json")).unwrap();
        assert_eq!(master["scan_type"], kind, "{path}");
    }
}

/// Breaks if what the user excludes is scanned, or is left out without a reason.
#[tokio::test]
async fn what_is_left_out_is_listed_with_its_reason() {
    let forge = Forge::start();
    forge.group(&["acme/api", "acme/docs", "acme/web/site", "acme/web/old"]);
    forge.listing().describe("acme/docs", json!({ "empty_repo": true }));
    let server = server_with_forge(&forge, Setup::new().shell(NAMED)).start().await;
    let url = format!("{}/acme", forge.base());
    let body = json!({ "git_url": url, "exclude": ["**/old"] });
    let job = server.submit_with(&body).await;
    let document = server.finished(&job).await;
    assert_eq!(document["summary"]["total_repositories"], 2, "{document:#}");
    assert_eq!(scanned(&server), ["api", "web/site"]);
    let plan = plan(&server, &job);
    let skipped: BTreeMap<&str, &str> = plan["repositories"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|row| Some((row["repo_name"].as_str()?, row["skipped"].as_str()?)))
        .collect();
    assert_eq!(skipped.keys().copied().collect::<Vec<_>>(), ["docs", "web/old"], "{plan:#}");
    assert!(skipped["web/old"].contains("**/old"), "{skipped:?}");
    let body = json!({ "git_url": url, "include_subgroups": false });
    let document = server.finished(&server.submit_with(&body).await).await;
    assert_eq!(document["completed_repositories"], json!(["api"]));
    for wrong in [json!({ "include": [""] }), json!({ "exclude": "x" }), json!({ "include": [7] })]
    {
        let mut body = json!({ "git_url": url });
        body.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        let request = server.request(Method::POST, "/scan").json(&body);
        let answer = server.send(request).await.expect(422).json();
        let member = wrong.as_object().unwrap().keys().next().unwrap().clone();
        assert_eq!(answer["detail"][0]["loc"][1], member, "{answer:#}");
    }
}

/// Breaks if a forge that refuses leaves a job without an end or without a hint, or if the job
/// cannot be retried once the forge works again.
#[tokio::test]
async fn a_group_that_cannot_be_listed_fails_with_a_hint_and_can_be_retried() {
    let forge = Forge::start();
    forge.group(&["acme/api"]);
    let server = server_with_forge(&forge, Setup::new().shell(NAMED)).start().await;
    forge.listing().token = Some("another".to_owned());
    let job = submit(&server, &format!("{}/acme", forge.base())).await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "failed", "{document:#}");
    let error = document["error"].as_str().unwrap();
    assert!(error.contains("[[forges]]") && !error.contains(TOKEN), "{error}");
    let row = server.get("/jobs").await.expect(200).json()["jobs"][0].clone();
    assert_eq!((&row["status"], &row["error_message"]), (&json!("failed"), &json!(error)));
    forge.listing().token = Some(TOKEN.to_owned());
    server.post_nothing(&format!("/scan/{job}/retry")).await.expect(200);
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert!(document.get("error").is_none(), "{document:#}");
}

/// Breaks if a server that dies or stops while it waits for a forge forgets the job.
#[tokio::test]
async fn a_group_whose_listing_is_interrupted_is_listed_by_the_next_server() {
    let forge = Forge::start();
    forge.group(&["acme/api", "acme/web/site"]);
    let mut server = server_with_forge(&forge, Setup::new().shell(NAMED)).start().await;
    for planned in [false, true] {
        forge.listing().faults.push_back(Fault::Silence);
        let before = forge.listing().asked.len();
        let job = submit(&server, &format!("{}/acme", forge.base())).await;
        eventually("the forge is asked", async || forge.listing().asked.len() > before).await;
        assert_eq!(server.progress(&job).await["status"], "initializing");
        assert_eq!(plan(&server, &job)["complete"], false);
        if planned {
            let began = Instant::now();
            assert_eq!(server.terminate().await, Some(0));
            assert!(began.elapsed() < Duration::from_secs(10), "a stop waits for no forge");
        } else {
            server.kill9().await;
        }
        server.restart().await;
        let document = server.finished(&job).await;
        assert_eq!(document["status"], "completed", "{document:#}");
        assert_eq!(document["completed_repositories"], json!(["api", "web/site"]));
    }
    assert_eq!(scanned(&server), ["api", "api", "web/site", "web/site"]);
}

/// Breaks if a job cannot be cancelled or removed while its forge is silent.
#[tokio::test]
async fn a_group_that_is_being_listed_can_be_cancelled_and_removed() {
    let forge = Forge::start();
    forge.group(&["acme/api"]);
    let server = server_with_forge(&forge, Setup::new().shell(NAMED)).start().await;
    for _ in 0..2 {
        forge.listing().faults.push_back(Fault::Silence);
    }
    let url = format!("{}/acme", forge.base());
    let (one, other) = (submit(&server, &url).await, submit(&server, &url).await);
    eventually("the forge is asked twice", async || forge.listing().asked.len() == 2).await;
    server.post_nothing(&format!("/scan/{one}/cancel")).await.expect(200);
    let document = server.finished(&one).await;
    assert_eq!(document["status"], "cancelled", "{document:#}");
    server.delete(&format!("/scan/{other}")).await.expect(204);
    server.get(&format!("/scan/{other}")).await.expect(404);
    assert!(files::text(&server.file("scanned")).is_empty(), "nothing was to be scanned");
}

/// Breaks if what a forge had listed by then is still waited for once the job is cancelled, or if it
/// is not accounted for.
#[tokio::test]
async fn a_group_that_is_cancelled_while_it_is_listed_waits_for_nothing() {
    let forge = Forge::start();
    forge.group(&["acme/api", "acme/web"]);
    let mut server = server_with_forge(&forge, Setup::new().shell(NAMED)).start().await;
    let next = format!("{}/api/v4/groups/acme/projects?page=2", forge.base());
    forge.listing().faults.extend([Fault::Next(next), Fault::Silence]);
    let job = submit(&server, &format!("{}/acme", forge.base())).await;
    eventually("the first page is counted", async || {
        server.progress(&job).await["summary"]["total_repositories"] == 2
    })
    .await;
    server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "cancelled", "{document:#}");
    let summary = &document["summary"];
    // Scans that were faster than the cancel have completed.
    let finished = ["completed", "failed"].map(|name| summary[name].as_u64().unwrap());
    assert_eq!((summary["total_repositories"].as_u64(), finished.iter().sum()), (Some(2), 2));
    server.kill9().await;
    server.restart().await;
    assert_eq!(server.finished(&job).await["summary"], document["summary"]);
}

/// Breaks if a small job must wait for a large group to finish.
#[tokio::test]
async fn a_large_group_does_not_starve_a_single_repository() {
    let forge = Forge::start();
    let paths: Vec<String> = (0..20).map(|n| format!("acme/part-{n:02}")).collect();
    forge.group(&paths.iter().map(String::as_str).collect::<Vec<_>>());
    let setup = Setup::new().shell(NAMED).set("scanner.max_concurrent_processes", 2);
    files::write(&setup.folder().join("hold"), "");
    let server = server_with_forge(&forge, setup).start().await;
    let group = submit(&server, &format!("{}/acme", forge.base())).await;
    server.working(&group).await;
    let single = submit(&server, &format!("{}/acme/part-00.git", forge.base())).await;
    files::write(&server.file("go"), "");
    server.finished(&single).await;
    server.finished(&group).await;
    let order: Vec<String> =
        files::text(&server.file("scanned")).lines().map(str::to_owned).collect();
    let turn = order.iter().rposition(|line| line == "part-00").unwrap();
    // Its own line is the last of this name; two were running, so it is third or fourth in order.
    assert!(turn <= 4, "{order:?}");
}

/// Breaks if the group options of the command line do not reach the server, or if what failed of a
/// group cannot be retried from there.
#[tokio::test]
async fn a_group_is_submitted_and_retried_from_the_command_line() {
    let forge = Forge::start();
    forge.group(&["acme/api", "acme/web/site", "acme/web/old"]);
    let scanner = r#"
say scanning
[ -e "$dir/mended" ] || exit 7
echo "$SCANWATCH_REPO_NAME" >> "$dir/scanned"
say completed
"#;
    let server = server_with_forge(&forge, Setup::new().shell(scanner)).start().await;
    let ask = async |arguments: &[&str]| {
        let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
        command.args(arguments).args(["--server", &server.url("")]);
        let asked = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (asked.status.code(), text(&asked.stdout), text(&asked.stderr))
    };
    let url = format!("{}/acme", forge.base());
    let wanted = ["--include", "web/**", "--exclude", "**/old"];
    let (code, job, said) = ask(&[&["submit", "--wait", &url], &wanted[..]].concat()).await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("web/site: failed (exit)"), "{said}");
    files::write(&server.file("mended"), "");
    let (code, reported, said) = ask(&["retry", &job]).await;
    assert_eq!(code, Some(0), "{reported} {said}");
    assert_eq!(ask(&["watch", &job]).await.0, Some(0));
    assert_eq!(scanned(&server), ["web/site"]);
    let (code, _, said) = ask(&["retry", &job]).await;
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("no failed repository"), "{said}");
    let (code, _, said) = ask(&["submit", "--wait", "--no-subgroups", &url]).await;
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(scanned(&server), ["api", "web/site"]);
}
