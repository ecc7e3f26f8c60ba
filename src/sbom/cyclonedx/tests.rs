use super::*;
use crate::{
    model::scan_result::{FileCounts, Package, ScanResult, Source},
    sbom::in_memory::{self, Subject, cyclonedx},
};
use std::collections::BTreeMap;

/// `file:line purl direct|transitive scope`; a lock file has "lock" in its name.
fn package(text: &str) -> Package {
    let mut words = text.split(' ');
    let (file, line) = words.next().unwrap().split_once(':').unwrap();
    let purl = words.next().unwrap().to_owned();
    let (kind, name) = purl.trim_start_matches("pkg:").split_once('/').unwrap();
    let (name, version) =
        name.split_once('@').map_or((name, None), |(name, version)| (name, Some(version)));
    Package {
        name: name.replace("%40", "@"),
        version: version.map(str::to_owned),
        specifier: version.is_none().then(|| "^1".to_owned()),
        ecosystem: kind.into(),
        file: file.to_owned(),
        line: line.parse().ok(),
        direct: Some(words.next() == Some("direct")),
        scope: words.next().map(|scope| serde_json::from_value(json!(scope)).unwrap()),
        source: if file.contains("lock") { Source::Lockfile } else { Source::Manifest },
        requires: Vec::new(),
        resolved: None,
        licenses: Vec::new(),
        hashes: Vec::new(),
        managed_by: Vec::new(),
        resolved_from: None,
        purl,
    }
}

fn result(packages: &[&str]) -> ScanResult {
    ScanResult {
        schema: 1,
        repo_index: 0,
        repo_name: "group/shop".to_owned(),
        git_url: "https://user:secret@git.example/group/shop.git".to_owned(),
        commit: Some("4c8b71f58cb8b9e042d6ab73303d63beee7c522b".to_owned()),
        dirty: false,
        scanned_at: Timestamp::UNIX_EPOCH,
        duration_ms: 1,
        files: FileCounts::default(),
        exclude_paths: Vec::new(),
        packages: packages.iter().map(|text| package(text)).collect(),
        categories: BTreeMap::new(),
        infrastructure_usage: BTreeMap::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
    }
}

fn shop() -> ScanResult {
    result(&[
        "lock:2 pkg:npm/%40a/b@1.2.0 direct runtime",
        "lock:9 pkg:npm/%40a/b@1.2.0 transitive dev",
        "package.json:1 pkg:npm/%40a/b direct runtime",
        "lock:3 pkg:npm/c@2.0.0 direct dev",
        "web/package.json:1 pkg:npm/c direct test",
        "lock:4 pkg:npm/d@3.0.0 transitive optional",
        "Cargo.lock:1 pkg:cargo/rand@0.7.3 direct",
        "Cargo.lock:2 pkg:cargo/rand@0.8.5 direct",
        "Cargo.toml:1 pkg:cargo/rand direct runtime",
        "tools/requirements.txt:1 pkg:pypi/foo direct",
    ])
}

/// Compares one component a line: purl, scope, locations.
#[track_caller]
fn check(result: &ScanResult, expected: &[&str]) {
    let bom = cyclonedx(Subject::Repository, &[result], Timestamp::UNIX_EPOCH);
    let shown: Vec<_> = bom["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| {
            let places = component["evidence"]["occurrences"].as_array().unwrap();
            let places: Vec<_> = places
                .iter()
                .map(|occurrence| {
                    format!("{}:{}", occurrence["location"].as_str().unwrap(), occurrence["line"])
                })
                .collect();
            let scope = component["scope"].as_str().unwrap_or("-");
            format!("{} {scope} {}", component["purl"].as_str().unwrap(), places.join(" "))
        })
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn packages_are_merged_by_purl() {
    check(
        &shop(),
        &[
            "pkg:cargo/rand required Cargo.toml:1",
            "pkg:cargo/rand@0.7.3 - Cargo.lock:1",
            "pkg:cargo/rand@0.8.5 - Cargo.lock:2",
            "pkg:npm/%40a/b@1.2.0 required lock:2 lock:9 package.json:1",
            "pkg:npm/c@2.0.0 excluded lock:3 web/package.json:1",
            "pkg:npm/d@3.0.0 optional lock:4",
            "pkg:pypi/foo - tools/requirements.txt:1",
        ],
    );
}

