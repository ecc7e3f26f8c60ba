//! What a route says of itself: words, parameters, body and answers come in, and stay together
//! with the route; `openapi` makes the document of them.
//!
//! What must stay true: schemas are those of the types that are read and sent, so that an answer
//! and its description are one definition. What holds for every route of a kind (credentials,
//! origin, the ways in which a body can be wrong) is not said by each, but added by `openapi`.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use warp::http::StatusCode;

/// Gives the schema of a type, or a reference to it.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`, for [`SchemaOf`].
pub fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The documentation of one route.
#[derive(Debug, Clone)]
pub struct Operation {
    /// What generated clients call it; of all routes the only one of this name.
    pub id: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// What else is to be known.
    pub about: Option<&'static str>,
    /// A type whose members are the parameters of the query.
    pub query: Option<SchemaOf>,
    /// Headers that it reads: name, and what for.
    pub headers: Vec<(&'static str, &'static str)>,
    /// The body that it reads, which is JSON.
    pub body: Option<Body>,
    /// What it answers, but for what every route of its kind may answer.
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
    /// When it is given.
    pub about: &'static str,
    pub content: Content,
    /// Headers that only this answer has: name, and what it says.
    pub headers: Vec<(&'static str, &'static str)>,
    pub example: Option<Value>,
}

/// What the body of an answer is.
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
    /// A route that does what `summary` says.
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

    /// What else is to be known.
    #[must_use]
    pub fn about(mut self, text: &'static str) -> Self {
        self.about = Some(text);
        self
    }

    /// The query has the members of `T`.
    #[must_use]
    pub fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(schema_of::<T>);
        self
    }

    /// It reads this header.
    #[must_use]
    pub fn header(mut self, name: &'static str, about: &'static str) -> Self {
        self.headers.push((name, about));
        self
    }

    /// It reads a body of JSON.
    #[must_use]
    pub fn body<T: JsonSchema>(mut self, example: Value) -> Self {
        self.body = Some(Body { schema: schema_of::<T>, example });
        self
    }

    /// It may answer this.
    #[must_use]
    pub fn answers(mut self, status: StatusCode, answer: Answer) -> Self {
        self.answers.push((status, answer));
        self
    }

    /// It may refuse, by a problem document.
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

    /// Text of a media type.
    pub fn text(media_type: &'static str, about: &'static str) -> Self {
        Self::new(about, Content::Text(media_type))
    }

    /// It has this header.
    #[must_use]
    pub fn header(mut self, name: &'static str, about: &'static str) -> Self {
        self.headers.push((name, about));
        self
    }

    /// What it may look like.
    #[must_use]
    pub fn example(mut self, example: Value) -> Self {
        self.example = Some(example);
        self
    }
}
