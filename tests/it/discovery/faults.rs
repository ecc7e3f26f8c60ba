//! Forges that fail temporarily or permanently.

use super::{Settings, lines};
use crate::support::forge::{Fault, Forge};

fn forge(faults: &[Fault]) -> Forge {
    let forge = Forge::start();
    forge.group(&["acme/a", "acme/b"]);
    forge.listing().page_size = 1;
    forge.listing().faults = faults.to_vec().into();
    forge
}

fn status(code: u16, headers: &str) -> Fault {
    Fault::Status(code, headers.to_owned())
}

fn acme(forge: &Forge) -> String {
    format!("{}/acme", forge.base())
}

/// Breaks if a temporary failure, or a requested pause, fails a whole group.
#[tokio::test]
async fn temporary_failures_are_retried() {
    let now = "Retry-After: 0\r\n";
    let used_up = "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 1\r\n";
    let passing = [
        // Three failures for the first page.
        status(429, now),
        status(503, "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n"),
        status(403, used_up),
        // The page, and a retry after a pause without a request of the forge.
        Fault::Next("/api/v4/groups/acme/projects?page=2".to_owned()),
        Fault::Torn,
    ];
    let forge = forge(&passing);
    let plan = Settings::of(&forge, "gitlab").group(&acme(&forge)).await;
    assert_eq!(lines(&plan), ["0 a", "1 b"]);
    assert_eq!(forge.listing().asked.len(), 6);
}

/// Breaks if a permanent failure is retried forever, or if the error does not name the request and
/// the answer.
#[tokio::test]
async fn a_failure_that_persists_is_an_error_after_four_attempts() {
    let forge = forge(&vec![status(503, "Retry-After: 0\r\n"); 9]);
    let error = Settings::of(&forge, "gitlab").error(&acme(&forge)).await;
    let asked = format!("{}/api/v4/groups/acme/projects answers 503 after 4 attempt", forge.base());
    assert!(error.contains(&asked), "{error}");
    assert_eq!(forge.listing().asked.len(), 4);
}

/// Breaks if a forge can delay a job for an hour.
#[tokio::test]
async fn a_requested_pause_that_is_too_long_is_an_error() {
    for headers in
        ["Retry-After: 3600\r\n", "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 99999999999\r\n"]
    {
        let forge = forge(&[status(429, headers)]);
        let error = Settings::of(&forge, "gitlab").error(&acme(&forge)).await;
        assert!(error.contains("reached (429), it requests a pause of "), "{error}");
        assert_eq!(forge.listing().asked.len(), 1);
    }
}

/// Breaks if a permanent failure is retried, or treated as a list.
#[tokio::test]
async fn permanent_failures_are_reported_at_once() {
    for (fault, said) in [
        (status(418, ""), "answers 418"),
        (status(403, ""), "requires a token (403)"),
        (status(302, "Location: http://127.0.0.1:1/\r\n"), "redirects to another URL"),
        (Fault::HalfJson, "not JSON"),
        (Fault::Body("{\"message\": \"hello\"}".to_owned()), "not a list"),
        (Fault::Body("[".repeat(100_000)), "not JSON"),
    ] {
        let forge = forge(&[fault]);
        let error = Settings::of(&forge, "gitlab").error(&acme(&forge)).await;
        assert!(error.contains(said), "{error}");
        assert_eq!(forge.listing().asked.len(), 1, "{error}");
    }
}

/// Breaks if a list that disappears while its pages are read counts as complete.
#[tokio::test]
async fn a_missing_page_is_an_error() {
    let next = "/api/v4/nowhere".to_owned();
    let forge = forge(&[Fault::Next(next)]);
    let error = Settings::of(&forge, "gitlab").error(&acme(&forge)).await;
    assert!(error.contains("/api/v4/nowhere (page 2) answers 404"), "{error}");
}

/// Breaks if a list can be endless.
#[tokio::test]
async fn an_endless_list_is_an_error() {
    let forge = forge(&[]);
    forge.listing().endless = true;
    let settings = Settings::of(&forge, "gitlab").set("discovery.max_pages", 7);
    let error = settings.error(&acme(&forge)).await;
    assert!(error.contains("more than 7 pages"), "{error}");
    assert_eq!(forge.listing().asked.len(), 7);

    let first = forge.listing().asked[0].clone();
    forge.listing().faults = vec![Fault::Next(first)].into();
    let error = settings.error(&acme(&forge)).await;
    assert!(error.contains("a page that was already read"), "{error}");
}

/// Breaks if the size of an answer is not limited.
#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let forge = forge(&[Fault::Body(format!("[\"{}\"]", "x".repeat(10_000)))]);
    let settings = Settings::of(&forge, "gitlab").set("discovery.max_answer_bytes", 9_999);
    let error = settings.error(&acme(&forge)).await;
    assert!(error.contains("more than 9999 bytes"), "{error}");
}

/// Breaks if a silent or slow forge blocks a job forever.
#[tokio::test]
async fn a_silent_forge_is_an_error_after_the_timeout() {
    let forge = forge(&[Fault::Silence]);
    let settings = Settings::of(&forge, "gitlab").set("discovery.answer_timeout_secs", 1);
    let error = settings.error(&acme(&forge)).await;
    assert!(error.contains("no complete answer") && error.contains("within 1 s"), "{error}");

    forge.listing().faults = vec![Fault::Torn; 9].into();
    let settings = Settings::of(&forge, "gitlab").set("discovery.timeout_secs", 1);
    let error = settings.error(&acme(&forge)).await;
    assert!(error.contains("no page from") && error.contains("within 1 s"), "{error}");
}

/// Breaks if the error does not name an unreachable forge.
#[tokio::test]
async fn an_unreachable_forge_is_named() {
    let gone = Forge::start();
    let (settings, url) = (Settings::of(&gone, "gitlab"), acme(&gone));
    drop(gone);
    let error = settings.error(&url).await;
    assert!(
        error.contains("cannot be reached after 4 attempt") && error.contains("refused"),
        "{error}"
    );
}
