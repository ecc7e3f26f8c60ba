//! Tests of the order of checks, and of the look-up of a route.

use super::*;
use crate::api::requests::{body::json_body, validation::Validation};
use secrecy::SecretString;
use serde_json::Value;
use std::collections::HashMap;
use warp::{
    Rejection,
    filters::BoxedFilter,
    http::{HeaderMap, request},
};

const OF_JOB: &str = "DELETE, GET, HEAD";
/// The user u with the password p.
const RIGHT: &str = "Basic dTpw";

fn endpoint<F>(path: &'static str, methods: &[Method], access: Access, filter: F) -> Endpoint
where
    F: Filter<Extract = (Response,), Error = Rejection> + Send + Sync + 'static,
{
    Endpoint { path, methods: methods.to_vec(), access, filter: filter.boxed() }
}

/// The text of an answer.
fn text(text: String) -> Response {
    Response::new(text.into())
}

fn routes(auth: Auth) -> (Router<impl Answers<String>>, Arc<RequestMetrics>) {
    let reads = [Method::GET, Method::HEAD];
    let any = || -> BoxedFilter<()> { warp::any().boxed() };
    let submit = json_body(100).map(|mut body: Validation| {
        let url = body.required_text("git_url");
        crate::api::answers::reply::finish(body.finish().map(|()| text(url)))
    });
    let user = warp::ext::get::<Admitted>()
        .map(|admitted: Admitted| text(admitted.user.name().unwrap_or_default().to_owned()));
    let list = warp::query().map(|query: HashMap<String, u32>| text(format!("{query:?}")));
    let endpoints = vec![
        endpoint("/scan/{id}", &[Method::DELETE], Access::Admin, user),
        endpoint("/scan", &[Method::POST], Access::Write, submit),
        endpoint(
            "/scan/{id}",
            &reads,
            Access::Read,
            any().map(|| ApiError::JobNotFound.to_response()),
        ),
        endpoint("/jobs", &reads, Access::Read, list),
        endpoint("/livez", &reads, Access::Public, any().map(|| text("ok".into()))),
    ];
    let request_metrics = Arc::new(RequestMetrics::new(["/jobs", "/livez", "/scan", "/scan/{id}"]));
    (router(endpoints, Arc::new(auth), Arc::clone(&request_metrics), None), request_metrics)
}

fn closed() -> Auth {
    Auth::single("u", &SecretString::from("p")).unwrap()
}

fn anonymous(request: &str) -> request::Builder {
    let (method, path) = request.split_once(' ').unwrap();
    Request::builder().method(method).uri(path).header("host", "h")
}

fn asks(request: &str) -> request::Builder {
    anonymous(request).header("authorization", RIGHT)
}

async fn answer(request: request::Builder, body: &str) -> Response {
    let Ok(response) = routes(closed()).0.call(request.body(body.to_owned()).unwrap()).await;
    response
}

async fn bytes(response: Response) -> Vec<u8> {
    let mut body = response.into_body();
    let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
    frame.map_or_else(Vec::new, |frame| frame.unwrap().into_data().unwrap().to_vec())
}

async fn check(request: request::Builder, body: &str, status: u16, detail: &str) -> HeaderMap {
    let shown = format!("{request:?}");
    let response = answer(request, body).await;
    let (headers, given) = (response.headers().clone(), response.status().as_u16());
    let problem: Value = serde_json::from_slice(&bytes(response).await).unwrap();
    assert_eq!((given, &problem["detail"]), (status, &detail.into()), "{shown}");
    assert_eq!(headers["content-type"], "application/problem+json");
    assert_eq!(headers["x-content-type-options"], "nosniff");
    headers
}

#[tokio::test]
async fn paths_are_checked_before_methods_and_methods_before_everything_else() {
    for path in ["/", "/x", "/scan/1/x", "/jobs/1", "/scan/..%2f/x"] {
        for method in ["GET", "POST", "DELETE", "PATCH"] {
            check(anonymous(&format!("{method} {path}")), "", 404, "Not Found").await;
        }
    }
    for (request, allow) in [
        ("GET /scan", "POST"),
        ("PUT /scan/1", OF_JOB),
        ("OPTIONS /jobs", "GET, HEAD"),
        ("POST /livez", "GET, HEAD"),
    ] {
        let headers = check(anonymous(request), "text", 405, "Method Not Allowed").await;
        assert_eq!(headers["allow"], allow);
    }
}

#[tokio::test]
async fn a_malformed_request_is_refused_before_the_lookup_of_its_path() {
    for request in [asks("GET /x").header("host", "h"), asks("CONNECT h:80")] {
        assert_eq!(answer(request, "").await.status(), 400);
    }
}

#[tokio::test]
async fn credentials_are_checked_before_query_body_and_id() {
    for request in ["GET /scan/1", "DELETE /scan/1", "POST /scan", "GET /jobs?x=y"] {
        let headers = check(anonymous(request), "text", 401, "Not authenticated").await;
        assert!(headers.contains_key("www-authenticate"));
        let wrong = anonymous(request).header("authorization", "Basic dTpx");
        check(wrong, "text", 401, "Invalid credentials").await;
    }
    assert_eq!(answer(anonymous("GET /livez"), "").await.status(), 200);
}

#[tokio::test]
async fn an_open_server_checks_the_host_after_path_and_method() {
    let mut routes = routes(Auth::open()).0;
    for (request, status) in
        [("GET /jobs?x=y", 421), ("POST /scan", 421), ("GET /livez", 200), ("PUT /jobs", 405)]
    {
        let Ok(response) = routes.call(asks(request).body(String::new()).unwrap()).await;
        assert_eq!(response.status(), status, "{request}");
    }
}

#[tokio::test]
async fn every_other_error_keeps_its_status() {
    check(asks("GET /scan/1"), "", 404, "Job not found").await;
    check(asks("HEAD /scan/1"), "", 404, "Job not found").await;
    check(asks("GET /jobs?x=y"), "", 400, "Invalid query string").await;
    let foreign = asks("DELETE /scan/1").header("origin", "http://evil.example");
    let refused = "Cross-site request refused: its Origin is not this host";
    check(foreign, "", 403, refused).await;
    let text = asks("POST /scan").header("content-type", "text/plain");
    check(text, "{}", 415, "The Content-Type of the request body is not JSON").await;
    let json = || asks("POST /scan").header("content-type", "application/json");
    check(json(), &"x".repeat(101), 413, "The request body is too large").await;
    assert_eq!(answer(json(), "7").await.status(), 422);
    let response = answer(asks("DELETE /scan/1/"), "").await;
    assert_eq!((response.status().as_u16(), &bytes(response).await[..]), (200, &b"u"[..]));
}

#[tokio::test]
async fn each_request_is_counted_at_its_route() {
    let (mut routes, request_metrics) = routes(closed());
    for request in ["GET /scan/1", "HEAD /scan/2/", "GET /scan", "GET /x", "CONNECT h:80"] {
        let Ok(_) = routes.call(asks(request).body(String::new()).unwrap()).await;
    }
    let counted: Vec<_> = request_metrics
        .requests()
        .map(|requests| (requests.route, requests.method, requests.status))
        .collect();
    let expected = [
        ("/scan", "GET", Some(405)),
        ("/scan/{id}", "GET", Some(404)),
        ("/scan/{id}", "HEAD", Some(404)),
        (UNMATCHED, "GET", Some(404)),
        (UNMATCHED, "other", Some(400)),
    ];
    assert_eq!(counted, expected);
}
