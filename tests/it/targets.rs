//! Every form of a request target (RFC 9112, section 3.2), by every method and version, with
//! credentials and without: there is an answer, it is a client error, and nothing panics.

use crate::support::{
    h2::{self, H2Connection, frame},
    raw::{RawAnswer, exchange},
    server::{Setup, TestServer},
    wait::PATIENCE,
};
use futures_util::{StreamExt, stream};

const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "FOO"];

/// Targets that have no path, or none that begins with a slash.
const WITHOUT_PATH: [&str; 8] =
    ["a:1", "a", "127.0.0.1:80", "[::1]:1", "a.example:443", "scan", "x@a:1", "%41:1"];

/// The other forms, and invalid ones.
const OTHERS: [&str; 22] = [
    "/",
    "/livez",
    "/health?x=y",
    "/scan",
    "/scan/x/ws",
    "/jobs/",
    "//",
    "//livez",
    "/%00/%ff",
    "/..;/livez",
    "http://127.0.0.1",
    "http://127.0.0.1/livez",
    "http://127.0.0.1?x=y",
    "HTTP://127.0.0.1/scan",
    "ftp://127.0.0.1/livez",
    "http://",
    "http:///livez",
    "?x=y",
    "#x",
    "a:b:c",
    ":1",
    "mailto:x",
];

const RIGHT: &str = "Authorization: Basic dTpw\r\n";
const WRONG: &str = "Authorization: Basic dTpx\r\n";

async fn ask(server: &TestServer, head: &str, more: &str) -> RawAnswer {
    let request = format!("{head}\r\nHost: 127.0.0.1\r\n{more}Connection: close\r\n\r\n");
    let answer = exchange(server.address(), request.as_bytes(), PATIENCE).await;
    answer.unwrap_or_else(|| panic!("no answer: {head}"))
}

/// Breaks if a request can make a route panic, or is answered as a server error: either costs a
/// connection and a backtrace in the log for a few bytes from anyone.
#[tokio::test]
async fn every_target_gets_an_answer_and_no_panic() {
    let closed = Setup::new().user("u", "p").start().await;
    let open = Setup::new().start().await;
    let mut asked = Vec::new();
    for method in METHODS {
        for version in ["1.0", "1.1"] {
            for target in WITHOUT_PATH.iter().chain(&OTHERS).chain(&["*"]) {
                for (server, more) in [(&closed, ""), (&closed, RIGHT), (&open, "")] {
                    asked.push((server, method, *target, version, more));
                }
            }
        }
    }
    // Few guesses: they are counted.
    asked.extend(WITHOUT_PATH.map(|target| (&closed, "CONNECT", target, "1.1", WRONG)));
    let count = asked.len();
    let judge = async |(server, method, target, version, more): (&TestServer, _, &str, _, _)| {
        let head = format!("{method} {target} HTTP/{version}");
        let answer = ask(server, &head, more).await;
        let is_malformed = WITHOUT_PATH.contains(&target) || (target == "*" && method != "OPTIONS");
        if is_malformed {
            assert_eq!(answer.status, 400, "{head}: {answer:?}");
        }
        assert!(answer.status < 500 && answer.status != 101, "{head}: {answer:?}");
    };
    stream::iter(asked).for_each_concurrent(16, judge).await;
    for server in [&closed, &open] {
        server.get("/health").await.expect(200);
        let log = server.setup().log();
        assert!(!log.contains("panicked"), "{log}");
        assert!(log.len() < 64 << 10, "{} bytes of log for {count} requests", log.len());
    }
}

/// The same over HTTP/2, where the target comes in parts.
#[tokio::test]
async fn every_http2_target_gets_an_answer_and_no_panic() {
    let server = Setup::new().user("u", "p").start().await;
    let some = |name: &'static str, values: &[&'static str]| -> Vec<Option<_>> {
        values.iter().map(|value| Some((name, *value))).chain([None]).collect()
    };
    let mut answered = 0;
    for method in METHODS {
        for path in some(":path", &["/livez", "/scan", "*", "", "x", "//"]) {
            for authority in some(":authority", &["127.0.0.1", "a:1", "", "u@a"]) {
                for scheme in some(":scheme", &["http", "ftp"]) {
                    let own = [Some((":method", method)), scheme, authority, path];
                    let block: Vec<u8> = own
                        .into_iter()
                        .flatten()
                        .flat_map(|(name, value)| h2::literal(0, name, value))
                        .collect();
                    let mut line = H2Connection::open(server.address(), &[]).await;
                    let flags = h2::END_STREAM | h2::END_HEADERS;
                    line.send(&frame(h2::HEADERS, flags, 1, &block)).await.unwrap();
                    // A protocol parser may also refuse the stream, or the connection.
                    let mut answer = None;
                    while let Some(heard) = line.next().await {
                        if heard.stream == 1 && heard.kind == h2::HEADERS {
                            answer = Some(heard);
                            break;
                        }
                        if heard.kind == h2::GOAWAY || heard.kind == h2::RST_STREAM {
                            break;
                        }
                    }
                    let Some(answer) = answer else { continue };
                    answered += 1;
                    // 0x8e is `:status: 500`, 0x8c is 400 (RFC 7541, appendix A).
                    let status = answer.payload[0];
                    assert_ne!(status, 0x8e, "{own:?}");
                    if path.is_none() {
                        assert_eq!(status, 0x8c, "{own:?}: {answer:?}");
                    }
                }
            }
        }
    }
    assert!(answered > 50, "{answered} of them were answered");
    let log = server.setup().log();
    assert!(!log.contains("panicked"), "{log}");
    assert!(log.len() < 64 << 10, "{} bytes of log", log.len());
}

