//! The HTTP interface: requests come in, answers and event streams go out.
//!
//! ```text
//! connections   accept, handshake, limits, timeouts, stop
//!      └► routing: path ─► method ─► host ─► auth ─► origin ─► filter of the route
//!            │                                                    query ─► body ─► handler
//!            └► answers::error ─► application/problem+json
//! ```
//!
//! | room | concern |
//! |---|---|
//! | `answers` | how answers and errors are built |
//! | `requests` | what is read of a request before its handler runs |
//! | `connections` | from a socket to a request, and back |
//! | `auth`, `tls` | who a client is; certificates |
//! | `reads` | threads, and admission of expensive answers |
//! | `routing` | from a request to its route |
//! | `resources` | one file for each resource: its routes and handlers |
//! | `openapi` | the document of all routes |
//!
//! Input: TCP connections. Output: HTTP/1.1 and HTTP/2 answers, server-sent events, `WebSocket`s.
//!
//! Invariants: every wait for a peer has a timeout; a request is authorized before its body is
//! read; only `answers::error` assigns status codes to errors; no answer contains a path, an
//! internal cause or a secret.
//!
//! # How to add a route
//!
//! A route is added in one place, the file of its resource. There `routes()` returns one
//! [`Route`](routing::route::Route) for it, which consists of
//!
//! 1. its path, a `const` [`Template`](routing::template::Template) with its documented parameters;
//! 2. its [`Access`](routing::route::Access): who may use it;
//! 3. its [`Operation`](routing::operation::Operation): the documentation, with the types that are
//!    read and sent;
//! 4. its own part of the filter: the query, then [`requests::body::json_body`], then the handler.
//!
//! Everything else is derived: what is served, the `Allow` of the path, the operation in the
//! OpenAPI document, and the tests of both against each other. The file of a new resource is also
//! listed in [`routes::resources`].
//!
//! # The order of refusals
//!
//! The [`router`](routing::router) looks up the route once and refuses in the order malformed,
//! path, method, host, credentials, origin. The rest is the route's own filter: query, body and
//! handler. Its rejections are final, because no other route is tried after them. Invariants of
//! these filters:
//!
//! - The handler parses the parameters of the path. A rejection would be the 404 of an unknown
//!   path, where an ill-formed job id has to be "Job not found".
//! - A route that opens a `WebSocket` puts [`requests::browser_guard::same_site`] first: such a
//!   request is a GET, but a page of another site could read the messages.
//! - Handlers are added by `.map` and `.then`, never by `.and_then`: their errors are answers,
//!   made by [`ApiError::into_response`](warp::Reply::into_response).

pub mod answers;
pub mod auth;
pub mod connections;
mod log_limit;
pub mod openapi;
mod reads;
pub mod reloaded_files;
pub mod requests;
pub mod resources;
pub mod routes;
pub mod routing;
pub mod scope;
mod state;
pub mod tls;

pub use answers::error::ApiError;
pub use state::{Api, Parts};
