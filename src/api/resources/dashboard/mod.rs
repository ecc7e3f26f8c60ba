//! The page for people: `/`, its files below `/page/`.
//!
//! Input: files that are compiled in. Output: the page. Everything that it shows comes from the API, by the
//! same requests that any client may send.
//!
//! Invariants: the page contains no data, so it needs no credentials; all references are relative, so it works below any
//! path of a proxy; nothing is loaded from other sites; there is no inline code, because the policy allows none.

use super::static_answer::{StaticAnswer, with_tag};
use crate::api::{
    answers::{
        error::ApiError,
        reply::{self, finish},
    },
    routing::{
        operation::{Answer, Operation, schema_of},
        route::{Access, Call, Route},
        template::{PathParameter, Template},
    },
};
use std::{collections::HashMap, sync::Arc};
use warp::{
    Filter,
    http::{StatusCode, header},
    reply::Response,
};

const HOME: Template<0> = Template::new("/", []);
const FILE: Template<1> = Template::new(
    "/page/{file}",
    [PathParameter {
        name: "file",
        about: "The name of a file of the page.",
        schema: schema_of::<String>,
    }],
);

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The files of the page: name, media type, content.
const FILES: [(&str, &str, &str); 30] = [
    ("agents.js", SCRIPT, include_str!("agents.js")),
    ("api.js", SCRIPT, include_str!("api.js")),
    ("app.js", SCRIPT, include_str!("app.js")),
    ("bars.js", SCRIPT, include_str!("bars.js")),
    ("changes.js", SCRIPT, include_str!("changes.js")),
    ("commands.js", SCRIPT, include_str!("commands.js")),
    ("dom.js", SCRIPT, include_str!("dom.js")),
    ("estimate.js", SCRIPT, include_str!("estimate.js")),
    ("format.js", SCRIPT, include_str!("format.js")),
    ("found.js", SCRIPT, include_str!("found.js")),
    ("health.js", SCRIPT, include_str!("health.js")),
    ("icon.svg", "image/svg+xml", include_str!("icon.svg")),
    ("job.js", SCRIPT, include_str!("job.js")),
    ("jobs.js", SCRIPT, include_str!("jobs.js")),
    ("live.js", SCRIPT, include_str!("live.js")),
    ("log.js", SCRIPT, include_str!("log.js")),
    ("packages.js", SCRIPT, include_str!("packages.js")),
    ("reduce.js", SCRIPT, include_str!("reduce.js")),
    ("repository.js", SCRIPT, include_str!("repository.js")),
    ("schedules.js", SCRIPT, include_str!("schedules.js")),
    ("shell.js", SCRIPT, include_str!("shell.js")),
    ("sign_in.js", SCRIPT, include_str!("sign_in.js")),
    ("stream.js", SCRIPT, include_str!("stream.js")),
    ("style.css", "text/css; charset=utf-8", include_str!("style.css")),
    ("table.js", SCRIPT, include_str!("table.js")),
    ("tabs.js", SCRIPT, include_str!("tabs.js")),
    ("timeline.js", SCRIPT, include_str!("timeline.js")),
    ("warnings.js", SCRIPT, include_str!("warnings.js")),
    ("webhooks.js", SCRIPT, include_str!("webhooks.js")),
    ("worker.js", SCRIPT, include_str!("worker.js")),
];

/// The routes of this file.
pub(crate) fn routes() -> Vec<Route> {
    let media_type = "text/html; charset=utf-8";
    let page = with_tag(
        Operation::new("getHome", "The page")
            .about("Without the page (`[server] dashboard`): 302 to `/docs`."),
        Answer::text(media_type, "The page."),
    );
    let file = with_tag(
        Operation::new("getPageFile", "A file of the page"),
        Answer::text("*/*", "The file."),
    )
    .refuses(StatusCode::NOT_FOUND, "There is no such file, or the page is switched off.");
    vec![
        Route::get(&HOME, Access::Public, page, move |call, _| {
            let fixed = Arc::new(StaticAnswer::new(media_type, include_str!("index.html").into()));
            call.map(move |call: Call<0>| {
                let server = &call.api.config.get().server;
                if server.dashboard {
                    return fixed.answer(&call.if_none_match, call.coding);
                }
                // Without a public URL, relative to the path with a slash at its end.
                let root = &server.public_url;
                let docs = if root.is_empty() { "docs".to_owned() } else { format!("{root}/docs") };
                reply::with_header(reply::empty(StatusCode::FOUND), header::LOCATION, &docs)
            })
        }),
        Route::get(&FILE, Access::Public, file, |call, _| {
            let files: HashMap<&str, StaticAnswer> = FILES
                .into_iter()
                .map(|(name, media_type, text)| (name, StaticAnswer::new(media_type, text.into())))
                .collect();
            let files = Arc::new(files);
            call.map(move |call: Call<1>| finish(file_of(&files, &call)))
        }),
    ]
}

fn file_of(files: &HashMap<&str, StaticAnswer>, call: &Call<1>) -> Result<Response, ApiError> {
    let [name] = &call.path;
    let is_on = call.api.config.get().server.dashboard;
    let file = files.get(name.as_str()).filter(|_| is_on).ok_or(ApiError::RouteNotFound)?;
    Ok(file.answer(&call.if_none_match, call.coding))
}
