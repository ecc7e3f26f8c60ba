//! Which clients can use the service by TLS, and what `serve` and the service report about it.

use crate::support::{
    certificates::Authority,
    forge::program,
    raw::{self, exchange},
    server::{Setup, TestServer},
    sse::EventStream,
    tls::TlsConnection,
    wait::PATIENCE,
};
use serde_json::{Value, json};
use std::process::Output;

async fn curl(server: &TestServer, arguments: &[&str], path: &str) -> Output {
    let mut command = program("curl");
    command.args(["-sS", "--cacert"]).arg(server.setup().authority_file()).args(arguments);
    command.args(["-w", " %{http_version}"]).arg(server.url(path));
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

/// Breaks if a version of TLS or HTTP that clients have is not spoken, or if an obsolete one is.
#[tokio::test]
async fn curl_works_with_each_version_of_tls_and_http() {
    let server = Setup::new().with_tls(&Authority::new()).start().await;
    for (arguments, http) in [
        (&[][..], "2"),
        (&["--http1.1"], "1.1"),
        (&["--tlsv1.3"], "2"),
        (&["--tls-max", "1.2"], "2"),
        (&["--tls-max", "1.2", "--http1.1"], "1.1"),
        (&["--no-alpn"], "1.1"),
    ] {
        let Output { status, stdout, stderr } = curl(&server, arguments, "/livez").await;
        let (stdout, stderr) =
            (String::from_utf8(stdout).unwrap(), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "{arguments:?}: {stderr}");
        assert_eq!(stdout, format!("{{\"status\":\"ok\"}} {http}"), "{arguments:?}");
    }
    let old =
        curl(&server, &["--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0"], "/livez").await;
    assert!(!old.status.success(), "TLS 1.1: {old:?}");
}

/// Breaks if submitting, following or a WebSocket do not work over TLS, or if the service does not
/// say where it is.
#[tokio::test]
async fn a_scan_is_submitted_and_followed_to_its_end() {
    let setup = Setup::new().user("operator", "s3cret").shell("say scanning\nsay completed\n");
    let authority = Authority::new();
    let server = setup.with_tls(&authority).start().await;
    let log = server.setup().log();
    assert!(log.contains(&format!("listens on {}\n", server.url(""))), "{log}");
    assert!(log.contains(&format!("{}/scan --json", server.url(""))), "{log}");

    let job = server.submit("widget").await;
    let events = EventStream::open(&server, &format!("/scan/{job}/events")).await;
    let events = {
        let mut stream = events;
        stream.rest(PATIENCE).await
    };
    assert_eq!(events.last().unwrap().name, "end");
    // By HTTP/2, with a body and credentials.
    let body = json!({ "git_url": "https://github.com/acme/second.git" }).to_string();
    let arguments =
        ["-u", "operator:s3cret", "-H", "Content-Type: application/json", "-d", body.as_str()];
    let answer = curl(&server, &arguments, "/scan").await;
    let text = String::from_utf8(answer.stdout).unwrap();
    let answer: Value = serde_json::from_str(text.strip_suffix(" 2").expect(&text)).unwrap();
    server.finished(answer["job_id"].as_str().unwrap()).await;

    let health = server.get("/health").await.expect(200).json();
    assert_eq!(health["status"], "healthy", "{health:#}");
    assert!(
        health["tls"]["not_after"].as_str().is_some_and(|text| text.ends_with('Z')),
        "{health:#}"
    );
    let metrics = server.get("/metrics").await.expect(200).text;
    assert!(metrics.contains("\nscanwatch_tls_certificate_not_after_seconds "), "{metrics}");

    let mut line =
        TlsConnection::open(server.address(), &authority.pem(), &["http/1.1"]).await.unwrap();
    let upgrade = format!(
        "/scan/{job}/ws HTTP/1.1\r\nAuthorization: Basic b3BlcmF0b3I6czNjcmV0\r\n\
         Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nX:"
    );
    let heard = line.ask(&upgrade, "\"event\":\"end\"").await;
    assert!(heard.starts_with("HTTP/1.1 101"), "{heard}");
}

/// Breaks if a user who forgets the s of https gets no explanation.
#[tokio::test]
async fn plain_http_is_told_to_use_tls() {
    let server = Setup::new().with_tls(&Authority::new()).start().await;
    for request in [raw::request("GET", "/livez"), vec![b'P'; 100_000]] {
        let answer = exchange(server.address(), &request, PATIENCE).await.expect("an answer");
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.body.contains("HTTPS") && answer.body.contains("https://"), "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    let plain = Setup::new().start().await;
    let health = plain.get("/health").await.expect(200).json();
    assert_eq!(health.get("tls"), Some(&Value::Null), "{health:#}");
}
