//! `/openapi.json`: the OpenAPI document of the API.
//!
//! Input: the table of routes. Output: the document.
//!
//! Invariants: the document is built once, together with the routes, from the table that is served.

use super::static_answer::{StaticAnswer, with_tag};
use crate::api::{
    openapi,
    routing::{
        operation::{Answer, Operation},
        resource::Resource,
        route::{Access, Call, Route},
        template::Template,
    },
};
use serde_json::{Map, Value};
use std::sync::Arc;
use warp::Filter;

const OPENAPI: Template<0> = Template::new("/openapi.json", []);

/// The routes of this file. `table` returns all routes, with this one.
pub(crate) fn routes(table: fn() -> Vec<Resource>) -> Vec<Route> {
    let gives = with_tag(
        Operation::new("getOpenApi", "This document"),
        Answer::json::<Map<String, Value>>("An OpenAPI 3.1 document."),
    );
    vec![Route::get(&OPENAPI, Access::Read, gives, move |call, context| {
        let text = openapi::text(&table(), &context.api.config.get().server.public_url);
        let fixed = Arc::new(StaticAnswer::new("application/json", text.into()));
        call.map(move |call: Call<0>| fixed.answer(&call.if_none_match, call.coding))
    })]
}
