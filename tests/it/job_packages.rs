//! `GET /scan/{id}/packages`: what all repositories of a job use, by exact name, page by page.

use crate::support::{
    processes::resident_bytes,
    server::{Setup, TestServer},
};
use serde_json::Value;

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
