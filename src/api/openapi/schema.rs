//! Generates JSON Schemas (2020-12, as OpenAPI 3.1 uses it) from types.
//!
//! Input: a type. Output: its schema, as it is read or as it is written.
//!
//! Invariants: an optional member of what is written may be absent but is never null.

use schemars::{
    Schema,
    generate::{Contract, SchemaSettings},
    transform::RecursiveTransform,
};
use serde_json::Value;

/// The settings for types that are written: an optional member is omitted, and never null.
pub fn of_written() -> SchemaSettings {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.transforms.push(Box::new(RecursiveTransform(absent_is_not_null)));
    settings
}

/// The settings for types that are read: a member that has a default or may be null may be absent.
pub fn of_read() -> SchemaSettings {
    let mut settings = SchemaSettings::draft2020_12();
    settings.contract = Contract::Deserialize;
    settings
}

fn absent_is_not_null(schema: &mut Schema) {
    let required: Vec<String> = match schema.get("required") {
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    let Some(Value::Object(members)) = schema.get_mut("properties") else {
        return;
    };
    for (_, member) in members.iter_mut().filter(|(name, _)| !required.contains(name)) {
        without_null(member);
    }
}

/// Removes null from the allowed values of a schema.
pub(super) fn without_null(schema: &mut Value) {
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = &kinds[..] {
            schema["type"] = only.clone();
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(only)] = &choices[..] {
            let only = only.clone();
            if let Some(schema) = schema.as_object_mut() {
                schema.shift_remove("anyOf");
                schema.extend(only);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemars::JsonSchema;
    use serde::Serialize;

    #[derive(Serialize, JsonSchema)]
    struct Inner {
        text: String,
    }

    #[derive(Serialize, JsonSchema)]
    struct Outer {
        null: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        inner: Option<Inner>,
    }

    #[test]
    fn an_optional_member_is_never_null() {
        let generator = of_written().into_generator();
        let schema = generator.into_root_schema_for::<Outer>().to_value();
        let members = &schema["properties"];
        assert_eq!(members["null"]["type"], serde_json::json!(["string", "null"]));
        assert_eq!(members["text"]["type"], "string");
        assert_eq!(members["inner"]["$ref"], "#/$defs/Inner");
        assert_eq!(schema["required"], serde_json::json!(["null"]));
    }
}
