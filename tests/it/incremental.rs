//! Results of earlier scans are reused: only where nothing has changed, and only by those who may read the repository.

mod crashes;
mod custom;

use crate::support::{
    files,
    forge::{Behaviour, Entry, Forge, Repository},
    server::{Setup, TestServer},
    wait::eventually,
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A lock file with one package.
fn lock_file(package: &str) -> Vec<u8> {
    format!("[[package]]\nname = \"{package}\"\nversion = \"1.0.0\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n").into_bytes()
}

/// Commits a lock file with this package beside a text; returns the commit.
fn commit(repository: &Repository, package: &str, text: &str) -> String {
    let lock = lock_file(package);
    let files = [Entry::File(b"Cargo.lock", &lock), Entry::File(b"README.md", text.as_bytes())];
    repository.commit("main", &files)
}

/// A server that knows a forge with one repository.
struct Place {
    forge: Forge,
    server: TestServer,
}

impl Place {
    async fn start() -> Self {
        Self::with(|setup| setup).await
    }

    async fn with(set: impl FnOnce(Setup) -> Setup) -> Self {
        let forge = Forge::start();
        let repository = forge.add_empty_repository("acme/web");
        commit(&repository, "first", "text");
        let server = set(knowing(&forge, Setup::new())).start().await;
        Self { forge, server }
    }

    fn repository(&self) -> Repository {
        self.forge.repository("acme/web")
    }

    /// Scans the repository with these options.
    async fn scan(&self, options: &Value) -> Scanned {
        let mut body = options.clone();
        body["git_url"] = self.forge.url("acme/web").into();
        let (fetches, requests) = (self.forge.fetches(), self.forge.seen().len());
        let job = self.server.submit_with(&body).await;
        let progress = self.server.finished(&job).await;
        let row = self.server.get(&format!("/scan/{job}/repositories/0")).await.expect(200).json();
        Scanned {
            row,
            progress,
            fetches: self.forge.fetches() - fetches,
            requests: self.forge.seen().len() - requests,
            result: files::json(&self.server.job_folder(&job).join("results/repo_0.json")),
            job,
        }
    }

    /// The files of the store.
    fn stored(&self) -> Vec<PathBuf> {
        stored(&self.server)
    }
}

/// The files of a server's store.
fn stored(server: &TestServer) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let root = server.setup().jobs().join(".results");
    for shard in fs::read_dir(root).into_iter().flatten().flatten() {
        found.extend(fs::read_dir(shard.path()).unwrap().map(|entry| entry.unwrap().path()));
    }
    found.sort();
    found
}

fn knowing(forge: &Forge, setup: Setup) -> Setup {
    let forges = format!("[{{ kind = \"git\", url = \"{}\" }}]", forge.base());
    setup.set("forges", forges)
}

/// A finished scan.
#[derive(Debug)]
struct Scanned {
    job: String,
    row: Value,
    progress: Value,
    /// Requests for objects, and all requests.
    fetches: u64,
    requests: usize,
    result: Option<Value>,
}

impl Scanned {
    #[track_caller]
    fn is_scanned(&self) -> &Self {
        assert_eq!(self.row["status"], "completed", "{self:#?}");
        assert_eq!(self.row.get("reused_from"), None, "{self:#?}");
        assert_eq!(self.progress["summary"]["reused"], 0, "{self:#?}");
        assert!(self.fetches > 0, "{self:#?}");
        self
    }

    #[track_caller]
    fn is_reused_from(&self, other: &Self) -> &Self {
        assert_eq!(self.row["status"], "completed", "{self:#?}");
        assert_eq!(self.row["reused_from"], other.job, "{self:#?}");
        assert!(self.row["checked_at"].is_string(), "{self:#?}");
        assert_eq!(self.row["dependencies_found"], 1, "{self:#?}");
        let summary = &self.progress["summary"];
        assert_eq!(
            (&summary["completed"], &summary["reused"]),
            (&json!(1), &json!(1)),
            "{self:#?}"
        );
        assert_eq!(self.progress["repositories"][0]["reused_from"], other.job, "{self:#?}");
        self
    }

    #[track_caller]
    fn has_package(&self, name: &str) -> &Self {
        let result = self.result.as_ref().unwrap_or_else(|| panic!("no result: {self:#?}"));
        assert_eq!(result["packages"][0]["name"], name, "{self:#?}");
        self
    }
}

