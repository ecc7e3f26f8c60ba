//! Fuzz invariants of the parsers of a forge's answers: they hold for any answer.

use super::{
    entries::{self, Body},
    numbering::Numbering,
    paging::project,
    retry,
    selection::Selection,
};
use crate::{
    fuzzing::choice,
    intake::forge_api::{self, PageEnd, Project},
    model::{
        address::{NetworkPolicy, Origin},
        control_chars::is_unprintable,
        git_url::GitUrl,
        master::Options,
    },
};
use chrono::DateTime;
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;
use url::Url;

const PLACE: &str = "https://forge.example/acme";

/// Reads the same bytes as a header of each kind, and as a list.
pub(crate) fn listing(bytes: &[u8]) {
    let (code, bytes) = choice(bytes, 256);
    let here = Url::parse("https://forge.example/api/v4/groups/acme/projects?page=1");
    let here = here.expect("a URL");
    for name in ["link", "x-next-page", "retry-after", "x-ratelimit-reset", "x-total-count"] {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { break };
        let mut headers = HeaderMap::new();
        headers.insert(name, value);
        headers.insert("x-ratelimit-remaining", HeaderValue::from_static("0"));
        check_next(&headers, &Value::Null, &here);
        let code = u16::try_from(code).unwrap_or(0) + 350;
        let requested = retry::requested_pause(&headers, DateTime::UNIX_EPOCH);
        let pause = retry::pause(0, requested).filter(|_| retry::is_temporary(code, &headers));
        assert!(pause.is_none_or(|pause| pause.as_secs() <= 60), "{pause:?}");
        let pause = retry::pause_after_success(&headers, DateTime::UNIX_EPOCH);
        assert!(pause.is_none_or(|pause| pause.as_secs() <= 60), "{pause:?}");
    }
    let mut lists = vec![entries::read(bytes).map(|body| (body, Value::Null))];
    lists.extend(["value", "values"].map(|name| entries::read_member(bytes, name)));
    for (body, members) in lists.into_iter().flatten() {
        check_next(&HeaderMap::new(), &members, &here);
        let Body::List(items) = body else { continue };
        for api in forge_api::ALL {
            let numbered = items.iter().zip(1..);
            let projects: Vec<_> = numbered.map(|(item, at)| project(item, at, api)).collect();
            check_plan(&projects);
        }
    }
}

/// A next page has the origin of the current one.
fn check_next(headers: &HeaderMap, members: &Value, here: &Url) {
    for api in forge_api::ALL {
        let end = PageEnd { url: here, headers, members, entries: 1 };
        if let Ok(Some(next)) = api.next_page(&end) {
            assert_eq!(Origin::of(&next), Origin::of(here), "{next}");
            assert!(next.username().is_empty() && next.password().is_none(), "{next}");
        }
    }
}

fn check_plan(projects: &[Project]) {
    let policy = NetworkPolicy {
        allow_hosts: vec!["forge.example".to_owned()],
        allow_ports: vec![443],
        ..NetworkPolicy::default()
    };
    let place = GitUrl::parse(PLACE, &policy).expect("a URL that is allowed");
    let selection = Selection::new(&place, &policy, &Options::default(), DateTime::UNIX_EPOCH);
    let selection = selection.expect("no patterns");
    let Some(rows) = selection.rows(projects, &|| false) else {
        panic!("the selection was not stopped")
    };
    let mut numbering = Numbering::after(&[], projects.len());
    let rows = rows.into_iter().filter_map(|row| numbering.add(row).expect("there is room"));
    for (at, line) in rows.enumerate() {
        assert!(line.repo_index.is_none_or(|index| index as usize <= at), "{line:?}");
        assert!(!line.repo_name.contains(is_unprintable), "{line:?}");
        assert!(line.skipped.is_none() || line.repo_index.is_none(), "{line:?}");
        let shown = Url::parse(&line.git_url).expect("a URL of HTTP");
        assert!(shown.username().is_empty() && shown.password().is_none(), "{line:?}");
        if line.skipped.is_none() && line.refused.is_none() {
            let url = GitUrl::parse(&line.git_url, &policy).expect("the URL was accepted before");
            assert_eq!(Origin::of(url.url()), Origin::of(place.url()), "{line:?}");
        }
    }
}
