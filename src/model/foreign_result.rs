//! Results of the Python service, which it keeps in the status file of a repository: the member
//! `scan_result`, with `categorized_dependencies`, `infrastructure_usage` and `dependencies`.
//!
//! Input: the bytes of `repo_N.json`. Output: the text of a result file as scanwatch writes it.
//!
//! Invariants: a value of any shape is accepted, and what cannot be understood counts as not found;
//! a status file without results gives none, not an empty one; the text is at most [`LARGEST`] bytes.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt::Write};

/// The largest text that is made, in bytes: about 25,000 packages.
pub const LARGEST: usize = 4 << 20;

/// The only member of the status file that is read here.
#[derive(Deserialize)]
struct StatusFile {
    scan_result: Option<Value>,
}

/// The text of a result file with the results that a status file contains, if it contains any.
/// `source` names the status file: packages have no other origin.
pub fn convert(bytes: &[u8], source: &str) -> Option<Vec<u8>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let file: StatusFile = serde_json::from_slice(bytes).ok()?;
    let Some(Value::Object(mut result)) = file.scan_result else { return None };
    let categorized = take(&mut result, "categorized_dependencies");
    let dependencies = take(&mut result, "dependencies");
    let infrastructure = take(&mut result, "infrastructure_usage");
    if [&categorized, &dependencies, &infrastructure].iter().all(|value| value.is_none()) {
        return None;
    }
    let mut packages = Packages { source, found: BTreeMap::new() };
    // `dependencies` may also be what `categorized_dependencies` is: a category and a boolean each.
    let (categories, listed) = match (categorized, dependencies) {
        (None, Some(dependencies)) if is_usage(&dependencies) => (Some(dependencies), None),
        other => other,
    };
    if let Some(listed) = &listed {
        packages.take(listed);
    }
    if packages.found.is_empty()
        && let Some(Value::Object(categories)) = &categories
    {
        categories.values().filter(|found| found.is_array()).for_each(|found| packages.take(found));
    }
    let text = json!({
        "schema": 1,
        "packages": packages.found.into_values().collect::<Vec<_>>(),
        "categories": usage(categories),
        "infrastructure_usage": usage(infrastructure),
    });
    let text = text.to_string().into_bytes();
    (text.len() <= LARGEST).then_some(text)
}

/// Takes a member of an object; null counts as absent.
fn take(object: &mut Map<String, Value>, key: &str) -> Option<Value> {
    object.remove(key).filter(|value| !value.is_null())
}

fn is_usage(value: &Value) -> bool {
    value.as_object().is_some_and(|members| members.values().all(Value::is_boolean))
}

/// What is used: the truth of each member, by its name.
fn usage(value: Option<Value>) -> BTreeMap<String, bool> {
    match value {
        Some(Value::Object(members)) => {
            members.into_iter().map(|(name, value)| (name, is_truthy(&value))).collect()
        }
        // A list of the names that were found.
        Some(Value::Array(names)) => {
            names.into_iter().filter_map(|name| Some((name.as_str()?.to_owned(), true))).collect()
        }
        _ => BTreeMap::new(),
    }
}

/// The truth of a value, as Python has it.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(is) => *is,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
    }
}

/// The packages found so far, by name and version.
struct Packages<'a> {
    source: &'a str,
    found: BTreeMap<(String, Option<String>), Value>,
}

