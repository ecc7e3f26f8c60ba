//! `CycloneDX` 1.6 (ECMA-424) and 1.7 as JSON. For what is stated here the two differ in their number only.
//!
//! Input: findings, and the time. Output: one document with the repository or the group as its subject, a
//! component for each package and, in a group, for each repository, the direct dependencies of each
//! repository, and the dependencies of packages as far as lock files state them.
//!
//! Invariants: valid by the schema of the version; every `bom-ref` is unique, and reachable from the subject by
//! `dependencies`; unknown dependencies are omitted, not claimed to be empty. The serial number follows from the content, so two documents with one number differ
//! only in their time; it is the last member, because the content is not known before.

mod component;

use super::{
    facts::List,
    findings::{Findings, Gone, Repository},
    reach::Entries,
    subject::{group_name, name_of, owner, reason, web_address},
    writer::{Commas, Cursor, Writer},
};
use crate::model::{
    repository::RepositoryStatus,
    time::{self, Timestamp},
};
use component::component;
use serde_json::{Map, Value, json};

/// The versions of the format.
#[derive(Debug, Clone, Copy)]
pub(super) enum Version {
    V1_6,
    V1_7,
}

impl Version {
    fn number(self) -> &'static str {
        match self {
            Self::V1_6 => "1.6",
            Self::V1_7 => "1.7",
        }
    }
}

/// Writes the document.
pub(super) async fn write<F: Findings>(
    writer: &mut Writer<F>,
    version: Version,
    now: Timestamp,
) -> Result<(), Gone> {
    // The repositories of which files were excluded.
    let mut partial = Vec::new();
    let about = match &writer.group {
        Some(name) => group(name),
        None if writer.findings.scanned() == 0 => group(env!("CARGO_PKG_NAME")),
        None => {
            let first = writer.findings.repository(0)?;
            partial.extend((first.excluded > 0).then_some(0));
            repository(&first, &repository_reference(&first.name))
        }
    };
    let number = version.number();
    writer.put(&format!(
        "{{\"$schema\":\"http://cyclonedx.org/schema/bom-{number}.schema.json\",\
         \"bomFormat\":\"CycloneDX\",\"specVersion\":\"{number}\",\"version\":1,\"metadata\":",
    ));
    let mut metadata = json!({
        "timestamp": time::format(now),
        // Of the sources, before anything is built.
        "lifecycles": [{ "phase": "pre-build" }],
        "tools": { "components": [{
            "type": "application",
            "name": env!("CARGO_PKG_NAME"),
            "version": env!("CARGO_PKG_VERSION"),
        }] },
        "component": about,
    });
    if writer.findings.is_archived() {
        metadata["properties"] = json!([{ "name": "scanwatch:archived", "value": "true" }]);
    }
    writer.json(&metadata);
    writer.put(",\"components\":");
    writer.begin_content();
    writer.note(b"[");
    writer.note(about.to_string().as_bytes());
    writer.note(b",");
    let references = References(writer.doubles()?);
    components(writer, &references, &mut partial).await?;
    writer.aside(",\"dependencies\":");
    writer.note(b",");
    dependencies(writer, &references, &about).await?;
    writer.note(b"]");
    let number = writer.end_content();
    compositions(writer, &references, &about, &partial).await?;
    writer.put(",\"serialNumber\":");
    writer.json(&number.urn().to_string());
    writer.put("}");
    Ok(())
}

/// States what is missing from the document: the repositories of the group without a result, and the
/// packages of excluded files.
async fn compositions<F: Findings>(
    writer: &mut Writer<F>,
    references: &References,
    about: &Value,
    partial: &[u32],
) -> Result<(), Gone> {
    let missing = if writer.group.is_some() { writer.findings.missing() } else { 0 };
    if missing == 0 && partial.is_empty() {
        return Ok(());
    }
    writer.put(",\"compositions\":[{\"aggregate\":\"incomplete\",\"assemblies\":[");
    let mut commas = Commas::default();
    if writer.group.is_some() {
        commas.next(writer);
        writer.json(&about["bom-ref"]);
    }
    for at in partial {
        commas.next(writer);
        let reference = references.scanned(writer, *at)?;
        writer.json(&reference);
        writer.breathe().await;
    }
    writer.put("]}");
    if missing > 0 {
        writer.put(",{\"aggregate\":\"unknown\",\"dependencies\":[");
        let mut commas = Commas::default();
        for at in 0..missing {
            commas.next(writer);
            let reference = references.missing(writer, at)?;
            writer.json(&reference);
            writer.breathe().await;
        }
        writer.put("]}");
    }
    writer.put("]");
    Ok(())
}

/// Writes the repositories of a group, and the packages; notes the repositories of which files were excluded.
async fn components<F: Findings>(
    writer: &mut Writer<F>,
    references: &References,
    partial: &mut Vec<u32>,
) -> Result<(), Gone> {
    let mut commas = Commas::default();
    writer.put("[");
    if writer.group.is_some() {
        for at in 0..writer.findings.scanned() {
            commas.next(writer);
            let reference = references.scanned(writer, at)?;
            let result = writer.findings.repository(at)?;
            partial.extend((result.excluded > 0).then_some(at));
            writer.json(&repository(&result, &reference));
            writer.breathe().await;
        }
        for at in 0..writer.findings.missing() {
            commas.next(writer);
            let reference = references.missing(writer, at)?;
            let missing = writer.findings.unscanned(at)?;
            writer.json(&unknown(&missing, &reference));
            writer.breathe().await;
        }
    }
    let mut last: Option<String> = None;
    while let Some(package) = writer.next(last.as_deref()).await? {
        commas.next(writer);
        component(writer, &package).await?;
        last = Some(package.purl);
    }
    writer.put("]");
    Ok(())
}

