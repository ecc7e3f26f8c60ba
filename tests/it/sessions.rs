//! Browsers that sign in: a cookie in place of credentials, and what it must not be good for.

use crate::support::{
    server::{Answer, Setup, TestServer},
    sse::EventStream,
    wait::{PATIENCE, eventually},
};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

async fn server() -> TestServer {
    Setup::new().shell("say completed\n").user("operator", "s3cret").start().await
}

fn own_origin(server: &TestServer) -> String {
    format!("http://{}", server.address())
}

async fn sign_in(server: &TestServer, body: &Value, origin: Option<&str>) -> Answer {
    let request = server.without_credentials(Method::POST, "/sign-in").json(body);
    let request = match origin {
        Some(origin) => request.header("origin", origin),
        None => request,
    };
    server.send(request).await
}

/// Signs in, and returns the `Cookie` header of the session.
async fn session(server: &TestServer) -> String {
    let body = json!({ "name": "operator", "password": "s3cret" });
    let answer = sign_in(server, &body, Some(&own_origin(server))).await.expect(204);
    let cookie = answer.header("set-cookie").unwrap();
    let (pair, attributes) = cookie.split_once(';').unwrap();
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Strict");
    assert!(pair.starts_with(&format!("scanwatch_{}=", server.address().port())), "{pair}");
    pair.to_owned()
}

fn with(server: &TestServer, method: Method, path: &str, cookie: &str) -> RequestBuilder {
    server.without_credentials(method, path).header("cookie", cookie)
}

/// Breaks if another site can sign somebody in, or if a wrong password is treated differently from that of another
/// request.
#[tokio::test]
async fn only_a_page_of_this_server_signs_in_and_only_with_credentials() {
    let server = server().await;
    let right = json!({ "name": "operator", "password": "s3cret" });
    for origin in [None, Some("http://evil.example"), Some("null")] {
        let answer = sign_in(&server, &right, origin).await.expect(403);
        assert!(answer.header("set-cookie").is_none(), "{origin:?}");
    }
    let own = own_origin(&server);
    for (body, status) in [
        (json!({ "name": "operator", "password": "wrong" }), 401),
        (json!({ "name": "operator" }), 400),
        (json!({}), 400),
        (json!({ "token": "scanwatch_x" }), 401),
        (json!({ "name": 7 }), 422),
    ] {
        let answer = sign_in(&server, &body, Some(&own)).await.expect(status);
        assert!(answer.header("set-cookie").is_none(), "{body}");
    }
    for _ in 0..12 {
        sign_in(&server, &json!({ "name": "operator", "password": "wrong" }), Some(&own)).await;
    }
    sign_in(&server, &json!({ "name": "operator", "password": "wrong" }), Some(&own))
        .await
        .expect(429);
    let open = Setup::new().start().await;
    sign_in(&open, &right, Some(&own_origin(&open))).await.expect(400);
    let answer = open.get("/session").await.expect(200).json();
    assert_eq!(answer, json!({ "user": null, "scope": "admin", "open": true, "cookie": false }));
}

/// Breaks if a cookie is good for a write of another site, or on another port.
#[tokio::test]
async fn a_cookie_stands_for_credentials_and_writes_only_from_own_pages() {
    let server = server().await;
    let cookie = session(&server).await;
    let answer = server.send(with(&server, Method::GET, "/session", &cookie)).await.expect(200);
    let expected = json!({ "user": "operator", "scope": "admin", "open": false, "cookie": true });
    assert_eq!(answer.json(), expected);
    let write = || {
        let body = json!({ "git_url": "https://github.com/acme/a.git" });
        with(&server, Method::POST, "/scan", &cookie).json(&body)
    };
    server.send(write()).await.expect(403);
    server.send(write().header("origin", "http://evil.example")).await.expect(403);
    let accepted = server.send(write().header("origin", own_origin(&server))).await.expect(200);
    let job = accepted.json()["job_id"].as_str().unwrap().to_owned();
    server.finished(&job).await;
    let id = cookie.split_once('=').unwrap().1;
    for wrong in [format!("scanwatch_1={id}"), format!("{cookie}x"), "scanwatch=".to_owned()] {
        server.send(with(&server, Method::GET, "/jobs", &wrong)).await.expect(401);
    }
}

