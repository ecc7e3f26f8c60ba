//! Merges the layers of settings.
//!
//! Input: the built-in defaults, a file, environment variables, flags. Output: one table, and the
//! source of the value of every key. Invariants: the defaults are the only list of keys; an unknown
//! key or a value of another type is an error that names the key and its source.

use std::collections::BTreeMap;
use strsim::levenshtein;
use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

/// Sections whose keys users choose, so the defaults cannot list them.
const FREE_SECTIONS: [&str; 4] = ["categories", "forges", "schedules", "webhooks"];

/// The maximum of a numeric setting: 2^53 - 1, the largest integer that all JSON parsers represent
/// exactly. A duration of that many seconds can be added to any instant.
const MAX_INTEGER: i64 = 9_007_199_254_740_991;

/// An invalid setting, and why it is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct SettingsError {
    /// The source of the value: a file and line, a variable, a flag.
    pub place: String,
    pub message: String,
}

/// A setting with its effective value. It may name files and variables with secrets, but contains
/// none.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectiveSetting {
    /// `section.key`, spelled as in a settings file.
    pub path: String,
    pub value: Value,
    /// The source of the value: a file and line, a variable, a flag; `None` for the default.
    pub place: Option<String>,
}

/// The settings merged so far.
#[derive(Debug)]
pub(super) struct Layers {
    merged: Table,
    /// `section.key` → source of the value; keys with the default value are absent.
    places: BTreeMap<String, String>,
}

impl Layers {
    /// Starts with the defaults.
    pub(super) fn new(defaults: &str) -> Result<Self, SettingsError> {
        let merged = parse("config/default.toml", defaults)?.0;
        Ok(Self { merged, places: BTreeMap::new() })
    }

    /// Adds a file as the next layer.
    pub(super) fn add_file(&mut self, name: &str, text: &str) -> Result<(), SettingsError> {
        let (table, lines) = parse(name, text)?;
        let place = |path: &str| match lines.get(path) {
            Some(line) => format!("{name}, line {line}"),
            None => name.to_owned(),
        };
        for (section, value) in table {
            if FREE_SECTIONS.contains(&section.as_str()) {
                self.places.insert(section.clone(), place(&section));
                self.merged.insert(section, value);
                continue;
            }
            let Some(known) = self.merged.get(&section) else {
                return Err(self.unknown(&section, place(&section)));
            };
            let (Value::Table(_), Value::Table(members)) = (known, value) else {
                let message = format!("`{section}` is a section: write [{section}]");
                return Err(SettingsError { place: place(&section), message });
            };
            for (key, value) in members {
                let path = format!("{section}.{key}");
                self.set(&path, value, place(&path))?;
            }
        }
        Ok(())
    }

    /// Adds a value given as text, from a variable or a flag.
    pub(super) fn add_text(
        &mut self,
        path: &str,
        text: &str,
        place: String,
    ) -> Result<(), SettingsError> {
        let value = match self.get(path) {
            None => return Err(self.unknown(path, place)),
            Some(Value::String(_)) => Value::String(text.to_owned()),
            Some(Value::Array(_)) if !text.trim_start().starts_with('[') => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Value::Array(items.map(scalar).collect())
            }
            Some(_) => parse_value(text),
        };
        self.set(path, value, place)
    }

    /// Adds the environment variables `SCANWATCH_SECTION__KEY`, and ignores all others.
    pub(super) fn add_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), SettingsError> {
        for (name, value) in variables {
            if let Some((section, key)) =
                name.strip_prefix("SCANWATCH_").and_then(|rest| rest.split_once("__"))
            {
                let path = format!("{}.{}", section.to_lowercase(), key.to_lowercase());
                self.add_text(&path, &value, format!("environment variable {name}"))?;
            }
        }
        Ok(())
    }

    /// The merged table, and the sources of its values.
    pub(super) fn finish(self) -> (Table, BTreeMap<String, String>) {
        (self.merged, self.places)
    }

    fn get(&self, path: &str) -> Option<&Value> {
        let (section, key) = path.split_once('.')?;
        if FREE_SECTIONS.contains(&section) {
            return None;
        }
        self.merged.get(section)?.as_table()?.get(key)
    }

    fn set(&mut self, path: &str, value: Value, place: String) -> Result<(), SettingsError> {
        let Some(known) = self.get(path) else {
            return Err(self.unknown(path, place));
        };
        check_type(path, known, &value)
            .map_err(|message| SettingsError { place: place.clone(), message })?;
        if let Some((section, key)) = path.split_once('.')
            && let Some(Value::Table(members)) = self.merged.get_mut(section)
        {
            members.insert(key.to_owned(), value);
            self.places.insert(path.to_owned(), place);
        }
        Ok(())
    }

    fn unknown(&self, path: &str, place: String) -> SettingsError {
        let known = self.merged.iter().flat_map(|(section, value)| {
            let members = value.as_table().filter(|_| !FREE_SECTIONS.contains(&section.as_str()));
            let members = members.into_iter().flat_map(Table::keys);
            std::iter::once(section.clone())
                .chain(members.map(move |key| format!("{section}.{key}")))
        });
        let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
        let nearest = known
            .map(|name| {
                let of_key = levenshtein(&last(&name), &last(path)) + 1;
                (levenshtein(&name, path).min(of_key), name)
            })
            .min()
            .filter(|(distance, _)| *distance <= 4);
        let hint = match nearest {
            Some((_, name)) => format!("; did you mean `{name}`?"),
            None => "; config/default.toml lists all settings".to_owned(),
        };
        SettingsError { place, message: format!("unknown setting `{path}`{hint}") }
    }
}

