//! SPDX 2.3 as JSON.
//!
//! What flows in: results and the time. What flows out: one document that describes the repository,
//! or each repository of a group, with a package for each component.
//!
//! Decisions. `DEPENDS_ON` says what a repository asks for itself, and what requires what as far as
//! lock files tell; that a package depends on nothing is not known, and so never claimed. Scopes and
//! places, for which SPDX has no members, are in comments.
//!
//! What must stay true: valid by `spdx-schema.json` of 2.3; every `SPDXID` is unique; a document's
//! namespace follows from its content.

use super::{
    components::{self, Component},
    subject::{Subject, group_name, name_of, reason, web_address},
};
use crate::model::{
    repository::RepositoryStatus,
    scan_result::{ScanResult, Scope},
    time::Timestamp,
};
use chrono::SecondsFormat;
use serde_json::{Map, Value, json};
use uuid::Uuid;

const DOCUMENT: &str = "SPDXRef-DOCUMENT";

/// The document of results.
pub fn spdx(subject: Subject<'_>, results: &[&ScanResult], now: Timestamp) -> Value {
    let components = components::of(results);
    let repositories = results.iter().enumerate().map(|(at, it)| repository(at, it));
    let missing = (results.len()..).zip(subject.missing()).map(|(at, it)| unknown(at, it));
    let packages: Vec<_> = repositories
        .chain(missing)
        .chain(components.iter().map(|(purl, it)| package(purl, it, subject, results)))
        .collect();
    let mut relationships: Vec<_> = (0..results.len() + subject.missing().len())
        .map(|at| relationship(DOCUMENT, "DESCRIBES", &repository_id(at)))
        .collect();
    for (purl, component) in &components {
        let id = package_id(purl);
        for at in &component.direct {
            relationships.push(relationship(&repository_id(*at), "DEPENDS_ON", &id));
        }
        for required in &component.requires {
            relationships.push(relationship(&id, "DEPENDS_ON", &package_id(required)));
        }
    }
    let name = match (subject, results.first()) {
        (Subject::Group { name, .. }, _) => group_name(name),
        (Subject::Repository, Some(result)) => result.repo_name.clone(),
        (Subject::Repository, None) => env!("CARGO_PKG_NAME").to_owned(),
    };
    let content = json!([name, packages, relationships]).to_string();
    let number = Uuid::new_v5(&Uuid::NAMESPACE_URL, content.as_bytes());
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": name,
        "documentNamespace": format!("https://spdx.org/spdxdocs/{}-{number}", env!("CARGO_PKG_NAME")),
        "creationInfo": {
            // The specification takes no fractions.
            "created": now.to_rfc3339_opts(SecondsFormat::Secs, true),
            "creators": [concat!("Tool: ", env!("CARGO_PKG_NAME"), "-", env!("CARGO_PKG_VERSION"))],
        },
        "packages": packages,
        "relationships": relationships,
    })
}

fn repository_id(at: usize) -> String {
    format!("SPDXRef-Repository-{at}")
}