/// Breaks if anything goes on after somebody signed out.
#[tokio::test]
async fn signing_out_ends_the_session_and_its_streams() {
    let server = server().await;
    let cookie = session(&server).await;
    let followed = with(&server, Method::GET, "/events", &cookie).send().await.unwrap();
    let mut stream = EventStream::of(followed);
    stream.next_event(PATIENCE).await.expect("a snapshot");
    server
        .send(
            with(&server, Method::POST, "/sign-out", &cookie)
                .header("origin", "http://evil.example"),
        )
        .await
        .expect(403);
    let answer = server.send(with(&server, Method::POST, "/sign-out", &cookie)).await.expect(204);
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    server.send(with(&server, Method::GET, "/jobs", &cookie)).await.expect(401);
    stream.rest(PATIENCE).await;
}

/// Breaks if a browser asks for a password in a window of its own, or is not led to the page.
#[tokio::test]
async fn browsers_are_led_to_the_page_and_others_are_challenged() {
    let server = server().await;
    let ask = |path: &str, mode: Option<&'static str>| {
        let request = server.without_credentials(Method::GET, path);
        match mode {
            Some(mode) => request.header("sec-fetch-mode", mode),
            None => request,
        }
    };
    let answer = server.send(ask("/jobs", None)).await.expect(401);
    assert!(answer.header("www-authenticate").unwrap().starts_with("Basic"));
    let answer = server.send(ask("/jobs", Some("cors"))).await.expect(401);
    assert_eq!(answer.header("www-authenticate"), None);
    for (path, to) in [("/jobs", "sign-in"), ("/scan/x/repositories/0", "../../../sign-in")] {
        let answer = server.send(ask(path, Some("navigate"))).await.expect(303);
        assert_eq!(answer.header("location"), Some(to));
    }
    let answer = server.send(ask("/sign-in", Some("navigate"))).await.expect(303);
    assert_eq!(answer.header("location"), Some("./#/sign-in"));
}

/// Breaks if the filter of the list finds too little or too much, or takes nonsense for a word.
#[tokio::test]
async fn jobs_are_filtered_by_words() {
    let server = Setup::new()
        .shell("case \"$SCANWATCH_REPO_NAME\" in bad) exit 3;; esac\nsay completed\n")
        .start()
        .await;
    let good = server.submit("good").await;
    let bad = server.submit("bad").await;
    for job in [&good, &bad] {
        server.finished(job).await;
    }
    let found = async |query: &str| {
        let answer = server.get(&format!("/jobs?q={query}")).await.expect(200).json();
        let jobs = answer["jobs"].as_array().unwrap().iter();
        let ids: Vec<_> = jobs.map(|job| job["job_id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(answer["total"], ids.len());
        ids
    };
    eventually("both jobs are listed as finished", async || {
        found("status:failed").await.len() == 1
    })
    .await;
    assert_eq!(found("status:failed").await, *std::slice::from_ref(&bad));
    assert_eq!(found("name:GOOD%20forge:github").await, *std::slice::from_ref(&good));
    assert_eq!(found("acme").await, [bad.clone(), good.clone()]);
    assert!(found(&good[..13]).await.contains(&good));
    assert!(found("status:failed%20good").await.is_empty());
    assert_eq!(found("%20").await.len(), 2);
    for wrong in ["user:me", "status:odd", &"x".repeat(201)] {
        let answer = server.get(&format!("/jobs?q={wrong}")).await.expect(400);
        assert!(answer.text.contains("Invalid filter"), "{}", answer.text);
    }
    let combined = server.get(&format!("/jobs?q=acme&status=failed&job={good}")).await.expect(200);
    assert_eq!(combined.json()["total"], 0);
}
