//! Hostile names in requests: job ids that are paths, hosts that are not this one.

use crate::support::{
    certificates::Authority,
    files,
    forge::program,
    h2::{self, H2Connection, frame},
    handmade::Handmade,
    raw::{exchange, request},
    server::Setup,
    tls::TlsConnection,
    wait::{PATIENCE, eventually},
};
use reqwest::Method;
use scanwatch::api::routes::resources;
use serde_json::json;

/// Ids that must never become a part of a path.
const IDS: &[&str] = &[
    "..",
    "%2e%2e",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "%2fetc%2fpasswd",
    "..%5c..%5cetc%5cpasswd",
    "..%00",
    "%00",
    "etc%2fpasswd%00.json",
    "%c0%ae%c0%ae%c0%afetc%c0%afpasswd",
    "%252e%252e%252fetc%252fpasswd",
    ".staging",
    ".lock",
    "~root",
    "%ff%fe",
];

/// Whether the system calls of a process can be traced. Prints why not.
fn can_trace() -> bool {
    let tried = program("strace").args(["-D", "-o", "/dev/null", "true"]).output();
    let may = tried.as_ref().is_ok_and(|output| output.status.success());
    if !may {
        #[expect(clippy::print_stderr, reason = "why a test has tested nothing")]
        {
            eprintln!("skipped: no calls can be watched here: {tried:?}");
        }
    }
    may
}

/// Breaks if a part of a request's path reaches the file system before it is checked to be an id.
#[tokio::test]
async fn hostile_ids_open_nothing() {
    if !can_trace() {
        return;
    }
    let setup = Setup::new().shell("echo a word\nsay completed\n");
    let trace = setup.folder().join("trace");
    let server = setup
        .launched_by(&[
            "strace",
            "-D",
            "-f",
            "-qq",
            "-s",
            "20000",
            "-e",
            "trace=%file",
            "-o",
            trace.to_str().unwrap(),
        ])
        // Periodic work is not an answer to a request.
        .set("watch.resync_interval_secs", 3600)
        .start()
        .await;
    let job = server.submit("widget").await;
    server.finished(&job).await;
    // Checks that opened files are seen at all.
    server.get(&format!("/scan/{job}/repositories/0/log")).await.expect(200);
    let log_file = server.scanner_log(&job, 0).display().to_string();
    eventually("the log's opening is seen", async || files::text(&trace).contains(&log_file)).await;
    eventually("its shim has gone", async || server.shim(&job, 0).is_none()).await;

    let mark = files::text(&trace).len();
    let long = "a".repeat(10_000);
    for route in resources().into_iter().flat_map(|resource| resource.routes) {
        if !route.path.contains("{id}") {
            continue;
        }
        for id in IDS.iter().copied().chain([long.as_str()]) {
            let target = route.path.replace("{id}", id).replace("{n}", "0");
            let request = request(route.method.as_str(), &target);
            let answer = exchange(server.address(), &request, PATIENCE).await.expect(&target);
            assert!((400..500).contains(&answer.status), "{route:?} {id:.40}: {answer:?}");
        }
        // A repository's number is a name too.
        if route.path.contains("{n}") && route.method == Method::GET {
            for number in ["..", "%2e%2e%2f0", "-1", "0%00", "0%2f..%2f0", "99999999999999999999"] {
                let target = route.path.replace("{id}", &job).replace("{n}", number);
                let request = request("GET", &target);
                let answer = exchange(server.address(), &request, PATIENCE).await.expect(&target);
                assert!((400..500).contains(&answer.status), "{target}: {answer:?}");
            }
        }
    }
    // All of it is written once this is.
    server.get(&format!("/scan/{job}/repositories/0/log")).await.expect(200);
    eventually("the last opening is seen", async || {
        files::text(&trace)[mark..].contains(&log_file)
    })
    .await;
    let jobs = format!("\"{}", server.setup().jobs().display());
    // Leftovers of killed processes are swept every few seconds, whatever is requested.
    let swept = format!("{jobs}/.staging\"");
    let text = files::text(&trace);
    let seen: Vec<&str> = text[mark..].lines().filter(|line| !line.contains(&swept)).collect();
    let seen = seen.join("\n");
    // fstat of a descriptor has the name "".
    let names = seen.lines().filter(|line| line.contains('"') && !line.contains(", \"\","));
    let elsewhere: Vec<_> = names.filter(|line| !line.contains(&jobs)).collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
    for word in ["passwd", "/..", &long[..300], ".staging", "~root"] {
        assert!(!seen.contains(word), "{word} in {seen}");
    }
}

