//! The outside: HTTP requests come in, answers and event streams go out.
//!
//! ```text
//! server ─► connection ─► socket            accepts, caps, times, stops
//!              └► warp routes, each: path ─► method ─► guard ─► auth ─► body ─► handler
//!                      └► rejection ─► recover ─► error ─► application/problem+json
//! ```
//!
//! What must stay true: every wait for a peer has an end; what a request may do is settled
//! before its body is read; status codes are known to `error` alone; no answer shows a path, a
//! cause or a secret.
//!
//! # How a route is put together
//!
//! warp tries the next route after *every* rejection and adds the rejections up, so what comes
//! out is right only if each route rejects in this order:
//!
//! 1. the whole path, to its end: `warp::path!("scan" / String)`. A parameter is taken as
//!    `String` and parsed by the handler, for `path!` turns an ill-formed one into the 404 of an
//!    unknown path, where an ill-formed job id is "Job not found";
//! 2. the method: [`method::get`], [`method::post`] or [`method::delete`], each told all methods
//!    that its *path* has, for the `Allow` of a 405;
//! 3. [`guard::known_host`], [`auth::authenticated`], and [`guard::same_site_writes`] (or
//!    [`guard::same_site`] before a WebSocket);
//! 4. the query, then [`body::json_body`];
//! 5. the handler by `.then`, never `.and_then`: its errors are answers, made by
//!    [`ApiError::into_response`](warp::Reply::into_response). A rejection from there would send
//!    the request on to the other routes.
//!
//! So a path that no route has collects nothing but "not found", a known path with a wrong method
//! nothing but "wrong method", and any other error comes from the one route that matched both.
//! [`recover`](recover::recover) goes after the last `or`, then
//! [`guard::with_security_headers`] around the whole.

pub mod auth;
pub mod body;
pub mod connection;
pub mod error;
pub mod etag;
mod events;
pub mod guard;
mod health;
mod jobs;
pub mod method;
mod paging;
pub mod recover;
mod reply;
mod repository;
pub mod request_body;
pub mod routes;
mod scan;
pub mod server;
mod socket;
mod state;
pub mod validation;

pub use error::ApiError;
pub use state::{Api, Parts};

use std::convert::Infallible;
use warp::{Filter, http::HeaderValue};

/// A header that may be absent; of several of that name the first. `warp::header::optional`
/// would reject one that is not ASCII, each filter here decides that for itself.
pub(crate) fn header(
    name: &'static str,
) -> impl Filter<Extract = (Option<HeaderValue>,), Error = Infallible> + Copy {
    warp::header::value(name).map(Some).or(warp::any().map(|| None)).unify()
}