/// An id takes letters, digits, `.` and `-` alone, so it cannot be the purl.
fn package_id(purl: &str) -> String {
    format!("SPDXRef-Package-{}", Uuid::new_v5(&Uuid::NAMESPACE_URL, purl.as_bytes()))
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

fn repository(at: usize, result: &ScanResult) -> Value {
    let mut members = Map::new();
    let mut insert = |key: &str, value: Value| drop(members.insert(key.to_owned(), value));
    insert("SPDXID", json!(repository_id(at)));
    insert("name", json!(result.repo_name));
    if let Some(commit) = &result.commit {
        insert("versionInfo", json!(commit));
    }
    let address = web_address(&result.git_url).map(|it| match &result.commit {
        Some(commit) => format!("git+{it}@{commit}"),
        None => format!("git+{it}"),
    });
    insert("downloadLocation", json!(address.as_deref().unwrap_or("NOASSERTION")));
    insert("filesAnalyzed", json!(false));
    insert("primaryPackagePurpose", json!("SOURCE"));
    Value::Object(members)
}

/// A repository of the group of which there is no result.
fn unknown(at: usize, missing: &RepositoryStatus) -> Value {
    json!({
        "SPDXID": repository_id(at),
        "name": name_of(missing),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "primaryPackagePurpose": "SOURCE",
        "comment": format!("not scanned, so nothing of it is listed: {}", reason(missing)),
    })
}

fn package(
    purl: &str,
    component: &Component<'_>,
    subject: Subject<'_>,
    results: &[&ScanResult],
) -> Value {
    let mut members = Map::new();
    let mut insert = |key: &str, value: Value| drop(members.insert(key.to_owned(), value));
    insert("SPDXID", json!(package_id(purl)));
    insert("name", json!(component.package.name));
    if let Some(version) = &component.package.version {
        insert("versionInfo", json!(version));
    }
    insert("downloadLocation", json!("NOASSERTION"));
    insert("filesAnalyzed", json!(false));
    insert("primaryPackagePurpose", json!("LIBRARY"));
    let mut files: Vec<_> =
        component.places.iter().map(|it| subject.location(it, results)).collect();
    files.dedup();
    insert("sourceInfo", json!(format!("declared in {}", files.join(", "))));
    let scopes: Vec<_> = component.scopes.iter().flatten().map(|it| Scope::as_str(*it)).collect();
    if !scopes.is_empty() {
        insert("comment", json!(format!("scope: {}", scopes.join(", "))));
    }
    insert(
        "externalRefs",
        json!([{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl,
        }]),
    );
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::scan_result::{FileCounts, Package, Source};
    use std::collections::BTreeMap;

    fn package(purl: &str, direct: bool, requires: &[&str]) -> Package {
        let (name, version) = purl.trim_start_matches("pkg:npm/").split_once('@').unwrap();
        Package {
            name: name.to_owned(),
            version: Some(version.to_owned()),
            specifier: None,
            ecosystem: "npm".to_owned(),
            purl: purl.to_owned(),
            file: "package-lock.json".to_owned(),
            line: Some(1),
            direct: Some(direct),
            scope: Some(Scope::Runtime),
            source: Source::Lockfile,
            requires: requires.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    fn result(name: &str) -> ScanResult {
        ScanResult {
            schema: 1,
            repo_index: 0,
            repo_name: name.to_owned(),
            git_url: format!("https://user:secret@git.example/group/{name}.git"),
            commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            scanned_at: Timestamp::UNIX_EPOCH,
            duration_ms: 1,
            files: FileCounts::default(),
            packages: vec![
                package(
                    "pkg:npm/a@1.0.0",
                    true,
                    &["pkg:npm/a@1.0.0", "pkg:npm/b@1.0.0", "pkg:npm/none@1"],
                ),
                package("pkg:npm/b@1.0.0", false, &[]),
            ],
            categories: BTreeMap::new(),
            infrastructure_usage: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }

    /// `from > to` of all that depends on something, by the names of the packages.
    fn dependencies(document: &Value) -> Vec<String> {
        let packages = document["packages"].as_array().unwrap();
        let name = |id: &Value| {
            let package = packages.iter().find(|it| it["SPDXID"] == *id).unwrap();
            package["name"].as_str().unwrap().to_owned()
        };
        let relationships = document["relationships"].as_array().unwrap().iter();
        relationships
            .filter(|it| it["relationshipType"] == "DEPENDS_ON")
            .map(|it| {
                format!("{} > {}", name(&it["spdxElementId"]), name(&it["relatedSpdxElement"]))
            })
            .collect()
    }

    #[test]
    fn what_depends_on_what_is_said_as_far_as_it_is_known() {
        let one = result("shop");
        let document = spdx(Subject::Repository, &[&one], Timestamp::UNIX_EPOCH);
        assert_eq!(dependencies(&document), ["shop > a", "a > b"]);
        assert_eq!(document["creationInfo"]["created"], "1970-01-01T00:00:00Z");
        assert_eq!(document["name"], "shop");
        assert!(!document.to_string().contains("secret"));
    }

    #[test]
    fn a_group_is_described_by_its_repositories() {
        let (one, two) = (result("shop"), result("web/site"));
        let subject =
            Subject::Group { name: "https://user:secret@git.example/group/", missing: &[] };
        let document = spdx(subject, &[&one, &two], Timestamp::UNIX_EPOCH);
        assert_eq!(dependencies(&document), ["shop > a", "web/site > a", "a > b"]);
        assert_eq!(document["name"], "group");
        let place = "declared in shop/package-lock.json, web/site/package-lock.json";
        assert_eq!(document["packages"][2]["sourceInfo"], place);
        assert!(!document.to_string().contains("secret"));
    }

    #[test]
    fn a_group_is_one_component_that_depends_on_its_repositories() {
        let (one, two) = (result("shop"), result("web/site"));
        let subject = Subject::Group { name: "https://git.example/group", missing: &[] };
        let bom = super::super::cyclonedx(subject, &[&one, &two], Timestamp::UNIX_EPOCH);
        let expected = json!([
            { "ref": "group:group", "dependsOn": ["repository:shop", "repository:web/site"] },
            { "ref": "repository:shop", "dependsOn": ["pkg:npm/a@1.0.0"] },
            { "ref": "repository:web/site", "dependsOn": ["pkg:npm/a@1.0.0"] },
            { "ref": "pkg:npm/a@1.0.0", "dependsOn": ["pkg:npm/b@1.0.0"] },
        ]);
        assert_eq!(bom["dependencies"], expected);
        assert_eq!(bom["components"].as_array().map(Vec::len), Some(4));
    }
}
