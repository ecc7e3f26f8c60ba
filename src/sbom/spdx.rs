//! SPDX 2.3 as JSON.
//!
//! Input: findings and the time. Output: one document that describes the repository, or each repository of
//! a group, with a package for each component.
//!
//! Decisions. `DEPENDS_ON` states the direct dependencies of a repository, and the dependencies of packages
//! as far as lock files state them; that a package has no dependencies is unknown, so it is never claimed.
//! Scopes and locations, for which SPDX has no members, are in comments.
//!
//! Invariants: valid by `spdx-schema.json` of 2.3; every `SPDXID` is unique; the namespace of a document
//! follows from its content, and is the last member.

use super::{
    components::Component,
    findings::{Findings, Gone, Repository},
    subject::{group_name, name_of, reason, web_address},
    writer::{Commas, Cursor, List, Writer},
};
use crate::model::{repository::RepositoryStatus, scan_result::Scope, time::Timestamp};
use chrono::SecondsFormat;
use serde_json::{Map, Value, json};
use uuid::Uuid;

const DOCUMENT: &str = "SPDXRef-DOCUMENT";

/// Writes the document.
pub(super) async fn write<F: Findings>(writer: &mut Writer<F>, now: Timestamp) -> Result<(), Gone> {
    let name = match &writer.group {
        Some(name) => group_name(name),
        None if writer.findings.scanned() == 0 => env!("CARGO_PKG_NAME").to_owned(),
        None => writer.findings.name(0)?,
    };
    let begin = json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT,
        "name": name,
        "creationInfo": {
            // The specification does not allow fractional seconds.
            "created": now.to_rfc3339_opts(SecondsFormat::Secs, true),
            "creators": [concat!("Tool: ", env!("CARGO_PKG_NAME"), "-", env!("CARGO_PKG_VERSION"))],
        },
    });
    let begin = begin.to_string();
    writer.put(begin.strip_suffix('}').unwrap_or(&begin));
    writer.put(",\"packages\":");
    writer.begin_content();
    writer.note(b"[");
    writer.note(json!(name).to_string().as_bytes());
    writer.note(b",");
    packages(writer).await?;
    writer.aside(",\"relationships\":");
    writer.note(b",");
    relationships(writer).await?;
    writer.note(b"]");
    let number = writer.end_content();
    writer.put(",\"documentNamespace\":");
    writer.json(&format!("https://spdx.org/spdxdocs/{}-{number}", env!("CARGO_PKG_NAME")));
    writer.put("}");
    Ok(())
}

async fn packages<F: Findings>(writer: &mut Writer<F>) -> Result<(), Gone> {
    writer.put("[");
    let mut commas = Commas::default();
    let scanned = writer.findings.scanned();
    for at in 0..scanned {
        commas.next(writer);
        let result = writer.findings.repository(at)?;
        writer.json(&repository(at, &result));
        writer.breathe().await;
    }
    if writer.group.is_some() {
        for at in 0..writer.findings.missing() {
            commas.next(writer);
            let missing = writer.findings.unscanned(at)?;
            writer.json(&unknown(scanned + at, &missing));
            writer.breathe().await;
        }
    }
    let mut last: Option<String> = None;
    while let Some(component) = writer.next(last.as_deref()).await? {
        commas.next(writer);
        package(writer, &component).await?;
        last = Some(component.purl);
    }
    writer.put("]");
    Ok(())
}

async fn relationships<F: Findings>(writer: &mut Writer<F>) -> Result<(), Gone> {
    writer.put("[");
    let mut commas = Commas::default();
    let missing = if writer.group.is_some() { writer.findings.missing() } else { 0 };
    for at in 0..writer.findings.scanned() + missing {
        commas.next(writer);
        writer.json(&relationship(DOCUMENT, "DESCRIBES", &repository_id(at)));
        writer.breathe().await;
    }
    writer.know_all().await?;
    let mut last: Option<String> = None;
    while let Some(component) = writer.next(last.as_deref()).await? {
        let id = package_id(&component.purl);
        // In order of the results, like the declarations.
        let mut direct: Vec<u32> = Vec::new();
        writer.each(&component, &mut |at, declared| {
            if declared.direct == Some(true) && direct.last() != Some(&at) {
                direct.push(at);
            }
        })?;
        for at in direct {
            commas.next(writer);
            writer.json(&relationship(&repository_id(at), "DEPENDS_ON", &id));
            writer.breathe().await;
        }
        let mut cursor = Cursor::default();
        while let Some(required) = writer.text(&component, List::Requires, &mut cursor).await? {
            commas.next(writer);
            writer.json(&relationship(&id, "DEPENDS_ON", &package_id(&required)));
            writer.breathe().await;
        }
        last = Some(component.purl);
    }
    writer.put("]");
    Ok(())
}

