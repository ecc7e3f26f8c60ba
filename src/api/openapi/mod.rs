//! What the API is, for programs: the table of routes comes in, an OpenAPI 3.1 document goes out.
//!
//! What must stay true: the document is made of the same table that is served, and of nothing
//! else; it is built once, when the routes are, and then only handed out.

mod describe;
mod document;
pub mod schema;

pub use document::document;

use super::{
    fixed::{Fixed, with_tag},
    operation::{Answer, Operation},
    route::{Call, Route, Scope},
    routes::resources,
    template::Template,
};
use serde_json::{Map, Value};
use std::sync::Arc;
use warp::Filter;

const OPENAPI: Template<0> = Template::new("/openapi.json", []);

/// The document as text, indented for people who read it.
pub fn text() -> String {
    let document = document(&resources());
    // Values of ours have text keys and finite numbers: nothing that JSON cannot say.
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

/// The routes of this file.
pub(super) fn routes() -> Vec<Route> {
    let gives = with_tag(
        Operation::new("getOpenApi", "This document"),
        Answer::json::<Map<String, Value>>("An OpenAPI 3.1 document."),
    );
    vec![Route::get(&OPENAPI, Scope::Read, gives, |call, _| {
        let fixed = Arc::new(Fixed::new("application/json", text().into()));
        call.map(move |call: Call<0>| fixed.answer(&call.seen, call.coding))
    })]
}
