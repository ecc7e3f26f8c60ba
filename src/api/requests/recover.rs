//! Turns the rejections of a route's filters into answers.
//!
//! Input: what the filters of a route rejected. Output: the one error that describes it.
//!
//! Invariants: every rejection becomes an [`ApiError`], including those of warp's own filters.

use crate::api::answers::error::ApiError;
use std::{
    convert::Infallible,
    future::{Ready, ready},
};
use warp::{Rejection, body::BodyDeserializeError, reject, reply::Response};

/// For `Filter::recover`, after the last filter of a route.
#[expect(clippy::needless_pass_by_value, reason = "`Filter::recover` hands it over")]
pub fn recover(rejection: Rejection) -> Ready<Result<Response, Infallible>> {
    let response = rejection.find().map_or_else(
        || of_warp(&rejection).unwrap_or_else(|| of_routing(&rejection)).to_response(),
        ApiError::to_response,
    );
    ready(Ok(response))
}

/// The error of a request that no filter accepted.
fn of_routing(rejection: &Rejection) -> ApiError {
    if rejection.find::<reject::MethodNotAllowed>().is_some() {
        ApiError::MethodNotAllowed { allow: None }
    } else if rejection.is_not_found() {
        ApiError::RouteNotFound
    } else {
        ApiError::internal("answer a rejected request", &Unknown(format!("{rejection:?}")))
    }
}

/// The error of a rejection by one of warp's own filters.
fn of_warp(rejection: &Rejection) -> Option<ApiError> {
    let text = |error: &dyn std::fmt::Display| ApiError::bad_request(error.to_string());
    if let Some(error) = rejection.find::<reject::InvalidHeader>() {
        return Some(text(error));
    }
    if let Some(error) = rejection.find::<reject::MissingHeader>() {
        return Some(text(error));
    }
    if let Some(error) = rejection.find::<reject::MissingCookie>() {
        return Some(text(error));
    }
    if let Some(error) = rejection.find::<reject::InvalidQuery>() {
        return Some(text(error));
    }
    if let Some(error) = rejection.find::<BodyDeserializeError>() {
        return Some(text(error));
    }
    if rejection.find::<reject::LengthRequired>().is_some() {
        return Some(ApiError::LengthRequired);
    }
    if rejection.find::<reject::PayloadTooLarge>().is_some() {
        return Some(ApiError::PayloadTooLarge { limit: None });
    }
    if rejection.find::<reject::UnsupportedMediaType>().is_some() {
        return Some(ApiError::UnsupportedMediaType);
    }
    None
}

/// A rejection of an unknown kind.
#[derive(Debug, thiserror::Error)]
#[error("unexpected rejection {0}")]
struct Unknown(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rejections_of_warp_filters_are_problem_documents_too() {
        #[derive(Debug)]
        struct Strange;
        impl reject::Reject for Strange {}
        let of = async |rejection: Rejection| {
            let response = recover(rejection).await.unwrap();
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            response.status().as_u16()
        };
        assert_eq!(of(reject::reject()).await, 404);
        assert_eq!(of(reject::custom(Strange)).await, 500);
        let empty = warp::test::request;
        assert_eq!(of(empty().filter(&warp::header::<u8>("x")).await.unwrap_err()).await, 400);
        let cookie = warp::cookie::cookie::<String>("x");
        assert_eq!(of(empty().filter(&cookie).await.unwrap_err()).await, 400);
        let limit = warp::body::content_length_limit(1);
        assert_eq!(of(empty().filter(&limit).await.unwrap_err()).await, 411);
        assert_eq!(of(empty().body("xy").filter(&limit).await.unwrap_err()).await, 413);
        let json = warp::body::json::<u8>();
        assert_eq!(of(empty().body("x").filter(&json).await.unwrap_err()).await, 400);
        let text = empty().header("content-type", "text/plain").body("1");
        assert_eq!(of(text.filter(&json).await.unwrap_err()).await, 415);
        let extension = warp::ext::get::<u8>();
        assert_eq!(of(empty().filter(&extension).await.unwrap_err()).await, 500);
    }
}
