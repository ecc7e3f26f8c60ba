//! `CycloneDX` 1.6 (ECMA-424) as JSON.
//!
//! What flows in: the results of a repository or of a group, and the time. What flows out: one document
//! with the repository or the group as its subject, a component per package and, in a group, per
//! repository, what each repository asks for itself, and what requires what as far as lock files tell.
//!
//! What must stay true: valid by `bom-1.6.schema.json`; every `bom-ref` is unique; what is not
//! known (what a package needs of which no lock tells) is left out rather than claimed to be empty.

use super::{
    components::{self, Component},
    subject::{Subject, group_name, name_of, reason, web_address},
};
use crate::model::{
    repository::RepositoryStatus,
    scan_result::{ScanResult, Scope},
    time::{self, Timestamp},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The document of results.
///
/// The serial number follows from the content, so that two documents with one number differ in
/// nothing but their time.
pub fn cyclonedx(subject: Subject<'_>, results: &[&ScanResult], now: Timestamp) -> Value {
    let components = components::of(results);
    let about = match (subject, results) {
        (Subject::Repository, [result, ..]) => {
            repository(result, &repository_reference(&result.repo_name))
        }
        (Subject::Repository, []) => group(env!("CARGO_PKG_NAME")),
        (Subject::Group { name, .. }, _) => group(name),
    };
    let mut dependencies = Vec::new();
    let mut listed = Vec::new();
    let references = references(results, subject.missing());
    let (scanned, not_scanned) = references.split_at(results.len());
    if let Subject::Group { missing, .. } = subject {
        dependencies.push(json!({ "ref": about["bom-ref"], "dependsOn": references }));
        listed.extend(results.iter().zip(scanned).map(|(it, reference)| repository(it, reference)));
        let missing = missing.iter().zip(not_scanned);
        listed.extend(missing.map(|(it, reference)| unknown(it, reference)));
    }
    for (at, reference) in scanned.iter().enumerate() {
        let direct = components.iter().filter(|(_, it)| it.direct.contains(&at));
        let direct: Vec<_> = direct.map(|(purl, _)| *purl).collect();
        dependencies.push(json!({ "ref": reference, "dependsOn": direct }));
    }
    for (purl, component) in components.iter().filter(|(_, it)| !it.requires.is_empty()) {
        dependencies.push(json!({ "ref": purl, "dependsOn": component.requires }));
    }
    listed.extend(components.iter().map(|(purl, it)| component(purl, it, subject, results)));
    let content = json!([about, listed, dependencies]).to_string();
    let mut document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": Uuid::new_v5(&Uuid::NAMESPACE_URL, content.as_bytes()).urn().to_string(),
        "version": 1,
        "metadata": {
            "timestamp": time::format(now),
            "tools": { "components": [{
                "type": "application",
                "name": env!("CARGO_PKG_NAME"),
                "version": env!("CARGO_PKG_VERSION"),
            }] },
            "component": about,
        },
        "components": listed,
        "dependencies": dependencies,
    });
    if !not_scanned.is_empty() {
        // What these would bring is not in the document, and nobody shall think that it is.
        document["compositions"] = json!([
            { "aggregate": "incomplete", "assemblies": [about["bom-ref"]] },
            { "aggregate": "unknown", "dependencies": not_scanned },
        ]);
    }
    document
}

/// No purl begins like this, so it differs from the reference of every package.
fn repository_reference(name: &str) -> String {
    format!("repository:{name}")
}

/// The references of those with results, and of those without: where two have one name, as in jobs of
/// other programs, each but the first has its number as well.
fn references(results: &[&ScanResult], missing: &[RepositoryStatus]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let scanned = results.iter().map(|it| (it.repo_index, it.repo_name.clone()));
    let named = scanned.chain(missing.iter().map(|it| (it.index, name_of(it))));
    let reference = |(index, name): (u32, String)| {
        let name = repository_reference(&name);
        if seen.insert(name.clone()) { name } else { format!("{name}#{index}") }
    };
    named.map(reference).collect()
}

/// A repository of the group of which there is no result.
fn unknown(missing: &RepositoryStatus, reference: &str) -> Value {
    json!({
        "type": "application",
        "bom-ref": reference,
        "name": name_of(missing),
        "properties": [{ "name": "scanwatch:not-scanned", "value": reason(missing) }],
    })
}

/// A scanned repository: what the document is about, or a part of that.
fn repository(result: &ScanResult, reference: &str) -> Value {
    let mut members = Map::new();
    members.insert("type".to_owned(), json!("application"));
    members.insert("bom-ref".to_owned(), json!(reference));
    members.insert("name".to_owned(), json!(result.repo_name));
    if let Some(commit) = &result.commit {
        members.insert("version".to_owned(), json!(commit));
    }
    if let Some(address) = web_address(&result.git_url) {
        let reference = json!([{ "type": "vcs", "url": address }]);
        members.insert("externalReferences".to_owned(), reference);
    }
    Value::Object(members)
}

fn group(name: &str) -> Value {
    let name = group_name(name);
    json!({ "type": "application", "bom-ref": format!("group:{name}"), "name": name })
}

