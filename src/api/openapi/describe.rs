//! Describes one operation of the OpenAPI document.
//!
//! Input: the documentation of a route. Output: its operation object, including the answers that
//! are common to all routes of its kind; and the schemas that it refers to.
//!
//! Invariants: every answer that a route can give is described.

use super::schema::{of_read, of_written, without_null};
use crate::api::{
    answers::error::Problem,
    routing::{
        operation::{Answer, Content, SchemaOf, schema_of},
        route::{Access, Route},
    },
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use warp::http::StatusCode;

/// Describes operations, and collects the schemas that they refer to.
#[derive(Debug)]
pub(super) struct Describer {
    sent: SchemaGenerator,
    read: SchemaGenerator,
    inline: SchemaGenerator,
}

impl Describer {
    pub(super) fn new() -> Self {
        let generator = |mut settings: SchemaSettings, inline| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings.inline_subschemas = inline;
            SchemaGenerator::new(settings)
        };
        Self {
            sent: generator(of_written(), false),
            read: generator(of_read(), false),
            inline: generator(of_read(), true),
        }
    }

    /// Adds the schema of a type that is sent.
    pub(super) fn define<T: JsonSchema>(&mut self) {
        schema_of::<T>(&mut self.sent);
    }

    /// All collected schemas, by name.
    pub(super) fn into_schemas(mut self) -> Value {
        let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
        schemas.extend(self.read.take_definitions(true));
        schemas.extend(self.sent.take_definitions(true));
        json!(schemas)
    }

    /// The object of one operation.
    pub(super) fn operation(&mut self, tag: &str, route: &Route) -> Value {
        let operation = &route.operation;
        let mut described = json!({
            "tags": [tag],
            "operationId": operation.id,
            "summary": operation.summary,
        });
        if let Some(about) = operation.about {
            described["description"] = about.into();
        }
        let parameters = self.parameters(route);
        if !parameters.is_empty() {
            described["parameters"] = parameters.into();
        }
        if let Some(body) = &operation.body {
            described["requestBody"] = json!({
                "required": true,
                "content": { "application/json": {
                    "schema": (body.schema)(&mut self.read),
                    "example": body.example,
                } },
            });
        }
        described["responses"] = self.responses(route);
        if route.access == Access::Public {
            described["security"] = json!([]);
        } else {
            described["security"] = json!([{ "basic": [] }, { "token": [] }]);
            described["x-scope"] = scope_name(route.access).into();
        }
        described
    }

    fn parameters(&mut self, route: &Route) -> Vec<Value> {
        let mut parameters = Vec::new();
        for parameter in &route.parameters {
            parameters.push(json!({
                "name": parameter.name,
                "in": "path",
                "required": true,
                "description": parameter.about,
                "schema": (parameter.schema)(&mut self.inline),
            }));
        }
        if let Some(query) = route.operation.query {
            parameters.extend(self.query(query));
        }
        for (name, about) in &route.operation.headers {
            parameters.push(json!({
                "name": name,
                "in": "header",
                "description": about,
                "schema": { "type": "string" },
            }));
        }
        parameters
    }

    /// The members of a type as parameters of a query.
    fn query(&mut self, schema: SchemaOf) -> Vec<Value> {
        let schema = schema(&mut self.inline).to_value();
        let Some(Value::Object(members)) = schema.get("properties") else {
            return Vec::new();
        };
        let is_required = |name: &String| {
            schema["required"]
                .as_array()
                .is_some_and(|names| names.iter().any(|required| required == name))
        };
        members
            .iter()
            .map(|(name, schema)| {
                let mut schema = schema.clone();
                let about =
                    schema.as_object_mut().and_then(|members| members.shift_remove("description"));
                // A query cannot contain null, only omit a parameter.
                without_null(&mut schema);
                json!({
                    "name": name,
                    "in": "query",
                    "required": is_required(name),
                    "description": about,
                    "schema": schema,
                })
            })
            .collect()
    }

    fn responses(&mut self, route: &Route) -> Value {
        let mut responses: BTreeMap<u16, Value> = BTreeMap::new();
        let common = common_answers(route);
        for (status, answer) in route.operation.answers.iter().chain(&common) {
            let described = self.answer(answer);
            match responses.get_mut(&status.as_u16()) {
                None => {
                    responses.insert(status.as_u16(), described);
                }
                Some(known) => merge(known, &described),
            }
        }
        let by_text: Map<_, _> = responses
            .into_iter()
            .map(|(status, response)| (status.to_string(), response))
            .collect();
        Value::Object(by_text)
    }

    fn answer(&mut self, answer: &Answer) -> Value {
        let mut described = json!({ "description": answer.about });
        let content = match answer.content {
            Content::None => None,
            Content::Json(schema) => Some(("application/json", json!(schema(&mut self.sent)))),
            Content::Problem => {
                Some(("application/problem+json", json!(schema_of::<Problem>(&mut self.sent))))
            }
            Content::Text(media_type) => Some((media_type, json!({ "type": "string" }))),
        };
        if let Some((media_type, schema)) = content {
            described["content"][media_type]["schema"] = schema;
            if let Some(example) = &answer.example {
                described["content"][media_type]["example"] = example.clone();
            }
        }
        for (name, about) in &answer.headers {
            described["headers"][name] =
                json!({ "description": about, "required": true, "schema": { "type": "string" } });
        }
        described
    }
}

