//! SPDX 3.0.1 as JSON-LD, by "Serialization formats" and the model of its specification.
//!
//! Input: findings and the time. Output: one document with a bill of materials of the sources, whose roots are the
//! repository or each repository of a group, and a package for each component; what a repository contains and what it
//! depends on are relationships.
//!
//! Decisions. Every element names the document it belongs to, so the number of a document cannot follow from
//! its content, as in the other formats: it follows from the subject and the time. A license and a supplier are elements of their
//! own.
//!
//! Invariants: every `spdxId` is unique; every package is reachable from a root; unknown dependencies are omitted, and
//! relationships do not claim to be complete.

use super::{
    components::Component,
    facts::{List, Stated},
    findings::{Findings, Gone, Repository},
    reach::Entries,
    spdx::{comment, comment_of_component, comment_of_missing, declared_in, download_location},
    subject::{group_name, name_of, owner},
    supplier::{self, Supplier},
    writer::{Commas, Cursor, Writer},
};
use crate::model::{repository::RepositoryStatus, time::Timestamp};
use chrono::SecondsFormat;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The identifier of the creation of all elements, within the document.
const CREATION: &str = "_:creation";

/// Writes the document.
pub(super) async fn write<F: Findings>(writer: &mut Writer<F>, now: Timestamp) -> Result<(), Gone> {
    let name = match &writer.group {
        Some(name) => group_name(name),
        None if writer.findings.scanned() == 0 => env!("CARGO_PKG_NAME").to_owned(),
        None => writer.findings.name(0)?,
    };
    let ids = Ids::of(&name, now);
    writer.put("{\"@context\":\"https://spdx.org/rdf/3.0.1/spdx-context.jsonld\",\"@graph\":[");
    begin(writer, &ids, &name, now).await?;
    repositories(writer, &ids).await?;
    packages(writer, &ids).await?;
    relationships(writer, &ids).await?;
    writer.put("]}");
    Ok(())
}

/// The identifiers of a document.
struct Ids {
    base: String,
}

impl Ids {
    fn of(name: &str, now: Timestamp) -> Self {
        let time = now.to_rfc3339_opts(SecondsFormat::Nanos, true);
        let number = Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{name}\n{time}").as_bytes());
        Self { base: format!("https://spdx.org/spdxdocs/{}-{number}", env!("CARGO_PKG_NAME")) }
    }

    /// The identifier of an element.
    fn id(&self, kind: &str, of: &str) -> String {
        format!("{}#{kind}-{of}", self.base)
    }

    fn repository(&self, at: u32) -> String {
        self.id("Repository", &at.to_string())
    }

    /// The identifier of an element that belongs to a purl, or to the beginning of one.
    fn of_purl(&self, kind: &str, purl: &str) -> String {
        self.id(kind, &Uuid::new_v5(&Uuid::NAMESPACE_URL, purl.as_bytes()).to_string())
    }

    fn package(&self, purl: &str) -> String {
        self.of_purl("Package", purl)
    }
}

/// The members that every element has.
fn element(kind: &str, id: &str) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("type".to_owned(), json!(kind));
    members.insert("spdxId".to_owned(), json!(id));
    members.insert("creationInfo".to_owned(), json!(CREATION));
    members
}

fn insert(members: &mut Map<String, Value>, key: &str, value: Value) {
    members.insert(key.to_owned(), value);
}

/// Writes the creation, the document and its bill of materials.
async fn begin<F: Findings>(
    writer: &mut Writer<F>,
    ids: &Ids,
    name: &str,
    now: Timestamp,
) -> Result<(), Gone> {
    let [author, tool, sbom] = ["Author", "Tool", "Sbom"].map(|kind| ids.id(kind, "0"));
    writer.json(&json!({
        "type": "CreationInfo",
        "@id": CREATION,
        "specVersion": "3.0.1",
        // The specification does not allow fractional seconds.
        "created": now.to_rfc3339_opts(SecondsFormat::Secs, true),
        "createdBy": [author],
        "createdUsing": [tool],
    }));
    let version = concat!(env!("CARGO_PKG_NAME"), "-", env!("CARGO_PKG_VERSION"));
    for (kind, id, name) in
        [("SoftwareAgent", &author, env!("CARGO_PKG_NAME")), ("Tool", &tool, version)]
    {
        let mut members = element(kind, id);
        insert(&mut members, "name", json!(name));
        writer.put(",");
        writer.json(&members);
    }
    let mut document = element("SpdxDocument", &ids.base);
    insert(&mut document, "name", json!(name));
    insert(&mut document, "profileConformance", json!(["core", "software", "simpleLicensing"]));
    insert(&mut document, "rootElement", json!([sbom]));
    writer.put(",");
    writer.json(&document);
    let mut bill = element("software_Sbom", &sbom);
    insert(&mut bill, "software_sbomType", json!(["source"]));
    let text = Value::Object(bill).to_string();
    writer.put(",");
    writer.put(text.strip_suffix('}').unwrap_or(&text));
    writer.put(",\"rootElement\":[");
    let mut commas = Commas::default();
    for at in 0..all(writer) {
        commas.next(writer);
        writer.json(&ids.repository(at));
        writer.breathe().await;
    }
    writer.put("]}");
    Ok(())
}

