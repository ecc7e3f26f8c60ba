//! The outside: HTTP requests come in, answers and event streams go out.
//!
//! ```text
//! server ─► connection ─► transport ─► socket    accepts, shakes hands, caps, times, stops
//!              └► router: path ─► method ─► guard ─► auth ─► warp filter of the route: body ─► handler
//!                      └──────────────────────────────────────► error ─► application/problem+json
//! ```
//!
//! What must stay true: every wait for a peer has an end; what a request may do is settled
//! before its body is read; status codes are known to `error` alone; no answer shows a path, a
//! cause or a secret.
//!
//! # How a route is added
//!
//! In one place, the file of its resource: there it is one value in `routes()`, a
//! [`Route`](route::Route) of
//!
//! 1. its path, a `const` [`Template`](template::Template) with what its parameters are;
//! 2. its [`Scope`](route::Scope): what the one who asks must be allowed to do;
//! 3. its [`Operation`](operation::Operation): what it says of itself, with the types that are
//!    read and sent;
//! 4. its own part of a filter: the query, then [`body::json_body`], then the handler.
//!
//! All else follows: what is served, the `Allow` of its path, its place in the OpenAPI document,
//! the checks of both against each other. A file for a new resource is named once more, in
//! [`routes::resources`].
//!
//! # In which order a request is refused
//!
//! The [`router`] looks the route up once and refuses in the order malformed, path, method, host,
//! credentials, origin. What is left is the route's own filter, query, body and handler, and its
//! rejections are its own: no other route is tried after them. Of it must stay true:
//!
//! - a parameter of the path is parsed by the handler, for a rejection would be the 404 of an
//!   unknown path, where an ill-formed job id is "Job not found";
//! - a route that opens a WebSocket puts [`guard::same_site`] before all else of its own: such a
//!   request is a GET, and yet another site's page can read what comes of it;
//! - handlers go by `.map` and `.then`, never `.and_then`: their errors are answers, made by
//!   [`ApiError::into_response`](warp::Reply::into_response).

pub mod auth;
pub mod body;
mod coding;
pub mod connection;
mod csv;
mod desk;
mod docs;
pub mod error;
pub mod etag;
mod events;
pub mod findings;
mod fixed;
pub mod guard;
mod health;
mod jobs;
mod log;
mod log_follow;
mod log_limit;
mod malformed;
mod meter;
mod metrics;
pub mod named_file;
pub mod openapi;
pub mod operation;
mod outgoing;
mod paging;
mod produced;
mod reads;
pub mod recover;
mod reply;
mod repositories;
mod repository;
pub mod request_body;
mod results;
pub mod route;
pub mod router;
pub mod routes;
mod sbom;
mod scan;
pub mod server;
mod socket;
mod state;
mod streamed;
pub mod template;
pub mod tls;
pub mod traffic;
mod transport;
pub mod validation;
mod websocket;

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
