//! Fuzz invariants of the parsers of a forge's answers: they hold for any answer.

use super::{
    Project,
    entries::{self, Body},
    github, gitlab,
    next_page::next_page,
    numbering::Numbering,
    paging::project,
    retry,
    selection::Selection,
};
use crate::{
    fuzzing::choice,
    model::{
        address::{NetworkPolicy, Origin},
        control_chars::is_unprintable,
        git_url::GitUrl,
        master::Options,
    },
};
use chrono::DateTime;
use reqwest::header::{HeaderMap, HeaderValue};
use url::Url;

const PLACE: &str = "https://forge.example/acme";

/// Reads the same bytes as a header of each kind, and as a list.
pub(crate) fn listing(bytes: &[u8]) {
    let (code, bytes) = choice(bytes, 256);
    let here = Url::parse("https://forge.example/api/v4/groups/acme/projects?page=1");
    let here = here.expect("a URL");
    for name in ["link", "x-next-page", "retry-after", "x-ratelimit-reset"] {
        let Ok(value) = HeaderValue::from_bytes(bytes) else { break };
        let mut headers = HeaderMap::new();
        headers.insert(name, value);
        headers.insert("x-ratelimit-remaining", HeaderValue::from_static("0"));
        if let Ok(Some(next)) = next_page(&headers, &here) {
            assert_eq!(Origin::of(&next), Origin::of(&here), "{next}");
            assert!(next.username().is_empty() && next.password().is_none(), "{next}");
        }
        let code = u16::try_from(code).unwrap_or(0) + 350;
        let requested = retry::requested_pause(&headers, DateTime::UNIX_EPOCH);
        let pause = retry::pause(0, requested).filter(|_| retry::is_temporary(code, &headers));
        assert!(pause.is_none_or(|pause| pause.as_secs() <= 60), "{pause:?}");
    }
    if let Ok(Body::List(items)) = entries::read(bytes) {
        for read in [gitlab::project, github::repository] {
            let numbered = items.iter().zip(1..);
            let projects: Vec<_> = numbered.map(|(item, at)| project(item, at, read)).collect();
            check_plan(&projects);
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
    let selection = Selection::new(&place, &policy, &Options::default()).expect("no patterns");
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
