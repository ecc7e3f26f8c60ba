//! Groups whose list goes on while they are scanned: scanning begins with the first page, nothing
//! is lost or scanned twice whatever dies, and what cannot be listed is reported.

mod kinds;
mod stand_in;

use crate::support::{
    files,
    server::{Setup, TestServer, is_final},
    wait::{PATIENCE, eventually, until},
};
use serde_json::{Value, json};
use stand_in::StandIn;
use std::{collections::BTreeMap, time::Duration};

/// A scanner that leaves its name and succeeds.
const NAMED: &str = r#"
echo "$SCANWATCH_REPO_NAME $SCANWATCH_REPO_INDEX" >> "$dir/scanned"
say completed
"#;

async fn server_for(forge: &StandIn) -> TestServer {
    setup_for(forge).start().await
}

fn setup_for(forge: &StandIn) -> Setup {
    setup_with(forge, NAMED)
}

fn setup_with(forge: &StandIn, scanner: &str) -> Setup {
    Setup::new().shell(scanner).set("forges", forge.forges())
}

async fn submit(server: &TestServer, forge: &StandIn) -> String {
    server.submit_with(&json!({ "git_url": forge.url() })).await
}

fn plan(server: &TestServer, job: &str) -> Value {
    files::json(&server.job_folder(job).join("repositories.json")).unwrap()
}

/// The scanned repositories with their numbers, each as often as it was scanned.
fn scanned(server: &TestServer) -> Vec<(String, usize)> {
    let line = |line: &str| {
        let (name, number) = line.split_once(' ').unwrap();
        (name.to_owned(), number.parse().unwrap())
    };
    let mut all: Vec<_> = files::text(&server.file("scanned")).lines().map(line).collect();
    all.sort_by_key(|(_, number)| *number);
    all
}

/// All projects of a group, with the numbers of the forge's order.
fn all(projects: usize) -> Vec<(String, usize)> {
    (0..projects).map(|number| (format!("r{number}"), number)).collect()
}

fn pages_since(forge: &StandIn, since: usize) -> Vec<usize> {
    forge.group().requested[since..].to_vec()
}

/// Fails if scanning waits for the whole list, if the document does not say that the list goes on,
/// or if numbers do not follow the order of discovery.
#[tokio::test]
async fn scanning_begins_with_the_first_page() {
    let forge = StandIn::start(6, 2);
    forge.group().held.insert(2);
    let server = server_for(&forge).await;
    let job = submit(&server, &forge).await;
    let document = until(PATIENCE, "the first page is scanned", async || {
        let document = server.progress(&job).await;
        let summary = &document["summary"];
        let all = summary["completed"] == 2 && summary["total_repositories"] == 2;
        all.then_some(document)
    })
    .await;
    forge.requested(2, 1).await;
    assert_eq!(forge.group().answered, [1], "the second page is held back");
    assert_eq!(document["status"], "in_progress", "{document:#}");
    assert_eq!(document["discovering"], true, "{document:#}");
    assert_eq!(document["eta_seconds"], Value::Null, "{document:#}");
    let listed = plan(&server, &job);
    assert_eq!(listed["complete"], false, "{listed:#}");
    assert_eq!(listed["repositories"].as_array().unwrap().len(), 2, "{listed:#}");
    let row = server.get(&format!("/jobs/{job}")).await.expect(200).json();
    assert_eq!((&row["status"], &row["progress"]), (&json!("running"), &json!(99)), "{row:#}");

    forge.release();
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert!(document.get("discovering").is_none(), "{document:#}");
    assert_eq!(scanned(&server), all(6));
    let listed = plan(&server, &job);
    assert_eq!(listed["complete"], true, "{listed:#}");
    let rows = listed["repositories"].as_array().unwrap();
    assert!(rows.iter().enumerate().all(|(n, row)| row["repo_index"] == n), "{listed:#}");
    let master = files::json(&server.job_folder(&job).join("master.json")).unwrap();
    assert_eq!(master["scan_type"], "group", "{master:#}");
    assert!(master.get("discovering").is_none(), "{master:#}");
}

