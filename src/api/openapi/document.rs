//! The OpenAPI document as a whole.
//!
//! Input: the table of routes. Output: the document. Invariants: every route is described exactly
//! once, and every referenced schema is defined.

use super::describe::Describer;
use crate::api::{answers::error::Problem, routing::resource::Resource};
use serde_json::{Map, Value, json};

const ABOUT: &str = "scanwatch scans git repositories for their dependencies, each in a process of \
    its own, and shows the progress live.\n\n\
    Each path that supports GET supports HEAD as well. Unknown members of requests are ignored, \
    and members may be added to answers. Times are RFC 3339 in UTC. Every error is a problem \
    document (RFC 9457). A server without configured credentials requires none, and answers only to \
    localhost and IP addresses.";

/// The OpenAPI document of these routes. `root`: the root of the server as clients see it, without a
/// slash at its end; empty for the root of its host.
pub fn document(resources: &[Resource], root: &str) -> Value {
    let mut describer = Describer::new();
    describer.define::<Problem>();
    let mut paths = Map::new();
    for resource in resources {
        for route in &resource.routes {
            let item = paths.entry(route.path).or_insert_with(|| json!({}));
            let method = route.method.as_str().to_ascii_lowercase();
            item[method] = describer.operation(resource.name, route);
        }
    }
    let tags: Vec<_> = resources
        .iter()
        .map(|resource| json!({ "name": resource.name, "description": resource.about }))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "scanwatch",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": if root.is_empty() { "/" } else { root }, "description": "This server." }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": describer.into_schemas(),
            "securitySchemes": {
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "User and password.",
                },
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token.",
                },
            },
        },
    })
}

/// The document of these routes as indented text.
pub fn text(resources: &[Resource], root: &str) -> String {
    // Serialization cannot fail: all keys are texts and all numbers finite.
    serde_json::to_string_pretty(&document(resources, root)).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::routes::resources;
    use std::collections::BTreeSet;

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(reference)) = map.get("$ref") {
                    found.insert(reference.clone());
                }
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn exactly_the_routes_and_referenced_schemas_are_described() {
        let resources = resources();
        let document = document(&resources, "");
        let routes: Vec<_> = resources.iter().flat_map(|resource| &resource.routes).collect();
        for route in &routes {
            let method = route.method.as_str().to_ascii_lowercase();
            let operation = &document["paths"][route.path][method];
            assert_eq!(operation["operationId"], route.operation.id);
        }
        let paths = document["paths"].as_object().unwrap().values();
        let operations: usize = paths.map(|methods| methods.as_object().unwrap().len()).sum();
        assert_eq!(operations, routes.len());

        let mut used = BTreeSet::new();
        references(&document, &mut used);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let defined: BTreeSet<_> =
            schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
        assert_eq!(used, defined);
        for name in schemas.keys() {
            assert!(!name.ends_with(char::is_numeric), "two types are called {name}");
        }
    }
}
