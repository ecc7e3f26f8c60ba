//! Parses git's standard error during a fetch: progress lines, traced headers, and other messages.
//!
//! Input: pieces of the stream. Output: progress, the last messages, and what the last answer reports
//! about rate limits. Invariants: memory stays bounded, whatever a server sends; a traced line never
//! becomes a message, and nothing of it is kept but the headers about rate limits.

use crate::model::rate_limit::RateLimit;
use std::collections::VecDeque;

/// The longest line that is kept, in bytes; a longer one is cut and marked by `…`.
const LONGEST_LINE: usize = 4 << 10;
/// How many of the last messages are kept for an error message.
const LAST_WORDS: usize = 8;

/// The shape of the time at the start of a traced line; a zero stands for any digit.
const TRACE_TIME: &[u8] = b"00:00:00.000000";
/// What precedes a traced header of an answer.
const TRACED_HEADER: &str = "<= Recv header: ";

/// git's warning about a server that does not support filters.
const UNFILTERED: &str = "warning: filtering not recognized by server";

/// One progress line, such as `Receiving objects:  45% (9/20), 1.20 MiB | 3.00 MiB/s`.
#[derive(Debug, PartialEq)]
pub(super) struct Progress {
    /// `Receiving objects: 45% (9/20), 1.20 MiB | 3.00 MiB/s`
    pub(super) message: String,
    pub(super) percent: Option<f64>,
    /// The received bytes so far.
    pub(super) bytes: Option<u64>,
    /// The number of objects, or the count so far.
    pub(super) objects: Option<u64>,
    /// Whether deltas are being resolved, according to git itself and not the server.
    pub(super) is_resolving: bool,
}

/// What git wrote before it exited.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    /// The last messages that are not progress.
    pub(super) lines: Vec<String>,
    pub(super) rate_limit: RateLimit,
}

/// Splits git's output into lines, and keeps the last ones that are not progress.
#[derive(Debug, Default)]
pub(super) struct Listener {
    line: Vec<u8>,
    /// Whether the line was truncated.
    is_cut: bool,
    last_words: VecDeque<String>,
    is_unfiltered: bool,
    has_heard: bool,
    rate_limit: RateLimit,
}

impl Listener {
    /// Whether the server ignores filters and sends all blobs.
    pub(super) fn is_unfiltered(&self) -> bool {
        self.is_unfiltered
    }

    /// Whether git has written anything but traced lines.
    pub(super) fn has_heard(&self) -> bool {
        self.has_heard
    }

    /// Takes in a piece, and passes on each completed progress line.
    pub(super) fn hear(&mut self, piece: &[u8], mut on_progress: impl FnMut(Progress)) {
        for &byte in piece {
            // A progress line is redrawn after a carriage return.
            if byte == b'\n' || byte == b'\r' && !is_traced(&self.line) {
                self.end_line(&mut on_progress);
            } else if self.line.len() < LONGEST_LINE {
                self.line.push(byte);
            } else {
                self.is_cut = true;
            }
        }
    }

    /// The last messages that are not progress, and what the last answer reports about rate limits.
    pub(super) fn finish(mut self) -> LastWords {
        self.end_line(&mut |_| {});
        LastWords { lines: self.last_words.into(), rate_limit: self.rate_limit }
    }

    /// Takes in a traced line. Each answer begins with its status line.
    fn note_traced(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        let Some((_, header)) = line.split_once(TRACED_HEADER) else { return };
        if header.starts_with("HTTP/") {
            self.rate_limit = RateLimit::default();
        } else if let Some((name, value)) = header.split_once(':') {
            self.rate_limit.note(name, value);
        }
    }

