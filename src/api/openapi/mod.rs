//! What the API is, for programs: the table of routes comes in, an OpenAPI 3.1 document goes out.
//!
//! What must stay true: the document is made of the same table that is served, and of nothing
//! else; it is built once, when the routes are, and then only handed out.

mod describe;
mod document;
pub mod schema;

pub use document::document;

use super::{
    etag::{IfNoneMatch, if_none_match},
    operation::{Answer, Operation},
    reply,
    route::{Call, Route, Scope},
    routes::resources,
    template::Template,
};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::sync::Arc;
use uuid::Uuid;
use warp::{
    Filter,
    http::{StatusCode, header},
    reply::Response,
};

const OPENAPI: Template<0> = Template::new("/openapi.json", []);

/// The document as text, indented for people who read it.
pub fn text() -> String {
    let document = document(&resources());
    // Values of ours have text keys and finite numbers: nothing that JSON cannot say.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    let gives = Operation::new("getOpenApi", "This document")
        .header("If-None-Match", "The `ETag` of the document that the client has.")
        .answers(
            StatusCode::OK,
            Answer::json::<Map<String, Value>>("An OpenAPI 3.1 document.")
                .header("ETag", "The version of the document."),
        )
        .answers(
            StatusCode::NOT_MODIFIED,
            Answer::empty("The client has this version.")
                .header("ETag", "The version of the document."),
        );
    vec![Route::get(&OPENAPI, Scope::Read, gives, |call, _| {
        let stored: Arc<Stored> = Arc::new(Stored::new(text()));
        call.and(if_none_match()).map(move |_: Call<0>, seen| stored.answer(&seen))
    })]
}

/// A document that does not change, and its tag.
#[derive(Debug)]
struct Stored {
    bytes: Bytes,
    etag: String,
}

impl Stored {
    fn new(text: String) -> Self {
        let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes());
        Self { bytes: text.into(), etag: format!("\"{}\"", digest.simple()) }
    }

    fn answer(&self, seen: &IfNoneMatch) -> Response {
        let response = if seen.has(&self.etag) {
            reply::empty(StatusCode::NOT_MODIFIED)
        } else {
            reply::json_bytes(self.bytes.clone())
        };
        let response = reply::with_header(response, header::ETAG, &self.etag);
        reply::with_header(response, header::CACHE_CONTROL, "private, no-cache")
    }
}
