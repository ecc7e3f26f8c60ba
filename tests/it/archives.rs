//! Committed archives and programs: read where a scan asks for them, within limits of their own.

use crate::{
    command_line::{folder_with, run},
    support::{
        forge::{Forge, program},
        python::succeed,
        server::Setup,
    },
};
use serde_json::{Value, json};
use std::{
    fs::File,
    path::{Path, PathBuf},
};

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/ecosystem").join(path)
}

/// One archive of each kind: its place in the project, the file with its content, and the purls of its packages.
const ARCHIVES: [(&str, &str, &[&str]); 4] = [
    ("libs/kite.jar", "jar/one/kite.jar", &["pkg:maven/org.kites/kite-core@1.4.0"]),
    ("kite-1.0-py3-none-any.whl", "wheel/one/kite-1.0-py3-none-any.whl", &["pkg:pypi/kite@1.0"]),
    ("packages/Kites.1.0.0.nupkg", "nupkg/one/Kites.1.0.0.nupkg", &["pkg:nuget/Kites@1.0.0"]),
    (
        "bin/tool",
        "program/one/tool",
        &["pkg:golang/stdlib@1.22.1", "pkg:golang/kites.example/line@v1.2.0"],
    ),
];

fn purls(result: &Value) -> Vec<&str> {
    let packages = result["packages"].as_array().unwrap().iter();
    let archived = packages.filter(|package| package["source"] == "archive");
    archived.map(|package| package["purl"].as_str().unwrap()).collect()
}

/// Breaks if archives are read without being requested, or if one kind of them is not read.
#[test]
fn archives_are_read_where_a_scan_asks_for_them() {
    let home =
        folder_with(&[("project/requirements.txt", "flask==3.0.0\n"), ("project/LICENSE", "text")]);
    let project = home.path().join("project");
    for (place, file, _) in ARCHIVES {
        let place = project.join(place);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::copy(fixture(file), place).unwrap();
    }
    let scan = |arguments: &[&str]| -> Value {
        let ran = run(home.path(), &[&["scan", "project", "--format", "json"], arguments].concat());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        serde_json::from_str(&ran.out).unwrap()
    };
    let without = scan(&[]);
    assert_eq!(
        (without["packages"].as_array().unwrap().len(), &without["files"]["skipped"]),
        (1, &json!(0))
    );
    let with = scan(&["--archives"]);
    let mut expected: Vec<_> =
        ARCHIVES.iter().flat_map(|(_, _, purls)| purls.iter().copied()).collect();
    let mut found = purls(&with);
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(with["warnings"], json!([]), "a text without an extension is no archive");
    let archived =
        with["packages"].as_array().unwrap().iter().find(|one| one["source"] == "archive");
    assert_eq!(archived.unwrap().get("line"), None);
}

/// Breaks if the server does not pass the wish on, or if a commit is read differently from a folder.
#[tokio::test]
async fn a_submission_can_ask_for_archives() {
    let forge = Forge::start();
    let jar = std::fs::read(fixture(ARCHIVES[0].1)).unwrap();
    forge.add_repository("project", &[("libs/kite.jar", jar.as_slice())]);
    let url = format!("http://127.0.0.1:{}", forge.port());
    let forges = format!("[{{ kind = \"git\", url = \"{url}\" }}]");
    let server = Setup::new().set("forges", forges).start().await;
    for (archives, expected) in [(true, 1), (false, 0)] {
        let job = server
            .submit_with(&json!({ "git_url": forge.url("project"), "archives": archives }))
            .await;
        assert_eq!(server.finished(&job).await["status"], "completed");
        let packages =
            server.get(&format!("/scan/{job}/repositories/0/packages")).await.expect(200).json();
        assert_eq!(packages["total"], expected, "{packages:#}");
    }
}

const BOMBS: &str = r"
import sys, zipfile
folder = sys.argv[1]
def jar(name, entries):
    with zipfile.ZipFile(f'{folder}/{name}', 'w', zipfile.ZIP_DEFLATED) as file:
        for path, text in entries:
            file.writestr(path, text)
properties = lambda name: f'groupId=org.kites\nartifactId={name}\nversion=1\n'
path = lambda name: f'META-INF/maven/org.kites/{name}/pom.properties'
# Each entry is just as large as is allowed, and takes a thousandth of that.
padding = '#' * ((1 << 20) - 100) + '\n'
jar('unpacked.jar', [(path(f'kite-{at}'), padding + properties(f'kite-{at}')) for at in range(20)])
jar('entry.jar', [(path('large'), '#' * (1 << 20) + '\n' + properties('large')), (path('small'), properties('small'))])
jar('entries.jar', [(path('first'), properties('first'))] + [(f'{at}', '') for at in range(100001)])
";

/// Breaks if an archive is unpacked beyond a limit, at the real sizes, or if a limit is exceeded without a word.
#[test]
fn what_exceeds_a_limit_is_skipped_with_a_warning() {
    let home = folder_with(&[("project/requirements.txt", "flask==3.0.0\n")]);
    let project = home.path().join("project");
    succeed(program("python3").args(["-c", BOMBS]).arg(&project));
    File::create(project.join("whole.jar")).unwrap().set_len((64 << 20) + 1).unwrap();
    let ran = run(home.path(), &["scan", "project", "--archives", "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let result: Value = serde_json::from_str(&ran.out).unwrap();
    let found = purls(&result);
    for name in ["first", "small", "kite-0"] {
        assert!(
            found.contains(&format!("pkg:maven/org.kites/{name}@1").as_str()),
            "{name}: {found:?}"
        );
    }
    assert_eq!(found.len(), 2 + 16, "{found:?}");
    let warnings = result["warnings"].to_string();
    for part in [
        "max_archive_entries",
        "max_archive_unpacked_bytes",
        "it has more than 1048576 bytes",
        "67108865 bytes are more than 67108864",
    ] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }
    let ran = run(
        home.path(),
        &[
            "scan",
            "project",
            "--archives",
            "--format",
            "json",
            "--set",
            "limits.max_archives_secs=0",
        ],
    );
    let result: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(purls(&result).is_empty());
    assert!(result["warnings"].to_string().contains("max_archives_secs"), "{result:#}");
}
