//! The repositories of a job as a list, and their packages as CSV.

use crate::support::{
    files,
    handmade::Handmade,
    server::{Answer, Setup, TestServer},
    wait::{eventually, within},
};
use reqwest::Method;
use scanwatch::model::plan::{Plan, PlannedRepository, SkipKind};
use serde_json::{Value, json};
use std::time::Duration;

/// Finds a package with a hostile name in each repository, except those with an odd number, which
/// fail.
const FINDS: &str = r"
i = task['repo_index']
if i % 2:
    sys.exit(3)
package = lambda name, **more: dict(name=name, version='1.0', ecosystem='npm', purl='pkg:npm/x@1.0',
    file='a,b.json', direct=True, scope='dev', source='lockfile', **more)
replace(os.environ['SCANWATCH_RESULT_FILE'], {'schema': 1, 'packages': [
    package('=HYPERLINK(\x22http://evil.example\x22)', line=7),
    package('two\r\nlines, and \x22quotes\x22', specifier='>=1'),
    package('@scope/name'),
]})
say('completed', dependencies_found=3)
";

fn names(page: &Value) -> Vec<&str> {
    let rows = page["repositories"].as_array().unwrap();
    rows.iter().map(|row| row["repo_name"].as_str().unwrap_or("?")).collect()
}

async fn page(server: &TestServer, job: &str, query: &str) -> Value {
    server.get(&format!("/scan/{job}/repositories{query}")).await.expect(200).json()
}

/// Breaks if the list of repositories loses its order, its pages, its filter, or those that have
/// not started.
#[tokio::test]
async fn the_repositories_of_a_job_are_listed_page_by_page() {
    let setup = Setup::new()
        .python(
            "if task['repo_index'] == 1: sys.exit(3)\nsay('scanning')\n\
                 while not os.path.exists(here + '/go'): time.sleep(0.05)\nsay('completed')\n",
        )
        .set("scanner.max_concurrent_processes", 2);
    let job = setup.write_group(12);
    let server = setup.start().await;
    let count = async |status: &str| {
        page(&server, &job, &format!("?status={status}")).await["total"].clone()
    };
    within(Duration::from_mins(1), "one has failed, two work", async || {
        count("failed").await == 1 && count("scanning").await == 2
    })
    .await;
    let all = page(&server, &job, "").await;
    let expected: Vec<String> = (0..12).map(|n| format!("part-{n}")).collect();
    assert_eq!(names(&all), expected);
    assert_eq!((&all["total"], &all["per_page"]), (&json!(12), &json!(100)));
    assert_eq!((&all["skipped"], &all["skipped_total"]), (&json!([]), &json!(0)));
    assert_eq!(names(&page(&server, &job, "?page=2&per_page=5").await), expected[5..10]);
    assert_eq!(page(&server, &job, "?page=-1&per_page=5000").await["per_page"], 1000);

    assert_eq!(count("working").await, 2);
    assert_eq!(count("pending").await, 9);
    assert_eq!(count("completed").await, 0);
    assert_eq!(count("timeout").await, 0);
    let failed = page(&server, &job, "?status=failed").await;
    let row = &failed["repositories"][0];
    assert_eq!((&row["repo_index"], &row["status"]), (&json!(1), &json!("failed")));
    assert_eq!((&row["failure"]["kind"], &row["attempt"]), (&json!("exit"), &json!(1)));
    assert_eq!(row["git_url"], "https://gitlab.com/acme/part-1.git");
    let single = server.get(&format!("/scan/{job}/repositories/1")).await.expect(200).json();
    assert_eq!(*row, single, "a row is what its own path answers");

    let waiting =
        &page(&server, &job, "?status=pending&page=9&per_page=1").await["repositories"][0];
    assert_eq!((&waiting["repo_index"], &waiting["status"]), (&json!(11), &json!("pending")));
    assert_eq!(waiting["git_url"], "https://gitlab.com/acme/part-11.git");
    let single = server.get(&format!("/scan/{job}/repositories/11")).await.expect(200).json();
    assert_eq!(*waiting, single);
    server.get(&format!("/scan/{job}/repositories/12")).await.expect(404);
    let odd = server.get(&format!("/scan/{job}/repositories?status=sleeping")).await.expect(400);
    let detail = odd.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("Invalid status filter. Must be one of: pending"), "{detail}");
    server.get("/scan/unknown/repositories").await.expect(404);
    files::write(&server.file("go"), "");
    server.finished(&job).await;
}