fn repository_id(at: u32) -> String {
    format!("SPDXRef-Repository-{at}")
}

/// An id may contain only letters, digits, `.` and `-`, so it cannot be the purl.
fn package_id(purl: &str) -> String {
    format!("SPDXRef-Package-{}", Uuid::new_v5(&Uuid::NAMESPACE_URL, purl.as_bytes()))
}

fn relationship(from: &str, kind: &str, to: &str) -> Value {
    json!({ "spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to })
}

fn repository(at: u32, result: &Repository) -> Value {
    let mut members = Map::new();
    let mut insert = |key: &str, value: Value| drop(members.insert(key.to_owned(), value));
    insert("SPDXID", json!(repository_id(at)));
    insert("name", json!(result.name));
    if let Some(commit) = &result.commit {
        insert("versionInfo", json!(commit));
    }
    let address = web_address(&result.git_url).map(|address| match &result.commit {
        Some(commit) => format!("git+{address}@{commit}"),
        None => format!("git+{address}"),
    });
    insert("downloadLocation", json!(address.as_deref().unwrap_or("NOASSERTION")));
    insert("filesAnalyzed", json!(false));
    insert("primaryPackagePurpose", json!("SOURCE"));
    let mut comments = Vec::new();
    if result.dirty {
        comments.push("the commit with local changes".to_owned());
    }
    if result.excluded > 0 {
        let Repository { excluded, exclude_paths, .. } = result;
        let patterns = exclude_paths.join(", ");
        comments
            .push(format!("incomplete: {excluded} files were excluded from the scan ({patterns})"));
    }
    if !comments.is_empty() {
        insert("comment", json!(comments.join("; ")));
    }
    Value::Object(members)
}

/// A repository of the group without a result.
fn unknown(at: u32, missing: &RepositoryStatus) -> Value {
    json!({
        "SPDXID": repository_id(at),
        "name": name_of(missing),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "primaryPackagePurpose": "SOURCE",
        "comment": format!("not scanned, so nothing of it is listed: {}", reason(missing)),
    })
}

async fn package<F: Findings>(writer: &mut Writer<F>, component: &Component) -> Result<(), Gone> {
    let facts = writer.facts(component)?;
    let mut members = Map::new();
    let mut insert = |key: &str, value: Value| drop(members.insert(key.to_owned(), value));
    insert("SPDXID", json!(package_id(&component.purl)));
    insert("name", json!(facts.name));
    if let Some(version) = &facts.version {
        insert("versionInfo", json!(version));
    }
    insert("downloadLocation", json!("NOASSERTION"));
    insert("filesAnalyzed", json!(false));
    insert("primaryPackagePurpose", json!("LIBRARY"));
    let begin = Value::Object(members).to_string();
    writer.put(begin.strip_suffix('}').unwrap_or(&begin));
    writer.put(",\"sourceInfo\":\"declared in ");
    let (mut cursor, mut last) = (Cursor::default(), None);
    while let Some(declaration) = writer.declaration(component, &mut cursor)? {
        let location = writer.location(&declaration)?;
        if last.as_ref() != Some(&location) {
            if last.is_some() {
                writer.put(", ");
            }
            // A part of a longer string, so its quotes are removed.
            let text = json!(location).to_string();
            writer.put(text.get(1..text.len() - 1).unwrap_or_default());
            last = Some(location);
        }
        writer.breathe().await;
    }
    writer.put("\",");
    let scopes: Vec<_> = facts.scopes.iter().flatten().map(|scope| Scope::as_str(*scope)).collect();
    if !scopes.is_empty() {
        writer.put("\"comment\":");
        writer.json(&format!("scope: {}", scopes.join(", ")));
        writer.put(",");
    }
    writer.put("\"externalRefs\":");
    writer.json(&json!([{
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": component.purl,
    }]));
    writer.put("}");
    writer.breathe().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::scan_result::{FileCounts, Package, ScanResult, Source},
        sbom::in_memory::{Subject, cyclonedx, spdx},
    };
    use std::collections::BTreeMap;

    fn package(purl: &str, direct: bool, requires: &[&str]) -> Package {
        let (name, version) = purl.trim_start_matches("pkg:npm/").split_once('@').unwrap();
        Package {
            name: name.to_owned(),
            version: Some(version.to_owned()),
            specifier: None,
            ecosystem: "npm".into(),
            purl: purl.to_owned(),
            file: "package-lock.json".to_owned(),
            line: Some(1),
            direct: Some(direct),
            scope: Some(Scope::Runtime),
            source: Source::Lockfile,
            requires: requires.iter().map(|purl| (*purl).to_owned()).collect(),
            resolved: None,
        }
    }

    fn result(name: &str) -> ScanResult {
        ScanResult {
            schema: 1,
            repo_index: 0,
            repo_name: name.to_owned(),
            git_url: format!("https://user:secret@git.example/group/{name}.git"),
            commit: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            dirty: false,
            scanned_at: Timestamp::UNIX_EPOCH,
            duration_ms: 1,
            files: FileCounts::default(),
            exclude_paths: Vec::new(),
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
            notes: Vec::new(),
        }
    }

    /// Breaks if a document does not say that files were excluded.
    #[test]
    fn excluded_files_make_a_document_incomplete() {
        let mut part = result("shop");
        part.exclude_paths = ["test", "docs/*"].map(str::to_owned).to_vec();
        let whole = cyclonedx(Subject::Repository, &[&part], Timestamp::UNIX_EPOCH);
        assert!(whole["compositions"].is_null(), "nothing was excluded: {whole:#}");
        part.files.excluded = 3;
        let document = spdx(Subject::Repository, &[&part], Timestamp::UNIX_EPOCH);
        let comment = "incomplete: 3 files were excluded from the scan (test, docs/*)";
        assert_eq!(document["packages"][0]["comment"], comment);
        let bom = cyclonedx(Subject::Repository, &[&part], Timestamp::UNIX_EPOCH);
        let of_one = json!([{ "aggregate": "incomplete", "assemblies": ["repository:shop"] }]);
        assert_eq!(bom["compositions"], of_one);
        let properties = json!([
            { "name": "scanwatch:excluded-files", "value": "3" },
            { "name": "scanwatch:exclude-path", "value": "test" },
            { "name": "scanwatch:exclude-path", "value": "docs/*" },
        ]);
        assert_eq!(bom["metadata"]["component"]["properties"], properties);
        let group = Subject::Group { name: "https://git.example/group", missing: &[] };
        let bom = cyclonedx(group, &[&result("a"), &part], Timestamp::UNIX_EPOCH);
        let of_group = json!([{ "aggregate": "incomplete", "assemblies": ["group:group", "repository:shop"] }]);
        assert_eq!(bom["compositions"], of_group);
    }

    /// `from > to` for all dependencies, by the names of the packages.
    fn dependencies(document: &Value) -> Vec<String> {
        let packages = document["packages"].as_array().unwrap();
        let name = |id: &Value| {
            let package = packages.iter().find(|package| package["SPDXID"] == *id).unwrap();
            package["name"].as_str().unwrap().to_owned()
        };
        let relationships = document["relationships"].as_array().unwrap().iter();
        relationships
            .filter(|relationship| relationship["relationshipType"] == "DEPENDS_ON")
            .map(|relationship| {
                format!(
                    "{} > {}",
                    name(&relationship["spdxElementId"]),
                    name(&relationship["relatedSpdxElement"])
                )
            })
            .collect()
    }

    #[test]
    fn known_dependencies_are_listed() {
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
        let bom = cyclonedx(subject, &[&one, &two], Timestamp::UNIX_EPOCH);
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
