//! The members of a JSON body: an object comes in, checked values go out, or everything that is
//! wrong with them.
//!
//! What must stay true: an error has the shape that pydantic gives it, for clients parse that; what
//! a member is refused for is all said at once; an input that is sent back has no credentials in
//! it.

use super::error::ApiError;
use crate::model::redact::MASK;
use serde_json::{Map, Value, json};

/// The members of a body, read one by one; what is wrong with them is gathered.
///
/// A reader gives a stand-in for what it cannot read: only [`Validation::finish`] tells whether
/// what was read is what was sent.
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

    /// A text that has to be there.
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

    /// Ends the reading: everything that was wrong, in one error.
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

/// One thing that is wrong with a body, in the shape that pydantic gives it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, schemars::JsonSchema)]
pub struct FieldError {
    #[serde(rename = "type")]
    kind: &'static str,
    /// Where: `body`, then names and numbers.
    loc: Vec<Value>,
    msg: String,
    input: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    ctx: Option<Value>,
}

impl FieldError {
    /// What is wrong, where (below `body`), in words, and with which input. Credentials within
    /// URLs are masked in the input.
    pub fn new(
        kind: &'static str,
        below: Vec<Value>,
        msg: impl Into<String>,
        input: Value,
    ) -> Self {
        let loc = std::iter::once(Value::from("body")).chain(below).collect();
        Self { kind, loc, msg: msg.into(), input: without_userinfo(input), ctx: None }
    }

    /// Adds what pydantic calls the context: the values that `msg` was made of.
    #[must_use]
    pub fn with_ctx(self, ctx: Value) -> Self {
        Self { ctx: Some(ctx), ..self }
    }
}

/// Masks what stands before the `@` of a URL's host: an answer ends up in logs and on screens.
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
    // Before the first `://` there may be a URL without a scheme; behind each there is one.
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