impl Packages<'_> {
    /// Takes in a list of packages, or an object: a version or a list below each name.
    fn take(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.item(item)),
            Value::Object(members) => {
                for (name, value) in members {
                    match value {
                        Value::Array(items) => items.iter().for_each(|item| self.item(item)),
                        Value::String(version) => self.add(name, Some(version), None),
                        Value::Object(about) => {
                            self.add(name, text(about, &VERSION), text(about, &KIND));
                        }
                        Value::Bool(false) => {}
                        _ => self.add(name, None, None),
                    }
                }
            }
            _ => {}
        }
    }

    fn item(&mut self, item: &Value) {
        match item {
            Value::String(declared) => match declared.split_once("==") {
                Some((name, version)) => self.add(name, Some(version), None),
                None => self.add(declared, None, None),
            },
            Value::Object(about) => {
                if let Some(name) = text(about, &NAME) {
                    self.add(name, text(about, &VERSION), text(about, &KIND));
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, name: &str, version: Option<&str>, kind: Option<&str>) {
        let (name, version) = (name.trim(), version.map(str::trim).filter(|text| !text.is_empty()));
        if name.is_empty() {
            return;
        }
        // No ecosystem is known, so no purl of one would be right.
        let mut purl = format!("pkg:generic/{}", encoded(name));
        if let Some(version) = version {
            purl.push('@');
            purl.push_str(&encoded(version));
        }
        let package = json!({
            "name": name, "version": version, "ecosystem": kind.unwrap_or("generic"), "purl": purl,
            "file": self.source, "direct": null, "scope": null, "source": "manifest",
        });
        self.found.insert((name.to_owned(), version.map(str::to_owned)), package);
    }
}

/// The members that may hold the name, the version, and the ecosystem of a package.
const NAME: [&str; 3] = ["name", "package", "dependency"];
const VERSION: [&str; 1] = ["version"];
const KIND: [&str; 2] = ["ecosystem", "type"];

fn text<'a>(members: &'a Map<String, Value>, keys: &[&str]) -> Option<&'a str> {
    keys.iter().find_map(|key| members.get(*key)?.as_str()).filter(|text| !text.trim().is_empty())
}

/// Percent-encoding of a component of a purl.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte.into());
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::declared::Declared;

    fn converted(result: &Value) -> Option<Value> {
        let file = json!({ "status": "completed", "scan_result": result }).to_string();
        let text = convert(file.as_bytes(), "repo_0.json")?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    #[track_caller]
    fn check(result: &Value, packages: &[&str], categories: &Value, infrastructure: &Value) {
        let found = converted(result).unwrap();
        let purls: Vec<_> = found["packages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|package| {
                Declared::parse(package.to_string().as_bytes()).unwrap().purl.to_string()
            })
            .collect();
        assert_eq!(purls, packages, "{result:#}");
        assert_eq!(found["categories"], *categories, "{result:#}");
        assert_eq!(found["infrastructure_usage"], *infrastructure, "{result:#}");
    }

    #[test]
    fn results_of_any_shape_are_read() {
        check(
            &json!({
                "categorized_dependencies": { "web": true, "data": false },
                "infrastructure_usage": { "devpods": true },
                "dependencies": ["flask==3.0.0", "@angular/core", " "],
            }),
            &["pkg:generic/%40angular%2Fcore", "pkg:generic/flask@3.0.0"],
            &json!({ "data": false, "web": true }),
            &json!({ "devpods": true }),
        );
        check(
            &json!({ "categorized_dependencies": { "web": ["flask", "django"], "data": [] } }),
            &["pkg:generic/django", "pkg:generic/flask"],
            &json!({ "data": false, "web": true }),
            &json!({}),
        );
        check(
            &json!({ "dependencies": { "flask": "3.0", "redis": null, "npm": [{ "name": "a", "version": "1" }] },
                "infrastructure_usage": ["docker"] }),
            &["pkg:generic/a@1", "pkg:generic/flask@3.0", "pkg:generic/redis"],
            &json!({}),
            &json!({ "docker": true }),
        );
        check(
            &json!({ "dependencies": { "web": true } }),
            &[],
            &json!({ "web": true }),
            &json!({}),
        );
        check(&json!({ "dependencies": [7, null, {}] }), &[], &json!({}), &json!({}));
    }

    /// Breaks if a repository without results looks like one in which nothing was found.
    #[test]
    fn a_status_without_results_has_none() {
        for none in
            [json!(null), json!("x"), json!({}), json!({ "dependencies": null, "other": 1 })]
        {
            assert_eq!(converted(&none), None, "{none}");
        }
        assert_eq!(convert(b"{}", "f"), None);
        assert_eq!(convert(b"no JSON", "f"), None);
    }

    #[test]
    fn too_much_is_refused_as_a_whole() {
        let many: Vec<_> = (0..60_000).map(|number| number.to_string()).collect();
        assert_eq!(converted(&json!({ "dependencies": many })), None);
    }
}