/// Breaks if an open server answers a page whose name was made to point at it, wherever in the
/// request the name is given.
#[tokio::test]
async fn a_foreign_host_is_refused_wherever_it_is_named() {
    let authority = Authority::new();
    let plain = Setup::new().start().await;
    let tls = Setup::new().with_tls(&authority).start().await;
    for (head, fine) in [
        ("GET /health HTTP/1.1\r\nHost: evil.example", false),
        ("GET /health HTTP/1.1\r\nHost: evil.example:8000", false),
        ("GET /health HTTP/1.1\r\nHost: 127.0.0.1.evil.example", false),
        ("GET /health HTTP/1.1\r\nHost: localhost.evil.example", false),
        ("GET http://evil.example/health HTTP/1.1\r\nHost: evil.example", false),
        ("GET http://evil.example/health HTTP/1.1\r\nHost: 127.0.0.1", false),
        ("GET http://127.0.0.1/health HTTP/1.1\r\nHost: evil.example", false),
        ("GET /health HTTP/1.1\r\nHost: evil.example\r\nHost: 127.0.0.1", false),
        ("GET /health HTTP/1.1\r\nHost: 127.0.0.1@evil.example", false),
        ("GET /health HTTP/1.1\r\nHost: localhost", true),
    ] {
        let bytes = format!("{head}\r\nConnection: close\r\n\r\n");
        let answer = exchange(plain.address(), bytes.as_bytes(), PATIENCE).await.expect(head);
        assert_eq!(answer.status == 200, fine, "{head}: {answer:?}");
        assert!(fine || matches!(answer.status, 400 | 403 | 421), "{head}: {answer:?}");
    }
    let evil = "/health HTTP/1.1\r\nHost: evil.example\r\nX:";
    let mut line =
        TlsConnection::open(tls.address(), &authority.pem(), &["http/1.1"]).await.unwrap();
    // The hand-written request has a host of its own after this one.
    let heard = line.ask(evil, "}").await;
    assert!(!heard.starts_with("HTTP/1.1 200"), "{heard}");

    let mut line = H2Connection::open(plain.address(), &[]).await;
    for (stream, host, more, fine) in [
        (1, "evil.example", None, false),
        (3, "127.0.0.1", Some(("host", "evil.example")), false),
        (5, "evil.example", Some(("host", "127.0.0.1")), false),
        (7, "127.0.0.1", None, true),
    ] {
        let own =
            [(":method", "GET"), (":scheme", "http"), (":authority", host), (":path", "/health")];
        let block: Vec<_> = own
            .into_iter()
            .chain(more)
            .flat_map(|(name, value)| h2::literal(0, name, value))
            .collect();
        let flags = h2::END_STREAM | h2::END_HEADERS;
        line.send(&frame(h2::HEADERS, flags, stream, &block)).await.unwrap();
        let answer = line.next_of(h2::HEADERS, stream).await.expect("an answer");
        // 0x88 is `:status: 200`, complete (RFC 7541, appendix A).
        assert_eq!(answer.payload[0] == 0x88, fine, "{host} {more:?}: {answer:?}");
    }
}

/// Breaks if what a stranger sends, or a third-party scanner writes, gets into the operator's log,
/// where it could forge lines or send terminal commands.
#[tokio::test]
async fn hostile_text_does_not_get_into_the_log() {
    let forged = "\n2026-01-01T00:00:00.000000Z  INFO forged\u{1b}[2J\u{9b}2J\r\n";
    let escaped = "%0a2026-01-01T00:00:00.000000Z%20%20INFO%20forged%1b%5b2J";
    for format in ["text", "json"] {
        let server = Setup::new()
            .set("log.level", "\"trace\"")
            .set("log.format", format!("\"{format}\""))
            .start()
            .await;
        let job = Handmade::new(&server, 1);
        for document in [
            json!({ "repo_index": 0, "repo_name": forged, "status": forged, "message": forged }),
            json!({ "repo_index": 0, "repo_name": forged, "status": "failed", "error_message": forged }),
        ] {
            files::replace(&job.folder.join("repo_0.json"), document.to_string());
            files::replace(&job.folder.join("repo_1.json"), format!("{{{forged}"));
            job.known(&server).await;
        }
        for body in [
            json!({ "git_url": format!("https://github.com/a/{forged}.git") }),
            json!({ "git_url": "https://github.com/a/b.git", "ref": forged }),
            json!({ "git_url": "https://github.com/a/b.git", "include": [forged] }),
        ] {
            let status = server.post("/scan", &body).await.status;
            assert!(matches!(status, 200 | 400 | 422), "{body}: {status}");
        }
        let path = format!("/scan/{escaped}");
        server.get(&path).await.expect(404);
        for bytes in [
            format!("GET /scan/x{forged} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
            format!("GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {forged}\r\n\r\n"),
            format!("GET /livez HTTP/1.1\r\nHost: {forged}\r\n\r\n"),
        ] {
            let _ = exchange(server.address(), bytes.as_bytes(), PATIENCE).await;
        }
        let log = server.setup().log();
        assert!(!log.contains("forged"), "{log}");
        let obeyed = log.chars().find(|character| character.is_control() && *character != '\n');
        assert_eq!(obeyed, None, "{log:?}");
    }
}
