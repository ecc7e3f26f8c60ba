//! Diagnosis: maps git's last messages to a cause that an operator can act on.
//!
//! Input: git's last lines on standard error, and what the last answer reports about rate limits.
//! Output: a [`GitError`].
//!
//! git has a single exit code (128) for all failures of a fetch, so its messages are parsed, in the
//! language that `LC_ALL=C` fixes.
//!
//! Invariants: text of the server (`remote: …`) and of the submitter (the URL) is shown but never
//! decides the cause.

use super::{GitError, progress::LastWords, reference::Reference, remote::Remote};
use crate::worker::text;
use chrono::Utc;

/// How many of the last messages are shown.
const SHOWN: usize = 4;
/// The longest message that is shown, in bytes.
const LONGEST: usize = 400;

/// git's memory was refused: `RLIMIT_AS`, or the machine has none left.
const OUT_OF_MEMORY: [&str; 3] =
    ["Out of memory", "Cannot allocate memory", "cannot allocate memory"];
/// The name of the host has no address.
const UNRESOLVABLE: &str = "Could not resolve host";
/// A proxy refused or did not reach the host, or could not be reached itself.
const PROXY: [&str; 5] = [
    "Could not resolve proxy",
    "from proxy after CONNECT",
    "CONNECT tunnel failed",
    "Proxy CONNECT aborted",
    "proxy handshake error",
];
/// No connection was established.
const NO_CONNECTION: [&str; 8] = [
    "Failed to connect",
    "Couldn't connect",
    "Connection refused",
    "Connection timed out",
    "Connection reset",
    "Empty reply from server",
    "No route to host",
    "Network is unreachable",
];
/// The connection was established and then stalled or broke.
const BROKEN_OFF: [&str; 6] =
    ["too slow", "Operation timed out", "curl 28", "curl 18", "unexpected disconnect", "early EOF"];

/// Why a fetch failed, according to git's last messages. `most` is the size limit.
pub(super) fn diagnose(
    LastWords { lines: last_words, rate_limit }: &LastWords,
    remote: &Remote,
    reference: &Reference,
    most: u64,
) -> GitError {
    let own = own_words(last_words, remote.url());
    let has = |any: &[&str]| any.iter().any(|text| own.contains(text));
    let host = remote.host();
    let said = shown(last_words);
    let code = http_code(&own);
    if let Some(proxy) = remote.proxy()
        && (code == Some(407) || has(&PROXY) || has(&NO_CONNECTION))
    {
        return GitError::Proxy { proxy, host, said };
    }
    let login = ["could not read Username", "could not read Password", "Authentication failed"];
    if code == Some(401) || has(&login) {
        return if remote.has_credentials() {
            GitError::CredentialsRefused { host, said }
        } else {
            GitError::CredentialsNeeded { host, said }
        };
    }
    if code.is_some_and(|code| rate_limit.is_reported_by(code)) {
        let pause = rate_limit.requested_pause(Utc::now());
        return GitError::Throttled { host, said, pause };
    }
    match code {
        Some(403) => return GitError::Forbidden { host, said },
        Some(404 | 410) => return GitError::RepositoryNotFound { said },
        Some(300..400) => return GitError::Redirected { host, said },
        Some(_) => return GitError::Server { host, said },
        None => {}
    }
    if has(&["repository '' not found"]) {
        return GitError::RepositoryNotFound { said };
    }
    if has(&["couldn't find remote ref", "not our ref", "no such remote ref"]) {
        return GitError::ReferenceNotFound { reference: reference.name().to_owned(), said };
    }
    if has(&["mismatched algorithms"]) {
        return GitError::ObjectFormat { said };
    }
    if is_out_of_memory(&own) {
        return GitError::OutOfMemory { said };
    }
    // RLIMIT_FSIZE.
    if has(&["signal 25", "File size limit exceeded"]) {
        return GitError::TooLarge { most };
    }
    if is_out_of_time(&own) {
        return GitError::TooMuchWork;
    }
    if has(&[UNRESOLVABLE]) {
        return GitError::Unresolvable { host, reason: said };
    }
    if has(&NO_CONNECTION) {
        return GitError::Unreachable { host, said };
    }
    if has(&["SSL", "TLS", "certificate", "gnutls"]) {
        return GitError::Tls { host, said };
    }
    if has(&BROKEN_OFF) {
        return GitError::Stalled { host, said };
    }
    if has(&["dumb http", "not valid: is this a git repository"]) {
        return GitError::NotSmart { host, said };
    }
    GitError::Failed { step: "fetch", said }
}

/// Why a call that contacts no host failed, according to its last message.
pub(super) fn diagnose_local(step: &'static str, said: String) -> GitError {
    if is_out_of_memory(&said) {
        return GitError::OutOfMemory { said };
    }
    if is_out_of_time(&said) {
        return GitError::TooMuchWork;
    }
    GitError::Failed { step, said }
}

