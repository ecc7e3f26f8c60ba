//! Behind a proxy: whose failed logins count, and what a path prefix changes.

use crate::support::server::{Answer, Setup, TestServer};
use reqwest::Method;
use serde_json::json;

/// A request as a proxy on this machine passes it on.
async fn login(server: &TestServer, password: &str, header: (&str, &str)) -> Answer {
    let request = server.without_credentials(Method::GET, "/health");
    let request = request.basic_auth("operator", Some(password)).header(header.0, header.1);
    server.send(request).await
}

async fn lock_out(server: &TestServer, header: (&str, &str)) {
    for _ in 0..10 {
        login(server, "wrong", header).await.expect(401);
    }
    login(server, "right", header).await.expect(429);
}

/// Breaks if the failed logins of one client behind a proxy lock the others out, or if the log does
/// not say which client it was.
#[tokio::test]
async fn a_trusted_proxy_names_the_client() {
    let setup = Setup::new().user("operator", "right");
    let server = setup.set("server.trusted_proxies", "[\"127.0.0.1\"]").start().await;
    let from = ("x-forwarded-for", "6.6.6.6, 192.0.2.7");
    lock_out(&server, from).await;
    let log = server.setup().log();
    assert!(log.contains("peer=192.0.2.7") && !log.contains("6.6.6.6"), "{log}");
    login(&server, "right", ("x-forwarded-for", "192.0.2.8")).await.expect(200);
    // The same client, named by another proxy.
    login(&server, "wrong", ("forwarded", "for=192.0.2.7;proto=https")).await.expect(429);
}

/// Breaks if a client that no proxy stands in front of names its own address: then it may guess for
/// ever.
#[tokio::test]
async fn an_untrusted_peer_names_nobody() {
    let server = Setup::new().user("operator", "right").start().await;
    for host in 0..10 {
        let claimed = format!("192.0.2.{host}");
        login(&server, "wrong", ("x-forwarded-for", &claimed)).await.expect(401);
    }
    login(&server, "right", ("x-forwarded-for", "192.0.2.99")).await.expect(429);
    assert!(server.setup().log().contains("peer=127.0.0.1"));
}

/// Breaks if links lose the prefix under which a proxy serves the server.
#[tokio::test]
async fn links_begin_with_the_public_url() {
    let root = "https://example.com/tools/scanwatch";
    let setup = Setup::new().shell("say completed\n");
    let setup = setup.set("server.public_url", json!(format!("{root}/")));
    let server = setup.set("server.dashboard", false).start().await;
    let url = json!({ "git_url": "https://github.com/acme/widget.git" });
    let answer = server.post("/scan", &url).await.expect(200);
    let job = answer.json()["job_id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), Some(format!("{root}/scan/{job}").as_str()));
    server.finished(&job).await;
    let results = server.get(&format!("/jobs/{job}/results")).await.expect(200).json();
    assert_eq!(results["packages_url"], format!("{root}/scan/{job}/repositories/0/packages"));
    let document = server.get("/openapi.json").await.expect(200).json();
    assert_eq!(document["servers"][0]["url"], root);
    let home = server.get("/").await.expect(302);
    assert_eq!(home.header("location"), Some(format!("{root}/docs").as_str()));
    assert!(server.setup().log().contains(&format!("{root}/docs")), "the banner names it");
}
