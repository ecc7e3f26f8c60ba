//! Rate limits of forges, as the headers of their answers report them.
//!
//! Input: the status code and the headers of an answer, and the time. Output: whether the answer
//! reports a rate limit, and the pause that it requests. Invariant: no header is trusted beyond its
//! own host; the caller bounds the pause.

use super::time::Timestamp;
use chrono::DateTime;
use std::time::Duration;

/// Numbers from here on are times in Unix seconds, smaller ones are seconds from now.
const TIMES_FROM: u64 = 1_000_000_000;

/// The headers of an answer that concern rate limits. Texts are as they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RateLimit {
    retry_after: Option<String>,
    remaining: Option<String>,
    reset: Option<String>,
}

impl RateLimit {
    /// Takes in a header; others than those that concern rate limits are ignored.
    pub fn note(&mut self, name: &str, value: &str) {
        let name = name.trim().to_ascii_lowercase();
        let place = match name.strip_prefix("x-").unwrap_or(&name) {
            "retry-after" => &mut self.retry_after,
            "ratelimit-remaining" => &mut self.remaining,
            "ratelimit-reset" => &mut self.reset,
            _ => return,
        };
        *place = Some(value.trim().to_owned());
    }

    /// Whether an answer with this code and these headers reports a rate limit. Some forges use 403
    /// and 503 for this, too.
    pub fn is_reported_by(&self, code: u16) -> bool {
        match code {
            429 => true,
            403 => self.retry_after.is_some() || self.is_used_up(),
            503 => self.retry_after.is_some(),
            _ => false,
        }
    }

    /// The pause that the answer requests, if any.
    pub fn requested_pause(&self, now: Timestamp) -> Option<Duration> {
        let until = |then: Timestamp| (then - now).to_std().unwrap_or(Duration::ZERO);
        if let Some(after) = &self.retry_after {
            if let Ok(seconds) = after.parse() {
                return Some(Duration::from_secs(seconds));
            }
            return DateTime::parse_from_rfc2822(after).ok().map(|date| until(date.to_utc()));
        }
        let reset: u64 = self.reset.as_ref().filter(|_| self.is_used_up())?.parse().ok()?;
        if reset < TIMES_FROM {
            return Some(Duration::from_secs(reset));
        }
        DateTime::from_timestamp(i64::try_from(reset).ok()?, 0).map(until)
    }

    fn is_used_up(&self) -> bool {
        self.remaining.as_deref() == Some("0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails if a form of the headers is not understood, or another one is trusted.
    #[test]
    fn each_form_is_understood() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        for (code, headers, reported, seconds) in [
            (429, vec![("Retry-After", "17")], true, Some(17)),
            (429, vec![("retry-after", "Tue, 14 Nov 2023 22:13:30 GMT")], true, Some(10)),
            (429, vec![("retry-after", "Tue, 14 Nov 2023 20:00:00 GMT")], true, Some(0)),
            (429, vec![("retry-after", "soon")], true, None),
            (429, vec![("retry-after", "-1")], true, None),
            (429, vec![], true, None),
            (403, vec![], false, None),
            (403, vec![("retry-after", "3")], true, Some(3)),
            (
                403,
                vec![("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "1700000005")],
                true,
                Some(5),
            ),
            (429, vec![("ratelimit-remaining", "0"), ("ratelimit-reset", "40")], true, Some(40)),
            (429, vec![("ratelimit-remaining", "9"), ("ratelimit-reset", "40")], true, None),
            (503, vec![("retry-after", "3")], true, Some(3)),
            (503, vec![("ratelimit-remaining", "0")], false, None),
            (404, vec![("retry-after", "3")], false, Some(3)),
        ] {
            let mut limit = RateLimit::default();
            for (name, value) in &headers {
                limit.note(name, value);
            }
            let pause = limit.requested_pause(now).map(|pause| pause.as_secs());
            assert_eq!((limit.is_reported_by(code), pause), (reported, seconds), "{headers:?}");
        }
    }
}
