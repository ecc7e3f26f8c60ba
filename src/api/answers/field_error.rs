//! An error of one member of a request's body.
//!
//! Input: the location and the value of the member, and the rule that it breaks. Output: the error
//! as clients get it.
//!
//! Invariants: the shape is that of pydantic, because clients parse it; a value that is sent back
//! contains no credentials.

use crate::model::redact::MASK;
use serde_json::Value;

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
    use serde_json::json;

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