/// Fails if an unchanged repository is fetched again, costs more than two requests, or answers differently.
#[tokio::test]
async fn an_unchanged_repository_is_not_fetched_again() {
    let place = Place::start().await;
    let first = place.scan(&json!({})).await;
    first.is_scanned().has_package("first");
    let second = place.scan(&json!({})).await;
    second.is_reused_from(&first).has_package("first");
    assert_eq!((second.fetches, second.requests), (0, 2), "{second:#?}");
    assert_eq!(first.result, second.result);
    // The result of a third scan comes from the first, too.
    place.scan(&json!({})).await.is_reused_from(&first);
    for path in ["/scan/{}/repositories/0/packages", "/jobs/{}/results", "/scan/{}/packages"] {
        let answer = async |job: &str| {
            let mut answer = place.server.get(&path.replace("{}", job)).await.expect(200).json();
            answer.as_object_mut().unwrap().remove("packages_url");
            answer
        };
        assert_eq!(answer(&first.job).await, answer(&second.job).await, "{path}");
    }
    let sbom = place.server.get(&format!("/scan/{}/sbom", second.job)).await.expect(200).json();
    assert!(sbom.to_string().contains("pkg:cargo/first@1.0.0"), "{sbom:#}");
    let listed = place.server.get("/jobs").await.json();
    let reused: Vec<_> =
        listed["jobs"].as_array().unwrap().iter().map(|row| &row["reused_repositories"]).collect();
    assert_eq!(reused, [1, 1, 0], "{listed:#}");
}

/// Fails if a commit that changes nothing that is read is scanned, or its result names another commit; or if a change is missed.
#[tokio::test]
async fn a_moved_branch_is_scanned_only_if_what_is_read_has_changed() {
    let place = Place::start().await;
    let first = place.scan(&json!({})).await;
    // Another text, and a new file that nothing reads.
    let lock = lock_file("first");
    let files = [
        Entry::File(b"Cargo.lock", &lock[..]),
        Entry::File(b"README.md", b"changed"),
        Entry::File(b"docs/new.md", b"new"),
    ];
    let moved_to = place.repository().commit("main", &files);
    let second = place.scan(&json!({})).await;
    second.is_reused_from(&first).has_package("first");
    let result = second.result.as_ref().unwrap();
    assert_eq!(result["commit"], moved_to, "{result:#}");
    assert_eq!(result["files"]["seen"], 3, "{result:#}");
    let third = place.scan(&json!({})).await;
    third.is_reused_from(&first);
    assert_eq!((third.fetches, third.requests), (0, 2), "{third:#?}");
    assert_eq!(third.result, second.result);
    commit(&place.repository(), "other", "changed");
    let fourth = place.scan(&json!({})).await;
    fourth.is_scanned().has_package("other");
    place.scan(&json!({})).await.is_reused_from(&fourth).has_package("other");
}

/// Fails if a file that is only noticed by its path is missed.
#[tokio::test]
async fn a_new_file_that_changes_the_result_by_its_name_is_noticed() {
    let place = Place::start().await;
    place.scan(&json!({})).await.is_scanned();
    let lock = lock_file("first");
    for (path, member) in
        [(&b".gitlab-ci.yml"[..], "infrastructure_usage"), (&b"k8s/Chart.yaml"[..], "files")]
    {
        let files = [Entry::File(b"Cargo.lock", &lock[..]), Entry::File(path, b"x: 1\n")];
        place.repository().commit("main", &files);
        let again = place.scan(&json!({})).await;
        again.is_scanned();
        let forced = place.scan(&json!({ "force": true })).await;
        assert_eq!(again.result.unwrap()[member], forced.result.unwrap()[member]);
    }
}

/// Fails if the result of other options is reused, or those of the same options are not.
#[tokio::test]
async fn other_options_have_other_results() {
    let place = Place::start().await;
    place.repository().git(&["branch", "side", "main"], b"");
    place.repository().tag("v1", "main");
    let first = place.scan(&json!({})).await;
    for options in [
        json!({ "deep": true }),
        json!({ "archives": true }),
        json!({ "exclude_paths": ["docs"] }),
        json!({ "ref": "side" }),
        json!({ "ref": "v1" }),
        json!({ "ref": first.result.as_ref().unwrap()["commit"] }),
    ] {
        let one = place.scan(&options).await;
        one.is_scanned();
        let two = place.scan(&options).await;
        two.is_reused_from(&one);
        assert_eq!((two.fetches, two.requests), (0, 2), "{options}: {two:#?}");
    }
    place.scan(&json!({ "retries": 3 })).await.is_reused_from(&first);
}

/// Fails if `force` is ignored, or its result is not the one that is reused from then on.
#[tokio::test]
async fn force_scans_and_stores_the_new_result() {
    let place = Place::start().await;
    let first = place.scan(&json!({})).await;
    let forced = place.scan(&json!({ "force": true })).await;
    forced.is_scanned();
    assert_ne!(forced.result.as_ref().unwrap()["scanned_at"], first.result.unwrap()["scanned_at"]);
    place.scan(&json!({ "force": false })).await.is_reused_from(&forced);
    let answer = place.server.post("/scan", &json!({ "git_url": "x", "force": "yes" })).await;
    answer.expect(422);
}

