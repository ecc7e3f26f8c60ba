//! The end of the routes: what they rejected comes in, the one error that describes it goes out.
//!
//! What must stay true: every rejection becomes an [`ApiError`], also those of warp's own filters.
//! Rejections add up over all routes that were tried, so the order here is a ranking: an error of
//! a route that took path and method, then a wrong method, then an unknown path.

use super::{error::ApiError, method::WrongMethod};
use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
};
use warp::{Rejection, body::BodyDeserializeError, reject, reply::Response};

/// For `Filter::recover`, after the last route.
#[expect(clippy::needless_pass_by_value, reason = "`Filter::recover` hands it over")]
pub fn recover(rejection: Rejection) -> Ready<Result<Response, Infallible>> {
    let response = rejection.find().map_or_else(
        || of_warp(&rejection).unwrap_or_else(|| of_routing(&rejection)).to_response(),
        ApiError::to_response,
    );
    ready(Ok(response))
}

/// What no route took.
fn of_routing(rejection: &Rejection) -> ApiError {
    if let Some(WrongMethod { allow }) = rejection.find() {
        ApiError::MethodNotAllowed { allow: Some(Arc::clone(allow)) }
    } else if rejection.find::<reject::MethodNotAllowed>().is_some() {
        ApiError::MethodNotAllowed { allow: None }
    } else if rejection.is_not_found() {
        ApiError::RouteNotFound
    } else {
        ApiError::internal("answer a rejected request", &Unknown(format!("{rejection:?}")))
    }
}

/// What warp's own filters reject with.
fn of_warp(rejection: &Rejection) -> Option<ApiError> {
    let text = |it: &dyn std::fmt::Display| ApiError::bad_request(it.to_string());
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

/// A rejection that no filter of ours makes.
#[derive(Debug, thiserror::Error)]
#[error("unexpected rejection {0}")]
struct Unknown(String);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{
        auth::{Auth, Scope, User, authenticated},
        body::json_body,
        guard, method,
        validation::Validation,
    };
    use secrecy::SecretString;
    use serde_json::Value;
    use std::collections::HashMap;
    use warp::{Filter, http::Method, test::RequestBuilder};

    const OF_SCAN: &str = "POST";
    const OF_JOB: &str = "DELETE, GET, HEAD";
    /// The user u with the password p.
    const RIGHT: &str = "Basic dTpw";

    fn one_of(
        methods: &[Method],
        allow: &str,
    ) -> impl Filter<Extract = (), Error = Rejection> + Clone + use<> {
        method::one_of(methods.to_vec(), allow)
    }

    /// A small copy of what the module's documentation asks of routes.
    fn routes() -> impl Filter<Extract = (Response,), Error = Infallible> + Clone {
        let auth = Arc::new(Auth::single("u", &SecretString::from("p")).unwrap());
        let user = move || {
            guard::known_host(Arc::clone(&auth)).and(authenticated(Arc::clone(&auth), Scope::Admin))
        };
        let submit = warp::path!("scan")
            .and(one_of(&[Method::POST], OF_SCAN))
            .and(user())
            .and(guard::same_site_writes())
            .and(json_body(100))
            .then(async |_: User, mut body: Validation| {
                let url = body.required_text("git_url");
                body.finish().map(|()| url)
            });
        let show = warp::path!("scan" / String)
            .and(one_of(&[Method::GET, Method::HEAD], OF_JOB))
            .and(user())
            .then(async |_: String, _: User| Err::<String, _>(ApiError::JobNotFound));
        let remove = warp::path!("scan" / String)
            .and(one_of(&[Method::DELETE], OF_JOB))
            .and(user())
            .and(guard::same_site_writes())
            .then(async |id: String, _: User| Ok::<_, ApiError>(id));
        let list = warp::path!("jobs")
            .and(one_of(&[Method::GET, Method::HEAD], "GET, HEAD"))
            .and(user())
            .and(warp::query::<HashMap<String, u32>>())
            .then(async |_: User, query: HashMap<String, u32>| {
                Ok::<_, ApiError>(format!("{query:?}"))
            });
        let open = warp::path!("livez").and(warp::get()).map(|| "ok");
        let routes = remove.or(submit).or(show).or(list).or(open);
        guard::with_security_headers(routes.recover(recover))
    }

    fn asks(request: &str) -> RequestBuilder {
        let (method, path) = request.split_once(' ').unwrap();
        warp::test::request().method(method).path(path).header("authorization", RIGHT)
    }

    async fn check(request: RequestBuilder, status: u16, detail: &str) -> warp::http::HeaderMap {
        let shown = format!("{request:?}");
        let response = request.reply(&routes()).await;
        let problem: Value = serde_json::from_slice(response.body()).unwrap();
        let told = (response.status().as_u16(), &problem["detail"]);
        assert_eq!(told, (status, &detail.into()), "{shown}");
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        response.headers().clone()
    }

    #[tokio::test]
    async fn paths_come_before_methods_and_methods_before_all_else() {
        for path in ["/", "/x", "/scan/1/x", "/jobs/1", "/scan/..%2f/x"] {
            for method in ["GET", "POST", "DELETE", "PATCH"] {
                let request = warp::test::request().method(method).path(path);
                check(request, 404, "Not Found").await;
            }
        }
        for (method, path, allow) in [
            ("GET", "/scan", "POST"),
            ("PUT", "/scan/1", OF_JOB),
            ("OPTIONS", "/jobs", "GET, HEAD"),
        ] {
            let request = warp::test::request().method(method).path(path).body("text");
            let headers = check(request, 405, "Method Not Allowed").await;
            assert_eq!(headers["allow"], allow);
        }
        let headers = check(asks("POST /livez"), 405, "Method Not Allowed").await;
        assert!(!headers.contains_key("allow"), "warp's own filter does not say");
    }

    #[tokio::test]
    async fn credentials_are_judged_before_query_body_and_id() {
        for (method, path) in
            [("GET", "/scan/1"), ("DELETE", "/scan/1"), ("POST", "/scan"), ("GET", "/jobs?x=y")]
        {
            let request = || warp::test::request().method(method).path(path).body("text");
            let headers = check(request(), 401, "Not authenticated").await;
            assert!(headers.contains_key("www-authenticate"));
            let wrong = request().header("authorization", "Basic dTpx");
            check(wrong, 401, "Invalid credentials").await;
        }
    }

    #[tokio::test]
    async fn each_other_error_keeps_its_own_status() {
        check(asks("GET /scan/1"), 404, "Job not found").await;
        check(asks("HEAD /scan/1"), 404, "Job not found").await;
        check(asks("GET /jobs?x=y"), 400, "Invalid query string").await;
        let foreign = asks("DELETE /scan/1").header("origin", "http://evil.example");
        check(foreign, 403, "Cross-site request refused: its Origin is not this host").await;
        let text = asks("POST /scan").header("content-type", "text/plain").body("{}");
        check(text, 415, "The request body is not JSON by its Content-Type").await;
        let long = asks("POST /scan").header("content-type", "application/json");
        check(long.body("x".repeat(101)), 413, "The request body is too large").await;
        let response = asks("POST /scan").json(&7).reply(&routes()).await;
        assert_eq!(response.status(), 422);
        let response = asks("DELETE /scan/1").reply(&routes()).await;
        assert_eq!((response.status().as_u16(), &response.body()[..]), (200, &b"1"[..]));
    }

    #[tokio::test]
    async fn rejections_of_warp_s_own_filters_have_the_shape_too() {
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
