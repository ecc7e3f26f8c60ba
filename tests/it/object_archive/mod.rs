//! Finished jobs are archived in object storage, and nothing is removed here that is not safe there.

mod command_line;
mod crashes;
mod faults;
mod reading;
mod starting;

use crate::support::{
    files,
    forge::{Entry, Forge},
    s3::{BUCKET, KEYS, S3},
    server::{Setup, TestServer},
    wait::eventually,
};
use serde_json::{Value, json};

/// A server with an archive, and a forge with one repository.
struct Place {
    s3: S3,
    forge: Forge,
    server: TestServer,
}

impl Place {
    async fn start() -> Self {
        Self::with(|setup| setup).await
    }

    async fn with(set: impl FnOnce(Setup) -> Setup) -> Self {
        let (s3, forge) = (S3::start(), forge());
        let server = set(setup(&s3, &forge)).start().await;
        Self { s3, forge, server }
    }

    /// Scans the repository; returns the job.
    async fn scan(&self) -> String {
        let url = self.forge.url("acme/web");
        let job = self.server.submit_with(&json!({ "git_url": url, "force": true })).await;
        let progress = self.server.finished(&job).await;
        assert_eq!(progress["status"], "completed", "{progress:#}");
        job
    }

    /// Waits until a job is in the archive.
    async fn archived(&self, job: &str) {
        let mark = self.mark(job);
        eventually("the job is in the archive", async || mark.exists()).await;
    }

    fn mark(&self, job: &str) -> std::path::PathBuf {
        self.server.setup().jobs().join(format!(".results/uploads/done/{job}.json"))
    }

    /// Waits until the folder of a job is gone.
    async fn removed(&self, job: &str) {
        let folder = self.server.job_folder(job);
        eventually("the job's folder is removed", async || !folder.exists()).await;
    }

    async fn health(&self) -> Value {
        self.server.get("/health").await.expect(200).json()
    }

    async fn metric(&self, name: &str) -> u64 {
        let text = self.server.get("/metrics").await.expect(200).text;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }
}

/// A forge with one repository.
fn forge() -> Forge {
    let forge = Forge::start();
    let repository = forge.add_empty_repository("acme/web");
    let lock = b"[[package]]\nname = \"first\"\nversion = \"1.0.0\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n";
    repository.commit("main", &[Entry::File(b"Cargo.lock", lock)]);
    forge
}

/// The settings of a server with this archive.
fn setup(s3: &S3, forge: &Forge) -> Setup {
    let setup = Setup::new();
    let (access, secret) = (setup.folder().join("access"), setup.folder().join("secret"));
    files::write(&access, format!("{}\n", KEYS.0));
    files::write(&secret, KEYS.1);
    let forges = format!("[{{ kind = \"git\", url = \"{}\" }}]", forge.base());
    setup
        .set("forges", forges)
        .set("archive.url", format!("\"s3://{BUCKET}/some/where\""))
        .set("archive.endpoint", format!("\"{}\"", s3.endpoint()))
        .set("archive.allow_http", true)
        .set("archive.access_key_file", json!(access))
        .set("archive.secret_key_file", json!(secret))
        .set("archive.timeout_secs", 2)
        .set("jobs.cleanup_interval_secs", 1)
}

/// Settings with which finished jobs are removed at once.
fn removing(setup: Setup) -> Setup {
    setup.set("jobs.retention_hours", 0)
}

/// Fails if an object is not what was here, if something is missing there, or if a secret is.
#[tokio::test]
async fn a_finished_job_is_archived_as_it_is_here() {
    let mut place = Place::start().await;
    let job = place.scan().await;
    place.archived(&job).await;
    let folder = place.server.job_folder(&job);
    let contents = place.s3.contents();
    let names: Vec<_> = contents.keys().map(String::as_str).collect();
    let of = |name: &str| format!("some/where/files/{job}/{name}");
    let record = format!("some/where/jobs/{job}.jsonl");
    let expected = [
        of("logs/0.log"),
        of("repositories.json"),
        of("results/0.json"),
        of("sbom/0.cdx.json"),
        record.clone(),
        "some/where/scanwatch".to_owned(),
    ];
    assert_eq!(names, expected);
    for (name, file) in [
        ("logs/0.log", "logs/repo_0.log"),
        ("repositories.json", "repositories.json"),
        ("results/0.json", "results/repo_0.json"),
    ] {
        assert_eq!(contents[&of(name)], std::fs::read(folder.join(file)).unwrap(), "{name}");
    }
    let sbom: Value = serde_json::from_slice(&contents[&of("sbom/0.cdx.json")]).unwrap();
    assert_eq!(sbom["bomFormat"], "CycloneDX");
    assert_eq!(sbom["components"][0]["name"], "first", "{sbom:#}");
    let record = String::from_utf8(contents[&record].clone()).unwrap();
    let lines: Vec<Value> =
        record.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["job"], &lines[0]["status"]), (&json!(job), &json!("completed")));
    assert_eq!(Some(&lines[1]["master"]), files::json(&folder.join("master.json")).as_ref());
    assert_eq!(lines[2]["status"], place.server.status_file(&job, 0));
    // Nothing waits, and nothing is left of the upload.
    assert!(files::below(&place.server.setup().jobs().join(".results/uploads/work")).is_empty());
    assert_eq!(place.metric("scanwatch_archive_up").await, 1);
    assert_eq!(place.metric("scanwatch_archive_jobs_total").await, 1);
    assert_eq!(place.metric("scanwatch_archive_uploads_total").await, 5);
    assert_eq!(place.metric("scanwatch_archive_waiting_jobs").await, 0);
    // Neither the storage nor the log has the secret.
    let secret = KEYS.1.as_bytes();
    let sent = place.s3.sent();
    let stored: Vec<u8> = contents.into_values().flatten().collect();
    let log = place.server.setup().log().into_bytes();
    for (what, bytes) in [("requests", &sent), ("objects", &stored), ("log", &log)] {
        assert!(!bytes.windows(secret.len()).any(|part| part == secret), "{what}");
    }
    // It is not uploaded again by the next server, and may be removed now.
    let uploads = place.s3.seen().iter().filter(|seen| seen.starts_with("PUT ")).count();
    place.server.terminate().await;
    place.server.set("jobs.retention_hours", 0);
    place.server.restart().await;
    place.removed(&job).await;
    let again = place.s3.seen().iter().filter(|seen| seen.starts_with("PUT ")).count();
    assert_eq!(again, uploads + 1, "only the check of the start: {:?}", place.s3.seen());
    assert!(place.s3.objects().contains(&of("results/0.json")));
}