/// Lists the settings of a merged table.
pub(super) fn flatten(table: Table, places: &BTreeMap<String, String>) -> Vec<EffectiveSetting> {
    let mut settings = Vec::new();
    for (section, value) in table {
        let place_of_section = places.get(&section).cloned();
        match value {
            Value::Table(members) => settings.extend(members.into_iter().map(|(key, value)| {
                let place = places.get(&format!("{section}.{key}")).cloned();
                EffectiveSetting {
                    path: format!("{section}.{}", toml_key(&key)),
                    value,
                    place: place.or_else(|| place_of_section.clone()),
                }
            })),
            value => {
                settings.push(EffectiveSetting { path: section, value, place: place_of_section });
            }
        }
    }
    settings
}

/// A key in TOML syntax: quoted, unless it is a bare key.
fn toml_key(key: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !key.is_empty() && key.bytes().all(bare) {
        key.to_owned()
    } else {
        // JSON's escapes are valid in TOML, and contain no line breaks, which a key must not have.
        serde_json::Value::from(key).to_string()
    }
}

fn check_type(path: &str, known: &Value, value: &Value) -> Result<(), String> {
    let fits = match (known, value) {
        (Value::Integer(_), Value::Integer(number)) => (0..=MAX_INTEGER).contains(number),
        (Value::Array(_), Value::Array(items)) => {
            items.iter().all(|item| item.is_str() || item.is_integer())
        }
        (known, value) => known.type_str() == value.type_str() && !known.is_integer(),
    };
    if fits {
        return Ok(());
    }
    let expected = match known {
        Value::Integer(_) => "a whole number from 0 to 9007199254740991",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        _ => known.type_str(),
    };
    Err(format!("`{path}`: expected {expected}, got `{value}`"))
}

fn scalar(text: &str) -> Value {
    text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Integer)
}

fn parse_value(text: &str) -> Value {
    let line = format!("value = {text}");
    let parsed = line.parse::<Table>().ok().and_then(|mut table| table.remove("value"));
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}

/// Parses a file, and records the line of each `section` and `section.key`.
fn parse(name: &str, text: &str) -> Result<(Table, BTreeMap<String, usize>), SettingsError> {
    let line_of = |offset: usize| {
        1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
    };
    let refused = |error: &toml::de::Error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        SettingsError { place: format!("{name}, line {line}"), message: error.message().to_owned() }
    };
    let tree = DeTable::parse(text).map_err(|error| refused(&error))?;
    let mut lines = BTreeMap::new();
    for (section, value) in tree.get_ref() {
        lines.insert(section.get_ref().to_string(), line_of(section.span().start));
        if let DeValue::Table(members) = value.get_ref() {
            for (key, _) in members {
                let path = format!("{}.{}", section.get_ref(), key.get_ref());
                lines.insert(path, line_of(key.span().start));
            }
        }
    }
    let table = text.parse::<Table>().map_err(|error| refused(&error))?;
    Ok((table, lines))
}
