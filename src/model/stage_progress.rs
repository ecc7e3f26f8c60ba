//! `stage_progress` of a status file: a number of the built-in scanner, or any JSON value of another
//! writer (the Python service writes an object). It is passed through unchanged.
//!
//! Input: a JSON value. Output: the same value. Invariants: a value whose text is longer than
//! [`LONGEST`] is not kept; what is kept takes as much memory as its text.

use super::json::Value;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// The longest text of a value that is kept, in bytes.
pub const LONGEST: usize = 4 << 10;

/// A value of `stage_progress`.
#[derive(Debug, Clone, PartialEq)]
pub enum StageProgress {
    /// Percent, as the built-in scanner writes it.
    Percent(f64),
    /// The JSON text of any other value, without white space.
    Other(String),
}

impl StageProgress {
    /// Keeps a value; `None` if it is too long.
    pub(super) fn of(value: Value<'_>) -> Option<Self> {
        if let Value::Number(number) = &value
            && number.is_f64()
        {
            return number.as_f64().map(Self::Percent);
        }
        let text = value.into_json();
        (text.len() <= LONGEST).then_some(Self::Other(text))
    }
}

impl Serialize for StageProgress {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Percent(percent) => percent.serialize(to),
            // The text was made from a value, so it can be parsed.
            Self::Other(text) => {
                serde_json::from_str::<serde_json::Value>(text).unwrap_or_default().serialize(to)
            }
        }
    }
}

impl JsonSchema for StageProgress {
    fn schema_name() -> Cow<'static, str> {
        "StageProgress".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "description": "The progress of the stage: 0 to 100, or any JSON value of another writer."
        })
    }
}