/// Breaks if what the plan leaves out cannot be seen, or a plan that grows is not noticed.
#[tokio::test]
async fn what_is_left_out_is_listed_with_its_reason() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 2);
    job.repository(0, "completed", 1000);
    job.known(&server).await;
    let path = format!("{}/repositories", job.path());
    // Another program's job: all that is known about the second is that it exists.
    eventually("the first is read", async || {
        server.get(&path).await.json()["repositories"][0]["repo_name"] == "part-0"
    })
    .await;
    let answer = server.get(&path).await;
    let rows = &answer.json()["repositories"];
    assert_eq!((&rows[1]["repo_index"], &rows[1]["status"]), (&json!(1), &json!("pending")));
    assert_eq!(rows[1]["repo_name"], Value::Null);
    let etag = answer.header("etag").unwrap().to_owned();
    let ask = |etag: &str| server.request(Method::GET, &path).header("If-None-Match", etag);
    server.send(ask(&etag)).await.expect(304);

    let url = |name: &str| format!("https://gitlab.com/acme/{name}.git");
    let mut plan = Plan::of(["part-0", "part-1"].map(|name| (name.to_owned(), url(name))));
    plan.repositories.push(PlannedRepository {
        repo_index: None,
        repo_name: "old".to_owned(),
        git_url: url("old"),
        skipped: Some("archived".to_owned()),
        skipped_kind: Some(SkipKind::Archived),
        refused: None,
    });
    files::replace(&job.folder.join("repositories.json"), serde_json::to_vec(&plan).unwrap());
    let all = server.send(ask(&etag)).await.expect(200).json();
    assert_eq!(names(&all), ["part-0", "part-1"]);
    assert_eq!((&all["total"], &all["skipped_total"]), (&json!(2), &json!(1)));
    let left_out = server.get(&format!("{path}?status=skipped")).await.expect(200).json();
    let expected = json!([{
        "repo_name": "old", "git_url": url("old"), "reason": "archived", "kind": "archived",
    }]);
    assert_eq!(left_out["skipped_by_reason"], json!({ "archived": 1 }));
    assert_eq!((&left_out["skipped"], &left_out["total"]), (&expected, &json!(1)));
    assert_eq!(left_out["repositories"], json!([]));
}

/// A small reader of RFC 4180.
fn cells(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut characters = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                cell.push('"');
                characters.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    assert!(row.is_empty() && cell.is_empty() && !quoted, "the last line has its end: {text}");
    rows
}

