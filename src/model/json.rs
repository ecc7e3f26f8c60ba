//! Lenient parsing of JSON objects.
//!
//! Input: bytes. Output: members and warnings. Invariants: an invalid member counts as absent and
//! causes a warning; it never affects other members.

use super::time::{self, Timestamp};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use std::{borrow::Cow, fmt};

/// The longest text that is kept, in bytes: a writer of a megabyte file for each of thousands of
/// repositories must not fill the memory of the reader.
pub const LONGEST_TEXT: usize = 16 << 10;

/// A JSON value that borrows its texts from the parsed bytes: tens of thousands of small files are
/// parsed at start, and most members of each are never used.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Value<'a>>),
    Object(Members<'a>),
}

/// How many members the status file of a finished repository has, or fewer.
const LIKELY_MEMBERS: usize = 32;

/// The members of an object in file order. The last of several members with the same name counts.
type Members<'a> = Vec<(Cow<'a, str>, Value<'a>)>;

/// A JSON object, read member by member.
#[derive(Debug)]
pub struct Fields<'a> {
    members: Members<'a>,
    warnings: Vec<String>,
}

impl<'a> Fields<'a> {
    /// Parses `bytes` as one JSON object; a leading byte order mark is skipped.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err("the file is empty".to_owned());
        }
        // The texts of valid UTF-8 are not checked one by one.
        let parsed = match std::str::from_utf8(bytes) {
            Ok(text) => object(serde_json::Deserializer::from_str(text)),
            Err(_) => object(serde_json::Deserializer::from_slice(bytes)),
        };
        match parsed {
            Ok(Value::Object(members)) => Ok(Self { members, warnings: Vec::new() }),
            Ok(other) => Err(format!("expected a JSON object, got {}", kind_of(&other))),
            Err(error) => Err(format!("not valid JSON: {error}")),
        }
    }

    /// The warnings about invalid members, one sentence each.
    pub fn into_warnings(self) -> Vec<String> {
        self.warnings
    }

    /// Adds a warning of the caller's.
    pub fn warn(&mut self, text: String) {
        self.warnings.push(text);
    }

    /// Takes a text; a text that is too long is truncated with a warning.
    pub fn text(&mut self, key: &str) -> Option<String> {
        let text = self.take(key, "text", |value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        })?;
        if text.len() > LONGEST_TEXT {
            self.warnings.push(format!("`{key}` is longer than {LONGEST_TEXT} bytes"));
        }
        Some(shortened(text.into_owned()))
    }

    /// Takes a whole number that is not negative; `12.0` is one.
    pub fn count(&mut self, key: &str) -> Option<u64> {
        self.take(key, "a whole number of 0 or more", |value| value.count())
    }

    /// Takes a finite number.
    pub fn number(&mut self, key: &str) -> Option<f64> {
        self.take(key, "a number", |value| match value {
            Value::Number(number) => number.as_f64().filter(|number| number.is_finite()),
            _ => None,
        })
    }

    /// Takes a time: RFC 3339 or Unix seconds, from 1970 up to 2100.
    pub fn time(&mut self, key: &str) -> Option<Timestamp> {
        let want = "an RFC 3339 time or Unix seconds, from 1970 to 2099";
        self.take(key, want, |value| match value {
            Value::Text(text) => time::of_text(&text),
            Value::Number(number) => time::of_number(&number),
            _ => None,
        })
    }

    /// Takes a whole number of at most `most`: a larger one is ignored with a warning.
    pub fn count_up_to(&mut self, key: &str, most: u64) -> Option<u64> {
        let count = self.count(key)?;
        if count > most {
            self.warnings.push(format!("`{key}` is {count}, more than {most}"));
            return None;
        }
        Some(count)
    }

    /// Takes a list with any items.
    pub fn list(&mut self, key: &str) -> Option<Vec<Value<'a>>> {
        self.take(key, "a list", |value| match value {
            Value::List(items) => Some(items),
            _ => None,
        })
    }

    /// Takes a list of texts; other items are ignored with a warning.
    pub fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        let items = self.list(key)?;
        let whole = items.len();
        let texts: Vec<String> = items
            .into_iter()
            .filter_map(|item| match item {
                Value::Text(text) => Some(shortened(text.into_owned())),
                _ => None,
            })
            .collect();
        if texts.len() < whole {
            self.warnings.push(format!("`{key}` has items that are not text"));
        }
        Some(texts)
    }

    /// Takes any value, as `read` understands it.
    pub fn any<T>(
        &mut self,
        key: &str,
        want: &str,
        read: impl FnOnce(Value<'a>) -> Option<T>,
    ) -> Option<T> {
        self.take(key, want, read)
    }

    /// Takes a value by its `Deserialize`. The warning about an invalid member of it names that
    /// member.
    pub fn typed<T: serde::de::DeserializeOwned>(&mut self, key: &str, want: &str) -> Option<T> {
        let value = member(&mut self.members, key).filter(|value| *value != Value::Null)?;
        let kind = kind_of(&value);
        match serde_path_to_error::deserialize(value.into_owned()) {
            Ok(read) => Some(read),
            Err(error) => {
                let place = error.path().to_string();
                self.warnings.push(if place == "." {
                    format!("`{key}`: expected {want}, got {kind}")
                } else {
                    shortened(format!("`{key}.{place}`: {}", error.inner()))
                });
                None
            }
        }
    }

    fn take<T>(
        &mut self,
        key: &str,
        want: &str,
        read: impl FnOnce(Value<'a>) -> Option<T>,
    ) -> Option<T> {
        let value = member(&mut self.members, key).filter(|value| *value != Value::Null)?;
        let kind = kind_of(&value);
        let read = read(value);
        if read.is_none() {
            self.warnings.push(format!("`{key}`: expected {want}, got {kind}"));
        }
        read
    }
}

/// Truncates a text to [`LONGEST_TEXT`], marked by `…`.
pub fn shortened(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT - '…'.len_utf8()));
        text.shrink_to_fit();
        text.push('…');
    }
    text
}

