//! `/docs`: the OpenAPI document as a page for people; and what browsers ask for besides.
//!
//! Input: three files that are compiled in. Output: the page, its style and its script.
//!
//! Invariants: all references are relative, so that the page works below any path prefix of a
//! proxy; nothing is loaded from other sites; the content of the document is inserted into
//! the page as text; all style and script is in files, because the page's content security policy
//! allows no inline code.

use super::static_answer::{StaticAnswer, with_tag};
use crate::api::{
    answers::reply,
    routing::{
        operation::{Answer, Operation},
        route::{Access, Call, Route},
        template::Template,
    },
};
use std::sync::Arc;
use warp::{
    Filter,
    http::{StatusCode, header},
    path::FullPath,
    reply::Response,
};

const ICON: Template<0> = Template::new("/favicon.ico", []);
const PAGE: Template<0> = Template::new("/docs", []);
const STYLE: Template<0> = Template::new("/docs/style.css", []);
const SCRIPT: Template<0> = Template::new("/docs/script.js", []);

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        icon(),
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
        call.and(warp::path::full()).map(move |call: Call<0>, path: FullPath| {
            // The references of the file are relative to the path without the slash.
            match path.as_str().strip_suffix('/') {
                Some(path) => redirect(StatusCode::PERMANENT_REDIRECT, &above(path)),
                None => fixed.answer(&call.if_none_match, call.coding),
            }
        })
    })
}

/// `GET /favicon.ico`, which browsers ask for with each page.
fn icon() -> Route {
    let gives = Operation::new("getIcon", "The icon of the page: there is none")
        .answers(StatusCode::NO_CONTENT, Answer::empty("There is no icon."));
    Route::get(&ICON, Access::Public, gives, |call, _| {
        call.map(|_: Call<0>| reply::empty(StatusCode::NO_CONTENT))
    })
}

/// The last segment of a path, relative to that path with a slash at its end.
fn above(path: &str) -> String {
    format!("../{}", path.rsplit('/').next().unwrap_or_default())
}

fn redirect(status: StatusCode, to: &str) -> Response {
    reply::with_header(reply::empty(status), header::LOCATION, to)
}
