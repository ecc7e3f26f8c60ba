//! Which methods a path has: a request with another one is rejected by name of those it has.
//!
//! What must stay true: these stand directly after a route's whole path, so that a wrong method
//! is only ever said of a path that exists; all routes of one path name the same methods. `warp`'s
//! own method filters would do but for `Allow`, which RFC 9110 wants with a 405, and for HEAD.

use std::future::ready;
use warp::{Filter, Rejection, http::Method, reject};

/// The path exists, the method is none of its methods.
#[derive(Debug)]
pub(super) struct WrongMethod {
    pub(super) allow: &'static str,
}

impl reject::Reject for WrongMethod {}

/// GET, and HEAD, to which hyper sends the same answer without its body.
pub fn get(allow: &'static str) -> impl Filter<Extract = (), Error = Rejection> + Copy {
    one_of(&[Method::GET, Method::HEAD], allow)
}

/// POST.
pub fn post(allow: &'static str) -> impl Filter<Extract = (), Error = Rejection> + Copy {
    one_of(&[Method::POST], allow)
}

/// DELETE.
pub fn delete(allow: &'static str) -> impl Filter<Extract = (), Error = Rejection> + Copy {
    one_of(&[Method::DELETE], allow)
}

/// Any of `methods`; `allow` is the header's text, with all methods of the path.
fn one_of(
    methods: &'static [Method],
    allow: &'static str,
) -> impl Filter<Extract = (), Error = Rejection> + Copy {
    warp::method()
        .and_then(move |method: Method| {
            let known = methods.contains(&method);
            ready(if known { Ok(()) } else { Err(reject::custom(WrongMethod { allow })) })
        })
        .untuple_one()
}