/// Fails if a server that dies while a list goes on loses a page, requests more than the page that
/// was on its way, scans a repository twice, or changes a number.
#[tokio::test]
async fn after_a_crash_at_most_one_page_is_requested_again() {
    let forge = StandIn::start(12, 2);
    let mut server = server_for(&forge).await;
    forge.group().held.insert(1);
    let job = submit(&server, &forge).await;
    for page in 1..=6 {
        forge.requested(page, 1).await;
        server.kill9().await;
        forge.hold_only(page + 1);
        server.restart().await;
        forge.requested(page, 2).await;
    }
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(scanned(&server), all(12));
    let mut times = BTreeMap::<usize, usize>::new();
    for page in pages_since(&forge, 0) {
        *times.entry(page).or_default() += 1;
    }
    let expected: BTreeMap<usize, usize> = (1..=6).map(|page| (page, 2)).collect();
    assert_eq!(times, expected, "only the page that was on its way");
    let listed = plan(&server, &job);
    assert_eq!(
        (&listed["complete"], listed["repositories"].as_array().unwrap().len()),
        (&json!(true), 12)
    );
}

/// Fails if a planned stop loses pages.
#[tokio::test]
async fn after_a_stop_the_next_server_continues_the_list() {
    let forge = StandIn::start(6, 2);
    forge.group().held.insert(3);
    let mut server = server_for(&forge).await;
    let job = submit(&server, &forge).await;
    forge.requested(3, 1).await;
    // A stop ends running scans, and queues them again.
    eventually("two pages are scanned", async || {
        server.progress(&job).await["summary"]["completed"] == 4
    })
    .await;
    assert_eq!(server.terminate().await, Some(0));
    forge.release();
    server.restart().await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(pages_since(&forge, 0), [1, 2, 3, 3]);
    assert_eq!(scanned(&server), all(6));
}

/// Fails if a list whose continuation the forge no longer knows is lost, or scans what was scanned
/// before again.
#[tokio::test]
async fn a_cursor_that_is_no_longer_valid_starts_the_list_again() {
    let forge = StandIn::start(6, 2);
    forge.group().held.insert(3);
    let mut server = server_for(&forge).await;
    let job = submit(&server, &forge).await;
    forge.requested(3, 1).await;
    server.kill9().await;
    // The new server's first request is refused; the list has other URLs now.
    {
        let mut group = forge.group();
        group.codes.insert(3, 400);
        let link = format!("{}/api/v4/groups/acme/projects?page=4", forge.base());
        group.links.insert(2, link);
    }
    let third = forge.entries(4..6);
    forge.group().bodies.insert(4, third);
    forge.release();
    server.restart().await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(pages_since(&forge, 0), [1, 2, 3, 3, 1, 2, 4]);
    assert_eq!(document["totals"]["found"], 6, "known entries are recognized: {document:#}");
    assert_eq!(scanned(&server), all(6));
}

/// Fails if a secret that a forge puts into its links is stored, or if the list is then not
/// continued.
#[tokio::test]
async fn a_secret_in_a_link_is_not_stored() {
    const CANARY: &str = "glpat-l1nk-c4n4ry";
    let forge = StandIn::start(6, 2);
    let next = format!("{}/api/v4/groups/acme/projects?page=2&t={CANARY}", forge.base());
    forge.group().links.insert(1, next);
    forge.group().held.insert(2);
    let setup = Setup::new().shell(NAMED);
    let token = setup.folder().join("token");
    files::write(&token, CANARY);
    let (url, token) = (forge.base(), token.display());
    let forges = format!("[{{ kind = \"gitlab\", url = \"{url}\", token_file = \"{token}\" }}]");
    let mut server = setup.set("forges", forges).start().await;
    let job = submit(&server, &forge).await;
    forge.requested(2, 1).await;
    server.kill9().await;
    for path in files::below(&server.setup().jobs()) {
        // Scans go on, and their temporary files vanish.
        let Ok(content) = std::fs::read(&path) else { continue };
        let content = String::from_utf8_lossy(&content);
        assert!(!content.contains(CANARY), "{}: {content}", path.display());
    }
    forge.release();
    server.restart().await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(pages_since(&forge, 0), [1, 2, 1, 2, 3]);
    assert_eq!(scanned(&server), all(6));
}

/// Fails if a cancel does not end the listing, loses what was listed, or if a retry does not
/// continue the list.
#[tokio::test]
async fn a_cancel_ends_the_listing_and_a_retry_continues_it() {
    let forge = StandIn::start(6, 2);
    forge.group().held.insert(2);
    let server = server_for(&forge).await;
    let job = submit(&server, &forge).await;
    forge.requested(2, 1).await;
    eventually("the first page is scanned", async || {
        server.progress(&job).await["summary"]["completed"] == 2
    })
    .await;
    server.post_nothing(&format!("/scan/{job}/cancel")).await.expect(200);
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "cancelled", "{document:#}");
    assert_eq!(document["totals"]["found"], 2, "{document:#}");
    assert_eq!(plan(&server, &job)["complete"], false);
    forge.release();
    let before = forge.group().requested.len();
    server.retried(&job).await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(pages_since(&forge, before), [2, 3]);
    assert_eq!(scanned(&server), all(6));
}