async fn dependencies<F: Findings>(
    writer: &mut Writer<F>,
    references: &References,
    about: &Value,
) -> Result<(), Gone> {
    writer.put("[");
    let mut listed = Commas::default();
    if writer.group.is_some() {
        listed.next(writer);
        let mut commas = depends_on(writer, &about["bom-ref"]);
        for at in 0..writer.findings.scanned() {
            commas.next(writer);
            let reference = references.scanned(writer, at)?;
            writer.json(&reference);
            writer.breathe().await;
        }
        for at in 0..writer.findings.missing() {
            commas.next(writer);
            let reference = references.missing(writer, at)?;
            writer.json(&reference);
            writer.breathe().await;
        }
        writer.put("]}");
    }
    for at in 0..writer.findings.scanned() {
        listed.next(writer);
        let reference = references.scanned(writer, at)?;
        let entries = Entries::of(&mut writer.findings, at).await?;
        let mut commas = depends_on(writer, &json!(reference));
        let mut cursor = Cursor::default();
        while let Some(purl) = writer.entry(at, &entries, &mut cursor)? {
            commas.next(writer);
            writer.json(&purl);
            writer.breathe().await;
        }
        writer.put("]}");
        writer.breathe().await;
    }
    writer.know_all().await?;
    let mut last: Option<String> = None;
    while let Some(package) = writer.next(last.as_deref()).await? {
        let mut cursor = Cursor::default();
        let mut begun: Option<Commas> = None;
        while let Some(required) = writer.text(&package, List::Requires, &mut cursor).await? {
            if begun.is_none() {
                listed.next(writer);
                begun = Some(depends_on(writer, &json!(package.purl)));
            }
            if let Some(commas) = &mut begun {
                commas.next(writer);
            }
            writer.json(&required);
            writer.breathe().await;
        }
        if begun.is_some() {
            writer.put("]}");
        }
        last = Some(package.purl);
    }
    writer.put("]");
    Ok(())
}

/// Begins the dependencies of a component.
fn depends_on<F: Findings>(writer: &mut Writer<F>, reference: &Value) -> Commas {
    writer.put("{\"ref\":");
    writer.json(reference);
    writer.put(",\"dependsOn\":[");
    Commas::default()
}

/// The reference of a repository. No purl has this prefix, so it differs from every package's reference.
fn repository_reference(name: &str) -> String {
    format!("repository:{name}")
}

/// The references of repositories. If two have the same name, as in jobs of other programs, all but the first
/// have their number appended.
struct References(Vec<bool>);

impl References {
    fn scanned<F: Findings>(&self, writer: &mut Writer<F>, at: u32) -> Result<String, Gone> {
        let reference = repository_reference(&writer.findings.name(at)?);
        if !self.is_double(at) {
            return Ok(reference);
        }
        Ok(format!("{reference}#{}", writer.findings.repository(at)?.index))
    }

    fn missing<F: Findings>(&self, writer: &mut Writer<F>, at: u32) -> Result<String, Gone> {
        let missing = writer.findings.unscanned(at)?;
        let reference = repository_reference(&name_of(&missing));
        let is_double = self.is_double(writer.findings.scanned() + at);
        Ok(if is_double { format!("{reference}#{}", missing.index) } else { reference })
    }

    fn is_double(&self, at: u32) -> bool {
        self.0.get(at as usize).copied().unwrap_or(false)
    }
}

/// A repository of the group without a result.
fn unknown(missing: &RepositoryStatus, reference: &str) -> Value {
    json!({
        "type": "application",
        "bom-ref": reference,
        "name": name_of(missing),
        "properties": [{ "name": "scanwatch:not-scanned", "value": reason(missing) }],
    })
}

/// A scanned repository: the subject of the document, or a part of it.
fn repository(result: &Repository, reference: &str) -> Value {
    let mut members = Map::new();
    members.insert("type".to_owned(), json!("application"));
    members.insert("bom-ref".to_owned(), json!(reference));
    members.insert("name".to_owned(), json!(result.name));
    if let Some(commit) = &result.commit {
        members.insert("version".to_owned(), json!(commit));
    }
    if let Some(owner) = owner(&result.git_url) {
        members.insert("supplier".to_owned(), json!({ "name": owner }));
    }
    if let Some(address) = web_address(&result.git_url) {
        let reference = json!([{ "type": "vcs", "url": address }]);
        members.insert("externalReferences".to_owned(), reference);
    }
    let mut properties = Vec::new();
    let mut state = |name: &str, value: &str| {
        properties.push(json!({ "name": format!("scanwatch:{name}"), "value": value }));
    };
    if result.dirty {
        state("dirty", "true");
    }
    if result.excluded > 0 {
        state("excluded-files", &result.excluded.to_string());
        result.exclude_paths.iter().for_each(|pattern| state("exclude-path", pattern));
    }
    if !properties.is_empty() {
        members.insert("properties".to_owned(), Value::Array(properties));
    }
    Value::Object(members)
}

fn group(name: &str) -> Value {
    let name = group_name(name);
    json!({ "type": "application", "bom-ref": format!("group:{name}"), "name": name })
}

#[cfg(test)]
mod tests;
