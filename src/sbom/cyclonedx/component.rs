//! A package as a component of a `CycloneDX` document.
//!
//! Input: a component of the index. Output: its object. Invariants: a text that may be long is written while it is read.

use super::super::{
    components::Component,
    facts::{Facts, List, Stated},
    findings::{Findings, Gone},
    supplier,
    writer::{Commas, Cursor, Writer},
};
use crate::model::scan_result::Scope;
use serde_json::{Map, Value, json};

pub(super) async fn component<F: Findings>(
    writer: &mut Writer<F>,
    component: &Component,
) -> Result<(), Gone> {
    let facts = writer.facts(component)?;
    let mut members = Map::new();
    let mut insert = |key: &str, value: Value| drop(members.insert(key.to_owned(), value));
    insert("type", json!("library"));
    insert("bom-ref", json!(component.purl));
    // With its scope, also in npm: importers that ignore `group` would take `@a/x` and `@b/x` for one.
    insert("name", json!(facts.name));
    if let Some(version) = &facts.version {
        insert("version", json!(version));
    }
    if let Some(scope) = scope(&facts) {
        insert("scope", json!(scope));
    }
    if let Some(supplier) = supplier::of(&component.purl) {
        insert("supplier", json!({ "name": supplier.name }));
    }
    let hashes = facts.digests(["alg", "content"], |algorithm| algorithm.cyclonedx);
    if !hashes.is_empty() {
        insert("hashes", json!(hashes));
    }
    match facts.license() {
        Stated::Nothing => {}
        Stated::Expression(expression) => {
            insert(
                "licenses",
                json!([{ "expression": expression, "acknowledgement": "declared" }]),
            );
        }
        Stated::Texts(texts) => {
            let named =
                |name| json!({ "license": { "name": name, "acknowledgement": "declared" } });
            insert("licenses", texts.into_iter().map(named).collect());
        }
    }
    insert("purl", json!(component.purl));
    let text = Value::Object(members).to_string();
    writer.put(text.strip_suffix('}').unwrap_or(&text));
    properties(writer, component, &facts).await?;
    writer.put(",\"evidence\":{\"occurrences\":[");
    let (mut commas, mut cursor) = (Commas::default(), Cursor::default());
    while let Some(declaration) = writer.declaration(component, &mut cursor)? {
        commas.next(writer);
        let location = writer.location(&declaration)?;
        writer.json(&match declaration.line {
            Some(line) => json!({ "location": location, "line": line }),
            None => json!({ "location": location }),
        });
        writer.breathe().await;
    }
    writer.put("]}}");
    writer.breathe().await;
    Ok(())
}

/// The scope, one of three values in the schema. "Excluded" is for "usage for test and other non-runtime
/// purposes"; if one declaration has no scope, the component may be required, which is the default.
fn scope(facts: &Facts) -> Option<&'static str> {
    let any = |wanted: &[Scope]| {
        facts.scopes.iter().any(|scope| scope.is_some_and(|scope| wanted.contains(&scope)))
    };
    if any(&[Scope::Runtime, Scope::Peer]) {
        Some("required")
    } else if facts.scopes.contains(&None) {
        None
    } else if any(&[Scope::Optional]) {
        Some("optional")
    } else {
        Some("excluded")
    }
}

/// Writes properties that `CycloneDX` has no members for, in our own namespace.
async fn properties<F: Findings>(
    writer: &mut Writer<F>,
    component: &Component,
    facts: &Facts,
) -> Result<(), Gone> {
    let property =
        |name: &str, value: &str| json!({ "name": format!("scanwatch:{name}"), "value": value });
    writer.put(",\"properties\":[");
    writer.json(&property("direct", if facts.is_direct { "true" } else { "false" }));
    let (mut cursor, mut last) = (Cursor::default(), None);
    while let Some(declaration) = writer.declaration(component, &mut cursor)? {
        let location = writer.location(&declaration)?;
        if last.as_ref() != Some(&location) {
            writer.put(",");
            writer.json(&property("file", &location));
            last = Some(location);
        }
        writer.breathe().await;
    }
    for scope in facts.scopes.iter().flatten() {
        writer.put(",");
        writer.json(&property("scope", scope.as_str()));
    }
    let mut cursor = Cursor::default();
    while let Some(specifier) = writer.text(component, List::Specifiers, &mut cursor).await? {
        writer.put(",");
        writer.json(&property("specifier", &specifier));
        writer.breathe().await;
    }
    for list in facts.origins.iter().copied() {
        let name = if list == List::ResolvedFrom { "resolved_from" } else { "managed_by" };
        let mut cursor = Cursor::default();
        while let Some(text) = writer.text(component, list, &mut cursor).await? {
            writer.put(",");
            writer.json(&property(name, &text));
            writer.breathe().await;
        }
    }
    writer.put("]");
    Ok(())
}