    fn end_line(&mut self, on_progress: &mut impl FnMut(Progress)) {
        let is_cut = std::mem::take(&mut self.is_cut);
        if is_traced(&self.line) {
            self.note_traced();
            self.line.clear();
            return;
        }
        let mut line = String::from_utf8_lossy(&self.line).trim().to_owned();
        self.line.clear();
        self.has_heard |= !line.is_empty();
        if is_cut {
            line.push('…');
        }
        if let Some(progress) = parse(&line) {
            on_progress(progress);
        } else if !line.is_empty() && !is_chatter(&line) {
            self.is_unfiltered |= line.starts_with(UNFILTERED);
            if self.last_words.len() == LAST_WORDS {
                self.last_words.pop_front();
            }
            self.last_words.push_back(line);
        }
    }
}

/// Whether a line is one of git's trace (`GIT_TRACE_CURL`), such as `09:30:00.123456 http.c:872`. The
/// server cannot write such a line: its own begin with `remote: `. A traced header may contain a
/// carriage return.
fn is_traced(line: &[u8]) -> bool {
    let Some((time, rest)) = line.split_at_checked(TRACE_TIME.len()) else { return false };
    let fits = |(byte, shape): (&u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    };
    time.iter().zip(TRACE_TIME).all(fits) && rest.starts_with(b" http.c:")
}

/// Parses a progress line; `None` for any other line.
fn parse(line: &str) -> Option<Progress> {
    let text = line.strip_prefix("remote: ").unwrap_or(line);
    let (label, rest) = text.split_once(": ")?;
    let known = [
        "Enumerating objects",
        "Counting objects",
        "Compressing objects",
        "Receiving objects",
        "Unpacking objects",
        "Resolving deltas",
    ];
    if !known.contains(&label) {
        return None;
    }
    let rest = rest.trim();
    let percent = rest.split_once('%').and_then(|(number, _)| number.trim().parse().ok());
    let bytes = rest.split(", ").find_map(|part| amount(part.split(" | ").next()?));
    let objects =
        if label == "Enumerating objects" { rest.split(',').next() } else { out_of(rest) };
    let objects = objects.and_then(|count| count.parse().ok());
    let is_resolving = label == "Resolving deltas" && text.len() == line.len();
    Some(Progress { message: format!("{label}: {rest}"), percent, bytes, objects, is_resolving })
}

/// The second number of `45% (9/20)`.
fn out_of(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('/')?;
    Some(rest.split_once(')')?.0)
}

