//! Scanners of others: their results are reused by the name of their version, whatever they know of it.

use super::{Place, Scanned};
use crate::support::{files, server::Setup};
use serde_json::json;

/// Notes each run, and finds one package.
const FINDING: &str = r#"
echo run >> "$dir/runs"
ls -A > "$dir/found-files"
say scanning
printf '{"schema":1,"packages":[{"name":"own","version":"1","ecosystem":"npm","purl":"pkg:npm/own@1","file":"a","direct":true,"scope":null,"source":"lockfile"}]}' > r.tmp
mv r.tmp "$SCANWATCH_RESULT_FILE"
say completed '"dependencies_found": 1'
"#;

async fn place(version: &str) -> Place {
    let set = |setup: Setup| setup.shell(FINDING).set("scanner.command_version", json!(version));
    Place::with(set).await
}

fn runs(place: &Place) -> usize {
    files::text(&place.server.file("runs")).lines().count()
}

#[track_caller]
fn is_completed(scanned: &Scanned) {
    assert_eq!(scanned.row["status"], "completed", "{scanned:#?}");
    scanned.has_package("own");
}

/// Fails if the result of a command without a version is stored or reused, or its forge is asked for nothing.
#[tokio::test]
async fn the_results_of_a_command_without_a_version_are_not_reused() {
    let place = place("").await;
    for run in 1..=2 {
        let scanned = place.scan(&json!({})).await;
        is_completed(&scanned);
        assert_eq!((runs(&place), scanned.requests), (run, 0), "{scanned:#?}");
    }
    assert!(place.stored().is_empty());
}

/// Fails if a command with a version runs although nothing has changed, or does not although something has.
#[tokio::test]
async fn the_results_of_a_command_are_reused_by_the_name_of_its_version() {
    let mut place = place("1").await;
    let first = place.scan(&json!({})).await;
    is_completed(&first);
    let before = files::text(&place.server.file("found-files"));
    assert_eq!(before, "", "the scratch folder of a scanner is empty");
    let second = place.scan(&json!({})).await;
    is_completed(&second);
    second.is_reused_from(&first);
    assert_eq!((runs(&place), second.fetches, second.requests), (1, 0, 2), "{second:#?}");
    super::commit(&place.repository(), "first", "another text");
    let third = place.scan(&json!({})).await;
    is_completed(&third);
    assert_eq!((runs(&place), third.row.get("reused_from")), (2, None), "{third:#?}");
    place.scan(&json!({})).await.is_reused_from(&third);
    assert_eq!(runs(&place), 2);
    place.scan(&json!({ "force": true })).await;
    assert_eq!(runs(&place), 3);
    place.server.set_variable("SCANWATCH_SCANNER__COMMAND_VERSION", "2");
    place.server.terminate().await;
    place.server.restart().await;
    let other = place.scan(&json!({})).await;
    assert_eq!((runs(&place), other.row.get("reused_from")), (4, None), "{other:#?}");
}

/// Fails if a scanner can claim that its result is an earlier one: without a known result, `unchanged` is a broken protocol, and
/// `reused_from` is removed.
#[tokio::test]
async fn a_scanner_cannot_claim_a_result_that_is_not_known() {
    let claims = r#"say analyzing '"unchanged": true'"#;
    let place = Place::with(|setup| setup.shell(claims)).await;
    let claimed = place.scan(&json!({})).await;
    assert_eq!(claimed.row["failure"]["kind"], "protocol", "{claimed:#?}");
    let claims = r#"say completed '"reused_from": "another"'"#;
    let place = Place::with(|setup| setup.shell(claims)).await;
    let claimed = place.scan(&json!({})).await;
    assert_eq!(claimed.row["status"], "completed", "{claimed:#?}");
    assert_eq!(place.server.status_file(&claimed.job, 0).get("reused_from"), None);
}
