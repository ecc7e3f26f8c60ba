//! `GET /scan/{id}/packages` and `/diff`: what all repositories of a job use, and what has changed since another job.

use crate::client::{Ran, run};
use crate::support::{
    files,
    handmade::Handmade,
    processes::resident_bytes,
    server::{Setup, TestServer},
    wait::eventually,
};
use serde_json::{Value, json};
use std::fs;

/// Every repository uses left-pad; part-1 also a package whose name begins with it; part-2 fails.
const SCANNER: &str = r"
index = task['repo_index']
def package(name, ecosystem, version):
    return {'name': name, 'version': version, 'ecosystem': ecosystem, 'purl': f'pkg:{ecosystem}/{name}@{version}',
            'file': 'f', 'direct': None, 'scope': None, 'source': 'lockfile', 'other': 'member'}
packages = [package('left-pad', 'npm', f'1.{index}')]
if index == 1:
    packages += [package('left-pad-2', 'npm', '1'), package('left-pad', 'pypi', '9')]
replace(os.environ['SCANWATCH_RESULT_FILE'], {'schema': 1, 'packages': packages})
say('failed' if index == 2 else 'completed')
";

async fn found(server: &TestServer, job: &str, query: &str) -> Value {
    server.get(&format!("/scan/{job}/packages{query}")).await.expect(200).json()
}

fn rows(answer: &Value) -> Vec<String> {
    let row = |row: &Value| format!("{} {}", row["repo_index"], row["purl"].as_str().unwrap());
    answer["packages"].as_array().unwrap().iter().map(row).collect()
}

/// Breaks if a package is found under a similar name or in a failed repository, or is missed in one
/// of many.
#[tokio::test]
async fn packages_are_found_over_all_repositories_of_a_job() {
    let setup = Setup::new().python(SCANNER);
    let job = setup.write_group(4);
    let server = setup.start().await;
    server.finished(&job).await;

    let all = found(&server, &job, "").await;
    assert_eq!(all["total"], 5, "{all:#}");
    assert_eq!(
        (&all["repositories_searched"], &all["repositories_missing"]),
        (&3.into(), &1.into())
    );
    assert_eq!(all["packages"][0]["repo_name"], "part-0", "{all:#}");
    assert!(all["packages"][0].get("other").is_none(), "{all:#}");
    let npm = ["0 pkg:npm/left-pad@1.0", "1 pkg:npm/left-pad@1.1", "3 pkg:npm/left-pad@1.3"];
    let named = found(&server, &job, "?name=left-pad&ecosystem=npm").await;
    assert_eq!(rows(&named), npm);
    let page = found(&server, &job, "?name=left-pad&ecosystem=npm&per_page=2&page=2").await;
    assert_eq!(rows(&page), npm[2..]);
    assert_eq!((&page["total"], &page["total_pages"]), (&3.into(), &2.into()), "{page:#}");
    assert_eq!(found(&server, &job, "?name=left-pa").await["total"], 0);
    assert_eq!(found(&server, &job, "?ecosystem=pypi").await["total"], 1);
    server.get("/scan/unknown/packages").await.expect(404);

    let part = found(&server, &job, "?fragment=LEFT-P").await;
    assert_eq!((&part["total"], &part["repositories_found"]), (&5.into(), &3.into()), "{part:#}");
    assert_eq!(part["by_ecosystem"], json!({"npm": 4, "pypi": 1}));
    let missing = json!([{"repo_index": 2, "repo_name": "part-2", "status": "failed"}]);
    assert_eq!(part["missing"], missing, "{part:#}");
    let old = found(&server, &job, "?name=left-pad&range=%3E=1.1,%3C2").await;
    assert_eq!(rows(&old), npm[1..]);
    let answer = server.get(&format!("/scan/{job}/packages?range=%5E1")).await.expect(400);
    assert!(answer.text.contains("expected for example `>=1.2.0,<2.0.0`"), "{}", answer.text);
}

