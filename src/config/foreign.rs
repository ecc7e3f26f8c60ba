//! Turns the settings of the Python service into a settings file.
//!
//! Input: the content of its `config.yaml`. Output: the settings as a TOML table, and a remark for
//! everything that has no equivalent. Invariants: nothing is dropped silently; only settings that
//! scanwatch has are written.

use super::DEFAULTS;
use serde_json::{Map, Value};
use toml::{Table, Value as Toml};

/// The settings that a file of the Python service results in.
#[derive(Debug, Default)]
pub struct Imported {
    pub settings: Table,
    /// What was not taken over, and why: one line each.
    pub remarks: Vec<String>,
}

/// The members of a category that become members of ours.
const LISTS: [&str; 3] = ["dependencies", "patterns", "api_patterns"];

/// Words of a category's `status` that switch it off.
const OFF: [&str; 5] = ["disabled", "inactive", "off", "false", "no"];

/// Imports a document: `categories` (a mapping by name, or a list with `name`), each with
/// `dependencies`, `patterns`, `api_patterns` and `status`; `ignore_patterns`; and sections that have
/// the names of ours.
pub fn import(document: &Value) -> Imported {
    let mut imported = Imported::default();
    let Value::Object(members) = document else {
        imported.remarks.push("the file is not a mapping of settings".to_owned());
        return imported;
    };
    let known = DEFAULTS.parse::<Table>().unwrap_or_default();
    for (name, value) in members {
        match (name.as_str(), value) {
            ("categories", Value::Object(categories)) => {
                for (name, category) in categories {
                    imported.category(name, category);
                }
            }
            ("categories", Value::Array(categories)) => {
                for category in categories {
                    let name = category["name"].as_str().or_else(|| category["category"].as_str());
                    match name {
                        Some(name) => imported.category(name, category),
                        None => imported.remark("categories", "an entry has no name"),
                    }
                }
            }
            ("ignore_patterns", Value::Array(_)) => {
                let patterns = imported.texts("ignore_patterns", value);
                imported.set("scanner", "exclude_paths", patterns.into());
            }
            (section, Value::Object(members)) => {
                imported.section(section, members, known.get(section));
            }
            (name, _) => imported.remark(name, "no such setting"),
        }
    }
    imported
}

impl Imported {
    fn category(&mut self, name: &str, category: &Value) {
        let place = format!("categories.{name}");
        let mut settings = Table::new();
        match category {
            Value::Array(_) => {
                settings.insert("dependencies".to_owned(), self.texts(&place, category).into());
            }
            Value::Object(members) => {
                let status = match &members.get("status") {
                    Some(Value::Bool(status)) => status.to_string(),
                    Some(Value::String(status)) => status.to_lowercase(),
                    _ => String::new(),
                };
                if OFF.contains(&status.as_str()) {
                    self.remark(&place, &format!("left out, because its status is `{status}`"));
                    return;
                }
                for (key, value) in members {
                    let place = format!("{place}.{key}");
                    match key.as_str() {
                        "name" | "category" => {}
                        "status" if status.is_empty() || status == "true" => {}
                        "status" => self.remark(
                            &place,
                            &format!("`{status}` has no equivalent; the category applies"),
                        ),
                        key if LISTS.contains(&key) => {
                            settings.insert(key.to_owned(), self.texts(&place, value).into());
                        }
                        _ => self.remark(&place, "a category has no such member"),
                    }
                }
            }
            _ => return self.remark(&place, "not a category: expected a mapping or a list"),
        }
        let categories = self.settings.entry("categories").or_insert_with(|| Table::new().into());
        if let Toml::Table(categories) = categories {
            categories.insert(name.to_owned(), settings.into());
        }
    }

    fn section(&mut self, name: &str, members: &Map<String, Value>, known: Option<&Toml>) {
        for (key, value) in members {
            let place = format!("{name}.{key}");
            let known = known.and_then(Toml::as_table).and_then(|section| section.get(key));
            match known {
                Some(known) => match Toml::try_from(value) {
                    Ok(value) if value.same_type(known) => self.set(name, key, value),
                    _ => self.remark(&place, &format!("expected a value such as {known}")),
                },
                None => self.remark(&place, "no such setting"),
            }
        }
    }

    /// The texts of a list, or one text; a mapping counts by its keys.
    fn texts(&mut self, place: &str, value: &Value) -> Vec<String> {
        let mut texts = Vec::new();
        match value {
            Value::Null => {}
            Value::String(text) => texts.push(text.clone()),
            Value::Object(members) => texts.extend(members.keys().cloned()),
            Value::Array(items) => {
                for item in items {
                    match item.as_str().or_else(|| item["name"].as_str()) {
                        Some(text) => texts.push(text.to_owned()),
                        None => self.remark(place, &format!("`{item}` is not text")),
                    }
                }
            }
            other => self.remark(place, &format!("expected a list of texts, got `{other}`")),
        }
        texts
    }

    fn set(&mut self, section: &str, key: &str, value: Toml) {
        let section = self.settings.entry(section).or_insert_with(|| Table::new().into());
        if let Toml::Table(section) = section {
            section.insert(key.to_owned(), value);
        }
    }

    fn remark(&mut self, place: &str, why: &str) {
        self.remarks.push(format!("{place}: {why}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn categories_patterns_and_known_settings_are_taken_over() {
        let imported = import(&json!({
            "categories": {
                "AI": { "dependencies": ["openai", { "name": "anthropic" }],
                        "api_patterns": ["api.openai.com"], "status": "approved" },
                "Web": ["flask", 7],
                "Old": { "dependencies": ["x"], "status": "disabled" },
            },
            "ignore_patterns": ["**/test/**"],
            "scanner": { "max_concurrent_processes": 3, "workers": 4, "command": "x" },
            "database_url": "postgres://",
        }));
        let expected: Table = r#"
            [categories.AI]
            dependencies = ["openai", "anthropic"]
            api_patterns = ["api.openai.com"]
            [categories.Web]
            dependencies = ["flask"]
            [scanner]
            exclude_paths = ["**/test/**"]
            max_concurrent_processes = 3
        "#
        .parse()
        .unwrap();
        assert_eq!(imported.settings, expected);
        let mut remarks = imported.remarks;
        remarks.sort();
        assert_eq!(
            remarks,
            [
                "categories.AI.status: `approved` has no equivalent; the category applies",
                "categories.Old: left out, because its status is `disabled`",
                "categories.Web: `7` is not text",
                "database_url: no such setting",
                "scanner.command: expected a value such as []",
                "scanner.workers: no such setting",
            ]
        );
        let list = import(&json!({ "categories": [{ "name": "DB", "dependencies": ["pg"] }] }));
        assert_eq!(list.settings["categories"]["DB"]["dependencies"][0].as_str(), Some("pg"));
        assert!(!import(&json!([])).remarks.is_empty());
    }
}