/// Fails if another limit or pattern finds the result of the settings before.
#[tokio::test]
async fn other_settings_have_other_results() {
    let forge = Forge::start();
    commit(&forge.add_empty_repository("acme/web"), "first", "text");
    let server = knowing(&forge, Setup::new()).start().await;
    let mut place = Place { forge, server };
    let first = place.scan(&json!({})).await;
    for (name, value) in [
        ("SCANWATCH_LIMITS__MAX_PACKAGES", "77"),
        ("SCANWATCH_SCANNER__EXCLUDE_PATHS", "[\"testdata\"]"),
    ] {
        place.server.set_variable(name, value);
        place.server.terminate().await;
        place.server.restart().await;
        place.scan(&json!({})).await.is_scanned();
    }
    for (name, value) in [
        ("SCANWATCH_LIMITS__MAX_PACKAGES", "100000"),
        ("SCANWATCH_JOBS__RESULTS_RETENTION_HOURS", "0"),
    ] {
        place.server.set_variable(name, value);
    }
    place.server.terminate().await;
    place.server.restart().await;
    eventually("without a retention time the store is emptied of records", async || {
        !place.stored().iter().any(|path| path.to_string_lossy().ends_with(".latest.json"))
    })
    .await;
    for _ in 0..2 {
        place.scan(&json!({})).await.is_scanned();
    }
    drop(first);
}

/// Fails if a damaged store fails a scan, or a damaged result is served.
#[tokio::test]
async fn a_damaged_result_is_scanned_again() {
    let damages: [fn(&Path); 4] = [
        |path| files::write(path, ""),
        |path| files::write(path, &fs::read(path).unwrap()[..40]),
        |path| fs::remove_file(path).unwrap(),
        |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        },
    ];
    let place = Place::start().await;
    place.scan(&json!({})).await.is_scanned();
    for damage in damages {
        // A record, or the result itself.
        for at in 0..2 {
            damage(&place.stored()[at]);
            let again = place.scan(&json!({})).await;
            again.is_scanned().has_package("first");
            if place.stored().iter().all(|path| path.is_file()) {
                place.scan(&json!({})).await.is_reused_from(&again);
            }
            for path in place.stored().iter().filter(|path| path.is_dir()) {
                fs::remove_dir(path).unwrap();
            }
            place.scan(&json!({ "force": true })).await.is_scanned();
        }
    }
}

/// Fails if somebody who may not read a repository gets the result of somebody who may, or a failure is hidden by an old result.
#[tokio::test]
async fn a_repository_that_cannot_be_read_is_not_served_from_the_store() {
    let place = Place::start().await;
    let first = place.scan(&json!({})).await;
    first.is_scanned();
    let fails = async || {
        let failed = place.scan(&json!({})).await;
        assert_eq!(failed.row["failure"]["kind"], "clone", "{failed:#?}");
        assert!(failed.result.is_none(), "{failed:#?}");
    };
    for code in [401, 403, 404, 500] {
        place.forge.behave(Behaviour::Status(code));
        fails().await;
    }
    place.forge.behave(Behaviour::Honest);
    place.scan(&json!({})).await.is_reused_from(&first);
    // A server of the old protocol does not say what it has without sending it all: the files are compared.
    place.forge.behave(Behaviour::OldProtocol);
    place.scan(&json!({})).await.is_reused_from(&first);
    place.forge.repository("acme/web").git(&["update-ref", "-d", "refs/heads/main"], b"");
    place.forge.behave(Behaviour::Honest);
    let emptied = place.scan(&json!({})).await;
    assert_eq!(emptied.row.get("reused_from"), None, "{emptied:#?}");
    assert_eq!(emptied.result.unwrap()["packages"], json!([]));
    commit(&place.repository(), "first", "text");
    place.scan(&json!({})).await.is_reused_from(&first);
    place.forge.require_login("user", "password");
    fails().await;
}

/// Fails if a group does not say how many of its repositories were reused.
#[tokio::test]
async fn a_group_counts_what_it_reuses() {
    let forge = Forge::start();
    forge.group(&["acme/a", "acme/b", "acme/team/c"]);
    let forges = format!("[{{ kind = \"gitlab\", url = \"{}\" }}]", forge.base());
    let server = Setup::new().set("forges", forges).start().await;
    let submit = async || {
        let url = format!("{}/acme", forge.base());
        let job = server.submit_with(&json!({ "git_url": url })).await;
        (server.finished(&job).await, job)
    };
    let (document, first) = submit().await;
    assert_eq!(document["summary"]["reused"], 0, "{document:#}");
    let repository = forge.repository("acme/b");
    repository.commit("main", &[Entry::File(b"Cargo.lock", &lock_file("new"))]);
    // Scanned alone, it is the same repository.
    let url = forge.url("acme/a");
    let alone = server.submit_with(&json!({ "git_url": url })).await;
    let document = server.finished(&alone).await;
    assert_eq!(document["repositories"][0]["reused_from"], first, "{document:#}");
    let result = server.job_folder(&alone).join("results/repo_0.json");
    assert_eq!(files::json(&result).unwrap()["repo_name"], "a");
    let fetches = forge.fetches();
    let (document, _) = submit().await;
    let summary = json!({
        "total_repositories": 3, "completed": 3, "in_progress": 0, "pending": 0, "failed": 0,
        "reused": 2,
    });
    assert_eq!(document["summary"], summary, "{document:#}");
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(forge.fetches() - fetches, 1);
}
