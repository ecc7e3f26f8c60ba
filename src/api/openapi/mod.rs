//! The OpenAPI 3.1 document of the API, at `/openapi.json`.
//!
//! Input: the table of routes. Output: the document.
//!
//! Invariants: the document is built from the table that is served, and from nothing else; it is
//! built once, together with the routes.

mod describe;
mod document;
pub mod schema;

pub use document::document;

use super::{
    operation::{Answer, Operation},
    route::{Call, Route, Scope},
    routes::resources,
    static_answer::{StaticAnswer, with_tag},
    template::Template,
};
use serde_json::{Map, Value};
use std::sync::Arc;
use warp::Filter;

const OPENAPI: Template<0> = Template::new("/openapi.json", []);

/// The document as indented text.
pub fn text() -> String {
    let document = document(&resources());
    // Serialization cannot fail: all keys are texts and all numbers finite.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    let gives = with_tag(
        Operation::new("getOpenApi", "This document"),
        Answer::json::<Map<String, Value>>("An OpenAPI 3.1 document."),
    );
    vec![Route::get(&OPENAPI, Scope::Read, gives, |call, _| {
        let fixed = Arc::new(StaticAnswer::new("application/json", text().into()));
        call.map(move |call: Call<0>| fixed.answer(&call.if_none_match, call.coding))
    })]
}