/// Fails if a broken page stops the rest, if it is not reported, or if a retry does not fetch what
/// is missing, or changes numbers.
#[tokio::test]
async fn a_broken_page_is_reported_and_the_rest_is_scanned() {
    let forge = StandIn::start(8, 2);
    forge.group().codes.insert(2, 503);
    forge.group().bodies.insert(3, "[{\"id\": 4".to_owned());
    let server = server_for(&forge).await;
    let job = submit(&server, &forge).await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed_with_errors", "{document:#}");
    assert_eq!(document["summary"]["completed"], 4, "{document:#}");
    assert_eq!(document["discovery_errors_total"], 2, "{document:#}");
    let errors = document["discovery_errors"].as_array().unwrap();
    for (error, (page, reason)) in
        errors.iter().zip([("(page 2)", "answers 503 after 4 attempt"), ("(page 3)", "not JSON")])
    {
        let text = |member: &str| error[member].as_str().unwrap();
        assert!(text("request").contains("/api/v4/groups/acme/projects"), "{error:#}");
        assert!(text("request").ends_with(page) && text("error").contains(reason), "{error:#}");
        assert!(text("timestamp").starts_with("20"), "{error:#}");
    }
    let master = files::json(&server.job_folder(&job).join("master.json")).unwrap();
    assert_eq!(master["discovery_errors"], document["discovery_errors"]);
    assert_eq!(plan(&server, &job)["complete"], false, "two pages are missing");
    let whole = server.get(&format!("/scan/{job}?view=summary")).await.expect(200).json();
    assert_eq!(whole["discovery_errors_total"], 2, "{whole:#}");
    assert!(whole.get("discovery_errors").is_none(), "{whole:#}");

    forge.group().codes.clear();
    forge.group().bodies.clear();
    server.post_nothing(&format!("/scan/{job}/retry")).await.expect(200);
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert!(document.get("discovery_errors").is_none(), "{document:#}");
    assert_eq!(plan(&server, &job)["complete"], true);
    let names: Vec<String> = scanned(&server).into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        ["r0", "r1", "r6", "r7", "r2", "r3", "r4", "r5"],
        "in the order of discovery"
    );
}

