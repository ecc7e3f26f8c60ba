//! Scans that need more disk space than there is.

use super::{disk::on_a_small_disk, left_in_staging};
use crate::support::{
    files,
    forge::Forge,
    namespace::{MOUNTS, entered},
    server::{Setup, TestServer},
    wait::eventually,
};
use serde_json::json;
use std::{fs, io::Read};

/// Bytes that do not compress.
fn noise(megabytes: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    fs::File::open("/dev/urandom").unwrap().take(megabytes << 20).read_to_end(&mut bytes).unwrap();
    bytes
}

/// Breaks if a repository that does not fit on the disk ends other than once and with the disk as
/// its cause, or if it costs any other repository a final state.
#[tokio::test]
async fn a_repository_larger_than_the_disk_ends_once_and_says_why() {
    if !entered(
        "faults::disk_space::a_repository_larger_than_the_disk_ends_once_and_says_why",
        MOUNTS,
    ) {
        return;
    }
    let forge = Forge::start();
    let large: Vec<_> = (0..5).map(|number| (format!("{number}/package.json"), noise(6))).collect();
    let large: Vec<(&str, &[u8])> =
        large.iter().map(|(name, bytes)| (name.as_str(), &bytes[..])).collect();
    forge.add_repository("large", &large);
    forge.add_repository("small", &[("package.json", b"{}")]);
    let forges = format!("[{{ kind = \"git\", url = \"{}\" }}]", forge.base());
    let server = on_a_small_disk(Setup::new(), "size=20m").set("forges", forges).start().await;
    let mut jobs = Vec::new();
    for name in ["small", "large", "small"] {
        jobs.push((name, server.submit_with(&json!({ "git_url": forge.url(name) })).await));
    }
    for (name, job) in &jobs {
        let document = server.finished(job).await;
        let file = server.status_file(job, 0);
        assert_eq!(file["attempt"], 1, "{name}: {file:#}");
        if *name == "small" {
            assert_eq!(document["status"], "completed", "{document:#}");
            continue;
        }
        assert_eq!(document["status"], "failed", "{document:#}");
        let cause = file["failure"].to_string();
        assert!(
            cause.contains("No space left on device") || cause.contains("disk of the jobs folder"),
            "{file:#}"
        );
    }
    let log = server.setup().log();
    assert!(!log.contains("died without reporting a cause"), "{log}");
    eventually("nothing is left", async || left_in_staging(&server).is_empty()).await;
}

/// A scanner that fills the disk and keeps it full, and one that stops when it is.
const FILLING: &str = r#"
if [ "$SCANWATCH_REPO_NAME" = fills ]; then
    while [ ! -e "$dir/begun" ]; do sleep 0.02; done
    while [ ! -e "$dir/go" ]; do
        cat /dev/zero 2> /dev/null >> filler
        echo > "$dir/filled"
    done
    exit 4
fi
say scanning
echo > "$dir/begun"
while [ ! -e "$dir/filled" ]; do sleep 0.02; done
exit 5
"#;

/// Breaks if a final state cannot be written on a full disk: no space was reserved for it, or the
/// scratch folder that fills the disk is not removed first.
#[tokio::test]
async fn final_states_are_written_on_a_full_disk() {
    if !entered("faults::disk_space::final_states_are_written_on_a_full_disk", MOUNTS) {
        return;
    }
    let server = on_a_small_disk(Setup::new(), "size=20m")
        .set("limits.max_fetch_bytes", 1 << 20)
        .shell(FILLING)
        .start()
        .await;
    let fills = server.submit("fills").await;
    let bystander = server.submit("bystander").await;
    let path = server.job_folder(&bystander).join("repo_0.json");
    eventually("the bystander ends on a full disk", async || {
        files::json(&path).is_some_and(|status| status["failure"]["exit_code"] == 5)
    })
    .await;
    files::write(&server.file("go"), "");
    for (job, code) in [(&fills, 4), (&bystander, 5)] {
        let document = server.finished(job).await;
        assert_eq!(document["status"], "failed", "{document:#}");
        let file = server.status_file(job, 0);
        assert_eq!(
            (&file["failure"]["exit_code"], &file["attempt"]),
            (&code.into(), &1.into()),
            "{file:#}"
        );
        let detail = file["failure"]["detail"].as_str().unwrap();
        assert!(detail.contains("the disk of the jobs folder is full"), "{detail}");
    }
    eventually("nothing is left", async || left_in_staging(&server).is_empty()).await;
}

