//! Which methods a path has: a request with another one is rejected by name of those it has.
//!
//! What must stay true: this stands directly after a route's whole path, so that a wrong method
//! is only ever said of a path that exists; all routes of one path name the same methods. `warp`'s
//! own method filters would do but for `Allow`, which RFC 9110 wants with a 405, and for HEAD.

use std::{future::ready, sync::Arc};
use warp::{Filter, Rejection, http::Method, reject};

/// The path exists, the method is none of its methods.
#[derive(Debug)]
pub(super) struct WrongMethod {
    /// All methods of the path, as the header has them.
    pub(super) allow: Arc<str>,
}

impl reject::Reject for WrongMethod {}

/// Any of `methods`; `allow` is the header's text, with all methods of the path.
pub fn one_of(
    methods: Vec<Method>,
    allow: &str,
) -> impl Filter<Extract = (), Error = Rejection> + Clone + use<> {
    let allow: Arc<str> = allow.into();
    warp::method()
        .and_then(move |method: Method| {
            let allow = || WrongMethod { allow: Arc::clone(&allow) };
            let known = methods.contains(&method);
            ready(if known { Ok(()) } else { Err(reject::custom(allow())) })
        })
        .untuple_one()
}
