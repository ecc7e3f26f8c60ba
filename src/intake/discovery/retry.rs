//! Decides whether a request to a forge is retried, and after which pause, and whether the next request
//! waits although this one succeeded. Pure: the clock is an argument.
//!
//! The headers of the forges: `Retry-After` (all); `X-RateLimit-Remaining` and `-Reset`, a time in Unix
//! seconds (GitHub, Gitea behind a proxy, Bitbucket Data Center, Azure DevOps); `RateLimit-Remaining` and
//! `-Reset`, a time (GitLab) or a number of seconds (the draft of the IETF). Bitbucket Cloud answers 429
//! without a time.

use crate::model::time::Timestamp;
use chrono::DateTime;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use std::time::Duration;

/// The maximum number of retries of a page.
const MAX_RETRIES: u32 = 3;
/// The longest pause that a forge may request.
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// The headers with the number of requests that are left, and with the time when there are more.
const RATE_LIMITS: [(&str, &str); 2] =
    [("x-ratelimit-remaining", "x-ratelimit-reset"), (DRAFT, "ratelimit-reset")];
/// The header of the draft, whose time may be a number of seconds.
const DRAFT: &str = "ratelimit-remaining";
/// A smaller number is no time in Unix seconds.
const EARLIEST_TIME: i64 = 100_000_000;

/// The pause before the next attempt, after a number of retries; `None` to give up. If the forge
/// requests a longer pause than allowed, a shorter one would not help.
pub(super) fn pause(retries: u32, requested: Option<Duration>) -> Option<Duration> {
    if retries >= MAX_RETRIES {
        return None;
    }
    match requested {
        Some(requested) => Some(requested).filter(|pause| *pause <= MAX_PAUSE),
        None => Some(Duration::from_secs(1 << retries)),
    }
}

/// Whether a failure is temporary, so that a retry may succeed.
pub(super) fn is_temporary(code: u16, headers: &HeaderMap) -> bool {
    // 520 to 524 are those of a proxy at Cloudflare that cannot reach the forge.
    matches!(code, 500 | 502..=504 | 520..=524) || is_rate_limit(code, headers)
}

/// Whether the forge reports a rate limit. GitHub uses 403 for this, too.
pub(super) fn is_rate_limit(code: u16, headers: &HeaderMap) -> bool {
    let has_limit_header = headers.contains_key(RETRY_AFTER) || is_used_up(headers);
    code == 429 || code == 403 && has_limit_header
}

/// The pause that the forge requests, if any.
pub(super) fn requested_pause(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let until = |then: Timestamp| (then - now).to_std().unwrap_or(Duration::ZERO);
    if let Some(after) = text("retry-after") {
        if let Ok(seconds) = after.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = DateTime::parse_from_rfc2822(after).ok()?;
        return Some(until(date.to_utc()));
    }
    let (remaining, reset) =
        RATE_LIMITS.into_iter().find(|(remaining, _)| text(remaining) == Some("0"))?;
    let reset: i64 = text(reset)?.parse().ok()?;
    if remaining == DRAFT && reset < EARLIEST_TIME {
        return u64::try_from(reset).ok().map(Duration::from_secs);
    }
    DateTime::from_timestamp(reset, 0).map(until)
}

/// The pause before the next request after one that succeeded, if the forge asks for one: it would refuse
/// an earlier request. A longer pause than allowed is none: the next request gets the error.
pub(super) fn pause_after_success(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    requested_pause(headers, now).filter(|pause| !pause.is_zero() && *pause <= MAX_PAUSE)
}

fn is_used_up(headers: &HeaderMap) -> bool {
    let is_zero = |name| headers.get(name).is_some_and(|value| value == "0");
    RATE_LIMITS.into_iter().any(|(remaining, _)| is_zero(remaining))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&'static str, &str)| (name.parse().unwrap(), value.parse().unwrap());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn pauses_grow_and_retries_end() {
        let seconds: Vec<_> =
            (0..5).map(|retries| pause(retries, None).map(|pause| pause.as_secs())).collect();
        assert_eq!(seconds, [Some(1), Some(2), Some(4), None, None]);
    }

    #[test]
    fn a_requested_pause_is_made_if_it_is_short() {
        let requested = |seconds| pause(0, Some(Duration::from_secs(seconds)));
        assert_eq!(requested(0), Some(Duration::ZERO));
        assert_eq!(requested(60), Some(MAX_PAUSE));
        assert_eq!(requested(61), None);
        assert_eq!(pause(3, Some(Duration::ZERO)), None);
    }

    #[test]
    fn the_requested_pause_is_parsed_in_each_form() {
        let now = DateTime::from_timestamp(784_111_767, 0).unwrap();
        for (pairs, seconds) in [
            (vec![("retry-after", "17")], Some(17)),
            (vec![("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], Some(10)),
            (vec![("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], Some(0)),
            (vec![("retry-after", "soon")], None),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "784111772")], Some(5)),
            (vec![("x-ratelimit-remaining", "9"), ("x-ratelimit-reset", "784111772")], None),
            (vec![("ratelimit-remaining", "0"), ("ratelimit-reset", "784111774")], Some(7)),
            (vec![("ratelimit-remaining", "0"), ("ratelimit-reset", "30")], Some(30)),
            (vec![("ratelimit-remaining", "0"), ("ratelimit-reset", "-1")], None),
            (vec![("ratelimit-remaining", "1"), ("ratelimit-reset", "30")], None),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")], Some(0)),
            (vec![("x-ratelimit-remaining", "0")], None),
            (vec![], None),
        ] {
            let pause = requested_pause(&headers(&pairs), now).map(|pause| pause.as_secs());
            assert_eq!(pause, seconds, "{pairs:?}");
        }
    }

    /// Fails if the next page is requested although the forge has announced to refuse it, or if a listing
    /// waits for an hour.
    #[test]
    fn a_request_after_the_last_allowed_one_waits() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        for (pairs, seconds) in [
            (vec![("retry-after", "2")], Some(2)),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800000005")], Some(5)),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1800003600")], None),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1799999999")], None),
            (vec![("x-ratelimit-remaining", "7"), ("x-ratelimit-reset", "1800000005")], None),
            (vec![], None),
        ] {
            let pause = pause_after_success(&headers(&pairs), now).map(|pause| pause.as_secs());
            assert_eq!(pause, seconds, "{pairs:?}");
        }
    }

    #[test]
    fn temporary_failures_are_distinguished_from_permanent_ones() {
        let used_up = headers(&[("x-ratelimit-remaining", "0")]);
        let left = headers(&[("x-ratelimit-remaining", "41")]);
        for (code, headers, temporary) in [
            (429, &left, true),
            (500, &left, true),
            (502, &left, true),
            (503, &left, true),
            (504, &left, true),
            (522, &left, true),
            (505, &left, false),
            (403, &used_up, true),
            (403, &left, false),
            (401, &used_up, false),
            (404, &left, false),
            (501, &left, false),
        ] {
            assert_eq!(is_temporary(code, headers), temporary, "{code} {headers:?}");
        }
    }
}
