//! One header of a request.
//!
//! Input: the name of a header. Output: a filter that extracts its first value, if there is one.
//!
//! Invariants: the filter never rejects a request.

use std::convert::Infallible;
use warp::{Filter, http::HeaderValue};

/// Extracts the first header of this name, if there is one. `warp::header::optional` would reject a
/// value that is not ASCII; here each filter decides that for itself.
pub(crate) fn header(
    name: &'static str,
) -> impl Filter<Extract = (Option<HeaderValue>,), Error = Infallible> + Copy {
    warp::header::value(name).map(Some).or(warp::any().map(|| None)).unify()
}
