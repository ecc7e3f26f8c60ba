//! Groups of each kind of forge: their lists go on while they are scanned, and continue after a crash.

use super::{NAMED, plan, scanned};
use crate::support::{
    files,
    forge::{Fault, Forge},
    server::{Setup, TestServer},
    wait::eventually,
};
use serde_json::{Value, json};
use std::{fs, path::Path};

const TOKEN: &str = "str3am-c4n4ry";

/// A kind of forge, the path of a group, and of the folder of its repositories.
const KINDS: [(&str, &str, &str); 6] = [
    ("gitlab", "acme", "acme"),
    ("gitea", "acme", "acme"),
    ("forgejo", "acme", "acme"),
    ("bitbucket", "acme", "acme"),
    ("bitbucket-server", "projects/acme", "acme"),
    ("azure", "acme/web", "acme/web"),
];

/// A forge with five repositories, on pages of two.
fn forge(folder: &str) -> Forge {
    let forge = Forge::start();
    for name in ["a", "b", "c", "d", "e"] {
        forge.listing().add(&format!("{folder}/{name}"));
    }
    forge.listing().page_size = 2;
    forge.listing().token = Some(TOKEN.to_owned());
    forge
}

async fn server_for(forge: &Forge, kind: &str) -> TestServer {
    let setup = Setup::new();
    let token = setup.folder().join("token");
    files::write(&token, TOKEN);
    let (url, token) = (forge.base(), token.display());
    let forges = format!("[{{ kind = \"{kind}\", url = \"{url}\", token_file = \"{token}\" }}]");
    setup.shell(NAMED).set("forges", forges).start().await
}

/// Waits until the first page is scanned and the second one requested, kills the server, and starts
/// the next one.
async fn kill_between_pages(server: &mut TestServer, forge: &Forge, job: &str) {
    eventually("the second page is requested, and the first one scanned", async || {
        let asked = forge.listing().asked.len();
        asked == 2 && server.progress(job).await["summary"]["completed"] == 2
    })
    .await;
    server.kill9().await;
    assert!(!holds_token(&server.setup().jobs()), "a file of the job has the token");
    server.restart().await;
}

/// Whether any file below a folder has the token.
fn holds_token(folder: &Path) -> bool {
    // Scans go on meanwhile, and remove their folders.
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return holds_token(&path);
        }
        let content = fs::read(&path).unwrap_or_default();
        content.windows(TOKEN.len()).any(|part| part == TOKEN.as_bytes())
    })
}

fn all_five() -> Vec<(String, usize)> {
    ["a", "b", "c", "d", "e"].iter().zip(0..).map(|(name, n)| ((*name).to_owned(), n)).collect()
}

/// Fails if a kind of forge is listed completely before anything is scanned, if its list does not
/// continue from the page that was on its way when the server died (by number, by offset, by a URL in
/// the body, by a token in a header), or if a repository is then missing or scanned twice; if the
/// filters do not apply to every page.
#[tokio::test]
async fn each_kind_of_forge_streams_and_continues_after_a_crash() {
    for (kind, place, folder) in KINDS {
        let forge = forge(folder);
        // The page after the first one is on its way until the server dies.
        forge.listing().faults = vec![Fault::NoLinks, Fault::Silence].into();
        let mut server = server_for(&forge, kind).await;
        let url = format!("{}/{place}", forge.base());
        let job = server.submit_with(&json!({ "git_url": url, "exclude": ["d"] })).await;
        kill_between_pages(&mut server, &forge, &job).await;
        let document = server.finished(&job).await;
        assert_eq!(document["status"], "completed", "{kind}: {document:#}");
        assert_eq!(document["totals"]["found"], 5, "{kind}: {document:#}");
        assert_eq!(document["totals"]["skipped"], 1, "{kind}: {document:#}");
        let names = ["a", "b", "c", "e"].map(str::to_owned).into_iter();
        assert_eq!(scanned(&server), names.zip(0..).collect::<Vec<_>>(), "{kind}");
        {
            let listing = forge.listing();
            let asked = &listing.asked;
            assert_eq!(asked.len(), 4, "{kind}: {asked:?}");
            assert_eq!(asked[1], asked[2], "{kind}: the page that was on its way");
            assert!(asked[0] != asked[1] && asked[2] != asked[3], "{kind}: {asked:?}");
        }
        let listed = plan(&server, &job);
        let rows = listed["repositories"].as_array().unwrap();
        assert_eq!((&listed["complete"], rows.len()), (&json!(true), 5), "{kind}: {listed:#}");
        let kinds: Vec<&Value> = rows.iter().map(|row| &row["skipped_kind"]).collect();
        assert_eq!(json!(kinds), json!([null, null, null, "filtered", null]), "{kind}");
    }
}

/// Fails if a secret that a forge puts into the URL of the next page is stored, if that page is then
/// not found, or if a list that starts again scans anything twice.
#[tokio::test]
async fn a_secret_in_the_next_url_of_a_body_is_not_stored() {
    let forge = forge("acme");
    let next = format!("{}/2.0/repositories/acme?page=2&t={TOKEN}", forge.base());
    forge.listing().faults = vec![Fault::Next(next), Fault::Silence].into();
    let mut server = server_for(&forge, "bitbucket").await;
    let url = format!("{}/acme", forge.base());
    let job = server.submit_with(&json!({ "git_url": url })).await;
    kill_between_pages(&mut server, &forge, &job).await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed", "{document:#}");
    assert_eq!(scanned(&server), all_five());
    let asked = forge.listing().asked.clone();
    assert!(asked[1].contains(TOKEN), "the page is requested as the forge names it: {asked:?}");
    assert_eq!(asked[2], asked[0], "the list starts again: {asked:?}");
    assert_eq!(asked.len(), 5, "{asked:?}");
    assert!(!holds_token(&server.setup().jobs()), "a file of the job has the token");
    assert!(!server.setup().log().contains(TOKEN));
}

/// Fails if a dry run has other pages, limits or rows than the job, or conceals what cannot be listed.
#[tokio::test]
async fn a_dry_run_reports_what_the_job_would_list() {
    let forge = forge("acme");
    let server = server_for(&forge, "bitbucket-server").await;
    let body = json!({ "git_url": format!("{}/projects/acme", forge.base()), "exclude": ["e"] });
    let broken = [Fault::NoLinks, Fault::HalfJson];
    forge.listing().faults = broken.to_vec().into();
    let preview = server.post("/scan?dry_run=true", &body).await.expect(200).json();
    // The offset of the page after the broken one is that of its URL, and its limit: nothing follows.
    assert_eq!(preview["discovery_errors_total"], 1, "{preview:#}");
    let error = preview["discovery_errors"][0]["error"].as_str().unwrap();
    assert!(error.contains("not JSON"), "{error}");
    assert_eq!((&preview["total"], &preview["to_scan"]), (&json!(2), &json!(2)), "{preview:#}");

    forge.listing().faults = broken.to_vec().into();
    let job = server.submit_with(&body).await;
    let document = server.finished(&job).await;
    assert_eq!(document["status"], "completed_with_errors", "{document:#}");
    assert_eq!(document["totals"]["found"], 2, "{document:#}");
    assert_eq!(document["discovery_errors_total"], 1, "{document:#}");
    assert_eq!(document["discovery_errors"][0]["error"], error, "{document:#}");

    let preview = server.post("/scan?dry_run=true", &body).await.expect(200).json();
    assert!(preview.get("discovery_errors").is_none(), "{preview:#}");
    assert_eq!((&preview["total"], &preview["to_scan"]), (&json!(5), &json!(4)), "{preview:#}");
}
