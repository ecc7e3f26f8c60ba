//! The repositories of a group that its plan skips.
//!
//! Input: a job of a server. Output: their number, and their rows page by page. Invariant: no more
//! than a page is in memory.

use super::{
    error::ClientError,
    http::{Client, Document},
};
use crate::model::{JobId, plan};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Rows per page: the maximum of the server.
const PER_PAGE: usize = 1_000;

/// A page of skipped repositories.
#[derive(Debug, Deserialize)]
pub(in crate::cli) struct SkippedPage {
    pub(in crate::cli) skipped: Vec<Skipped>,
    pub(in crate::cli) skipped_total: u64,
    /// Absent from an older server.
    #[serde(default)]
    skipped_by_reason: BTreeMap<String, u64>,
    pub(in crate::cli) total_pages: u64,
}

/// A repository that is not scanned, and why.
#[derive(Debug, Deserialize)]
pub(in crate::cli) struct Skipped {
    pub(in crate::cli) repo_name: String,
    pub(in crate::cli) reason: String,
}

/// How many repositories of a job are skipped, in words: "12 skipped: 8 archived, 4 forks"; empty if there
/// are none.
pub(in crate::cli) async fn count(client: &Client, id: &JobId) -> Result<String, ClientError> {
    let path = format!("/scan/{id}/repositories?status=skipped&per_page=1");
    let page = client.get(&path).await?.read::<SkippedPage>()?;
    let total = page.skipped_total;
    // A newer server may know more kinds.
    let kinds = page.skipped_by_reason.iter().map(|(kind, count)| {
        let kind = serde_json::from_value(kind.as_str().into()).ok()?;
        Some((kind, *count))
    });
    let counts = kinds.collect::<Option<plan::SkipCounts>>().unwrap_or_default();
    Ok(match (total, plan::in_words(&counts)) {
        (0, _) => String::new(),
        (_, words) if words.is_empty() => format!("{total} skipped"),
        (_, words) => words,
    })
}

/// A page of the skipped repositories of a job; the first page is 1.
pub(in crate::cli) async fn page(
    client: &Client,
    id: &JobId,
    number: u64,
) -> Result<(Document, SkippedPage), ClientError> {
    let path = format!("/scan/{id}/repositories?status=skipped&page={number}&per_page={PER_PAGE}");
    let document = client.get(&path).await?;
    let page = document.read()?;
    Ok((document, page))
}