/// `1.20 MiB` in bytes.
fn amount(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let factor = match unit {
        "byte" | "bytes" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * factor;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded")]
    (0.0..9.0e15).contains(&bytes).then_some(bytes as u64)
}

/// Lines that say nothing about a failure.
fn is_chatter(line: &str) -> bool {
    line.starts_with("From ") || line.starts_with("* [new") || line.starts_with("remote: Total ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &str, expected: &[(&str, Option<f64>, Option<u64>)], last_words: &[&str]) {
        // The pieces in which a pipe delivers must not matter.
        for size in [1, 7, 4096] {
            let mut listener = Listener::default();
            let mut heard = Vec::new();
            for piece in said.as_bytes().chunks(size) {
                listener.hear(piece, |progress| heard.push(progress));
            }
            let heard: Vec<_> = heard
                .iter()
                .map(|line| (line.message.as_str(), line.percent, line.bytes))
                .collect();
            assert_eq!(heard, expected);
            assert_eq!(listener.finish().lines, last_words);
        }
    }

    #[test]
    fn progress_is_distinguished_from_other_messages() {
        check(
            "remote: Enumerating objects: 20, done.        \n\
             remote: Counting objects:  45% (9/20)        \r\
             Receiving objects:  45% (9/20), 1.50 MiB | 3.00 MiB/s\r\
             Receiving objects: 100% (20/20), 512 bytes | 512.00 KiB/s, done.\n\
             remote: Total 20 (delta 0), reused 0 (delta 0)\n\
             Resolving deltas:  33% (1/3)\r\
             remote: HTTP Basic: Access denied\n\
             fatal: early EOF",
            &[
                ("Enumerating objects: 20, done.", None, None),
                ("Counting objects: 45% (9/20)", Some(45.0), None),
                (
                    "Receiving objects: 45% (9/20), 1.50 MiB | 3.00 MiB/s",
                    Some(45.0),
                    Some(1_572_864),
                ),
                (
                    "Receiving objects: 100% (20/20), 512 bytes | 512.00 KiB/s, done.",
                    Some(100.0),
                    Some(512),
                ),
                ("Resolving deltas: 33% (1/3)", Some(33.0), None),
            ],
            &["remote: HTTP Basic: Access denied", "fatal: early EOF"],
        );
    }

    #[test]
    fn the_number_of_objects_is_known_before_they_are_received() {
        let mut listener = Listener::default();
        let mut counts = Vec::new();
        let said = b"remote: Enumerating objects: 20, done.\nremote: Enumerating objects: many\n\
                     Receiving objects:  45% (9/21), 1.50 MiB\rReceiving objects: 12\r";
        listener.hear(said, |progress| counts.push(progress.objects));
        assert_eq!(counts, [Some(20), None, Some(21), None]);
        assert!(!listener.is_unfiltered());
        listener.hear(b"remote: warning: filtering not recognized by server\n", |_| {});
        assert!(!listener.is_unfiltered(), "the server wrote this line");
        listener.hear(b"warning: filtering not recognized by server, ignoring\n", |_| {});
        assert!(listener.is_unfiltered());
    }

    #[test]
    fn long_lines_are_cut_and_old_messages_dropped() {
        let mut listener = Listener::default();
        listener.hear(&vec![b'x'; 1 << 20], |_| {});
        for _ in 0..100 {
            listener.hear(b"\nerror: again", |_| {});
        }
        let words = listener.finish().lines;
        assert_eq!(words.len(), LAST_WORDS);
        assert!(words.iter().all(|line| line.len() <= LONGEST_LINE));
        let mut listener = Listener::default();
        listener.hear(&vec![b'x'; LONGEST_LINE], |_| {});
        assert_eq!(listener.finish().lines, ["x".repeat(LONGEST_LINE)]);
        let mut listener = Listener::default();
        listener.hear(&vec![b'x'; LONGEST_LINE + 1], |_| {});
        assert_eq!(listener.finish().lines, ["x".repeat(LONGEST_LINE) + "…"]);
    }

    /// Fails if a traced header becomes a message, counts as an answer of git, or if the rate limit of
    /// an earlier answer is reported.
    #[test]
    fn traced_headers_are_read_for_rate_limits_and_never_shown() {
        let traced = |text: &str| format!("01:25:39.654178 http.c:872              {text}\n");
        let mut said = traced("== Info:   Trying 127.0.0.1:1...");
        said += &traced("=> Send header: Authorization: Basic <redacted>");
        said += &traced("<= Recv header: HTTP/2 401");
        said += &traced("<= Recv header: retry-after: 99");
        said += &traced("<= Recv header: HTTP/2 429 Too Many Requests");
        said += &traced("<= Recv header: X-A: x\rfatal: The requested URL returned error: 403");
        for size in [1, 7, 4096] {
            let mut listener = Listener::default();
            let hear = |listener: &mut Listener, text: &str| {
                for piece in text.as_bytes().chunks(size) {
                    listener.hear(piece, |progress| panic!("{progress:?}"));
                }
            };
            hear(&mut listener, &said);
            assert!(!listener.has_heard());
            hear(&mut listener, &traced("<= Recv header: Retry-After: 17"));
            hear(
                &mut listener,
                "remote: 01:25:39.654178 http.c:872 <= Recv header: Retry-After: 1\n",
            );
            hear(&mut listener, "fatal: The requested URL returned error: 429\n");
            assert!(listener.has_heard());
            let last = listener.finish();
            assert_eq!(last.lines[1..], ["fatal: The requested URL returned error: 429"]);
            let pause = last.rate_limit.requested_pause(chrono::Utc::now());
            assert_eq!(pause, Some(std::time::Duration::from_secs(17)));
        }
    }
}
