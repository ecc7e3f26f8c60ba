//! gzip: on request, for documents that are kept in memory, and for nothing else.

use crate::support::{
    handmade::Handmade,
    server::{Setup, TestServer},
    wait::eventually,
};
use flate2::read::GzDecoder;
use reqwest::{Method, header::HeaderMap};
use std::io::Read;

struct Got {
    status: u16,
    headers: HeaderMap,
    bytes: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|header| header.to_str().unwrap())
    }

    /// The decompressed bytes; they must be gzip.
    fn unpacked(&self) -> String {
        assert_eq!(self.header("content-encoding"), Some("gzip"), "{:?}", self.headers);
        let mut text = String::new();
        GzDecoder::new(&self.bytes[..]).read_to_string(&mut text).unwrap();
        text
    }

    /// The bytes; they must have no coding.
    fn plain(&self) -> String {
        assert_eq!(self.header("content-encoding"), None, "{:?}", self.headers);
        String::from_utf8(self.bytes.clone()).unwrap()
    }
}

/// The answer to a client that accepts these codings and has this document.
async fn get(server: &TestServer, path: &str, codings: &str, seen: Option<&str>) -> Got {
    let mut request = server.request(Method::GET, path).header("accept-encoding", codings);
    if let Some(tag) = seen {
        request = request.header("if-none-match", tag);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Got { status, headers, bytes: answer.bytes().await.unwrap().to_vec() }
}

async fn finished_job(server: &TestServer) -> Handmade {
    let job = Handmade::new(server, 8);
    for index in 0..8 {
        job.repository(index, "completed", 1000);
    }
    job.master("completed");
    eventually("the job is over", async || {
        server.get(&job.path()).await.text.contains("\"completed\":8")
    })
    .await;
    job
}

/// Breaks if a document is compressed for a client that did not ask for it, if the decompressed
/// document differs, or if a tag does not match both forms.
#[tokio::test]
async fn the_progress_document_is_compressed_on_request() {
    let server = Setup::new().user("u", "p").start().await;
    let job = finished_job(&server).await;
    let path = job.path();
    let plain = get(&server, &path, "identity", None).await;
    let packed = get(&server, &path, "br, gzip", None).await;
    assert_eq!(packed.unpacked(), plain.plain());
    assert!(packed.bytes.len() * 2 < plain.bytes.len(), "{}", packed.bytes.len());
    for got in [&plain, &packed] {
        assert_eq!(got.header("content-length").unwrap(), got.bytes.len().to_string());
        assert_eq!(got.header("vary"), Some("accept-encoding"));
        assert_eq!(got.header("content-type"), Some("application/json"));
        assert_eq!(got.header("x-content-type-options"), Some("nosniff"));
    }
    for codings in ["", "gzip;q=0", "gzip;q=0.5, identity", "br"] {
        assert_eq!(get(&server, &path, codings, None).await.plain(), plain.plain(), "{codings}");
    }
    // The tag is weak, so it matches both.
    assert_eq!(packed.header("etag"), plain.header("etag"));
    for codings in ["gzip", "identity"] {
        let known = get(&server, &path, codings, plain.header("etag")).await;
        assert_eq!((known.status, known.plain().as_str()), (304, ""));
        assert_eq!(known.header("vary"), Some("accept-encoding"));
    }
    let head = server.request(Method::HEAD, &path).header("accept-encoding", "gzip");
    let head = head.send().await.unwrap();
    assert_eq!(head.headers()["content-length"], packed.headers["content-length"]);

    let summary = get(&server, &format!("{path}?view=summary"), "gzip", None).await;
    assert!(summary.plain().len() < 1024, "not worth it");
}

/// Breaks if a cached compressed document is still sent after the job has changed.
#[tokio::test]
async fn a_compressed_document_is_the_newest_version() {
    let server = Setup::new().start().await;
    let job = Handmade::new(&server, 8);
    job.known(&server).await;
    for status in ["cloning", "scanning", "analyzing"] {
        for index in 0..8 {
            job.repository(index, status, 1);
        }
        let newest = format!("\"status\":\"{status}\"");
        eventually("the newest version is sent to both", async || {
            let packed = get(&server, &job.path(), "gzip", None).await;
            let plain = get(&server, &job.path(), "identity", None).await.plain();
            packed.headers.contains_key("content-encoding")
                && [packed.unpacked(), plain].iter().all(|text| text.matches(&newest).count() >= 8)
        })
        .await;
    }
}

/// Breaks if two forms share a strong tag, or if the page loses the policy that it needs.
#[tokio::test]
async fn built_in_files_have_a_tag_for_each_form() {
    let server = Setup::new().start().await;
    for path in ["/openapi.json", "/docs/style.css", "/docs/script.js"] {
        let plain = get(&server, path, "identity", None).await;
        let packed = get(&server, path, "gzip", None).await;
        assert_eq!(packed.unpacked(), plain.plain(), "{path}");
        let (plain_tag, packed_tag) = (plain.header("etag"), packed.header("etag"));
        assert_ne!(plain_tag, packed_tag, "{path}");
        for name in ["content-type", "content-security-policy", "vary"] {
            assert_eq!(plain.header(name), packed.header(name), "{path} {name}");
        }
        for (codings, seen, status) in [
            ("gzip", packed_tag, 304),
            ("identity", plain_tag, 304),
            ("gzip", plain_tag, 200),
            ("identity", packed_tag, 200),
        ] {
            assert_eq!(get(&server, path, codings, seen).await.status, status, "{path} {codings}");
        }
    }
    let page = get(&server, "/docs", "gzip", None).await;
    assert!(page.plain().len() < 1024, "not worth it");
    assert!(page.header("content-security-policy").unwrap().contains("script-src 'self'"));
}

/// Breaks if a stream, or an answer that is generated while it is sent, is compressed.
#[tokio::test]
async fn streams_are_never_compressed() {
    let server = Setup::new().start().await;
    let job = finished_job(&server).await;
    let stream = get(&server, &job.stream(), "gzip", None).await;
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("vary"), None);
    assert!(stream.plain().contains("event: end"));
    let list = get(&server, &format!("{}/repositories", job.path()), "gzip", None).await;
    assert!(list.plain().contains("part-7"));
}
