//! Whether a question is asked again, and after which pause. Pure: the clock is an argument.

use crate::model::time::Timestamp;
use chrono::DateTime;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use std::time::Duration;

/// How often a page is asked for again.
const MOST: u32 = 3;
/// The longest pause that a forge is granted.
const LONGEST: Duration = Duration::from_mins(1);

/// The pause before the next try, after `retries` of them; `None` to give up. A forge that wants
/// a longer pause than it is granted would not be helped by a shorter one.
pub(super) fn pause(retries: u32, wanted: Option<Duration>) -> Option<Duration> {
    if retries >= MOST {
        return None;
    }
    match wanted {
        Some(wanted) => Some(wanted).filter(|it| *it <= LONGEST),
        None => Some(Duration::from_secs(1 << retries)),
    }
}

/// Whether an answer is one that may be another the next time.
pub(super) fn may_pass(code: u16, headers: &HeaderMap) -> bool {
    matches!(code, 500 | 502 | 503 | 504) || is_rate_limit(code, headers)
}

/// Whether the forge says that it is asked too often. GitHub says so by 403, too.
pub(super) fn is_rate_limit(code: u16, headers: &HeaderMap) -> bool {
    let told = headers.contains_key(RETRY_AFTER) || is_used_up(headers);
    code == 429 || code == 403 && told
}

/// The pause that the forge wants, if it names one.
pub(super) fn wanted_pause(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|it| it.to_str().ok()).map(str::trim);
    let until = |then: Timestamp| (then - now).to_std().unwrap_or(Duration::ZERO);
    if let Some(after) = text("retry-after") {
        if let Ok(seconds) = after.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = DateTime::parse_from_rfc2822(after).ok()?;
        return Some(until(date.to_utc()));
    }
    let reset = text("x-ratelimit-reset").filter(|_| is_used_up(headers))?;
    DateTime::from_timestamp(reset.parse().ok()?, 0).map(until)
}

fn is_used_up(headers: &HeaderMap) -> bool {
    headers.get("x-ratelimit-remaining").is_some_and(|it| it == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(them: &[(&'static str, &str)]) -> HeaderMap {
        let pair =
            |(name, value): &(&'static str, &str)| (name.parse().unwrap(), value.parse().unwrap());
        them.iter().map(pair).collect()
    }

    #[test]
    fn pauses_grow_and_come_to_an_end() {
        let seconds: Vec<_> = (0..5).map(|it| pause(it, None).map(|it| it.as_secs())).collect();
        assert_eq!(seconds, [Some(1), Some(2), Some(4), None, None]);
    }

    #[test]
    fn a_pause_that_is_wanted_is_made_if_it_is_short() {
        let wanted = |seconds| pause(0, Some(Duration::from_secs(seconds)));
        assert_eq!(wanted(0), Some(Duration::ZERO));
        assert_eq!(wanted(60), Some(LONGEST));
        assert_eq!(wanted(61), None);
        assert_eq!(pause(3, Some(Duration::ZERO)), None);
    }

    #[test]
    fn the_pause_is_read_in_each_form() {
        let now = DateTime::from_timestamp(784_111_767, 0).unwrap();
        for (them, seconds) in [
            (vec![("retry-after", "17")], Some(17)),
            (vec![("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")], Some(10)),
            (vec![("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")], Some(0)),
            (vec![("retry-after", "soon")], None),
            (vec![("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "784111772")], Some(5)),
            (vec![("x-ratelimit-remaining", "9"), ("x-ratelimit-reset", "784111772")], None),
            (vec![], None),
        ] {
            let pause = wanted_pause(&headers(&them), now).map(|it| it.as_secs());
            assert_eq!(pause, seconds, "{them:?}");
        }
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        let used_up = headers(&[("x-ratelimit-remaining", "0")]);
        let left = headers(&[("x-ratelimit-remaining", "41")]);
        for (code, headers, passes) in [
            (429, &left, true),
            (500, &left, true),
            (502, &left, true),
            (503, &left, true),
            (504, &left, true),
            (403, &used_up, true),
            (403, &left, false),
            (401, &used_up, false),
            (404, &left, false),
            (501, &left, false),
        ] {
            assert_eq!(may_pass(code, headers), passes, "{code} {headers:?}");
        }
    }
}
