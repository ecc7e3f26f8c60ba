//! The documentation of a route.
//!
//! Input: texts, parameters, body and answers. Output: an [`Operation`], which stays with the
//! route and from which `openapi` builds the document.
//!
//! Invariants: schemas are derived from the types that are read and sent, so that an answer and
//! its description share one definition. What applies to all routes of a kind (credentials,
//! origin, the ways in which a body can be invalid) is added by `openapi`, not repeated by each
//! route.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use warp::http::StatusCode;

/// Returns the schema of a type, or a reference to it.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`, for [`SchemaOf`].
pub fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The documentation of one route.
#[derive(Debug, Clone)]
pub struct Operation {
    /// The unique name of the operation, which generated clients use.
    pub id: &'static str,
    /// A one-line summary.
    pub summary: &'static str,
    /// Further documentation.
    pub about: Option<&'static str>,
    /// A type whose members are the parameters of the query.
    pub query: Option<SchemaOf>,
    /// The headers that the route reads: name and purpose.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The JSON body that the route reads.
    pub body: Option<Body>,
    /// The answers, without those that are common to all routes of the kind.
    pub answers: Vec<(StatusCode, Answer)>,
}

/// The body of a request.
#[derive(Debug, Clone)]
pub struct Body {
    pub schema: SchemaOf,
    pub example: Value,
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// When the answer is given.
    pub about: &'static str,
    pub content: Content,
    /// Headers that are specific to this answer: name and meaning.
    pub headers: Vec<(&'static str, &'static str)>,
    pub example: Option<Value>,
}

/// The content of an answer.
#[derive(Debug, Clone, Copy)]
pub enum Content {
    None,
    /// `application/json` of this schema.
    Json(SchemaOf),
    /// `application/problem+json`.
    Problem,
    /// Text of this media type.
    Text(&'static str),
}

impl Operation {
    /// An operation with this id and summary.
    pub fn new(id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            summary,
            about: None,
            query: None,
            headers: Vec::new(),
            body: None,
            answers: Vec::new(),
        }
    }

    /// Further documentation.
    #[must_use]
    pub fn about(mut self, text: &'static str) -> Self {
        self.about = Some(text);
        self
    }

    /// The members of `T` are the parameters of the query.
    #[must_use]
    pub fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(schema_of::<T>);
        self
    }

    /// Adds a request header that the route reads.
    #[must_use]
    pub fn header(mut self, name: &'static str, about: &'static str) -> Self {
        self.headers.push((name, about));
        self
    }

    /// Adds a JSON body that the route reads.
    #[must_use]
    pub fn body<T: JsonSchema>(mut self, example: Value) -> Self {
        self.body = Some(Body { schema: schema_of::<T>, example });
        self
    }

    /// Adds an answer.
    #[must_use]
    pub fn answers(mut self, status: StatusCode, answer: Answer) -> Self {
        self.answers.push((status, answer));
        self
    }

    /// Adds a refusal, which is a problem document.
    #[must_use]
    pub fn refuses(self, status: StatusCode, about: &'static str) -> Self {
        self.answers(status, Answer::problem(about))
    }
}

impl Answer {
    fn new(about: &'static str, content: Content) -> Self {
        Self { about, content, headers: Vec::new(), example: None }
    }

    /// No body.
    pub fn empty(about: &'static str) -> Self {
        Self::new(about, Content::None)
    }

    /// A problem document.
    pub fn problem(about: &'static str) -> Self {
        Self::new(about, Content::Problem)
    }

    /// A `T` as JSON.
    pub fn json<T: JsonSchema>(about: &'static str) -> Self {
        Self::new(about, Content::Json(schema_of::<T>))
    }

    /// An `A` or a `B` as JSON, depending on the parameters.
    pub fn json_of_either<A: JsonSchema, B: JsonSchema>(about: &'static str) -> Self {
        Self::new(
            about,
            Content::Json(|generator| {
                let [a, b] = [schema_of::<A>(generator), schema_of::<B>(generator)];
                schemars::json_schema!({ "anyOf": [a, b] })
            }),
        )
    }

    /// Text of a media type.
    pub fn text(media_type: &'static str, about: &'static str) -> Self {
        Self::new(about, Content::Text(media_type))
    }

    /// Adds a header of the answer.
    #[must_use]
    pub fn header(mut self, name: &'static str, about: &'static str) -> Self {
        self.headers.push((name, about));
        self
    }

    /// Adds an example of the body.
    #[must_use]
    pub fn example(mut self, example: Value) -> Self {
        self.example = Some(example);
        self
    }
}