/// The number of repositories, those without a result included.
fn all<F: Findings>(writer: &Writer<F>) -> u32 {
    let missing = if writer.group.is_some() { writer.findings.missing() } else { 0 };
    writer.findings.scanned() + missing
}

async fn repositories<F: Findings>(writer: &mut Writer<F>, ids: &Ids) -> Result<(), Gone> {
    let scanned = writer.findings.scanned();
    for at in 0..scanned {
        let result = writer.findings.repository(at)?;
        let supplier = owner(&result.git_url).map(|owner| {
            let id = ids.id("Owner", &at.to_string());
            let mut members = element("Organization", &id);
            insert(&mut members, "name", json!(owner));
            (id, members)
        });
        let id = supplier.as_ref().map(|(id, _)| id.as_str());
        writer.put(",");
        writer.json(&repository(&ids.repository(at), &result, id));
        if let Some((_, members)) = supplier {
            writer.put(",");
            writer.json(&members);
        }
        writer.breathe().await;
    }
    for at in scanned..all(writer) {
        let missing = writer.findings.unscanned(at - scanned)?;
        writer.put(",");
        writer.json(&unknown(&ids.repository(at), &missing));
        writer.breathe().await;
    }
    Ok(())
}

fn repository(id: &str, result: &Repository, supplier: Option<&str>) -> Value {
    let mut members = element("software_Package", id);
    insert(&mut members, "name", json!(result.name));
    insert(&mut members, "software_primaryPurpose", json!("source"));
    if let Some(commit) = &result.commit {
        insert(&mut members, "software_packageVersion", json!(commit));
    }
    if let Some(address) = download_location(result) {
        insert(&mut members, "software_downloadLocation", json!(address));
    }
    if let Some(supplier) = supplier {
        insert(&mut members, "suppliedBy", json!(supplier));
    }
    if let Some(comment) = comment(result) {
        insert(&mut members, "comment", json!(comment));
    }
    Value::Object(members)
}

/// A repository of the group without a result.
fn unknown(id: &str, missing: &RepositoryStatus) -> Value {
    let mut members = element("software_Package", id);
    insert(&mut members, "name", json!(name_of(missing)));
    insert(&mut members, "software_primaryPurpose", json!("source"));
    insert(&mut members, "comment", json!(comment_of_missing(missing)));
    Value::Object(members)
}

async fn packages<F: Findings>(writer: &mut Writer<F>, ids: &Ids) -> Result<(), Gone> {
    let (mut last, mut supplied_by): (Option<String>, String) = (None, String::new());
    while let Some(component) = writer.next(last.as_deref()).await? {
        let supplier = supplier::of(&component.purl);
        if let Some(Supplier { name, prefix }) = &supplier
            && *prefix != supplied_by
        {
            let mut members = element("Organization", &ids.of_purl("Supplier", prefix));
            insert(&mut members, "name", json!(name));
            writer.put(",");
            writer.json(&members);
            (*prefix).clone_into(&mut supplied_by);
        }
        package(writer, ids, &component, supplier.as_ref()).await?;
        last = Some(component.purl);
    }
    Ok(())
}

