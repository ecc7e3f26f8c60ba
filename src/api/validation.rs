//! Validates the members of a JSON body.
//!
//! Input: an object. Output: checked values, or all errors of its members.
//!
//! Invariants: an error has the shape of pydantic, because clients parse it; all errors of a body
//! are reported at once; an input that is sent back contains no credentials.

use super::error::ApiError;
use crate::model::redact::MASK;
use serde_json::{Map, Value, json};

/// The members of a body, read one by one, with the errors so far.
///
/// For an invalid member a method returns a placeholder: only [`Validation::finish`] reports
/// whether all members were valid.
#[derive(Debug, Default)]
pub struct Validation {
    object: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Validation {
    /// A body whose members are to be read.
    pub fn new(object: Map<String, Value>) -> Self {
        Self { object, errors: Vec::new() }
    }

    /// A required text.
    pub fn required_text(&mut self, name: &str) -> String {
        match self.object.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => {
                let input = other.clone();
                self.refuse("string_type", name, "Input should be a valid string", input);
                String::new()
            }
            None => {
                let input = Value::Object(self.object.clone());
                self.refuse("missing", name, "Field required", input);
                String::new()
            }
        }
    }

    /// A text that may be absent or null.
    pub fn text(&mut self, name: &str) -> Option<String> {
        self.present(name)?;
        Some(self.required_text(name))
    }

    /// `true` or `false`, or absent or null.
    pub fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.present(name)?;
        let flag = value.as_bool();
        if flag.is_none() {
            self.refuse("bool_type", name, "Input should be a valid boolean", value);
        }
        flag
    }

    /// A whole number from 0 to `most`, or absent or null.
    pub fn count(&mut self, name: &str, most: u64) -> Option<u64> {
        let value = self.present(name)?;
        if !value.is_i64() && !value.is_u64() {
            self.refuse("int_type", name, "Input should be a valid integer", value);
            return None;
        }
        let Some(count) = value.as_u64() else {
            let message = "Input should be greater than or equal to 0";
            self.refuse_with("greater_than_equal", name, message, value, json!({ "ge": 0 }));
            return None;
        };
        if count > most {
            let message = &format!("Input should be less than or equal to {most}");
            self.refuse_with("less_than_equal", name, message, value, json!({ "le": most }));
            return None;
        }
        Some(count)
    }

    /// A list of texts, or absent or null.
    pub fn texts(&mut self, name: &str) -> Option<Vec<String>> {
        let value = self.present(name)?;
        let Value::Array(items) = value else {
            self.refuse("list_type", name, "Input should be a valid list", value);
            return None;
        };
        let mut texts = Vec::with_capacity(items.len());
        for (n, item) in items.into_iter().enumerate() {
            match item {
                Value::String(text) => texts.push(text),
                other => {
                    let place = vec![name.into(), n.into()];
                    let message = "Input should be a valid string";
                    self.errors.push(FieldError::new("string_type", place, message, other));
                }
            }
        }
        Some(texts)
    }

    /// Finishes the validation: all errors in one.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.errors.is_empty() { Ok(()) } else { Err(ApiError::invalid(self.errors)) }
    }

    fn present(&self, name: &str) -> Option<Value> {
        self.object.get(name).filter(|value| !value.is_null()).cloned()
    }

    fn refuse(&mut self, kind: &'static str, name: &str, message: &str, input: Value) {
        self.errors.push(FieldError::new(kind, vec![name.into()], message, input));
    }

    fn refuse_with(
        &mut self,
        kind: &'static str,
        name: &str,
        message: &str,
        input: Value,
        ctx: Value,
    ) {
        let error = FieldError::new(kind, vec![name.into()], message, input);
        self.errors.push(error.with_ctx(ctx));
    }
}

/// One error of a body, in the shape of pydantic.
#[derive(Debug, Clone, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct FieldError {
    #[serde(rename = "type")]
    kind: &'static str,
    /// The location: `body`, then names and indexes.
    loc: Vec<Value>,
    msg: String,
    input: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Value>,
}

impl FieldError {
    /// An error of this kind, at this location below `body`, with a message and the input.
    /// Credentials in URLs of the input are masked.
    pub fn new(
        kind: &'static str,
        below: Vec<Value>,
        msg: impl Into<String>,
        input: Value,
    ) -> Self {
        let loc = std::iter::once(Value::from("body")).chain(below).collect();
        Self { kind, loc, msg: msg.into(), input: without_userinfo(input), ctx: None }
    }

    /// Adds the context, as pydantic calls it: the values in `msg`.
    #[must_use]
    pub fn with_ctx(self, ctx: Value) -> Self {
        Self { ctx: Some(ctx), ..self }
    }
}

/// Masks the userinfo of URLs, because answers end up in logs and on screens.
fn without_userinfo(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(mask_userinfo(&text)),
        Value::Array(items) => items.into_iter().map(without_userinfo).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (mask_userinfo(&key), without_userinfo(value)))
            .collect(),
        other => other,
    }
}

fn mask_userinfo(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    // The text before the first `://` may be a URL without a scheme; each part after one is a URL.
    for (number, part) in text.split("://").enumerate() {
        if number > 0 {
            shown.push_str("://");
        }
        let end = part.find(['/', '?', '#', '\\']).unwrap_or(part.len());
        let (authority, rest) = part.split_at(end);
        match authority.rsplit_once('@') {
            Some((user, host)) if user != "git" => {
                shown.extend([MASK, "@", host]);
            }
            _ => shown.push_str(authority),
        }
        shown.push_str(rest);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_urls_are_not_sent_back() {
        for (input, shown) in [
            ("https://u:t0ken@h/x", "https://***@h/x"),
            ("u:t0ken@h/x", "***@h/x"),
            ("t0@ken@h", "***@h"),
            ("git@h:x/y", "git@h:x/y"),
            ("https://h/x@y", "https://h/x@y"),
            ("plain", "plain"),
            ("https://h/x https://u:t0ken@h/y", "https://h/x https://***@h/y"),
            ("u:t0ken@h/x://u:t0ken@h", "***@h/x://***@h"),
        ] {
            let input = json!({ "url": [input] });
            let error = FieldError::new("missing", Vec::new(), "Field required", input);
            assert_eq!(error.input, json!({ "url": [shown] }));
        }
    }
}
