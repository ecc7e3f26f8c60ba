//! Generates JSON Schemas (2020-12, as OpenAPI 3.1 uses it) from types.
//!
//! Input: a type. Output: its schema, as it is read or as it is written.
//!
//! Invariants: an optional member of what is written may be absent but is never null; a schema is an
//! object, never a boolean; a set of words is one flat `enum`. Generators of clients understand nothing
//! else (openapi-python-client, openapi-generator).

use schemars::{
    Schema,
    generate::{Contract, SchemaSettings},
    json_schema,
    transform::RecursiveTransform,
};
use serde_json::Value;

/// The settings for types that are written: an optional member is omitted, and never null.
pub fn of_written() -> SchemaSettings {
    let mut settings = SchemaSettings::draft2020_12().for_serialize();
    settings.transforms.push(Box::new(RecursiveTransform(simple)));
    settings.transforms.push(Box::new(RecursiveTransform(absent_is_not_null)));
    settings
}

/// The settings for types that are read: a member that has a default or may be null may be absent.
pub fn of_read() -> SchemaSettings {
    let mut settings = SchemaSettings::draft2020_12();
    settings.contract = Contract::Deserialize;
    settings.transforms.push(Box::new(RecursiveTransform(simple)));
    settings
}

/// Writes a schema in the form that every generator understands.
fn simple(schema: &mut Schema) {
    if schema.as_bool() == Some(true) {
        *schema = json_schema!({});
    }
    let Some(Value::Array(choices)) = schema.get("oneOf") else { return };
    let Some(words) = choices.iter().map(words_of).collect::<Option<Vec<_>>>() else { return };
    let meanings = choices.iter().filter_map(|choice| {
        Some(format!("`{}`: {}", choice["const"].as_str()?, choice["description"].as_str()?))
    });
    let meanings: Vec<_> = meanings.collect();
    let words: Vec<Value> = words.into_iter().flatten().collect();
    schema.remove("oneOf");
    schema.insert("type".to_owned(), "string".into());
    schema.insert("enum".to_owned(), words.into());
    if !meanings.is_empty() {
        let about = schema.get("description").and_then(Value::as_str).map(str::to_owned);
        let about: Vec<_> = about.into_iter().chain(meanings).collect();
        schema.insert("description".to_owned(), about.join("\n\n").into());
    }
}

/// The words of a schema that allows only certain texts.
fn words_of(schema: &Value) -> Option<Vec<Value>> {
    if schema["type"] != "string" {
        return None;
    }
    match (schema.get("const"), schema.get("enum")) {
        (Some(word), _) => Some(vec![word.clone()]),
        (None, Some(Value::Array(words))) => Some(words.clone()),
        _ => None,
    }
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

    #[derive(Serialize, JsonSchema)]
    struct Any {
        value: Value,
        word: Word,
    }

    /// A word.
    #[derive(Serialize, JsonSchema)]
    #[expect(dead_code, reason = "only its schema is used")]
    enum Word {
        One,
        /// The second.
        Two,
    }

    /// Breaks if generators of clients meet `true` or a choice of constants.
    #[test]
    fn any_value_is_an_empty_schema_and_words_are_one_enum() {
        for settings in [of_read(), of_written()] {
            let schema = settings.into_generator().into_root_schema_for::<Any>().to_value();
            assert_eq!(schema["properties"]["value"], serde_json::json!({}));
            let word = serde_json::json!({
                "description": "A word.\n\n`Two`: The second.", "type": "string", "enum": ["One", "Two"],
            });
            assert_eq!(schema["$defs"]["Word"], word);
        }
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