async fn package<F: Findings>(
    writer: &mut Writer<F>,
    ids: &Ids,
    component: &Component,
    supplier: Option<&Supplier<'_>>,
) -> Result<(), Gone> {
    let facts = writer.facts(component)?;
    let id = ids.package(&component.purl);
    let mut members = element("software_Package", &id);
    insert(&mut members, "name", json!(facts.name));
    if let Some(version) = &facts.version {
        insert(&mut members, "software_packageVersion", json!(version));
    }
    insert(&mut members, "software_packageUrl", json!(component.purl));
    insert(&mut members, "software_primaryPurpose", json!("library"));
    if let Some(supplier) = supplier {
        insert(&mut members, "suppliedBy", json!(ids.of_purl("Supplier", supplier.prefix)));
    }
    let mut hashes = facts.digests(["algorithm", "hashValue"], |algorithm| algorithm.name);
    for hash in hashes.iter_mut().filter_map(Value::as_object_mut) {
        insert(hash, "type", json!("Hash"));
    }
    if !hashes.is_empty() {
        insert(&mut members, "verifiedUsing", json!(hashes));
    }
    let text = Value::Object(members).to_string();
    writer.put(",");
    writer.put(text.strip_suffix('}').unwrap_or(&text));
    writer.put(",\"software_sourceInfo\":\"");
    declared_in(writer, component).await?;
    writer.put("\"");
    comment_of_component(writer, component, &facts).await?;
    writer.put("}");
    let license = match facts.license() {
        Stated::Nothing => None,
        Stated::Expression(expression) => {
            Some(("simplelicensing_LicenseExpression", "LicenseExpression", expression.to_owned()))
        }
        Stated::Texts(texts) => {
            Some(("simplelicensing_SimpleLicensingText", "LicenseText", texts.join(", ")))
        }
    };
    if let Some((kind, name, text)) = license {
        let license = ids.of_purl(name, &component.purl);
        let key = match kind {
            "simplelicensing_LicenseExpression" => "simplelicensing_licenseExpression",
            _ => "simplelicensing_licenseText",
        };
        let mut members = element(kind, &license);
        insert(&mut members, key, json!(text));
        writer.put(",");
        writer.json(&members);
        let relationship = ids.of_purl("DeclaredLicense", &component.purl);
        relation(writer, &relationship, &id, "hasDeclaredLicense");
        writer.json(&license);
        writer.put("]}");
    }
    writer.breathe().await;
    Ok(())
}

/// Begins a relationship, whose targets follow.
fn relation<F: Findings>(writer: &mut Writer<F>, id: &str, from: &str, kind: &str) {
    let mut members = element("Relationship", id);
    insert(&mut members, "from", json!(from));
    insert(&mut members, "relationshipType", json!(kind));
    let text = Value::Object(members).to_string();
    writer.put(",");
    writer.put(text.strip_suffix('}').unwrap_or(&text));
    writer.put(",\"to\":[");
}

async fn relationships<F: Findings>(writer: &mut Writer<F>, ids: &Ids) -> Result<(), Gone> {
    for at in 0..writer.findings.scanned() {
        for (entries, kind, name) in [
            (Entries::All, "contains", "Contains"),
            (Entries::These(Vec::new()), "dependsOn", "DependsOn"),
        ] {
            let mut cursor = Cursor::default();
            let mut commas: Option<Commas> = None;
            while let Some(purl) = writer.entry(at, &entries, &mut cursor)? {
                // A relationship has at least one target.
                if commas.is_none() {
                    let id = ids.id(name, &at.to_string());
                    relation(writer, &id, &ids.repository(at), kind);
                    commas = Some(Commas::default());
                }
                if let Some(commas) = &mut commas {
                    commas.next(writer);
                }
                writer.json(&ids.package(&purl));
                writer.breathe().await;
            }
            if commas.is_some() {
                writer.put("]}");
            }
        }
    }
    writer.know_all().await?;
    let mut last: Option<String> = None;
    while let Some(component) = writer.next(last.as_deref()).await? {
        let mut cursor = Cursor::default();
        let mut commas: Option<Commas> = None;
        while let Some(required) = writer.text(&component, List::Requires, &mut cursor).await? {
            if commas.is_none() {
                let id = ids.of_purl("DependsOn", &component.purl);
                relation(writer, &id, &ids.package(&component.purl), "dependsOn");
                commas = Some(Commas::default());
            }
            if let Some(commas) = &mut commas {
                commas.next(writer);
            }
            writer.json(&ids.package(&required));
            writer.breathe().await;
        }
        if commas.is_some() {
            writer.put("]}");
        }
        last = Some(component.purl);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
