//! Who gets the next free slot: single repositories before groups, users by their weights, and no
//! repository twice at once.

use crate::client;
use crate::support::{
    files,
    forge::{Forge, program},
    server::{Setup, TestServer},
    wait::{PATIENCE, eventually, until},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;

/// A scanner that records its start, and works until it, or every scanner, is released.
const HELD: &str = r#"
me="$SCANWATCH_JOB_ID/$SCANWATCH_REPO_INDEX"
echo "$me" >> "$dir/starts"
say scanning
while [ ! -e "$dir/go" ] && [ ! -e "$dir/released/$me" ]; do sleep 0.02; done
say completed
"#;

fn starts(server: &TestServer) -> Vec<String> {
    files::text(&server.file("starts")).lines().map(str::to_owned).collect()
}

/// Waits until this many scans have been started.
async fn started(server: &TestServer, count: usize) -> Vec<String> {
    until(PATIENCE, &format!("{count} scans are started"), async || {
        let starts = starts(server);
        assert!(starts.len() <= count, "too many: {starts:?}");
        (starts.len() == count).then_some(starts)
    })
    .await
}

/// Lets one scan end.
fn release(server: &TestServer, scan: &str) {
    let path = server.file(&format!("released/{scan}"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    files::write(&path, "");
}

fn forges(forge: &Forge) -> String {
    format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base())
}

async fn submit(server: &TestServer, body: Value) -> String {
    server.submit_with(&body).await
}

/// Fails if a single repository waits behind groups that are queued: also behind those that hold no
/// slot yet.
#[tokio::test]
async fn a_single_repository_gets_the_next_free_slot() {
    let forge = Forge::start();
    let groups: Vec<String> = (0..4).map(|group| format!("team-{group}")).collect();
    let paths: Vec<String> =
        groups.iter().flat_map(|group| (0..20).map(move |n| format!("{group}/part-{n}"))).collect();
    for path in &paths {
        forge.listing().add(path);
    }
    let setup = Setup::new().shell(HELD).set("forges", forges(&forge));
    let server = setup.set("scanner.max_concurrent_processes", 2).start().await;
    for group in &groups {
        let url = format!("{}/{group}", forge.base());
        let job = submit(&server, json!({ "git_url": url })).await;
        eventually("the group is listed", async || {
            server.progress(&job).await["summary"]["total_repositories"] == 20
        })
        .await;
    }
    let first = started(&server, 2).await;
    let single = submit(&server, json!({ "git_url": forge.url("solo") })).await;
    let other = submit(&server, json!({ "git_url": forge.url("other") })).await;
    release(&server, &first[0]);
    assert_eq!(started(&server, 3).await[2], format!("{single}/0"));
    // Of two slots in a row that both wait for, one goes to a group.
    release(&server, &first[1]);
    let fourth = started(&server, 4).await[3].clone();
    assert!(!fourth.starts_with(&other), "a single repository again: {fourth}");
    release(&server, &fourth);
    assert_eq!(started(&server, 5).await[4], format!("{other}/0"));
}

/// A token of this name: the secret, and its line in the file of tokens.
fn token(name: &str) -> (String, String) {
    let mut command = program(env!("CARGO_BIN_EXE_scanwatch"));
    let made = command.args(["token", "new", name, "--scope", "admin"]).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (line, said) = (text(made.stdout), text(made.stderr));
    let secret = said.split_whitespace().find(|word| word.starts_with("scanwatch_")).unwrap();
    (secret.to_owned(), line)
}

/// Fails if two users do not share the slots by their weights.
#[tokio::test]
async fn users_share_the_slots_by_weight() {
    let forge = Forge::start();
    for user in ["alice", "bob"] {
        (0..30).for_each(|n| forge.listing().add(&format!("{user}/part-{n}")));
    }
    let setup = Setup::new().shell(HELD).set("forges", forges(&forge));
    let tokens = setup.folder().join("tokens");
    let (alice, bob) = (token("alice"), token("bob"));
    files::write(&tokens, alice.1 + &bob.1);
    let setup = setup.set("auth.tokens_file", json!(tokens));
    let setup = setup.set("scanner.max_concurrent_processes", 4);
    let server = setup.set("scheduler.weights", "{ alice = 3 }").start().await;
    let mut jobs = Vec::new();
    for (user, token) in [("alice", alice.0), ("bob", bob.0)] {
        let body = json!({ "git_url": format!("{}/{user}", forge.base()) });
        let request = server.without_credentials(Method::POST, "/scan");
        let answer = server.send(request.bearer_auth(token).json(&body)).await.expect(200);
        jobs.push(answer.json()["job_id"].as_str().unwrap().to_owned());
        eventually("the group is listed", async || {
            let master = files::json(&server.job_folder(jobs.last().unwrap()).join("master.json"));
            master.is_some_and(|master| master["total_repositories"] == 30)
        })
        .await;
    }
    let of_alice =
        |scans: &[String]| scans.iter().filter(|scan| scan.starts_with(&jobs[0])).count();
    // The oldest scan of whoever holds more ends first, so that the shares must be found again.
    let mut running = started(&server, 4).await;
    assert_eq!(of_alice(&running), 4, "nobody else waited");
    for count in 5..25 {
        let ended = running.remove(0);
        release(&server, &ended);
        running.push(started(&server, count).await[count - 1].clone());
        assert_eq!(of_alice(&running), 3, "after {count} starts: {running:?}");
    }
}

/// Fails if the same repository is scanned for two jobs at once, if the second is not scanned after
/// the first, if a crash of the server starts it too early, or if a cancel of one job ends the scan of
/// another.
#[tokio::test]
async fn the_same_repository_is_never_scanned_twice_at_once() {
    let mut server = Setup::new().shell(HELD).start().await;
    let url = "https://github.com/acme/widget.git";
    let first = submit(&server, json!({ "git_url": url })).await;
    let running = started(&server, 1).await;
    assert_eq!(running, [format!("{first}/0")]);
    let second = submit(&server, json!({ "git_url": "https://GitHub.com/acme/widget" })).await;
    let third = submit(&server, json!({ "git_url": "git@github.com:acme/widget.git" })).await;
    // Another branch is another target, and shows that the queue moves.
    let branch = submit(&server, json!({ "git_url": url, "ref": "next" })).await;
    assert_eq!(started(&server, 2).await[1], format!("{branch}/0"));
    assert_eq!(server.progress(&second).await["summary"]["pending"], 1);
    for waiting in [&second, &third] {
        let text = format!("Waiting for the same repository in job {first}");
        eventually("it is published what it waits for", async || {
            server.progress(waiting).await["repositories"][0]["progress"]["message"]
                == text.as_str()
        })
        .await;
        let status = client::run(&server, &["status", waiting]);
        assert!(status.out.contains(&text), "{status:?}");
    }

    server.kill9().await;
    server.restart().await;
    let deep = submit(&server, json!({ "git_url": url, "deep": true })).await;
    assert_eq!(started(&server, 3).await[2], format!("{deep}/0"));

    // One asker goes; the scan of the first one is not affected.
    server.post_nothing(&format!("/scan/{second}/cancel")).await.expect(200);
    assert_eq!(server.finished(&second).await["status"], "cancelled");
    assert_eq!(server.status_file(&second, 0).get("message"), None);
    assert_eq!(server.progress(&first).await["summary"]["in_progress"], 1);
    // The first one is cancelled: the one that still waits is scanned.
    server.post_nothing(&format!("/scan/{first}/cancel")).await.expect(200);
    assert_eq!(started(&server, 4).await[3], format!("{third}/0"));
    files::write(&server.file("go"), "");
    for job in [&third, &branch, &deep] {
        assert_eq!(server.finished(job).await["status"], "completed");
    }
    assert_eq!(server.status_file(&third, 0).get("message"), None);
    assert_eq!(server.finished(&first).await["status"], "cancelled");
}
