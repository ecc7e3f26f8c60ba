//! The files of schedules, as operators and accidents change them.

use super::{
    EACH_SECOND, URL, YEARLY, folder, hang_up, lay, put, quick, run, schedule, shown_when, state,
};
use crate::support::{files as disk, wait::eventually};
use serde_json::{Value, json};

/// Fails if a file that an operator edits is not read at SIGHUP.
#[tokio::test]
async fn an_edited_file_is_read_at_sighup() {
    let setup = quick();
    lay(&setup, "made", &json!({ "cron": YEARLY, "git_url": URL }), None);
    let server = setup.start().await;
    put(&server, "edited", &schedule(YEARLY)).await.expect(201);
    let file = folder(server.setup()).join("edited.json");
    disk::write(&file, disk::text(&file).replace(YEARLY, EACH_SECOND));
    std::fs::remove_file(folder(server.setup()).join("made.json")).unwrap();
    hang_up(&server).await;
    shown_when(&server, "edited", "it runs each second", |shown| shown["runs"].as_u64() >= Some(1))
        .await;
    server.get("/schedules/made").await.expect(404);
}

/// Fails if an invalid file stops the server or another schedule, is deleted, or is not reported.
#[tokio::test]
async fn an_invalid_file_is_a_problem_and_the_others_go_on() {
    let setup = quick();
    lay(&setup, "good", &json!({ "cron": EACH_SECOND, "git_url": URL }), None);
    lay(&setup, "half", &json!({ "cron": YEARLY }), None);
    lay(&setup, "held", &json!({ "cron": EACH_SECOND, "git_url": URL }), Some(&json!({})));
    disk::write(&folder(&setup).join("notes.txt"), "do not remove");
    disk::write(&folder(&setup).join("torn.json"), "{\"cron\": \"0 2");
    let server = setup.start().await;
    shown_when(&server, "good", "it runs", |shown| shown["runs"].as_u64() >= Some(1)).await;
    let health = server.get("/health").await.expect(200).json();
    assert_eq!(health["status"], "degraded");
    let problems = health["problems"].to_string();
    for part in ["`half`: ", "git_url", "`held`: ", "held.state.json", "`notes.txt`", "`torn`"] {
        assert!(problems.contains(part), "{part}: {problems}");
    }
    assert!(!problems.contains(&server.folder().display().to_string()), "{problems}");
    let metrics = server.get("/metrics").await.text;
    assert!(metrics.contains("scanwatch_degraded{reason=\"schedules\"} 1"), "{metrics}");
    let listed = server.get("/schedules").await.expect(200).json();
    assert_eq!((&listed["total"], listed["problems"].as_array().unwrap().len()), (&json!(1), 4));
    run(&server, "held").await.expect(404);
    for name in ["half.json", "held.json", "held.state.json", "notes.txt", "torn.json"] {
        assert!(folder(server.setup()).join(name).exists(), "{name} was removed");
    }
    // Each can be mended: by the API, by an editor, and by removing it.
    put(&server, "half", &schedule(YEARLY)).await.expect(201);
    server.delete("/schedules/torn").await.expect(204);
    std::fs::remove_file(folder(server.setup()).join("notes.txt")).unwrap();
    let now = chrono::Utc::now();
    let mended = state(EACH_SECOND, now).to_string();
    disk::write(&folder(server.setup()).join("held.state.json"), mended);
    hang_up(&server).await;
    eventually("it is read", async || server.get("/schedules/held").await.status == 200).await;
    shown_when(&server, "held", "it runs", |shown| shown["runs"].as_u64() >= Some(1)).await;
    eventually("the server is healthy", async || {
        server.get("/health").await.json()["problems"] == json!([])
    })
    .await;
}

/// Fails if two schedules of one name run, or the file is taken for the schedule of the settings.
#[tokio::test]
async fn the_settings_win_over_a_file() {
    let entry = format!("[{{ name = \"both\", cron = \"{YEARLY}\", git_url = \"{URL}\" }}]");
    let setup = quick().set("schedules", entry);
    lay(&setup, "both", &json!({ "cron": EACH_SECOND, "git_url": URL }), None);
    let server = setup.start().await;
    let listed: Value = server.get("/schedules").await.expect(200).json();
    assert_eq!((&listed["total"], &listed["schedules"][0]["cron"]), (&json!(1), &json!(YEARLY)));
    assert!(listed["problems"][0]["problem"].as_str().unwrap().contains("the settings define"));
    assert!(folder(server.setup()).join("both.json").exists());
}