/// Fails if a list that cannot go on loses what was listed, if the job fails as a whole, or if a
/// retry lists everything again.
#[tokio::test]
async fn a_list_that_ends_early_keeps_what_was_listed() {
    let forge = StandIn::start(8, 2);
    // A token that expires midway.
    forge.group().codes.insert(3, 401);
    let server = server_for(&forge).await;
    let job = submit(&server, &forge).await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed_with_errors", "{document:#}");
    assert_eq!(document["summary"]["completed"], 4, "{document:#}");
    let error = document["discovery_errors"][0]["error"].as_str().unwrap();
    assert!(error.contains("requires a token (401)"), "{error}");
    forge.group().codes.clear();
    let before = forge.group().requested.len();
    server.post_nothing(&format!("/scan/{job}/retry")).await.expect(200);
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(pages_since(&forge, before), [3, 4]);
    assert_eq!(scanned(&server), all(8));
}

/// Fails if pages that are all broken are requested one after the other without an end.
#[tokio::test]
async fn a_list_of_broken_pages_ends() {
    let forge = StandIn::start(1_000, 2);
    for page in 2..=500 {
        forge.group().bodies.insert(page, "{".to_owned());
    }
    let server = server_for(&forge).await;
    let job = submit(&server, &forge).await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed_with_errors", "{document:#}");
    assert_eq!(document["discovery_errors_total"], 4, "{document:#}");
    assert_eq!(pages_since(&forge, 0), [1, 2, 3, 4, 5]);
}

/// Fails if a forge whose pages form a loop keeps the listing going, or scans anything twice; if a
/// limit loses what was found within it.
#[tokio::test]
async fn loops_and_limits_end_a_list() {
    let forge = StandIn::start(5_000, 100);
    forge.group().scanned_every = 1_000;
    forge.group().links.insert(50, forge.page(10));
    let server = setup_for(&forge).set("discovery.max_repositories", 100_000).start().await;
    let job = submit(&server, &forge).await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed_with_errors", "{document:#}");
    let error = document["discovery_errors"][0]["error"].as_str().unwrap();
    assert!(error.contains("a page that was already read"), "{error}");
    let totals = json!({
        "found": 5_000, "queued": 0, "running": 0, "done": 5, "failed": 0, "skipped": 4_995, "reused": 0
    });
    assert_eq!(document["totals"], totals);
    assert_eq!(forge.group().requested.len(), 50);
    assert_eq!(scanned(&server).len(), 5);
    drop(server);

    let limited = setup_for(&forge).set("discovery.max_repositories", 1_250).start().await;
    let job = submit(&limited, &forge).await;
    let document = limited.finished(&job).await;
    assert_eq!(document["status"], "completed_with_errors", "{document:#}");
    assert_eq!(document["totals"]["found"], 1_250, "{document:#}");
    let error = document["discovery_errors"][0]["error"].as_str().unwrap();
    assert!(
        error.contains("more than 1250 repositories ([discovery] max_repositories)"),
        "{error}"
    );
    assert_eq!(forge.group().requested.len(), 50 + 13);
}

/// Fails if the counts of any document or event contradict each other while a group is listed and
/// scanned.
#[tokio::test]
async fn totals_reconcile_at_every_moment() {
    let forge = StandIn::start(60, 2);
    forge.group().scanned_every = 2;
    for page in (5..30).step_by(5) {
        forge.group().held.insert(page);
    }
    let scanner = "[ $((SCANWATCH_REPO_INDEX % 7)) = 3 ] && exit 4\nsay scanning\nsay completed\n";
    let server = setup_with(&forge, scanner).start().await;
    let job = submit(&server, &forge).await;
    let (mut before, mut samples) = (0, 0);
    let document = until(PATIENCE, "the group is finished", async || {
        let view = if samples % 2 == 0 { "" } else { "?view=summary" };
        let document = server.get(&format!("/scan/{job}{view}")).await.expect(200).json();
        let count = |member: &str| document["totals"][member].as_u64().unwrap();
        let parts = ["queued", "running", "done", "failed", "skipped", "reused"];
        assert_eq!(count("found"), parts.map(count).iter().sum::<u64>(), "{document:#}");
        let summary = |member: &str| document["summary"][member].as_u64().unwrap();
        assert_eq!(summary("total_repositories") + count("skipped"), count("found"));
        let of_summary = [summary("pending"), summary("in_progress"), summary("completed")];
        assert_eq!(of_summary, [count("queued"), count("running"), count("done")]);
        assert!(count("found") >= before && count("found") <= 60, "{document:#}");
        assert!(document["discovering"] != true || document["eta_seconds"].is_null());
        before = count("found");
        samples += 1;
        // One held page after the other.
        if samples % 20 == 0 {
            forge.release_first();
        }
        is_final(&document).then_some(document)
    })
    .await;
    assert_eq!(document["totals"]["found"], 60, "{document:#}");
    assert_eq!(document["totals"]["skipped"], 30, "{document:#}");
    assert_eq!(document["totals"]["failed"], 4, "{document:#}");
}

/// Fails if the memory of the server grows with the number of pages beyond what the plan itself
/// takes, or if a list of the largest size is slow, incomplete or unreadable.
#[tokio::test]
async fn the_largest_list_takes_bounded_memory() {
    let forge = StandIn::start(100_000, 100);
    forge.group().scanned_every = 50_000;
    let server = server_for(&forge).await;
    let memory = async || {
        let text = server.get("/metrics").await.expect(200).text;
        let line = text.lines().find(|line| line.starts_with("process_resident_memory_bytes "));
        line.unwrap().split(' ').nth(1).unwrap().parse::<f64>().unwrap()
    };
    let before = memory().await;
    let job = submit(&server, &forge).await;
    let mut most = before;
    let document = until(Duration::from_mins(5), "the group is finished", async || {
        most = most.max(memory().await);
        let document = server.get(&format!("/scan/{job}?view=summary")).await.expect(200).json();
        is_final(&document).then_some(document)
    })
    .await;
    assert_eq!(document["status"], "completed", "{document:#}");
    let totals = &document["totals"];
    assert_eq!((&totals["found"], &totals["skipped"]), (&json!(100_000), &json!(99_998)));
    assert_eq!(forge.group().requested.len(), 1_000);
    let listed = plan(&server, &job);
    assert_eq!(
        (&listed["complete"], listed["repositories"].as_array().unwrap().len()),
        (&json!(true), 100_000)
    );
    assert!(most - before < 256.0 * 1_048_576.0, "{most} bytes, {before} before");
}
