//! Lenient reading of JSON objects: a field that cannot be understood counts as absent and
//! leaves a warning; it never spoils the fields beside it.

use super::time::{self, Timestamp};
use serde_json::{Map, Value};

/// The longest text that is kept, in bytes: whoever writes a file of a megabyte for each of
/// thousands of repositories must not fill the memory of those who read them all.
pub const LONGEST_TEXT: usize = 16 << 10;

/// One JSON object, read field by field.
#[derive(Debug)]
pub struct Fields {
    map: Map<String, Value>,
    warnings: Vec<String>,
}

impl Fields {
    /// Parses `bytes` as one JSON object; a leading byte order mark is skipped.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err("the file is empty".to_owned());
        }
        match serde_json::from_slice(bytes) {
            Ok(Value::Object(map)) => Ok(Self { map, warnings: Vec::new() }),
            Ok(other) => Err(format!("want a JSON object, got {}", kind_of(&other))),
            Err(error) => Err(format!("not valid JSON: {error}")),
        }
    }

    /// What could not be understood, one sentence each.
    pub fn into_warnings(self) -> Vec<String> {
        self.warnings
    }

    /// Adds a warning of the caller's.
    pub fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }

    /// Takes a text; what is too long of it is left out with a warning.
    pub fn text(&mut self, key: &str) -> Option<String> {
        let text = self.take(key, "text", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })?;
        if text.len() > LONGEST_TEXT {
            self.warnings.push(format!("`{key}` is longer than {LONGEST_TEXT} bytes"));
        }
        Some(shortened(text))
    }

    /// Takes a whole number that is not negative; `12.0` is one.
    pub fn count(&mut self, key: &str) -> Option<u64> {
        self.take(key, "a whole number of 0 or more", |value| count_of(&value))
    }

    /// Takes a finite number.
    pub fn number(&mut self, key: &str) -> Option<f64> {
        self.take(key, "a number", |value| value.as_f64().filter(|it| it.is_finite()))
    }

    /// Takes a time: RFC 3339 or Unix seconds, from 1970 up to 2100.
    pub fn time(&mut self, key: &str) -> Option<Timestamp> {
        let want = "an RFC 3339 time or Unix seconds, from 1970 to 2099";
        self.take(key, want, |value| time::parse(&value))
    }

    /// Takes a whole number of at most `most`: a greater one is left out with a warning.
    pub fn count_up_to(&mut self, key: &str, most: u64) -> Option<u64> {
        let count = self.count(key)?;
        if count > most {
            self.warnings.push(format!("`{key}` is {count}, more than {most}"));
            return None;
        }
        Some(count)
    }

    /// Takes a list of whatever is in it.
    pub fn list(&mut self, key: &str) -> Option<Vec<Value>> {
        self.take(key, "a list", |value| match value {
            Value::Array(items) => Some(items),
            _ => None,
        })
    }

    /// Takes a list of texts; other items are left out with a warning.
    pub fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let items = self.list(key)?;
        let whole = items.len();
        let texts: Vec<String> = items
            .into_iter()
            .filter_map(|item| match item {
                Value::String(text) => Some(shortened(text)),
                _ => None,
            })
            .collect();
        if texts.len() < whole {
            self.warnings.push(format!("`{key}` has items that are no text"));
        }
        Some(texts)
    }

    /// Takes a value by its `Deserialize`.
    pub fn typed<T: serde::de::DeserializeOwned>(&mut self, key: &str, want: &str) -> Option<T> {
        self.take(key, want, |value| serde_json::from_value(value).ok())
    }

    fn take<T>(
        &mut self,
        key: &str,
        want: &str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Option<T> {
        // `swap_remove` leaves the order of what is never listed to itself.
        let value = self.map.swap_remove(key).filter(|value| !value.is_null())?;
        let kind = kind_of(&value);
        let read = read(value);
        if read.is_none() {
            self.warnings.push(format!("`{key}`: want {want}, got {kind}"));
        }
        read
    }
}

/// A text of no more than [`LONGEST_TEXT`]; a `…` stands for the rest.
pub fn shortened(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT - '…'.len_utf8()));
        text.shrink_to_fit();
        text.push('…');
    }
    text
}

/// A whole number of 0 or more; `12.0` is one.
pub fn count_of(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
        value
            .as_f64()
            .filter(|it| it.fract() == 0.0 && (0.0..9.0e15).contains(it))
            .map(|it| it as u64)
    })
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks if what is kept of a file is as long as the file.
    #[test]
    fn texts_are_bounded_and_cut_between_characters() {
        let long = "é".repeat(LONGEST_TEXT);
        let object = serde_json::json!({ "name": long, "list": [long], "short": "é" });
        let mut fields = Fields::parse(object.to_string().as_bytes()).unwrap();
        for text in [fields.text("name").unwrap(), fields.texts("list").unwrap().remove(0)] {
            assert!(text.len() <= LONGEST_TEXT && text.ends_with("é…"), "{} bytes", text.len());
        }
        assert_eq!(fields.text("short").as_deref(), Some("é"));
        assert_eq!(fields.into_warnings(), ["`name` is longer than 16384 bytes"]);
    }
}