/// Fails if a range is a component of its own although its lock file states which version it gets.
#[test]
fn a_resolved_range_is_the_component_of_its_version() {
    let mut shop = shop();
    let manifest = shop.packages.iter_mut().find(|package| package.file == "Cargo.toml").unwrap();
    manifest.resolved = Some("pkg:cargo/rand@0.8.5".to_owned());
    shop.packages.retain(|package| package.purl.starts_with("pkg:cargo/"));
    check(
        &shop,
        &[
            "pkg:cargo/rand@0.7.3 - Cargo.lock:1",
            "pkg:cargo/rand@0.8.5 required Cargo.lock:2 Cargo.toml:1",
        ],
    );
}

/// Fails if the scope of a package is a group: importers then look for a package of the bare name.
#[test]
fn the_name_of_an_npm_package_contains_its_scope() {
    let bom = cyclonedx(Subject::Repository, &[&shop()], Timestamp::UNIX_EPOCH);
    let component = &bom["components"][3];
    assert_eq!((&component["group"], &component["name"]), (&Value::Null, &json!("@a/b")));
    assert_eq!(component["supplier"], json!({ "name": "@a" }));
}

#[test]
fn what_lock_files_state_is_in_the_document() {
    let one = in_memory::result("shop");
    let bom = cyclonedx(Subject::Repository, &[&one], Timestamp::UNIX_EPOCH);
    assert_eq!(bom["metadata"]["component"]["supplier"], json!({ "name": "group" }));
    let [a, b] = [0, 1].map(|at| &bom["components"][at]);
    let expression = json!([{ "expression": "MIT", "acknowledgement": "declared" }]);
    assert_eq!(a["licenses"], expression);
    assert_eq!(a["hashes"], json!([{ "alg": "SHA-1", "content": "0a".repeat(20) }]));
    let named = json!([{ "license": { "name": "our own", "acknowledgement": "declared" } }]);
    assert_eq!((&b["licenses"], &b["hashes"]), (&named, &Value::Null));
}

#[test]
fn the_repository_depends_on_direct_packages_and_on_those_that_none_requires() {
    let mut shop = shop();
    shop.packages[0].requires.push("pkg:npm/d@3.0.0".to_owned());
    shop.packages.push(package("lock:5 pkg:npm/e@3.0.0 transitive runtime"));
    let bom = cyclonedx(Subject::Repository, &[&shop], Timestamp::UNIX_EPOCH);
    assert_eq!(bom["dependencies"][0]["ref"], bom["metadata"]["component"]["bom-ref"]);
    let direct = bom["dependencies"][0]["dependsOn"].as_array().unwrap();
    assert!(direct.contains(&json!("pkg:npm/%40a/b@1.2.0")));
    assert!(direct.contains(&json!("pkg:npm/e@3.0.0")));
    assert!(!direct.contains(&json!("pkg:npm/d@3.0.0")));
}

#[test]
fn repositories_with_one_name_have_different_references() {
    let results = [shop(), ScanResult { repo_index: 4, ..shop() }];
    let results: Vec<_> = results.iter().collect();
    let subject = Subject::Group { name: "group", missing: &[] };
    let bom = cyclonedx(subject, &results, Timestamp::UNIX_EPOCH);
    let wanted = json!(["repository:group/shop", "repository:group/shop#4"]);
    assert_eq!(bom["dependencies"][0]["dependsOn"], wanted);
    assert_eq!(bom["components"][1]["bom-ref"], wanted[1]);
}

#[test]
fn two_documents_differ_only_in_the_time() {
    let result = shop();
    let mut one = cyclonedx(Subject::Repository, &[&result], Timestamp::UNIX_EPOCH);
    let two = cyclonedx(
        Subject::Repository,
        &[&result],
        Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(5),
    );
    assert_ne!(one, two);
    one["metadata"]["timestamp"] = two["metadata"]["timestamp"].clone();
    assert_eq!(one.to_string(), two.to_string());
    let other = cyclonedx(Subject::Repository, &[&self::result(&[])], Timestamp::UNIX_EPOCH);
    assert_ne!(one["serialNumber"], other["serialNumber"]);
}

#[test]
fn no_credentials_appear() {
    let bom = cyclonedx(Subject::Repository, &[&shop()], Timestamp::UNIX_EPOCH).to_string();
    assert!(bom.contains("https://git.example/group/shop.git"), "{bom}");
    assert!(!bom.contains("secret"), "{bom}");
}