/// Breaks if a search does not see what was completed after the one before, or still sees the
/// packages of a result that was replaced.
#[tokio::test]
async fn a_search_follows_the_scan() {
    let setup = Setup::new().python(
        "import time\n\
         while not os.path.exists(f'{here}/go-{task[\"repo_index\"]}-{task[\"attempt\"]}'): time.sleep(0.01)\n\
         name = f'of-{task[\"repo_index\"]}-{task[\"attempt\"]}'\n\
         replace(os.environ['SCANWATCH_RESULT_FILE'], {'packages': [{'name': name, 'version': '1',\n\
         \x20   'ecosystem': 'npm', 'purl': f'pkg:npm/{name}@1', 'file': 'f', 'direct': None, 'scope': None,\n\
         \x20   'source': 'lockfile'}]})\n\
         say('completed' if name != 'of-1-1' else 'failed')\n",
    );
    let job = setup.write_group(2);
    let server = setup.start().await;
    let go = |scan: &str| files::write(&server.file(&format!("go-{scan}")), "");
    let names = async || {
        let answer = found(&server, &job, "?fragment=of-").await;
        let missing = answer["repositories_missing"].as_u64().unwrap();
        let names = answer["packages"].as_array().unwrap().iter().map(|row| row["name"].clone());
        (names.collect::<Vec<_>>(), missing)
    };
    assert_eq!(names().await, (vec![], 2));
    go("0-1");
    eventually("the first is found", async || names().await == (vec![json!("of-0-1")], 1)).await;
    go("1-1");
    server.finished(&job).await;
    assert_eq!(names().await, (vec![json!("of-0-1")], 1), "the other one has failed");
    server.post_nothing(&format!("/scan/{job}/retry")).await.expect(200);
    go("1-2");
    let both = (vec![json!("of-0-1"), json!("of-1-2")], 0);
    eventually("the second attempt is found", async || names().await == both).await;
    // As an operator would, who replaces the file of a result.
    let result = server.setup().jobs().join(&job).join("results/repo_0.json");
    let text = files::text(&result).replace("of-0-1", "of-somebody-else");
    files::replace(&result, text);
    eventually("the replaced result is found", async || {
        let answer = server.get(&format!("/scan/{job}/packages")).await;
        answer.status == 200 && answer.text.contains("of-somebody-else")
    })
    .await;
}

/// Writes the result of a repository, and completes it.
fn complete(job: &Handmade, index: u32, packages: &[(&str, Option<&str>)]) {
    let package = |(name, version): &(&str, Option<&str>)| {
        json!({"name": name, "version": version, "ecosystem": "npm", "purl": format!("pkg:npm/{name}"),
            "file": "f", "direct": null, "scope": null, "source": "lockfile"})
    };
    let packages: Vec<_> = packages.iter().map(package).collect();
    let folder = job.folder.join("results");
    fs::create_dir_all(&folder).unwrap();
    files::replace(
        &folder.join(format!("repo_{index}.json")),
        json!({"packages": packages}).to_string(),
    );
    job.repository(index, "completed", 0);
}

/// Two jobs of one group, the earlier one first. `part-0` has changed, `part-1` has not, `part-2` failed in the
/// later job, which alone has `part-3`.
pub(crate) async fn changed_group(server: &TestServer) -> [Handmade; 2] {
    let (before, after) = (Handmade::new(server, 3), Handmade::new(server, 4));
    let same = [("same", Some("1.0.0")), ("same", Some("1.0.0")), ("ranged", None)];
    complete(&before, 0, &[&same[..], &[("old", Some("2")), ("moved", Some("1.9.0"))]].concat());
    let changed = [("new", None), ("moved", Some("1.10.0")), ("moved", Some("1.9.0"))];
    complete(&after, 0, &[&same[..], &changed].concat());
    for job in [&before, &after] {
        complete(job, 1, &same);
    }
    complete(&before, 2, &same);
    after.repository(2, "failed", 0);
    complete(&after, 3, &[("whole", Some("1"))]);
    eventually("all repositories are read", async || {
        let path = format!("/scan/{}/diff?with={}", after.id, before.id);
        let answer = server.get(&path).await;
        answer.status == 200
            && answer.json()["repositories_missing"] == 1
            && answer.json()["repositories_added"] == 1
    })
    .await;
    [before, after]
}