/// Parses a whole text, probably an object with as many members as a status file.
fn object<'a, R: serde_json::de::Read<'a>>(
    mut from: serde_json::Deserializer<R>,
) -> serde_json::Result<Value<'a>> {
    let value = from.deserialize_any(ValueVisitor { likely_members: LIKELY_MEMBERS })?;
    from.end()?;
    Ok(value)
}

/// Takes a member of an object.
fn member<'a>(members: &mut Members<'a>, key: &str) -> Option<Value<'a>> {
    let at = members.iter().rposition(|(name, _)| name == key)?;
    Some(std::mem::replace(&mut members[at].1, Value::Null))
}

impl Value<'_> {
    /// The text, or the text of an object's member with this name.
    pub fn text_or_member(self, key: &str) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.into_owned()),
            Self::Object(mut members) => match member(&mut members, key)? {
                Self::Text(text) => Some(text.into_owned()),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value by its `Deserialize`.
    pub fn typed<T: de::DeserializeOwned>(self) -> Option<T> {
        serde_json::from_value(self.into_owned()).ok()
    }

    /// The value as JSON text without white space.
    pub fn into_json(self) -> String {
        self.into_owned().to_string()
    }

    fn count(&self) -> Option<u64> {
        match self {
            Self::Number(number) => count_of_number(number),
            _ => None,
        }
    }

    fn into_owned(self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(is) => is.into(),
            Self::Number(number) => number.into(),
            Self::Text(text) => text.into_owned().into(),
            Self::List(items) => items.into_iter().map(Self::into_owned).collect(),
            Self::Object(members) => members
                .into_iter()
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ValueVisitor { likely_members: 0 })
    }
}

struct ValueVisitor {
    likely_members: usize,
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, is: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(is))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value<'de>, A::Error> {
        let mut object = Vec::with_capacity(self.likely_members);
        while let Some(Name(name)) = members.next_key()? {
            object.push((name, members.next_value()?));
        }
        Ok(Value::Object(object))
    }
}

/// The name of a member: borrowed unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match from.deserialize_str(ValueVisitor { likely_members: 0 })? {
            Value::Text(name) => Ok(Self(name)),
            _ => Err(de::Error::custom("the name of a member is not text")),
        }
    }
}

/// A whole number of 0 or more; `12.0` is one.
pub fn count_of(value: &serde_json::Value) -> Option<u64> {
    value.as_number().and_then(count_of_number)
}

fn count_of_number(number: &Number) -> Option<u64> {
    number.as_u64().or_else(|| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
        number
            .as_f64()
            .filter(|number| number.fract() == 0.0 && (0.0..9.0e15).contains(number))
            .map(|number| number as u64)
    })
}

fn kind_of(value: &Value<'_>) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::Text(_) => "text",
        Value::List(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks if a file of any size is kept in memory.
    #[test]
    fn texts_are_bounded_and_cut_between_characters() {
        let long = "é".repeat(LONGEST_TEXT);
        let object = serde_json::json!({ "name": long, "list": [long], "short": "é" });
        let bytes = object.to_string();
        let mut fields = Fields::parse(bytes.as_bytes()).unwrap();
        for text in [fields.text("name").unwrap(), fields.texts("list").unwrap().remove(0)] {
            assert!(text.len() <= LONGEST_TEXT && text.ends_with("é…"), "{} bytes", text.len());
        }
        assert_eq!(fields.text("short").as_deref(), Some("é"));
        assert_eq!(fields.into_warnings(), ["`name` is longer than 16384 bytes"]);
    }

    #[test]
    fn the_last_of_several_members_with_one_name_counts() {
        let text = r#"{"a": 1, "\u0061": "x\ty", "b": "first", "b": null}"#;
        let mut fields = Fields::parse(text.as_bytes()).unwrap();
        assert_eq!(fields.text("a").as_deref(), Some("x\ty"));
        assert_eq!(fields.text("b"), None);
        assert!(fields.into_warnings().is_empty());
    }
}