fn component(
    purl: &str,
    component: &Component<'_>,
    subject: Subject<'_>,
    results: &[&ScanResult],
) -> Value {
    let package = component.package;
    let (group, name) = match package.name.split_once('/') {
        Some((scope, name)) if package.ecosystem == "npm" && scope.starts_with('@') => {
            (Some(scope), name)
        }
        _ => (None, package.name.as_str()),
    };
    let mut members = Map::new();
    let mut insert = |key: &str, value: Value| drop(members.insert(key.to_owned(), value));
    insert("type", json!("library"));
    insert("bom-ref", json!(purl));
    if let Some(group) = group {
        insert("group", json!(group));
    }
    insert("name", json!(name));
    if let Some(version) = &package.version {
        insert("version", json!(version));
    }
    if let Some(scope) = scope(component) {
        insert("scope", json!(scope));
    }
    insert("purl", json!(purl));
    let locations: Vec<_> =
        component.places.iter().map(|it| (subject.location(it, results), it.line)).collect();
    insert("properties", properties(component, &locations));
    insert("evidence", json!({ "occurrences": occurrences(&locations) }));
    Value::Object(members)
}

/// The schema's three words. "Excluded" is for "usage for test and other non-runtime purposes";
/// where one declaration does not tell, the component may be required, which is the default.
fn scope(component: &Component<'_>) -> Option<&'static str> {
    let any = |wanted: &[Scope]| {
        component.scopes.iter().any(|it| it.is_some_and(|scope| wanted.contains(&scope)))
    };
    if any(&[Scope::Runtime, Scope::Peer]) {
        Some("required")
    } else if component.scopes.contains(&None) {
        None
    } else if any(&[Scope::Optional]) {
        Some("optional")
    } else {
        Some("excluded")
    }
}

/// What `CycloneDX` has no word for, under our own namespace.
fn properties(component: &Component<'_>, locations: &[(String, Option<u32>)]) -> Value {
    let property =
        |name: &str, value: &str| json!({ "name": format!("scanwatch:{name}"), "value": value });
    let mut properties =
        vec![property("direct", if component.direct.is_empty() { "false" } else { "true" })];
    let mut files: Vec<_> = locations.iter().map(|(file, _)| file.as_str()).collect();
    files.dedup();
    properties.extend(files.into_iter().map(|it| property("file", it)));
    let scopes = component.scopes.iter().flatten();
    properties.extend(scopes.map(|it| property("scope", it.as_str())));
    properties.extend(component.specifiers.iter().map(|it| property("specifier", it)));
    Value::Array(properties)
}

fn occurrences(locations: &[(String, Option<u32>)]) -> Vec<Value> {
    let occurrence = |(file, line): &(String, Option<u32>)| match line {
        Some(line) => json!({ "location": file, "line": line }),
        None => json!({ "location": file }),
    };
    locations.iter().map(occurrence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::scan_result::{FileCounts, Package, Source};
    use std::collections::BTreeMap;

    /// `file:line purl direct|transitive scope`, of a lock file where the file is called so.
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
            ecosystem: kind.to_owned(),
            file: file.to_owned(),
            line: line.parse().ok(),
            direct: Some(words.next() == Some("direct")),
            scope: words.next().map(|it| serde_json::from_value(json!(it)).unwrap()),
            source: if file.contains("lock") { Source::Lockfile } else { Source::Manifest },
            requires: Vec::new(),
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
            scanned_at: Timestamp::UNIX_EPOCH,
            duration_ms: 1,
            files: FileCounts::default(),
            packages: packages.iter().map(|it| package(it)).collect(),
            categories: BTreeMap::new(),
            infrastructure_usage: BTreeMap::new(),
            warnings: Vec::new(),
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

    /// One component a line: purl, scope, places.
    #[track_caller]
    fn check(result: &ScanResult, expected: &[&str]) {
        let bom = cyclonedx(Subject::Repository, &[result], Timestamp::UNIX_EPOCH);
        let shown: Vec<_> = bom["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| {
                let places = it["evidence"]["occurrences"].as_array().unwrap();
                let places: Vec<_> = places
                    .iter()
                    .map(|it| format!("{}:{}", it["location"].as_str().unwrap(), it["line"]))
                    .collect();
                let scope = it["scope"].as_str().unwrap_or("-");
                format!("{} {scope} {}", it["purl"].as_str().unwrap(), places.join(" "))
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

    #[test]
    fn a_scope_of_npm_is_the_group() {
        let bom = cyclonedx(Subject::Repository, &[&shop()], Timestamp::UNIX_EPOCH);
        let component = &bom["components"][3];
        assert_eq!((&component["group"], &component["name"]), (&json!("@a"), &json!("b")));
    }

    #[test]
    fn the_repository_depends_on_what_is_direct() {
        let bom = cyclonedx(Subject::Repository, &[&shop()], Timestamp::UNIX_EPOCH);
        assert_eq!(bom["dependencies"][0]["ref"], bom["metadata"]["component"]["bom-ref"]);
        let direct = bom["dependencies"][0]["dependsOn"].as_array().unwrap();
        assert!(direct.contains(&json!("pkg:npm/%40a/b@1.2.0")));
        assert!(!direct.contains(&json!("pkg:npm/d@3.0.0")));
    }

    #[test]
    fn repositories_of_one_name_are_told_apart() {
        let results = [shop(), ScanResult { repo_index: 4, ..shop() }];
        let results: Vec<_> = results.iter().collect();
        let subject = Subject::Group { name: "group", missing: &[] };
        let bom = cyclonedx(subject, &results, Timestamp::UNIX_EPOCH);
        let wanted = json!(["repository:group/shop", "repository:group/shop#4"]);
        assert_eq!(bom["dependencies"][0]["dependsOn"], wanted);
        assert_eq!(bom["components"][1]["bom-ref"], wanted[1]);
    }

    #[test]
    fn only_the_time_differs_between_two_documents() {
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
}