/// Breaks if a change is missed or invented, or if a repository that was not scanned in both jobs
/// is taken for unchanged.
#[tokio::test]
async fn two_jobs_of_one_group_are_compared() {
    let server = Setup::new().start().await;
    let [before, after] = changed_group(&server).await;
    let diff = |of: &Handmade, with: &Handmade, more: &str| {
        format!("/scan/{}/diff?with={}{more}", of.id, with.id)
    };
    let answer = async |path: &str| server.get(path).await.expect(200).json();

    let changes = answer(&diff(&after, &before, "")).await;
    let rows: Vec<String> = changes["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let [repository, change, name] =
                ["repo_name", "change", "name"].map(|key| row[key].as_str().unwrap());
            format!("{repository} {change} {name} {} {}", row["before"], row["after"])
        })
        .collect();
    let expected = [
        r#"part-0 changed moved ["1.9.0"] ["1.9.0","1.10.0"]"#,
        "part-0 added new [] []",
        r#"part-0 removed old ["2"] []"#,
        r#"part-3 added whole [] ["1"]"#,
    ];
    assert_eq!(rows, expected);
    let counts = |of: &Value, names: [&str; 7]| names.map(|name| of[name].as_u64().unwrap());
    let names = [
        "added",
        "removed",
        "changed",
        "repositories_compared",
        "repositories_added",
        "repositories_removed",
        "repositories_missing",
    ];
    assert_eq!(counts(&changes, names), [2, 1, 1, 2, 1, 0, 1], "{changes:#}");
    let missing = json!([{"repo_name": "part-2", "before": "completed", "after": "failed"}]);
    assert_eq!(changes["missing"], missing);

    let back = answer(&diff(&before, &after, "")).await;
    assert_eq!(counts(&back, names), [1, 2, 1, 2, 0, 1, 1], "{back:#}");
    let second = answer(&diff(&after, &before, "&per_page=1&page=2&change=added")).await;
    assert_eq!(second["changes"][0]["name"], "whole", "{second:#}");
    assert_eq!((&second["total"], &second["total_pages"]), (&2.into(), &2.into()));
    assert_eq!(answer(&diff(&after, &after, "")).await["total"], 0);

    server.get(&format!("/scan/{}/diff", after.id)).await.expect(400);
    server.get(&format!("/scan/{}/diff?with=unknown", after.id)).await.expect(404);
    let other = server.submit("another").await;
    let refused = server.get(&format!("/scan/{}/diff?with={other}", after.id)).await.expect(400);
    assert!(refused.text.contains("of different URLs"), "{}", refused.text);

    let Ran { out: table, err: summary, .. } =
        run(&server, &["diff", &before.id, &after.id]).expect(0);
    assert!(
        table.contains("part-0      changed  npm        moved    1.9.0   1.9.0, 1.10.0\n"),
        "{table}"
    );
    let expected = "2 packages added, 1 removed, 1 changed in 2 repositories; 1 new; 1 not completed in both \
                    jobs, and not compared\n";
    assert_eq!(summary, expected);
    let search = ["packages", &after.id, "--fragment", "MOV", "--range", ">=1.10"];
    let Ran { out: table, err: summary, .. } = run(&server, &search).expect(0);
    assert!(table.contains("part-0      moved    1.10.0   npm        f\n"), "{table}");
    let expected = "1 package with `MOV` in the name in >=1.10 in 1 of 3 repositories; 1 more are not finished \
                    or failed, and were not searched\n";
    assert_eq!(summary, expected);
}

/// Breaks if the server keeps the packages of a job in memory while it searches them.
#[tokio::test]
async fn a_search_of_large_results_takes_little_memory() {
    let server = Setup::new()
        .python(
            "with open('file.part', 'w') as part:\n\
             \x20   part.write('{\"packages\": [')\n\
             \x20   for n in range(90000):\n\
             \x20       part.write((',' if n else '') + json.dumps({'name': f'p{n}', 'version': '1', 'ecosystem': 'npm',\n\
             \x20           'purl': 'pkg:npm/' + 'x' * 300, 'file': 'f', 'direct': None, 'scope': None, 'source': 'lockfile'}))\n\
             \x20   part.write(']}')\n\
             os.rename('file.part', os.environ['SCANWATCH_RESULT_FILE'])\n\
             say('completed')\n",
        )
        .start()
        .await;
    let job = server.submit("large").await;
    server.finished(&job).await;
    found(&server, &job, "?name=none").await;
    let before = resident_bytes(server.pid());
    let one = found(&server, &job, "?name=p89999").await;
    assert_eq!(one["total"], 1);
    let page = found(&server, &job, "?per_page=1000&page=90").await;
    assert_eq!((page["total"].as_u64(), rows(&page).len()), (Some(90_000), 1000));
    let grown = resident_bytes(server.pid()).saturating_sub(before);
    assert!(grown < 12 << 20, "{grown} bytes more, and the results have 30 MB");
}
