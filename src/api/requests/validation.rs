//! Validates the members of a JSON body.
//!
//! Input: an object. Output: checked values, or all errors of its members.
//!
//! Invariants: an error has the shape of pydantic, because clients parse it; all errors of a body
//! are reported at once; an input that is sent back contains no credentials.

use crate::api::answers::{error::ApiError, field_error::FieldError};
use serde_json::{Map, Value, json};
use std::str::FromStr;

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
        self.count_from(name, 0, most)
    }

    /// A whole number from `least` to `most`, or absent or null.
    pub fn count_from(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let value = self.present(name)?;
        self.number(name, value, (least, most))
    }

    /// A required whole number from `least` to `most`.
    pub fn required_count(&mut self, name: &str, (least, most): (u64, u64)) -> u64 {
        let Some(value) = self.object.get(name).cloned() else {
            let input = Value::Object(self.object.clone());
            self.refuse("missing", name, "Field required", input);
            return least;
        };
        self.number(name, value, (least, most)).unwrap_or(least)
    }

    fn number(&mut self, name: &str, value: Value, (least, most): (u64, u64)) -> Option<u64> {
        if !value.is_i64() && !value.is_u64() {
            self.refuse("int_type", name, "Input should be a valid integer", value);
            return None;
        }
        let Some(count) = value.as_u64().filter(|count| *count >= least) else {
            let message = &format!("Input should be greater than or equal to {least}");
            self.refuse_with("greater_than_equal", name, message, value, json!({ "ge": least }));
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

    /// A list of the values that these names have, or absent or null.
    pub fn choices<T: FromStr>(&mut self, name: &str, names: &[&str]) -> Option<Vec<T>> {
        let value = self.present(name)?;
        let Value::Array(items) = value else {
            self.refuse("list_type", name, "Input should be a valid list", value);
            return None;
        };
        let mut chosen = Vec::new();
        for (n, item) in items.into_iter().enumerate() {
            if let Some(choice) = item.as_str().and_then(|text| text.parse().ok()) {
                // A name that is repeated means nothing more.
                if chosen.len() < names.len() {
                    chosen.push(choice);
                }
                continue;
            }
            let quoted: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
            let expected = match &quoted[..] {
                [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
                _ => quoted.concat(),
            };
            let message = format!("Input should be {expected}");
            let error = FieldError::new("enum", vec![name.into(), n.into()], message, item);
            self.errors.push(error.with_ctx(json!({ "expected": expected })));
        }
        Some(chosen)
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
