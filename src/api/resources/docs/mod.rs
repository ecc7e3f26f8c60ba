//! `/docs`: the OpenAPI document as a page for people.
//!
//! Input: three files that are compiled in. Output: the page, its style and its script.
//!
//! Invariants: nothing is loaded from other sites; the content of the document is inserted into
//! the page as text; all style and script is in files, because the page's content security policy
//! allows no inline code.

use super::static_answer::{StaticAnswer, with_tag};
use crate::api::routing::{
    operation::{Answer, Operation},
    route::{Access, Call, Route},
    template::Template,
};
use std::sync::Arc;
use warp::Filter;

const PAGE: Template<0> = Template::new("/docs", []);
const STYLE: Template<0> = Template::new("/docs/style.css", []);
const SCRIPT: Template<0> = Template::new("/docs/script.js", []);

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        file(
            &PAGE,
            Operation::new("getDocs", "This document as a page"),
            "text/html; charset=utf-8",
            include_str!("page.html"),
        ),
        file(
            &STYLE,
            Operation::new("getDocsStyle", "The looks of the page"),
            "text/css; charset=utf-8",
            include_str!("style.css"),
        ),
        file(
            &SCRIPT,
            Operation::new("getDocsScript", "The script of the page"),
            "text/javascript; charset=utf-8",
            include_str!("script.js"),
        ),
    ]
}

fn file(
    path: &Template<0>,
    operation: Operation,
    media_type: &'static str,
    text: &'static str,
) -> Route {
    let gives = with_tag(operation, Answer::text(media_type, "The file."));
    Route::get(path, Access::Read, gives, move |call, _| {
        let fixed = Arc::new(StaticAnswer::new(media_type, text.into()));
        call.map(move |call: Call<0>| fixed.answer(&call.if_none_match, call.coding))
    })
}