/// Breaks if a spreadsheet runs the names of a repository's packages, or rows are broken, lost, or
/// of repositories that failed.
#[tokio::test]
async fn results_are_available_as_safe_csv() {
    let setup = Setup::new().python(FINDS);
    let job = setup.write_group(4);
    let server = setup.start().await;
    let results = format!("/jobs/{job}/results");
    assert_eq!(server.finished(&job).await["status"], "completed_with_errors");

    let answer = server.get(&format!("{results}?format=csv")).await.expect(200);
    assert!(answer.header("content-type").unwrap().starts_with("text/csv; charset=utf-8"));
    let name = format!("attachment; filename=\"scanwatch-{job}.csv\"");
    assert_eq!(answer.header("content-disposition"), Some(name.as_str()));
    let rows = cells(&answer.text);
    assert_eq!(rows[0][..2], ["repository", "name"]);
    assert_eq!(rows.len(), 1 + 2 * 3, "{rows:#?}");
    let column = |n: usize| rows[1..].iter().map(|row| row[n].as_str()).collect::<Vec<_>>();
    assert_eq!(column(0), ["part-0", "part-0", "part-0", "part-2", "part-2", "part-2"]);
    let hostile =
        ["'=HYPERLINK(\"http://evil.example\")", "two\r\nlines, and \"quotes\"", "'@scope/name"];
    assert_eq!(column(1), [hostile, hostile].concat());
    assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{rows:#?}");

    let accepting = async |path: &str, accept: &str| -> Answer {
        server.send(server.request(Method::GET, path).header("accept", accept)).await.expect(200)
    };
    assert_eq!(accepting(&results, "text/csv").await.text, answer.text);
    assert_eq!(accepting(&results, "text/csv;q=0.1, */*").await.json()["packages_total"], 6);
    let head = server.request(Method::HEAD, &format!("{results}?format=csv"));
    assert_eq!(server.send(head).await.expect(200).text, "");
    server.get(&format!("{results}?format=xml")).await.expect(400);

    let packages = format!("/scan/{job}/repositories/2/packages");
    let one = server.get(&format!("{packages}?format=csv&per_page=1")).await.expect(200);
    let name = format!("attachment; filename=\"scanwatch-{job}-2.csv\"");
    assert_eq!(one.header("content-disposition"), Some(name.as_str()));
    assert_eq!(cells(&one.text)[1..], rows[4..]);
    assert_eq!(server.get(&format!("{packages}?format=json&per_page=1")).await.json()["total"], 3);
    server.get(&format!("/scan/{job}/repositories/1/packages?format=csv")).await.expect(400);
}

/// Breaks if there is no bill of materials of a job or of a repository, or if it does not cover
/// exactly what completed.
#[tokio::test]
async fn bills_of_materials_exist_for_a_job_and_for_each_repository() {
    let setup = Setup::new().python(FINDS);
    let job = setup.write_group(4);
    let server = setup.start().await;
    server.finished(&job).await;
    let of_job = format!("/scan/{job}/sbom");
    let answer = server.get(&of_job).await.expect(200);
    let name = format!("attachment; filename=\"scanwatch-{job}.cdx.json\"");
    assert_eq!(answer.header("content-disposition"), Some(name.as_str()));
    let document = answer.json();
    assert_eq!(
        (&document["bomFormat"], &document["specVersion"]),
        (&json!("CycloneDX"), &json!("1.6"))
    );
    let components = document["components"].as_array().unwrap();
    let parts: Vec<_> = components
        .iter()
        .filter(|component| component["type"] == "application")
        .map(|component| &component["name"])
        .collect();
    assert_eq!(parts, ["part-0", "part-2", "part-1", "part-3"]);
    // Those that failed are named, and nothing is claimed about them.
    let reason = components[3]["properties"][0]["value"].as_str().unwrap();
    assert!(reason.starts_with("failed: ") && reason.contains("code 3"), "{reason}");
    let group = &document["metadata"]["component"]["bom-ref"];
    assert_eq!(
        document["compositions"][0],
        json!({"aggregate": "incomplete", "assemblies": [group]})
    );
    let unknown = json!(["repository:part-1", "repository:part-3"]);
    assert_eq!(document["compositions"][1]["dependencies"], unknown);
    assert_eq!(
        server.get(&format!("{of_job}?format=cyclonedx")).await.expect(200).json()["components"],
        document["components"]
    );
    let spdx = server.get(&format!("{of_job}?format=spdx")).await.expect(200).json();
    assert_eq!(spdx["spdxVersion"], "SPDX-2.3");
    let missing = spdx["packages"][2]["comment"].as_str().unwrap();
    assert!(missing.starts_with("not scanned, so nothing of it is listed: failed: "), "{missing}");
    let refused = server.get(&format!("{of_job}?format=xml")).await.expect(400).json();
    assert_eq!(
        refused["detail"],
        "Invalid format. Must be one of: cyclonedx, cyclonedx-1.7, spdx, spdx-3.0.1"
    );

    let of_one = format!("/scan/{job}/repositories/2/sbom");
    let one = server.get(&of_one).await.expect(200).json();
    assert_eq!(one["metadata"]["component"]["name"], "part-2");
    assert_eq!(one["components"].as_array().unwrap().len() + 4, components.len());
    assert!(one.get("compositions").is_none());
    let spdx = server.get(&format!("{of_one}?format=spdx")).await.expect(200);
    let name = format!("attachment; filename=\"scanwatch-{job}-2.spdx.json\"");
    assert_eq!(spdx.header("content-disposition"), Some(name.as_str()));
    server.get(&format!("/scan/{job}/repositories/1/sbom")).await.expect(400);
    server.get(&format!("/scan/{job}/repositories/7/sbom")).await.expect(404);
    server.get("/scan/unknown/sbom").await.expect(404);
}

/// Breaks if CSV is given of a job that is not completed.
#[tokio::test]
async fn there_is_no_csv_before_the_end() {
    let setup = Setup::new()
        .shell("say scanning\nwhile [ ! -e \"$dir/go\" ]; do sleep 0.05; done\nsay completed\n");
    let job = setup.write_group(1);
    let server = setup.start().await;
    server.working(&job).await;
    let refused = server.get(&format!("/jobs/{job}/results?format=csv")).await.expect(400);
    assert_eq!(refused.json()["detail"], "Job not completed");
    files::write(&server.file("go"), "");
    server.finished(&job).await;
    let empty = server.get(&format!("/jobs/{job}/results?format=csv")).await.expect(200);
    assert_eq!(cells(&empty.text).len(), 1, "the headings alone: {}", empty.text);
}