/// `RLIMIT_CPU`, which kills a program by SIGXCPU.
fn is_out_of_time(words: &str) -> bool {
    ["signal 24", "CPU time limit exceeded"].iter().any(|text| words.contains(text))
}

fn is_out_of_memory(words: &str) -> bool {
    OUT_OF_MEMORY.iter().any(|text| words.contains(text))
}

/// The HTTP status that curl reports.
fn http_code(own_words: &str) -> Option<u16> {
    let (_, rest) = own_words.split_once("requested URL returned error: ")?;
    rest.get(..3)?.parse().ok()
}

/// git's own messages, without the submitted URL.
fn own_words(last_words: &[String], url: &str) -> String {
    let bare = url.trim_end_matches('/');
    let own: Vec<String> = last_words
        .iter()
        .filter(|line| !line.starts_with("remote: "))
        .map(|line| line.replace(&format!("{bare}/"), "").replace(bare, ""))
        .collect();
    own.join("\n")
}

fn shown(last_words: &[String]) -> String {
    let tail = &last_words[last_words.len().saturating_sub(SHOWN)..];
    if tail.is_empty() {
        return "git said nothing".to_owned();
    }
    let tail: Vec<String> = tail.iter().map(|line| text::cut(line, LONGEST)).collect();
    format!("git said: {}", tail.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::sample;
    use std::path::Path;

    fn remote(path: &str) -> Remote {
        let url = format!("https://h.example/{path}");
        Remote::of(&sample::task(Path::new("/nowhere"), &url)).unwrap()
    }

    #[track_caller]
    fn check(path: &str, words: &str, expected: &str) {
        let lines = words.lines().map(str::to_owned).collect();
        let words = LastWords { lines, ..LastWords::default() };
        let reference = Reference::parse(Some("v9")).unwrap();
        let error = diagnose(&words, &remote(path), &reference, 7);
        let debug = format!("{error:?}");
        assert_eq!(debug.split([' ', '{']).next(), Some(expected), "{debug}");
    }

    #[test]
    fn messages_of_git_map_to_causes() {
        for (words, expected) in [
            (
                "fatal: could not read Username for 'https://h.example': terminal prompts disabled",
                "CredentialsNeeded",
            ),
            (
                "fatal: unable to access 'https://h.example/a.git/': The requested URL returned error: 403",
                "Forbidden",
            ),
            ("fatal: repository 'https://h.example/a.git/' not found", "RepositoryNotFound"),
            ("fatal: couldn't find remote ref v9", "ReferenceNotFound"),
            ("fatal: remote error: upload-pack: not our ref 0123", "ReferenceNotFound"),
            (
                "fatal: unable to access 'https://h.example/a.git/': The requested URL returned error: 302",
                "Redirected",
            ),
            (
                "fatal: unable to access 'https://h.example/a.git/': server certificate verification failed. CAfile: none CRLfile: none",
                "Tls",
            ),
            (
                "fatal: unable to access 'https://h.example/a.git/': Could not resolve host: h.example",
                "Unresolvable",
            ),
            (
                "fatal: unable to access 'https://h.example/a.git/': Failed to connect to h.example port 443 after 1 ms: Couldn't connect to server",
                "Unreachable",
            ),
            (
                "error: RPC failed; curl 28 Operation too slow. Less than 1000 bytes/sec transferred the last 30 seconds\nfatal: early EOF",
                "Stalled",
            ),
            (
                "fatal: unable to access 'https://h.example/a.git/': The requested URL returned error: 503",
                "Server",
            ),
            (
                "fatal: unable to access 'https://h.example/a.git/': The requested URL returned error: 429",
                "Throttled",
            ),
            ("fatal: dumb http transport does not support shallow capabilities", "NotSmart"),
            ("fatal: mismatched algorithms: client sha1; server sha256", "ObjectFormat"),
            (
                "error: index-pack died of signal 25\nfatal: fetch-pack: invalid index-pack output",
                "TooLarge",
            ),
            ("error: index-pack died of signal 24", "TooMuchWork"),
            ("error: index-pack died of signal 9", "Failed"),
            ("fatal: Out of memory, malloc failed (tried to allocate 77 bytes)", "OutOfMemory"),
            ("fatal: mmap failed: Cannot allocate memory", "OutOfMemory"),
            ("", "Failed"),
        ] {
            check("a.git", words, expected);
        }
    }

    #[test]
    fn neither_the_server_nor_the_url_decides_the_cause() {
        check(
            "a.git",
            "remote: The requested URL returned error: 403\nfatal: protocol error: bad pack header",
            "Failed",
        );
        check(
            "SSL-certificate.git",
            "fatal: unable to access 'https://h.example/SSL-certificate.git/': The requested URL returned error: 500",
            "Server",
        );
    }
}
