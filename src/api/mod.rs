//! The HTTP interface: requests come in, answers and event streams go out.
//!
//! ```text
//! server ─► connection ─► transport ─► socket    accepts, handshakes, limits, times out, stops
//!              └► router: path ─► method ─► browser_guard ─► auth ─► warp filter of the route: body ─► handler
//!                      └──────────────────────────────────────► error ─► application/problem+json
//! ```
//!
//! Input: TCP connections. Output: HTTP/1.1 and HTTP/2 answers, server-sent events, `WebSocket`s.
//!
//! Invariants: every wait for a peer has a timeout; a request is authorized before its body is
//! read; only `error` assigns status codes to errors; no answer contains a path, an internal cause
//! or a secret.
//!
//! # How to add a route
//!
//! A route is added in one place, the file of its resource. There `routes()` returns one
//! [`Route`](route::Route) for it, which consists of
//!
//! 1. its path, a `const` [`Template`](template::Template) with its documented parameters;
//! 2. its [`Scope`](route::Scope): the permission that a client needs;
//! 3. its [`Operation`](operation::Operation): the documentation, with the types that are read and
//!    sent;
//! 4. its own part of the filter: the query, then [`body::json_body`], then the handler.
//!
//! Everything else is derived: what is served, the `Allow` of the path, the operation in the
//! OpenAPI document, and the tests of both against each other. The file of a new resource is also
//! listed in [`routes::resources`].
//!
//! # The order of refusals
//!
//! The [`router`] looks up the route once and refuses in the order malformed, path, method, host,
//! credentials, origin. The rest is the route's own filter: query, body and handler. Its
//! rejections are final, because no other route is tried after them. Invariants of these filters:
//!
//! - The handler parses the parameters of the path. A rejection would be the 404 of an unknown
//!   path, where an ill-formed job id has to be "Job not found".
//! - A route that opens a `WebSocket` puts [`browser_guard::same_site`] first: such a request is a
//!   GET, but a page of another site could read the messages.
//! - Handlers are added by `.map` and `.then`, never by `.and_then`: their errors are answers,
//!   made by [`ApiError::into_response`](warp::Reply::into_response).

pub mod auth;
pub mod body;
pub mod browser_guard;
pub mod connection;
mod content_coding;
mod csv;
mod docs;
pub mod error;
mod events;
pub mod findings;
mod h2_flood_guard;
mod health;
pub mod if_none_match;
mod jobs;
mod log;
mod log_follow;
mod log_limit;
mod log_position;
mod malformed;
mod metrics;
pub mod openapi;
pub mod operation;
mod paging;
mod produced_body;
mod read_admission;
mod read_pools;
pub mod recover;
pub mod reloaded_files;
mod reply;
mod repositories;
mod repository;
pub mod request_body;
pub mod request_metrics;
mod response_body;
mod results;
pub mod route;
pub mod router;
pub mod routes;
mod sbom;
mod scan;
pub mod server;
mod socket;
mod state;
mod static_answer;
mod stream_body;
pub mod template;
pub mod tls;
mod transport;
pub mod validation;
mod websocket;

pub use error::ApiError;
pub use state::{Api, Parts};

use std::convert::Infallible;
use warp::{Filter, http::HeaderValue};

/// Extracts the first header of this name, if there is one. `warp::header::optional` would reject a
/// value that is not ASCII; here each filter decides that for itself.
pub(crate) fn header(
    name: &'static str,
) -> impl Filter<Extract = (Option<HeaderValue>,), Error = Infallible> + Copy {
    warp::header::value(name).map(Some).or(warp::any().map(|| None)).unify()
}
