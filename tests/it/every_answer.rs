//! What all answers have in common: the whole table of routes is requested, with every kind of
//! refusal.

use crate::support::{
    certificates::Authority,
    raw::{exchange, request},
    server::{Setup, TestServer},
    wait::{PATIENCE, until},
};
use reqwest::{Method, Response, header::HeaderMap};
use scanwatch::api::routes::resources;
use serde_json::json;
use std::collections::BTreeMap;

const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
/// SECURITY's own words.
const PAGE_POLICY: [&str; 7] = [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "connect-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'",
];

/// What is wrong with the headers of an answer, if anything.
fn wrong(headers: &HeaderMap) -> Option<String> {
    let header =
        |name: &str| headers.get(name).and_then(|header| header.to_str().ok()).unwrap_or("");
    let kind = header("content-type");
    // The policy of a script is that of a worker that runs it.
    let is_page = kind.starts_with("text/html") || kind.starts_with("text/javascript");
    let policy = header("content-security-policy");
    let has_policy = if is_page {
        PAGE_POLICY.iter().all(|directive| policy.split("; ").any(|own| own == *directive))
            && !policy.contains("unsafe")
    } else {
        policy == DATA_POLICY
    };
    let fine = has_policy
        && header("x-content-type-options") == "nosniff"
        && header("referrer-policy") == "no-referrer"
        && header("cross-origin-resource-policy") == "same-origin"
        && !header("cache-control").is_empty()
        // The server's identity is only for clients that may read /health.
        && !headers.contains_key("server")
        && !headers.contains_key("x-powered-by")
        && !headers.keys().any(|header| header.as_str().starts_with("access-control-"));
    (!fine).then(|| format!("{headers:#?}"))
}

/// Sends a request, and judges the answer by its headers and, where it ends, by its text.
async fn judge(server: &TestServer, request: reqwest::RequestBuilder, asked: &str) -> (u16, bool) {
    let answer: Response = request.send().await.unwrap();
    let status = answer.status().as_u16();
    assert_eq!(wrong(answer.headers()), None, "{asked} -> {status}");
    let kind =
        answer.headers().get("content-type").and_then(|header| header.to_str().ok()).unwrap_or("");
    let is_page = kind.starts_with("text/html");
    if status >= 400 {
        assert_eq!(kind, "application/problem+json", "{asked} -> {status}");
        let text = answer.text().await.unwrap();
        let folder = server.folder().display().to_string();
        for leak in [folder.as_str(), "/tmp/", "src/", ".rs", "panicked", env!("CARGO_PKG_VERSION")]
        {
            assert!(!text.contains(leak), "{asked} -> {status}: {text}");
        }
    }
    (status, is_page)
}

/// Breaks if any answer, including refusals and errors, lets a browser guess its type, frame it or
/// run its content, or tells strangers about the server.
#[tokio::test]
async fn every_answer_restricts_browsers_and_reveals_nothing() {
    let server = Setup::new().user("operator", "s3cret").shell("say completed\n").start().await;
    let job = server.submit("widget").await;
    server.finished(&job).await;
    let schedule = json!({ "cron": "0 0 1 1 *", "git_url": "https://github.com/acme/a.git" });
    let stored = server.request(Method::PUT, "/schedules/nightly").json(&schedule);
    server.send(stored).await.expect(201);
    let mut statuses = BTreeMap::<u16, usize>::new();
    let mut pages = 0;
    let mut note = |(status, is_page): (u16, bool)| {
        *statuses.entry(status).or_default() += 1;
        pages += usize::from(is_page);
    };
    let mut routes: Vec<_> = resources().into_iter().flat_map(|resource| resource.routes).collect();
    // The request that removes the job comes last.
    routes.sort_by_key(|route| route.method == Method::DELETE);
    assert!(routes.len() >= 20, "{routes:?}");
    for route in &routes {
        let path = |id: &str, number: &str| {
            let path = route.path.replace("{id}", id).replace("{n}", number);
            let path = path.replace("{name}", if id == job { "nightly" } else { id });
            path.replace("{file}", "style.css")
        };
        let known = path(&job, "0");
        assert!(!known.contains('{'), "{known}");
        let ask = |path: &str| server.request(route.method.clone(), path);
        let asked = format!("{route:?}");
        for path in [path("unknown", "0"), path(&job, "99"), path("%2e%2e", "x")] {
            // The request that removes the job is sent once, at the end.
            if path != known {
                note(judge(&server, ask(&path), &asked).await);
            }
        }
        note(
            judge(&server, server.without_credentials(route.method.clone(), &known), &asked).await,
        );
        note(judge(&server, server.request(Method::PATCH, &known), &asked).await);
        let foreign = ask(&known).header("Origin", "http://evil.example");
        let removes = route.method == Method::DELETE;
        note(judge(&server, foreign, &asked).await);
        if route.method == Method::GET {
            note(judge(&server, server.request(Method::HEAD, &known), &asked).await);
            note(
                judge(&server, ask(&format!("{known}?page=x&view=x&status=x&tail=x")), &asked)
                    .await,
            );
        }
        if route.path == "/scan" {
            for body in ["", "{", "{}", r#"{"git_url": "https://evil.example/a.git"}"#] {
                let json = ask(&known).header("Content-Type", "application/json").body(body);
                note(judge(&server, json, &asked).await);
            }
            let huge = ask(&known).json(&json!({ "git_url": "x".repeat(100_000) }));
            note(judge(&server, huge, &asked).await);
            note(judge(&server, ask(&known).body("text"), &asked).await);
        }
        let answered = judge(&server, ask(&known), &asked).await;
        // Without NATS there are no agents.
        let expected = if route.path == "/agents/{name}" { 404 } else { 204 };
        assert!(!removes || answered.0 == expected, "{asked}: {answered:?}");
        note(answered);
    }
    note(judge(&server, server.request(Method::GET, "/nothing"), "nothing").await);
    for status in [200, 204, 400, 401, 403, 404, 405, 409, 413, 415, 422, 426] {
        assert!(statuses.contains_key(&status), "{status} is not among {statuses:?}");
    }
    assert!(pages > 0, "there is a page");
}

/// Breaks if answers from before HTTP parsing look different.
#[tokio::test]
async fn answers_without_a_route_look_the_same() {
    let full = Setup::new().set("server.max_connections", 1).start().await;
    let tls = Setup::new().with_tls(&Authority::new()).start().await;
    let ask = async |server: &TestServer| {
        exchange(server.address(), &request("GET", "/livez"), PATIENCE).await
    };
    let refusal = until(PATIENCE, "the one place is taken", async || {
        let _held = tokio::net::TcpStream::connect(full.address()).await.unwrap();
        ask(&full).await.filter(|answer| answer.status == 503)
    })
    .await;
    let mistake = ask(&tls).await.unwrap();
    assert_eq!(mistake.status, 400, "{mistake:?}");
    for answer in [refusal, mistake] {
        let mut headers = HeaderMap::new();
        for (name, value) in answer.head.lines().filter_map(|line| line.split_once(": ")) {
            let name = reqwest::header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        assert_eq!(wrong(&headers), None);
    }
}
