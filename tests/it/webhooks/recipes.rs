//! The recipes of docs/operations.md: Dependency-Track and GitLab, against stand-ins that are written from their
//! documentation.

use super::{
    receiver::{Received, Receiver, Reply, status},
    recording, row,
};
use crate::support::{files, forge::program, python::succeed, server::Setup, wait::eventually};
use serde_json::{Value, json};
use std::{collections::BTreeMap, path::Path};
use tempfile::TempDir;

const KEY: &str = "odt_0123456789abcdef";

/// Writes a result with one package.
const SCANNER: &str = r#"
printf '{"schema": 1, "packages": [{"name": "left-pad", "version": "1.3.0", "ecosystem": "npm",
  "purl": "pkg:npm/left-pad@1.3.0", "file": "package.json", "direct": null, "scope": "dev",
  "source": "manifest"}]}' > r.part && mv r.part "$SCANWATCH_RESULT_FILE"
say completed
"#;

/// The fields of a form (RFC 7578).
fn form(request: &Received) -> BTreeMap<String, String> {
    let (kind, boundary) = request.header("content-type").split_once("; boundary=").unwrap();
    assert_eq!(kind, "multipart/form-data");
    let text = String::from_utf8(request.body.clone()).unwrap();
    let text = text.strip_suffix(&format!("\r\n--{boundary}--\r\n")).expect("the form is whole");
    let mark = format!("--{boundary}\r\n");
    let parts = text.split(&mark).skip(1);
    parts
        .map(|part| {
            let (head, value) = part.split_once("\r\n\r\n").unwrap();
            let name = head.split("name=\"").nth(1).unwrap().split('"').next().unwrap();
            (name.to_owned(), value.trim_end_matches("\r\n").to_owned())
        })
        .collect()
}

/// What `POST /api/v1/bom` and `GET /api/v1/team/self` of Dependency-Track answer.
fn dependency_track(request: &Received) -> Reply {
    if request.header("x-api-key") != KEY {
        return status(401);
    }
    match (request.method.as_str(), request.target.as_str()) {
        ("POST", "/api/v1/bom") => {
            let token = json!({ "token": "0198c0de-7f1a-7000-8000-000000000000" }).to_string();
            Reply::Status(200, "Content-Type: application/json\r\n".into(), token.into_bytes())
        }
        ("GET", "/api/v1/team/self") => status(200),
        _ => status(404),
    }
}

fn uploads(receiver: &Receiver) -> Vec<BTreeMap<String, String>> {
    let all = receiver.received();
    all.iter().filter(|request| request.method == "POST").map(form).collect()
}

/// Fails if the bill of materials of a scanned repository is not uploaded as Dependency-Track documents it, if it is
/// lost with its job, or if a repository that failed is uploaded.
#[tokio::test]
async fn dependency_track_gets_each_bill_of_materials() {
    let receiver =
        Receiver::answering(
            |request, number| {
                if number == 0 { status(503) } else { dependency_track(request) }
            },
        );
    let key = format!(
        "[{{ name = \"dtrack\", kind = \"dependency-track\", url = \"{}\", secret_env = \"KEY\" }}]",
        receiver.url("/")
    );
    let server = Setup::new()
        .shell(&format!("[ \"$SCANWATCH_REPO_NAME\" = bad ] && exit 3\n{SCANNER}"))
        .set("webhooks", key)
        .variable("KEY", KEY)
        .start()
        .await;
    recording(&server).await;
    let bad = server.submit("bad").await;
    server.finished(&bad).await;
    let url = "https://github.com/acme/app.git";
    let job = server.submit_with(&json!({ "git_url": url, "ref": "v1" })).await;
    server.finished(&job).await;
    eventually("the first attempt fails", async || row(&server, "dtrack").await["failures"] == 1)
        .await;
    // The document does not depend on the job any more.
    server.delete(&format!("/scan/{job}")).await.expect(204);
    eventually("it is accepted", async || {
        let row = row(&server, "dtrack").await;
        row["pending"] == 0 && row["last_success_at"].is_string()
    })
    .await;
    let uploads = uploads(&receiver);
    assert_eq!(uploads.len(), 2, "{uploads:?}");
    assert_eq!(uploads[0], uploads[1]);
    let form = &uploads[1];
    assert_eq!(form["projectName"], "github.com/acme/app");
    assert_eq!((form["projectVersion"].as_str(), form["autoCreate"].as_str()), ("v1", "true"));
    let bom: Value = serde_json::from_str(&form["bom"]).unwrap();
    assert_eq!((&bom["bomFormat"], &bom["specVersion"]), (&json!("CycloneDX"), &json!("1.6")));
    assert_eq!(bom["components"][0]["purl"], "pkg:npm/left-pad@1.3.0", "{bom:#}");
    eventually("its document is removed", async || {
        let folder = server.setup().jobs().join(".webhooks/targets/dtrack/documents");
        files::below(&folder).is_empty()
    })
    .await;
    let tested = server.post_nothing("/webhooks/dtrack/test").await.expect(200).json();
    assert_eq!((&tested["ok"], &tested["status"]), (&json!(true), &json!(200)), "{tested:#}");
    for file in files::below(&server.setup().jobs()) {
        assert!(!files::text(&file).contains(KEY), "{file:?} has the key");
    }
    assert!(!server.setup().log().contains(KEY));
}

/// The lines of the `script` of the documented job of GitLab CI.
fn documented_script() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = files::text(&root.join("docs/operations.md"));
    let job = text.split("```yaml\n").find(|block| block.contains("gl-sbom-")).expect("a recipe");
    let job = job.split("```").next().unwrap();
    assert!(job.contains("cyclonedx: gl-sbom-*.cdx.json"), "{job}");
    let script = job.lines().skip_while(|line| line.trim() != "script:").skip(1);
    let script = script.map_while(|line| line.trim().strip_prefix("- "));
    script.map(str::to_owned).collect()
}

/// Fails if the documented job of GitLab CI makes no report that GitLab reads: `gl-sbom-*.cdx.json` in the folder of
/// the job, in a version of `CycloneDX` from 1.4 to 1.6, with purls.
#[test]
fn gitlabs_dependency_report_is_made_by_the_documented_job() {
    let home = TempDir::new().unwrap();
    let tree = home.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    files::write(&tree.join("requirements.txt"), "flask==3.0.0\n");
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_scanwatch"), bin.join("scanwatch")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let script = documented_script();
    assert!(!script.is_empty());
    succeed(
        program("sh")
            .args(["-ec", &script.join("\n")])
            .current_dir(&tree)
            .env("HOME", home.path())
            .env("PATH", path),
    );
    let reports: Vec<_> = files::below(&tree)
        .into_iter()
        .filter(|file| {
            let name = file.file_name().unwrap().to_str().unwrap();
            name.starts_with("gl-sbom-") && name.ends_with(".cdx.json")
        })
        .collect();
    assert_eq!(reports.len(), 1, "{reports:?}");
    let report = files::json(&reports[0]).unwrap();
    assert_eq!(report["bomFormat"], "CycloneDX");
    assert!(["1.4", "1.5", "1.6"].contains(&report["specVersion"].as_str().unwrap()), "{report:#}");
    let components = report["components"].as_array().unwrap();
    let purl = "pkg:pypi/flask@3.0.0";
    assert!(components.iter().any(|component| component["purl"] == purl), "{report:#}");
}