/// Breaks if a request is served that two programs could read as two different ones.
#[tokio::test]
async fn a_request_with_two_hosts_or_an_unread_coding_is_refused() {
    let server = Setup::new().start().await;
    let livez = "GET /livez HTTP/1.1\r\n";
    let post = "POST /scan HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n";
    for (request, status) in [
        (format!("{livez}Host: 127.0.0.1\r\n\r\n"), 200),
        (format!("{livez}\r\n"), 400),
        (format!("{livez}Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n\r\n"), 400),
        (format!("{livez}Host:\r\n\r\n"), 400),
        (format!("{livez}Host: a b\r\n\r\n"), 400),
        (format!("{livez}Host: u@127.0.0.1\r\n\r\n"), 400),
        (format!("{livez}Host: 127.0.0.1:x\r\n\r\n"), 400),
        // What a health check may send.
        ("GET /livez HTTP/1.0\r\n\r\n".to_owned(), 200),
        ("GET /livez HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(), 400),
        ("GET http://a/livez HTTP/1.1\r\nHost: b\r\n\r\n".to_owned(), 400),
        (format!("{post}Content-Length: 2\r\n\r\n{{}}"), 422),
        (format!("{post}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{{}}"), 415),
        (format!("{post}Content-Encoding: identity\r\nContent-Length: 2\r\n\r\n{{}}"), 422),
        (format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"), 501),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"), 422),
    ] {
        let answer = exchange(server.address(), request.as_bytes(), PATIENCE).await;
        let answer = answer.unwrap_or_else(|| panic!("no answer: {request}"));
        assert_eq!(answer.status, status, "{request}: {answer:?}");
        if matches!(status, 400 | 501) {
            let close = answer.header("connection");
            assert_eq!(close, Some("close"), "what follows may be anything: {answer:?}");
        }
    }
}

/// Breaks if a name that is stored and shown can hide characters, or reverse the direction of
/// others.
#[tokio::test]
async fn texts_of_a_submission_have_no_invisible_characters() {
    let server = Setup::new().start().await;
    let url = "https://github.com/acme/widget.git";
    for c in ['\u{202e}', '\u{2066}', '\u{200b}', '\u{ad}', '\u{feff}', '\u{e0041}', '\u{7f}'] {
        let text = format!("ma{c}in");
        for body in [
            serde_json::json!({ "git_url": url, "ref": text }),
            serde_json::json!({ "git_url": url, "include": [text] }),
            serde_json::json!({ "git_url": url, "exclude": [text] }),
        ] {
            let answer = server.post("/scan", &body).await.expect(422).json();
            assert_eq!(answer["detail"][0]["type"], "value_error", "{body}: {answer:#}");
        }
        let body = serde_json::json!({ "git_url": format!("https://github.com/acme/w{c}.git") });
        server.post("/scan", &body).await.expect(400);
    }
    for reference in ["main", "größer/中文"] {
        server.submit_with(&serde_json::json!({ "git_url": url, "ref": reference })).await;
    }
}

/// Breaks if an invalid number of lines is ignored.
#[tokio::test]
async fn an_invalid_number_of_tail_lines_is_refused() {
    let server = Setup::new().shell("echo one; say completed").start().await;
    let job = server.submit("widget").await;
    server.finished(&job).await;
    let log = format!("/scan/{job}/repositories/0/log");
    for tail in ["-1", "-9223372036854775808", "1.5", "x", "", "1e3", "99999999999999999999"] {
        for more in ["", "&follow=true"] {
            server.get(&format!("{log}?tail={tail}{more}")).await.expect(400);
        }
    }
    server.get(&format!("{log}?tail=18446744073709551615")).await.expect(200);
}