fn running(server: &TestServer) -> usize {
    files::text(&server.file("runs")).lines().count()
}

/// Breaks if scans run side by side that together may take more than is free, if it is not reported
/// what they wait for, or if they wait for ever.
#[tokio::test]
async fn scans_that_share_a_small_disk_run_one_after_the_other() {
    if !entered("faults::disk_space::scans_that_share_a_small_disk_run_one_after_the_other", MOUNTS)
    {
        return;
    }
    let setup =
        on_a_small_disk(Setup::new(), "size=20m").set("limits.max_fetch_bytes", 8 << 20).shell(
            "say scanning\necho run >> \"$dir/runs\"\n\
             while [ ! -e \"$dir/go\" ]; do sleep 0.02; done\nsay completed\n",
        );
    let job = setup.write_group(4);
    let server = setup.start().await;
    // Two have space: 16 MiB of somewhat less than 20.
    eventually("/health says what the others wait for", async || {
        let health = server.get("/health").await.expect(200).json();
        let scanners = &health["scanners"];
        running(&server) == 2
            && scanners["running"] == 2
            && scanners["queued"] == 2
            && health["problems"]
                .to_string()
                .contains("queued scans wait for running ones: 2 scans run")
    })
    .await;
    // What a scan has taken counts once: the two still have space, and no third.
    let scratch = fs::read_dir(server.setup().jobs().join(".staging")).unwrap().flatten();
    let scratch = scratch.map(|entry| entry.path()).find(|path| path.is_dir()).unwrap();
    files::write(&scratch.join("fetched"), noise(6));
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert_eq!(running(&server), 2);
    files::write(&server.file("go"), "");
    assert_eq!(server.finished(&job).await["status"], "completed");
    assert_eq!(running(&server), 4);
    eventually("/health is well", async || {
        server.get("/health").await.expect(200).json()["status"] == "healthy"
    })
    .await;
}

/// Breaks if a scan that starts while inodes run out fails for that, or counts as one that died,
/// instead of waiting.
#[tokio::test]
async fn a_scan_that_begins_while_inodes_run_out_waits_and_does_not_fail() {
    let test =
        "faults::disk_space::a_scan_that_begins_while_inodes_run_out_waits_and_does_not_fail";
    if !entered(test, MOUNTS) {
        return;
    }
    let setup = on_a_small_disk(Setup::new(), "size=64m,nr_inodes=300");
    let server = setup.shell("until say completed; do sleep 0.1; done\n").start().await;
    let filler = server.setup().jobs().join(".filler");
    fs::create_dir(&filler).unwrap();
    let place = |number: usize| filler.join(number.to_string());
    let mut accepted = 0;
    // A job takes six; what its shim creates first takes as many again.
    for left in 8..12 {
        let most = (0..1_000).find(|number| fs::File::create(place(*number)).is_err()).unwrap();
        (0..left).for_each(|number| fs::remove_file(place(number)).unwrap());
        let url = format!("https://github.com/acme/left-{left}.git");
        let answer = server.post("/scan", &json!({ "git_url": url })).await;
        let job = answer.json()["job_id"].as_str().map(str::to_owned);
        if let Some(job) = &job {
            eventually("it is over, or waits for inodes", async || {
                let waits = server.get("/health").await.expect(200).json()["status"] == "degraded";
                waits || server.progress(job).await["status"] != "initializing"
            })
            .await;
        }
        (left..most).for_each(|number| fs::remove_file(place(number)).unwrap());
        if let Some(job) = job {
            accepted += 1;
            let document = server.finished(&job).await;
            assert_eq!(document["status"], "completed", "{left}: {document:#}");
            let record = server.job_folder(&job).join("locks/repo_0.attempt.json");
            assert_eq!(files::json(&record).unwrap()["attempt"], 1, "{left}");
        }
        eventually("/health is well", async || {
            server.get("/health").await.expect(200).json()["status"] == "healthy"
        })
        .await;
    }
    assert!(accepted > 1, "hardly any job was taken in");
}
