//! What a forge states about one repository, and helpers to read it.
//!
//! Input: entries of forges' answers. Output: [`Project`]s. Invariant: a missing or invalid member counts as
//! absent.

use crate::model::{filters::Visibility, plan::SkipKind, time::Timestamp};
use chrono::DateTime;
use serde_json::Value;
use url::Url;

/// The most topics of one entry that are read.
const MOST_TOPICS: usize = 1_000;

/// One entry of a forge's answer, as far as it could be parsed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::intake) struct Project {
    /// The path below the forge's root, without `.git`.
    pub(in crate::intake) path: Option<String>,
    pub(in crate::intake) url: Option<String>,
    /// Why there is nothing to scan, according to the forge.
    pub(in crate::intake) skipped: Option<(SkipKind, &'static str)>,
    /// Why the entry cannot be parsed, if so.
    pub(in crate::intake) unreadable: Option<String>,
    /// The name of an entry without a path.
    pub(in crate::intake) label: String,
    pub(in crate::intake) facts: Facts,
}

/// What filters ask, as far as the forge states it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::intake) struct Facts {
    pub(in crate::intake) archived: Option<bool>,
    pub(in crate::intake) fork: Option<bool>,
    pub(in crate::intake) empty: Option<bool>,
    pub(in crate::intake) topics: Option<Vec<String>>,
    pub(in crate::intake) visibility: Option<Visibility>,
    /// The time of the last activity.
    pub(in crate::intake) active_at: Option<Timestamp>,
    pub(in crate::intake) bytes: Option<u64>,
}

impl Project {
    /// An entry that cannot be parsed.
    pub(in crate::intake) fn unreadable(reason: String, position: usize) -> Self {
        Self { unreadable: Some(reason), label: label(&Value::Null, position), ..Self::default() }
    }
}

/// The unique name of an entry without a path.
pub(super) fn label(item: &Value, position: usize) -> String {
    match item["id"].as_u64() {
        Some(id) => format!("(project {id})"),
        None => format!("(entry {position} of the list)"),
    }
}

/// A text that is not empty.
pub(super) fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// A time by RFC 3339, with or without a colon in its offset.
pub(super) fn time(value: &Value) -> Option<Timestamp> {
    let text = value.as_str()?;
    let time = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"));
    time.ok().map(|time| time.to_utc())
}

/// The texts of a list; `None` if it is none.
pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    let items = value.as_array()?;
    Some(items.iter().filter_map(text).take(MOST_TOPICS).collect())
}

pub(super) fn visibility(value: &Value) -> Option<Visibility> {
    value.as_str()?.parse().ok()
}

/// The visibility of a repository of which only one bit is known.
pub(super) fn private_or_public(private: Option<bool>) -> Option<Visibility> {
    private.map(|private| if private { Visibility::Private } else { Visibility::Public })
}

/// A clone URL without the user name that some forges put into it. A URL with a password stays, and is
/// refused.
pub(super) fn without_username(text: String) -> String {
    let url = Url::parse(&text).ok();
    let url = url.filter(|url| !url.username().is_empty() && url.password().is_none());
    let Some(mut url) = url else { return text };
    if url.set_username("").is_ok() { url.into() } else { text }
}

/// The clone URL by HTTP among `links.clone[]` of both Bitbuckets.
pub(super) fn clone_link(item: &Value) -> Option<String> {
    let links = item["links"]["clone"].as_array()?;
    let http = links.iter().find(|link| link["name"] == "https" || link["name"] == "http")?;
    text(&http["href"]).map(without_username)
}