/// Merges two answers with the same status: the texts, the contents and the headers of both.
/// Headers that only one of them has become optional.
fn merge(known: &mut Value, more: &Value) {
    if let (Some(a), Some(b)) = (known["description"].as_str(), more["description"].as_str()) {
        known["description"] = format!("{a} Or: {b}").into();
    }
    if let Value::Object(content) = &more["content"] {
        for (media_type, body) in content {
            known["content"][media_type] = body.clone();
        }
    }
    let names = |of: &Value| -> BTreeSet<String> {
        of["headers"]
            .as_object()
            .map(|headers| headers.keys().cloned().collect())
            .unwrap_or_default()
    };
    let (mine, theirs) = (names(known), names(more));
    for name in theirs.difference(&mine) {
        known["headers"][name] = more["headers"][name].clone();
    }
    for name in mine.symmetric_difference(&theirs) {
        known["headers"][name]["required"] = false.into();
    }
}

/// The answers that are common to all routes of this kind.
fn common_answers(route: &Route) -> Vec<(StatusCode, Answer)> {
    let mut answers = Vec::new();
    let mut refuses = |status, about| answers.push((status, Answer::problem(about)));
    refuses(StatusCode::BAD_REQUEST, "The request is malformed: its target or its `Host`.");
    refuses(StatusCode::NOT_IMPLEMENTED, "The transfer coding is not chunked.");
    if route.access != Access::Public {
        refuses(StatusCode::MISDIRECTED_REQUEST, "The `Host` does not name this server.");
    }
    if matches!(route.access, Access::Write | Access::Admin) {
        refuses(
            StatusCode::FORBIDDEN,
            "A page of another site sent the request, or the scope of the token is insufficient.",
        );
    }
    if !route.parameters.is_empty() {
        refuses(StatusCode::NOT_FOUND, "The resource does not exist, or an id is ill-formed.");
    }
    if route.operation.query.is_some() {
        refuses(StatusCode::BAD_REQUEST, "The query is invalid.");
    }
    if route.operation.body.is_some() {
        refuses(StatusCode::BAD_REQUEST, "The body ended early.");
        refuses(StatusCode::REQUEST_TIMEOUT, "The body took too long to arrive.");
        refuses(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large.");
        refuses(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "The `Content-Type` of the body is not JSON, or the body is compressed.",
        );
        refuses(StatusCode::UNPROCESSABLE_ENTITY, "The body is of the wrong shape.");
    }
    refuses(StatusCode::SERVICE_UNAVAILABLE, "Too many connections are open.");
    if route.access != Access::Public {
        let challenged = Answer::problem("Credentials are missing or wrong.")
            .header("WWW-Authenticate", "How to send credentials.");
        answers.push((StatusCode::UNAUTHORIZED, challenged));
        let throttled =
            Answer::problem("Too many logins have failed; further ones are refused for a while.")
                .header("Retry-After", "Seconds until the next login may be tried.");
        answers.push((StatusCode::TOO_MANY_REQUESTS, throttled));
        let busy = Answer::problem("Too many logins are being checked.");
        answers.push((StatusCode::SERVICE_UNAVAILABLE, busy));
    }
    answers
}

fn scope_name(access: Access) -> &'static str {
    match access {
        Access::Public => "none",
        Access::Read => "read",
        Access::Write => "write",
        Access::Admin => "admin",
    }
}
