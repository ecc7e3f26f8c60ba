//! Tests of the forms of errors.

use super::*;

#[track_caller]
fn check(error: &ApiError, expected: &Value) -> HeaderMap {
    let response = error.to_response();
    assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    let problem: Value = serde_json::from_slice(&error.problem()).unwrap();
    assert_eq!(&problem, expected);
    assert_eq!(problem["status"], response.status().as_u16());
    response.headers().clone()
}

#[test]
fn an_error_is_a_problem_with_the_detail_of_the_contract() {
    let headers = check(
        &ApiError::InvalidCredentials,
        &json!({"detail": "Invalid credentials", "type": "about:blank",
                "title": "Unauthorized", "status": 401,
                "hint": "use a user and password, or a token, that the operator configured"}),
    );
    assert_eq!(headers[WWW_AUTHENTICATE], "Basic realm=\"scanwatch\", charset=\"UTF-8\"");
    check(
        &ApiError::JobNotFound,
        &json!({"detail": "Job not found", "type": "about:blank", "title": "Not Found",
                "status": 404}),
    );
    let headers = check(
        &ApiError::TooManyRequests { detail: "The queue is full".into(), retry_after: 30 },
        &json!({"detail": "The queue is full", "type": "about:blank",
                "title": "Too Many Requests", "status": 429, "hint": "try again in 30 s"}),
    );
    assert_eq!(headers[RETRY_AFTER], "30");
    let headers = ApiError::MethodNotAllowed { allow: Some("GET, HEAD".into()) }.headers();
    assert_eq!(headers[ALLOW], "GET, HEAD");
    assert_eq!(ApiError::RangeNotSatisfiable { length: 7 }.headers()[CONTENT_RANGE], "bytes */7");
    assert_eq!(ApiError::BodyTimeout.headers()[CONNECTION], "close");
}

#[test]
fn a_refused_url_names_the_rule_and_has_a_hint() {
    let error = ApiError::from(Refusal::Host("evil.example".to_owned()));
    let problem: Value = serde_json::from_slice(&error.problem()).unwrap();
    assert_eq!(problem["status"], 400);
    assert_eq!(problem["detail"], "Domain not allowed: evil.example");
    assert_eq!(problem["hint"], Refusal::Host(String::new()).hint());

    let error = ApiError::refused_url(&Refusal::Shape("it is no URL"), "x".into());
    let problem: Value = serde_json::from_slice(&error.problem()).unwrap();
    assert_eq!(problem["status"], 422);
    assert_eq!(
        problem["detail"],
        json!([{"type": "value_error", "loc": ["body", "git_url"],
                "msg": "Value error, Invalid Git URL: it is no URL", "input": "x",
                "ctx": {"error": "Invalid Git URL: it is no URL"}}])
    );
}

#[test]
fn an_internal_error_shows_only_an_incident() {
    let cause = std::io::Error::other("/tmp/secret/place");
    let error = ApiError::internal("read a file", &cause);
    let text = String::from_utf8(error.problem()).unwrap();
    assert!(text.contains("urn:uuid:") && text.contains("Internal Server Error"), "{text}");
    assert!(!text.contains("/tmp") && !text.contains("read a file"), "{text}");
}

#[test]
fn the_bytes_of_http1_are_a_complete_answer() {
    let busy = ApiError::Unavailable { detail: "busy".into(), retry_after: Some(1) };
    let text = String::from_utf8(busy.to_http1()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{head}");
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
    assert!(head.contains("retry-after: 1"), "{head}");
}
