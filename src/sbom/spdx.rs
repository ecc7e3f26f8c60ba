//! SPDX 2.3 as JSON.
//!
//! Input: findings and the time. Output: one document that describes the repository, or each repository of
//! a group, with a package for each component.
//!
//! Decisions. `CONTAINS` states what was found in a repository, so every package is reachable from one. `DEPENDS_ON` states the direct dependencies of a repository, and the dependencies of packages
//! as far as lock files state them; that a package has no dependencies is unknown, so it is never claimed.
//! Scopes and locations, for which SPDX has no members, are in comments.
//!
//! Invariants: valid by `spdx-schema.json` of 2.3; every `SPDXID` is unique; the namespace of a document
//! follows from its content, and is the last member.

use super::{
    components::Component,
    facts::{Facts, List, Stated},
    findings::{Findings, Gone, Repository},
    subject::{group_name, name_of, owner, reason, web_address},
    supplier,
    writer::{Commas, Cursor, Writer},
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
        let (mut within, mut direct): (Vec<u32>, Vec<u32>) = Default::default();
        writer.each(&component, &mut |at, declared| {
            if within.last() != Some(&at) {
                within.push(at);
            }
            if declared.direct == Some(true) && direct.last() != Some(&at) {
                direct.push(at);
            }
        })?;
        for at in within {
            commas.next(writer);
            writer.json(&relationship(&repository_id(at), "CONTAINS", &id));
            writer.breathe().await;
        }
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
    let address = download_location(result);
    insert("downloadLocation", json!(address.as_deref().unwrap_or("NOASSERTION")));
    if let Some(owner) = owner(&result.git_url) {
        insert("supplier", json!(format!("Organization: {owner}")));
    }
    insert("filesAnalyzed", json!(false));
    insert("primaryPackagePurpose", json!("SOURCE"));
    if let Some(comment) = comment(result) {
        insert("comment", json!(comment));
    }
    Value::Object(members)
}

/// Where a repository can be downloaded, as SPDX writes a commit of git ("Package download location").
pub(super) fn download_location(result: &Repository) -> Option<String> {
    let address = web_address(&result.git_url)?;
    Some(match &result.commit {
        Some(commit) => format!("git+{address}@{commit}"),
        None => format!("git+{address}"),
    })
}

/// How the scanned files differ from those of the commit.
pub(super) fn comment(result: &Repository) -> Option<String> {
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
    (!comments.is_empty()).then(|| comments.join("; "))
}

/// The comment of a repository of the group without a result.
pub(super) fn comment_of_missing(missing: &RepositoryStatus) -> String {
    format!("not scanned, so nothing of it is listed: {}", reason(missing))
}

/// Writes the comment of a component as the last member so far: its scopes, and where its version comes from.
pub(super) async fn comment_of_component<F: Findings>(
    writer: &mut Writer<F>,
    component: &Component,
    facts: &Facts,
) -> Result<(), Gone> {
    let scopes: Vec<_> = facts.scopes.iter().flatten().map(|scope| Scope::as_str(*scope)).collect();
    if scopes.is_empty() && facts.origins.is_empty() {
        return Ok(());
    }
    writer.put(",\"comment\":\"");
    let mut has_part = !scopes.is_empty();
    if has_part {
        writer.put(&format!("scope: {}", scopes.join(", ")));
    }
    for list in facts.origins.iter().copied() {
        let name = match list {
            List::ResolvedFrom => "the version is from the local cache:",
            _ => "the version is managed by",
        };
        let (mut cursor, mut is_first) = (Cursor::default(), true);
        while let Some(text) = writer.text(component, list, &mut cursor).await? {
            let comma = if std::mem::replace(&mut has_part, true) { "; " } else { "" };
            let begin = format!("{comma}{name} ");
            writer.put(if std::mem::take(&mut is_first) { begin.as_str() } else { ", " });
            writer.put(&inside_quotes(&text));
            writer.breathe().await;
        }
    }
    writer.put("\"");
    Ok(())
}

/// Writes where a component is declared, as the inside of a string.
pub(super) async fn declared_in<F: Findings>(
    writer: &mut Writer<F>,
    component: &Component,
) -> Result<(), Gone> {
    writer.put("declared in ");
    let (mut cursor, mut last) = (Cursor::default(), None);
    while let Some(declaration) = writer.declaration(component, &mut cursor)? {
        let location = writer.location(&declaration)?;
        if last.as_ref() != Some(&location) {
            if last.is_some() {
                writer.put(", ");
            }
            writer.put(&inside_quotes(&location));
            last = Some(location);
        }
        writer.breathe().await;
    }
    Ok(())
}

/// A repository of the group without a result.
fn unknown(at: u32, missing: &RepositoryStatus) -> Value {
    json!({
        "SPDXID": repository_id(at),
        "name": name_of(missing),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "primaryPackagePurpose": "SOURCE",
        "comment": comment_of_missing(missing),
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
    if let Some(supplier) = supplier::of(&component.purl) {
        insert("supplier", json!(format!("Organization: {}", supplier.name)));
    }
    let checksums = facts.digests(["algorithm", "checksumValue"], |algorithm| algorithm.spdx);
    if !checksums.is_empty() {
        insert("checksums", json!(checksums));
    }
    match facts.license() {
        Stated::Nothing => {}
        Stated::Expression(expression) => insert("licenseDeclared", json!(expression)),
        Stated::Texts(texts) => {
            insert("licenseComments", json!(format!("declared as: {}", texts.join(", "))));
        }
    }
    let begin = Value::Object(members).to_string();
    writer.put(begin.strip_suffix('}').unwrap_or(&begin));
    writer.put(",\"sourceInfo\":\"");
    declared_in(writer, component).await?;
    writer.put("\"");
    comment_of_component(writer, component, &facts).await?;
    writer.put(",\"externalRefs\":");
    writer.json(&json!([{
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": component.purl,
    }]));
    writer.put("}");
    writer.breathe().await;
    Ok(())
}

/// A text as a part of a longer JSON string, so without its quotes.
fn inside_quotes(text: &str) -> String {
    let text = json!(text).to_string();
    text.get(1..text.len() - 1).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
